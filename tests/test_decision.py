"""The map of classes: known answers, and a slow count of the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from models import mlp
from numpy.typing import NDArray
from torch import nn

from boundarycb import Recorder, load, metrics, slices
from boundarycb.metrics.decision import border_length, count_pieces

SQUARE = slices.box((-1, 1), (-1, 1))


def flood(classes: NDArray[Any], least: int) -> int:
    """Count pieces one point after another."""
    left = {(row, column) for row in range(classes.shape[0]) for column in range(classes.shape[1])}
    count = 0
    while left:
        piece, waiting = 0, [left.pop()]
        while waiting:
            row, column = waiting.pop()
            piece += 1
            for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if other in left and classes[other] == classes[row, column]:
                    left.remove(other)
                    waiting.append(other)
        count += piece >= least
    return count


@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.integers(0, 2)), st.integers(1, 4)
)
def test_pieces_are_those_that_a_flood_finds(classes: NDArray[Any], least: int) -> None:
    assert count_pieces(classes, least) == flood(classes, least)


def test_a_snake_is_one_piece() -> None:
    """The longest way that a name can have to go."""
    snake = np.zeros((63, 63), np.uint8)
    snake[::2] = 1
    snake[1::4, -1] = snake[3::4, 0] = 1
    assert count_pieces(snake) == flood(snake, 5) == 1 + 31


def recorded(model: nn.Module, directory: Path, resolution: int = 128) -> Any:
    recorder = Recorder(directory / "run", SQUARE, resolution=resolution, metrics=[metrics.decision_map], image_size=64)
    recorder.record(model, 0)
    recorder.close()
    return dict(load(directory)[-1].metrics)


class Classes(nn.Module):
    """Scores made of a function of the points."""

    def __init__(self, scores: Any) -> None:
        super().__init__()
        self.scores = scores
        self.one = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> Any:
        self.one(x).relu()
        return torch.stack(self.scores(x[:, 0], x[:, 1]), dim=1)


@pytest.mark.parametrize(
    ("scores", "length", "fragments", "never"),
    [
        (lambda x, y: (x, 0 * x), 1, 2, 0),
        (lambda x, y: (x + y, 0 * x), np.sqrt(2), 2, 0),
        (lambda x, y: ((x**2 + y**2), 0 * x + 0.25), np.pi / 2, 2, 0),
        (lambda x, y: (0 * x + 1, 0 * x, 0 * x - 5), 0, 1, 2),
        (lambda x, y: (100 * x * y, 0 * x), 2, 4, 0),
        (lambda x, y: (x, 0 * x + 0.5, 0 * x - 1), 1, 2, 1),
    ],
)
def test_known_answers(tmp_path: Path, scores: Any, length: float, fragments: int, never: int) -> None:
    found = recorded(Classes(scores), tmp_path)
    assert found["decision/length"] == pytest.approx(length, rel=3e-3, abs=1e-9)
    assert (found["decision/fragments"], found["decision/never"]) == (fragments, never)


def test_exact_borders_have_exact_lengths(tmp_path: Path) -> None:
    """relu(x) + relu(y) against a half: from (1/2, -1) up to (1/2, 0), to (0, 1/2) and off to (-1, 1/2)."""
    net: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(2))
        net[0].bias.zero_()
        net[2].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
        net[2].bias.copy_(torch.tensor([0.0, 0.5]))
    found = recorded(net, tmp_path, resolution=24)
    assert found["decision/length"] == pytest.approx((1 + np.sqrt(0.5) + 1) / 2, abs=1e-12)
    assert found["decision/fragments"] == 2


def test_what_is_no_classes_has_no_such_numbers(tmp_path: Path) -> None:
    assert recorded(mlp(2, 4, 1), tmp_path) == {}
    snapshot = load(tmp_path)[-1]
    assert border_length(snapshot.boundaries, SQUARE) > 0
