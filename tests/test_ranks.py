"""Several processes that train one model: training is what it would be, and nothing waits for ever."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp
from torch import nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

from boundarycb import BoundaryWarning, load, slices
from boundarycb.metrics import default, needs
from boundarycb.probe import Conditions, Message, follow, probe, refuse_talking, spread_of
from boundarycb.recorder import Recorder
from boundarycb.schedule import Pace
from boundarycb.trainer.ranks import Replicas, Shards, Single, ranks_of
from boundarycb.types import Sample

HERE = Path(__file__).parent
SQUARE = slices.box((-1, 1), (-1, 1))


def two_ranks(directory: Path, scenario: str, package: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Run two real processes; return what each saw."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(HERE / "two_ranks.py")]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(directory), scenario, package],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [rank.communicate(timeout=240)[0] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(said)
    first, second = (torch.load(directory / f"{rank}.pt", weights_only=False) for rank in range(2))
    return first, second


def same_training(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Assert that two trainings have the same losses and weights, bit for bit."""
    assert one["losses"] == other["losses"]
    assert len(one["losses"]) > 2
    assert one["weights"].keys() == other["weights"].keys()
    assert all(torch.equal(one["weights"][name], other["weights"][name]) for name in one["weights"])


def test_watch_under_distributed_data_parallel(tmp_path: Path) -> None:
    first, second = two_ranks(tmp_path, "plain")
    for rank in (first, second):
        same_training(rank["watched"], rank["bare"])
        same_training(rank["watched shards"], rank["bare shards"])
        same_training(rank["compiled"], rank["bare"])
    assert first["watched"]["losses"] != second["watched"]["losses"]
    assert first["watched"]["steps"] == first["compiled"]["steps"] == [[0, 3, 6, 7]]
    assert second["watched"]["steps"] == [[]]
    history = load(tmp_path / "watched")
    assert history.layers == ("0", "4")  # of the module within
    assert history[-1].scalars["loss"] == pytest.approx(first["watched"]["losses"][-1])
    assert sorted(path.name for path in (tmp_path / "watched").iterdir() if path.is_file())[0].startswith("events.")
    assert len([path for path in (tmp_path / "watched").iterdir() if path.is_file()]) == 1  # one rank's
    (words,) = first["warned"]
    assert words.startswith("No boundaries are sampled, since fully_shard spreads its parameters over ranks")
    assert second["warned"] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", ["lightning.fabric", "lightning_fabric"])
