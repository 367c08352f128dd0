"""Kinds of arrays, and how arrays become read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]
Bits = NDArray[np.uint8]


def frozen(array: Array) -> Array:
    """Return `array` itself where it is read-only already, else a read-only view of it."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def freeze(value: object, *names: str) -> None:
    """Make arrays that `value` was made with read-only; those that are None stay so."""
    for name in names:
        if getattr(value, name) is not None:
            object.__setattr__(value, name, frozen(getattr(value, name)))
