"""How a training ends, as real processes that are really interrupted or killed; and what it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from boundarycb import load
from boundarycb.history import FILE

HERE = Path(__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])]


def start(package: str, directory: Path, how: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-W", "ignore", str(HERE / "ending_script.py"), package, str(directory), how]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def samples_below(directory: Path) -> int:
    files = list(directory.rglob(FILE))
    return len(load(files[0])) if files and files[0].stat().st_size > 2_000 else 0


def interrupted(package: str, directory: Path, number: int) -> tuple[int, str]:
    """Send a signal once there are five samples; return the exit status and what was said."""
    process = start(package, directory, "slow")
    try:
        limit = time.monotonic() + 120
        while samples_below(directory) < 5 and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(number)
        said = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, "".join(said)


def ended(package: str, directory: Path, how: str) -> tuple[int, str]:
    process = start(package, directory, how)
    try:
        said = process.communicate(timeout=180)
    finally:
        process.kill()
    return process.returncode, "".join(said)


def command(*arguments: str | Path) -> str:
    """Run our command."""
    ran = subprocess.run([Path(sys.executable).with_name("boundarycb"), *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def frames(path: Path) -> int:
    with Image.open(path) as movie:
        return movie.n_frames  # type: ignore[attr-defined, no-any-return]


def whole(directory: Path, *, movie: bool = True) -> tuple[int, ...]:
    """Assert that what a run left can be looked at; return the steps."""
    history = load(directory)
    assert [sample.step for sample in history] == list(history.steps)
    assert history.steps == tuple(range(0, 2 * len(history), 2)) or history.steps[:-1] == tuple(range(0, 2 * len(history) - 2, 2))
    assert history.path.with_name("boundaries.gif").exists() == movie
    assert f"samples    {len(history)}, steps 0 to {history.steps[-1]}" in command("info", directory)
    assert f"{len(history)} frames" in command("export", directory, "-o", directory / "out.gif", "--size", "64")
    assert frames(directory / "out.gif") == len(history)
    if movie:
        assert frames(history.path.with_name("boundaries.gif")) == len(history)
    return history.steps


def test_ctrl_c(package: str, tmp_path: Path) -> None:
    status, said = interrupted(package, tmp_path, signal.SIGINT)
    assert status == 1  # Lightning's
    assert "Detected KeyboardInterrupt" in said
    assert "took" in said  # the summary
    assert "Traceback" not in said
    assert len(whole(tmp_path)) >= 5


def test_sigterm(package: str, tmp_path: Path) -> None:
    _, said = interrupted(package, tmp_path, signal.SIGTERM)
    assert "took" in said
    assert len(whole(tmp_path)) >= 5


def test_sigkill(package: str, tmp_path: Path) -> None:
    """Nothing can be done any more, and what was sampled is there."""
    status, _ = interrupted(package, tmp_path, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert len(whole(tmp_path, movie=False)) >= 5


def test_an_error_of_the_users(package: str, tmp_path: Path) -> None:
    status, said = ended(package, tmp_path, "error")
    assert status == 1
    assert said.rstrip().endswith("ZeroDivisionError: the user's own")
    assert whole(tmp_path) == (0, 2, 4, 6)


@pytest.mark.parametrize("launcher", ["spawn", "fork", "notebook"])
def test_processes_that_are_launched(package: str, tmp_path: Path, launcher: str) -> None:
    status, said = ended(package, tmp_path, launcher)
    assert status == 0, said
    assert whole(tmp_path) == (0, 2, 4, 6, 8, 10, 12)
    assert said.count("took") == 1


def test_an_error_in_spawned_processes(package: str, tmp_path: Path) -> None:
    """The main process hears of it, where there is nothing to close; the samples are on disk."""
    status, said = ended(package, tmp_path, "spawn_error")
    assert status == 1
    assert "ZeroDivisionError: the user's own" in said
    assert whole(tmp_path, movie=False) == (0, 2, 4, 6)
