"""Units and layers of units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Unit:
    """One scalar pre-activation of the network.

    Args:
        layer: name of its layer.
        index: its place in the layer's flattened pre-activation.
        position: the same unflattened: (unit,) for a fully connected layer, (channel, row, column) for a convolution.
    """

    layer: str
    index: int
    position: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer of units: one activation call in the forward pass.

    Args:
        name: the name that users meet, only ``[A-Za-z0-9_.-]``.
        op: the activation, such as ``relu`` or ``tanh``.
        shape: the pre-activation's shape without the batch, such as (16,) or (channels, rows, columns).
        kept: flat indices of the units that are watched, growing; all of them unless a cap left some out.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    kept: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of units that the layer has, kept or not."""
        return math.prod(self.shape)


@lru_cache(maxsize=16)
def units_of(layers: tuple[Layer, ...]) -> tuple[Unit, ...]:
    """Return the kept units of `layers`, in the order of the columns of every (…, U) array."""
    return tuple(
        Unit(layer.name, index, tuple(int(i) for i in np.unravel_index(index, layer.shape or (1,))))
        for layer in layers
        for index in layer.kept
    )


def watched_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return those of which units are watched."""
    return tuple(layer for layer in layers if layer.kept)


def left_out(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return in words which units are not watched in layers that are; nothing where all are.

    >>> left_out([Layer("conv", "relu", (8, 30, 30), tuple(range(64)))])
    ('conv: 64 of 7,200 units watched',)
    """
    capped = [layer for layer in layers if 0 < len(layer.kept) < layer.size]
    if len(capped) < 2:
        return tuple(f"{layer.name}: {len(layer.kept):,} of {layer.size:,} units watched" for layer in capped)
    kept, size = sum(len(layer.kept) for layer in capped), sum(layer.size for layer in capped)
    return (f"{len(capped)} layers: {kept:,} of {size:,} units watched",)


def class_layer(classes: int) -> Layer:
    """Return the layer that the borders between classes belong to: its unit k is on where class k wins."""
    return Layer("output", "argmax", (classes,), tuple(range(classes)))


def spans_of(layers: Sequence[Layer]) -> dict[str, slice]:
    """Return for each layer's name the span of its kept units among all U."""
    spans: dict[str, slice] = {}
    start = 0
    for layer in layers:
        spans[layer.name] = slice(start, start + len(layer.kept))
        start += len(layer.kept)
    return spans
