"""Pre-activations in the processor's memory, behind the same few words as those that stay on another device."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Block, Floats, Reading


class Here:
    """Pre-activations (n, U) as an array; a :class:`boundarycb.types.Block`.

    Args:
        z: the array, or several, of points one after another.

    >>> here = Here(np.array([[1.0, -2.0], [0.0, np.inf]]))
    >>> here.on.tolist(), here.undefined.tolist(), here.at(np.array([0, 1]), [0, 2]).tolist()
    ([[True, False], [False, True]], [1], [[1.0, -2.0], [0.0, inf]])
    """

    def __init__(self, *z: Floats) -> None:
        self._pieces = z

    @cached_property
    def _z(self) -> Floats:
        return self._pieces[0] if len(self._pieces) == 1 else np.concatenate(self._pieces)

    @property
    def shape(self) -> tuple[int, int]:
        """Points and units."""
        return sum(map(len, self._pieces)), self._pieces[0].shape[1]

    @cached_property
    def on(self) -> NDArray[np.bool_]:
        """States, bool (n, U)."""
        return self._z > 0

    @property
    def undefined(self) -> NDArray[np.int64]:
        """Units that are not finite somewhere, (k,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(self._z.sum()):  # a value that is not finite makes the sum so; a sum may overflow by itself
                return np.empty(0, np.int64)
        return np.flatnonzero(~np.isfinite(self._z).all(axis=0))

    def at(self, places: NDArray[np.int64], steps: Sequence[int]) -> Floats:
        """Return the numbers `steps` behind each of the flat places (M,), float64 (len(steps), M)."""
        flat, found = [piece.reshape(-1) for piece in self._pieces], np.empty((len(steps), len(places)))
        for row, step in zip(found, steps, strict=True):
            _take(flat, places + step, row)
        return found

    def rows(self, start: int, stop: int | None = None) -> Here:
        """Return a copy of the points from `start` up to `stop`."""
        return Here(self._z[start:stop].copy())

    def followed_by(self, *others: Here) -> Here:
        """Return its points and those of `others` after them; nothing is copied before it is asked for whole."""
        return Here(*self._pieces, *(piece for other in others for piece in other._pieces))

    def array(self) -> Floats:
        """Return the array."""
        return self._z


def _take(pieces: Sequence[Floats], places: NDArray[np.int64], into: Floats) -> None:
    """Put into `into` (M,) what stands at `places` (M,) of flat arrays one after another."""
    if len(pieces) == 1:
        into[:] = pieces[0].take(places)
        return
    first = 0
    for piece in pieces:
        inside = np.flatnonzero((places >= first) & (places < first + piece.size))
        into[inside] = piece.take(places[inside] - first)
        first += piece.size


def block_of(reading: Reading) -> Block:
    """Return a reading's pre-activations, wherever they lie."""
    return Here(reading.z) if reading.away is None else reading.away
