"""What the model says at the vertices: each runs through it once, and all layers' values are kept until it is their turn."""

from __future__ import annotations

from copy import copy

import numpy as np

from boundarycb.engines.bands import ANOTHER_PATH, batches
from boundarycb.engines.exact.cells import CORNERS
from boundarycb.engines.exact.limits import NotFinite, TooMuchMemory, Unsuitable
from boundarycb.types import Floats, Forward, Layer, Reading, Slice

LEAST_BATCH = 13
"""Points in a pass: fewer could be taken for another axis of a small model's."""


class Values:
    """The pre-activations of all layers and the output at points of the unit square, which is the slice.

    Where later layers' values take too much memory, they are computed again when it is their turn.

    Args:
        forward: runs the model; watches all units.
        slice: the slice.
        memory: bytes that the values may take.

    Attributes:
        slice: the slice.
        reading: what the model said at its corners.
    """

    def __init__(self, forward: Forward, slice: Slice, memory: int) -> None:
        self._forward = forward
        self.slice = slice
        self._memory = memory
        self.reading = self._run(CORNERS)
        self._blocks = [[part] for part in (*self.reading.parts, self.reading.output) if part is not None]
        self._rows = [len(CORNERS)] * len(self._blocks)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order of their calls, with all of their units."""
        return self.reading.layers

    @property
    def units(self) -> int:
        """How many units there are."""
        return sum(layer.size for layer in self.layers)

    def take(self, number: int, points: Floats) -> Floats:
        """Return layer `number`'s pre-activations (V, units), or after the last layer's the output, at `points` (V, 2); once.

        Args:
            number: place of the layer; the next of the last one that was taken.
            points: in the unit square; the first are its corners, then those of earlier calls.

        Raises:
            TooMuchMemory: they would take more than is allowed.
            NotFinite: a value is not finite.
        """
        done = self._rows[number]
        blocks, self._blocks[number] = self._blocks[number], []
        kept = self._kept(number, len(points))
        values = np.empty((len(points), self._width(number)), blocks[0].dtype)
        np.concatenate(blocks, out=values[:done])
        # Each batch is copied into place while it is at hand, so that the layer's values are held once.
        for part in batches(self.slice, points[done:], self.units) if done < len(points) else ():
            reading = self._read(part)
            values[done : done + len(part)] = self._part(reading, number)
            done += len(part)
            for place in kept:
                self._blocks[place].append(self._part(reading, place))
        for place in kept:
            self._rows[place] = done
        if not np.isfinite(values).all():
            name = self.layers[number].name if number < len(self.layers) else "the output"
            raise NotFinite(f"{name} is not finite everywhere")
        return values

    def by(self, forward: Forward) -> Values:
        """Return the same, of the same model, run by another `forward`."""
        other = copy(self)
        other._forward = forward
        return other

    def at(self, points: Floats) -> tuple[Floats, Floats | None]:
        """Return all layers' pre-activations (n, U) and the output (n, C), or None, at `points` (n, 2) of the unit square."""
        readings = [self._read(part) for part in batches(self.slice, points, self.units)]
        outputs = [reading.output for reading in readings if reading.output is not None]
        return np.concatenate([reading.z for reading in readings]), np.concatenate(outputs) if outputs else None

    def _kept(self, number: int, rows: int) -> list[int]:
        """Return the layers after `number` whose values at new points are kept too, as far as memory allows."""
        held, kept = 8 * rows * self._width(number), []
        if held > self._memory:
            raise TooMuchMemory(self._memory)
        for place in range(number + 1, len(self._rows)):
            held += 8 * rows * self._width(place)
            if held > self._memory:
                break
            if self._rows[place] == self._rows[number]:
                kept.append(place)
        return kept

    def _width(self, place: int) -> int:
        if place < len(self.layers):
            return self.layers[place].size
        return 0 if self.reading.output is None else self.reading.output.shape[1]

    def _read(self, points: Floats) -> Reading:
        reading = self._run(points)
        if reading.layers != self.layers:
            raise ValueError(ANOTHER_PATH)
        return reading

    def _run(self, points: Floats) -> Reading:
        (u0, u1), (v0, v1) = self.slice.bounds
        enough = points if len(points) >= LEAST_BATCH else np.resize(points, (LEAST_BATCH, 2))
        return self._forward(self.slice.lift(np.array([u0, v0]) + enough * np.array([u1 - u0, v1 - v0]))).first(len(points))

    def _part(self, reading: Reading, place: int) -> Floats:
        if place < len(self.layers):
            return reading.parts[place]
        if reading.output is None:
            raise Unsuitable("the model's output is no vector a point")
        return reading.output
