"""Masks and backgrounds against the truth: every later number stands on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import by_hand, mlp
from snapshots import four_classes, one_value, two_classes
from torch import nn

from boundarycb import capture, slices
from boundarycb.engines.bands import most_together, read, sweep
from boundarycb.engines.masks import MaskReader, _may_be, as_they_are, independent
from boundarycb.probe import Conditions, probe
from boundarycb.types import Capture, Field, Floats, Layer, Reading, Room

PLANE = slices.box((-1, 1), (0, 4))


def captured(*functions: Any, output: Any = None, resolution: int = 9) -> Capture:
    masks = MaskReader(resolution)
    sweep(by_hand(*functions, output=output), PLANE, resolution, masks)
    return masks.result()


def centres(resolution: int) -> tuple[Floats, Floats]:
    """Return u and v of the pixel centres, (H, W), worked out anew."""
    u = -1 + 2 * (np.arange(resolution) + 0.5) / resolution
    v = 4 * (np.arange(resolution) + 0.5) / resolution
    return np.broadcast_to(u[None, :], (resolution, resolution)), np.broadcast_to(v[:, None], (resolution, resolution))


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 60), st.integers(0, 10**6))
def test_a_mask_is_the_sign_at_every_pixel_centre(resolution: int, seed: int) -> None:
    a, b, c = np.random.default_rng(seed).normal(size=(3, 5))
    functions = [lambda x, y, k=k: a[k] * x + b[k] * (y - 2) + 0.3 * c[k] for k in range(5)]
    got = captured(*functions, resolution=resolution).mask("hand")
    u, v = centres(resolution)
    for k in range(5):
        assert np.array_equal(got[k], a[k] * u + b[k] * (v - 2) + 0.3 * c[k] > 0)


def test_a_networks_masks_are_its_own_signs() -> None:
    model = mlp(2, 7, 6, 2, seed=3).double()
    u, v = centres(33)
    with torch.no_grad():
        first = model[0](torch.tensor(np.stack([u.ravel(), v.ravel()], axis=1)))
        second = model[2](torch.relu(first))
    states = capture(model, PLANE, resolution=33)
    assert np.array_equal(states.mask("0"), (first.numpy() > 0).T.reshape(7, 33, 33))
    assert np.array_equal(states.mask("2"), (second.numpy() > 0).T.reshape(6, 33, 33))


def test_outputs_that_add_up_to_one_at_first_only_are_no_chances() -> None:
    """A row of ReLUs may add up to 1 at many points by chance."""
    likely = np.tile([0.25, 0.75, 0.0], (500, 1))
    assert _may_be(as_they_are, likely)
    assert not _may_be(as_they_are, np.concatenate([likely, [[0.5, 0.75, 0.0]]]))
    assert _may_be(independent, likely)
    assert not _may_be(independent, np.concatenate([likely, [[1.5, 0.0, 0.0]]]))


def test_zero_is_off_and_switching_units_are_told_from_the_others() -> None:
    states = captured(lambda x, y: 0 * x, lambda x, y: x * 0 + 1, lambda x, y: x, lambda x, y: np.where(y > 3.7, x * 0 + 1, -1))
    assert states.mask("hand").reshape(4, -1).any(axis=1).tolist() == [False, True, True, True]
    assert states.mask("hand")[2][:, 4].any() == False  # noqa: E712 - x is exactly 0 in the middle column
    assert states.switching().tolist() == [False, False, True, True]


def test_backgrounds_are_the_outputs_at_the_pixel_centres() -> None:
    u, v = centres(9)
    value = captured(lambda x, y: x, output=one_value).field
    assert value is not None
    assert value.kind == "value"
    assert np.allclose(value.value, 5 * u * v)
    chance = captured(lambda x, y: x, output=two_classes).field
    assert chance is not None
    scores = two_classes(u.ravel(), v.ravel())
    assert (chance.kind, chance.classes, chance.what) == ("probability", 2, "softmax")
    assert np.allclose(chance.value.ravel(), 1 / (1 + np.exp(scores[:, 0] - scores[:, 1])), atol=1e-3)
    winners = captured(lambda x, y: x, output=four_classes).field
    assert winners is not None
    assert winners.winner is not None
    scores = four_classes(u.ravel(), v.ravel())
    assert np.array_equal(winners.winner.ravel(), scores.argmax(axis=1))
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert np.allclose(winners.value.ravel(), powers.max(axis=1) / powers.sum(axis=1), atol=1e-3)


def test_probabilities_and_log_probabilities_are_not_squashed_again() -> None:
    def chances(x: Floats, y: Floats) -> Floats:
        p = (x + 1.5) / 3
        return np.stack([1 - p, p], axis=1)

    u, _ = centres(9)
    for output in (chances, lambda x, y: np.log(chances(x, y))):
        field = captured(lambda x, y: x, output=output).field
        assert field is not None
        assert np.allclose(field.value, (u + 1.5) / 3, atol=1e-3)
        assert field.what == ("probability" if output is chances else "softmax")


class Affine(nn.Module):
    """Scores w x + b of the inputs, C of them, then `end`."""

    def __init__(self, rows: list[tuple[float, float, float]], end: Any) -> None:
        super().__init__()
        self.hidden, self.end = nn.Linear(2, 3), end
        self.rows = torch.tensor(rows)

    def forward(self, x: torch.Tensor) -> Any:
        self.hidden(x).relu()
        return self.end(x @ self.rows[:, :2].T + self.rows[:, 2])


MIRRORED = [(1.0, 0.0, 0.0), (-1.0, 0.0, 1.0)]  # x and 1 - x
THREE = [*MIRRORED, (0.0, 0.5, -1.0)]


def field_of(rows: list[tuple[float, float, float]], end: Any, **how: Any) -> Field:
    found = capture(Affine(rows, end), PLANE, resolution=9, **how).field
    assert found is not None
    return found


@pytest.fixture(params=["a row a band", "all in two bands"])
def bands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What outputs are must not depend on the bands that they come in."""
    if request.param == "a row a band":
        monkeypatch.setattr("boundarycb.engines.bands._BAND_VALUES", 1)


