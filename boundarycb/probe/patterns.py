"""Activation patterns of all units as one number a point: equal patterns have equal numbers, and nothing is stored of the units."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from boundarycb.packed import as_words
from boundarycb.probe.away import fetched, packed, stays
from boundarycb.types import Bits

Codes = NDArray[np.uint64]

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: its multiples are spread evenly
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Patterns:
    """Makes a number of the on/off states of all units at each of `n` points.

    The states are packed into words of 64; each word, with its place and its layer's, is scattered by SplitMix64's last steps
    (Steele et al. 2014, doi:10.1145/2660193.2660195), and the words are added up: of two patterns a chance of 2**-64 makes one.

    >>> patterns = Patterns(3)
    >>> patterns.add(torch.tensor([[1.0, -1.0], [2.0, 0.0], [2.0, 0.1]]), 0)
    >>> first, same, other = patterns.codes().tolist()
    >>> first == same, first == other
    (True, False)
    """

    def __init__(self, n: int) -> None:
        self._codes = np.zeros(n, np.uint64)
        self._there: dict[int, torch.Tensor] = {}  # packed bits that are still on the model's device, by layer

    def add(self, rows: torch.Tensor, layer: int) -> None:
        """Take a layer's pre-activations (n, …)."""
        bits = packed(rows.detach().reshape(len(rows), -1) > 0)
        if stays(bits):
            self._there[layer] = bits
        else:
            self._codes += _coded(bits.numpy(), layer)

    def codes(self) -> Codes:
        """Return the numbers, uint64 (n,)."""
        for layer, bits in zip(self._there, fetched([*self._there.values()]), strict=True):
            self._codes += _coded(bits, layer)
        self._there.clear()
        return self._codes


def _coded(bits: Bits, layer: int) -> Codes:
    """Return what packed states (n, bytes) of a layer's add to the points' numbers."""
    words = as_words(bits)
    with np.errstate(over="ignore"):
        places = (np.arange(words.shape[1], dtype=np.uint64) + np.uint64(layer << 32) + np.uint64(1)) * _ODD
        found = _scattered(words + _scattered(places))
    return found[:, 0] if found.shape[1] == 1 else np.asarray(found.sum(axis=1, dtype=np.uint64))


def _scattered(words: Codes) -> Codes:
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))
