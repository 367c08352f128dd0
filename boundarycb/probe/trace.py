"""A traced forward pass: for each activation call also the input of its affine map, a copy of the weights, and their scale.

A ReLU unit may be scaled, and the weights that read it scaled back, without any change of what the network does. So inputs and
weights are measured in the canonical gauge: each unit in units of its own :math:`|w|`, from the first layer up (Neyshabur et al.
2015, arXiv:1506.02617; Phuong and Lampert 2020). The scale of a unit's output is carried along beside the pass, through what
commutes with it: reshaping, concatenation, pooling within a channel. Behind anything else (a normalisation, a residual sum, a
smooth activation, a linear layer without an activation) the input is taken as it is, a unit is measured by its own weights alone,
and the scale of what follows is not known all the way down.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from boundarycb.nested import changed
from boundarycb.probe.affine import Affine, Step, moves_numbers, pools_numbers
from boundarycb.probe.away import chosen_columns
from boundarycb.probe.budget import ALL_BYTES, LAYER_BYTES
from boundarycb.probe.calls import Call, CallWatch, Known, Mark, per_point, units_of_rows
from boundarycb.probe.watched import Watched
from boundarycb.types import Layer
from boundarycb.words import in_line

_HOMOGENEOUS = {"relu", "leaky_relu", "prelu", "rrelu"}
"""Activations with act(c z) = c act(z) for every c > 0 (rrelu in eval mode)."""

SMALL = 2
"""Points of a batch that is made up to ask a map something. A batch of one would be squeezed away by ``squeeze()``."""


@dataclass(frozen=True, eq=False)
class Replay:
    """A layer's affine map and its input: what can be made again later with other weights or inputs.

    As a pass leaves it, its weights are the model's own; :func:`joined` copies them.

    Args:
        affine: the map.
        source: its input at the n points.
        axis: the input's batch axis.
        scale: the size of one unit of each input, in the input's shape with a batch of two.
        norms: |w| of each kept unit (kept,) with inputs in units of `scale`; 1 where the weights are zero.
        kept: flat indices of the kept units.
        canonical: whether `scale` is known all the way down to the model's input; where it is not known at all, it is 1.
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
        z, n = self.affine(source), source.shape[self.axis]
        # Another axis may be as long; a map most often leaves the batch where it is.
        rows = z.movedim(self.axis, 0) if z.ndim > self.axis and z.shape[self.axis] == n else z
        return _kept_units(rows, n, self.kept)


def _kept_units(z: torch.Tensor, n: int, kept: tuple[int, ...]) -> torch.Tensor:
    rows = per_point(z, n)
    if rows is None:
        raise ValueError(f"A pre-activation of shape {tuple(z.shape)} is not one row a point, of {n}.")
    return units_of_rows(rows, kept)


@dataclass(frozen=True, eq=False)
class Trace:
    """What a traced pass keeps of one activation call.

    Args:
        layer: its layer.
        z: pre-activations of the kept units (n, kept).
        strength: mean absolute value of the activation (kept,); of a convolution, over all positions of the unit's channel.
        first: whether units are affine in the input as far as can be told: no activation was called before the layer, or it reads
            the input itself.
        replay: the layer's map and input, where there are any and memory allows.
        failure: why there is no replay although there is a map, in words.
    """

    layer: Layer
    z: torch.Tensor
    strength: torch.Tensor
    first: bool
    replay: Replay | None
    failure: str | None = None

    def with_its_weights(self) -> Trace:
        """Return the trace with copies of the weights as they are now."""
        return self if self.replay is None else replace(self, replay=replace(self.replay, affine=self.replay.affine.copied()))

    def of_first(self, n: int) -> Trace:
        """Return the trace of the first `n` points alone, but for `strength`, which all gave."""
        if n == len(self.z):
            return self
        replay = self.replay
        if replay is not None:
            replay = replace(replay, source=replay.source.narrow(replay.axis, 0, n))
        return replace(self, z=self.z[:n], replay=replay)

    def beside(self, first: Trace) -> Trace:
        """Return the trace with the map of `first`, a trace of the same call, in place of its own."""
        if self.replay is None or first.replay is None:
            return replace(self, replay=None)
        return replace(self, replay=replace(first.replay, source=self.replay.source))


