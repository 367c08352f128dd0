"""Segments of lines: a loop over points, and answers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import distance_to_lines

from boundarycb.metrics import segments
from boundarycb.metrics.segments import _to_all, distances, points_along, segments_of
from boundarycb.types import Floats

PLACES = st.floats(-4, 4).map(lambda value: round(value, 1))  # so that lines have doubled points, and points lie on lines
LINES = st.lists(st.integers(2, 5).flatmap(lambda k: arrays(np.float64, (k, 2), elements=PLACES)), min_size=1, max_size=4)


@given(LINES, arrays(np.float64, (6, 2), elements=PLACES))
def test_distances_are_those_of_a_loop(lines: list[Floats], points: Floats) -> None:
    assert distances(points, segments_of(lines)) == pytest.approx(distance_to_lines(points, lines), abs=1e-12)


def test_more_points_than_fit_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    pieces, points = generator.normal(size=(7, 2, 2)), generator.normal(size=(50, 2))
    whole = distances(points, pieces)
    monkeypatch.setattr(segments, "_PAIRS", 20)  # two points at a time
    assert distances(points, pieces) == pytest.approx(whole, abs=1e-15)


def test_nothing_is_near_no_segment() -> None:
    assert segments_of([]).shape == (0, 2, 2)
    assert (distances(np.zeros((3, 2)), segments_of([])) == np.inf).all()
    assert distances(np.empty((0, 2)), np.zeros((1, 2, 2))).shape == (0,)


@given(LINES, st.floats(0.05, 2))
def test_points_lie_on_the_lines_evenly(lines: list[Floats], spacing: float) -> None:
    pieces = segments_of(lines)
    points = points_along(pieces, spacing)
    length = float(np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1).sum())
    assert distances(points, pieces) == pytest.approx(0, abs=1e-9)
    assert len(points) >= 1
    assert abs(len(points) - length / spacing) <= 1


@pytest.mark.parametrize("count", [1100, 5000])
@pytest.mark.parametrize("reach", [0.01, 0.3, 2.0])
def test_of_many_segments_the_nearest_is_found_too(count: int, reach: float) -> None:
    """Short and long ones, in a corner and everywhere, points on them and far off: as by all pairs."""
    rng = np.random.default_rng(count)
    starts = rng.uniform(-1, 1, (count, 2)) * rng.choice([0.1, 1.0], (count, 1))
    segments = np.stack([starts, starts + rng.uniform(-reach, reach, (count, 2))], axis=1)
    segments[:5, 1] = segments[:5, 0]  # of no length
    points = np.concatenate([rng.uniform(-1.5, 1.5, (200, 2)), segments[:20].mean(axis=1), segments[20:40, 0]])
    assert distances(points, segments) == pytest.approx(_to_all(points, segments), abs=1e-12)


def test_of_many_equal_segments_too() -> None:
    segments = np.zeros((2000, 2, 2)) + 0.5
    assert distances(np.array([[0.5, 0.5], [0.5, 1.5]]), segments).tolist() == [0.0, 1.0]
