"""One layer: from its pre-activations at the corners of cells to its boundaries in them, and the cells that they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boundarycb.engines.exact.bits import Signs
from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.chords import Chords, Touched, edges_of_units
from boundarycb.engines.exact.limits import TooManyVertices
from boundarycb.engines.exact.refine import refine
from boundarycb.engines.exact.rings import Crossings, Rings
from boundarycb.engines.exact.rounding import Look, tolerance
from boundarycb.engines.sorting import Ints
from boundarycb.types import Floats

_CROSSINGS = 16  # a vertex of the budget: more ends of boundaries than this take more memory than the rest


@dataclass(frozen=True, eq=False)
class Segments:
    """M straight pieces of boundaries, the on side of each on its left.

    Args:
        unit: int64 (M,).
        start: int64 (M,), the point at which each starts; where a unit's next piece starts, the last one ends.
        end: int64 (M,).
        points: float64 (N, 2), in the unit square.
    """

    unit: Ints
    start: Ints
    end: Ints
    points: Floats

    def where(self, chosen: Ints) -> Segments:
        """Return some of the segments."""
        return Segments(self.unit[chosen], self.start[chosen], self.end[chosen], self.points)

    def lengths(self) -> Floats:
        """Return how long each is (M,)."""
        return np.asarray(np.hypot(*(self.points[self.end] - self.points[self.start]).T))


@dataclass(frozen=True, eq=False)
class Cut:
    """The boundaries of one layer's units in cells on each of which all of them are affine.

    Args:
        rings: the cells' rings with the boundaries' ends.
        chords: boundaries that run through cells.
        edges: half-edges along which a unit is zero, on in the cell on the left alone; and the unit of each.
        zero: what counted as zero, of each unit.
    """

    rings: Rings
    chords: Chords
    edges: tuple[Ints, Ints]
    zero: Floats

    @classmethod
    def of(cls, cells: Cells, values: Floats, limit: int, magnitude: float = 0.0, again: Look | None = None) -> Cut:
        """Return the boundaries of units in `cells`.

        Args:
            cells: the cells.
            values: the units' values at the cells' vertices (V, U).
            limit: vertices that cells may have.
            magnitude: as of :func:`boundarycb.engines.exact.rounding.tolerance`.
            again: so too.

        Raises:
            NotPiecewiseLinear: they cannot be affine in each cell.
            TooManyVertices: there are far more boundaries than cells with `limit` vertices have.
        """
        zero = tolerance(values, magnitude, cells, again)
        signs = Signs.of(values, zero)
        crossings = Crossings.of(cells, values, signs)
        if len(crossings.edge) > _CROSSINGS * limit:
            raise TooManyVertices(limit)
        rings = Rings(cells, crossings)
        touched = Touched.of(cells, signs)
        return cls(rings, Chords.of(rings, signs, touched), edges_of_units(cells, touched), zero)

    def segments(self) -> Segments:
        """Return all boundaries."""
        chords, vertex, origin = self.chords, self.rings.vertex, self.rings.cells.origin
        half_edges, unit = self.edges
        return Segments(
            np.concatenate([chords.unit, unit]),
            np.concatenate([vertex[chords.falling], origin[half_edges]]),
            np.concatenate([vertex[chords.rising], origin[half_edges ^ 1]]),
            self.rings.points,
        )

    def beside(self) -> Ints:
        """Return the cells on the left and on the right of each of the :meth:`segments` (2, M); a chord runs within one."""
        cells, half_edges = self.rings.cells, self.edges[0]
        chords = self.rings.cell_at[self.chords.rising]
        return np.stack([np.concatenate([chords, cells.cell[side]]) for side in (half_edges, half_edges ^ 1)])

    def refined(self, limit: int) -> Cells:
        """Return the cells cut along the boundaries.

        Raises:
            TooManyVertices: they have more than `limit` vertices.
        """
        return refine(self.rings, self.chords, limit)
