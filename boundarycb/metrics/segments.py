"""What metrics do with lines as lines: their segments, points along them, distances to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Boundaries, Bounds, Floats

_PARALLEL = 0.999  # mean of cos(2 angle) for which angles are called none
_FEW = 1024  # segments: of more, only those around a point are looked at
_CELLS = 32  # a side
_PAIRS = 2**15  # points times segments at a time: a processor's cache holds them, and one thread multiplies them


def segments_of(lines: Sequence[Floats]) -> Floats:
    """Return the segments of `lines`, each (k, 2), as start and end: (s, 2, 2).

    >>> segments_of([np.array([[0.0, 0], [1, 0], [1, 2]]), np.array([[5.0, 5], [6, 5]])]).tolist()
    [[[0.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 2.0]], [[5.0, 5.0], [6.0, 5.0]]]
    """
    if not lines:
        return np.empty((0, 2, 2))
    points = np.concatenate(lines)
    within = np.ones(len(points) - 1, dtype=bool)
    within[np.cumsum([len(line) for line in lines])[:-1] - 1] = False  # from one line's end to the next one's start
    return np.stack([points[:-1][within], points[1:][within]], axis=1)


def parallel_layers(lines: Boundaries, bounds: Bounds) -> set[str]:
    """Return the names of the layers all of whose boundaries have one direction, to about a degree as a square plot shows them.

    Twice the angles of their segments are averaged, by their lengths: as unit vectors these cancel where directions differ. Both
    axes count as long, whatever their units: of ages and incomes all angles are nothing or a right one.

    Args:
        lines: the boundaries.
        bounds: of their slice.

    >>> from boundarycb.types import Layer
    >>> layers = Layer("fc", "relu", (2,), (0, 1)), Layer("out", "relu", (1,), (0,))
    >>> up, down, aslant = [[0.0, 0.0], [0.0, 1.0]], [[3.0, 2.0], [3.0, -1.0]], [[0.0, 0.0], [1.0, 9.0]]
    >>> lines = Boundaries(np.array([*up, *down, *up, *aslant]), np.array([0, 2, 4, 6, 8]), np.array([0, 1, 2, 2]), layers)
    >>> parallel_layers(lines, ((0, 3), (-1, 9)))
    {'fc'}
    """
    layer_of_unit = np.repeat(np.arange(len(lines.layers)), [len(layer.kept) for layer in lines.layers])
    line_of_point = np.repeat(np.arange(len(lines.owner)), np.diff(lines.offsets))
    within = line_of_point[1:] == line_of_point[:-1]
    layer = layer_of_unit[lines.owner[line_of_point[1:][within]]]
    ways = (np.diff(lines.points, axis=0)[within] / np.diff(bounds, axis=1).ravel()) @ np.array([1, 1j])
    lengths = abs(ways)
    doubled = ways**2 / np.where(lengths > 0, lengths, 1.0)
    whole, one, other = (np.bincount(layer, part, len(lines.layers)) for part in (lengths, doubled.real, doubled.imag))
    return {lines.layers[number].name for number in np.flatnonzero(np.hypot(one, other) > _PARALLEL * whole)}


def points_along(segments: Floats, spacing: float) -> Floats:
    """Return points (k, 2), `spacing` apart along one segment after another; one at least.

    >>> points_along(np.array([[[0.0, 0], [1, 0]], [[1, 0], [1, 2]]]), 1).tolist()
    [[0.5, 0.0], [1.0, 0.5], [1.0, 1.5]]
    """
    steps = segments[:, 1] - segments[:, 0]
    lengths = np.linalg.norm(steps, axis=1)
    ends = np.cumsum(lengths)
    last = np.ceil(ends / spacing - 0.5).astype(np.int64)  # points up to the end of each segment
    if last[-1] < 1:
        return segments[:1, 0]
    which = np.repeat(np.arange(len(segments)), np.diff(last, prepend=0))
    beyond = ((np.arange(len(which)) + 0.5) * spacing - (ends - lengths)[which]) / lengths[which]
    return np.asarray(segments[which, 0] + beyond[:, None] * steps[which])


def middles(segments: Floats, longest: float) -> tuple[Floats, Floats]:
    """Return the middles (k, 2) of equal pieces of each segment, no longer than `longest`, and the lengths (k,) of these.

    >>> points, lengths = middles(np.array([[[0.0, 0], [1, 0]], [[1, 0], [1, 3]]]), 2)
    >>> points.tolist(), lengths.tolist()
    ([[0.5, 0.0], [1.0, 0.75], [1.0, 2.25]], [1.0, 1.5, 1.5])
    """
    points, which, pieces = _cut(segments, longest)
    return points, np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)[which] / pieces[which]


def _cut(segments: Floats, longest: float) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return the middles (k, 2) of equal pieces, the segment (k,) of each, and how many pieces each segment has (s,)."""
    steps = segments[:, 1] - segments[:, 0]
    pieces = np.maximum(np.ceil(np.linalg.norm(steps, axis=1) / longest), 1).astype(np.int64)
    which = np.repeat(np.arange(len(segments)), pieces)
    number = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (number + 0.5) / pieces[which]
    return segments[which, 0] + share[:, None] * steps[which], which, pieces


