"""Where units of one layer are zero along the edges of cells, and each cell's ring of vertices with those points in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.exact.bits import Signs, bit_at, set_bits
from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.lazy import lazy
from boundarycb.engines.sorting import Ints, begins
from boundarycb.types import Floats

DELTA = 1e-10
"""Points nearer than this, in sides of the slice, are one: 4 decades above double precision, 4 below what can be seen."""

_FINE = 2.0**40  # shares along an edge are sorted to this precision


def sort_key(group: Ints, share: Floats) -> Ints:
    """Return integers that sort by `group`, then by `share` in [0, 1]."""
    return (group << 40) + (share * _FINE).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Crossings:
    """M zeros of units inside edges, at N nodes: zeros nearer than `DELTA` share one.

    Args:
        edge: int64 (M,).
        unit: int64 (M,).
        rising: bool (M,), whether the unit rises from the edge's first vertex to its second.
        node: int64 (M,), sorted.
        node_edge: int64 (N,), growing.
        node_share: float64 (N,), how far along the edge; growing within an edge.
    """

    edge: Ints
    unit: Ints
    rising: NDArray[np.bool_]
    node: Ints
    node_edge: Ints
    node_share: Floats

    @classmethod
    def of(cls, cells: Cells, values: Floats, signs: Signs) -> Crossings:
        """Return the crossings of `values` (V, n); a unit whose zero is nearer than `DELTA` to a vertex is made zero there."""
        edge, unit, share, length = _sign_changes(cells, values, signs)
        order = np.argsort(sort_key(edge, share), kind="stable")  # edges grow already, so there is little to do
        edge, unit, share = edge[order], unit[order], share[order]
        new = begins(edge)
        new[1:] |= (share[1:] - share[:-1]) * length[1:] >= DELTA
        rising = bit_at(signs.below, cells.origin[2 * edge], unit)
        return cls(edge, unit, rising, np.cumsum(new) - 1, edge[new], share[new])


def _sign_changes(cells: Cells, values: Floats, signs: Signs) -> tuple[Ints, Ints, Floats, Floats]:
    """Return edge, unit, share of the way and edge length of each sign change; those too near to a vertex become zeros at it."""
    first, second = cells.origin[::2], cells.origin[1::2]
    above, below = ([words.take(ends, axis=0) for ends in (first, second)] for words in (signs.above, signs.below))
    differ = (above[0] & below[1]) | (below[0] & above[1])
    edge, unit = set_bits(differ)
    start, end = first[edge], second[edge]
    at_start, at_end = (values.reshape(-1).take(vertex * values.shape[1] + unit) for vertex in (start, end))
    share = at_start / (at_start - at_end)
    length = cells.lengths(edge)
    to_start, to_end = share * length, (1 - share) * length
    near = np.minimum(to_start, to_end) < DELTA
    if near.any():
        vertex = np.where(to_start <= to_end, start, end)
        signs.clear(vertex[near], unit[near])
        strict = signs.above | signs.below
        kept = bit_at(strict, start, unit) & bit_at(strict, end, unit)
        edge, unit, share, length = edge[kept], unit[kept], share[kept], length[kept]
    return edge, unit, share, length


@dataclass(frozen=True, eq=False)
class Rings:
    """The cells' loops with the nodes on their edges in between: R positions, cell after cell, each counter-clockwise.

    Args:
        cells: the cells.
        crossings: the nodes on their edges.
    """

    cells: Cells
    crossings: Crossings

    @lazy
    def points(self) -> Floats:
        """The cells' vertices, then the nodes (V + N, 2)."""
        cells, edge = self.cells, self.crossings.node_edge
        first, second = cells.points.take(cells.origin[2 * edge], axis=0), cells.points.take(cells.origin[2 * edge + 1], axis=0)
        return np.concatenate([cells.points, first + self.crossings.node_share[:, None] * (second - first)])

    @lazy
    def nodes_on(self) -> Ints:
        """How many nodes each edge has (E,)."""
        return np.bincount(self.crossings.node_edge, minlength=len(self.cells.origin) // 2)

    @lazy
    def of_place(self) -> Ints:
        """The position of each place in the cells' loops, and of the end of all."""
        sizes = 1 + self.nodes_on[self.cells.loops >> 1]
        return np.concatenate([[0], np.cumsum(sizes)])

    @lazy
    def start(self) -> Ints:
        """The position at which each cell starts (F + 1,)."""
        return self.of_place[self.cells.start]

    @lazy
    def cell_at(self) -> Ints:
        """The cell of each position (R,)."""
        return np.repeat(np.arange(len(self.cells)), self.start[1:] - self.start[:-1])

    @lazy
    def following(self) -> Ints:
        """The next position around the cell (R,)."""
        following = np.arange(1, self.of_place[-1] + 1)
        following[self.start[1:] - 1] = self.start[:-1]
        return following

    @lazy
    def preceding(self) -> Ints:
        """The position before, around the cell (R,)."""
        preceding = np.arange(-1, self.of_place[-1] - 1)
        preceding[self.start[:-1]] = self.start[1:] - 1
        return preceding

    @lazy
    def first_part(self) -> Ints:
        """The first of the edges into which nodes split each edge (E + 1,)."""
        return np.concatenate([[0], np.cumsum(1 + self.nodes_on)])

    def parts(self) -> Ints:
        """Return the two vertices of each edge that nodes leave (E + N, 2)."""
        nodes = np.arange(len(self.crossings.node_edge))
        ends = np.empty((self.first_part[-1], 2), np.int64)
        ends[self.first_part[:-1], 0], ends[self.first_part[1:] - 1, 1] = self.cells.origin[::2], self.cells.origin[1::2]
        before = nodes + self.crossings.node_edge
        ends[before, 1] = ends[before + 1, 0] = nodes + len(self.cells.points)
        return ends

    @lazy
    def half_edges(self) -> Ints:
        """The half-edge that leaves each position (R,), of the edges that nodes leave."""
        edge, side = self.cells.loops >> 1, self.cells.loops & 1
        # On the second side of an edge its parts come in reverse.
        step = 2 - 4 * side
        first = 2 * np.where(side == 0, self.first_part[edge], self.first_part[edge + 1] - 1) + side
        parts = self.of_place[1:] - self.of_place[:-1]
        begin = np.repeat(first - step * self.of_place[:-1], parts)
        return np.asarray(begin + np.repeat(step, parts) * np.arange(len(begin)))

    @lazy
    def rank(self) -> Ints:
        """The place of each node among those of its edge (N,)."""
        edge = self.crossings.node_edge
        first = np.cumsum(self.nodes_on) - self.nodes_on
        return np.arange(len(edge)) - first[edge]

    @lazy
    def of_node(self) -> Ints:
        """The position of each node in the rings on the left of its edge's first and second half-edge (2, N).

        It means nothing where that side is outside the square.
        """
        edge = self.crossings.node_edge
        begin = self.of_place[self.cells.place[np.stack([2 * edge, 2 * edge + 1])]]
        begin[0] += 1 + self.rank
        begin[1] += self.nodes_on[edge] - self.rank
        return begin

    @lazy
    def vertex(self) -> Ints:
        """The vertex at each position (R,), an index into `points`."""
        vertex = np.empty(self.of_place[-1], np.int64)
        vertex[self.of_place[:-1]] = self.cells.corners
        edge = self.crossings.node_edge
        side, node = np.nonzero(self.cells.place[np.stack([2 * edge, 2 * edge + 1])] >= 0)
        vertex[self.of_node[side, node]] = len(self.cells.points) + node
        return vertex
