"""A run that goes on from a checkpoint: one history, as if it had never stopped."""

from __future__ import annotations

import enum
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightnings import SMALL, SQUARE, callback_of, data, module_of, trainer_of
from models import mlp
from test_wire import same
from torch import nn
from torch.utils.data import DataLoader

from boundarycb import BoundaryWarning, Recorder, load, slices, watch
from boundarycb.history import History


def equal(one: History, other: History) -> None:
    """Assert that two histories are the same, but for the time of day."""
    assert one.steps == other.steps
    for part in ("origin", "axes", "bounds", "anchors"):
        assert np.array_equal(getattr(one.slice, part), getattr(other.slice, part))
    for mine, theirs in zip(one, other, strict=True):
        same(replace(mine, time=0.0), replace(theirs, time=0.0))


def bytes_below(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


@contextmanager
def warned() -> Iterator[list[str]]:
    """Collect our warnings; Lightning's own, of directories and the like, are no matter here."""
    words: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield words
    words += [str(one.message) for one in caught if issubclass(one.category, BoundaryWarning)]


class Resumable(DataLoader[Any]):
    """Batches in the order of the data, also after a resume in the middle of an epoch."""

    given = start = 0

    def __iter__(self) -> Any:
        self.given, self.start = self.start, 0
        for batch in list(super().__iter__())[self.given :]:
            self.given += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"given": self.given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.start = state["given"] % len(self)


class Fits:
    """Fits of the same module for 24 steps, four an epoch, with a checkpoint after each; Lightning does not keep random numbers."""

    accelerator = "cpu"

    def __init__(self, pl: Any, root: Path, make: Callable[[], nn.Module] | None = None, **options: Any) -> None:
        self.pl, self.root, self.options = pl, root, options
        self.make = make or (lambda: mlp(2, 8, 8, 2))

    def fit(self, where: str, *, until: int | None = None, ckpt_path: Path | None = None, **options: Any) -> Any:
        """Fit to the end, or until an error after step `until`."""

        def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
            if self.global_step == until:
                raise ZeroDivisionError
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        callback = callback_of(self.pl, **{"every_n_steps": 5, **self.options, **options})
        saves = self.pl.callbacks.ModelCheckpoint(
            dirpath=self.root / where / "saved", save_top_k=-1, every_n_train_steps=1, filename="{step}"
        )
        settings = {"max_epochs": 6, "enable_checkpointing": True, "accelerator": self.accelerator}
        trainer = trainer_of(self.pl, self.root / where, callback, saves, **settings)
        module = module_of(self.pl, self.make(), training_step=training_step)
        with pytest.raises(ZeroDivisionError) if until is not None else nullcontext():
            trainer.fit(module, Resumable(data(), batch_size=16), ckpt_path=ckpt_path)
        return callback

    def checkpoint(self, where: str, step: int) -> Path:
        return self.root / where / "saved" / f"step={step}.ckpt"

    def history(self, where: str, folder: str = "boundaries") -> History:
        (run,) = (self.root / where / "lightning_logs").iterdir()
        return load(run / folder)


@pytest.mark.parametrize("step", [4, 6, 12, 15])
def test_a_resumed_run_has_the_history_of_one_that_never_stopped(pl: Any, tmp_path: Path, step: int) -> None:
    """After an epoch's end or in the middle of one, at a sample or between two; what came after the checkpoint is left out."""
    fits = Fits(pl, tmp_path)
    fits.fit("whole")
    fits.fit("cut", until=step + 6)
    before = bytes_below(tmp_path / "cut")
    callback = fits.fit("resumed", ckpt_path=fits.checkpoint("cut", step))
    assert callback.recorder.steps == [0, 5, 10, 15, 20, 24]
    equal(fits.history("resumed"), fits.history("whole"))
    assert fits.history("resumed").path.with_name("boundaries.gif").exists()
    assert bytes_below(tmp_path / "cut") == before


def test_what_engine_and_metrics_remember_goes_on_too(pl: Any, tmp_path: Path) -> None:
    """A budget that the exact engine exceeds, so that it waits for a while; a metric that looks at several samples."""
    fits = Fits(pl, tmp_path, lambda: mlp(2, 12, 12, 2), every_n_steps=2, max_vertices=30)
    with warned() as words:
        fits.fit("whole")
        fits.fit("cut", until=19)
        fits.fit("resumed", ckpt_path=fits.checkpoint("cut", 17))
    assert sum("lines are traced on a grid, since" in word for word in words) == 3  # a new process says it again
    equal(fits.history("resumed"), fits.history("whole"))
    assert any(name.startswith("indecisive") for name in fits.history("resumed")[-1].metrics)


class TwoInputs(nn.Module):
    """Noise levels come with the points; those of the first batch are held."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(3, 8, 2)

    def forward(self, both: dict[str, torch.Tensor]) -> Any:
        return self.net(torch.cat([both["x"], both["level"][:, None]], dim=1))


def test_what_is_held_stays_what_it_was(pl: Any, tmp_path: Path) -> None:
    points, labels = data().tensors

    def fit(where: str, levels: torch.Tensor, *, until: int = 99, ckpt_path: Path | None = None) -> Any:
        def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
            if self.global_step == until:
                raise ZeroDivisionError
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def forward(self: Any, both: Any) -> Any:
            return self.net(both)

        module = module_of(pl, TwoInputs(), training_step=training_step, forward=forward)
        items: Any = [({"x": x, "level": level}, y) for x, level, y in zip(points, levels, labels, strict=True)]
        saves = pl.callbacks.ModelCheckpoint(dirpath=tmp_path / where, save_top_k=-1, every_n_train_steps=1, filename="{step}")
        callback = callback_of(pl, every_n_steps=3)
        trainer = trainer_of(pl, tmp_path / where, callback, saves, enable_checkpointing=True)
        trainer.fit(module, DataLoader(items, batch_size=16), ckpt_path=ckpt_path)
        return callback

    with pytest.raises(ZeroDivisionError):
        fit("cut", torch.zeros(64), until=5)
    saved = torch.load(tmp_path / "cut" / "step=4.ckpt", weights_only=True)["callbacks"]["BoundaryCallback[boundaries]"]
    assert saved["recorder"]["view"]["feed"]["args"][0]["level"].tolist() == [0.0]
    callback = fit("resumed", torch.full((64,), 100.0), ckpt_path=tmp_path / "cut" / "step=4.ckpt")
    (held,) = callback.recorder.state_dict()["view"]["feed"]["args"]
    assert held["level"].tolist() == [0.0]
    assert load(tmp_path / "resumed").steps == (0, 3, 6, 9, 12)


def test_an_old_checkpoint_costs_the_parts_of_one_samples_drift(pl: Any, tmp_path: Path) -> None:
    """Weights are kept of the last three samples before checkpoints; lines, masks and their chance levels need none."""
    fits = Fits(pl, tmp_path)
    fits.fit("whole")
    folder = fits.history("whole").path.parent
    assert sorted(path.name for path in folder.glob("traces-*.pt")) == ["traces-10.pt", "traces-15.pt", "traces-20.pt"]
    with warned() as words:
        fits.fit("resumed", ckpt_path=fits.checkpoint("whole", 8))
    (word,) = words
    assert word.startswith("drift since step 5 is not split into its parts: its weights are not kept.")
    whole, resumed = fits.history("whole"), fits.history("resumed")
    assert resumed.steps == whole.steps
    for mine, theirs in zip(resumed, whole, strict=True):
        assert np.array_equal(mine.boundaries.points, theirs.boundaries.points)
        assert np.array_equal(mine.capture.on, theirs.capture.on)
        different = {name for name, value in theirs.metrics.items() if mine.metrics.get(name) != value and value == value}
        parts = ("drift/", "cause/", "indecisive/sensitivity")
        assert all(mine.step == 10 and name.startswith(parts) and "flipped" not in name for name in different)


def test_without_the_old_directory_the_slice_is_still_the_runs(pl: Any, tmp_path: Path) -> None:
    fits = Fits(pl, tmp_path)
    fits.fit("cut", until=9)
    plane = fits.history("cut").slice
    shutil.rmtree(tmp_path / "cut" / "lightning_logs")
    with warned() as words:
        fits.fit("resumed", ckpt_path=fits.checkpoint("cut", 8))
    (word,) = words
    assert word.startswith("The samples before step 8 are gone, so this history begins there.")
    assert fits.history("resumed").steps == (8, 10, 15, 20, 24)
    assert fits.history("resumed").slice.bounds == plane.bounds


def test_a_checkpoint_holds_plain_values_and_no_frames(pl: Any, tmp_path: Path) -> None:
    fits = Fits(pl, tmp_path)
    fits.fit("whole")
    saved = torch.load(fits.checkpoint("whole", 24), weights_only=True)["callbacks"]["BoundaryCallback[boundaries]"]
    assert saved["step"] == saved["recorder"]["step"] == 24
    assert saved["recorder"]["last"] == 20  # the last sample is taken when training has ended
    assert saved["recorder"]["directory"] == str(fits.history("whole").path.parent)
    torch.save(saved, tmp_path / "alone.pt")
    assert (tmp_path / "alone.pt").stat().st_size < 8_000


def test_other_arguments_give_way_to_the_run_that_goes_on(pl: Any, tmp_path: Path) -> None:
    fits = Fits(pl, tmp_path, slice=SQUARE)
    fits.fit("cut", until=9)
    with warned() as words:
        fits.fit("resumed", ckpt_path=fits.checkpoint("cut", 8), slice=slices.box((-2, 2), (-2, 2)), resolution=20)
    assert [word.split(" is that of the run")[0] for word in words] == ["`slice`", "`resolution`"]
    history = fits.history("resumed")
    assert history.slice.bounds == SQUARE.bounds
    assert {snapshot.capture.resolution for snapshot in history} == {16}


def test_a_run_that_went_on_goes_on_again_in_the_same_directory(pl: Any, tmp_path: Path) -> None:
    """Also where it took no sample of its own before it was stopped again."""
    fits = Fits(pl, tmp_path, directory=tmp_path / "fixed")
    fits.fit("a", until=7)
    fits.fit("b", ckpt_path=fits.checkpoint("a", 6), until=9)
    fits.fit("c", ckpt_path=fits.checkpoint("b", 8))
    assert load(tmp_path / "fixed" / "boundaries").steps == (0, 5)
    assert load(tmp_path / "fixed" / "boundaries-1").steps == (0, 5)
    assert load(tmp_path / "fixed" / "boundaries-2").steps == (0, 5, 10, 15, 20, 24)
    with pytest.warns(BoundaryWarning, match="boundaries holds a history already; this one's goes to .*boundaries-3"):
        fits.fit("d")
    equal(load(tmp_path / "fixed" / "boundaries-3"), load(tmp_path / "fixed" / "boundaries-2"))


def test_checkpoints_move_between_the_packages(tmp_path: Path) -> None:
    import lightning.pytorch
    import pytorch_lightning

    one, other = Fits(lightning.pytorch, tmp_path), Fits(pytorch_lightning, tmp_path)
    one.fit("cut", until=9)
    other.fit("resumed", ckpt_path=one.checkpoint("cut", 8))
    one.fit("whole")
    equal(other.history("resumed"), one.history("whole"))


# -------------------------------------------------------------------------------------------------------- a plain loop


def train(directory: Path, stop: int, checkpoint: Path | None = None, **options: Any) -> Any:
    """Train for `stop` steps in all, from a checkpoint if there is one; return what a user would save."""
    model = mlp(2, 8, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with watch(model, optimizer, directory=directory, every_n_steps=5, **{**SMALL, **options}) as recorder:
        done = 0
        if checkpoint is not None:
            saved = torch.load(checkpoint, weights_only=True)
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            recorder.load_state_dict(saved["boundaries"])
            done = saved["step"]
        for step in range(done, stop):
            loss = nn.functional.cross_entropy(model(data().tensors[0] + step / 100), data().tensors[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        torch.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": stop, "boundaries": recorder.state_dict()},
            directory / "x.pt",
        )
    return recorder


@pytest.mark.parametrize("options", [{}, {"slice": SQUARE, "engine": "grid"}])
def test_a_plain_loop_goes_on(tmp_path: Path, options: dict[str, Any]) -> None:
    for name in ("whole", "cut", "resumed"):
        (tmp_path / name).mkdir()
    train(tmp_path / "whole", 18, **options)
    train(tmp_path / "cut", 12, **options)
    recorder = train(tmp_path / "resumed", 18, tmp_path / "cut" / "x.pt", **options)
    assert recorder.steps == [0, 5, 10, 15, 18]
    assert re.search(r": 5 samples of steps 0 to 18, of which 2 are new and took [\d.]+ s, [\d.]+% of the time", recorder.summary)
    equal(load(tmp_path / "resumed"), load(tmp_path / "whole"))
    assert load(tmp_path / "cut").steps == (0, 5, 10, 12)


def test_states_come_first_and_are_of_a_version_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    recorder = train(tmp_path / "a", 3)
    with pytest.raises(RuntimeError, match="`load_state_dict` must come before the first sample"):
        recorder.load_state_dict({})
    fresh = Recorder(tmp_path / "b")
    fresh.load_state_dict({})
    assert fresh.state_dict() == {}
    with pytest.raises(ValueError, match="The state of version 99 cannot be read; this boundarycb reads 2"):
        fresh.load_state_dict({"version": 99})


def test_a_cut_history_gives_what_there_is_of_it(tmp_path: Path) -> None:
    """The disk was full, say: the last frames before the checkpoint are not there."""
    (tmp_path / "a").mkdir()
    train(tmp_path / "a", 12)
    file = load(tmp_path / "a").path
    file.write_bytes(file.read_bytes()[: load(file).end_of(2)])
    (tmp_path / "b").mkdir()
    with pytest.warns(BoundaryWarning, match="The samples after step 5, up to step 10 are gone"):
        recorder = train(tmp_path / "b", 18, tmp_path / "a" / "x.pt")
    assert recorder.steps == [0, 5, 15, 18]


# --------------------------------------------------------------------------------------------- what a review saw go wrong


class Colour(enum.IntEnum):
    RED = 1


@pytest.mark.parametrize("held", [np.float64(0.3), Colour.RED, torch.ones(8).as_subclass(type("Own", (torch.Tensor,), {}))])
def test_a_checkpoint_stays_loadable_whatever_a_batch_holds(tmp_path: Path, held: Any) -> None:
    """What torch does not read without trusting the file stays out of it; it is taken from the next run's first batch."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 6, 2)

        def forward(self, x: torch.Tensor, held: Any) -> Any:
            return self.net(x) + float(torch.as_tensor(held).float().mean())

    def run(name: str, state: dict[str, Any] | None) -> tuple[Recorder, dict[str, Any]]:
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer, directory=tmp_path / name, slice=SQUARE, vary=0, every_n_steps=3, **SMALL) as recorder:
            if state is not None:
                recorder.load_state_dict(state)
                assert recorder.state_dict()["last"] == state["last"]  # before anything is looked at
            for _ in range(4):
                optimizer.zero_grad()
                model(torch.rand(8, 2), held).sum().backward()
                optimizer.step()
            return recorder, recorder.state_dict()

    _, state = run("a", None)
    torch.save(state, tmp_path / "x.pt")
    recorder, _ = run("b", torch.load(tmp_path / "x.pt", weights_only=True))
    assert recorder.steps == [0, 3, 6, 8]


