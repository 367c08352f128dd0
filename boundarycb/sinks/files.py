"""Pictures as files, for where nothing else shows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from boundarycb.sinks.outlet import Outlet
from boundarycb.types import Picture


class Files(Outlet):
    """A sink that writes pictures as PNG files, ``overlay-00000100.png`` at step 100 and so on.

    Args:
        directory: where they go, or a function that tells it when the first one is written; made where it is missing. Files of the
            same names are overwritten.
        panels_every: panels, similarity, surfaces and zones are written at every so-many-th sample, and at the last one.
    """

    def __init__(self, directory: str | os.PathLike[str] | Callable[[], Path], *, panels_every: int = 5) -> None:
        super().__init__(panels_every=panels_every, numbers=False)
        self._directory = directory if callable(directory) else Path(directory)

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Write a picture, whole or not at all."""
        directory = self._directory() if callable(self._directory) else self._directory
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{tag.rpartition('/')[2]}-{step:08d}.png"
        part = path.with_suffix(".png.part")
        try:
            part.write_bytes(picture.png())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def send_movie(self, tag: str, path: Path, step: int) -> None:
        """Do nothing: the movie is a file already."""
