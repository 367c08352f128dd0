"""A user's training that is to be ended in some way: ``python ending_script.py PACKAGE DIRECTORY HOW``.

HOW is ``slow``, ``error``, ``spawn``, ``spawn_error``, ``fork`` or ``notebook``. All at the top, since spawned processes import it.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import torch
from gloo import leave
from lightnings import callback_of, data, trainer_of
from models import mlp
from torch import nn
from torch.utils.data import DataLoader

IS_RUN = Path(sys.argv[0]).name == Path(__file__).name  # and not only collected with the tests
PACKAGE, DIRECTORY, HOW = sys.argv[1:] if IS_RUN else ("lightning.pytorch", "", "")
pl: Any = importlib.import_module(PACKAGE)


class Module(pl.LightningModule):  # type: ignore[misc]
    """Its steps take time, so that there is some for a signal, or one of them fails."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 8, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if HOW == "slow":
            time.sleep(0.05)
        if HOW.endswith("error") and self.global_step == 7:
            raise ZeroDivisionError("the user's own")
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.01)

    def teardown(self, stage: str) -> None:
        """Of a fit that succeeded: a spawned process ends so, too."""
        if multiprocessing.parent_process() is not None:
            atexit.register(leave)


if __name__ == "__main__":
    torch.set_num_threads(1)
    launchers = {"spawn": "ddp_spawn", "spawn_error": "ddp_spawn", "fork": "ddp_fork", "notebook": "ddp_notebook"}
    settings: dict[str, Any] = {"max_epochs": 100 if HOW == "slow" else 3}
    if HOW in launchers:
        settings |= {"strategy": launchers[HOW], "devices": 2}
    callback = callback_of(pl, every_n_steps=2)
    trainer_of(pl, Path(DIRECTORY), callback, **settings).fit(Module(), DataLoader(data(), batch_size=8))
