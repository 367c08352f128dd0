"""The callback in a LightningCLI, as real processes: on the command line, in a configuration file, and what help says of it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from boundarycb import load
from boundarycb.trainer import BoundaryHooks

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


def run(package: str, *arguments: str, directory: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]), "COLUMNS": "200"}
    command = [sys.executable, "-W", "ignore", str(HERE / "cli_script.py"), package, "fit", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=directory)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


QUIET = ("--trainer.max_epochs=2", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu")


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_on_the_command_line(tmp_path: Path, package: str) -> None:
    callback = "--trainer.callbacks=boundarycb.BoundaryCallback"
    said = run(
        package, callback, "--trainer.callbacks.every_n_steps=5", "--trainer.callbacks.resolution=16", *QUIET, directory=tmp_path
    )
    assert load(tmp_path / "lightning_logs").steps == (0, 5, 8)
    assert re.search(
        r"boundaries: 3 samples of steps 0 to 8 took [\d.]+ s, [\d.]+% of the time: boundaries.gif, boundaries.html, history.bcb",
        said,
    )


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_in_a_configuration_file(tmp_path: Path, package: str) -> None:
    """With a box, a list of steps, functions and classes by their dotted paths."""
    (tmp_path / "fit.yaml").write_text("""
trainer:
  callbacks:
    - class_path: boundarycb.BoundaryCallback
      init_args:
        schedule: [1, 2, 6]
        slice: [[-2, 2], [-1, 1.5]]
        resolution: 16
        image_size: 64
        name: mine
        metrics: [boundarycb.metrics.on_share]
        sinks:
          - class_path: boundarycb.sinks.Files
            init_args: {directory: pictures}
""")
    run(package, "--config=fit.yaml", *QUIET, directory=tmp_path)
    history = load(tmp_path / "lightning_logs")
    assert history.steps == (0, 1, 2, 6, 8)
    assert history.slice.bounds == ((-2.0, 2.0), (-1.0, 1.5))
    assert {name.split("/")[0] for name in history[-1].metrics} == {"on"}
    assert history.path.parent.name == "mine"
    assert len(list((tmp_path / "pictures").glob("overlay-*.png"))) == 5


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_help_explains_every_argument(tmp_path: Path, package: str) -> None:
    said = run(package, "--trainer.callbacks.help=boundarycb.BoundaryCallback", directory=tmp_path)
    names = list(inspect.signature(BoundaryHooks.__init__).parameters)[1:]
    explained = [name for name in names if re.search(rf"--trainer\.callbacks\.{name} .*\n +([A-Z\"]\S+ \S+.*)", said)]
    assert explained == names
