"""Looks again whether a network is affine within the cells, and zero on the boundaries, where the search says so.

In a cell on which everything is affine, the value at a weighted mean of its corners is the same mean of the values there. All
units are looked at, also those that were not seen to switch; corners and means run in batches of their own, so that what
depends on the batch shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from boundarycb.engines.exact.decision import are_probabilities, scores
from boundarycb.engines.exact.limits import NotPiecewiseLinear
from boundarycb.engines.exact.rounding import FLOOR, uneven
from boundarycb.engines.exact.search import Partition, causes
from boundarycb.engines.sorting import Ints
from boundarycb.types import Floats, Forward, spans_of

LIMIT = 1e-9
"""Of a unit's largest value. On networks that are piecewise linear 3e-14 were seen, on others 2e-8 and more."""

_CELLS = 256
_CELLS_IN_DOUBT = 4096  # where the model called something that may bend it
_SEGMENTS = 256
_VALUES = 2**22  # at most that are computed
_LEAST = 64  # points within cells
_INSET = 2.0**-10
_GOLDEN = 0.6180339887498949  # whose multiples spread evenly between 0 and 1
_SNAPPED = 1e-8  # of a unit's largest value at segments, whose ends are moved by the tolerance for one point


@dataclass(frozen=True)
class Certificate:
    """What was looked at again, and how far off it was.

    Args:
        cells: how many cells.
        segments: how many pieces of boundaries.
        bend: the most that a unit's value within a cell was off that mean of the corners' values, of its largest value.
        miss: the most that a unit was off zero within a piece of its boundary, of its largest value.
        output: the same as `bend` of the output's differences, or of its one number; infinite where it was not looked at.
        logarithm: whether that is of the output's logarithm, since the output is probabilities.
    """

    cells: int
    segments: int
    bend: float
    miss: float
    output: float
    logarithm: bool = False


def certify(found: Partition, again: Forward | None = None) -> Certificate:
    """Return the certificate of `found`.

    Args:
        found: what is looked at.
        again: runs the model; by default as it was run for `found`.

    Raises:
        NotPiecewiseLinear: it is not what the network is; the message names the layer that is off most, and by how much.
    """
    values = found.values if again is None else found.values.by(again)
    cells = _some_cells(found)
    corners, start = found.cells.around(cells)
    shares = uneven(len(corners), start)
    points = found.cells.points[corners]
    inner = np.add.reduceat(shares * points, start)
    # A little inside, since corners may have been moved by what counts as one point.
    points += _INSET * (np.repeat(inner, found.cells.sizes[cells], axis=0) - points)
    pieces, units = _some_segments(found)
    at_corners, output_at_corners = values.at(points)
    at_inner, output_at_inner = values.at(np.concatenate([np.add.reduceat(shares * points, start), pieces]))
    sizes = _sizes(found, at_corners)
    bends = np.abs(at_inner[: len(start)] - np.add.reduceat(shares * at_corners, start)).max(axis=0) / sizes
    _refuse(found, bends, LIMIT, "are not affine within its regions")
    _refuse(found, _overlooked(found, at_corners, start) / sizes, LIMIT, "switch within its regions")
    misses = np.zeros(len(sizes))
    np.maximum.at(misses, units, np.abs(at_inner[np.arange(len(start), len(at_inner)), units]) / sizes[units])
    _refuse(found, misses, _SNAPPED, "are not zero on the boundaries that were found")
    output, logarithm = np.inf, False
    if found.whole and output_at_corners is not None and output_at_inner is not None:
        output, logarithm = _bend_of_output(output_at_corners, output_at_inner[: len(start)], shares, start, found.magnitude)
    return Certificate(
        len(np.unique(cells)), len(units), float(bends.max(initial=0.0)), float(misses.max(initial=0.0)), output, logarithm
    )


