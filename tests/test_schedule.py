from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import mlp

from boundarycb import Recorder, slices, watch
from boundarycb.schedule import EARLY, GINN_STEPS, Pace, at, bursts, every, log_spaced, resolve


def sampled(due: Any, visits: list[int]) -> list[int]:
    return [step for previous, step in pairwise(visits) if due(previous, step)]


def test_every_samples_multiples() -> None:
    assert sampled(every(3), list(range(11))) == [3, 6, 9]


def test_skipped_steps_are_not_lost() -> None:
    assert sampled(every(10), [0, 7, 14, 21, 35, 39]) == [14, 21, 35]
    assert sampled(at([5, 6, 30]), [0, 7, 14, 40]) == [7, 40]


@given(st.integers(1, 4), st.integers(0, 30), st.lists(st.integers(0, 500), unique=True, min_size=2))
def test_a_pace_is_at_of_its_points(early: int, more: int, visits: list[int]) -> None:
    pace, visits = Pace(early, early + more), sorted(visits)
    points = [early * (number + 1) for number in range(EARLY)] + list(range(EARLY * early + pace.late, 501, pace.late))
    assert sampled(pace.schedule(), visits) == sampled(at(points), visits)


@given(st.integers(1, 50), st.lists(st.integers(0, 500), unique=True, min_size=2))
def test_every_is_at_of_its_multiples(n: int, visits: list[int]) -> None:
    visits = sorted(visits)
    assert sampled(every(n), visits) == sampled(at(range(n, 501, n)), visits)


def test_ginn_schedule_is_the_papers() -> None:
    assert len(GINN_STEPS) == 431
    assert sum(step < 1000 for step in GINN_STEPS) == 189
    assert (GINN_STEPS[0], GINN_STEPS[49], GINN_STEPS[50], GINN_STEPS[-1]) == (0, 49, 50, 1_270_000)


def test_log_schedule_is_dense_early() -> None:
    steps = sampled(log_spaced(), list(range(10_001)))
    assert steps[:9] == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert len(steps) == 54
    assert steps[-1] == 10_000


def test_resolve_understands_every_kind() -> None:
    assert sampled(resolve(), [0, 99, 100]) == [100]
    assert sampled(resolve(7), list(range(15))) == [7, 14]
    assert sampled(resolve(schedule=[3, 1]), list(range(5))) == [1, 3]
    assert sampled(resolve(schedule=range(0, 9, 4)), list(range(9))) == [4, 8]
    assert sampled(resolve(schedule=np.array([2, 4])), list(range(9))) == [2, 4]  # type: ignore[arg-type]
    assert sampled(resolve(schedule="ginn"), [0, 1, 51, 52]) == [1, 51, 52]
    assert sampled(resolve(schedule="log"), [0, 1, 2]) == [1, 2]
    assert sampled(resolve(schedule=lambda previous, step: step == 2), [0, 1, 2, 3]) == [2]


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"every_n_steps": 0}, ValueError, "`every_n_steps` must be a whole number of optimiser steps, 1 or more, got 0"),
        ({"every_n_steps": 2.5}, ValueError, "got 2.5"),
        ({"every_n_steps": True}, ValueError, "got True"),
        ({"every_n_steps": 5, "schedule": "log"}, ValueError, "not both"),
        ({"schedule": "often"}, TypeError, "`schedule` must be"),
        ({"schedule": 5}, TypeError, "`schedule` must be"),
        ({"schedule": [1, -2]}, ValueError, "got -2"),
        ({"schedule": [1.5]}, ValueError, "got 1.5"),
    ],
)
def test_wrong_schedules_are_named(arguments: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words.replace("(", r"\(")):
        resolve(**arguments)


# ------------------------------------------------------------------------------------------------------------------ bursts


def test_bursts_go_on_for_two_steps() -> None:
    steps = list(range(31))
    assert sampled(bursts(every(10)), steps) == [10, 11, 12, 20, 21, 22, 30]
    assert sampled(bursts([5, 20]), steps) == [5, 6, 7, 20, 21, 22]
    assert sampled(bursts([5, 6, 9]), steps) == [5, 6, 7, 8, 9, 10, 11]
    assert sampled(bursts(np.array([5])), steps) == [5, 6, 7]  # type: ignore[arg-type]
    assert sampled(bursts("log"), steps)[:14] == [*range(1, 15)]
    assert sampled(bursts("ginn"), [*range(100, 112)]) == [101, 102, 105, 106, 107, 108, 109, 110, 111]
    assert sampled(bursts([5, 20], length=2), steps) == [5, 6, 20, 21]
    assert sampled(bursts([5, 20], 1), steps) == [5, 20]
    assert sampled(bursts(lambda previous, step: previous < 7 <= step), steps) == [7, 8, 9]


def test_step_0_is_a_point_where_it_is_listed() -> None:
    assert sampled(bursts([0, 9]), list(range(13))) == [1, 2, 9, 10, 11]
    assert sampled(bursts([9]), list(range(13))) == [9, 10, 11]
    assert sampled(bursts("ginn"), list(range(4))) == [1, 2, 3]


def test_a_burst_is_asked_of_no_step_before_the_first() -> None:
    asked: list[tuple[int, int]] = []

    def due(previous: int, step: int) -> bool:
        asked.append((previous, step))
        return False

    assert sampled(bursts(due, 4), [0, 1, 2, 9]) == []
    assert asked == [(0, 1), (1, 2), (0, 1), (2, 9), (1, 8), (0, 7), (0, 6)]


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=5),
    st.integers(1, 5),
    st.lists(st.integers(0, 80), unique=True, min_size=2).map(sorted),
)
def test_bursts_are_at_their_points_and_the_steps_after(points: list[int], length: int, visits: list[int]) -> None:
    """Whatever steps are skipped: a visit is due where a point, or a step after one, was reached since the last visit."""
    wanted = {point + k for point in points for k in range(length)}
    expected = [step for previous, step in pairwise(visits) if wanted & set(range(previous + 1, step + 1))]
    assert sampled(bursts(points, length), visits) == expected
    if 0 not in points:
        assert sampled(bursts(at(points), length), visits) == expected  # a callable: the same


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("log", 0), ValueError, "`length` must be a whole number of steps, 1 or more, got 0"),
        (("log", 2.5), ValueError, "`length` must be"),
        (("log", True), ValueError, "got True"),
        (("often",), TypeError, '`schedule` must be "log", "ginn", a list of steps or a callable'),
        ((None,), TypeError, "got None"),
        ((5,), TypeError, "got 5"),
        (([1, -2],), ValueError, "got -2"),
    ],
)
def test_wrong_bursts_are_named(arguments: tuple[Any, ...], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        bursts(*arguments)


def test_a_run_may_be_sampled_in_bursts(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    box = slices.box((-1, 1), (-1, 1))
    with watch(model, optimizer, slice=box, directory=tmp_path, schedule=bursts([4, 11]), resolution=8, metrics=[]) as recorder:
        for _ in range(16):
            model(torch.ones(2, 2)).sum().backward()
            optimizer.step()
    assert recorder.steps == [0, 4, 5, 6, 11, 12, 13, 16]
    assert Recorder(tmp_path / "by hand", box, schedule=bursts("log")).is_due(1)
