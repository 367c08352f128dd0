"""The two readers of one format, Python's and the viewer's: alike on golden files, on cut ones, and on damaged ones."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from viewing import modules

from boundarycb import wire

GOLDEN = Path(__file__).parent / "golden" / "records"
KINDS = ("<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1")
READ = """async (data) => {
  const { readRecords } = await import("/record.js");
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const { records, problem } = readRecords(bytes);
  const told = (value) => Number.isFinite(value) ? value : String(value);
  const found = [];
  for (const record of records) {
    const sections = {};
    for (const name of record.entries.keys()) {
      try {
        sections[name] = { shape: record.shape(name), values: Array.from(await record.array(name), told) };
      } catch (error) {
        sections[name] = { error: `${error.constructor.name}: ${error.message}` };
      }
    }
    found.push({ header: record.header, sections });
  }
  return { problem, found };
}"""


UNPACK = """async ([data, most]) => {
  const { inflated } = await import("/record.js");
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  return (await inflated(bytes, "deflate", most ?? undefined)).length;
}"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """A page that may import the viewer's modules."""
    with modules(browser) as page:
        yield page


@pytest.fixture(scope="module")
def reader(page: Any) -> Any:
    """What reads records in the browser: bytes to what is found in them."""
    return lambda data: page.evaluate(READ, base64.b64encode(data).decode())


def alike(record: wire.Record, read: dict[str, Any]) -> None:
    assert read["header"] == json.loads(json.dumps(record.header))
    assert list(read["sections"]) == list(record.sections)
    for name, array in record.sections.items():
        section = read["sections"][name]
        assert "error" not in section, section
        assert section["shape"] == list(array.shape)
        values = np.array([float(str(value).replace("Infinity", "inf")) for value in section["values"]])
        assert np.array_equal(values, array.astype(np.float64).ravel(), equal_nan=True), name


def python_reads(data: bytes) -> tuple[list[wire.Record], str]:
    file, records = io.BytesIO(data), []
    try:
        while (record := wire.read_record(file)) is not None:
            records.append(record)
    except wire.WireError as error:
        return records, str(error)
    return records, ""


def every_kind() -> bytes:
    """Return a record with sections of every kind of number, short enough to stay raw and long enough to be packed."""
    sections: dict[str, Any] = {}
    for kind in KINDS:
        dtype = np.dtype(kind)
        extremes: list[Any] = [0, 1] if dtype.kind == "b" else [0, 1, 2]
        if dtype.kind == "f":
            info = np.finfo(dtype)
            extremes = [0.0, -0.0, 1.5, np.nan, np.inf, -np.inf, info.max, info.min, info.tiny, float(info.smallest_subnormal)]
        elif dtype.kind in "iu":
            top = min(np.iinfo(dtype).max, 2**53)
            extremes = [0, 1, top, max(np.iinfo(dtype).min, -(2**53))]
        sections[f"short/{kind}"] = np.array(extremes, dtype)
        sections[f"long/{kind}"] = np.tile(np.array(extremes, dtype), (100, 1))
    sections["empty"] = np.empty((0, 2), np.float32)
    sections["one"] = np.array(3.0)
    return wire.pack({"kind": "test", "words": "äöü 漢字 \u2028 </script>", "none": None, "nested": [{"a": [1, 2.5]}]}, sections)


def test_every_kind_of_number_reads_alike(reader: Any) -> None:
    data = every_kind()
    read = reader(data)
    assert read["problem"] == ""
    alike(wire.unpack(data), read["found"][0])


@pytest.mark.parametrize("name", ["history.bcb", "views.bcb"])
def test_golden_files_read_alike(reader: Any, name: str) -> None:
    """Files of the first version, which stay readable for good."""
    data = (GOLDEN / name).read_bytes()
    records, problem = python_reads(data)
    read = reader(data)
    assert (problem, read["problem"]) == ("", "")
    assert len(records) == len(read["found"]) == 4
    for record, found in zip(records, read["found"], strict=True):
        alike(record, found)


