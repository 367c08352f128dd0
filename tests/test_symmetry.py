"""Mirror symmetry: known answers, what changes nothing, and what chance gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from boundarycb.metrics import mirror_symmetry
from boundarycb.types import Boundaries, Capture, Field, Floats, Layer, Sample

SIDE = 64
PLACES = -1 + (np.arange(SIDE) + 0.5) * 2 / SIDE
X, Y = np.meshgrid(PLACES, PLACES)

Line = Callable[[Floats, Floats], NDArray[np.bool_]]


def sample_of(states: NDArray[np.bool_], field: Field | None = None) -> Sample:
    layer = Layer("fc", "relu", (len(states),), tuple(range(len(states))))
    capture = Capture((layer,), SIDE, np.packbits(states.reshape(len(states), -1), axis=1), field)
    return Sample(capture, Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,)))


def scores(sample: Sample) -> Any:
    return mirror_symmetry(sample)


def of(*lines: Line) -> Any:
    return scores(sample_of(np.stack([line(X, Y) for line in lines])))


@pytest.mark.parametrize(
    ("lines", "left_right", "up_down"),
    [
        ([lambda x, y: x > -0.5, lambda x, y: x > 0.5], 1, 1),
        ([lambda x, y: x > 0.5], None, 1),
        ([lambda x, y: y > 0.25], 1, None),
        ([lambda x, y: abs(x) + abs(y) > 0.7], 1, 1),
        ([lambda x, y: y > abs(x) - 0.5], 1, None),
    ],
)
def test_known_answers(lines: list[Line], left_right: float | None, up_down: float | None) -> None:
    """Whoever is its own mirror image has 1, to rounding; who is not has less than a half."""
    found = of(*lines)
    for axis, want in (("left_right", left_right), ("up_down", up_down)):
        score = found[f"symmetry/{axis}/fc"]
        assert score == pytest.approx(1) if want == 1 else score < 0.5


def random_lines(count: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    angle = generator.uniform(0, 2 * np.pi, count)[:, None, None]
    through = generator.uniform(-1, 1, (2, count))[..., None, None]
    return np.asarray(np.cos(angle) * (X - through[0]) + np.sin(angle) * (Y - through[1]) > 0)


@pytest.mark.parametrize("side", [40, 41, 64])
def test_a_quarter_turn_names_the_axes_anew_and_changes_nothing_else(side: int) -> None:
    """Chance too: an image midway between two grid points may not be taken for one of them."""
    states = np.random.default_rng(side).random((4, 5, 5)) > 0.5
    masks = states.repeat(side // 5 + 1, axis=1).repeat(side // 5 + 1, axis=2)[:, :side, :side]
    classes = masks.sum(axis=0).astype(np.uint16)
    layer = Layer("fc", "relu", (4,), tuple(range(4)))
    found = []
    for turns in (0, 1):
        on = np.packbits(np.rot90(masks, turns, axes=(1, 2)).reshape(4, -1), axis=1)
        field = Field("classes", np.ones((side, side), np.float16), np.rot90(classes, turns).copy(), 5)
        empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
        found.append(scores(Sample(Capture((layer,), side, on, field), empty)))
    want, got = found
    for of_what in ("fc", "output"):
        assert got[f"symmetry/chance/{of_what}"] == pytest.approx(want[f"symmetry/chance/{of_what}"], rel=1e-12)
        assert got[f"symmetry/left_right/{of_what}"] == pytest.approx(want[f"symmetry/up_down/{of_what}"], rel=1e-12)
        assert got[f"symmetry/up_down/{of_what}"] == pytest.approx(want[f"symmetry/left_right/{of_what}"], rel=1e-12)


def test_the_order_and_the_sides_of_units_are_no_matter() -> None:
    states = random_lines(9, np.random.default_rng(3))
    want = scores(sample_of(states))
    turned = states[::-1].copy()
    turned[2] = ~turned[2]
    got = scores(sample_of(turned))
    assert got == {name: pytest.approx(value) for name, value in want.items()}


def test_a_picture_that_is_turned_by_a_quarter_swaps_its_axes() -> None:
    states = random_lines(9, np.random.default_rng(4))
    want = scores(sample_of(states))
    got = scores(sample_of(np.rot90(states, axes=(1, 2)).copy()))
    assert got["symmetry/left_right/fc"] == pytest.approx(want["symmetry/up_down/fc"])
    assert got["symmetry/up_down/fc"] == pytest.approx(want["symmetry/left_right/fc"])
    assert got["symmetry/chance/fc"] == pytest.approx(want["symmetry/chance/fc"], abs=0.02)


def test_random_lines_are_at_their_chance_level() -> None:
    """The mean over 200 sets of sixteen lines is the chance level's within three standard errors."""
    generator = np.random.default_rng(0)
    found = [scores(sample_of(random_lines(16, generator))) for _ in range(200)]
    above = np.array([one["symmetry/left_right/fc"] - one["symmetry/chance/fc"] for one in found])
    assert abs(above.mean()) < 3 * above.std() / np.sqrt(len(above))
    assert np.mean([one["symmetry/chance/fc"] for one in found]) > 0.05  # which is not 0


def test_lines_through_the_middle_are_half_symmetric_by_chance() -> None:
    """As those of a network with biases of zero; only the chance level tells that it means nothing."""
    angle = np.random.default_rng(1).uniform(0, 2 * np.pi, (16, 1, 1))
    found = scores(sample_of(np.cos(angle) * X + np.sin(angle) * Y > 0))
    assert found["symmetry/chance/fc"] > 0.5
    assert abs(found["symmetry/left_right/fc"] - found["symmetry/chance/fc"]) < 0.3


def test_what_has_no_boundary_or_no_state_counts_for_nothing() -> None:
    states = np.stack([X > 0.5, X > 0.7, X > 5])
    sample = sample_of(states)
    alone = scores(sample_of(states[:1]))
    undefined = replace(sample.now, undefined=np.array([1]))
    assert scores(replace(sample, now=undefined)) == {name: pytest.approx(value) for name, value in alone.items()}
    assert all(np.isnan(value) for value in scores(sample_of(states[2:])).values())


@pytest.mark.parametrize(
    ("field", "left_right", "up_down"),
    [
        (Field("probability", (X > 0).astype(np.float16), classes=2), 0, 1),
        (Field("classes", np.ones((SIDE, SIDE), np.float16), np.where(abs(X) > 0.5, 2, 0).astype(np.uint16), 3), 1, 1),
        (Field("classes", np.ones((SIDE, SIDE), np.float16), np.where((X > 0) & (Y > 0), 2, 0).astype(np.uint16), 3), 0.5, 0.5),
        (Field("value", (X**2 - Y).astype(np.float32)), None, None),
    ],
)
def test_outputs(field: Field, left_right: float | None, up_down: float | None) -> None:
    """Of classes the share that agrees; of numbers the correlation: of x^2 - y, var(x^2) and var(y) are 4/45 and 1/3."""
    found = scores(sample_of(np.stack([X > 0]), field))
    wanted = (1, (4 / 45 - 1 / 3) / (4 / 45 + 1 / 3)) if left_right is None else (left_right, up_down)
    assert found["symmetry/left_right/output"] == pytest.approx(wanted[0], abs=2e-3)
    assert found["symmetry/up_down/output"] == pytest.approx(wanted[1], abs=2e-3)
