"""Crossings along rays: against the exact engine, the closed form, dense sampling, and what can be worked by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from models import linear_units, mlp
from test_exact import degenerate_classes
from test_rational import forward
from torch import nn

from boundarycb import find_boundaries, slices
from boundarycb.analysis import Crossings, crossings, find_crossings, nearest_crossing, pieces, sigmoid_boundary
from boundarycb.analysis import sampled as sampled_module
from boundarycb.types import Boundaries, Floats, Slice


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network is taken for one that is not piecewise linear."""
    monkeypatch.setattr(crossings, "is_smooth", lambda reading: True)


def ends(count: int, shape: tuple[int, ...] = (2,), seed: int = 0, size: float = 1.0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-size, size, (count, *shape)), rng.uniform(-size, size, (count, *shape))


def met(lines: Boundaries, start: Floats, stop: Floats) -> list[tuple[int, float]]:
    """Return the owner of each line that the way from `start` to `stop` on the slice meets, and where on it, by a loop."""
    found = []
    way = stop - start
    for index in range(len(lines)):
        line = lines.line(index)
        for a, b in pairwise(line):
            matrix = np.array([way, a - b]).T
            if abs(np.linalg.det(matrix)) > 1e-14:
                share, other = np.linalg.solve(matrix, a - start)
                if 0 < share < 1 and 0 <= other < 1:
                    found.append((int(lines.owner[index]), float(share)))
    return sorted(found)


def on_plane(plane: Slice, count: int, seed: int) -> tuple[Floats, Floats]:
    (u0, u1), (v0, v1) = plane.bounds
    rng = np.random.default_rng(seed)
    low, high = np.array([u0, v0]), np.array([u1, v1])
    return rng.uniform(low, high, (count, 2)), rng.uniform(low, high, (count, 2))


PLANE_8 = slices.through(*np.random.default_rng(3).normal(size=(3, 8)))
IMAGES = slices.through(*np.random.default_rng(4).normal(size=(3, 1, 6, 6)))
CASES = {
    "three layers": (mlp(2, 16, 16, 16, 3), slices.box((-1, 1), (-1, 1))),
    "deep": (mlp(2, 6, 6, 6, 6, 6, 6, 2, seed=1), slices.box((-1, 1), (-1, 1))),
    "eight inputs": (mlp(8, 20, 20, 2, seed=2), PLANE_8),
    "leaky": (mlp(2, 12, 12, 2, seed=3, act=nn.LeakyReLU), slices.box((-1, 1), (-1, 1))),
    "relu6": (mlp(2, 12, 12, 2, seed=4, act=nn.ReLU6), slices.box((-9, 9), (-9, 9))),
    "hardtanh": (mlp(2, 12, 12, 2, seed=4, act=nn.Hardtanh), slices.box((-3, 3), (-3, 3))),
    "residual": (zoo.ResNet(), IMAGES),
}


@pytest.mark.parametrize("name", CASES)
def test_they_are_those_of_the_exact_engine(name: str) -> None:
    torch.manual_seed(0)
    model, plane = CASES[name]
    lines = find_boundaries(model, plane, engine="exact", max_vertices=1_000_000, max_units=None)
    assert lines.exact
    start, stop = on_plane(plane, 12, seed=5)
    found = find_crossings(model, plane.lift(start), plane.lift(stop), max_units=None)
    assert found.exact
    total = 0
    for ray in range(len(start)):
        mine = sorted(zip(found.column[found.ray == ray].tolist(), found.place[found.ray == ray].tolist(), strict=True))
        theirs = met(lines, start[ray], stop[ray])
        assert [owner for owner, _ in mine] == [owner for owner, _ in theirs]
        # to 1e-6 of the width, as a share of the ray
        assert np.allclose([place for _, place in mine], [place for _, place in theirs], atol=1e-6)
        total += len(mine)
    assert total > 20


def test_states_on_either_side_are_those_of_the_unit() -> None:
    model = mlp(2, 16, 16, 2)
    found = find_crossings(model, *ends(20))
    hidden = model.double()[:1]
    with torch.no_grad():
        for side, share in ((found.before, -1e-6), (found.after, 1e-6)):
            mine = found.column < 16
            inputs = found.rays.at(found.ray[mine], found.place[mine] + share)
            z = hidden(torch.from_numpy(inputs)).numpy()
            assert ((z[np.arange(len(z)), found.column[mine]] > 0) == side[mine]).all()
    assert (found.before + found.after == 1).all()


