"""Makes slices: 2-D affine pieces of input space on which boundaries are drawn.

* :func:`box` - the whole of a 2-D input space, between bounds: a complete picture; :func:`around` - the box around data;
* :func:`through` - the plane through three inputs of any shape;
* :func:`from_data` - the plane of the data's first two principal components;
* :func:`random` - a random plane through an input; :func:`along` - one along a direction, such as a gradient;
* :func:`axes` - two numbers of an input vary, the rest is held.

Whatever the plane, a picture on it is the exact restriction of the network to that plane, and says nothing off it.
:func:`marked` adds samples to a slice, and tells how far each lies off; :func:`limited` adds where inputs stay within limits;
:func:`aimed` adds what the output should be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.corners import find_corners
from boundarycb.evenly import evenly
from boundarycb.types import TARGET_SIDE, Array, Bounds, Floats, Marks, Slice, Target, checked_anchor_names
from boundarycb.warning import warn

_MARGIN = 0.1  # of the anchors' or the data's extent, on each side
_COLLINEAR = 1e-9  # relative height of the anchors' triangle under which the plane is not defined
_MARKED = 200  # samples that a picture can show
_NUMBERS = 2**22  # of inputs that a target is asked at a time


def box(
    u: tuple[float, float],
    v: tuple[float, float],
    *,
    shape: tuple[int, ...] = (2,),
    names: tuple[str, str] = ("x1", "x2"),
) -> Slice:
    """Return the slice of a 2-D input space between the bounds `u` of the first and `v` of the second input.

    Args:
        u: (low, high) of the first input.
        v: (low, high) of the second input.
        shape: the model's input shape without the batch; it must hold two numbers, such as (2,) or (1, 2).
        names: what the two inputs are, for the picture, such as ("age", "income").

    >>> box((-1, 1), (0, 2)).lift(np.array([[0.5, 2.0]])).tolist()
    [[0.5, 2.0]]
    """
    if not hasattr(shape, "__len__") or math.prod(shape) != 2:
        raise ValueError(
            f"`shape` must hold exactly two numbers for a box, got {shape}; for other inputs use `slices.through(a, b, c)`."
        )
    bounds = _span("u", u), _span("v", v)
    return Slice(np.zeros(shape), np.eye(2).reshape(2, *shape), bounds, names=names)


def around(
    points: Any,
    *,
    margin: float = _MARGIN,
    shape: tuple[int, ...] = (2,),
    names: tuple[str, str] = ("x1", "x2"),
) -> Slice:
    """Return the box around 2-D data.

    Args:
        points: the data (n, 2), an array or a tensor; those that are not finite are left out.
        margin: how much wider it is on each side, as a share of its extent.
        shape: the model's input shape without the batch, as of :func:`box`.
        names: what the two inputs are, for the picture.

    Raises:
        ValueError: `points` are of another shape, or none is finite; `margin` is negative.

    >>> around(np.array([[0.0, 0.0], [1.0, 10.0]])).bounds
    ((-0.1, 1.1), (-1.0, 11.0))
    """
    given = to_array(points).astype(np.float64)
    flat = given.reshape(-1, 2) if given.ndim > 1 and math.prod(given.shape[1:]) == 2 else np.empty((0, 2))
    if not len(flat):
        raise ValueError(f"`points` must be of shape (n, 2) with n of 1 or more, got {given.shape}.")
    finite = flat[np.isfinite(flat).all(axis=1)]
    if not len(finite):
        raise ValueError(
            f"`points` must be finite, got {len(flat):,} pairs of numbers of which each has one that is NaN or infinite."
        )
    (u0, u1), (v0, v1) = _box_around(finite, _checked_margin(margin))
    return box((u0, u1), (v0, v1), shape=shape, names=names)


def through(a: Any, b: Any, c: Any, *, margin: float = _MARGIN, names: Sequence[str] = ()) -> Slice:
    """Return the slice through three inputs of the same shape, on orthonormal axes: lengths on it are lengths in input space.

    `a` lies at (0, 0), `b` at (|b - a|, 0), and `c` above the first axis (Gram-Schmidt, as in dbViz: Somepalli et al. 2022,
    arXiv 2203.08124).

    Args:
        a: an input without the batch, anything that numpy or torch can turn into an array.
        b: the second input.
        c: the third input.
        margin: how far the slice reaches beyond the three, as a share of the longer side of their bounding box.
        names: what the three are, for the picture, such as ("cat", "dog", "cat").

    Raises:
        ValueError: the shapes differ, the inputs lie on one line, or `margin` is negative.

    >>> plane = through([0.0, 0, 0], [3, 0, 0], [0, 0, 4], margin=0)
    >>> plane.anchors.tolist(), plane.bounds
    ([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], ((-0.5, 3.5), (0.0, 4.0)))
    """
    a, b, c = (_array(name, value) for name, value in (("a", a), ("b", b), ("c", c)))
    if not a.shape == b.shape == c.shape:
        raise ValueError(f"`a`, `b` and `c` must have one shape, got {a.shape}, {b.shape} and {c.shape}.")
    _checked_margin(margin)
    first, length = _unit(b - a)
    along = float(np.sum((c - a) * first))
    second, height = _unit(c - a - along * first)
    scale = max(length, float(np.linalg.norm(c - a)))
    if not height > _COLLINEAR * scale or not length > _COLLINEAR * scale:
        raise ValueError("`a`, `b` and `c` must span a plane, got three inputs on one line (or equal ones).")
    anchors = np.array([[0.0, 0.0], [length, 0.0], [along, height]])
    bounds = _square(anchors, margin)
    return Slice(
        a, np.stack([first, second]), bounds, anchors, ("along a to b", "across, towards c"), checked_anchor_names(names, 3)
    )


def from_data(data: Any, *, labels: Any = None, margin: float = _MARGIN) -> Slice:
    """Return the plane of the first two principal components of `data`, around its mean, with up to 200 samples marked.

    The data are taken as they are: centred, not scaled. Each component's sign is such that its number of largest size is positive,
    and its name says which share of the variance it explains. A warning tells where the second component is not told from the
    third: where their variances differ by less than one's sampling error, ``variance * sqrt(2 / n)`` (North et al. 1982, Monthly
    Weather Review 110, 699-706), other samples may give another plane.

    Args:
        data: inputs (n, *input_shape), n of 3 or more.
        labels: classes (n,), whole numbers, for the colours of the samples.
        margin: how far the slice reaches beyond the data on it, as a share of their extent on each side.

    Raises:
        ValueError: there are too few inputs, or they do not span a plane.

    >>> plane = from_data([[0.0, 0, 0], [4, 0, 0], [4, 1, 0], [0, 1, 0]])
    >>> plane.names, plane.axes.tolist()
    (('PC1 (94.1 % of variance)', 'PC2 (5.9 % of variance)'), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    """
    inputs = to_array(data).astype(np.float64)
    if inputs.ndim < 2 or len(inputs) < 3 or inputs[0].size < 2 or not np.isfinite(inputs).all():
        got = "NaN or infinity in it" if inputs.ndim > 1 and not np.isfinite(inputs).all() else f"shape {inputs.shape}"
        raise ValueError(f"`data` must be three or more inputs of two or more finite numbers each, (n, *input_shape), got {got}.")
    _checked_margin(margin)
    classes = None if labels is None else to_array(labels)
    if classes is not None and classes.shape != (len(inputs),):
        raise ValueError(f"`labels` must be {len(inputs)} whole numbers, one a sample, got shape {classes.shape}.")
    mean = inputs.mean(axis=0)
    variances, components = _principal((inputs - mean).reshape(len(inputs), -1))
    if not variances[1] > _COLLINEAR**2 * variances[0]:
        raise ValueError("`data` must span a plane, got inputs on one line (or equal ones).")
    if len(variances) > 2 and variances[1] - variances[2] < variances[1] * math.sqrt(2 / len(inputs)):
        warn(
            f"{len(inputs)} samples do not tell the second principal component from the third (variances of {variances[1]:.3g} and "
            f"{variances[2]:.3g}): other samples may give another plane; `slices.through` shows one of your choice."
        )
    shares = variances / variances.sum()
    names = f"PC1 ({shares[0]:.1%} of variance)".replace("%", " %"), f"PC2 ({shares[1]:.1%} of variance)".replace("%", " %")
    axes = components[:2].reshape(2, *mean.shape)
    plane = Slice(mean, axes, ((0, 1), (0, 1)), names=names)
    some = evenly(len(inputs), _MARKED)
    chosen = None if classes is None else classes[some]
    bounds = _box_around(plane.project(inputs)[0], margin)
    return marked(replace(plane, bounds=bounds), inputs[some], labels=chosen)


def random(sample: Any, *, radius: float | None = None, seed: int = 0) -> Slice:
    """Return a random plane through an input, which lies in its middle, on orthonormal axes.

    Args:
        sample: the input, without the batch.
        radius: how far the slice reaches on each side, in input units; by default the sample's norm, or 1 where that is 0.
        seed: of the two directions, whose numbers are drawn from a normal distribution.

    >>> plane = random([3.0, 4.0, 0.0])
    >>> plane.bounds, plane.lift(np.zeros((1, 2))).tolist()
    (((-5.0, 5.0), (-5.0, 5.0)), [[3.0, 4.0, 0.0]])
    """
    middle = _array("sample", sample)
    first, second = np.random.default_rng(seed).normal(size=(2, *middle.shape))
    plane = along(middle, first, second, radius=radius)
    return replace(plane, names=("random direction", "another one"))


def along(
    sample: Any,
    first: Any,
    second: Any = None,
    *,
    radius: float | None = None,
    seed: int = 0,
    names: tuple[str, str] = ("along the first direction", "across"),
) -> Slice:
    """Return the plane through an input along one or two directions, such as gradients; the input lies in its middle.

    Args:
        sample: the input, without the batch.
        first: a direction, in the input's shape; its length does not matter. See :func:`boundarycb.input_gradient`.
        second: another one, of which the part across the first counts; by default a random one.
        radius: how far the slice reaches on each side, in input units; by default the sample's norm, or 1 where that is 0.
        seed: of the random direction.
        names: what the two are, for the picture.

    Raises:
        ValueError: the shapes differ, or the directions are zero or parallel.

    >>> along([1.0, 2.0, 2.0], [0, 0, 9], [0, 5, 5], radius=1).axes.tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    middle, direction = _array("sample", sample), _array("first", first)
    drawn = np.random.default_rng(seed).normal(size=middle.shape)
    other = drawn if second is None else _array("second", second)
    for name, given in (("first", direction), ("second", other)):
        if given.shape != middle.shape:
            raise ValueError(f"`{name}` must have the shape of `sample`, {middle.shape}, got {given.shape}.")
    one, length = _unit(direction)
    two, height = _unit(other - float(np.sum(other * one)) * one)
    if not length > 0 or not height > _COLLINEAR * float(np.linalg.norm(other)):
        raise ValueError("`first` and `second` must be two directions that are neither zero nor parallel.")
    reach = float(np.linalg.norm(middle)) or 1.0 if radius is None else radius
    if not (math.isfinite(reach) and reach > 0):
        raise ValueError(f"`radius` must be a length above 0, got {radius!r}.")
    return Slice(middle, np.stack([one, two]), ((-reach, reach), (-reach, reach)), np.zeros((1, 2)), names, ("sample",))


def axes(
    sample: Any,
    first: int | tuple[int, ...],
    second: int | tuple[int, ...],
    u: tuple[float, float],
    v: tuple[float, float],
    *,
    names: tuple[str, str] | None = None,
) -> Slice:
    """Return the slice on which two numbers of an input vary and the others are held at those of `sample`.

    Args:
        sample: the input, without the batch.
        first: which of its numbers is u: its place in the flattened input, or its index.
        second: which is v.
        u: (low, high) of the first.
        v: (low, high) of the second.
        names: what the two are, for the picture.

    >>> plane = axes([5.0, 6.0, 7.0], 0, 2, (0, 10), (0, 10))
    >>> plane.lift(np.array([[1.0, 2.0]])).tolist(), plane.anchors.tolist()
    ([[1.0, 6.0, 2.0]], [[5.0, 7.0]])
    """
    middle = _array("sample", sample)
    places = [_place(name, index, middle.shape) for name, index in (("first", first), ("second", second))]
    if places[0] == places[1]:
        raise ValueError(f"`first` and `second` must be two different numbers of the input, got {first} and {second}.")
    anchor = middle.reshape(-1)[places]
    origin, directions = middle.copy(), np.zeros((2, middle.size))
    origin.reshape(-1)[places] = 0.0
    directions[[0, 1], places] = 1.0
    words = names or (f"input {first}", f"input {second}")
    bounds = _span("u", u), _span("v", v)
    return Slice(origin, directions.reshape(2, *middle.shape), bounds, anchor[None], words, ("sample",))


# ------------------------------------------------------------------------------------------------------ what a slice shows


def marked(slice: Slice, inputs: Any, *, labels: Any = None) -> Slice:
    """Return `slice` with samples marked on it: filled where they lie on its plane, else hollow, and fainter the farther off.

    Args:
        slice: the slice.
        inputs: the samples (n, *input_shape).
        labels: their classes (n,), whole numbers of 0 or more, for their colours.

    >>> marks = marked(box((0, 1), (0, 1)), [[0.5, 0.5]]).marks
    >>> marks.points.tolist(), marks.off.tolist()
    ([[0.5, 0.5]], [0.0])
    """
    array = to_array(inputs).astype(np.float64)
    points, off = slice.project(array)
    classes = np.full(len(array), -1) if labels is None else to_array(labels)
    if classes.shape != (len(array),) or classes.dtype.kind not in "iub":
        raise ValueError(f"`labels` must be {len(array)} whole numbers, one a sample, got {classes.dtype} {classes.shape}.")
    return replace(slice, marks=Marks(points, off, classes.astype(np.int64)))


def limited(slice: Slice, low: Any, high: Any) -> Slice:
    """Return `slice` with the outline of the part of it on which all inputs lie between `low` and `high`.

    Args:
        slice: the slice.
        low: the least that each number may be: one number, or an array that fits the input's shape; -inf is no limit.
        high: the most; inf is no limit.

    Raises:
        ValueError: `low` is above `high` somewhere, or one of them is NaN.

    >>> limited(through([0.0, 0, 0], [1, 0, 0], [0, 1, 0]), 0, 1).limits.tolist()
    [[0.0, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    """
    least, most = (np.broadcast_to(to_array(value).astype(np.float64), slice.input_shape).reshape(-1) for value in (low, high))
    if not ((least <= most) & (least < np.inf) & (most > -np.inf)).all():
        raise ValueError("`low` must be `high` or less for every number of an input, and neither may be NaN.")
    origin, directions = slice.origin.reshape(-1), slice.axes.reshape(2, -1)
    # What must be 0 or more, at (u, v): constant + slope . (u, v).
    constant = np.concatenate([origin - least, most - origin])
    slope = np.concatenate([directions, -directions], axis=1)
    limits = np.isfinite(constant)
    constant, slope = constant[limits], slope[:, limits]
    scale = np.abs(constant) + np.abs(slope).T @ np.abs(slice.corners()).max(axis=0)
    polygon = slice.corners()
    while len(polygon) and len(constant):
        values = constant[:, None] + slope.T @ polygon.T
        worst = int(np.argmin((values / np.maximum(scale, np.finfo(float).tiny)[:, None]).min(axis=1)))
        if values[worst].min() >= -1e-9 * scale[worst]:
            break
        polygon = _clipped(polygon, values[worst])
    return replace(slice, limits=polygon)


def aimed(slice: Slice, target: Any, *, corners: Any = None) -> Slice:
    """Return `slice` with what the output should be on it, for metrics that compare boundaries with the target's edges.

    The target belongs to the slice as it is: whoever changes its bounds afterwards has to give it again.

    Args:
        slice: the slice.
        target: classes (h, w), whole numbers of 0 or more, -1 where there is none, at the centres of a grid of pixels over the
            slice, the row of smallest ``v`` first (of a picture, ``image[::-1]``); or a function from inputs (n, *input_shape) to
            classes (n,), which is asked at 256 by 256 points, part by part where inputs are large; by a run once more, at its
            grid's points and others between them, 256 to 765 a side, or as many as the grid has.
        corners: slice coordinates (K, 2) of the corners of the classes' areas, of which those on the slice count; by default they
            are found: where a disc around an edge has much more or less than a half in one class.

    Raises:
        ValueError: `target` is or gives something else, or `corners` are no points.

    >>> plane = aimed(box((0, 1), (0, 1)), lambda inputs: (inputs[:, 0] > 0.5) & (inputs[:, 1] > 0.5))
    >>> plane.target.labels.shape, plane.target.corners.round(1).tolist()
    ((256, 256), [[0.5, 0.5]])
    """
    ask = partial(_asked, slice, target) if callable(target) else None
    labels = _labels(to_array(target)) if ask is None else ask(TARGET_SIDE)
    low, high = np.array(slice.bounds).T
    if corners is None:
        return replace(slice, target=Target(labels, low + find_corners(labels) * (high - low), ask))
    places = to_array(corners).astype(np.float64)
    places = places.reshape(-1, 2) if not places.size else places
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ValueError(f"`corners` must be finite slice coordinates (K, 2), got shape {places.shape}.")
    return replace(slice, target=Target(labels, places[((places >= low) & (places <= high)).all(axis=1)], ask))


def _labels(target: Array) -> NDArray[np.int64]:
    """Return `target` as classes (h, w); raise ValueError where it is something else."""
    if target.ndim != 2 or min(target.shape) < 2 or target.dtype.kind not in "iub":
        raise ValueError(
            f"`target` must be classes (h, w), whole numbers, or a function that gives them, got {target.dtype} {target.shape}."
        )
    labels = target.astype(np.int64)
    if labels.min() < -1:
        raise ValueError(f"`target` must be classes of 0 or more, -1 where there is none, got {labels.min()}.")
    return labels


def _asked(slice: Slice, target: Callable[[Floats], Any], resolution: int) -> NDArray[np.int64]:
    """Return the classes (resolution, resolution) that the function `target` gives at the centres of a grid of pixels."""
    us, vs = (nodes[1:-1] for nodes in slice.nodes(resolution))
    points = np.stack(np.meshgrid(us, vs), axis=-1).reshape(-1, 2)
    rows = max(1, _NUMBERS // slice.origin.size)
    answers = []
    for first in range(0, len(points), rows):
        part = points[first : first + rows]
        answers.append(to_array(target(slice.lift(part))))
        if answers[-1].shape != (len(part),):
            raise ValueError(f"`target` must give one class an input, ({len(part)},), got {answers[-1].shape}.")
    return _labels(np.concatenate(answers).reshape(resolution, resolution))


def _clipped(polygon: Floats, values: Floats) -> Floats:
    """Return the part of a convex `polygon` (k, 2) on which a linear function, with `values` (k,) at its corners, is 0 or more."""
    kept = []
    for here, there, at, after in zip(polygon, np.roll(polygon, -1, axis=0), values, np.roll(values, -1), strict=True):
        if at >= 0:
            kept.append(here)
        if (at > 0 > after) or (at < 0 < after):
            kept.append(here + at / (at - after) * (there - here))
    return np.array(kept).reshape(-1, 2)


# ---------------------------------------------------------------------------------------------------------------- numbers


def to_array(value: Any) -> Array:
    """Return `value` as an array, taking tensors off their graph and device without importing torch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double().numpy() if value.is_floating_point() else value.numpy()
    return np.asarray(value)


def _array(name: str, value: Any) -> Floats:
    array = to_array(value).astype(np.float64)
    if array.size < 2 or not np.isfinite(array).all():
        got = f"shape {array.shape}" if array.size < 2 else "NaN or infinity in it"
        raise ValueError(f"`{name}` must be one input of two or more finite numbers, got {got}.")
    return array


def _span(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    if np.shape(ends) != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise ValueError(f"`{name}` must be (low, high), two finite numbers with low < high, got {ends!r}.")
    return ends[0], ends[1]


def _checked_margin(margin: float) -> float:
    if not margin >= 0:
        raise ValueError(f"`margin` must be 0 or more, got {margin!r}.")
    return margin


def _place(name: str, index: int | tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Return the place in the flattened input of the number at `index`."""
    try:
        return int(np.arange(math.prod(shape)).reshape(shape if isinstance(index, tuple) else -1)[index])
    except (IndexError, TypeError):
        raise ValueError(f"`{name}` must be the place or the index of one number of an input of {shape}, got {index!r}.") from None


def _unit(vector: Floats) -> tuple[Floats, float]:
    length = float(np.linalg.norm(vector))
    return vector / (length or 1.0), length


def _principal(centred: Floats) -> tuple[Floats, Floats]:
    """Return the variances, falling, and the principal components, a row each, of `centred` data (n, D)."""
    _, sizes, components = np.linalg.svd(centred, full_matrices=False)
    largest = components[np.arange(len(components)), np.abs(components).argmax(axis=1)]
    return sizes**2 / len(centred), components * np.where(largest < 0, -1.0, 1.0)[:, None]


def _box_around(points: Floats, margin: float) -> Bounds:
    """Return the bounds around `points` (n, 2), wider by `margin` of the extent on each side."""
    low, high = points.min(axis=0), points.max(axis=0)
    # A constant input has no extent of its own: give it the other's, or 1.
    extent = high - low
    extent = np.where(extent > 0, extent, extent.max() if extent.max() > 0 else 1.0)
    grow = np.where(high > low, margin * extent, extent / 2)
    (u0, v0), (u1, v1) = low - grow, high + grow
    return (u0, u1), (v0, v1)


def _square(anchors: Floats, margin: float) -> Bounds:
    """Return the square around `anchors`, so that the picture shows angles as they are."""
    low, high = anchors.min(axis=0), anchors.max(axis=0)
    centre, side = (low + high) / 2, float((high - low).max())
    half = side * (0.5 + margin)
    return (centre[0] - half, centre[0] + half), (centre[1] - half, centre[1] + half)
