"""What a forward pass says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from boundarycb.types.arrays import Floats
from boundarycb.types.units import Layer

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Bend:
    """A call in the forward pass, of no activation, that may bend what the network computes.

    Args:
        module: path of the module that made it; empty for the model itself.
        function: its name.
        after: how many activations were called before.
        surely: whether it bends in any case, as a maximum over a window does.
        option: the name under which ``activations=`` makes it an activation; empty where there is none.
    """

    module: str
    function: str
    after: int
    surely: bool = False
    option: str = ""

    def __str__(self) -> str:
        return f"{self.function} in {self.module or 'its forward'}"


@dataclass(frozen=True)
class Room:
    """How much may go through a model at once.

    Args:
        points: so many in any case, where their inputs have room.
        inputs: how many times the usual bytes the inputs of so many points may take.
    """

    points: int = 1
    inputs: int = 1


class Block(Protocol):
    """Pre-activations (n, U) of n points, wherever they lie."""

    @property
    def shape(self) -> tuple[int, int]:
        """Points and units."""

    @property
    def on(self) -> NDArray[np.bool_]:
        """The units' states, bool (n, U): pre-activation > 0."""

    @property
    def undefined(self) -> NDArray[np.int64]:
        """The units (k,) that are NaN or infinite somewhere."""

    def at(self, places: NDArray[np.int64], steps: Sequence[int]) -> Floats:
        """Return the numbers `steps` behind each of the flat places (M,), float64 (len(steps), M)."""

    def rows(self, start: int, stop: int | None = None) -> Self:
        """Return a copy of the points from `start` up to `stop`."""

    def followed_by(self, *others: Self) -> Self:
        """Return its points and those of `others` after them."""

    def array(self) -> Floats:
        """Return all of them."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What one forward pass of n points said. It lives no longer than the band of points that it belongs to.

    Args:
        layers: the layers in the order of their calls.
        parts: pre-activations of the kept units, float32 or float64: arrays (n, …) that stand side by side, one a layer as a rule.
        output: what is shown of the model's output (n, C), or None where it has no numbers per point.
        gaps: what could not be read, in words.
        kinks: for each layer the pre-activations between which its activation is affine; None where it is smooth, jumps, or
            cannot be told; empty where nothing is known of any.
        bends: what else was called that may bend the network.
        closes: whether the last layer's activation gives what is shown of the output, itself.
        what: what `output` is: ``scores`` of C classes, else in words what its one number is.
        codes: uint64 (n,), a number for the states of all units, watched or not; None where they were not read.
        away: the pre-activations, where they stay on the model's device; then `parts` is empty.
        joined: what `parts` are side by side, where they were read so: then they are views of it.
    """

    layers: tuple[Layer, ...]
    parts: tuple[Floats, ...]
    output: Floats | None
    gaps: tuple[str, ...] = ()
    kinks: tuple[tuple[float, ...] | None, ...] = ()
    bends: tuple[Bend, ...] = ()
    closes: bool = False
    what: str = "scores"
    codes: NDArray[np.uint64] | None = None
    away: Block | None = None
    joined: Floats | None = None

    @property
    def count(self) -> int:
        """How many points there are."""
        return len(self.parts[0]) if self.away is None else self.away.shape[0]

    def first(self, n: int) -> Reading:
        """Return the same of the first `n` points alone."""
        if self.count == n:
            return self
        output = None if self.output is None else self.output[:n]
        codes = None if self.codes is None else self.codes[:n]
        away = None if self.away is None else self.away.rows(0, n)
        joined = None if self.joined is None else self.joined[:n]
        parts = tuple(part[:n] for part in self.parts)
        return replace(self, parts=parts, output=output, codes=codes, away=away, joined=joined)

    @cached_property
    def z(self) -> Floats:
        """Pre-activations of all kept units (n, U)."""
        if self.away is not None:
            return self.away.array()
        if self.joined is not None:
            return self.joined
        return self.parts[0] if len(self.parts) == 1 else np.concatenate(self.parts, axis=1)


Forward = Callable[[Floats], Reading]
"""Runs the model on inputs float64 (n, *input_shape). Made by the probe, valid inside its ``with`` block only."""
