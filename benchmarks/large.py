"""What sampling a large model costs at the automatic settings: predicted and measured share of the training, and memory.

    python benchmarks/large.py resnet        # ResNet-18 at 224 x 224 pixels, batches of 16
    python benchmarks/large.py transformer   # six layers of width 256, batches of 64

Training runs twice, each in a process of its own, with the callback and without. "Share" is what one sample takes, of the training
steps between two; it was predicted from a count of operations. "Bare" is one forward pass of the grid's points, as a user would
run it. Peak memory is that of the process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

from boundarycb import BoundaryCallback
from boundarycb.recorder import Recorder


class Clock(pl.Callback):
    """Takes the time of every training step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self._start)


class Timed(Recorder):
    """A recorder that keeps how long each sample took."""

    samples: list[float] = []  # noqa: RUF012 - one run a process

    def record(self, *args: Any, **kwargs: Any) -> None:
        """Take a sample and its time."""
        start = time.perf_counter()
        super().record(*args, **kwargs)
        self.samples.append(time.perf_counter() - start)


def made(which: str) -> tuple[Any, DataLoader[Any], dict[str, Any], torch.Tensor]:
    """Return model, loader, the callback's arguments and a batch of inputs."""
    torch.manual_seed(0)
    if which == "resnet":
        images = torch.rand(32, 3, 224, 224)
        model = importlib.import_module("resnet").ResNet18()
        return model, DataLoader(TensorDataset(images, torch.arange(32) % 10), batch_size=16), {}, images[:16]
    example = importlib.import_module("transformer")
    text = torch.randint(example.LETTERS, (256, example.LENGTH))
    data = TensorDataset(text, torch.arange(256) % example.LETTERS)
    return example.Transformer(256), DataLoader(data, batch_size=64), {"vary": "embed"}, text[:64]


def run(which: str, *, watched: bool) -> dict[str, Any]:
    """Train for a few steps and return what it cost."""
    setattr(importlib.import_module("boundarycb.trainer.hooks"), "Recorder", Timed)  # noqa: B010 - it is the class that is replaced
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    model, loader, arguments, batch = made(which)
    clock, callback = Clock(), BoundaryCallback(directory=tempfile.mkdtemp(), **arguments)
    trainer = pl.Trainer(
        max_steps=4 if which == "resnet" else 30,
        max_epochs=-1,
        callbacks=[callback, clock] if watched else [clock],
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, loader)
    found: dict[str, Any] = {
        "step": statistics.median(clock.seconds),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if not watched:
        return found
    assert callback.recorder is not None
    plan = callback.recorder.plan
    assert plan is not None
    points = (plan.resolution + 2) ** 2
    model.eval()
    with torch.no_grad():
        start = time.perf_counter()
        for _ in range(8):
            model(batch)
    bare = (time.perf_counter() - start) / (8 * len(batch)) * points
    measured = Timed.samples[-1] / (plan.every * found["step"])
    return found | {"sample": Timed.samples[-1], "bare": bare, "share": plan.share, "measured": measured, "every": plan.every}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help="resnet, transformer; by default both")
    parser.add_argument("--child", choices=("with", "without"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.which) - {"resnet", "transformer"}:
        parser.error(f"unknown model {min(unknown)}")
    if options.child:
        print(json.dumps(run(options.which[0], watched=options.child == "with")))
        return
    print(f"{'model':<12}{'every':>8}{'predicted':>11}{'measured':>10}{'sample s':>10}{'bare s':>8}{'peak MB':>9}{'without':>9}")
    for which in options.which or ("resnet", "transformer"):
        costs = []
        for child in ("with", "without"):
            command = [sys.executable, __file__, which, "--child", child]
            costs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]))
        one, other = costs
        print(
            f"{which:<12}{one['every']:>8,}{one['share']:>11.2%}{one['measured']:>10.2%}{one['sample']:>10.1f}{one['bare']:>8.1f}"
            f"{one['peak']:>9,.0f}{other['peak']:>9,.0f}"
        )


if __name__ == "__main__":
    main()
