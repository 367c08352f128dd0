"""BoundaryCallback under real Trainers of both Lightning packages."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightnings import PACKAGES, SQUARE, callback_of, data, fit, module_of, trainer_of
from models import Ginn, mlp
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, default_collate

from boundarycb import BoundaryWarning, load, slices
from boundarycb.metrics import on_share
from boundarycb.schedule import bursts, every
from boundarycb.sinks import Files


def test_no_arguments_are_needed(pl: Any, tmp_path: Path) -> None:
    callback = importlib.import_module(PACKAGES[pl.__name__]).BoundaryCallback()
    fit(pl, tmp_path, callback, max_epochs=1)
    (run,) = (tmp_path / "lightning_logs").iterdir()
    history = load(run)
    assert history.steps == (0, 4)
    assert history.path == run / "boundaries" / "history.bcb"
    assert (run / "boundaries" / "boundaries.gif").exists()
    points = data().tensors[0].numpy()
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * (high - low)
    assert np.allclose(history.slice.bounds, np.stack([low - margin, high + margin], axis=1))
    assert history.layers == ("net.0", "net.2")


def test_samples_carry_loss_and_learning_rate(pl: Any, tmp_path: Path) -> None:
    losses: list[float] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        losses.append(float(loss.detach()))
        return {"loss": loss}

    fit(pl, tmp_path, callback_of(pl, every_n_steps=5), module_of(pl, training_step=training_step))
    history = load(tmp_path)
    assert history.steps == (0, 5, 10, 12)
    assert history[0].scalars == {"lr": 0.01}
    for snapshot in history[1:]:
        assert snapshot.scalars == {"lr": 0.01, "loss": pytest.approx(losses[snapshot.step - 1])}


def test_samples_carry_what_numbers_the_step_gives_beside_the_loss(pl: Any, tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        scores = self(batch[0])
        right = (scores.argmax(dim=1) == batch[1]).float().mean()
        loss = nn.functional.cross_entropy(scores, batch[1])
        beside = {"accuracy": right, "batch": batch_idx, "scores": scores.detach(), "words": "no number", "doubled": 2 * loss}
        return {"loss": loss, **beside}  # of which one has its graph still

    callback = callback_of(pl, every_n_steps=5)
    fit(pl, tmp_path, callback, module_of(pl, training_step=training_step), accumulate_grad_batches=2)
    last = load(tmp_path)[-1].scalars
    assert set(last) == {"lr", "loss", "accuracy", "batch", "doubled"}
    assert last["doubled"] == pytest.approx(2 * last["loss"])
    assert isinstance(callback._logged["doubled"], torch.Tensor)
    assert callback._logged["doubled"].grad_fn is None
    assert 0 <= last["accuracy"] <= 1
    assert last["batch"] == 3


def test_steps_are_crossings_under_gradient_accumulation(pl: Any, tmp_path: Path) -> None:
    losses: list[float] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        losses.append(float(loss.detach()))
        return loss

    fit(pl, tmp_path, callback_of(pl, every_n_steps=2), module_of(pl, training_step=training_step), accumulate_grad_batches=3)
    history = load(tmp_path)
    assert history.steps == (0, 2, 4, 6)  # four batches an epoch: one step after three, one after the last
    assert history[1].scalars["loss"] == pytest.approx(losses[3])


def test_two_optimizers_count_as_one_step_a_batch(pl: Any, tmp_path: Path) -> None:
    def configure_optimizers(self: Any) -> Any:
        return [torch.optim.SGD(self.net[k].parameters(), lr=0.1) for k in (0, 2)], []

    def training_step(self: Any, batch: Any, batch_idx: int) -> None:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()

    module = module_of(pl, configure_optimizers=configure_optimizers, training_step=training_step)
    module.automatic_optimization = False
    trainer = fit(pl, tmp_path, callback_of(pl, every_n_steps=5), module)
    assert trainer.global_step == 24
    assert load(tmp_path).steps == (0, 5, 10, 12)
    assert set(load(tmp_path)[1].scalars) == {"lr/0", "lr/1"}


def test_under_manual_optimisation_samples_carry_what_is_logged(pl: Any, tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> None:
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("critic", loss)
        self.optimizers().zero_grad()
        self.manual_backward(loss)
        self.optimizers().step()
        losses.append(float(loss.detach()))

    losses: list[float] = []
    module = module_of(pl, training_step=training_step)
    module.automatic_optimization = False
    fit(pl, tmp_path, callback_of(pl, every_n_steps=5), module)
    assert load(tmp_path)[1].scalars == {"lr": 0.01, "critic": pytest.approx(losses[4])}


def everything(trainer: Any, module: Any) -> dict[str, torch.Tensor]:
    moments = {
        f"{k}/{name}": value for k, state in trainer.optimizers[0].state_dict()["state"].items() for name, value in state.items()
    }
    return {**module.state_dict(), **moments, "rng": torch.get_rng_state()}


@pytest.mark.filterwarnings("ignore:TensorBoard shows 10 pictures")
def test_training_is_the_same_bit_for_bit(pl: Any, tmp_path: Path) -> None:
    results = []
    for watched in (False, True):
        pl.seed_everything(7, verbose=False)
        module = module_of(pl, nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)))
        callbacks = [callback_of(pl, every_n_steps=1)] if watched else []
        trainer = trainer_of(pl, tmp_path, *callbacks)
        trainer.fit(module, DataLoader(data(), batch_size=16, shuffle=True))
        results.append(everything(trainer, module))
    bare, probed = results
    assert bare.keys() == probed.keys()
    assert all(torch.equal(bare[name], probed[name]) for name in bare)
    assert load(tmp_path).steps == tuple(range(13))


def test_what_forward_logs_is_not_touched(pl: Any, tmp_path: Path) -> None:
    class Logs(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2)

        def forward(self, x: torch.Tensor) -> Any:
            y = self.net(x)
            self.log("mean", y.mean(), on_step=True, on_epoch=True)
            self.log_dict({"most": y.max()})
            return y

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    metrics = []
    for callbacks in ([], [callback_of(pl, every_n_steps=1, slice=SQUARE)]):
        trainer = trainer_of(pl, tmp_path, *callbacks, max_epochs=2)
        module = Logs()
        trainer.fit(module, DataLoader(data(), batch_size=16))
        assert not {"log", "log_dict"} & module.__dict__.keys()
        metrics.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert metrics[0] == metrics[1]
    assert len(load(tmp_path)) == 9


def test_an_exception_keeps_the_users_error_and_makes_the_movie(pl: Any, tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 7:
            raise ZeroDivisionError("the user's own")
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    with pytest.raises(ZeroDivisionError, match="the user's own"):
        fit(pl, tmp_path, callback_of(pl, every_n_steps=3), module_of(pl, training_step=training_step))
    assert load(tmp_path).steps == (0, 3, 6)
    assert load(tmp_path).path.with_name("boundaries.gif").exists()


@pytest.mark.parametrize("options", [{"fast_dev_run": True}, {"barebones": True, "logger": None}])
def test_runs_that_write_nothing_stay_so(pl: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    if "barebones" in options:
        options = {
            **options,
            **dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "log_every_n_steps")),
        }
    callback = callback_of(pl)
    fit(pl, tmp_path, callback, **options)
    assert callback.recorder is None
    assert not list(tmp_path.rglob("*.bcb"))


def test_without_a_logger_files_go_to_the_root_directory(pl: Any, tmp_path: Path) -> None:
    for _ in range(2):
        fit(pl, tmp_path, callback_of(pl), logger=False, max_epochs=1)
    assert load(tmp_path / "boundaries").steps == load(tmp_path / "boundaries-1").steps == (0, 4)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"limit_train_batches": 0}, None),
        ({"overfit_batches": 2, "max_epochs": 4}, (0, 5, 8)),
        ({"max_steps": 7}, (0, 5, 7)),
        ({"max_steps": 5}, (0, 5)),
        ({"val_check_interval": 1, "num_sanity_val_steps": 3}, (0, 5, 10, 12)),
        ({"accumulate_grad_batches": 2, "max_epochs": 5}, (0, 5, 10)),
        ({"limit_train_batches": 3}, (0, 5, 9)),
    ],
)
def test_steps(pl: Any, tmp_path: Path, options: dict[str, Any], steps: tuple[int, ...] | None) -> None:
    """Validation in between, and the sanity check before, call the module too, and are no matter."""
    seen: list[int] = []

    def validation_step(self: Any, batch: Any, batch_idx: int) -> None:
        self(batch[0])
        seen.append(0 if callback.recorder is None else len(callback.recorder.steps))

    callback = callback_of(pl, every_n_steps=5)
    trainer = trainer_of(pl, tmp_path, callback, **{"max_epochs": 3, **options})
    loader = DataLoader(data(), batch_size=16)
    trainer.fit(module_of(pl, validation_step=validation_step), loader, loader)
    if steps is None:
        assert callback.recorder is None
        assert not list(tmp_path.rglob("*.bcb"))
        return
    assert load(tmp_path).steps == steps
    assert set(load(tmp_path)[-1].scalars) == {"loss", "lr"}
    assert seen == sorted(seen)
    assert seen[0] == 0  # of the sanity check


def test_a_barebones_trainer_is_told_of(pl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []
    callback = callback_of(pl)
    monkeypatch.setattr(type(callback), "_tell", staticmethod(words.append))
    off = dict.fromkeys(("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "log_every_n_steps", "logger"))
    fit(pl, tmp_path, callback, barebones=True, **off)
    assert words == ["boundaries: a barebones Trainer is measured without callbacks, so nothing is sampled."]


def test_a_misspelt_argument_is_one_of_the_callbacks(pl: Any) -> None:
    with pytest.raises(TypeError, match=r"^BoundaryCallback.__init__\(\) got an unexpected keyword argument 'every'"):
        callback_of(pl, every=5)


def test_a_single_callback_needs_no_list(pl: Any, tmp_path: Path) -> None:
    callback = callback_of(pl)
    trainer = trainer_of(pl, tmp_path, max_epochs=1, callbacks=callback)
    trainer.fit(module_of(pl), DataLoader(data(), batch_size=16))
    assert load(tmp_path).steps == (0, 4)


def test_two_callbacks_of_one_name_are_refused(pl: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="more than one stateful callback of type `BoundaryCallback`.*must be unique"):
        trainer_of(pl, tmp_path, callback_of(pl), callback_of(pl))


def test_what_goes_wrong_in_our_sinks_replaces_no_error_of_the_users(pl: Any, tmp_path: Path) -> None:
    """And later callbacks hear of theirs."""
    heard: list[BaseException] = []

    class Fails:
        def write(self, snapshot: Any, images: Any) -> None:
            """Take it."""

        def close(self, history: Any, movie: Any) -> None:
            raise OSError("no space left on device")

    class Later(pl.Callback):  # type: ignore[misc]
        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            heard.append(exception)

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 7:
            raise ZeroDivisionError("the user's own")
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    trainer = trainer_of(pl, tmp_path, callback_of(pl, every_n_steps=3, sinks=[Fails()]), Later())
    with (
        pytest.raises(ZeroDivisionError, match="the user's own"),
        pytest.warns(BoundaryWarning, match="Fails could not be finished.*no space left"),
    ):
        trainer.fit(module_of(pl, training_step=training_step), DataLoader(data(), batch_size=16))
    assert len(heard) == 1
    assert load(tmp_path).path.with_name("boundaries.gif").exists()


def test_a_part_that_is_renamed_later_ends_sampling_and_not_training(pl: Any, tmp_path: Path) -> None:
    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 3:
            self.other = self.net
            del self.net
        return nn.functional.cross_entropy((self.net if self.global_step < 3 else self.other)(batch[0]), batch[1])

    with pytest.warns(BoundaryWarning, match="step 4: sampling failed; no further sample is taken, training goes on"):
        trainer = fit(pl, tmp_path, callback_of(pl, module="net", every_n_steps=4), module_of(pl, training_step=training_step))
    assert trainer.global_step == 12
    assert load(tmp_path).steps == (0,)


@pytest.mark.parametrize("kind", ["error", "ctrl-c"])
def test_no_hook_of_ours_stays_where_the_training_step_fails_first(pl: Any, tmp_path: Path, kind: str) -> None:
    """A module without a forward is listened to from the first batch on."""

    class NoForward(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise ZeroDivisionError if kind == "error" else KeyboardInterrupt

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module = NoForward()
    with pytest.raises(ZeroDivisionError if kind == "error" else SystemExit):
        fit(pl, tmp_path, callback_of(pl), module)
    assert not any(part._forward_pre_hooks for part in module.modules())


def test_a_logger_out_of_reach_costs_its_pictures_alone(pl: Any, tmp_path: Path) -> None:
    class Far(importlib.import_module(f"{pl.__name__}.loggers").Logger):  # type: ignore[misc]
        name = version = "far"

        @property
        def log_dir(self) -> str:
            raise ConnectionError("no route to host")

        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            """Take them."""

        def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
            """Take them."""

    with pytest.warns(BoundaryWarning, match="Far does not tell its directory. .*no route to host"):
        fit(pl, tmp_path, callback_of(pl), logger=Far(), max_epochs=1)
    assert load(tmp_path / "boundaries").steps == (0, 4)


def test_synchronised_batch_norm_is_not_looked_at_as_it_is(pl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.Trainer, "world_size", property(lambda self: 2))
    with pytest.raises(ValueError, match='`mode` "as_is" would let SyncBatchNorm talk to other ranks'):
        fit(pl, tmp_path, callback_of(pl, mode="as_is"), module_of(pl, nn.Sequential(nn.SyncBatchNorm(2), nn.Linear(2, 2))))


@pytest.mark.parametrize("entry", ["validate", "test", "predict"])
def test_errors_of_other_runs_are_no_matter(pl: Any, tmp_path: Path, entry: str) -> None:
    def step(self: Any, batch: Any, batch_idx: int) -> Any:
        raise ZeroDivisionError("the user's own")

    steps: dict[str, Any] = {f"{'validation' if entry == 'validate' else entry}_step": step}
    callback, module = callback_of(pl), module_of(pl, **steps)
    trainer = trainer_of(pl, tmp_path, callback, max_epochs=1)
    loader = DataLoader(data(), batch_size=16)
    for fitted in (False, True):
        if fitted:
            trainer.fit(module, loader)
        with pytest.raises(ZeroDivisionError, match="the user's own"):
            getattr(trainer, entry)(module, loader)
    assert load(tmp_path).steps == (0, 4)


def test_nothing_of_a_step_stays_alive_but_numbers(pl: Any, tmp_path: Path) -> None:
    """What else a step gives, such as scores, may be large."""
    alive: list[Any] = []

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        assert not [one for one in alive if one() is not None]
        scores = self(batch[0])
        kept = scores.detach().clone()
        alive.append(weakref.ref(kept))
        return {"loss": nn.functional.cross_entropy(scores, batch[1]), "scores": kept}

    fit(pl, tmp_path, callback_of(pl, every_n_steps=5), module_of(pl, training_step=training_step))
    assert len(alive) == 12


def test_where_all_batches_are_skipped_there_is_no_sample_and_no_error(pl: Any, tmp_path: Path) -> None:
    class Skips(pl.LightningModule):  # type: ignore[misc]
        """Without a forward: the training step would tell what to look at."""

        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2)

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int:
            return -1

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    module, callback = Skips(), callback_of(pl)
    trainer_of(pl, tmp_path, callback).fit(module, DataLoader(data(), batch_size=16))
    assert callback.recorder.steps == []
    assert not any(part._forward_pre_hooks for part in module.modules())


def test_a_training_step_that_is_called_by_the_name_of_forward_is_no_model(pl: Any, tmp_path: Path) -> None:
    """Under several processes Lightning calls it so, for torch's wrapper to see it."""

    class Alone(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 8, 2)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            def real(batch: Any, batch_idx: int) -> Any:
                del self.forward
                return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

            self.forward = real
            return self(batch, batch_idx)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    callback = callback_of(pl, every_n_steps=5)
    trainer_of(pl, tmp_path, callback).fit(Alone(), DataLoader(data(), batch_size=16))
    assert callback.recorder.steps == [0, 5, 10, 12]
    assert load(tmp_path)[-1].capture.field is not None  # of the scores, not of the loss


