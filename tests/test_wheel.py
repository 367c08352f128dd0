"""The wheel as users get it: its files are all there, and stock TensorBoard shows the tab without a flag."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from boards import board, events, until

from boundarycb.viewer import FOLDER

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_viewer_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
        entries = packed.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert {f"boundarycb/viewer/{path.name}" for path in FOLDER.iterdir() if path.is_file()} <= names
    assert not [name for name in names if name.endswith((".ts", ".map")) or "node_modules" in name]
    assert "[tensorboard_plugins]\nboundaries = boundarycb.tensorboard_plugin.loader:BoundariesLoader" in entries


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--load_fast=false",)])
def test_tensorboard_finds_the_tab_of_an_installed_wheel(wheel: Path, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """In a fresh environment: the wheel comes first, what it needs from the one that runs the tests."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    place = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    )
    site = Path(place.stdout.strip())
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    asked = [python, "-c", "import boundarycb; print(boundarycb.__file__)"]
    where = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert where.stdout.strip() == str(site / "boundarycb" / "__init__.py")
    events(tmp_path / "logs" / "run", range(0, 600, 2))
    with board(
        "--logdir", str(tmp_path / "logs"), *flags, python=python, env={**os.environ, "PYTHONPATH": ""}, cwd=tmp_path
    ) as tensorboard:
        tensorboard.await_runs(1)
        assert until(lambda: len(tensorboard.steps("run")) == 300)
        assert tensorboard.steps("run")[0] == 0
        assert json.loads(tensorboard.get("data/plugins_listing")[2])["boundaries"]["enabled"]