def test_watch_under_fabric(tmp_path: Path, package: str) -> None:
    """With mixed precision: what is looked at runs in it too."""
    first, second = two_ranks(tmp_path, "fabric", package)
    for rank in (first, second):
        same_training(rank["watched"], rank["bare"])
    assert first["watched"]["steps"] == [[0, 3, 6, 7]]
    assert second["watched"]["steps"] == [[]]
    value = load(tmp_path / "watched")[-1].field
    assert value is not None
    assert value.value.dtype == np.float16 or np.array_equal(value.value, value.value.astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_replicas(tmp_path: Path, package: str) -> None:
    first, second = two_ranks(tmp_path, "replicas", package)
    for rank in (first, second):
        same_training(rank["watched"], rank["bare"])
    assert first["watched"]["losses"] != second["watched"]["losses"]
    assert first["watched"]["steps"] == [[0, 2, 4, 6, 8, 10, 12]]
    assert second["watched"]["steps"] == []
    assert first["heard"]["steps"] == first["talks"]["steps"] == [[0, 12]]
    for wrong in ("wrong", "heard wrong"):
        for rank in (first, second):
            assert "called no activation function in its forward pass" in rank[wrong]["error"]
    for rank in (first, second):
        assert "The forward pass talks to other ranks (c10d.allreduce_.default)" in rank["all talk"]["error"]
        assert "has no module 'nope'" in rank["no such part"]["error"]
        same_training(rank["late talk"], rank["bare late talk"])
        for name in ("find_unused_parameters", "static_graph"):
            same_training(rank[f"{name} watched"], rank[f"{name} bare"])
    assert first["static_graph watched"]["steps"] == [[0, 4, 8, 12]] * 2
    assert first["late talk"]["steps"] == [[0]]
    assert first["resumed"]["steps"] == [[0, 2, 4, 6, 8, 10, 12, 14, 16]]
    (words,) = first["warned"]
    assert words.startswith("step 5: sampling failed; no further sample is taken, training goes on. (Talks: The forward pass talks")
    assert second["warned"] == []


@pytest.mark.slow
@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_shards(tmp_path: Path, package: str) -> None:
    """``fully_shard`` under ModelParallelStrategy: every rank runs every pass."""
    first, second = two_ranks(tmp_path, "shards", package)
    for rank in (first, second):
        same_training(rank["watched"], rank["bare"])
        assert rank["inside"]["error"] == (
            "ValueError: `module`: net.0 lies inside net, which is spread as a whole; name that one."
        )
        assert "give a `slice` whose points are inputs of the model" in rank["wrong"]["error"]
        assert rank["tensor parallel"]["error"] is None
        assert "has no module 'nope'" in rank["no such part"]["error"]
        same_training(rank["own forward"], rank["bare"])
        same_training(rank["two"], rank["bare"])
    assert first["two"]["steps"] == [[0, 4, 8, 12], [0, 5, 10, 12]]
    assert first["watched"]["steps"] == [[0, 2, 4, 6, 8, 10, 12]]
    assert second["watched"]["steps"] == [[]]
    assert first["own schedule"]["steps"] == [[0, 5, 10, 12]]  # which says something else on the other rank
    assert first["overhead"]["steps"] == [[0, 1, 12]]  # by rank 0's clock alone: the other one takes no samples
    same_training(first["overhead"], first["bare"])
    assert first["own forward"]["steps"] == [[0, 12]]
    assert "`verify` is left out, since parameters that are spread over ranks cannot be compared so deeply." in first["warned"]
    assert first["no forward"]["steps"] == [[0, 12]]
    assert first["noisy"]["error"] is None
    assert first["noisy"]["steps"] == [[0, 12]]  # though it takes several runs in one pass to tell the noise
    history = load(tmp_path / "watched")
    assert history.layers == ("net.0", "net.4")
    assert history[-1].metrics["drift/shift/net.0"] >= 0  # the weights that were gathered are known
    assert history[-1].metrics["copycat/functional/net.0"] >= 0  # and what all ranks make of samples of the data
    assert (history[3].notes[0]) == "lines are traced on a grid, since the model's parameters are spread over several processes"
    assert first["resumed"]["steps"] == [[0, 2, 4, 6, 8, 10, 12]]
    resumed = load(tmp_path / "resumed")
    assert [sample.metrics for sample in resumed][:6] == [sample.metrics for sample in history][:6]
    dcp_to_torch_save(tmp_path / "b" / "step=12.ckpt", tmp_path / "whole.pt")  # each rank wrote its part
    saved = torch.load(tmp_path / "whole.pt", weights_only=True)["state_dict"]
    weights = {name: value for name, value in first["watched"]["weights"].items() if "running" not in name}  # each rank's own
    assert all(torch.equal(saved[name], value) for name, value in weights.items())
    assert (
        "No boundaries are sampled, since tensor parallelism spreads layers in a way that cannot be looked at." in first["warned"]
    )
    assert second["warned"] == []


# ------------------------------------------------------------------------------------------------------------ by fakes


def trainer_under(strategy: str, *bases: str, ranks: int = 2, **attributes: Any) -> Any:
    """Return a Trainer with a strategy of this class name, which comes from classes of other names."""
    kind: type = object
    for name in (*reversed(bases), strategy):
        kind = type(name, (kind,), {})
    made = kind()
    for name, value in {"broadcast": lambda value: value, **attributes}.items():
        setattr(made, name, value)
    return SimpleNamespace(strategy=made, is_global_zero=True, world_size=ranks)


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        (trainer_under("SingleDeviceStrategy", ranks=1), Single),
        (trainer_under("OwnStrategy", ranks=1), Single),
        (trainer_under("DDPStrategy"), Replicas),
        (trainer_under("OwnStrategy", "DDPStrategy"), Replicas),
        (trainer_under("ModelParallelStrategy"), Replicas),  # nothing is spread
        (trainer_under("DeepSpeedStrategy", "DDPStrategy", zero_stage_3=False), Replicas),
        (trainer_under("DeepSpeedStrategy", "DDPStrategy", zero_stage_3=True), "DeepSpeed's stage 3 spreads parameters"),
        (trainer_under("XLAStrategy", "DDPStrategy"), Replicas),
        (trainer_under("OwnStrategy"), "what OwnStrategy does with the model is not known"),
    ],
)
def test_strategies(trainer: Any, expected: Any) -> None:
    found = ranks_of(trainer, mlp(2, 4, 2), certain=True)
    if isinstance(expected, str):
        assert isinstance(found, str)
        assert found.startswith(expected)
    else:
        assert isinstance(found, expected)


def test_how_parameters_are_spread_is_told_by_the_model() -> None:
    kind = type("FullyShardedDataParallel", (nn.Module,), {})
    wrapped = nn.Sequential(kind())
    assert "FullyShardedDataParallel spreads parameters in a way" in (spread_of(wrapped) or "")
    three = mlp(2, 4, 2)
    three[0].weight.ds_id = 0
    assert "DeepSpeed's stage 3" in (spread_of(three) or "")
    assert spread_of(mlp(2, 4, 2)) is None


