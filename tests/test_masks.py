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
from boundarycb.engines.bands import read, sweep
from boundarycb.engines.masks import MaskReader
from boundarycb.probe import Conditions, probe
from boundarycb.types import Capture, Floats, Layer

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
    assert (chance.kind, chance.classes) == ("probability", 2)
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


def test_another_path_in_another_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x) if x[:, 1].mean() > 1 else torch.relu(torch.relu(x))

    with pytest.raises(ValueError, match="calls other activations for other inputs, .*give a `slice` on which it takes one path"):
        capture(Branches(), PLANE)
    monkeypatch.setattr("boundarycb.engines.bands._BATCH_BYTES", 16 * 5)
    with pytest.raises(ValueError, match="calls other activations"), probe(Branches()) as forward:
        read(forward, PLANE, np.array([[0.0, 3.0]] * 5 + [[0.0, 1.0]] * 5))


def test_a_readers_result_needs_a_sweep() -> None:
    with pytest.raises(RuntimeError, match="No band was read"):
        MaskReader(8).result()
    layer = Layer("x", "relu", (1,), (0,))
    assert Capture((layer,), 3, np.zeros((1, 2), np.uint8)).switching().tolist() == [False]
