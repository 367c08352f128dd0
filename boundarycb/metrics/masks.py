"""What metrics do with packed on/off states."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.packed import count_between, count_common, count_ones
from boundarycb.types import Bits, Capture, Field, Floats


def defined(*captures: Capture) -> NDArray[np.bool_]:
    """Return which units have a state everywhere in all of `captures`, bool (U,)."""
    good = np.ones(len(captures[0].on), dtype=bool)
    for capture in captures:
        good[capture.undefined] = False
    return good


def classes_of(field: Field) -> NDArray[Any] | None:
    """Return the class that wins at each grid point, int64 (H, W), -1 for none that is finite; None for outputs of no classes."""
    if field.kind == "value":
        return None
    winner = field.value > 0.5 if field.winner is None else field.winner
    return np.where(np.isfinite(field.value), winner.astype(np.int64), -1)


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
    both = count_common(bits).astype(np.float64)
    return _phi(both, np.diag(both), np.diag(both), points)


def phi_between(bits: Bits, others: Bits, points: int) -> Floats:
    """Return the phi coefficient of each unit of one set with each of another, float64 (U, V); see :func:`phi`.

    Args:
        bits: packed states (U, bytes) of `points` points.
        others: packed states (V, bytes) of the same points.
        points: P.

    >>> ones = np.packbits([[1, 1, 0, 0], [0, 0, 0, 0]], axis=1)
    >>> others = np.packbits([[0, 0, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], axis=1)
    >>> phi_between(ones, others, 4).round(5).tolist()
    [[-1.0, 0.57735, 1.0], [nan, nan, nan]]
    """
    both = count_between(bits, others).astype(np.float64)
    return _phi(both, count_ones(bits).astype(np.float64), count_ones(others).astype(np.float64), points)


def _phi(both: Floats, on: Floats, other_on: Floats, points: int) -> Floats:
    """Return phi from the numbers of points where both units of a pair are on, and where each is."""
    spread, other_spread = (ones * (points - ones) for ones in (on, other_on))
    with np.errstate(invalid="ignore", divide="ignore"):  # of equal units the root is exact, and so their phi of 1
        return np.clip((points * both - np.outer(on, other_on)) / np.sqrt(np.outer(spread, other_spread)), -1, 1)
