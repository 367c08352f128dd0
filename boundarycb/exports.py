"""Runs as files to keep, to send and to publish: what the file's name ends in says which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

ENDINGS = (".html", ".gif", ".mp4", ".svg", ".md")
_FRAMES = 240


@dataclass(frozen=True)
class Wanted:
    """What a file shall be like; None leaves it to what the file is.

    Args:
        size: longer side of the plot in pixels.
        frames: samples at most.
        fps: samples a second, of a movie.
        max_bytes: about how large the file may be.
        surfaces: whether a GIF shows each output as a surface.
        step: of which sample an SVG is: the last at or before this step.
    """

    size: int = 512
    frames: int | None = None
    fps: float | None = None
    max_bytes: int = 32 * 2**20
    surfaces: bool = False
    step: int | None = None


def export(histories: list[History], path: Path, wanted: Wanted) -> str:
    """Write `histories` to `path`; return in words what was written.

    Raises:
        ValueError: the path has another ending than :data:`ENDINGS`, or the file holds one run only and there are several.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(f"`output` must end in one of {', '.join(ENDINGS)}, got {path}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"`output` must lie in a folder that exists, got {path}.")
    if wanted.max_bytes <= 0:
        raise ValueError(f"`max_mb` must be above 0, got {wanted.max_bytes / 2**20:g}.")
    if wanted.step is not None and (ending != ".svg" or wanted.step < 0):
        raise ValueError(f"`step` is the step of an .svg, 0 or more, got {wanted.step} for {path}.")
    if wanted.surfaces and ending != ".gif":
        raise ValueError(f"`surfaces` are what a .gif shows, got {path}.")
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
    return f"{path}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {path.stat().st_size / 1e6:.2f} MB; it opens in any browser"


def _gif(history: History, path: Path, wanted: Wanted) -> str:
    movie = make_movie(
        history,
        picture="surfaces" if wanted.surfaces else "overlay",
        size=wanted.size,
        max_frames=_FRAMES if wanted.frames is None else wanted.frames,
        max_bytes=wanted.max_bytes,
        fps=wanted.fps,
    )
    path.write_bytes(movie.gif)
    notes = "".join(f"; {note}" for note in movie.notes)
    return f"{path}: {len(movie.steps)} frames, {movie.width} x {movie.height}, {len(movie.gif) / 1e6:.2f} MB{notes}"


def _mp4(history: History, path: Path, wanted: Wanted) -> str:
    frames = _FRAMES if wanted.frames is None else wanted.frames
    count = write_mp4(history, path, size=wanted.size, max_frames=frames, fps=wanted.fps)
    return f"{path}: {count} frames, {path.stat().st_size / 1e6:.2f} MB"


def _svg(history: History, path: Path, wanted: Wanted) -> str:
    places = [place for place, step in enumerate(history.steps) if wanted.step is None or step <= wanted.step]
    snapshot = history[places[-1] if places else 0]
    path.write_text(draw_vector(snapshot, wanted.size), encoding="utf-8")
    return f"{path}: step {snapshot.step:,}, {path.stat().st_size / 1e6:.2f} MB"


def _report(history: History, path: Path, wanted: Wanted) -> str:  # noqa: ARG001 - one signature for all
    report = make_report(history)
    write_report(report, path)
    return f"{path}, with {len(report.pictures)} pictures in {path.with_suffix('')}"
