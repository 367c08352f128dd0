"""Cuts a slice into the cells on which a piecewise-linear network is affine, layer by layer, from forward passes alone.

All units of the first layer are affine on the slice; in each cell that their boundaries make, all units of the second layer
are; and so on. So a layer's boundaries are straight in each cell, and its pre-activations at the cells' corners tell where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.cutting import Cut, Segments
from boundarycb.engines.exact.limits import NotPiecewiseLinear, TooManyVertices, Unsuitable
from boundarycb.engines.exact.rounding import sizes
from boundarycb.engines.exact.values import Values
from boundarycb.types import Floats, Forward, Layer, Reading, Slice, spans_of

MAX_BYTES = 512 * 2**20
"""Default bound on the memory that values at vertices take."""

MAX_UNITS = 2**16
"""More units than this are not tried: on most slices their boundaries are more than any budget allows."""


def unsupported(reading: Reading) -> str | None:
    """Return why a network that reads like this cannot be cut up exactly, in words that follow "since"; None where it may be.

    It is asked of one reading, of any points; what it cannot see, the certificate does.
    """
    for layer, kinks in zip(reading.layers, _inner_kinks(reading), strict=False):
        if kinks is None:
            return f"{layer.name} is {layer.op}, which is not piecewise linear"
    for bend in reading.bends:
        if bend.surely and bend.after < len(reading.layers):
            return f"{bend} bends the network where no unit switches"
    size = sum(layer.size for layer in reading.layers)
    if size > MAX_UNITS:
        return f"the network has {size:,} units"
    return None


def is_smooth(reading: Reading) -> bool:
    """Return whether some activation is smooth, so that the grid engine is the right one, and nobody need be told."""
    return any(kinks is None for kinks in _inner_kinks(reading))


def _inner_kinks(reading: Reading) -> Sequence[tuple[float, ...] | None]:
    """Return where activations bend, of those after which a unit is read: the last may be any."""
    return (reading.kinks or (None,) * len(reading.layers))[:-1]


def uncounted(reading: Reading) -> str | None:
    """Return what may have boundaries that are not drawn, in words: calls behind all units that `activations=` makes units of."""
    after = [bend for bend in reading.bends if bend.option and bend.after >= len(reading.layers)]
    if not after:
        return None
    options = json.dumps(sorted({bend.option for bend in after}))
    return f"{', '.join(map(str, after[:3]))} may bend what the network gives; `activations={options}` makes units of that"


def causes(reading: Reading, place: int) -> str:
    """Return what may bend a network before layer number `place`, and how to make units of it; empty where nothing is known."""
    bends = [bend for bend in reading.bends if bend.after <= place]
    words = [f"it calls {', '.join(map(str, bends[:3]))}"] if bends else []
    options = sorted({bend.option for bend in bends if bend.option})
    if options:
        words.append(f"`activations={json.dumps(options)}` makes units of that")
    return "".join(f"; {said}" for said in (*words, *reading.gaps))


@dataclass(frozen=True, eq=False)
class Partition:
    """A slice in cells, in the unit square.

    Args:
        values: what the model says at points.
        segments: the boundaries of each layer's units; units are columns of the layer.
        counts: how many cells the layers up to each make, as far as they were cut.
        cells: the cells of all layers, or of all but the last where `whole` is False.
        whole: whether the last layer's units are affine within `cells` after their activation too.
        zero: what counted as zero, of each unit of all layers (U,).
        magnitude: the largest size of a unit's value: what comes behind may be what is left where such numbers cancel.
    """

    values: Values
    segments: tuple[Segments, ...]
    counts: tuple[int, ...]
    cells: Cells
    whole: bool
    zero: Floats
    magnitude: float

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers."""
        return self.values.layers


def partition(
    forward: Forward,
    slice: Slice,
    limit: int,
    *,
    memory: int = MAX_BYTES,
    through_last: bool = True,
    count: Callable[[Cells], int] = len,
) -> Partition:
    """Return `slice` cut into cells by all units of all layers.

    Args:
        forward: runs the model, in double precision; watches all units.
        slice: the slice.
        limit: vertices that the cells may have, 2**21 at most.
        memory: bytes that values at vertices may take.
        through_last: whether to cut along the last layer's boundaries too; its segments are known without.
        count: how cells are counted.

    Raises:
        Unsuitable: it cannot be done within the limits, or the network is not piecewise linear.
    """
    values = Values(forward, slice, memory)
    why = unsupported(values.reading)
    if why is not None:
        raise Unsuitable(why)
    cells, magnitude = Cells.square(), 0.0
    segments: list[Segments] = []
    counts: list[int] = []
    zero: list[Floats] = []
    last = len(values.layers) - 1
    for number, layer in enumerate(values.layers):
        z = values.take(number, cells.points)
        try:
            kinks = values.reading.kinks[number]
            cut = Cut.of(cells, _columns(z, kinks), limit, magnitude, partial(_again, values, number, kinks))
            refined = _refined(cut, limit, needed=number < last, wanted=through_last)
        except NotPiecewiseLinear as error:
            raise NotPiecewiseLinear(f"{layer.name}: {error}{causes(values.reading, number)}", error.off) from None
        except TooManyVertices:
            raise TooManyVertices(limit, causes(values.reading, number)) from None
        magnitude = max(magnitude, float(sizes(z).max(initial=0.0)))
        segments.append(cut.segments())
        zero.append(cut.zero[: layer.size])
        if refined is not None:
            cells = refined
            counts.append(count(cells))
    return Partition(values, tuple(segments), tuple(counts), cells, refined is not None, np.concatenate(zero), magnitude)


def _refined(cut: Cut, limit: int, *, needed: bool, wanted: bool) -> Cells | None:
    """Return the cells that a layer makes; None for the last one's, whose lines are known without, if not wanted or too many."""
    if not needed and not wanted:
        return None
    try:
        return cut.refined(limit)
    except TooManyVertices:
        if needed:
            raise
        return None


def _again(values: Values, number: int, kinks: tuple[float, ...] | None, points: Floats) -> Floats:
    """Return the columns of layer `number` at more `points` (n, 2)."""
    return _columns(values.at(points)[0][:, list(spans_of(values.layers).values())[number]], kinks)


def _columns(z: Floats, kinks: tuple[float, ...] | None) -> Floats:
    """Return what changes its sign where a unit switches (V, units), followed by what does where its activation bends elsewhere."""
    others = [kink for kink in kinks or () if kink != 0.0]
    return z if not others else np.concatenate([z, *(z - kink for kink in others)], axis=1)
