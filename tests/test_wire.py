from __future__ import annotations

import io
import json
import math
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from snapshots import fan, four_classes, plain, snapshot

from boundarycb import slices, wire
from boundarycb.types import Layer, Snapshot


def same(a: Snapshot, b: Snapshot) -> None:
    """Assert that two snapshots are equal in every part."""
    assert (a.step, a.time, a.notes) == (b.step, b.time, b.notes)
    assert a.capture.layers == b.capture.layers
    assert a.capture.resolution == b.capture.resolution
    assert np.array_equal(a.capture.on, b.capture.on)
    for part in ("points", "offsets", "owner"):
        assert np.array_equal(getattr(a.boundaries, part), getattr(b.boundaries, part))
        assert getattr(a.boundaries, part).dtype == getattr(b.boundaries, part).dtype
    assert a.boundaries.exact == b.boundaries.exact
    assert (a.field is None) == (b.field is None)
    if a.field is not None and b.field is not None:
        assert (a.field.kind, a.field.classes, a.field.limits) == (b.field.kind, b.field.classes, b.field.limits)
        for part in ("value", "winner", "second", "above"):
            one, other = getattr(a.field, part), getattr(b.field, part)
            assert (one is None) == (other is None)
            assert one is None or (one.dtype == other.dtype and np.array_equal(one, other, equal_nan=True))
    assert repr(dict(a.metrics)) == repr(dict(b.metrics))  # repr, so that NaN equals NaN
    assert repr(dict(a.scalars)) == repr(dict(b.scalars))
    assert repr(dict(a.tables)) == repr(dict(b.tables))
    assert a.per_unit.keys() == b.per_unit.keys()
    assert all(np.array_equal(a.per_unit[name], b.per_unit[name], equal_nan=True) for name in a.per_unit)


def again(sample: Snapshot) -> Snapshot:
    record = wire.read_record(io.BytesIO(wire.encode(sample)))
    assert record is not None
    return wire.decode(record, sample.slice)


def test_snapshots_come_back_as_they_were() -> None:
    rich = replace(
        plain(),
        metrics={"a": 1.5, "b": math.nan, "c": -math.inf, "d": 3},
        per_unit={"drift/layer1": np.array([0.25, np.nan], dtype=np.float32), "big": np.arange(3, dtype=">i4")},
        tables={"pairs": [{"i": 1, "j": 2, "phi": 0.99, "when": math.nan, "name": "x"}]},
        scalars={"loss": math.nan},
    )
    for sample in (plain(), rich, snapshot([fan(3, 0)], four_classes), snapshot([fan(3, 0)])):
        same(again(sample), sample)


def sigmoids() -> Snapshot:
    """Return a snapshot of a network whose outputs are chances of their own, with more classes than a short number can tell."""
    sample = snapshot([fan(3, 0)], four_classes)
    assert sample.field is not None
    assert sample.field.winner is not None
    winner = sample.field.winner.astype(np.uint32) + np.uint32(70_000)
    field = replace(sample.field, classes=80_000, winner=winner, above=np.full((64, 64), 2, np.uint16))
    return replace(sample, capture=replace(sample.capture, field=field))


def test_chances_come_back_as_they_were() -> None:
    sample = sigmoids()
    assert sample.field is not None
    assert sample.field.second is not None
    same(again(sample), sample)


def test_the_limits_of_an_output_come_back_and_older_files_have_none() -> None:
    sample = snapshot([fan(3, 0)], lambda u, v: abs(u)[:, None])
    assert sample.field is not None
    limited = replace(sample, capture=replace(sample.capture, field=replace(sample.field, limits=(0.0, 1.0))))
    same(again(limited), limited)
    record = wire.read_record(io.BytesIO(wire.encode(limited)))
    assert record is not None
    said = {name: value for name, value in record.header["field"].items() if name != "limits"}
    field = wire.decode(wire.Record({**record.header, "field": said}, record.sections), sample.slice).field
    assert field is not None
    assert field.limits is None


def test_older_files_have_no_runner_up() -> None:
    sample = sigmoids()
    record = wire.read_record(io.BytesIO(wire.encode(sample)))
    assert record is not None
    assert {"second", "above"} <= record.sections.keys()
    sections = {name: array for name, array in record.sections.items() if name not in ("second", "above")}
    read = wire.read_record(io.BytesIO(wire.pack(record.header, sections)))
    assert read is not None
    field = wire.decode(read, sample.slice).field
    assert field is not None
    assert sample.field is not None
    assert (field.second, field.above) == (None, None)
    assert np.array_equal(field.value, sample.field.value)
    assert np.array_equal(field.winner, sample.field.winner)  # type: ignore[arg-type]


