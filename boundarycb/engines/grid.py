"""The grid engine: lines of any network by marching squares, for all units of all layers at once.

On each cell of the node grid the four corner states of every unit are compared as packed bits, eight units a byte; only the
(cell, unit) pairs where the states differ are looked at further. There the line crosses two of the cell's edges, at the zero of
the linear interpolation between the edge's ends; where all four edges are crossed (a saddle) the mean of the four corners decides
which corners are joined. On a piecewise-linear network this is exact but for the cells with a kink in them.

What it cannot see: a unit that switches on and off again between two neighbouring nodes. Where a unit is exactly 0 on a region,
that region is off, and its boundary is placed at the last node where the unit is 0, up to one cell early. So is the border of a
class with which others tie on a region: the first of equals wins it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.bands import Band, sweep
from boundarycb.engines.here import Here
from boundarycb.engines.polylines import chain, simplify
from boundarycb.engines.sorting import order_of
from boundarycb.packed import packed_rows
from boundarycb.types import Bits, Block, Boundaries, Floats, Forward, Layer, Slice, class_layer, watched_layers

MAX_SEGMENTS = 1_000_000
"""Segments kept at most (about 100 bytes each); past it every second unit's lines are dropped, again and again."""

MAX_CLASSES = 256
"""Borders between more classes than this are not traced."""

_TOLERANCE = 1e-3  # of a cell: how far a dropped point may lie off the line; the interpolation's own error is larger at kinks

# Corners a, b, c, d = lower left, lower right, upper right, upper left; a cell's case is a + 2 b + 4 c + 8 d (1 = on).
# Edges 0 bottom, 1 right, 2 top, 3 left. A segment runs from its first edge to its second with the on side on its left.
_SEGMENTS: dict[int, list[tuple[int, int]]] = {
    1: [(0, 3)],
    2: [(1, 0)],
    3: [(1, 3)],
    4: [(2, 1)],
    5: [(0, 3), (2, 1)],
    6: [(2, 0)],
    7: [(2, 3)],
    8: [(3, 2)],
    9: [(0, 2)],
    10: [(1, 0), (3, 2)],
    11: [(1, 2)],
    12: [(3, 1)],
    13: [(0, 1)],
    14: [(3, 0)],
    # Saddles whose centre is on: the off corners are cut off instead.
    5 + 16: [(0, 1), (2, 3)],
    10 + 16: [(3, 0), (1, 2)],
}
_FIRST = np.full((32, 2), -1, dtype=np.int64)
_SECOND = np.full((32, 2), -1, dtype=np.int64)
for _case, _pairs in _SEGMENTS.items():
    _FIRST[_case, : len(_pairs)] = [pair[0] for pair in _pairs]
    _SECOND[_case, : len(_pairs)] = [pair[1] for pair in _pairs]


def find_boundaries(forward: Forward, slice: Slice, *, resolution: int) -> Boundaries:
    """Return the lines of every watched unit on `slice`, traced on a grid of `resolution` points a side."""
    lines = LineReader()
    sweep(forward, slice, resolution, lines)
    return lines.result()