def _some_cells(found: Partition) -> Ints:
    """Return the largest cells and as many of the others, evenly spread in size."""
    cells = found.cells
    most = _CELLS_IN_DOUBT if found.values.reading.bends else _CELLS
    most = min(most, max(16, _VALUES // (5 * found.values.units)))
    thick = cells.thick
    thick = thick[np.argsort(-cells.areas[thick], kind="stable")]
    if len(thick) < _LEAST:  # a few are looked at again and again, at other points
        return np.resize(thick, _LEAST)
    if len(thick) <= most:
        return thick
    rest = thick[most // 2 :]
    return np.concatenate([thick[: most // 2], rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(int)]])


def _overlooked(found: Partition, values: Floats, start: Ints) -> Floats:
    """Return how far each unit (U,) is on at one corner of a cell and off at another: a boundary between them was overlooked."""
    on, off = (extreme.reduceat(values, start, axis=0) for extreme in (np.maximum, np.minimum))
    overlooked = np.minimum(on, -off).max(axis=0)
    if not found.whole:  # then those of the last layer run through the cells: they must at least be known
        last = list(spans_of(found.layers).values())[-1]
        overlooked[last][found.segments[-1].unit[found.segments[-1].unit < found.layers[-1].size]] = 0.0
    return np.asarray(np.maximum(overlooked, 0.0))


def _sizes(found: Partition, values: Floats) -> Floats:
    """Return each unit's largest value (U,), or what it would be where what counted as zero were the limit."""
    largest = np.maximum(np.abs(values).max(axis=0, initial=0.0), found.zero / LIMIT)
    return np.where(largest > 0, largest, 1.0)


def _some_segments(found: Partition) -> tuple[Floats, Ints]:
    """Return points (n, 2) within some pieces of boundaries, evenly spread over each layer's, and the unit of each among all."""
    points, units, before = [np.empty((0, 2))], [np.empty(0, np.int64)], 0
    each = -(-_SEGMENTS // len(found.layers))
    for layer, segments in zip(found.layers, found.segments, strict=True):
        own = np.flatnonzero(segments.unit < layer.size)
        own = own[np.linspace(0, len(own) - 1, min(len(own), each)).astype(int)]
        share = 0.1 + 0.8 * (np.arange(1, len(own) + 1) * _GOLDEN % 1.0)[:, None]
        start, end = segments.points[segments.start[own]], segments.points[segments.end[own]]
        points.append(start + share * (end - start))
        units.append(before + segments.unit[own])
        before += layer.size
    return np.concatenate(points), np.concatenate(units)


def _bend_of_output(at_corners: Floats, at_inner: Floats, shares: Floats, start: Ints, magnitude: float) -> tuple[float, bool]:
    """Return the bend of the output's differences; and whether that of their logarithms, since they are probabilities."""
    plain = _bend(scores(at_corners), scores(at_inner), shares, start, magnitude)
    if plain <= LIMIT or not are_probabilities(at_corners):
        return plain, False
    return _bend(scores(at_corners, logarithm=True), scores(at_inner, logarithm=True), shares, start, magnitude), True


def _bend(at_corners: Floats, at_inner: Floats, shares: Floats, start: Ints, magnitude: float) -> float:
    """Return the bend of the differences between classes: what all have in common, as a softmax's normaliser, decides nothing.

    It is of their size, or of what that would be were the limit what rounding leaves of numbers of this `magnitude`.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        floor = FLOOR * max(np.abs(at_corners).max(), magnitude) / LIMIT
        if at_corners.shape[1] > 1:
            at_corners, at_inner = at_corners - at_corners[:, :1], at_inner - at_inner[:, :1]
        bend = np.abs(at_inner - np.add.reduceat(shares * at_corners, start)).max()
        return float(np.nan_to_num(bend / (max(np.abs(at_corners).max(), floor) or 1.0), nan=np.inf))


def _refuse(found: Partition, figures: Floats, limit: float, words: str) -> None:
    """Raise NotPiecewiseLinear where one of the `figures` (U,) is beyond `limit`."""
    if not len(figures) or figures.max() <= limit:
        return
    worst = int(figures.argmax())
    place, span = next((k, span) for k, span in enumerate(spans_of(found.layers).values()) if worst < span.stop)
    off = float(figures[span].max())
    layer = found.layers[place].name
    why = causes(found.values.reading, place) + _far_away(found, off)
    raise NotPiecewiseLinear(f"units of {layer} {words} ({off:.2g} of their size, {limit:g} is allowed){why}", off)


def _far_away(found: Partition, off: float) -> str:
    """Return that rounding may be the reason, in words, where the slice is small beside its distance from the origin."""
    inputs = found.values.slice.lift(found.values.slice.corners())
    rounding = np.finfo(np.float64).eps * np.abs(inputs).max() / (np.ptp(inputs, axis=0).max() or 1.0)
    near = rounding > 1e-3 * LIMIT and off < 1e6 * rounding
    return "; which may be rounding, since the slice is small beside the size of its inputs" if near else ""
