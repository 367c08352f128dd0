"""Thin lines by numpy: for hundreds of them a fraction of the time of Agg, which sorts the cells of all outlines.

A segment is walked along the axis that it changes most on, a column of pixels a step; the line's width across that column, at its
middle, is shared out to the pixels on which it lies, as in Wu 1991 for a line as wide as a pixel. Where lines meet a pixel has the
most that one of them covers, so crossings are no darker than lines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Array, Floats

Ints = NDArray[np.int64]

WIDEST = 1.5
"""Pixels that a line may be wide at most."""
_REACH = 2  # pixels across, to either side, at most: half of the width and of a pixel, at 45 degrees
_OUTSIDE = 2 * _REACH  # pixels around the picture, for what lies just outside
_FAR = 1e12  # pixels: what is further, or not finite, is no place
_DENSE = 0.1  # pixels walked, less segments, by those of the picture, from which on numpy is faster than Agg
_STEPS = 2**17  # at once, and one segment's more: what there is of them takes 10 MB
_OVER = 0.5  # pixels by which a segment goes on into the next one, where lines bend


def coverage(points: Floats, offsets: NDArray[np.int64], shape: tuple[int, int], width: float) -> NDArray[np.uint8]:
    """Return how far each pixel (h, w) is covered by polylines, 0 to 255; where they meet it is no more than one covers.

    Args:
        points: places (N, 2) in pixels, y growing downwards; a pixel's middle is at one half.
        offsets: where lines begin and end among them (S + 1,).
        shape: rows and columns.
        width: of the lines, in pixels; `WIDEST` at most.

    >>> coverage(np.array([[1.0, 1.5], [3.0, 1.5]]), np.array([0, 2]), (3, 4), 1.0)[:, 1:3].tolist()
    [[0, 0], [255, 255], [0, 0]]
    """
    near = np.abs(points) < _FAR
    goes_on = near[:, 0] & near[:, 1]
    goes_on[:-1] &= goes_on[1:]
    goes_on[offsets[1:] - 1] = False  # from the last point of a line nothing does
    begin = np.flatnonzero(goes_on)
    places = points - 0.5  # so that a pixel's middle is a whole number
    start, end = places[begin], places[begin + 1]
    bends = np.concatenate([[False], goes_on[:-1]])[begin], goes_on[begin + 1]  # at its start, at its end
    along = np.abs(end - start)
    flat = along[:, 0] >= along[:, 1]
    rows, columns = (size + 2 * _OUTSIDE for size in shape)
    cover = np.zeros(rows * columns, np.float32)
    for which, axis in ((np.flatnonzero(flat), 0), (np.flatnonzero(~flat), 1)):
        strides = (1, columns) if axis == 0 else (columns, 1)
        sizes = shape[::-1] if axis == 0 else shape
        over = _OVER * bends[0][which], _OVER * bends[1][which]
        _draw(cover, start[which][:, [axis, 1 - axis]], end[which][:, [axis, 1 - axis]], over, sizes, strides, width)
    cover *= np.float32(255)
    shades: NDArray[np.uint8] = np.rint(cover, out=cover).astype(np.uint8)
    return shades.reshape(rows, columns)[_OUTSIDE:-_OUTSIDE, _OUTSIDE:-_OUTSIDE]


def pays(points: Floats, offsets: NDArray[np.int64], shape: tuple[int, int]) -> bool:
    """Return whether polylines are drawn faster so than by Agg.

    Its time goes with the lines' length; numpy's less so, but with the area, and with the number of segments, too.

    The arguments are those of :func:`coverage`.
    """
    with np.errstate(invalid="ignore"):
        steps = np.abs(np.diff(points, axis=0)).max(axis=1)
    steps[offsets[1:-1] - 1] = 0  # from a line to the next
    segments = len(points) - (len(offsets) - 1)
    return bool(np.minimum(steps, max(shape)).sum() >= _DENSE * shape[0] * shape[1] + segments)


def _draw(
    cover: Floats,
    start: Floats,
    end: Floats,
    over: tuple[Floats, Floats],
    sizes: tuple[int, int],
    strides: tuple[int, int],
    width: float,
) -> None:
    """Raise `cover` where segments lie from `start` to `end` (M, 2), both as places along the axis that is walked, and across it.

    Args:
        cover: shares of the pixels, flat.
        start: where segments begin.
        end: where they end.
        over: by how much they go on at their start, and at their end (M,).
        sizes: pixels along and across.
        strides: from a pixel to the next one along and across.
        width: of the lines.
    """
    forth = start[:, 0] <= end[:, 0]
    low, high = np.where(forth[:, None], start, end), np.where(forth[:, None], end, start)
    first = np.ceil(np.clip(low[:, 0] - np.where(forth, *over), 0, sizes[0])).astype(np.int64)
    count = np.ceil(np.clip(high[:, 0] + np.where(forth, *over[::-1]), 0, sizes[0])).astype(np.int64) - first
    run = high - low
    slope = np.divide(run[:, 1], run[:, 0], out=np.zeros(len(run)), where=run[:, 0] > 0)
    # A line as thick as this across the walk covers that much of each of its columns, however it is sloped.
    thick = width * np.sqrt(1 + slope * slope)
    short = (run[:, 0] < 1) & (over[0] + over[1] == 0)  # the line may cross no column's middle: it is in the nearest, by its length
    column = np.rint((low[:, 0] + high[:, 0]) / 2)
    first[short] = np.clip(column[short], 0, sizes[0])
    count[short] = (column[short] >= 0) & (column[short] < sizes[0])
    thick[short] *= run[short, 0]
    lines = _single(np.stack([low[:, 1] - slope * low[:, 0], slope, thick]))
    for some in np.split(np.arange(len(count)), np.flatnonzero(np.diff(np.cumsum(count) // _STEPS)) + 1):
        _walk(cover, first[some], count[some], lines[:, some], sizes[1], strides)


def _walk(cover: Floats, first: Ints, count: Ints, lines: Floats, size: int, strides: tuple[int, int]) -> None:
    """Raise `cover` along segments (M,).

    Args:
        cover: shares of the pixels, flat.
        first: the first column that each crosses.
        count: how many it crosses.
        lines: where across the walk it lies at column 0, by how much more at the next, and how thick it is there (3, M).
        size: pixels across.
        strides: from a pixel to the next one along and across.
    """
    zero, slope, thick = lines
    at = np.arange(int(count.sum())) + np.repeat(first - np.cumsum(count) + count, count)
    across = np.repeat(zero, count) + np.repeat(slope, count) * _single(at)
    np.clip(across, -_REACH, size + _REACH - 1, out=across)
    nearest = np.rint(across)
    pixel = (at + _OUTSIDE) * strides[0] + (nearest.astype(np.int64) + _OUTSIDE) * strides[1]
    half, most, off = np.repeat((thick + 1) / 2, count), np.repeat(np.minimum(thick, 1), count), nearest - across
    for step in range(-_REACH, _REACH + 1):
        share = half - np.abs(off + np.float32(step))
        which = np.flatnonzero(share > 0)
        np.maximum.at(cover, pixel[which] + step * strides[1], np.minimum(share[which], most[which]))


def _single(values: Array) -> NDArray[np.float32]:
    """Return `values` in single precision, which holds a thousandth of a pixel of any picture, and takes half the time."""
    return values.astype(np.float32)
