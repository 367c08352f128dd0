"""Train the 2-3-3 sigmoid network of "Visualizing Neural Nets" (Fishbein and Debata 2023) on its four data sets.

Two grey levels from 0 to 255 are white, black or grey: S1 by their sum, S2 by their order too, S3 with every third label made grey,
S4 as people answered. Each set is a run of its own, with every neuron's boundary over the decision regions, each output as a
surface, and how much of the square has outputs that overlap, tie, or are all off.

    python examples/black_white_grey.py                          # all four, about two minutes
    python examples/black_white_grey.py --data s3 --seed 1
    boundarycb answers -o answers.html                           # a page that asks; it saves answers.csv
    python examples/black_white_grey.py --data s4 --answers answers.csv

Without ``--answers`` S4 is made up (`simulated_answers`), which is no measurement of anybody.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from ginn_bottle import RandomBatches, quieten
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import BoundaryCallback, load, slices
from boundarycb.data import CLASSES, pairs, read_answers, s1, s2, s3, s3_limit, simulated_answers
from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.types import Slice, Snapshot

SETS = ("s1", "s2", "s3", "s4")
SAMPLES = 30_000
RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"s1": s1, "s2": s2, "s3": s3}


@dataclass(frozen=True)
class Task:
    """A data set: its points (k, 2) and labels (k,), what is right at a point, and the accuracy that cannot be passed."""

    name: str
    points: np.ndarray
    labels: np.ndarray
    right: Callable[[np.ndarray], np.ndarray] | None
    limit: float | None


class Grey(pl.LightningModule):
    """Two inputs, three hidden and three output neurons, all sigmoids: 21 numbers. Outputs are chances, each of its own.

    Args:
        lr: the learning rate at the start; a cosine takes it to zero.
    """

    def __init__(self, lr: float = 0.2) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 3)
        self.out = nn.Linear(3, 3)
        self.lr = lr

    def scores(self, levels: torch.Tensor) -> torch.Tensor:
        """Return what goes into the output neurons, (n, 3)."""
        scores: torch.Tensor = self.out(torch.sigmoid(self.hidden(levels / 127.5 - 1)))
        return scores

    def forward(self, levels: torch.Tensor) -> torch.Tensor:
        """Return the outputs for white, black and grey, (n, 3), of two grey levels from 0 to 255, (n, 2)."""
        return torch.sigmoid(self.scores(levels))

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the loss of a batch, and its accuracy.

        The paper does not tell its loss. Each output against yes or no alone leaves S2 in poor minima (accuracies from .88 to .99,
        by the seed); that of the winner, with a fifth of the former, finds good ones.
        """
        levels, labels = batch
        scores = self.scores(levels)
        alone = F.binary_cross_entropy_with_logits(scores, F.one_hot(labels, 3).float())
        accuracy = (scores.detach().argmax(dim=1) == labels).float().mean()
        return {"loss": F.cross_entropy(scores, labels) + alone / 5, "accuracy": accuracy}

    def configure_optimizers(self):  # type: ignore[no-untyped-def]
        """Return Adam and its cosine."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


def task_of(name: str, answers: Path | None, seed: int = 0) -> Task:
    """Return one of the data sets; S4 from a file of `answers`, else made up."""
    if name == "s4" and answers is not None:
        return Task(name, *read_answers(answers), right=None, limit=None)
    points = pairs(SAMPLES, seed)
    if name == "s4":
        return Task(name, points, simulated_answers(points, seed), right=None, limit=None)
    # What is right at a point does not depend on its place among the samples: of S3 it is S1's class.
    return Task(name, points, RULES[name](points), s1 if name == "s3" else RULES[name], s3_limit() if name == "s3" else 1.0)


def plane_of(task: Task) -> Slice:
    """Return the square of grey levels, with what is right on it where that is known."""
    square = slices.box((0, 255), (0, 255))
    return square if task.right is None else slices.aimed(square, task.right)


def train(task: Task, options: argparse.Namespace) -> tuple[Grey, BoundaryCallback]:
    """Return the trained network and what watched it."""
    pl.seed_everything(options.seed, verbose=False)
    points, labels = torch.from_numpy(task.points), torch.from_numpy(task.labels)
    loader = DataLoader(
        TensorDataset(points, labels), sampler=RandomBatches(len(points), options.batch, options.steps), batch_size=None
    )
    callback = BoundaryCallback(
        schedule="log", slice=plane_of(task), data=(points, labels), class_names=CLASSES, surfaces=True, image_size=448
    )
    trainer = pl.Trainer(
        max_steps=options.steps,
        logger=TensorBoardLogger(options.out, name=f"black_white_grey/{task.name}"),
        callbacks=[callback],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=50,
    )
    model = Grey()
    trainer.fit(model, loader)
    return model, callback


@torch.no_grad()
def accuracy(model: Grey, points: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of `points` that get their label."""
    return float((model(torch.from_numpy(points)).argmax(dim=1).numpy() == labels).mean())


