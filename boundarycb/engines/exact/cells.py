"""A subdivision of the unit square into convex cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boundarycb.engines.exact.lazy import lazy
from boundarycb.engines.sorting import Ints
from boundarycb.types import Floats, polygon_areas

CORNERS = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
"""Those of the unit square, counter-clockwise."""


THIN = 2.5e-7
"""Cells whose area is less than this times their perimeter are thin: whether they are there at all is rounding."""

_LONGEST = 4.0  # perimeter of a convex cell of the unit square


@dataclass(frozen=True, eq=False)
class Cells:
    """Convex cells that share vertices and edges: V vertices, E edges, F cells.

    Edge e is two half-edges, 2e and 2e + 1, in opposite directions; a half-edge has its cell on its left. Sides of a cell may be
    made of several edges, where its neighbours have vertices.

    Args:
        points: float64 (V, 2), in the unit square.
        origin: int64 (2E,), the vertex at which each half-edge starts.
        loops: half-edges of all cells, cell after cell, each counter-clockwise.
        start: int64 (F + 1,), where each cell's half-edges start in `loops`.
    """

    points: Floats
    origin: Ints
    loops: Ints
    start: Ints

    @classmethod
    def square(cls) -> Cells:
        """Return the unit square as one cell."""
        return cls(CORNERS, np.array([0, 1, 1, 2, 2, 3, 3, 0]), np.array([0, 2, 4, 6]), np.array([0, 4]))

    def __len__(self) -> int:
        return len(self.start) - 1

    @lazy
    def sizes(self) -> Ints:
        """Half-edges of each cell (F,)."""
        return self.start[1:] - self.start[:-1]

    @lazy
    def cell_at(self) -> Ints:
        """The cell of each place in `loops`."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @lazy
    def place(self) -> Ints:
        """Where each half-edge stands in `loops` (2E,); -1 outside the square."""
        place = np.full(len(self.origin), -1)
        place[self.loops] = np.arange(len(self.loops))
        return place

    @lazy
    def cell(self) -> Ints:
        """The cell on the left of each half-edge (2E,); -1 outside the square."""
        cell = np.full(len(self.origin), -1)
        cell[self.loops] = self.cell_at
        return cell

    @lazy
    def corners(self) -> Ints:
        """The vertex at each place in `loops`."""
        return self.origin[self.loops]

    def lengths(self, edges: Ints) -> Floats:
        """Return the length of each of some `edges` (k,)."""
        first, second = (self.points.take(self.origin[2 * edges + side], axis=0) for side in (0, 1))
        x, y = (second - first).T
        return np.asarray(np.sqrt(x * x + y * y))  # hypot's care is for numbers that are far from 1

    def around(self, chosen: Ints) -> tuple[Ints, Ints]:
        """Return the vertices around the `chosen` cells, one cell after another, and where each cell's start."""
        places, start = self._places(chosen)
        return self.corners[places], start

    def _places(self, chosen: Ints) -> tuple[Ints, Ints]:
        """Return the places in `loops` of the `chosen` cells' half-edges, one cell after another, and where each cell's start."""
        sizes = self.sizes[chosen]
        start = np.cumsum(sizes) - sizes
        return np.arange(int(sizes.sum())) + np.repeat(self.start[chosen] - start, sizes), start

    def centres(self) -> Floats:
        """Return the mean of each cell's corners (F, 2)."""
        return np.add.reduceat(self.points.take(self.corners, axis=0), self.start[:-1], axis=0) / self.sizes[:, None]

    @lazy
    def areas(self) -> Floats:
        """The area of each cell (F,), of the square's."""
        return polygon_areas(self.points.take(self.corners, axis=0), self.start)

    def perimeters(self, chosen: Ints) -> Floats:
        """Return the length around each of the `chosen` cells (k,)."""
        places, start = self._places(chosen)
        return np.add.reduceat(self.lengths(self.loops[places] >> 1), start) if len(chosen) else np.empty(0)

    @lazy
    def thick(self) -> Ints:
        """The cells that are not thin."""
        thick = self.areas > THIN * _LONGEST
        small = np.flatnonzero(~thick)
        thick[small] = self.areas[small] > THIN * self.perimeters(small)
        return np.flatnonzero(thick)

    @lazy
    def following(self) -> Ints:
        """For each place in `loops` that of the cell's next half-edge."""
        following = np.arange(1, len(self.loops) + 1)
        following[self.start[1:] - 1] = self.start[:-1]
        return following

    @lazy
    def preceding(self) -> Ints:
        """For each place in `loops` that of the cell's half-edge before."""
        preceding = np.arange(-1, len(self.loops) - 1)
        preceding[self.start[:-1]] = self.start[1:] - 1
        return preceding
