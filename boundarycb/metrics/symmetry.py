"""How far the boundaries of a layer, and the output, are their own mirror image."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.masks import classes_of, defined, mean
from boundarycb.types import Bits, Floats, Sample, Value, spans_of

_BLUR = 0.02  # of the slice's side: boundaries need not meet their mirror images to the point
_AXES = 20  # lines of reflection that chance is taken from
_MIDWAY = 0.5 - 1e-9  # of a step of the grid, but for rounding

Picture = NDArray[Any]
Likeness = Callable[[Picture, Picture], float]


def mirror_symmetry(sample: Sample) -> dict[str, Value]:
    r"""Return ``symmetry/left_right/<layer>``, ``symmetry/up_down/<layer>`` and ``symmetry/chance/<layer>``; and of ``output``.

    Of a layer it is the correlation of the density of its boundaries with the mirrored one:

    .. math:: \mathrm{corr}_p\,(D(p), D(g p)), \qquad D = G_\sigma * \sum_u e_u

    with e_u(p) the number of neighbours of grid point p at which unit u has another state, blurred by a Gaussian of 2 % of the
    slice's side, and the reflection g: first axis (left-right) or second one (up-down). Range -1 to 1. 1: every boundary has its
    mirror image; near the chance level: no more alike than when the layer is mirrored anyhow. Chance is the mean of the same over
    twenty lines of reflection through the slice's middle, evenly spread over all directions: a picture that is dense in the
    middle correlates with any mirror image of itself.

    Of the output it is the share of grid points p where p and g p are in the same class; for outputs that are no classes, the
    correlation. A layer is only as symmetric as its task: compare with ``output``, which is 1 where a symmetric target was learnt
    (L. N. Darlow and A. J. Storkey, arXiv:1810.01860, section 9). Units are watched ones with a state everywhere. NaN for a layer
    without boundaries here. Cost: the states of all units, unpacked, and 22 reflections of a grid a layer.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (2,), (0, 1))
    >>> x = np.tile(np.linspace(-1, 1, 64), (64, 1))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> for places in ((-0.5, 0.5), (0.5, 0.7)):
    ...     states = np.stack([x > place for place in places]).reshape(2, -1)
    ...     found = mirror_symmetry(Sample(Capture((layer,), 64, np.packbits(states, axis=1)), empty))
    ...     found["symmetry/left_right/fc"] > 0.999, found["symmetry/up_down/fc"] > 0.999
    (True, True)
    (False, True)
    """
    capture = sample.now
    usable = defined(capture)
    values: dict[str, Value] = {}
    for name, span in spans_of(capture.layers).items():
        density = _density(capture.on[span][usable[span]], capture.resolution)
        values |= _scores(name, density, _correlation)
    if capture.field is not None:
        classes = classes_of(capture.field)
        shown, alike = (capture.field.value, _correlation) if classes is None else (classes, _agreement)
        values |= _scores("output", shown, alike)
    return values


def _scores(name: str, picture: Picture, alike: Likeness) -> dict[str, Value]:
    inside, images = _reflections(len(picture))
    flat = picture.reshape(-1)
    chance = mean(np.array([alike(flat[within], flat[image]) for within, image in zip(inside, images, strict=True)]))
    return {
        f"symmetry/left_right/{name}": alike(flat, picture[:, ::-1].reshape(-1)),
        f"symmetry/up_down/{name}": alike(flat, picture[::-1].reshape(-1)),
        f"symmetry/chance/{name}": chance,
    }


def _correlation(one: Picture, other: Picture) -> float:
    a, b = (np.asarray(values, dtype=np.float64) - np.mean(values, dtype=np.float64) for values in (one, other))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")  # also where something is not finite


def _agreement(one: Picture, other: Picture) -> float:
    return float(np.mean(one == other))


def _density(on: Bits, side: int) -> Floats:
    """Return how many boundaries run by each grid point, blurred, (side, side)."""
    states = np.unpackbits(on, axis=1, count=side * side).reshape(-1, side, side)
    density = np.zeros((side, side))
    across = (states[:, :, 1:] != states[:, :, :-1]).sum(axis=0)
    along = (states[:, 1:] != states[:, :-1]).sum(axis=0)
    for place, edges in (((slice(None), slice(1, None)), across), ((slice(None), slice(-1)), across)):
        density[place] += edges
    for place, edges in (((slice(1, None), slice(None)), along), ((slice(-1), slice(None)), along)):
        density[place] += edges
    kernel = _kernel(side)
    for axis in (0, 1):
        density = np.apply_along_axis(np.convolve, axis, density, kernel, "same")
    return density


@lru_cache(maxsize=8)
def _kernel(side: int) -> Floats:
    sigma = max(_BLUR * side, 0.5)
    reach = np.arange(-min(round(3 * sigma), (side - 1) // 2), min(round(3 * sigma), (side - 1) // 2) + 1)
    weights = np.exp(-0.5 * (reach / sigma) ** 2)
    return np.asarray(weights / weights.sum())


@lru_cache(maxsize=8)
def _reflections(side: int) -> tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]]:
    """Return for each axis of reflection the grid points whose image lies on the grid, and the points nearest to these images."""
    middle = (side - 1) / 2
    rows, columns = np.divmod(np.arange(side * side), side)
    inside, images = [], []
    for number in range(_AXES):
        angle = 2 * np.pi * (number + 0.5) / _AXES  # twice the axis' own, which runs over half a turn
        x, y = columns - middle, rows - middle
        column, far_across = _nearest(np.cos(angle) * x + np.sin(angle) * y + middle)
        row, far_along = _nearest(np.sin(angle) * x - np.cos(angle) * y + middle)
        within = (column >= 0) & (column < side) & (row >= 0) & (row < side)
        # One midway between two points would go to a side that turning the picture changes.
        kept = np.flatnonzero(within & (far_across < _MIDWAY) & (far_along < _MIDWAY))
        inside.append(kept)
        images.append(row[kept] * side + column[kept])
    return inside, images


def _nearest(places: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Return the whole numbers that are nearest, and how far they are."""
    whole = np.rint(places)
    return whole.astype(np.intp), np.abs(places - whole)