def test_a_tuner_before_a_second_fit_begins_anew(pl: Any, tmp_path: Path) -> None:
    """It saves and loads a checkpoint before training starts, of which the first fit has no part."""
    callback = callback_of(pl, every_n_steps=5)
    for number in range(2):
        finder = pl.callbacks.LearningRateFinder(num_training_steps=4)
        trainer = trainer_of(pl, tmp_path / str(number), callback, finder)
        trainer.fit(module_of(pl, lr=0.01), DataLoader(data(), batch_size=16))
        assert callback.recorder.steps == [0, 5, 10, 12]


def test_files_do_not_go_to_an_address_as_if_it_were_a_folder(pl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loggers = importlib.import_module(f"{pl.__name__}.loggers")
    callback = callback_of(pl)
    with pytest.warns(BoundaryWarning, match=r"cannot be written to memory://bucket/logs.*, and go to .* on this machine; `direc"):
        trainer_of(pl, tmp_path, callback, logger=loggers.CSVLogger("memory://bucket/logs")).fit(
            module_of(pl), DataLoader(data(), batch_size=16)
        )
    assert callback.recorder.directory == tmp_path / "boundaries"
    assert not list(tmp_path.glob("memory*"))
    with pytest.raises(ValueError, match="`directory` must be one of this machine's, .* got 's3://bucket/run'"):
        callback_of(pl, directory="s3://bucket/run")


def test_what_gives_its_values_once_is_read_once(pl: Any, tmp_path: Path) -> None:
    callback = callback_of(pl, schedule=(step for step in (2, 7)), metrics=(one for one in [on_share]))
    fit(pl, tmp_path, callback)
    assert load(tmp_path).steps == (0, 2, 7, 12)
    assert load(tmp_path)[-1].metrics


def test_fit_twice_gives_two_whole_histories(pl: Any, tmp_path: Path) -> None:
    callback, module = callback_of(pl), module_of(pl)
    trainer = trainer_of(pl, tmp_path, callback, max_epochs=1)
    loader = DataLoader(data(), batch_size=16)
    trainer.fit(module, loader)
    trainer.fit_loop.max_epochs = 2
    with pytest.warns(BoundaryWarning, match="boundaries holds a history already; this one's goes to .*boundaries-1"):
        trainer.fit(module, loader)
    (run,) = (tmp_path / "lightning_logs").iterdir()
    assert load(run / "boundaries").steps == (0, 4)
    assert load(run / "boundaries-1").steps == (4, 8)


def test_a_callback_used_for_another_model_starts_at_step_zero(pl: Any, tmp_path: Path) -> None:
    callback = callback_of(pl)
    for name in ("first", "second"):
        fit(pl, tmp_path / name, callback, max_epochs=1)
        assert load(tmp_path / name).steps == (0, 4)


def test_of_a_module_without_forward_what_it_holds_is_looked_at(pl: Any, tmp_path: Path) -> None:
    class NoForward(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    fit(pl, tmp_path, callback_of(pl), NoForward())
    assert list(load(next((tmp_path / "lightning_logs").iterdir())).layers) == ["0"]
    with pytest.raises(ValueError, match="NoForward has no module 'nets'; it has net"):
        fit(pl, tmp_path, callback_of(pl, module="nets"), NoForward())


def test_two_callbacks_with_two_names_live_side_by_side(pl: Any, tmp_path: Path) -> None:
    near = callback_of(pl, name="near", slice=slices.box((-0.1, 0.1), (-0.1, 0.1)))
    wide = callback_of(pl, name="wide", slice=slices.box((-9, 9), (-9, 9)))
    trainer = trainer_of(pl, tmp_path, near, wide, max_epochs=1)
    trainer.fit(module_of(pl), DataLoader(data(), batch_size=16))
    (run,) = (tmp_path / "lightning_logs").iterdir()
    assert load(run / "near").slice.bounds == ((-0.1, 0.1), (-0.1, 0.1))
    assert load(run / "wide").slice.bounds == ((-9, 9), (-9, 9))


def test_steps_are_the_trainers_also_after_a_resume_without_the_callback(pl: Any, tmp_path: Path) -> None:
    trainer = trainer_of(pl, tmp_path, max_epochs=1, accumulate_grad_batches=2)
    trainer.fit(module_of(pl), DataLoader(data(), batch_size=16))
    trainer.save_checkpoint(tmp_path / "bare.ckpt")
    again = trainer_of(pl, tmp_path / "resumed", callback_of(pl), max_epochs=2, accumulate_grad_batches=2)
    again.fit(module_of(pl), DataLoader(data(), batch_size=16), ckpt_path=tmp_path / "bare.ckpt")
    assert load(tmp_path / "resumed").steps == (2, 4)


def test_a_callback_can_be_pickled_and_copied(pl: Any, tmp_path: Path) -> None:
    callback = callback_of(pl, every_n_steps=2, slice=SQUARE)
    fit(pl, tmp_path / "before", callback, max_epochs=1)
    for copied in (pickle.loads(pickle.dumps(callback)), copy.deepcopy(callback)):
        fit(pl, tmp_path / str(id(copied)), copied, max_epochs=1)
        assert load(tmp_path / str(id(copied))).steps == (0, 2, 4)


# ------------------------------------------------------------------------------------------------------------ the slice


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(data())


class Augmented(Dataset[Any]):
    """Draws random numbers for every item and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __len__(self) -> int:
        return 100_000

    def __getitem__(self, index: int) -> Any:
        self.asked += 1
        return {"x": np.array([index / 100_000, torch.rand(()).item()]), "y": 0}


def test_schedules_and_sinks_go_to_another_process_too(pl: Any, tmp_path: Path) -> None:
    for due in (bursts("log"), every(3), bursts([1, 7], 2)):
        twin = pickle.loads(pickle.dumps(callback_of(pl, schedule=due, sinks=[Files(tmp_path / "pictures")])))
        steps = [step for step in range(1, 60) if due(step - 1, step)]
        assert [step for step in range(1, 60) if twin._options["schedule"](step - 1, step)] == steps


def test_a_stream_gives_the_slice_of_its_first_batch(pl: Any, tmp_path: Path) -> None:
    """It cannot be read by index, and is not read at all but by the Trainer."""
    fit(pl, tmp_path, callback_of(pl), loader=DataLoader(Stream(), batch_size=16), max_epochs=1)
    (run,) = (tmp_path / "lightning_logs").iterdir()
    first = torch.stack([x for x, _ in [data()[i] for i in range(16)]]).double().numpy()
    assert load(run).slice.bounds == slices.around(first).bounds


def test_only_plain_data_are_read_and_no_random_number_is_moved(pl: Any, tmp_path: Path) -> None:
    """A data set of the user's own may count, or draw from a generator of its own: it is not asked for an item."""
    dataset = Augmented()
    seen = []

    class Watches(pl.Callback):  # type: ignore[misc]
        def on_train_batch_start(self, *_: Any) -> None:
            seen.append((torch.get_rng_state(), dataset.asked))

    trainer = trainer_of(pl, tmp_path, Watches(), callback_of(pl), Watches(), max_steps=1)
    net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)).double()

    def step(module: Any, batch: Any, _: int) -> Any:
        return nn.functional.cross_entropy(module(batch["x"]), batch["y"])

    trainer.fit(module_of(pl, net, training_step=step), DataLoader(dataset, batch_size=16))
    assert torch.equal(seen[0][0], seen[1][0])
    assert seen[1][1] == seen[0][1]
    (run,) = (tmp_path / "lightning_logs").iterdir()
    assert load(run).slice.bounds[0][1] < 0.01  # of the first sixteen of 100,000


