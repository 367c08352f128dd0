"""The callback for Trainers of ``pytorch_lightning``."""

from __future__ import annotations

try:
    from pytorch_lightning import Callback
    from pytorch_lightning.utilities import rank_zero_info
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "The callback needs Lightning: pip install pytorch-lightning; a plain loop needs boundarycb.watch only."
    ) from error

from boundarycb.trainer import BoundaryHooks


class BoundaryCallback(BoundaryHooks, Callback):  # noqa: D101 - the docstring is the mixin's, for help() and the Lightning CLI
    __doc__ = BoundaryHooks.__doc__
    _tell = staticmethod(rank_zero_info)
