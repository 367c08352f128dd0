"""A run's samples as TensorBoard has them: one series of tensors, cut into several by size, put together again.

A series is cut so that no answer of TensorBoard's data server grows without bound. A run that was gone on with from a checkpoint
repeats steps: what was written later counts, and what was written before of that step and all later ones does not.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TAG = re.compile(r"(?P<base>.+/replay)(?:/(?P<number>\d+))?")
_ALL = 10_000_000  # points of a series at most: all of them
_PAGE = 8 * 2**20
_CACHE = 64 * 2**20


@dataclass(frozen=True)
class Series:
    """Where a run's samples are.

    Args:
        run: TensorBoard's name of the run.
        tag: of the first part.
        name: for readers; tells it from all others.
        parts: the last step and time of each part, by its tag, in the order in which they were written.
        scene: the record of what holds for all samples.
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
    found = []
    for run, tags in sorted(listed.items(), key=lambda item: _natural(item[0])):
        groups: dict[str, dict[int, str]] = defaultdict(dict)
        for tag in tags:
            match = _TAG.fullmatch(tag)
            if match is not None:
                groups[match["base"]][int(match["number"] or 1)] = tag
        for base, numbered in sorted(groups.items()):
            name = run if len(groups) == 1 else f"{run} {base.removesuffix('/replay')}"
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
        records: their bytes.
        anew: whether what the reader had before is void.
        more: whether there are more.
        last: the token of the last one; empty where there is none.
    """

    records: list[bytes]
    anew: bool
    more: bool
    last: str


class Store:
    """Reads series through a data provider. What was read is kept, up to 64 MB, as long as its part does not grow."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._lock = threading.Lock()
        self._samples: dict[tuple[str, str, str], tuple[tuple[int, float], list[tuple[int, float]]]] = {}
        self._bytes: OrderedDict[tuple[str, str, str], list[bytes]] = OrderedDict()

    def page(self, context: Any, experiment: str, series: Series, after: str) -> Page:
        """Return the samples after that of the token `after`; all from the first on where it is empty or there is none such."""
        with self._lock:
            samples = self._list(context, experiment, series)
            begin = next((place + 1 for place, sample in enumerate(samples) if sample.token == after), 0)
            records: list[bytes] = []
            size = 0
            for sample in samples[begin:]:
                record = self._records(context, experiment, series, sample.part)[sample.place]
                if records and size + len(record) > _PAGE:
                    break
                records.append(record)
                size += len(record)
            end = begin + len(records)
            return Page(records, begin == 0, end < len(samples), samples[end - 1].token if end else "")

    def last(self, context: Any, experiment: str, series: Series) -> Page:
        """Return the last sample alone."""
        with self._lock:
            samples = self._list(context, experiment, series)[-1:]
            records = [self._records(context, experiment, series, sample.part)[sample.place] for sample in samples]
            return Page(records, anew=True, more=True, last="")

    def _list(self, context: Any, experiment: str, series: Series) -> list[Sample]:
        """Return the samples that count, in the order of their steps."""
        found: list[Sample] = []
        for part, stamp in series.parts.items():
            key = (experiment, series.run, part)
            if key not in self._samples or self._samples[key][0] != stamp:
                self._read(context, key, stamp)
            found += [Sample(step, time, part, place) for place, (step, time) in enumerate(self._samples[key][1])]
        return without_superseded(found)

    def _records(self, context: Any, experiment: str, series: Series, part: str) -> list[bytes]:
        key = (experiment, series.run, part)
        if key not in self._bytes:
            self._read(context, key, series.parts[part])
        self._bytes.move_to_end(key)
        return self._bytes[key]

    def _read(self, context: Any, key: tuple[str, str, str], stamp: tuple[int, float]) -> None:
        """Read a part, and forget others as far as they are too much together."""
        from tensorboard.data import provider

        experiment, run, part = key
        wanted = provider.RunTagFilter(runs=[run], tags=[part])
        read = self._provider.read_tensors(
            context, experiment_id=experiment, plugin_name="boundaries", downsample=_ALL, run_tag_filter=wanted
        )
        data = read.get(run, {}).get(part, [])
        self._samples[key] = (stamp, [(int(datum.step), float(datum.wall_time)) for datum in data])
        self._bytes[key] = [bytes(datum.numpy.item()) for datum in data]
        self._bytes.move_to_end(key)
        while len(self._bytes) > 1 and sum(len(record) for records in self._bytes.values() for record in records) > _CACHE:
            self._bytes.popitem(last=False)


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
