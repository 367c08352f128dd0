"""Watch a 2-16-16-16-2 ReLU network learn a picture of a bottle, as GINN did (Darlow and Storkey 2018, arXiv 1810.01860).

The network maps a pixel's location to black or white. Run it, start TensorBoard with the line that it prints at the end, and
open the tab Boundaries: every unit's boundary, coloured by layer, over the network's output, from before the first step to the
last. The same, in one file that opens in any browser, is ``boundaries.html``.
What the run did, phenomenon by phenomenon, is in its ``report.md`` and in the Text tab.

    python examples/ginn_bottle.py                     # half a minute: the quick recipe
    python examples/ginn_bottle.py --init zero         # all layer-1 lines start in one point
    python examples/ginn_bottle.py --recipe paper      # GINN's own: 1,280,000 steps
    python examples/ginn_bottle.py --recipe failure    # the diamond is missed, with the default seed
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from boundarycb import BoundaryCallback, load, metrics, slices
from boundarycb.data import bottle, pixels_of, read_image
from boundarycb.report import summarise
from boundarycb.schedule import ScheduleLike


@dataclass(frozen=True)
class Recipe:
    """How to train: coordinates from `low` to 1, and the optimiser's settings."""

    low: float
    batch: int
    lr: float
    init: str
    steps: int
    schedule: ScheduleLike


RECIPES = {
    "quick": Recipe(low=-1, batch=1024, lr=1e-2, init="random", steps=10_000, schedule="log"),
    "paper": Recipe(low=0, batch=128, lr=1e-3, init="torch", steps=1_280_000, schedule="ginn"),
    "failure": Recipe(low=0, batch=1024, lr=2e-2, init="torch", steps=10_000, schedule="log"),
}