def joined(batches: Iterable[Sequence[Trace]]) -> tuple[Trace, ...]:
    """Return the traces of several batches of points as if they had run together, with one copy of the weights.

    The batches are taken one after another; of all but the first only what differs is held.
    """
    parts: list[list[Trace]] = []
    for batch in batches:
        parts.append([one.beside(first) for one, first in zip(batch, parts[0], strict=True)] if parts else list(batch))
    return tuple(_joined(ones) for ones in zip(*parts, strict=True))


def put_by(traces: Sequence[Trace]) -> tuple[Trace, ...]:
    """Return `traces` in the main memory, where they are to be saved and nothing is compared with them any more."""
    return tuple(changed(trace, lambda _, leaf: leaf.cpu() if isinstance(leaf, torch.Tensor) else leaf) for trace in traces)


def _joined(parts: Sequence[Trace]) -> Trace:
    if len(parts) == 1:
        return parts[0].with_its_weights()
    strength = torch.stack([part.strength * len(part.z) for part in parts]).sum(dim=0) / sum(len(part.z) for part in parts)
    replays = [part.replay for part in parts if part.replay is not None]
    replay = None
    if len(replays) == len(parts):
        source = torch.cat([one.source for one in replays], dim=replays[0].axis)
        replay = replace(replays[0], affine=replays[0].affine.copied(), source=source)
    failure = next((part.failure for part in parts if part.failure is not None), None)
    return replace(parts[0], z=torch.cat([part.z for part in parts]), strength=strength, replay=replay, failure=failure)


@dataclass(frozen=True, eq=False)
class _Scale:
    """The scale of a tensor's numbers.

    Args:
        sizes: the size of one unit of each number, in the tensor's shape.
        whole: whether it is known all the way down to the input.
        of_input: whether the numbers are the model's inputs.
    """

    sizes: torch.Tensor
    whole: bool
    of_input: bool = False


