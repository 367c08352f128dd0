"""How a slice gets a target: its labels, and the corners that are found in them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from boundarycb import slices, wire
from boundarycb.corners import find_corners
from boundarycb.data import bottle
from boundarycb.types import Floats, Slice

SQUARE = slices.box((-1, 1), (-1, 1))


def grid(height: int, width: int = 0) -> tuple[Floats, Floats]:
    """Return the pixel centres of a map, in pixels."""
    x, y = np.meshgrid(np.arange(width or height) + 0.5, np.arange(height) + 0.5)
    return x, y


def polygon(sides: int, size: int, turn: float, radius: float) -> tuple[NDArray[np.int64], Floats]:
    """Return a map of a regular polygon, its middle off the pixels' centres, and its corners, in pixels."""
    x, y = grid(size)
    middle = size / 2 + 0.3
    angles = turn + 2 * np.pi * np.arange(sides) / sides
    corners = middle + radius * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    inside = np.ones(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0
    return inside.astype(np.int64), corners


def apart(found: Floats, wanted: Floats, size: int) -> float:
    """Return how many pixels the farthest wanted corner is off a found one; infinite where there are more or fewer."""
    if len(found) != len(wanted):
        return float("inf")
    return float(np.linalg.norm(found[:, None] * size - wanted, axis=2).min(axis=0).max())


@pytest.mark.parametrize("size", [80, 128, 256])
@pytest.mark.parametrize("radius", [0.2, 0.4])
@pytest.mark.parametrize("sides", [3, 4, 5])
def test_corners_of_polygons(sides: int, radius: float, size: int) -> None:
    """In seven positions; those with narrow angles are found as well as those with wide ones."""
    for turn in np.linspace(0, 2 * np.pi / sides, 7):
        labels, corners = polygon(sides, size, turn, radius)
        assert apart(find_corners(labels), corners, size) < 2.1


@pytest.mark.parametrize(("size", "radius"), [(256, 0.1), (256, 0.25), (256, 0.4), (160, 0.2), (160, 0.4)])
def test_a_circle_has_none(size: int, radius: float) -> None:
    x, y = grid(size)
    for middle in (size / 2, size / 2 + 0.4):
        assert len(find_corners((np.hypot(x - middle, y - size / 2) < radius * size).astype(int))) == 0


@pytest.mark.parametrize("size", [40, 64, 128, 256])
def test_straight_edges_have_none(size: int) -> None:
    """At any slope, also where they meet the border."""
    x, y = grid(size)
    for angle in np.linspace(0, np.pi, 31):
        assert len(find_corners((np.cos(angle) * (x - size / 2) + np.sin(angle) * (y - 0.47 * size) > 0).astype(int))) == 0


def test_two_classes_alike_have_none() -> None:
    assert find_corners(np.zeros((128, 128), np.int64)).shape == (0, 2)


@pytest.mark.parametrize("size", [128, 256])
def test_where_three_classes_meet_there_is_one(size: int) -> None:
    """Three equal angles, and an edge that ends at a straight one."""
    x, y = grid(size)
    x0, y0 = 0.4 * size, 0.55 * size
    ended = np.where(x < x0, 0, np.where(y < y0, 1, 2))
    equal = np.digitize(np.arctan2(y - y0, x - x0), [-np.pi / 2, np.pi / 6, np.pi * 5 / 6]) % 3
    for labels in (ended, equal):
        assert apart(find_corners(labels), np.array([[x0, y0]]), size) < 2.5


def test_numbers_of_classes_are_no_matter() -> None:
    labels, _ = polygon(4, 128, 0.3, 0.3)
    assert (find_corners(labels * 40 + 7) == find_corners(labels)).all()
    assert find_corners(1 - labels) == pytest.approx(find_corners(labels))


def test_turned_by_a_quarter_corners_turn_along() -> None:
    labels, _ = polygon(3, 128, 0.2, 0.35)
    found = find_corners(np.rot90(labels).copy())  # the last column becomes the first row
    want = np.stack([find_corners(labels)[:, 1], 1 - find_corners(labels)[:, 0]], axis=1)
    assert apart(found, want * 128, 128) < 0.5


def test_the_papers_bottle() -> None:
    """Of the diamond, the body's foot, the shoulders' neck and the lip, from how it is drawn."""
    right = [(0.34, -0.4), (0.56, -0.9), (0.18, 0.36), (0.22, 0.83)]
    wanted = np.array([(0, -0.06), (0, -0.74), *right, *((-u, v) for u, v in right)])
    for size in (100, 128, 200, 256):
        found = slices.aimed(SQUARE, bottle(size)[::-1]).target
        assert found is not None
        assert apart((found.corners + 1) / 2, (wanted + 1) / 2 * size, size) <= 2


def test_what_has_no_label_has_no_corners() -> None:
    """Nor do edges near to it; a corner farther off has its place still."""
    x, y = grid(128)
    beyond = np.where((x > 50) & (y > 50), -1, np.where(x < 90, 0, 1))
    assert len(find_corners(beyond)) == 0
    labels = np.where((x > 60) & (y > 60), 1, 0)
    labels[:20] = -1
    assert apart(find_corners(labels), np.array([[60.0, 60.0]]), 128) < 2
    labels[62:] = -1  # its disc has no more than a part of what it would need
    assert len(find_corners(labels)) == 0


@given(arrays(np.int64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14), elements=st.integers(-1, 2)))
def test_tiny_maps_are_no_error(labels: NDArray[np.int64]) -> None:
    found = find_corners(labels)
    assert found.shape[1] == 2
    assert ((found > 0) & (found < 1)).all()
    if min(labels.shape) < 9:
        assert len(found) == 0  # no disc of four pixels fits


