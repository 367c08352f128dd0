"""Margins of samples: linear decisions whose distance is known, and rays looked at finely by brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp
from torch import nn

from boundarycb import Recorder, load, slices
from boundarycb.automatic import Data
from boundarycb.engines import bands
from boundarycb.metrics.margin import data_margins
from boundarycb.sampling import data as module
from boundarycb.sampling import look
from boundarycb.types import Answers, Boundaries, Capture, Floats, Layer, Sample

SQUARE = slices.box((-1, 1), (-1, 1))


class Linear(nn.Module):
    """Scores whose difference is w.x + b, by ReLUs: relu(z) - relu(-z) = z. `classes` more never win."""

    def __init__(self, w: Any, b: float, classes: int = 0) -> None:
        super().__init__()
        w = torch.as_tensor(w, dtype=torch.float32)
        self.one, self.two = nn.Linear(len(w), 2), nn.Linear(2, 2 + classes)
        with torch.no_grad():
            self.one.weight.copy_(torch.stack([w, -w]))
            self.one.bias.copy_(torch.tensor([b, -b]))
            self.two.weight.zero_()
            self.two.weight[:2] = torch.tensor([[0.5, -0.5], [-0.5, 0.5]])
            self.two.bias.copy_(torch.tensor([0.0, 0.0] + [-99.0] * classes))

    def forward(self, x: torch.Tensor) -> Any:
        return self.two(self.one(x).relu())


def margins_of(model: nn.Module, given: Any) -> Floats:
    shape = Data.of(given).values.shape[1:]
    plane = SQUARE if shape == (2,) else slices.random(np.ones(shape))
    seen = look(model, plane, resolution=16, engine=None, data=Data.of(given), margins=True)
    assert seen.answers is not None
    assert seen.answers.margins is not None
    return seen.answers.margins


def ends_of(given: Any) -> tuple[Floats, Floats]:
    start, stop = module._ends(Data.of(given))
    return start.values, stop


def sample_of(margins: Any) -> Sample:
    layer = Layer("fc", "relu", (1,), (0,))
    lines = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    answers = Answers(np.zeros((1, 1), np.uint8), np.zeros((4, 1), np.float32), margins=margins)
    return Sample(Capture((layer,), 2, np.zeros((1, 1), np.uint8)), lines, answers=answers)


# ------------------------------------------------------------------------------------------------------------- the metric


def test_known_numbers() -> None:
    """Of 0, 1, …, 20 the median is 10 and the 5th percentile 1; 7 rays of 28 found none."""
    found = data_margins(sample_of(np.concatenate([np.arange(21.0)[::-1], np.full(7, np.nan)])))
    assert found == {"margin/median": 10, "margin/low": 1, "margin/found": 0.75}


def test_no_change_is_no_margin() -> None:
    found = data_margins(sample_of(np.full(4, np.nan)))
    assert np.isnan([float(found["margin/median"]), float(found["margin/low"])]).all()  # type: ignore[arg-type]
    assert found["margin/found"] == 0


def test_without_margins_nothing_is_said() -> None:
    assert data_margins(sample_of(None)) == {}
    layer = sample_of(None)
    assert data_margins(Sample(layer.now, layer.boundaries)) == {}


# --------------------------------------------------------------------------------------------------------- where they are


@pytest.mark.parametrize("size", [2, 5, 40])
@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_distance_to_a_plane(tmp_path: Path, size: int, precision: str, classes: int) -> None:
    """Along the ray it is |w.x + b| / |w.u|. In single precision, inputs of size 1 are told to 1e-7."""
    rng = np.random.default_rng(size)
    w, b = rng.normal(size=size).astype(np.float32), 0.25
    x = rng.normal(size=(60, size))
    labels = (x @ w + b > 0).astype(int)
    model = Linear(w, b, classes)
    plane = SQUARE if size == 2 else slices.random(np.ones(size))
    recorder = Recorder(
        tmp_path,
        plane,
        resolution=16,
        metrics=[data_margins],
        data=(x, labels),
        engine="grid",
    )
    recorder.record(model.double() if precision == "double" else model, 0)
    recorder.close()
    start, stop = ends_of((x, labels))
    along = (stop - start) / np.linalg.norm(stop - start, axis=1, keepdims=True)
    expected = abs(start @ w.astype(float) + b) / abs(along @ w.astype(float))
    found = margins_of(model, (x, labels))
    tolerance = 1e-9 if precision == "double" else 1e-6
    assert len(found) == 16
    assert found == pytest.approx(expected, rel=tolerance, abs=0 if precision == "double" else 3e-7)
    numbers = load(tmp_path)[-1].metrics
    assert numbers["margin/found"] == 1
    assert numbers["margin/median"] == pytest.approx(np.median(expected), rel=1e-6)
    assert numbers["margin/low"] == pytest.approx(np.percentile(expected, 5), rel=1e-6, abs=3e-7)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_margins_are_lengths_of_the_input(scale: float) -> None:
    x = np.random.default_rng(1).normal(size=(30, 2))
    labels = (x[:, 0] > 0.1).astype(int)
    one = margins_of(Linear([1.0, 0.0], -0.1), (x, labels))
    other = margins_of(Linear([1.0, 0.0], -0.1 * scale), (x * scale, labels))
    assert np.isfinite(one).all()
    assert other == pytest.approx(one * scale, rel=1e-5, abs=1e-6 * scale)


@pytest.mark.parametrize("seed", range(4))
def test_the_first_change_of_a_bent_network(seed: int) -> None:
    """By looking at every ray at 40,001 places; those where a class comes and goes between two sixteenths are left out."""
    model = mlp(2, 12, 12, 4, seed=seed).double()
    x = np.random.default_rng(seed).uniform(-1.5, 1.5, (80, 2))
    start, stop = ends_of(x)
    shares = np.linspace(0, 1, 40_001)
    with torch.no_grad():
        points = start[:, None] + shares[:, None] * (stop - start)[:, None]
        winners = model(torch.tensor(points)).argmax(dim=2).numpy()
    found = margins_of(model, x)
    lengths = np.linalg.norm(stop - start, axis=1)
    changed = winners != winners[:, :1]
    first = np.where(changed.any(axis=1), changed.argmax(axis=1) / 40_000 * lengths, np.nan)
    coarse = changed[:, ::2500]
    seen = np.where(coarse.any(axis=1), coarse.argmax(axis=1), 99) * 2500
    missed = np.where(changed.any(axis=1), changed.argmax(axis=1), 10**6) < seen - 2500
    assert missed.mean() < 0.3
    assert np.isfinite(first[~missed]).sum() >= 3
    assert found[~missed] == pytest.approx(first[~missed], abs=1e-4, nan_ok=True)
    assert not (found[missed] < first[missed]).any()


def test_a_smooth_network_is_as_exact() -> None:
    """tanh(x - 0.3) + 0.2 changes its sign at 0.3 - atanh(0.2)."""
    model: Any = nn.Sequential(nn.Linear(2, 1), nn.Tanh(), nn.Linear(1, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
        model[0].bias.fill_(-0.3)
        model[2].weight.copy_(torch.tensor([[0.0], [1.0]]))
        model[2].bias.copy_(torch.tensor([0.0, 0.2]))
    found = margins_of(model, ([[-1.0, 0.0], [1.0, 0.0]], [0, 1]))
    place = 0.3 - np.arctanh(float(np.float32(0.2)))
    assert found == pytest.approx([place + 1, 1 - place], rel=1e-9)


def test_a_change_at_the_very_start_and_the_very_end() -> None:
    """The sample lies on the border, where the first class wins; or within a millionth of either end; or one step of double."""
    model = Linear([1.0, 0.0], 0.0).double()  # class 0 wins where x >= 0
    for x, expected in [
        ([[0.0, 0.0], [-1.0, 0.0]], [0.0, 1.0]),
        ([[1e-6, 0.0], [-1.0, 0.0]], [1e-6, 1.0]),
        ([[1.0, 0.0], [-1e-6, 0.0]], [1.0, 1e-6]),
        ([[1.0, 0.0], [-1e-300, 0.0]], [1.0, 1e-300]),
    ]:
        assert margins_of(model, (x, [0, 1])) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_where_no_class_changes_there_is_none() -> None:
    model = Linear([1.0, 0.0], 9.0)
    x = np.random.default_rng(0).uniform(-1, 1, (30, 2))
    assert np.isnan(margins_of(model, x)).all()
    some = margins_of(Linear([1.0, 0.0], 0.0), np.array([[-1.0, 0], [-0.5, 0], [-0.25, 0], [1, 0]]))
    # Rays go to the other half: -1 to -0.25, -0.5 to 1, -0.25 to -1, 1 to -0.5.
    assert some == pytest.approx([np.nan, 0.5, np.nan, 1.0], nan_ok=True)


def test_one_sample_and_equal_ones_have_no_margin() -> None:
    model = Linear([1.0, 0.0], 0.0)
    assert np.isnan(margins_of(model, [[0.5, 0.5]])).all()
    assert np.isnan(margins_of(model, [[0.5, 0.5]] * 5)).all()


def test_rays_go_to_samples_of_another_class() -> None:
    x = np.arange(24.0).reshape(12, 2)
    start, stop = ends_of((x, [0] * 11 + [1]))
    assert np.array_equal(start, x)
    assert (stop[:11] == x[11]).all()
    assert (stop[11] != x[11]).any()
    unknown = np.array([-1] * 5 + [0] * 5 + [1, 1])
    places = ends_of((x, unknown))[1][:, 0].astype(int) // 2
    assert all(unknown[place] >= 0 for place in places)
    assert all(unknown[place] != unknown[row] for row, place in enumerate(places))
    alone = ends_of((x, [3] * 12))
    assert (alone[0] != alone[1]).any(axis=1).all()


def test_rays_are_few_where_samples_are() -> None:
    assert [len(ends_of(np.arange(2.0 * count).reshape(count, 2))[0]) for count in (1, 9, 16, 64, 100, 256)] == [
        1,
        9,
        16,
        16,
        25,
        64,
    ]


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mlp(2, 8, 3).double()
    x = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    whole = margins_of(model, x)
    monkeypatch.setattr(bands, "_BATCH_BYTES", 10 * 2 * 8)
    assert margins_of(model, x) == pytest.approx(whole, rel=1e-9, nan_ok=True)
    assert np.isfinite(whole).any()


def test_images_have_margins_too() -> None:
    """A convolution of one pixel and weight 1, and the mean of all pixels against 0.5: rays from 0s to 1s of 4 pixels."""

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1, bias=False)
            with torch.no_grad():
                self.conv.weight.fill_(1.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mean = self.conv(x).relu().flatten(1).mean(dim=1)
            return torch.stack([0.5 - mean, mean - 0.5], dim=1)

    dark, light = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    assert margins_of(Mean(), (np.stack([dark, light]), [0, 1])) == pytest.approx([1.0, 1.0], rel=1e-6)
