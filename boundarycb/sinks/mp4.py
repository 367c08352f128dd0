"""The movie of a run as MP4, for where a GIF is too large or too coarse. It takes the extra ``mp4``."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from boundarycb.evenly import evenly
from boundarycb.render import draw_overlay
from boundarycb.sinks.animated import of_height
from boundarycb.sinks.gif import MAX_FRAMES, SIZE, frame_time
from boundarycb.types import History

_COMPACT = ["-crf", "24"]  # thin lines stay clean at this, and bytes few
_HOLD = 2.0  # seconds that the last frame stays


def write_mp4(
    history: History, path: str | os.PathLike[str], *, size: int = SIZE, max_frames: int = MAX_FRAMES, fps: float | None = None
) -> int:
    """Write the movie of `history` to `path`; return how many samples it shows.

    Args:
        history: the run; it must hold a snapshot at least.
        path: the file, ending in ``.mp4``.
        size: of the plot the longer side in pixels, 64 to 4096.
        max_frames: more samples than this are thinned evenly, the first and the last always shown; 2 or more.
        fps: samples a second; by default such that the movie takes about 12 seconds.

    Raises:
        ValueError: imageio-ffmpeg is not installed, the history is empty, or an argument is out of its range.
    """
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        raise ValueError(
            "MP4 takes imageio-ffmpeg, which is not installed: pip install 'boundarycb[mp4]'; a GIF takes nothing more."
        )
    if not len(history):
        raise ValueError("`history` holds no snapshot, so there is no movie.")
    if max_frames < 2:
        raise ValueError(f"`max_frames` must be 2 or more, got {max_frames!r}.")
    if fps is not None and not 0 < fps <= 60:
        raise ValueError(f"`fps` must lie in (0, 60], got {fps!r}.")
    import imageio.v2 as imageio

    chosen = evenly(len(history), max_frames).tolist()
    rate = fps or 1 / frame_time(len(chosen))
    # typed as what only reads and writes: append_data is one of a writer's own
    writer: Any
    with imageio.get_writer(
        Path(path), format="FFMPEG", fps=rate, codec="libx264", macro_block_size=2, quality=None, output_params=_COMPACT
    ) as writer:
        height = 0
        for index in chosen:
            picture = draw_overlay(history[index], size)
            height = height or len(picture.pixels)  # the first one's
            frame = _even(of_height(picture, height).rgb())
            writer.append_data(frame)
        for _ in range(round(_HOLD * rate)):
            writer.append_data(frame)
    return len(chosen)


def _even(frame: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a frame with an even number of rows and columns, as the codec wants them."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
