"""How far apart the boundaries of two units run."""

from __future__ import annotations

import numpy as np

from boundarycb.metrics.segments import distances, points_along, segments_of
from boundarycb.types import Boundaries, Floats, Slice

_SPACING = 1 / 256  # of the slice's side, between the points at which a line is looked at


def boundary_distance(boundaries: Boundaries, slice: Slice, layer: str, one: int, other: int) -> tuple[float, float]:
    r"""Return how far apart the boundaries of two units of a layer run: their mean distance, and that of the far ends.

    The mean distance is the symmetric Chamfer distance: the mean over the one line of the distance to the other, and the other
    way round, averaged. For the far ends it is the larger of the two 95th percentiles (a Hausdorff distance without outliers).
    Both are in shares of the slice's side: a line x = 0 and a line x = 0.25 on [-1, 1] are 0.125 apart. NaN where a unit has no
    boundary here.

    Unlike phi it sees no difference between the sides of a line, nor between much and little of the slice cut off. Not computed by
    default; ``boundary_distance(last.boundaries, last.slice, "layer3", 5, 9)`` with a snapshot ``last``.

    Args:
        boundaries: the lines of a sample.
        slice: the slice that they are on.
        layer: name of the layer.
        one: flat index of a unit in it.
        other: that of the other.

    Raises:
        KeyError: there is no such unit.
    """
    segments = [_in_sides(boundaries.of(layer, index), slice) for index in (one, other)]
    if not all(len(part) for part in segments):
        return float("nan"), float("nan")
    ways = [distances(points_along(a, _SPACING), b) for a, b in (segments, segments[::-1])]
    return float(np.mean([way.mean() for way in ways])), float(max(np.percentile(way, 95) for way in ways))


def _in_sides(lines: list[Floats], slice: Slice) -> Floats:
    """Return the segments of `lines`, (s, 2, 2), with the slice's sides as units of length."""
    low, high = np.array(slice.bounds).T
    return np.asarray((segments_of(lines) - low) / (high - low))
