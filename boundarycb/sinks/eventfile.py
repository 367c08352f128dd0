"""The event file that summaries go to: one of our own, or that of the user's SummaryWriter."""

from __future__ import annotations

import errno
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
        self._path: Path | None = None  # made with the first sample: a run without any leaves no file
        self._file: FileIO | None = None

    def add(self, values: list[Summary.Value], step: int) -> None:
        """Write summaries of one step.

        Raises:
            OSError: the file cannot be written to.
        """
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        try:
            if self._file is None:
                self._file = self._opened()
            _write(self._file, event)
        except OSError:  # after which nothing more may come, not even an end
            self.close()
            raise

    def flush(self) -> None:
        """Do nothing: all is written through."""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> FileIO:
        """Return the file, begun or gone on with."""
        if self._path is not None:
            return self._path.open("ab", buffering=0)
        self.directory.mkdir(parents=True, exist_ok=True)
        begun = time.time()
        name = f"events.out.tfevents.{int(begun):010d}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}.boundarycb"
        self._file = (self.directory / name).open("xb", buffering=0)
        _write(self._file, Event(wall_time=begun, file_version=_VERSION))
        self._path = self.directory / name
        return self._file


def _write(file: FileIO, event: Event) -> None:
    """Write a record to a file of our own, whole or not at all."""
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


def _path_under(writer: Any) -> Path | None:
    """Return the path of the file under `writer`, torch's of a SummaryWriter, where each write to it is appended at once.

    TensorBoard's own is opened, appended to and closed for each write, where it has a path here. TensorFlow's, which it takes where
    that is installed, and those at other addresses are not, and other writers have none.
    """
    gfile = sys.modules.get("tensorboard.compat.tensorflow_stub.io.gfile")  # to import it may bring in clients of remote disks
    file = getattr(getattr(writer, "event_writer", None), "_general_file_writer", None)
    if os.name != "posix" or gfile is None or not isinstance(file, gfile.GFile) or not isinstance(file.fs, gfile.LocalFileSystem):
        return None  # only there two that append do not overwrite each other
    return Path(os.fsdecode(file.filename))


def _append(path: Path, record: bytes) -> None:
    """Append `record` to a file to which others append too, whole or not at all."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        written = os.write(file, record)
        if written < len(record):  # such as on a full disk: behind half a record nothing could be read
            end = os.lseek(file, 0, os.SEEK_CUR)
            if os.fstat(file).st_size == end:
                os.ftruncate(file, end - written)
            raise OSError(errno.ENOSPC, f"there is room for {written:,} of {len(record):,} bytes", os.fspath(path))
    finally:
        os.close(file)


class SharedFile:
    """The event file of the user's SummaryWriter: one file a run, since TensorBoard follows only one at a time.

    What goes through the writer has its checksum computed byte by byte in Python: for a sample some ten milliseconds in which no
    other thread runs. Where the file under the writer is one to which every write is appended at once, a sample is appended to it
    as a record that is made here, behind all that the writer had to write when the first one came.

    Raises:
        TypeError: `writer` is no SummaryWriter of torch's.
    """

    def __init__(self, writer: Any) -> None:
        kind = type(writer)
        # The one way to write encoded images through a SummaryWriter. The method is private to torch, and as old as the class.
        if not callable(getattr(writer, "_get_file_writer", None)) or kind.__module__.split(".")[0] == "tensorboardX":
            what = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
            raise TypeError(f"`writer` must be a torch.utils.tensorboard.SummaryWriter or a directory, got {what}.")
        self._writer = writer
        self._flushed: Any = None  # the file writer, of which the SummaryWriter makes another once it was closed

    @property
    def directory(self) -> Path:
        """The directory of the writer's event file."""
        return Path(self._writer._get_file_writer().get_logdir())

    def add(self, values: list[Summary.Value], step: int) -> None:
        """Write summaries of one step.

        Raises:
            OSError: the file cannot be written to.
        """
        writer, summary = self._writer._get_file_writer(), Summary(value=values)
        path = _path_under(writer)
        if path is None:
            writer.add_summary(summary, step)
            return
        if writer is not self._flushed:  # what begins a file stands before all else, such as from which step on an old one is void
            writer.flush()
            self._flushed = writer
        _append(path, _record(Event(wall_time=time.time(), step=step, summary=summary)))

    def flush(self) -> None:
        """Write through to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Leave the writer open: it is the user's."""
        self._writer.flush()
