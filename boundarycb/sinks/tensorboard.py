"""Pictures and numbers into a TensorBoard event file.

Pictures go in as encoded bytes: palette PNGs, and the movie as one animated GIF, which TensorBoard's Images tab plays.
(``add_video`` needs an old moviepy and fails silently with a new one; ``add_image`` sends true colour, four times the bytes,
and the event writer's checksum costs time by the byte.)
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary

from boundarycb.markdown import table
from boundarycb.metrics.descriptions import describe
from boundarycb.sinks.eventfile import OwnFile, SharedFile
from boundarycb.sinks.layout import joined_with_earlier, layout_for
from boundarycb.sinks.outlet import NOW_AND_THEN
from boundarycb.sinks.replay import Replay
from boundarycb.sinks.summaries import Summaries
from boundarycb.types import History, Movie, Picture, Report, Snapshot
from boundarycb.warning import warn

MORE_IMAGES = "--samples_per_plugin images=1000"
"""TensorBoard's flag that keeps 1,000 pictures of a tag; its default keeps 10 and drops the first. (0 keeps none.)"""

_SHOWN = 10  # pictures of a tag that TensorBoard keeps by default

_FLUSH_SECONDS = 2.0
"""A flush waits for the writer's thread, so dense samples share one; TensorBoard itself reloads every 5 seconds or more."""

_CROWDED = ("overlay", "panels")  # pictures in which hardly anything repeats but a pixel beside it

_TEXTS = {
    "overlay": (
        "Where units switch on or off (a line each, coloured by layer) over the network's output, on the run's fixed "
        f"slice. TensorBoard keeps 10 pictures of a run unless it is started with `{MORE_IMAGES}`."
    ),
    "panels": "The same lines, a plot for each layer.",
    "similarity": (
        "How alike the units of each layer are: |phi|, the absolute correlation of their on/off states over the slice, "
        "for each pair. White 0, dark blue 1; orange: at or above the layer's chance level (copycats); grey: does not "
        "switch here."
    ),
    "surfaces": (
        "The output of each class over the slice, as a surface: heights are chances. Full colour where the class wins, "
        "pale elsewhere."
    ),
    "zones": (
        "Where one output is above one half, none is, or several are, and where two are next to equal; of networks whose outputs "
        "are sigmoids."
    ),
    "inputs": "What inputs look like along the slice, which is the same for the whole run: each stands where its middle is.",
    "movie": "The whole run as one animation.",
    "report": "What the run did: each phenomenon with its figure, its chance level and its picture. Written when the run ends.",
    "copycat/closest": (
        "The most alike pairs of each layer: phi of their on/off states (negative: mirrored), the correlation r of what they give "
        "for samples of the data, the layer's chance level, and the step since when the pair is at or above it."
    ),
}
_PICTURE = re.compile(r"!\[[^\]]*\]\(report/(\w+)\.png\)")
_HISTOGRAMS = tuple(f"drift/{part}_per_unit/" for part in ("flipped", "shift", "rotate", "upstream"))
_CLOSEST = {
    "layer": "layer",
    "unit": "unit",
    "other": "other",
    "phi": "phi",
    "r": "r on data",
    "chance": "chance level",
    "since": "copycats since step",
}


