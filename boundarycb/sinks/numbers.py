"""Numbers into whatever takes them by name, such as a Trainer's logger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from boundarycb.sinks.outlet import numbers_of
from boundarycb.types import History, Movie, Picture, Snapshot
from boundarycb.warning import warn


class Numbers:
    """A sink that sends every metric that is a finite number.

    Args:
        log: takes numbers by tag, and the step: ``logger.log_metrics`` of Lightning's loggers, say.
        name: the leading word of every tag.
        longest: characters that a tag may have; longer ones are left out.
    """

    def __init__(
        self, log: Callable[[dict[str, float], int], Any], *, name: str = "boundaries", longest: int | None = None
    ) -> None:
        self._log = log
        self._name = name
        self._longest = longest
        self._told = False

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:  # noqa: ARG002 - a sink's signature
        """Send one sample's numbers."""
        numbers = numbers_of(snapshot, self._name)
        long = [tag for tag in numbers if self._longest is not None and len(tag) > self._longest]
        if long and not self._told:
            self._told = True
            warn(f"{len(long)} numbers are left out, since names of more than {self._longest} characters are not taken: {long[0]}.")
        self._log({tag: value for tag, value in numbers.items() if tag not in long}, snapshot.step)

    def close(self, history: History | None, movie: Movie | None) -> None:
        """Do nothing: what was logged is the logger's."""
