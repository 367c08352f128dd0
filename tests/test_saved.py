"""Traces as a file: what comes back makes the same pre-activations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from boundarycb.probe import bytes_of, compare, load_traces, probe, save_traces
from boundarycb.probe import saved as saved_module


class Odd(nn.Module):
    """Layers that are called in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, padding=1, padding_mode="zeros")
        self.back = nn.ConvTranspose1d(4, 2, 2, stride=2)
        self.gate = nn.Linear(12, 12)
        self.norm = nn.BatchNorm1d(6)
        self.product = nn.Parameter(torch.randn(6, 5))
        self.shift = nn.Parameter(torch.randn(5))
        self.last = nn.utils.parametrizations.weight_norm(nn.Linear(5, 4))

    def forward(self, x: torch.Tensor) -> Any:
        y = F.relu(self.conv(x[:, None, :3]))
        y = torch.tanh(self.back(y))
        y = self.norm(F.glu(self.gate(y.flatten(1)), dim=1))
        y = F.leaky_relu(torch.addmm(self.shift, y, self.product))
        return F.gelu(self.last(y))


def traces_of(model: nn.Module, points: int = 40) -> Any:
    inputs = np.random.default_rng(0).normal(size=(points, 3))
    with probe(model) as forward:
        layers = forward(inputs).layers
        return forward.trace(inputs, {layer.name for layer in layers})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_traces_come_back_as_they_were(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    traces = [trace.with_its_weights() for trace in traces_of(Odd().to(dtype))]
    assert sum(trace.replay is not None for trace in traces) == 5
    assert save_traces(traces, tmp_path / "x.pt")
    back = load_traces(tmp_path / "x.pt", torch.device("cpu"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]
    for old, new in zip(traces, back, strict=True):
        assert (old.layer, old.first, old.failure) == (new.layer, new.first, new.failure)
        assert torch.equal(old.z, new.z)
        assert old.replay is not None
        assert new.replay is not None
        assert torch.equal(old.replay(old.replay.source), new.replay(new.replay.source))
    moves, failures = compare(traces, back)
    assert failures == {}
    assert len(moves) == 5
    assert all(move.geometry.sum() == move.cause.sum() == 0 for move in moves.values())


def test_a_file_holds_no_more_than_what_the_traces_do(tmp_path: Path) -> None:
    """A part of a large tensor is written as that part."""
    large = torch.randn(10_000, 3)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    model[0].weight = nn.Parameter(large[:4])
    (trace,) = traces_of(model)
    assert save_traces([trace], tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 12_000 < bytes_of(large)


def test_what_is_too_large_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_module, "MOST_BYTES", 500)
    assert not save_traces(traces_of(Odd()), tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())


def test_an_odd_layer_goes_without_its_map(tmp_path: Path) -> None:
    class Own(torch.Tensor):
        """No tensor that a file may hold."""

    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    one, two = (trace.with_its_weights() for trace in traces_of(model))
    step = one.replay.affine.steps[0]
    step.args[1].__class__ = Own  # its weight
    assert save_traces([one, two], tmp_path / "x.pt")
    back = load_traces(tmp_path / "x.pt", torch.device("cpu"))
    assert [trace.replay is None for trace in back] == [True, False]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_traces(traces_of(Odd()), tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())
