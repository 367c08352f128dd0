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
from boundarycb.engines.sorting import Ints
from boundarycb.types import Floats

TAU = 1e-10
"""Of a unit's largest value: less is zero. A forward pass in double precision is off by 3e-14 of it."""

FLOOR = 64 * np.finfo(np.float64).eps
"""Of the layer's largest value: less is what is left where large numbers cancel."""

_ROWS = 1024  # of the values that tell how large they are
_CROSSINGS = 16  # a vertex of the budget: more ends of boundaries than this take more memory than the rest


def tolerance(values: Floats, magnitude: float = 0.0) -> Floats:
    """Return for each unit what counts as zero (U,), of its `values` (V, U).

    Args:
        values: pre-activations.
        magnitude: of the numbers whose differences they are, where that is more than their own.
    """
    some = values[:: 1 + len(values) // _ROWS]
    largest = np.maximum(some.max(axis=0), -some.min(axis=0))
    return np.asarray(TAU * largest + FLOOR * largest.max(initial=magnitude))


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


@dataclass(frozen=True, eq=False)
class Cut:
    """The boundaries of one layer's units in cells on each of which all of them are affine.

    Args:
        rings: the cells' rings with the boundaries' ends.
        chords: boundaries that run through cells.
        edges: half-edges along which a unit is zero, on in the cell on the left alone; and the unit of each.
    """

    rings: Rings
    chords: Chords
    edges: tuple[Ints, Ints]

    @classmethod
    def of(cls, cells: Cells, values: Floats, limit: int, magnitude: float = 0.0) -> Cut:
        """Return the boundaries of units whose `values` at the vertices of `cells` are (V, U); `magnitude` as of :func:`tolerance`.

        Raises:
            NotPiecewiseLinear: they cannot be affine in each cell.
            TooManyVertices: there are far more boundaries than cells with `limit` vertices have.
        """
        signs = Signs.of(values, tolerance(values, magnitude))
        crossings = Crossings.of(cells, values, signs)
        if len(crossings.edge) > _CROSSINGS * limit:
            raise TooManyVertices(limit)
        rings = Rings(cells, crossings)
        touched = Touched.of(cells, signs)
        return cls(rings, Chords.of(rings, signs, touched), edges_of_units(cells, touched))

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

    def refined(self, limit: int) -> Cells:
        """Return the cells cut along the boundaries.

        Raises:
            TooManyVertices: they have more than `limit` vertices.
        """
        return refine(self.rings, self.chords, limit)
