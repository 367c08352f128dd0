"""Keeps the on/off state of every unit and the network's output at the grid's pixel centres."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.bands import Band
from boundarycb.evenly import coarse
from boundarycb.types import Array, Bits, Capture, Field, Floats, Layer, Reading, frozen, left_out, spans_of, watched_layers
from boundarycb.words import spoken

Chances = Callable[[Floats], Floats]
"""Makes chances of outputs (n, C)."""

_SIGMOIDS = ("sigmoid", "hardsigmoid")
_LIMITS = {"sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
_SUM = 5e-3  # by which probabilities may miss 1: those of bfloat16 do by 2e-3
_FEW = 64  # points that refute most readings of outputs already
_SHORT = 2**16  # classes that a short whole number can tell
_SURFACES = 10  # classes whose surfaces are kept
_SURFACE_SIDE = 48  # points a side


class MaskReader:
    """Collects bands into a Capture.

    Args:
        resolution: pixel centres a side; must be that of the sweep.
        surfaces: whether the output of each class is kept too, on a coarser grid.

    Attributes:
        resolution: as given.
    """

    def __init__(self, resolution: int, *, surfaces: bool = False) -> None:
        self.resolution = resolution
        self._shown = shown_of(resolution) if surfaces else np.empty(0, np.int64)
        self._surfaces: list[Floats] = []
        self._packed: list[Bits] = []
        self._left: NDArray[np.bool_] | None = None  # the last points, fewer than eight, that fill no byte yet
        self._output = _OutputReader()
        self._undefined: set[int] = set()
        self._layers: tuple[Layer, ...] | None = None
        self._gaps: tuple[str, ...] = ()
        self._codes: list[NDArray[np.uint64]] = []

    def __call__(self, band: Band) -> None:
        """Take one band."""
        inner = np.arange(band.start, band.start + band.shape[0])
        rows = (inner > 0) & (inner < len(band.vs) - 1)
        on = band.on[rows, 1:-1]
        self._pack(on.reshape(-1, on.shape[2]).T)
        self._undefined.update(band.block.undefined.tolist())
        if band.reading.output is None or not band.reading.output.shape[1]:
            self._output.skip()
        else:
            output = band.reading.output.reshape(*band.shape[:2], -1)[rows, 1:-1]
            self._output.add(output.reshape(-1, output.shape[2]), band.reading)
            shown = np.isin(inner[rows] - 1, self._shown)
            self._surfaces += [output[shown][:, self._shown].astype(np.float32)] if shown.any() else []
        if band.reading.codes is not None:
            self._codes.append(band.reading.codes.reshape(band.shape[:2])[rows, 1:-1].reshape(-1))
        self._layers, self._gaps = band.layers, band.reading.gaps

    def _pack(self, on: NDArray[np.bool_]) -> None:
        """Pack the points' states, (U, n), as far as they fill bytes."""
        joined = np.ascontiguousarray(on) if self._left is None else np.concatenate([self._left, on], axis=1)
        whole = joined.shape[1] // 8 * 8
        self._packed.append(np.packbits(joined[:, :whole], axis=1))
        self._left = joined[:, whole:].copy()

    def result(self) -> Capture:
        """Return the capture; call it after the sweep."""
        if self._layers is None:
            raise RuntimeError("No band was read; sweep the grid first.")
        assert self._left is not None
        on = np.concatenate([*self._packed, np.packbits(self._left, axis=1)], axis=1)
        field = self._output.result(self.resolution, np.concatenate(self._surfaces) if self._surfaces else None)
        undefined = np.array(sorted(self._undefined), np.int64)
        return Capture(
            watched_layers(self._layers),
            self.resolution,
            frozen(on),
            field,
            _notes(self._layers, self._gaps, field, undefined),
            undefined,
            patterns=self._patterns(),
        )

    def _patterns(self) -> int | None:
        codes = np.concatenate([np.empty(0, np.uint64), *self._codes])
        return len(np.unique(codes)) if len(codes) == self.resolution**2 else None


def _notes(layers: Sequence[Layer], gaps: Sequence[str], field: Field | None, undefined: NDArray[np.int64]) -> tuple[str, ...]:
    """Return what is wrong first, then what was left out; many layers with the same fate are one note."""
    notes = [*_not_finite(layers, undefined), *left_out(layers), *gaps]
    if field is None:
        notes.append("no background: the model's output is no vector a point")
    elif not np.isfinite(field.value).all():
        notes.insert(0, "output not finite")
    return tuple(notes)


def _not_finite(layers: Sequence[Layer], undefined: NDArray[np.int64]) -> tuple[str, ...]:
    """Return in words which units are not finite somewhere; nothing where all are finite everywhere."""
    broken = [
        (layer, count)
        for layer, span in zip(layers, spans_of(layers).values(), strict=True)
        if (count := int(((undefined >= span.start) & (undefined < span.stop)).sum()))
    ]
    if len(broken) < 2:
        return tuple(f"{spoken(layer.name)}: {count:,} of {len(layer.kept):,} units not finite" for layer, count in broken)
    whole, size = sum(count for _, count in broken), sum(len(layer.kept) for layer, _ in broken)
    return (f"{len(broken)} layers, the first of them {spoken(broken[0][0].name)}: {whole:,} of {size:,} units not finite",)


