"""What the sinks for experiment trackers share: which pictures are sent when, which numbers, and the movie at the end."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from PIL import Image

from boundarycb.types import History, Movie, Picture, Report, Snapshot

EVERY_SAMPLE = ("overlay",)
NOW_AND_THEN = ("panels", "similarity", "surfaces", "zones")
ONCE = ("inputs",)


class Options(TypedDict, total=False):
    """What all outlets take; see :class:`Outlet`."""

    name: str
    panels_every: int
    numbers: bool


class Outlet:
    """A sink that sends pictures, numbers and the movie to a tracker; a subclass says how.

    Args:
        name: the leading word of every tag.
        panels_every: panels, similarity, surfaces and zones are sent at every so-many-th sample, and at the last one.
        numbers: whether numbers are sent; a Trainer's loggers take them another way.
    """

    def __init__(self, *, name: str = "boundaries", panels_every: int = 5, numbers: bool = True) -> None:
        if panels_every < 1:
            raise ValueError(f"`panels_every` must be 1 or more, got {panels_every!r}.")
        self._name = name
        self._panels_every = panels_every
        self._sends_numbers = numbers
        self._count = self._last = 0
        self._waiting: tuple[int, Mapping[str, Picture]] | None = None  # what now-and-then pictures the last sample has

    # ------------------------------------------------------------------------------------------------ what a subclass says

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Send a picture."""
        raise NotImplementedError

    def send_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send finite numbers by tag."""
        raise NotImplementedError

    def send_movie(self, tag: str, path: Path, step: int) -> None:
        """Send the movie, a GIF; `step` is the last sample's."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------------------------- as a sink

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        """Send one sample."""
        self._last = snapshot.step
        if self._sends_numbers:
            self.send_numbers(numbers_of(snapshot, self._name), snapshot.step)
        self._waiting = (snapshot.step, images)
        for tag in (*EVERY_SAMPLE, *(() if self._count else ONCE)):
            if tag in images:
                self.send_picture(f"{self._name}/{tag}", images[tag], snapshot.step)
        if self._count % self._panels_every == 0:
            self._send_waiting()
        self._count += 1

    def tell(self, report: Report) -> None:
        """Send the report's pictures; its text lies beside the history, in ``report.md``."""
        for name, picture in report.pictures.items():
            self.send_picture(f"{self._name}/report/{name}", picture, self._last)

    def close(self, history: History | None, movie: Movie | None) -> None:
        """Send what the last sample still lacks, and the movie, if there is one beside the history."""
        self._send_waiting()
        path = None if history is None else history.path.with_name("boundaries.gif")
        if movie is not None and path is not None and path.exists():
            self.send_movie(f"{self._name}/movie", path, movie.steps[-1])

    def _send_waiting(self) -> None:
        if self._waiting is None:
            return
        (step, images), self._waiting = self._waiting, None
        for tag in NOW_AND_THEN:
            if tag in images:
                self.send_picture(f"{self._name}/{tag}", images[tag], step)


def numbers_of(snapshot: Snapshot, name: str) -> dict[str, float]:
    """Return a snapshot's metrics that are finite, and the seconds that it took, by tag: trackers take nothing else."""
    return {f"{name}/{metric}": float(value) for metric, value in snapshot.numbers.items() if math.isfinite(value)}


def pil(picture: Picture) -> Image.Image:
    """Return a picture as all trackers take it."""
    return Image.open(io.BytesIO(picture.png()))
