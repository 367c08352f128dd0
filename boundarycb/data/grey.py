"""Two grey levels as white, black or grey: the sets S1, S2 and S3 of D. Fishbein and J. Debata.

Their paper is *Visualizing Neural Nets*, 2023; the sets are in section 5.

A point is a pair of levels (x1, x2), each from 0 to 255, and its label is 0 (white), 1 (black) or 2 (grey), as in `CLASSES`.

Three things about the paper's definitions, all kept as it has them:

* *The constant.* It calls n "an arbitrary constant" and gives no value. Here n is 51, a fifth of 255, unless you say otherwise.
* *The names.* It calls small sums white and large ones black. On a screen 0 is black and 255 white, so the names are the other
  way round there. Only people's answers (:func:`boundarycb.data.read_answers`) go by what a screen shows.
* *The third rule of S3.* It prints it as "x_i = 3", after the cases for white and black. Read in that order it would change
  nothing: what is neither white nor black is grey anyway. By its own words "the value will be Grey on every third image", so here
  the third rule goes before the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boundarycb.types import Floats

CLASSES = ("white", "black", "grey")
"""What labels 0, 1 and 2 are called."""

WHITE, BLACK, GREY = range(3)
TOP = 255
"""The largest level; the smallest is 0."""

Labels = NDArray[np.int64]


def s1(points: ArrayLike, n: float = 51) -> Labels:
    """Return white where x1 + x2 < 255 - n, black where x1 + x2 > 255 + n, else grey, int64 (k,).

    Of the square [0, 255]² at n = 51, .32 is white, .32 black and .36 grey: two triangles of (255 - n)² / 2, and the band between
    them, 2 n / √2 = 72.12 wide.

    Args:
        points: pairs of levels from 0 to 255, (k, 2). Beyond that range the same rules hold; levels that were scaled to 0..1 or
            -1..1 must be scaled back first, or all are white.
        n: half the range of sums that are grey, from 0 (grey on x1 + x2 = 255 alone) to 255 (all is grey).

    >>> s1([[0, 203], [0, 204], [51, 255], [52, 255]]).tolist()
    [0, 2, 2, 1]
    """
    total, n = checked_points(points).sum(axis=1), _checked(n)
    return _labels(total < TOP - n, total > TOP + n)


def s2(points: ArrayLike, n: float = 51) -> Labels:
    """Return S1's white only where x1 < x2, S1's black only where x1 > x2, else grey, int64 (k,).

    Of the square [0, 255]² at n = 51, .16 is white, .16 black and .68 grey: what is white is the triangle (0, 0), (0, 204),
    (102, 102), and what is black the triangle (255, 255), (255, 51), (153, 153).

    Args:
        points: as of :func:`s1`.
        n: as of :func:`s1`.

    >>> s2([[10, 20], [20, 10], [15, 15], [250, 240], [240, 250]]).tolist()
    [0, 2, 2, 1, 2]
    """
    points = checked_points(points)
    labels, rising = s1(points, n), np.sign(points[:, 1] - points[:, 0])
    return _labels((labels == WHITE) & (rising > 0), (labels == BLACK) & (rising < 0))


def s3(points: ArrayLike, n: float = 51) -> Labels:
    """Return S1's labels with every third one, that of points 2, 5, 8 and so on, made grey, int64 (k,).

    The label depends on the place of a point among the others, which is no part of the input: to a network it is noise, and none
    is right more often than :func:`s3_limit` says. So give all points at once and split or shuffle them afterwards together with
    their labels; points given in batches are counted from 0 in each. In the order of :func:`every_pair` it is no noise but a
    pattern of stripes, since there the place of (x1, x2) is 256 x1 + x2: every third is where x1 + x2 leaves 2 when divided by 3.

    Args:
        points: as of :func:`s1`; their order matters.
        n: as of :func:`s1`.

    >>> s3([[0, 0]] * 4).tolist()
    [0, 0, 2, 0]
    """
    labels = s1(points, n)
    labels[2::3] = GREY
    return labels


def s3_limit(n: float = 51) -> float:
    """Return the largest accuracy that a network can expect on S3, for points evenly spread over [0, 255]²: .78667 at n = 51.

    It sees the point and not its place, so all it can do is name one class at each point. Where S1 says white or black, that is
    the label in two of three cases, and grey in the third: naming S1's class is best, and right with 2/3. Where S1 says grey the
    label always is. So no network does better than S1 itself, which is right in

    2/3 (1 - P(grey)) + P(grey) = 2/3 + P(grey) / 3 of all cases, with P(grey) = 1 - (255 - n)² / 255².

    That is a mean: a finite sample has its own, and a network that learns it by heart may be above. For whole levels
    (:func:`pairs`), of which more lie on the lines, it is .78729 at n = 51.

    Args:
        n: as of :func:`s1`.

    >>> round(s3_limit(), 5), round(s3_limit(0), 5), s3_limit(255)
    (0.78667, 0.66667, 1.0)
    """
    coloured = (TOP - _checked(n)) ** 2 / TOP**2
    return 1 - coloured / 3


def pairs(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Return `count` pairs of whole levels, each from 0 to 255 with equal chance, float32 (count, 2).

    Args:
        count: how many, 1 or more.
        seed: 0 or more; the same seed gives the same pairs.

    >>> pairs(1000).shape, float(pairs(1000).min()), float(pairs(1000).max())
    ((1000, 2), 0.0, 255.0)
    """
    if count < 1:
        raise ValueError(f"`count` must be 1 or more, got {count}.")
    return generator(seed).integers(0, TOP + 1, (count, 2)).astype(np.float32)


def every_pair() -> NDArray[np.float32]:
    """Return all 65,536 pairs of whole levels from 0 to 255, the second one changing fastest, float32 (65536, 2).

    >>> every_pair()[[0, 1, 256, -1]].tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [255.0, 255.0]]
    """
    levels = np.arange(TOP + 1, dtype=np.float32)
    return np.stack(np.meshgrid(levels, levels, indexing="ij"), axis=-1).reshape(-1, 2)


def generator(seed: int, *use: int) -> np.random.Generator:
    """Return a generator of random numbers: the same seed gives the same, and each `use` of a seed others."""
    if seed < 0:
        raise ValueError(f"`seed` must be 0 or more, got {seed}.")
    return np.random.default_rng((seed, *use))


def checked_points(points: ArrayLike) -> Floats:
    """Return `points` as float64 (k, 2).

    Raises:
        ValueError: they have another shape, or are not finite.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"`points` must be pairs of levels from 0 to 255, of shape (k, 2), got shape {array.shape}.")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise ValueError(f"`points` must be finite, got {array[~finite][0].tolist()}; leave such pairs out.")
    return array


def _checked(n: float) -> float:
    """Return `n`; below 0 a sum could be both white and black, and beyond 255 nothing is either, as at 255."""
    if not 0 <= n <= TOP:
        raise ValueError(f"`n` must be from 0 to 255 (all is grey), got {n}.")
    return n


def _labels(white: NDArray[np.bool_], black: NDArray[np.bool_]) -> Labels:
    return np.where(white, WHITE, np.where(black, BLACK, GREY)).astype(np.int64)
