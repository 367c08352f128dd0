"""Mirror symmetry: known answers, what changes nothing, and what chance gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from boundarycb import slices
from boundarycb.metrics import mirror_symmetry
from boundarycb.types import Boundaries, Capture, Field, Floats, Layer, Sample

SIDE = 64
PLACES = -1 + (np.arange(SIDE) + 0.5) * 2 / SIDE
X, Y = np.meshgrid(PLACES, PLACES)

SQUARE = slices.box((-1, 1), (-1, 1))

Line = Callable[[Floats, Floats], NDArray[np.bool_]]


def sample_of(states: NDArray[np.bool_], field: Field | None = None) -> Sample:
    layer = Layer("fc", "relu", (len(states),), tuple(range(len(states))))
    count, side, _ = states.shape
    capture = Capture((layer,), side, np.packbits(states.reshape(count, side * side), axis=1), field)
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
        for score in (found[f"symmetry/{axis}/fc"], found[f"symmetry/f1_{axis}/fc"]):
            assert score == pytest.approx(1) if want == 1 else score < 0.5


@pytest.mark.parametrize(
    ("lines", "left_right", "up_down"),
    [
        ([lambda x, y: x > -0.5, lambda x, y: x > 0.5], 1, 1),
        ([lambda x, y: x > 0.5], 0, 1),
        ([lambda x, y: y > 0.25, lambda x, y: y > -0.75], 1, 0),
    ],
)
def test_f1_of_lines(lines: list[Line], left_right: float, up_down: float) -> None:
    found = of(*lines)
    assert (found["symmetry/f1_left_right/fc"], found["symmetry/f1_up_down/fc"]) == (left_right, up_down)


@pytest.mark.parametrize(("side", "off", "want"), [(128, 2, 1), (128, 3, 0.5), (128, 4, 0), (64, 1, 1), (64, 2, 0.5), (64, 3, 0)])
def test_f1_forgives_two_points_in_128(side: int, off: int, want: float) -> None:
    """A line between columns 9 and 10, and the mirror image of a line `off` columns from it.

    Of 128 points, with `off` of 3: columns 9 and 10 have the images 12 and 13 beside them, so that 10 is near and 9 is not.
    """
    columns = np.tile(np.arange(side), (side, 1))
    found = scores(sample_of(np.stack([columns >= 10, columns >= side - 10 - off])))
    assert found["symmetry/f1_left_right/fc"] == want


def both_ways(states: NDArray[np.bool_], flip: Callable[[Any], Any], reach: float) -> float:
    """Return the F1 of points with a neighbour of another state, and their images: all distances, precision and recall apart."""
    framed = np.pad(states, ((0, 0), (1, 1), (1, 1)), mode="edge")
    beside = (framed[:, 1:-1, 2:], framed[:, 1:-1, :-2], framed[:, 2:, 1:-1], framed[:, :-2, 1:-1])
    edge = np.any([(neighbour != states).any(axis=0) for neighbour in beside], axis=0)
    one, other = np.argwhere(edge), np.argwhere(flip(edge))
    near = np.linalg.norm(one[:, None] - other, axis=-1) <= reach
    precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


@given(st.integers(0, 2**32 - 1), st.sampled_from([(5, 1), (30, 1), (128, 2), (192, 3)]), st.integers(1, 4))
def test_f1_is_that_of_all_distances(seed: int, size: tuple[int, int], points: int) -> None:
    """Of units that are on at some points alone: what lies askew from a point is near up to the same distance."""
    side, reach = size
    generator = np.random.default_rng(seed)
    states = np.zeros((points, side, side), dtype=bool)
    for unit, (row, column) in zip(states, generator.integers(0, min(side, 9), (points, 2)), strict=True):
        unit[row, column] = True
        unit[side - 1 - row, generator.integers(0, min(side, 9))] = True
    found = scores(sample_of(states))
    assert found["symmetry/f1_left_right/fc"] == pytest.approx(both_ways(states, np.fliplr, reach))
    assert found["symmetry/f1_up_down/fc"] == pytest.approx(both_ways(states, np.flipud, reach))


def reflections(side: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return for twenty directions d, nine degrees apart, grid points p and the points next to their images 2 (p d) d - p."""
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    found = []
    for degrees in np.arange(4.5, 180, 9):
        along = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        middle = (side - 1) / 2
        images = np.rint(2 * ((places - middle) @ along)[:, None] * along - (places - middle) + middle).astype(int)
        inside = ((images >= 0) & (images < side)).all(axis=1)
        found.append((places[inside], images[inside]))
    return found


