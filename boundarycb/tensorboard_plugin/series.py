"""A run's samples as TensorBoard has them: one series of tensors, cut into several by size, put together again.

A series is cut so that no answer of TensorBoard's data server grows without bound. A run that was gone on with from a checkpoint
repeats steps: what was written later counts, and what was written before of that step and all later ones does not.
"""

from __future__ import annotations

import math
import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from boundarycb.wire import WireError, unpack

_TAG = re.compile(r"(?P<base>.+/replay)(?:/(?P<number>\d+))?")
_ALL = 10_000_000  # points of a series at most: all of them
_PAGE = 8 * 2**20
_CACHE = 128 * 2**20


@dataclass(frozen=True)
class Series:
    """Where a run's samples are.

    Args:
        run: TensorBoard's name of the run.
        tag: of the first part.
        name: for readers; tells it from all others.
        parts: the last step and time of each part, by its tag, in the order in which they were written.
        scene: the record of what held for all samples when the first was written.
    """

    run: str
    tag: str
    name: str
    parts: Mapping[str, tuple[int, float]]
    scene: bytes

    @property
    def time(self) -> float:
        """When the last sample was written, in seconds since the epoch."""
        return max(time for _, time in self.parts.values())


def all_series(listed: Mapping[str, Mapping[str, Any]]) -> list[Series]:
    """Return the series among what a data provider lists: time series by run and tag."""
    found: list[Series] = []
    for run, tags in sorted(listed.items(), key=lambda item: _natural(item[0])):
        groups: dict[str, dict[int, str]] = defaultdict(dict)
        for tag in tags:
            match = _TAG.fullmatch(tag)
            if match is not None:
                groups[match["base"]][int(match["number"] or 1)] = tag
        for base, numbered in sorted(groups.items()):
            name = run if len(groups) == 1 else f"{run} {base.removesuffix('/replay')}"
            taken = {series.name for series in found}
            name = next(words for words in chain([name], (f"{name} ({k})" for k in count(2))) if words not in taken)
            ordered = [tag for _, tag in sorted(numbered.items())]
            parts = {tag: (int(tags[tag].max_step), float(tags[tag].max_wall_time)) for tag in ordered}
            found.append(Series(run, base, name, parts, bytes(tags[ordered[0]].plugin_content)))
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts version_2 before version_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


@dataclass(frozen=True)
class Sample:
    """Where one sample is: its step, when it was written, and its place in a part."""

    step: int
    time: float
    part: str
    place: int

    @property
    def token(self) -> str:
        """What a reader gives back to have what came after this one."""
        return f"{self.step}@{self.time!r}"


@dataclass(frozen=True)
class Page:
    """Some samples of a series.

    Args:
        scene: the record of what holds for them.
        records: their bytes.
        anew: whether what the reader had before is void.
        more: whether there are more.
        last: the token of the last one; empty where there is none.
    """

    scene: bytes
    records: list[bytes]
    anew: bool
    more: bool
    last: str


@dataclass(frozen=True)
class _Part:
    """A part of a series as it was read.

    Args:
        stamp: the last step and time that it had then.
        samples: step and time of each sample.
        scenes: the scenes that came with some of them, by place.
        records: the samples' bytes.
    """

    stamp: tuple[int, float]
    samples: list[tuple[int, float]]
    scenes: Mapping[int, bytes]
    records: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.records))


