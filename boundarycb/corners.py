"""Finds the corners of the areas of a label map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Floats

_RADIUS = 0.035  # of the longer side: of the disc in which areas are compared
_BENT = 30.0  # degrees by which an edge turns at a corner, at least


def find_corners(labels: NDArray[np.int64]) -> Floats:
    """Return the corners of the areas that `labels` (h, w) make: (K, 2), as shares of width and height, first row at 0.

    At a straight edge a disc has a half of its area in the class of its middle; where the edge turns by an angle a, a / 360 more or
    less (the integral invariant of S. Manay et al., 2006; S. M. Smith and J. M. Brady, 1997, call it SUSAN). A corner is the place
    where that differs from a half most of all within the disc's radius, by 30 degrees or more. A curve of a radius much larger than
    the disc's has none. Places nearer to the border than the radius are left out: what lies beyond is not known.

    >>> square = np.zeros((100, 100), np.int64)
    >>> square[30:70, 30:70] = 1
    >>> sorted(find_corners(square).round(1).tolist())
    [[0.3, 0.3], [0.3, 0.7], [0.7, 0.3], [0.7, 0.7]]
    """
    height, width = labels.shape
    radius = max(3, round(_RADIUS * max(height, width)))
    if min(height, width) <= 2 * radius + 1:
        return np.empty((0, 2))
    share = _shares(labels, radius)
    inner = labels[radius:-radius, radius:-radius]
    on_edge = _edges(labels)[radius:-radius, radius:-radius] & (inner >= 0)
    bend = np.where(on_edge, abs(share - 0.5) * 360, 0.0)
    # A pixel of an edge has its own row of the disc in its class, which is no bend of the edge.
    bend = np.where(on_edge, np.maximum(bend - 360 / (np.pi * radius), 0.0), 0.0)
    places = []
    while bend.max() >= _BENT:
        row, column = np.unravel_index(int(bend.argmax()), bend.shape)
        low, left = max(0, row - 2 * radius), max(0, column - 2 * radius)
        near = bend[low : row + 2 * radius + 1, left : column + 2 * radius + 1]
        rows, columns = np.nonzero(near >= 0.95 * bend[row, column])  # both sides of the edge, and their like
        places.append((columns.mean() + left, rows.mean() + low))
        near[:] = 0
    return np.asarray((np.array(places).reshape(-1, 2) + radius + 0.5) / np.array([width, height]))


def _shares(labels: NDArray[np.int64], radius: int) -> Floats:
    """Return which share of the disc around each pixel has its label, for pixels whose disc lies inside."""
    height, width = labels.shape
    inner = labels[radius : height - radius, radius : width - radius]
    total, alike = 0, np.zeros(inner.shape, dtype=np.int64)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius:
                total += 1
                alike += inner == labels[radius + dy : height - radius + dy, radius + dx : width - radius + dx]
    return np.asarray(alike / total)


def _edges(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pixels have a neighbour with another label."""
    edge = np.zeros(labels.shape, dtype=bool)
    beside, above = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:] |= beside
    edge[:, :-1] |= beside
    edge[1:] |= above
    edge[:-1] |= above
    return edge
