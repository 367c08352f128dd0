"""What metrics do with packed on/off states."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Bits, Capture, Field, Floats

_TABLE = np.unpackbits(np.arange(2**16, dtype="<u2").view(np.uint8).reshape(-1, 2), axis=1).sum(axis=1, dtype=np.uint8)


def count_ones(bits: Bits) -> NDArray[np.int64]:
    """Return the number of set bits of each row of packed `bits` (U, bytes), int64 (U,)."""
    return _ones(_words(bits))


def count_common(bits: Bits) -> NDArray[np.int64]:
    """Return the number of bits that are set in both, of each pair of rows of packed `bits` (U, bytes), int64 (U, U).

    As fast as a matrix product of the states, without its memory, and without its threads, which wait for each other where other
    processes keep the processor busy.
    """
    words = _words(bits)
    both = np.zeros((len(words), len(words)), dtype=np.int64)
    for row in range(len(words)):
        both[row, row:] = both[row:, row] = _ones(words[row] & words[row:])
    return both


def _words(bits: Bits) -> NDArray[np.uint64]:
    """Return packed rows as 64-bit words, filled up with zeros."""
    if bits.shape[1] % 8:
        bits = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    return np.ascontiguousarray(bits).view(np.uint64)


def _ones(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    # numpy 1 has no instruction for it.
    counts = np.bitwise_count(words) if hasattr(np, "bitwise_count") else _TABLE[words.view(np.uint16)]
    return np.asarray(counts.sum(axis=1, dtype=np.int64))


def defined(*captures: Capture) -> NDArray[np.bool_]:
    """Return which units have a state everywhere in all of `captures`, bool (U,)."""
    good = np.ones(len(captures[0].on), dtype=bool)
    for capture in captures:
        good[capture.undefined] = False
    return good


def classes_of(field: Field) -> NDArray[Any] | None:
    """Return the class that wins at each grid point (H, W); None where the output is no classes."""
    if field.kind == "value":
        return None
    return np.asarray(field.value > 0.5) if field.winner is None else field.winner


def mean(values: Floats) -> float:
    """Return the mean of the values that are not NaN; NaN where there are none."""
    good = values[~np.isnan(values)]
    return float(good.mean()) if len(good) else float("nan")


def phi(bits: Bits, points: int) -> Floats:
    r"""Return the phi coefficient of each pair of units' on/off states, float64 (U, U).

    .. math:: \varphi_{ij} = \frac{p_{ij} - p_i p_j}{\sqrt{p_i (1 - p_i) p_j (1 - p_j)}}

    with the share p of points where a unit, or both, are on. It is Pearson's correlation of two yes-or-no variables (Yule 1912;
    Matthews 1975): 1 for the same states, -1 for opposite ones, 0 for what chance gives. A unit that is always on, or never, has
    no phi: its row and column are NaN.

    Args:
        bits: packed states (U, bytes) of `points` points.
        points: P.

    >>> states = np.packbits([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], axis=1)
    >>> phi(states, 4)[0].round(5).tolist()
    [1.0, -1.0, 0.0, 0.57735, nan]
    """
    both = count_common(bits).astype(np.float64)
    on = np.diag(both)
    spread = on * (points - on)  # of equal units the root below is exact, and so their phi of 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip((points * both - np.outer(on, on)) / np.sqrt(np.outer(spread, spread)), -1, 1)