def test_one_crossing_by_hand() -> None:
    model = linear_units((1, 0, -0.3))  # on where x > .3
    found = find_crossings(model, [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]], [[1.0, 5.0], [0.0, 0.0], [1.0, 0.0]])
    assert found.ray.tolist() == [0, 1]
    assert found.place.tolist() == pytest.approx([0.3, 0.7], abs=1e-7)  # weights are of single precision
    assert found.after.tolist() == [1, 0]
    assert found.inputs[0].tolist() == pytest.approx([0.3, 1.5], abs=1e-6)
    assert found.distances.tolist() == pytest.approx([0.3 * np.sqrt(26), 0.7], abs=1e-6)
    assert found.first().tolist() == [0, 1, -1]
    assert [unit.layer for unit in found.units] == ["0"]
    assert repr(found) == "<Crossings: 2 on 3 rays, all of them>"


@pytest.mark.parametrize("how", ["exact", "sampled"])
def test_decisions_are_where_the_winner_changes(how: str, request: pytest.FixtureRequest) -> None:
    if how == "sampled":
        request.getfixturevalue("sampled")
    model = mlp(2, 16, 16, 6, seed=8)
    start, stop = ends(20, seed=2, size=3.0)
    found = find_crossings(model, start, stop, of="decision", parts=1024)
    assert found.exact == (how == "exact")
    assert (found.column == -1).all()
    share = np.linspace(0, 1, 20_001)
    with torch.no_grad():
        model.double()
        for ray in range(20):
            points = start[ray] + share[:, None] * (stop[ray] - start[ray])
            winner = model(torch.from_numpy(points)).argmax(dim=1).numpy()
            changes = np.flatnonzero(np.diff(winner))
            mine = found.ray == ray
            assert np.allclose(found.place[mine], share[changes] + 2.5e-5, atol=2.6e-5)
            assert found.before[mine].tolist() == winner[changes].tolist()
            assert found.after[mine].tolist() == winner[changes + 1].tolist()
    assert len(found) > 15


def three_in_a_row() -> Any:
    """Return scores 0, x - .4 and 3 (x - .6): the second wins from .4 on, the third from .7 on."""
    model: Any = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 3))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[0.0], [1.0], [3.0]]))
        model[2].bias.copy_(torch.tensor([0.0, -0.4, -1.8]))
    return model


def test_two_borders_between_two_kinks_are_both_found() -> None:
    found = find_crossings(three_in_a_row(), [[0.0, 0.0]], [[1.0, 0.0]], of="decision")
    assert found.exact
    assert found.place.tolist() == pytest.approx([0.4, 0.7], abs=1e-6)
    assert list(zip(found.before.tolist(), found.after.tolist(), strict=True)) == [(0, 1), (1, 2)]


def test_a_class_that_wins_between_two_samples_is_found_on_the_way(sampled: None) -> None:
    found = find_crossings(three_in_a_row(), [[0.0, 0.0]], [[1.0, 0.0]], of="decision", parts=2)
    assert not found.exact
    assert found.place.tolist() == pytest.approx([0.4, 0.7], abs=1e-6)
    assert found.after.tolist() == [1, 2]


def test_smooth_networks_cross_where_the_closed_form_is_zero() -> None:
    torch.manual_seed(3)
    compared = 0
    for _ in range(10):
        model: Any = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 2), nn.Sigmoid())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(8)
        border = sigmoid_boundary(model[0], model[2])
        start, stop = ends(40, seed=1, size=2.0)
        found = find_crossings(model, start, stop, of="decision")
        assert not found.exact
        assert np.abs(border.lead(found.inputs)).max(initial=0) < 1e-7
        share = np.linspace(0, 1, 257)
        signs = np.array(
            [np.count_nonzero(np.diff(border.lead(a + share[:, None] * (b - a)) > 0)) for a, b in zip(start, stop, strict=True)]
        )
        assert np.bincount(found.ray, minlength=40).tolist() == signs.tolist()
        compared += len(found)
    assert compared > 20