class _OutputReader:
    """Reduces the output, band by band, to what a background needs: never C numbers a point.

    One band does not tell what outputs are: a row of ReLUs may add up to 1 by chance. So both readings of them are kept until one
    is refuted.
    """

    def __init__(self) -> None:
        self._classes = 0
        self._what = ""
        self._limits: tuple[float, float] | None = None
        self._open: dict[Chances, dict[str, list[Array]]] = {}  # the likelier reading first
        self._complete = True

    def skip(self) -> None:
        self._complete = False

    def add(self, output: Floats, reading: Reading) -> None:
        if not len(output):
            return
        if not self._classes:
            self._classes = output.shape[1]
            self._what = "output" if reading.what == "scores" else reading.what
            if self._classes == 1 and reading.closes and self._what == "output":  # a norm or a mean has others
                self._limits = _LIMITS.get(reading.layers[-1].op)
            self._open = {chances: {} for chances in _readings(self._classes, reading)}
        self._open = {chances: parts for chances, parts in self._open.items() if _may_be(chances, output)}
        for chances, parts in self._open.items():
            for name, part in _reduced(output, chances).items():
                parts.setdefault(name, []).append(part)

    def result(self, side: int, outputs: Floats | None = None) -> Field | None:
        """Return the field; `outputs` (h, w, C) are what its surfaces show."""
        if not self._complete or not self._open:
            return None
        chances, parts = next(iter(self._open.items()))
        joined: dict[str, Any] = {name: np.concatenate(part).reshape(side, side) for name, part in parts.items()}
        if outputs is not None:
            joined["surfaces"] = _surfaces(outputs, chances)
        limits = _kept_to(self._limits, joined["value"])
        kind = _kind(self._classes, chances)
        what = self._what if kind != "probability" else "softmax" if chances is softmax else "probability"
        return Field(kind, classes=self._classes, what=what, limits=limits, **joined)


def _kept_to(limits: tuple[float, float] | None, values: Array) -> tuple[float, float] | None:
    """Return `limits` where all values keep to them: what an activation gave may have been changed in place."""
    finite = values[np.isfinite(values)]
    return limits if limits is not None and ((finite >= limits[0]) & (finite <= limits[1])).all() else None


def shown_of(resolution: int) -> NDArray[np.int64]:
    """Return which of `resolution` points a side surfaces are kept at.

    >>> shown_of(4).tolist(), len(shown_of(4096))
    ([0, 1, 2, 3], 48)
    """
    return coarse(resolution, min(resolution, _SURFACE_SIDE))


def _surfaces(outputs: Floats, chances: Chances) -> Floats:
    """Return the chance of each of the first classes (k, h, w), or the one output, of outputs (h, w, C)."""
    flat = outputs.reshape(-1, outputs.shape[2])
    values = flat if flat.shape[1] == 1 else chances(flat)
    some = np.moveaxis(values.reshape(outputs.shape), 2, 0)[:_SURFACES]
    return np.ascontiguousarray(some, dtype=np.float32)


def _readings(classes: int, reading: Reading) -> tuple[Chances, ...]:
    """Return what may make chances of the outputs, the likelier first; the last one does in any case.

    Sigmoids at the end are chances, each of its own. What else adds up to 1 everywhere are probabilities already (a softmax at the
    end). Log-probabilities need no case of theirs, since softmax gives them back as probabilities.
    """
    if classes == 1:
        return (softmax,)
    ends = reading.closes and reading.layers[-1].op in _SIGMOIDS
    return (independent if ends else as_they_are), softmax


def _may_be(chances: Chances, output: Floats) -> bool:
    """Return whether nothing in `output` (n, C) speaks against that reading; what is NaN says nothing."""
    return chances is softmax or all(_are(chances, some) for some in (output[:_FEW], output))


def _are(chances: Chances, output: Floats) -> bool:
    known = output[~np.isnan(output).any(axis=1)]
    if chances is independent:
        return bool(((known >= 0) & (known <= 1)).all())
    return bool((known >= 0).all() and np.allclose(known.sum(axis=1), 1, atol=_SUM))


def _kind(classes: int, chances: Chances) -> Literal["value", "probability", "classes"]:
    if classes == 1:
        return "value"
    return "probability" if classes == 2 and chances is not independent else "classes"


def _reduced(output: Floats, chances: Chances) -> dict[str, Array]:
    """Return what a field keeps of outputs (n, C): of a chance half precision will do, while an output may be any number."""
    kind, whole = _kind(output.shape[1], chances), np.uint16 if output.shape[1] <= _SHORT else np.uint32
    if kind == "value":
        with np.errstate(over="ignore"):
            return {"value": output[:, 0].astype(np.float32)}
    if kind == "probability":
        return {"value": (_logistic(output) if chances is softmax else output[:, 1]).astype(np.float16)}
    found = chances(output)
    value = found.max(axis=1)
    second = np.where(np.isnan(value), np.nan, np.partition(found, -2, axis=1)[:, -2])
    # Chances may round to the same number where scores differ.
    parts: dict[str, Array] = {"value": value.astype(np.float16), "winner": output.argmax(axis=1).astype(whole)}
    parts["second"] = second.astype(np.float16)
    if chances is independent:
        parts["above"] = (found > 0.5).sum(axis=1).astype(whole)
    return parts


def as_they_are(probabilities: Floats) -> Floats:
    """Return probabilities, which add up to 1, as they are."""
    return probabilities


def independent(chances: Floats) -> Floats:
    """Return chances that do not share a sum, as they are."""
    return chances


def softmax(scores: Floats) -> Floats:
    """Return the softmax of scores (n, C); NaN where one is infinite but for -inf, the score of what is left out."""
    with np.errstate(invalid="ignore"):  # the capture's notes name it
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _logistic(scores: Floats) -> Floats:
    """Return the second of two scores' softmax, (n,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        second = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))
    return np.where((scores[:, 0] == np.inf) | (scores[:, 1] == np.inf), np.nan, second)
