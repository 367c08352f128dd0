"""Streams the sampling grid through a forward pass, a band of rows at a time.

Memory is that of one band, whatever the resolution. The grid's nodes are the pixel centres and the slice's two borders
(:meth:`boundarycb.types.Slice.nodes`); masks use the centres, lines use all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.here import block_of
from boundarycb.types import Block, Floats, Forward, Layer, Reading, Room, Slice

_BAND_VALUES = 2**20  # pre-activations in a band: large enough that numpy's calls cost little, small enough for the cache
_BATCH_BYTES = 16 * 2**20  # of inputs in one forward pass: large inputs go in smaller batches
_LEAST_BATCH = 16
USUAL = Room()
"""What is on a processor, where no training is known."""


@dataclass(frozen=True, eq=False)
class Band:
    """Rows `start` … of the node grid, with what the model said there.

    Args:
        start: index of the first row.
        us: node coordinates along a row, (W,).
        vs: node coordinates of all rows, (H,).
        block: pre-activations (rows * W, U).
        reading: the reading that they belong to; its output is (rows * W, C).
    """

    start: int
    us: Floats
    vs: Floats
    block: Block
    reading: Reading

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, points a row and units."""
        points, units = self.block.shape
        return points // len(self.us), len(self.us), units

    @property
    def on(self) -> NDArray[np.bool_]:
        """The units' states, bool (rows, W, U): pre-activation > 0."""
        return self.block.on.reshape(self.shape)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of units, in the order of the columns of `z`."""
        return self.reading.layers


Reader = Callable[[Band], None]

FIXED = "a `forward`, a function (model, inputs) -> output, that makes a fixed number of steps"
"""What there is to give where the number of calls is not the same for all inputs, or at all weights."""

ANOTHER_PATH = (
    "The model calls other activations for other inputs, so its units cannot be lined up; "
    "give a `slice` on which it takes one path."
)


class AnotherPath(ValueError):  # noqa: N818 - it is a finding
    """The model calls other activations for other inputs."""


def another_path(one: Sequence[Layer], other: Sequence[Layer]) -> AnotherPath:
    """Return the error of a model that calls the layers of `one` for some inputs, and those of `other` for others."""
    counts = [Counter(re.sub(r"\.call\d+$", "", layer.name) for layer in layers) for layers in (one, other)]
    differing = [name for name in counts[0] if counts[0][name] != counts[1][name]]
    if counts[0].keys() != counts[1].keys() or not differing:
        return AnotherPath(ANOTHER_PATH)
    few, many = sorted(count[differing[0]] for count in counts)
    return AnotherPath(
        f"{ANOTHER_PATH} Where it iterates until a tolerance is met ({differing[0]} is called {few} or {many} times), that changes "
        f"with the weights, and no slice mends it: give {FIXED}."
    )


def checked_resolution(resolution: int) -> int:
    """Return `resolution`; raise ValueError where it is no whole number from 2 to 4096."""
    if not isinstance(resolution, int) or isinstance(resolution, bool) or not 2 <= resolution <= 4096:
        raise ValueError(f"`resolution` must be a whole number of points a side, 2 to 4096, got {resolution!r}.")
    return resolution


def sweep(forward: Forward, slice: Slice, resolution: int, *readers: Reader, units: int = 0, room: Room = USUAL) -> None:
    """Run `forward` over the grid of `slice` and hand every band to every reader, from the lowest row up.

    Args:
        forward: runs the model.
        slice: where.
        resolution: grid points a side.
        readers: what takes the bands.
        units: pre-activations of a point; 0 where that is not known, and the first row tells.
        room: how much may run at once.
    """
    us, vs = slice.nodes(checked_resolution(resolution))
    layers: tuple[Layer, ...] | None = None
    start, rows = 0, _rows(units, len(us), room) if units else 1
    while start < len(vs):
        u, v = np.meshgrid(us, vs[start : start + rows])
        reading = read(forward, slice, np.stack([u.ravel(), v.ravel()], axis=1), room)
        if layers is not None and reading.layers != layers:
            raise another_path(layers, reading.layers)
        layers = reading.layers
        band = Band(start, us, vs, block_of(reading), reading)
        for reader in readers:
            reader(band)
        del reading, band  # before the next one is read
        start += rows
        rows = _rows(sum(layer.size for layer in layers), len(us), room)


def _rows(units: int, width: int, room: Room) -> int:
    """Return how many rows of so many points make a band.

    What the forward pass computes counts, and not the part of it that is watched: that is what takes the memory.
    """
    return max(1, room.points // width, _BAND_VALUES // max(1, units * width))


def read(forward: Forward, slice: Slice, points: Floats, room: Room = USUAL) -> Reading:
    """Return what `forward` says at slice coordinates `points` (n, 2), in batches whose inputs take a bounded number of bytes.

    Raises:
        ValueError: the model calls other activations in another batch.
    """
    parts = batches(slice, points, room=room)
    first = forward(slice.lift(parts[0]))
    if len(parts) == 1:
        return first
    # Results are copied into place, since many small ones kept between large inputs would split the heap into pieces.
    z = None if first.away is not None else np.empty((len(points), first.z.shape[1]), first.z.dtype)
    away = []
    output = None if first.output is None else np.empty((len(points), first.output.shape[1]), first.output.dtype)
    codes = []
    start = 0
    for part in parts:
        reading = first if start == 0 else forward(slice.lift(part))
        if reading.layers != first.layers:
            raise another_path(first.layers, reading.layers)
        if z is not None:
            z[start : start + len(part)] = reading.z
        elif reading.away is not None:
            away.append(reading.away)
        codes += [] if reading.codes is None else [reading.codes]
        if output is not None and reading.output is not None:
            output[start : start + len(part)] = reading.output
        elif output is not None:
            output = None  # a background with holes is none
        start += len(part)
    codes_of_all = np.concatenate(codes) if codes else None
    if z is None:
        return replace(first, away=away[0].followed_by(*away[1:]), output=output, codes=codes_of_all)
    return replace(first, parts=(z,), joined=None, output=output, codes=codes_of_all)


def batches(slice: Slice, points: Floats, units: int = 1, room: Room = USUAL) -> list[Floats]:
    """Return `points` in parts whose inputs take a bounded number of bytes, as do the model's `units` pre-activations.

    Sixteen points, or those for which there is `room`, run at once in any case, where their inputs allow: one by one a large
    network takes its time.
    """
    return np.array_split(points, -(-len(points) // most_together(slice.origin.size, units, room)))


def most_together(numbers: int, units: int, room: Room = USUAL) -> int:
    """Return how many inputs of so many `numbers` may run at once through a model of so many `units`."""
    fitting = max(_LEAST_BATCH, room.points, _BAND_VALUES // max(1, units))
    usual = _BATCH_BYTES // (numbers * np.dtype(np.float64).itemsize)
    return max(1, min(fitting, max(usual, min(room.inputs * usual, room.points))))


def centres(slice: Slice, side: int) -> Floats:
    """Return the slice coordinates (side * side, 2) of the pixel centres of a grid, row by row."""
    us, vs = slice.nodes(side)
    u, v = np.meshgrid(us[1:-1], vs[1:-1])
    return np.stack([u.ravel(), v.ravel()], axis=1)
