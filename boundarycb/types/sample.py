"""What a metric may look at, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from boundarycb.types.arrays import Array, Bits, Floats, freeze
from boundarycb.types.boundaries import Boundaries
from boundarycb.types.capture import Capture
from boundarycb.types.slice import Slice

Value = float | int | Array | list[dict[str, Any]]
"""What a metric gives for one name: a number, an array (most often one value a kept unit), or a small table (one dict a row)."""


@dataclass(frozen=True, eq=False)
class Moves:
    """At how many points the units of a layer changed their state since the last sample, by what took its new value.

    A coalition is a number from 0 to 7 whose bits say what is new: 1 the unit's offset, 2 the rest of its map, 4 its input. So
    row 7 counts the points that flipped, and row 0 is zero.

    Args:
        points: points that were looked at, evenly spread over the slice.
        geometry: int64 (8, units); the offset is the distance of the hyperplane from the old inputs' mean, the rest its normal.
        cause: int64 (8, units); the offset is the bias parameter, the rest the weights.
        gauge: ``canonical`` where inputs are measured in units of the weights that made them, ``own`` where as they are.
        change: float64 (units,), by how much the unit's own map changed in that gauge: root mean square of what the new map makes
            of the old input less what the old one makes of it, as a share of the latter's; 0 where that is no more than rounding,
            NaN where the old map gave 0 everywhere.
    """

    points: int
    geometry: NDArray[np.int64]
    cause: NDArray[np.int64]
    gauge: Literal["canonical", "own"] = "canonical"
    change: Floats | None = None

    def __post_init__(self) -> None:
        freeze(self, "geometry", "cause", "change")


@dataclass(frozen=True, eq=False)
class Answers:
    """What the network makes of n samples of the data, the same ones in all of a run.

    Args:
        on: packed bits, uint8 (U, ceil(n / 8)), most significant bit first: pre-activation > 0 for each sample.
        values: float32 (n, U), activations of the kept units.
        winners: int64 (n,), the class that wins; None where the output is no classes.
        labels: int64 (n,), what it should be, -1 where there is none; None where nothing is known of that.
        margins: float64 (m,), distances in input space from samples towards others to where the winning class changes first; None
            where that was not asked for.
    """

    on: Bits
    values: Floats
    winners: NDArray[np.int64] | None = None
    labels: NDArray[np.int64] | None = None
    margins: Floats | None = None

    def __post_init__(self) -> None:
        freeze(self, "on", "values", "winners", "labels", "margins")

    @property
    def count(self) -> int:
        """Number of samples, n."""
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Sample:
    """What a metric may look at.

    Args:
        now: this step's capture.
        boundaries: this step's lines.
        before: the last sample's capture; None at the first sample, or where the layers changed.
        first: the first sample's capture.
        step: optimiser steps taken.
        moves: what moved since the last sample, by layer; only for metrics that say ``@needs("trace")``.
        past: all values that the metrics gave at the last sample, by name.
        window: the captures of the last samples before this one, at most seven, oldest first; only for ``@needs("window")``. Where
            they would take more than 32 MB they are on a coarser grid than `now`, which ``metrics.coarser.coarser`` takes there.
        decision: the border of the area that each class wins, each piece once for either side; None where there are no classes.
        slice: the slice.
        window_steps: the steps of the captures in `window`.
        window_scalars: what the training loop said at them.
        scalars: what the training loop said at this step: loss, learning rate, …
        regions: how many linear regions the units of all layers up to each one make on the slice, by the layer's name; empty where
            the lines are not exact. The last layer is missing where the engine did not cut along its lines.
        answers: what the network makes of samples of the data; only for ``@needs("data")``, and where there are any.
    """

    now: Capture
    boundaries: Boundaries
    before: Capture | None = None
    first: Capture | None = None
    step: int = 0
    moves: Mapping[str, Moves] = dataclass_field(default_factory=dict)
    past: Mapping[str, Value] = dataclass_field(default_factory=dict)
    window: tuple[Capture, ...] = ()
    decision: Boundaries | None = None
    slice: Slice | None = None
    window_steps: tuple[int, ...] = ()
    window_scalars: tuple[Mapping[str, float], ...] = ()
    scalars: Mapping[str, float] = dataclass_field(default_factory=dict)
    regions: Mapping[str, int] = dataclass_field(default_factory=dict)
    answers: Answers | None = None


Metric = Callable[[Sample], Mapping[str, Value]]
"""A pure function from a sample to numbers, arrays and small tables by name; :func:`needs` says what it takes to compute."""

MetricType = TypeVar("MetricType", bound=Metric)

Part = Literal["trace", "window", "data", "margins"]
"""What a metric may need besides captures and boundaries."""


def needs(*parts: Part) -> Callable[[MetricType], MetricType]:
    """Return a decorator that says what a metric needs besides captures and boundaries; it is made only where a metric says so.

    ``trace``: a second, smaller forward pass that keeps inputs and weights; it gives ``sample.moves`` and the captures'
    ``strength``, ``planes``, ``flat`` and ``saturated``. ``window``: the captures of the last samples, in memory, as
    ``sample.window``. ``data``: a forward pass of some samples of the data, as ``sample.answers``; ``margins``: some more, which
    give ``answers.margins`` too.
    """
    unknown = [part for part in parts if part not in get_args(Part)]
    if unknown:
        given = getattr(unknown[0], "__name__", unknown[0])
        words = ", ".join(f'"{part}"' for part in get_args(Part))
        raise ValueError(f'`needs` takes {words}, as in @needs("trace"), got {given!r}.')

    def mark(metric: MetricType) -> MetricType:
        metric.needs = parts  # type: ignore[attr-defined]
        return metric

    return mark
