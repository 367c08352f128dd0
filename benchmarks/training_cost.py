"""What whole trainings take with the callback at its automatic settings, without it, and with what others offer.

    python benchmarks/training_cost.py                # the bottle, a convolutional network on digits, ResNet-18 on 32 x 32 pixels
    python benchmarks/training_cost.py digits --steps 20000 --repeats 5
    python benchmarks/training_cost.py resnet --steps 2500 --accelerator gpu

Every training is a process of its own, and they take turns. "Steady" is the wall time of the training steps, with what the
callback does in and between them, against the median training without any. "Late" is the part of it after step 5,000, from where
samples are farther apart. "Fixed" is what the first sample takes, and the end of the run: the movie, the page and the report.
wandb.watch and decision-boundary-plot's callback are measured where they are installed; the latter looks as often as ours does by
default, and takes no images.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from timing import machine, table
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import BoundaryCallback
from boundarycb.schedule import Pace

EVERY = 100
STEPS = {"bottle": 2000, "digits": 2000, "resnet": 300}


class Clock(pl.Callback):
    """Takes the wall time from the first training step, or the end of the first sample, to the end of the last step."""

    def __init__(self) -> None:
        self.began = self.turned = self.ended = 0.0

    def on_before_optimizer_step(self, *_: Any) -> None:
        """Start, at the first step: the first sample has been taken then."""
        self.began = self.began or time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop."""
        self.ended = time.perf_counter()
        if trainer.global_step == Pace().turn:
            self.turned = self.ended


def made(which: str) -> tuple[Any, DataLoader[Any], Any, Any]:
    """Return model, loader, and some samples with their labels."""
    torch.manual_seed(0)
    if which == "bottle":
        from ginn_bottle import Bottle

        points = torch.rand(16_384, 2) * 2 - 1
        inside = (points.square().sum(1) < 0.5).long()
        return (
            Bottle(1e-2, "random", -1.0),
            DataLoader(TensorDataset(points, inside), batch_size=1024, shuffle=True),
            points,
            inside,
        )
    if which == "digits":
        from digits import Digits
        from sklearn.datasets import load_digits

        found = load_digits()
        images = torch.tensor(found.images[:, None] / 16, dtype=torch.float32)
        labels = torch.tensor(found.target)
        return Digits(), DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True), images, labels
    from resnet import ResNet18

    images, labels = torch.rand(512, 3, 32, 32), torch.arange(512) % 10
    return ResNet18(), DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True), images, labels


def run(which: str, how: str, steps: int, accelerator: str, folder: Path) -> dict[str, float]:
    """Train, and return what it took in seconds."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    model, loader, images, labels = made(which)
    clock, callbacks = Clock(), []
    if how.startswith("boundarycb"):
        callbacks = [BoundaryCallback(max_overhead=0.02 if how.endswith("%") else None)]
    elif how == "decision-boundary-plot":
        from decision_boundary.callbacks.lightning_callback import LightningBoundaryCallback

        shown = (np.asarray(images.flatten(1)), np.asarray(labels))
        epochs = max(1, round(EVERY / len(loader)))  # it counts epochs
        callbacks = [LightningBoundaryCallback(*shown, plot_every=epochs, show=False, save_dir=str(folder), dim_reducer="pca")]
    elif how == "wandb.watch":
        import wandb

        wandb.init(mode="offline", dir=str(folder), project="none")
        wandb.watch(model, log="all", log_freq=EVERY)
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        callbacks=[*callbacks, clock],
        logger=TensorBoardLogger(folder),
        accelerator=accelerator,
        devices=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=50,
    )
    began = time.perf_counter()
    trainer.fit(model, loader)
    whole = time.perf_counter() - began
    samples = len(callbacks[0].recorder.steps) if how.startswith("boundarycb") and callbacks[0].recorder is not None else 0
    late = clock.ended - clock.turned if clock.turned else 0.0
    return {"steady": clock.ended - clock.began, "late": late, "whole": whole, "samples": samples}


def contestants() -> list[str]:
    """Return what there is to be measured."""
    others = {"wandb": "wandb.watch", "decision_boundary": "decision-boundary-plot"}
    return [
        "nothing",
        "boundarycb",
        "boundarycb, max_overhead=2 %",
        *(name for package, name in others.items() if importlib.util.find_spec(package)),
    ]


def measured(which: str, how: str, steps: int, accelerator: str) -> dict[str, float]:
    """Return what a training took, in a process of its own; empty where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, which, "--child", how, "--steps", str(steps), "--folder", folder]
        command += ["--accelerator", accelerator]
        ran = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "WANDB_SILENT": "true"})
    if ran.returncode:
        print(f"{how} failed on {which}: {ran.stderr.strip().splitlines()[-1][:200]}")
        return {}
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def print_training(which: str, steps: int, repeats: int, accelerator: str) -> None:
    """Print what each way takes."""
    found: dict[str, list[dict[str, float]]] = {how: [] for how in contestants()}
    for _ in range(repeats):
        for how, known in found.items():
            told = measured(which, how, steps, accelerator)
            known += [told] if told else []
    bare = {key: statistics.median(one[key] for one in found["nothing"]) for key in ("steady", "late", "whole")}
    rows = []
    for how, known in found.items():
        if not known:
            continue
        steady, late, whole = (statistics.median(one[key] for one in known) for key in ("steady", "late", "whole"))
        fixed = whole - steady - (bare["whole"] - bare["steady"])
        samples = f"{known[0]['samples']:.0f}" if known[0]["samples"] else ""
        more = [f"{steady / bare['steady'] - 1:+.1%}", f"{late / bare['late'] - 1:+.1%}" if late else ""]
        rows.append([how, f"{steady:.2f}", *more, f"{fixed:.2f}", f"{whole:.2f}", samples])
    print(table([f"{which}, {steps:,} steps", "steady s", "more", "late more", "fixed s", "whole s", "samples"], rows))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help=", ".join(STEPS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, help="by default 2,000, of ResNet-18 300")
    parser.add_argument("--accelerator", default="cpu", choices=("cpu", "gpu"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.which) - STEPS.keys():
        parser.error(f"unknown training {min(unknown)}")
    if options.child:
        print(json.dumps(run(options.which[0], options.child, options.steps, options.accelerator, options.folder)))
        return
    print(machine())
    for which in options.which or STEPS:
        print()
        print_training(which, options.steps or STEPS[which], options.repeats, options.accelerator)


if __name__ == "__main__":
    main()
