"""The only code that runs the user's model: it sees every activation call and leaves no trace."""

from __future__ import annotations

from boundarycb.probe.budget import Budget
from boundarycb.probe.conditions import MAX_UNITS, Conditions
from boundarycb.probe.moves import compare
from boundarycb.probe.prober import Prober
from boundarycb.probe.scope import probe, waits_for_input
from boundarycb.probe.trace import Trace, joined

__all__ = [
    "MAX_UNITS",
    "Budget",
    "Conditions",
    "Prober",
    "Trace",
    "compare",
    "joined",
    "probe",
    "waits_for_input",
]
