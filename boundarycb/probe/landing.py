"""Where the pre-activations of a pass land: they are copied side by side as they come.

They have to be copied in any case, since what follows may write to them. A copy of one layer's into its columns puts them as most
readers want them; a copy of each, and then all of them in another array, takes up to twice as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

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
        return LandingField(np.empty((n, sum(self._widths)), self._dtype), self._widths)


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
            torch._C._len_torch_dispatch_stack() == 0  # a mode of the model's, which a copy in place may not please
            and self._landed < len(self._columns)
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