def row(task: Task, model: Grey, callback: BoundaryCallback) -> str:
    """Return a line of the table that the program ends with."""
    assert callback.recorder is not None
    last = load(callback.recorder.directory)[-1].metrics
    clean = "" if task.right is None else f"{accuracy(model, task.points, task.right(task.points)):.4f}"
    limit = "" if task.limit is None else f"{task.limit:.4f}"
    zones = "".join(f"{last[f'ambiguity/{name}']:9.1%}" for name in ("overlap", "tie", "none"))
    never = last["decision/never"]
    return f"{task.name.upper():4s}{accuracy(model, task.points, task.labels):9.4f}{limit:>9s}{clean:>9s}{zones}{never:7.0f}"


def expected_accuracy(task: Task, snapshot: Snapshot) -> float:
    """Return the accuracy over the square, without the noise of a sample; of S4, which has no rule, that of the batch."""
    field = snapshot.field
    if task.right is None or field is None or field.winner is None:
        return snapshot.scalars.get("accuracy", np.nan)
    us, vs = (nodes[1:-1] for nodes in snapshot.slice.nodes(snapshot.capture.resolution))
    points = np.stack([levels.ravel() for levels in np.meshgrid(us, vs)], axis=1)
    winner = field.winner.ravel()
    right = (winner == task.right(points)).mean()
    if task.name == "s3":  # two of three labels are S1's, the third is grey
        return float((2 * right + (winner == CLASSES.index("grey")).mean()) / 3)
    return float(right)


def draw_accuracies(runs: Sequence[tuple[Task, BoundaryCallback]], path: Path) -> None:
    """Write the accuracies of all runs as curves, with the limit of S3 as a line."""
    charts, steps = [], []
    for task, callback in runs:
        assert callback.recorder is not None
        history = load(callback.recorder.directory)
        steps = list(history.steps)
        curve = Curve(
            "over the square" if task.right else "of a batch", np.array([expected_accuracy(task, one) for one in history])
        )
        limit = task.limit if task.name == "s3" else None
        charts.append(Chart(f"{task.name.upper()}: accuracy", [curve], "share", limit, "Bayes limit", low=0.0, high=1.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(draw_charts(steps, charts).png())


def main() -> None:
    """Train on each data set, and say what came out."""
    options = parse()
    quieten()
    torch.set_num_threads(1)
    start, lines, runs = time.perf_counter(), [], []
    for name in SETS if options.data == "all" else (options.data,):
        task = task_of(name, options.answers, options.seed)
        model, callback = train(task, options)
        assert callback.recorder is not None
        runs.append((task, callback))
        lines.append(f"{row(task, model, callback)}   {callback.recorder.directory}")
        print(f"{name.upper()} done after {time.perf_counter() - start:.0f} s", flush=True)
    print("\nset  accuracy    limit    clean  overlap      tie     none  never   boundaries.gif, surfaces.gif and report.md in")
    print("\n".join(lines))
    print("\nlimit: what no network can pass; clean: accuracy without S3's noise; overlap, tie, none: shares of the square with")
    print("several outputs above 0.5, with two next to equal, with none above 0.5; never: classes that win nowhere.")
    if options.data in ("all", "s4") and options.answers is None:
        print("S4 is made up: nobody was asked. `boundarycb answers -o answers.html` asks.")
    curves = options.out / "black_white_grey" / "accuracy.png"
    draw_accuracies(runs, curves)
    print(f"\ncurves     {curves}")
    print(f"see it     tensorboard --samples_per_plugin images=1000 --logdir {options.out / 'black_white_grey'}")


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Watch a small sigmoid network tell white, black and grey apart.")
    parser.add_argument("--data", choices=("all", *SETS), default="all", help="which data set (default: %(default)s)")
    parser.add_argument("--answers", type=Path, help="a CSV of answers for S4 (default: made up)")
    parser.add_argument("--steps", type=int, default=6000, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=512, help="samples a step (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where runs go (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
