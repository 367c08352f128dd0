"""All steps of one quantum that inputs can take, and which of them stay among valid inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb import slices
from boundarycb.types import Array, Floats, frozen

Ints = NDArray[np.integer[Any]]

_SLACK = 1e-3  # of a quantum: float32 inputs that were divided by 255 miss the box's sides by less
_TABLE = 2**20  # steps of which a table is made at a time


@dataclass(frozen=True, eq=False)
class Steps:
    """All steps of n inputs of D numbers: step 2 (D i + j) takes number j of input i down, the next one takes it up.

    Args:
        inputs: (n, *shape).
        quantum: float64 (*shape), the size of a step.
        low: float64 (*shape), the least that each number may be.
        high: float64 (*shape), the most.
    """

    inputs: Array
    quantum: Floats
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        for name in ("inputs", "quantum", "low", "high"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @staticmethod
    def checked(inputs: Any, quantum: Any, low: Any, high: Any) -> Steps:
        """Return the steps that a user asks for; `low` and `high` are None for the least and the largest of the inputs.

        Raises:
            ValueError: `inputs` are no finite numbers, or not within the box; another argument does not fit them, or the quantum is
                as large as the box.
        """
        given = checked_inputs(inputs)
        shape = given.shape[1:]
        size = _fitting("quantum", quantum, shape)
        if not ((size > 0) & np.isfinite(size)).all():
            raise ValueError(f"`quantum` must be above 0 and finite, got {size.min():.6g} to {size.max():.6g}.")
        least = _fitting("low", given.min() if low is None else low, shape)
        most = _fitting("high", given.max() if high is None else high, shape)
        _check_box(given, size, least, most)
        return Steps(given, size, least, most)

    @property
    def numbers(self) -> int:
        """Numbers in an input, D."""
        return self.low.size

    def told(self, steps: Ints) -> tuple[Ints, Ints, Ints]:
        """Return of which input each of k `steps` is, which number it changes, and -1 where down, +1 where up, each (k,).

        >>> steps = Steps.checked(np.zeros((3, 5)), 1, 0, 9)
        >>> [part.tolist() for part in steps.told(np.array([0, 1, 13]))]
        [[0, 0, 1], [0, 0, 1], [-1, 1, 1]]
        """
        sample, rest = np.divmod(steps, 2 * self.numbers)
        return sample, rest // 2, rest % 2 * 2 - 1

    def number(self, sample: Ints, feature: Ints, direction: Ints) -> Ints:
        """Return which steps those are, int64 (k,)."""
        return np.asarray(2 * (sample.astype(np.int64) * self.numbers + feature) + (direction > 0))

    def every(self, together: int) -> Iterator[Ints]:
        """Yield the legal steps of all inputs, `together` at most at a time."""
        total = 2 * self.numbers * len(self.inputs)
        for first in range(0, total, together):
            some = np.arange(first, min(total, first + together))
            legal = some[self.are_legal(some)]
            if len(legal):
                yield legal

    def count(self) -> int:
        """Return how many steps are legal."""
        return sum(len(some) for some in self.every(_TABLE))

    def are_legal(self, steps: Ints) -> NDArray[np.bool_]:
        """Return which of k `steps` stay within the box, (k,)."""
        values, feature = self._values(steps)
        slack = _SLACK * self.quantum.ravel()[feature]
        legal = (values >= self.low.ravel()[feature] - slack) & (values <= self.high.ravel()[feature] + slack)
        return np.asarray(legal)

    def unchanged(self, together: int) -> Iterator[Floats]:
        """Yield the inputs themselves in float64, `together` at most at a time."""
        for first in range(0, len(self.inputs), together):
            yield self.inputs[first : first + together].astype(np.float64)

    def changed(self, steps: Ints) -> Floats:
        """Return the inputs behind k `steps`, float64 (k, *shape)."""
        values, feature = self._values(steps)
        made = self.inputs[self.told(steps)[0]].astype(np.float64)
        rows = made.reshape(len(steps), -1)
        rows[np.arange(len(steps)), feature] = np.clip(values, self.low.ravel()[feature], self.high.ravel()[feature])
        return rows.reshape(made.shape)

    def _values(self, steps: Ints) -> tuple[Floats, Ints]:
        """Return what the number that each step changes is behind it, and which number that is, each (k,)."""
        sample, feature, direction = self.told(steps)
        values = self.inputs.reshape(len(self.inputs), -1)[sample, feature].astype(np.float64)
        return values + direction * self.quantum.ravel()[feature], feature


def checked_inputs(inputs: Any) -> Array:
    """Return `inputs` as an array (n, *shape); raise ValueError where they are no finite numbers."""
    given = np.ascontiguousarray(slices.to_array(inputs))
    if given.ndim < 2 or not given.size or given.dtype.kind not in "biuf" or not np.isfinite(given).all():
        raise ValueError(f"`inputs` must be finite numbers (n, *shape), n of 1 or more, got {given.dtype} {given.shape}.")
    return given


def _fitting(name: str, value: Any, shape: tuple[int, ...]) -> Floats:
    """Return an argument that is a number, or an array that fits one input, as float64 (*shape)."""
    given = slices.to_array(value).astype(np.float64)
    try:
        full = np.broadcast_to(given, shape)
    except ValueError:
        raise ValueError(f"`{name}` must be a number, or fit one input of shape {shape}, got shape {given.shape}.") from None
    if np.isnan(full).any():
        raise ValueError(f"`{name}` must be a number, got NaN.")
    return full


def _check_box(inputs: Array, quantum: Floats, low: Floats, high: Floats) -> None:
    slack = _SLACK * quantum
    if (inputs < low - slack).any() or (inputs > high + slack).any():
        raise ValueError(
            f"`inputs` must lie between `low` and `high`, got numbers from {inputs.min():.6g} to {inputs.max():.6g}, and a box "
            f"from {low.min():.6g} to {high.max():.6g}; give as `low` and `high` the least and the most that valid inputs can have."
        )
    # Pixels of 0 to 1 with a quantum of 1: those of black and white pictures are all at an end.
    between = ((inputs > low + slack) & (inputs < high - slack)).any(axis=0)
    if between.any() and (quantum >= high - low)[between].all():
        raise ValueError(
            f"`quantum` must be less than the {(high - low).min():.6g} from `low` to `high`, where inputs lie in between, got "
            f"{quantum.max():.6g}; give the least by which two inputs can differ, such as 1/255."
        )
