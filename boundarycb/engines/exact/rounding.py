"""What of a unit's values is zero: what rounding may have left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.sorting import Ints
from boundarycb.types import Floats

TAU = 1e-10
"""Of a unit's largest value: less is zero. A forward pass in double precision is off by 3e-14 of it."""

FLOOR = 64 * np.finfo(np.float64).eps
"""Of the largest value so far: less may be what is left where large numbers cancel."""

_ROWS = 1024  # of the values that tell how large they are
_LOOKS = 64  # points at which it is looked how large rounding is
_SAFE = 64  # times the rounding that was seen
_GOLDEN = 0.6180339887498949  # whose multiples spread evenly between 0 and 1

Look = Callable[[Floats], Floats]
"""Computes the values of all units (n, U) at points (n, 2)."""


def tolerance(values: Floats, magnitude: float = 0.0, cells: Cells | None = None, again: Look | None = None) -> Floats:
    """Return for each unit what counts as zero (U,), of its `values` (V, U).

    A unit that is small beside the numbers that it is made of may be nothing but rounding, or it may just be small: values at a few
    more points tell, since those of a unit that is affine fit together.

    Args:
        values: pre-activations.
        magnitude: of the numbers that they are made of, where that is more than their own.
        cells: cells with those values at their vertices, in which units are affine.
        again: computes more values; without it, the worst is taken.
    """
    largest = sizes(values)
    zero, floor = TAU * largest, FLOOR * largest.max(initial=magnitude)
    small = np.flatnonzero(zero < floor)
    if len(small):
        rounding = np.inf if cells is None or again is None else _SAFE * _rounding(values[:, small], cells, again, small)
        zero[small] += np.minimum(floor, rounding)
    return np.asarray(zero)


def sizes(values: Floats) -> Floats:
    """Return the largest size of each unit's `values` (V, U), of some of them (U,)."""
    some = values[:: 1 + len(values) // _ROWS]
    return np.asarray(np.maximum(some.max(axis=0, initial=0.0), -some.min(axis=0, initial=0.0)))


def uneven(count: int, start: Ints) -> Floats:
    """Return weights (count, 1) to mix cells' corners with, which add up to 1 from each `start` on.

    All are different, since at the mean an odd function looks affine.
    """
    weights = 0.25 + np.arange(1, count + 1) * _GOLDEN % 1.0
    each = np.diff(np.append(start, count))
    return np.asarray(weights / np.repeat(np.add.reduceat(weights, start), each))[:, None]


def _rounding(values: Floats, cells: Cells, again: Look, small: Ints) -> Floats:
    """Return the most that values within some cells are off what those at their corners say, of the `small` units."""
    some = np.resize(np.arange(len(cells))[:: 1 + len(cells) // _LOOKS], _LOOKS)
    corners, start = cells.around(some)
    shares = uneven(len(corners), start)
    points = np.add.reduceat(shares * cells.points[corners], start)
    said = np.add.reduceat(shares * values[corners], start)
    return np.asarray(np.abs(again(points)[:, small] - said).max(axis=0))
