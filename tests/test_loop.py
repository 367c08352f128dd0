"""watch(): a plain loop, unchanged."""

from __future__ import annotations

import copy
import gc
import random
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp
from torch import nn
from torch.optim.optimizer import _global_optimizer_post_hooks

from boundarycb import BoundaryWarning, Recorder, capture, load, slices, watch
from boundarycb.sinks import GifFile
from boundarycb.types import Sample

SQUARE = slices.box((-1, 1), (-1, 1))
SMALL: dict[str, Any] = {"resolution": 16, "image_size": 64}


def loop(model: nn.Module, *optimizers: torch.optim.Optimizer, steps: int = 10, inputs: int = 2) -> None:
    for _ in range(steps):
        loss = model(torch.rand(8, inputs)).square().mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=0.01)


def test_samples_before_the_first_step_on_schedule_and_after_the_last(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    untouched = {name: value.clone() for name, value in model.state_dict().items()}
    with watch(model, optimizer, slice=SQUARE, every_n_steps=4, directory=tmp_path, **SMALL) as recorder:
        loop(model, optimizer)
    assert recorder.steps == [0, 4, 8, 10]
    history = load(tmp_path)
    fresh = mlp(2, 4, 2)
    fresh.load_state_dict(untouched)
    assert np.array_equal(history[0].capture.on, capture(fresh, SQUARE, resolution=16).on)
    assert np.array_equal(history[-1].capture.on, capture(model, SQUARE, resolution=16).on)
    assert history[1].scalars == {"lr": 0.01}


def test_the_box_is_that_of_the_first_input(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with watch(model, optimizer, directory=tmp_path, **SMALL):
        for batch in (torch.tensor([[0.0, -10.0], [1.0, 10.0]]), torch.full((2, 2), 99.0)):
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
    assert np.allclose(load(tmp_path).slice.bounds, ((-0.1, 1.1), (-12, 12)))


def test_several_optimizers_count_as_one_step_a_batch(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    first, second = (torch.optim.SGD(model[k].parameters(), lr=0.1 * (k + 1)) for k in (0, 2))
    with watch(model, [first, second], slice=SQUARE, every_n_steps=3, directory=tmp_path, **SMALL) as recorder:
        loop(model, first, second, steps=7)
    assert recorder.steps == [0, 3, 6, 7]
    assert load(tmp_path)[-1].scalars == {"lr/0": 0.1, "lr/1": pytest.approx(0.3)}


def test_an_optimizer_without_a_learning_rate_is_no_obstacle(tmp_path: Path) -> None:
    class Own(torch.optim.Optimizer):
        def __init__(self, parameters: Any, **defaults: Any) -> None:
            super().__init__(parameters, defaults)

        def step(self, closure: Any = None) -> Any:
            """Stand still."""

    for number, defaults in enumerate(({}, {"lr": None})):
        model = mlp(2, 4, 2)
        optimizer = Own(model.parameters(), **defaults)
        with watch(model, optimizer, slice=SQUARE, directory=tmp_path / str(number), **SMALL):
            loop(model, optimizer, steps=2)
        assert [dict(snapshot.scalars) for snapshot in load(tmp_path / str(number))] == [{}, {}]


def test_two_watches_around_one_loop_do_not_collide(tmp_path: Path) -> None:
    first, second = mlp(2, 4, 2), mlp(2, 4, 2, seed=1)
    one, two = adam(first), adam(second)
    with watch(first, one, directory=tmp_path, **SMALL) as a, watch(second, two, directory=tmp_path, name="other", **SMALL) as b:
        loop(first, one, steps=2)
        loop(second, two, steps=3)
    assert (a.steps, b.steps) == ([0, 2], [0, 3])

    def alike() -> tuple[Recorder, Recorder]:
        with watch(first, one, directory=tmp_path, **SMALL) as a, watch(second, two, directory=tmp_path, **SMALL) as b:
            loop(first, one, steps=1)
            loop(second, two, steps=1)
        return a, b

    with pytest.warns(BoundaryWarning) as told:
        a, b = alike()
    said = [str(warning.message) for warning in told]
    assert sum('as `name` "boundaries" too' in words and "give one of them a `name`" in words for words in said) == 1
    assert sum("holds a history already" in words for words in said) == len(said) - 1 == 2
    assert {a.directory.name, b.directory.name} == {"boundaries-1", "boundaries-2"}


def test_an_input_given_by_name_is_seen_too(tmp_path: Path) -> None:
    model = WithName()
    optimizer = adam(model)
    with watch(model, optimizer, directory=tmp_path, **SMALL):
        model(points=torch.tensor([[0.0, 0.0], [1.0, 2.0]])).sum().backward()
        optimizer.step()
    assert np.allclose(load(tmp_path).slice.bounds, ((-0.1, 1.1), (-0.2, 2.2)))


def test_without_an_optimizer_only_record_samples(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    with watch(model, slice=SQUARE, directory=tmp_path, **SMALL) as recorder:
        loop(model, adam(model), steps=3)
        assert recorder.steps == []
        recorder.record(model, 3, scalars={"loss": 0.5})
        recorder.record(model, 7)
    assert load(tmp_path).steps == (3, 7)
    assert load(tmp_path)[0].scalars == {"loss": 0.5}


def test_logged_numbers_go_with_the_next_sample(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with watch(model, optimizer, slice=SQUARE, every_n_steps=1, directory=tmp_path, **SMALL) as recorder:
        for value in (1.0, 2.0):
            loop(model, optimizer, steps=1)
            recorder.log(loss=torch.tensor(value), temperature=value)
    assert [snapshot.scalars.get("loss") for snapshot in load(tmp_path)] == [None, None, 1.0]


def test_an_optimizer_with_a_closure_is_sampled_before_its_first_step(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    data = torch.rand(8, 2)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = model(data).square().mean()
        loss.backward()
        return loss

    untouched = {name: value.clone() for name, value in model.state_dict().items()}
    with watch(model, optimizer, every_n_steps=1, directory=tmp_path, **SMALL) as recorder:
        optimizer.step(closure)
        optimizer.step(closure)
    assert recorder.steps == [0, 1, 2]
    fresh = mlp(2, 4, 2)
    fresh.load_state_dict(untouched)
    history = load(tmp_path)
    assert np.array_equal(history[0].capture.on, capture(fresh, history.slice, resolution=16).on)


def test_a_model_that_is_never_called_inside_is_told_at_the_first_step(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    model(torch.rand(4, 2)).sum().backward()  # before the block
    with (
        pytest.raises(ValueError, match="`slice` cannot be guessed, since the model was not called inside the `with` block"),
        watch(model, optimizer, directory=tmp_path, schedule=[200], **SMALL) as recorder,
    ):
        optimizer.step()
    assert recorder.steps == []


def test_a_run_without_samples_says_why(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    with (
        pytest.warns(BoundaryWarning, match=r"No sample was taken: without an `optimizer` only recorder.record"),
        watch(model, directory=tmp_path),
    ):
        pass
    made_no_step = "No sample was taken: the `optimizer` that `watch` was given made no step"
    with pytest.warns(BoundaryWarning, match=made_no_step), watch(model, adam(model), directory=tmp_path):
        loop(model, adam(model), steps=2)


def test_a_watch_that_is_never_entered_says_so(tmp_path: Path) -> None:
    """Without `with` the loop would train unseen, and nothing would say why there are no pictures: also at a program's end."""
    model = mlp(2, 4, 2)
    unused = watch(model, adam(model), directory=tmp_path)
    line = sys._getframe().f_lineno - 1
    del unused
    with pytest.warns(BoundaryWarning, match="`watch` gives a context manager, and this one was never entered") as heard:
        gc.collect()  # its hooks know it
    assert [(one.filename, one.lineno) for one in heard] == [(__file__, line)]
    script = "import torch, boundarycb; m = torch.nn.Linear(2, 2); w = boundarycb.watch(m, torch.optim.SGD(m.parameters()))"
    twice = f"{script}\nw = boundarycb.watch(m, torch.optim.SGD(m.parameters()))"
    done = subprocess.run([sys.executable, "-c", twice], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.count("Write `with") == 2
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.count("Write `with boundarycb.watch(model, optimizer):` around the training loop.") == 1
    entered = script.replace("w = ", "\nwith ") + ": pass"
    done = subprocess.run([sys.executable, "-c", entered], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "never entered" not in done.stderr


def test_a_run_of_few_samples_is_told_how_to_have_more(tmp_path: Path) -> None:
    summaries = []
    for name, every in (("default", None), ("chosen", 100)):
        model = mlp(2, 4, 2)
        optimizer = adam(model)
        with watch(
            model, optimizer, slice=SQUARE, directory=tmp_path / name, every_n_steps=every, replay=False, **SMALL
        ) as recorder:
            loop(model, optimizer, steps=90)
        summaries.append(recorder.summary)
    assert "2 samples of steps 0 to 90 took" in summaries[0]
    assert "(few; `every_n_steps=4` takes some twenty)" in summaries[0]
    assert "every_n_steps" not in summaries[1]  # who says it knows it


def test_runs_that_begin_in_one_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folds of a few milliseconds: each folder is one run to whoever looks into it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda _: "Jan01_00-00-00")
    monkeypatch.setattr(socket, "gethostname", lambda: "here")
    for _ in range(3):
        model = mlp(2, 4, 2)
        optimizer = adam(model)
        with watch(model, optimizer, slice=SQUARE, replay=False, **SMALL):
            loop(model, optimizer, steps=1)
    runs = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert runs == ["Jan01_00-00-00_here", "Jan01_00-00-00_here-1", "Jan01_00-00-00_here-2"]
    assert [load(tmp_path / "runs" / name).steps for name in runs] == [(0, 1)] * 3


def test_a_compiled_models_layers_have_their_own_names(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    compiled = torch.compile(model, backend="eager")
    assert isinstance(compiled, nn.Module)
    compiled(torch.rand(8, 2))
    with watch(compiled, slice=SQUARE, directory=tmp_path, **SMALL) as recorder:
        recorder.record(compiled, 0)
    assert load(tmp_path).layers == ("0",)


def test_an_error_in_the_loop_is_the_users_and_what_was_sampled_is_kept(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with (
        pytest.raises(KeyboardInterrupt),
        watch(model, optimizer, slice=SQUARE, every_n_steps=2, directory=tmp_path, **SMALL) as recorder,
    ):
        loop(model, optimizer, steps=5)
        raise KeyboardInterrupt
    assert load(tmp_path).steps == (0, 2, 4)
    assert (recorder.directory / "boundaries.gif").exists()


@pytest.mark.logs_warnings
def test_an_optimizer_of_another_model_is_told(tmp_path: Path) -> None:
    model, copied = mlp(2, 4, 2), mlp(2, 4, 2)
    with pytest.warns(BoundaryWarning, match="No parameter of `optimizer` is one of `model`"):
        watch(model, adam(copied), slice=SQUARE, directory=tmp_path / "a", **SMALL).__enter__().close()
    both = torch.optim.SGD([*model[0].parameters(), *copied.parameters()], lr=0.1)
    with watch(model, [adam(copied), both], slice=SQUARE, directory=tmp_path / "b", **SMALL):
        loop(model, both, steps=2)


def test_hooks_are_gone_afterwards(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with pytest.warns(BoundaryWarning, match="No sample"), watch(model, optimizer, directory=tmp_path, **SMALL):
        pass
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert not model._forward_pre_hooks


def test_two_runs_into_one_directory_both_stay(tmp_path: Path) -> None:
    """As where a cell of a notebook is run again."""

    def run() -> None:
        model = mlp(2, 4, 2)
        optimizer = adam(model)
        with watch(model, optimizer, slice=SQUARE, directory=tmp_path, **SMALL):
            loop(model, optimizer, steps=1)

    run()
    with pytest.warns(BoundaryWarning, match="holds a history already; this one's goes to .*boundaries-1, which is what `load`"):
        run()
    assert load(tmp_path / "boundaries").steps == load(tmp_path / "boundaries-1").steps == (0, 1)


def test_by_default_runs_go_where_torch_puts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with watch(model, optimizer, slice=SQUARE, **SMALL):
        loop(model, optimizer, steps=1)
    (run,) = (tmp_path / "runs").iterdir()
    assert sorted(path.name.split(".")[0] for path in run.iterdir()) == ["boundaries", "events"]


class WithName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 4, 2)

    def forward(self, points: torch.Tensor) -> Any:
        return self.net(points)


class Noisy(nn.Module):
    """Dropout, batch-norm, and random numbers of every kind in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.net(x)
        return y + 0.01 * torch.randn_like(y) + random.random() + np.random.rand()


def numpy_state() -> tuple[bytes, int]:
    state = np.random.get_state(legacy=False)["state"]
    return state["key"].tobytes(), state["pos"]


def run(watched: Path | None) -> dict[str, Any]:
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(3)
    model = Noisy()
    optimizer = adam(model)
    if watched is None:
        loop(model, optimizer, steps=20)
    else:
        with watch(model, optimizer, every_n_steps=1, directory=watched, **SMALL):
            loop(model, optimizer, steps=20)
    numbers = {"torch": torch.get_rng_state(), "numpy": numpy_state()}
    moments = {f"adam{k}/{name}": value for k, state in optimizer.state_dict()["state"].items() for name, value in state.items()}
    return {**model.state_dict(), **moments, **numbers, "python": random.getstate()}


@pytest.mark.filterwarnings("ignore:TensorBoard shows 10 pictures", "ignore:step 0. the model draws random numbers")
def test_training_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    bare, watched = run(None), run(tmp_path)
    assert bare.keys() == watched.keys()
    for name, value in bare.items():
        assert torch.equal(value, watched[name]) if isinstance(value, torch.Tensor) else value == watched[name], name


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"model": "net"}, TypeError, "`model` must be a torch.nn.Module, got str"),
        ({"optimizer": "adam"}, TypeError, "`optimizer` must be a torch optimiser or a list of them, got str"),
        (
            {"optimizer": torch.optim.lr_scheduler.StepLR(adam(nn.Linear(1, 1)), 1)},
            TypeError,
            "`optimizer` must be a torch optimiser or a list of them, got StepLR",
        ),
        ({"sinks": "wandb"}, TypeError, r"`sinks` must be a list of sinks, .* got 'wandb'\."),
        ({"sinks": ["wandb"]}, TypeError, r"`sinks` must be a list of sinks, .* got 'wandb' in it\."),
        ({"sinks": [GifFile]}, TypeError, r"`sinks` must be a list of sinks, .* got <class .*GifFile'> in it\."),
        ({"slice": (0, 0, 1)}, ValueError, r"`slice` must name three different samples by their places, got \(0, 0, 1\)"),
        ({"every_n_steps": 0}, ValueError, "`every_n_steps` must be"),
        ({"image_size": 3}, ValueError, "`image_size` must be"),
        ({"resolution": 1}, ValueError, "`resolution` must be"),
        ({"writer": 5}, TypeError, "`writer` must be"),
        ({"name": "../up"}, ValueError, "`name` must be made of letters"),
        ({"slice": ((-1, 1), (-1, 1), (-1, 1), (-1, 1))}, TypeError, "`slice` must be made by boundarycb.slices"),
    ],
)
def test_wrong_arguments_are_named_at_once(tmp_path: Path, arguments: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        watch(**{"model": mlp(2, 2), "directory": tmp_path, **arguments})


def test_a_slice_that_cannot_be_guessed_is_asked_for(tmp_path: Path) -> None:
    model = mlp(3, 4, 2)
    with (
        pytest.raises(ValueError, match="`slice` cannot be guessed without training data"),
        watch(model, directory=tmp_path) as recorder,
    ):
        recorder.record(model, 0)
    optimizer = adam(model)
    with (
        pytest.raises(ValueError, match="`slice` cannot be guessed, since the model was not called inside"),
        watch(model, optimizer, directory=tmp_path),
    ):
        optimizer.step()


def test_a_model_of_several_inputs_is_heard_though_the_slice_is_given(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2)

        def forward(self, *, x: torch.Tensor, scale: torch.Tensor) -> Any:
            return self.net(x * scale)

    model = Scaled()
    optimizer = adam(model)
    with watch(model, optimizer, slice=SQUARE, directory=tmp_path, **SMALL) as recorder:
        for _ in range(2):
            optimizer.zero_grad()
            model(x=torch.rand(8, 2), scale=torch.ones(8, 1)).sum().backward()
            optimizer.step()
    assert recorder.steps == [0, 2]


def test_a_call_that_will_not_do_is_followed_by_others(tmp_path: Path) -> None:
    """A try-out before the loop, of one zero, is not what the loop trains on."""
    model = mlp(5, 4, 2)
    optimizer = adam(model)
    batch = torch.rand(8, 5)
    with watch(model, optimizer, directory=tmp_path, **SMALL):
        model(torch.zeros(1, 5))
        for _ in range(2):
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
    assert np.allclose(load(tmp_path).slice.origin, batch[0], atol=1e-6)


def test_inputs_of_any_shape_give_the_plane_through_three_of_them(tmp_path: Path) -> None:
    model = mlp(5, 4, 2)
    optimizer = adam(model)
    batch = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    with watch(model, optimizer, directory=tmp_path, **SMALL):
        for _ in range(2):
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
    plane = load(tmp_path).slice
    assert np.allclose(plane.lift(plane.anchors), batch[:3], atol=1e-6)


def test_a_watched_model_can_be_copied_and_saved_before_its_first_call(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with watch(model, optimizer, directory=tmp_path, **SMALL) as recorder:
        torch.save(model, tmp_path / "model.pt")
        for other in (copy.deepcopy(model), torch.load(tmp_path / "model.pt", weights_only=False)):
            other(torch.full((2, 2), 99.0))
        loop(model, optimizer, steps=2)
    assert recorder.steps == [0, 2]
    assert load(tmp_path).slice.bounds[0][1] < 2  # what the copies were called with was not heard


def test_an_optimizer_that_only_wraps_one_is_watched_through(tmp_path: Path) -> None:
    class Wraps(torch.optim.Optimizer):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            self.optimizer, self.param_groups = optimizer, optimizer.param_groups

        def step(self, closure: Any = None) -> Any:
            return self.optimizer.step()

        def zero_grad(self, set_to_none: bool = True) -> None:
            self.optimizer.zero_grad()

    model = mlp(2, 4, 2)
    wrapped = Wraps(Wraps(adam(model)))
    with watch(model, wrapped, slice=SQUARE, every_n_steps=2, directory=tmp_path, **SMALL) as recorder:
        loop(model, wrapped, steps=3)
    assert recorder.steps == [0, 2, 3]


_TOLD = """
import logging, sys, torch, boundarycb
{more}
model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
with boundarycb.watch(model, optimizer, directory=sys.argv[1], resolution=16, image_size=64):
    for _ in range(3):
        model(torch.rand(8, 2)).sum().backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("more", "told"),
    [("", True), ("logging.basicConfig(level=logging.INFO)", True), ("logging.basicConfig(level=logging.WARNING)", False)],
)
def test_a_run_ends_with_a_line_that_says_where_it_is(tmp_path: Path, more: str, told: bool) -> None:
    """On the console where the user has no logging; else where that goes."""
    program = [sys.executable, "-c", _TOLD.format(more=more), str(tmp_path)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout == ""
    lines = [line for line in ended.stderr.splitlines() if "samples of steps 0 to 3 took" in line]
    assert len(lines) == told
    assert all(line.endswith(f"in {tmp_path / 'boundaries'}") and "history.bcb" in line for line in lines)


def _failing_later(sample: Sample) -> dict[str, float]:
    if sample.before is not None:
        raise OSError("no such thing")
    return {}


def test_warnings_point_at_the_users_line(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with watch(model, optimizer, slice=SQUARE, directory=tmp_path, metrics=[_failing_later], **SMALL):
            loop(model, optimizer)
    ours = [one for one in found if issubclass(one.category, BoundaryWarning)]
    assert len(ours) == 1
    assert ours[0].filename == __file__


def test_one_logit_is_told_how_to_have_classes_and_has_them_so(tmp_path: Path) -> None:
    model = mlp(2, 6, 1)
    recorder = Recorder(tmp_path / "no", SQUARE, class_names=["no", "yes"], resolution=16)
    with pytest.raises(ValueError, match=r"output has one number, and no classes\. Of one logit, output=lambda z"):
        recorder.record(model, 0)
    two = Recorder(tmp_path / "yes", SQUARE, class_names=["no", "yes"], output=lambda z: torch.cat([0 * z, z], 1), resolution=16)
    two.record(model, 0)
    two.close()
    (sample,) = load(tmp_path / "yes")
    assert sample.field is not None
    points = torch.tensor(SQUARE.lift(np.stack(np.meshgrid(*[(np.arange(16) + 0.5) / 8 - 1] * 2), axis=-1).reshape(-1, 2)))
    chances = model(points.float()).sigmoid().detach().numpy().reshape(16, 16)
    assert np.abs(sample.field.value - chances).max() < 1e-3
    assert sample.field.names == ("no", "yes")


def test_a_watch_has_one_run(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    run = watch(model, adam(model), slice=slices.box((-1, 1), (-1, 1)), directory=tmp_path)
    with pytest.warns(BoundaryWarning, match="made no step"), run:
        pass
    with pytest.raises(RuntimeError, match="This `watch` had its run; make a new one"), run:
        pass


def test_all_of_a_run_goes_to_the_directory_of_its_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    model = mlp(2, 4, 2)
    optimizer = adam(model)
    with watch(model, optimizer, directory="run", slice=slices.box((-1, 1), (-1, 1)), resolution=16):
        monkeypatch.chdir(tmp_path / "elsewhere")
        loop(model, optimizer, steps=2)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert list((tmp_path / "run").glob("events.*"))
    with pytest.raises(TypeError, match="`directory` must be a path, got 5"):
        Recorder(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`directory` must be one of this machine's"):
        watch(model, optimizer, directory="s3://bucket/run")


def test_steps_of_an_optimiser_that_took_anothers_place_are_told(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)

    def step(optimizer: torch.optim.Optimizer) -> None:
        model(torch.ones(3, 2)).sum().backward()
        optimizer.step()

    given = torch.optim.SGD(model.parameters(), lr=0.1)

    def train() -> Recorder:
        with watch(model, given, slice=SQUARE, directory=tmp_path, **SMALL) as recorder:
            for _ in range(3):
                step(given)
            later = torch.optim.Adam(model.parameters())
            for _ in range(4):
                step(later)
        return recorder

    words = r"After step 3 an optimiser that `watch` was not given \(Adam\) made 4 more, of which no samples were taken"
    with pytest.warns(BoundaryWarning, match=words) as told:
        recorder = train()
    assert len(told) == 1
    assert recorder.steps == [0, 3]


def test_other_optimisers_are_nobodys_business(tmp_path: Path) -> None:
    """One of another model, one that steps beside the given one, and one after the block."""
    model, other = mlp(2, 4, 2), mlp(2, 4, 2)
    given = torch.optim.SGD(model[0].parameters(), lr=0.1)
    beside = torch.optim.SGD(model[2].parameters(), lr=0.1)
    apart = torch.optim.SGD(other.parameters(), lr=0.1)
    before = len(_global_optimizer_post_hooks)
    with watch(model, given, slice=SQUARE, directory=tmp_path, **SMALL) as recorder:
        for _ in range(3):
            (model(torch.ones(3, 2)).sum() + other(torch.ones(3, 2)).sum()).backward()
            for optimizer in (beside, beside, given, beside, beside, apart, apart, apart):
                optimizer.step()
    assert recorder.steps == [0, 3]
    assert len(_global_optimizer_post_hooks) == before
