"""One look at a model: the probe opened once, the grid swept once, everything read from that one pass."""

from __future__ import annotations

import time

from torch import nn

from boundarycb.engines import grid
from boundarycb.engines.bands import sweep
from boundarycb.engines.masks import MaskReader
from boundarycb.probe import MAX_UNITS, probe
from boundarycb.render import draw_overlay
from boundarycb.types import Boundaries, Capture, Picture, Slice, Snapshot

RESOLUTION = 128
_ENGINES = {"auto": grid.find_boundaries, "grid": grid.find_boundaries}


def look(model: nn.Module, slice: Slice, *, resolution: int = RESOLUTION, max_units: int = MAX_UNITS) -> tuple[Capture, Boundaries]:
    """Return the on/off states, the output and the boundaries of `model` on `slice`; arguments as of :func:`capture`."""
    masks, lines = MaskReader(resolution), grid.LineReader()
    with probe(model, max_units=max_units) as forward:
        sweep(forward, slice, resolution, masks, lines)
    return masks.result(), lines.result()


def capture(model: nn.Module, slice: Slice, *, resolution: int = RESOLUTION, max_units: int = MAX_UNITS) -> Capture:
    """Return the on/off state of every unit and the output of `model` on a grid over `slice`.

    Args:
        model: any module; it is run in eval mode and left as it was.
        slice: where to look; see :mod:`boundarycb.slices`.
        resolution: grid points a side, 2 to 4096.
        max_units: watched units a layer, evenly spread where a layer has more; the result's notes say so.

    Raises:
        ValueError: the model has no activation, or cannot take the slice's points as inputs.

    >>> from boundarycb import slices
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> capture(model, slices.box((-1, 1), (-1, 1)), resolution=4).mask("0").shape
    (3, 4, 4)
    """
    masks = MaskReader(resolution)
    with probe(model, max_units=max_units) as forward:
        sweep(forward, slice, resolution, masks)
    return masks.result()


def find_boundaries(
    model: nn.Module, slice: Slice, *, engine: str = "auto", resolution: int = RESOLUTION, max_units: int = MAX_UNITS
) -> Boundaries:
    """Return the lines on `slice` where the units of `model` switch on or off.

    Args:
        model: any module; it is run in eval mode and left as it was.
        slice: where to look.
        engine: ``grid`` traces lines on a grid, for any network; ``auto`` chooses, and has only ``grid`` to choose from yet.
        resolution: grid points a side, 2 to 4096.
        max_units: watched units a layer, evenly spread where a layer has more.

    Raises:
        ValueError: the engine is unknown, the model has no activation, or cannot take the slice's points as inputs.
    """
    if engine not in _ENGINES:
        raise ValueError(f"`engine` must be one of {', '.join(_ENGINES)}, got {engine!r}.")
    with probe(model, max_units=max_units) as forward:
        return _ENGINES[engine](forward, slice, resolution=resolution)


def overlay(
    model: nn.Module, slice: Slice, *, resolution: int = RESOLUTION, max_units: int = MAX_UNITS, image_size: int = 512
) -> Picture:
    """Return the picture of `model` on `slice` as it is now; Jupyter shows it, ``.png()`` and ``.rgb()`` give its data.

    Args:
        model: any module; it is run in eval mode and left as it was.
        slice: where to look.
        resolution: grid points a side, 2 to 4096.
        max_units: watched units a layer.
        image_size: the plot's longer side in pixels, 64 to 4096.
    """
    states, lines = look(model, slice, resolution=resolution, max_units=max_units)
    return draw_overlay(Snapshot(0, time.time(), slice, states, lines), image_size, title=type(model).__name__)
