"""The map of classes: how long its borders are, in how many pieces it lies, and who never wins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.masks import classes_of
from boundarycb.types import Boundaries, Sample, Slice, Value

LEAST_POINTS = 5
"""Grid points of a piece: smaller ones are the grid's doing."""


def decision_map(sample: Sample) -> dict[str, Value]:
    r"""Return ``decision/length``, ``decision/fragments`` and ``decision/never``; nothing where the output is no classes.

    * ``decision/length``: length of the border between the classes that win, with the slice's sides as units of length: 1 for a
      straight line across a square. 0 or more; 0: one class wins everywhere; high: a long or ragged border. Exact where the lines
      are. (On the grid it is that of traced lines, not of counted points, which overstate slanted ones by up to 4 / pi.)
    * ``decision/fragments``: connected pieces of the map of winning classes, of five grid points or more, that share a side of a
      point: what Somepalli et al. (2022, arXiv:2203.08124) call fragmentation, there with corners too. 1 or more; high: the map is
      torn. A finer grid sees more of them.
    * ``decision/never``: classes that win at no grid point, of the C that there are. 0 to C - 1. In "Visualizing Neural Nets"
      (2023) these are the neurons that never activate. Elsewhere in the input space they may win.

    Of two classes the grid keeps the chance of one in half precision: where both have 0.5 to three digits it is the first one's.
    Cost: twenty passes over the grid at most.

    >>> from boundarycb.types import Capture, Field, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    >>> board = np.kron([[0, 2], [2, 0]], np.ones((4, 4))).astype(np.uint16)
    >>> field = Field("classes", np.ones((8, 8), np.float16), board, classes=3)
    >>> decision_map(Sample(Capture((layer,), 8, np.zeros((1, 8), np.uint8), field), empty))
    {'decision/fragments': 4.0, 'decision/never': 1.0}
    """
    field = sample.now.field
    classes = None if field is None else classes_of(field)
    if field is None or classes is None:
        return {}
    values: dict[str, Value] = {}
    if sample.decision is not None and sample.slice is not None and (classes >= 0).any():
        values["decision/length"] = border_length(sample.decision, sample.slice)
    known = np.unique(classes[classes >= 0])
    values["decision/fragments"] = float(count_pieces(classes)) if len(known) else math.nan
    values["decision/never"] = float(field.classes - len(known)) if len(known) else math.nan
    return values


def border_length(border: Boundaries, slice: Slice) -> float:
    """Return the length of the border between classes, which has each piece once for either side, in the slice's sides."""
    low, high = np.array(slice.bounds).T
    points = (border.points - low) / (high - low)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    joins = border.offsets[1:-1] - 1  # from one line's end to the next one's start
    return float(steps.sum() - steps[joins].sum()) / 2 if len(points) else 0.0


def count_pieces(classes: NDArray[Any], least: int = LEAST_POINTS) -> int:
    """Return the number of connected pieces of `classes` (H, W) with `least` points or more; -1 is no class.

    >>> count_pieces(np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]]), least=1)
    4
    """
    names = pieces_of(classes)[classes >= 0]
    return int((np.bincount(names) >= least).sum()) if len(names) else 0


def pieces_of(classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the piece that each point of `classes` (H, W) belongs to, by the number of its first point; sides connect.

    Every point takes the smallest number of its neighbours of the same class, and then that of the point that it is named after,
    until nothing changes: a few passes, since names are handed on by leaps.

    >>> pieces_of(np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]])).tolist()
    [[0, 0, 2], [3, 0, 2], [6, 2, 2]]
    """
    height, width = classes.shape
    number = np.arange(height * width, dtype=np.int64).reshape(height, width)
    beside, above = classes[:, 1:] == classes[:, :-1], classes[1:] == classes[:-1]
    pairs = [(number[:, 1:][beside], number[:, :-1][beside]), (number[1:][above], number[:-1][above])]
    one, other = np.concatenate(pairs, axis=1)
    names = number.reshape(-1).copy()
    while True:
        low = np.minimum(names[one], names[other])
        high = np.maximum(names[one], names[other])
        if (low == high).all():
            return names.reshape(height, width)
        np.minimum.at(names, high, low)
        while True:  # whoever is named after one that got another name takes it too
            further = names[names]
            if (further == names).all():
                break
            names = further
