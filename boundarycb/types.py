"""The values that flow through boundarycb, and the signatures of its extension points.

Letters used for dimensions everywhere:

====== ==========================================================
letter meaning
====== ==========================================================
U      units (kept pre-activations, all layers after one another)
H, W   rows and columns of the sampling grid; both are ``resolution``
P      grid points, ``P = H * W``, row by row
S      lines (polylines)
N      points of all lines
D      input dimensions
C      classes (outputs)
n      points of one forward pass
====== ==========================================================

Coordinates say their frame: *slice* coordinates are ``(u, v)`` pairs on the 2-D slice, *input* coordinates are what the
model takes. Row 0 of a grid is the row of smallest ``v``; a picture turns it over so that ``v`` grows upwards.

Every value that is kept is frozen, its arrays are read-only, and it is checked once, when it is made.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self

_WIDEST = 4.0  # of a slice, by its height, that is drawn to scale

_LARGE = 2**17  # products of numbers, from which on a matrix product is none of one thread

Array = NDArray[Any]
Floats = NDArray[np.floating[Any]]
Bits = NDArray[np.uint8]
Bounds = tuple[tuple[float, float], tuple[float, float]]


Mode = Literal["eval", "as_is"]
"""How a model is run: in eval mode, or with every module in the mode that it is in."""


def frozen(array: Array) -> Array:
    """Return `array` itself where it is read-only already, else a read-only view of it."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def freeze(value: object, *names: str) -> None:
    """Make arrays that `value` was made with read-only; those that are None stay so."""
    for name in names:
        if getattr(value, name) is not None:
            object.__setattr__(value, name, frozen(getattr(value, name)))


# ---------------------------------------------------------------------------------------------------------------- slice


@dataclass(frozen=True, eq=False)
class Marks:
    """Samples seen from a slice; see :func:`boundarycb.slices.marked`.

    Args:
        points: float64 (n, 2), the slice coordinates nearest to each.
        off: float64 (n,), how far each lies off the slice's plane, in input units.
        labels: int64 (n,), their classes; -1 where there is none.
    """

    points: Floats
    off: Floats
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        freeze(self, "points", "off", "labels")


@dataclass(frozen=True, eq=False)
class Target:
    """What the output should be on a slice; see :func:`boundarycb.slices.aimed`.

    Args:
        labels: int64 (h, w), the class at each pixel centre of a grid of its own, the row of smallest ``v`` first; -1 where there
            is none.
        corners: float64 (K, 2), slice coordinates of the corners of the areas that classes have.
    """

    labels: NDArray[np.int64]
    corners: Floats

    def __post_init__(self) -> None:
        freeze(self, "labels", "corners")

    def at(self, resolution: int) -> NDArray[np.int64]:
        """Return the classes at the pixel centres of a grid of `resolution` points a side, (resolution, resolution)."""
        return np.asarray(self.labels[self.pixels(resolution)])

    def pixels(self, resolution: int) -> tuple[NDArray[np.int64], ...]:
        """Return which pixels are nearest to the points of such a grid, to index with: of two the one nearer to the middle.

        >>> target = Target(np.arange(16).reshape(2, 8), np.empty((0, 2)))
        >>> target.at(4)[0].tolist()
        [1, 3, 4, 6]
        """
        number = np.arange(resolution)
        sides = []
        for size in self.labels.shape:
            low = (2 * number + 1) * size // (2 * resolution)
            sides.append(np.where(2 * number < resolution, low, size - 1 - low[::-1]))  # so that mirroring changes nothing
        return np.ix_(*sides)