def test_sampled_units_agree_with_exact_ones(sampled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    model = mlp(2, 10, 10, 2, seed=5)
    start, stop = ends(20, seed=3)
    slow = find_crossings(model, start, stop, parts=2000)
    monkeypatch.undo()
    exact = find_crossings(model, start, stop)
    assert not slow.exact
    assert exact.exact
    assert slow.column.tolist() == exact.column.tolist()
    assert np.abs(slow.place - exact.place).max() < 1e-9


class Bump(nn.Module):
    """A second layer's unit that is on for a short way alone: s(20 x - 8) - s(20 x - 10) > .45 for .4316 < x < .4684."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[20.0, 0.0], [20.0, 0.0]]))
            self.first.bias.copy_(torch.tensor([-20 * 0.4, -20 * 0.5]))
            self.second.weight.copy_(torch.tensor([[1.0, -1.0]]))
            self.second.bias.fill_(-0.45)

    def forward(self, x: torch.Tensor) -> Any:
        return torch.tanh(self.second(torch.sigmoid(self.first(x))))


def test_a_unit_that_comes_and_goes_between_two_samples_is_found_by_its_dip() -> None:
    few = find_crossings(Bump(), [[0.0, 0.0]], [[1.0, 0.0]], parts=10, layers=["second"])
    many = find_crossings(Bump(), [[0.0, 0.0]], [[1.0, 0.0]], parts=4000, layers=["second"])
    assert len(many) == 2
    assert 0.4 < many.place[0] < many.place[1] < 0.5  # both between the samples at .4 and .5
    assert few.place.tolist() == pytest.approx(many.place.tolist(), abs=2e-9)
    assert few.after.tolist() == [1, 0]


@pytest.mark.logs_warnings
def test_what_bends_elsewhere_is_sampled_instead(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(1)
    model = zoo.Cnn().eval()  # max-pooling bends where no unit is zero
    start, stop = ends(4, (1, 6, 6), size=2.0)
    found = find_crossings(model, start, stop, of="decision", parts=64)
    assert not found.exact
    assert "Crossings are those that samples show, since" in caplog.text
    caplog.clear()
    units = find_crossings(model, start, stop)  # behind the pooling there is no unit
    assert units.exact
    assert not caplog.text


@pytest.mark.logs_warnings
def test_a_model_that_does_not_run_in_double_precision_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2, act=nn.Tanh)

        def forward(self, x: torch.Tensor) -> Any:
            if x.dtype != torch.float32:
                raise TypeError("single precision only")
            return self.net(x)

    found = find_crossings(Single(), *ends(6))
    assert len(found)
    assert "Crossings are found in the model's own precision, since it does not run in double" in caplog.text


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000), widths=st.lists(st.integers(1, 8), min_size=1, max_size=3), scale=st.sampled_from([1e-3, 1.0, 1e3])
)
def test_any_small_network_and_its_reverse(seed: int, widths: list[int], scale: float) -> None:
    model = mlp(2, *widths, 2, seed=seed)
    with torch.no_grad():
        model[0].weight.mul_(1 / scale)
    start, stop = ends(3, seed=seed, size=scale)
    there, back = find_crossings(model, start, stop), find_crossings(model, stop, start)
    assert there.exact
    assert len(there) == len(back)
    for ray in range(3):
        one, other = there.ray == ray, back.ray == ray
        assert np.allclose(there.place[one], 1 - back.place[other][::-1], atol=1e-9)
        assert sorted(there.column[one]) == sorted(back.column[other])


def test_rays_may_be_looked_at_together_or_alone() -> None:
    model = mlp(2, 12, 12, 3, seed=6)
    start, stop = ends(9, seed=7)
    for of in ("units", "decision"):
        together = find_crossings(model, start, stop, of=of)
        for ray in range(9):
            alone = find_crossings(model, start[ray : ray + 1], stop[ray : ray + 1], of=of)
            mine = together.ray == ray
            assert np.allclose(alone.place, together.place[mine], atol=1e-12)
            assert alone.column.tolist() == together.column[mine].tolist()


def test_units_may_be_chosen() -> None:
    model = mlp(2, 12, 12, 3, seed=6)
    start, stop = ends(9, seed=7)
    every = find_crossings(model, start, stop)
    some = find_crossings(model, start, stop, layers=["2"], units={"2": [3, 7]})
    wanted = [12 + 3, 12 + 7]
    assert [(unit.layer, unit.index) for unit in some.units] == [("2", 3), ("2", 7)]
    assert some.place.tolist() == every.place[np.isin(every.column, wanted)].tolist()
    assert len(some)


def test_a_ray_that_does_not_move_crosses_nothing() -> None:
    model = mlp(2, 12, 12, 3, seed=6)
    point = np.array([[0.1, 0.2]])
    assert not len(find_crossings(model, point, point))
    assert not len(find_crossings(model, point, point, of="decision"))


def test_a_ray_along_a_boundary_crosses_it_nowhere() -> None:
    """The unit is zero there but for rounding, which has either sign."""
    rng = np.random.default_rng(0)
    model = mlp(3, 8, 8, 2).double()
    weight, bias = model[0].weight[0].detach().numpy(), float(model[0].bias[0].detach())
    foot = -bias * weight / (weight @ weight)
    for _ in range(40):
        way = rng.normal(size=3)
        way -= way @ weight / (weight @ weight) * weight
        found = find_crossings(model, (foot - way)[None], (foot + way)[None])
        assert not (found.column == 0).any()


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    find_crossings(model, *ends(5))
    find_crossings(model, *ends(5), of="decision")
    assert torch.equal(torch.rand(3), expected)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.dtype == torch.float32 for parameter in model.parameters())


def test_arrays_of_the_result_cannot_be_written() -> None:
    found: Crossings = find_crossings(mlp(2, 4, 2), *ends(2))
    with pytest.raises(ValueError, match="read-only"):
        found.place[:] = 0


@pytest.mark.parametrize(
    ("start", "stop", "more", "words"),
    [
        (np.zeros(2), np.zeros(2), {}, r"`start` must be a batch of inputs .* got \(2,\)"),
        (np.zeros((1, 2)), np.zeros((2, 2)), {}, "`start` and `stop` must have one shape"),
        (np.zeros((1, 2)), np.full((1, 2), np.nan), {}, "`stop` must be a batch of inputs of two or more finite numbers"),
        (np.zeros((0, 2)), np.zeros((0, 2)), {}, "`start` must be a batch"),
        (np.zeros((1, 2)), np.ones((1, 2)), {"of": "layers"}, '`of` must be "units" or "decision"'),
        (np.zeros((1, 2)), np.ones((1, 2)), {"parts": 1}, "`parts` must be a whole number, 2 or more"),
        (np.zeros((1, 2)), np.ones((1, 2)), {"tolerance": 0}, "`tolerance` must be a share"),
    ],
)
def test_bad_arguments_are_named(start: Any, stop: Any, more: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_crossings(mlp(2, 4, 2), start, stop, **more)


def test_a_decision_needs_classes() -> None:
    with pytest.raises(ValueError, match='`of` can be "decision" only where the output has two or more classes'):
        find_crossings(mlp(2, 4, 1), *ends(1), of="decision")


def test_a_linear_classifier_has_no_unit_but_a_border() -> None:
    model: Any = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.eye(2))
        model.bias.zero_()
    found = find_crossings(model, [[1.0, 0.25]], [[0.0, 0.25]], of="decision")
    assert found.place.tolist() == pytest.approx([0.75])
    assert (found.before.tolist(), found.after.tolist()) == ([0], [1])
    assert nearest_crossing(model, [[2.0, 0.0]]).distance.tolist() == pytest.approx([np.sqrt(2)], rel=1e-6)
    with pytest.raises(ValueError, match="activation"):
        find_crossings(model, [[1.0, 0.25]], [[0.0, 0.25]])


# ------------------------------------------------------------------------------------------------ what a review broke it with


def no_bias(*widths: int, seed: int = 0) -> Any:
    model = mlp(*widths, seed=seed)
    with torch.no_grad():
        for layer in model[::2]:
            layer.bias.zero_()
    return model


@pytest.mark.parametrize("seed", range(6))
def test_where_all_units_are_off_classes_tie_and_the_first_wins(seed: int) -> None:
    """Without biases all scores are zero where no unit is on: at the origin of any network, and beyond it in narrow ones."""
    for model, start, stop in (
        (no_bias(784, 32, 10, seed=seed), np.random.default_rng(seed).uniform(0, 1, (3, 784)), np.zeros((3, 784))),
        (no_bias(2, 2, 3, seed=seed), *ends(40, seed=seed)),
    ):
        found = find_crossings(model, start, stop, of="decision")
        assert found.exact
        assert (found.before != found.after).all()
        with torch.no_grad():
            for side, share in ((found.before, -1e-5), (found.after, 1e-5)):
                place = found.place + share
                scores = model.double()(torch.from_numpy(found.rays.at(found.ray, place))).numpy()
                inside = (place > 0) & (place < 1)
                # What wins there is ahead of all others, or the first of those that tie.
                ahead = scores[np.arange(len(scores)), side] >= scores.max(axis=1) - 1e-9 * np.abs(scores).max(initial=1.0)
                assert ahead[inside].all()


def test_three_classes_that_meet_at_the_end_of_a_piece() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 3))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
        model[2].weight.copy_(torch.tensor([[2.0], [1.0], [3.0]]))
        for layer in (model[0], model[2]):
            layer.bias.zero_()
    found = find_crossings(model, [[1.0, 0.0]], [[-1.0, 0.0]], of="decision")
    assert found.place.tolist() == pytest.approx([0.5])
    assert (found.before.tolist(), found.after.tolist()) == ([2], [0])


def test_no_crossing_is_nearer_than_there_is_one() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        for layer in (model[0], model[2]):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    together = nearest_crossing(model, [[2.0, 1.0], [-1.0, -1.0]])
    assert together.distance.tolist() == pytest.approx([np.sqrt(0.5), 1.0], rel=1e-6)


def test_small_units_beside_large_ones_are_units() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [1e-16, 0.0]], dtype=torch.float64))
        model[0].bias.copy_(torch.tensor([-0.5, -3e-17], dtype=torch.float64))
    found = find_crossings(model, [[0.0, 0.0]], [[1.0, 0.0]])
    assert sorted(zip(found.column.tolist(), found.place.tolist(), strict=True)) == [(0, 0.5), (1, pytest.approx(0.3))]


@pytest.mark.logs_warnings
def test_rays_of_very_different_lengths_do_not_disturb_each_other() -> None:
    model = linear_units((1, 0, 0))
    assert len(find_crossings(model, [[-1.0, 0], [-1e14, 0]], [[1.0, 0], [1e14, 0]])) == 2

    class Wave(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(torch.cat([1e9 * torch.relu(x[:, 1:]) + torch.sin(5 * x[:, :1]), torch.relu(x[:, :1])], 1))

    alone = find_crossings(Wave(), [[0.1, 0]], [[2.0, 0]])
    beside = find_crossings(Wave(), [[0.1, 0], [0.1, 1]], [[2.0, 0], [0.1, 9e3]])
    assert not alone.exact
    assert not beside.exact
    assert beside.place[beside.ray == 0].tolist() == pytest.approx(alone.place.tolist(), abs=1e-8)
    assert len(alone) == 3


@pytest.mark.logs_warnings
@pytest.mark.parametrize("width", [0.05, 0.03, 0.01])
def test_a_bump_that_no_unit_makes_is_not_overlooked(width: float) -> None:
    class Radial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.after = nn.Linear(1, 1)
            with torch.no_grad():
                self.after.weight.fill_(1.0)
                self.after.bias.fill_(-0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            near = torch.exp(-((x - torch.tensor([0.7, 0.0])) ** 2).sum(1, keepdim=True) / (2 * width**2))
            return torch.cat([torch.relu(self.after(near)), 0 * near + 0.1], dim=1)

    half = width * np.sqrt(2 * np.log(2))
    for of in ("units", "decision"):
        found = find_crossings(Radial(), [[0.0, 0.0]], [[1.0, 0.0]], of=of)
        assert not found.exact
        assert len(found) == 2
    units = find_crossings(Radial(), [[0.0, 0.0]], [[1.0, 0.0]])
    assert units.place.tolist() == pytest.approx([0.7 - half, 0.7 + half], abs=1e-8)


def test_a_class_that_wins_for_less_than_a_sample_is_found_by_its_lead() -> None:
    class Scores(Bump):
        def forward(self, x: torch.Tensor) -> Any:
            bump = super().forward(x)
            return torch.cat([torch.zeros_like(bump), bump], dim=1)

    few = find_crossings(Scores(), [[0.0, 0.0]], [[1.0, 0.0]], of="decision", parts=10)
    assert few.place.tolist() == pytest.approx([0.4316, 0.4684], abs=2e-4)
    assert few.after.tolist() == [1, 0]


@pytest.mark.parametrize("how", ["exact", "sampled"])
def test_rays_that_are_looked_at_part_by_part(how: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "sampled":
        request.getfixturevalue("sampled")
    model = mlp(2, 8, 8, 3, seed=2)
    start, stop = ends(7, seed=9)
    for of in ("units", "decision"):
        whole = find_crossings(model, start, stop, of=of)
        with monkeypatch.context() as patch:
            patch.setattr(pieces, "_VALUES", 1)
            patch.setattr(sampled_module, "_VALUES", 1)
            parts = find_crossings(model, start, stop, of=of)
        assert parts.ray.tolist() == whole.ray.tolist()
        assert np.allclose(parts.place, whole.place, atol=1e-9)
        assert len(whole)


@pytest.mark.logs_warnings
def test_values_that_are_not_finite_are_no_crossings() -> None:
    class Holes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = linear_units((1, 0, -0.25))

        def forward(self, x: torch.Tensor) -> Any:
            return self.net(torch.where((x > 0.5) & (x < 0.75), torch.nan, x))

    found = find_crossings(Holes(), [[0.0, 0.0]], [[1.0, 0.0]])
    assert not found.exact
    assert found.place.tolist() == pytest.approx([0.25], abs=1e-6)


@pytest.mark.parametrize(
    ("start", "more", "words"),
    [
        ("here", {}, "`start` must be a batch of inputs"),
        ([[0.0, 0.0, 0.0]], {}, r"The model cannot take inputs of shape \(3,\)"),
        ([[0.0, 0.0]], {"tolerance": "fine"}, "`tolerance` must be a share"),
    ],
)
def test_what_cannot_be_taken_is_said(start: Any, more: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        find_crossings(mlp(2, 4, 2), start, start, **more)


@pytest.mark.parametrize("last_digit", [0.0, 4e-16, -4e-16])
def test_of_equal_classes_the_first_is_named(last_digit: float) -> None:
    """The third class is a copy of the second, but for the last digit of its weights."""
    count = 0
    for seed in range(20):
        model = mlp(2, 8, 4, seed=seed).double()
        with torch.no_grad():
            model[2].weight[2] = model[2].weight[1] * (1 + last_digit)
            model[2].bias[2] = model[2].bias[1]
        start = np.random.default_rng(seed).normal(size=(20, 2))
        found = find_crossings(model, start, -start, of="decision")
        assert found.exact
        assert not {2} & {*found.before.tolist(), *found.after.tolist()}
        nearest = nearest_crossing(model, start)
        assert not {2} & {*nearest.before.tolist(), *nearest.after.tolist()}
        count += int(((found.before == 1) | (found.after == 1)).sum())
    assert count > 20


def test_classes_between_crossings_are_those_of_rational_arithmetic() -> None:
    """On networks of whole numbers, whose classes tie on regions, along lines and at points, and on rays through many of these."""
    rng = np.random.default_rng(0)
    shares = [Fraction(k, 64) + Fraction(1, 4999) for k in range(64)]
    for seed in range(40):
        network = degenerate_classes(seed)
        start, stop = (rng.integers(-4, 5, (4, 2)) / 2 for _ in range(2))
        found = find_crossings(network.module(), start, stop, of="decision")
        assert found.exact
        for ray in range(4):
            a, b = ([Fraction(value) for value in end[ray].tolist()] for end in (start, stop))
            scores = [forward(network, (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))[1] for share in shares]
            mine = np.flatnonzero(found.ray == ray)
            known = [*found.before[mine[:1]].tolist(), *found.after[mine].tolist()] or [scores[0].index(max(scores[0]))]
            won = [known[int(np.searchsorted(found.place[mine], float(share)))] for share in shares]
            assert won == [one.index(max(one)) for one in scores]


class Mirrored(nn.Module):
    """Scores -z and z, which are next to nothing near their border."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.net(x)
        return torch.cat([-z, z], dim=1)


@pytest.mark.parametrize("near", [1e-12, 1e-10, 1e-8, 1e-6])
def test_rounding_near_a_border_is_no_bend(near: float) -> None:
    """A warning, which says that a network bends elsewhere, would fail here."""
    points = np.random.default_rng(0).normal(size=(20, 2))
    border = nearest_crossing(Mirrored(), points, reach=20)
    inputs = border.inputs[np.isfinite(border.distance)]
    assert len(inputs) > 10
    found = nearest_crossing(Mirrored(), inputs + near)
    assert (found.distance <= 2 * near).all()
    along = find_crossings(Mirrored(), inputs - near, inputs + near * np.array([1.0, 1.5]), of="decision")
    assert along.exact


# ----------------------------------------------------------------------------------------------------- what touches only


def of_parts(*rows: tuple[float, float, float, float], bias: tuple[float, ...] = ()) -> Any:
    """Return a model with one output for each row: its weights of relu(x), relu(-x), relu(y) and relu(-y)."""
    model: Any = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, len(rows))).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor(rows))
        model[2].bias.copy_(torch.tensor(bias or [0.0] * len(rows)))
    return model


