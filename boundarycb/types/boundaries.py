"""Where units switch: lines, and the linear regions between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundarycb.types.arrays import Bits, Floats, freeze, frozen
from boundarycb.types.slice import Slice
from boundarycb.types.units import Layer, Unit, units_of


@dataclass(frozen=True, eq=False, repr=False)
class Boundaries:
    """Lines where units switch, in ONE format for every engine: S polylines with the owner of each.

    Line s runs through ``points[offsets[s]:offsets[s + 1]]``, with the unit's on side on its left; a closed line repeats its
    first point at the end.

    Args:
        points: float64 (N, 2), slice coordinates.
        offsets: int64 (S + 1,).
        owner: int32 (S,), index into `units`; engines give lines sorted by it.
        layers: the layers that the units belong to.
        exact: True where the lines are exact, False where they were traced on a grid.
        notes: what was left out, in words.

    >>> layer = Layer("layer1", "relu", (2,), (0, 1))
    >>> lines = Boundaries(np.array([[0.0, 0], [1, 1], [2, 0], [2, 2]]), np.array([0, 2, 4]), np.array([0, 1]), (layer,))
    >>> len(lines), lines.units[1].layer, lines.line(1).tolist()
    (2, 'layer1', [[2.0, 0.0], [2.0, 2.0]])
    >>> lines.lengths().tolist()
    [1.4142135623730951, 2.0]
    """

    points: Floats
    offsets: NDArray[np.int64]
    owner: NDArray[np.int32]
    layers: tuple[Layer, ...]
    exact: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        points = frozen(np.asarray(self.points, dtype=np.float64).reshape(-1, 2))
        offsets = frozen(np.asarray(self.offsets, dtype=np.int64))
        owner = frozen(np.asarray(self.owner, dtype=np.int32))
        if len(offsets) != len(owner) + 1 or offsets[0] != 0 or offsets[-1] != len(points) or (np.diff(offsets) < 2).any():
            raise ValueError("`offsets` must run from 0 to the number of points, two points or more a line, one line an owner.")
        units = sum(len(layer.kept) for layer in self.layers)
        if len(owner) and not (owner.min() >= 0 and owner.max() < units):
            raise ValueError(f"`owner` must index the {units} kept units of `layers`, got up to {owner.max()}.")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "owner", owner)

    def __len__(self) -> int:
        return len(self.owner)

    def __repr__(self) -> str:
        kind = "exact" if self.exact else "traced on a grid"
        return f"<Boundaries: {len(self)} lines of {len(np.unique(self.owner))} units, {len(self.points)} points, {kind}>"

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that `owner` indexes."""
        return units_of(self.layers)

    def line(self, index: int) -> Floats:
        """Return the points (k, 2) of line `index`."""
        return self.points[self.offsets[index] : self.offsets[index + 1]]

    def of(self, layer: str, index: int) -> list[Floats]:
        """Return the lines of the unit with flat `index` in `layer`, each (k, 2)."""
        return [self.line(int(s)) for s in np.flatnonzero(self.owner == self._column(layer, index))]

    def lengths(self) -> Floats:
        """Return the length of each line (S,), in slice units."""
        if not len(self):
            return np.empty(0)
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        steps[self.offsets[1:-1] - 1] = 0.0
        return np.add.reduceat(steps, self.offsets[:-1])

    def _column(self, layer: str, index: int) -> int:
        for column, unit in enumerate(self.units):
            if unit.layer == layer and unit.index == index:
                return column
        known = [one.name for one in self.layers]
        if layer not in known:
            raise KeyError(f"There is no layer {layer!r}; the layers are {', '.join(known)}.")
        raise KeyError(f"Unit {index} of layer {layer!r} is none that was watched; `layers` says which those are.")


@dataclass(frozen=True, eq=False, repr=False)
class Regions:
    """The linear regions of a piecewise-linear network on a slice: on each it is affine, and every unit is either on or off.

    Where an activation bends elsewhere than at 0 (hardtanh, ReLU6), regions end there too, and both sides have one pattern. Of
    hardtanh, hardsigmoid and softshrink they end at 0 as well, though nothing bends there: the map on both sides is the same.

    Args:
        slice: the slice.
        layers: the layers, with all of their units.
        points: float64 (N, 2), the regions' corners, in slice coordinates.
        corners: int64 (M,), corners of all regions, region after region, each counter-clockwise; an index into `points`. A
            corner of a neighbour may lie on a region's side.
        offsets: int64 (R + 1,), where each region's corners start in `corners`.
        neighbours: int64 (K, 2), pairs of regions with a side in common.
        on: packed bits, uint8 (R, ceil(U / 8)), most significant bit first: which units are on in each region.
        counts: how many regions the units of all layers up to each one make, by the layer's name.
        thin: how many more there are that are too thin to be told from rounding; they have no place in the arrays.

    ``len(regions)`` is their number, R.
    """

    slice: Slice
    layers: tuple[Layer, ...]
    points: Floats
    corners: NDArray[np.int64]
    offsets: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    on: Bits
    counts: Mapping[str, int]
    thin: int = 0

    def __post_init__(self) -> None:
        freeze(self, "points", "corners", "offsets", "neighbours", "on")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"<Regions: {len(self)} on the slice, {', '.join(f'{count} by {name}' for name, count in self.counts.items())}>"

    def polygon(self, index: int) -> Floats:
        """Return the corners (k, 2) of region `index`, counter-clockwise, in slice coordinates."""
        return self.points[self.corners[self.offsets[index] : self.offsets[index + 1]]]

    def pattern(self, index: int) -> NDArray[np.bool_]:
        """Return which units are on in region `index` (U,): its activation pattern."""
        units = sum(layer.size for layer in self.layers)
        return np.unpackbits(self.on[index], count=units).astype(bool)

    def areas(self) -> Floats:
        """Return the area of each region (R,), in slice units."""
        return polygon_areas(self.points[self.corners], self.offsets)

    def shares(self) -> Floats:
        """Return the share of the slice on which each unit is on (U,), 0 to 1."""
        areas = self.areas()
        states = np.unpackbits(self.on, axis=1, count=sum(layer.size for layer in self.layers))
        return np.asarray(areas @ states / areas.sum())


def polygon_areas(corners: Floats, offsets: NDArray[np.int64]) -> Floats:
    """Return the area of each polygon (R,); polygon r has the `corners` from ``offsets[r]`` to ``offsets[r + 1]``.

    >>> polygon_areas(np.array([[0.0, 0], [1, 0], [1, 1]]), np.array([0, 3]))
    array([0.5])
    """
    # Seen from the polygon's own first corner, small ones far from the origin keep their digits.
    x, y = (corners - corners.take(np.repeat(offsets[:-1], np.diff(offsets)), axis=0)).T
    following = np.arange(1, len(corners) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    return np.asarray(0.5 * np.add.reduceat(x * y[following] - x[following] * y, offsets[:-1]))
