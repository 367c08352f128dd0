"""Signs of many units at many vertices, packed 64 units a word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.sorting import Ints
from boundarycb.types import Floats

Words = NDArray[np.uint64]


def packed(states: NDArray[np.bool_]) -> Words:
    """Return `states` (n, U) packed into words (n, ceil(U / 64)); unit u is bit u % 64 of word u // 64, counted as in memory."""
    octets = np.packbits(np.ascontiguousarray(states), axis=1)
    missing = -octets.shape[1] % 8
    if missing:
        octets = np.concatenate([octets, np.zeros((len(octets), missing), np.uint8)], axis=1)
    return octets.view(np.uint64)


def set_bits(words: Words) -> tuple[Ints, Ints]:
    """Return row and unit of every bit that is set in `words` (n, W), sorted by row, then by unit.

    >>> rows, units = set_bits(packed(np.array([[False, True, True], [False, False, True]])))
    >>> rows.tolist(), units.tolist()
    ([0, 0, 1], [1, 2, 2])
    """
    flat = words.reshape(-1)
    busy = np.flatnonzero(flat != 0)
    octets = flat[busy].view(np.uint8)
    busy_octets = np.flatnonzero(octets != 0)
    bits = np.flatnonzero(np.unpackbits(octets[busy_octets]).view(np.bool_))
    found = (busy_octets[bits >> 3] << 3) + (bits & 7)
    place = busy[found >> 6]
    if words.shape[1] == 1:
        return place, found & 63
    rows = place // words.shape[1]
    return rows, ((place - rows * words.shape[1]) << 6) + (found & 63)


def bit_at(words: Words, rows: Ints, units: Ints) -> NDArray[np.bool_]:
    """Return the bits of `units` (k,) in `rows` (k,)."""
    octets = words.view(np.uint8).reshape(-1).take(rows * (8 * words.shape[1]) + (units >> 3))
    return np.asarray(octets >> (7 - (units & 7)).astype(np.uint8) & 1).view(np.bool_)


@dataclass(frozen=True, eq=False)
class Signs:
    """The signs of n units at V vertices; where neither bit is set, a unit is zero.

    Args:
        above: words (V, W), value > tolerance.
        below: words (V, W), value < -tolerance.
        units: how many units, n.
    """

    above: Words
    below: Words
    units: int

    @classmethod
    def of(cls, values: Floats, tolerance: Floats) -> Signs:
        """Return the signs of `values` (V, n) that differ from zero by more than `tolerance` (n,)."""
        both = packed(np.concatenate([values > tolerance, values < -tolerance]))
        return cls(both[: len(values)], both[len(values) :], values.shape[1])

    def zero(self) -> Words:
        """Return where units are zero, words (V, W)."""
        every = packed(np.ones((1, self.units), np.bool_))
        return np.asarray(~(self.above | self.below) & every)

    def clear(self, vertices: Ints, units: Ints) -> None:
        """Let `units` (k,) be zero at `vertices` (k,)."""
        keep = ~(np.uint8(128) >> (units & 7).astype(np.uint8))
        for words in (self.above, self.below):
            np.bitwise_and.at(words.view(np.uint8), (vertices, units >> 3), keep)
