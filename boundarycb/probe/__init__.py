"""The only code that runs the user's model: it sees every activation call and leaves no trace."""

from __future__ import annotations

from boundarycb.probe.budget import Budget
from boundarycb.probe.moves import compare
from boundarycb.probe.restore import random_state_kept
from boundarycb.probe.scope import MAX_UNITS, Prober, checked_max_units, probe
from boundarycb.probe.trace import Trace, joined

__all__ = [
    "MAX_UNITS",
    "Budget",
    "Prober",
    "Trace",
    "checked_max_units",
    "compare",
    "joined",
    "probe",
    "random_state_kept",
]
