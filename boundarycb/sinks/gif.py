"""The movie of a run: one animated GIF with one palette for all frames.

Frames are drawn anew from the history, so a run needs no pictures in memory, and a movie of another size can be made later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from boundarycb.evenly import evenly
from boundarycb.render import draw_overlay, draw_surfaces, has_surfaces
from boundarycb.sinks.animated import Frames
from boundarycb.types import History, Movie, Picture, Snapshot

PictureName = Literal["overlay", "surfaces"]
"""What a movie shows: boundaries over the output, or the output of each class as a surface."""

SIZE = 384
MAX_FRAMES = 120
MAX_SURFACES = 32
MAX_BYTES = 8 * 2**20
_RUN_TIME = 12.0  # seconds that a movie aims at
_SHORTEST, _LONGEST, _LAST = 0.06, 0.4, 2.0  # seconds a frame; browsers slow down what is shorter than 0.02


def make_movie(
    history: History,
    *,
    picture: PictureName = "overlay",
    size: int = SIZE,
    max_frames: int | None = None,
    max_bytes: int = MAX_BYTES,
    fps: float | None = None,
) -> Movie:
    """Return the movie of `history`.

    Args:
        history: the run; it must hold a snapshot at least.
        picture: what it shows; surfaces only of a run that kept them (``surfaces=True``).
        size: of the overlay's plot the longer side in pixels, 64 to 4096.
        max_frames: more samples than this are thinned evenly, the first and the last always shown; 2 or more. By default 120, and
            32 of surfaces, which take a fifth of a second each.
        max_bytes: frames are thinned further until the GIF is no larger, down to two frames.
        fps: frames a second; by default such that the movie takes about 12 seconds.

    Raises:
        ValueError: the history is empty or has no such pictures, or an argument is out of its range.
    """
    draw = _drawing(picture, size)
    if not len(history):
        raise ValueError("`history` holds no snapshot, so there is no movie.")
    if max_frames is None:
        max_frames = MAX_FRAMES if picture == "overlay" else MAX_SURFACES
    if max_frames < 2:
        raise ValueError(f"`max_frames` must be 2 or more, got {max_frames!r}.")
    if fps is not None and not 0 < fps <= 50:
        raise ValueError(f"`fps` must lie in (0, 50], got {fps!r}.")
    if picture == "surfaces" and not has_surfaces(history[0]):
        raise ValueError("`history` must be one of a run with `surfaces=True`; this one kept no surfaces.")
    frames = Frames(draw(history[0]))
    packed = _packed(lambda place: frames.pack(draw(history[place])), len(history), max_frames, max_bytes)
    notes = () if len(packed) == len(history) else (f"the movie shows {len(packed)} of {len(history)} samples",)
    gif = frames.join(list(packed.values()), _pauses(len(packed), fps))
    return Movie(gif, frames.width, frames.height, tuple(history.steps[place] for place in packed), notes)


def _packed(pack: Callable[[int], bytes], total: int, count: int, max_bytes: int) -> dict[int, bytes]:
    """Return packed frames by their places among `total` samples: `count` at most, and no more than `max_bytes` but for two.

    No more than that is held at any time: frames are drawn a quarter of them first, all over the run, so that it is soon known how
    many fit.
    """
    count = min(total, count)
    while True:
        chosen = evenly(total, count).tolist()
        found: dict[int, bytes] = {}
        room = max_bytes - 1024 - 8 * count  # for what stands around the frames
        for place in [*chosen[::4], *chosen[2::4], *chosen[1::2]]:
            found[place] = pack(place)
            room -= len(found[place])
            if room < 0 and count > 2:
                break
        else:
            return {place: found[place] for place in chosen}
        share = (max_bytes - 1024) / max(1, max_bytes - 1024 - room) * len(found) / count
        count = max(2, min(count - 1, int(0.97 * count * share)))


def _drawing(picture: PictureName, size: int) -> Callable[[Snapshot], Picture]:
    if picture not in get_args(PictureName):
        raise ValueError(f"`picture` must be one of {', '.join(get_args(PictureName))}, got {picture!r}.")
    return partial(draw_overlay, size=size) if picture == "overlay" else draw_surfaces


def frame_time(count: int) -> float:
    """Return for how many seconds each of `count` frames is shown, so that the movie takes about 12 seconds."""
    return min(_LONGEST, max(_SHORTEST, _RUN_TIME / count))


def _pauses(count: int, fps: float | None) -> list[float]:
    pause = round(1 / fps if fps is not None else frame_time(count), 2)
    return [pause] * (count - 1) + [max(pause, _LAST)]


class GifFile:
    """A sink that writes the movie as ``boundaries.gif`` beside the history at the end, and ``surfaces.gif`` where there are."""

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        """Do nothing: the movie is made from the history at the end."""

    def close(self, history: History | None, movie: Movie | None) -> None:
        """Write the movies."""
        if history is None or movie is None:
            return
        _write(history.path.with_name("boundaries.gif"), movie)
        if has_surfaces(history[0]):
            _write(history.path.with_name("surfaces.gif"), make_movie(history, picture="surfaces"))


def _write(path: Path, movie: Movie) -> None:
    """Write a movie, whole or not at all: a reader never sees half of it."""
    part = path.with_suffix(".gif.part")
    try:
        part.write_bytes(movie.gif)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