def test_a_map_that_is_wider_than_high() -> None:
    x, y = grid(60, 240)
    found = find_corners(np.where((abs(x - 120) < 60) & (abs(y - 30) < 15), 1, 0))
    assert sorted(found.round(2).tolist()) == [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]]


# ---------------------------------------------------------------------------------------------------------------- the slice


def target_of(plane: Slice) -> Any:
    assert plane.target is not None
    return plane.target


def test_a_map_is_kept_as_it_is_and_its_corners_are_placed() -> None:
    """A square of 64 of 128 pixels, on [2, 6] x [-1, 0]."""
    x, y = grid(128)
    labels = ((abs(x - 64) < 32) & (abs(y - 32) < 16)).astype(np.uint8)
    target = target_of(slices.aimed(slices.box((2, 6), (-1, 0)), labels))
    assert target.labels.dtype == np.int64
    assert (target.labels == labels).all()
    assert not target.labels.flags.writeable
    assert sorted(target.corners.round(1).tolist()) == [[3, -0.9], [3, -0.6], [5, -0.9], [5, -0.6]]
    assert labels.flags.writeable


def test_tensors_and_truths_are_labels_too() -> None:
    assert target_of(slices.aimed(SQUARE, torch.tensor([[0, 1], [2, -1]]))).labels.tolist() == [[0, 1], [2, -1]]
    assert target_of(slices.aimed(SQUARE, [[True, False], [False, True]])).labels.tolist() == [[1, 0], [0, 1]]


def test_everything_else_of_the_slice_stays() -> None:
    plane = slices.marked(slices.through([0.0, 0, 0], [1, 0, 0], [0, 1, 0], names=("a", "b", "c")), np.zeros((2, 3)))
    aimed = slices.aimed(plane, np.zeros((3, 3), int))
    assert (aimed.bounds, aimed.names, aimed.anchor_names, aimed.marks) == (
        plane.bounds,
        plane.names,
        plane.anchor_names,
        plane.marks,
    )
    assert plane.target is None


def test_a_function_is_asked_at_pixel_centres_of_the_slice() -> None:
    """On a plane in three dimensions, turned, so that the class depends on the inputs and not on u and v."""
    plane = slices.through([1.0, 1, 0], [1, 1, 5], [4, 5, 0])
    seen: list[Floats] = []

    def rule(inputs: Floats) -> NDArray[np.int64]:
        seen.append(inputs)
        return np.where(inputs[:, 2] > 2, 2, np.where(inputs[:, 0] > 2.5, 1, 0))

    target = target_of(slices.aimed(plane, rule))
    (u0, u1), (v0, v1) = plane.bounds
    u, v = np.meshgrid(u0 + (np.arange(256) + 0.5) / 256 * (u1 - u0), v0 + (np.arange(256) + 0.5) / 256 * (v1 - v0))
    assert (target.labels == np.where(u > 2, 2, np.where(v > 2.5, 1, 0))).all()  # (4, 5, 0) is 5 off the first, 3 of it in x
    assert np.concatenate(seen).shape == (256 * 256, 3)
    assert target.corners == pytest.approx(np.array([[2.0, 2.5]]), abs=0.05)


