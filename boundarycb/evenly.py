"""A part of many things, evenly spread: one rule for samples, units, layers and rows, and one for points of grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(total: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of the indices below `total`, ascending and evenly spread, the first and the last among them.

    >>> evenly(7, 3).tolist(), evenly(2, 5).tolist(), evenly(9, 1).tolist(), evenly(0, 3).tolist()
    ([0, 3, 6], [0, 1], [0], [])
    """
    return np.linspace(0, total - 1, min(total, most)).round().astype(np.int64)


def coarse(resolution: int, side: int) -> NDArray[np.int64]:
    """Return which of `resolution` pixel centres are nearest to those of a coarser `side`; of two equally near ones the upper.

    >>> coarse(6, 3).tolist(), coarse(5, 3).tolist(), coarse(4, 4).tolist()
    ([1, 3, 5], [0, 2, 4], [0, 1, 2, 3])
    """
    return (2 * np.arange(side, dtype=np.int64) + 1) * resolution // (2 * side)
