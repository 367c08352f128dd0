"""Samples of the data, which units are looked at with beside the slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb import slices
from boundarycb.types import Floats

_MOST_BYTES = 2**25

DataLike = Any
"""Samples of the data: inputs (n, *shape), or a pair of them and their classes (n,)."""


@dataclass(frozen=True, eq=False)
class Data:
    """Samples of the data.

    Args:
        values: what varies of each (n, *shape).
        labels: their classes (n,); -1 where there is none; None where nothing is known of that.
    """

    values: Floats
    labels: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, given: DataLike) -> Data:
        """Return what a user means by `data`; errors name it."""
        pair = isinstance(given, (tuple, list)) and len(given) == 2 and all(hasattr(part, "shape") for part in given)
        values, labels = given if pair else (given, None)
        array = slices.to_array(values).astype(np.float64)
        if array.ndim < 2 or not len(array) or not np.isfinite(array).all():
            raise ValueError(f"`data` must be one or more finite inputs (n, *input_shape), or (inputs, labels), got {array.shape}.")
        if labels is None:
            return cls(array)
        classes = slices.to_array(labels)
        if classes.shape != (len(array),) or classes.dtype.kind not in "iub":
            raise ValueError(
                f"`data`: labels must be {len(array)} whole numbers, one an input, got {classes.dtype} {classes.shape}."
            )
        return cls(array, classes.astype(np.int64))

    def some(self, most: int) -> Data:
        """Return `most` of them at most, evenly spread, and of large ones no more than 32 megabytes."""
        most = max(1, min(most, _MOST_BYTES // max(1, self.values[:1].nbytes)))
        if len(self.values) <= most:
            return self
        places = np.linspace(0, len(self.values) - 1, most).round().astype(np.int64)
        return Data(self.values[places], None if self.labels is None else self.labels[places])
