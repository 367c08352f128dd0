"""See where a network's hidden units switch on and off, while it trains.

With Lightning::

    from boundarycb import BoundaryCallback

    Trainer(callbacks=[BoundaryCallback()]).fit(model, loader)

With a plain loop::

    with boundarycb.watch(model, optimizer):
        ...  # the loop, unchanged

Names are imported when they are first used: ``import boundarycb`` alone imports neither torch nor Lightning.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boundarycb import analysis as analysis
    from boundarycb import data as data
    from boundarycb import metrics as metrics
    from boundarycb import schedule as schedule
    from boundarycb import sinks as sinks
    from boundarycb import slices as slices
    from boundarycb import types as types
    from boundarycb.history import History as History
    from boundarycb.history import load as load
    from boundarycb.lightning import BoundaryCallback as BoundaryCallback
    from boundarycb.loop import watch as watch
    from boundarycb.notebook import show as show
    from boundarycb.recorder import Recorder as Recorder
    from boundarycb.report.compare import compare as compare
    from boundarycb.sampling import capture as capture
    from boundarycb.sampling import find_boundaries as find_boundaries
    from boundarycb.sampling import find_regions as find_regions
    from boundarycb.sampling import input_gradient as input_gradient
    from boundarycb.sampling import overlay as overlay
    from boundarycb.types import Regions as Regions
    from boundarycb.types import Slice as Slice
    from boundarycb.warning import BoundaryWarning as BoundaryWarning

__version__ = "0.1.0"

_HOMES = {
    "BoundaryWarning": "warning",
    "History": "history",
    "Recorder": "recorder",
    "Regions": "types",
    "Slice": "types",
    "capture": "sampling",
    "compare": "report.compare",
    "find_boundaries": "sampling",
    "find_regions": "sampling",
    "input_gradient": "sampling",
    "load": "history",
    "overlay": "sampling",
    "show": "notebook",
    "watch": "loop",
}
_NAMESPACES = ("analysis", "data", "metrics", "schedule", "sinks", "slices", "types")

__all__ = ["BoundaryCallback", "__version__", *_HOMES, *_NAMESPACES]


def __getattr__(name: str) -> Any:
    if name == "BoundaryCallback":
        return _callback_class()
    if name in _NAMESPACES:
        return importlib.import_module(f"boundarycb.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"boundarycb.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'boundarycb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _callback_class() -> type:
    """Return the callback of the Lightning package that the program uses.

    That is the one imported already; where both are, a class that is a callback of both; where none is, the one installed.
    """
    packages = {"lightning": "lightning.pytorch", "pytorch_lightning": "pytorch_lightning"}
    used = [ours for ours, theirs in packages.items() if sys.modules.get(theirs) is not None]
    installed = [ours for ours in packages if importlib.util.find_spec(ours) is not None]
    home = "both_lightnings" if len(used) == 2 else (used or installed or ["lightning"])[0]
    module = importlib.import_module(f"boundarycb.{home}")
    callback: type = module.BoundaryCallback
    return callback