@pytest.mark.parametrize("end", [nn.Sigmoid(), torch.sigmoid, torch.special.expit, nn.Hardsigmoid()], ids=range(4))
@pytest.mark.parametrize("rows", [MIRRORED, THREE], ids=["two", "three"])
@pytest.mark.usefixtures("bands")
def test_sigmoids_are_chances_of_their_own(rows: Any, end: Any) -> None:
    field = field_of(rows, end)
    u, v = centres(9)
    scores = np.stack([a * u + b * v + c for a, b, c in rows], axis=-1)
    chances = np.clip(scores / 6 + 0.5, 0, 1) if isinstance(end, nn.Hardsigmoid) else 1 / (1 + np.exp(-scores))
    ranked = np.sort(chances, axis=-1)
    assert (field.kind, field.classes, field.what) == ("classes", len(rows), "output")
    assert field.winner is not None
    assert field.second is not None
    assert field.above is not None
    assert np.array_equal(field.winner, chances.argmax(axis=-1))
    assert np.allclose(field.value, ranked[..., -1], atol=5e-4)
    assert np.allclose(field.second, ranked[..., -2], atol=5e-4)
    assert np.array_equal(field.above, (scores > 0).sum(axis=-1))
    assert [part.dtype for part in (field.value, field.second, field.winner, field.above)] == ["f2", "f2", "u2", "u2"]


def test_a_single_sigmoid_is_a_value() -> None:
    field = field_of([(1.0, 0.0, 0.0)], torch.sigmoid)
    assert (field.kind, field.second, field.above, field.limits) == ("value", None, None, (0.0, 1.0))
    assert np.allclose(field.value, 1 / (1 + np.exp(-centres(9)[0])))


@pytest.mark.parametrize(
    ("end", "limits"),
    [(nn.Hardsigmoid(), (0.0, 1.0)), (torch.tanh, (-1.0, 1.0)), (nn.ReLU(), None), (nn.Identity(), None), (nn.Softplus(), None)],
    ids=range(5),
)
def test_the_limits_of_one_number_are_those_of_its_activation(end: Any, limits: Any) -> None:
    assert field_of([(1.0, 0.0, 0.0)], end).limits == limits


def test_what_is_made_of_a_sigmoid_has_not_its_limits() -> None:
    assert field_of([(1.0, 0.0, 0.0)], lambda z: torch.tanh(z).mul_(5)).limits is None
    several = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, 0.0), (1.0, -1.0, 0.0)]
    assert field_of(several, torch.tanh, background="norm").limits is None
    assert field_of([(1.0, 0.0, 0.0)], lambda z: 3 * torch.sigmoid(z)).limits is None
    assert field_of([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], torch.sigmoid).limits is None  # several are chances


