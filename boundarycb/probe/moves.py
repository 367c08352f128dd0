"""What a layer's units did between two samples, told apart by what moved.

The affine map of each sample is made again on the other sample's input. From the four pre-activations (old or new map, on old or
new input) and the two offsets follow the on/off states under every coalition of what took its new value, and from those, in
:mod:`boundarycb.metrics`, the Shapley values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from boundarycb.packed import count_ones
from boundarycb.probe.away import above, fetched, turned
from boundarycb.probe.trace import Replay, Trace
from boundarycb.types import Bits, Moves
from boundarycb.words import in_line

Values = dict[tuple[int, int], torch.Tensor]
"""Pre-activations (n, kept) by (map, input), each 0 for old and 1 for new."""
_SOME = 4096
"""Points, about, from which sizes are taken."""
Pair = tuple[torch.Tensor, torch.Tensor]
"""Old and new (kept,)."""


def compare(before: Sequence[Trace], now: Sequence[Trace]) -> tuple[dict[str, Moves], dict[str, str]]:
    """Return what moved in each layer whose map and input both samples have, at the same points; and why not, in others, by layer.

    There is nothing to compare where the layers changed.
    """
    moves: dict[str, Moves] = {}
    failures = {trace.layer.name: trace.failure for trace in now if trace.failure is not None}
    if [trace.layer for trace in before] != [trace.layer for trace in now]:
        return moves, failures
    for old, new in zip(before, now, strict=True):
        if old.replay is not None and new.replay is not None and old.z.shape == new.z.shape:
            try:
                moves[new.layer.name] = _compare(old, new, old.replay, new.replay)
            except Exception as error:  # noqa: BLE001 - one odd layer shall not take the numbers of all others
                failures[new.layer.name] = in_line(error)
    return moves, failures


def _compare(old: Trace, new: Trace, was: Replay, now: Replay) -> Moves:
    four = _Four(old, new, was, now)
    zeros = torch.zeros_like(was.scale)
    bias = was(zeros)[0].double(), now(zeros)[0].double()
    scales = was.norms.double(), now.norms.double()
    plain, canonical = four.states(rescaled=False), four.states(rescaled=True)
    means = tuple(canonical[number, 0].mean(dim=0, dtype=torch.float64) / scales[number] for number in (0, 1))
    one, by_unit = torch.ones_like(scales[0]), _ByUnit()
    geometry = _states(canonical, _settled((means[0], means[1]), canonical, scales), scales, by_unit)
    cause = _states(plain, bias, (one, one), by_unit)
    *states, change = fetched([*geometry, *cause, _change(canonical, scales)])
    return Moves(
        points=len(new.z),
        geometry=_counts(states[:8], len(new.z)),
        cause=_counts(states[8:], len(new.z)),
        gauge="canonical" if was.canonical and now.canonical else "own",
        change=change,
    )


def _change(four: Values, scales: Pair) -> torch.Tensor:
    """Return by how much each unit's own map changed (kept,): 0 where only by rounding, NaN where the old one gave 0 everywhere."""
    old, new = (_some(four[number, 0]).double() / scales[number] for number in (0, 1))
    size, moved = old.square().mean(dim=0).sqrt(), (new - old).square().mean(dim=0).sqrt()
    moved = torch.where(moved <= _rounding(four) * size, 0.0, moved)
    return torch.where(size > 0, moved / size, torch.nan)


