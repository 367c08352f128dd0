from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import distance_to_lines

from boundarycb.engines.polylines import chain, simplify


def by_walking(start: list[int], end: list[int]) -> list[list[int]]:
    """Return the chains, found by walking from segment to segment."""
    after = {key: index for index, key in enumerate(start)}
    reached = {after[key] for key in end if key in after}
    heads = [index for index in range(len(start)) if index not in reached]
    chains, seen = [], set()
    for head in heads + list(range(len(start))):
        if head in seen:
            continue
        walk = []
        index: int | None = head
        while index is not None and index not in seen:
            seen.add(index)
            walk.append(index)
            index = after.get(end[index])
        chains.append(walk)
    return chains


@settings(deadline=None)
@given(st.data())
def test_chains_are_those_of_walking(data: Any) -> None:
    count = data.draw(st.integers(1, 40))
    start = data.draw(st.lists(st.integers(0, 50), min_size=count, max_size=count, unique=True))
    end = data.draw(st.lists(st.integers(0, 50), min_size=count, max_size=count, unique=True))
    order, lengths = chain(np.array(start), np.array(end))
    got = [part.tolist() for part in np.split(order, np.cumsum(lengths)[:-1])]
    assert sorted(got) == sorted(by_walking(start, end))


def test_no_segments_make_no_chain() -> None:
    order, lengths = chain(np.empty(0, np.int64), np.empty(0, np.int64))
    assert (len(order), len(lengths)) == (0, 0)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 63, 64, 65, 5000])
def test_cycles_of_every_length_stay_whole(count: int) -> None:
    order, lengths = chain(np.arange(count), (np.arange(count) + 1) % count)
    assert lengths.tolist() == [count]
    assert order.tolist() == list(range(count))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2))
def test_dropped_points_lie_within_the_tolerance(seed: int, tolerance: float) -> None:
    generator = np.random.default_rng(seed)
    sizes = generator.integers(2, 30, 4)
    points = np.cumsum(generator.normal(size=(int(sizes.sum()), 2)) * generator.choice([0.0, 1.0], (int(sizes.sum()), 1)), axis=0)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    kept, new_offsets, lines = simplify(points, offsets, tolerance)
    for place, line in enumerate(lines):
        old = points[offsets[line] : offsets[line + 1]]
        new = points[kept[new_offsets[place] : new_offsets[place + 1]]]
        assert np.array_equal(new[[0, -1]], old[[0, -1]])
        assert distance_to_lines(old, [new]).max() <= tolerance + 1e-12
    for line in set(range(4)) - set(lines.tolist()):
        old = points[offsets[line] : offsets[line + 1]]
        assert np.abs(old - old[0]).max() <= 2 * tolerance + 1e-12


def test_a_gentle_curve_keeps_its_shape() -> None:
    """Each point lies nearly on its neighbours' segment, so a test of neighbours alone would drop all of them."""
    angle = np.linspace(0, 1, 2000)
    points = 1000 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    kept, _, _ = simplify(points, np.array([0, len(points)]), 0.1)
    assert len(kept) > 10
    assert distance_to_lines(points[::40], [points[kept]]).max() <= 0.1
