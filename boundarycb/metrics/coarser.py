"""The same states on fewer grid points, where many samples are to be held in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from boundarycb.evenly import coarse
from boundarycb.types import Array, Bits, Capture, Field

_ROWS = 512  # units at a time: what is unpacked of them stays in the processor's cache


def coarser(capture: Capture, side: int) -> Capture:
    """Return `capture` on a grid of `side` points a side; itself where it has no more than that.

    The slice is cut into `side` x `side` equal cells, and of each the point nearest to its middle is taken: so each stands for the
    same area, and none for its neighbours alone, as eight points of one byte would. Units and their numbers stay as they are; how
    many patterns there are is not known on the new grid.

    Args:
        capture: states and output.
        side: H = W of the new grid, 1 or more.

    >>> from boundarycb.types import Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> on = np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1]])
    >>> coarser(Capture((layer,), 4, np.packbits(on.reshape(1, -1), axis=1)), 2).mask("fc").astype(int).tolist()
    [[[1, 0], [1, 1]]]
    """
    fine = capture.resolution
    if side >= fine:
        return capture
    places = coarse(fine, side)
    points = (places[:, None] * fine + places).reshape(-1)
    field = None if capture.field is None else _picked_field(capture.field, places)
    return replace(capture, resolution=side, on=_picked_bits(capture.on, points), field=field, patterns=None)


def _picked_bits(bits: Bits, points: NDArray[np.int64]) -> Bits:
    """Return the bits at `points` of each row of packed `bits`, packed again."""
    byte, mask = points >> 3, (128 >> (points & 7)).astype(np.uint8)
    parts = [np.packbits(bits[row : row + _ROWS].take(byte, axis=1) & mask, axis=1) for row in range(0, len(bits), _ROWS)]
    return np.concatenate([np.empty((0, -(-len(points) // 8)), np.uint8), *parts])


def _picked_field(field: Field, places: NDArray[np.int64]) -> Field:
    grid = np.ix_(places, places)

    def picked(values: Array | None) -> Array | None:
        return None if values is None else values[grid]

    winner, second, above = (picked(values) for values in (field.winner, field.second, field.above))
    return replace(field, value=field.value[grid], winner=winner, second=second, above=above)
