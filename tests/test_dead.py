"""Units that are idle for samples of the data: known answers, by hand and through the recorder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import linear_units
from torch import nn

from boundarycb import Recorder, load, slices
from boundarycb.metrics.dead import dead_on_data
from boundarycb.types import Answers, Boundaries, Capture, Field, Layer, Sample, Value

SQUARE = slices.box((-1, 1), (-1, 1))


def layer_of(units: int, op: str = "relu", name: str = "fc") -> Layer:
    return Layer(name, op, (units,), tuple(range(units)))


def sample_of(
    *layers: Layer,
    on: Any = None,
    values: Any = None,
    step: int = 0,
    past: dict[str, Value] | None = None,
    winners: list[int] | None = None,
    classes: int = 0,
) -> Sample:
    """Return a sample of units with these states (n, U), or activations, for the data; what they do on the slice is no matter."""
    units = sum(layer.size for layer in layers)
    field = None if not classes else Field("classes", np.ones((2, 2)), np.zeros((2, 2), np.uint16), classes)
    now = Capture(layers, 2, np.zeros((units, 1), np.uint8), field)
    lines = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), layers)
    answers = None
    if on is not None or values is not None:
        states = np.asarray(values if on is None else on, dtype=np.float32)
        gives = states if values is None else np.asarray(values, dtype=np.float32)
        answers = Answers(np.packbits((states > 0).T, axis=1), gives, None if winners is None else np.array(winners))
    return Sample(now, lines, step=step, past=past or {}, answers=answers)


def values_of(sample: Sample) -> dict[str, Any]:
    return dict(dead_on_data(sample))


def test_units_that_are_on_for_no_sample() -> None:
    """Three samples: unit 0 is on for none, unit 1 for all, unit 2 for the last, unit 3 for none."""
    found = values_of(sample_of(layer_of(4), on=[[0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]], step=5))
    assert found["dormant/never_on_data/fc"] == 0.5
    assert np.array_equal(found["dormant/last_on_per_unit/fc"], [-1, 5, 5, -1])
    assert set(found) == {"dormant/never_on_data/fc", "dormant/last_on_per_unit/fc"}


def test_each_layer_for_itself() -> None:
    layers = layer_of(1, name="a"), layer_of(3, name="b")
    found = values_of(sample_of(*layers, on=[[1, 0, 0, 0], [1, 0, 1, 0]], step=2))
    assert found["dormant/never_on_data/a"] == 0
    assert found["dormant/never_on_data/b"] == pytest.approx(2 / 3)
    assert np.array_equal(found["dormant/last_on_per_unit/b"], [-1, 2, -1])


def test_the_last_step_is_carried_over_the_run() -> None:
    """Unit 0 is on at steps 0 and 30 only, unit 1 never, unit 2 from step 20 on; at step 25 the pass failed."""
    runs = [(0, [1, 0, 0]), (10, [0, 0, 0]), (20, [0, 0, 1]), (25, None), (30, [1, 0, 1]), (40, [0, 0, 1])]
    past: dict[str, Any] = {}
    seen = []
    for step, states in runs:
        past = values_of(sample_of(layer_of(3), on=None if states is None else [states], step=step, past=past))
        steps = past["dormant/last_on_per_unit/fc"]
        assert isinstance(steps, np.ndarray)
        assert steps.dtype == np.int64
        seen.append(steps.tolist())
    assert seen == [[0, -1, -1], [0, -1, -1], [0, -1, 20], [0, -1, 20], [30, -1, 30], [30, -1, 40]]


def test_without_samples_nothing_is_said() -> None:
    assert values_of(sample_of(layer_of(3))) == {}
    assert values_of(sample_of(layer_of(3), past={"dormant/never_on_data/fc": 0.5})) == {}


def test_units_that_are_not_finite_are_left_out() -> None:
    """Unit 0 is NaN for one sample, unit 1 infinite, unit 2 is never on: of the units that are known, one of two."""
    values = [[np.nan, 1, 0, 1], [2, np.inf, 0, 0]]
    past: dict[str, Value] = {"dormant/last_on_per_unit/fc": np.array([3, -1, 4, -1])}
    found = values_of(sample_of(layer_of(4), values=values, step=9, past=past))
    assert found["dormant/never_on_data/fc"] == 0.5
    assert np.array_equal(found["dormant/last_on_per_unit/fc"], [3, -1, 4, 9])
    none = values_of(sample_of(layer_of(2), values=[[np.nan, np.nan]]))
    assert np.isnan(none["dormant/never_on_data/fc"])
    for op in ("sigmoid", "tanh"):
        assert np.isnan(values_of(sample_of(layer_of(2, op), values=[[np.nan, np.nan]]))["dormant/saturated_data/fc"])


@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_never_on_is_what_a_loop_counts_and_permutes_with_the_units(count: int, units: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    on = rng.random((count, units)) < rng.random(units) ** 4
    order = rng.permutation(units)
    found, permuted = (values_of(sample_of(layer_of(units), on=states, step=6)) for states in (on, on[:, order]))
    never = [not any(on[row, unit] for row in range(count)) for unit in range(units)]
    assert found["dormant/never_on_data/fc"] == permuted["dormant/never_on_data/fc"] == pytest.approx(sum(never) / units)
    steps = np.asarray(found["dormant/last_on_per_unit/fc"])
    assert steps.tolist() == [-1 if idle else 6 for idle in never]
    assert np.array_equal(permuted["dormant/last_on_per_unit/fc"], steps[order])
    twice = values_of(sample_of(layer_of(units), on=np.repeat(on, 2, axis=0), step=6))
    assert twice["dormant/never_on_data/fc"] == found["dormant/never_on_data/fc"]


@pytest.mark.parametrize(("winners", "classes", "expected"), [([0, 2, 2], 3, 1), ([0, 1, 2], 3, 0), ([4, 4], 10, 9), ([0], 2, 1)])
def test_classes_that_win_for_no_sample(winners: list[int], classes: int, expected: int) -> None:
    states = [[1, 0]] * len(winners)
    found = values_of(sample_of(layer_of(2), on=states, winners=winners, classes=classes))
    assert found["dormant/never_predicted_data"] == expected
    assert "dormant/never_predicted_data" not in values_of(sample_of(layer_of(2), on=states, classes=classes))
    assert "dormant/never_predicted_data" not in values_of(sample_of(layer_of(2), on=states, winners=winners))


# ----------------------------------------------------------------------------------------------------------- smooth units


def slope(op: str, z: float) -> float:
    """Return the slope at z, as torch differentiates it."""
    at = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(getattr(torch, op)(at), at)
    return float(found)


@pytest.mark.parametrize(("op", "largest", "edge"), [("sigmoid", 0.25, 5.98), ("tanh", 1.0, 2.99)])
def test_saturated_units(op: str, largest: float, edge: float) -> None:
    """One of two samples of unit 0 on either side is, none of unit 1, all of unit 2: in all 3 of 6, told by the slope itself."""
    z = np.array([[edge + 0.02, 0.0, 40.0], [-(edge - 0.02), 1.0, -edge - 0.02]])
    expected = np.mean([abs(slope(op, float(one))) < 0.01 * largest for one in z.ravel()])
    assert expected == 0.5
    values = getattr(torch, op)(torch.tensor(z)).numpy()
    found = values_of(sample_of(layer_of(3, op), values=values))
    assert found == {"dormant/saturated_data/fc": 0.5}


@pytest.mark.parametrize("op", ["relu", "leaky_relu", "gelu", "logsigmoid", "hardsigmoid", "softplus"])
def test_only_sigmoid_and_tanh_saturate(op: str) -> None:
    assert "dormant/never_on_data/fc" in values_of(sample_of(layer_of(2, op), on=[[1, 0]]))


# ---------------------------------------------------------------------------------------------------- through the recorder


def record(tmp_path: Path, data: Any, *models: nn.Module) -> Any:
    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[dead_on_data], data=data, engine="grid")
    for step, model in enumerate(models):
        recorder.record(model, 10 * step)
    recorder.close()
    return load(tmp_path)


def test_a_unit_may_be_live_on_the_slice_and_off_for_the_data(tmp_path: Path) -> None:
    """Of units x > 0, x > 0.5 and x < 0, data with x of 0.1 to 0.4 turn on the first alone; then the second moves to x > 0.25."""
    first, second = linear_units((1, 0, 0), (1, 0, -0.5), (-1, 0, 0)), linear_units((1, 0, 0), (1, 0, -0.25), (-1, 0, 0))
    data = np.stack([np.linspace(0.1, 0.4, 20), np.zeros(20)], axis=1)
    history = record(tmp_path, data, first, second, first)
    assert [one.metrics["dormant/never_on_data/0"] for one in history] == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    assert [one.per_unit["dormant/last_on_per_unit/0"].tolist() for one in history] == [[0, -1, -1], [10, 10, -1], [20, 10, -1]]


def test_saturation_and_winners_of_a_network(tmp_path: Path) -> None:
    """Units tanh(4 x) and tanh(x): at x = 1 the first alone is saturated, at x = 0 neither; scores 0 and h1 - 2 never let 1 win."""
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[4.0, 0], [1, 0]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[0.0, 0], [1, 0]]))
        model[2].bias.copy_(torch.tensor([0.0, -2]))
    (one,) = record(tmp_path, [[1.0, 0.0], [0.0, 0.0]], model)
    assert one.metrics["dormant/saturated_data/0"] == 0.25
    assert one.metrics["dormant/never_predicted_data"] == 1
