"""Modules, Trainers and fits for the tests of both Lightning packages."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from models import mlp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from boundarycb import slices

PACKAGES = {"lightning.pytorch": "boundarycb.lightning", "pytorch_lightning": "boundarycb.pytorch_lightning"}
SMALL: dict[str, Any] = {"resolution": 16, "image_size": 64}
SQUARE = slices.box((-1, 1), (-1, 1))


def callback_of(pl: Any, **options: Any) -> Any:
    return importlib.import_module(PACKAGES[pl.__name__]).BoundaryCallback(**{**SMALL, **options})


def module_of(pl: Any, net: nn.Module | None = None, **attributes: Any) -> Any:
    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 8, 2) if net is None else net
            self.drop = nn.Dropout(0.2)

        def forward(self, x: torch.Tensor) -> Any:
            y = self.net(x)
            return self.drop(y[0] if isinstance(y, tuple) else y)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.01)

    module = Module()
    for name, value in attributes.items():
        setattr(module, name, value.__get__(module) if callable(value) else value)
    return module


def data(items: int = 64, inputs: int = 2) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.rand(items, inputs, generator=generator) * 2 - 1, torch.randint(0, 2, (items,), generator=generator))


def trainer_of(pl: Any, directory: Path, *callbacks: Any, **options: Any) -> Any:
    loggers = importlib.import_module(f"{pl.__name__}.loggers")
    settings: dict[str, Any] = {
        "max_epochs": 3,
        "logger": loggers.TensorBoardLogger(str(directory)),
        "accelerator": "cpu",
        "callbacks": list(callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "log_every_n_steps": 1,
        "default_root_dir": str(directory),
    }
    return pl.Trainer(**{**settings, **options})


def fit(pl: Any, directory: Path, callback: Any, module: Any = None, loader: Any = None, **options: Any) -> Any:
    trainer = trainer_of(pl, directory, callback, **options)
    trainer.fit(module_of(pl) if module is None else module, DataLoader(data(), batch_size=16) if loader is None else loader)
    return trainer
