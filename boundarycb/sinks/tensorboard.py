"""Pictures and numbers into a TensorBoard event file.

Pictures go in as encoded bytes: palette PNGs, and the movie as one animated GIF, which TensorBoard's Images tab plays.
(``add_video`` needs an old moviepy and fails silently with a new one; ``add_image`` sends true colour, four times the bytes,
and the event writer's checksum costs time by the byte.)
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_BLOB_SEQUENCE, DATA_CLASS_SCALAR, Summary, SummaryMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from boundarycb.types import History, Movie, Picture, Snapshot, warn

MORE_IMAGES = "--samples_per_plugin images=1000"
"""TensorBoard's flag that keeps 1,000 pictures of a tag; its default keeps 10 and drops the first. (0 keeps none.)"""

_SHOWN = 10  # pictures of a tag that TensorBoard keeps by default

_FLUSH_SECONDS = 2.0
"""A flush waits for the writer's thread, so dense samples share one; TensorBoard itself reloads every 5 seconds or more."""

_COLOURS = 3  # channels that a reader of the summary shall expect: palette images decode to RGB

_TEXTS = {
    "overlay": "Where units switch on or off (a line each, coloured by layer) over the network's output, on the run's fixed slice. "
    f"TensorBoard keeps 10 pictures of a run unless it is started with `{MORE_IMAGES}`.",
    "panels": "The same lines, a plot for each layer.",
    "movie": "The whole run as one animation.",
}
_METRIC_TEXTS = {
    "on/share": "Mean over the layer's units of the share of the slice on which the unit is on (pre-activation > 0). "
    "Range 0 to 1; 0: never on here, 1: always on here.",
}


class TensorBoard:
    """A sink that writes into a TensorBoard event file.

    Args:
        writer: a ``torch.utils.tensorboard.SummaryWriter``, which stays the caller's to close, or a directory, for which an event
            file is made and closed at the end.
        name: the leading word of every tag.
        panels_every: the panels are drawn at every so-many-th sample, and at the last one.

    Raises:
        TypeError: `writer` is neither.

    Tags: images ``<name>/overlay`` (every sample), ``<name>/panels``, ``<name>/movie`` (once, at the end); scalars
    ``<name>/<metric>`` for every metric that is a finite number.
    """

    def __init__(self, writer: Any, *, name: str = "boundaries", panels_every: int = 5) -> None:
        if panels_every < 1:
            raise ValueError(f"`panels_every` must be 1 or more, got {panels_every!r}.")
        self._writer = _OwnFile(writer) if isinstance(writer, (str, os.PathLike)) else _SharedFile(writer)
        self._name = name
        self._panels_every = panels_every
        self._count = 0
        self._flushed = -math.inf
        self._waiting: tuple[Snapshot, Mapping[str, Picture]] | None = None

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        """Write one sample. It is flushed soon, so that an open TensorBoard shows it at one of its next reloads."""
        if self._count == _SHOWN:
            warn(
                f"TensorBoard shows {_SHOWN} pictures of a run, and not the first; start it with {MORE_IMAGES} to see up to 1,000."
            )
        values = [self._image("overlay", images["overlay"]), *self._scalars(snapshot.metrics)]
        if self._count % self._panels_every == 0:
            values.append(self._image("panels", images["panels"]))
            self._waiting = None
        else:
            self._waiting = (snapshot, images)
        self._writer.add(values, snapshot.step)
        self._count += 1
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def close(self, history: History | None, movie: Movie | None) -> None:  # noqa: ARG002 - a sink's signature
        """Write the last sample's panels, if they were not yet, and the movie."""
        if self._waiting is not None:
            snapshot, images = self._waiting
            self._writer.add([self._image("panels", images["panels"])], snapshot.step)
        if movie is not None:
            text = " ".join([_TEXTS["movie"], *movie.notes])
            picture = Summary.Image(width=movie.width, height=movie.height, colorspace=_COLOURS, encoded_image_string=movie.gif)
            self._writer.add([self._value("movie", text, image=picture)], movie.steps[-1])
        self._waiting = None
        self._writer.close()

    def _image(self, tag: str, picture: Picture) -> Summary.Value:
        height, width = picture.pixels.shape
        image = Summary.Image(width=width, height=height, colorspace=_COLOURS, encoded_image_string=picture.png())
        return self._value(tag, _TEXTS[tag], image=image)

    def _scalars(self, metrics: Mapping[str, float]) -> list[Summary.Value]:
        return [
            self._value(name, _METRIC_TEXTS.get(name.rsplit("/", 1)[0], ""), simple_value=value)
            for name, value in metrics.items()
            if math.isfinite(value)
        ]

    def _value(self, tag: str, text: str, **content: Any) -> Summary.Value:
        plugin, kind = ("images", DATA_CLASS_BLOB_SEQUENCE) if "image" in content else ("scalars", DATA_CLASS_SCALAR)
        # Without plugin and data class TensorBoard's fast loader makes up metadata of its own, and drops the text.
        metadata = SummaryMetadata(
            display_name=f"{self._name}/{tag}",
            summary_description=text,
            data_class=kind,
            plugin_data=SummaryMetadata.PluginData(plugin_name=plugin),
        )
        return Summary.Value(tag=f"{self._name}/{tag}", metadata=metadata, **content)


class _OwnFile:
    """An event file of our own."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = os.fspath(directory)
        self._file: EventFileWriter | None = None  # made with the first sample: a run without any leaves no file

    def add(self, values: list[Summary.Value], step: int) -> None:
        if self._file is None:
            self._file = EventFileWriter(self._directory)
        self._file.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _SharedFile:
    """The event file of the user's SummaryWriter: one file a run, since TensorBoard follows only one at a time."""

    def __init__(self, writer: Any) -> None:
        # The one way to write encoded images through a SummaryWriter. The method is private to torch, and as old as the class.
        if not callable(getattr(writer, "_get_file_writer", None)):
            raise TypeError(
                f"`writer` must be a torch.utils.tensorboard.SummaryWriter or a directory, got {type(writer).__name__}."
            )
        self._writer = writer

    def add(self, values: list[Summary.Value], step: int) -> None:
        self._writer._get_file_writer().add_summary(Summary(value=values), step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.flush()
