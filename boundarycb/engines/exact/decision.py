"""Where the winning class changes: the largest output against the second largest, in cells on which outputs are affine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.cutting import Cut, Segments
from boundarycb.engines.exact.limits import Unsuitable
from boundarycb.engines.exact.rings import DELTA
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


def decision_segments(cells: Cells, outputs: Floats, limit: int, magnitude: float = 0.0) -> Segments:
    """Return the border of the area that each class wins: it is on the left, and the unit is the class.

    Each piece comes twice, once for either side. Where classes are equal on an area, the first of them wins it; a line along which
    they are equal is no border where the same class wins on both of its sides.

    Args:
        cells: cells on which all differences of outputs are affine.
        outputs: scores of the classes at the vertices (V, C), C >= 2.
        limit: vertices that cells may have.
        magnitude: of the numbers that outputs are made of, where that is more than their own.

    Raises:
        Unsuitable: too many classes are neighbours.
    """
    magnitude = max(magnitude, float(np.abs(outputs).max(initial=0.0)))
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
    begin, stop, tied = _won(everywhere[ties.start], everywhere[ties.end], low[ties.unit], equal)
    part = stop - begin
    kept = np.flatnonzero((part == 1) | (part * ties.lengths() > DELTA))  # less is rounding, where several meet in a point
    more = np.flatnonzero(tied[kept].sum(axis=1) > 2)  # of two that tie alone each wins its side; of more, another one may
    if len(more):
        some = ties.where(kept[more])
        left, right = _winners(cells, some, cut.beside()[:, kept[more]], outputs, tied[kept[more]], equal)
        kept = np.delete(kept, more[(left != high[some.unit]) | (right != low[some.unit])])
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


def _won(start: Floats, end: Floats, winner: Ints, equal: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return between which shares of the way a class that ties along a line is the largest, and which classes are so all along.

    Args:
        start: outputs where each line starts (M, C).
        end: outputs where it ends.
        winner: one of the classes that tie along it (M,).
        equal: differences that are none.
    """
    rows = np.arange(len(start))
    at_start, at_end = (at[rows, winner][:, None] - at for at in (start, end))  # how far it is ahead: affine along the line
    for ahead in (at_start, at_end):
        ahead[np.abs(ahead) <= equal] = 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = at_start / (at_start - at_end)
    begin = np.where(at_start < 0, np.where(at_end > 0, turn, 1.0), 0.0).max(axis=1, initial=0.0)
    stop = np.where(at_end < 0, np.where(at_start > 0, turn, 0.0), 1.0).min(axis=1, initial=1.0)
    return begin, stop, (at_start == 0) & (at_end == 0)


def _winners(
    cells: Cells, lines: Segments, beside: Ints, outputs: Floats, tied: NDArray[np.bool_], equal: float
) -> tuple[Ints, Ints]:
    """Return which of the classes that are `tied` along each line wins on its left and on its right, each (M,).

    On one side of the line the first is the first everywhere, so a look at the corner that is farthest from the line will do.

    Args:
        cells: cells on which outputs are affine.
        lines: M lines within or between cells.
        beside: the cells on the left and on the right of each (2, M).
        outputs: of the classes at the vertices (V, C).
        tied: which classes are the largest along each line, all equal (M, C).
        equal: differences that are none.
    """
    first, along = lines.points[lines.start], lines.points[lines.end] - lines.points[lines.start]
    winners = []
    for cell, turn in zip(beside, (1.0, -1.0), strict=True):
        corners, start = cells.around(cell)
        line = np.repeat(np.arange(len(cell)), cells.sizes[cell])
        (x, y), (u, v) = (cells.points[corners] - first[line]).T, along[line].T
        outwards = np.lexsort((turn * (u * y - v * x), line))
        there = outputs[corners[outwards[start + cells.sizes[cell] - 1]]]
        there = np.where(tied, there, -np.inf)
        winners.append((there >= there.max(axis=1, keepdims=True) - equal).argmax(axis=1))
    return winners[0], winners[1]


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