def test_inputs_that_are_given_need_no_place_in_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    example = data().tensors[0][:4]
    train(tmp_path / "a", 6, inputs=example)
    model = mlp(2, 8, 2)
    with watch(model, torch.optim.SGD(model.parameters(), lr=0.1), directory=tmp_path / "b", inputs=example, **SMALL) as recorder:
        state = torch.load(tmp_path / "a" / "x.pt", weights_only=True)["boundaries"]
        recorder.load_state_dict(state)
        assert recorder.state_dict()["view"]["slice"] == state["view"]["slice"]


def test_a_directory_that_holds_another_run_now_is_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    train(tmp_path / "a", 6)
    saved = (tmp_path / "a" / "x.pt").read_bytes()
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "a").mkdir()
    train(tmp_path / "a", 6, slice=slices.box((-9, 9), (-9, 9)))
    (tmp_path / "a" / "x.pt").write_bytes(saved)
    with pytest.warns(BoundaryWarning, match="The samples before step 6 are gone.*holds another run now"):
        recorder = train(tmp_path / "b", 12, tmp_path / "a" / "x.pt")
    assert recorder.steps == [6, 10, 12]
    assert load(tmp_path / "b").slice.bounds[0][1] < 2


def test_a_program_that_changes_its_directory_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    model = mlp(2, 4, 2)
    recorder = Recorder("run", SQUARE, **SMALL)
    recorder.record(model, 0)
    monkeypatch.chdir(tmp_path / "other")
    recorder.record(model, 1)
    assert recorder.state_dict()["directory"] == str(tmp_path / "run")
    recorder.close()
    assert load(tmp_path / "run").steps == (0, 1)


class Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 1, 3, stride=8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))

    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x)


def test_large_slices_lie_beside_the_history_and_in_no_checkpoint(tmp_path: Path) -> None:
    images = torch.rand(6, 3, 64, 64)

    def run(name: str, state: dict[str, Any] | None = None) -> tuple[Recorder, dict[str, Any]]:
        torch.manual_seed(1)
        model = Image()
        model(images)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer, directory=tmp_path / name, every_n_steps=2, **SMALL) as recorder:
            if state is not None:
                recorder.load_state_dict(state)
            for _ in range(4):
                optimizer.zero_grad()
                model(images if state is None else images.flip(0)).square().sum().backward()
                optimizer.step()
            return recorder, recorder.state_dict()

    first, state = run("a")
    torch.save(state, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 70_000
    assert (first.directory / "place.pt").stat().st_size > 70_000
    second, _ = run("b", torch.load(tmp_path / "x.pt", weights_only=True))
    assert second.steps == [0, 2, 4, 6, 8]
    assert np.array_equal(load(tmp_path / "b").slice.origin, load(tmp_path / "a").slice.origin)
    (first.directory / "place.pt").unlink()
    with pytest.warns(BoundaryWarning, match="The samples before step 4 are gone, and where they looked"):
        third, _ = run("c", torch.load(tmp_path / "x.pt", weights_only=True))
    assert third.steps == [4, 6, 8]


def test_the_runs_few_numbers_are_those_of_the_whole_run(pl: Any, tmp_path: Path) -> None:
    fits = Fits(pl, tmp_path)
    whole = fits.fit("whole").recorder.finals
    fits.fit("cut", until=9)
    resumed = fits.fit("resumed", ckpt_path=fits.checkpoint("cut", 8))
    assert resumed.recorder.finals == whole
    resumed_again = trainer_of(pl, tmp_path / "fresh", resumed, max_epochs=1)  # the same callback, without a checkpoint
    resumed_again.fit(module_of(pl), DataLoader(data(), batch_size=16))
    assert load(tmp_path / "fresh").steps == (0, 4)


def test_a_checkpoint_of_a_finished_fit_has_all_that_is_needed(pl: Any, tmp_path: Path) -> None:
    callback = callback_of(pl, every_n_steps=5)
    trainer = trainer_of(pl, tmp_path / "first", callback, max_epochs=3)
    trainer.fit(module_of(pl, mlp(2, 8, 8, 2)), DataLoader(data(), batch_size=16))
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    more = trainer_of(pl, tmp_path / "more", callback_of(pl, every_n_steps=5), max_epochs=6)
    more.fit(module_of(pl, mlp(2, 8, 8, 2)), DataLoader(data(), batch_size=16), ckpt_path=tmp_path / "end.ckpt")
    history = load(tmp_path / "more")
    assert history.steps == (0, 5, 10, 12, 15, 20, 24)
    assert history[4].metrics["drift/shift/net.0"] >= 0  # what moved since the sample that ended the first fit


def test_another_model_is_told_at_the_start(pl: Any, tmp_path: Path) -> None:
    callback = callback_of(pl, every_n_steps=5)
    trainer = trainer_of(pl, tmp_path / "a", callback, max_epochs=1)
    trainer.fit(module_of(pl), DataLoader(data(), batch_size=16))
    state = callback.state_dict()
    other = callback_of(pl, every_n_steps=5)
    again = trainer_of(pl, tmp_path / "b", other, max_epochs=1)
    other.setup = lambda *_, **__: other.load_state_dict(state)
    with pytest.raises(ValueError, match="give a `slice` whose points are inputs of the model"):
        again.fit(module_of(pl, mlp(3, 8, 2)), DataLoader(data(inputs=3), batch_size=16))
    with pytest.raises(ValueError, match="give a `slice` whose points are inputs of the model"):
        model = mlp(3, 8, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer, directory=tmp_path / "c", **SMALL) as recorder:
            recorder.load_state_dict(state["recorder"])
            model(torch.rand(4, 3)).sum().backward()
            optimizer.step()


def test_another_part_of_the_module_gives_way_too(pl: Any, tmp_path: Path) -> None:
    fits = Fits(pl, tmp_path, module="net")
    fits.fit("cut", until=9)
    with warned() as words:
        callback = fits.fit("resumed", ckpt_path=fits.checkpoint("cut", 8), module="drop")
    assert words == ["`module` is that of the run that is gone on with, net; yours is left out."]
    assert callback.recorder.steps == [0, 5, 10, 15, 20, 24]


def test_a_checkpoint_between_a_step_and_its_sample_goes_on_in_step(pl: Any, tmp_path: Path) -> None:
    """Such as one that a callback before ours writes: the optimiser has stepped, and ours was not told of it."""

    class Saves(pl.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if trainer.global_step in (10, 12):
                trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    fits = Fits(pl, tmp_path)
    fits.fit("whole")
    callback = callback_of(pl, every_n_steps=5)
    module = module_of(
        pl, mlp(2, 8, 8, 2), training_step=lambda self, batch, _: nn.functional.cross_entropy(self.net(batch[0]), batch[1])
    )
    trainer_of(pl, tmp_path / "saving", Saves(), callback, max_epochs=6).fit(module, Resumable(data(), batch_size=16))
    for step in (10, 12):
        name = f"resumed-{step}"
        assert fits.fit(name, ckpt_path=tmp_path / f"{step}.ckpt").recorder.steps == [0, 5, 10, 15, 20, 24]
        for mine, whole in zip(fits.history(name), fits.history("whole"), strict=True):
            assert np.array_equal(mine.capture.on, whole.capture.on)


@pytest.mark.parametrize("number", [np.int64(5), np.uint8(5)])
def test_numbers_that_are_numpys_leave_a_checkpoint_loadable(number: Any, tmp_path: Path) -> None:
    recorder, model = Recorder(tmp_path, SQUARE, resolution=16, every_n_steps=number), mlp(2, 4, 2)
    recorder.record(model, np.int64(0))  # type: ignore[arg-type]
    recorder.record(model, torch.tensor(7))  # type: ignore[arg-type]
    torch.save(recorder.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["last"] == 7
    assert load(tmp_path).steps == (0, 7)


def test_a_damaged_history_is_left_and_a_new_one_begun(tmp_path: Path) -> None:
    recorder, model = Recorder(tmp_path / "one", SQUARE, resolution=16), mlp(2, 4, 2)
    for step in range(4):
        recorder.record(model, step)
    state = recorder.state_dict()
    history = load(tmp_path / "one")
    path, damaged = history.path, bytearray(history.path.read_bytes())
    damaged[history.end_of(2) - 64] ^= 1  # in the second frame's numbers; its header, whose length varies, tells its damage at once
    path.write_bytes(damaged)
    again = Recorder(tmp_path / "two", SQUARE, resolution=16)
    with pytest.warns(BoundaryWarning, match="The samples before step 3 are gone, so this history begins there"):
        again.load_state_dict(state)
    again.record(model, 4)
    assert again.steps == [4]
    assert path.read_bytes() == damaged
    assert load(tmp_path / "two").steps == (4,)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["one", "two"]


def test_traces_of_a_sample_that_was_cut_are_not_those_of_the_one_before(tmp_path: Path) -> None:
    recorder, model = Recorder(tmp_path / "one", SQUARE, resolution=16), mlp(2, 4, 2)
    for step in range(4):
        recorder.record(model, step)
        with torch.no_grad():
            model[0].bias += 0.2
    state = recorder.state_dict()
    history = load(tmp_path / "one")
    whole, size = history.path.read_bytes(), history.end_of(3)
    history.path.write_bytes(whole[:size])
    again = Recorder(tmp_path / "two", SQUARE, resolution=16)
    with warned():
        again.load_state_dict(state)
    again.record(model, 4)
    assert again.steps == [0, 1, 2, 4]
    moved = load(tmp_path / "two")[-1].metrics
    assert moved["drift/flipped/0"] > 0  # since step 2, by the masks
    assert np.isnan(moved["drift/shift/0"])  # whose weights are not kept


def test_what_an_earlier_run_left_beside_its_history_is_not_this_ones(tmp_path: Path) -> None:
    plane = slices.through(*np.random.default_rng(0).normal(size=(3, 4000)))  # too large for a checkpoint
    model = nn.Sequential(nn.Linear(4000, 4), nn.ReLU(), nn.Linear(4, 2))
    states = []
    for _ in range(2):
        recorder = Recorder(tmp_path / "run", plane, resolution=16)
        recorder.record(model, 0)
        states.append(recorder.state_dict())
        load(tmp_path / "run").path.rename(tmp_path / f"moved-{len(states)}")
    (tmp_path / "moved-2").rename(tmp_path / "run" / "history.bcb")
    again = Recorder(tmp_path / "two", resolution=16)
    again.load_state_dict(states[1])
    assert again.steps == [0]