@dataclass(frozen=True, eq=False, repr=False)
class Slice:
    """A 2-D affine piece of input space: all inputs ``origin + u * axes[0] + v * axes[1]`` with (u, v) in `bounds`.

    Make one with :mod:`boundarycb.slices`.

    Args:
        origin: float64 of the model's input shape (without the batch), the input at (u, v) = (0, 0).
        axes: float64 (2, *input_shape), the two directions; they must not be parallel.
        bounds: ((u0, u1), (v0, v1)) in slice coordinates.
        anchors: float64 (K, 2), points that defined the slice, in slice coordinates; may be empty.
        names: what the two axes are, for captions.
        anchor_names: what the first anchors are, for captions; may be shorter than `anchors`.
        marks: samples to show, on the plane or off it.
        limits: float64 (K, 2), the corners of the part on which inputs are valid ones; None where nothing is known of that.
        target: what the output should be; None where nothing is known of that.
        held: of a model that takes more than what varies here, in words what varies and at what the rest is held; else empty.
        module: path of the module whose output varies here; empty where an input does.
    """

    origin: Floats
    axes: Floats
    bounds: Bounds
    anchors: Floats = dataclass_field(default_factory=lambda: np.empty((0, 2)))
    names: tuple[str, str] = ("u", "v")
    anchor_names: tuple[str, ...] = ()
    marks: Marks | None = None
    limits: Floats | None = None
    target: Target | None = None
    held: str = ""
    module: str = ""

    def __post_init__(self) -> None:
        origin = frozen(np.array(self.origin, dtype=np.float64))
        axes = frozen(np.array(self.axes, dtype=np.float64))
        anchors = frozen(np.array(self.anchors, dtype=np.float64).reshape(-1, 2))
        if axes.shape != (2, *origin.shape):
            raise ValueError(f"`axes` must have shape {(2, *origin.shape)} to fit `origin`, got {axes.shape}.")
        if not (np.isfinite(origin).all() and np.isfinite(axes).all()):
            raise ValueError("`origin` and `axes` must be finite numbers.")
        if np.linalg.matrix_rank(axes.reshape(2, -1)) < 2:
            raise ValueError("`axes` must be two directions that are not parallel and not zero.")
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "anchors", anchors)
        object.__setattr__(self, "bounds", checked_bounds(self.bounds))
        object.__setattr__(self, "names", _checked_names(self.names))
        object.__setattr__(self, "anchor_names", checked_anchor_names(self.anchor_names, len(anchors)))
        if self.limits is not None:
            object.__setattr__(self, "limits", frozen(np.array(self.limits, dtype=np.float64).reshape(-1, 2)))

    def __repr__(self) -> str:
        (u0, u1), (v0, v1) = self.bounds
        return f"<Slice of inputs {self.input_shape}: {self.names[0]} {u0:g} to {u1:g}, {self.names[1]} {v0:g} to {v1:g}>"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one model input, without the batch."""
        return tuple(self.origin.shape)

    @property
    def aspect(self) -> float:
        """Its width by its height, as lengths in input space."""
        (u0, u1), (v0, v1) = self.bounds
        across, up = (math.sqrt(float((axis**2).sum())) for axis in self.axes)
        return (u1 - u0) * across / ((v1 - v0) * up)

    @property
    def is_to_scale(self) -> bool:
        """Whether pictures draw it as it is: one over four times as long as wide would be a thread, and is drawn as a square."""
        return 1 / _WIDEST <= self.aspect <= _WIDEST

    @property
    def is_through_samples(self) -> bool:
        """Whether it is the plane through three inputs, which are its first anchors."""
        return len(self.anchors) > 2

    def lift(self, points: Floats) -> Floats:
        """Return the inputs, float64 (n, *input_shape), at slice coordinates `points` (n, 2)."""
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"`points` must have shape (n, 2), got {points.shape}.")
        axes = self.axes.reshape(2, -1)
        # Of a large product numpy makes threads, which then keep turning for a while, and the model's wait for a processor.
        away = points @ axes if points.size * axes.shape[1] < _LARGE else np.einsum("nk,kd->nd", points, axes)
        flat = self.origin.reshape(1, -1) + away
        return flat.reshape(len(points), *self.input_shape)

    def project(self, inputs: Floats) -> tuple[Floats, Floats]:
        """Return the slice coordinates (n, 2) nearest to `inputs` (n, *input_shape), and how far (n,) each input lies off.

        The distance is Euclidean, in input units: 0 means that the input lies on the slice's plane.
        """
        inputs = np.asarray(inputs, dtype=np.float64)
        if inputs.shape[1:] != self.input_shape:
            raise ValueError(f"`inputs` must have shape (n, {', '.join(map(str, self.input_shape))}), got {inputs.shape}.")
        offset = (inputs - self.origin).reshape(len(inputs), -1)
        basis = self.axes.reshape(2, -1).T
        points = np.linalg.lstsq(basis, offset.T, rcond=None)[0].T
        return points, np.linalg.norm(offset - points @ basis.T, axis=1)

    def corners(self) -> Floats:
        """Return the slice coordinates (4, 2) of the four corners, counter-clockwise."""
        (u0, u1), (v0, v1) = self.bounds
        return np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1]])

    def nodes(self, resolution: int) -> tuple[Floats, Floats]:
        """Return the node coordinates (us, vs), `resolution` + 2 each: the grid's pixel centres and the slice's two borders.

        Masks and shares live on the pixel centres, so that every point stands for the same area; lines also use the
        borders, so that they reach the edge of the picture.
        """
        (u0, u1), (v0, v1) = self.bounds
        inner = np.concatenate([[0.0], (np.arange(resolution) + 0.5) / resolution, [1.0]])
        return u0 + inner * (u1 - u0), v0 + inner * (v1 - v0)


def checked_bounds(bounds: Bounds) -> Bounds:
    """Return `bounds` as plain floats; raise ValueError where they are not two growing finite ranges."""
    try:
        (u0, u1), (v0, v1) = bounds
        u0, u1, v0, v1 = float(u0), float(u1), float(v0), float(v1)
    except (TypeError, ValueError):
        raise ValueError(f"`bounds` must be ((u0, u1), (v0, v1)), got {bounds!r}.") from None
    if not (u0 < u1 and v0 < v1 and all(map(math.isfinite, (u0, u1, v0, v1)))):
        raise ValueError(f"`bounds` must be finite with u0 < u1 and v0 < v1, got {((u0, u1), (v0, v1))}.")
    return (u0, u1), (v0, v1)


def _checked_names(names: Sequence[str]) -> tuple[str, str]:
    """Return `names`, each in one line; raise ValueError where they are not two words."""
    given = () if isinstance(names, str) or not isinstance(names, Iterable) else tuple(names)
    if len(given) != 2 or any(name is None for name in given):
        raise ValueError(f"`names` must be two words, what the first axis is and what the second, got {names!r}.")
    first, second = (" ".join(str(name).split()) for name in given)
    return first, second


def checked_anchor_names(names: Sequence[str], anchors: int) -> tuple[str, ...]:
    """Return `names` as text; raise ValueError where there are more than `anchors`, or where they are one text."""
    if isinstance(names, str) or len(names) > anchors:
        raise ValueError(f"`anchor_names` must be a list of words, at most one an anchor ({anchors}), got {names!r}.")
    return tuple(str(name) for name in names)


# ---------------------------------------------------------------------------------------------------------------- units


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


# ----------------------------------------------------------------------------------------------- what a forward pass says


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


@dataclass(frozen=True, eq=False, repr=False)
class Boundaries:
    """Lines where units switch, in ONE format for every engine: S polylines with the owner of each.

    Line s runs through ``points[offsets[s]:offsets[s + 1]]``, with the unit's on side on its left; a closed line repeats its
    first point at the end.

    Args:
        points: float64 (N, 2), slice coordinates.
        offsets: int64 (S + 1,).
        owner: int32 (S,), index into `units`; engines give lines sorted by it.
        layers: the layers that the units belong to.
        exact: True where the lines are exact, False where they were traced on a grid.
        notes: what was left out, in words.

    >>> layer = Layer("layer1", "relu", (2,), (0, 1))
    >>> lines = Boundaries(np.array([[0.0, 0], [1, 1], [2, 0], [2, 2]]), np.array([0, 2, 4]), np.array([0, 1]), (layer,))
    >>> len(lines), lines.units[1].layer, lines.line(1).tolist()
    (2, 'layer1', [[2.0, 0.0], [2.0, 2.0]])
    >>> lines.lengths().tolist()
    [1.4142135623730951, 2.0]
    """

    points: Floats
    offsets: NDArray[np.int64]
    owner: NDArray[np.int32]
    layers: tuple[Layer, ...]
    exact: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        points = frozen(np.asarray(self.points, dtype=np.float64).reshape(-1, 2))
        offsets = frozen(np.asarray(self.offsets, dtype=np.int64))
        owner = frozen(np.asarray(self.owner, dtype=np.int32))
        if len(offsets) != len(owner) + 1 or offsets[0] != 0 or offsets[-1] != len(points) or (np.diff(offsets) < 2).any():
            raise ValueError("`offsets` must run from 0 to the number of points, two points or more a line, one line an owner.")
        units = sum(len(layer.kept) for layer in self.layers)
        if len(owner) and not (owner.min() >= 0 and owner.max() < units):
            raise ValueError(f"`owner` must index the {units} kept units of `layers`, got up to {owner.max()}.")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "owner", owner)

    def __len__(self) -> int:
        return len(self.owner)

    def __repr__(self) -> str:
        kind = "exact" if self.exact else "traced on a grid"
        return f"<Boundaries: {len(self)} lines of {len(np.unique(self.owner))} units, {len(self.points)} points, {kind}>"

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that `owner` indexes."""
        return units_of(self.layers)

    def line(self, index: int) -> Floats:
        """Return the points (k, 2) of line `index`."""
        return self.points[self.offsets[index] : self.offsets[index + 1]]

    def of(self, layer: str, index: int) -> list[Floats]:
        """Return the lines of the unit with flat `index` in `layer`, each (k, 2)."""
        return [self.line(int(s)) for s in np.flatnonzero(self.owner == self._column(layer, index))]

    def lengths(self) -> Floats:
        """Return the length of each line (S,), in slice units."""
        if not len(self):
            return np.empty(0)
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        steps[self.offsets[1:-1] - 1] = 0.0
        return np.add.reduceat(steps, self.offsets[:-1])

    def _column(self, layer: str, index: int) -> int:
        for column, unit in enumerate(self.units):
            if unit.layer == layer and unit.index == index:
                return column
        known = [one.name for one in self.layers]
        if layer not in known:
            raise KeyError(f"There is no layer {layer!r}; the layers are {', '.join(known)}.")
        raise KeyError(f"Unit {index} of layer {layer!r} is none that was watched; `layers` says which those are.")


