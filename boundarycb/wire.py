"""The bytes of a history: the only place that knows them.

A history is a sequence of records. A record is::

    magic     4 bytes   b"BCB1"
    lengths   12 bytes  little endian: header u32, body u64
    header    JSON, UTF-8, padded with spaces to a multiple of 8
    body      the sections, each padded with zeros to a multiple of 8
    checksum  4 bytes   little endian CRC-32 (zlib's) of header and body

The header has ``kind``, which is ``run`` (first record: the slice), ``frame`` (a snapshot) or ``end`` (why none follows), its
small values, and ``sections``: a list of ``{name, dtype, shape, codec, offset, size}``, offsets from the start of the body.
``codec`` is ``raw`` or ``zlib``; dtypes are numpy's, little endian. A reader skips names that it does not know, in header and
sections, so new data needs no new version. JSON has no NaN: numbers that are not finite are written as ``"nan"``, ``"inf"``,
``"-inf"``, and in tables as ``{"float": "nan"}``.

A file that was cut while it was written ends in half a record, which readers ignore.
"""

from __future__ import annotations

import io
import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np

from boundarycb.types import Array, Boundaries, Capture, Field, Layer, Marks, Slice, Snapshot, Target, class_layer, frozen

MAGIC = b"BCB1"
_LENGTHS = struct.Struct("<IQ")
_CHECKSUM = struct.Struct("<I")
_MAX_HEADER = 64 * 2**20  # a longer one is no header but damage
_FIELD = ("winner", "second", "above", "surfaces")  # sections of the output besides its value


class WireError(ValueError):
    """The bytes are no boundarycb record."""


@dataclass(frozen=True)
class Record:
    """A record as it was read: its header and its named arrays."""

    header: Mapping[str, Any]
    sections: Mapping[str, Array]


# --------------------------------------------------------------------------------------------------------------- records


def pack(header: Mapping[str, Any], sections: Mapping[str, Array]) -> bytes:
    """Return the bytes of one record."""
    entries, chunks, offset = [], [], 0
    for name, array in sections.items():
        array = np.asarray(array)
        plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes()
        packed = zlib.compress(plain, 1)
        codec, data = ("zlib", packed) if len(packed) < len(plain) else ("raw", plain)
        entry = {"name": name, "dtype": array.dtype.newbyteorder("<").str, "shape": list(array.shape)}
        entries.append(entry | {"codec": codec, "offset": offset, "size": len(data)})
        chunks.append(_padded(data, b"\0"))
        offset += len(chunks[-1])
    text = json.dumps({**header, "sections": entries}, default=_plain, allow_nan=False, separators=(",", ":"))
    content = _padded(text.encode(), b" ")
    lengths = _LENGTHS.pack(len(content), offset)
    content += b"".join(chunks)
    return MAGIC + lengths + content + _CHECKSUM.pack(zlib.crc32(content))


def read_record(file: BinaryIO) -> Record | None:
    """Return the record that starts at the file's position, and move past it; None at the end or where it is cut off.

    Raises:
        WireError: there is something else than a record.
    """
    lengths = _read_lengths(file)
    if lengths is None or _left(file) < sum(lengths) + _CHECKSUM.size:
        return None
    content = file.read(sum(lengths))
    if zlib.crc32(content) != _CHECKSUM.unpack(file.read(_CHECKSUM.size))[0]:
        raise WireError("A record's checksum is wrong: the file is damaged.")
    header = _parsed(content[: lengths[0]])
    entries = header.get("sections")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise WireError("A record's header lists no sections: the file is damaged.")
    return Record(header, {str(entry.get("name")): _section(entry, content[lengths[0] :]) for entry in entries})


def _left(file: BinaryIO) -> int:
    """Return how many bytes there are from the file's position on."""
    place = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(place)
    return end - place


def _parsed(text: bytes) -> dict[str, Any]:
    """Return the header that `text` is."""
    try:
        header = json.loads(text)
    except ValueError:
        raise WireError("A record's header is no JSON: the file is damaged.") from None
    if not isinstance(header, dict):
        raise WireError("A record's header is no mapping: the file is damaged.")
    return header


