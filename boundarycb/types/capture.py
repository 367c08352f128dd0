"""What a sample sees on the grid: the output, and which units are on."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from boundarycb.types.arrays import Bits, Floats, freeze
from boundarycb.types.units import Layer, spans_of

Mode = Literal["eval", "as_is"]
"""How a model is run: in eval mode, or with every module in the mode that it is in."""


@dataclass(frozen=True, eq=False)
class Field:
    """What the network says on the grid: the picture's background.

    Args:
        kind: ``value`` (one output), ``probability`` (of class 1 of two) or ``classes`` (more than two; or two sigmoids).
        value: float32 (H, W): the output; float16: the probability of class 1, or the probability of the winning class.
        winner: uint16 (H, W), the winning class; only for ``classes``. Of more than 65,536 classes it is uint32, and so is `above`.
        classes: number of outputs, C.
        what: what `value` is where it is a number of the output's, such as ``mean of the output``; of a ``probability``
            ``softmax`` where that is made of scores, and ``probability`` where the model gives it.
        names: of the classes, for captions; empty, or C of them.
        second: float16 (H, W), the probability of the runner-up; only for ``classes``.
        above: uint16 (H, W), how many outputs are above 0.5, where each is a sigmoid of its own; None where they share a sum of 1.
        surfaces: float32 (k, h, w), the chance of each of the first k classes, or the one output, on a grid of at most 48 points a
            side; None where that was not asked for.
        limits: between which the one output of a ``value`` lies whatever the network, such as 0 and 1 of a sigmoid at its end; None
            where nothing is known of that, and of other kinds.
    """

    kind: Literal["value", "probability", "classes"]
    value: Floats
    winner: NDArray[np.unsignedinteger[Any]] | None = None
    classes: int = 1
    what: str = "output"
    names: tuple[str, ...] = ()
    second: Floats | None = None
    above: NDArray[np.unsignedinteger[Any]] | None = None
    surfaces: Floats | None = None
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        freeze(self, "value", "winner", "second", "above", "surfaces")


@dataclass(frozen=True, eq=False, repr=False)
class Capture:
    """On/off states of the kept units and the output at the P grid points.

    Args:
        layers: the layers, in the order of their calls.
        resolution: H = W.
        on: packed bits, uint8 (U, ceil(P / 8)), most significant bit first: pre-activation > 0 at each grid point.
        field: the output, or None where the model's output is no vector per point.
        notes: what was left out or is not finite, in words.
        undefined: indices (k,) of the units, among all U, that were NaN or infinite somewhere; their states mean nothing.
        strength: float64 (U,), mean absolute activation (of a convolution: over its channel's positions), or None.
        planes: float64 (U, 3), for units that are affine on the slice the gradient there, in input lengths, and the value at its
            centre; NaN for others; or None.
        mode: ``eval``, or ``as_is`` where every module was left in the mode that it had.
        patterns: how many activation patterns of all units, watched or not, there are at the grid points; None where that was not
            counted. There may be more between them.
        flat: float64 (U,), share of the slice on which a unit's pre-activation is less than 1 % of its root mean square; None where
            that was not asked for, and in what is read back from a history.
        saturated: float64 (U,), share of the slice on which a sigmoid's or tanh's slope is less than 1 % of the largest one; NaN
            for other activations; None as for `flat`.
    """

    layers: tuple[Layer, ...]
    resolution: int
    on: Bits
    field: Field | None = None
    notes: tuple[str, ...] = ()
    undefined: NDArray[np.int64] = dataclass_field(default_factory=lambda: np.empty(0, np.int64))
    strength: Floats | None = None
    planes: Floats | None = None
    mode: Mode = "eval"
    patterns: int | None = None
    flat: Floats | None = None
    saturated: Floats | None = None

    def __post_init__(self) -> None:
        units = sum(len(layer.kept) for layer in self.layers)
        want = (units, -(-(self.resolution**2) // 8))
        if self.on.shape != want or self.on.dtype != np.uint8:
            raise ValueError(f"`on` must be uint8 of shape {want}, got {self.on.dtype} {self.on.shape}.")
        freeze(self, "on", "undefined", "strength", "planes", "flat", "saturated")

    def __repr__(self) -> str:
        names = ", ".join(layer.name for layer in self.layers)
        return f"<Capture of {len(self.on)} units of {names} on {self.resolution} x {self.resolution} points>"

    def switching(self) -> NDArray[np.bool_]:
        """Return which units are on at some grid points and off at others, bool (U,)."""
        points = self.resolution**2
        full = np.packbits(np.ones(points, dtype=bool))
        return np.asarray((self.on != 0).any(axis=1) & (self.on != full).any(axis=1))

    def mask(self, layer: str) -> NDArray[np.bool_]:
        """Return the on/off states of `layer`'s kept units, bool (units, H, W)."""
        spans = spans_of(self.layers)
        if layer not in spans:
            raise KeyError(f"`layer` must be one of {', '.join(spans)}, got {layer!r}.")
        side = self.resolution
        bits = np.unpackbits(self.on[spans[layer]], axis=1, count=side * side)
        return bits.reshape(-1, side, side).astype(bool)
