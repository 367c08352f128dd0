"""The nearest crossing from a point: linear borders whose distance is known, and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import linear_units, mlp
from torch import nn

from boundarycb.analysis import nearest, nearest_crossing
from boundarycb.types import Floats


def linear(weights: Floats, bias: float) -> Any:
    """Return scores whose difference is w.x + b, by ReLUs: relu(z) - relu(-z) = z."""
    model: Any = nn.Sequential(nn.Linear(len(weights), 2), nn.ReLU(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(np.stack([weights, -weights])))
        model[0].bias.copy_(torch.tensor([bias, -bias], dtype=torch.float64))
        model[2].weight.copy_(torch.tensor([[0.5, -0.5], [-0.5, 0.5]]))
        model[2].bias.zero_()
    return model


@pytest.mark.parametrize("size", [2, 5, 100])
def test_of_a_linear_border_it_is_the_foot_of_the_perpendicular(size: int) -> None:
    rng = np.random.default_rng(size)
    weights, bias = rng.normal(size=size), 0.3
    points = rng.normal(size=(6, size))
    found = nearest_crossing(linear(weights, bias), points)
    lead = points @ weights + bias
    assert found.distance == pytest.approx(np.abs(lead) / np.linalg.norm(weights), rel=1e-6)
    assert found.inputs == pytest.approx(points - (lead / (weights @ weights))[:, None] * weights, abs=1e-5)
    assert found.before.tolist() == (lead <= 0).astype(int).tolist()
    assert found.after.tolist() == (lead > 0).astype(int).tolist()


@pytest.mark.parametrize("size", [2, 3, 10, 30, 100])
def test_a_linear_border_within_reach_is_found_though_no_axis_meets_it(size: int) -> None:
    """By the gradient from the point itself: a border in the diagonal is farther along each axis, by the root of the size."""
    rng = np.random.default_rng(size)
    weights = np.ones(size) / np.sqrt(size)
    points = rng.normal(size=(5, size))
    lead = points @ weights - 8.0
    found = nearest_crossing(linear(weights, -8.0), points, reach=12.0)
    assert found.distance == pytest.approx(np.abs(lead), rel=1e-6)
    assert np.isnan(nearest_crossing(linear(weights, -8.0), points, reach=0.9 * np.abs(lead).min()).distance).all()


def test_of_several_classes_any_may_be_the_one_that_is_found() -> None:
    """The runner-up runs along with the winner; the third class gains on it, in the diagonal."""
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 3)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, -1.0]]))
        model[2].bias.copy_(torch.tensor([0.0, -1.0, -9.0]))
    found = nearest_crossing(model, [[1.0, 1.0]], reach=5.5)  # x1 + x2 = 9
    assert found.distance == pytest.approx([7 / np.sqrt(2)])
    assert (found.before.tolist(), found.after.tolist()) == ([0], [2])


class Flat(nn.Module):
    """Says class 0 wherever one looks, and cannot be differentiated."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.relu(self.fc(x)) * 0).detach() + torch.tensor([1.0, 0.0])


class Biased(Flat):
    """Says what its bias says, whatever it takes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.relu(self.fc(x))
        return (self.fc.bias * 0 + torch.tensor([1.0, 0.0])).expand(len(x), 2)


class Refuses(Flat):
    """Has an error of its own where it is differentiated."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.requires_grad:
            raise ValueError("not with me")
        return super().forward(x)


@pytest.mark.parametrize("kind", [Flat, Biased])
def test_what_cannot_be_differentiated_is_looked_at_along_rays_alone(kind: type[nn.Module]) -> None:
    assert np.isnan(nearest_crossing(kind(), [[0.3, 0.2], [0.7, 0.1]]).distance).all()


def test_an_error_of_the_models_own_is_no_missing_gradient() -> None:
    with pytest.raises(ValueError, match="not with me"):
        nearest_crossing(Refuses(), [[0.3, 0.2]])


def test_it_is_never_nearer_than_brute_force_and_hardly_farther() -> None:
    model = mlp(2, 16, 16, 4, seed=8).double()
    points = np.random.default_rng(0).uniform(-2, 2, (12, 2))
    found = nearest_crossing(model, points, reach=3)
    angle, radius = np.linspace(0, 2 * np.pi, 721), np.linspace(0, 3, 1501)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for index, point in enumerate(points):
        around = point + radius[:, None, None] * ring
        with torch.no_grad():
            winner = model(torch.from_numpy(around.reshape(-1, 2))).argmax(dim=1).numpy().reshape(1501, 721)
        changed = np.flatnonzero((winner != winner[0, 0]).any(axis=1))
        true = radius[changed[0]] if len(changed) else np.nan
        if np.isnan(true):
            continue
        assert found.distance[index] >= true - 0.0021
        assert found.distance[index] <= 1.5 * true + 0.002


def test_units_are_found_along_axes() -> None:
    model = linear_units((1, 0, -0.5), (0, 1, 0.25))  # zero at x = .5 and at y = -.25
    found = nearest_crossing(model, [[0.0, 0.0], [0.45, 3.0]], of="units", reach=2)
    assert found.distance.tolist() == pytest.approx([0.25, 0.05], abs=1e-6)
    assert found.column.tolist() == [1, 0]
    assert found.inputs.ravel().tolist() == pytest.approx([0, -0.25, 0.5, 3.0], abs=1e-6)
    assert found.after.tolist() == [0, 1]
    assert len(found.units) == 2
    assert repr(found) == "<Nearest: crossings from 2 of 2 points>"


def test_beyond_reach_there_is_none() -> None:
    found = nearest_crossing(linear(np.array([1.0, 0.0]), -5.0), [[0.0, 0.0]], reach=4)
    assert np.isnan(found.distance).all()
    assert np.isnan(found.inputs).all()
    assert found.after.tolist() == [-1]
    assert nearest_crossing(linear(np.array([1.0, 0.0]), -5.0), [[0.0, 0.0]], reach=6).distance[0] == pytest.approx(5.0)


def test_directions_of_ones_own() -> None:
    model = linear_units((1, 0, -0.5))
    found = nearest_crossing(model, [[0.0, 0.0]], of="units", directions=[[3.0, 4.0]], reach=2)
    assert found.distance[0] == pytest.approx(0.5 / 0.6, abs=1e-6)


def test_smooth_networks_too() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2)).double()
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    found = nearest_crossing(model, [[2.0, 0.0]])  # s(x1) = s(x2) where x1 = x2
    assert found.distance[0] == pytest.approx(np.sqrt(2), rel=1e-6)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"reach": 0}, "`reach` must be a length above 0"),
        ({"directions": [[0.0, 0.0]]}, "`directions` must be finite and not zero"),
        ({"directions": [[1.0, 0.0, 0.0]]}, "`directions` must be finite and not zero"),
        ({"of": "both"}, "`of` must be"),
    ],
)
def test_bad_arguments_are_named(more: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nearest_crossing(mlp(2, 4, 2), [[0.0, 0.0]], **more)


def test_points_that_are_looked_at_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mlp(3, 12, 3, seed=4)
    points = np.random.default_rng(1).uniform(-1, 1, (9, 3))
    for of in ("decision", "units"):
        whole = nearest_crossing(model, points, of=of)
        with monkeypatch.context() as patch:
            patch.setattr(nearest, "_NUMBERS", 40)
            parts = nearest_crossing(model, points, of=of)
        assert parts.distance == pytest.approx(whole.distance, rel=1e-9, nan_ok=True)
        assert parts.column.tolist() == whole.column.tolist()