def test_a_cut_file_loses_its_last_record_only(reader: Any) -> None:
    data = (GOLDEN / "views.bcb").read_bytes()
    ends, place = [], 0
    for record in python_reads(data)[0]:
        place += len(wire.pack({key: value for key, value in record.header.items() if key != "sections"}, record.sections))
        ends.append(place)
    assert ends[-1] == len(data)
    for size in (0, 3, 15, 16, 17, ends[0] - 1, ends[0], ends[0] + 1, ends[1] - 1, ends[2], len(data) - 1, len(data)):
        whole = sum(end <= size for end in ends)
        read = reader(data[:size])
        assert (len(read["found"]), read["problem"]) == (whole, ""), size
        assert (len(python_reads(data[:size])[0]), python_reads(data[:size])[1]) == (whole, ""), size


def test_a_flipped_bit_anywhere_is_found(reader: Any) -> None:
    data = bytearray(wire.pack({"kind": "x"}, {"a": np.arange(4, dtype=np.float32)}))
    for place in range(16, len(data) - 4, 5):
        damaged = bytearray(data)
        damaged[place] ^= 4
        assert reader(bytes(damaged))["problem"] == "A record's checksum is wrong: the data are damaged."
        assert "checksum is wrong" in python_reads(bytes(damaged))[1]


def test_another_version_is_told_from_no_record(reader: Any) -> None:
    data = (GOLDEN / "views.bcb").read_bytes()
    newer = b"BCB2" + data[4:]
    assert reader(newer)["problem"] == "These data are of format BCB2, and this viewer reads BCB1: bring boundarycb up to date."
    assert "These data are of format BCB2, and this boundarycb reads BCB1: bring boundarycb up to date." in python_reads(newer)[1]
    other = b"PK\x03\x04" + data[4:]
    assert reader(other)["problem"] == "These are no boundarycb data, or they are damaged."
    assert "No boundarycb record" in python_reads(other)[1]


def test_an_unknown_codec_or_kind_is_said(reader: Any) -> None:
    record = wire.pack({"kind": "x"}, {"a": np.zeros(200, np.float32)})
    for old, new, words in (
        (b'"zlib"', b'"zstd"', "codec zstd"),
        (b'"<f4"', b'">f4"', "unknown kind, >f4"),
        (b'"<f4"', b'"<c8"', "unknown kind, <c8"),
    ):
        changed = repaired(record.replace(old, new))
        assert words in reader(changed)["found"][0]["sections"]["a"]["error"]


def test_no_more_is_unpacked_than_a_shape_says(reader: Any, page: Any) -> None:
    """A gigabyte may be packed in a megabyte: neither reader unpacks all of it."""
    record = wire.pack({"kind": "test"}, {"long": np.zeros(2**22)})
    changed = repaired(record.replace(b"[4194304]", b"[1]      "))
    assert "cannot be read" in python_reads(changed)[1]
    assert "another size" in reader(changed)["found"][0]["sections"]["long"]["error"]
    packed = base64.b64encode(zlib.compress(bytes(2**25))).decode()
    assert page.evaluate(UNPACK, [packed, None]) == 2**25
    assert 8 < page.evaluate(UNPACK, [packed, 8]) < 2**20


def repaired(record: bytes) -> bytes:
    """Return a record that was changed with the checksum that fits."""
    return record[:-4] + zlib.crc32(record[16:-4]).to_bytes(4, "little")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damaged_bytes_are_told_and_crash_no_reader(reader: Any, data: Any) -> None:
    """Bits flip, pieces go or come, also where the checksum is made to fit: both readers say so, or read something."""
    content = bytearray(wire.pack({"kind": "x", "n": 3}, {"a": np.arange(300, dtype=np.float32), "b": np.arange(5)}))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "add"]))
        if how == "flip":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "cut":
            del content[place : place + data.draw(st.integers(1, 20))]
        else:
            content[place:place] = data.draw(st.binary(min_size=1, max_size=20))
        if len(content) < 24:
            break
    damaged = repaired(bytes(content)) if data.draw(st.booleans()) and len(content) > 24 else bytes(content)
    read = reader(damaged)
    for record in read["found"]:
        for section in record["sections"].values():
            assert "values" in section or section["error"].startswith("FormatError")
    python_reads(damaged)
