"""Which way an output grows fastest: a direction for a slice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from boundarycb import slices
from boundarycb.probe import probe
from boundarycb.sampling.how import How, conditions_of
from boundarycb.types import Floats

if TYPE_CHECKING:
    from typing_extensions import Unpack  # it comes with torch


def input_gradient(
    model: nn.Module, sample: Any, target: int | Callable[[torch.Tensor], torch.Tensor] | None = None, **how: Unpack[How]
) -> Floats:
    """Return the gradient of an output of `model` at an input, in the input's shape: a direction for :func:`slices.along`.

    Args:
        model: any module; it is left as it was, gradients of its parameters too.
        sample: the input, without the batch.
        target: which output, by its place, or a function from outputs (n, …) to numbers (n,); by default the largest.
        how: how to run the model: `mode`, `inputs`, `vary`, `forward`, `output`, as of :func:`boundarycb.watch`.

    Raises:
        ValueError: the model cannot take the input, has no such output, or none that could be differentiated.

    >>> model = nn.Linear(3, 2, bias=False)
    >>> model.weight.data = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    >>> input_gradient(model, [1.0, 1.0, 1.0], target=1).tolist()
    [0.0, 0.0, 1.0]
    >>> plane = slices.along([1.0, 1.0, 1.0], input_gradient(model, [1.0, 1.0, 1.0]))
    """
    point = slices.to_array(sample).astype(np.float64)
    conditions = conditions_of(model, slices.random(point), how)

    def of(shown: torch.Tensor) -> torch.Tensor:
        if callable(target):
            return target(shown)
        flat = shown.reshape(len(shown), -1)
        if target is not None and not 0 <= target < flat.shape[1]:
            raise ValueError(f"`target` must be the place of one of {flat.shape[1]} outputs, got {target!r}.")
        return flat.amax(dim=1) if target is None else flat[:, target]

    with probe(model, conditions) as forward:
        return np.asarray(forward.gradient(point[None], of)[0])
