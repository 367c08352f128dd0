"""Runs a model many times once it is known what it calls: reads the pre-activations and the output, and nothing else.

The full forward pass tells layers' names, their maps and what bends the network, and widens what the model makes narrower by
itself. For a small model that takes several times as long as the pass itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from boundarycb.probe.affine import option
from boundarycb.probe.calls import ACTIVATION_TABLE, per_point
from boundarycb.probe.double import called
from boundarycb.probe.kinks import OPTIONAL_TABLE, optional_source
from boundarycb.types import Floats, Reading


class Glance(TorchFunctionMode):
    """Keeps all units' pre-activations of one forward pass of `n` points, in double precision.

    Args:
        n: points.
        optional: what else counts as an activation.
        copies: whether they are copied; if not, one that is written into later in the pass is spoiled.

    Attributes:
        z: pre-activations (n, units) of each call.
        shapes: their shapes without the batch.
    """

    def __init__(self, n: int, optional: Collection[str], *, copies: bool) -> None:
        super().__init__()
        self.z: list[torch.Tensor] = []
        self.shapes: list[tuple[int, ...]] = []
        self._n = n
        self._optional = optional
        self._copies = copies
        self._versions: list[int] = []

    def is_spoiled(self) -> bool:
        """Return whether what was kept was written into since."""
        return any(z._version != version for z, version in zip(self.z, self._versions, strict=True))

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        op = ACTIVATION_TABLE.get(func)
        if op is not None:
            self._keep(option(args, kwargs, 0, "input", None))
        elif self._optional and OPTIONAL_TABLE.get(func) in self._optional:
            self._keep(optional_source(OPTIONAL_TABLE[func], args, kwargs))
        return called(func, args, kwargs)

    def _keep(self, source: Any) -> None:
        if isinstance(source, torch.Tensor) and source.is_floating_point():
            rows = per_point(source, self._n)
            if rows is not None:
                self.shapes.append(tuple(rows.shape[1:]))
                z = rows.detach().reshape(self._n, -1)
                self.z.append(z.clone() if self._copies else z)
                self._versions.append(self.z[-1]._version)


class Runs(Protocol):
    """What can run a model both ways."""

    def __call__(self, inputs: Floats, /) -> Reading:
        """Run it and read everything."""

    def glance(self, inputs: Floats, like: Reading, /, *, copies: bool) -> Reading | None:
        """Run it and read what `like` has, copied where asked for; None where it called something else, or spoiled what is none."""


class Quick:
    """A forward pass for many calls, in double precision; once the short way fails, all further passes are full ones.

    What the model makes narrower by itself, and widens again before it can be seen, is not widened here: look again with a full
    pass.

    Args:
        prober: runs the model in double precision; it watches all units.
        like: a full reading of the model, of any units and in any precision.
    """

    def __init__(self, prober: Runs, like: Reading) -> None:
        self._prober = prober
        self._like = replace(like, layers=tuple(replace(layer, kept=tuple(range(layer.size))) for layer in like.layers))
        self._is_quick = True
        self._copies = False

    def __call__(self, inputs: Floats) -> Reading:
        """Return what the model says at `inputs`; errors as of a :class:`boundarycb.probe.Prober`."""
        if self._is_quick:
            found = self._glance(inputs)
            if found is None and not self._copies:  # an activation in place spoils what is not copied
                self._copies = True
                found = self._glance(inputs)
            if found is not None:
                return found
            self._is_quick = False
        return self._prober(inputs)

    def _glance(self, inputs: Floats) -> Reading | None:
        try:
            found = self._prober.glance(inputs, self._like, copies=self._copies)
        except Exception:  # noqa: BLE001 - the full pass, which follows, says what is wrong, or is none the worse
            return None
        if found is None or any(part.dtype != np.float64 for part in found.parts):
            return None
        return found
