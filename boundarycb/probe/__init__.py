"""The only code that runs the user's model: it sees every activation call and leaves no trace."""

from __future__ import annotations

from boundarycb.probe.budget import Budget
from boundarycb.probe.conditions import MAX_UNITS, Conditions
from boundarycb.probe.feed import Feed, ForwardLike, module_at
from boundarycb.probe.moves import compare
from boundarycb.probe.output import BackgroundLike, OutputLike
from boundarycb.probe.prober import Prober
from boundarycb.probe.scope import probe, waits_for_input
from boundarycb.probe.trace import Trace, joined

__all__ = [
    "MAX_UNITS",
    "BackgroundLike",
    "Budget",
    "Conditions",
    "Feed",
    "ForwardLike",
    "OutputLike",
    "Prober",
    "Trace",
    "compare",
    "joined",
    "module_at",
    "probe",
    "waits_for_input",
]
