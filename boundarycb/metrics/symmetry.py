"""How far the boundaries of a layer, the output, and what it should be, are their own mirror images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.masks import classes_of, defined, mean
from boundarycb.types import Bits, Floats, Sample, Target, Value, spans_of

_BLUR = 0.02  # of the slice's side: boundaries need not meet their mirror images to the point
_NEAR = 2 / 128  # the same for the F1, which knows near and far only
_AXES = 20  # lines of reflection that chance is taken from
_FINE = 63  # points a side that are enough for what is blurred; odd, since every second one then has its mirror image
_COARSE = 32  # points a side that are enough for chance, which is a mean of twenty
_SOME = 512  # points of a layer's boundaries that are enough for the chance of its F1
_MIDWAY = 0.5 - 1e-9  # of a step of the grid, but for rounding
_BATCH = 255  # units whose edges one byte can count

Picture = NDArray[Any]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]
Likeness = Callable[[Picture, Picture, Flags], Floats]


def mirror_symmetry(sample: Sample) -> dict[str, Value]:
    r"""Return ``symmetry/{left_right,up_down,chance}/<layer>``, also of output and target, and ``symmetry/f1_{…}/<layer>``.

    Of a layer, ``left_right`` and ``up_down`` are the correlation of its boundaries' density with the mirrored one, and
    ``f1_left_right`` and ``f1_up_down`` the share of its boundaries that have a mirror image:

    .. math:: \mathrm{corr}_p\,(D(p), D(g p)), \quad D = G_\sigma * \sum_u e_u; \qquad
        F_1 = \frac{|\{p \in B : d(g p, B) \le r\}|}{|B|}, \quad B = \{p : \textstyle\sum_u e_u(p) > 0\}

    with e_u(p) the number of neighbours of grid point p at which unit u has another state, the reflection g along the slice's
    first axis (left-right) or second one (up-down), a Gaussian G of 2 % of the slice's side, and r of two grid points in 128, one
    at least. Since g undoes itself, as much of B lies near its mirror image as the other way round: precision, recall and F1 are
    one number. The correlation ranges from -1 to 1, the F1 from 0 to 1; 1: every boundary has its mirror image. The correlation
    weighs by how many boundaries run at a place; the F1 asks only whether there are any.

    ``chance`` and ``f1_chance`` are the means of the same over twenty lines of reflection through the slice's middle, evenly
    spread over all directions, of what they keep on the slice. Of ``output`` (``symmetry/left_right/output`` and so on) it is the
    share of grid points p where p and g p are in the same class; for outputs that are no classes, the correlation. Of ``target``,
    where the slice has one, it is the share of its labels, without points that have none on either side; it does not change.

    Read three numbers together. *Score and chance*: only what is above chance says something. Random lines are at chance on the
    average, to 0.01, and a layer of sixteen within 0.11 of it (the F1: 0.05), which is one standard deviation. Boundaries that
    crowd in the middle are like any mirror image of theirs (lines through it, as with biases of zero, have a chance above a half),
    and where they fill the slice the F1 is near 1 for any. *Score and target*: symmetry is worth something where the target's own
    score is above the target's chance, in the same direction; there, of two networks, the better one showed it in all layers
    (L. N. Darlow and A. J. Storkey, arXiv:1810.01860, section 9). *Layer and output*: an output can be as symmetric as its target
    while no layer is; then none makes use of it.

    Units are watched ones with a state everywhere; their order and sides are no matter. NaN for a layer without boundaries here,
    and for an output that is the same number everywhere. Cost: the states of all units, unpacked, and twenty reflections of some
    1,500 points a layer.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (2,), (0, 1))
    >>> x = np.tile(np.linspace(-1, 1, 64), (64, 1))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> for places in ((-0.5, 0.5), (0.5, 0.7)):  # only the first two are mirror images of each other
    ...     states = np.stack([x > place for place in places]).reshape(2, -1)
    ...     found = mirror_symmetry(Sample(Capture((layer,), 64, np.packbits(states, axis=1)), empty))
    ...     [round(found[f"symmetry/{score}/fc"], 2) for score in ("left_right", "up_down", "f1_left_right", "f1_up_down")]
    [1.0, 1.0, 1.0, 1.0]
    [-0.18, 1.0, 0.0, 1.0]
    """
    capture = sample.now
    usable = defined(capture)
    values: dict[str, Value] = {}
    for name, span in spans_of(capture.layers).items():
        edges = _edges(capture.on[span][usable[span]], capture.resolution)
        values |= _named(name, _scores(_blurred(edges), _correlation))
        values |= _named(name, _shares_near(edges > 0), "f1_")
    if capture.field is not None:
        classes = classes_of(capture.field)
        shown, alike = (capture.field.value, _correlation) if classes is None else (classes, _agreement)
        values |= _named("output", _scores(shown, alike))
    if sample.slice is not None and sample.slice.target is not None:
        values |= _named("target", _scores_of(sample.slice.target))
    return values


def _named(name: str, scores: tuple[float, float, float], kind: str = "") -> dict[str, Value]:
    return {f"symmetry/{kind}{what}/{name}": score for what, score in zip(("left_right", "up_down", "chance"), scores, strict=True)}


@lru_cache(maxsize=4)
def _scores_of(target: Target) -> tuple[float, float, float]:
    return _scores(target.labels, _agreement)


def _scores(picture: Picture, alike: Likeness) -> tuple[float, float, float]:
    """Return how much `picture` (h, w) is like its left-right and up-down mirror image, and what twenty other ones give."""
    flat = picture.reshape(-1)
    flips = np.stack([picture[:, ::-1], picture[::-1]]).reshape(2, -1)
    left_right, up_down = alike(flat, flips, np.ones(flips.shape, dtype=bool))
    points, images, inside = _lattice(*picture.shape)
    return float(left_right), float(up_down), mean(alike(flat[points], flat[images], inside))


@np.errstate(invalid="ignore")  # what is not finite has no correlation
def _correlation(one: Picture, others: Picture, inside: Flags) -> Floats:
    """Return the correlation of `one` (n,) with each of `others` (k, n), over the points that are `inside` (k, n)."""
    # einsum, and no matrix product: one as small as this waits for its own threads where the processor is busy.
    weights = inside.astype(np.float64)
    middle = one.mean(dtype=np.float64)
    a, b = one - middle, (others - middle) * weights
    sums = weights.sum(axis=1), np.einsum("kn,n->k", weights, a), b.sum(axis=1)
    squares = np.einsum("kn,n->k", weights, a * a), np.einsum("kn,kn->k", b, b)
    spreads = [square - total**2 / sums[0] for square, total in zip(squares, sums[1:], strict=True)]
    both = np.einsum("kn,n->k", b, a) - sums[1] * sums[2] / sums[0]
    varied = np.all([spread > 1e-12 * square for spread, square in zip(spreads, squares, strict=True)], axis=0)  # beyond rounding
    return _ratio(both, np.sqrt(np.where(varied, spreads[0] * spreads[1], 0.0)))


def _agreement(one: Picture, others: Picture, inside: Flags) -> Floats:
    """Return the share of points at which `one` (n,) is what each of `others` (k, n) is, of those with a class in both."""
    counted = inside & (one >= 0) & (others >= 0)
    return _ratio((counted & (one == others)).sum(axis=1), counted.sum(axis=1))


def _ratio(part: Picture, whole: Picture) -> Floats:
    """Return part / whole, NaN where whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0))


