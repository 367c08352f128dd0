"""What can be asked of a model as it is: its states, its lines, its regions, its picture."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # noqa: F401 - the doctests use it
from torch import nn

from boundarycb.automatic import Given
from boundarycb.engines import exact, grid
from boundarycb.engines.bands import checked_resolution, sweep
from boundarycb.engines.masks import MaskReader
from boundarycb.probe import Prober, probe
from boundarycb.render import draw_overlay
from boundarycb.render.layout import checked_size
from boundarycb.sampling.classes import with_class_names
from boundarycb.sampling.engine import Engine, EngineName, checked_vertices, exactly, glimpse
from boundarycb.sampling.how import How, conditions_of, slice_of
from boundarycb.sampling.looking import RESOLUTION, look, said_of_lost, unkept
from boundarycb.types import Boundaries, Capture, Floats, Picture, Reading, Regions, Slice, Snapshot, left_out
from boundarycb.warning import warn

if TYPE_CHECKING:
    from typing_extensions import Unpack  # it comes with torch


def capture(
    model: nn.Module,
    slice: Slice | Sequence[Any],
    *,
    resolution: int = RESOLUTION,
    **how: Unpack[How],
) -> Capture:
    """Return the on/off state of every unit and the output of `model` on a grid over `slice`.

    Args:
        model: any module; it is left as it was.
        slice: where to look; see :mod:`boundarycb.slices`. Two ranges are those of a box.
        resolution: grid points a side, 2 to 4096.
        how: how to run the model, and what of it to show: `max_units`, `max_all_units`, `layers`, `units`, `mode`, `activations`,
            `inputs`, `vary`, `forward`, `output`, `background`, as of :func:`boundarycb.watch`.

    Raises:
        ValueError: the model has no activation, or cannot take the slice's points as inputs.

    >>> from boundarycb import slices
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> capture(model, slices.box((-1, 1), (-1, 1)), resolution=4).mask("0").shape
    (3, 4, 4)
    """
    slice = slice_of(slice)
    masks, conditions = MaskReader(resolution), conditions_of(model, slice, how)
    with probe(model, conditions) as forward:
        sweep(forward, slice, resolution, masks)
    _warn_of(model, forward)
    return replace(masks.result(), mode=conditions.mode)


def find_boundaries(
    model: nn.Module,
    slice: Slice | Sequence[Any],
    *,
    engine: EngineName = "auto",
    resolution: int = RESOLUTION,
    max_vertices: int | None = None,
    value: float | None = None,
    **how: Unpack[How],
) -> Boundaries:
    """Return the lines on `slice` where the units of `model` switch on or off.

    Args:
        model: any module; it is left as it was.
        slice: where to look: one of :mod:`boundarycb.slices`, or the two ranges of a box.
        engine: ``exact`` finds the lines of a piecewise-linear network to the last digits, in double precision; ``grid`` traces
            those of any network on a grid; ``auto`` takes the exact one, and the grid for smooth activations. What the exact
            engine cannot do, or not within its budget, is traced on the grid with one warning that says why; ``exact`` in the
            result tells.
        resolution: grid points a side, 2 to 4096.
        max_vertices: corners that the exact engine's regions may have; by default four for each grid point, 65,536 at most.
        value: instead, where each unit's activation has this value, with larger ones on the line's left: its level lines, traced on
            the grid. A sigmoid switches at 0.5, a tanh at 0.
        how: how to run the model, and what of it to show: `max_units`, `max_all_units`, `layers`, `units`, `mode`, `activations`,
            `inputs`, `vary`, `forward`, `output`, `background`, as of :func:`boundarycb.watch`.

    Raises:
        ValueError: the engine is unknown, or ``exact`` with a `value`; `value` is not finite; the model has no activation, or
            cannot take the slice's points as inputs.

    >>> from boundarycb import slices
    >>> model = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    >>> model[0].weight.data, model[0].bias.data = torch.tensor([[1.0, 1.0]]), torch.tensor([-0.5])
    >>> find_boundaries(model, slices.box((0, 1), (0, 1))).of("0", 0)[0].tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    slice, chooser = slice_of(slice), Engine(engine, max_vertices)
    checked_resolution(resolution)
    if value is not None:
        return _level_lines(model, slice, engine, resolution, value, how)
    conditions = replace(conditions_of(model, slice, how), patterns=False)  # nobody counts regions here
    with probe(model, conditions) as forward:
        drawn = chooser.draw(forward, slice, resolution, decide=False)
        found = drawn.boundaries
        if found is None:
            found = grid.find_boundaries(forward, slice, resolution=resolution)
    _warn_of(model, forward)
    for note in (*drawn.notes, *drawn.hints):
        warn(f"{note}.")
    return replace(found, notes=(*drawn.notes, *found.notes, *left_out(found.layers)))


