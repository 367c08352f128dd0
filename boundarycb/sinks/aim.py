"""Pictures, numbers and the movie into a run of Aim."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from boundarycb.sinks.outlet import Options, Outlet, pil
from boundarycb.types import Picture

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Aim(Outlet):
    """A sink that sends pictures, numbers and the movie to an Aim run.

    Args:
        run: an ``aim.Run``, or an AimLogger's ``experiment``.
        options: `name`, `panels_every` and `numbers`, as of :class:`~boundarycb.sinks.outlet.Outlet`.
    """

    def __init__(self, run: Any, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._run = run

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Send a picture."""
        import aim

        self._run.track(aim.Image(pil(picture)), name=tag, step=step)

    def send_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send finite numbers by tag."""
        for tag, value in numbers.items():
            self._run.track(value, name=tag, step=step)

    def send_movie(self, tag: str, path: Path, step: int) -> None:
        """Send the movie, a GIF."""
        import aim

        with Image.open(path) as movie:
            self._run.track(aim.Image(movie), name=tag, step=step)
