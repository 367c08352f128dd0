"""One look at a model: the probe opened once, the lines found, the grid swept once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from boundarycb.automatic import Data
from boundarycb.engines.bands import Reader, batches, centres, sweep
from boundarycb.engines.grid import ClassReader, LineReader
from boundarycb.engines.masks import MaskReader
from boundarycb.engines.straight import planes
from boundarycb.keep import Verdict
from boundarycb.probe import Budget, Conditions, Prober, Trace, compare, fetched, joined, probe
from boundarycb.sampling.data import answer
from boundarycb.sampling.engine import Drawn, Engine, glimpse_points
from boundarycb.types import Answers, Boundaries, Capture, Floats, Moves, Room, Slice
from boundarycb.words import in_line

RESOLUTION = 128
_FLAT = 0.01
_SOME = 4096  # points, about, that tell how flat a unit is
_SATURATED = {"sigmoid": 5.986446, "tanh": 2.993223}
"""Pre-activations beyond which the slope is less than 1 % of that at 0: where s (1 - s) = 0.25 %, and 1 - t^2 = 1 %."""
_DEFAULT = Conditions()


@dataclass(frozen=True, eq=False)
class Look:
    """What one look at a model gave.

    Args:
        capture: on/off states and output.
        boundaries: the lines.
        decision: the borders between classes; None where there are none.
        traces: what the next look compares with; empty unless it was asked for.
        moves: what moved since the look that gave the traces before, by layer.
        notes: what was left out, in words, that the picture does not say.
        lost: paths of what the forward pass changed and could not be put back.
        verdict: what the forward pass changes, where that was asked for.
        regions: how many linear regions the units of all layers up to each one make; empty where that is not known.
        answers: what the network makes of samples of the data; None where that was not asked for.
    """

    capture: Capture
    boundaries: Boundaries
    decision: Boundaries | None = None
    traces: tuple[Trace, ...] = ()
    moves: Mapping[str, Moves] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    verdict: Verdict | None = None
    regions: Mapping[str, int] = field(default_factory=dict)
    answers: Answers | None = None


def look(
    model: nn.Module,
    slice: Slice,
    *,
    resolution: int = RESOLUTION,
    conditions: Conditions = _DEFAULT,
    engine: Engine | None = None,
    step: int | None = None,
    trace: bool = False,
    traced_points: int | None = None,
    together: int = 1,
    before: Sequence[Trace] = (),
    data: Data | None = None,
    margins: bool = False,
    surfaces: bool = False,
) -> Look:
    """Return what `model` does on `slice`.

    Args:
        model: any module; it is left as it was.
        slice: where to look.
        resolution: grid points a side.
        conditions: how the model is run.
        engine: what draws the lines; it remembers from look to look what holds.
        step: optimiser steps taken, for notes; None where there is no run.
        trace: whether to run a traced pass too, for metrics that need it.
        traced_points: at most how many points it takes.
        together: rows of a training batch, which tell how many points may run at once in any case.
        before: the traces of the last look, to compare with.
        data: samples of the data to look at too.
        margins: whether their margins are wanted.
        surfaces: whether the output of each class is kept.
    """
    with probe(model, conditions) as forward:
        drawn = (engine or Engine()).draw(forward, slice, resolution, step)
        room = forward.room(together)  # which a pass has to be seen for
        seen = _swept(drawn, forward, slice, MaskReader(resolution, surfaces=surfaces), conditions, room)
        seen = _said_of_noise(seen, forward, slice, conditions)
        if trace:
            try:
                seen = _traced_look(seen, forward, slice, before, traced_points, room)
            except Exception as error:  # noqa: BLE001 - whatever fails in it, the picture does not need it
                what = f"drift is not split into its parts, since the pass that keeps inputs and weights failed ({in_line(error)})"
                seen = replace(seen, notes=(what,))
        if data is not None:
            try:
                seen = replace(seen, answers=answer(forward, data, seen.capture.layers, margins=margins, room=room))
            except Exception as error:  # noqa: BLE001 - as above
                words = f"samples of the data are left out, since their pass failed ({in_line(error)})"
                seen = replace(seen, notes=(*seen.notes, words))
    notes = (*unkept(forward), *drawn.hints, *seen.notes)
    return replace(seen, notes=notes, lost=forward.lost, verdict=forward.verdict)


def _swept(drawn: Drawn, forward: Prober, slice: Slice, masks: MaskReader, conditions: Conditions, room: Room) -> Look:
    """Return what is on the grid, and the lines: as they were drawn, else traced on the grid."""
    lines, classes = LineReader(), ClassReader()
    readers: list[Reader] = [masks]
    if drawn.boundaries is None:
        readers.append(lines)
    if drawn.decision is None:
        readers.append(classes)
    units = sum(call.layer.size for call in forward.calls)  # of the last pass, where there was one
    sweep(forward, slice, masks.resolution, *readers, units=units, room=room)
    found = lines.result() if drawn.boundaries is None else drawn.boundaries
    found = replace(found, notes=(*drawn.notes, *found.notes))
    decision = classes.result() if drawn.decision is None else drawn.decision
    return Look(replace(masks.result(), mode=conditions.mode), found, decision, regions=drawn.regions)


def _said_of_noise(seen: Look, forward: Prober, slice: Slice, conditions: Conditions) -> Look:
    """Return `seen` with a note in the picture where random numbers change it: nobody asked for them, outside of "as_is"."""
    noise = None if conditions.mode != "eval" else forward.noise(glimpse_points(slice))
    if noise is None:
        return seen
    what = "lines are" if noise == "units" else "the output is"
    note = f"the model draws random numbers while it runs, in eval mode too: {what} partly noise"
    return replace(seen, boundaries=replace(seen.boundaries, notes=(*seen.boundaries.notes, note)))


def unkept(forward: Prober) -> Iterator[str]:
    """Yield what the probe did not run or keep, in words."""
    if forward.parked:
        yield f"hooks that are not the model's own were not run: {', '.join(forward.parked)}; `run_hooks=True` runs them"
    if forward.too_large:
        yield (
            f"{', '.join(forward.too_large)}: too large to be kept while the model is probed, or not to be read; "
            "if its forward pass changes what is in there, that stays changed"
        )


def _traced_look(plain: Look, forward: Prober, slice: Slice, before: Sequence[Trace], most: int | None, room: Room) -> Look:
    """Return `plain` with what a traced pass adds to it."""
    allowed = Budget.of(forward.calls, plain.capture.resolution, most)
    units = sum(layer.size for layer in plain.capture.layers)
    parts = batches(slice, centres(slice, allowed.side), units, room)
    points = np.concatenate(parts)
    traces = joined(_traced(forward, slice.lift(part), allowed.names) for part in parts)
    moves, failures = compare(before, traces)
    capture = replace(plain.capture, strength=_strengths(traces), planes=_planes(slice, points, traces), flat=_flat(traces))
    capture = replace(capture, saturated=_saturated(traces))
    notes = [
        f"drift of {layer} is not split into its parts, since its map cannot be made again ({why})"
        for layer, why in failures.items()
    ]
    return replace(plain, capture=capture, traces=traces, moves=moves, notes=(*_left_out(allowed), *notes))


def _traced(forward: Prober, inputs: Floats, names: Collection[str]) -> list[Trace]:
    """Return the traces of `inputs`. A batch whose size cannot be told from another axis runs with a few of them twice."""
    enough = np.resize(inputs, (forward.batch_of(len(inputs)), *inputs.shape[1:]))
    return [trace.of_first(len(inputs)) for trace in forward.trace(enough, names)]


def _strengths(traces: Sequence[Trace]) -> Floats:
    return np.concatenate(fetched([one.strength for one in traces]))


def _flat(traces: Sequence[Trace]) -> Floats:
    """Return the share of points (U,) at which a unit's pre-activation is next to nothing beside its size; NaN where that is 0."""
    found = []
    for one in traces:
        every = max(1, len(one.z) // _SOME) | 1  # odd, so that it is no divisor of a grid's side
        values = one.z[::every].abs().float()
        size = values.square().mean(dim=0).sqrt()
        share = (values < _FLAT * size).sum(dim=0) / len(values)
        found.append(torch.where(size > 0, share, torch.nan).double())
    return np.concatenate(fetched(found))


def _saturated(traces: Sequence[Trace]) -> Floats:
    """Return the share of points (U,) at which a sigmoid or tanh hardly has a slope; NaN for all other activations."""
    found = []
    for one in traces:
        limit = _SATURATED.get(one.layer.op)
        share = torch.full_like(one.z[0], torch.nan) if limit is None else (one.z.abs() > limit).double().mean(dim=0)
        found.append(share.double())
    return np.concatenate(fetched(found))


def _planes(slice: Slice, points: Floats, traces: Sequence[Trace]) -> Floats:
    """Return the planes of the units that are affine in the input, NaN for all others (U, 3)."""
    return np.concatenate(
        [
            planes(slice, points, one.z.double().cpu().numpy(), 4 * torch.finfo(one.z.dtype).eps)
            if one.first
            else np.full((one.z.shape[1], 3), np.nan)
            for one in traces
        ]
    )


def _left_out(allowed: Budget) -> tuple[str, ...]:
    if not allowed.left_out:
        return ()
    return (f"drift of {', '.join(allowed.left_out)} is not split into its parts, since weights and inputs take too much memory",)


def said_of_lost(model: nn.Module, lost: Sequence[str]) -> Iterator[str]:
    """Yield what could not be put back, in a sentence; nothing where all was."""
    if lost:
        yield f"the forward pass of {type(model).__name__} changed {', '.join(lost)} in a way that cannot be put back"
