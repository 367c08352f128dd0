"""The replay of a run as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from boundarycb.history import load, short_names
from boundarycb.replay import make_page
from boundarycb.types import History, Movie, Picture, Snapshot


class PageFile:
    """A sink that writes ``boundaries.html`` beside the history at the end: the run in the viewer, in one file."""

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        """Do nothing: the page is made from the history at the end."""

    def close(self, history: History | None, movie: Movie | None) -> None:  # noqa: ARG002 - a sink's signature
        """Write the page."""
        if history is not None:
            write_page(make_page({short_names([history.path])[0]: load(history.path)}), history.path.with_name("boundaries.html"))


def write_page(page: str, path: Path) -> None:
    """Write a page, whole or not at all: a reader never sees half of it."""
    part = path.with_suffix(path.suffix + ".part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
