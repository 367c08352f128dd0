"""What pictures and movies cost, beside what a user would write: a contour call for each unit, and imageio frame by frame.

    python benchmarks/picture_cost.py [--repeats 9] [--frames 200]

CPU time, one thread, medians, in shuffled order. Networks are ReLU networks with He weights; the lines are exact. What contour
draws is given as values on a grid of 128 points a side, so no network runs in any row; "PNG" says that packing is in it. Drawing
with OpenCV is measured where it is installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import numpy as np
import torch
from growth import peak
from numpy.typing import NDArray
from peers import contour_figure, contour_png, imageio_movie, nodes, pre_activations
from sampling import SQUARE, net
from timing import machine, medians, table

from boundarycb.render import draw_overlay, thin
from boundarycb.render.colours import Scheme
from boundarycb.render.thin import opencv
from boundarycb.sampling import look
from boundarycb.sinks import gif, make_movie
from boundarycb.types import Picture, Snapshot

NETWORKS = {"48 units": (16, 3), "300 units": (100, 3), "1,000 units": (125, 8)}
HUES = ("#1F6FD0", "#D55E00", "#006837", "#A03C92", "#5A0FC8")


@contextmanager
def drawing(*, fast: bool) -> Iterator[None]:
    """Draw with OpenCV meanwhile, or without it."""
    kept = thin.opencv
    if not fast:
        setattr(thin, "opencv", lambda: None)  # noqa: B010 - it is what decides that is replaced
    try:
        yield
    finally:
        setattr(thin, "opencv", kept)  # noqa: B010 - as above


class Frame:
    """One sample of a network, as we draw it and as contour does."""

    def __init__(self, width: int, depth: int) -> None:
        torch.manual_seed(0)
        model = net(width, depth)
        seen = look(model, SQUARE, resolution=128)
        self.snapshot = Snapshot(0, 0.0, SQUARE, seen.capture, seen.boundaries, decision=seen.decision)
        side, points = nodes(128)
        layers = pre_activations(model, points)
        fields = [np.ascontiguousarray(z.numpy().T).reshape(-1, 128, 128) for z in layers]
        colours = [HUES[min(number, 4)] for number, field in enumerate(fields) for _ in field]
        self.contour = ([one for field in fields for one in field], side, seen.capture.field.value, colours)  # type: ignore[union-attr]

    def ours(self, *, fast: bool, png: bool) -> Picture | bytes:
        """Draw it."""
        with drawing(fast=fast):
            picture = draw_overlay(self.snapshot)
        return picture.png(quick=True) if png else picture

    def figure(self, path: Path) -> None:
        """Write it as most tutorials do: a figure into TensorBoard."""
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(path)) as writer:
            writer.add_figure("overlay", contour_figure(*self.contour))


def print_frames(repeats: int) -> None:
    """Print what a frame takes."""
    rows = []
    for name, (width, depth) in NETWORKS.items():
        frame = Frame(width, depth)
        contestants: dict[str, Callable[[], object]] = {
            "ours": partial(frame.ours, fast=False, png=False),
            "ours, PNG": partial(frame.ours, fast=False, png=True),
        }
        if opencv() is not None:
            contestants["OpenCV"] = partial(frame.ours, fast=True, png=False)
            contestants["OpenCV, PNG"] = partial(frame.ours, fast=True, png=True)
        ms = {key: 1000 * value for key, value in medians(contestants, repeats).items()}
        with tempfile.TemporaryDirectory() as folder:
            slow: dict[str, Callable[[], object]] = {
                "contour": partial(contour_png, *frame.contour),
                "add_figure": partial(frame.figure, Path(folder)),
            }
            ms |= {key: 1000 * value for key, value in medians(slow, 3 if width < 125 else 1).items()}
        png = frame.ours(fast=False, png=True)
        assert isinstance(png, bytes)
        shown = [f"{ms.get(key, np.nan):.1f}" for key in ("contour", "add_figure", "ours", "ours, PNG", "OpenCV", "OpenCV, PNG")]
        ratios = [f"{ms['contour'] / ms.get(key, np.nan):.0f}" for key in ("ours, PNG", "OpenCV, PNG")]
        rows.append([f"{name}, {len(frame.snapshot.boundaries)} lines", *shown, *ratios, f"{len(png) / 1000:.0f}"])
    head = ["ms", "contour a unit, savefig", "add_figure", "ours", "with PNG", "by OpenCV", "with PNG", "contour / ours"]
    print(table([*head, "contour / OpenCV", "PNG kB"], rows))


class Moved:
    """A history of a frame whose lines move a little from sample to sample."""

    def __init__(self, frame: Frame, count: int) -> None:
        self._snapshot = frame.snapshot
        self.steps = list(range(count))
        self.path = Path()

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Snapshot:
        lines = self._snapshot.boundaries
        points = np.clip(lines.points * (1 + 1e-3 * index), -1, 1)
        return replace(self._snapshot, step=index, boundaries=replace(lines, points=points))

    def __iter__(self) -> Iterator[Snapshot]:
        return (self[index] for index in range(len(self)))


def true_colour(sample: Snapshot) -> NDArray[np.uint8]:
    """Return a frame in the colours that it was drawn in, as a figure of matplotlib's has it, and not in those of a palette."""
    kept: list[NDArray[np.uint8]] = []
    original = Scheme.to_picture

    def noted(self: Scheme, pixels: NDArray[np.uint8], background: NDArray[np.uint8]) -> Picture:
        kept.append(pixels[..., :3].copy())
        return original(self, pixels, background)

    setattr(Scheme, "to_picture", noted)  # noqa: B010 - it is what ends a drawing that is replaced
    try:
        with drawing(fast=False):
            draw_overlay(sample)
    finally:
        setattr(Scheme, "to_picture", original)  # noqa: B010 - as above
    return kept[0]


