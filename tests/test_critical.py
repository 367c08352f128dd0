"""Boundaries against a target's edges and corners: known answers, slow answers, and what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from models import mlp
from numpy.typing import NDArray
from oracles import distance_to_lines

from boundarycb import Recorder, load, slices
from boundarycb.data import bottle
from boundarycb.metrics.critical import critical_points, distance_map
from boundarycb.types import Boundaries, Capture, Floats, Layer, Sample, Slice

SQUARE = slices.box((-1, 1), (-1, 1))
PIXELS = 128
X, Y = np.meshgrid(*[(np.arange(PIXELS) + 0.5) * 2 / PIXELS - 1] * 2)
BENT = [np.array([[-1.0, 0.3], [0.1, 0.4], [0.4, 1.0]]), np.array([[0.5, -1.0], [0.2, -0.2], [-0.4, -0.1], [-1, -0.8]])]


def sample_of(lines: Sequence[Floats], plane: Slice | None, counts: Sequence[int] = (), resolution: int = 128) -> Sample:
    """Return a sample with a line a unit, in layers of `counts` units."""
    units = counts or (len(lines),)
    layers = tuple(Layer(f"layer{k + 1}", "relu", (count,), tuple(range(count))) for k, count in enumerate(units))
    capture = Capture(layers, resolution, np.zeros((sum(units), -(-(resolution**2) // 8)), np.uint8))
    points = np.concatenate(lines) if len(lines) else np.empty((0, 2))
    offsets = np.cumsum([0, *(len(line) for line in lines)])
    return Sample(capture, Boundaries(points, offsets, np.arange(len(lines), dtype=np.int32), layers), slice=plane)


def of(lines: Sequence[Floats], plane: Slice | None, counts: Sequence[int] = (), resolution: int = 128) -> Any:
    return critical_points(sample_of(lines, plane, counts, resolution))


def upright(x: float, low: float = -1, high: float = 1) -> Floats:
    return np.array([[x, low], [x, high]])


@pytest.mark.parametrize(("edge", "boundary"), [(0.25, 0.5), (0.25, -0.75), (0.25, 0.25), (-0.5, 0.25), (0.0, 1.0)])
def test_an_edge_and_a_line_beside_it(edge: float, boundary: float) -> None:
    """The mean of |x - e| over -1 to 1 is (1 + e^2) / 2; 0.5 against 0.25 gives 0.25 / 0.53125 = 0.4706."""
    found = of([upright(boundary)], slices.aimed(SQUARE, (edge < X).astype(int)))
    assert found["critical/edge/layer1"] == pytest.approx(abs(boundary - edge) / ((1 + edge**2) / 2), abs=1e-3)


@pytest.mark.parametrize(
    ("corners", "ratio"),
    [([[0.5, 0.3]], 1), ([[0.0, 0.7]], 0), ([[0.25, 0.0], [-0.25, -1.0], [1.0, 1.0]], 1), ([[-0.25, 0.9]], 0.5)],
)
def test_corners_and_a_line_through_the_middle(corners: list[list[float]], ratio: float) -> None:
    """Points anywhere are 0.5 off the line x = 0."""
    found = of([upright(0)], slices.aimed(SQUARE, (X > 0.25).astype(int), corners=corners))
    assert found["critical/corner/layer1"] == pytest.approx(ratio, rel=0.02, abs=1e-12)


def edges_of(labels: NDArray[np.int64], plane: Slice) -> list[Floats]:
    """Return the sides between pixels of two labels, one after another."""
    height, width = labels.shape
    (u0, u1), (v0, v1) = plane.bounds
    us, vs = np.linspace(u0, u1, width + 1), np.linspace(v0, v1, height + 1)
    found = []
    for row in range(height):
        for column in range(width):
            for down, right in ((0, 1), (1, 0)):
                if row + down < height and column + right < width:
                    pair = labels[row, column], labels[row + down, column + right]
                    if pair[0] != pair[1] and min(pair) >= 0:
                        ends = ((column + right, row + down), (column + 1, row + 1))
                        found.append(np.array([(us[i], vs[j]) for i, j in ends]))
    return found


@pytest.mark.parametrize("plane", [SQUARE, slices.box((-1, 1), (-1, 3))])
def test_bent_lines_and_a_map_are_as_near_as_loops_say(plane: Slice) -> None:
    labels = np.array([[0, 0, 1, 1, 1], [0, 0, 0, 1, 2], [0, -1, 0, 2, 2], [-1, -1, 1, 1, 2]])
    corners = np.array([[0.3, -0.5], [-0.6, 0.4], [0.9, 0.9]])
    found = of(BENT, slices.aimed(plane, labels, corners=corners))
    (u0, u1), (v0, v1) = plane.bounds
    grid = (np.arange(30) + 0.5) / 30
    anywhere = np.stack(np.meshgrid(u0 + grid * (u1 - u0), v0 + grid * (v1 - v0)), axis=-1).reshape(-1, 2)
    along, sides = [], edges_of(labels, plane)
    for line in BENT:
        for a, b in pairwise(line):
            along += list(a + np.arange(0.5, 40 * np.hypot(*(b - a)))[:, None] / (40 * np.hypot(*(b - a))) * (b - a))
    # Between the corners of pixels distances are taken as linear, which they are but near the ends of edges.
    edge = distance_to_lines(np.array(along), sides).mean() / distance_to_lines(anywhere, sides).mean()
    assert found["critical/edge/layer1"] == pytest.approx(edge, rel=0.06)
    corner = distance_to_lines(corners, BENT).mean() / distance_to_lines(anywhere, BENT).mean()
    assert found["critical/corner/layer1"] == pytest.approx(corner, rel=0.03)


@given(
    arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8), elements=st.sampled_from([False, False, True])),
    st.sampled_from([0.25, 1.0, 3.0]),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_distances_on_a_grid_are_those_of_all_pairs(marked: NDArray[np.bool_], across: float, up: float) -> None:
    rows, columns = np.nonzero(marked)
    found = distance_map(marked, across, up)
    for row in range(marked.shape[0]):
        for column in range(marked.shape[1]):
            want = min(np.hypot((rows - row) * up, (columns - column) * across), default=np.nan)
            assert found[row, column] == pytest.approx(want, nan_ok=True)


# ------------------------------------------------------------------------------------------------------ what changes nothing


def bottle_lines(seed: int, kind: str = "point", count: int = 16) -> list[Floats]:
    """Return straight lines across the square, from border to border, through uniform points, or with uniform distances."""
    generator = np.random.default_rng(seed)
    lines: list[Floats] = []
    while len(lines) < count:
        angle = generator.uniform(0, 2 * np.pi)
        normal, way = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        uniform = normal @ generator.uniform(-1, 1, 2)
        offset = {"point": uniform, "even": generator.uniform(-1.5, 1.5), "star": 0.0}[kind] * normal
        ends = np.sort(np.array([(-1 - offset) / way, (1 - offset) / way]), axis=0)
        start, end = ends[0].max(), ends[1].min()
        if start < end:
            lines.append(np.array([offset + start * way, offset + end * way]))
    return lines


BOTTLE = slices.aimed(SQUARE, bottle()[::-1])


def close(found: dict[str, Any], want: dict[str, Any], tolerance: float = 1e-9) -> bool:
    return found.keys() == want.keys() and all(found[name] == pytest.approx(want[name], rel=tolerance) for name in want)


def test_order_and_sides_of_units_are_no_matter() -> None:
    lines = bottle_lines(1)
    assert close(of([line[::-1] for line in lines[::-1]], BOTTLE), of(lines, BOTTLE), 0.01)


def test_mirrored_with_the_target_it_is_the_same() -> None:
    lines = bottle_lines(2)
    target = np.where(X + Y > 0.3, 2, np.where(X > 0.1, 1, 0))
    corners = [[0.1, 0.2], [0.5, -0.3]]
    want = of(lines, slices.aimed(SQUARE, target, corners=corners))
    found = of([line * [-1, 1] for line in lines], slices.aimed(SQUARE, target[:, ::-1], corners=np.array(corners) * [-1, 1]))
    for name in ("edge", "edge_chance", "corner"):
        assert found[f"critical/{name}/layer1"] == pytest.approx(want[f"critical/{name}/layer1"], rel=1e-6)


def test_lengths_are_the_inputs_not_the_slices_coordinates() -> None:
    """Twice the axes and half the coordinates are the same plane; so is one that is three times as large."""
    lines, corners, labels = BENT, np.array([[0.2, 0.4]]), np.where(X > 0.25, 1, 0)
    want = of(lines, slices.aimed(SQUARE, labels, corners=corners))
    wide = Slice(np.zeros(2), np.diag([2.0, 1.0]), ((-0.5, 0.5), (-1, 1)))
    assert close(of([line * [0.5, 1] for line in lines], slices.aimed(wide, labels, corners=corners * [0.5, 1])), want)
    large = slices.box((-3, 3), (-3, 3))
    assert close(of([line * 3 for line in lines], slices.aimed(large, labels, corners=corners * 3)), want)
    moved, by = slices.box((9, 11), (4, 6)), np.array([10.0, 5.0])
    assert close(of([line + by for line in lines], slices.aimed(moved, labels, corners=corners + by)), want)


def test_of_two_sides_the_shorter_counts_as_short() -> None:
    """On [0, 8] x [0, 1] a boundary y = 1 is 0.5 off the edge y = 0.5, as points anywhere are 0.25: 2, whatever the width."""
    plane = slices.aimed(slices.box((0, 8), (0, 1)), (Y > 0).astype(int), corners=[[4.0, 0.5]])
    found = of([np.array([[0.0, 1.0], [8.0, 1.0]])], plane)
    assert found["critical/edge/layer1"] == pytest.approx(2)
    assert found["critical/corner/layer1"] == pytest.approx(1, rel=0.02)  # 0.5 off, and points anywhere too
    # x = 5 against a corner at x = 4: 1 off, and points anywhere (25 / 2 + 9 / 2) / 8 = 2.125.
    assert of([upright(5, 0, 1)], plane)["critical/corner/layer1"] == pytest.approx(1 / 2.125, rel=0.02)


def test_each_layer_has_its_own() -> None:
    lines = [upright(0.5), upright(0.25), upright(-0.25)]
    plane = slices.aimed(SQUARE, (X > 0.25).astype(int), corners=[[0.25, 0.5]])
    found = of(lines, plane, (1, 2))
    assert close({name: value for name, value in found.items() if name.endswith("layer1")}, of(lines[:1], plane))
    alone = {name.replace("layer1", "layer2"): value for name, value in of(lines[1:], plane).items()}
    assert close({name: value for name, value in found.items() if name.endswith("layer2")}, alone)


def test_a_finer_grid_sees_the_same() -> None:
    coarse, fine = (of(bottle_lines(3), BOTTLE, resolution=resolution) for resolution in (64, 256))
    assert close(coarse, fine, 0.01)


# -------------------------------------------------------------------------------------------------------------------- chance


def level(values: list[Any], one: str, other: str | None) -> tuple[float, float]:
    """Return the mean of a number, less another one, and its standard error."""
    less = np.array([found[f"critical/{one}/layer1"] - (found[f"critical/{other}/layer1"] if other else 0) for found in values])
    return float(less.mean()), float(less.std() / np.sqrt(len(less)))


@pytest.mark.parametrize(("kind", "low", "high"), [("even", 0.98, 1.02), ("point", 0.90, 0.95), ("star", 0.76, 0.81)])
def test_random_lines_are_at_their_chance_level(kind: str, low: float, high: float) -> None:
    """Lines spread evenly over directions and distances have 1; lines through uniform points are dense in the middle."""
    found = [of(bottle_lines(seed, kind), BOTTLE) for seed in range(150)]
    assert low < level(found, "edge", None)[0] < high
    for number in ("edge", "corner"):
        above, error = level(found, number, f"{number}_chance")
        assert abs(above) < 3.5 * error
        assert error < 0.03


def test_a_round_target_is_as_near_as_it_is_by_chance() -> None:
    """Turned about the middle it is itself; and corners in the middle stay there."""
    found = of(bottle_lines(4), slices.aimed(SQUARE, (np.hypot(X, Y) < 0.5).astype(int), corners=[[0, 0]]))
    assert found["critical/edge_chance/layer1"] == pytest.approx(found["critical/edge/layer1"], rel=0.01)
    assert found["critical/corner_chance/layer1"] == pytest.approx(found["critical/corner/layer1"])


def test_lines_on_the_edge_are_far_below_chance() -> None:
    ring = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])
    found = of([ring], slices.aimed(SQUARE, (np.maximum(abs(X), abs(Y)) < 0.5).astype(int)))
    assert found["critical/edge/layer1"] == pytest.approx(0, abs=1e-9)
    assert found["critical/edge_chance/layer1"] > 0.2
    assert found["critical/corner/layer1"] < 0.02  # corners are found to a pixel
    # A corner at a radius of 0.707, turned by up to an eighth of a turn, is up to 0.207 off the ring.
    assert 0.2 < found["critical/corner_chance/layer1"] < 0.6


def test_of_corners_that_leave_the_slice_when_turned_nothing_is_known() -> None:
    found = of([upright(0)], slices.aimed(SQUARE, (X > 0).astype(int), corners=[[1, 1]]))
    assert np.isnan(found["critical/corner_chance/layer1"])
    assert found["critical/corner/layer1"] == pytest.approx(2, rel=0.02)


# ------------------------------------------------------------------------------------------------------------------- nothing


def test_without_a_target_there_is_nothing() -> None:
    assert of(BENT, None) == {}
    assert of(BENT, SQUARE) == {}


def test_undefined_numbers_are_nan() -> None:
    edged, corner = (X > 0.25).astype(int), [[0.25, 0.5]]
    assert all(np.isnan(value) for value in of([], slices.aimed(SQUARE, edged, corners=corner), (3,)).values())
    assert all(np.isnan(value) for value in of([upright(0)], slices.aimed(SQUARE, edged * 0)).values())
    uncornered = of([upright(0)], slices.aimed(SQUARE, edged))
    assert np.isnan([uncornered[f"critical/{name}/layer1"] for name in ("corner", "corner_chance")]).all()
    assert uncornered["critical/edge/layer1"] > 0


def test_no_edge_runs_beside_what_has_no_label() -> None:
    """Without the strip of -1 the edge would be x = 0.5; the one that counts is x = -0.5."""
    labels = np.where(X < -0.5, 0, np.where(X < 0.5, 1, -1))
    found = of([upright(-0.5)], slices.aimed(SQUARE, labels))
    assert found["critical/edge/layer1"] == pytest.approx(0, abs=1e-9)
    assert of([upright(0.5)], slices.aimed(SQUARE, labels))["critical/edge/layer1"] == pytest.approx(1 / 0.625)


def test_units_without_a_state_count_for_nothing() -> None:
    plane = slices.aimed(SQUARE, (X > 0.25).astype(int), corners=[[0.25, 0.5]])
    sample = sample_of([upright(0.25), upright(0.9)], plane)
    found = critical_points(replace(sample, now=replace(sample.now, undefined=np.array([1]))))
    assert found["critical/edge/layer1"] == pytest.approx(0, abs=1e-9)
    assert critical_points(sample)["critical/edge/layer1"] == pytest.approx(0.325 / 0.53125, rel=0.02)


def test_in_a_run_of_a_network(tmp_path: Path) -> None:
    """Of layers of straight and of bent lines, exact and traced: the same to the grid's width."""
    values = []
    for engine in ("exact", "grid"):
        recorder = Recorder(tmp_path / engine, BOTTLE, resolution=96, metrics=[critical_points], image_size=64, engine=engine)
        recorder.record(mlp(2, 12, 8, 2, seed=3), 0)
        recorder.close()
        values.append(dict(load(tmp_path / engine)[-1].metrics))
    assert {name.split("/")[1] for name in values[0]} == {"edge", "edge_chance", "corner", "corner_chance"}
    assert close(values[0], values[1], 0.03)