class Bottle(pl.LightningModule):
    """GINN's network, trained with Adam and a cosine to zero.

    Args:
        lr: the learning rate at the start.
        init: ``random`` (He weights; each layer-1 line through a random point of the picture), ``zero`` (He weights, no bias) or
            ``torch`` (what torch gives).
        low: lowest coordinate; the highest is 1.
    """

    def __init__(self, lr: float, init: str, low: float) -> None:
        super().__init__()
        self.layer1 = nn.Linear(2, 16)
        self.layer2 = nn.Linear(16, 16)
        self.layer3 = nn.Linear(16, 16)
        self.out = nn.Linear(16, 2)
        self.lr = lr
        if init != "torch":
            self._he(low if init == "random" else None)

    @torch.no_grad()
    def _he(self, low: float | None) -> None:
        for layer in (self.layer1, self.layer2, self.layer3, self.out):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        if low is not None:
            points = torch.rand_like(self.layer1.weight) * (1 - low) + low
            self.layer1.bias.copy_(-(self.layer1.weight * points).sum(dim=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scores of black and white, (n, 2)."""
        x = F.relu(self.layer1(x))
        x = F.relu(self.layer2(x))
        x = F.relu(self.layer3(x))
        scores: torch.Tensor = self.out(x)
        return scores

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        points, labels = batch
        return F.cross_entropy(self(points), labels)

    def configure_optimizers(self):  # type: ignore[no-untyped-def]
        """Return Adam and its cosine."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}


class RandomBatches(Sampler[torch.Tensor]):
    """Draws `steps` batches of random indices, with replacement, a tensor a batch: no collating item by item."""

    def __init__(self, items: int, batch: int, steps: int) -> None:
        self.items, self.batch, self.steps = items, batch, steps

    def __iter__(self) -> Iterator[torch.Tensor]:
        return (torch.randint(self.items, (self.batch,)) for _ in range(self.steps))

    def __len__(self) -> int:
        return self.steps


def main() -> None:
    """Train, and say what came out."""
    options = parse()
    recipe = RECIPES[options.recipe]
    steps = options.steps or recipe.steps
    image = bottle() if options.image is None else read_image(options.image)
    quieten()
    torch.set_num_threads(1)  # more gain nothing on a network this small, and wait for each other where the machine is busy
    pl.seed_everything(options.seed, verbose=False)

    points, labels = map(torch.from_numpy, pixels_of(image, low=recipe.low, high=1.0))
    dataset = TensorDataset(points, labels)
    loader = DataLoader(dataset, sampler=RandomBatches(len(dataset), recipe.batch, steps), batch_size=None)
    model = Bottle(recipe.lr, options.init or recipe.init, recipe.low)
    callback = BoundaryCallback(
        every_n_steps=options.every,
        schedule=recipe.schedule if options.every is None else None,
        slice=slices.aimed(slices.box((recipe.low, 1.0), (recipe.low, 1.0)), image[::-1]),
        data=(points, labels),
        metrics=[*metrics.default(), metrics.local_complexity, metrics.data_margins],
        class_names=("black", "white"),
    )
    trainer = pl.Trainer(
        max_steps=steps,
        logger=TensorBoardLogger(options.out, name="ginn_bottle"),
        callbacks=[callback],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=50,
    )
    start = time.perf_counter()
    trainer.fit(model, loader)
    report(model, callback, points, labels, image, time.perf_counter() - start)


def report(
    model: Bottle, callback: BoundaryCallback, points: torch.Tensor, labels: torch.Tensor, image: np.ndarray, seconds: float
) -> None:
    """Print accuracy, where the files are, what the numbers say, and what to do next."""
    with torch.no_grad():
        right = (model(points).argmax(dim=1) == labels).numpy()
    recorder = callback.recorder
    assert recorder is not None
    run = recorder.directory.parent
    print(f"\naccuracy   {right.mean():.2%} of {len(right):,} pixels")
    inside = enclosed_white(image).ravel()
    if inside.any():
        print(f"diamond    {right[inside].mean():.2%} of its pixels{'' if right[inside].mean() > 0.5 else ': it is missed'}")
    print(f"samples    {len(recorder.steps)}, steps {recorder.steps[0]} to {recorder.steps[-1]:,}")
    print(f"time       {seconds:.1f} s, of which {recorder.seconds:.1f} s ({recorder.seconds / seconds:.0%}) went into watching")
    print(f"report     {recorder.directory / 'report.md'}")
    print(f"replay     {recorder.directory / 'boundaries.html'}   (opens in any browser)")
    print(f"movie      {recorder.directory / 'boundaries.gif'}")
    print(f"history    {recorder.directory / 'history.bcb'}   (boundarycb info {run})")
    print("\n" + summarise(load(run)))
    print(f"\nsee it     tensorboard --samples_per_plugin images=1000 --logdir {run.parent}")


def enclosed_white(image: np.ndarray) -> np.ndarray:
    """Return which pixels are white with black to the left, right, top and bottom: the bottle's diamond."""
    black = image == 0

    def beyond(axis: int, flip: bool) -> np.ndarray:
        turned = np.flip(black, axis) if flip else black
        seen = np.maximum.accumulate(turned, axis=axis)
        return np.asarray(np.flip(seen, axis) if flip else seen)

    return np.asarray(~black & beyond(0, False) & beyond(0, True) & beyond(1, False) & beyond(1, True))


def quieten() -> None:
    """Switch off advice of Lightning's and of ours that does not matter here, so that the report can be seen."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="TensorBoard shows 10 pictures")  # the report's last line has the flag


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Watch a ReLU network learn a picture of a bottle.")
    parser.add_argument("--recipe", choices=RECIPES, default="quick", help="how to train (default: %(default)s)")
    parser.add_argument("--init", choices=("random", "zero", "torch"), help="how to begin (default: the recipe's)")
    parser.add_argument("--steps", type=int, help="optimiser steps (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--every", type=int, help="sample every so many steps (default: the recipe's schedule)")
    parser.add_argument("--image", type=Path, help="a picture of your own instead of the bottle")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where runs go (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
