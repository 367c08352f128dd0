"""The slice: a 2-D affine piece of input space, and what is known of places on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.types.arrays import Floats, freeze, frozen

Bounds = tuple[tuple[float, float], tuple[float, float]]

_WIDEST = 4.0  # of a slice, by its height, that is drawn to scale

TARGET_SIDE = 256
"""Points a side at which a target that is a function is known at least."""

_LARGE = 2**17  # products of numbers, from which on a matrix product is none of one thread


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
        ask: gives the labels on a grid of so many points a side, where the target is a function; None where it is a picture, and in
            what is read back or copied.
    """

    labels: NDArray[np.int64]
    corners: Floats
    ask: Callable[[int], NDArray[np.int64]] | None = None

    def __post_init__(self) -> None:
        freeze(self, "labels", "corners")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "ask": None}  # functions can seldom be sent to another process

    def made_for(self, resolution: int) -> Target:
        """Return the target that has the points of a grid of `resolution` points a side among its own, where it is a function.

        That are those of an odd number of times as many points, 256 or more.
        """
        if self.ask is None:
            return self
        times = -(-TARGET_SIDE // resolution)
        return Target(self.ask(resolution * (times + 1 - times % 2)), self.corners)

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
