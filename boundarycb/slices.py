"""Makes slices: 2-D affine pieces of input space on which boundaries are drawn.

* :func:`box` - the whole of a 2-D input space, between bounds: a complete picture;
* :func:`through` - the plane through three inputs of any shape: the exact restriction of the network to that plane, which
  says nothing off it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from boundarycb.types import Array, Bounds, Floats, Slice

_MARGIN = 0.1  # of the anchors' or the data's extent, on each side
_COLLINEAR = 1e-9  # relative height of the anchors' triangle under which the plane is not defined


def box(u: tuple[float, float], v: tuple[float, float], *, shape: tuple[int, ...] = (2,)) -> Slice:
    """Return the slice of a 2-D input space between the bounds `u` of the first and `v` of the second input.

    Args:
        u: (low, high) of the first input.
        v: (low, high) of the second input.
        shape: the model's input shape without the batch; it must hold two numbers, such as (2,) or (1, 2).

    >>> box((-1, 1), (0, 2)).lift(np.array([[0.5, 2.0]])).tolist()
    [[0.5, 2.0]]
    """
    if int(np.prod(shape)) != 2:
        raise ValueError(
            f"`shape` must hold exactly two numbers for a box, got {shape}; for other inputs use `slices.through(a, b, c)`."
        )
    for name, ends in (("u", u), ("v", v)):
        if np.shape(ends) != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
            raise ValueError(f"`{name}` must be (low, high), two finite numbers with low < high, got {ends!r}.")
    axes = np.eye(2).reshape(2, *shape)
    return Slice(np.zeros(shape), axes, ((u[0], u[1]), (v[0], v[1])), names=("x1", "x2"))


def through(a: Any, b: Any, c: Any, *, margin: float = _MARGIN) -> Slice:
    """Return the slice through three inputs of the same shape, on orthonormal axes: lengths on it are lengths in input space.

    `a` lies at (0, 0), `b` at (|b - a|, 0), and `c` above the first axis (Gram-Schmidt, as in dbViz: Somepalli et al. 2022,
    arXiv 2203.08124).

    Args:
        a: an input without the batch, anything that numpy or torch can turn into an array.
        b: the second input.
        c: the third input.
        margin: how far the slice reaches beyond the three, as a share of the longer side of their bounding box.

    Raises:
        ValueError: the shapes differ, the inputs lie on one line, or `margin` is negative.

    >>> plane = through([0.0, 0, 0], [3, 0, 0], [0, 0, 4], margin=0)
    >>> plane.anchors.tolist(), plane.bounds
    ([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], ((-0.5, 3.5), (0.0, 4.0)))
    """
    a, b, c = (_array(name, value) for name, value in (("a", a), ("b", b), ("c", c)))
    if not a.shape == b.shape == c.shape:
        raise ValueError(f"`a`, `b` and `c` must have one shape, got {a.shape}, {b.shape} and {c.shape}.")
    if not margin >= 0:
        raise ValueError(f"`margin` must be 0 or more, got {margin!r}.")
    first, length = _unit(b - a)
    along = float(np.sum((c - a) * first))
    second, height = _unit(c - a - along * first)
    scale = max(length, float(np.linalg.norm(c - a)))
    if not height > _COLLINEAR * scale or not length > _COLLINEAR * scale:
        raise ValueError("`a`, `b` and `c` must span a plane, got three inputs on one line (or equal ones).")
    anchors = np.array([[0.0, 0.0], [length, 0.0], [along, height]])
    return Slice(a, np.stack([first, second]), _square(anchors, margin), anchors, ("along a to b", "across, towards c"))


def around(points: Floats, *, margin: float = _MARGIN, shape: tuple[int, ...] = (2,)) -> Slice:
    """Return the box around 2-D data `points` (n, 2), wider by `margin` of its extent on each side.

    >>> around(np.array([[0.0, 0.0], [1.0, 10.0]])).bounds
    ((-0.1, 1.1), (-1.0, 11.0))
    """
    given = np.asarray(points, dtype=np.float64)
    points = given.reshape(len(given), int(np.prod(given.shape[1:])))
    points = points[np.isfinite(points).all(axis=1)]
    if points.shape[1] != 2 or not len(points):
        raise ValueError(f"`points` must be finite and of shape (n, 2) with n of 1 or more, got {given.shape}.")
    low, high = points.min(axis=0), points.max(axis=0)
    # A constant input has no extent of its own: give it the other's, or 1.
    extent = high - low
    extent = np.where(extent > 0, extent, extent.max() if extent.max() > 0 else 1.0)
    grow = np.where(high > low, margin * extent, extent / 2)
    low, high = low - grow, high + grow
    return box((low[0], high[0]), (low[1], high[1]), shape=shape)


def to_array(value: Any) -> Array:
    """Return `value` as an array, taking tensors off their graph and device without importing torch."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.double().numpy() if value.is_floating_point() else value.numpy()
    return np.asarray(value)


def _array(name: str, value: Any) -> Floats:
    array = to_array(value).astype(np.float64)
    if array.size < 2 or not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be one input of two or more finite numbers, got shape {array.shape}.")
    return array


def _unit(vector: Floats) -> tuple[Floats, float]:
    length = float(np.linalg.norm(vector))
    return vector / (length or 1.0), length


def _square(anchors: Floats, margin: float) -> Bounds:
    """Return the square around `anchors`, so that the picture shows angles as they are."""
    low, high = anchors.min(axis=0), anchors.max(axis=0)
    centre, side = (low + high) / 2, float((high - low).max())
    half = side * (0.5 + margin)
    return (centre[0] - half, centre[0] + half), (centre[1] - half, centre[1] + half)
