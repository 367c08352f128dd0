"""Whether what a model makes of a sample is that sample's own, found out by a trial; and if not, why, in words."""

from __future__ import annotations

import numpy as np
from torch import nn

from boundarycb.probe import TRANSPOSED, Prober
from boundarycb.types import Floats

TRIED = 13
"""Points of a trial: fewer could be taken for another axis."""

_ALIKE = 2e-2  # of the largest pre-activation: more than rounding does to a point that runs in other company
_OBSERVES = "observer_enabled"  # a buffer of what quantisation-aware training puts into a model


def noise_of(model: nn.Module, forward: Prober, values: Floats) -> str | None:
    """Return, of a model whose units random numbers switch at its samples `values` (n, *shape), what to give; else None.

    Raises:
        Exception: what the model raises.
    """
    some = np.resize(values, (TRIED, *values.shape[1:]))
    forward(some)
    if forward.noise(some) != "units":
        return None  # of an output that they change alone the lines are right, and the picture says the rest
    return (
        f"{type(model).__name__} draws random numbers while it runs, in eval mode too, so that what it makes of an input is no "
        "fixed function of it: give `forward`, a function (model, inputs) -> output without them, such as lambda model, x: "
        "model.decode(model.mean(x)); or look at a part that draws none, by `module` of the callback or by watch(model.part, …)."
    )


def company_of(model: nn.Module, forward: Prober, values: Floats) -> str | None:
    """Return, of a model that makes something else of a sample in other company, what to give; else None.

    Raises:
        Exception: what the model raises.
    """
    some = np.resize(values, (TRIED, *values.shape[1:]))
    reading = forward(some)
    alone = forward(np.concatenate([some[:1], np.repeat(some[-1:], TRIED - 1, axis=0)]))
    if reading.layers != alone.layers or reading.gaps or not _differ(reading.z[0], alone.z[0]):
        return None
    depends = f"what {type(model).__name__} makes of an input depends on the others of its batch"
    observers = [path for path, module in model.named_modules() if hasattr(module, _OBSERVES)]
    if observers:
        return (
            f"{depends}, since observers of quantisation-aware training ({observers[0]}) read each batch, in eval mode too: give "
            "`forward=lambda model, x: model.apply(torch.ao.quantization.disable_observer)(x)`; all is put back after each sample."
        )
    return (
        f"{depends}, so that its first axis may not be that of the samples. Where the batch is the second axis of what it is "
        f"called with, X: {TRANSPOSED}."
    )


def _differ(one: Floats, other: Floats) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.abs(one - other).max(initial=0.0) > _ALIKE * np.abs(one).max(initial=0.0))
