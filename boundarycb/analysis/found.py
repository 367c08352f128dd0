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
        names = ("ray", "place", "column", "before", "after")
        every = Found(*(np.concatenate([getattr(part, name) for part in [Found.none(), *parts]]) for name in names))
        return every.where(np.lexsort((every.column, every.place, every.ray)))

    def where(self, rows: Array) -> Found:
        """Return some of them."""
        return Found(self.ray[rows], self.place[rows], self.column[rows], self.before[rows], self.after[rows])

    def shifted(self, rays: int) -> Found:
        """Return them with rays counted from another one on."""
        return replace(self, ray=self.ray + rays)
