"""Slow and plain answers to compare with, written without a look at the package's way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from boundarycb.types import Floats


def distance_to_lines(points: Floats, lines: Sequence[Floats]) -> Floats:
    """Return the distance of each point to the nearest of the polylines."""
    best = np.full(len(points), np.inf)
    for line in lines:
        for a, b in pairwise(line):
            length = float(((b - a) ** 2).sum())
            for index, point in enumerate(points):
                share = 0.0 if length == 0 else min(1.0, max(0.0, float(((point - a) * (b - a)).sum()) / length))
                best[index] = min(best[index], float(np.hypot(*(a + share * (b - a) - point))))
    return best


def edge_crossings(z: Floats, us: Floats, vs: Floats) -> Floats:
    """Return where one unit's values on the nodes (rows, columns) change sign along the grid's edges, a loop over edges."""
    found = []
    for i in range(len(vs)):
        for j in range(len(us)):
            for di, dj in ((0, 1), (1, 0)):
                if i + di < len(vs) and j + dj < len(us):
                    low, high = z[i, j], z[i + di, j + dj]
                    if (low > 0) != (high > 0):
                        share = low / (low - high)
                        found.append((us[j] + share * (us[j + dj] - us[j]), vs[i] + share * (vs[i + di] - vs[i])))
    return np.array(found).reshape(-1, 2)
