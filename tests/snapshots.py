"""Snapshots made by hand, the same on every machine: no random numbers, no torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from boundarycb import slices
from boundarycb.engines.bands import sweep
from boundarycb.engines.grid import LineReader
from boundarycb.engines.masks import MaskReader
from boundarycb.types import Floats, Layer, Reading, Slice, Snapshot

Function = Callable[[Floats, Floats], Floats]
SQUARE = slices.box((-1, 1), (-1, 1))


def fan(count: int, turn: float) -> list[Function]:
    """Return `count` lines that turn around the middle."""
    angles = [turn + np.pi * k / count for k in range(count)]

    def line(k: int, angle: float) -> Function:
        return lambda x, y: np.cos(angle) * x + np.sin(angle) * y - 0.2 + 0.07 * k

    return [line(k, angle) for k, angle in enumerate(angles)]


def rings(count: int, middle: tuple[float, float]) -> list[Function]:
    """Return `count` squares around `middle`, one inside the other."""

    def ring(radius: float) -> Function:
        return lambda x, y: radius - np.maximum(abs(x - middle[0]), abs(y - middle[1]))

    return [ring(0.2 + 0.15 * k) for k in range(count)]


def layers_of(counts: list[int]) -> tuple[Layer, ...]:
    return tuple(Layer(f"layer{k + 1}", "relu", (count,), tuple(range(count))) for k, count in enumerate(counts))


def snapshot(
    groups: list[list[Function]],
    output: Function | None = None,
    *,
    step: int = 0,
    plane: Slice = SQUARE,
    resolution: int = 64,
    scalars: dict[str, float] | None = None,
) -> Snapshot:
    """Return the snapshot of units that are functions of u and v, a layer a group."""
    layers = layers_of([len(group) for group in groups])

    def forward(inputs: Floats) -> Reading:
        points, _ = plane.project(inputs)
        u, v = points[:, 0], points[:, 1]
        z = np.stack([function(u, v) + 0 * u for group in groups for function in group], axis=1)
        return Reading(layers, (z,), None if output is None else output(u, v))

    masks, lines = MaskReader(resolution), LineReader()
    sweep(forward, plane, resolution, masks, lines)
    return Snapshot(step, 1e9 + step, plane, masks.result(), lines.result(), scalars=scalars or {})


def two_classes(u: Floats, v: Floats) -> Floats:
    return np.stack([0 * u, 12 * (0.45 - np.maximum(abs(u), abs(v + 0.2)))], axis=1)


def one_value(u: Floats, v: Floats) -> Floats:
    return (5 * u * v)[:, None]


def four_classes(u: Floats, v: Floats) -> Floats:
    return 4 * np.stack([u + v, u - v, v - u, -u - v], axis=1)


def plain(step: int = 1200) -> Snapshot:
    groups = [fan(6, step / 4000), rings(3, (0.1, -0.2)), fan(4, 0.7 + step / 2000)]
    return snapshot(groups, two_classes, step=step, scalars={"loss": 0.03125, "lr": 0.0098})
