"""Watch a small convolutional network learn handwritten digits, on the plane through three of them.

The digits are scikit-learn's: 1,797 images of 8 x 8 pixels, which come with the package. Run it, start TensorBoard with the line
that it prints at the end, and open the tabs Boundaries and Images. ``boundaries/inputs`` shows what lies on the plane: a digit at
each corner of the triangle, and what is between them. ``boundaries/overlay`` shows which digit the network sees at each point
(colours, with dark borders), and along which lines units of each layer switch on or off.

    python examples/digits.py                 # half a minute
    python examples/digits.py --digits 4 9 7  # a plane through other digits
    python examples/digits.py --plane pca     # the plane of the principal components instead, with samples near it
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import TensorBoardLogger
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import BoundaryCallback, slices
from boundarycb.types import Slice

HELD_OUT = 360  # digits to test with


class Digits(pl.LightningModule):
    """Two convolutions and two linear layers, trained with Adam."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(16 * 4 * 4, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores of the ten digits, (n, 10), for `images` (n, 1, 8, 8)."""
        x = F.relu(self.conv1(images))
        x = F.relu(self.conv2(x))
        x = F.relu(self.fc1(x.flatten(1)))
        scores: torch.Tensor = self.fc2(x)
        return scores

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return F.cross_entropy(self(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main() -> None:
    """Train, and say what came out."""
    options = parse()
    quieten()
    pl.seed_everything(options.seed, verbose=False)
    images, labels = digits()
    training = TensorDataset(images[HELD_OUT:], labels[HELD_OUT:])
    model = Digits()
    callback = BoundaryCallback(
        schedule="log",
        slice=plane_of(images[HELD_OUT:].numpy(), labels[HELD_OUT:].numpy(), options),
        class_names=[str(digit) for digit in range(10)],
        resolution=128,
        max_units=16,  # of a layer: more lines would hide each other
    )
    trainer = pl.Trainer(
        max_steps=options.steps,
        logger=TensorBoardLogger(options.out, name="digits"),
        callbacks=[callback],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=20,
    )
    start = time.perf_counter()
    trainer.fit(model, DataLoader(training, batch_size=64, shuffle=True))
    seconds, recorder = time.perf_counter() - start, callback.recorder
    assert recorder is not None
    with torch.no_grad():
        right = (model(images[:HELD_OUT]).argmax(dim=1) == labels[:HELD_OUT]).float().mean()
    print(f"\naccuracy   {right:.1%} of {HELD_OUT} digits that were not trained on")
    print(f"samples    {len(recorder.steps)}, steps {recorder.steps[0]} to {recorder.steps[-1]:,}")
    print(f"time       {seconds:.1f} s, of which {recorder.seconds:.1f} s ({recorder.seconds / seconds:.0%}) went into watching")
    print(f"movie      {recorder.directory / 'boundaries.gif'}")
    print(f"\nsee it     tensorboard --samples_per_plugin images=1000 --logdir {recorder.directory.parent.parent}")


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return images, float32 (n, 1, 8, 8) from 0 (white paper) to 1 (ink), and labels, int64 (n,)."""
    bunch = load_digits()
    return torch.tensor(bunch.images[:, None] / 16, dtype=torch.float32), torch.tensor(bunch.target)


def plane_of(images: np.ndarray, labels: np.ndarray, options: argparse.Namespace) -> Slice:
    """Return the plane that the command line asks for."""
    if options.plane == "pca":
        return slices.from_data(images, labels=labels)
    first = [images[int(np.flatnonzero(labels == digit)[0])] for digit in options.digits]
    plane = slices.through(*first, margin=0.25, names=[f"digit {digit}" for digit in options.digits])
    return slices.limited(plane, 0.0, 1.0)


def quieten() -> None:
    """Switch off advice of Lightning's and of ours that does not matter here, so that the report can be seen."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="TensorBoard shows 10 pictures")  # the report's last line has the flag
    warnings.filterwarnings("ignore", message=".*units watched")  # the pictures say so


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Watch a convolutional network learn handwritten digits.")
    parser.add_argument("--digits", type=int, nargs=3, default=(3, 8, 0), help="which three span the plane (default: 3 8 0)")
    parser.add_argument("--plane", choices=("digits", "pca"), default="digits", help="which plane (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1000, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where runs go (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
