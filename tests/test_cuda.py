"""On a GPU, where torch finds one: what the other tests say of the processor."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from everything import differing
from models import mlp
from test_no_trace import SMALL, check, nothing, plain
from test_resume import Fits, equal
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from zoo import ROWS, Row

from boundarycb import Recorder, capture, find_boundaries, slices, watch
from boundarycb.history import History
from boundarycb.keep.tensors import KeptTensors
from boundarycb.types import Boundaries

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
    pytest.mark.filterwarnings("ignore"),  # what models say is no concern here
]
SQUARE = slices.box((-1, 1), (-1, 1))
GPU = torch.device("cuda")


@pytest.fixture
def _made_there() -> Iterator[None]:
    """Models make their tensors on the GPU by themselves."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_default_device(GPU)
    yield
    torch.set_default_device(None)
    torch.use_deterministic_algorithms(False)


@functools.cache
def bare(row: Row) -> Any:
    """Return what a training is without a probe; why not, where it does not run on a GPU or is no two times the same."""
    try:
        one, other = plain(row, "sgd", nothing), plain(row, "sgd", nothing)
    except Exception as error:  # noqa: BLE001 - the model's
        return f"{type(error).__name__}: {error}"
    return one if one[0] == other[0] and not differing(one[1], other[1]) else "it is no two times the same"


@pytest.mark.usefixtures("_made_there")
@pytest.mark.parametrize("few_bytes", [2**26, 0], ids=["copied", "guarded"])
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_training_is_the_same_bit_for_bit(row: Row, few_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES_THERE", few_bytes)
    want = bare(row)
    if isinstance(want, str):
        pytest.skip(f"does not train on a GPU by itself: {want[:200]}")

    def watched(model: nn.Module, optimizer: Any) -> Any:
        return watch(model, optimizer, slice=row.slice, directory=tmp_path, **SMALL)

    check(plain(row, "sgd", watched), want)


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )


MODELS: list[tuple[str, Callable[[], nn.Module], Any]] = [
    ("mlp", lambda: mlp(2, 16, 16, 3, seed=1), SQUARE),
    ("tanh", lambda: mlp(2, 16, 16, 2, seed=2, act=nn.Tanh), SQUARE),
    ("cnn", cnn, slices.through(*np.random.default_rng(0).normal(size=(3, 1, 6, 6)))),
]
by_model = pytest.mark.parametrize(("make", "plane"), [one[1:] for one in MODELS], ids=[one[0] for one in MODELS])


def same_lines(one: Boundaries, other: Boundaries) -> bool:
    """Return whether lines are the same, in the same order, up to rounding."""
    same = one.points.shape == other.points.shape and np.array_equal(one.owner, other.owner)
    return bool(same and np.allclose(one.points, other.points, atol=1e-6))


@by_model
@pytest.mark.parametrize("engine", ["auto", "grid"])
def test_lines_are_those_of_the_processor(make: Callable[[], nn.Module], plane: Any, engine: Any) -> None:
    model = make().double().eval()
    want = find_boundaries(model, plane, engine=engine, resolution=40)
    got = find_boundaries(copy.deepcopy(model).to(GPU), plane, engine=engine, resolution=40)
    assert len(want.points)
    assert same_lines(got, want)


@by_model
def test_states_and_output_are_those_of_the_processor(make: Callable[[], nn.Module], plane: Any) -> None:
    model = make().double().eval()
    want, got = capture(model, plane, resolution=40), capture(copy.deepcopy(model).to(GPU), plane, resolution=40)
    assert want.layers == got.layers
    assert np.array_equal(want.on, got.on)
    assert want.field is not None
    assert got.field is not None
    assert np.allclose(want.field.value, got.field.value, atol=1e-3)
    assert want.patterns == got.patterns


