"""A model is probed in the precision that it trains in, and training in any precision is left as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from everything import differing, everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import slices, watch
from boundarycb.lightning import BoundaryCallback
from boundarycb.probe import probe
from boundarycb.sampling import EngineName
from boundarycb.types import Reading

SQUARE = slices.box((-1, 1), (-1, 1))
SMALL: dict[str, Any] = {"every_n_steps": 1, "resolution": 8, "image_size": 64, "slice": SQUARE}

pytestmark = [
    pytest.mark.filterwarnings("ignore:TensorBoard shows 10 pictures"),
    pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning"),
]


class Net(nn.Module):
    """Says in which dtypes it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.bn, self.drop, self.fc2 = nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.fc1(x)
        DTYPES.append((h.dtype, torch.zeros(1).dtype))
        scores: torch.Tensor = self.fc2(self.drop(torch.relu(self.bn(h))))
        return scores


DTYPES: list[tuple[torch.dtype, torch.dtype]] = []


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """What the probe reads, as it is made."""
    found: list[Reading] = []

    def keep(**parts: Any) -> Reading:
        found.append(Reading(**parts))
        return found[-1]

    monkeypatch.setattr("boundarycb.probe.prober.Reading", keep)
    return found


def batches() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.rand(96, 2, generator=generator) * 2 - 1, torch.randint(0, 2, (96,), generator=generator))


def fit(precision: Any, directory: Path, *callbacks: Any) -> tuple[list[float], dict[str, Any]]:
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses = Net(), []  # type: ignore[var-annotated]

        def forward(self, x: torch.Tensor) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    torch.manual_seed(3)
    module = Module()
    trainer = pl.Trainer(
        max_epochs=1,
        precision=precision,
        logger=False,
        accelerator="cpu",
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=str(directory),
    )
    trainer.fit(module, DataLoader(batches(), batch_size=8, shuffle=True))
    return module.losses, everything(module, *trainer.optimizers)


PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype, Any]] = {
    "32-true": (torch.float32, torch.float32, np.float32),
    "bf16-mixed": (torch.bfloat16, torch.float32, np.float32),
    "16-mixed": (torch.bfloat16, torch.float32, np.float32),  # what Lightning makes of it on a CPU, with a warning
    "bf16-true": (torch.bfloat16, torch.bfloat16, np.float32),
    "16-true": (torch.float16, torch.float16, np.float32),
    "64-true": (torch.float64, torch.float64, np.float64),
}


@pytest.mark.parametrize("engine", ["grid", "exact"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_fit_is_probed_in_its_precision_and_stays_the_same(
    precision: Any, engine: EngineName, tmp_path: Path, readings: list[Reading]
) -> None:
    inside, default, kept = PRECISIONS[precision]
    exactly = engine == "exact"  # whose passes are in double precision, beside those of the grid
    want = fit(precision, tmp_path)
    DTYPES.clear()
    ours = BoundaryCallback(**SMALL, engine=engine)
    got = fit(precision, tmp_path, ours)
    assert got[0] == want[0]
    assert differing(got[1], want[1]) == []
    assert ours.recorder is not None
    assert ours.recorder.steps == list(range(13))
    assert set(DTYPES) == {(inside, default)} | (
        {(torch.float64, torch.float64)} if exactly else set()
    )  # training and probes alike
    assert {reading.z.dtype for reading in readings} == {np.dtype(kept)} | ({np.dtype(np.float64)} if exactly else set())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_plain_loop_under_autocast_gives_its_context(dtype: torch.dtype, tmp_path: Path, readings: list[Reading]) -> None:
    def train(**options: Any) -> tuple[list[float], dict[str, Any]]:
        torch.manual_seed(3)
        model, losses = Net(), []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer, directory=tmp_path / str(len(options)), engine="grid", **SMALL, **options):
            for x, y in DataLoader(batches(), batch_size=8):
                with torch.autocast("cpu", dtype):
                    loss = nn.functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses, everything(model, optimizer)

    DTYPES.clear()
    plain = train()
    assert {dtype for dtype, _ in DTYPES} == {dtype, torch.float32}  # probed as it is without autocast
    DTYPES.clear()
    same = train(context=lambda: torch.autocast("cpu", dtype))
    assert {dtype for dtype, _ in DTYPES} == {dtype}
    assert same[0] == plain[0]
    assert differing(same[1], plain[1]) == []
    assert {reading.z.dtype for reading in readings} == {np.dtype(np.float32)}


def test_sampling_inside_an_autocast_region_leaves_its_cache_alone(tmp_path: Path) -> None:
    from boundarycb import Recorder

    gradients = []
    for sampled in (False, True):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
        recorder = Recorder(tmp_path / str(sampled), SQUARE, resolution=8, image_size=64)
        with torch.autocast("cpu", torch.bfloat16):
            if sampled:
                recorder.record(model, 0)
            first = model(torch.ones(4, 2))
            if sampled:
                recorder.record(model, 1)
            loss = (first + model(torch.ones(4, 2))).float().square().mean()
            assert torch.is_autocast_cache_enabled()
        loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        recorder.close()
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_weights_that_our_pass_alone_had_are_not_in_the_cache_of_an_autocast_region() -> None:
    """A model that takes averaged weights in eval mode: their casts, left there, would be what training goes on with."""

    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                self.fc.weight.data.fill_(7)
            return torch.relu(self.fc(x))

    model, x = Averaged(), torch.ones(4, 2)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        with probe(model) as forward:
            assert (forward(np.ones((4, 2))).z > 12).all()
        assert torch.equal(model(x), wanted)
