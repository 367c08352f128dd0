"""Watch a six-layer transformer learn which letter of a text comes most often, on a plane in embedding space.

Between two token ids there is nothing, so the plane lies in the space of embeddings: ``vary="embed"`` names the module whose output
varies. Its three corners are three texts of the data. Units of a transformer have a position and a feature; 64 of each layer are
watched, and the pictures say of how many.

    python examples/transformer.py
    python examples/transformer.py --steps 3000 --width 256   # of the usual size
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

LETTERS, LENGTH = 8, 24


class Transformer(pl.LightningModule):
    """An encoder of six layers with GELU, over the embeddings of letters and places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(LETTERS, width)
        self.places = nn.Parameter(0.02 * torch.randn(LENGTH, width))
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        self.out = nn.Linear(width, LETTERS)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Return the score of each letter, (n, LETTERS), for `text`, int64 (n, LENGTH)."""
        scores: torch.Tensor = self.out(self.encoder(self.embed(text) + self.places).mean(dim=1))
        return scores

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        text, most = batch
        return F.cross_entropy(self(text), most)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main() -> None:
    """Train, and say what it cost."""
    options = parse()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    pl.seed_everything(options.seed, verbose=False)
    text = torch.randint(LETTERS, (4096, LENGTH))
    most = F.one_hot(text, LETTERS).sum(dim=1).argmax(dim=1)
    callback = BoundaryCallback(vary="embed", every_n_steps=options.every, class_names=list("abcdefgh"))
    trainer = pl.Trainer(
        max_steps=options.steps,
        logger=TensorBoardLogger(options.out, name="transformer"),
        callbacks=[callback],
        accelerator="cpu",
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=20,
    )
    start = time.perf_counter()
    trainer.fit(Transformer(options.width), DataLoader(TensorDataset(text, most), batch_size=64, shuffle=True))
    seconds, recorder = time.perf_counter() - start, callback.recorder
    assert recorder is not None
    print(f"\nsamples    {len(recorder.steps)}, steps {recorder.steps[0]} to {recorder.steps[-1]:,}")
    print(f"time       {seconds:.1f} s, of which {recorder.seconds:.1f} s ({recorder.seconds / seconds:.1%}) went into watching")
    print(f"\nsee it     tensorboard --samples_per_plugin images=1000 --logdir {recorder.directory.parent.parent}")


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Watch a transformer learn which letter comes most often.")
    parser.add_argument("--steps", type=int, default=400, help="optimiser steps (default: %(default)s)")
    parser.add_argument("--width", type=int, default=64, help="features of an embedding (default: %(default)s)")
    parser.add_argument("--every", type=int, help="sample every so many steps (default: as seldom as costs 2%%)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where runs go (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