@by_model
def test_metrics_of_a_training_are_those_of_the_processor(make: Callable[[], nn.Module], plane: Any, tmp_path: Path) -> None:
    """The same weights at every sample, in double precision."""
    model = make().double()
    generator = torch.Generator().manual_seed(0)
    places = {"cpu": model, "cuda": copy.deepcopy(model).to(GPU)}
    recorders = {name: Recorder(tmp_path / name, plane, resolution=24) for name in places}
    for step in range(4):
        for parameter, there in zip(model.parameters(), places["cuda"].parameters(), strict=True):
            with torch.no_grad():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
                there.copy_(parameter)
        for name, recorder in recorders.items():
            recorder.record(places[name], step, {})
    for recorder in recorders.values():
        recorder.close()
    want, got = (list(History(recorder.directory)) for recorder in recorders.values())
    assert [one.step for one in want] == [one.step for one in got] == [0, 1, 2, 3]
    for one, other in zip(want, got, strict=True):
        assert one.metrics.keys() == other.metrics.keys()
        for name, value in one.metrics.items():
            assert np.allclose(value, other.metrics[name], atol=1e-4, equal_nan=True), name
        for name, values in one.per_unit.items():
            assert np.allclose(values, other.per_unit[name], atol=1e-3, equal_nan=True), name


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed", "bf16-true"])
def test_a_trainer_on_a_gpu(precision: Any, tmp_path: Path) -> None:
    import lightning.pytorch as pl

    from boundarycb.lightning import BoundaryCallback

    losses: dict[bool, list[float]] = {}
    for watched in (False, True):
        pl.seed_everything(1, verbose=False)

        class Module(pl.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.net, self.losses = nn.Sequential(mlp(2, 16, 16, 2), nn.Dropout(0.1)), []  # type: ignore[var-annotated]

            def forward(self, x: torch.Tensor) -> Any:
                return self.net(x)

            def training_step(self, batch: Any) -> torch.Tensor:
                loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
                self.losses.append(loss.item())
                return loss

            def configure_optimizers(self) -> Any:
                return torch.optim.Adam(self.parameters(), lr=1e-2)

        x = torch.rand(256, 2) * 2 - 1
        callback = BoundaryCallback(every_n_steps=2, resolution=24)
        trainer = pl.Trainer(
            accelerator="gpu",
            devices=1,
            max_epochs=2,
            precision=precision,
            callbacks=[callback] if watched else [],
            default_root_dir=tmp_path,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        module = Module()
        trainer.fit(module, DataLoader(TensorDataset(x, (x.square().sum(1) < 0.5).long()), batch_size=64))
        losses[watched] = module.losses
        if watched:
            assert callback.recorder is not None
            assert callback.recorder.steps == [0, 2, 4, 6, 8]
    assert losses[False] == losses[True]


@pytest.mark.parametrize("how", [{}, {"mode": "reduce-overhead"}], ids=["compiled", "graphs"])
def test_a_compiled_model(how: Any, tmp_path: Path) -> None:
    losses: dict[bool, list[float]] = {}
    x = (torch.rand(64, 2) * 2 - 1).to(GPU)
    y = (x.square().sum(1) < 0.5).long()
    for watched in (False, True):
        torch.manual_seed(1)
        model = mlp(2, 16, 16, 2).to(GPU)
        compiled: Any = torch.compile(model, **how)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        found = losses.setdefault(watched, [])

        def train(compiled: Any = compiled, optimizer: Any = optimizer, found: list[float] = found) -> None:
            for _ in range(8):
                loss = nn.functional.cross_entropy(compiled(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                found.append(loss.item())

        if watched:
            with watch(compiled, optimizer, slice=SQUARE, directory=tmp_path, every_n_steps=2, resolution=16) as recorder:
                train()
            assert recorder.steps == [0, 2, 4, 6, 8]
        else:
            train()
    assert losses[False] == losses[True]


def test_what_another_stream_is_still_writing_is_kept_as_it_will_be() -> None:
    """Such as an average of weights: copied half done, it would be put back so."""
    average = torch.zeros(1000, device=GPU)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(500_000_000)  # cycles: a quarter of a second
        average.fill_(1)
    kept = KeptTensors([("average", average)])
    assert kept.changed() == ()
    assert kept.put_back() == ()
    torch.cuda.synchronize()
    assert bool((average == 1).all())


def test_after_a_run_its_weights_are_not_on_the_gpu_twice(tmp_path: Path) -> None:
    model = mlp(2, 512, 512, 2).to(GPU)
    recorder = Recorder(tmp_path, SQUARE, resolution=16)
    recorder.record(model, 0)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    recorder.close()
    assert before - torch.cuda.memory_allocated() > 512 * 512 * 4
    assert recorder.state_dict()["last"] == 0  # whose file is written from them


def test_a_resumed_run_has_the_history_of_one_that_never_stopped(tmp_path: Path) -> None:
    """What drift is measured against was saved, and is on the GPU again."""
    import lightning.pytorch as pl

    fits = Fits(pl, tmp_path)
    fits.accelerator = "gpu"
    fits.fit("whole")
    fits.fit("cut", until=18)
    fits.fit("resumed", ckpt_path=fits.checkpoint("cut", 12))
    equal(fits.history("resumed"), fits.history("whole"))
