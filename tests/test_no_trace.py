"""Training is the same, bit for bit, with and without a probe at every step: the rows of the table in docs/no-trace.md."""

from __future__ import annotations

import copy
import functools
import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from everything import differing, everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from zoo import ROWS, Row

from boundarycb import Recorder, watch
from boundarycb.keep import random_state_kept
from boundarycb.probe import Conditions, probe

STEPS = 12
SMALL: dict[str, Any] = {"every_n_steps": 1, "resolution": 8, "image_size": 64, "max_units": 512}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.5),
    "adam": functools.partial(torch.optim.Adam, lr=0.01),
}
CASES = [(row, name) for row in ROWS for name in OPTIMIZERS if name == "sgd" or row.adam]

by_row = pytest.mark.parametrize("row", ROWS, ids=str)
by_case = pytest.mark.parametrize(("row", "optimizer"), CASES, ids=str)
# What torch says against old parts of models, and TensorBoard's ten pictures, are no concern here; nor are hooks that do not run.
pytestmark = [
    pytest.mark.filterwarnings("ignore:step .*lines are traced on a grid, since", "ignore:step .*lines are exact again"),
    pytest.mark.filterwarnings("ignore:TensorBoard shows 10 pictures", "ignore:step 0. hooks that are not the model's own"),
    pytest.mark.filterwarnings("ignore:step 0. tanh. left out, since it runs inside a transform"),
    pytest.mark.filterwarnings("ignore:step .*the model called other layers", "ignore:.*batch-norm takes its statistics"),
    pytest.mark.filterwarnings("ignore:step .*the model draws random numbers while it runs"),
]

Result = tuple[list[float], dict[str, Any]]


def seed() -> None:
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)


@contextmanager
def settings_kept() -> Iterator[None]:
    """Some models change them on purpose."""
    cache, errors = torch.is_autocast_cache_enabled(), np.geterr()
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(cache)
        np.seterr(**errors)


def data(row: Row) -> tuple[torch.Tensor, torch.Tensor]:
    generator, device = torch.Generator().manual_seed(1), torch.get_default_device()
    inputs = torch.rand(STEPS * 8, *row.inputs, generator=generator, device="cpu") * 2 - 1
    return inputs.to(device), torch.randint(0, 2, (STEPS * 8,), generator=generator, device="cpu").to(device)


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, row: Row, at: Callable[[str], None] = lambda moment: None
) -> list[float]:
    """Train for 12 steps; call `at` between the parts of each."""
    losses = []
    for x, y in zip(*(part.split(8) for part in data(row)), strict=True):
        loss = nn.functional.cross_entropy(model(x), y)
        at("forward")
        optimizer.zero_grad()
        loss.backward()
        at("backward")
        optimizer.step()
        at("step")
        losses.append(loss.item())
    return losses


# ----------------------------------------------------------------------------------------------------------- plain PyTorch


def plain(row: Row, name: str, around: Callable[[nn.Module, Any], Any]) -> Result:
    """Return losses and state of a plain loop inside the context that `around` makes of model and optimiser."""
    seed()
    model = row.make()
    optimizer = OPTIMIZERS[name](model.parameters())
    with settings_kept():
        with around(model, optimizer) as at:
            losses = train(model, optimizer, row, at if callable(at) else lambda moment: None)
        return losses, everything(model, optimizer)


@contextmanager
def nothing(_model: nn.Module, _optimizer: Any) -> Iterator[None]:
    yield


@functools.cache
def bare(row: Row, name: str) -> Result:
    return plain(row, name, nothing)


def check(got: Result, want: Result) -> None:
    assert differing(got[1], want[1]) == []
    assert got[0] == want[0]


@by_case
def test_watch_changes_nothing(row: Row, optimizer: str, tmp_path: Path) -> None:
    def watched(model: nn.Module, optimizer: Any) -> Any:
        return watch(model, optimizer, slice=row.slice, directory=tmp_path, **SMALL)

    check(plain(row, optimizer, watched), bare(row, optimizer))


# ------------------------------------------------------------------------------------------------- the suite can fail


def points(row: Row, n: int) -> Any:
    return row.slice.lift(np.random.default_rng(n).uniform(-1, 1, (n, 2)))


@contextmanager
def naive(row: Row, model: nn.Module, _optimizer: Any) -> Iterator[Any]:
    """What one writes first."""
    inputs = torch.tensor(points(row, 60), dtype=torch.float32)

    def at(moment: str) -> None:
        if moment == "step":
            model.eval()
            with torch.no_grad():
                model(inputs)
            model.train()

    model.eval()
    with torch.no_grad():
        model(inputs)
    model.train()
    yield at


