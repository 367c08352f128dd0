"""One look at a model: the probe opened once, the grid swept once, everything read from that one pass."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from boundarycb.engines import grid
from boundarycb.engines.bands import batches, centres, sweep
from boundarycb.engines.masks import MaskReader
from boundarycb.engines.straight import planes
from boundarycb.keep import Verdict
from boundarycb.probe import MAX_UNITS, Budget, Conditions, Prober, Trace, compare, joined, probe
from boundarycb.render import draw_overlay
from boundarycb.types import Boundaries, Capture, Floats, Layer, Mode, Moves, Picture, Slice, Snapshot, warn

RESOLUTION = 128
_DEFAULT = Conditions()
_ENGINES = {"auto": grid.find_boundaries, "grid": grid.find_boundaries}


@dataclass(frozen=True, eq=False)
class Look:
    """What one look at a model gave.

    Args:
        capture: on/off states and output.
        boundaries: the lines.
        traces: what the next look compares with; empty unless it was asked for.
        moves: what moved since the look that gave the traces before, by layer.
        notes: what was left out, in words, that the picture does not say.
        lost: paths of what the forward pass changed and could not be put back.
        verdict: what the forward pass changes, where that was asked for.
    """

    capture: Capture
    boundaries: Boundaries
    traces: tuple[Trace, ...] = ()
    moves: Mapping[str, Moves] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    verdict: Verdict | None = None


def look(
    model: nn.Module,
    slice: Slice,
    *,
    resolution: int = RESOLUTION,
    conditions: Conditions = _DEFAULT,
    trace: bool = False,
    before: Sequence[Trace] = (),
) -> Look:
    """Return what `model` does on `slice`.

    Args:
        model: any module; it is left as it was.
        slice: where to look.
        resolution: grid points a side.
        conditions: how the model is run.
        trace: whether to run a traced pass too, for metrics that need it.
        before: the traces of the last look, to compare with.
    """
    masks, lines = MaskReader(resolution), grid.LineReader()
    with probe(model, conditions) as forward:
        sweep(forward, slice, resolution, masks, lines)
        seen = Look(replace(masks.result(), mode=conditions.mode), lines.result())
        if trace:
            try:
                seen = _traced_look(seen, forward, slice, before)
            except Exception as error:  # noqa: BLE001 - whatever fails in it, the picture does not need it
                what = f"drift is not split into its parts, since the pass that keeps inputs and weights failed ({_words(error)})"
                seen = replace(seen, notes=(what,))
    notes = (*_unkept(forward), *seen.notes)
    return replace(seen, notes=notes, lost=forward.lost, verdict=forward.verdict)


def _unkept(forward: Prober) -> Iterator[str]:
    """Yield what the probe did not run or keep, in words."""
    if forward.parked:
        yield f"hooks that are not the model's own were not run: {', '.join(forward.parked)}; `run_hooks=True` runs them"
    if forward.too_large:
        yield (
            f"{', '.join(forward.too_large)}: too large to be kept while the model is probed, or not to be read; "
            "if its forward pass changes what is in there, that stays changed"
        )


def _traced_look(plain: Look, forward: Prober, slice: Slice, before: Sequence[Trace]) -> Look:
    """Return `plain` with what a traced pass adds to it."""
    allowed = Budget.of(forward.calls, plain.capture.resolution)
    points = centres(slice, allowed.side)
    traces = _traced(forward, slice, points, allowed.names, plain.capture.layers)
    moves, failures = compare(before, traces)
    capture = replace(plain.capture, strength=_strengths(traces), planes=_planes(slice, points, traces))
    notes = [
        f"drift of {layer} is not split into its parts, since its map cannot be made again ({why})"
        for layer, why in failures.items()
    ]
    return Look(capture, plain.boundaries, traces, moves, (*_left_out(allowed), *notes))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _traced(forward: Prober, slice: Slice, points: Floats, names: Collection[str], layers: Sequence[Layer]) -> tuple[Trace, ...]:
    """Return the traces at `points`, run in batches that take a bounded number of bytes."""
    units = sum(layer.size for layer in layers)
    return joined(forward.trace(slice.lift(part), names) for part in batches(slice, points, units))


def _strengths(traces: Sequence[Trace]) -> Floats:
    return np.concatenate([one.strength.cpu().numpy() for one in traces])


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


def capture(
    model: nn.Module, slice: Slice, *, resolution: int = RESOLUTION, max_units: int = MAX_UNITS, mode: Mode = "eval"
) -> Capture:
    """Return the on/off state of every unit and the output of `model` on a grid over `slice`.

    Args:
        model: any module; it is left as it was.
        slice: where to look; see :mod:`boundarycb.slices`.
        resolution: grid points a side, 2 to 4096.
        max_units: watched units a layer, evenly spread where a layer has more; the result's notes say so.
        mode: ``eval``, or ``as_is`` to leave dropout and batch-norm in the mode that they are in.

    Raises:
        ValueError: the model has no activation, or cannot take the slice's points as inputs.

    >>> from boundarycb import slices
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> capture(model, slices.box((-1, 1), (-1, 1)), resolution=4).mask("0").shape
    (3, 4, 4)
    """
    masks = MaskReader(resolution)
    with probe(model, Conditions(max_units=max_units, mode=mode)) as forward:
        sweep(forward, slice, resolution, masks)
    _warn_of(model, forward)
    return replace(masks.result(), mode=mode)


def find_boundaries(
    model: nn.Module,
    slice: Slice,
    *,
    engine: str = "auto",
    resolution: int = RESOLUTION,
    max_units: int = MAX_UNITS,
    mode: Mode = "eval",
) -> Boundaries:
    """Return the lines on `slice` where the units of `model` switch on or off.

    Args:
        model: any module; it is left as it was.
        slice: where to look.
        engine: ``grid`` traces lines on a grid, for any network; ``auto`` chooses, and has only ``grid`` to choose from yet.
        resolution: grid points a side, 2 to 4096.
        max_units: watched units a layer, evenly spread where a layer has more.
        mode: ``eval``, or ``as_is`` to leave dropout and batch-norm in the mode that they are in.

    Raises:
        ValueError: the engine is unknown, the model has no activation, or cannot take the slice's points as inputs.
    """
    if engine not in _ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(_ENGINES)}, got {engine!r}.")
    with probe(model, Conditions(max_units=max_units, mode=mode)) as forward:
        found = _ENGINES[engine](forward, slice, resolution=resolution)
    _warn_of(model, forward)
    return found


def overlay(
    model: nn.Module,
    slice: Slice,
    *,
    resolution: int = RESOLUTION,
    max_units: int = MAX_UNITS,
    image_size: int = 512,
    mode: Mode = "eval",
) -> Picture:
    """Return the picture of `model` on `slice` as it is now; Jupyter shows it, ``.png()`` and ``.rgb()`` give its data.

    Args:
        model: any module; it is left as it was.
        slice: where to look.
        resolution: grid points a side, 2 to 4096.
        max_units: watched units a layer.
        image_size: the plot's longer side in pixels, 64 to 4096.
        mode: ``eval``, or ``as_is`` to leave dropout and batch-norm in the mode that they are in.
    """
    seen = look(model, slice, resolution=resolution, conditions=Conditions(max_units=max_units, mode=mode))
    for words in (*seen.notes, *said_of_lost(model, seen.lost)):
        warn(f"{words}.")
    return draw_overlay(Snapshot(0, time.time(), slice, seen.capture, seen.boundaries), image_size, title=type(model).__name__)


def _warn_of(model: nn.Module, forward: Prober) -> None:
    for words in (*_unkept(forward), *said_of_lost(model, forward.lost)):
        warn(f"{words}.")


def said_of_lost(model: nn.Module, lost: Sequence[str]) -> Iterator[str]:
    """Yield what could not be put back, in a sentence; nothing where all was."""
    if lost:
        yield f"the forward pass of {type(model).__name__} changed {', '.join(lost)} in a way that cannot be put back"
