"""Which part of a target is missed: known answers, and a slow count of the same."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from models import mlp
from numpy.typing import NDArray
from torch import nn

from boundarycb import Recorder, load, slices
from boundarycb.data import bottle
from boundarycb.metrics.decision import pieces_of
from boundarycb.metrics.target import target_parts
from boundarycb.types import Boundaries, Capture, Field, Layer, Sample, Slice

SQUARE = slices.box((-1, 1), (-1, 1))
LAYER = Layer("fc", "relu", (1,), (0,))
NO_LINES = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (LAYER,))


def sample_of(field: Field | None, plane: Slice | None) -> Sample:
    side = 4 if field is None else len(field.value)
    capture = Capture((LAYER,), side, np.zeros((1, -(-side * side // 8)), np.uint8), field)
    return Sample(capture, NO_LINES, slice=plane)


def of(winners: NDArray[Any], target: Any, plane: Slice = SQUARE) -> Any:
    """Return the numbers where these classes win, of a target on `plane`."""
    field = Field("classes", np.ones(winners.shape, np.float16), winners.astype(np.uint16), classes=9)
    return target_parts(sample_of(field, slices.aimed(plane, target, corners=[])))


def numbers(found: Any) -> tuple[float, float, float]:
    return found["target/accuracy"], found["target/worst_part"], found["target/missed_parts"]


@pytest.mark.parametrize("resolution", [24, 94, 128, 300])
def test_of_a_network_that_is_its_target_all_is_right(tmp_path: Path, resolution: int) -> None:
    """A function is asked at the grid's own points: at others a small area in the middle was read as too large."""
    model: Any = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():  # class 1 where |x1| + |x2| < .121
        model[0].weight.copy_(torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[0.0] * 4, [-1.0] * 4]))
        model[2].bias.copy_(torch.tensor([0.0, 0.121]))
    plane = slices.aimed(SQUARE, lambda inputs: np.abs(inputs).sum(axis=1) < 0.121)
    recorder = Recorder(tmp_path, plane, resolution=resolution)
    recorder.record(model, 0)
    recorder.close()
    last = load(tmp_path)[-1]
    assert (last.metrics["target/accuracy"], last.metrics["target/worst_part"]) == (1, 1)
    assert last.slice.target is not None
    side, odd = last.slice.target.labels.shape[0], {24: 264, 94: 282, 128: 384, 300: 300}
    assert side == odd[resolution]
    assert plane.target is not None
    assert plane.target.labels.shape == (256, 256)  # the user's own slice is what it was


def test_a_slice_with_a_function_for_its_target_can_be_sent_to_another_process() -> None:
    plane = slices.aimed(SQUARE, lambda inputs: inputs[:, 0] > 0)
    again = pickle.loads(pickle.dumps(plane))
    assert np.array_equal(again.target.labels, plane.target.labels)  # type: ignore[union-attr]
    assert again.target.made_for(128) is again.target
    picture = slices.aimed(SQUARE, np.zeros((3, 3), int)).target
    assert picture is not None
    assert picture.made_for(128) is picture


def test_the_bottle_without_its_diamond() -> None:
    """The failure that the papers have: the diamond of 2 * 0.34^2 of 4 is black, nothing else is wrong."""
    target = bottle()[::-1].astype(int)
    rows, columns = np.indices(target.shape) / 100 - 0.995
    output = np.where(abs(columns) + abs(rows + 0.4) < 0.345, 0, target)
    found = of(output, target)
    assert found["target/accuracy"] == pytest.approx(1 - 2 * 0.34**2 / 4, abs=2e-3)
    assert found["target/worst_part"] == 0
    assert found["target/missed_parts"] == 1
    outside, black, diamond = found["target/parts"]
    assert (outside["class"], outside["recall"], black["class"], black["recall"]) == (1, 1, 0, 1)
    assert diamond == {
        "part": 3,
        "class": 1,
        "share": pytest.approx(2 * 0.34**2 / 4, abs=2e-3),
        "u": pytest.approx(0, abs=1e-9),
        "v": pytest.approx(-0.4, abs=1e-9),
        "recall": 0,
    }


def test_two_classes_from_their_chances() -> None:
    """The right half has class 1; it is found at three of four points. Half a chance is not enough."""
    field = Field("probability", np.array([[0.1, 0.9], [0.2, 0.5]], np.float16), classes=2)
    found: Any = target_parts(sample_of(field, slices.aimed(SQUARE, np.array([[0, 1], [0, 1]]))))
    assert numbers(found) == (0.75, 0.5, 0)
    assert [(row["class"], row["recall"]) for row in found["target/parts"]] == [(0, 1), (1, 0.5)]


