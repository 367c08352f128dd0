"""Runs as files to keep, to send and to publish: what the file's name ends in says which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from boundarycb.history import History, short_names
from boundarycb.render import draw_vector
from boundarycb.replay import make_page
from boundarycb.replay.page import MAX_FRAMES as PAGE_FRAMES
from boundarycb.report import make_report
from boundarycb.sinks.gif import make_movie
from boundarycb.sinks.mp4 import write_mp4
from boundarycb.sinks.page import write_page
from boundarycb.sinks.report import write_report
from boundarycb.words import listed

_TAKEN = {
    ".html": {"frames", "max_mb"},
    ".gif": {"size", "frames", "fps", "max_mb", "surfaces"},
    ".mp4": {"size", "frames", "fps"},
    ".svg": {"size", "step"},
    ".md": set[str](),
}
"""What can be wanted of a file, by what its name ends in."""

ENDINGS = tuple(_TAKEN)
SIZE, MAX_MB = 512, 32
_FRAMES = 240


@dataclass(frozen=True)
class Wanted:
    """What a file shall be like; None leaves it to what the file is.

    Args:
        size: longer side of the plot in pixels.
        frames: samples at most.
        fps: samples a second, of a movie.
        max_mb: about how large the file may be, in megabytes of 2**20 bytes.
        surfaces: whether a GIF shows each output as a surface.
        step: of which sample an SVG is: the last at or before this step.
    """

    size: int | None = None
    frames: int | None = None
    fps: float | None = None
    max_mb: float | None = None
    surfaces: bool = False
    step: int | None = None

    @property
    def pixels(self) -> int:
        """The longer side of the plot."""
        return SIZE if self.size is None else self.size

    @property
    def max_bytes(self) -> int:
        """About how large the file may be."""
        return max(1, int((MAX_MB if self.max_mb is None else self.max_mb) * 2**20))

    def check(self, ending: str) -> None:
        """Raise ValueError where something is out of its range, or says nothing of a file of this `ending`."""
        if self.max_mb is not None and not 0 < self.max_mb < math.inf:
            raise ValueError(f"`max_mb` must be a number of megabytes above 0, got {self.max_mb:g}.")
        if self.step is not None and self.step < 0:
            raise ValueError(f"`step` must be 0 or more, got {self.step}.")
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None and value is not False and one.name not in _TAKEN[ending]:
                endings = listed([other for other, taken in _TAKEN.items() if one.name in taken])
                raise ValueError(f"`{one.name}` says nothing of a file that ends in {ending}, but of {endings}; leave it out.")


def export(histories: list[History], path: Path, wanted: Wanted) -> str:
    """Write `histories` to `path`; return in words what was written.

    Raises:
        ValueError: the path has another ending than :data:`ENDINGS`, the file holds one run only and there are several, or
            something is wanted that says nothing of such a file.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"`output` must end in one of {', '.join(ENDINGS)}, got {path}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"`output` must lie in a folder that exists, got {path}.")
    wanted.check(ending)
    if ending == ".html":
        return _page(dict(zip(short_names([history.path for history in histories]), histories, strict=True)), path, wanted)
    if len(histories) > 1:
        raise ValueError(f"A {ending} file shows one run; several go into an .html file.")
    (history,) = histories
    if not len(history):
        raise ValueError(f"{history.path} holds no snapshot, so there is nothing to show.")
    writers: dict[str, Any] = {".gif": _gif, ".mp4": _mp4, ".svg": _svg, ".md": _report}
    words: str = writers[ending](history, path, wanted)
    return words


def _page(runs: Mapping[str, History], path: Path, wanted: Wanted) -> str:
    page = make_page(runs, max_frames=PAGE_FRAMES if wanted.frames is None else wanted.frames, max_bytes=wanted.max_bytes)
    write_page(page, path)
    size = f"{path.stat().st_size / 1e6:.2f} MB{_more_than(path, wanted)}"
    return f"{path}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {size}; it opens in any browser"


def _gif(history: History, path: Path, wanted: Wanted) -> str:
    movie = make_movie(
        history,
        picture="surfaces" if wanted.surfaces else "overlay",
        size=wanted.pixels,
        max_frames=_FRAMES if wanted.frames is None else wanted.frames,
        max_bytes=wanted.max_bytes,
        fps=wanted.fps,
    )
    path.write_bytes(movie.gif)
    notes = _more_than(path, wanted) + "".join(f"; {note}" for note in movie.notes)
    return f"{path}: {len(movie.steps)} frames, {movie.width} x {movie.height}, {len(movie.gif) / 1e6:.2f} MB{notes}"


def _more_than(path: Path, wanted: Wanted) -> str:
    """Return that a file is larger than was wanted, as one of two samples may be; nothing where it is not."""
    return ", with two samples still more than asked for" if path.stat().st_size > wanted.max_bytes else ""


def _mp4(history: History, path: Path, wanted: Wanted) -> str:
    frames = _FRAMES if wanted.frames is None else wanted.frames
    count = write_mp4(history, path, size=wanted.pixels, max_frames=frames, fps=wanted.fps)
    return f"{path}: {count} frames, {path.stat().st_size / 1e6:.2f} MB"


def _svg(history: History, path: Path, wanted: Wanted) -> str:
    places = [place for place, step in enumerate(history.steps) if wanted.step is None or step <= wanted.step]
    snapshot = history[places[-1] if places else 0]
    path.write_text(draw_vector(snapshot, wanted.pixels), encoding="utf-8")
    return f"{path}: step {snapshot.step:,}, {path.stat().st_size / 1e6:.2f} MB"


def _report(history: History, path: Path, wanted: Wanted) -> str:  # noqa: ARG001 - one signature for all
    report = make_report(history)
    write_report(report, path)
    return f"{path}, with {len(report.pictures)} pictures in {path.with_suffix('')}"
