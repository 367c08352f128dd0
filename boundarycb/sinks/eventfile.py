"""The event file that summaries go to: one of our own, or that of the user's SummaryWriter."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


class OwnFile:
    """An event file of our own in `directory`."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._file: EventFileWriter | None = None  # made with the first sample: a run without any leaves no file

    def add(self, values: list[Summary.Value], step: int) -> None:
        """Write summaries of one step."""
        if self._file is None:
            self._file = EventFileWriter(os.fspath(self.directory))
        self._file.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        """Write through to the disk."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class SharedFile:
    """The event file of the user's SummaryWriter: one file a run, since TensorBoard follows only one at a time.

    Raises:
        TypeError: `writer` is no SummaryWriter.
    """

    def __init__(self, writer: Any) -> None:
        # The one way to write encoded images through a SummaryWriter. The method is private to torch, and as old as the class.
        if not callable(getattr(writer, "_get_file_writer", None)):
            raise TypeError(
                f"`writer` must be a torch.utils.tensorboard.SummaryWriter or a directory, got {type(writer).__name__}."
            )
        self._writer = writer

    @property
    def directory(self) -> Path:
        """The directory of the writer's event file."""
        return Path(self._writer._get_file_writer().get_logdir())

    def add(self, values: list[Summary.Value], step: int) -> None:
        """Write summaries of one step."""
        self._writer._get_file_writer().add_summary(Summary(value=values), step)

    def flush(self) -> None:
        """Write through to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Leave the writer open: it is the user's."""
        self._writer.flush()
