"""What metrics do with packed on/off states."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Bits, Capture, Floats

_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.uint8)
_POINTS = 2**14  # whose states are unpacked at a time


def count_ones(bits: Bits) -> NDArray[np.int64]:
    """Return the number of set bits of each row of packed `bits` (U, bytes), int64 (U,)."""
    return np.asarray(_ONES[bits].sum(axis=1, dtype=np.int64))


def defined(*captures: Capture) -> NDArray[np.bool_]:
    """Return which units have a state everywhere in all of `captures`, bool (U,)."""
    good = np.ones(len(captures[0].on), dtype=bool)
    for capture in captures:
        good[capture.undefined] = False
    return good


def mean(values: Floats) -> float:
    """Return the mean of the values that are not NaN; NaN where there are none."""
    good = values[~np.isnan(values)]
    return float(good.mean()) if len(good) else float("nan")


def phi(bits: Bits, points: int) -> Floats:
    r"""Return the phi coefficient of each pair of units' on/off states, float64 (U, U).

    .. math:: \varphi_{ij} = \frac{p_{ij} - p_i p_j}{\sqrt{p_i (1 - p_i) p_j (1 - p_j)}}

    with the share p of points where a unit, or both, are on. It is Pearson's correlation of two yes-or-no variables (Yule 1912;
    Matthews 1975): 1 for the same states, -1 for opposite ones, 0 for what chance gives. A unit that is always on, or never, has
    no phi: its row and column are NaN.

    Args:
        bits: packed states (U, bytes) of `points` points.
        points: P.

    >>> states = np.packbits([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], axis=1)
    >>> phi(states, 4)[0].round(5).tolist()
    [1.0, -1.0, 0.0, 0.57735, nan]
    """
    both = np.zeros((len(bits), len(bits)))
    for start in range(0, points, _POINTS):
        # Counts are whole numbers below 2**24, so single precision holds them exactly.
        states = np.unpackbits(bits[:, start // 8 :], axis=1, count=min(_POINTS, points - start)).astype(np.float32)
        both += states @ states.T
    on = np.diag(both)
    spread = on * (points - on)  # of equal units the root below is exact, and so their phi of 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((points * both - np.outer(on, on)) / np.sqrt(np.outer(spread, spread)), -1, 1)