@dataclass(frozen=True, eq=False, repr=False)
class Regions:
    """The linear regions of a piecewise-linear network on a slice: on each it is affine, and every unit is either on or off.

    Where an activation bends elsewhere than at 0 (hardtanh, ReLU6), regions end there too, and both sides have one pattern. Of
    hardtanh, hardsigmoid and softshrink they end at 0 as well, though nothing bends there: the map on both sides is the same.

    Args:
        slice: the slice.
        layers: the layers, with all of their units.
        points: float64 (N, 2), the regions' corners, in slice coordinates.
        corners: int64 (M,), corners of all regions, region after region, each counter-clockwise; an index into `points`. A
            corner of a neighbour may lie on a region's side.
        offsets: int64 (R + 1,), where each region's corners start in `corners`.
        neighbours: int64 (K, 2), pairs of regions with a side in common.
        on: packed bits, uint8 (R, ceil(U / 8)), most significant bit first: which units are on in each region.
        counts: how many regions the units of all layers up to each one make, by the layer's name.
        thin: how many more there are that are too thin to be told from rounding; they have no place in the arrays.

    ``len(regions)`` is their number, R.
    """

    slice: Slice
    layers: tuple[Layer, ...]
    points: Floats
    corners: NDArray[np.int64]
    offsets: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    on: Bits
    counts: Mapping[str, int]
    thin: int = 0

    def __post_init__(self) -> None:
        freeze(self, "points", "corners", "offsets", "neighbours", "on")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"<Regions: {len(self)} on the slice, {', '.join(f'{count} by {name}' for name, count in self.counts.items())}>"

    def polygon(self, index: int) -> Floats:
        """Return the corners (k, 2) of region `index`, counter-clockwise, in slice coordinates."""
        return self.points[self.corners[self.offsets[index] : self.offsets[index + 1]]]

    def pattern(self, index: int) -> NDArray[np.bool_]:
        """Return which units are on in region `index` (U,): its activation pattern."""
        units = sum(layer.size for layer in self.layers)
        return np.unpackbits(self.on[index], count=units).astype(bool)

    def areas(self) -> Floats:
        """Return the area of each region (R,), in slice units."""
        return polygon_areas(self.points[self.corners], self.offsets)

    def shares(self) -> Floats:
        """Return the share of the slice on which each unit is on (U,), 0 to 1."""
        areas = self.areas()
        states = np.unpackbits(self.on, axis=1, count=sum(layer.size for layer in self.layers))
        return np.asarray(areas @ states / areas.sum())