def unpack(data: bytes) -> Record:
    """Return the record that `data` is.

    Raises:
        WireError: it is none.
    """
    record = read_record(io.BytesIO(data))
    if record is None:
        raise WireError("A record was cut off.")
    return record


def scan(file: BinaryIO, size: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (start, header) of every whole record in a file of `size` bytes, without reading bodies."""
    while True:
        start = file.tell()
        lengths = _read_lengths(file)
        if lengths is None:
            return
        end = start + len(MAGIC) + _LENGTHS.size + sum(lengths) + _CHECKSUM.size
        if end > size:
            return
        yield start, _parsed(file.read(lengths[0]))
        file.seek(end)


def check(file: BinaryIO, start: int) -> None:
    """Read the record at `start` and leave it.

    Raises:
        WireError: it is damaged.
    """
    file.seek(start)
    read_record(file)


def read_numbers(file: BinaryIO, start: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return metrics and scalars of the frame at `start`, without reading its body."""
    header = _read_header(file, start)
    return _numbers_in(_mapping(header, "metrics")), _numbers_in(_mapping(header, "scalars"))


def read_lost(file: BinaryIO, start: int) -> bool | None:
    """Return whether the frame at `start` is lost, without reading its body; None where its file is too old to say so."""
    said = _read_header(file, start).get("lost")
    return None if said is None else bool(said)


def read_table(file: BinaryIO, start: int, name: str) -> list[dict[str, Any]]:
    """Return a table of the frame at `start`, without reading its body; no rows where it has none."""
    return _rows_in(_mapping(_read_header(file, start), "tables").get(name, []))


def step_and_layers(header: Mapping[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Return a frame's step, and its layers as its header has them.

    Raises:
        WireError: the header does not say them.
    """
    step, layers = header.get("step"), header.get("layers")
    if (
        not isinstance(step, int)
        or not isinstance(layers, list)
        or not all(isinstance(one, dict) and "name" in one for one in layers)
    ):
        raise WireError("A frame's header has no step or no layers: the file is damaged.")
    return step, layers


def _mapping(header: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = header.get(name)
    if not isinstance(found, dict):
        raise WireError(f"A frame's header has no {name}: the file is damaged.")
    return found


def _read_header(file: BinaryIO, start: int) -> dict[str, Any]:
    file.seek(start)
    lengths = _read_lengths(file)
    if lengths is None:
        raise WireError("A record was cut since it was found.")
    return _parsed(file.read(lengths[0]))


def _read_lengths(file: BinaryIO) -> tuple[int, int] | None:
    start = file.read(len(MAGIC) + _LENGTHS.size)
    if len(start) < len(MAGIC) + _LENGTHS.size:
        return None
    if not start.startswith(MAGIC):
        raise WireError(_complaint(start[: len(MAGIC)]))
    header, body = _LENGTHS.unpack(start[len(MAGIC) :])
    if header > _MAX_HEADER:
        raise WireError("A record's header length is impossible: the file is damaged.")
    return header, body


def _complaint(magic: bytes) -> str:
    """Return what to say of data that begin otherwise than they should."""
    if magic[:3] == MAGIC[:3] and magic[3:].isdigit():
        ours = MAGIC.decode()
        return f"These data are of format {magic.decode()}, and this boundarycb reads {ours}: bring boundarycb up to date."
    return f"No boundarycb record: it begins with {magic!r}, not {MAGIC!r}."


def _section(entry: Mapping[str, Any], body: bytes) -> Array:
    """Return the array that `entry` tells of."""
    name, codec = entry.get("name"), entry.get("codec")
    if codec not in ("raw", "zlib"):
        raise WireError(f"Section {name!r} has codec {codec!r}; this version reads raw and zlib.")
    try:
        dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
        data = body[entry["offset"] : entry["offset"] + entry["size"]]
        if codec == "zlib":  # no more than the shape asks for, whatever is packed there
            data = zlib.decompressobj().decompress(data, math.prod(shape) * dtype.itemsize + 1)
        return frozen(np.frombuffer(data, dtype=dtype).reshape(shape))
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error) as error:
        raise WireError(f"Section {name!r} cannot be read ({error}): the file is damaged.") from None


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 8)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"A record's header holds numbers, text, lists and mappings, not {type(value).__name__}.")


def number_out(value: Any) -> Any:
    """Return a number as JSON has it: as text where it is not finite."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if math.isfinite(value) else str(float(value))


def _numbers_in(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) if isinstance(value, str) else value for name, value in values.items()}


def _cell_out(cell: Any) -> Any:
    """Return a table's cell for JSON; a number that is not finite becomes a mapping, since text is text in a table."""
    if isinstance(cell, (float, np.floating)) and not math.isfinite(cell):
        return {"float": str(float(cell))}
    return cell


def _cell_in(cell: Any) -> Any:
    return float(cell["float"]) if isinstance(cell, dict) else cell


def tables_out(tables: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return tables as JSON has them."""
    return {name: [{key: _cell_out(cell) for key, cell in row.items()} for row in rows] for name, rows in tables.items()}


def _rows_in(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: _cell_in(cell) for key, cell in row.items()} for row in rows]


# ------------------------------------------------------------------------------------------------------------------- run


def encode_run(slice: Slice, run: str = "") -> bytes:
    """Return the first record of a history: what holds for all of its frames, and what tells the run from all others."""
    header = {"kind": "run", "run": run, "bounds": slice.bounds, "names": slice.names, "anchor_names": slice.anchor_names}
    header |= {"held": slice.held, "module": slice.module}
    sections: dict[str, Array] = {"origin": slice.origin, "axes": slice.axes, "anchors": slice.anchors}
    if slice.limits is not None:
        sections["limits"] = slice.limits
    if slice.marks is not None:
        sections |= {"marks/points": slice.marks.points, "marks/off": slice.marks.off, "marks/labels": slice.marks.labels}
    if slice.target is not None:
        sections |= {"target/labels": slice.target.labels, "target/corners": slice.target.corners}
    return pack(header, sections)


def decode_run(record: Record) -> Slice:
    """Return the slice of a history's first record."""
    if record.header.get("kind") != "run":
        raise WireError(f"A history begins with a record of kind 'run', got {record.header.get('kind')!r}.")
    (u0, u1), (v0, v1) = record.header["bounds"]
    first, second = record.header["names"]
    part = record.sections
    # The first files have neither names of anchors nor marks, limits, a target, what is held, or a module.
    marks = Marks(part["marks/points"], part["marks/off"], part["marks/labels"]) if "marks/points" in part else None
    target = Target(part["target/labels"], part["target/corners"]) if "target/labels" in part else None
    return Slice(
        part["origin"],
        part["axes"],
        ((u0, u1), (v0, v1)),
        part["anchors"],
        (first, second),
        tuple(record.header.get("anchor_names", ())),
        marks,
        part.get("limits"),
        target,
        str(record.header.get("held", "")),
        str(record.header.get("module", "")),
    )


def run_of(record: Record) -> str:
    """Return what tells the run of a history's first record from all others; empty in the first files."""
    name: str = record.header.get("run", "")
    return name


def encode_end(step: int, why: str) -> bytes:
    """Return the record that says why no frame follows, though training goes on from `step`."""
    return pack({"kind": "end", "step": step, "why": why}, {})


def why_of(header: Mapping[str, Any]) -> str:
    """Return why no frame follows, of the header of an ``end``."""
    return str(header.get("why", ""))


# ----------------------------------------------------------------------------------------------------------------- frames


def encode(snapshot: Snapshot) -> bytes:
    """Return the record of `snapshot`; its slice is left to the run's record."""
    capture, lines = snapshot.capture, snapshot.boundaries
    header = {
        "kind": "frame",
        "step": snapshot.step,
        "time": snapshot.time,
        "seconds": number_out(snapshot.seconds),
        "resolution": capture.resolution,
        "layers": [layer_out(layer) for layer in capture.layers],
        "exact": lines.exact,
        "mode": capture.mode,
        "patterns": capture.patterns,
        "lost": snapshot.is_lost,
        "notes": {"capture": capture.notes, "boundaries": lines.notes},
        "metrics": {name: number_out(value) for name, value in snapshot.metrics.items()},
        "scalars": {name: number_out(value) for name, value in snapshot.scalars.items()},
        "tables": tables_out(snapshot.tables),
        "field": None if capture.field is None else _field_out(capture.field),
    }
    sections: dict[str, Array] = {
        "on": capture.on,
        "undefined": capture.undefined,
        "points": lines.points,
        "offsets": lines.offsets,
        "owner": lines.owner,
    }
    sections |= {name: array for name, array in (("strength", capture.strength), ("planes", capture.planes)) if array is not None}
    if capture.field is not None:
        sections["field"] = capture.field.value
        more = {name: getattr(capture.field, name) for name in _FIELD}
        sections |= {name: array for name, array in more.items() if array is not None}
    if snapshot.decision is not None:
        border = snapshot.decision
        header["decision"] = {"classes": border.layers[0].size, "exact": border.exact, "notes": border.notes}
        sections |= {"decision/points": border.points, "decision/offsets": border.offsets, "decision/owner": border.owner}
    return pack(header, sections | {f"unit/{name}": array for name, array in snapshot.per_unit.items()})


def decode(record: Record, slice: Slice) -> Snapshot:
    """Return the snapshot of a frame's record, on the `slice` of its run."""
    head, part = record.header, record.sections
    layers = tuple(_layer_in(entry) for entry in head["layers"])
    field = None
    if head["field"] is not None:
        field = _field_in(head["field"], part)
    said = tuple(head["notes"]["capture"])
    mode = head.get("mode", "eval")  # the first files do not say it
    patterns = head.get("patterns")
    capture = Capture(
        layers,
        head["resolution"],
        part["on"],
        field,
        said,
        part["undefined"],
        strength=part.get("strength"),
        planes=part.get("planes"),
        mode=mode,
        patterns=patterns,
    )
    notes = tuple(head["notes"]["boundaries"])
    return Snapshot(
        step=head["step"],
        time=head["time"],
        slice=slice,
        capture=capture,
        boundaries=Boundaries(part["points"], part["offsets"], part["owner"], layers, head["exact"], notes),
        metrics=_numbers_in(head["metrics"]),
        per_unit={name.removeprefix("unit/"): array for name, array in part.items() if name.startswith("unit/")},
        tables={name: _rows_in(rows) for name, rows in head["tables"].items()},
        scalars=_numbers_in(head["scalars"]),
        decision=_decision_in(head.get("decision"), part),
        seconds=float(head.get("seconds", "nan")),  # the first files do not say it
    )


def _decision_in(said: Mapping[str, Any] | None, part: Mapping[str, Array]) -> Boundaries | None:
    if said is None:
        return None
    points, offsets, owner = (part[f"decision/{name}"] for name in ("points", "offsets", "owner"))
    return Boundaries(points, offsets, owner, (class_layer(said["classes"]),), said["exact"], tuple(said["notes"]))


def _field_out(field: Field) -> dict[str, Any]:
    return {"kind": field.kind, "classes": field.classes, "what": field.what, "names": field.names, "limits": field.limits}


def _field_in(said: Mapping[str, Any], part: Mapping[str, Array]) -> Field:
    # The first files say neither what a value is and how far it can go nor what classes are called.
    names, ends = tuple(said.get("names", ())), said.get("limits")
    limits = None if ends is None else (float(ends[0]), float(ends[1]))
    what, more = said.get("what", "output"), {name: part.get(name) for name in _FIELD}
    return Field(said["kind"], part["field"], classes=said["classes"], what=what, names=names, limits=limits, **more)


def layer_out(layer: Layer) -> dict[str, Any]:
    """Return a layer as a header has it; `kept` is null where all units are."""
    kept: list[int] | None = None if len(layer.kept) == layer.size else list(layer.kept)
    return {"name": layer.name, "op": layer.op, "shape": list(layer.shape), "kept": kept}


def _layer_in(entry: Mapping[str, Any]) -> Layer:
    shape = tuple(entry["shape"])
    kept = tuple(range(math.prod(shape))) if entry["kept"] is None else tuple(entry["kept"])
    if not all(low < high for low, high in pairwise(kept)):
        raise WireError(f"Layer {entry['name']!r}: `kept` must grow.")
    return Layer(entry["name"], entry["op"], shape, kept)