def test_capped_layers_keep_their_indices() -> None:
    sample = plain()
    layers = (Layer("conv-1.x", "gelu", (4, 2), (0, 2, 3, 4, 6, 7)), *sample.layers[1:])
    capped = replace(sample, capture=replace(sample.capture, layers=layers), boundaries=replace(sample.boundaries, layers=layers))
    same(again(capped), capped)


@given(
    arrays(
        st.sampled_from([np.dtype(name) for name in ("u1", "i4", "i8", "f2", "f4", "f8", ">f8", "?")]),
        array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_any_array_comes_back(array: Any) -> None:
    record = wire.read_record(io.BytesIO(wire.pack({"kind": "x"}, {"a": array, "b": np.arange(5)})))
    assert record is not None
    got = record.sections["a"]
    assert got.shape == array.shape
    assert got.tobytes() == np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes()
    assert record.sections["b"].tolist() == [0, 1, 2, 3, 4]


def test_the_bytes_are_as_the_docstring_says() -> None:
    """Read a record with nothing but struct, json and zlib, as a reader in another language would."""
    data = wire.pack({"kind": "frame", "step": 7}, {"on": np.zeros(1000, np.uint8), "xy": np.array([1.5, -2.0])})
    assert data[:4] == b"BCB1"
    header_size, body_size = struct.unpack("<IQ", data[4:16])
    content = data[16 : 16 + header_size + body_size]
    assert len(data) == 16 + header_size + body_size + 4
    assert struct.unpack("<I", data[-4:])[0] == zlib.crc32(content)
    assert header_size % 8 == 0
    assert body_size % 8 == 0
    header = json.loads(content[:header_size])
    assert header["step"] == 7
    on, xy = header["sections"]
    assert (on["codec"], on["dtype"], on["shape"]) == ("zlib", "|u1", [1000])
    assert (xy["codec"], xy["dtype"], xy["size"]) == ("raw", "<f8", 16)
    body = content[header_size:]
    assert zlib.decompress(body[on["offset"] : on["offset"] + on["size"]]) == bytes(1000)
    assert struct.unpack("<2d", body[xy["offset"] : xy["offset"] + 16]) == (1.5, -2.0)


def test_unknown_names_are_skipped() -> None:
    sample = plain()
    record = wire.read_record(io.BytesIO(wire.encode(sample)))
    assert record is not None
    more = wire.pack({**record.header, "news": [1, 2]}, {**record.sections, "later": np.arange(9)})
    read = wire.read_record(io.BytesIO(more))
    assert read is not None
    same(wire.decode(read, sample.slice), sample)


def test_a_run_keeps_its_slice() -> None:
    plane = slices.through(np.zeros((3, 2)), np.eye(3)[:, :2], np.ones((3, 2)))
    plane = replace(plane, held="what bag gives varies", module="bag")
    record = wire.read_record(io.BytesIO(wire.encode_run(plane)))
    assert record is not None
    back = wire.decode_run(record)
    assert (back.held, back.module) == ("what bag gives varies", "bag")
    assert back.bounds == plane.bounds
    assert back.names == plane.names
    for part in ("origin", "axes", "anchors"):
        assert np.array_equal(getattr(back, part), getattr(plane, part))
    assert (back.anchor_names, back.marks, back.limits) == ((), None, None)


def test_a_run_keeps_what_its_slice_shows() -> None:
    plane = slices.through([0.0, 0, 0], [1, 0, 0], [0, 1, 0], names=["cat", "dog"])
    plane = slices.limited(slices.marked(plane, [[0, 0, 3], [1, 1, 0]], labels=[1, 0]), 0, 1)
    record = wire.read_record(io.BytesIO(wire.encode_run(plane)))
    assert record is not None
    back = wire.decode_run(record)
    assert back.anchor_names == ("cat", "dog")
    assert back.marks is not None
    assert (back.marks.off.tolist(), back.marks.labels.tolist()) == ([3, 0], [1, 0])
    assert np.array_equal(back.limits, plane.limits)  # type: ignore[arg-type]


def test_damage_is_told_and_half_records_are_ignored() -> None:
    data = wire.encode(plain())
    for cut in (0, 3, 15, 17, len(data) // 2, len(data) - 1):
        assert wire.read_record(io.BytesIO(data[:cut])) is None
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    with pytest.raises(wire.WireError, match="checksum"):
        wire.read_record(io.BytesIO(bytes(damaged)))
    with pytest.raises(wire.WireError, match="No boundarycb record"):
        wire.read_record(io.BytesIO(b"GIF89a" * 9))
    with pytest.raises(wire.WireError, match="kind 'run', got 'frame'"):
        record = wire.read_record(io.BytesIO(data))
        assert record is not None
        wire.decode_run(record)