class TraceWatch(CallWatch):
    """A :class:`CallWatch` that keeps traces.

    Args:
        n: points.
        running: paths of the modules that are running, the innermost last.
        optional: what else counts as an activation.
        watched: says which units are kept.
        names: layers whose map and input are kept.
        inputs: the model's input, whose scale is 1.
        fleeting: whether weights are gone when their layer has run, as those that ranks gather are; then they are copied at once,
            as long as all of them together take no more memory than those of a trace may.
    """

    def __init__(
        self,
        n: int,
        running: list[str],
        optional: Collection[str],
        watched: Watched,
        names: Collection[str],
        inputs: torch.Tensor,
        *,
        fleeting: bool = False,
    ) -> None:
        super().__init__(n, running, optional, watched)
        self._copies_left = ALL_BYTES if fleeting else None
        self.traces: list[Trace] = []
        self._replayed = names
        self._scales: Known[_Scale] = Known()
        self._scales.put(inputs, _Scale(torch.ones_like(inputs[:1]).expand(inputs.shape), whole=True, of_input=True))

    def _step(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int) -> Step:
        step = super()._step(func, args, kwargs, place)
        size = sum(tensor.nbytes for tensor in step.tensors())
        if self._copies_left is None or size > min(LAYER_BYTES, self._copies_left):
            return step
        self._copies_left -= size
        return step.copied()

    def _follow(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        seen: tuple[Call, Mark | None] | None,
    ) -> None:
        with torch.no_grad():  # also where the forward pass needs a graph: it must not live on in a trace
            if seen is not None:
                self._trace(*seen, result)
            elif moves_numbers(func, args, kwargs) or pools_numbers(func):
                # A view that only the activations' memory allows, say, fails: then the scale is not known any more.
                with suppress(RuntimeError):
                    self._carry(func, args, kwargs, result)

    def _trace(self, call: Call, mark: Mark | None, result: torch.Tensor) -> None:
        if not call.layer.kept:
            return
        replay, failure, first = None, None, False
        if mark is not None:
            known = self._scales.get(mark.source)
            first = mark.earlier == 0 or (known is not None and known.of_input)
        if mark is not None and call.affine is not None:
            try:
                replay = self._replay(call, call.affine, mark.source, known, result)
            except Exception as error:  # noqa: BLE001 - one odd layer shall not take the numbers of all others
                failure = in_line(error)
        self.traces.append(Trace(call.layer, call.z, _strength(result, self._n, call), first, replay, failure))

    def _replay(
        self, call: Call, affine: Affine, source: torch.Tensor, known: _Scale | None, result: torch.Tensor
    ) -> Replay | None:
        """Return the call's map and input if they are asked for; put the scale of its `result` beside it."""
        axis = next((axis for axis in (0, 1) if source.ndim > axis and source.shape[axis] == self._n), None)
        if axis is None:
            raise ValueError(f"its input of shape {tuple(source.shape)} is not one row a point")
        scale = (torch.ones_like(source) if known is None else known.sizes).narrow(axis, 0, min(SMALL, self._n))
        norms = affine.norms(scale)
        norms = torch.where(norms > 0, norms, 1.0)
        if call.layer.op in _HOMOGENEOUS:
            place = 0 if result.shape[0] == self._n else 1
            self._scales.put(
                result, _Scale(norms.narrow(place, 0, 1).expand(result.shape), whole=known is not None and known.whole)
            )
        if call.layer.name not in self._replayed:
            return None
        return Replay(
            affine=affine,
            source=source.detach().clone(),
            axis=axis,
            scale=scale.clone(),
            norms=_kept_units(norms, scale.shape[axis], call.layer.kept)[0],
            kept=call.layer.kept,
            canonical=known is not None and known.whole,
        )

    def _carry(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Put the scale of what `func` gave beside it, where all tensors that it took have one: a tensor to write into has none."""
        given = (args, dict(kwargs))
        found = [self._scales.get(tensor) for tensor in _tensors(given)]
        known = [scale for scale in found if scale is not None]
        if not known or len(known) < len(found):
            return
        sizes = [scale.sizes for scale in known]
        carried = _called(func, given, sizes)
        if pools_numbers(func) and not _commutes(func, given, sizes, carried):
            return
        scale = _Scale(sizes[0], all(scale.whole for scale in known), all(scale.of_input for scale in known))
        pairs = zip(result, carried, strict=True) if isinstance(result, (tuple, list)) else [(result, carried)]
        for tensor, size in pairs:
            self._scales.put(tensor, replace(scale, sizes=size))


def _commutes(func: Callable[..., Any], given: Any, sizes: Sequence[torch.Tensor], carried: Any) -> bool:
    """Return whether `func`, which gives maxima or means, puts numbers of one scale together only.

    By Cauchy and Schwarz the mean of g times the mean of 1 / g is 1, or what the weights of the mean are squared, for a constant
    g and for no other; and so it is with maxima. It depends on the scales alone, not on the numbers.
    """
    inverse = _called(func, given, [torch.where(size > 0, 1 / size, 0.0) for size in sizes])
    ones = _called(func, given, [torch.ones_like(size) for size in sizes])
    there, back, one = (value[0] if isinstance(value, (tuple, list)) else value for value in (carried, inverse, ones))
    return torch.allclose(there * back, one.square(), rtol=1e-3, atol=1e-6)


def _called(func: Callable[..., Any], given: Any, tensors: Sequence[torch.Tensor]) -> Any:
    """Return what `func` gives with `tensors` in place of the tensors of its arguments, (args, kwargs)."""
    args, kwargs = _replaced(given, iter(tensors))
    return func(*args, **kwargs)


def _tensors(value: Any) -> list[torch.Tensor]:
    """Return the tensors in `value`, in their order."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _replaced(value: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """Return `value` with the tensors in it replaced by `tensors`, in their order."""
    if isinstance(value, torch.Tensor):
        return next(tensors)
    if isinstance(value, dict):
        return {name: _replaced(part, tensors) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_replaced(part, tensors) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def _strength(result: torch.Tensor, n: int, call: Call) -> torch.Tensor:
    """Return the mean absolute activation of the kept units, float64 (kept,)."""
    rows = per_point(result.detach(), n)
    assert rows is not None  # its pre-activation was, and an activation keeps the shape
    means = rows.abs().mean(dim=0, dtype=torch.float64)
    if call.affine is not None and call.affine.convolution and means.ndim > 1:  # else it was flattened: no channels are left
        means = means.flatten(1).mean(dim=1).reshape(-1, *[1] * (means.ndim - 1)).expand(means.shape)
    return chosen_columns(means.reshape(-1), call.layer.kept)