class Drawing(Subset[Any]):
    """A user's subset whose items are drawn from a generator of its own."""

    def __init__(self) -> None:
        super().__init__(data(), range(64))
        self.random = np.random.default_rng(0)

    def __getitem__(self, place: Any) -> Any:
        x, y = (tensor[place] for tensor in self.dataset.tensors)  # type: ignore[attr-defined]
        return x + float(self.random.normal()), y

    def __getitems__(self, places: Any) -> Any:
        return [self[place] for place in places]


class Collating:
    """Puts a batch together with noise from a generator of its own."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def __call__(self, items: Any) -> Any:
        x, y = default_collate(items)
        return x + float(self.random.normal()), y


@pytest.mark.parametrize("make", [lambda: DataLoader(Drawing(), 16), lambda: DataLoader(data(), 16, collate_fn=Collating())])
def test_what_draws_from_a_generator_of_its_own_is_not_asked_for_more(pl: Any, tmp_path: Path, make: Any) -> None:
    weights = []
    for callbacks in ([], [callback_of(pl, every_n_steps=5)]):
        torch.manual_seed(0)
        module = module_of(pl)
        trainer_of(pl, tmp_path, *callbacks).fit(module, make())
        weights.append(module.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_sampler_of_whole_batches_is_no_matter(pl: Any, tmp_path: Path) -> None:
    sampler = torch.utils.data.BatchSampler(torch.utils.data.RandomSampler(data()), 16, drop_last=False)
    fit(pl, tmp_path, callback_of(pl), loader=DataLoader(data(), sampler=sampler, batch_size=None), max_epochs=1)
    assert load(tmp_path).steps == (0, 4)


# --------------------------------------------------------------------------------------------------------------- errors


def test_mistakes_end_the_run_before_training_in_one_sentence(pl: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`every_n_steps` must be a whole number of optimiser steps, 1 or more, got 0"):
        callback_of(pl, every_n_steps=0)
    for wrong in ({"resolution": 1}, {"image_size": 1}, {"max_units": 0}, {"name": "a/b"}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
            callback_of(pl, **wrong)
    with pytest.raises(TypeError, match="`slice` must be made by boundarycb.slices"):
        callback_of(pl, slice=[[-1, 1], [-1, 1], [-1, 1], [-1, 1]])
    with pytest.raises(ValueError, match="not both"):
        callback_of(pl, every_n_steps=5, schedule="log")
    with pytest.raises(ValueError, match="called no activation function in its forward pass"):
        fit(pl, tmp_path / "a", callback_of(pl), module_of(pl, nn.Linear(2, 2)))
    with pytest.raises(ValueError, match=r"inputs of shape \(\d+, 3\)"):
        fit(pl, tmp_path / "b", callback_of(pl, slice=slices.through([0, 0, 0], [1, 0, 0], [0, 1, 0])))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="`directory` .* cannot be written to .*; name another one"):
        fit(pl, tmp_path / "c", callback_of(pl, directory=tmp_path / "file"))


def test_ginns_module_has_its_own_names(pl: Any, tmp_path: Path) -> None:
    fit(pl, tmp_path, callback_of(pl, slice=SQUARE), module_of(pl, Ginn()), max_epochs=1)
    assert load(tmp_path).layers == ("net.layer1", "net.layer2", "net.layer3")


# ------------------------------------------------------------------------------------------------------- which Lightning


def run_python(code: str) -> str:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.slow
def test_the_callback_is_of_the_package_that_the_program_uses() -> None:
    choose = """
        import {0}
        from boundarycb import BoundaryCallback as B
        print(B.__module__, *(base.__module__ for base in B.__mro__ if base.__name__ == "Callback"))
    """
    theirs = {
        "lightning.pytorch": "lightning.pytorch.callbacks.callback",
        "pytorch_lightning": "pytorch_lightning.callbacks.callback",
    }
    for package, ours in PACKAGES.items():
        assert run_python(choose.format(package)) == f"{ours} {theirs[package]}"
    both = run_python(choose.format("lightning.pytorch, pytorch_lightning"))
    assert both == f"boundarycb.both_lightnings {' '.join(theirs.values())}"


@pytest.mark.slow
def test_both_packages_in_one_program_share_a_callback(tmp_path: Path) -> None:
    code = f"""
        import sys, logging
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        import lightning.pytorch, pytorch_lightning
        from boundarycb import BoundaryCallback, load
        from pathlib import Path
        from lightnings import *
        for number, pl in enumerate((lightning.pytorch, pytorch_lightning)):
            directory = Path({str(tmp_path)!r}) / str(number)
            fit(pl, directory, BoundaryCallback(**SMALL), max_epochs=1)
            print(load(directory).steps)
    """
    assert run_python(code).splitlines()[-2:] == ["(0, 4)", "(0, 4)"]


def test_without_lightning_the_message_says_what_to_install() -> None:
    code = """
        import sys
        sys.modules["lightning"] = sys.modules["pytorch_lightning"] = None
        import boundarycb
        boundarycb.watch, boundarycb.slices, boundarycb.Recorder
        try:
            boundarycb.BoundaryCallback
        except ModuleNotFoundError as error:
            print(error)
    """
    assert (
        run_python(code)
        == 'The callback needs Lightning: pip install "boundarycb[lightning]"; a plain loop needs boundarycb.watch only.'
    )


def test_plain_use_imports_no_lightning_and_bare_use_no_torch() -> None:
    loaded = "print([name for name in ('torch', 'lightning', 'pytorch_lightning') if name in sys.modules])"
    assert run_python(f"import sys, boundarycb\n{loaded}") == "[]"
    assert run_python(f"import sys, boundarycb.cli, boundarycb.sinks, boundarycb.history\n{loaded}") == "[]"
    assert run_python(f"import sys, boundarycb\nboundarycb.watch\n{loaded}") == "['torch']"