def _level_lines(model: nn.Module, slice: Slice, engine: EngineName, resolution: int, value: float, how: How) -> Boundaries:
    if engine == "exact" or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ValueError(
            f"`value` must be a finite number, whose lines the grid engine traces, got {value!r} and engine={engine!r}."
        )
    with probe(model, conditions_of(model, slice, how)) as forward:
        glimpse(forward, slice)  # which units are watched is settled where all layers are known

        def above(inputs: Floats) -> Reading:
            activities, output = forward.answer(inputs)
            return Reading(tuple(one.layer for one in activities), tuple(one.values - value for one in activities), output)

        found = grid.find_boundaries(above, slice, resolution=resolution)
    _warn_of(model, forward)
    return replace(found, notes=(*found.notes, *left_out(found.layers)))


def find_regions(model: nn.Module, slice: Slice | Sequence[Any], *, max_vertices: int = 1_000_000, **how: Unpack[How]) -> Regions:
    """Return the linear regions of `model` on `slice`: ``len()`` of it is their number.

    Args:
        model: a piecewise-linear network; it is left as it was.
        slice: where to look: one of :mod:`boundarycb.slices`, or the two ranges of a box.
        max_vertices: corners that the regions may have.
        how: how to run the model: `mode`, `activations`, `inputs`, `vary`, `forward`, as of :func:`boundarycb.watch`.

    Raises:
        ValueError: the model is not piecewise linear, or its regions are more than the budget allows; the message says which.

    >>> from boundarycb import slices
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    >>> model[0].weight.data, model[0].bias.data = torch.eye(2), torch.zeros(2)
    >>> regions = find_regions(model, slices.box((-1, 1), (-1, 1)))
    >>> len(regions), regions.areas().tolist()
    (4, [1.0, 1.0, 1.0, 1.0])
    """
    slice = slice_of(slice)
    with probe(model, conditions_of(model, slice, how)) as forward:
        reading = glimpse(forward, slice)
        try:
            found = exactly(forward, reading, partial(exact.find_regions, slice=slice, max_vertices=checked_vertices(max_vertices)))
        except exact.Unsuitable as error:
            raise ValueError(f"{type(model).__name__} cannot be cut into linear regions here, since {error}.") from error
    _warn_of(model, forward)
    return found


def overlay(
    model: nn.Module,
    slice: Slice | Sequence[Any],
    *,
    engine: EngineName = "auto",
    resolution: int = RESOLUTION,
    max_vertices: int | None = None,
    image_size: int = 512,
    class_names: Sequence[str] = (),
    **how: Unpack[How],
) -> Picture:
    """Return the picture of `model` on `slice` as it is now; Jupyter shows it, ``.png()`` and ``.rgb()`` give its data.

    Args:
        model: any module; it is left as it was.
        slice: where to look: one of :mod:`boundarycb.slices`, or the two ranges of a box.
        engine: as of :func:`find_boundaries`.
        resolution: grid points a side, 2 to 4096.
        max_vertices: corners that the exact engine's regions may have; by default four for each grid point, 65,536 at most.
        image_size: the plot's longer side in pixels, 64 to 4096.
        class_names: what classes are called.
        how: how to run the model, and what of it to show: `max_units`, `max_all_units`, `layers`, `units`, `mode`, `activations`,
            `inputs`, `vary`, `forward`, `output`, `background`, as of :func:`boundarycb.watch`.
    """
    checked_size(image_size, "image_size")
    slice, names = slice_of(slice), Given(class_names=class_names).class_names
    conditions = conditions_of(model, slice, how)
    seen = look(model, slice, resolution=resolution, conditions=conditions, engine=Engine(engine, max_vertices))
    for words in (*seen.boundaries.notes, *seen.notes, *said_of_lost(model, seen.lost)):
        warn(f"{words}.")
    capture = with_class_names(seen.capture, names)
    snapshot = Snapshot(0, time.time(), slice, capture, seen.boundaries, decision=seen.decision)
    return draw_overlay(snapshot, image_size, title=type(model).__name__)


def _warn_of(model: nn.Module, forward: Prober) -> None:
    for words in (*unkept(forward), *said_of_lost(model, forward.lost)):
        warn(f"{words}.")