class Store:
    """Reads series through a data provider. What was read is kept, up to 128 MB, as long as its part does not grow."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._parts: OrderedDict[tuple[str, str, str], _Part] = OrderedDict()

    def page(self, context: Any, experiment: str, series: Series, after: str) -> Page:
        """Return the samples after that of the token `after`; all from the first on where it is empty or there is none such."""
        with self._lock:
            parts = self._read_all(context, experiment, series)
        samples, scene = _counting(parts, series.scene)
        begin = next((place + 1 for place, sample in enumerate(samples) if sample.token == after), 0)
        records: list[bytes] = []
        size = 0
        for sample in samples[begin:]:
            record = parts[sample.part].records[sample.place]
            if records and size + len(record) > _PAGE:
                break
            records.append(record)
            size += len(record)
        end = begin + len(records)
        return Page(scene, records, begin == 0, end < len(samples), samples[end - 1].token if end else "")

    def last(self, context: Any, experiment: str, series: Series) -> Page:
        """Return the last sample alone."""
        with self._lock:
            tag = max(series.parts, key=lambda part: series.parts[part][1])
            parts = {tag: self._part(context, (experiment, series.run, tag), series.parts[tag])}
        samples, scene = _counting(parts, series.scene)
        records = [parts[sample.part].records[sample.place] for sample in samples[-1:]]
        return Page(scene, records, anew=True, more=True, last="")

    def _read_all(self, context: Any, experiment: str, series: Series) -> dict[str, _Part]:
        return {tag: self._part(context, (experiment, series.run, tag), stamp) for tag, stamp in series.parts.items()}

    def _part(self, context: Any, key: tuple[str, str, str], stamp: tuple[int, float]) -> _Part:
        """Return a part; others are forgotten as far as they are too much together."""
        known = self._parts.pop(key, None)
        part = known if known is not None and known.stamp == stamp else self._read(context, key, stamp)
        self._parts[key] = part
        while len(self._parts) > 1 and sum(one.size for one in self._parts.values()) > _CACHE:
            self._parts.popitem(last=False)
        return part

    def _read(self, context: Any, key: tuple[str, str, str], stamp: tuple[int, float]) -> _Part:
        from tensorboard.data import provider

        experiment, run, tag = key
        wanted = provider.RunTagFilter(runs=[run], tags=[tag])
        read = self._provider.read_tensors(
            context, experiment_id=experiment, plugin_name="boundaries", downsample=_ALL, run_tag_filter=wanted
        )
        data = read.get(run, {}).get(tag, [])
        values = [[bytes(value) for value in datum.numpy.ravel()] for datum in data]
        scenes = {place: several[0] for place, several in enumerate(values) if len(several) > 1}
        times = [(int(datum.step), float(datum.wall_time)) for datum in data]
        return _Part(stamp, times, scenes, [several[-1] for several in values])


def _counting(parts: Mapping[str, _Part], scene: bytes) -> tuple[list[Sample], bytes]:
    """Return the samples that count, in the order of their steps, and their scene.

    A process that goes on with a run writes its scene with its first sample. Where that is of another slice, what was written
    before is another run.
    """
    written = sorted((sample for tag, part in parts.items() for sample in _samples(tag, part)), key=lambda sample: sample.time)
    begin = 0
    for number, sample in enumerate(written):
        told = parts[sample.part].scenes.get(sample.place, scene)
        if told is not scene and _slice_of(told) != _slice_of(scene):
            begin, scene = number, told
    return without_superseded(written[begin:]), scene


def _samples(tag: str, part: _Part) -> Iterator[Sample]:
    """Yield the samples of a part in the order in which they were written; a clock that was set back puts none before another."""
    latest = -math.inf
    for place, (step, time) in enumerate(part.samples):
        latest = max(latest, time)
        yield Sample(step, latest, tag, place)


def _slice_of(scene: bytes) -> Any:
    """Return what tells a scene's slice from others; nothing for one that cannot be read."""
    try:
        record = unpack(scene)
    except WireError:
        return None
    parts = {name: array.tobytes() for name, array in record.sections.items()}
    return record.header.get("bounds"), record.header.get("names"), parts


def without_superseded(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples that count, in the order of their steps: of a step, and of later ones, what was written last.

    >>> written = [(0, 1.0), (10, 2.0), (20, 3.0), (10, 4.0), (15, 5.0)]
    >>> [(sample.step, sample.time) for sample in without_superseded([Sample(step, time, "", 0) for step, time in written])]
    [(0, 1.0), (10, 4.0), (15, 5.0)]
    """
    kept: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: sample.time):
        while kept and kept[-1].step >= sample.step:
            kept.pop()
        kept.append(sample)
    return kept
