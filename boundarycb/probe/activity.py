"""What units give: their activations beside their states."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from boundarycb.probe.away import fetched
from boundarycb.probe.calls import Call, CallWatch, Mark, per_point, units_of_rows
from boundarycb.probe.watched import Watched
from boundarycb.types import Floats, Layer


@dataclass(frozen=True, eq=False)
class Activity:
    """What the kept units of a layer make of n inputs.

    Args:
        layer: the layer.
        on: bool (n, kept), pre-activation > 0.
        values: float32 (n, kept), activations.
    """

    layer: Layer
    on: NDArray[np.bool_]
    values: Floats


class ActivityWatch(CallWatch):
    """A :class:`CallWatch` that keeps activations.

    Args:
        n: points.
        running: paths of the modules that are running, the innermost last.
        optional: what else counts as an activation.
        watched: says which units are kept.
    """

    def __init__(self, n: int, running: list[str], optional: Collection[str], watched: Watched) -> None:
        super().__init__(n, running, optional, watched)
        self._seen: list[tuple[Call, torch.Tensor]] = []

    def activities(self, n: int) -> tuple[Activity, ...]:
        """Return what was seen of the first `n` points, of the layers that have units that are kept."""
        layers = [call.layer for call, _ in self._seen]
        found = fetched([call.z[:n] > 0 for call, _ in self._seen] + [values[:n].float() for _, values in self._seen])
        return tuple(map(Activity, layers, found[: len(layers)], found[len(layers) :]))

    def _follow(
        self,
        func: Callable[..., Any],  # noqa: ARG002 - what another watch looks at
        args: tuple[Any, ...],  # noqa: ARG002
        kwargs: Mapping[str, Any],  # noqa: ARG002
        result: Any,
        seen: tuple[Call, Mark | None] | None,
    ) -> None:
        if seen is None or not seen[0].layer.kept:
            return
        rows = per_point(result.detach(), self._n)
        assert rows is not None  # its pre-activation was, and an activation keeps the shape
        with torch.no_grad():  # copied, since what follows may write into it
            self._seen.append((seen[0], units_of_rows(rows, seen[0].layer.kept).clone()))
