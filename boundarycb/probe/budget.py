"""How many points a traced pass takes, and of which layers it keeps map and input: memory and time stay bounded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from boundarycb.probe.calls import Call

LAYER_BYTES = 64 * 2**20
"""Most memory for weights and input of one layer."""
ALL_BYTES = 256 * 2**20
"""Most memory for those of all layers."""
LEAST_POINTS = 256
"""Fewer points than this tell nothing about shares of a slice."""
VALUES = 2**21
"""Pre-activations to compute in a traced pass, unless that were fewer than `LEAST_POINTS` points."""


@dataclass(frozen=True)
class Budget:
    """What a traced pass may do.

    Args:
        side: points a side of its grid.
        names: layers whose map and input are kept.
        left_out: layers that have a map, which is not kept.
    """

    side: int
    names: frozenset[str]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, calls: Sequence[Call], resolution: int, most: int | None = None) -> Budget:
        """Return what a traced pass of a model with these `calls` may do on a grid of `resolution` points a side, `most` in all."""
        points = cls.points(sum(call.layer.size for call in calls), resolution)
        points = points if most is None else min(points, most)
        least = min(points, LEAST_POINTS)
        mapped = [call for call in calls if call.affine is not None and call.layer.kept]
        kept = sorted((call for call in mapped if _needs(call, least) <= LAYER_BYTES), key=lambda call: _needs(call, least))
        while sum(_needs(call, least) for call in kept) > ALL_BYTES:
            kept.pop()
        for limit, group in [(LAYER_BYTES, [call]) for call in kept] + [(ALL_BYTES, kept)]:
            weights, inputs = (sum(call.memory[part] for call in group) for part in (0, 1))
            points = min(points, (limit - weights) // inputs) if inputs else points
        names = frozenset(call.layer.name for call in kept)
        left_out = tuple(call.layer.name for call in mapped if call.layer.name not in names)
        return cls(min(resolution, math.isqrt(points)), names, left_out)

    @staticmethod
    def points(units: int, resolution: int) -> int:
        """Return how many points a traced pass takes at most, of a model with `units` on a grid of `resolution` points a side."""
        return min(resolution**2, max(LEAST_POINTS, VALUES // units))


def _needs(call: Call, points: int) -> int:
    weights, inputs = call.memory
    return weights + points * inputs