def _shares_near(edge: Flags) -> tuple[float, float, float]:
    """Return the share of the points in `edge` whose mirror image is near one of them: left-right, up-down, and by chance."""
    side = len(edge)
    points = np.flatnonzero(edge)
    if not len(points):
        return math.nan, math.nan, math.nan
    near = _within(edge, max(1, round(_NEAR * side)))
    left_right, up_down = (int(np.count_nonzero(edge & flipped)) / len(points) for flipped in (near[:, ::-1], near[::-1]))
    some = points[_order(side)[points] * len(points) < _SOME]
    images, inside = _images(some, side, side)
    return left_right, up_down, mean(_ratio((inside & near.reshape(-1)[images]).sum(axis=1), inside.sum(axis=1)))


def _within(places: Flags, reach: int) -> Flags:
    """Return which points of a grid lie at most `reach` points from one of `places`."""
    wide = [places]  # by how far to the left and right
    for step in range(1, reach + 1):
        wide.append(wide[-1].copy())
        wide[-1][:, step:] |= places[:, :-step]
        wide[-1][:, :-step] |= places[:, step:]
    near = wide[reach].copy()
    for step in range(1, reach + 1):
        row = wide[math.isqrt(reach**2 - step**2)]
        near[step:] |= row[:-step]
        near[:-step] |= row[step:]
    return near


