"""Whether boundaries gather at what is critical in the target: its edges and its corners."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.masks import defined, mean
from boundarycb.metrics.segments import distances, middles, segments_of
from boundarycb.types import Floats, Sample, Slice, Target, Value, spans_of

_ANYWHERE = 12  # points a side that stand for all of the slice: their mean distance is right to about 2 %
_ROUNDED = 1e-9  # of a pixel
_TURNED = 100  # corners that are turned
_GOLDEN = (math.sqrt(5) - 1) / 2  # turns by it fill a circle evenly


@dataclass(frozen=True, eq=False)
class _Aim:
    """What boundaries are compared with. Lengths are the input's; the slice's lower left corner is (0, 0).

    Args:
        low: (2,), that corner, in slice coordinates.
        scale: (2,), the lengths of the slice's axes.
        sides: (2,), width and height of the slice.
        edges: (h + 1, w + 1), the distance of the corners of the target's pixels to the nearest edge between labels.
        typical: the mean of that over the slice.
        rings: (2, k), distances from the slice's middle, growing, and the mean of `edges` at each.
        corners: (K, 2), the target's.
        turned: (k, 2), these turned about the slice's middle, those that stay on the slice.
        anywhere: (k, 2), points that stand for all of the slice.
    """

    low: Floats
    scale: Floats
    sides: Floats
    edges: Floats
    typical: float
    rings: Floats
    corners: Floats
    turned: Floats
    anywhere: Floats


def critical_points(sample: Sample) -> dict[str, Value]:
    r"""Return ``critical/edge``, ``critical/corner`` and the chance level of each, by layer; nothing where there is no target.

    The slice's target says which class should win where, and where the areas of classes have corners
    (:func:`boundarycb.slices.aimed`).

    .. math:: \mathrm{edge} = \frac{\mathrm{mean}_{p \in B}\, d(p, E)}{\mathrm{mean}_{p \in S}\, d(p, E)}, \qquad
        \mathrm{corner} = \frac{\mathrm{mean}_{c \in C}\, d(c, B)}{\mathrm{mean}_{p \in S}\, d(p, B)}

    with the distance d to the nearest point, the layer's boundaries B, points p evenly spread along them or over the slice S, the
    edges E between pixels of different labels (-1 is no label and has no edges), and the target's corners C.

    * ``critical/edge/<layer>``: 0 or more. 0: every boundary runs on an edge; 1: no nearer than points anywhere on the slice.
    * ``critical/corner/<layer>``: 0 or more. 0: through every corner runs a boundary; 1: corners are no nearer to boundaries than
      points anywhere. Both distances fall as boundaries get more; the ratio need not.
    * ``critical/edge_chance/<layer>``, ``critical/corner_chance/<layer>``: what the two are on average when the layer's boundaries
      are turned about the slice's middle, as far as they stay on it. Straight lines that are spread evenly over all directions and
      distances have 1. Lines through random points, or through the middle as with biases of zero, are dense in the middle, where
      most targets have their edges: on the bottle they have edge ratios of 0.92 and 0.79 without any training. Only what is below
      the chance level says something.

    Distances are lengths of the input; the slice's axes count as if at right angles, as in its picture. Boundaries are those of
    watched units with a state everywhere. NaN for a layer without boundaries here, and where the target has no edges or corners.

    Source: GINN (L. N. Darlow and A. J. Storkey, arXiv:1810.01860, section 6) saw boundaries converge to the target's critical
    points. Cost: the distance of every pixel to the nearest edge, once; then a look at some hundred points a boundary, and the
    distance of some 250 points, and the corners, to every segment of the boundaries.

    The boundary x = 0.5 and the edge x = 0.25 on [-1, 1]^2 are 0.25 apart; points anywhere are 0.53125 off the edge:

    >>> from boundarycb import slices
    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> line = Boundaries(np.array([[0.5, -1], [0.5, 1]]), np.array([0, 2]), np.array([0]), (layer,))
    >>> square = slices.aimed(slices.box((-1, 1), (-1, 1)), lambda inputs: inputs[:, 0] > 0.25)
    >>> found = critical_points(Sample(Capture((layer,), 128, np.zeros((1, 2048), np.uint8)), line, slice=square))
    >>> round(found["critical/edge/fc"], 4), found["critical/corner/fc"]  # it has no corners
    (0.4706, nan)
    """
    values: dict[str, Value] = {}
    if sample.slice is None or sample.slice.target is None:
        return values
    aim = _aim_of(sample.slice, sample.slice.target)
    usable = defined(sample.now)
    lines = sample.boundaries
    for name, span in spans_of(sample.now.layers).items():
        mine = np.zeros(len(usable), dtype=bool)
        mine[span] = usable[span]
        segments = segments_of([lines.line(int(index)) for index in np.flatnonzero(mine[lines.owner])])
        found = _numbers(aim, (segments - aim.low) * aim.scale, sample.now.resolution)
        values |= {f"critical/{number}/{name}": value for number, value in found.items()}
    return values


def _numbers(aim: _Aim, segments: Floats, resolution: int) -> dict[str, float]:
    if not len(segments):
        return dict.fromkeys(("edge", "edge_chance", "corner", "corner_chance"), math.nan)
    points, lengths = middles(segments, math.sqrt(float(aim.sides.prod())) / resolution)
    lengths = lengths / lengths.sum()
    turned = np.interp(np.linalg.norm(points - aim.sides / 2, axis=1), *aim.rings)
    groups = (aim.corners, aim.turned, aim.anywhere)
    near = distances(np.concatenate(groups), segments)
    at_corners, at_turned, anywhere = (mean(part) for part in np.split(near, np.cumsum([len(group) for group in groups])[:-1]))
    return {
        "edge": float(lengths @ _look_up(aim.edges, points / aim.sides)) / aim.typical,
        "edge_chance": float(lengths @ turned) / aim.typical,
        "corner": at_corners / anywhere,
        "corner_chance": at_turned / anywhere,
    }


@lru_cache(maxsize=4)
def _aim_of(slice: Slice, target: Target) -> _Aim:
    low, high = np.array(slice.bounds).T
    scale = np.linalg.norm(slice.axes.reshape(2, -1), axis=1)
    sides = (high - low) * scale
    height, width = target.labels.shape
    edges = distance_map(_touched(target.labels), sides[0] / width, sides[1] / height)
    typical = float(np.mean([edges[1:, 1:], edges[1:, :-1], edges[:-1, 1:], edges[:-1, :-1]]))
    corners = (target.corners - low) * scale
    return _Aim(low, scale, sides, edges, typical, _rings(edges, sides), corners, _turned(corners, sides), _anywhere() * sides)


def _touched(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which corners of pixels end an edge between two labels, (h + 1, w + 1)."""
    height, width = labels.shape
    known, touched = labels >= 0, np.zeros((height + 1, width + 1), dtype=bool)
    beside = (labels[:, 1:] != labels[:, :-1]) & known[:, 1:] & known[:, :-1]
    above = (labels[1:] != labels[:-1]) & known[1:] & known[:-1]
    for rows in (slice(None, -1), slice(1, None)):
        touched[rows, 1:-1] |= beside
        touched[1:-1, rows] |= above
    return touched


