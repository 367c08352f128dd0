"""Numbers that a training loop says of a step, such as its loss and learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer


def learning_rates(optimizers: Sequence[Optimizer]) -> dict[str, float]:
    """Return the learning rate of each optimiser's first parameter group: ``lr``, or ``lr/0``, ``lr/1``, … of several."""
    rates = {f"lr/{number}": optimizer.param_groups[0].get("lr") for number, optimizer in enumerate(optimizers)}
    # Some optimisers have none, or find their own.
    numbers = {name: float(rate) for name, rate in rates.items() if isinstance(rate, (int, float, torch.Tensor))}
    return {"lr": numbers["lr/0"]} if len(optimizers) == 1 and numbers else numbers


def detached(value: Any) -> Any:
    """Return a tensor without its graph, and what is none as it is."""
    return value.detach() if hasattr(value, "detach") else value
