"""What metrics do with lines as lines: their segments, points along them, distances to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boundarycb.types import Floats

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
    steps = segments[:, 1] - segments[:, 0]
    lengths = np.linalg.norm(steps, axis=1)
    pieces = np.maximum(np.ceil(lengths / longest), 1).astype(np.int64)
    which = np.repeat(np.arange(len(segments)), pieces)
    number = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (number + 0.5) / pieces[which]
    return segments[which, 0] + share[:, None] * steps[which], lengths[which] / pieces[which]


def distances(points: Floats, segments: Floats) -> Floats:
    """Return the distance of each point to the nearest segment, (k,); infinite where there is no segment.

    >>> distances(np.array([[0.0, 2], [5, 4]]), np.array([[[-1.0, 0], [1, 0]]])).tolist()
    [2.0, 5.656854249492381]
    """
    if not len(segments):
        return np.full(len(points), np.inf)
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
