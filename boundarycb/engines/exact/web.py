"""Reads new cells off the web of lines in old ones: each half-edge knows the next one around its new cell.

Around a node of two lines the order of the four pieces follows from that of the lines' ends on the ring; around one of more lines,
from a sort by those ends; at a ring's vertex the pieces stand in the order of their far ends. So nothing is decided by angles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boundarycb.engines.exact.lazy import lazy
from boundarycb.engines.exact.lines import Lines, Stops
from boundarycb.engines.exact.rings import Rings
from boundarycb.engines.sorting import Ints, begins, order_of


@dataclass(frozen=True, eq=False)
class Web:
    """Lines cut into T pieces at their stops, in rings of R positions.

    Half-edge p < R leaves the ring's position p; R + 2 t and R + 2 t + 1 are piece t forwards and backwards. Pieces stand line
    after line, each in the direction of its line from `low` to `high`.

    Args:
        rings: the rings.
        lines: K lines in them.
        stops: S stops of those lines.
    """

    rings: Rings
    lines: Lines
    stops: Stops

    @lazy
    def before(self) -> Ints:
        """The piece that leads to each stop (S,); the next one leads on."""
        return np.arange(len(self.stops.line)) + self.stops.line

    @lazy
    def first(self) -> Ints:
        """The first piece of each line (K,)."""
        stops_of = np.bincount(self.stops.line, minlength=len(self.lines.low))
        return np.arange(len(self.lines.low)) + np.cumsum(stops_of) - stops_of

    @lazy
    def last(self) -> Ints:
        """The last piece of each line (K,)."""
        return np.append(self.first, len(self.stops.line) + len(self.lines.low))[1:] - 1

    def pieces(self) -> Ints:
        """Return the two vertices of each piece (T, 2); nodes are counted on from the rings' points."""
        ends = np.empty((len(self.stops.line) + len(self.lines.low), 2), np.int64)
        vertex = self.rings.vertex
        ends[self.first, 0], ends[self.last, 1] = vertex[self.lines.low], vertex[self.lines.high]
        ends[self.before, 1] = ends[self.before + 1, 0] = self.stops.node + len(self.rings.points)
        return ends

    def following(self) -> Ints:
        """Return the half-edge that follows each one around its new cell (R + 2 T,)."""
        ring = len(self.rings.vertex)
        following = np.empty(ring + 2 * (len(self.stops.line) + len(self.lines.low)), np.int64)
        following[:ring] = self.rings.following
        self._turn_at_rings(following)
        self._turn_at_nodes(following)
        return following

    def _turn_at_rings(self, following: Ints) -> None:
        """Say where to turn at vertices of rings: pieces leave one in the order of their far ends."""
        ring, low, high = len(self.rings.vertex), self.lines.low, self.lines.high
        if not len(low):
            return
        first, last = ring + 2 * self.first, ring + 2 * self.last
        # Far ends at higher positions come first on the way around, then those at lower ones; both grow with the line's number.
        order = order_of(np.concatenate([2 * low, 2 * high + 1]))
        position = np.concatenate([low, high])[order]
        leaving = np.concatenate([first, last + 1])[order]
        arriving = np.concatenate([first + 1, last])[order]
        first_there = begins(position)
        following[arriving[1:]] = leaving[:-1]
        following[arriving[first_there]] = position[first_there]
        last_there = np.append(first_there[1:], True)
        following[self.rings.preceding[position[last_there]]] = leaving[last_there]

    def _turn_at_nodes(self, following: Ints) -> None:
        """Say where to turn at nodes inside cells."""
        if not len(self.stops.line):
            return
        order = order_of(self.stops.node)
        node = self.stops.node[order]
        counts = np.bincount(node)
        simple = counts[node] == 2
        self._turn_at_simple_nodes(following, order[simple].reshape(-1, 2))
        if not simple.all():
            self._turn_at_busy_nodes(following, order[~simple])

    def _turn_at_simple_nodes(self, following: Ints, stops: Ints) -> None:
        """Say where to turn at nodes of two lines, whose `stops` (I, 2) are given; the first line has the lower end."""
        ring = len(self.rings.vertex)
        before_i, before_j = (ring + 2 * self.before[stops[:, k]] for k in (0, 1))
        after_i, after_j = before_i + 2, before_j + 2
        following[before_i] = after_j
        following[before_j] = before_i + 1
        following[after_i + 1] = before_j + 1
        following[after_j + 1] = after_i

    def _turn_at_busy_nodes(self, following: Ints, stops: Ints) -> None:
        """Say where to turn at nodes of many lines: pieces leave one in the order of the ends that they lead to."""
        ring, line = len(self.rings.vertex), self.stops.line[stops]
        before = ring + 2 * self.before[stops]
        node = np.concatenate([self.stops.node[stops]] * 2)
        towards = np.concatenate([self.lines.low[line], self.lines.high[line]])
        order = np.lexsort((towards, node))
        node = node[order]
        leaving = np.concatenate([before + 1, before + 2])[order]
        arriving = np.concatenate([before, before + 3])[order]
        first_there = np.flatnonzero(begins(node))
        previous = np.arange(len(node)) - 1
        previous[first_there] = np.append(first_there[1:], len(node)) - 1
        following[arriving] = leaving[previous]


def loops(following: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the cycles of `following` (M,): its members cycle after cycle, where each cycle starts (F + 1,), and its smallest.

    By pointer jumping (Wyllie 1979) each member comes to know the smallest of its cycle: of the 2**k ahead of it, until all
    agree. Then all cycles are walked at once.

    >>> members, start, smallest = loops(np.array([2, 1, 3, 0]))
    >>> members.tolist(), start.tolist(), smallest.tolist()
    ([0, 2, 3, 1], [0, 3, 4], [0, 1])
    """
    count = len(following)
    smallest, ahead = np.minimum(np.arange(count), following), following
    while True:
        ahead = ahead.take(ahead)
        found = smallest.take(ahead)
        np.minimum(found, smallest, out=found)
        if np.array_equal(found, smallest):
            break
        smallest = found
    heads = np.flatnonzero(smallest == np.arange(count))
    sizes = np.bincount(smallest)[heads] if count else np.empty(0, np.int64)
    start = np.concatenate([[0], np.cumsum(sizes)])
    members = np.empty(count, np.int64)
    here, head, place = heads, heads, start[:-1]
    while len(here):
        members[place] = here
        here = following.take(here)
        further = here != head
        here, head, place = here[further], head[further], place[further] + 1
    return members, start, heads
