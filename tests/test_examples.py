"""The examples run as a user runs them, cut short; their full length is a slow test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import black_white_grey as grey
import ginn_full
import imageio.v3 as iio
import numpy as np
import pytest
import second_paper_figures as figures
import torch

from boundarycb import load
from boundarycb.data import s1
from boundarycb.types import Boundaries, Capture, Field, Layer, Snapshot

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, cwd: Path) -> str:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_bottle_runs_and_reports(tmp_path: Path) -> None:
    text = run("ginn_bottle.py", "--steps", "60", "--seed", "3", "--out", "here", cwd=tmp_path)
    run_directory = tmp_path / "here" / "ginn_bottle" / "version_0"
    history = load(run_directory)
    assert history.steps[:4] == (0, 1, 2, 3)
    assert history.steps[-1] == 60
    assert history.layers == ("layer1", "layer2", "layer3")
    assert re.search(r"accuracy +\d+\.\d+% of 40,000 pixels", text)
    assert f"tensorboard --samples_per_plugin images=1000 --logdir {tmp_path / 'here' / 'ginn_bottle'}" in text
    assert (run_directory / "boundaries" / "boundaries.gif").exists()
    report = (run_directory / "boundaries" / "report.md").read_text()
    told = re.findall(r"^## (.*)", report, re.MULTILINE)
    assert told[1:-1] == [  # all phenomena, between the table and the numbers
        "Which part of the target was missed",
        "Units that do not switch",
        "Regions, and the map of classes",
        "What moved: shift, turn, or the layers below",
        "Convergence to critical points",
        "Copycats",
        "Indecisive units",
        "Symmetry",
    ]


@pytest.mark.slow
def test_the_digits_run_and_show_which_is_where(tmp_path: Path) -> None:
    text = run("digits.py", "--steps", "3", "--digits", "4", "9", "7", cwd=tmp_path)
    history = load(tmp_path / "runs" / "digits" / "version_0")
    assert history.steps == (0, 1, 2, 3)
    assert history.slice.anchor_names == ("digit 4", "digit 9", "digit 7")
    assert history[-1].field is not None
    assert history[-1].field.names == tuple("0123456789")
    assert "of 360 digits" in text
    # The anchors are digits of the data at their coordinates: whole sixteenths, but for rounding.
    anchors = 16 * history.slice.lift(history.slice.anchors)
    assert np.abs(anchors - np.rint(anchors)).max() < 1e-6 * 16
    run("digits.py", "--steps", "1", "--plane", "pca", "--out", "pca", cwd=tmp_path)
    assert load(tmp_path / "pca").slice.names[0].startswith("PC1 (")


@pytest.mark.parametrize("data", ["s2", pytest.param("all", marks=pytest.mark.slow)])
def test_the_greys_run(data: str, tmp_path: Path) -> None:
    text = run("black_white_grey.py", "--data", data, "--steps", "12", cwd=tmp_path)
    for name in grey.SETS if data == "all" else (data,):
        place = tmp_path / "runs" / "black_white_grey" / name / "version_0" / "boundaries"
        history = load(place)
        assert history.steps[-1] == 12
        assert history.layers == ("hidden", "out")
        last = history[-1]
        assert last.field is not None
        assert last.field.names == ("white", "black", "grey")
        assert last.field.surfaces is not None
        assert {"ambiguity/overlap", "ambiguity/tie", "ambiguity/none", "decision/never"} <= last.metrics.keys()
        assert "accuracy" in last.scalars
        for file in ("boundaries.gif", "surfaces.gif", "report.md"):
            assert (place / file).exists()
        assert re.search(rf"^{name.upper()} +\d\.\d{{4}}", text, re.MULTILINE)
    assert (tmp_path / "runs" / "black_white_grey" / "accuracy.png").exists()
    assert ("S4 is made up: nobody was asked." in text) == (data == "all")
    assert sum(parameter.numel() for parameter in grey.Grey().parameters()) == 21


@pytest.mark.slow
def test_the_greys_take_the_answers_of_people(tmp_path: Path) -> None:
    rows = ["x1,x2,answer,seconds", *(f"{level},{level},{'black' if level < 128 else 'grey'},1.0" for level in range(0, 256, 5))]
    (tmp_path / "answers.csv").write_text("\n".join(rows))
    text = run("black_white_grey.py", "--data", "s4", "--answers", "answers.csv", "--steps", "200", cwd=tmp_path)
    assert "made up" not in text
    found = re.search(r"^S4 +(\d\.\d{4})", text, re.MULTILINE)
    assert found is not None
    assert float(found[1]) > 0.9


def test_a_perfect_map_of_s3_has_the_accuracy_of_the_limit() -> None:
    task = grey.task_of("s3", None)
    plane = grey.plane_of(task)
    us, vs = (nodes[1:-1] for nodes in plane.nodes(256))
    points = np.stack([levels.ravel() for levels in np.meshgrid(us, vs)], axis=1)
    winner = s1(points).reshape(256, 256).astype(np.uint16)
    layer = Layer("out", "sigmoid", (3,), (0, 1, 2))
    field = Field("classes", np.ones((256, 256), np.float16), winner, 3)
    lines = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    one = Snapshot(0, 0.0, plane, Capture((layer,), 256, np.zeros((3, 8192), np.uint8), field), lines)
    assert grey.expected_accuracy(task, one) == pytest.approx(0.78667, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_greys_are_learnt(seed: int, tmp_path: Path) -> None:
    text = run("black_white_grey.py", "--seed", str(seed), cwd=tmp_path)
    found = {name: float(value) for name, value in re.findall(r"^(S\d) +(\d\.\d{4})", text, re.MULTILINE)}
    assert found["S1"] >= 0.99
    assert found["S2"] >= 0.99
    assert abs(found["S3"] - 0.78667) < 0.01
    last = load(tmp_path / "runs" / "black_white_grey" / "s4" / "version_0")[-1].metrics
    assert last["decision/never"] == 1  # white: the paper's dormant output


def test_the_second_papers_figures_that_take_no_training_are_made(tmp_path: Path) -> None:
    figures.figure_2(tmp_path)
    figures.figure_3(tmp_path)
    figures.closed_form(tmp_path)
    sizes = {path.name: iio.imread(path).shape[:2] for path in tmp_path.iterdir()}
    assert set(sizes) == {"figure_2.png", "figure_3.png", "closed_form.png"}
    assert all(min(size) > 300 for size in sizes.values())


@pytest.mark.slow
def test_all_of_the_second_papers_figures_are_made(tmp_path: Path) -> None:
    run("second_paper_figures.py", "--out", "made", "--steps", "200", cwd=tmp_path)
    made = {path.name for path in (tmp_path / "made").iterdir()} | {"figure_1.png"}  # which takes a browser
    assert made == {path.name for path in (EXAMPLES.parent / "docs" / "second_paper").iterdir()}


@pytest.mark.slow
def test_the_transformer_runs_in_embedding_space(tmp_path: Path) -> None:
    run("transformer.py", "--steps", "2", "--width", "16", cwd=tmp_path)
    history = load(tmp_path)
    assert history.slice.input_shape == (24, 16)
    assert len(history.layers) == 6
    assert history[0].notes == ("6 layers: 384 of 9,216 units watched",)


@pytest.mark.slow
def test_the_resnet_runs_and_all_its_activations_are_seen(tmp_path: Path) -> None:
    run("resnet.py", "--steps", "1", "--size", "32", "--batch", "4", "--every", "1", cwd=tmp_path)
    history = load(tmp_path)
    assert len(history.layers) == 17
    assert sum(len(layer.kept) for layer in history[0].layers) <= 1024
    assert history[0].capture.resolution == 24


@pytest.mark.parametrize(("init", "together"), [("random", False), ("zero", True)])
def test_step_zero_is_no_star_unless_asked_for(tmp_path: Path, init: str, together: bool) -> None:
    run("ginn_bottle.py", "--steps", "1", "--init", init, cwd=tmp_path)
    first = load(tmp_path)[0]
    lines = [first.boundaries.of("layer1", index) for index in range(16)]
    through_middle = [
        bool(line) and abs(float(np.cross([*(line[0][-1] - line[0][0]), 0], [*line[0][0], 0])[2])) < 1e-3 for line in lines
    ]
    assert all(through_middle) == together
    assert sum(map(bool, lines)) == 16  # every line of layer 1 crosses the picture


@pytest.mark.slow
def test_every_flag_does_what_it_says(tmp_path: Path) -> None:
    import imageio.v3 as iio

    iio.imwrite(tmp_path / "x.png", np.tile(np.repeat([0, 255], 20).astype(np.uint8), (40, 1)))
    text = run("ginn_bottle.py", "--steps", "12", "--every", "5", "--image", "x.png", cwd=tmp_path)
    assert list(load(tmp_path).steps) == [0, 5, 10, 12]
    assert "diamond" not in text
    run("ginn_bottle.py", "--recipe", "paper", "--steps", "60", "--out", "paper", cwd=tmp_path)
    paper = load(tmp_path / "paper")
    assert list(paper.steps) == [*range(50), 50, 52, 54, 56, 58, 60]
    assert np.array_equal(paper.slice.bounds, [(0, 1), (0, 1)])
    assert paper[0].scalars["lr"] == pytest.approx(1e-3)


def test_the_plain_loop_is_short() -> None:
    assert len((EXAMPLES / "plain_pytorch.py").read_text().splitlines()) < 40


@pytest.mark.slow
def test_the_plain_loop_learns_the_bottle(tmp_path: Path) -> None:
    text = run("plain_pytorch.py", cwd=tmp_path)
    assert float(re.findall(r"accuracy +(\d+\.\d+)%", text)[0]) > 98


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_bottle_is_learned(tmp_path: Path, seed: int) -> None:
    text = run("ginn_bottle.py", "--seed", str(seed), cwd=tmp_path)
    assert float(re.findall(r"accuracy +(\d+\.\d+)%", text)[0]) >= 99.5
    assert len(load(tmp_path)) == 55


@pytest.mark.slow
def test_the_failure_is_reproducible(tmp_path: Path) -> None:
    text = run("ginn_bottle.py", "--recipe", "failure", cwd=tmp_path)
    assert "it is missed" in text


@pytest.mark.logs_warnings
def test_the_full_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ginn_full, "CHECKPOINT", 10)
    monkeypatch.setattr(ginn_full, "CHUNK", 5)
    save = torch.save

    def save_and_stop(state: Any, path: Path) -> None:
        save(state, path)
        raise KeyboardInterrupt

    def train(place: str) -> None:
        monkeypatch.setattr("sys.argv", ["ginn_full.py", "--steps", "30", "--out", str(tmp_path / place)])
        ginn_full.main()

    threads = torch.get_num_threads()
    try:
        train("whole")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(torch, "save", save_and_stop)
            train("cut")
        train("cut")
    finally:
        torch.set_num_threads(threads)
    whole, resumed = load(tmp_path / "whole" / "boundaries"), load(tmp_path / "cut" / "boundaries-1")
    assert resumed.steps == whole.steps
    assert (whole.steps[0], whole.steps[-1]) == (0, 30)
    for mine, theirs in zip(resumed, whole, strict=True):
        assert repr(dict(mine.metrics)) == repr(dict(theirs.metrics))  # NaN equals NaN here
        assert np.array_equal(mine.boundaries.points, theirs.boundaries.points)
