"""Samples of the data, which units are looked at with beside the slice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from boundarycb import slices
from boundarycb.evenly import evenly
from boundarycb.probe import Beside
from boundarycb.types import Array, Floats, frozen

MOST = 256
"""Samples that are looked at: enough for a share to a few hundredths, and cheap."""

_MOST_BYTES = 2**25  # of all of them, which go into the checkpoint's directory

_MOST_BESIDE = 2**24  # bytes of what goes in beside them

DataLike = Any
"""Samples of the data: inputs (n, *shape), or a pair of them and their classes (n,)."""


@dataclass(frozen=True, eq=False)
class Data:
    """Samples of the data.

    Args:
        values: what varies of each, float64 (n, *shape).
        labels: their classes (n,); -1 where there is none; None where nothing is known of that.
        beside: what else of the model's call is a row of each sample, by its path; without it that is held at one row.
    """

    values: Floats
    labels: NDArray[np.int64] | None = None
    beside: Beside = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen(self.values))
        if self.labels is not None:
            object.__setattr__(self, "labels", frozen(np.maximum(self.labels, -1)))

    @classmethod
    def of(cls, given: DataLike) -> Data:
        """Return at most 256 of the samples that a user gives as `data`; errors name it."""
        values, labels = given if _is_pair(given) else (given, None)
        array = _numbers(values)
        if array is None or array.ndim < 2 or not array.size:
            raise _wrong(_named(values, array))
        places = _spread(len(array), MOST, array[0].size)
        chosen = array[places].astype(np.float64)  # only these: it may be a whole data set
        if not np.isfinite(chosen).all():
            raise _wrong("NaN or infinity in it")
        return cls(chosen, None if labels is None else _classes(labels, len(array))[places])

    @classmethod
    def of_batch(cls, values: Floats, labels: NDArray[Any] | None, beside: Beside | None = None) -> Data | None:
        """Return at most 256 samples of a training batch, of those that are finite; None where none are.

        What is `beside` them goes with them, up to 16 megabytes of it.
        """
        good = np.flatnonzero(np.isfinite(values.reshape(len(values), -1)).all(axis=1))
        if not len(good):
            return None
        places = good[_spread(len(good), MOST, values[0].size)]
        mine = None if labels is None else labels[places].astype(np.int64)
        fits = _bytes_of_rows(beside or {}) * len(places) <= _MOST_BESIDE
        return cls(values[places], mine, _at(beside or {}, places) if fits else {})

    def some(self, most: int) -> Data:
        """Return `most` of them at most, evenly spread, and of large ones no more than 32 megabytes."""
        places = _spread(len(self.values), most, self.values[0].size)
        if len(places) == len(self.values):
            return self
        return self.at(places)

    def at(self, places: NDArray[np.int64]) -> Data:
        """Return those at `places`, with what belongs to each."""
        labels = None if self.labels is None else self.labels[places]
        return Data(self.values[places], labels, _at(self.beside, places))

    @property
    def numbers(self) -> int:
        """How many numbers go into the model with one of them."""
        return int(self.values[0].size) + sum(whole[0].numel() for whole in self.beside.values())

    def same(self, other: Data) -> bool:
        """Return whether the other samples are these, and have these labels."""
        if self.labels is None or other.labels is None:
            alike = self.labels is other.labels
        else:
            alike = np.array_equal(self.labels, other.labels)
        return alike and np.array_equal(self.values, other.values)


def _spread(count: int, most: int, numbers: int) -> NDArray[np.int64]:
    """Return the places of `most` at most of `count` samples, evenly spread; fewer where so many `numbers` take much memory."""
    most = max(1, min(count, most, _MOST_BYTES // (numbers * np.dtype(np.float64).itemsize)))
    return evenly(count, most)


def _at(beside: Beside, places: NDArray[np.int64]) -> Beside:
    """Return copies, on the processor, of the rows at `places` of what is beside samples."""
    rows = torch.from_numpy(places)
    return {path: whole.detach()[rows.to(whole.device)].cpu() for path, whole in beside.items()}


def _bytes_of_rows(beside: Beside) -> int:
    """Return how many bytes a row of all that is beside samples takes."""
    return sum(whole[0].numel() * whole.element_size() for whole in beside.values())


def _is_pair(given: Any) -> bool:
    """Return whether `given` is inputs and their labels, and not two inputs."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        return False
    one, other = map(_shape, given)
    return one is not None and len(one) > 1 and one != other


def _shape(value: Any) -> tuple[int, ...] | None:
    array = value if hasattr(value, "shape") else _numbers(value)
    return None if array is None else tuple(array.shape)


def _numbers(value: Any) -> Array | None:
    """Return `value` as an array of numbers, None where it is none."""
    try:
        array = slices.to_array(value)
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths, a sparse tensor
        return None
    return array if array.dtype.kind in "biuf" else None


def _classes(labels: Any, count: int) -> NDArray[np.int64]:
    array = _numbers(labels)
    fits = array is not None and array.shape in ((count,), (count, 1))
    if array is None or not fits or not (np.isfinite(array) & (array == np.floor(array))).all():
        raise ValueError(f"`data`: labels must be {count} whole numbers, one an input, got {_named(labels, array)}.")
    return array.reshape(count).astype(np.int64)


def _wrong(what: str) -> ValueError:
    return ValueError(f"`data` must be one or more inputs (n, *input_shape) of finite numbers, or (inputs, labels), got {what}.")


def _named(value: Any, array: Array | None) -> str:
    return type(value).__name__ if array is None else f"{array.dtype} {array.shape}"
