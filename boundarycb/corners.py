"""Finds the corners of the areas of a label map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Floats

_RADIUS = 0.035  # of the longer side: of the disc in which areas are compared
_LEAST_RADIUS = 4  # pixels: in smaller discs the steps of a slanted edge look like corners
_BENT = 30.0  # degrees by which an edge turns at a corner, at least


def find_corners(labels: NDArray[np.int64]) -> Floats:
    """Return the corners of the areas that `labels` (h, w) make: (K, 2), as shares of width and height, first row at 0.

    At a straight edge a disc has a half of its area in the class of its middle; where the edge turns by an angle a, a / 360 more or
    less (the integral invariant of S. Manay et al., 2006; S. M. Smith and J. M. Brady, 1997, call it SUSAN). A corner is the place
    where that differs from a half most of all within two radii, by 30 degrees or more. Where three classes meet there is one too.

    The disc's radius is 3.5 % of the longer side, four pixels at least; corners less than two radii apart count as one, and a curve
    of a radius much larger than the disc's has none. On maps of fewer than 150 pixels a side curves may seem to have some.
    Places nearer to the border than the radius, or to pixels without a label (-1), are left out: what lies beyond is not known.

    >>> square = np.zeros((100, 100), np.int64)
    >>> square[30:70, 30:70] = 1
    >>> sorted(find_corners(square).round(1).tolist())
    [[0.3, 0.3], [0.3, 0.7], [0.7, 0.3], [0.7, 0.7]]
    """
    height, width = labels.shape
    radius = max(_LEAST_RADIUS, round(_RADIUS * max(height, width)))
    bend = _bends(labels, radius)
    places = []
    while bend.max() >= _BENT:
        row, column = np.unravel_index(int(bend.argmax()), bend.shape)
        low, left = max(0, row - 2 * radius), max(0, column - 2 * radius)
        near = bend[low : row + 2 * radius + 1, left : column + 2 * radius + 1]
        rows, columns = np.nonzero(near >= 0.95 * bend[row, column])  # both sides of the edge, and their like
        places.append((columns.mean() + left, rows.mean() + low))
        near[:] = 0
    return np.asarray((np.array(places).reshape(-1, 2) + 0.5) / np.array([width, height]))


def _bends(labels: NDArray[np.int64], radius: int) -> Floats:
    """Return by how many degrees the edge turns at each of its pixels, (h, w); 0 elsewhere."""
    height, width = labels.shape
    rows, columns = np.nonzero(_edges(labels))
    inside = (np.minimum(rows, height - 1 - rows) >= radius) & (np.minimum(columns, width - 1 - columns) >= radius)
    places = (rows * width + columns)[inside]
    flat = labels.reshape(-1)
    alike, known = np.zeros(len(places)), np.ones(len(places), dtype=bool)
    disc = _disc(radius)
    for down, right in disc:
        seen = flat[places + down * width + right]
        alike += seen == flat[places]
        known &= seen >= 0
    more = alike / len(disc) - 0.5
    more -= np.minimum(np.maximum(more, 0.0), 1 / (np.pi * radius))  # the pixel's own row of the disc, which is no bend of the edge
    bend = np.zeros(height * width)
    bend[places[known]] = 360 * abs(more[known])
    return bend.reshape(height, width)


def _disc(radius: int) -> NDArray[np.int64]:
    """Return the pixels of a disc around one: how many rows down and columns to the right each lies, (k, 2)."""
    reach = np.arange(-radius, radius + 1)
    around = np.stack(np.meshgrid(reach, reach, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(around[(around**2).sum(axis=1) <= radius**2])


def _edges(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pixels have a neighbour with another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    beside, above = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:] |= beside
    edge[:, :-1] |= beside
    edge[1:] |= above
    edge[:-1] |= above
    return edge
