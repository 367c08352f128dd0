"""Dormant units, and the lines of the first layer: known answers, and forward passes by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from models import linear_units, mlp
from torch import nn

from boundarycb import metrics, slices
from boundarycb.sampling import look
from boundarycb.types import Boundaries, Capture, Floats, Layer, Sample, Slice

SQUARE = slices.box((-1, 1), (-1, 1))
LAYER = Layer("fc", "relu", (4,), (0, 1, 2, 3))
NEVER, ALWAYS, SOME = [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]


def state(*rows: list[int], strength: Floats | None = None, undefined: tuple[int, ...] = ()) -> Capture:
    return Capture((LAYER,), 2, np.packbits(np.array(rows), axis=1), undefined=np.array(undefined, np.int64), strength=strength)


def values(now: Capture, before: Capture | None = None, past: Any = None, **options: Any) -> dict[str, Any]:
    lines = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), now.layers)
    return dict(metrics.dormant_units(Sample(now, lines, before, before, past=past or {}), **options))


def shares(found: dict[str, Any]) -> list[float]:
    return [found[f"dormant/{name}/fc"] for name in ("never_on", "always_on", "live")]


def test_the_three_classes_of_a_slice() -> None:
    assert shares(values(state(NEVER, NEVER, ALWAYS, SOME))) == [0.5, 0.25, 0.25]
    assert shares(values(state(NEVER, NEVER, ALWAYS, SOME, undefined=(0,)))) == pytest.approx([1 / 3] * 3)
    assert np.isnan(shares(values(state(NEVER, NEVER, ALWAYS, SOME, undefined=(0, 1, 2, 3))))).all()


@pytest.mark.parametrize(("tau", "expected"), [(0, 0.25), (0.025, 0.25), (0.1, 0.5)])
def test_tau_dormancy(tau: float, expected: float) -> None:
    found = values(state(*[SOME] * 4, strength=np.array([0, 0.1, 1, 2.9])), tau=tau)
    assert found["dormant/score_per_unit/fc"] == pytest.approx([0, 0.1, 1, 2.9])
    assert found["dormant/tau/fc"] == expected


def test_in_a_layer_of_zeros_all_are_dormant() -> None:
    assert values(state(*[NEVER] * 4, strength=np.zeros(4)), tau=0)["dormant/tau/fc"] == 1


def test_a_negative_tau_is_refused_and_a_partial_keeps_its_needs(tmp_path: Any) -> None:
    from boundarycb import Recorder, load

    with pytest.raises(ValueError, match="`tau` must be 0 or more, got -1"):
        values(state(*[SOME] * 4), tau=-1)
    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[partial(metrics.dormant_units, tau=10)])
    recorder.record(mlp(2, 4, 1), 0)
    recorder.close()
    assert load(tmp_path)[0].metrics["dormant/tau/0"] == 1


def test_what_comes_back_is_counted_once_each_time() -> None:
    on, off = state(SOME, SOME, NEVER, SOME), state(SOME, NEVER, NEVER, SOME)
    past: dict[str, Any] = {}
    seen, before = [], None
    for now in (on, off, off, on, off, on, on):
        past = values(now, before, past)
        seen.append(past["dormant/revivals/fc"])
        before = now
    assert seen == [0, 0, 0, 1, 1, 2, 2]
    assert past["dormant/revivals_per_unit/fc"].tolist() == [0, 2, 0, 0]


def test_a_unit_that_was_undefined_has_not_come_back() -> None:
    off, on = state(NEVER, NEVER, NEVER, NEVER, undefined=(0,)), state(SOME, SOME, NEVER, NEVER)
    assert values(on, off)["dormant/revivals_per_unit/fc"].tolist() == [0, 1, 0, 0]


# ---------------------------------------------------------------------------------------------------- what the probe measures


def test_strength_is_the_mean_absolute_activation() -> None:
    """relu(x) on [-1, 1] has the mean 1/4, relu(x + 1) the mean 1, relu(-2) none."""
    seen = look(linear_units((1, 0, 0), (1, 0, 1), (0, 0, -2)), SQUARE, resolution=64, trace=True)
    assert seen.capture.strength == pytest.approx([0.25, 1, 0], abs=1e-6)
    leaky = nn.Sequential(linear_units((1, 0, 0))[0], nn.LeakyReLU(0.5))
    assert look(leaky, SQUARE, resolution=64, trace=True).capture.strength == pytest.approx([0.375], abs=1e-6)


def test_strength_of_a_convolution_is_that_of_its_channel() -> None:
    """Channel 0 reads x at two places and y at one, with weight 1; channel 1 reads them with weight 2."""

    class Image(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, (1, 1), bias=False)
            with torch.no_grad():
                self.conv.weight.copy_(torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z: torch.Tensor = self.conv(torch.cat([x, x[:, :1]], dim=1).reshape(-1, 1, 1, 3))
            return z.relu()

    plane = slices.box((-1, 1), (1, 3))  # y is always on, with the mean 2
    seen = look(Image(), plane, resolution=64, trace=True)
    assert seen.capture.strength == pytest.approx([(0.25 + 2 + 0.25) / 3] * 3 + [2 * (0.25 + 2 + 0.25) / 3] * 3, abs=1e-6)


def test_the_activation_counts_also_where_it_is_written_in_place() -> None:
    layer = linear_units((1, 0, 0))[0]
    apart, in_place = nn.Sequential(layer, nn.ReLU()), nn.Sequential(layer, nn.ReLU(inplace=True), nn.Linear(1, 1), nn.Tanh())
    for model in (apart, in_place):
        assert look(model, SQUARE, resolution=32, trace=True).capture.strength[0] == pytest.approx(0.25, abs=1e-6)  # type: ignore[index]


# ------------------------------------------------------------------------------------------------------------------- lines


def motion(old: nn.Module, new: nn.Module, plane: Slice = SQUARE) -> dict[str, Any]:
    before, now = (look(model, plane, resolution=32, trace=True) for model in (old, new))
    return dict(metrics.line_motion(Sample(now.capture, now.boundaries, before.capture, before.capture, slice=plane)))


@pytest.mark.parametrize(
    ("old", "new", "turn", "slide"),
    [
        ((1, 0, 0), (0, 2, -1), 90, -0.5),
        ((0, 1, 0), (1, 0, 0), -90, 0),
        ((1, 0, 0.3), (5, 0, 1.5), 0, 0),
        ((1, 0, 0), (-1, 0, 0), 180, 0),  # the sides have swapped
        ((3, 4, 0), (3, 4, 2.5), 0, 0.5),
    ],
)
def test_turn_and_slide(old: Any, new: Any, turn: float, slide: float) -> None:
    found = motion(linear_units(old), linear_units(new))
    assert abs(found["line/turn_per_unit/0"][0]) == pytest.approx(abs(turn), abs=1e-3)
    assert np.sign(found["line/turn_per_unit/0"][0].round(3)) in (np.sign(turn), -1 if abs(turn) == 180 else np.sign(turn))
    assert found["line/slide_per_unit/0"] == pytest.approx([slide], abs=1e-5)
    assert found["line/turn/0"] == pytest.approx(abs(turn), abs=1e-3)
    assert found["line/slide/0"] == pytest.approx(abs(slide), abs=1e-5)


def test_turning_about_a_far_origin_is_no_shift() -> None:
    plane = slices.box((9, 11), (9, 11))
    found = motion(linear_units((1, 0, -10)), linear_units((0, 1, -10)), plane)
    assert found["line/turn_per_unit/0"] == pytest.approx([90], abs=1e-2)
    assert found["line/slide_per_unit/0"] == pytest.approx([0], abs=1e-4)


def test_lengths_are_those_of_the_input_whatever_the_slices_axes() -> None:
    """The same plane with axes that are neither of length one nor at right angles."""
    plane = Slice(np.zeros(2), np.array([[2.0, 0.0], [1.0, 1.0]]), ((-0.5, 0.5), (-0.5, 0.5)))
    old, new = linear_units((1, 0, 0.1)), linear_units((1, 1, 0.4))
    found = motion(old, new, plane)
    assert found["line/turn_per_unit/0"] == pytest.approx([45], abs=1e-3)
    assert found["line/slide_per_unit/0"] == pytest.approx([0.4 / 2**0.5 - 0.1], abs=1e-5)


@pytest.mark.parametrize(("side", "names"), [(4.0, 6), (4.1, 0)])
def test_on_a_slice_that_is_not_drawn_to_scale_no_line_turns(side: float, names: int) -> None:
    """One over four times as long as wide is drawn as a square, in which an angle means nothing."""
    found = motion(linear_units((1, 0, -1)), linear_units((1, 1, -1)), slices.box((0, side), (0, 1)))
    assert len(found) == names
    assert found.get("line/turn/0", 45) == pytest.approx(45, abs=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_turns_are_counted_from_the_first_axis_to_the_second(seed: int) -> None:
    """In any slice, by Gram and Schmidt."""
    rng = np.random.default_rng(seed)
    axes = rng.normal(size=(2, 4))
    first = axes[0] / np.linalg.norm(axes[0])
    second = axes[1] - (axes[1] @ first) * first
    second /= np.linalg.norm(second)
    nets = []
    for angle in (0.3, 1.0):
        layer = nn.Linear(4, 1)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.cos(angle) * first + np.sin(angle) * second)[None])
            layer.bias.zero_()
        nets.append(nn.Sequential(layer, nn.ReLU()))
    found = motion(nets[0], nets[1], Slice(np.zeros(4), axes, ((-1, 1), (-1, 1))))
    assert found["line/turn_per_unit/0"] == pytest.approx([np.degrees(0.7)], abs=1e-3)


def test_a_slice_of_many_dimensions_has_the_lines_that_the_picture_shows() -> None:
    layer = nn.Linear(5, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0, 9, 9, 9]]))
        layer.bias.zero_()
    other = nn.Linear(5, 1)
    with torch.no_grad():
        other.weight.copy_(torch.tensor([[0.0, 1, -9, 4, 0]]))
        other.bias.fill_(0.25)
    plane = Slice(np.zeros(5), np.eye(5)[:2], ((-1, 1), (-1, 1)))
    found = motion(nn.Sequential(layer, nn.ReLU()), nn.Sequential(other, nn.ReLU()), plane)
    assert found["line/turn_per_unit/0"] == pytest.approx([90], abs=1e-3)
    assert found["line/slide_per_unit/0"] == pytest.approx([0.25], abs=1e-5)


def test_only_the_first_layers_lines_are_straight() -> None:
    found = motion(mlp(2, 6, 6, 1), mlp(2, 6, 6, 1, seed=1))
    assert "line/turn/0" in found
    assert not [name for name in found if name.endswith("/2")]


def test_units_without_a_line_have_no_motion() -> None:
    found = motion(linear_units((0, 0, 1), (1, 0, 0)), linear_units((1, 0, 0), (1, 1, 0)))
    assert np.isnan(found["line/turn_per_unit/0"][0])
    assert np.isfinite(found["line/turn_per_unit/0"][1])
    assert found["line/turn/0"] == pytest.approx(45, abs=1e-3)


def test_what_bends_before_the_first_activation_is_no_line() -> None:
    class Bent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.fc(x.square()))

    assert motion(Bent(), Bent()) == {}


def test_a_line_that_leaves_the_slice_does_not_rule_the_layers_slide() -> None:
    """Four lines slide by 0.1; the fifth, whose unit is nearly flat, goes nine lengths away."""
    before = linear_units(*[(1, 0, 0.1 * k) for k in range(4)], (0.1, 0, 0))
    after = linear_units(*[(1, 0, 0.1 * k + 0.1) for k in range(4)], (0.1, 0, 0.9))
    found = motion(before, after)
    assert found["line/slide_per_unit/0"] == pytest.approx([0.1, 0.1, 0.1, 0.1, 9], abs=1e-4)
    assert found["line/slide/0"] == pytest.approx(0.1, abs=1e-5)
    assert found["line/turn/0"] == pytest.approx(0, abs=1e-4)


def test_an_undefined_units_strength_does_not_make_the_others_dormant() -> None:
    """tau-dormancy is measured by the layer's mean, which one infinite activation would make infinite."""
    found = values(state(SOME, SOME, SOME, SOME, undefined=(3,), strength=np.array([1.0, 1.0, 1.0, np.inf])))
    assert found["dormant/tau/fc"] == 0
    assert found["dormant/score_per_unit/fc"][:3].tolist() == [1, 1, 1]


def test_an_undefined_unit_is_not_saturated() -> None:
    now = replace(state(SOME, SOME, SOME, SOME, undefined=(2, 3)), saturated=np.array([0.0, 0.5, 1.0, 1.0]))
    assert values(now)["dormant/saturated/fc"] == 0.25


def test_turned_is_told_from_the_first_sample_and_turn_from_the_last() -> None:
    layer = Layer("fc", "relu", (1,), (0,))
    first, before, now = (
        Capture((layer,), 2, np.zeros((1, 1), np.uint8), planes=np.array([plane]))
        for plane in ([1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 2.0, -1.0])
    )
    lines = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    found = metrics.line_motion(Sample(now, lines, before, first))
    assert np.asarray(found["line/turned_per_unit/fc"]).tolist() == pytest.approx([90.0])
    assert np.asarray(found["line/turn_per_unit/fc"]).tolist() == pytest.approx([45.0])
