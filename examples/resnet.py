"""Watch a ResNet-18 on images of the usual size: what is watched of its two million units, and what that costs.

The images are random, so there is nothing to learn; the network is written out below. A sample's forward passes take 2 % of the
training between two samples at most: on a processor that is one sample in some thousand steps, and the run says so at its start.

    python examples/resnet.py                        # 32 x 32 pixels, a few steps
    python examples/resnet.py --size 224 --every 50  # the usual size; every sample takes half a minute on a processor
    python examples/resnet.py --size 224 --every 50 --steps 200 --accelerator gpu
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import BoundaryCallback


class Block(nn.Module):
    """Two convolutions and a way past them (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.past: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.past = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's features."""
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(inner)) + self.past(x))


class ResNet18(pl.LightningModule):
    """ResNet-18: 17 activations, 2,308,096 units at 224 x 224 pixels."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.norm1 = nn.BatchNorm2d(64)
        widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        self.blocks = nn.Sequential(*(Block(*width) for width in widths))
        self.fc = nn.Linear(512, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the scores of the classes, (n, classes), for `images` (n, 3, rows, columns)."""
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(images))), 3, 2, 1)
        scores: torch.Tensor = self.fc(self.blocks(x).mean(dim=(2, 3)))
        return scores

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        return F.cross_entropy(self(images), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=1e-2, momentum=0.9)


def main() -> None:
    """Train for some steps, and say what it cost."""
    options = parse()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    pl.seed_everything(options.seed, verbose=False)
    images = torch.rand(4 * options.batch, 3, options.size, options.size)
    data = TensorDataset(images, torch.arange(len(images)) % 10)
    callback = BoundaryCallback(every_n_steps=options.every)
    trainer = pl.Trainer(
        max_steps=options.steps,
        logger=TensorBoardLogger(options.out, name="resnet"),
        callbacks=[callback],
        accelerator=options.accelerator,
        devices=1,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    )
    start = time.perf_counter()
    trainer.fit(ResNet18(), DataLoader(data, batch_size=options.batch, shuffle=True))
    seconds, recorder = time.perf_counter() - start, callback.recorder
    assert recorder is not None
    print(f"\nsamples    {len(recorder.steps)}, steps {recorder.steps[0]} to {recorder.steps[-1]:,}")
    print(f"time       {seconds:.1f} s, of which {recorder.seconds:.1f} s ({recorder.seconds / seconds:.1%}) went into watching")
    print(f"\nsee it     tensorboard --samples_per_plugin images=1000 --logdir {recorder.directory.parent.parent}")


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Watch a ResNet-18 on random images.")
    parser.add_argument("--size", type=int, default=32, help="pixels a side (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="images a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=8, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--every", type=int, help="sample every so many steps (default: as seldom as costs 2%%)")
    parser.add_argument("--accelerator", default="cpu", choices=("cpu", "gpu"), help="where it trains (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where runs go (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