def test_parts_of_one_class_count_for_themselves() -> None:
    """Two strips of class 1, of which one is missed; the recall of the class is 1/2, and no part has that."""
    target = np.zeros((10, 10), int)
    target[:, [1, 8]] = 1
    output = target.copy()
    output[:, 8] = 0
    found = of(output, target)
    assert numbers(found) == (0.9, 0, 1)
    assert [(row["class"], round(row["share"], 9), row["recall"]) for row in found["target/parts"]] == [
        (0, 0.6, 1),
        (0, 0.1, 1),
        (1, 0.1, 1),
        (1, 0.1, 0),
        (0, 0.1, 1),
    ]


def test_a_recall_of_a_half_is_not_missed() -> None:
    target = np.repeat([[0, 1]], 4, axis=0)
    output = np.array([[0, 1], [0, 1], [0, 0], [0, 0]]).repeat(2, axis=1)
    assert numbers(of(output, target)) == (0.75, 0.5, 0)
    output[1, 2] = 0
    assert numbers(of(output, target)) == (11 / 16, 3 / 8, 1)


def flood(labels: NDArray[Any]) -> list[list[tuple[int, int]]]:
    """Return the pixels of each connected part of one class, one pixel after another."""
    left = set(np.ndindex(*labels.shape))
    found = []
    while left:
        part, waiting = [], [min(left)]
        left.remove(waiting[0])
        while waiting:
            row, column = waiting.pop()
            part.append((row, column))
            for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if other in left and labels[other] == labels[row, column]:
                    left.remove(other)
                    waiting.append(other)
        found.append(part)
    return found


LABELS = arrays(np.int64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=7), elements=st.integers(-1, 2))


@given(LABELS)
def test_pieces_are_those_that_a_flood_finds(labels: NDArray[np.int64]) -> None:
    """Each is named after its first point."""
    want = np.empty(labels.shape, np.int64)
    for part in flood(labels):
        for place in part:
            want[place] = min(row * labels.shape[1] + column for row, column in part)
    assert (pieces_of(labels) == want).all()


def pixel_at(point: int, points: int, pixels: int) -> int:
    """Return the pixel nearest to a grid point: of two, the one nearer to the middle; of two beside the middle, the latter."""
    place = (point + 0.5) / points
    off = [(round(abs((pixel + 0.5) / pixels - place), 9), round(abs((pixel + 0.5) / pixels - 0.5), 9)) for pixel in range(pixels)]
    return max(pixel for pixel in range(pixels) if off[pixel] == min(off))


@settings(max_examples=60)
@given(LABELS, st.sampled_from([1, 2, 4, 5, 6, 8]), st.integers(0, 2**31))
def test_numbers_are_those_of_a_loop_over_points(labels: NDArray[np.int64], side: int, seed: int) -> None:
    output = np.random.default_rng(seed).integers(0, 3, (side, side))
    found = of(output, labels)
    height, width = labels.shape
    nearest = {(i, j): (pixel_at(i, side, height), pixel_at(j, side, width)) for i in range(side) for j in range(side)}
    known = [output[point] == labels[pixel] for point, pixel in nearest.items() if labels[pixel] >= 0]
    assert found["target/accuracy"] == pytest.approx(np.mean(known) if known else np.nan, nan_ok=True)
    parts = [set(part) for part in flood(labels) if labels[part[0]] >= 0]
    recalls = []
    for part in sorted(parts, key=lambda part: (-len(part), min(part))):
        hits = [output[point] == labels[pixel] for point, pixel in nearest.items() if pixel in part]
        recalls.append(float(np.mean(hits)) if hits else np.nan)
    rows = found["target/parts"]
    assert [row["recall"] for row in rows] == pytest.approx(recalls[:20], nan_ok=True)
    seen = [recall for recall in recalls if not np.isnan(recall)]
    assert found["target/worst_part"] == pytest.approx(min(seen, default=np.nan), nan_ok=True)
    assert found["target/missed_parts"] == sum(recall < 0.5 for recall in seen)


@given(LABELS, st.sampled_from([2, 4, 6, 8]))
def test_mirrored_with_the_target_it_is_the_same(labels: NDArray[np.int64], side: int) -> None:
    """Grids of an even number of points: the middle point of others may lie between two pixels."""
    output = np.random.default_rng(5).integers(0, 3, (side, side))
    want = of(output, labels)
    for flip in (np.s_[::-1], np.s_[:, ::-1]):
        assert numbers(of(output[flip], labels[flip])) == pytest.approx(numbers(want), nan_ok=True)


