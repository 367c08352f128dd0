"""Counts of packed bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Bits

_TABLE = np.unpackbits(np.arange(2**16, dtype="<u2").view(np.uint8).reshape(-1, 2), axis=1).sum(axis=1, dtype=np.uint8)


def count_ones(bits: Bits) -> NDArray[np.int64]:
    """Return the number of set bits of each row of packed `bits` (U, bytes), int64 (U,)."""
    return _ones(as_words(bits))


def count_common(bits: Bits) -> NDArray[np.int64]:
    """Return the number of bits that are set in both, of each pair of rows of packed `bits` (U, bytes), int64 (U, U).

    As fast as a matrix product of the states, without its memory, and without its threads, which wait for each other where other
    processes keep the processor busy.
    """
    words = as_words(bits)
    both = np.zeros((len(words), len(words)), dtype=np.int64)
    for row in range(len(words)):
        both[row, row:] = both[row:, row] = _ones(words[row] & words[row:])
    return both


def count_between(bits: Bits, others: Bits) -> NDArray[np.int64]:
    """Return the number of bits that are set in both, of each row of `bits` (U, bytes) with each of `others` (V, bytes), (U, V).

    >>> count_between(np.array([[0b111], [0b100]], np.uint8), np.array([[0b110], [0b001], [0b000]], np.uint8)).tolist()
    [[2, 1, 0], [1, 0, 0]]
    """
    words, other_words = as_words(bits), as_words(others)
    return np.array([_ones(row & other_words) for row in words], dtype=np.int64).reshape(len(words), len(other_words))


def as_words(bits: Bits) -> NDArray[np.uint64]:
    """Return packed rows as 64-bit words, filled up with zeros."""
    if bits.shape[1] % 8:
        whole = np.zeros((len(bits), bits.shape[1] + -bits.shape[1] % 8), np.uint8)
        whole[:, : bits.shape[1]] = bits
        bits = whole
    return np.ascontiguousarray(bits).view(np.uint64)


def _ones(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    # numpy 1 has no instruction for it.
    counts = np.bitwise_count(words) if hasattr(np, "bitwise_count") else _TABLE[words.view(np.uint16)]
    return np.asarray(counts.sum(axis=1, dtype=np.int64))


def packed_rows(states: NDArray[np.bool_]) -> Bits:
    """Return `states` (…, n) packed along the last axis, (…, ceil(n / 8)), as ``np.packbits`` does, but many short rows faster.

    >>> packed_rows(np.array([[True, False, False], [False, True, True]])).tolist()
    [[128], [96]]
    """
    *shape, size = states.shape
    width = -(-size // 8)
    if size % 8:
        wide = np.zeros((*shape, 8 * width), np.bool_)
        wide[..., :size] = states
        states = wide
    return np.packbits(states).reshape(*shape, width)