ZERO, SIZE, RIGHT, LEFT = (0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0), (1.0, -1.0, 0.0, 0.0), (-1.0, 1.0, 0.0, 0.0)  # 0, |x|, x, -x
HOWS = pytest.mark.parametrize("how", ["exact", "sampled"])


@HOWS
def test_a_unit_that_touches_zero_does_not_switch(how: str, request: pytest.FixtureRequest) -> None:
    if how == "sampled":
        request.getfixturevalue("sampled")
    model = nn.Sequential(*of_parts(SIZE, RIGHT), nn.ReLU())
    found = find_crossings(model, [[-1.0, 0.25], [-0.5, 0.25]], [[1.0, 0.25], [1.5, 0.25]], layers=["2"])
    assert found.exact == (how == "exact")
    assert (found.ray.tolist(), found.column.tolist()) == ([0, 1], [1, 1])  # |x| has none
    assert found.place.tolist() == pytest.approx([0.5, 0.25])
    assert np.isnan(nearest_crossing(nn.Sequential(*of_parts(SIZE), nn.ReLU()), [[0.5, 0.25]], of="units", layers=["2"]).distance)


@HOWS
@pytest.mark.parametrize(
    ("rows", "classes"),
    [
        ((ZERO, SIZE), []),  # the first wins at x = 0 alone
        ((ZERO, RIGHT, LEFT), [(2, 1)]),  # so it does here: one way through it
        ((ZERO, RIGHT), [(0, 1)]),
        ((LEFT, ZERO, SIZE, RIGHT), [(0, 2)]),
        ((RIGHT, SIZE, LEFT), [(1, 0)]),
    ],
)
def test_a_class_that_wins_at_one_place_alone_is_not_crossed(
    rows: Any, classes: list[tuple[int, int]], how: str, request: pytest.FixtureRequest
) -> None:
    if how == "sampled":
        request.getfixturevalue("sampled")
    for start, stop, place in (([-1.0, 0.25], [1.0, 0.5], 0.5), ([-0.5, 0.25], [1.0, 0.5], 1 / 3), ([1.0, 0.5], [-3.0, 0.5], 0.25)):
        found = find_crossings(of_parts(*rows), [start], [stop], of="decision")
        assert found.exact == (how == "exact")
        way = [pair if start[0] < 0 else pair[::-1] for pair in classes]
        assert list(zip(found.before.tolist(), found.after.tolist(), strict=True)) == way
        assert found.place.tolist() == pytest.approx([place] * len(way), abs=1e-8)


