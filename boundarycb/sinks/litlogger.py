"""Pictures, numbers and the movie into an experiment of Lightning's LitLogger."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boundarycb.sinks.outlet import Options, Outlet, pil
from boundarycb.types import Picture

if TYPE_CHECKING:
    from typing_extensions import Unpack


class LitLogger(Outlet):
    """A sink that sends pictures, numbers and the movie to a LitLogger experiment.

    Args:
        experiment: what ``litlogger.init`` returned, or a LitLogger's ``experiment``.
        options: `name`, `panels_every` and `numbers`, as of :class:`~boundarycb.sinks.outlet.Outlet`.
    """

    def __init__(self, experiment: Any, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._experiment = experiment

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Send a picture."""
        import litlogger

        self._experiment[tag].append(litlogger.Image(pil(picture)), step=step)

    def send_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send finite numbers by tag."""
        for tag, value in numbers.items():
            self._experiment[tag].append(value, step=step)

    def send_movie(self, tag: str, path: Path, step: int) -> None:  # noqa: ARG002 - it has none
        """Send the movie, a GIF."""
        import litlogger

        self._experiment[tag] = litlogger.File(str(path))
