"""Where a function of the input is zero on a slice: traced on a grid, each point then closed in to the last digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from boundarycb.engines import grid
from boundarycb.types import Boundaries, Floats, Layer, Reading, Slice

_HALVINGS = 52  # of the side of a cell: what double precision has
_NAME = Layer("function", "zero", (1,), (0,))


def zero_lines(function: Callable[[Floats], Floats], slice: Slice, *, resolution: int = 256) -> Boundaries:
    """Return the lines on `slice` where a function is zero, with its positive side on their left.

    The lines are traced on a grid, as those of units are; each of their points lies on a side of a grid's cell, and is moved along
    that to where the function changes its sign. Between points lines are straight. What passes between the grid's nodes is missed.

    Args:
        function: takes inputs (n, *input_shape), gives numbers (n,).
        slice: where to look.
        resolution: grid points a side, 2 to 4096.

    Raises:
        ValueError: `function` gives something else, or nothing that is finite, or `resolution` is out of its range.

    >>> from boundarycb import slices
    >>> circle = zero_lines(lambda inputs: 1 - (inputs**2).sum(axis=1), slices.box((-2, 2), (-2, 2)))
    >>> len(circle), bool(np.abs(np.linalg.norm(circle.points, axis=1) - 1).max() < 1e-12)
    (1, True)
    """
    finite = False

    def asked(inputs: Floats) -> Floats:
        values = np.asarray(function(inputs), dtype=np.float64)
        if values.shape != (len(inputs),):
            raise ValueError(f"`function` must give one number an input, ({len(inputs)},), got shape {values.shape}.")
        nonlocal finite
        finite |= bool(np.isfinite(values).any())
        return values

    def forward(inputs: Floats) -> Reading:
        return Reading((_NAME,), (asked(inputs)[:, None],), None)

    traced = grid.find_boundaries(forward, slice, resolution=resolution)
    if not finite:
        raise ValueError("`function` must give numbers, got none on the slice that is finite.")
    if not len(traced):
        return traced
    return replace(traced, points=_closed_in(asked, slice, traced.points, resolution))


def _closed_in(function: Callable[[Floats], Floats], slice: Slice, points: Floats, resolution: int) -> Floats:
    """Return `points` (n, 2) moved along the grid's side that each lies on to where the function changes its sign."""
    nodes = slice.nodes(resolution)
    on_column = np.isin(points[:, 0], nodes[0])
    moving = np.where(on_column, 1, 0)  # the coordinate that changes along the side
    rows = np.arange(len(points))
    low, high = points.copy(), points.copy()
    for axis, places in enumerate(nodes):
        mine = moving == axis
        after = np.clip(np.searchsorted(places, points[mine, axis], side="right"), 1, len(places) - 1)
        low[mine, axis], high[mine, axis] = places[after - 1], places[after]
    state = function(slice.lift(low)) > 0
    crossed = (function(slice.lift(high)) > 0) != state
    for _ in range(_HALVINGS):
        middle = points.copy()
        middle[rows, moving] = 0.5 * (low[rows, moving] + high[rows, moving])
        same = (function(slice.lift(middle)) > 0) == state
        low[same], high[~same] = middle[same], middle[~same]
    return np.where(crossed[:, None], 0.5 * (low + high), points)
