"""Where samples go, and what is made of a run at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from boundarycb.types.picture import Picture
from boundarycb.types.snapshot import History, Snapshot


@dataclass(frozen=True)
class Movie:
    """An animated GIF of a run: its bytes, size in pixels, and the step of each frame."""

    gif: bytes
    width: int
    height: int
    steps: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Report:
    """A run in words and pictures.

    Args:
        text: in Markdown; where a picture belongs it says ``![…](report/<name>.png)``.
        pictures: by name.
    """

    text: str
    pictures: Mapping[str, Picture]


class Sink(Protocol):
    """Where samples go. Any object with these two methods will do.

    One that has a method ``tell(report)`` too gets the run's :class:`Report`, before it is closed; one that has ``go_on(count)``
    is told, before the first sample of a run that is gone on with, how many were taken before.
    """

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture], /) -> None:
        """Take one sample. `images` draws a picture when it is asked for it, and not before."""

    def close(self, history: History | None, movie: Movie | None, /) -> None:
        """End the run; `history` and `movie` are None where they could not be made."""
