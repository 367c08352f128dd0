"""Pictures, numbers and the movie into a run of Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boundarycb.sinks.outlet import Options, Outlet, pil
from boundarycb.types import Picture

if TYPE_CHECKING:
    from typing_extensions import Unpack


class WandB(Outlet):
    """A sink that sends pictures, numbers and the movie to Weights & Biases.

    Args:
        run: what ``wandb.init`` returned, or a WandbLogger's ``experiment``.
        step_key: the name under which each row has the sample's step, which is the x axis of all of ours. W&B's own step must grow
            from row to row, and is left alone.
        options: `name`, `panels_every` and `numbers`, as of :class:`~boundarycb.sinks.outlet.Outlet`.
    """

    def __init__(self, run: Any, *, step_key: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._run = run
        self._step_key = step_key if step_key is not None else f"{self._name}/step"
        if step_key is None:
            run.define_metric(f"{self._name}/*", step_metric=self._step_key)

    def send_picture(self, tag: str, picture: Picture, step: int) -> None:
        """Send a picture."""
        import wandb

        self._run.log({tag: wandb.Image(pil(picture)), self._step_key: step})

    def send_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        """Send finite numbers by tag."""
        self._run.log({**numbers, self._step_key: step})

    def send_movie(self, tag: str, path: Path, step: int) -> None:
        """Send the movie, a GIF."""
        import wandb

        self._run.log({tag: wandb.Video(str(path), format="gif"), self._step_key: step})
