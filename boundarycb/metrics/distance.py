"""How far apart the boundaries of two units run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    ways = [_distances(_points(a), b) for a, b in (segments, segments[::-1])]
    return float(np.mean([way.mean() for way in ways])), float(max(np.percentile(way, 95) for way in ways))


def _in_sides(lines: list[Floats], slice: Slice) -> Floats:
    """Return the segments of `lines`, (s, 2, 2), with the slice's sides as units of length."""
    low, high = np.array(slice.bounds).T
    pieces = [np.stack([line[:-1], line[1:]], axis=1) for line in lines]
    return (np.concatenate(pieces) - low) / (high - low) if pieces else np.empty((0, 2, 2))


def _points(segments: Floats) -> Floats:
    """Return points (k, 2), evenly spread over the segments."""
    lengths = np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)
    places = np.concatenate([[0.0], np.cumsum(lengths)])
    along = np.arange(0.5, max(1.0, places[-1] / _SPACING)) * _SPACING
    which: NDArray[np.int64] = np.searchsorted(places, along.clip(max=places[-1]), side="right").clip(1, len(lengths)) - 1
    share = (along - places[which]) / np.where(lengths[which] > 0, lengths[which], 1.0)
    return np.asarray(segments[which, 0] + share.clip(0, 1)[:, None] * (segments[which, 1] - segments[which, 0]))


def _distances(points: Floats, segments: Floats) -> Floats:
    """Return the distance of each point to the nearest segment (k,)."""
    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    squares = np.maximum((along**2).sum(axis=1), np.finfo(np.float64).tiny)
    nearest = np.empty(len(points))
    for first in range(0, len(points), 256):  # not all points by all segments at once
        offset = points[first : first + 256, None] - start
        share = ((offset * along).sum(axis=2) / squares).clip(0, 1)
        nearest[first : first + 256] = np.linalg.norm(offset - share[..., None] * along, axis=2).min(axis=1)
    return nearest