@dataclass(frozen=True, eq=False)
class _Segments:
    """Segments of one band: owner (M,), the grid edges that they start and end on (M,), and their ends (M, 2)."""

    owner: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    start_point: Floats
    end_point: Floats

    @staticmethod
    def joined(parts: list[_Segments]) -> _Segments:
        names = ("owner", "start", "end", "start_point", "end_point")
        return _Segments(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def finite(self) -> _Segments:
        """Return those whose ends are finite."""
        (u0, v0), (u1, v1) = self.start_point.T, self.end_point.T
        sums = u0 + v0 + u1 + v1
        return self if np.isfinite(sums.sum()) else self.where(np.isfinite(sums))

    def where(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> _Segments:
        return _Segments(self.owner[keep], self.start[keep], self.end[keep], self.start_point[keep], self.end_point[keep])


class LineReader:
    """Collects bands into Boundaries."""

    def __init__(self, max_segments: int = MAX_SEGMENTS) -> None:
        self._max_segments = max_segments
        self._stride = 1
        self._parts: list[_Segments] = []
        self._below: tuple[Block, Bits] | None = None  # the last row of the band below, and its packed states
        self._grid: tuple[Floats, Floats] | None = None
        self._layers: tuple[Layer, ...] = ()

    def __call__(self, band: Band) -> None:
        """Take one band."""
        bits, block, start, units = packed_rows(band.on), band.block, band.start, band.shape[2]
        above = block.rows(-len(band.us)), bits[-1:].copy()
        if self._below is not None:  # there are cells between its row and the first of this band
            block, bits, start = self._below[0].followed_by(block), np.concatenate([self._below[1], bits]), start - 1
        self._parts.append(self._thinned(_segments(block, bits, band.us, band.vs, start)))
        while sum(len(part.owner) for part in self._parts) > self._max_segments and self._stride < units:
            self._stride *= 2
            self._parts = [self._thinned(part) for part in self._parts]
        self._below, self._grid, self._layers = above, (band.us, band.vs), band.layers

    def result(self) -> Boundaries:
        """Return the lines; call it after the sweep."""
        if self._grid is None:
            raise RuntimeError("No band was read; sweep the grid first.")
        us, vs = self._grid
        every = _Segments.joined(self._parts)
        order = order_of(every.owner)  # so that lines come sorted by owner
        first_edge = every.owner[order] * (2 * len(us) * len(vs))
        chained, lengths = chain(first_edge + every.start[order], first_edge + every.end[order])
        order = order[chained]
        points, offsets = _points_of(every, order, lengths)
        cell = np.array([us[2] - us[1], vs[2] - vs[1]])
        kept, offsets, lines = simplify(points / cell, offsets, _TOLERANCE)
        first = np.cumsum(lengths) - lengths
        owners = every.owner[order[first][lines]].astype(np.int32)
        notes = (
            () if self._stride == 1 else (f"lines of every {self._stride}th unit only: more than {self._max_segments} segments",)
        )
        return Boundaries(points[kept], offsets, owners, watched_layers(self._layers), exact=False, notes=notes)

    def _thinned(self, part: _Segments) -> _Segments:
        return part if self._stride == 1 else part.where(part.owner % self._stride == 0)


class ClassReader:
    """Collects bands into the border of the area that each class wins, as if "this class wins" were a unit."""

    def __init__(self) -> None:
        self._lines = LineReader()
        self._has_classes: bool | None = None

    def __call__(self, band: Band) -> None:
        """Take one band."""
        output = band.reading.output
        self._has_classes = self._has_classes is not False and output is not None and 2 <= output.shape[1] <= MAX_CLASSES
        if self._has_classes and output is not None:
            ahead = leads(output)
            reading = replace(band.reading, layers=(class_layer(ahead.shape[1]),), parts=(ahead,), joined=None, away=None)
            self._lines(replace(band, block=Here(ahead), reading=reading))

    def result(self) -> Boundaries | None:
        """Return the lines; None where the output has no classes, or too many."""
        return self._lines.result() if self._has_classes else None


def leads(output: Floats) -> Floats:
    """Return by how much each class is ahead of the best of all others (n, C): above 0 for one class alone, the first of equals.

    What is not finite is no line, and stays so.
    """
    least = np.finfo(output.dtype).tiny
    if output.shape[1] == 2:
        with np.errstate(invalid="ignore"):
            ahead = output[:, 0] - output[:, 1]
        ahead[ahead == 0] = least
        return np.stack([ahead, -ahead], axis=1)
    rows = np.arange(len(output))
    winner = output.argmax(axis=1)
    others = output.copy()
    others[rows, winner] = -np.inf
    second = others.max(axis=1)
    with np.errstate(invalid="ignore"):
        leads = np.minimum(output - output[rows, winner][:, None], -least)
        leads[rows, winner] = np.maximum(output[rows, winner] - second, least)
    return np.asarray(leads)


def _points_of(segments: _Segments, order: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """Return the points of lines whose segments stand one after another in `order`: every one's start, and the last one's end."""
    last = np.cumsum(lengths) - 1
    points = np.insert(segments.start_point.take(order, axis=0), last + 1, segments.end_point[order[last]], axis=0)
    return points, np.concatenate([[0], np.cumsum(lengths + 1)])


def _segments(z: Block, bits: Bits, us: Floats, vs: Floats, first_row: int) -> _Segments:
    """Return the segments in the cells between rows of points, of which `z` has the numbers, and `bits` the packed states."""
    cells, units, case = _active(bits)
    width, count = bits.shape[1], z.shape[1]
    row, column = np.divmod(cells, width - 1)
    corners = z.at((row * width + column) * count + units, (0, count, (width + 1) * count, width * count))
    saddle = (case == 5) | (case == 10)
    row += first_row
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # values that are not finite are dropped below
        case += 16 * (saddle & (corners[0] + corners[1] + corners[2] + corners[3] > 0))
        crossings = _crossings(corners, us[column], us[column + 1], vs[row], vs[row + 1]).reshape(-1, 2)
    edges = _edge_ids(row, column, width).reshape(-1)
    parts = []
    for k, which in enumerate((np.arange(len(case)), np.flatnonzero(saddle))):  # a saddle has a second segment
        if k and not len(which):
            continue
        first, second = (table[case[which], k] * len(case) + which for table in (_FIRST, _SECOND))
        ends = [crossings.take(places, axis=0) for places in (first, second)]
        parts.append(_Segments(units[which], edges.take(first), edges.take(second), *ends).finite())
    return parts[0] if len(parts) == 1 else _Segments.joined(parts)


def _active(bits: Bits) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return cell, unit and case of every (cell, unit) whose four corner states are not all equal; cells row by row.

    Args:
        bits: states, packed by point (rows, W, ceil(U / 8)).
    """
    _, width, octets = bits.shape
    low, up = bits[:-1], bits[1:]
    mixed = (low[:, :-1] ^ low[:, 1:]) | (low[:, :-1] ^ up[:, 1:]) | (low[:, :-1] ^ up[:, :-1])
    words = np.flatnonzero(mixed != 0)
    lowest, flat = words + words // ((width - 1) * octets) * octets, bits.reshape(-1)
    case = np.zeros(8 * len(words), dtype=np.uint8)
    for power, step in enumerate((0, octets, (width + 1) * octets, width * octets)):
        case |= np.unpackbits(flat.take(lowest + step)) << power
    active = np.flatnonzero((case != 0) & (case != 15))
    cells, word = np.divmod(words[active >> 3], octets)
    return cells, word * 8 + (active & 7), case[active].astype(np.int64)


def _crossings(corners: Floats, u0: Floats, u1: Floats, v0: Floats, v1: Floats) -> Floats:
    """Return where the line would cross each of the four edges by linear interpolation, (4, M, 2).

    Both cells at an edge compute it from the same two values in the same order, so their segments join exactly.
    """
    a, b, c, d = corners
    points = np.empty((4, len(a), 2))
    points[0, :, 0], points[2, :, 0] = u0 + _zero(a, b) * (u1 - u0), u0 + _zero(d, c) * (u1 - u0)
    points[1, :, 1], points[3, :, 1] = v0 + _zero(b, c) * (v1 - v0), v0 + _zero(a, d) * (v1 - v0)
    points[0, :, 1], points[1, :, 0], points[2, :, 1], points[3, :, 0] = v0, u1, v1, u0
    return points


def _zero(low: Floats, high: Floats) -> Floats:
    """Return the share of the way from `low` to `high` at which their linear interpolation is 0."""
    return np.asarray(low / (low - high))


def _edge_ids(row: NDArray[np.int64], column: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return ids of the cells' four edges, (4, M): twice the lower left node's number, plus 1 for the edge going up."""
    node = row * width + column
    return np.stack([2 * node, 2 * (node + 1) + 1, 2 * (node + width), 2 * node + 1])