def distances(points: Floats, segments: Floats) -> Floats:
    """Return the distance of each point to the nearest segment, (k,); infinite where there is no segment.

    >>> distances(np.array([[0.0, 2], [5, 4]]), np.array([[[-1.0, 0], [1, 0]]])).tolist()
    [2.0, 5.656854249492381]
    """
    if not len(segments):
        return np.full(len(points), np.inf)
    if len(segments) <= _FEW:
        return _to_all(points, segments)
    nearest, certain = _to_near(points, segments)
    rest = nearest > certain
    if rest.any():
        nearest[rest] = _to_all(points[rest], segments)
    return nearest


def _to_near(points: Floats, segments: Floats) -> tuple[Floats, float]:
    """Return the distance of each point to the nearest of the segments around it, and up to where no other one can be nearer.

    Segments are cut into pieces no longer than the side of a cell, and known by the cells of their middles. A segment nearer than a
    half of a side has the middle of a piece within a whole one of the point, and so in its cell or one of the eight around it.
    """
    low = np.minimum(segments.min(axis=(0, 1)), points.min(axis=0))
    side = float((np.maximum(segments.max(axis=(0, 1)), points.max(axis=0)) - low).max()) / _CELLS or 1.0
    middle, which, _ = _cut(segments, side)
    wide = _CELLS + 3  # with a rim that is empty
    cells = [((places - low) / side).astype(np.int64).clip(0, _CELLS) + 1 for places in (middle, points)]
    known, asked = (places[:, 1] * wide + places[:, 0] for places in cells)
    order = np.argsort(known, kind="stable")
    around = asked[:, None] + (np.arange(-1, 2)[:, None] * wide + np.arange(-1, 2)).reshape(-1)
    starts, stops = (np.searchsorted(known[order], around, side=end) for end in ("left", "right"))
    counts = stops - starts
    row = np.repeat(np.arange(len(points)), counts.sum(axis=1))
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts.reshape(-1), counts.reshape(-1))
    found = which[order[np.repeat(starts.reshape(-1), counts.reshape(-1)) + within]]
    nearest = np.full(len(points), np.inf)
    np.minimum.at(nearest, row, _one_by_one(points[row], segments[found]))
    return nearest, side / 2


def _one_by_one(points: Floats, segments: Floats) -> Floats:
    """Return the distance of each point (k, 2) to the segment (k, 2, 2) beside it."""
    step = segments[:, 1] - segments[:, 0]
    squares = np.maximum((step**2).sum(axis=1), np.finfo(np.float64).tiny)
    offset = points - segments[:, 0]
    share = ((offset * step).sum(axis=1) / squares).clip(0, 1)
    return np.asarray(np.linalg.norm(offset - share[:, None] * step, axis=1))


def _to_all(points: Floats, segments: Floats) -> Floats:
    """Return the distance of each point to the nearest segment, by all pairs."""
    step = segments[:, 1] - segments[:, 0]
    length = np.linalg.norm(step, axis=1)
    along = np.where(length[:, None] > 0, step / np.where(length > 0, length, 1.0)[:, None], [1.0, 0.0])
    middle = segments.mean(axis=1)
    # A product of (x, y, 1) says how far a point lies along a segment from its middle, another one how far beside it.
    frames = [np.vstack([way.T, -(way * middle).sum(axis=1)]) for way in (along, along[:, ::-1] * [-1, 1])]
    places = np.column_stack([points, np.ones(len(points))])
    nearest = np.empty(len(points))
    rows = max(1, _PAIRS // len(segments))
    for first in range(0, len(points), rows):
        beyond, off = (places[first : first + rows] @ frame for frame in frames)
        np.abs(beyond, out=beyond)
        beyond -= length / 2
        np.maximum(beyond, 0.0, out=beyond)
        beyond *= beyond
        off *= off
        beyond += off
        nearest[first : first + rows] = beyond.min(axis=1)
    return np.sqrt(nearest)
