"""The snapshots of a run, on disk as they are made, and read back one at a time.

The file ``history.bcb`` is append-only: a run that is killed loses the frame that it was writing and no other. Only the
places of the frames are held in memory.
"""

from __future__ import annotations

import itertools
import math
import os
import uuid
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from boundarycb import wire
from boundarycb.types import Slice, Snapshot
from boundarycb.warning import warn
from boundarycb.words import common

FILE = "history.bcb"

_TAIL = 8  # bytes, by which a file is known

_PIECE = 2**22  # bytes that are copied at a time


class HistoryWriter:
    """Appends snapshots to a new ``history.bcb`` in `directory`, which is made where it is missing.

    The file is open only while a snapshot is written, so there is nothing to close.

    Args:
        directory: where the file goes; one that holds a history already is refused, since nothing is overwritten.
        slice: the slice of all snapshots.
        earlier: a history that this one goes on, on the same slice; it is copied, as far as `until`, and left as it is.
        until: the step of its last snapshot that is copied; all are by default.

    Attributes:
        path: the file.
        run: what tells the run from all others; one that goes on keeps it.

    Raises:
        FileExistsError: `directory` holds a history.
        OSError: it cannot be written to, or the earlier one not be read.
    """

    def __init__(
        self, directory: str | os.PathLike[str], slice: Slice, *, earlier: History | None = None, until: int | None = None
    ) -> None:
        self.path = Path(directory) / FILE
        self.run = uuid.uuid4().hex if earlier is None else earlier.run
        self._last_step: int | None = None
        self._size, self._tail = 0, b""  # of what this wrote: how much, and its last bytes
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(exist_ok=False)
        except FileExistsError as error:
            if not self.path.exists():
                raise _unwritable(self.path.parent, error) from error
            raise FileExistsError(f"`directory` {self.path.parent} holds a history already; name another one.") from None
        except OSError as error:
            raise _unwritable(self.path.parent, error) from error
        try:
            self._begin(slice, earlier, until)
        except OSError:
            self.path.unlink()
            raise

    def _begin(self, slice: Slice, earlier: History | None, until: int | None) -> None:
        if earlier is None:
            self._write(wire.encode_run(slice, self.run))
            return
        kept = [step for step in earlier.steps if until is None or step <= until]
        self._copy(earlier.path, earlier.end_of(len(kept)))
        self._last_step = kept[-1] if kept else None

    def append(self, snapshot: Snapshot) -> None:
        """Write one snapshot through to the operating system.

        Raises:
            ValueError: its step does not lie after the last one's.
            OSError: the disk is full, …; what was written of the frame is taken back, so that later ones can follow. Or the file is
                gone, or another one has its place.
        """
        if self._last_step is not None and snapshot.step <= self._last_step:
            raise ValueError(f"`step` must grow from sample to sample: got {snapshot.step} after {self._last_step}.")
        self._write(wire.encode(snapshot))
        self._last_step = snapshot.step

    def end(self, step: int, why: str) -> None:
        """Write, at `step`, why no snapshot follows; one that follows all the same makes it void.

        Raises:
            OSError: the disk is full, …
        """
        self._write(wire.encode_end(step, why))

    def _write(self, record: bytes) -> None:
        # Unbuffered: what was written is the operating system's, and what was not is not tried again.
        # A file that is gone is not made anew: without its beginning it could not be read.
        with self.path.open("r+b", buffering=0) as file:
            start, left = file.seek(0, os.SEEK_END), memoryview(record)
            if start != self._size or not self._is_mine(file):
                raise OSError(f"{self.path} is not what was written there: another program or run writes to it")
            try:
                while left:
                    left = left[file.write(left) :]
            except BaseException:  # Ctrl-C too
                file.truncate(start)
                raise
            self._size, self._tail = start + len(record), record[-_TAIL:]

    def _is_mine(self, file: BinaryIO) -> bool:
        """Return whether `file` ends as what was written last does, and stay at its end: a checksum, of the time among others."""
        file.seek(-len(self._tail), os.SEEK_END)
        return file.read(len(self._tail)) == self._tail

    def _copy(self, path: Path, size: int) -> None:
        """Copy the first `size` bytes of another history, piece by piece."""
        with path.open("rb") as source:
            while size:
                piece = source.read(min(size, _PIECE))
                if not piece:
                    raise OSError(f"{path} was cut while it was copied")
                self._write(piece)
                size -= len(piece)


