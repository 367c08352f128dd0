"""Where the pre-activations of a pass land: copied side by side as they come, into memory that is used again once nobody holds it.

They have to be copied in any case, since what follows may write to them. One layer's into its columns is that copy, and puts them
as all readers want them; one copy a layer, and then all of them into another array, takes two to three times as long, and so does
memory that is new to the process for every band of points.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from boundarycb.keep import is_far
from boundarycb.types import Floats

_READ_AS: dict[torch.dtype, np.dtype[Any]] = {torch.float64: np.dtype(np.float64)}
_SINGLE = np.dtype(np.float32)  # as half precision is read, too
_KINDS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Landing:
    """Makes a field for each pass of a model whose layers are known from an earlier one."""

    def __init__(self) -> None:
        self._widths: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] = _SINGLE
        self._memory = np.empty(0, np.uint8)
        self._lent: weakref.ref[NDArray[np.uint8]] | None = None

    def expect(self, layers: Sequence[torch.Tensor]) -> None:
        """Take note of a pass's pre-activations (n, width), a layer each; the next pass is taken to be like it.

        Where they are of more than one kind, or no ordinary numbers on the processor, none will land.
        """
        dtypes = {_READ_AS.get(z.dtype, _SINGLE) for z in layers if _is_ordinary(z)}
        alike = len(dtypes) == 1 and all(map(_is_ordinary, layers))
        self._widths = tuple(z.shape[1] for z in layers) if alike else ()
        self._dtype = dtypes.pop() if alike else self._dtype

    def field(self, n: int) -> LandingField | None:
        """Return a field for a pass of `n` points; None where it is not known what will come."""
        if len(self._widths) < 2:  # a copy of the one layer is all that there is to do
            return None
        units = sum(self._widths)
        return LandingField(self._free(n * units).reshape(n, units), self._widths)

    def _free(self, count: int) -> Floats:
        """Return an array (count,) in memory that nobody else holds."""
        size = count * self._dtype.itemsize
        if len(self._memory) < size or (self._lent is not None and self._lent() is not None):
            self._memory = np.empty(size, np.uint8)
        # Every view of the array that is lent holds that array, and no array under it: numpy stops at one that is no plain one.
        lent = np.frombuffer(self._memory.data, np.uint8)
        self._lent = weakref.ref(lent)
        return lent[:size].view(self._dtype)


class LandingField:
    """Where the layers of one pass land.

    Args:
        joined: an array (n, U) to be filled.
        widths: the layers' units, as they come; U in all.
    """

    def __init__(self, joined: Floats, widths: Sequence[int]) -> None:
        self._joined = joined
        self._columns = torch.from_numpy(joined).split(list(widths), dim=1)
        self._landed = 0

    def land(self, z: torch.Tensor) -> torch.Tensor | None:
        """Return a copy of the next layer's pre-activations (n, width) that lies in its columns; None where it does not fit."""
        if not self._fits(z):
            self._landed = len(self._columns) + 1  # what comes after it would stand in the wrong columns
            return None
        self._landed += 1
        place: torch.Tensor = self._columns[self._landed - 1]
        place.copy_(z)
        return place

    def _fits(self, z: torch.Tensor) -> bool:
        return (
            self._landed < len(self._columns)
            and _is_ordinary(z)
            and z.shape == self._columns[self._landed].shape
            and _READ_AS.get(z.dtype, _SINGLE) == self._joined.dtype
        )

    @property
    def joined(self) -> Floats | None:
        """The pre-activations (n, U) of all layers; None where one did not land."""
        return self._joined if self._landed == len(self._columns) else None


def _is_ordinary(z: torch.Tensor) -> bool:
    """Return whether `z` holds numbers on the processor that another tensor can take over."""
    is_near = z.device.type == "cpu" and not is_far(z.device)
    return is_near and type(z) is torch.Tensor and z.layout == torch.strided and z.ndim == 2 and z.dtype in _KINDS
