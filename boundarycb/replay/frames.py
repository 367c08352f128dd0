"""What the viewer draws of a run, in records of :mod:`boundarycb.wire`: a ``scene``, then a ``view`` a sample.

They hold what a picture needs and no more, a third of what the history keeps: that goes into event files and web pages.
Points are float32 with the slice as the unit square, u to the right and v upwards, both from 0 to 1: a step of 6e-8, so that
lines stay true at a zoom of × 1000. docs/format.md lists every name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb import wire
from boundarycb.render.captions import field_span
from boundarycb.render.layout import plot_ratio
from boundarycb.types import Array, Boundaries, Capture, Field, Floats, Slice, Snapshot, spans_of

_COUNT_SIDE = 64  # grid points a side of the map of how many units are on
_NEAREST = 3  # most alike units that are named for each
_DIGITS = 6
_MANTISSA = 14  # bits of float32's 23 that are dropped where a number is not whole: three digits stay, and half the bytes
_PER_UNIT = "_per_unit"
_LEVELS = 64  # of the output, from its lowest to its highest; smoothed they are more than an eye tells apart, and pack well


def encode_scene(slice: Slice, run: str, first: int = 0) -> bytes:
    """Return the record of what holds for all views of a run.

    Args:
        slice: of the run.
        run: what tells the run from all others.
        first: how many samples of it came before those that follow.
    """
    limits, marks, target = slice.limits, slice.marks, slice.target
    header = {
        "kind": "scene",
        "run": run,
        "first": first,
        "bounds": slice.bounds,
        "names": slice.names,
        "ratio": plot_ratio(slice),
        "anchor_names": slice.anchor_names,
        "held": slice.held,
    }
    sections: dict[str, Array] = {"anchors": in_square(slice.anchors, slice)}
    if limits is not None:
        sections["limits"] = in_square(limits, slice)
    if marks is not None:
        sections["marks/points"] = in_square(marks.points, slice)
        sections |= {"marks/off": marks.off.astype(np.float32), "marks/labels": marks.labels.astype(np.int32)}
    if target is not None:
        small = target.labels.max(initial=0) < 127
        sections["target"] = target.labels.astype(np.int8 if small else np.int32)
    return wire.pack(header, sections)


def encode_view(snapshot: Snapshot, number: int, every: int = 1) -> bytes:
    """Return the record of one sample.

    Args:
        snapshot: the sample.
        number: the how many-th of the run it is, counted from 0.
        every: how many samples there are for each that is written, now.
    """
    capture, lines, border, field = snapshot.capture, snapshot.boundaries, snapshot.decision, snapshot.field
    names, values = _per_unit(snapshot)
    header: dict[str, Any] = {
        "kind": "view",
        "number": number,
        "every": every,
        "step": snapshot.step,
        "time": snapshot.time,
        "resolution": capture.resolution,
        "layers": [wire.layer_out(layer) for layer in snapshot.layers],
        "exact": lines.exact,
        "mode": capture.mode,
        "notes": snapshot.notes,
        "broken": snapshot.is_broken,
        "metrics": _numbers(snapshot.numbers),
        "scalars": _numbers(snapshot.scalars),
        "units": names,
        "field": None if field is None else _field_out(field),
        "decision": None if border is None else {"exact": border.exact},
    }
    sections: dict[str, Array] = _lines(lines, snapshot.slice)
    if field is not None:
        sections |= _field(field, header["field"])
    if border is not None:
        sections |= {f"decision/{name}": array for name, array in _lines(_one_side(border), snapshot.slice).items()}
    sections |= {"on_count": on_count(capture), "per_unit": values, **_nearest(snapshot)}
    if snapshot.tables:
        text = json.dumps(wire.tables_out(snapshot.tables), allow_nan=False, separators=(",", ":"))
        sections["tables"] = np.frombuffer(text.encode(), np.uint8)
    return wire.pack(header, sections)


def in_square(points: Floats, slice: Slice) -> NDArray[np.float32]:
    """Return slice coordinates (n, 2) as places in the unit square that the slice is.

    >>> from boundarycb.slices import box
    >>> in_square(np.array([[-1.0, 4.0], [0.0, 5.0]]), box((-1, 1), (4, 8))).tolist()
    [[0.0, 0.0], [0.5, 0.25]]
    """
    low, high = np.array(slice.bounds).T
    return np.asarray((points - low) / (high - low), np.float32)


def on_count(capture: Capture) -> NDArray[np.unsignedinteger[Any]]:
    """Return how many of the kept units are on at the points of a grid of at most 64 a side, (h, h), row of smallest v first."""
    side = capture.resolution
    count = min(side, _COUNT_SIDE)
    picks = ((np.arange(count) + 0.5) * side / count).astype(int)
    total = np.zeros((count, count), np.uint32)
    for start in range(0, len(capture.on), 64):  # a few at a time: never units x points
        bits = np.unpackbits(capture.on[start : start + 64], axis=1, count=side * side).reshape(-1, side, side)
        total += bits[:, picks[:, None], picks].sum(axis=0, dtype=np.uint32)
    return total.astype(np.uint8) if len(capture.on) < 256 else total


# ----------------------------------------------------------------------------------------------------------------- parts


def _lines(lines: Boundaries, slice: Slice) -> dict[str, Array]:
    """Return the lines' points, how many each line has, and whose it is."""
    counts = np.diff(lines.offsets)
    wide = np.uint32 if counts.max(initial=0) > 65535 else np.uint16
    owner = lines.owner.astype(np.uint16 if lines.owner.max(initial=0) <= 65535 else np.uint32)
    return {"points": in_square(lines.points, slice), "counts": counts.astype(wide), "owner": owner}