class Timed:
    """A drawing, and for how many CPU seconds it ran."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self._draw = draw
        self.seconds = 0.0

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Draw."""
        start = time.process_time()
        try:
            return self._draw(*args, **options)
        finally:
            self.seconds += time.process_time() - start


def made(history: Any, draw: Timed, *, fast: bool) -> int:
    """Make the movie of all samples; return its size."""
    setattr(gif, "draw_overlay", draw)  # noqa: B010 - it is what draws a frame that is timed
    with drawing(fast=fast):
        return len(make_movie(history, size=512, max_frames=len(history), max_bytes=2**40).gif)


def child(kind: str, frames: int) -> None:
    """Make a movie of so many frames in this process; print its CPU seconds, those of packing, megabytes, and those of memory."""
    history, found = Moved(Frame(100, 3), frames), []
    made(Moved(Frame(100, 3), 3), Timed(draw_overlay), fast=kind == "opencv")  # what is made once
    draw = Timed(true_colour if kind == "imageio" else draw_overlay)
    start = time.process_time()

    def act() -> None:
        if kind != "imageio":
            found.append(made(history, draw, fast=kind == "opencv"))
            return
        with tempfile.TemporaryDirectory() as folder:
            imageio_movie(map(draw, history), Path(folder) / "movie.gif")
            found.append((Path(folder) / "movie.gif").stat().st_size)

    grown = peak(act)
    whole = time.process_time() - start
    print(whole, whole - draw.seconds, found[0] / 1e6, grown)


def print_movies(frames: int) -> None:
    """Print what a movie takes, each in a process of its own."""
    rows, packing = [], {}
    names = {"imageio": "imageio, frame by frame", "agg": "ours", **({} if opencv() is None else {"opencv": "ours, OpenCV"})}
    for kind, name in names.items():
        for count in (frames // 4, frames):
            command = [sys.executable, __file__, "--child", kind, "--frames", str(count)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-4:]
            whole, packed, size, grown = map(float, told)
            packing[kind, count] = packed
            ratio = packing["imageio", count] / packed
            row = [f"{name}, {count} frames", f"{whole:.1f}", f"{packed:.2f}", f"{ratio:.0f}", f"{size:.1f}", f"{grown:.0f}"]
            rows.append(row)
    print(table(["300 units", "CPU s", "of it packing", "imageio / it", "MB", "memory grew by MB"], rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--child", choices=("imageio", "agg", "opencv"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.child:
        child(options.child, options.frames)
        return
    print(machine())
    print_frames(options.repeats)
    print()
    print_movies(options.frames)


if __name__ == "__main__":
    main()
