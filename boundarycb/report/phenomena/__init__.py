"""One file a phenomenon: each turns a run's numbers into a Finding, or into None where nothing of it was measured."""

from boundarycb.report.phenomena.copycats import copycats
from boundarycb.report.phenomena.critical import critical
from boundarycb.report.phenomena.dormant import dormant
from boundarycb.report.phenomena.indecisive import indecisive
from boundarycb.report.phenomena.missed import missed
from boundarycb.report.phenomena.moved import moved
from boundarycb.report.phenomena.regions import regions
from boundarycb.report.phenomena.symmetry import symmetry

ALL = (moved, critical, copycats, indecisive, symmetry, missed, dormant, regions)
"""In the order in which GINN's report has them (its sections 5 to 10), then what it has not."""

__all__ = ["ALL"]