def test_centres_are_in_slice_coordinates() -> None:
    """The lower left quarter of [0, 8] x [10, 14], and the rest: (8 * (4, 12) - 2 * (2, 11)) / 6."""
    target = np.ones((2, 2), int)
    target[0, 0] = 0
    found = of(np.ones((6, 6)), target, slices.box((0, 8), (10, 14)))
    rest, quarter = found["target/parts"]
    assert (quarter["u"], quarter["v"], quarter["share"], quarter["recall"]) == (2, 11, 0.25, 0)
    assert (rest["u"], rest["v"]) == pytest.approx(((4 * 4 - 2) / 3, (4 * 12 - 11) / 3))


def test_small_parts_are_left_out() -> None:
    """Of 400 pixels two are 0.5 %, one is less: it counts for the accuracy only."""
    target = np.zeros((20, 20), int)
    target[5, 5:7] = 1
    target[15, 15] = 2
    assert numbers(of(np.zeros((20, 20)), target)) == (397 / 400, 0, 1)
    target[5, 5:7] = 0
    assert numbers(of(np.zeros((20, 20)), target)) == (399 / 400, 1, 0)


def test_the_table_has_the_twenty_largest() -> None:
    chess = np.kron(np.indices((6, 6)).sum(axis=0) % 2, np.ones((4, 4), int))
    found = of(np.zeros((24, 24)), chess)
    assert [row["part"] for row in found["target/parts"]] == list(range(1, 21))
    assert found["target/missed_parts"] == 18


def test_a_part_between_the_points_has_no_recall() -> None:
    target = np.zeros((9, 9), int)
    target[:, 0] = 1  # the points of a grid of two lie in columns 2 and 6
    found = of(np.zeros((2, 2)), target)
    assert numbers(found) == (1, 1, 0)
    assert np.isnan(found["target/parts"][1]["recall"])


def test_a_class_that_the_output_does_not_have_is_missed() -> None:
    found = target_parts(sample_of(Field("probability", np.full((4, 4), 0.9), classes=2), slices.aimed(SQUARE, np.full((4, 4), 7))))
    assert numbers(found) == (0, 0, 1)


def test_where_no_class_is_wanted_nothing_counts() -> None:
    target = np.full((4, 4), -1)
    found = of(np.zeros((4, 4)), target)
    assert np.isnan(numbers(found)[:2]).all()
    assert (found["target/missed_parts"], found["target/parts"]) == (0, [])
    target[:2] = 0
    assert numbers(of(np.array([[0, 0, 0, 1]] * 2 + [[1] * 4] * 2), target)) == (0.75, 0.75, 0)


def test_without_target_or_classes_there_is_nothing() -> None:
    aimed = slices.aimed(SQUARE, np.zeros((4, 4), int))
    chance = Field("probability", np.zeros((4, 4), np.float16), classes=2)
    assert target_parts(sample_of(chance, None)) == {}
    assert target_parts(sample_of(chance, SQUARE)) == {}
    assert target_parts(sample_of(None, aimed)) == {}
    assert target_parts(sample_of(Field("value", np.zeros((4, 4), np.float32)), aimed)) == {}


def test_in_a_run_of_a_network(tmp_path: Path) -> None:
    """The target is what the network says itself: it has all of it."""
    model = mlp(2, 8, 3)
    first = Recorder(tmp_path / "first", SQUARE, resolution=32, metrics=[], image_size=64)
    first.record(model, 0)
    first.close()
    field = load(tmp_path / "first")[-1].capture.field
    assert field is not None
    plane = slices.aimed(SQUARE, field.winner)
    recorder = Recorder(tmp_path / "run", plane, resolution=32, metrics=[target_parts], image_size=64)
    recorder.record(model, 0)
    recorder.close()
    last = load(tmp_path / "run")[-1]
    assert last.metrics["target/accuracy"] == last.metrics["target/worst_part"] == 1
    assert [row["recall"] for row in last.tables["target/parts"]] == [1.0] * len(last.tables["target/parts"])


def test_points_where_the_output_is_not_finite_do_not_count() -> None:
    """Whatever class their numbers seem to be of."""
    halves = np.zeros((4, 4), np.int64)
    halves[:, 2:] = 1
    chances = np.zeros((4, 4), np.float16)
    chances[:, 2:] = 1
    chances[0] = np.nan
    plane = slices.aimed(slices.box((0, 4), (0, 4)), halves)
    found = dict(target_parts(sample_of(Field("probability", chances, classes=2), plane)))
    assert (found["target/accuracy"], found["target/worst_part"], found["target/missed_parts"]) == (1, 1, 0)