def _one_side(border: Boundaries) -> Boundaries:
    """Return the border between two classes once; that of more as it is, each piece once for either side."""
    if border.layers[0].size != 2:
        return border
    kept = border.owner == 1
    sizes = np.diff(border.offsets)
    offsets = np.concatenate([[0], np.cumsum(sizes[kept])])
    return Boundaries(border.points[np.repeat(kept, sizes)], offsets, border.owner[kept], border.layers, border.exact)


def _field_out(field: Field) -> dict[str, Any]:
    low, high = field_span(field)
    return {
        "kind": field.kind,
        "classes": field.classes,
        "what": field.what,
        "names": field.names,
        "low": low,
        "high": high,
        "sigmoids": field.above is not None,
    }


def _field(field: Field, said: Mapping[str, Any]) -> dict[str, Array]:
    """Return the output in levels from low to high, 1 to 64; 0 where it is not finite."""
    low, high = said["low"], said["high"]
    value = field.value.astype(np.float64)
    share = np.clip((np.where(np.isfinite(value), value, low) - low) / ((high - low) or 1.0), 0, 1)
    levels = 1 + np.rint(share * (_LEVELS - 1))
    sections: dict[str, Array] = {"field": np.where(np.isfinite(value), levels, 0).astype(np.uint8)}
    if field.winner is not None:
        sections["winner"] = field.winner.astype(np.uint8) if field.classes <= 256 else field.winner
    return sections


def _per_unit(snapshot: Snapshot) -> tuple[list[str], NDArray[np.float32]]:
    """Return the names of the values that metrics give each unit, and the values (names, U); NaN where a unit has none."""
    spans = spans_of(snapshot.layers)
    rows: dict[str, NDArray[np.float32]] = {}
    for name, values in snapshot.per_unit.items():
        metric, _, layer = name.rpartition("/")
        if metric.endswith(_PER_UNIT) and layer in spans and len(values) == spans[layer].stop - spans[layer].start:
            row = rows.setdefault(metric.removesuffix(_PER_UNIT), np.full(len(snapshot.capture.on), np.nan, np.float32))
            row[spans[layer]] = values
    table = np.array(list(rows.values()), np.float32).reshape(len(rows), len(snapshot.capture.on))
    return list(rows), _shortened(table)


def _shortened(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `values` rounded to three digits, whole numbers as they are, so that they pack well."""
    half = np.uint32(1 << (_MANTISSA - 1))
    bits = (values.view(np.uint32) + half) & np.uint32(0xFFFFFFFF << _MANTISSA & 0xFFFFFFFF)
    whole = ~np.isfinite(values) | (values == np.rint(values))
    return np.where(whole, values, bits.view(np.float32))


def _nearest(snapshot: Snapshot) -> dict[str, Array]:
    """Return for each unit those that are most alike, as columns (U, 3), -1 where there is none, and their phi.

    Of copycats it is told, too, since which step they are; -1 of others. They come first: a likeness that the grid cannot tell from
    chance may be larger than theirs.
    """
    layers = {layer.name: layer for layer in snapshot.layers}
    found = {name: snapshot.per_unit[f"copycat/phi/{name}"] for name in layers if f"copycat/phi/{name}" in snapshot.per_unit}
    if not found:
        return {}
    spans, count = spans_of(snapshot.layers), len(snapshot.capture.on)
    near, likeness = np.full((count, _NEAREST), -1, np.int32), np.full((count, _NEAREST), np.nan, np.float32)
    since = np.full((count, _NEAREST), -1, np.int32)
    for name, matrix in found.items():
        columns = spans[name].start + np.searchsorted(layers[name].kept, snapshot.per_unit[f"copycat/units/{name}"])
        one, other, steps = snapshot.per_unit.get(f"copycat/since/{name}", np.empty((0, 3), np.int64)).T
        began = np.full(matrix.shape, -1, np.int32)
        began[one, other] = began[other, one] = steps
        rank = np.where(np.isnan(matrix) | np.eye(len(matrix), dtype=bool), -1.0, abs(matrix) + (began >= 0))
        order = np.argsort(-rank, axis=1, kind="stable")[:, :_NEAREST]
        best = np.take_along_axis(rank, order, 1)
        taken = np.take_along_axis(matrix, order, 1)
        near[columns, : order.shape[1]] = np.where(best >= 0, columns[order], -1)
        likeness[columns, : order.shape[1]] = np.where(best >= 0, taken, np.nan)
        since[columns, : order.shape[1]] = np.take_along_axis(began, order, 1)
    return {
        "nearest": near.astype(np.int16) if count < 32768 else near,
        "nearest/phi": _shortened(likeness),
        "nearest/since": since,
    }


def _numbers(values: Mapping[str, float]) -> dict[str, Any]:
    """Return numbers as JSON has them, with six digits."""
    return {
        name: wire.number_out(float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else value) for name, value in values.items()
    }