def test_what_is_spread_over_two_axes_is_refused() -> None:
    """By ``fully_shard`` and by tensor parallelism."""
    place = SimpleNamespace(is_shard=lambda: True)
    own = type("DTensor", (nn.Parameter,), {"placements": property(lambda self: (place, place))})
    model = type("FSDPModule", (nn.Linear,), {})(2, 2)
    for name, value in dict(model.named_parameters()).items():
        model.register_parameter(name, own(value.detach()))
    assert "tensor parallelism" in (spread_of(model) or "")
    own.placements = property(lambda self: (place,))  # type: ignore[attr-defined]
    assert spread_of(model) == ""


def test_a_rank_that_follows_samples_as_seldom_as_the_one_that_leads(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.expect(40, Pace(250, 250))
    assert [step for step in range(41, 800) if recorder.is_due(step)] == [250, 500, 750]


def test_who_leads_says_nothing_more_after_ctrl_c(tmp_path: Path) -> None:
    """The others may not listen any more, and it would wait for them."""
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt), probe(mlp(2, 4, 2), Conditions(lead=lambda message: told.append(message.kind))):
        raise KeyboardInterrupt
    assert told == ["open"]
    with pytest.raises(ZeroDivisionError), probe(mlp(2, 4, 2), Conditions(lead=lambda message: told.append(message.kind))):
        raise ZeroDivisionError
    assert told == ["open", "open", "close"]


def test_a_model_that_would_wait_for_others_is_refused() -> None:
    with pytest.raises(ValueError, match='`mode` "as_is" would let SyncBatchNorm talk to other ranks'):
        refuse_talking(nn.Sequential(nn.SyncBatchNorm(4)))
    refuse_talking(nn.Sequential(nn.BatchNorm1d(4)))


class Counts(nn.Module):
    """Counts its calls where nothing puts them back, as layers that are gathered at each call would be."""

    def __init__(self, calls: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 6), nn.Linear(6, 2)
        self.norm = nn.BatchNorm1d(6)
        object.__setattr__(self, "note", calls.append)

    def forward(self, x: torch.Tensor, level: torch.Tensor | None = None) -> Any:
        self.note(tuple(x.shape))  # type: ignore[operator]
        return self.two(self.norm(self.one(x)).relu() + (0 if level is None else level[:, None]))


@needs("data", "margins")
def rays(sample: Sample) -> dict[str, float]:
    """Return along how many rays between samples of the data a margin was looked for."""
    assert sample.answers is not None
    assert sample.answers.margins is not None
    return {"rays/all": len(sample.answers.margins)}


@pytest.mark.filterwarnings("ignore:step 0. numbers of the data points are those with 1 held")
@pytest.mark.parametrize("inputs", [None, (torch.zeros(5, 2), torch.ones(5))])
@pytest.mark.parametrize("samples", [None, 6, 40])
def test_who_follows_runs_what_who_leads_runs(tmp_path: Path, inputs: Any, samples: int | None) -> None:
    """All passes of two samples, in the same order, on batches of the same shapes; 6 is an axis of the network too."""
    messages: list[Message] = []
    led: list[tuple[int, ...]] = []
    followed: list[tuple[int, ...]] = []
    leader = Counts(led)
    given = None if samples is None else np.random.default_rng(0).uniform(-1, 1, (samples, 2))
    chosen = [*default(), *([] if samples is None else [rays])]
    recorder = Recorder(tmp_path, SQUARE, resolution=16, inputs=inputs, metrics=chosen, data=given)
    recorder.lead(messages.append)
    with pytest.warns(BoundaryWarning, match="the model's parameters are spread over several processes"):
        recorder.record(leader, 0)
    recorder.record(leader, 1)
    recorder.close()
    follower = Counts(followed)
    before = copy.deepcopy(follower.state_dict())
    heard = iter([*messages, Message("end", result=7)])
    assert follow(follower, Conditions(), lambda: next(heard)).result == 7
    assert followed == led
    assert len(led) > 4
    assert ("answer" in {message.what for message in messages}) == (samples is not None or inputs is not None)
    last = load(tmp_path)[-1].metrics
    assert (last["copycat/functional/one"] >= 0) == (samples is not None or inputs is not None)
    assert samples is None or last["rays/all"] == min(samples, 16)
    assert next(heard, None) is None
    assert all(torch.equal(value, before[name]) for name, value in follower.state_dict().items())


def test_errors_of_one_rank_are_errors_of_all() -> None:
    said: list[Message] = []

    def wrong() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        Replicas(said.append, leads=True).first(wrong, lambda hear: hear())
    with pytest.raises(ValueError, match="the disk is full"):
        Replicas(lambda _: said[0], leads=False).first(wrong, lambda hear: hear())
    with pytest.raises(ValueError, match="the disk is full"):
        Shards(lambda _: said[0], leads=False, certain=True).first(wrong, lambda hear: hear())
    assert Replicas(lambda _: Message("end", result=5), leads=False).first(wrong, lambda hear: hear()) == 5
    assert not Replicas(said.append, leads=False).agree(lambda: True)
    assert Shards(lambda value: True, leads=False, certain=False).agree(lambda: False)
    assert Shards(lambda value: False, leads=False, certain=True).agree(lambda: True)
