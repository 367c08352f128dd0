"""One file a phenomenon: each turns a run's numbers into a Finding, or into None where nothing of it was measured."""

from boundarycb.report.phenomena.copycats import copycats
from boundarycb.report.phenomena.critical import critical
from boundarycb.report.phenomena.dormant import dormant
from boundarycb.report.phenomena.indecisive import indecisive
from boundarycb.report.phenomena.missed import missed
from boundarycb.report.phenomena.moved import moved
from boundarycb.report.phenomena.regions import regions
from boundarycb.report.phenomena.symmetry import symmetry

ALL = (missed, dormant, regions, moved, critical, copycats, indecisive, symmetry)
"""First whether it learnt, and with how many units; then what GINN's report tells of, in its order (sections 5 to 9)."""

__all__ = ["ALL"]