@pytest.mark.usefixtures("bands")
def test_sigmoids_that_add_up_to_one_are_still_chances_of_their_own() -> None:
    field = field_of([(1.0, 0.5, -1.0), (-1.0, -0.5, 1.0)], torch.sigmoid)  # s(z) and s(-z)
    assert field.kind == "classes"
    assert field.above is not None


def test_scores_are_sampled_as_sigmoids_by_a_forward_that_ends_in_them() -> None:
    wanted = field_of(MIRRORED, torch.sigmoid)
    field = field_of(MIRRORED, nn.Identity(), forward=lambda model, inputs: model(inputs).sigmoid())
    assert field.above is not None
    assert np.array_equal(field.above, wanted.above)  # type: ignore[arg-type]
    assert field_of(MIRRORED, nn.Identity()).kind == "probability"


def test_another_output_than_the_sigmoids_is_no_chance() -> None:
    """A model that gives its chances and its scores, of which the scores are asked for."""
    field = field_of(THREE, lambda scores: {"chances": torch.sigmoid(scores), "scores": scores}, output="scores")
    assert field.above is None
    u, v = centres(9)
    powers = np.exp(np.stack([u, 1 - u, 0.5 * v - 1]))
    assert np.allclose(field.value, (powers / powers.sum(axis=0)).max(axis=0), atol=1e-3)
    assert field_of(THREE, lambda scores: {"scores": scores, "chances": torch.sigmoid(scores)}, output="chances").above is not None


@pytest.mark.usefixtures("bands")
@pytest.mark.parametrize("change", [lambda x: 3 * x, lambda x: x.mul_(3), lambda x: x.sub_(0.2)], ids=["new", "larger", "lower"])
def test_sigmoids_that_are_changed_are_scores(change: Any) -> None:
    """In place, too, where they are the very tensor that the sigmoid gave."""
    field = field_of([(1.0, 0.0, -2.0), (0.0, 1.0, -2.0), (0.0, 0.0, -9.0)], lambda scores: change(torch.sigmoid(scores)))
    assert field.above is None


def reluish(u: Floats, v: Floats) -> Floats:
    """Return scores that are 0 and 1 on the lower half, and so add up to 1, and are larger on the upper one."""
    return np.stack([np.maximum(v - 2, 0), np.where(v > 2, 3 * u * u, 1.0), 0 * u], axis=1)


@pytest.mark.usefixtures("bands")
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_that_add_up_to_one_in_places_are_scores(classes: int) -> None:
    """Whichever band comes first: the whole grid tells."""
    for output in (reluish, lambda u, v: reluish(u, 4 - v)):
        field = captured(lambda x, y: x, output=lambda x, y, output=output: output(x, y)[:, :classes]).field
        assert field is not None
        u, v = centres(9)
        scores = output(u.ravel(), v.ravel())[:, :classes]
        powers = np.exp(scores)
        chances = powers / powers.sum(axis=1, keepdims=True)
        wanted = chances[:, 1] if classes == 2 else chances.max(axis=1)
        assert np.allclose(field.value.ravel(), wanted, atol=5e-4)
        assert field.above is None


@pytest.mark.usefixtures("bands")
def test_probabilities_with_holes_are_probabilities() -> None:
    """NaN in the first band says nothing, and nothing in the others."""

    def torn(x: Floats, y: Floats) -> Floats:
        chances = np.stack([0.2 + 0 * x, 0.7 + 0 * x, 0.1 + 0 * x], axis=1)
        return np.where((y < 1)[:, None] | (x > 0.7)[:, None], np.nan, chances)

    states = captured(lambda x, y: x, output=torn)
    u, v = centres(9)
    hole = (v < 1) | (u > 0.7)
    assert states.notes == ("output not finite",)
    assert states.field is not None
    assert states.field.second is not None
    assert np.allclose(states.field.value[~hole], 0.7, atol=5e-4)
    assert np.allclose(states.field.second[~hole], 0.2, atol=5e-4)
    assert np.isnan(states.field.value[hole]).all()
    assert np.isnan(states.field.second[hole]).all()


def test_probabilities_of_bfloat16_are_probabilities() -> None:
    """They miss a sum of 1 by up to a rounding error of 2^-9."""
    scores = torch.randn(3, 40, generator=torch.Generator().manual_seed(1))
    field = field_of(THREE, lambda x: torch.softmax(torch.cat([x, x @ scores], dim=1).bfloat16(), dim=1))
    u, v = centres(9)
    base = np.stack([u, 1 - u, 0.5 * v - 1], axis=-1)
    every = np.exp(np.concatenate([base, base @ scores.numpy()], axis=-1))
    assert np.allclose(field.value, (every / every.sum(axis=-1, keepdims=True)).max(axis=-1), rtol=0.05)


