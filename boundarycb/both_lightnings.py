"""The callback for programs that use ``lightning.pytorch`` and ``pytorch_lightning`` side by side: a callback of both."""

from __future__ import annotations

import lightning.pytorch
import pytorch_lightning

from boundarycb.hooks import BoundaryHooks


class BoundaryCallback(BoundaryHooks, lightning.pytorch.Callback, pytorch_lightning.Callback):
    __doc__ = BoundaryHooks.__doc__
