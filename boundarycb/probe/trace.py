"""A traced forward pass: for each activation call also the input of its affine map, a copy of the weights, and their scale.

A ReLU unit may be scaled, and the weights that read it scaled back, without any change of what the network does. So inputs and
weights are measured in the canonical gauge: each unit in units of its own :math:`|w|`, from the first layer up (Neyshabur et al.
2015, arXiv:1506.02617; Phuong and Lampert 2020). The scale of a unit's output is carried along beside the pass, through what
commutes with it: pooling, reshaping, concatenation. Behind anything else (a normalisation, a residual sum, a smooth activation)
the input is taken as it is, and a unit is measured by its own weights alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from boundarycb.probe.affine import Affine, carries_scale
from boundarycb.probe.calls import Call, CallWatch, Known, Mark, per_point, units_of_rows
from boundarycb.types import Layer

_HOMOGENEOUS = {"relu", "leaky_relu", "prelu", "rrelu"}
"""Activations with act(c z) = c act(z) for every c > 0 (rrelu in eval mode)."""


@dataclass(frozen=True, eq=False)
class Replay:
    """A layer's affine map with a copy of its weights, and its input: what can be made again later with other weights or inputs.

    Args:
        affine: the map.
        source: its input at the n points.
        axis: the input's batch axis.
        scale: the size of one unit of each input, in the input's shape with a batch of one.
        norms: |w| of each kept unit (kept,) with inputs in units of `scale`; 1 where the weights are zero.
        kept: flat indices of the kept units.
        canonical: whether `scale` is that of the units that make the input; else it is 1.
    """

    affine: Affine
    source: torch.Tensor
    axis: int
    scale: torch.Tensor
    norms: torch.Tensor
    kept: tuple[int, ...]
    canonical: bool

    def __call__(self, source: torch.Tensor) -> torch.Tensor:
        """Return the kept units' pre-activations (n, kept) that the layer makes of the input `source`."""
        rows = per_point(self.affine(source), source.shape[self.axis])
        assert rows is not None
        return units_of_rows(rows, self.kept)


@dataclass(frozen=True, eq=False)
class Trace:
    """What a traced pass keeps of one activation call.

    Args:
        layer: its layer.
        z: pre-activations of the kept units (n, kept).
        strength: mean absolute value of the activation (kept,); of a convolution, over all positions of the unit's channel.
        first: whether no activation was called before the layer, so that units are affine in the input.
        replay: the layer's map and input, where there are any and memory allows.
    """

    layer: Layer
    z: torch.Tensor
    strength: torch.Tensor
    first: bool
    replay: Replay | None


def joined(batches: Sequence[Sequence[Trace]]) -> tuple[Trace, ...]:
    """Return the traces of several batches of points as if they had run together."""
    return tuple(_joined(parts) for parts in zip(*batches, strict=True)) if len(batches) > 1 else tuple(batches[0])


def _joined(parts: Sequence[Trace]) -> Trace:
    weights = torch.tensor([len(part.z) for part in parts], dtype=torch.float64, device=parts[0].z.device)
    strength = (torch.stack([part.strength for part in parts]) * weights[:, None]).sum(dim=0) / weights.sum()
    replays = [part.replay for part in parts if part.replay is not None]
    replay = None
    if replays:
        replay = replace(replays[0], source=torch.cat([one.source for one in replays], dim=replays[0].axis))
    return replace(parts[0], z=torch.cat([part.z for part in parts]), strength=strength, replay=replay)


class TraceWatch(CallWatch):
    """A :class:`CallWatch` that keeps traces.

    Args:
        n: points.
        running: paths of the modules that are running, the innermost last.
        max_units: kept units a layer.
        names: layers whose map and input are kept.
    """

    def __init__(self, n: int, running: list[str], max_units: int, names: Collection[str]) -> None:
        super().__init__(n, running, max_units)
        self.traces: list[Trace] = []
        self._replayed = names
        self._scales: Known[torch.Tensor] = Known()

    def _follow(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        seen: tuple[Call, Mark | None] | None,
    ) -> None:
        if seen is not None:
            self._trace(*seen, result)
        elif carries_scale(func, args, kwargs):
            self._carry(func, args, kwargs, result)

    def _trace(self, call: Call, mark: Mark | None, result: torch.Tensor) -> None:
        replay = None
        if mark is not None and call.affine is not None:
            known = self._scales.get(mark.source)
            axis = 0 if mark.source.shape[0] == self._n else 1
            scale = (torch.ones_like(mark.source) if known is None else known).narrow(axis, 0, 1)
            norms = call.affine.norms(scale)
            norms = torch.where(norms > 0, norms, 1.0)
            if call.layer.op in _HOMOGENEOUS:
                self._scales.put(result, norms.expand(result.shape))
            if call.layer.name in self._replayed:
                rows = per_point(norms, 1)
                assert rows is not None
                replay = Replay(
                    affine=call.affine.copied(),
                    source=mark.source.detach().clone(),
                    axis=axis,
                    scale=scale.clone(),
                    norms=units_of_rows(rows, call.layer.kept)[0],
                    kept=call.layer.kept,
                    canonical=known is not None or mark.earlier == 0,
                )
        strength = _strength(result, self._n, call)
        self.traces.append(Trace(call.layer, call.z, strength, mark is not None and mark.earlier == 0, replay))

    def _carry(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Put the scale of what `func` gave beside it, where all tensors that it took have one."""
        found: list[torch.Tensor] = []
        scales = _replaced(args, self._scales, found)
        if not found or any(scale is None for scale in found):
            return
        carried = func(*scales, **kwargs)
        pairs = zip(result, carried, strict=True) if isinstance(result, (tuple, list)) else [(result, carried)]
        for tensor, scale in pairs:
            self._scales.put(tensor, scale)


def _replaced(value: Any, scales: Known[torch.Tensor], found: list[Any]) -> Any:
    """Return `value` with each tensor in it replaced by its scale, and add what was found, or None, to `found`."""
    if isinstance(value, torch.Tensor):
        found.append(scales.get(value))
        return found[-1]
    if isinstance(value, (tuple, list)):
        parts = [_replaced(part, scales, found) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def _strength(result: torch.Tensor, n: int, call: Call) -> torch.Tensor:
    """Return the mean absolute activation of the kept units, float64 (kept,)."""
    rows = per_point(result.detach(), n)
    assert rows is not None
    means = rows.abs().mean(dim=0, dtype=torch.float64)
    if call.affine is not None and call.affine.convolution:
        means = means.flatten(1).mean(dim=1).reshape(-1, *[1] * (means.ndim - 1)).expand(means.shape)
    return means.reshape(-1)[list(call.layer.kept)]