DISC = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2


def random_lines(count: int, generator: np.random.Generator, side: int = SIDE) -> NDArray[np.bool_]:
    x, y = np.meshgrid(*[-1 + (np.arange(side) + 0.5) * 2 / side] * 2)
    angle = generator.uniform(0, 2 * np.pi, count)[:, None, None]
    through = generator.uniform(-1, 1, (2, count))[..., None, None]
    return np.asarray(np.cos(angle) * (x - through[0]) + np.sin(angle) * (y - through[1]) > 0)


def corners(side: int) -> NDArray[np.bool_]:
    """Return a layer whose boundaries are most of them where few axes keep them on the slice."""
    x, y = np.meshgrid(*[-1 + (np.arange(side) + 0.5) * 2 / side] * 2)
    return np.stack([*(a * x + b * y > 1.7 - 0.2 * c for a in (-1, 1) for b in (-1, 1) for c in (0, 1)), x > 0.1])


@pytest.mark.parametrize(
    ("states", "off"), [(random_lines(9, np.random.default_rng(5), 128), 0.01), (corners(128), 0.01), (corners(128)[:2], 0.02)]
)
def test_chance_is_the_mean_over_all_points_of_twenty_axes(states: NDArray[np.bool_], off: float) -> None:
    """Fewer points, and a coarser blurred picture, give the same to a hundredth; where axes keep little of it, to two."""
    classes = states[:3].sum(axis=0) % 2
    found = scores(sample_of(states, Field("probability", classes.astype(np.float16), classes=2)))

    edge = np.zeros((128, 128))
    for axis in (1, 2):
        other = np.diff(states, axis=axis).sum(axis=0)
        edge += np.pad(other, [(0, 1) if axis == place else (0, 0) for place in (1, 2)])
        edge += np.pad(other, [(1, 0) if axis == place else (0, 0) for place in (1, 2)])
    far = abs(np.subtract.outer(np.arange(128), np.arange(128)))
    weights = np.where(far <= 8, np.exp(-0.5 * (far / 2.56) ** 2), 0)
    density = weights @ edge @ weights
    near = np.any([np.roll(edge > 0, (down, right), (0, 1)) for down, right in np.argwhere(DISC) - 2], axis=0)

    def alike(one: NDArray[Any], other: NDArray[Any]) -> float:
        return float(np.corrcoef(one, other)[0, 1]) if min(one.std(), other.std()) > 1e-9 else np.nan

    def at(picture: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
        return np.asarray(picture[places[:, 1], places[:, 0]])

    axes = reflections(128)
    for name, want in (
        ("chance/fc", [alike(at(density, one), at(density, other)) for one, other in axes]),
        ("f1_chance/fc", [at(near, other)[at(edge, one) > 0].mean() for one, other in axes if at(edge, one).any()]),
        ("chance/output", [np.mean(at(classes, one) == at(classes, other)) for one, other in axes]),
    ):
        assert found[f"symmetry/{name}"] == pytest.approx(np.nanmean(want), abs=off)
    assert found["symmetry/left_right/fc"] == pytest.approx(np.corrcoef(density.flat, np.fliplr(density).flat)[0, 1], abs=0.005)
    assert found["symmetry/up_down/fc"] == pytest.approx(np.corrcoef(density.flat, np.flipud(density).flat)[0, 1], abs=0.005)


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
    assert got["symmetry/f1_chance/fc"] == pytest.approx(want["symmetry/f1_chance/fc"], rel=1e-12)


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
    for kind in ("", "f1_"):
        assert got[f"symmetry/{kind}left_right/fc"] == pytest.approx(want[f"symmetry/{kind}up_down/fc"])
        assert got[f"symmetry/{kind}up_down/fc"] == pytest.approx(want[f"symmetry/{kind}left_right/fc"])
        assert got[f"symmetry/{kind}chance/fc"] == pytest.approx(want[f"symmetry/{kind}chance/fc"], abs=0.02)


def test_random_lines_are_at_their_chance_level() -> None:
    """The mean over 200 sets of sixteen lines is the chance level's within three standard errors, or 0.02 for the F1."""
    generator = np.random.default_rng(0)
    found = [scores(sample_of(random_lines(16, generator))) for _ in range(200)]
    for axis in ("left_right", "up_down"):
        above = np.array([one[f"symmetry/{axis}/fc"] - one["symmetry/chance/fc"] for one in found])
        assert abs(above.mean()) < 3 * above.std() / np.sqrt(len(above))
        assert above.std() < 0.15
        above_f1 = [one[f"symmetry/f1_{axis}/fc"] - one["symmetry/f1_chance/fc"] for one in found]
        assert abs(np.mean(above_f1)) < 0.02
    assert np.mean([one["symmetry/chance/fc"] for one in found]) > 0.05  # which is not 0
    assert np.mean([one["symmetry/f1_chance/fc"] for one in found]) > 0.5


def test_a_network_of_mirror_images_is_told_from_chance() -> None:
    """Units come in pairs, relu(w x + v y + b) and relu(-w x + v y + b), and the second layer reads both of a pair alike."""
    generator = np.random.default_rng(2)
    above = []
    for _ in range(20):
        v, w, b = generator.uniform(-1, 1, (3, 8, 1, 1))
        first = np.concatenate([w * X + v * Y + b, -w * X + v * Y + b])
        weights = np.tile(generator.normal(size=(8, 8)), 2)
        second = np.einsum("ij,jrc->irc", weights, np.maximum(first, 0)) + generator.normal(size=(8, 1, 1))
        for z in (first, second):
            found = scores(sample_of(z > 0))
            assert found["symmetry/left_right/fc"] > 0.99
            assert found["symmetry/f1_left_right/fc"] > 0.99
        found = scores(sample_of(first > 0))
        above.append([found[f"symmetry/{kind}up_down/fc"] - found[f"symmetry/{kind}chance/fc"] for kind in ("", "f1_")])
        assert found["symmetry/chance/fc"] < 0.8
    assert np.abs(np.mean(above, axis=0)).max() < 0.1


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
    assert len(scores(sample_of(states[2:]))) == 6
    for nothing in (states[2:], states[:0], np.ones((2, 1, 1), bool), np.ones((2, 2, 2), bool)):
        assert all(np.isnan(value) for value in scores(sample_of(nothing)).values())


@pytest.mark.parametrize("side", [3, 5, 31, 33, 65, 100, 127, 130])
def test_any_side_will_do(side: int) -> None:
    """Of a unit with two straight lines that are mirror images, and of a quarter."""
    columns = np.tile(np.arange(side), (side, 1))
    symmetric = (columns >= side // 3) & (columns < side - side // 3)
    found = scores(sample_of(np.stack([symmetric])))
    assert found["symmetry/left_right/fc"] == pytest.approx(1)
    assert found["symmetry/f1_left_right/fc"] == 1
    right = columns >= side // 2
    found = scores(sample_of(np.stack([right & right.T])))
    assert found["symmetry/left_right/fc"] == pytest.approx(found["symmetry/up_down/fc"])


def test_one_point_is_a_boundary() -> None:
    """And its four neighbours; all axes keep them on the slice, and few bring them near."""
    found = scores(sample_of(np.stack([(np.arange(SIDE) == 40) & (np.arange(SIDE)[:, None] == 32)])))
    assert (found["symmetry/f1_left_right/fc"], found["symmetry/f1_up_down/fc"]) == (0, 1)
    assert 0 < found["symmetry/f1_chance/fc"] < 0.2


def test_each_of_many_units_counts() -> None:
    """Upright lines of 256 units outweigh one that lies: more than a byte can count."""
    found = of(*[lambda x, y: x > 0.5] * 256, lambda x, y: y > 0.25)
    assert found["symmetry/left_right/fc"] < 0
    assert found["symmetry/up_down/fc"] > 0.99


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


@pytest.mark.parametrize("odd", [0.1, np.nan, np.inf])
def test_an_output_that_does_not_vary_or_is_not_finite_has_no_symmetry(odd: float) -> None:
    value = np.full((SIDE, SIDE), 0.1, np.float32)
    value[SIDE // 2 - 1, 3] = odd
    found = scores(sample_of(np.stack([X > 0]), Field("value", value)))
    assert np.isnan([found["symmetry/left_right/output"], found["symmetry/up_down/output"]]).all()


@pytest.mark.parametrize("corner", [0.3, 3.2, 6.1, 9])
def test_chance_of_what_no_axis_keeps_on_the_slice_is_unknown(corner: float) -> None:
    """A corner alone differs: what is left is the same number everywhere, and rounding is no likeness."""
    value = np.full((50, 50), 0.1, np.float32)
    value[0, 0] = corner
    found = scores(sample_of(np.ones((1, 50, 50), bool), Field("value", value)))
    assert found["symmetry/left_right/output"] == pytest.approx(-1 / (50**2 - 1))
    assert np.isnan(found["symmetry/chance/output"])


@pytest.mark.parametrize(
    ("labels", "left_right", "up_down", "chance"),
    [
        (np.zeros((4, 6), int), 1, 1, 1),
        (np.array([[0, 1, 0], [0, 1, 0]]), 1, 1, None),
        (np.array([[0, 0, 1, 1], [1, 1, 0, 0]]), 0, 0, None),
        (np.array([[0, 0, 1, 1], [0, 0, 1, 0]]), 0.25, 0.75, None),
        (np.array([[0, -1, 0], [1, 2, 2]]), 3 / 5, 0, None),
        (np.array([[-1, 3], [-1, 3]]), np.nan, 1, None),
        (np.full((5, 5), -1), np.nan, np.nan, np.nan),
    ],
)
def test_the_target_stands_beside(labels: Any, left_right: float, up_down: float, chance: float | None) -> None:
    """By hand. The last but two, left-right: of five points with a label on both sides three are alike.

    They are the ends of the first row, twice 0, and the middle of the second; its ends are 1 and 2.
    """
    sample = replace(sample_of(np.stack([X > 0])), slice=slices.aimed(SQUARE, labels, corners=np.empty((0, 2))))
    for _ in range(2):
        found = scores(sample)
        assert found["symmetry/left_right/target"] == pytest.approx(left_right, nan_ok=True)
        assert found["symmetry/up_down/target"] == pytest.approx(up_down, nan_ok=True)
        if chance is not None:
            assert found["symmetry/chance/target"] == pytest.approx(chance, nan_ok=True)


def test_chance_of_a_target_is_that_of_an_output_that_is_right() -> None:
    """On a grid of its own."""
    field = Field("probability", ((X > 0.2) ^ (Y > X)).astype(np.float16), classes=2)
    x, y = np.meshgrid(-1 + (np.arange(300) + 0.5) / 150, -1 + (np.arange(200) + 0.5) / 100)
    target = slices.aimed(SQUARE, ((x > 0.2) ^ (y > x)).astype(int), corners=np.empty((0, 2)))
    found = scores(replace(sample_of(np.stack([X > 0]), field), slice=target))
    for score in ("left_right", "up_down", "chance"):
        assert found[f"symmetry/{score}/target"] == pytest.approx(found[f"symmetry/{score}/output"], abs=0.02)


def test_a_target_is_mirrored_on_the_slice_not_on_its_own_grid() -> None:
    """One of 30 by 120 points, and the same with each row four times."""
    labels = (np.arange(30)[:, None] > 20) * np.ones((30, 120), int)
    flat, square = (
        scores(replace(sample_of(np.stack([X > 0])), slice=slices.aimed(SQUARE, target, corners=np.empty((0, 2)))))
        for target in (labels, np.repeat(labels, 4, axis=0))
    )
    assert flat["symmetry/chance/target"] == pytest.approx(square["symmetry/chance/target"], abs=0.01)


def test_without_a_target_there_are_no_numbers_of_it() -> None:
    assert not any(name.endswith("/target") for name in scores(replace(sample_of(np.stack([X > 0])), slice=SQUARE)))