@HOWS
def test_the_nearest_crossing_is_no_place_that_is_touched(how: str, request: pytest.FixtureRequest) -> None:
    """0, |x| and 3 (x - 1): the first wins at x = 0 alone, the third from x = 1.5 on."""
    if how == "sampled":
        request.getfixturevalue("sampled")
    model = of_parts(ZERO, SIZE, (3.0, -3.0, 0.0, 0.0), bias=(0.0, 0.0, -3.0))
    found = nearest_crossing(model, [[-0.75, 0.5], [-1.0, 0.0], [0.5, 3.0]], reach=8)
    assert found.distance.tolist() == pytest.approx([2.25, 2.5, 1.0], rel=1e-6)
    assert (found.before.tolist(), found.after.tolist()) == ([1, 1, 1], [2, 2, 2])


@HOWS
def test_what_is_touched_at_the_end_of_a_radius_is_no_crossing(how: str, request: pytest.FixtureRequest) -> None:
    """0 and |x| + |y|: at the origin alone the first wins, and a radius that doubles from a power of two ends there."""
    if how == "sampled":
        request.getfixturevalue("sampled")
    model = of_parts(ZERO, (1.0, 1.0, 1.0, 1.0))
    assert np.isnan(nearest_crossing(model, [[1.0, 0.0], [0.0, -0.25], [4.0, 0.0]]).distance).all()
    assert nearest_crossing(of_parts(ZERO, RIGHT), [[-1.0, 0.0]], reach=4).distance.tolist() == pytest.approx([1.0])
