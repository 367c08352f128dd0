"""The straight lines on which units of one layer are zero inside cells, and along edges of cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.exact.bits import Signs, Words, bit_at, set_bits
from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.limits import NotPiecewiseLinear
from boundarycb.engines.exact.rings import Rings
from boundarycb.engines.sorting import Ints


@dataclass(frozen=True, eq=False)
class Chords:
    """The K chords of a layer: unit `unit` is zero on the straight line between two positions of a cell's ring.

    Args:
        unit: int64 (K,).
        rising: int64 (K,), the position at which the unit becomes positive, counter-clockwise.
        falling: int64 (K,), the position at which it becomes negative.
    """

    unit: Ints
    rising: Ints
    falling: Ints

    @classmethod
    def of(cls, rings: Rings, signs: Signs, touched: Touched) -> Chords:
        """Return the chords of all units; they are sorted by cell, then by unit.

        Raises:
            NotPiecewiseLinear: a unit does not have two ends in a cell.
        """
        ends = _Ends.joined([_edge_ends(rings, signs.units), *_corner_ends(rings, signs, touched)], rings)
        if not ends.are_pairs():
            ends = _paired(rings.cells, ends, signs.units)
        return cls(ends.key[::2] // 2 % signs.units, ends.position[::2], ends.position[1::2])


@dataclass(frozen=True, eq=False)
class _Ends:
    """Where chords end, sorted: key = 2 * (cell * units + unit), plus 1 for a falling end; and the position in the cell's ring."""

    key: Ints
    position: Ints

    @classmethod
    def joined(cls, parts: list[tuple[NDArray[np.bool_], Ints, Ints]], rings: Rings) -> _Ends:
        """Return all ends; a part is (rising, cell * units + unit, position)."""
        rising, key, position = parts[0] if len(parts) == 1 else (np.concatenate(part) for part in zip(*parts, strict=True))
        key = 2 * key + ~rising
        bits = len(rings.vertex).bit_length()
        if len(key) and int(key.max()) >> (63 - bits):
            order = np.argsort(key, kind="stable")
            return cls(key[order], position[order])
        both = np.sort((key << bits) | position)  # a tenth of an argsort's time
        return cls(both >> bits, both & ((1 << bits) - 1))

    def are_pairs(self) -> bool:
        """Return whether every chord has a rising end and a falling one."""
        rising, falling = self.key[::2], self.key[1::2]
        paired = len(rising) == len(falling) and not (rising & 1).any() and np.array_equal(rising + 1, falling)
        return bool(paired and (rising[1:] != rising[:-1]).all())


def _paired(cells: Cells, ends: _Ends, units: int) -> _Ends:
    """Return the ends of chords that have two; others are rounding in thin cells, whose units are taken not to switch in them.

    Raises:
        NotPiecewiseLinear: a unit does not have two ends in a cell that is not thin.
    """
    keys, counts = np.unique(ends.key, return_counts=True)
    single = keys[counts == 1]
    good = np.intersect1d(single[single % 2 == 0], single[single % 2 == 1] - 1)
    odd = np.setdiff1d(keys - keys % 2, good) // 2 // units
    if np.isin(odd, cells.thick).any():
        raise NotPiecewiseLinear("a unit of it changes its sign more than twice around a region in which it should be affine")
    kept = np.isin(ends.key - ends.key % 2, good)
    return _Ends(ends.key[kept], ends.position[kept])


def _edge_ends(rings: Rings, units: int) -> tuple[NDArray[np.bool_], Ints, Ints]:
    """Return the ends inside edges; each crossing is one in the cells on both its sides."""
    crossings = rings.crossings
    cell = rings.cells.cell[np.stack([2 * crossings.edge, 2 * crossings.edge + 1])]
    side, inside = np.nonzero(cell >= 0)
    key = cell[side, inside] * units + crossings.unit[inside]
    return crossings.rising[inside] ^ (side == 1), key, rings.of_node[side, crossings.node[inside]]