@by_row
def test_a_naive_probe_disturbs_what_the_table_says(row: Row) -> None:
    """The same training and the same comparison, with eval(); forward; train() in the place of the probe."""
    try:
        losses, state = plain(row, "sgd", functools.partial(naive, row))
    except RuntimeError:
        assert row.naive == "fails"
        return
    want = bare(row, "sgd")
    found = "other losses" if losses != want[0] else "other state" if differing(state, want[1]) else "same"
    assert found == row.naive


# --------------------------------------------------------------------------------------------------------------- Lightning


def lightning(row: Row, name: str, directory: Path, callbacks: Any = (), **options: Any) -> Result:
    """Return losses, logged values and state of a fit with these callbacks."""
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses = row.make(), []  # type: ignore[var-annotated]

        def forward(self, x: torch.Tensor) -> Any:
            scores = self.net(x)
            self.log("mean", scores.mean(), on_step=True, on_epoch=True)
            self.log_dict({"largest": scores.max()})
            return scores

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
            self.losses.append(loss.item())
            return loss

        def configure_optimizers(self) -> Any:
            return OPTIMIZERS[name](self.parameters())

    seed()
    module = Module()
    settings: dict[str, Any] = {
        "max_epochs": 2,
        "logger": False,
        "accelerator": "cpu",
        "callbacks": list(callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "default_root_dir": str(directory),
        "num_sanity_val_steps": 0,
    }
    trainer = pl.Trainer(**settings | options)
    inputs, targets = data(row)
    with settings_kept():
        trainer.fit(module, DataLoader(TensorDataset(inputs[:48], targets[:48]), batch_size=8, shuffle=True))
        state = everything(module, *trainer.optimizers)
    state["logged"] = {key: value.item() for key, value in trainer.callback_metrics.items()}
    return module.losses, state


def callback(row: Row, **options: Any) -> Any:
    from boundarycb.lightning import BoundaryCallback

    return BoundaryCallback(slice=row.slice, **SMALL | options)


@by_case
def test_the_callback_changes_nothing(row: Row, optimizer: str, tmp_path: Path) -> None:
    ours = callback(row)
    got = lightning(row, optimizer, tmp_path, [ours])
    check(got, lightning(row, optimizer, tmp_path))
    first = 1 if row.name == "lazy layers" else 0  # its shapes are those of the first batch
    assert ours.recorder.steps == list(range(first, STEPS + 1))


# ----------------------------------------------------------------------------------- every way to run, at every moment


@contextmanager
def probed_hard(row: Row, model: nn.Module, _optimizer: Any) -> Iterator[Any]:
    """Several passes a scope, of different sizes, traced and in double precision; also while a graph waits to be run backward."""

    def at(moment: str) -> None:
        with probe(model) as forward:
            reading = forward(points(row, 60))
            forward(points(row, 7))
            forward.trace(points(row, 9), {layer.name for layer in reading.layers})
            double = forward.double()
            with suppress(RuntimeError) if row.double == "fails" else nullcontext():
                double(points(row, 5))
            again = forward(points(row, 60))
        assert np.array_equal(reading.z, again.z)  # each pass begins where training left off
        assert forward.lost == ()
        assert len(forward.parked) == (2 if row.name == "user's hooks" else 0)  # torch's own hooks must run

    yield at


@by_row
def test_many_passes_at_any_moment_change_nothing(row: Row) -> None:
    check(plain(row, "sgd", functools.partial(probed_hard, row)), bare(row, "sgd"))


@by_row
def test_bytes_that_are_copied_only_before_they_are_written_to_come_back_too(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", 0)  # as it is with a large model
    got = plain(row, "sgd", functools.partial(probed_hard, row))
    if row.name == "tensor behind torch's back":
        assert got[0] != bare(row, "sgd")[0]  # that is what the 16 MB are for
    else:
        check(got, bare(row, "sgd"))


RELATIVE = {"copy": 1e-12, "nearly": 1e-5}


@pytest.mark.parametrize("row", [row for row in ROWS if row.double in RELATIVE], ids=str)
def test_double_precision_is_that_of_a_converted_copy(row: Row) -> None:
    seed()
    model = row.make()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    with settings_kept():
        train(model, optimizer, row)
        x = points(row, 6)
        with probe(model) as forward:
            reading = forward.double()(x)
            assert forward(x).z.dtype == np.float32
        converted = copy.deepcopy(model).double().eval()
        with random_state_kept():
            want = converted(torch.tensor(x)).detach().numpy()
    assert reading.z.dtype == np.float64
    assert reading.output is not None
    assert np.allclose(reading.output, want, rtol=RELATIVE[row.double], atol=0)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.double == "own" and row.name not in ("own generators", "modules in a plain list")], ids=str
)
def test_double_precision_without_an_oracle_is_near_single_precision(row: Row) -> None:
    """Of models that draw no random numbers."""
    seed()
    model = row.make()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    train(model, optimizer, row)
    with probe(model) as forward:
        single, double = forward(points(row, 6)), forward.double()(points(row, 6))
    assert single.output is not None
    assert double.output is not None
    assert double.output.dtype == np.float64
    assert np.allclose(single.output, double.output, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------- the rest of the product, slow


@contextmanager
def recorded(row: Row, directory: Path, model: nn.Module, _optimizer: Any) -> Iterator[Any]:
    """Samples that the user takes by hand, whenever."""
    recorder = Recorder(directory, row.slice, resolution=8, max_units=512, image_size=64)
    count = itertools.count()
    yield lambda moment: recorder.record(model, next(count))
    recorder.close()
    assert len(recorder.steps) == 3 * STEPS


@contextmanager
def probed_as_is(row: Row, model: nn.Module, _optimizer: Any) -> Iterator[Any]:
    """With every module in the mode that it is in."""

    def at(moment: str) -> None:
        with probe(model, Conditions(mode="as_is")) as forward:
            forward(points(row, 60))
            forward.trace(points(row, 9), {layer.name for layer in forward(points(row, 7)).layers})

    yield at


ORDINARY = [row for row in ROWS if row.adam]


@pytest.mark.parametrize("row", ORDINARY, ids=str)
def test_samples_taken_by_hand_change_nothing(row: Row, tmp_path: Path) -> None:
    check(plain(row, "sgd", functools.partial(recorded, row, tmp_path)), bare(row, "sgd"))


@by_row
def test_modes_as_they_are_change_nothing(row: Row) -> None:
    check(plain(row, "sgd", functools.partial(probed_as_is, row)), bare(row, "sgd"))


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if not row.adam], ids=str)
def test_the_other_rows_with_adam(row: Row, tmp_path: Path) -> None:
    test_watch_changes_nothing(row, "adam", tmp_path / "watch")
    test_the_callback_changes_nothing(row, "adam", tmp_path / "callback")
    check(plain(row, "sgd", functools.partial(recorded, row, tmp_path / "by hand")), bare(row, "sgd"))


