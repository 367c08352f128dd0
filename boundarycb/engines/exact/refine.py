"""Cuts cells along the chords in them, all cells at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.exact.careful import Careful
from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.chords import Chords
from boundarycb.engines.exact.limits import TooManyVertices
from boundarycb.engines.exact.lines import Lines, Stops
from boundarycb.engines.exact.rings import Rings
from boundarycb.engines.exact.web import Web, loops
from boundarycb.engines.sorting import Ints
from boundarycb.types import Floats


@dataclass(frozen=True, eq=False)
class Loops:
    """Half-edges of cells, cell after cell.

    Args:
        members: the half-edges.
        sizes: how many each cell has (F,).
    """

    members: Ints
    sizes: Ints


def refine(rings: Rings, chords: Chords, limit: int) -> Cells:
    """Return the cells of `rings` cut along `chords`.

    Lines that nearly meet can make the order around nodes contradict itself. Euler's formula tells: cells in which the new ones
    do not add up are cut by :mod:`boundarycb.engines.exact.careful`.

    Raises:
        TooManyVertices: there would be more than `limit` vertices.
    """
    if len(rings.points) > limit:
        raise TooManyVertices(limit)
    every = Lines.of(rings, chords)
    with_care = np.zeros(len(rings.cells), np.bool_)
    while True:
        of_care = with_care[rings.cell_at[every.low]]
        lines = every.where(~of_care) if of_care.any() else every
        web = _web(rings, lines, limit)
        doubtful = rings.cell_at[lines.low[web.stops.doubtful]]
        if not len(doubtful):
            cut, parent = _cut(web)
            doubtful = _contradicted(web, parent)
            if not len(doubtful):
                break
        with_care[doubtful] = True
    whole = ~with_care
    whole[parent] = False
    return _put_together(web, [_untouched(rings, whole), cut], every.where(of_care))


def _web(rings: Rings, lines: Lines, limit: int) -> Web:
    ends = rings.points.take(rings.vertex[lines.low], axis=0), rings.points.take(rings.vertex[lines.high], axis=0)
    return Web(rings, lines, Stops.of(ends, lines.crossing(len(rings.points), limit)))


def _cut(web: Web) -> tuple[Loops, Ints]:
    """Return the new cells in those that have lines, and the old cell of each."""
    rings, following = web.rings, web.following()
    has_lines = np.zeros(len(rings.cells), np.bool_)
    has_lines[rings.cell_at[web.lines.low]] = True
    positions = np.flatnonzero(has_lines[rings.cell_at])
    ring, around = len(rings.vertex), len(positions)
    number = np.empty(ring, np.int64)
    number[positions] = np.arange(around)
    following = np.concatenate([following[positions], following[ring:]])
    following = np.where(following < ring, number[np.minimum(following, ring - 1)], following - ring + around)
    members, start, heads = loops(following)
    cell_of_piece = np.repeat(rings.cell_at[web.lines.low], web.last - web.first + 1)
    parent = np.concatenate([rings.cell_at[positions], np.repeat(cell_of_piece, 2)])[heads]
    half_edges = np.concatenate([rings.half_edges[positions], 2 * rings.first_part[-1] + np.arange(len(following) - around)])
    return Loops(half_edges[members], start[1:] - start[:-1]), parent


def _contradicted(web: Web, parent: Ints) -> Ints:
    """Return the cells that are not the `parent` of as many new ones as lines and nodes in them make."""
    cells = len(web.rings.cells)
    of_line = web.rings.cell_at[web.lines.low]
    expected = np.bincount(of_line, minlength=cells)
    expected += np.bincount(of_line[web.stops.line], minlength=cells)
    of_node = np.empty(len(web.stops.points), np.int64)
    of_node[web.stops.node] = of_line[web.stops.line]
    expected -= np.bincount(of_node, minlength=cells)
    expected += expected > 0
    return np.flatnonzero(expected != np.bincount(parent, minlength=cells))


def _put_together(web: Web, parts: list[Loops], lines: Lines) -> Cells:
    """Return all cells: `parts`, and those that contain `lines`, cut with care."""
    rings, stops = web.rings, web.stops
    points = np.concatenate([rings.points, stops.points])
    ends = np.concatenate([rings.parts(), web.pieces()])
    if len(lines.low):
        careful, of_care = _cut_with_care(rings, lines, points, len(ends))
        points = np.concatenate([points, np.array(careful.new_points).reshape(-1, 2)])
        ends = np.concatenate([ends, np.array(careful.new_edges, np.int64).reshape(-1, 2)])
        parts = [*parts, of_care]
    start = np.concatenate([[0], np.cumsum(np.concatenate([part.sizes for part in parts]))])
    return Cells(points, ends.reshape(-1), np.concatenate([part.members for part in parts]), start)


def _untouched(rings: Rings, whole: NDArray[np.bool_]) -> Loops:
    """Return the cells that are `whole` (F,); their edges may have been split."""
    return Loops(rings.half_edges[whole[rings.cell_at]], (rings.start[1:] - rings.start[:-1])[whole])


def _cut_with_care(rings: Rings, lines: Lines, points: Floats, edges: int) -> tuple[Careful, Loops]:
    """Return the new cells of those that contain `lines`, one line after another."""
    half_edges, cell = rings.half_edges, rings.cell_at[lines.low]
    careful = Careful(points, edges)
    for one in np.unique(cell).tolist():
        start, stop = rings.start[one : one + 2].tolist()
        ring, mine = half_edges[start:stop].tolist(), cell == one
        careful.origin.update(zip(ring, rings.vertex[start:stop].tolist(), strict=True))
        places = zip((lines.low[mine] - start).tolist(), (lines.high[mine] - start).tolist(), strict=True)
        careful.cut(ring, list(places))
    members = np.array([half_edge for face in careful.faces for half_edge in face], np.int64)
    return careful, Loops(members, np.array([len(face) for face in careful.faces]))
