"""Zones of ambiguity: known answers through real models, and a plain count."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import mlp
from torch import nn

from boundarycb import Recorder, load, slices
from boundarycb.metrics.ambiguity import ambiguous_zones
from boundarycb.types import Boundaries, Capture, Field, Layer, Metric, Sample

SQUARE = slices.box((-1, 1), (-1, 1))
LAYER = Layer("fc", "relu", (1,), (0,))


def sample_of(field: Field | None, side: int = 2) -> Sample:
    empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (LAYER,))
    return Sample(Capture((LAYER,), side, np.zeros((1, -(-(side**2) // 8)), np.uint8), field), empty)


class Scores(nn.Module):
    """Scores made of a function of x, and what is made of them."""

    def __init__(self, scores: Any, end: Any) -> None:
        super().__init__()
        self.one, self.scores, self.end = nn.Linear(2, 3), scores, end

    def forward(self, x: torch.Tensor) -> Any:
        self.one(x).relu()
        return self.end(torch.stack(self.scores(x[:, 0]), dim=1))


def recorded(model: nn.Module, directory: Path, metric: Metric = ambiguous_zones) -> dict[str, float]:
    recorder = Recorder(directory / "run", SQUARE, resolution=200, metrics=[metric], image_size=64)
    recorder.record(model, 0)
    recorder.close()
    return dict(load(directory)[-1].metrics)


def softmax(scores: torch.Tensor) -> torch.Tensor:
    return scores.softmax(dim=1)


def odds(chance: float) -> float:
    return math.log(chance / (1 - chance))


# Three softmax scores (x, 0, -9): p of the first two is s(x) and s(-x) but for 1e-4, so they are next to equal where |x| is less
# than log(0.55 / 0.45) = 0.2007. None is above a half next to x = 0 alone.
# Three sigmoids s(2 x - 1), s(-2 x - 1), s(-9): the first is above a half from x = 1/2, the second below x = -1/2: none in between.
KNOWN = {
    "overlap": (lambda x: (x, 1 - x), torch.sigmoid, {"overlap": 0.5, "none": 0.0}),
    "no overlap": (lambda x: (2 * x - 1, -2 * x - 1, 0 * x - 9), torch.sigmoid, {"overlap": 0.0, "none": 0.5}),
    "all three": (lambda x: (x, x - 0.5, x + 0.5), torch.sigmoid, {"overlap": 0.5, "none": 0.25}),
    "hard": (lambda x: (x, 1 - x), nn.Hardsigmoid(), {"overlap": 0.5, "none": 0.0, "tie": 0.3}),  # |2 x - 1| / 6 < 0.1
    "softmax of two": (lambda x: (x, 0 * x), lambda scores: scores, {"tie": odds(0.55)}),
    "chances of two": (lambda x: (x, 0 * x), softmax, {"tie": odds(0.55)}),
    "softmax of three": (lambda x: (x, 0 * x, 0 * x - 9), lambda scores: scores, {"tie": odds(0.55), "none": 0.0}),
    "three alike": (lambda x: (0 * x, 0 * x, 0 * x), softmax, {"tie": 1.0, "none": 1.0}),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(tmp_path: Path, name: str) -> None:
    scores, end, wanted = KNOWN[name]
    found = recorded(Scores(scores, end), tmp_path)
    ours = {name.removeprefix("ambiguity/"): value for name, value in found.items()}
    assert {key: ours[key] for key in wanted} == pytest.approx(wanted, abs=0.0051)  # a column of the grid
    assert ("overlap" in ours) == (end is torch.sigmoid or isinstance(end, nn.Hardsigmoid))
    assert ("none" in ours) == ("none" in wanted)


def test_the_known_answer_of_the_definition_is_exact(tmp_path: Path) -> None:
    """s(x) and s(1 - x) are both above a half on 0 < x < 1: half of the slice. On its right half x runs over that, 100 of 200."""
    assert recorded(Scores(lambda x: (x, 1 - x), torch.sigmoid), tmp_path)["ambiguity/overlap"] == 0.5


@pytest.mark.parametrize("eps", [0.02, 0.5])
def test_eps_is_the_lead_that_decides(tmp_path: Path, eps: float) -> None:
    found = recorded(Scores(lambda x: (2 * x, 0 * x), softmax), tmp_path, partial(ambiguous_zones, eps=eps))
    assert found == {"ambiguity/tie": pytest.approx(odds((1 + eps) / 2) / 2, abs=0.0051)}


@given(
    st.lists(st.tuples(*[st.floats(0, 1, width=16) | st.just(math.nan)] * 3), min_size=4, max_size=4),
    st.floats(0.001, 1),
    st.booleans(),
)
def test_the_shares_are_those_of_a_count_by_hand(rows: list[tuple[float, float, float]], eps: float, own: bool) -> None:
    ranked = [sorted(row) if not any(map(math.isnan, row)) else [math.nan] * 3 for row in rows]
    value, second = (np.array([row[k] for row in ranked], np.float16).reshape(2, 2) for k in (2, 1))
    above = np.array([sum(chance > 0.5 for chance in row) for row in rows], np.uint16).reshape(2, 2)
    field = Field("classes", value, np.zeros((2, 2), np.uint16), 3, second=second, above=above if own else None)
    found = ambiguous_zones(sample_of(field), eps)
    known = [row for row in ranked if not math.isnan(row[2])]
    counts = {"ambiguity/tie": sum(row[2] - row[1] < eps for row in known), "ambiguity/none": sum(row[2] <= 0.5 for row in known)}
    if own:
        counts["ambiguity/overlap"] = sum(row[1] > 0.5 for row in known)
    assert found.keys() == counts.keys()
    wanted = {name: count / len(known) if known else math.nan for name, count in counts.items()}
    assert found == pytest.approx(wanted, nan_ok=True)


@given(st.lists(st.floats(0, 1, width=16), min_size=4, max_size=4), st.floats(0.001, 1))
def test_two_classes_may_change_places(chances: list[float], eps: float) -> None:
    one = np.array(chances, np.float16).reshape(2, 2)
    tie = [ambiguous_zones(sample_of(Field("probability", p, classes=2)), eps) for p in (one, (1 - one.astype(float)))]
    assert tie[0] == tie[1] == {"ambiguity/tie": sum(abs(2 * p - 1) < eps for p in chances) / 4}


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert ambiguous_zones(sample_of(None)) == {}
    assert recorded(mlp(2, 4, 1), tmp_path / "value") == {}
    assert recorded(nn.Sequential(mlp(2, 4, 1), nn.Sigmoid()), tmp_path / "sigmoid") == {}
    nowhere = Field("classes", np.full((2, 2), np.nan), np.zeros((2, 2), np.uint16), 3, second=np.full((2, 2), np.nan))
    assert ambiguous_zones(sample_of(nowhere)) == pytest.approx({"ambiguity/tie": np.nan, "ambiguity/none": np.nan}, nan_ok=True)


def test_a_field_without_the_runner_up_has_no_ties() -> None:
    """As histories have that were written before it was kept."""
    older = Field("classes", np.array([[0.4, 0.6], [0.9, 0.5]]), np.zeros((2, 2), np.uint16), 3)
    found = ambiguous_zones(sample_of(older))
    assert found == pytest.approx({"ambiguity/tie": np.nan, "ambiguity/none": 0.5}, nan_ok=True)


@pytest.mark.parametrize("eps", [0.0, -0.1, 1.5, math.nan])
def test_eps_out_of_range_is_refused(eps: float) -> None:
    with pytest.raises(ValueError, match="`eps` must be more than 0 and at most 1, got"):
        ambiguous_zones(sample_of(None), eps)