class _Four:
    """The pre-activations of the old and the new map, each on the old and the new input.

    Where an input meets the other sample's map, it may be measured in that sample's units.
    """

    def __init__(self, old: Trace, new: Trace, was: Replay, now: Replay) -> None:
        self._was, self._now = was, now
        self._known: Values = {(0, 0): old.z, (1, 1): new.z}
        one = now.scale.narrow(now.axis, 0, 1) / was.scale.narrow(was.axis, 0, 1)  # a new unit in old ones
        self._ratio = torch.where(one.isfinite() & (one > 0), one, 1.0)  # the scale is 0 where a border was padded
        self._same_units = bool((self._ratio == 1).all())
        self._same_input = self._same_units and torch.equal(was.source, now.source)
        self._plain: Values | None = None

    def states(self, *, rescaled: bool) -> Values:
        """Return the four, with inputs in the other map's units where `rescaled`."""
        if self._same_input:
            return {**self._known, (1, 0): self._known[1, 1], (0, 1): self._known[0, 0]}
        if rescaled and not self._same_units:
            return self._made(self._was.source * self._ratio, self._now.source / self._ratio)
        if self._plain is None:
            self._plain = self._made(self._was.source, self._now.source)
        return self._plain

    def _made(self, old_input: torch.Tensor, new_input: torch.Tensor) -> Values:
        return {**self._known, (1, 0): self._now(old_input), (0, 1): self._was(new_input)}


def _settled(offsets: Pair, four: Values, scales: Pair) -> Pair:
    """Return `offsets` with new ones that differ by no more than rounding made equal to the old ones.

    A unit that is exactly 0 on a whole region would else be switched on there by rounding.
    """
    sizes = [_some(four[number, 0]).double().square().mean(dim=0).sqrt() / scales[number] for number in (0, 1)]
    close = (offsets[1] - offsets[0]).abs() <= _rounding(four) * torch.maximum(*sizes)
    return offsets[0], torch.where(close, offsets[0], offsets[1])


def _some(values: torch.Tensor) -> torch.Tensor:
    """Return values (n, kept) at some of the points, enough to tell how large they are."""
    every = max(1, len(values) // _SOME) | 1  # odd, so that it is no divisor of a grid's side
    return values[::every]


def _rounding(four: Values) -> float:
    """Return the share of a number that rounding may be, and no move."""
    # Half precision rounds weights, which is a move; what is rounded here is no more than in single precision.
    return 8 * min(torch.finfo(four[0, 0].dtype).eps, torch.finfo(torch.float32).eps)


def _states(four: Values, offsets: Pair, scales: Pair, by_unit: Callable[[torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
    """Return each unit's states as packed bits, uint8 (kept, ceil(n / 8)), for every coalition, where the values are.

    The bits of a coalition are 1: the offset, 2: the rest of the map, 4: the input takes its new value. A mixed pre-activation is
    that of map and input, with the map's own offset taken out and the other put in: it is compared with the difference.
    """
    move = offsets[1] - offsets[0]
    thresholds = {
        (0, 1): (move * scales[1]).to(four[1, 0].dtype),
        (1, 0): (-move * scales[0]).to(four[0, 0].dtype),
    }
    zero = torch.zeros_like(move, dtype=four[0, 0].dtype)
    known: dict[tuple[int, int, int], torch.Tensor] = {}  # where the input is the same, half of them are
    same_input = four[0, 1] is four[0, 0]
    states = []
    for coalition in range(8):
        offset, weights, source = coalition & 1, coalition >> 1 & 1, 0 if same_input else coalition >> 2
        if (offset, weights, source) not in known:
            threshold = zero if offset == weights else thresholds[offset, weights]
            known[offset, weights, source] = above(by_unit(four[weights, source]), threshold)
        states.append(known[offset, weights, source])
    return states


def _counts(states: Sequence[Bits], n: int) -> NDArray[np.int64]:
    """Return at how many of `n` points each unit's state differs from the old one, int64 (8, kept), for every coalition."""
    flipped = np.stack(states) ^ states[0]
    counts = count_ones(flipped.reshape(-1, flipped.shape[2])).reshape(8, -1)
    on = count_ones(states[0]) + count_ones(states[7])
    counts[:, (on == 0) | (on == 2 * n)] = 0  # a unit with the same state everywhere has not moved there
    return counts


class _ByUnit:
    """Turns values (n, kept) about (kept, n), so that a unit's numbers lie side by side, each once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        if id(values) not in self._known:  # which stays its own as long as the tensor is held
            self._known[id(values)] = values, turned(values)
        return self._known[id(values)][1]
