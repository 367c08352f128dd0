"""A unit for models that have none, such as a logistic regression: the probe wants one, and a border between classes needs none."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from boundarycb.probe import Feed, ForwardLike


def with_a_unit(feed: Feed) -> ForwardLike:
    """Return the way `feed` runs a model, with a ReLU of the input's first number beside it that nothing reads."""

    def run(model: nn.Module, inputs: torch.Tensor) -> Any:
        torch.relu(inputs.reshape(len(inputs), -1)[:, :1])
        return feed(model, inputs)

    return run