def distance_map(marked: NDArray[np.bool_], across: float, up: float) -> Floats:
    """Return the distance of each place of a grid to the nearest one that is `marked`, exact; NaN where none is.

    First along columns, then along rows, whose distances add up as squares.

    Args:
        marked: (h, w).
        across: from one column to the next.
        up: from one row to the next.

    >>> distance_map(np.array([[True, False, False, False], [False, False, False, False]]), 4, 3)[1].tolist()
    [3.0, 5.0, 8.54400374531753, 12.36931687685298]
    """
    if not marked.any():
        return np.full(marked.shape, np.nan)
    rows = np.arange(len(marked))[:, None]
    before = np.maximum.accumulate(np.where(marked, rows, -np.inf), axis=0)
    behind = np.minimum.accumulate(np.where(marked, rows, np.inf)[::-1], axis=0)[::-1]
    squares = (np.minimum(rows - before, behind - rows) * up) ** 2
    best = squares.copy()
    for step in range(1, marked.shape[1]):
        further = (step * across) ** 2
        if further >= best.max():
            break
        np.minimum(best[:, step:], squares[:, :-step] + further, out=best[:, step:])
        np.minimum(best[:, :-step], squares[:, step:] + further, out=best[:, :-step])
    return np.sqrt(best)


def _look_up(values: Floats, places: Floats) -> Floats:
    """Return what is known at the corners of pixels, and linear between them, at `places` (n, 2), shares of the slice's sides."""
    height, width = values.shape[0] - 1, values.shape[1] - 1
    x, y = places[:, 0].clip(0, 1) * width, places[:, 1].clip(0, 1) * height
    column, row = np.minimum(x.astype(np.int64), width - 1), np.minimum(y.astype(np.int64), height - 1)
    x, y = x - column, y - row
    flat, corner = values.reshape(-1), row * (width + 1) + column
    low = flat[corner] * (1 - x) + flat[corner + 1] * x
    high = flat[corner + width + 1] * (1 - x) + flat[corner + width + 2] * x
    return np.asarray(low * (1 - y) + high * y)


def _rings(edges: Floats, sides: Floats) -> Floats:
    """Return distances from the slice's middle, growing by about a pixel, and the mean of `edges` so far from it: (2, k)."""
    height, width = edges.shape[0] - 1, edges.shape[1] - 1
    x, y = np.linspace(-0.5, 0.5, width + 1) * sides[0], np.linspace(-0.5, 0.5, height + 1) * sides[1]
    radius = np.hypot(x, y[:, None]).reshape(-1)
    ring = (radius / max(sides[0] / width, sides[1] / height) + _ROUNDED).astype(np.int64)  # whole numbers stay what they are
    count = np.bincount(ring)
    sums = np.stack([np.bincount(ring, weights) for weights in (radius, edges.reshape(-1))])
    return np.asarray(sums[:, count > 0] / count[count > 0])


def _turned(corners: Floats, sides: Floats) -> Floats:
    """Return `corners` turned about the slice's middle by angles of all sizes, those that stay on the slice: (k, 2)."""
    if not len(corners):
        return corners
    number = np.arange(_TURNED)
    x, y = (corners[number * len(corners) // _TURNED] - sides / 2).T
    angle = 2 * np.pi * _GOLDEN * (number + 0.5)
    turned = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], axis=1) + sides / 2
    return np.asarray(turned[((turned >= 0) & (turned <= sides)).all(axis=1)])


def _anywhere() -> Floats:
    """Return points (k, 2) that are evenly spread over the unit square."""
    places = (np.arange(_ANYWHERE) + 0.5) / _ANYWHERE
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
