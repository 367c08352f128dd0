"""Local complexity: known answers, and a slow count of the same."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from boundarycb.metrics import local_complexity
from boundarycb.types import Boundaries, Capture, Layer, Sample


def sample_of(states: NDArray[np.bool_], undefined: tuple[int, ...] = ()) -> Sample:
    count, side, _ = states.shape
    layer = Layer("fc", "relu", (count,), tuple(range(count)))
    packed = np.packbits(states.reshape(count, -1), axis=1)
    capture = Capture((layer,), side, packed, undefined=np.array(undefined, dtype=np.int64))
    return Sample(capture, Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,)))


def score(states: NDArray[np.bool_], **options: Any) -> Any:
    return local_complexity(sample_of(states), **options)["complexity/local/fc"]


def slowly(states: NDArray[np.bool_], reach: int) -> float:
    """Count at each point, one after another, which units differ at the four ends of a cross."""
    _, side, _ = states.shape
    inner = range(reach, side - reach)
    crossed = [
        any(
            unit[row, column + reach] != other
            for other in (unit[row, column - reach], unit[row + reach, column], unit[row - reach, column])
        )
        for row in inner
        for column in inner
        for unit in states
    ]
    return sum(crossed) / len(inner) ** 2


@given(st.integers(0, 2**32 - 1), st.integers(3, 9), st.integers(1, 4), st.floats(0.05, 0.49))
def test_it_is_what_a_slow_count_gives(seed: int, side: int, units: int, radius: float) -> None:
    states = np.random.default_rng(seed).random((units, side, side)) > 0.6
    reach = min(max(1, round(radius * side)), (side - 1) // 2)
    assert score(states, radius=radius) == pytest.approx(slowly(states, reach))


def test_known_answers() -> None:
    """On [-1, 1] squared, 100 points a side: the line x = 0 is within 0.1 of ten columns, of ninety that are looked at."""
    places = -1 + (np.arange(100) + 0.5) / 50
    x, y = np.meshgrid(places, places)
    assert score(np.stack([x > 0])) == pytest.approx(10 / 90)
    assert score(np.stack([x > 0, x > 0.5, y > 0])) == pytest.approx(30 / 90)
    assert score(np.stack([x > 5])) == 0
    assert score(np.stack([x > 0]), radius=0.1) == pytest.approx(20 / 80)


def test_order_and_sides_of_units_are_no_matter_and_undefined_ones_do_not_count() -> None:
    states = np.random.default_rng(0).random((3, 20, 20)) > 0.5
    assert score(~states[::-1]) == pytest.approx(score(states))
    want = score(states[:2])
    assert local_complexity(sample_of(states, undefined=(2,))) == {"complexity/local/fc": pytest.approx(want)}
    assert np.isnan(local_complexity(sample_of(states, undefined=(0, 1, 2)))["complexity/local/fc"])  # type: ignore[arg-type]


@pytest.mark.parametrize("radius", [0, -1, 0.5, float("nan")])
def test_a_radius_out_of_range_is_named(radius: float) -> None:
    with pytest.raises(ValueError, match="`radius` must be more than 0 and less than 0.5"):
        partial(local_complexity, radius=radius)(sample_of(np.ones((1, 5, 5), bool)))
