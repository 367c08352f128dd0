"""How alike what units give is, and not only whether they are on."""

from __future__ import annotations

import numpy as np

from boundarycb.types import Floats

_CONSTANT = 1e-6
"""Values that differ by no more of their size are taken for one: single precision tells no better."""


def correlation(values: Floats) -> Floats:
    r"""Return Pearson's correlation of each pair of columns of `values` (n, k), float64 (k, k).

    .. math:: r_{ij} = \frac{\sum (h_i - \bar h_i) (h_j - \bar h_j)}{\sqrt{\sum (h_i - \bar h_i)^2 \sum (h_j - \bar h_j)^2}}

    Range -1 to 1; 1: the one is the other, up to a positive scale and an offset. A column that is constant, or not finite, has no
    correlation: its row and column are NaN.

    >>> correlation(np.array([[0.0, 1, 0, 3], [1, 3, 1, 3], [2, 5, 1, 3]])).round(4)[0].tolist()
    [1.0, 1.0, 0.866, nan]
    """
    good = np.isfinite(values).all(axis=0)
    columns = np.where(good, values, 0.0).astype(np.float64)
    size = abs(columns).max(axis=0)
    good &= np.ptp(columns, axis=0) > _CONSTANT * size
    columns = columns / np.where(good, size, 1.0)  # the squares of very large or small ones would be none
    columns -= columns.mean(axis=0)
    lengths = np.sqrt((columns**2).sum(axis=0))
    columns = columns / np.where(good, lengths, 1.0)
    r = np.clip(columns.T @ columns, -1, 1)
    r[~good] = r[:, ~good] = np.nan
    return np.asarray(r)
