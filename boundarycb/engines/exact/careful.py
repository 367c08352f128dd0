"""Cuts one cell by one line after another: slow, and right whatever the geometry says.

A line joins two places on a ring, and cutting a ring between two of its places gives two rings. Each other line lies in the one
where its ends are, or is cut in two where it crosses. That much is certain; rounding only moves the place of a crossing along the
cut, so the cells always fit together, however close lines come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from boundarycb.engines.exact.rings import DELTA
from boundarycb.types import Floats

_Ring = list[int]  # half-edges
_Line = tuple[int, int]  # places in a ring, the lower first


@dataclass(eq=False)
class Careful:
    """Collects what cutting cells gives.

    Args:
        points: float64 (V, 2), the vertices so far.
        edges: how many edges there are so far.
        origin: the vertex at which each half-edge of the cells that are to be cut starts.

    Attributes:
        new_points: points of new vertices, counted on from `points`.
        new_edges: the two vertices of new edges, counted on from `edges`.
        faces: half-edges of the new cells.
    """

    points: Floats
    edges: int
    origin: dict[int, int] = field(default_factory=dict)
    new_points: list[Floats] = field(default_factory=list)
    new_edges: list[tuple[int, int]] = field(default_factory=list)
    faces: list[_Ring] = field(default_factory=list)

    def cut(self, ring: _Ring, lines: list[_Line]) -> None:
        """Cut the cell around which `ring` runs along `lines`."""
        waiting = [(ring, lines)]
        while waiting:
            ring, lines = waiting.pop()
            lines = [line for line in set(lines) if _is_inside(line, len(ring))]
            if lines:
                waiting += self._cut_once(ring, sorted(lines))
            else:
                self.faces.append(ring)

    def _cut_once(self, ring: _Ring, lines: list[_Line]) -> list[tuple[_Ring, list[_Line]]]:
        """Return the two sides of `ring` along one of the `lines`, each with the lines in it."""
        p, q = cutter = lines[len(lines) // 2]
        crossing = [line for line in lines if (p < line[0] < q) != (p < line[1] < q) and not {p, q} & set(line)]
        vertices, met = self._on_the_way(ring, cutter, crossing)
        edges = [self._edge(a, b) for a, b in pairwise(vertices)]
        # Between p and q, then back along the cut; and after q and before p, then forth along it.
        inner = ring[p:q] + [2 * edge + 1 for edge in reversed(edges)]
        outer = ring[:p] + [2 * edge for edge in edges] + ring[q:]
        steps, shift = len(edges), len(edges) - (q - p)
        inner_lines, outer_lines = [], []
        for line in lines:
            if line == cutter:
                continue
            if line in met:
                between = line[0] if p < line[0] < q else line[1]
                beyond = line[1] if between == line[0] else line[0]
                on_the_cut = met[line]
                inner_lines.append(_line(between - p, (q - p + steps - on_the_cut) % len(inner)))
                outer_lines.append(_line(beyond if beyond < p else beyond + shift, p + on_the_cut))
            elif p <= line[0] and line[1] <= q:
                inner_lines.append((line[0] - p, line[1] - p))
            else:
                outer_lines.append(_line(*(place if place <= p else place + shift for place in line)))
        return [(inner, inner_lines), (outer, outer_lines)]

    def _on_the_way(self, ring: _Ring, cutter: _Line, crossing: list[_Line]) -> tuple[list[int], dict[_Line, int]]:
        """Return the vertices along `cutter`, and at the how-manieth of them each of the `crossing` lines meets it."""
        start, end = (self.origin[ring[place]] for place in cutter)
        a, along = self._point(start), self._point(end) - self._point(start)
        length = float(np.hypot(*along))
        shares = sorted((self._share(ring, a, along, line), line) for line in crossing)
        vertices, met, at = [start], {}, 0.0
        for share, line in shares:
            if (share - at) * length >= DELTA and (1 - share) * length >= DELTA:
                self.new_points.append(a + share * along)
                vertices.append(len(self.points) + len(self.new_points) - 1)
                at = share
            met[line] = len(vertices) - 1 if (1 - share) * length >= DELTA else -1
        vertices.append(end)
        return vertices, {line: len(vertices) - 1 if place < 0 else place for line, place in met.items()}

    def _share(self, ring: _Ring, a: Floats, along: Floats, line: _Line) -> float:
        """Return how far `along` from `a` the `line` crosses, 0 to 1."""
        b, c = (self._point(self.origin[ring[place]]) - a for place in line)
        across = along[0] * b[1] - along[1] * b[0], along[0] * c[1] - along[1] * c[0]
        span = across[0] - across[1]
        t = min(1.0, max(0.0, across[0] / span)) if span else 0.5
        squared = float(along @ along)
        return min(1.0, max(0.0, float((b + t * (c - b)) @ along) / squared)) if squared else 0.5

    def _point(self, vertex: int) -> Floats:
        known = len(self.points)
        point: Floats = self.points[vertex] if vertex < known else self.new_points[vertex - known]
        return point

    def _edge(self, a: int, b: int) -> int:
        edge = self.edges + len(self.new_edges)
        self.new_edges.append((a, b))
        self.origin[2 * edge], self.origin[2 * edge + 1] = a, b
        return edge


def _line(a: int, b: int) -> _Line:
    return (a, b) if a <= b else (b, a)


def _is_inside(line: _Line, size: int) -> bool:
    """Return whether a line between two places of a ring of `size` runs inside it, not along its edge."""
    return line[1] - line[0] not in (0, 1, size - 1)
