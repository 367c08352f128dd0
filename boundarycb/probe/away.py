"""What lies on the model's device, and how it comes back: as packed bits and single numbers, in as few copies as may be.

Every copy from a GPU waits until the GPU has done all that was asked of it, and what it waits for is no work for the processor. So
pre-activations stay there, states are packed there, and several tensors come back as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch.utils._python_dispatch import _disable_current_modes

from boundarycb.keep import is_far
from boundarycb.packed import packed_rows
from boundarycb.types import Floats


def stays(*tensors: torch.Tensor) -> bool:
    """Return whether `tensors` lie on one device that is far from the processor."""
    return bool(tensors) and is_far(tensors[0].device) and len({tensor.device for tensor in tensors}) == 1


def numbers(tensor: torch.Tensor) -> Floats:
    """Return `tensor` as float64 where it is, else as float32: half precision is read, never computed with."""
    array: Floats = _wide(tensor).cpu().numpy()
    return array


def fetched(tensors: Sequence[torch.Tensor]) -> list[NDArray[Any]]:
    """Return `tensors` as arrays; half precision as single, all else as it is. From a device it is one copy for each dtype."""
    once = {id(tensor): _wide(tensor) if tensor.is_floating_point() else tensor for tensor in tensors}
    if len(once) < 2 or not stays(*once.values()):
        arrays = {key: tensor.cpu().numpy() for key, tensor in once.items()}
    else:
        arrays = {}
        for dtype in dict.fromkeys(tensor.dtype for tensor in once.values()):
            some = {key: tensor for key, tensor in once.items() if tensor.dtype == dtype}
            joined = torch.cat([tensor.reshape(-1) for tensor in some.values()]).cpu().numpy()
            ends = np.cumsum([tensor.numel() for tensor in some.values()])
            for (key, tensor), part in zip(some.items(), np.split(joined, ends[:-1]), strict=True):
                arrays[key] = part.reshape(tensor.shape).copy()  # so that each is let go of by itself
    return [arrays[id(tensor)] for tensor in tensors]


def packed(states: torch.Tensor) -> torch.Tensor:
    """Return bool `states` (…, n) as packed bits, uint8 (…, ceil(n / 8)), as ``np.packbits`` does, where they are.

    >>> packed(torch.tensor([[True, False, False], [False, True, True]])).tolist()
    [[128], [96]]
    """
    if not stays(states):
        return torch.from_numpy(packed_rows(states.cpu().numpy()))
    filled = states.view(torch.uint8) if states.shape[-1] % 8 == 0 else F.pad(states.to(torch.uint8), (0, -states.shape[-1] % 8))
    octets = filled.reshape(*filled.shape[:-1], filled.shape[-1] // 8, 8)
    return (octets << _shifts(states.device)).sum(dim=-1, dtype=torch.uint8)


@lru_cache(maxsize=16)
def _shifts(device: torch.device) -> torch.Tensor:
    return _lasting(range(7, -1, -1), torch.uint8, device)


def _lasting(values: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return a tensor that outlives the pass in which it is made: no transform and no mode of the model's has a part in it."""
    with torch.inference_mode(False), torch._C._DisableFuncTorch(), _disable_current_modes():
        return torch.tensor(values, dtype=dtype).to(device)  # copied, which is waited for: other streams may read it at once


def turned(values: torch.Tensor) -> torch.Tensor:
    """Return values (n, U) as (U, n), side by side; half precision as single."""
    if stays(values):
        return _wide(values).t().contiguous()
    return torch.from_numpy(np.ascontiguousarray(numbers(values).T))  # which takes less time than torch, as does what follows


def above(values: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Return whether values (U, n) are above the thresholds (U,), as packed bits, uint8 (U, ceil(n / 8)), where they are."""
    if stays(values):
        return packed(values > threshold[:, None])
    return torch.from_numpy(np.packbits(numbers(values) > numbers(threshold)[:, None], axis=1))


def chosen_columns(values: torch.Tensor, kept: tuple[int, ...]) -> torch.Tensor:
    """Return the columns `kept` of values (…, units)."""
    # On a device that is far, indices that are made anew for each use are waited for each time.
    return values[..., _indices(kept, values.device) if stays(values) else list(kept)]


@lru_cache(maxsize=64)
def _indices(kept: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return _lasting(kept, torch.int64, device)


class Away:
    """Pre-activations (n, U) that stay on the model's device; a :class:`boundarycb.types.Block`.

    Args:
        z: the pre-activations.
    """

    def __init__(self, z: torch.Tensor) -> None:
        self._z = z

    @staticmethod
    def of(parts: Sequence[torch.Tensor]) -> Away:
        """Return `parts` (n, …) side by side."""
        wide = [_wide(part) for part in parts]
        return Away(wide[0] if len(wide) == 1 else torch.cat(wide, dim=1))

    @property
    def shape(self) -> tuple[int, int]:
        """Points and units."""
        return self._z.shape[0], self._z.shape[1]

    @cached_property
    def on(self) -> NDArray[np.bool_]:
        """States, bool (n, U)."""
        return self._known[:-1]

    @property
    def undefined(self) -> NDArray[np.int64]:
        """Units that are not finite somewhere, (k,)."""
        return np.flatnonzero(~self._known[-1])

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        """States, and in the last row whether a unit is finite everywhere."""
        told = torch.cat([self._z > 0, self._z.isfinite().all(dim=0, keepdim=True)])
        return np.unpackbits(packed(told).cpu().numpy(), axis=1, count=self.shape[1]).view(np.bool_)

    def at(self, places: NDArray[np.int64], steps: Sequence[int]) -> Floats:
        """Return the numbers at flat places (M,), and `steps` behind each, float64 (len(steps), M)."""
        lowest = torch.from_numpy(places).to(self._z.device)
        flat = self._z.reshape(-1)
        return numbers(torch.stack([flat[lowest + step] for step in steps])).astype(np.float64)

    def rows(self, start: int, stop: int | None = None) -> Away:
        """Return a copy of the points from `start` up to `stop`."""
        return Away(self._z[start:stop].clone())

    def followed_by(self, *others: Away) -> Away:
        """Return its points and those of `others`: a copy within the device."""
        return Away(torch.cat([self._z, *(other._z for other in others)]))

    def array(self) -> Floats:
        """Return all of it."""
        return numbers(self._z)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()