def test_of_large_inputs_a_function_gets_a_part_at_a_time() -> None:
    """No part has more than four million numbers; what it says stands in its place."""
    zeros = np.zeros((3, 16, 16))
    right, up = zeros.copy(), zeros.copy()
    right[0, 0, 0] = up[1, 1, 1] = 1
    sizes = []

    def rule(inputs: Floats) -> NDArray[np.bool_]:
        sizes.append(inputs.size)
        return inputs[:, 0, 0, 0] > inputs[:, 1, 1, 1]

    labels = target_of(slices.aimed(slices.through(zeros, right, up), rule)).labels
    assert len(sizes) > 10
    assert max(sizes) <= 2**22
    assert sum(sizes) == 256 * 256 * 768
    x, y = grid(256)
    assert (labels == (x > y)).all()


def test_corners_of_ones_own() -> None:
    labels = np.zeros((64, 64), int)
    labels[20:40, 20:40] = 1
    assert target_of(slices.aimed(SQUARE, labels, corners=[[0.5, -1], [0, 0]])).corners.tolist() == [[0.5, -1], [0, 0]]
    assert target_of(slices.aimed(SQUARE, labels, corners=torch.tensor([[0.5, 0.25]]))).corners.tolist() == [[0.5, 0.25]]
    assert target_of(slices.aimed(SQUARE, labels, corners=[])).corners.shape == (0, 2)
    off = [[0.5, 1.5], [-2, 0], [0, 0.5], [1, 1]]
    assert target_of(slices.aimed(SQUARE, labels, corners=off)).corners.tolist() == [[0, 0.5], [1, 1]]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (np.zeros((4, 4)), r"`target` must be classes \(h, w\), whole numbers, .* got float64 \(4, 4\)"),
        (np.zeros(4, int), r"`target` must be classes \(h, w\), .* got int64 \(4,\)"),
        (np.zeros((1, 4), int), r"got int64 \(1, 4\)"),
        (np.full((4, 4), -2), "`target` must be classes of 0 or more, -1 where there is none, got -2"),
        (lambda inputs: inputs[:, 0], r"`target` must be classes .* got float64 \(256, 256\)"),
        (lambda inputs: np.zeros(3, int), r"`target` must give one class an input, \(65536,\), got \(3,\)"),
        (lambda inputs: np.zeros((len(inputs), 1), int), r"one class an input, \(65536,\), got \(65536, 1\)"),
    ],
)
def test_what_is_no_target_is_told(target: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        slices.aimed(SQUARE, target)


@pytest.mark.parametrize("corners", [[0.5, 0.5], [[1, 2, 3]], [[np.nan, 0]], [[[0, 0]]]])
def test_what_is_no_corner_is_told(corners: Any) -> None:
    with pytest.raises(ValueError, match=r"`corners` must be finite slice coordinates \(K, 2\), got shape"):
        slices.aimed(SQUARE, np.zeros((4, 4), int), corners=corners)


@pytest.mark.parametrize("corners", [None, [], [[0.25, 0.5], [-1, 1]]])
def test_a_history_keeps_the_target(corners: Any) -> None:
    labels, _ = polygon(4, 64, 0.2, 0.3)
    labels[:3] = -1
    plane = slices.aimed(slices.box((-1, 2), (-3, 4)), labels, corners=corners)
    record = wire.read_record(io.BytesIO(wire.encode_run(plane)))
    assert record is not None
    read, want = target_of(wire.decode_run(record)), target_of(plane)
    assert (read.labels == want.labels).all()
    assert read.labels.dtype == np.int64
    assert (read.corners == want.corners).all()
    assert read.corners.shape == want.corners.shape
    without = wire.read_record(io.BytesIO(wire.encode_run(SQUARE)))
    assert without is not None
    assert wire.decode_run(without).target is None