def test_a_score_of_minus_infinity_is_a_class_left_out_and_one_of_infinity_is_not_finite() -> None:
    def masked(x: Floats, y: Floats) -> Floats:
        return np.stack([np.where(y > 2, np.inf, x), 0 * x - np.inf, 0 * x], axis=1)

    u, v = centres(9)
    for columns in ([0, 1, 2], [0, 2], [2, 0]):
        states = captured(lambda x, y: x, output=lambda x, y, columns=columns: masked(x, y)[:, columns])
        assert states.field is not None
        assert np.array_equal(np.isnan(states.field.value), v > 2)
        assert states.notes == ("output not finite",)
    field = captured(lambda x, y: x, output=lambda x, y: masked(x, 0 * y)).field
    assert field is not None
    assert field.second is not None
    wins = 1 / (1 + np.exp(-u))
    assert np.allclose(field.value, np.maximum(wins, 1 - wins), atol=5e-4)
    assert np.allclose(field.second, np.minimum(wins, 1 - wins), atol=5e-4)


def test_a_sigmoid_that_is_nan_leaves_no_chance() -> None:
    field = field_of([*MIRRORED, (0.0, 1.0, 0.0)], lambda scores: torch.sigmoid(torch.where(scores > 3, torch.nan, scores)))
    assert field.second is not None
    hole = centres(9)[1] > 3
    assert np.array_equal(np.isnan(field.value), hole)
    assert np.array_equal(np.isnan(field.second), hole)


def test_scores_of_double_precision_have_the_winner_that_they_say() -> None:
    """Their chances are the same number."""
    field = captured(lambda x, y: x, output=lambda x, y: np.stack([0 * x - 9, 0 * x, 0 * x + 1e-18], axis=1)).field
    assert field is not None
    assert np.all(field.winner == 2)


@pytest.mark.parametrize(("classes", "kind"), [(300, np.uint16), (65_536, np.uint16), (70_000, np.uint32)])
@pytest.mark.parametrize("ends", [False, True])
def test_any_number_of_classes_has_its_winner(classes: int, kind: Any, ends: bool) -> None:
    masks = MaskReader(2)

    def forward(inputs: Floats) -> Reading:
        scores = np.zeros((len(inputs), classes))
        scores[:, -1] = 0.75
        return Reading((Layer("x", "sigmoid", (1,), (0,)),), (inputs[:, :1],), scores + 0.25 * ends, closes=ends)

    sweep(forward, PLANE, 2, masks)
    field = masks.result().field
    assert field is not None
    assert field.winner is not None
    assert field.winner.dtype == kind
    assert (field.winner == classes - 1).all()
    if ends:
        assert field.above is not None
        assert field.above.dtype == kind
        assert (field.above == 1).all()


def test_an_output_without_numbers_is_no_background() -> None:
    states = captured(lambda x, y: x, output=lambda x, y: np.empty((len(x), 0)))
    assert states.field is None
    assert states.notes == ("no background: the model's output is no vector a point",)


def test_a_value_beyond_single_precision_is_infinite_and_said_so() -> None:
    states = captured(lambda x, y: x, output=lambda x, y: np.full((len(x), 1), 1e300))
    assert states.notes == ("output not finite",)


@pytest.mark.parametrize("scale", [1e-30, 1e6, 1e30])
def test_outputs_of_any_size_are_kept(scale: float) -> None:
    field = captured(lambda x, y: x, output=lambda x, y: (5000 + x[:, None]) * scale).field
    assert field is not None
    u, _ = centres(9)
    assert np.allclose(field.value / np.float32(scale), 5000 + u, rtol=1e-6)


def test_what_is_not_finite_is_noted_by_unit() -> None:
    def torn(x: Floats, y: Floats) -> Floats:
        return np.where(x > 0.5, np.nan, 1.0)

    states = captured(lambda x, y: x, torn, lambda x, y: torn(x, y) * np.inf, output=lambda x, y: torn(x, y)[:, None])
    assert states.notes == ("output not finite", "hand: 2 of 3 units not finite")
    assert states.undefined.tolist() == [1, 2]
    assert captured(lambda x, y: 1e308 * x, lambda x, y: 1e308 * np.abs(x)).undefined.tolist() == []  # large is not infinite


