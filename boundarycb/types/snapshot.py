"""What is kept of a sampled step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from boundarycb.types.arrays import Array
from boundarycb.types.boundaries import Boundaries
from boundarycb.types.capture import Capture, Field
from boundarycb.types.slice import Slice
from boundarycb.types.units import Layer


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot:
    """All that is kept of one sampled step.

    Args:
        step: optimiser steps taken before the sample; 0 is before the first one.
        time: seconds since the epoch.
        slice: the slice; the same for the whole run.
        capture: on/off states and output.
        boundaries: the lines.
        metrics: numbers by name, such as ``on/share/layer1``; NaN where undefined.
        per_unit: arrays by name, one value a kept unit of a layer.
        tables: small tables by name, one dict a row.
        scalars: what the training loop said: loss, learning rate, …
        decision: the border of the area that each class wins, each piece once for either side; None where there are no classes.
        seconds: wall time that sampling took since the sample before was about to be written: drawing and writing that one, looking
            and measuring for this one. The last sample's writing and the end of the run are in none; NaN where that is not known.
    """

    step: int
    time: float
    slice: Slice
    capture: Capture
    boundaries: Boundaries
    metrics: Mapping[str, float] = dataclass_field(default_factory=dict)
    per_unit: Mapping[str, Array] = dataclass_field(default_factory=dict)
    tables: Mapping[str, list[dict[str, Any]]] = dataclass_field(default_factory=dict)
    scalars: Mapping[str, float] = dataclass_field(default_factory=dict)
    decision: Boundaries | None = None
    seconds: float = math.nan

    def __repr__(self) -> str:
        return f"<Snapshot of step {self.step}: {self.capture!r}, {self.boundaries!r}>"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order of their calls."""
        return self.capture.layers

    @property
    def field(self) -> Field | None:
        """The output on the grid."""
        return self.capture.field

    @property
    def numbers(self) -> Mapping[str, float]:
        """The metrics, and ``seconds`` where that is known: what charts show."""
        return {**self.metrics, **({} if math.isnan(self.seconds) else {"seconds": self.seconds})}

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was left out or is not finite, in words; what the lines' own notes say already is not said again."""
        of_lines = self.boundaries.notes
        said = "; ".join(("", *of_lines, ""))
        return (*of_lines, *(note for note in self.capture.notes if f"; {note}; " not in said))

    @cached_property
    def is_broken(self) -> bool:
        """Whether units or the output are not finite somewhere; the notes say which."""
        return len(self.capture.undefined) > 0 or (self.field is not None and not bool(np.isfinite(self.field.value).all()))

    @cached_property
    def is_lost(self) -> bool:
        """Whether no output on the slice is finite; of a snapshot without an output, whether over half of the units are not."""
        if self.field is not None:
            return not bool(np.isfinite(self.field.value).any())
        return 2 * len(self.capture.undefined) > len(self.capture.on)


class History(Protocol):
    """The snapshots of a run, in the order of their steps, read from disk one at a time."""

    path: Path
    """The file."""

    @property
    def steps(self) -> Sequence[int]:
        """The step of each snapshot."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Snapshot: ...

    def __iter__(self) -> Iterator[Snapshot]: ...
