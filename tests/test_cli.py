"""The command line, as a process."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from snapshots import SQUARE, plain

from boundarycb.cli import main
from boundarycb.history import HistoryWriter


@pytest.fixture
def run(tmp_path: Path) -> Path:
    writer = HistoryWriter(tmp_path / "version_0" / "boundaries", SQUARE)
    for step in range(0, 700, 100):
        writer.append(plain(step))
    return tmp_path / "version_0"


def test_info_says_what_there_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run)]) == 0
    text = capsys.readouterr().out
    for words in (
        "samples    7, steps 0 to 600",
        "600.0 s of training",
        "slice      x1 -1 to 1, x2 -1 to 1, inputs of shape (2,)",
        "from a grid (64 points a side)",
        "layers     layer1 (6 relu), layer2 (3 relu), layer3 (4 relu)",
        "loss       0.03125 at the last step",
    ):
        assert words in text


def test_export_makes_the_movie(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.gif"
    assert main(["export", str(run), "-o", str(out), "--size", "100", "--frames", "4"]) == 0
    assert "4 frames, 100 x " in capsys.readouterr().out
    image = Image.open(io.BytesIO(out.read_bytes()))
    assert image.n_frames == 4  # type: ignore[attr-defined]
    assert image.size[0] == 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "nowhere"], "boundarycb info: No history.bcb in nowhere"),
        (["export", "RUN", "-o", "x.avi"], "boundarycb export: `--output` must end in .gif or .md, got x.avi."),
        (["export", "RUN", "-o", "x.gif", "--size", "3"], "boundarycb export: `--size` must be"),
        (["export", "RUN", "-o", "no/such/folder/x.gif"], "boundarycb export: [Errno 2]"),
    ],
)
def test_errors_are_one_line(run: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run) if word == "RUN" else word for word in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith(words)
    assert error.count("\n") == 1


def test_the_command_is_installed_and_quick_to_start(run: Path) -> None:
    command = Path(sys.executable).with_name("boundarycb")
    ran = subprocess.run([command, "info", run], capture_output=True, text=True, check=True)
    assert "samples    7" in ran.stdout
    assert subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.startswith("boundarycb 0.")