def _edges(on: Bits, side: int) -> NDArray[np.int32]:
    """Return at how many of each grid point's neighbours a unit has another state, summed over units, (side, side)."""
    edges = np.zeros((side, side), dtype=np.int32)
    for start in range(0, len(on), _BATCH):
        states = np.unpackbits(on[start : start + _BATCH], axis=1, count=side * side).reshape(-1, side, side)
        across = (states[:, :, 1:] ^ states[:, :, :-1]).sum(axis=0, dtype=np.uint8)
        along = (states[:, 1:] ^ states[:, :-1]).sum(axis=0, dtype=np.uint8)
        edges[:, 1:] += across
        edges[:, :-1] += across
        edges[1:] += along
        edges[:-1] += along
    return edges


def _blurred(edges: NDArray[np.int32]) -> Floats:
    """Return `edges` blurred, at 63 by 63 points at most: what is blurred has nothing finer."""
    weights, places, frame = _kernel(len(edges))
    framed = np.zeros((len(edges) + 2 * frame,) * 2)
    framed[frame:-frame, frame:-frame] = edges
    rows = np.einsum("it,itj->ij", weights, framed[places])
    return np.asarray(np.einsum("it,itj->ji", weights, rows.T[places]))


@lru_cache(maxsize=8)
def _kernel(side: int) -> tuple[Floats, Indices, int]:
    """Return for each coarser point the weights of those that it is made of, their places in a framed row, and the frame."""
    coarse = min(side, _FINE)
    sigma = max(_BLUR * side, 0.5)
    reach = round(3 * sigma)
    centres = (np.arange(coarse) + 0.5) * side / coarse - 0.5
    places = np.floor(centres).astype(np.intp)[:, None] + np.arange(-reach, reach + 2)
    far = places - centres[:, None]
    weights = np.exp(-0.5 * (far / sigma) ** 2) * (abs(far) < reach + 1e-9)  # as many to the left as to the right
    return weights, places + reach + 1, reach + 1


@lru_cache(maxsize=8)
def _lattice(height: int, width: int) -> tuple[Indices, Indices, Flags]:
    """Return evenly spread points of a grid, some 32 a side and more of a small one, and their images as :func:`_images` does."""
    rows, columns = _spread(height), _spread(width)
    points = (rows[:, None] * width + columns).reshape(-1)
    return points, *_images(points, height, width)


def _spread(size: int) -> Indices:
    """Return places from 0 to `size` - 1, evenly spread to either side of the middle, so that mirroring gives the same ones."""
    step = max(1, round(size / _COARSE))
    if size % 2 == 0 and step % 2 == 0:
        step -= 1  # the middle lies midway between two
    upper = np.arange(size // 2 + (step // 2 if size % 2 == 0 else 0), size, step)
    return np.unique([upper, size - 1 - upper])


@lru_cache(maxsize=8)
def _order(side: int) -> Floats:
    """Return for each point of a grid a number from 0 to 1, spread such that those below a share are that share of any area.

    It is the same for mirror images and at a quarter turn, and so is what is found at points that are chosen by it. The numbers
    are steps of Roberts' sequence R2 in two dimensions.
    """
    far = abs(np.arange(side) - (side - 1) / 2)
    near, far = np.minimum(far[:, None], far), np.maximum(far[:, None], far)
    return np.asarray((0.5698402910 * near + 0.7548776662 * far) % 1).reshape(-1)


def _images(points: Indices, height: int, width: int) -> tuple[Indices, Flags]:
    """Return the points nearest to the images of `points` (n,) for each line of reflection, and which are on the grid, (20, n)."""
    angle = 2 * np.pi * (np.arange(_AXES)[:, None] + 0.5) / _AXES  # twice the axis' own, which runs over half a turn
    x, y = (points % width + 0.5) / width - 0.5, (points // width + 0.5) / height - 0.5
    column, far_across = _nearest((np.cos(angle) * x + np.sin(angle) * y + 0.5) * width - 0.5)
    row, far_along = _nearest((np.sin(angle) * x - np.cos(angle) * y + 0.5) * height - 0.5)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # One midway between two points would go to a side that turning the picture changes.
    inside &= np.maximum(far_across, far_along) < _MIDWAY
    return (row * width + column) * inside, inside


def _nearest(places: Floats) -> tuple[Indices, Floats]:
    """Return the whole numbers that are nearest, and how far they are."""
    whole = np.rint(places)
    return whole.astype(np.intp), np.abs(places - whole)
