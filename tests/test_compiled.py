"""Compiled models: every activation is seen, no graph is compiled for us, and none of the user's is compiled anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from everything import differing, everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import slices, watch
from boundarycb.probe import probe

SQUARE = slices.box((-1, 1), (-1, 1))
SMALL: dict[str, Any] = {"every_n_steps": 1, "resolution": 8, "image_size": 64, "slice": SQUARE}
POINTS = np.random.default_rng(0).uniform(-1, 1, (30, 2))

pytestmark = [
    pytest.mark.filterwarnings("ignore:TensorBoard shows 10 pictures"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]


class Graphs:
    """A backend that runs graphs as they are, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, graph: Any, _inputs: Any) -> Any:
        self.count += 1
        return graph.forward


class Net(nn.Module):
    """Modules and functions, a batch-norm, dropout, and a part to be compiled alone."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.bn, self.drop = nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.2)
        self.part: Any = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.fc2 = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.drop(torch.relu(self.bn(self.fc1(x))))
        scores: torch.Tensor = self.fc2(torch.tanh(self.part(h)))
        return scores


def whole(net: Any, backend: Any) -> Any:
    return torch.compile(net, backend=backend)


def in_place(net: Any, backend: Any) -> Any:
    net.compile(backend=backend)
    return net


def part(net: Any, backend: Any) -> Any:
    net.part = torch.compile(net.part, backend=backend)
    return net


def method(net: Any, backend: Any) -> Any:
    net.forward = torch.compile(net.forward, backend=backend)
    return net


def twice(net: Any, backend: Any) -> Any:
    return whole(part(net, backend), backend)


WAYS: list[Callable[[Any, Any], Any]] = [whole, in_place, part, method, twice]
by_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def data() -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.rand(8, 2, generator=generator) * 2 - 1, torch.randint(0, 2, (8,), generator=generator)) for _ in range(12)]


def train(model: Any, optimizer: Any) -> list[float]:
    losses = []
    for x, y in data():
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def run(way: Callable[[Any, Any], Any], backend: Any, directory: Path | None) -> tuple[list[float], dict[str, Any]]:
    torch.manual_seed(3)
    net = Net()
    model = way(net, backend)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    if directory is None:
        losses = train(model, optimizer)
    else:
        with watch(model, optimizer, directory=directory, **SMALL):
            losses = train(model, optimizer)
    return losses, everything(net, optimizer)


@pytest.mark.parametrize("few_bytes", [2**24, 0], ids=["copied", "guarded"])
@by_way
def test_training_and_its_graphs_are_the_same(
    way: Callable[[Any, Any], Any], few_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", few_bytes)
    bare, probed = Graphs(), Graphs()
    want = run(way, bare, None)
    torch._dynamo.reset()
    got = run(way, probed, tmp_path)
    assert bare.count >= 1
    assert probed.count == bare.count
    assert got[0] == want[0]
    assert differing(got[1], want[1]) == []


@by_way
def test_every_activation_is_seen_before_and_after_a_graph_was_made(way: Callable[[Any, Any], Any]) -> None:
    torch.manual_seed(3)
    plain = Net()
    with probe(plain) as forward:
        want = forward(POINTS)
        want_double = forward.double()(POINTS)
    torch.manual_seed(3)
    graphs = Graphs()
    model = way(Net(), graphs)
    for compiled in (False, True):
        if compiled:
            model(torch.zeros(8, 2))  # moves a batch-norm that the probe, in eval mode, does not show
            model.load_state_dict(
                {f"_orig_mod.{name}" if way in (whole, twice) else name: value for name, value in state(plain, way)}
            )
        count = graphs.count
        with probe(model) as forward:
            reading = forward(POINTS)
            forward.trace(POINTS, {layer.name for layer in reading.layers})
            double = forward.double()(POINTS)
        assert graphs.count == count
        assert reading.layers == want.layers
        assert np.array_equal(reading.z, want.z)
        assert np.array_equal(double.z, want_double.z)


def state(plain: nn.Module, way: Any) -> list[tuple[str, torch.Tensor]]:
    within = way in (part, twice)  # whose compiled part has a name of its own
    return [(name.replace("part.", "part._orig_mod.") if within else name, value) for name, value in plain.state_dict().items()]


def test_a_compiled_lightning_module_trains_the_same(tmp_path: Path) -> None:
    import lightning.pytorch as pl

    from boundarycb.lightning import BoundaryCallback

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses = Net(), []  # type: ignore[var-annotated]

        def forward(self, x: torch.Tensor) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    results = []
    for callbacks in ([], [BoundaryCallback(**SMALL)]):
        torch._dynamo.reset()
        torch.manual_seed(3)
        module, graphs = Module(), Graphs()
        trainer = pl.Trainer(
            max_epochs=1,
            logger=False,
            accelerator="cpu",
            callbacks=callbacks,  # type: ignore[arg-type]
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            default_root_dir=str(tmp_path),
        )
        batches = data()
        dataset = TensorDataset(torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches]))
        compiled: Any = torch.compile(module, backend=graphs)
        trainer.fit(compiled, DataLoader(dataset, batch_size=8))
        results.append((everything(module.net, *trainer.optimizers), graphs.count))
    assert differing(results[0][0], results[1][0]) == []
    assert results[0][1] == results[1][1] >= 1
    recorder: Any = callbacks[0].recorder
    assert recorder.steps == list(range(13))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile's own backend needs a C++ compiler")
def test_training_in_compiled_code_is_the_same(tmp_path: Path) -> None:
    want = run(whole, "inductor", None)
    torch._dynamo.reset()
    got = run(whole, "inductor", tmp_path)
    assert got[0] == want[0]
    assert differing(got[1], want[1]) == []
