"""The distance between boundaries: lines by hand, and a loop over points."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from models import linear_units, mlp
from oracles import distance_to_lines

from boundarycb import find_boundaries, metrics, slices
from boundarycb.types import Boundaries, Layer

SQUARE = slices.box((-1, 1), (-1, 1))


@pytest.mark.parametrize(
    ("one", "other", "mean", "far"),
    [
        ((1, 0, 0), (1, 0, -0.25), 0.125, 0.125),  # x = 0 and x = .25: an eighth of the side
        ((1, 0, 0), (-3, 0, 0.75), 0.125, 0.125),  # whichever side is on, in whichever scale
        ((1, 1, 0.2), (-2, -2, -0.4), 0, 0),
        ((1, 0, 0), (0, 1, 0), 0.25, 0.475),  # a cross: 0 to 1/2, evenly
    ],
)
def test_lines_by_hand(one: tuple[float, float, float], other: tuple[float, float, float], mean: float, far: float) -> None:
    lines = find_boundaries(linear_units(one, other), SQUARE)
    assert metrics.boundary_distance(lines, SQUARE, "0", 0, 1) == pytest.approx((mean, far), abs=2e-3)
    assert metrics.boundary_distance(lines, SQUARE, "0", 0, 0) == pytest.approx((0, 0), abs=1e-12)


def test_shares_of_the_side_whatever_its_length() -> None:
    plane = slices.box((-4, 4), (10, 11))
    lines = find_boundaries(linear_units((1, 0, 0), (1, 0, -1)), plane)
    assert metrics.boundary_distance(lines, plane, "0", 0, 1) == pytest.approx((0.125, 0.125), abs=1e-6)


def test_bent_boundaries_are_as_far_apart_as_a_loop_says() -> None:
    lines = find_boundaries(mlp(2, 8, 6, 1), SQUARE, resolution=32)
    owners = [unit.index for unit in lines.units if unit.layer == "2" and lines.of("2", unit.index)][:2]
    one, other = (lines.of("2", index) for index in owners)
    dense = [
        np.concatenate([a + np.linspace(0, 1, 9)[:-1, None] * (b - a) for line in part for a, b in pairwise(line)])
        for part in (one, other)
    ]
    expected = np.mean([distance_to_lines(dense[0], other).mean(), distance_to_lines(dense[1], one).mean()]) / 2  # sides of 2
    assert metrics.boundary_distance(lines, SQUARE, "2", *owners)[0] == pytest.approx(expected, rel=0.1)


def test_without_a_boundary_there_is_no_distance() -> None:
    lines = find_boundaries(linear_units((1, 0, 0), (1, 0, 9)), SQUARE)
    assert np.isnan(metrics.boundary_distance(lines, SQUARE, "0", 0, 1)).all()
    with pytest.raises(KeyError, match="Unit 7 of layer"):
        metrics.boundary_distance(lines, SQUARE, "0", 0, 7)


def test_it_is_the_mean_of_both_ways() -> None:
    """A short line is near all of a long one's middle, but the long one's ends are far from it."""
    layer = Layer("fc", "relu", (2,), (0, 1))
    points = np.array([[0.0, -1.0], [0.0, 1.0], [0.5, -1.0], [0.5, 0.0]])
    lines = Boundaries(points, np.array([0, 2, 4]), np.array([0, 1]), (layer,))
    one, other = (metrics.boundary_distance(lines, SQUARE, "fc", *pair)[0] for pair in ((0, 1), (1, 0)))
    assert one == other
    assert one > 0.25 * 1.05  # from the short one alone it is 0.5 of 2
