"""Pictures, numbers and the movie into a run of Trackio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boundarycb.sinks.outlet import Options, Outlet, pil
from boundarycb.types import Picture

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Trackio(Outlet):
    """A sink that sends pictures, numbers and the movie to a Trackio run.

    Args:
        run: what ``trackio.init`` returned.
        options: `name`, `panels_every` and `numbers`, as of :class:`~boundarycb.sinks.outlet.Outlet`.
    """

    def __init__(self, run: Any, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._run = run

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Send a picture."""
        import trackio

        self._run.log({tag: trackio.Image(pil(picture))}, step=step)

    def send_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send finite numbers by tag."""
        self._run.log(dict(numbers), step=step)

    def send_movie(self, tag: str, path: Path, step: int) -> None:
        """Send the movie, a GIF."""
        import trackio

        self._run.log({tag: trackio.Image(path)}, step=step)