@pytest.mark.slow
@by_row
def test_bytes_are_guarded_in_a_traced_run_too(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if row.name != "tensor behind torch's back":
        monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", 0)
    test_watch_changes_nothing(row, "sgd", tmp_path / "watch")
    test_modes_as_they_are_change_nothing(row)


# ------------------------------------------------------------------------------------------------------------- the table


def test_a_state_tells_the_hooks_of_a_tensor_apart() -> None:
    """Two that change places, and one that takes another's, are as many as before."""

    def state(*hooks: Callable[[Any], Any]) -> dict[str, Any]:
        seed()
        model = nn.Linear(1, 1)
        for hook in hooks:
            model.weight.register_hook(hook)
        return everything(model)

    def halves(grad: torch.Tensor) -> torch.Tensor:
        return grad / 2

    assert differing(state(halves, torch.relu), state(halves, torch.relu)) == []
    for others in ((torch.relu, halves), (halves, torch.abs), (halves,)):
        assert differing(state(halves, torch.relu), state(*others)) == ["._parameters[weight].hooks"]


NAIVE = {"same": "the same", "other losses": "**other losses**", "other state": "**other state**", "fails": "**fails**"}


def table() -> str:
    """Return the table of docs/no-trace.md, which is made of the rows."""
    lines = ["| model | what is awkward about it | a naive probe | boundarycb |", "|---|---|---|---|"]
    lines += [f"| {row.name} | {row.what} | {NAIVE[row.naive]} | the same |" for row in ROWS]
    return "\n".join(lines)


def test_the_table_in_the_docs_is_that_of_the_rows(request: pytest.FixtureRequest) -> None:
    path = Path(__file__).parent.parent / "docs" / "no-trace.md"
    before, rest = path.read_text().split("<!-- table -->\n")
    _, after = rest.split("<!-- end -->\n")
    want = f"{before}<!-- table -->\n{table()}\n<!-- end -->\n{after}"
    if request.config.getoption("--bless"):
        path.write_text(want)
    assert path.read_text() == want, "run this test with --bless"
    assert f"{len(ROWS)} models" in before
    assert f"[{len(ROWS)} awkward models](docs/no-trace.md)" in (path.parent.parent / "README.md").read_text()
