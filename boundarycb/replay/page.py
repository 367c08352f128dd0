"""Runs as one page: it opens with a double click, also without a network, loads nothing and sends nothing.

The samples are packed together, section by section, since the same part of the next sample is what resembles a part most: that is
a third smaller than packing them one by one. docs/format.md describes it.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import boundarycb
from boundarycb.evenly import evenly
from boundarycb.history import History
from boundarycb.metrics.descriptions import describe
from boundarycb.replay.frames import encode_scene, encode_view
from boundarycb.types import Snapshot
from boundarycb.viewer import STYLE, joined, text_of
from boundarycb.webpage import guarded
from boundarycb.wire import Record, unpack

MAX_FRAMES = 400
MAX_BYTES = 24 * 2**20
_VERSION = 1
_LEVEL = 6  # of gzip: 9 takes three times as long for one percent
_LENGTH = struct.Struct("<I")
_ENTRY = ("name", "dtype", "shape")  # what a section's entry says here: all are raw, and lie one after another


@dataclass(frozen=True)
class _Packed:
    """A run's records as bytes: the scene, then a view for each sample that is shown."""

    name: str
    total: int
    scene: bytes
    views: list[bytes]

    def thinned(self, count: int) -> _Packed:
        """Return the same with `count` views, evenly spread, the first and the last among them."""
        chosen = evenly(len(self.views), count)
        return _Packed(self.name, self.total, self.scene, [self.views[i] for i in chosen])


@dataclass(frozen=True)
class Bundle:
    """Runs as the viewer takes them.

    Args:
        data: gzip's bytes of what docs/format.md calls a bundle.
        texts: what the runs' numbers mean, by their names without a layer's.
    """

    data: bytes
    texts: Mapping[str, str]


def make_bundle(runs: Mapping[str, History], *, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES) -> Bundle:
    """Return `runs` as the viewer takes them; the arguments are those of :func:`make_page`."""
    if not runs:
        raise ValueError("`runs` must hold a run or more, got none.")
    if max_frames < 2:
        raise ValueError(f"`max_frames` must be 2 or more, got {max_frames!r}.")
    for name, history in runs.items():
        if not len(history):
            raise ValueError(f"{name} holds no snapshot, so there is nothing to show.")
    packed = [_packed(name, history, max_frames) for name, history in runs.items()]
    while True:
        data = gzip.compress(_bundle(packed), _LEVEL, mtime=0)
        most = max(len(run.views) for run in packed)
        size = len(data) * 4 / 3  # in base64
        if size <= max_bytes or most <= 2:
            return Bundle(data, _texts(packed))
        fewer = max(2, min(most - 1, int(0.95 * most * max_bytes / size)))
        packed = [run.thinned(fewer) for run in packed]


def make_page(
    runs: Mapping[str, History], *, title: str | None = None, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES
) -> str:
    """Return an HTML page that shows `runs` side by side, with a slider over their steps.

    Args:
        runs: histories by the names that the page has for them.
        title: of the page; by default the runs' names.
        max_frames: samples of each run; of more, that many are taken, evenly spread, the first and the last among them. The page
            says so.
        max_bytes: about how large the page may be; samples are thinned further until it is no larger, down to two.

    Raises:
        ValueError: there is no run, a history holds no snapshot, or an argument is out of its range.
    """
    bundle = make_bundle(runs, max_frames=max_frames, max_bytes=max_bytes)
    return _page(title or " and ".join(runs), base64.b64encode(bundle.data).decode(), bundle.texts)


def _packed(name: str, history: History, max_frames: int) -> _Packed:
    """Return a run's records, of so many samples, evenly spread."""
    chosen = evenly(len(history), max_frames).tolist()
    views = [encode_view(_with_its_end(history, i), i) for i in chosen]
    return _Packed(name, len(history), encode_scene(history.slice, history.run), views)


def _with_its_end(history: History, place: int) -> Snapshot:
    """Return a snapshot; the last one with a note of why none follows, where something failed."""
    snapshot = history[place]
    if not history.ended or place < len(history) - 1:
        return snapshot
    lines = snapshot.boundaries
    return replace(snapshot, boundaries=replace(lines, notes=(*lines.notes, history.ended)))


def _bundle(runs: Sequence[_Packed]) -> bytes:
    """Return the bytes that the viewer's ``readBundle`` takes: a JSON header behind its length, and all numbers."""
    said, numbers = [], []
    for run in runs:
        records = [unpack(record) for record in (run.scene, *run.views)]
        names = list(dict.fromkeys(chain.from_iterable(record.sections for record in records)))
        numbers += [record.sections[name].tobytes() for name in names for record in records if name in record.sections]
        said.append({"name": run.name, "of": run.total, "sections": names, "headers": [_header(record) for record in records]})
    text = json.dumps({"version": _VERSION, "runs": said}, separators=(",", ":")).encode()
    return b"".join([_LENGTH.pack(len(text)), text, *numbers])


def _header(record: Record) -> dict[str, Any]:
    sections = [{key: entry[key] for key in _ENTRY} for entry in record.header["sections"]]
    return {**record.header, "sections": sections}


def _texts(runs: Iterable[_Packed]) -> dict[str, str]:
    """Return what the numbers of the runs mean, by their names without a layer's."""
    headers = [unpack(record).header for run in runs for record in run.views[-1:]]
    names = chain.from_iterable((*header["metrics"], *header["units"]) for header in headers)
    found = {"/".join(name.split("/")[:2]): describe(name) for name in names}
    return {name: text for name, text in sorted(found.items()) if text}


def _page(title: str, payload: str, texts: Mapping[str, str]) -> str:
    parts = {
        "policy": "{{policy}}",
        "title": html.escape(title),
        "version": boundarycb.__version__,
        "style": text_of(STYLE),
        "texts": json.dumps(texts, separators=(",", ":")).replace("<", "\\u003c"),
        "runs": payload,
        "script": joined("page.js"),
    }
    # In one pass: what is filled in is not looked at again, whatever it says.
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], text_of("page.html"))
    return guarded(page, img_src="data: blob:")