def test_what_is_not_finite_in_one_band_is_not_forgotten_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.engines.bands._BAND_VALUES", 1)
    states = captured(lambda x, y: x, lambda x, y: np.where(y < 1, np.inf, x), lambda x, y: np.where(y > 3, np.nan, x))
    assert states.undefined.tolist() == [1, 2]


def test_a_background_with_holes_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Moody(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return torch.relu(x) if x[:, 1].mean() < 3 else (torch.relu(x) > 0)

    monkeypatch.setattr("boundarycb.engines.bands._BATCH_BYTES", 16 * 10)
    states = capture(Moody(), PLANE, resolution=8)
    assert states.field is None
    assert states.notes == ("no background: the model's output is no vector a point",)


def test_many_capped_layers_are_one_note() -> None:
    model = mlp(2, 20, 30, 2)
    assert capture(model, PLANE, resolution=8, max_units=16).notes == ("2 layers: 32 of 50 units watched",)
    assert capture(model, PLANE, resolution=8, max_units=20).notes == ("2: 20 of 30 units watched",)


def test_large_inputs_go_in_small_batches_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Flatten(), *mlp(48, 9, 3)).double()
    plane = slices.through(*np.random.default_rng(0).normal(size=(3, 3, 4, 4)))
    points = np.random.default_rng(1).uniform(-1, 1, (100, 2))
    sizes: list[int] = []
    model.register_forward_hook(lambda _module, args, _output: sizes.append(len(args[0])))
    with probe(model, Conditions(run_hooks=True)) as forward:
        whole = read(forward, plane, points)
        monkeypatch.setattr("boundarycb.engines.bands._BATCH_BYTES", 48 * 8 * 7)
        parts = read(forward, plane, points)
    assert sizes[0] == 100
    assert max(sizes[1:]) <= 7
    assert np.allclose(parts.z, whole.z, atol=1e-12)
    assert whole.output is not None
    assert parts.output is not None
    assert np.allclose(parts.output, whole.output, atol=1e-12)


def test_points_run_together_as_training_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with so many units that a row of the grid would run alone."""
    monkeypatch.setattr("boundarycb.engines.bands._BAND_VALUES", 100)
    model = mlp(2, 9, 3).double()
    sizes: list[int] = []
    model.register_forward_hook(lambda _module, args, _output: sizes.append(len(args[0])))
    found = []
    for together, units in ((1, 0), (64, 0), (64, 9)):
        masks = MaskReader(20)
        with probe(model, Conditions(run_hooks=True)) as forward:
            sweep(forward, PLANE, 20, masks, units=units, room=Room(together))
        found.append((masks.result().on, sizes.copy()))
        sizes.clear()
    (alone, row), (joined, rows), (known, no_first) = found
    assert row == [22] * 22  # a row of nodes at a time
    assert rows == [22] + [44] * 10 + [22]  # two of them, but for the first, which tells how many units there are
    assert no_first == [44] * 11
    assert np.array_equal(alone, joined)
    assert np.array_equal(alone, known)
    assert most_together(3, 10**9) == 16
    assert most_together(3, 10**9, Room(64)) == 64
    assert most_together(10**6, 10**9, Room(64)) == 2  # their inputs would take too much
    assert most_together(10**6, 10**9, Room(64, inputs=4)) == 8


def test_another_path_in_another_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) if x[:, 1].mean() > 1 else torch.relu(torch.relu(x))

    with pytest.raises(ValueError, match="calls other activations for other inputs, .*give a `slice` on which it takes one path"):
        capture(Branches(), PLANE)
    with pytest.raises(
        ValueError, match=r"Where it iterates .*\(relu is called 1 or 2 times\), .* no slice mends it: give a `forward`"
    ):
        capture(Branches(), PLANE)
    monkeypatch.setattr("boundarycb.engines.bands._BATCH_BYTES", 16 * 5)
    with pytest.raises(ValueError, match="calls other activations"), probe(Branches()) as forward:
        read(forward, PLANE, np.array([[0.0, 3.0]] * 5 + [[0.0, 1.0]] * 5))


def test_a_branch_that_calls_another_module_is_no_iteration() -> None:
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) if x[:, 1].mean() > 1 else torch.tanh(x)

    with pytest.raises(ValueError, match="give a `slice` on which it takes one path.$"):
        capture(Branches(), PLANE)


def test_a_readers_result_needs_a_sweep() -> None:
    with pytest.raises(RuntimeError, match="No band was read"):
        MaskReader(8).result()
    layer = Layer("x", "relu", (1,), (0,))
    assert Capture((layer,), 3, np.zeros((1, 2), np.uint8)).switching().tolist() == [False]