def _unwritable(directory: Path, error: OSError) -> OSError:
    return type(error)(error.errno, f"`directory` {directory} cannot be written to ({error.strerror}); name another one")


class History:
    """The snapshots of a run as a sequence, decoded when they are asked for.

    Args:
        path: a ``history.bcb``, the directory that holds it, or a run's directory with one such directory in it.

    Attributes:
        path: the file.
        slice: the slice of all snapshots.
        run: what tells the run from all others; empty in the first files.
        steps: the step of each snapshot.
        layers: names of the layers of units, as the last snapshot has them.
        ended: why no sample follows the last one though training went on, in words; empty where nothing is known to have failed.

    Raises:
        FileNotFoundError: there is no history.
        ValueError: there are several, or the file is no history.

    A file that was cut, or whose end is damaged, gives the snapshots before that place.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = find(path)
        size = self.path.stat().st_size
        frames: list[tuple[int, int]] = []
        with self.path.open("rb") as file:
            try:
                run = wire.read_record(file)
            except wire.WireError as error:
                raise wire.WireError(f"{self.path}: {error}") from None
            if run is None:
                raise ValueError(f"{self.path} is empty or was cut off before its first record.")
            self.slice = wire.decode_run(run)
            self.run = wire.run_of(run)
            self._first_start = file.tell()
            layers: list[dict[str, object]] = []
            self._changes_layers = False
            self.ended = ""
            try:
                for start, header in wire.scan(file, size):
                    if header.get("kind") != "frame":
                        wire.check(file, start)  # what is of no use here is passed over only where it is not damaged
                        self.ended = wire.why_of(header) if header.get("kind") == "end" else self.ended
                    else:
                        self.ended = ""
                        step, now = wire.step_and_layers(header)
                        self._changes_layers |= bool(frames) and now != layers
                        frames.append((step, start))
                        layers = now
            except wire.WireError:
                warn(f"{self.path} is damaged after {len(frames)} snapshots; what follows is left out.")
        while frames and not self._whole(frames[-1][1]):
            frames.pop()
            self.ended = ""  # it was of a frame that cannot be read
            warn(f"{self.path} is damaged after {len(frames)} snapshots; what follows is left out.")
        self.steps: tuple[int, ...] = tuple(step for step, _ in frames)
        self.layers: tuple[str, ...] = tuple(str(layer["name"]) for layer in layers)
        self._starts = [start for _, start in frames]

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, index: int) -> Snapshot: ...

    @overload
    def __getitem__(self, index: slice) -> list[Snapshot]: ...

    def __getitem__(self, index: int | slice) -> Snapshot | list[Snapshot]:
        if isinstance(index, slice):
            return [self._read(start) for start in self._starts[index]]
        try:
            start = self._starts[index]
        except IndexError:
            raise IndexError(f"The history has {len(self)} snapshots, got index {index}.") from None
        return self._read(start)

    def __iter__(self) -> Iterator[Snapshot]:
        return (self._read(start) for start in self._starts)

    def metrics(self) -> Iterator[dict[str, float]]:
        """Yield each snapshot's metrics, read from the frames' headers alone."""
        return (metrics for metrics, _ in self.numbers())

    def tables(self, name: str) -> Iterator[list[dict[str, Any]]]:
        """Yield each snapshot's table `name`, such as ``copycat/closest``, read from frames' headers; no rows where it has none."""
        with self.path.open("rb") as file:
            for start in self._starts:
                yield wire.read_table(file, start, name)

    def series(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return (steps, values) of a metric, such as ``drift/shift/layer1``, or of what the loop logged, such as ``loss``.

        The value is NaN at steps that have none. Only the frames' headers are read.

        Raises:
            KeyError: no snapshot has it.
        """
        values: list[float] = []
        known: set[str] = set()
        for metrics, scalars in self.numbers():
            known |= metrics.keys() | scalars.keys()
            values.append(metrics.get(name, scalars.get(name, math.nan)))
        if name not in known:
            if len(self) and name in self[-1].per_unit:
                raise KeyError(f"{name!r} is an array, and no number: history[-1].per_unit has those of a snapshot.")
            near = get_close_matches(name, sorted(known), 3, 0.4) or sorted(known)[:3]
            more = ", …" if len(known) > len(near) else ""
            raise KeyError(f"No snapshot has the number {name!r}; there are {', '.join(near) or 'none'}{more}.")
        return np.array(self.steps, dtype=np.int64), np.array(values, dtype=np.float64)

    def numbers(self) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
        """Yield each snapshot's metrics, and what the training loop logged at it, read from the frames' headers alone."""
        with self.path.open("rb") as file:
            for start in self._starts:
                yield wire.read_numbers(file, start)

    def ends(self, count: int, until: int) -> Iterator[Snapshot]:
        """Yield the first snapshot, and the last `count` up to step `until`; all up to there where layers changed in the run."""
        whole = sum(step <= until for step in self.steps)
        cut = 1 if self._changes_layers else max(1, whole - count)
        yield from (self._read(start) for start in [*self._starts[: min(1, whole)], *self._starts[cut:whole]])

    def last_finite(self, count: int | None = None) -> int | None:
        """Return the place of the last snapshot that is not lost (:attr:`Snapshot.is_lost`), of the first `count` or of all.

        None where all of them are. What is measured after it is of the few units that are left.
        """
        places = reversed(range(len(self) if count is None else count))
        with self.path.open("rb") as file:
            return next((place for place in places if not self._is_lost(file, place)), None)

    def _is_lost(self, file: BinaryIO, place: int) -> bool:
        said = wire.read_lost(file, self._starts[place])
        return self[place].is_lost if said is None else said

    def end_of(self, count: int) -> int:
        """Return where in the file the first `count` snapshots end, in bytes."""
        if not count:
            return self._first_start
        with self.path.open("rb") as file:
            file.seek(self._starts[count - 1])
            wire.read_record(file)
            return file.tell()

    def __repr__(self) -> str:
        span = f", steps {self.steps[0]} to {self.steps[-1]}" if self.steps else ""
        return f"<History of {len(self)} snapshots{span}: {self.path}>"

    def _whole(self, start: int) -> bool:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return wire.read_record(file) is not None
        except wire.WireError:
            return False

    def _read(self, start: int) -> Snapshot:
        with self.path.open("rb") as file:
            file.seek(start)
            record = wire.read_record(file)
        if record is None:
            raise ValueError(f"{self.path} was cut since it was opened.")
        return wire.decode(record, self.slice)


