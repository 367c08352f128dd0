"""What each of two ranks does in tests/test_ranks.py: ``python two_ranks.py RANK DIRECTORY SCENARIO PACKAGE``.

It writes what it saw into DIRECTORY/<rank>.pt. Ranks talk by gloo, on the CPU.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from gloo import leave
from lightnings import SMALL, callback_of, trainer_of
from models import mlp
from torch import distributed, nn
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import BoundaryWarning, slices, watch


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.rand(64, 2, generator=generator) * 2 - 1, torch.randint(0, 2, (64,), generator=generator))


class Talks(nn.Module):
    """Adds up what all ranks say, in the middle of its forward pass, from the `start`-th pass that trains on."""

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        torch.manual_seed(9)
        self.one, self.two = nn.Linear(2, 8), nn.Linear(8, 2)
        self.start, self.passes = start, 0

    def forward(self, x: torch.Tensor) -> Any:
        self.passes += self.training
        x = self.one(x).relu()
        total = x.detach().mean(dim=0)
        if self.passes >= self.start:
            distributed.all_reduce(total)
        return self.two(x - total)


class Noisy(nn.Sequential):
    """Draws random numbers in every pass, which change its output alone."""

    def forward(self, x: torch.Tensor) -> Any:
        for part in self:
            x = part(x)
        return x + torch.randn(2)


def net() -> nn.Sequential:
    layers: nn.Sequential = mlp(2, 8, 8, 2)
    layers.insert(1, nn.BatchNorm1d(8))
    layers.insert(3, nn.Dropout(0.3))
    return layers


def _spread(network: Any, mesh: Any, *, shard: bool) -> None:
    """Spread a network's parameters over ranks by ``fully_shard``, else its first layers' units; not at all without a mesh."""
    if mesh is None:
        return
    if shard:
        from torch.distributed.fsdp import fully_shard

        for part in (*(child for child in network.children() if isinstance(child, nn.Linear)), network):
            fully_shard(part, mesh=mesh["data_parallel"])
    else:
        from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

        parallelize_module(network, mesh["tensor_parallel"], {"0": ColwiseParallel(), "2": RowwiseParallel()})


def module_of(
    pl: Any, network: nn.Module, *, shard: bool = False, tensor: bool = False, has_forward: bool = True, talks: bool = False
) -> Any:
    """Return a LightningModule that keeps its losses.

    Args:
        pl: the package.
        network: what it trains.
        shard: whether its parameters are spread by ``fully_shard``.
        tensor: whether its first layer is spread by tensor parallelism.
        has_forward: whether it has a forward of its own.
        talks: whether that gathers from all ranks.
    """

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = network
            self.losses: list[float] = []

        def configure_model(self) -> None:
            _spread(self.net, None if not (shard or tensor) else self.device_mesh, shard=shard)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = nn.functional.cross_entropy((self if talks else self.net)(batch[0]), batch[1])
            self.losses.append(float(loss.detach()))
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    def forward(self: Any, x: torch.Tensor) -> Any:
        y = self.net(x)
        return self.all_gather(y, sync_grads=True).mean(dim=0) if talks else y

    if has_forward:
        Module.forward = forward
    return Module()


class Rank:
    """One of the two."""

    def __init__(self, rank: int, directory: Path, package: str) -> None:
        self.rank, self.directory = rank, directory
        self.pl: Any = importlib.import_module(package) if package else None

    def fit(self, name: str, module: Any, *callbacks: Any, ckpt_path: Path | None = None, **options: Any) -> dict[str, Any]:
        """Fit, and return what came of it."""
        self.pl.seed_everything(5, verbose=False)
        settings = {"strategy": "ddp", "devices": 2, "logger": False, **options}
        trainer = trainer_of(self.pl, self.directory / name, *callbacks, **settings)
        error = None
        try:
            trainer.fit(module, DataLoader(data(), batch_size=8, shuffle=True), ckpt_path=ckpt_path)
        except Exception as caught:  # noqa: BLE001 - whatever it is, the test compares it with the other rank's
            error = f"{type(caught).__name__}: {caught}"
        ours = [callback for callback in callbacks if getattr(callback, "recorder", None) is not None]
        return {
            "losses": list(module.losses),
            "weights": {key: whole(value) for key, value in module.state_dict().items()},
            "error": error,
            "steps": [list(callback.recorder.steps) for callback in ours],
            "trainer": trainer,
        }

    # ------------------------------------------------------------------------------------------------------- scenarios

    def replicas(self) -> dict[str, Any]:
        """Train under DistributedDataParallel: with and without the callback; with what cannot be looked at."""

        def fit(name: str, network: nn.Module, *callbacks: Any, has_forward: bool = True, talks: bool = False) -> dict[str, Any]:
            return self.fit(name, module_of(self.pl, network, has_forward=has_forward, talks=talks), *callbacks)

        found = {
            "bare": fit("bare", net()),
            "watched": fit("watched", net(), callback_of(self.pl, every_n_steps=2)),
            "heard": fit("heard", net(), callback_of(self.pl), has_forward=False),
            "wrong": fit("wrong", nn.Linear(2, 2), callback_of(self.pl)),
            "heard wrong": fit("heard wrong", nn.Linear(2, 2), callback_of(self.pl), has_forward=False),
            "talks": fit("talks", net(), callback_of(self.pl), talks=True),
            "all talk": fit("all talk", Talks(), callback_of(self.pl)),
            "bare late talk": fit("bare late talk", Talks(4)),
            "late talk": fit("late talk", Talks(4), callback_of(self.pl, every_n_steps=5)),
            "no such part": fit("no such part", net(), callback_of(self.pl, module="nope")),
        }
        ddp = importlib.import_module(f"{self.pl.__name__}.strategies").DDPStrategy
        for name in ("find_unused_parameters", "static_graph"):
            for watched in (False, True):
                callbacks = [callback_of(self.pl, name=one, every_n_steps=4) for one in ("near", "far")] if watched else []
                module = module_of(self.pl, net())
                key = f"{name} {'watched' if watched else 'bare'}"
                found[key] = self.fit(key, module, *callbacks, strategy=ddp(**{name: True}))
        found["watched"]["trainer"].save_checkpoint(self.directory / "x.ckpt")
        found["resumed"] = self.fit(
            "resumed",
            module_of(self.pl, net()),
            callback_of(self.pl, every_n_steps=2),
            ckpt_path=self.directory / "x.ckpt",
            max_epochs=4,
        )
        return found

    def shards(self) -> dict[str, Any]:
        """Train under ModelParallelStrategy with parameters that are spread."""
        strategies = importlib.import_module(f"{self.pl.__name__}.strategies")

        def fit(name: str, *callbacks: Any, module: Any = None, tensor: int = 1, **options: Any) -> dict[str, Any]:
            strategy = strategies.ModelParallelStrategy(data_parallel_size=2 // tensor, tensor_parallel_size=tensor)
            module = module or module_of(self.pl, net(), shard=True)
            return self.fit(name, module, *callbacks, strategy=strategy, **options)

        def saves(name: str) -> Any:
            return self.pl.callbacks.ModelCheckpoint(
                dirpath=self.directory / name, save_top_k=-1, every_n_train_steps=2, filename="{step}"
            )

        off = slices.through([0, 0, 0], [1, 0, 0], [0, 1, 0])
        alone = module_of(self.pl, net(), shard=True, has_forward=False)
        noisy = module_of(self.pl, Noisy(*net()), shard=True)
        found = {
            "bare": fit("bare", saves("a"), enable_checkpointing=True),
            "watched": fit("watched", callback_of(self.pl, every_n_steps=2), saves("b"), enable_checkpointing=True),
            "two": fit("two", *(callback_of(self.pl, name=one, every_n_steps=n) for one, n in (("near", 4), ("far", 5)))),
            "own schedule": fit("own", callback_of(self.pl, schedule=lambda previous, step: step % (5 - self.rank) == 0)),
            "overhead": fit("overhead", callback_of(self.pl, every_n_steps=1, max_overhead=1e-9)),
            "own forward": fit("forward", callback_of(self.pl, forward=lambda model, x: model.net(2 * x), verify=True)),
            "no such part": fit("no such part", callback_of(self.pl, module="nope")),
            "no forward": fit("no forward", callback_of(self.pl), module=alone),
            "noisy": fit("noisy", callback_of(self.pl), module=noisy),
            "inside": fit("inside", callback_of(self.pl, module="net.0")),
            "wrong": fit("wrong", callback_of(self.pl, slice=off)),
            "tensor parallel": fit("tensor", callback_of(self.pl), module=module_of(self.pl, mlp(2, 8, 2), tensor=True), tensor=2),
        }
        found["resumed"] = fit("resumed", callback_of(self.pl, every_n_steps=2), ckpt_path=self.directory / "b" / "step=10.ckpt")
        return found

    def fabric(self) -> dict[str, Any]:
        """Train by Lightning Fabric, with and without `watch`."""

        def train(name: str, *, watched: bool) -> dict[str, Any]:
            fabric = self.pl.Fabric(accelerator="cpu", devices=2, strategy="ddp", precision="bf16-mixed")
            fabric.launch()
            fabric.seed_everything(5, verbose=False)
            network = net()
            model, optimizer = fabric.setup(network, torch.optim.Adam(network.parameters(), lr=0.01))
            return self.loop(name, model, optimizer, backward=fabric.backward, watched=watched)

        return {"bare": train("bare", watched=False), "watched": train("watched", watched=True)}

    def plain(self) -> dict[str, Any]:
        """Train in a plain loop under DistributedDataParallel and fully_shard."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard
        from torch.nn.parallel import DistributedDataParallel

        def train(name: str, wrap: Any, *, watched: bool) -> dict[str, Any]:
            torch.manual_seed(5)
            model = wrap(net())
            return self.loop(name, model, torch.optim.Adam(model.parameters(), lr=0.01), watched=watched)

        def compiled(model: nn.Module) -> Any:
            return torch.compile(DistributedDataParallel(model), backend="eager")

        def shard(model: nn.Module) -> Any:
            return fully_shard(model, mesh=init_device_mesh("cpu", (2,)))

        return {
            "bare": train("bare", DistributedDataParallel, watched=False),
            "watched": train("watched", DistributedDataParallel, watched=True),
            "compiled": train(
                "compiled", lambda model: torch.compile(DistributedDataParallel(model), backend="eager"), watched=True
            ),
            "bare shards": train("bare shards", shard, watched=False),
            "watched shards": train("watched shards", shard, watched=True),
        }

    def loop(
        self, name: str, model: Any, optimizer: Any, *, watched: bool, backward: Any = torch.Tensor.backward
    ) -> dict[str, Any]:
        """Train for seven steps, each rank on its half of the data."""
        torch.manual_seed(self.rank)
        losses = []
        directory = self.directory / name
        with watch(model, optimizer, directory=directory, every_n_steps=3, **SMALL) if watched else nullcontext() as recorder:
            for step in range(7):
                x, y = (part[self.rank :: 2] for part in data().tensors)
                loss = nn.functional.cross_entropy(model(x + step / 100), y)
                optimizer.zero_grad()
                backward(loss)
                optimizer.step()
                losses.append(loss.item())
                if recorder is not None:
                    recorder.log(loss=loss)
        inner = getattr(model, "module", model)
        steps = [] if recorder is None else [list(recorder.steps)]
        weights = {key: whole(value) for key, value in inner.state_dict().items()}
        return {"losses": losses, "weights": weights, "error": None, "steps": steps}


def whole(value: Any) -> torch.Tensor:
    """Return a copy of a parameter, gathered from all ranks if it is spread."""
    found: torch.Tensor = value.full_tensor() if hasattr(value, "full_tensor") else value
    return found.clone()


def main(rank: int, directory: Path, scenario: str, package: str) -> None:
    """Do what a scenario asks of this rank."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= place | {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    meeting = f"file://{directory / 'meeting'}"  # and no port, which another process might take
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=timedelta(seconds=60))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = getattr(Rank(rank, directory, package), scenario)()
    for part in found.values():
        part.pop("trainer", None)
    found["warned"] = [str(one.message) for one in caught if issubclass(one.category, BoundaryWarning)]
    torch.save(found, directory / f"{rank}.pt")
    distributed.destroy_process_group()
    leave()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], " ".join(sys.argv[4:]))
