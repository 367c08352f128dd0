"""What meets in cells: the lines of a layer's chords, which of them cross, and in which order they do along each.

In a cell two lines cross if and only if their ends take turns on the cell's ring, so what crosses what needs no geometry. Where
they cross only says in which order the crossings of a line stand, and which of them are one point: in degenerate networks many
lines meet in one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.exact.chords import Chords
from boundarycb.engines.exact.limits import TooManyVertices
from boundarycb.engines.exact.rings import DELTA, Rings, sort_key
from boundarycb.engines.sorting import Ints, begins
from boundarycb.types import Floats

_PAIRS = 2**22  # pairs of lines that are looked at together


@dataclass(frozen=True, eq=False)
class Lines:
    """The K places of chords, each once: units that are zero on the same one share it.

    Args:
        low: int64 (K,), ring position of the one end, growing.
        high: int64 (K,), ring position of the other, higher; growing where `low` is equal.
    """

    low: Ints
    high: Ints

    @classmethod
    def of(cls, rings: Rings, chords: Chords) -> Lines:
        """Return the lines of `chords`."""
        size = len(rings.vertex)
        key = np.sort(np.minimum(chords.rising, chords.falling) * size + np.maximum(chords.rising, chords.falling))
        return cls(*np.divmod(key[begins(key)], size))

    def where(self, keep: NDArray[np.bool_]) -> Lines:
        """Return some of the lines."""
        return Lines(self.low[keep], self.high[keep])

    def crossing(self, known: int, limit: int) -> tuple[Ints, Ints]:
        """Return the pairs (i, j) of lines that cross, i before j.

        Raises:
            TooManyVertices: with the vertices that are `known` there would be more than `limit`.
        """
        # Those that begin strictly between the ends of i are the ones from first[i] to last[i].
        begun = np.cumsum(np.bincount(self.low, minlength=int(self.high.max(initial=0)) + 1))
        first = begun[self.low]
        counts = begun[self.high - 1] - first
        found = []
        for start, stop in _chunks(counts):
            count = counts[start:stop]
            i = np.repeat(np.arange(start, stop), count)
            j = np.arange(len(i)) + np.repeat(first[start:stop] - (np.cumsum(count) - count), count)
            cross = self.high[j] > self.high[i]
            found.append((i[cross], j[cross]))
            known += len(found[-1][0])
            if known > limit:
                raise TooManyVertices(limit)
        return found[0] if len(found) == 1 else (np.concatenate([i for i, _ in found]), np.concatenate([j for _, j in found]))


def _chunks(counts: Ints) -> list[tuple[int, int]]:
    """Return ranges of lines whose `counts` add up to about `_PAIRS` at most."""
    if counts.sum() <= _PAIRS:
        return [(0, len(counts))]
    part = np.cumsum(counts) // _PAIRS
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(counts)]
    return list(pairwise(cuts))


@dataclass(frozen=True, eq=False)
class Stops:
    """Where lines meet others on their way: S stops, sorted by line and along it, at I nodes.

    Args:
        line: int64 (S,).
        node: int64 (S,); every node is of two stops or more.
        points: float64 (I, 2), where the nodes are.
        doubtful: lines whose order of stops may not be that of the lines that they meet.
    """

    line: Ints
    node: Ints
    points: Floats
    doubtful: Ints

    @classmethod
    def of(cls, ends: tuple[Floats, Floats], pairs: tuple[Ints, Ints]) -> Stops:
        """Return the stops of lines, whose `ends` (K, 2) each are given, at the crossings of `pairs`."""
        i, j = pairs
        first, along = ends[0], ends[1] - ends[0]
        shares = _shares(first, along, i, j)
        points = first.take(i, axis=0) + shares[0][:, None] * along.take(i, axis=0)
        line, share = np.concatenate(pairs), np.concatenate(shares)
        order = np.argsort(sort_key(line, share))
        line, share, node = line[order], share[order], np.concatenate([np.arange(len(i))] * 2)[order]
        length = np.sqrt((along * along).sum(axis=1))[line]
        at_end = np.minimum(share, 1 - share) * length < DELTA
        stops = cls(line, node, points, line[at_end])
        near = (line[1:] == line[:-1]) & ((share[1:] - share[:-1]) * length[1:] < DELTA)
        return stops._merged(near) if near.any() else stops

    def _merged(self, near: NDArray[np.bool_]) -> Stops:
        """Return the stops where nodes of neighbours that are `near` each other are one."""
        crossings = len(self.points)
        cluster = _components(self.node[:-1][near], self.node[1:][near], crossings)
        node = cluster[self.node]
        first = np.ones(len(node), np.bool_)
        first[1:] = (node[1:] != node[:-1]) | (self.line[1:] != self.line[:-1])
        line, node = self.line[first], node[first]
        # Of k lines through one node all k (k - 1) / 2 pairs must cross there; else some only come near it.
        through = np.bincount(node, minlength=crossings)
        met = np.bincount(cluster, minlength=crossings)
        odd = met != through * (through - 1) // 2
        is_node = through > 0
        number = np.cumsum(is_node) - 1
        return Stops(line, number[node], self.points[is_node], np.concatenate([self.doubtful, line[odd[node]]]))


def _shares(first: Floats, along: Floats, i: Ints, j: Ints) -> tuple[Floats, Floats]:
    """Return how far along line i and along line j they cross, each (I,) in [0, 1]."""
    (ix, iy), (jx, jy) = along.take(i, axis=0).T, along.take(j, axis=0).T
    between_x, between_y = (first.take(j, axis=0) - first.take(i, axis=0)).T
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = 1 / (ix * jy - iy * jx)
        on_i, on_j = (between_x * jy - between_y * jx) * turn, (between_x * iy - between_y * ix) * turn
    # Lines that are parallel to the last digit get a crossing at an end, which is doubtful.
    return np.fmin(np.fmax(on_i, 0), 1), np.fmin(np.fmax(on_j, 0), 1)


def _components(a: Ints, b: Ints, count: int) -> Ints:
    """Return for each of `count` things the smallest that the links between `a` and `b` join it to."""
    label = np.arange(count)
    while True:
        smaller = np.minimum(label[a], label[b])
        if np.array_equal(label[a], smaller) and np.array_equal(label[b], smaller):
            return label
        np.minimum.at(label, a, smaller)
        np.minimum.at(label, b, smaller)
        label = label[label]
