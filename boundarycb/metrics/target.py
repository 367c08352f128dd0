"""Which parts of the target the output has, and which it misses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.decision import pieces_of
from boundarycb.metrics.masks import classes_of, mean
from boundarycb.types import Floats, Sample, Target, Value

LEAST_SHARE = 0.005
"""Share of the slice that a part covers at least: smaller ones are left out."""

MISSED = 0.5
"""Recall of a part: less is missed."""

_ROWS = 20  # of the table


@dataclass(frozen=True, eq=False)
class _Parts:
    """The connected parts of a target that are large enough, the largest first.

    Args:
        number: (h, w), the number of the part that a pixel belongs to, from 1; 0 where that is none of them.
        classes: (K,), the class of each part.
        shares: (K,), the share of the slice that it covers.
        centres: (K, 2), its centre of gravity, as shares of the slice's sides.
    """

    number: NDArray[np.int64]
    classes: NDArray[np.int64]
    shares: Floats
    centres: Floats


def target_parts(sample: Sample) -> dict[str, Value]:
    r"""Return ``target/accuracy``, ``target/worst_part``, ``target/missed_parts`` and a table, ``target/parts``.

    The slice's target says which class should win where (:func:`boundarycb.slices.aimed`). A part of it is a connected area of one
    class, by the sides of pixels, that covers 0.5 % of the slice or more. Its recall is

    .. math:: r = |\{p \in \mathrm{part} : c(p) = t(p)\}| \,/\, |\mathrm{part}|

    over the grid points p in it, with the class c that wins and the target t, that of the nearest pixel.

    * ``target/accuracy``: share of the slice's grid points with :math:`c = t`, of those where the target has a class. 0 to 1.
    * ``target/worst_part``: the lowest recall of a part. 0 to 1; near 0 while the accuracy is high: a small part is missed whole,
      as the diamond is in GINN's failure (L. N. Darlow and A. J. Storkey, arXiv:1810.01860, section 10).
    * ``target/missed_parts``: parts with a recall below 0.5. 0 or more.
    * ``target/parts``: a row a part, the twenty largest at most, the largest first: number, class, share of the slice, slice
      coordinates of its centre of gravity, recall.

    NaN where there is nothing to count: a target of -1 only, parts without a grid point. Nothing is returned where the slice has no
    target, or the output is no classes. Parts do not depend on the grid, nor on the step: they are found once. Cost: one pass over
    the grid.

    >>> from boundarycb import slices
    >>> from boundarycb.types import Boundaries, Capture, Field, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    >>> halves = np.zeros((4, 4), int)
    >>> halves[:, 2:] = 1  # the right one; the output has class 1 in the last column only
    >>> capture = Capture((layer,), 4, np.zeros((1, 2), np.uint8), Field("probability", np.eye(4)[[3] * 4], classes=2))
    >>> found = target_parts(Sample(capture, empty, slice=slices.aimed(slices.box((0, 4), (0, 4)), halves)))
    >>> found["target/accuracy"], found["target/worst_part"], found["target/missed_parts"]
    (0.75, 0.5, 0.0)
    >>> found["target/parts"][1]
    {'part': 2, 'class': 1, 'share': 0.5, 'u': 3.0, 'v': 2.0, 'recall': 0.5}
    """
    field, plane = sample.now.field, sample.slice
    classes = None if field is None else classes_of(field)
    if plane is None or plane.target is None or classes is None:
        return {}
    labels, parts = plane.target.labels, _parts_of(plane.target)
    places = plane.target.pixels(len(classes))
    right, finite = classes == labels[places], classes >= 0
    recall = _recall(np.where(finite, parts.number[places], 0), right, len(parts.classes))
    known = recall[~np.isnan(recall)]
    return {
        "target/accuracy": mean(right[finite & (labels[places] >= 0)].astype(np.float64)),
        "target/worst_part": float(known.min()) if len(known) else float("nan"),
        "target/missed_parts": float((known < MISSED).sum()) if finite.any() else float("nan"),
        "target/parts": _table(parts, recall, np.array(plane.bounds)),
    }


@lru_cache(maxsize=4)
def _parts_of(target: Target) -> _Parts:
    labels = target.labels
    height, width = labels.shape
    first, piece, size = np.unique(pieces_of(labels), return_inverse=True, return_counts=True)
    classes, piece = labels.reshape(-1)[first], piece.reshape(-1)
    large = np.flatnonzero((size >= LEAST_SHARE * labels.size) & (classes >= 0))
    chosen = large[np.argsort(-size[large], kind="stable")]
    number = np.zeros(len(first), dtype=np.int64)
    number[chosen] = np.arange(1, len(chosen) + 1)
    rows, columns = np.divmod(np.arange(labels.size), width)
    sums = [np.bincount(piece, (places + 0.5) / side)[chosen] for places, side in ((columns, width), (rows, height))]
    centres = np.stack(sums, axis=1) / size[chosen, None]
    return _Parts(number[piece].reshape(height, width), classes[chosen], size[chosen] / labels.size, centres)


def _recall(number: NDArray[np.int64], right: NDArray[np.bool_], parts: int) -> Floats:
    """Return the share of each part's grid points that are right, (parts,); NaN where it has none."""
    points = np.bincount(number.reshape(-1), minlength=parts + 1)[1:]
    hits = np.bincount(number[right], minlength=parts + 1)[1:]
    return np.where(points > 0, hits / np.maximum(points, 1), np.nan)


def _table(parts: _Parts, recall: Floats, bounds: Floats) -> list[dict[str, Any]]:
    low, high = bounds.T
    places = low + parts.centres * (high - low)
    return [
        {
            "part": index + 1,
            "class": int(parts.classes[index]),
            "share": float(parts.shares[index]),
            "u": float(places[index, 0]),
            "v": float(places[index, 1]),
            "recall": float(recall[index]),
        }
        for index in range(min(len(recall), _ROWS))
    ]
