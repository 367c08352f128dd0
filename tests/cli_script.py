"""A user's script with a LightningCLI: ``python cli_script.py PACKAGE fit …``."""

from __future__ import annotations

import importlib
import sys

from lightnings import data, module_of
from models import mlp
from torch.utils.data import DataLoader

if __name__ == "__main__":
    pl = importlib.import_module(sys.argv.pop(1))
    cli = importlib.import_module(f"{pl.__name__}.cli")

    def module(width: int = 8) -> pl.LightningModule:  # type: ignore[name-defined]
        """Make the module to train."""
        return module_of(pl, mlp(2, width, 2))

    class Data(pl.LightningDataModule):  # type: ignore[name-defined, misc]
        """Points in a square."""

        def train_dataloader(self) -> DataLoader[tuple[object, ...]]:
            return DataLoader(data(), batch_size=16)

    cli.LightningCLI(module, Data)
