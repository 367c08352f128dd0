"""What a Lightning Trainer's hooks do, for both Lightning packages.

* ``hooks``   the callback's mixin;
* ``first``   finds out which part of a LightningModule is looked at, and what goes in;
* ``ranks``   how the processes of a run take part;
* ``loggers`` the Trainer's loggers as sinks.
"""

from boundarycb.trainer.hooks import BoundaryHooks

__all__ = ["BoundaryHooks"]
