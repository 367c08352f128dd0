"""What a run leaves: its history, what sinks make of the samples, and at the end the movie."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from boundarycb.failing import attempt, attempt_part, in_words
from boundarycb.history import FILE, History, HistoryWriter, load
from boundarycb.probe import Trace, save_plain, save_traces
from boundarycb.render import Drawn
from boundarycb.report import make_report
from boundarycb.sinks.gif import make_movie
from boundarycb.types import Sink, Slice, Snapshot
from boundarycb.warning import warn

_KEPT_TRACES = 3  # files of traces beside a history, for checkpoints to come back to

_TOLD = (".bcb", ".gif", ".html", ".md")  # files that a run leaves for its user


def checked_sinks(sinks: Any) -> list[Sink]:
    """Return `sinks` as a list; raise TypeError where it is no list of sinks."""
    ask = "`sinks` must be a list of sinks, such as [boundarycb.sinks.GifFile()], each with `write` and `close`"
    if isinstance(sinks, str) or not isinstance(sinks, Iterable):
        raise TypeError(f"{ask}, got {sinks!r:.80}.")
    found = list(sinks)
    for sink in found:
        if isinstance(sink, type) or not (callable(getattr(sink, "write", None)) and callable(getattr(sink, "close", None))):
            raise TypeError(f"{ask}, got {sink!r:.80} in it.")
    return found


class Outputs:
    """Where samples go. What fails after the first one is dropped, a sink that fails at any time; training goes on.

    Args:
        directory: where the history goes; made with the first sample.
        sinks: where samples go besides.
        image_size: longer side of the pictures' plot in pixels.

    Attributes:
        directory: where the history lies; another one than was asked for, where that held a history already.
        run: what tells the run from all others; empty before the first sample.
        last: the step of the last sample that the history has; None before the first.
    """

    def __init__(self, directory: Path, sinks: Iterable[Sink], image_size: int) -> None:
        self.directory = directory.absolute()  # the user's program may go to another one
        self.run = ""
        self.last: int | None = None
        self._goes_on = False  # whether there is a history that takes samples
        self._why_ended, self._ended_at = "", 0
        self._says_why = True  # whether the history does, where there is anything to say
        self._keeps_traces = True
        self._kept: set[Path] = set()  # files beside the history that are of this run
        self._measured = False  # whether there is anything to report
        self._sinks = checked_sinks(sinks)
        self._image_size = image_size
        self._history: HistoryWriter | None = None

    def go_on(self, earlier: History, last: int) -> None:
        """Begin with the snapshots of an earlier history up to step `last`, copied, and the traces of the last one.

        Raises:
            OSError: the directory cannot be written to.
        """
        self._begin(earlier.slice, earlier, last)
        self.last = max((step for step in earlier.steps if step <= last), default=None)
        taken = sum(step <= last for step in earlier.steps)
        for sink in self._sinks:
            if hasattr(sink, "go_on"):
                attempt(partial(sink.go_on, taken), f"{type(sink).__name__} could not be told of earlier samples.")
        traces = traces_file(earlier.path.parent, last)
        if traces.exists():
            attempt(partial(shutil.copyfile, traces, traces_file(self.directory, last)), f"{traces} could not be copied.")

    def keep(self, snapshot: Snapshot, *, first: bool) -> None:
        """Write one snapshot to the history, the `first` or a later one.

        Raises:
            OSError: the directory of the first one cannot be written to.
        """
        if first and self._history is None:
            self._begin(snapshot.slice)
        if self._goes_on and self._history is not None:
            try:
                self._history.append(snapshot)
            except OSError as error:
                if first:
                    raise
                words = f"step {snapshot.step}: the history ends here; training and other outputs go on. {in_words(error)}"
                self._goes_on = False
                self.end(snapshot.step, words)  # so little may fit where a sample did not
                warn(words)
            else:
                self.last = snapshot.step
                if self._why_ended:  # what was written of it is void
                    self._says_why, self._ended_at = False, snapshot.step
        self._write_end()

    def end(self, step: int, why: str) -> None:
        """Write into the history that no sample follows from `step` on, and `why`: now, or with a later sample, or at the end."""
        self._why_ended = " ".join(part for part in (self._why_ended, why) if part)
        self._says_why, self._ended_at = False, step
        self._write_end()

    def _write_end(self) -> None:
        """Write why samples ended, if they did; the user was told, so that a full disk is no news."""
        if not self._says_why and self._history is not None:
            with suppress(OSError):
                self._history.end(self._ended_at, self._why_ended)
                self._says_why = True

    def show(self, snapshot: Snapshot) -> None:
        """Give one snapshot to the sinks."""
        self._measured |= bool(snapshot.metrics)
        images = Drawn(snapshot, self._image_size)
        for sink in list(self._sinks):
            attempt_part(self._sinks, sink, partial(sink.write, snapshot, images))

    def close(self, *, written: bool) -> None:
        """Make the movie and the report, if anything was `written`, and close sinks."""
        self._write_end()
        history = attempt(self._whole_history, "the history could not be finished.") if written else None
        movie = None if history is None else attempt(partial(make_movie, history), "the movie could not be finished.")
        told = [sink for sink in self._sinks if hasattr(sink, "tell")]
        report = None
        if history is not None and told and self._measured:
            report = attempt(partial(make_report, history), "the report could not be finished.")
        for sink in told if report is not None else []:
            attempt(partial(sink.tell, report), f"{type(sink).__name__} could not take the report.")
        for sink in self._sinks:
            attempt(partial(sink.close, history, movie), f"{type(sink).__name__} could not be finished.")

    def _whole_history(self) -> History:
        path = self.directory / FILE
        if not path.exists():
            raise FileNotFoundError(f"{path} was removed")
        return load(path)

    def files(self) -> list[str]:
        """Return the names of the files that there are for the user."""
        return [path.name for path in sorted(self.directory.glob("*")) if path.suffix in _TOLD]

    # ------------------------------------------------------------------------------------- what the next sample is compared with

    def keep_traces(self, step: int, traces: Sequence[Trace]) -> None:
        """Write the traces of the sample at `step` beside the history, for a run that goes on from here; three are kept."""
        path = traces_file(self.directory, step)
        if traces and self._goes_on and self._keeps_traces and path not in self._kept:
            what = "what the next sample is compared with could not be written for a run that goes on from here."
            self._keeps_traces = bool(attempt(partial(self._save, traces, path), what))
            self._kept.add(path)

    def keep_place(self, place: Mapping[str, Any]) -> bool:
        """Write where is looked beside the history, for a run that goes on from here; return whether it is there."""
        path = place_file(self.directory)
        if path not in self._kept and self._goes_on:
            save = partial(save_plain, {**place, "run": self.run}, path)
            if attempt(save, "the slice could not be written for a run that goes on from here."):
                self._kept.add(path)
        return path in self._kept

    def _save(self, traces: Sequence[Trace], path: Path) -> bool:
        saved = save_traces(traces, path)
        if saved:
            known = self.directory.glob(traces_file(self.directory, "*").name)
            for old in sorted(known, key=lambda path: path.stat().st_mtime)[:-_KEPT_TRACES]:
                old.unlink(missing_ok=True)
        return saved

    def _begin(self, slice: Slice, earlier: History | None = None, last: int | None = None) -> None:
        is_taken = (self.directory / FILE).exists()
        self._history, self._goes_on = _new_history(self.directory, slice, earlier, last), True
        if is_taken and earlier is None:
            place = self._history.path.parent
            warn(f"{self.directory} holds a history already; this one's goes to {place}, which is what `load` takes.")
        self.directory, self.run = self._history.path.parent, self._history.run


def checked_directory(directory: str | os.PathLike[str]) -> Path:
    """Return `directory` as a path; raise an error where it is none, or ValueError where it is the address of another machine's."""
    if not isinstance(directory, (str, os.PathLike)):
        raise TypeError(f"`directory` must be a path, got {directory!r}.")
    if "://" in os.fspath(directory):
        raise ValueError(
            f"`directory` must be one of this machine's, where files can be appended to, got {os.fspath(directory)!r}."
        )
    return Path(directory)


def place_file(directory: Path) -> Path:
    """Return the file of where is looked, where that is too large for a checkpoint."""
    return directory / "place.pt"


def traces_file(directory: Path, step: int | str) -> Path:
    """Return the file of the traces of the sample at `step`."""
    return directory / f"traces-{step}.pt"


def _new_history(directory: Path, slice: Slice, earlier: History | None, last: int | None) -> HistoryWriter:
    """Return a new history in `directory`, or in the first of ``<directory>-1``, ``-2``, … that holds none."""
    number = 0
    while True:
        place = directory.with_name(f"{directory.name}-{number}") if number else directory
        try:
            return HistoryWriter(place, slice, earlier=earlier, until=last)
        except FileExistsError:
            if not os.path.lexists(place):  # it is not that one which is there, but a folder above that is none
                raise
            number += 1


def checked_name(name: str) -> str:
    """Return `name`, which becomes tags and a folder; raise ValueError where it cannot be both."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise ValueError(f"`name` must be made of letters, digits, `_`, `-` and `.`, got {name!r}.")
    return name
