"""Groups of units that are all alike."""

from __future__ import annotations

import numpy as np

from boundarycb.types import Floats


def complete_linkage(likeness: Floats, level: float) -> list[list[int]]:
    """Return the groups of two or more rows that complete linkage makes at `level`, largest first.

    Groups are joined, the most alike first, as long as *all* pairs of the two are alike by `level` or more. (Single linkage, for
    which one pair is enough, would make a chain of the lines of a slowly turning fan one group.) Of equally alike pairs the first
    is taken.

    Args:
        likeness: symmetric (k, k), no NaN; the diagonal does not matter.
        level: the least likeness within a group.

    >>> likeness = np.array([[1, 0.99, 0.8], [0.99, 1, 0.97], [0.8, 0.97, 1]])
    >>> complete_linkage(likeness, 0.95)
    [[0, 1]]
    """
    left = likeness.astype(np.float64)
    np.fill_diagonal(left, -np.inf)
    groups = {row: [row] for row in range(len(left))}
    while len(left):
        best = int(left.argmax())
        one, other = divmod(best, len(left))
        if not left[one, other] >= level:
            break
        joined = np.minimum(left[one], left[other])
        left[one] = left[:, one] = joined
        left[other] = left[:, other] = left[one, one] = -np.inf
        groups[one] += groups.pop(other)
    return sorted((sorted(group) for group in groups.values() if len(group) > 1), key=lambda group: (-len(group), group))
