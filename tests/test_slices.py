from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from boundarycb import slices
from boundarycb.types import Slice

NUMBERS = st.floats(-100, 100, allow_nan=False, width=32)


def test_box_lifts_to_itself() -> None:
    plane = slices.box((-1, 1), (0, 2))
    assert plane.input_shape == (2,)
    assert plane.lift(np.array([[0.25, 1.5], [-1, 0]])).tolist() == [[0.25, 1.5], [-1, 0]]
    assert slices.box((0, 1), (0, 1), shape=(1, 2)).lift(np.array([[0.5, 1.0]])).shape == (1, 1, 2)


def test_through_puts_the_anchors_where_it_says() -> None:
    a, b, c = np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 4))
    b[0, 0], c[0, 0], c[2, 1] = 2.0, 1.0, 5.0
    plane = slices.through(a, torch.tensor(b, requires_grad=True), c.tolist(), margin=0.25)
    assert plane.anchors.tolist() == [[0, 0], [2, 0], [1, 5]]
    assert np.allclose(plane.lift(plane.anchors), [a, b, c])
    # Square, around the anchors, a quarter of the longer side (5) wider on each side.
    assert plane.bounds == ((1 - 3.75, 1 + 3.75), (-1.25, 6.25))


@settings(deadline=None)
@given(arrays(np.float64, (3, 5), elements=NUMBERS), arrays(np.float64, (4, 2), elements=NUMBERS))
def test_project_undoes_lift_and_measures_the_way_off(corners: Any, points: Any) -> None:
    spread = np.linalg.svd(corners[1:] - corners[0], compute_uv=False)
    if spread[1] < 1e-3 * max(1.0, spread[0]):
        return
    plane = slices.through(*corners)
    lifted = plane.lift(points)
    back, off = plane.project(lifted)
    scale = 1 + np.abs(corners).max() + np.abs(points).max()
    assert np.allclose(back, points, atol=1e-9 * scale)
    assert np.allclose(off, 0, atol=1e-9 * scale)
    # A push along a direction orthogonal to the plane is the distance, and does not move the projection.
    normal = np.linalg.svd(plane.axes.reshape(2, -1))[2][-1]
    moved, away = plane.project(lifted + 3.0 * normal)
    assert np.allclose(moved, points, atol=1e-8 * scale)
    assert np.allclose(away, 3.0, atol=1e-8 * scale)


def test_nodes_are_pixel_centres_and_borders() -> None:
    us, vs = slices.box((-1, 1), (0, 4)).nodes(4)
    assert us.tolist() == [-1, -0.75, -0.25, 0.25, 0.75, 1]
    assert vs.tolist() == [0, 0.5, 1.5, 2.5, 3.5, 4]


def test_around_survives_constant_and_infinite_data() -> None:
    assert slices.around(np.array([[0.0, 5], [10, 5]])).bounds == ((-1, 11), (0, 10))
    assert slices.around(np.array([[2.0, 3]])).bounds == ((1.5, 2.5), (2.5, 3.5))
    assert slices.around(np.array([[0.0, 0], [1, 1], [np.nan, 0], [np.inf, 1]]), margin=0).bounds == ((0, 1), (0, 1))


def test_a_slice_cannot_be_changed() -> None:
    plane = slices.box((0, 1), (0, 1))
    with pytest.raises(ValueError, match="read-only"):
        plane.origin[0] = 1.0
    source = np.zeros(2)
    kept = Slice(source, np.eye(2), ((0, 1), (0, 1)))
    source[0] = 7.0
    assert kept.origin.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: slices.box((1, 0), (0, 1)), "`u` must be .low, high., two finite numbers with low < high, got .1, 0."),
        (lambda: slices.box((0, 1), (0, np.inf)), "`v` must be"),
        (lambda: slices.box(3, (0, 1)), "`u` must be .low, high., .* got 3"),  # type: ignore[arg-type]
        (lambda: slices.box((0, 1), (0, 1), shape=(3,)), "use `slices.through"),
        (lambda: slices.through([0, 0], [1, 1], [2, 2]), "got three inputs on one line"),
        (lambda: slices.through([0, 0], [0, 0], [2, 2]), "must span a plane"),
        (lambda: slices.through([0, 0], [1, 1], [0, 0, 1]), "must have one shape"),
        (lambda: slices.through([0, 0], [1, np.nan], [0, 1]), "`b` must be one input"),
        (lambda: slices.through([0, 0], [1, 0], [0, 1], margin=-1), "`margin` must be 0 or more"),
        (lambda: slices.around(np.empty((0, 2))), "`points` must be finite"),
        (lambda: Slice(np.zeros(2), np.eye(2), ((1, 0), (0, 1))), "`bounds` must be finite with u0 < u1"),
        (lambda: Slice(np.zeros(2), np.eye(2), 3), "`bounds` must be"),  # type: ignore[arg-type]
        (lambda: Slice(np.zeros(2), np.zeros((2, 2)), ((0, 1), (0, 1))), "not parallel"),
        (lambda: Slice(np.zeros(3), np.eye(2), ((0, 1), (0, 1))), r"shape \(2, 3\)"),
        (lambda: slices.box((0, 1), (0, 1)).lift(np.zeros(2)), r"`points` must have shape \(n, 2\)"),
        (lambda: slices.box((0, 1), (0, 1)).project(np.zeros((1, 3))), r"`inputs` must have shape \(n, 2\)"),
    ],
)
def test_wrong_slices_are_named(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