@dataclass(frozen=True, eq=False)
class Touched:
    """The cells at whose corners some unit is zero.

    Args:
        is_zero: bool (V,), whether some unit is zero at a vertex.
        zero: words (V, W), which units are.
        cells: int64 (T,), the cells that have such a vertex.
        row: int64 (F,), the row of each of those cells below.
        above: words (T, W), units that are positive at some corner.
        below: words (T, W), units that are negative at some corner.
    """

    is_zero: NDArray[np.bool_]
    zero: Words
    cells: Ints
    row: Ints
    above: Words
    below: Words

    @classmethod
    def of(cls, cells: Cells, signs: Signs) -> Touched:
        """Return the touched cells; call it when all zeros are known."""
        zero = signs.zero()
        is_zero = np.asarray(zero.any(axis=1))
        flag = np.zeros(len(cells), np.bool_)
        if not is_zero.any():
            nothing = np.empty(0, np.int64)
            return cls(is_zero, zero, nothing, nothing, zero[:0], zero[:0])
        flag[cells.cell_at[is_zero[cells.corners]]] = True
        touched = np.flatnonzero(flag)
        row = np.cumsum(flag) - 1
        corners = cells.corners[flag[cells.cell_at]]
        start = np.concatenate([[0], np.cumsum(cells.sizes[touched])[:-1]])
        above, below = (np.bitwise_or.reduceat(words[corners], start, axis=0) for words in (signs.above, signs.below))
        return cls(is_zero, zero, touched, row, above, below)


def _corner_ends(rings: Rings, signs: Signs, touched: Touched) -> list[tuple[NDArray[np.bool_], Ints, Ints]]:
    """Return the ends at corners: where a unit that is positive and negative in a cell is zero between the two.

    Of several zeros in a row the last one is the end.
    """
    cells = rings.cells
    if not len(touched.cells):
        return []
    places = np.flatnonzero(touched.is_zero[cells.corners])
    row = touched.row[cells.cell_at[places]]
    which, unit = set_bits(touched.zero[cells.corners[places]] & touched.above[row] & touched.below[row])
    here = places[which]
    after = cells.corners[cells.following[here]]
    up = bit_at(signs.above, after, unit)
    last = up | bit_at(signs.below, after, unit)
    here, unit, up = here[last], unit[last], up[last]
    before = cells.preceding[here]
    while True:
        still = bit_at(touched.zero, cells.corners[before], unit)
        if not still.any():
            break
        before = np.where(still, cells.preceding[before], before)
    turns = bit_at(signs.above, cells.corners[before], unit) != up
    here, unit, up = here[turns], unit[turns], up[turns]
    return [(up, cells.cell_at[here] * signs.units + unit, rings.of_place[here])]


def edges_of_units(cells: Cells, touched: Touched) -> tuple[Ints, Ints]:
    """Return half-edge and unit where a unit is zero along an edge, positive in the cell on the left, and off on the right."""
    if not len(touched.cells):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    ends = touched.is_zero[cells.origin]
    edges = np.flatnonzero(ends[::2] & ends[1::2] & (cells.cell[::2] >= 0) & (cells.cell[1::2] >= 0))
    zero = touched.zero[cells.origin[2 * edges]] & touched.zero[cells.origin[2 * edges + 1]]
    left, right = (touched.row[cells.cell[2 * edges + side]] for side in (0, 1))
    on_left, on_right = (touched.above[row] & ~touched.below[row] for row in (left, right))
    parts = []
    for side, only in ((0, on_left & ~touched.above[right]), (1, on_right & ~touched.above[left])):
        which, unit = set_bits(zero & only)
        parts.append((2 * edges[which] + side, unit))
    return np.concatenate([parts[0][0], parts[1][0]]), np.concatenate([parts[0][1], parts[1][1]])
