"""A run in words and in final numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import linear_units, mlp
from snapshots import plain
from torch import nn

from boundarycb import Recorder, load, metrics, slices
from boundarycb.cli import main
from boundarycb.history import HistoryWriter
from boundarycb.report import make_report, summarise
from boundarycb.sampling import look

SQUARE = slices.box((-1, 1), (-1, 1))


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recorder:
    """Four lines: unit 0 goes from x = 0 to x = .5, unit 1 makes a quarter turn, unit 3 becomes a copy of unit 2."""
    recorder = Recorder(tmp_path_factory.mktemp("run"), SQUARE, resolution=64)
    path = [(0, 0.0, 0), (5, 0.2, 0), (10, 0.3, 0), (20, 0.5, 0), (40, 0.5, 30), (60, 0.5, 60), (80, 0.5, 90)]
    for step, edge, angle in path:
        turned = np.cos(np.radians(angle)), np.sin(np.radians(angle)), 0.0
        other = (1, 1, -0.3) if step == 80 else (1, -1, 0.4)
        recorder.record(linear_units((1, 0, -edge), turned, (1, 1, -0.3), other), step)
    recorder.close()
    return recorder


def test_the_numbers_in_words(recorder: Recorder) -> None:
    text = summarise(load(recorder.directory))
    rows = {line[:42].strip(): line[42:].split() for line in text.splitlines() if line[42:].strip() and not line.endswith(".")}
    history = load(recorder.directory)
    moved = 0.25 + 0.5  # of units 0 and 1
    flipped = float((history[-1].capture.mask("0")[3] != history[0].capture.mask("0")[3]).mean())
    assert float(rows["drift: flipped, sum over the run"][0]) == pytest.approx((moved + flipped) / 4, abs=0.01)
    assert rows["shift / (shift + rotate), 0-20"] == ["1.00"]
    assert float(rows["shift / (shift + rotate), 20-80"][0]) < 0.3
    assert rows["own bias / (bias + weights), 0-20"] == ["1.00"]
    assert rows["copycats: pairs at the start"] == ["1"]  # units 0 and 1 began as one line
    assert rows["pairs at the end"] == ["1"]
    assert rows["dormant: units that switch on the slice"] == ["100%"]
    assert "layer 0: units 2 and 3 are copycats since step 80 (phi 1.000, chance level 0.950)." in text
    assert "The share of shift in layer 0's shift + rotate fell: 100% in steps 0-20" in text
    assert "layer 0's lines turned by " in text


def test_of_smooth_networks_no_linear_regions_are_told(tmp_path: Path) -> None:
    texts = {}
    for name, activation in (("smooth", nn.SiLU()), ("kinked", nn.ReLU())):
        recorder = Recorder(tmp_path / name, SQUARE, resolution=32)
        for step in range(3):
            torch.manual_seed(step)
            recorder.record(nn.Sequential(nn.Linear(2, 6), activation, nn.Linear(6, 2)), step)
        recorder.close()
        texts[name] = make_report(load(tmp_path / name)).text
    assert "activation patterns seen at the grid points |" in texts["smooth"]
    assert "activation patterns seen at the grid points (at least as many linear regions) |" in texts["kinked"]


def test_a_layer_of_sigmoids_has_exact_lines_and_no_linear_regions(tmp_path: Path) -> None:
    """Its units are affine, and what comes after it is nowhere."""
    recorder = Recorder(tmp_path, SQUARE, resolution=32)
    for step in range(3):
        torch.manual_seed(step)
        recorder.record(nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)), step)
    recorder.close()
    last = load(tmp_path)[-1]
    assert last.boundaries.exact
    assert [name for name in last.metrics if name.startswith("regions/exact/")] == ["regions/exact/0"]
    torch.manual_seed(0)
    seen = look(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)), SQUARE, resolution=16)
    assert seen.boundaries.exact
    assert seen.regions == {}


def test_lines_of_a_slice_that_is_not_to_scale_have_no_angle(tmp_path: Path) -> None:
    """Nobody measures a way in years and euros."""
    texts = []
    for name, plane in (("ages", slices.box((0, 90), (0, 90000))), ("lengths", slices.box((0, 90), (0, 100)))):
        recorder = Recorder(tmp_path / name, plane, resolution=32)
        for step, edge in enumerate((20.0, 40.0)):
            recorder.record(linear_units((1, 0, -edge), (0, 1, -50)), step)
        recorder.close()
        texts.append(summarise(load(tmp_path / name)))
    assert ["lines turned by" in text for text in texts] == [False, True]
    assert "slid by 10.00 input lengths" in texts[1]  # the median of 20 and 0
    assert "drift: flipped" in texts[0]


def test_windows_begin_and_end_at_samples(tmp_path: Path) -> None:
    """Where none was taken at step 20, what moved from 0 to 50 is not said of 20 to 50; and too few samples make no sentence."""
    recorder = Recorder(tmp_path, SQUARE, resolution=32)
    for step in (0, 50, 100, 150):
        recorder.record(mlp(2, 8, 1, seed=step), step)
    recorder.close()
    text = summarise(load(tmp_path))
    windows = [line.split(",")[1].split()[0] for line in text.splitlines() if "rotate)," in line]
    assert windows == ["0-100", "100-150"]
    assert "The share of shift" not in text


def test_the_final_numbers(recorder: Recorder) -> None:
    finals = recorder.finals
    assert finals["final/copycat/new_pairs/0"] == 1
    assert finals["total/drift/shift/0"] == pytest.approx(sum(load(recorder.directory).series("drift/shift/0")[1][1:]))
    shift, rotate = (finals[f"total/drift/{part}/0"] for part in ("shift", "rotate"))
    assert finals["total/drift/shift_share/0"] == pytest.approx(shift / (shift + rotate))
    assert shift + rotate == pytest.approx(finals["total/drift/flipped/0"])
    assert all(np.isfinite(value) for value in finals.values())
    assert not [name for name in finals if name.startswith("final/drift")]


@pytest.mark.logs_warnings
def test_the_final_numbers_of_a_lost_network_are_those_before_it_was(tmp_path: Path) -> None:
    """What is measured later is of the few units that are left. A run that is gone on with says the same."""

    def lost(model: nn.Sequential) -> nn.Sequential:
        torch.nn.init.constant_(model.get_parameter("2.bias"), math.nan)
        return model

    runs = {}
    for name, models in (
        ("whole", [mlp(2, 8, 1, seed=seed) for seed in (0, 1)]),
        ("lost", [*(mlp(2, 8, 1, seed=seed) for seed in (0, 1)), lost(mlp(2, 8, 1, seed=2)), lost(mlp(2, 8, 1, seed=3))]),
        ("never", [lost(mlp(2, 8, 1, seed=seed)) for seed in (0, 1)]),
        ("back", [mlp(2, 8, 1, seed=0), lost(mlp(2, 8, 1, seed=2)), mlp(2, 8, 1, seed=1)]),
    ):
        runs[name] = Recorder(tmp_path / name, SQUARE, resolution=16)
        for number, model in enumerate(models):
            runs[name].record(model, 10 * number)
    whole = runs["whole"].finals
    assert whole["total/drift/flipped/0"] > 0
    assert runs["lost"].finals == whole
    assert {name for name in runs["never"].finals if name.startswith("final/on")}  # there is nothing better
    assert whole.keys() <= runs["back"].finals.keys()
    assert runs["never"].finals["final/on/share/0"] == load(tmp_path / "never")[-1].metrics["on/share/0"]  # of the last one
    further, never = (Recorder(tmp_path / f"further {name}", SQUARE, resolution=16) for name in ("lost", "never"))
    further.load_state_dict(runs["lost"].state_dict())
    assert further.finals == pytest.approx(whole)
    never.load_state_dict(runs["never"].state_dict())
    for one in (runs["never"], never):
        one.record(lost(mlp(2, 8, 1, seed=5)), 20)
    assert never.finals == pytest.approx(runs["never"].finals)
    runs["further never"] = never
    for one in (*runs.values(), further):
        one.close()


def test_a_history_without_our_numbers_has_no_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(plain(0))
    assert summarise(load(tmp_path)) == ""
    writer.append(plain(10))
    assert summarise(load(tmp_path)) == ""
    assert main(["info", str(tmp_path)]) == 0
    assert "drift" not in capsys.readouterr().out


def test_metrics_of_ones_own_alone_are_no_obstacle(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[metrics.on_share, lambda sample: {"mine": float(sample.step)}])
    for step in (0, 5):
        recorder.record(mlp(2, 4, 1), step)
    recorder.close()
    assert summarise(load(tmp_path)) == ""
    assert recorder.finals["final/mine"] == 5
    assert load(tmp_path).series("mine")[1].tolist() == [0, 5]


def test_the_command_says_the_numbers(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(recorder.directory)]) == 0
    assert "copycats since step 80" in capsys.readouterr().out


def test_many_layers_and_long_names_keep_the_table_narrow(tmp_path: Path) -> None:
    class Deep(torch.nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.a_name_of_many_words = mlp(2, *[4] * 12, 1, seed=seed)

        def forward(self, x: torch.Tensor) -> Any:
            return self.a_name_of_many_words(x)

    recorder = Recorder(tmp_path, SQUARE, resolution=16)
    for step in (0, 5):
        recorder.record(Deep(step), step)
    recorder.close()
    lines = summarise(load(tmp_path)).splitlines()
    assert len(lines[0]) == 42 + 8 * 11
    assert lines[0].startswith("8 of 12 layers ")
    assert lines[0].split()[4].startswith("…")


def test_a_series_that_does_not_exist_is_refused_with_what_there_is(recorder: Recorder) -> None:
    with pytest.raises(KeyError, match="No snapshot has the number 'drift/shfit/0'; there are drift/shift/0, .*, …"):
        load(recorder.directory).series("drift/shfit/0")
    with pytest.raises(KeyError, match=r"'drift/flipped_per_unit/0' is an array, and no number: history\[-1\]\.per_unit has"):
        load(recorder.directory).series("drift/flipped_per_unit/0")


def test_what_the_loop_logged_is_a_series_too(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    for step in (0, 10):
        writer.append(plain(step))
    steps, loss = load(tmp_path).series("loss")
    assert (steps.tolist(), loss.tolist()) == ([0, 10], [0.03125, 0.03125])
