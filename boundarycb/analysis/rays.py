"""Segments of input space, and what a model makes of points on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.bands import ANOTHER_PATH, most_together
from boundarycb.engines.exact import LEAST_BATCH
from boundarycb.slices import to_array
from boundarycb.types import Array, Floats, Forward, Reading, frozen

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rays:
    """Straight ways through input space, each from a start to a stop; a place on one is 0 at its start and 1 at its stop.

    Args:
        start: float64 (m, *input_shape).
        stop: float64 (m, *input_shape).
    """

    start: Floats
    stop: Floats

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @staticmethod
    def checked(start: Any, stop: Any, names: tuple[str, str] = ("start", "stop")) -> Rays:
        """Return rays between what a user gives, as the arguments called `names`.

        Raises:
            ValueError: the two are no batches of finite inputs of one shape, or an input is one number only.
        """
        ends = [_numbers(name, value) for name, value in zip(names, (start, stop), strict=True)]
        for name, end in zip(names, ends, strict=True):
            if end.ndim < 2 or not len(end) or end[0].size < 2 or not np.isfinite(end).all():
                raise ValueError(
                    f"`{name}` must be a batch of inputs of two or more finite numbers each, (m, *input_shape), got {end.shape}."
                )
        if ends[0].shape != ends[1].shape:
            raise ValueError(f"`{names[0]}` and `{names[1]}` must have one shape, got {ends[0].shape} and {ends[1].shape}.")
        return Rays(*ends)

    def __len__(self) -> int:
        return len(self.start)

    def some(self, first: int, last: int) -> Rays:
        """Return the rays from number `first` to before `last`."""
        return Rays(self.start[first:last], self.stop[first:last])

    def at(self, ray: Ints, place: Floats) -> Floats:
        """Return the inputs (k, *input_shape) at places (k,) of rays (k,)."""
        share = place.reshape(-1, *[1] * (self.start.ndim - 1))
        return np.asarray((1 - share) * self.start[ray] + share * self.stop[ray])

    def lengths(self) -> Floats:
        """Return how long each ray is (m,), in input units."""
        return np.asarray(np.linalg.norm((self.stop - self.start).reshape(len(self), -1), axis=1))


@dataclass(frozen=True, eq=False)
class Values:
    """What a model makes of k points: pre-activations (k, U), and scores (k, C), of no column where there are no classes."""

    z: Floats
    scores: Floats

    def where(self, rows: Array) -> Values:
        """Return the same of some points alone."""
        return Values(self.z[rows], self.scores[rows])

    @staticmethod
    def joined(parts: list[Values]) -> Values:
        """Return the values of several sets of points, one after another."""
        return Values(np.concatenate([part.z for part in parts]), np.concatenate([part.scores for part in parts]))


class Reader:
    """Runs a model at places of rays, in batches whose inputs and pre-activations take a bounded number of bytes.

    Args:
        forward: runs the model.
        rays: the rays.
        reading: what the model said of any point: what it calls.

    Attributes:
        rays: the rays.
    """

    def __init__(self, forward: Forward, rays: Rays, reading: Reading) -> None:
        self.rays = rays
        self._forward, self._reading = forward, reading
        self._most = max(LEAST_BATCH, most_together(rays.start[0].size, sum(layer.size for layer in reading.layers)))

    def __call__(self, ray: Ints, place: Floats) -> Values:
        """Return what the model makes of places (k,) of rays (k,).

        Raises:
            ValueError: it calls other activations there than elsewhere.
        """
        return Values.joined(list(self._parts(ray, place)))

    def along(self, rays: Rays) -> Reader:
        """Return a reader of other rays."""
        return Reader(self._forward, rays, self._reading)

    def _parts(self, ray: Ints, place: Floats) -> Iterator[Values]:
        for first in range(0, max(1, len(ray)), self._most):
            inputs = self.rays.at(ray[first : first + self._most], place[first : first + self._most])
            count = len(inputs)
            some = inputs if count else self.rays.start[:1]  # of no points at all: what is asked is the shape
            reading = self._forward(np.resize(some, (max(count, LEAST_BATCH), *some.shape[1:])))
            if [layer.name for layer in reading.layers] != [layer.name for layer in self._reading.layers]:
                raise ValueError(ANOTHER_PATH)
            yield Values(reading.z[:count].astype(np.float64), _scores(reading)[:count])


def _numbers(name: str, value: Any) -> Floats:
    try:
        return to_array(value).astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be a batch of inputs, (m, *input_shape), got {type(value).__name__}, no array of it."
        ) from None


def _scores(reading: Reading) -> Floats:
    """Return the scores (n, C) of classes; (n, 0) where the output is none."""
    if reading.output is None or reading.output.shape[1] < 2:
        return np.empty((len(reading.z), 0))
    return reading.output.astype(np.float64)
