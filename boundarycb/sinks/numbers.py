"""Numbers into whatever takes them by name, such as a Trainer's logger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from boundarycb.sinks.outlet import numbers_of
from boundarycb.types import History, Movie, Picture, Snapshot


class Numbers:
    """A sink that sends every metric that is a finite number.

    Args:
        log: takes numbers by tag, and the step: ``logger.log_metrics`` of Lightning's loggers, say.
        name: the leading word of every tag.
    """

    def __init__(self, log: Callable[[dict[str, float], int], Any], *, name: str = "boundaries") -> None:
        self._log = log
        self._name = name

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:  # noqa: ARG002 - a sink's signature
        """Send one sample's numbers."""
        self._log(numbers_of(snapshot, self._name), snapshot.step)

    def close(self, history: History | None, movie: Movie | None) -> None:
        """Do nothing: what was logged is the logger's."""
