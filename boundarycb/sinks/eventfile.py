"""The event file that summaries go to: one of our own, or that of the user's SummaryWriter."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import sys
import time
from io import FileIO
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from boundarycb.sinks.checksum import masked_crc32c

_VERSION = "brain.Event:2"
_CHECKSUM = struct.Struct("<I")
_NUMBERS = itertools.count()  # event files of one process and one second


class OwnFile:
    """An event file of our own in `directory`, written through at once: there is no queue, and no thread."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self._file: FileIO | None = None  # made with the first sample: a run without any leaves no file

    def add(self, values: list[Summary.Value], step: int) -> None:
        """Write summaries of one step.

        Raises:
            OSError: the file cannot be written to.
        """
        if self._file is None:
            self._file = self._begun()
        self._write(self._file, Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        """Do nothing: all is written through."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _begun(self) -> FileIO:
        self.directory.mkdir(parents=True, exist_ok=True)
        begun = time.time()
        name = f"events.out.tfevents.{int(begun):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}.boundarycb"
        file = (self.directory / name).open("xb", buffering=0)
        self._write(file, Event(wall_time=begun, file_version=_VERSION))
        return file

    @staticmethod
    def _write(file: FileIO, event: Event) -> None:
        """Write a record, whole or not at all."""
        record, start = memoryview(_record(event)), file.tell()
        try:
            while record:
                record = record[file.write(record) :]
        except OSError:  # such as a full disk: behind half a record nothing could be read
            file.truncate(start)
            file.seek(start)
            raise


def _record(event: Event) -> bytes:
    """Return `event` as it stands in an event file: its length, the length's checksum, the event, its checksum."""
    data: bytes = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    return length + _CHECKSUM.pack(masked_crc32c(length)) + data + _CHECKSUM.pack(masked_crc32c(data))


def _appended_to(writer: Any) -> Any:
    """Return the file under `writer`, torch's of a SummaryWriter, where each write to it is appended at once; else None.

    TensorBoard's own file on a local disk is opened, appended to and closed for each write. TensorFlow's, which it takes where that
    is installed, and those of other places are not, and other writers have none.
    """
    file = getattr(getattr(writer, "event_writer", None), "_general_file_writer", None)
    its = sys.modules.get("tensorboard.compat.tensorflow_stub.io.gfile")  # whose import may bring in clients of remote disks
    return file if its is not None and isinstance(file, its.GFile) and isinstance(file.fs, its.LocalFileSystem) else None


class SharedFile:
    """The event file of the user's SummaryWriter: one file a run, since TensorBoard follows only one at a time.

    What goes through the writer has its checksum computed byte by byte in Python: for a sample some ten milliseconds in which no
    other thread runs. Where the file under the writer is one that every write is appended to at once, a sample is appended to it as
    a record that is made here. A record goes into such a file in one piece, ours as the writer's, so they may come in any order.

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
        writer, summary = self._writer._get_file_writer(), Summary(value=values)
        file = _appended_to(writer)
        if file is None:
            writer.add_summary(summary, step)
        else:
            file.write(_record(Event(wall_time=time.time(), step=step, summary=summary)))

    def flush(self) -> None:
        """Write through to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Leave the writer open: it is the user's."""
        self._writer.flush()
