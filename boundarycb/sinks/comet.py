"""Pictures, numbers and the movie into an experiment of Comet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boundarycb.sinks.outlet import Options, Outlet, pil
from boundarycb.types import Picture

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Comet(Outlet):
    """A sink that sends pictures, numbers and the movie to a Comet experiment.

    Args:
        experiment: what ``comet_ml.start`` returned, or a CometLogger's ``experiment``.
        options: `name`, `panels_every` and `numbers`, as of :class:`~boundarycb.sinks.outlet.Outlet`.
    """

    def __init__(self, experiment: Any, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._experiment = experiment

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Send a picture."""
        self._experiment.log_image(pil(picture), name=tag, step=step)

    def send_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send finite numbers by tag."""
        self._experiment.log_metrics(dict(numbers), step=step)

    def send_movie(self, tag: str, path: Path, step: int) -> None:
        """Send the movie, a GIF."""
        self._experiment.log_video(str(path), name=f"{tag}.gif", step=step)
