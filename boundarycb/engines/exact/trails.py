"""Joins straight pieces of boundaries to lines, in the format of all engines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boundarycb.engines.exact.cutting import Segments
from boundarycb.engines.polylines import chain
from boundarycb.engines.sorting import Ints, order_of
from boundarycb.types import Boundaries, Layer, Slice, watched_layers


def boundaries(slice: Slice, layers: Sequence[Layer], segments: Sequence[Segments]) -> Boundaries:
    """Return lines made of each layer's `segments`, those of its kept units; the other units and kinks are left out."""
    kept, before, known = [], 0, 0
    for layer, pieces in zip(layers, segments, strict=True):
        kept.append(_owned(layer, pieces, before, known))
        before += len(layer.kept)
        known += len(pieces.points)
    owner, start, end = (np.concatenate(part) for part in zip(*kept, strict=True))
    points = np.concatenate([pieces.points for pieces in segments])
    by_owner = order_of(owner)
    owner, start, end = owner[by_owner], start[by_owner], end[by_owner]
    order, lengths = chain(owner * known + start, owner * known + end)
    last = np.cumsum(lengths) - 1
    ends = end[order[last]]
    trail = points.take(np.insert(start[order], last + 1, ends), axis=0)
    (u0, u1), (v0, v1) = slice.bounds
    everywhere = np.array([u0, v0]) + trail * np.array([u1 - u0, v1 - v0])
    offsets = np.concatenate([[0], np.cumsum(lengths + 1)])
    return Boundaries(everywhere, offsets, owner[order[last]].astype(np.int32), watched_layers(layers), exact=True)


def _owned(layer: Layer, pieces: Segments, before: int, known: int) -> tuple[Ints, Ints, Ints]:
    """Return owner, start and end of the kept units' pieces; owners and points are counted on from `before` and `known`."""
    column = np.full(int(pieces.unit.max(initial=-1)) + 1, -1)
    kept = np.array(layer.kept, np.int64)
    kept = kept[kept < len(column)]
    column[kept] = before + np.arange(len(kept))
    owner = column[pieces.unit]
    chosen = np.flatnonzero(owner >= 0)
    return owner[chosen], known + pieces.start[chosen], known + pieces.end[chosen]
