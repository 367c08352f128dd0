"""Units that do nothing for samples of the data: on for none of them, or at the flat ends of their activation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.masks import mean
from boundarycb.packed import count_ones
from boundarycb.types import Floats, Sample, Value, needs, spans_of

_FLAT = 0.01
"""Of an activation's largest slope: less is saturated."""

_LAST_ON = "dormant/last_on_per_unit/"

_SLOPES: Mapping[str, tuple[Callable[[Floats], Floats], float]] = {
    "sigmoid": (lambda s: s * (1 - s), 0.25),
    "tanh": (lambda t: 1 - t * t, 1.0),
}
"""The slope of an activation by its value, and the largest that there is."""


@needs("data")
def dead_on_data(sample: Sample) -> dict[str, Value]:
    r"""Return what is idle for the n samples of the data: units that are never on, or saturated, and classes that never win.

    * ``dormant/never_on_data/<layer>``: share of the layer's units that are on (pre-activation > 0) for none of the n samples.
      Range 0 to 1; high: much of the layer does nothing for these data.
    * ``dormant/last_on_per_unit/<layer>``: the step of the last sample of the run at which the unit was on for some of them; -1
      where it never was so far. A unit whose step falls behind has been idle since.
    * ``dormant/saturated_data/<layer>``, in the place of these two where the activation s is a sigmoid or tanh, whose units work
      on both sides of 0: share of units and samples at which its slope is less than a hundredth of the largest one:

      .. math:: |s'| < 0.01 \max |s'|, \qquad \sigma' = \sigma (1 - \sigma), \quad \tanh' = 1 - \tanh^2

      (pre-activations beyond about 6 and 3). Range 0 to 1; high: hardly any gradient gets through.
    * ``dormant/never_predicted_data``: classes, of the C that there are, that win for none of the n samples. Range 0 to C - 1. In
      "Visualizing Neural Nets" (2023) these are the neurons that never activate.

    No unit is called dead: it may be on for other data, and come back when the layers below move. Nothing is given where there are
    no samples. Units that are not finite for some sample are left out; their last step stays what it was.

    Source: dead units are counted on data, not on a slice, which has no volume in input space. Cost: one count of the packed bits
    beside the forward pass of the n samples.

    >>> from boundarycb.types import Answers, Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (3,), (0, 1, 2))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> answers = Answers(np.packbits([[0, 0], [1, 0], [1, 1]], axis=1), np.array([[0.0, 2, 1], [0, 0, 1]], np.float32))
    >>> now = Capture((layer,), 2, np.zeros((3, 1), np.uint8))
    >>> values = dead_on_data(Sample(now, empty, step=7, answers=answers))
    >>> round(values["dormant/never_on_data/fc"], 3), values["dormant/last_on_per_unit/fc"].tolist()
    (0.333, [-1, 7, 7])
    """
    answers = sample.answers
    if answers is None:  # what is known of earlier samples is handed on
        return {name: value for name, value in sample.past.items() if name.startswith(_LAST_ON)}
    good = np.asarray(np.isfinite(answers.values).all(axis=0))
    some = count_ones(answers.on) > 0
    values: dict[str, Value] = {}
    for layer, span in zip(sample.now.layers, spans_of(sample.now.layers).values(), strict=True):
        if layer.op in _SLOPES:
            values[f"dormant/saturated_data/{layer.name}"] = _saturated(layer.op, answers.values[:, span])
        else:
            values[f"dormant/never_on_data/{layer.name}"] = mean(np.where(good[span], ~some[span], np.nan))
            values[f"{_LAST_ON}{layer.name}"] = _last_on(sample, layer.name, some[span] & good[span])
    field = sample.now.field
    if field is not None and answers.winners is not None:
        values["dormant/never_predicted_data"] = float(field.classes - len(np.unique(answers.winners)))
    return values


def _saturated(op: str, values: Floats) -> float:
    slope, largest = _SLOPES[op]
    good = values[:, np.isfinite(values).all(axis=0)].astype(np.float64)
    return float((abs(slope(good)) < _FLAT * largest).mean()) if good.size else math.nan


def _last_on(sample: Sample, layer: str, some: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the step of the last sample at which each unit was on for some of the data, this one's where it is now."""
    past = sample.past.get(f"{_LAST_ON}{layer}")
    before = past if isinstance(past, np.ndarray) else np.full(len(some), -1)
    return np.where(some, sample.step, before).astype(np.int64)
