"""The only code that runs the user's model: it sees every activation call and leaves no trace."""

from __future__ import annotations

from boundarycb.probe.budget import LEAST_POINTS, Budget
from boundarycb.probe.conditions import Conditions
from boundarycb.probe.feed import Feed, ForwardLike, module_at
from boundarycb.probe.moves import compare
from boundarycb.probe.output import BackgroundLike, OutputLike
from boundarycb.probe.prober import NothingToDraw, Prober
from boundarycb.probe.scope import probe, waits_for_input
from boundarycb.probe.trace import Trace, joined
from boundarycb.probe.watched import EVERY_UNIT, MAX_ALL_UNITS, MAX_UNITS, LayersLike, UnitsLike, WrongChoice

__all__ = [
    "EVERY_UNIT",
    "LEAST_POINTS",
    "MAX_ALL_UNITS",
    "MAX_UNITS",
    "BackgroundLike",
    "Budget",
    "Conditions",
    "Feed",
    "ForwardLike",
    "LayersLike",
    "NothingToDraw",
    "OutputLike",
    "Prober",
    "Trace",
    "UnitsLike",
    "WrongChoice",
    "compare",
    "joined",
    "module_at",
    "probe",
    "waits_for_input",
]
