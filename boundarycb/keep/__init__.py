"""Keeps a model, and the process that it trains in, as they were: what a forward pass may change is found, kept and put back."""

from __future__ import annotations

from boundarycb.keep.devices import is_far
from boundarycb.keep.kept import Kept
from boundarycb.keep.reach import Reach
from boundarycb.keep.restore import random_state_kept
from boundarycb.keep.verify import Portrait, Verdict

__all__ = ["Kept", "Portrait", "Reach", "Verdict", "is_far", "random_state_kept"]