def find(path: str | os.PathLike[str]) -> Path:
    """Return the one ``history.bcb`` that `path` means; see :class:`History`."""
    path = Path(path)
    if path.is_file():
        return path
    if (path / FILE).is_file():
        return path / FILE
    found = sorted(path.rglob(FILE))
    if len(found) == 1:
        return found[0]
    if not found:
        raise FileNotFoundError(f"No {FILE} in {path} or below it; give the directory of a run that boundarycb watched.")
    listed = ", ".join(str(file.parent) for file in found[:5]) + (", …" if len(found) > 5 else "")
    raise ValueError(f"{len(found)} histories below {path}; give one of: {listed}.")


def load(directory: str | os.PathLike[str]) -> History:
    """Return the history of a run: a sequence of snapshots, read from disk when they are asked for.

    Args:
        directory: the run's directory, the ``boundaries`` directory in it, or the file ``history.bcb``.

    Raises:
        FileNotFoundError: there is no history.
        ValueError: there are several, or the file is no history.
    """
    return History(directory)


# ------------------------------------------------------------------------------------------------------------------- names


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return what differs between the paths of histories; those that are the same are numbered.

    >>> short_names([Path("runs/lr=0.1/version_0/boundaries/history.bcb"), Path("runs/lr=0.2/version_0/history.bcb")])
    ['lr=0.1', 'lr=0.2']
    >>> short_names([Path("runs/a/history.bcb"), Path("runs/a/history.bcb"), Path("runs/b/history.bcb")])
    ['a', 'a (2)', 'b']
    """
    parts = [_telling(path) for path in paths]
    same = common(parts)
    parts = [part[same:] for part in parts]
    same = common([part[::-1] for part in parts])
    names = ["/".join(part[: len(part) - same]) for part in parts]
    given: list[str] = []
    for place, name in enumerate(names):
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        taken = {*given, *names[place + 1 :]}
        given.append(name if name not in given else next(one for one in numbered if one not in taken))
    return given


def _telling(path: Path) -> list[str]:
    """Return the parts of a history's path without those that all have: the file's name, and the directory ``boundaries``."""
    parts = list(path.absolute().parts[1:])
    for usual in (FILE, "boundaries"):
        if len(parts) > 1 and parts[-1] == usual:
            parts.pop()
    return parts
