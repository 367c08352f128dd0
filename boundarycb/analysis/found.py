"""Crossings as they are found, before a user sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from boundarycb.analysis.rays import Ints
from boundarycb.types import Array, Floats


@dataclass(frozen=True, eq=False)
class Found:
    """K crossings: the ray, the place on it, the unit's column (-1: the decision's), and the states or classes on either side."""

    ray: Ints
    place: Floats
    column: Ints
    before: Ints
    after: Ints

    @staticmethod
    def none() -> Found:
        """Return no crossings."""
        empty = np.empty(0, np.int64)
        return Found(empty, np.empty(0), empty, empty, empty)

    @staticmethod
    def joined(parts: list[Found]) -> Found:
        """Return all crossings of `parts`, sorted along the rays."""
        every = Found._together(parts)
        return every.where(np.lexsort((every.column, every.place, every.ray)))

    @staticmethod
    def in_turn(parts: list[Found], stretch: list[Ints]) -> Found:
        """Return all crossings of `parts`, sorted by the `stretch` of a ray that each is on (K,), and there part after part."""
        return Found._together(parts).where(np.argsort(np.concatenate([np.empty(0, np.int64), *stretch]), kind="stable"))

    @staticmethod
    def _together(parts: list[Found]) -> Found:
        names = ("ray", "place", "column", "before", "after")
        return Found(*(np.concatenate([getattr(part, name) for part in [Found.none(), *parts]]) for name in names))

    def merged(self, same: float) -> Found:
        """Return them with those of one ray and column that lie within `same` of one another as one.

        Those that end where they began are none: there something was only touched. Each ray's and column's must be in the order in
        which they are met, which where they lie does not tell.
        """
        every = self.where(np.lexsort((self.column, self.ray)))
        fresh = np.ones(len(every.ray), dtype=bool)
        fresh[1:] = (every.ray[1:] != every.ray[:-1]) | (every.column[1:] != every.column[:-1])
        fresh[1:] |= every.place[1:] - every.place[:-1] > same
        first = np.flatnonzero(fresh)
        last = np.append(first[1:], len(fresh)) - 1
        one = replace(every.where(first), after=every.after[last[: len(first)]])
        return Found.joined([one.where(one.before != one.after)])

    def where(self, rows: Array) -> Found:
        """Return some of them."""
        return Found(self.ray[rows], self.place[rows], self.column[rows], self.before[rows], self.after[rows])

    def shifted(self, rays: int) -> Found:
        """Return them with rays counted from another one on."""
        return replace(self, ray=self.ray + rays)