def polygon_areas(corners: Floats, offsets: NDArray[np.int64]) -> Floats:
    """Return the area of each polygon (R,); polygon r has the `corners` from ``offsets[r]`` to ``offsets[r + 1]``.

    >>> polygon_areas(np.array([[0.0, 0], [1, 0], [1, 1]]), np.array([0, 3]))
    array([0.5])
    """
    # Seen from the polygon's own first corner, small ones far from the origin keep their digits.
    x, y = (corners - corners.take(np.repeat(offsets[:-1], np.diff(offsets)), axis=0)).T
    following = np.arange(1, len(corners) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    return np.asarray(0.5 * np.add.reduceat(x * y[following] - x[following] * y, offsets[:-1]))


# ------------------------------------------------------------------------------------------------------- samples, history


Value = float | int | Array | list[dict[str, Any]]
"""What a metric gives for one name: a number, an array (most often one value a kept unit), or a small table (one dict a row)."""


@dataclass(frozen=True, eq=False)
class Moves:
    """At how many points the units of a layer changed their state since the last sample, by what took its new value.

    A coalition is a number from 0 to 7 whose bits say what is new: 1 the unit's offset, 2 the rest of its map, 4 its input. So
    row 7 counts the points that flipped, and row 0 is zero.

    Args:
        points: points that were looked at, evenly spread over the slice.
        geometry: int64 (8, units); the offset is the distance of the hyperplane from the old inputs' mean, the rest its normal.
        cause: int64 (8, units); the offset is the bias parameter, the rest the weights.
        gauge: ``canonical`` where inputs are measured in units of the weights that made them, ``own`` where as they are.
        change: float64 (units,), by how much the unit's own map changed in that gauge: root mean square of what the new map makes
            of the old input less what the old one makes of it, as a share of the latter's; 0 where that is no more than rounding,
            NaN where the old map gave 0 everywhere.
    """

    points: int
    geometry: NDArray[np.int64]
    cause: NDArray[np.int64]
    gauge: Literal["canonical", "own"] = "canonical"
    change: Floats | None = None

    def __post_init__(self) -> None:
        freeze(self, "geometry", "cause", "change")


@dataclass(frozen=True, eq=False)
class Answers:
    """What the network makes of n samples of the data, the same ones in all of a run.

    Args:
        on: packed bits, uint8 (U, ceil(n / 8)), most significant bit first: pre-activation > 0 for each sample.
        values: float32 (n, U), activations of the kept units.
        winners: int64 (n,), the class that wins; None where the output is no classes.
        labels: int64 (n,), what it should be, -1 where there is none; None where nothing is known of that.
        margins: float64 (m,), distances in input space from samples towards others to where the winning class changes first; None
            where that was not asked for.
    """

    on: Bits
    values: Floats
    winners: NDArray[np.int64] | None = None
    labels: NDArray[np.int64] | None = None
    margins: Floats | None = None

    def __post_init__(self) -> None:
        freeze(self, "on", "values", "winners", "labels", "margins")

    @property
    def count(self) -> int:
        """Number of samples, n."""
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Sample:
    """What a metric may look at.

    Args:
        now: this step's capture.
        boundaries: this step's lines.
        before: the last sample's capture; None at the first sample, or where the layers changed.
        first: the first sample's capture.
        step: optimiser steps taken.
        moves: what moved since the last sample, by layer; only for metrics that say ``@needs("trace")``.
        past: all values that the metrics gave at the last sample, by name.
        window: the captures of the last samples before this one, at most seven, oldest first; only for ``@needs("window")``. Where
            they would take more than 32 MB they are on a coarser grid than `now`, which ``metrics.coarser.coarser`` takes there.
        decision: the border of the area that each class wins, each piece once for either side; None where there are no classes.
        slice: the slice.
        window_steps: the steps of the captures in `window`.
        window_scalars: what the training loop said at them.
        scalars: what the training loop said at this step: loss, learning rate, …
        regions: how many linear regions the units of all layers up to each one make on the slice, by the layer's name; empty where
            the lines are not exact. The last layer is missing where the engine did not cut along its lines.
        answers: what the network makes of samples of the data; only for ``@needs("data")``, and where there are any.
    """

    now: Capture
    boundaries: Boundaries
    before: Capture | None = None
    first: Capture | None = None
    step: int = 0
    moves: Mapping[str, Moves] = dataclass_field(default_factory=dict)
    past: Mapping[str, Value] = dataclass_field(default_factory=dict)
    window: tuple[Capture, ...] = ()
    decision: Boundaries | None = None
    slice: Slice | None = None
    window_steps: tuple[int, ...] = ()
    window_scalars: tuple[Mapping[str, float], ...] = ()
    scalars: Mapping[str, float] = dataclass_field(default_factory=dict)
    regions: Mapping[str, int] = dataclass_field(default_factory=dict)
    answers: Answers | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot:
    """All that is kept of one sampled step.

    Args:
        step: optimiser steps taken before the sample; 0 is before the first one.
        time: seconds since the epoch.
        slice: the slice; the same for the whole run.
        capture: on/off states and output.
        boundaries: the lines.
        metrics: numbers by name, such as ``on/share/layer1``; NaN where undefined.
        per_unit: arrays by name, one value a kept unit of a layer.
        tables: small tables by name, one dict a row.
        scalars: what the training loop said: loss, learning rate, …
        decision: the border of the area that each class wins, each piece once for either side; None where there are no classes.
        seconds: wall time that sampling took since the sample before was about to be written: drawing and writing that one, looking
            and measuring for this one. The last sample's writing and the end of the run are in none; NaN where that is not known.
    """

    step: int
    time: float
    slice: Slice
    capture: Capture
    boundaries: Boundaries
    metrics: Mapping[str, float] = dataclass_field(default_factory=dict)
    per_unit: Mapping[str, Array] = dataclass_field(default_factory=dict)
    tables: Mapping[str, list[dict[str, Any]]] = dataclass_field(default_factory=dict)
    scalars: Mapping[str, float] = dataclass_field(default_factory=dict)
    decision: Boundaries | None = None
    seconds: float = math.nan

    def __repr__(self) -> str:
        return f"<Snapshot of step {self.step}: {self.capture!r}, {self.boundaries!r}>"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order of their calls."""
        return self.capture.layers

    @property
    def field(self) -> Field | None:
        """The output on the grid."""
        return self.capture.field

    @property
    def numbers(self) -> Mapping[str, float]:
        """The metrics, and ``seconds`` where that is known: what charts show."""
        return {**self.metrics, **({} if math.isnan(self.seconds) else {"seconds": self.seconds})}

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was left out or is not finite, in words."""
        return (*self.boundaries.notes, *self.capture.notes)

    @cached_property
    def is_broken(self) -> bool:
        """Whether units or the output are not finite somewhere; the notes say which."""
        return len(self.capture.undefined) > 0 or (self.field is not None and not bool(np.isfinite(self.field.value).all()))

    @cached_property
    def is_lost(self) -> bool:
        """Whether no output on the slice is finite; of a snapshot without an output, whether over half of the units are not."""
        if self.field is not None:
            return not bool(np.isfinite(self.field.value).any())
        return 2 * len(self.capture.undefined) > len(self.capture.on)


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A palette image: colour indices uint8 (h, w), top row first, and the palette, uint8 (k, 3) with k <= 256."""

    pixels: NDArray[np.uint8]
    palette: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.palette.ndim != 2 or self.palette.shape[1] != 3 or len(self.palette) > 256:
            raise ValueError(
                f"A picture is (h, w) indices and (k <= 256, 3) colours, got {self.pixels.shape}, {self.palette.shape}."
            )
        object.__setattr__(self, "pixels", frozen(self.pixels))
        object.__setattr__(self, "palette", frozen(self.palette))

    def __repr__(self) -> str:
        height, width = self.pixels.shape
        return f"<Picture of {width} x {height} pixels>"

    def rgb(self) -> NDArray[np.uint8]:
        """Return the picture in true colour, uint8 (h, w, 3)."""
        colours: NDArray[np.uint8] = self.palette[self.pixels]
        return colours

    def png(self, *, quick: bool = False) -> bytes:
        """Return the picture as the bytes of a PNG file with a palette: a quarter of a true-colour one's size.

        Args:
            quick: whether runs alone are packed (zlib's Z_RLE), in a quarter of the time. A picture of many lines becomes a quarter
                larger at most; one whose rows repeat may become three times as large.
        """
        from PIL import Image

        image = Image.fromarray(self.pixels)
        image.putpalette(self.palette.tobytes())
        out = io.BytesIO()
        how = {"compress_level": 1, "compress_type": zlib.Z_RLE} if quick else {"compress_level": 6}
        image.save(out, "PNG", **how)
        return out.getvalue()

    _repr_png_ = png  # Jupyter shows a picture by itself


@dataclass(frozen=True)
class Movie:
    """An animated GIF of a run: its bytes, size in pixels, and the step of each frame."""

    gif: bytes
    width: int
    height: int
    steps: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Report:
    """A run in words and pictures.

    Args:
        text: in Markdown; where a picture belongs it says ``![…](report/<name>.png)``.
        pictures: by name.
    """

    text: str
    pictures: Mapping[str, Picture]


# ------------------------------------------------------------------------------------------------------- extension points

Forward = Callable[[Floats], Reading]
"""Runs the model on inputs float64 (n, *input_shape). Made by the probe, valid inside its ``with`` block only."""

Metric = Callable[[Sample], Mapping[str, Value]]
"""A pure function from a sample to numbers, arrays and small tables by name; :func:`needs` says what it takes to compute."""

MetricType = TypeVar("MetricType", bound=Metric)


Part = Literal["trace", "window", "data", "margins"]
"""What a metric may need besides captures and boundaries."""


def needs(*parts: Part) -> Callable[[MetricType], MetricType]:
    """Return a decorator that says what a metric needs besides captures and boundaries; it is made only where a metric says so.

    ``trace``: a second, smaller forward pass that keeps inputs and weights; it gives ``sample.moves`` and the captures'
    ``strength``, ``planes``, ``flat`` and ``saturated``. ``window``: the captures of the last samples, in memory, as
    ``sample.window``. ``data``: a forward pass of some samples of the data, as ``sample.answers``; ``margins``: some more, which
    give ``answers.margins`` too.
    """
    unknown = [part for part in parts if part not in get_args(Part)]
    if unknown:
        given = getattr(unknown[0], "__name__", unknown[0])
        words = ", ".join(f'"{part}"' for part in get_args(Part))
        raise ValueError(f'`needs` takes {words}, as in @needs("trace"), got {given!r}.')

    def mark(metric: MetricType) -> MetricType:
        metric.needs = parts  # type: ignore[attr-defined]
        return metric

    return mark


class History(Protocol):
    """The snapshots of a run, in the order of their steps, read from disk one at a time."""

    path: Path
    """The file."""

    @property
    def steps(self) -> Sequence[int]:
        """The step of each snapshot."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Snapshot: ...

    def __iter__(self) -> Iterator[Snapshot]: ...


class Sink(Protocol):
    """Where samples go. Any object with these two methods will do.

    One that has a method ``tell(report)`` too gets the run's :class:`Report`, before it is closed; one that has ``go_on(count)``
    is told, before the first sample of a run that is gone on with, how many were taken before.
    """

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture], /) -> None:
        """Take one sample. `images` draws a picture when it is asked for it, and not before."""

    def close(self, history: History | None, movie: Movie | None, /) -> None:
        """End the run; `history` and `movie` are None where they could not be made."""
