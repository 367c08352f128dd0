"""A total shared out among those who made it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Floats

_PARTS = 3


def shapley(totals: NDArray[np.int64]) -> Floats:
    r"""Return the Shapley value of each of three players, float64 (3, U), in the totals' unit.

    .. math:: \phi_i = \sum_{S \not\ni i} \frac{|S|!\,(2 - |S|)!}{3!} \left(v(S \cup i) - v(S)\right)

    (Shapley, "A value for n-person games", 1953). The three add up to the total of all players; one can be negative.

    Args:
        totals: v, whole numbers (8, U): row S for the coalition whose bits are S, with row 0 zero.

    >>> shapley(np.array([[0], [2], [0], [2], [4], [6], [4], [6]])).ravel().tolist()
    [2.0, 0.0, 4.0]
    """
    sixths = np.zeros((_PARTS, totals.shape[1]), dtype=np.int64)
    for player in range(_PARTS):
        for coalition in range(2**_PARTS):
            if not coalition >> player & 1:
                weight = (2, 1, 2)[coalition.bit_count()]
                sixths[player] += weight * (totals[coalition | 1 << player] - totals[coalition])
    return sixths / 6
