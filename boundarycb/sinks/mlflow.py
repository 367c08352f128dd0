"""Pictures, numbers and the movie into a run of MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boundarycb.sinks.outlet import Options, Outlet, pil
from boundarycb.types import Picture

if TYPE_CHECKING:
    from typing_extensions import Unpack


class MLflow(Outlet):
    """A sink that sends pictures, numbers and the movie to an MLflow run.

    Args:
        client: an ``mlflow.MlflowClient``, or an MLFlowLogger's ``experiment``.
        run_id: the run.
        options: `name`, `panels_every` and `numbers`, as of :class:`~boundarycb.sinks.outlet.Outlet`.
    """

    def __init__(self, client: Any, run_id: str, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._client = client
        self._run_id = run_id

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Send a picture."""
        self._client.log_image(self._run_id, pil(picture), key=tag, step=step)

    def send_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send finite numbers by tag."""
        for tag, value in numbers.items():
            self._client.log_metric(self._run_id, tag, value, step=step)

    def send_movie(self, tag: str, path: Path, step: int) -> None:  # noqa: ARG002 - it has none
        """Send the movie, a GIF."""
        self._client.log_artifact(self._run_id, str(path), artifact_path=tag.rpartition("/")[0])
