from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boundarycb.schedule import GINN_STEPS, at, every, log_spaced, resolve


def sampled(due: Any, visits: list[int]) -> list[int]:
    return [step for previous, step in pairwise(visits) if due(previous, step)]


def test_every_samples_multiples() -> None:
    assert sampled(every(3), list(range(11))) == [3, 6, 9]


def test_skipped_steps_are_not_lost() -> None:
    assert sampled(every(10), [0, 7, 14, 21, 35, 39]) == [14, 21, 35]
    assert sampled(at([5, 6, 30]), [0, 7, 14, 40]) == [7, 40]


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
