"""Level lines of units, saturation, and confidence far from data: what smooth units need."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from models import linear_units, mlp
from torch import nn

from boundarycb import find_boundaries, slices
from boundarycb.metrics import confident_far, dormant_units
from boundarycb.sampling import look
from boundarycb.types import Boundaries, Capture, Field, Layer, Sample, Slice

SQUARE = slices.box((-1, 1), (-1, 1))


def units(act: type[nn.Module], *rows: tuple[float, float, float]) -> Any:
    """Return a layer of units ``act(a x + b y + c)``."""
    model = linear_units(*rows)
    model[1] = act()
    return model


# ------------------------------------------------------------------------------------------------------------ level lines


def test_the_units_are_those_that_are_watched_otherwise() -> None:
    model = mlp(2, 6, 6, 2, act=nn.Tanh)
    sizes = [len(layer.kept) for layer in find_boundaries(model, SQUARE, value=0.3, max_all_units=6).layers]
    assert sizes == [len(layer.kept) for layer in find_boundaries(model, SQUARE, engine="grid", max_all_units=6).layers] == [3, 3]
    with pytest.raises(ValueError, match="`units` names 'typo', and the model's layers are '0', '2'"):
        find_boundaries(model, SQUARE, value=0.3, units={"typo": [0]})
    with pytest.raises(ValueError, match="`layers` names 'typo', and the model's layers are '0', '2'"):
        find_boundaries(model, SQUARE, value=0.3, layers=["typo"])


def test_a_sigmoid_at_one_half_is_its_zero() -> None:
    model = units(nn.Sigmoid, (3, 1, 0.2), (1, -2, 0.1))
    at_half, at_zero = find_boundaries(model, SQUARE, value=0.5), find_boundaries(model, SQUARE, engine="grid")
    for unit in range(2):
        one, other = at_half.of("0", unit)[0], at_zero.of("0", unit)[0]
        assert one[[0, -1]] == pytest.approx(other[[0, -1]], abs=1e-4)


@pytest.mark.parametrize(
    ("act", "value", "z"), [(nn.Sigmoid, 0.9, np.log(9)), (nn.Tanh, -0.5, np.arctanh(-0.5)), (nn.ReLU, 0.7, 0.7)]
)
def test_level_lines_lie_where_the_activation_has_the_value(act: type[nn.Module], value: float, z: float) -> None:
    lines = find_boundaries(units(act, (4, 0, 0)), SQUARE, value=value)
    assert not lines.exact
    assert np.abs(lines.points[:, 0] - z / 4).max() < 2e-4
    assert lines.points[0, 1] > lines.points[-1, 1]  # larger values, at larger x, lie on its left


def test_an_activation_that_falls_and_rises_has_two_lines_at_a_value() -> None:
    lines = find_boundaries(units(nn.SiLU, (4, 0, 0)), SQUARE, value=-0.2)  # z s(z) has its least, -0.278, at -1.278
    ends = sorted(round(float(line[0, 0]), 3) for line in lines.of("0", 0))
    silu = [4 * x / (1 + np.exp(-4 * x)) for x in ends]
    assert len(ends) == 2
    assert silu == pytest.approx([-0.2, -0.2], abs=1e-3)


def test_layers_behind_the_first_have_them_too() -> None:
    model = mlp(2, 6, 6, 2, act=nn.Tanh)
    lines = find_boundaries(model, SQUARE, value=0.3, layers=["2"])
    with torch.no_grad():
        values = model[:4](torch.from_numpy(SQUARE.lift(lines.points)).float()).numpy()
    owner = np.repeat(lines.owner, np.diff(lines.offsets))
    assert len(lines)
    assert np.abs(values[np.arange(len(owner)), owner] - 0.3).max() < 2e-3


@pytest.mark.parametrize("more", [{"value": np.nan}, {"value": 0.5, "engine": "exact"}])
def test_a_value_must_be_a_number_and_is_traced_on_the_grid(more: Any) -> None:
    with pytest.raises(ValueError, match="`value` must be a finite number, whose lines the grid engine traces"):
        find_boundaries(units(nn.Sigmoid, (1, 0, 0)), SQUARE, **more)


# ------------------------------------------------------------------------------------------------------------- saturation


def saturation(model: nn.Module) -> dict[str, Any]:
    seen = look(model, SQUARE, resolution=64, trace=True)
    return dict(dormant_units(Sample(seen.capture, seen.boundaries)))


def test_a_sigmoid_is_saturated_beyond_six() -> None:
    # |20 x| > 5.986 for |x| > .2993: 70.07 % of the square; |x| <= 1: nowhere.
    values = saturation(units(nn.Sigmoid, (20, 0, 0), (1, 0, 0)))
    assert values["dormant/saturated_per_unit/0"].tolist() == pytest.approx([0.7007, 0], abs=0.02)
    assert values["dormant/saturated/0"] == pytest.approx(0.35, abs=0.01)


def test_a_tanh_is_saturated_beyond_three() -> None:
    values = saturation(units(nn.Tanh, (10, 0, 0)))
    assert values["dormant/saturated/0"] == pytest.approx(1 - 0.2993, abs=0.02)


def test_the_limits_are_where_the_slope_is_a_hundredth_of_the_largest() -> None:
    from boundarycb.sampling import looking

    z = torch.tensor(looking._SATURATED["sigmoid"], dtype=torch.float64)
    assert float(torch.sigmoid(z) * (1 - torch.sigmoid(z))) == pytest.approx(0.0025, rel=1e-5)
    z = torch.tensor(looking._SATURATED["tanh"], dtype=torch.float64)
    assert float(1 - torch.tanh(z) ** 2) == pytest.approx(0.01, rel=1e-5)


def test_other_activations_have_no_saturation() -> None:
    assert not [name for name in saturation(mlp(2, 4, 2)) if "saturated" in name]


# ------------------------------------------------------------------------------------------------- confidence far from data


def far(field: Field | None, plane: Slice | None, **more: Any) -> dict[str, Any]:
    layer = Layer("fc", "relu", (1,), (0,))
    empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    side = 64
    capture = Capture((layer,), side, np.zeros((1, side * side // 8), np.uint8), field)
    return dict(confident_far(Sample(capture, empty, slice=plane), **more))


def certain(chance: Any = 1.0, kind: Any = "probability") -> Field:
    value = np.broadcast_to(np.asarray(chance), (64, 64)).astype(np.float16)
    return Field(kind, value, np.zeros((64, 64), np.uint16) if kind == "classes" else None, 3 if kind == "classes" else 2)


LEFT = slices.marked(SQUARE, [[x, y] for x in np.linspace(-1, -0.02, 40) for y in np.linspace(-1, 1, 80)])


def test_an_empty_half_with_full_confidence_is_a_half() -> None:
    # Data fill x <= -.02; what is farther than .02 from them is the right half.
    assert far(certain(), LEFT, radius=0.02)["far/confident"] == pytest.approx(0.5, abs=0.02)
    assert far(certain(kind="classes"), LEFT, radius=0.02)["far/confident"] == pytest.approx(0.5, abs=0.02)
    assert far(certain(0.0), LEFT, radius=0.02)["far/confident"] == pytest.approx(0.5, abs=0.02)  # sure of class 0
    assert far(certain(0.5), LEFT, radius=0.02) == {"far/share": pytest.approx(0.5, abs=0.02), "far/confident": 0.0}


def test_where_it_is_sure_only_on_part_of_what_is_far() -> None:
    chance = np.full((64, 64), 0.6)
    chance[:32, 32:] = 1.0  # the lower right quarter
    assert far(certain(chance), LEFT, radius=0.02)["far/confident"] == pytest.approx(0.25, abs=0.02)
    assert far(certain(chance), LEFT, radius=0.02, confidence=0.5)["far/confident"] == pytest.approx(0.5, abs=0.02)


def test_samples_off_the_plane_are_as_far_away_as_they_are() -> None:
    plane = slices.through([0.0, 0, 0], [1, 0, 0], [0, 1, 0])
    near, away = (slices.marked(plane, [[0.5, 0.5, height]]) for height in (0.0, 5.0))
    assert far(certain(), near, radius=4.0)["far/share"] == 0.0
    assert far(certain(), away, radius=4.0)["far/share"] == 1.0


def test_distances_are_those_in_input_space_whatever_the_axes() -> None:
    rng = np.random.default_rng(0)
    plane = Slice(rng.normal(size=5), rng.normal(size=(2, 5)), ((-1, 2), (0, 1)))
    data = rng.normal(size=(30, 5))
    us, vs = (nodes[1:-1] for nodes in plane.nodes(64))
    points = plane.lift(np.stack([grid.ravel() for grid in np.meshgrid(us, vs)], axis=1))
    distance = np.linalg.norm(points[:, None] - data, axis=2).min(axis=1)
    for radius in np.quantile(distance, [0.1, 0.5, 0.9]):
        found = far(certain(), slices.marked(plane, data), radius=float(radius))
        assert found["far/share"] == pytest.approx(float((distance > radius).mean()), abs=1e-3)


def test_nothing_is_said_without_classes_or_samples() -> None:
    assert far(None, LEFT) == {}
    assert far(Field("value", np.ones((64, 64), np.float32)), LEFT) == {}
    assert far(certain(), SQUARE) == {}
    assert far(certain(), None) == {}


def test_what_is_not_finite_is_left_out() -> None:
    chance = np.ones((64, 64))
    chance[:32] = np.nan
    assert far(certain(chance), LEFT, radius=0.02)["far/confident"] == pytest.approx(0.5, abs=0.02)
    assert np.isnan(far(certain(np.nan), LEFT)["far/confident"])


@pytest.mark.parametrize(
    ("more", "words"), [({"confidence": 1.0}, "`confidence`"), ({"radius": -1.0}, "`radius`"), ({"radius": np.nan}, "`radius`")]
)
def test_arguments_out_of_range_are_named(more: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        far(certain(), LEFT, **more)


def test_it_can_be_a_metric_of_a_run() -> None:
    seen = look(mlp(2, 8, 3), LEFT, resolution=32)
    values = partial(confident_far, confidence=0.4)(Sample(seen.capture, seen.boundaries, slice=LEFT))
    assert 0 < values["far/confident"] <= values["far/share"] < 1  # type: ignore[operator]
