"""Activation patterns of all units as one number a point: equal patterns have equal numbers, and nothing is stored of the units."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from boundarycb.packed import as_words
from boundarycb.probe.away import packed, stays
from boundarycb.types import Bits

Codes = NDArray[np.uint64]

_ODD = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: its multiples are spread evenly
_STEPS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST = 31


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
        self._there: list[torch.Tensor] = []  # packed states that are still on the model's device, of one layer after another
        self._first = 0  # the first of those layers

    def add(self, rows: torch.Tensor, layer: int) -> None:
        """Take a layer's pre-activations (n, …)."""
        bits = packed(rows.detach().reshape(len(rows), -1) > 0)
        if stays(bits, *self._there[:1]):
            self._first = self._first if self._there else layer
            self._there.append(bits)
        else:
            self._codes += _coded(bits.cpu().numpy(), layer)

    def codes(self) -> Codes:
        """Return the numbers, uint64 (n,)."""
        if self._there:
            self._codes += coded_there(torch.cat(self._there, dim=1), self._first).cpu().numpy().view(np.uint64)
            self._there.clear()
        return self._codes


def _coded(bits: Bits, layer: int) -> Codes:
    """Return what packed states (n, bytes) of a layer's add to the points' numbers."""
    words = as_words(bits)
    with np.errstate(over="ignore"):
        places = (np.arange(words.shape[1], dtype=np.uint64) + np.uint64((layer << 32) + 1)) * np.uint64(_ODD)
        found = _scattered(words + _scattered(places))
    return found[:, 0] if found.shape[1] == 1 else np.asarray(found.sum(axis=1, dtype=np.uint64))


def _scattered(words: Codes) -> Codes:
    for shift, factor in _STEPS:
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return words ^ (words >> np.uint64(_LAST))


def coded_there(bits: torch.Tensor, layer: int) -> torch.Tensor:
    """Return the same numbers of packed states (n, bytes) on their device, int64 (n,): the bits are those of the unsigned ones."""
    words = F.pad(bits, (0, -bits.shape[1] % 8)).view(torch.int64)
    places = (torch.arange(words.shape[1], device=bits.device) + ((layer << 32) + 1)) * _signed(_ODD)
    return _scattered_there(words + _scattered_there(places)).sum(dim=1)


def _scattered_there(words: torch.Tensor) -> torch.Tensor:
    for shift, factor in _STEPS:
        words = (words ^ _shifted(words, shift)) * _signed(factor)
    return words ^ _shifted(words, _LAST)


def _shifted(words: torch.Tensor, shift: int) -> torch.Tensor:
    """Return words shifted right with zeros from the left, which a signed number's shift fills with its sign."""
    return (words >> shift) & ((1 << (64 - shift)) - 1)


def _signed(number: int) -> int:
    return number - 2**64
