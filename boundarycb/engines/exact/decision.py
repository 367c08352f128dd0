"""Where the winning class changes: the largest output against the second largest, in cells on which outputs are affine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.cutting import Cut, Segments
from boundarycb.engines.exact.limits import Unsuitable
from boundarycb.engines.exact.rounding import tolerance
from boundarycb.engines.sorting import Ints, begins
from boundarycb.types import Floats

_DIFFERENCES = 2**25  # of outputs, at all vertices together
_AT_ONCE = 2**22  # outputs


def are_probabilities(output: Floats) -> bool:
    """Return whether the rows of `output` (n, C) are probabilities."""
    return bool((output >= 0).all() and np.allclose(output.sum(axis=1), 1, atol=1e-6))


def scores(output: Floats, *, logarithm: bool = False) -> Floats:
    """Return what decides the winner: outputs, or the logarithm of probabilities, which is affine where a softmax's input is."""
    return np.log(np.maximum(output, np.finfo(np.float64).tiny)) if logarithm else output


def decision_segments(cells: Cells, outputs: Floats, limit: int) -> Segments:
    """Return the border of the area that each class wins: it is on the left, and the unit is the class.

    Each piece comes twice, once for either side. Where classes are equal on an area, the first of them wins it.

    Args:
        cells: cells on which all differences of outputs are affine.
        outputs: scores of the classes at the vertices (V, C), C >= 2.
        limit: vertices that cells may have.

    Raises:
        Unsuitable: too many classes are neighbours.
    """
    magnitude = float(np.abs(outputs).max(initial=0.0))
    outputs = outputs - outputs[:, :1]
    equal = float(tolerance(outputs, magnitude).max(initial=0.0))
    low, high = _neighbours(cells, outputs, equal).T
    if len(low) * len(outputs) > _DIFFERENCES:
        raise Unsuitable(f"{len(low)} pairs of classes are neighbours")
    cut = Cut.of(cells, outputs[:, high] - outputs[:, low], limit, magnitude)
    ties = cut.segments()
    crossings, first = cut.rings.crossings, outputs[cells.origin[2 * cut.rings.crossings.node_edge]]
    second = outputs[cells.origin[2 * crossings.node_edge + 1]]
    everywhere = np.concatenate([outputs, first + crossings.node_share[:, None] * (second - first)])
    begin, stop = _won(everywhere[ties.start], everywhere[ties.end], low[ties.unit], high[ties.unit], equal)
    kept = np.flatnonzero(stop > begin)
    return _both_sides(ties.where(kept), begin[kept], stop[kept], low, high)


def _neighbours(cells: Cells, outputs: Floats, equal: float) -> Ints:
    """Return the pairs of classes (k, 2), the lower first, that may both win a part of some cell."""
    classes = outputs.shape[1]
    winner = outputs.argmax(axis=1)
    tied = (outputs >= outputs.max(axis=1, keepdims=True) - equal).sum(axis=1) > 1
    at_corner = winner[cells.corners]
    other = (at_corner != np.repeat(at_corner[cells.start[:-1]], cells.sizes)) | tied[cells.corners]
    mixed = np.flatnonzero(np.logical_or.reduceat(other, cells.start[:-1]))
    may_win = np.zeros((classes, classes), np.bool_)
    for some in np.array_split(mixed, -(-6 * len(mixed) * classes // _AT_ONCE)) if len(mixed) else ():
        candidates = _candidates(cells, some, outputs, winner, equal).astype(np.float32)
        may_win |= candidates.T @ candidates > 0
    return np.argwhere(np.triu(may_win, 1))


def _candidates(cells: Cells, chosen: Ints, outputs: Floats, winner: Ints, equal: float) -> NDArray[np.bool_]:
    """Return which classes are not beaten at all corners of each of the `chosen` cells by one that wins a corner (k, C)."""
    classes = outputs.shape[1]
    corners, start = cells.around(chosen)
    cell = np.repeat(np.arange(len(chosen)), cells.sizes[chosen])
    rivals, rival = np.divmod(np.unique(cell * classes + winner[corners]), classes)
    # Every rival is held against all classes at all corners of its cell.
    sizes = cells.sizes[chosen][rivals]
    begin = np.cumsum(sizes) - sizes
    rows = corners[np.arange(int(sizes.sum())) + np.repeat(start[rivals] - begin, sizes)]
    behind = outputs[rows] < outputs[rows, np.repeat(rival, sizes)][:, None] - equal
    beaten = np.logical_and.reduceat(behind, begin, axis=0)
    return np.asarray(~np.logical_or.reduceat(beaten, np.flatnonzero(begins(rivals)), axis=0))


def _won(start: Floats, end: Floats, low: Ints, high: Ints, equal: float) -> tuple[Floats, Floats]:
    """Return the shares of the way between which two classes that tie along a line are the largest, each (M,).

    Args:
        start: outputs where each line starts (M, C).
        end: outputs where it ends.
        low: one of its classes (M,).
        high: the other.
        equal: differences that are none.
    """
    rows = np.arange(len(start))
    ahead = [at[rows, low][:, None] - at + equal for at in (start, end)]  # of each class; affine along the line
    for at in ahead:
        at[rows, low] = at[rows, high] = np.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = ahead[0] / (ahead[0] - ahead[1])
    begin = np.where(ahead[0] < 0, np.where(ahead[1] > 0, turn, np.inf), 0.0).max(axis=1, initial=0.0)
    stop = np.where(ahead[1] < 0, np.where(ahead[0] > 0, turn, -np.inf), 1.0).min(axis=1, initial=1.0)
    return begin, stop


def _both_sides(ties: Segments, begin: Floats, stop: Floats, low: Ints, high: Ints) -> Segments:
    """Return the parts of `ties` from share `begin` to `stop`, once for the class on either side."""
    first, along = ties.points[ties.start], ties.points[ties.end] - ties.points[ties.start]
    new = [first + begin[:, None] * along, first + stop[:, None] * along]
    known, count = len(ties.points), len(ties.start)
    # An end that was not moved keeps its point, so that the next cell's piece follows on it.
    start = np.where(begin == 0, ties.start, known + np.arange(count))
    end = np.where(stop == 1, ties.end, known + count + np.arange(count))
    return Segments(
        np.concatenate([high[ties.unit], low[ties.unit]]),
        np.concatenate([start, end]),
        np.concatenate([end, start]),
        np.concatenate([ties.points, *new]),
    )
