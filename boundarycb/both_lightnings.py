"""The callback for programs that use ``lightning.pytorch`` and ``pytorch_lightning`` side by side: a callback of both."""

from __future__ import annotations

import lightning.pytorch
import pytorch_lightning
from lightning.pytorch.utilities import rank_zero_info

from boundarycb.trainer import BoundaryHooks

# Made by a call, since a type checker cannot know that the two packages' hooks are the same.
_bases = (BoundaryHooks, lightning.pytorch.Callback, pytorch_lightning.Callback)
_parts = {"__doc__": BoundaryHooks.__doc__, "__module__": __name__, "_tell": staticmethod(rank_zero_info)}
BoundaryCallback = type("BoundaryCallback", _bases, _parts)
