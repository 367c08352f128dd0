"""The command line, as a process."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import pytest
from PIL import Image
from snapshots import SQUARE, plain

from boundarycb import slices
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
        "600.0 s from the first sample to the last",
        "slice      x1 -1 to 1, x2 -1 to 1, inputs of shape (2,)",
        "from a grid (64 points a side)",
        "layers     layer1 (6 relu), layer2 (3 relu), layer3 (4 relu)",
        "loss       0.03125 at the last step",
    ):
        assert words in text


def test_a_reader_that_has_had_enough_is_no_error(run: Path) -> None:
    """Such as ``boundarycb info RUN | head -1``."""
    command = [sys.executable, "-c", f"import sys; from boundarycb.cli import main; sys.exit(main(['info', {str(run)!r}]))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_file_that_cannot_be_as_small_as_asked_says_so(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("x.html", "x.gif"):
        for size, told in (("0.0001", True), ("10", False)):
            assert main(["export", str(run), "-o", str(tmp_path / name), "--max-mb", size]) == 0
            assert ("MB, with two samples still more than asked for" in capsys.readouterr().out) is told


def test_a_console_that_cannot_show_every_letter_gets_the_rest(tmp_path: Path) -> None:
    HistoryWriter(tmp_path / "run", slices.box((-1, 1), (-1, 1), names=("größe Δ", "x2"))).append(plain(0))
    ran = subprocess.run(
        [sys.executable, "-m", "boundarycb.cli", "info", tmp_path / "run"],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "größe \\u0394 -1 to 1" in ran.stdout.decode("cp1252")


def test_export_makes_the_movie(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.gif"
    assert main(["export", str(run), "-o", str(out), "--size", "100", "--frames", "4"]) == 0
    assert "4 frames, 100 x " in capsys.readouterr().out
    image = Image.open(io.BytesIO(out.read_bytes()))
    assert image.n_frames == 4  # type: ignore[attr-defined]
    assert image.size[0] == 100


def test_export_makes_a_page_of_one_run_or_several(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for names in ([run], [run, run]):
        assert main(["export", *map(str, names), "-o", str(tmp_path / "a.html")]) == 0
        assert f"{len(names)} run" in capsys.readouterr().out
        page = (tmp_path / "a.html").read_text()
        assert page.startswith("<!doctype html>")
        assert ("version_0 and version_0 (2)" in page) == (len(names) == 2)
    assert not list(tmp_path.glob("*.part"))


def test_export_makes_a_vector_picture_of_any_step(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, step in (([], 600), (["--step", "250"], 200), (["--step", "0"], 0)):
        assert main(["export", str(run), "-o", str(tmp_path / "a.svg"), *more]) == 0
        assert f"step {step}" in capsys.readouterr().out
        root = ET.fromstring((tmp_path / "a.svg").read_text())
        words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert f"step {step}" in words
        assert {"layer1", "layer2", "layer3"} <= set(words)
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) >= 3


def test_export_makes_a_film(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "-o", str(tmp_path / "a.mp4"), "--size", "100", "--fps", "4"]) == 0
    assert "7 frames" in capsys.readouterr().out
    reader: Any = imageio.get_reader(tmp_path / "a.mp4")
    about = reader.get_meta_data()
    assert about["fps"] == 4
    assert about["duration"] == pytest.approx((7 + 8) / 4, abs=0.3)  # the last frame stays for two seconds
    reader.close()


def test_without_ffmpeg_it_is_said(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    assert main(["export", str(run), "-o", str(tmp_path / "a.mp4")]) == 1
    assert "pip install 'boundarycb[mp4]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["info", "nowhere"], "boundarycb info: No history.bcb in nowhere"),
        (
            ["export", "RUN", "-o", "x.avi"],
            "boundarycb export: `--output` must end in one of .html, .gif, .mp4, .svg, .md, got x.avi.",
        ),
        (["export", "RUN", "RUN", "-o", "x.gif"], "boundarycb export: A .gif file shows one run; several go into an .html file."),
        (["export", "RUN", "-o", "x.svg", "--step", "-5"], "boundarycb export: `--step` must be 0 or more, got -5"),
        (
            ["export", "RUN", "-o", "x.html", "--step", "5"],
            "boundarycb export: `--step` says nothing of a file that ends in .html, but of .svg; leave it out.",
        ),
        (
            ["export", "RUN", "-o", "x.html", "--surfaces"],
            "boundarycb export: `--surfaces` says nothing of a file that ends in .html, but of .gif; leave it out.",
        ),
        (
            ["export", "RUN", "-o", "x.md", "--fps", "9"],
            "boundarycb export: `--fps` says nothing of a file that ends in .md, but of .gif and .mp4; leave it out.",
        ),
        (["export", "RUN", "-o", "x.svg", "--frames", "0"], "boundarycb export: `--frames` says nothing of a file"),
        (["export", "RUN", "-o", "x.mp4", "--max-mb", "1"], "boundarycb export: `--max-mb` says nothing of a file"),
        *(
            (
                ["export", "RUN", "-o", "x.html", "--max-mb", given],
                f"boundarycb export: `--max-mb` must be a number of megabytes above 0, got {given}.",
            )
            for given in ("0", "inf", "nan")
        ),
        (["export", "RUN", "-o", "x.html", "--frames", "1"], "boundarycb export: `--frames` must be 2 or more, got 1."),
        (["export", "RUN", "-o", "x.gif", "--size", "3"], "boundarycb export: `--size` must be"),
        (
            ["export", "RUN", "-o", "no/such/folder/x.gif"],
            "boundarycb export: `--output` must lie in a folder that exists, got no/such/folder/x.gif.",
        ),
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