class TensorBoard:
    """A sink that writes into a TensorBoard event file.

    Args:
        writer: a ``torch.utils.tensorboard.SummaryWriter``, which stays the caller's to close, or a directory, for which an event
            file is made and closed at the end.
        name: the leading word of every tag.
        panels_every: panels, similarity, surfaces, zones and the table of pairs are written at every so-many-th sample, and at the
            last one.
        replay: whether what the tab *Boundaries* shows is written too, some ten kilobytes a sample of 50 units.

    Raises:
        TypeError: `writer` is neither.

    Tags: images ``<name>/overlay`` (every sample), ``<name>/panels``, ``<name>/similarity``, ``<name>/surfaces`` where those are
    kept, ``<name>/zones`` where outputs are sigmoids, ``<name>/movie`` (once, at the end), and where inputs are images
    ``<name>/inputs`` (once); scalars ``<name>/<metric>`` for every metric that is a finite number, and ``<name>/seconds``, what
    sampling took; histograms ``<name>/drift/flipped_per_unit/<layer>`` and those of its parts; texts ``<name>/copycat/closest``
    and, at the end, ``<name>/report``, whose pictures are the images ``<name>/report/<phenomenon>``; a layout of Custom Scalars,
    behind the one that the run has already; and ``<name>/replay``, for the tab *Boundaries*.
    """

    def __init__(self, writer: Any, *, name: str = "boundaries", panels_every: int = 5, replay: bool = True) -> None:
        if panels_every < 1:
            raise ValueError(f"`panels_every` must be 1 or more, got {panels_every!r}.")
        self._file = OwnFile(writer) if isinstance(writer, (str, os.PathLike)) else SharedFile(writer)
        self._name = name
        self._make = Summaries(name)
        self._replay = Replay(self._make) if replay else None
        self._panels_every = panels_every
        self._count = 0
        self._flushed = -math.inf
        self._waiting: tuple[Snapshot, Mapping[str, Picture]] | None = None
        self._last: Snapshot | None = None
        self._laid_out = False

    def go_on(self, earlier: int) -> None:
        """Take note that so many samples of the run were taken before, in another process."""
        if self._replay is not None:
            self._replay = Replay(self._make, earlier)

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        """Write one sample. It is flushed soon, so that an open TensorBoard shows it at one of its next reloads."""
        if self._count == _SHOWN:
            tab = "; its tab Boundaries shows all samples" if self._replay is not None else ""
            warn(
                f"TensorBoard shows {_SHOWN} pictures of a run under Images, and not the first; start it with {MORE_IMAGES} to see "
                f"up to 1,000{tab}."
            )
        values = [self._image("overlay", images["overlay"]), *self._scalars(snapshot), *self._histograms(snapshot)]
        if self._replay is not None:
            values += self._replay.add(snapshot)
        if not self._count and "inputs" in images:
            values.append(self._image("inputs", images["inputs"]))
        self._waiting, self._last = (snapshot, images), snapshot
        if self._count % self._panels_every == 0:
            values += self._now_and_then()
        if not self._laid_out and any(name.startswith("drift/") for name in snapshot.metrics):
            values += self._layout(snapshot)  # now it is known which layers' drift has parts
        self._file.add(values, snapshot.step)
        self._count += 1
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()

    def tell(self, report: Report) -> None:
        """Write the report as text, and its pictures as images: the text, which can hold none, says their tags."""
        if self._last is None:
            return
        text = _PICTURE.sub(rf"*Picture: `{self._name}/report/\1` under Images.*", report.text)
        values = [self._make.markdown("report", _TEXTS["report"], text)]
        for name, picture in report.pictures.items():
            height, width = picture.pixels.shape
            words = f"A picture of the report, which is the text {self._name}/report."
            values.append(self._make.image(f"report/{name}", words, (width, height), picture.png()))
        self._file.add(values, self._last.step)

    def close(self, history: History | None, movie: Movie | None) -> None:  # noqa: ARG002 - a sink's signature
        """Write what the last sample still lacks, and the movie."""
        if self._waiting is not None:
            step = self._waiting[0].step
            self._file.add(self._now_and_then(), step)
        for step, value in self._replay.finish() if self._replay is not None else []:
            self._file.add([value], step)
        if self._last is not None and not self._laid_out:
            self._file.add(self._layout(self._last), self._last.step)
        if movie is not None:
            text = " ".join([_TEXTS["movie"], *movie.notes])
            self._file.add([self._make.image("movie", text, (movie.width, movie.height), movie.gif)], movie.steps[-1])
        self._file.close()

    def _now_and_then(self) -> list[Summary.Value]:
        """Return what is written at every so-many-th sample only, of the one that waits for it."""
        assert self._waiting is not None
        (snapshot, images), self._waiting = self._waiting, None
        values = [self._image(tag, images[tag]) for tag in NOW_AND_THEN if tag in images]
        rows = snapshot.tables.get("copycat/closest")
        if rows:
            shapes = {layer.name: layer.shape for layer in snapshot.layers}
            rows = [_placed(row, shapes[row["layer"]]) for row in sorted(rows, key=lambda row: row["chance"] - abs(row["phi"]))]
            values.append(self._make.markdown("copycat/closest", _TEXTS["copycat/closest"], table(rows, _CLOSEST)))
        return values

    def _image(self, tag: str, picture: Picture) -> Summary.Value:
        height, width = picture.pixels.shape
        return self._make.image(tag, _TEXTS[tag], (width, height), picture.png(quick=tag in _CROWDED))

    def _scalars(self, snapshot: Snapshot) -> list[Summary.Value]:
        return [self._make.scalar(name, describe(name), value) for name, value in snapshot.numbers.items() if math.isfinite(value)]

    def _histograms(self, snapshot: Snapshot) -> list[Summary.Value]:
        made = [
            self._make.histogram(name, describe(name), values)
            for name, values in snapshot.per_unit.items()
            if name.startswith(_HISTOGRAMS)
        ]
        return [value for value in made if value is not None]

    def _layout(self, snapshot: Snapshot) -> list[Summary.Value]:
        """Return the layout of Custom Scalars, once a run; nothing where there are no numbers of ours."""
        self._file.flush()
        self._laid_out = True
        ours = layout_for(self._name, [layer.name for layer in snapshot.layers], snapshot.metrics)
        layout = joined_with_earlier(ours, self._file.directory) if ours.category else None
        return [] if layout is None else [self._make.layout(layout)]


def _placed(row: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """Return a pair's row with channel, row and column of its units, where the layer has more than one axis."""
    if len(shape) < 2:
        return row
    return {**row, **{key: f"{row[key]} {tuple(int(i) for i in np.unravel_index(row[key], shape))}" for key in ("unit", "other")}}
