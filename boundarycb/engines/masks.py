"""Keeps the on/off state of every unit and the network's output at the grid's pixel centres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.bands import Band
from boundarycb.types import Array, Bits, Capture, Field, Floats, Reading, frozen, left_out, spans_of, watched_layers

_SIGMOIDS = ("sigmoid", "hardsigmoid")
_PRECISION = {"winner": np.uint16, "above": np.uint16}  # a chance needs no more than half precision; an output may be any number


class MaskReader:
    """Collects bands into a Capture.

    Args:
        resolution: pixel centres a side; must be that of the sweep.
    """

    def __init__(self, resolution: int) -> None:
        self._resolution = resolution
        self._packed: list[Bits] = []
        self._left: NDArray[np.bool_] | None = None  # the last points, fewer than eight, that fill no byte yet
        self._output = _OutputReader()
        self._undefined: NDArray[np.bool_] | None = None
        self._last: Band | None = None
        self._codes: list[NDArray[np.uint64]] = []

    def __call__(self, band: Band) -> None:
        """Take one band."""
        inner = np.arange(band.start, band.start + len(band.z))
        rows = (inner > 0) & (inner < len(band.vs) - 1)
        on = band.on[rows, 1:-1]
        self._pack(on.reshape(-1, on.shape[2]).T)
        with np.errstate(over="ignore", invalid="ignore"):
            every_finite = bool(np.isfinite(band.z.sum()))  # a value that is not makes the sum so; a sum may overflow by itself
        if not every_finite:
            undefined = np.logical_not(np.asarray(np.isfinite(band.z).all(axis=(0, 1))))
            self._undefined = undefined if self._undefined is None else self._undefined | undefined
        if band.reading.output is None:
            self._output.skip()
        else:
            output = band.reading.output.reshape(*band.z.shape[:2], -1)[rows, 1:-1]
            self._output.add(output.reshape(-1, output.shape[2]), band.reading)
        if band.reading.codes is not None:
            self._codes.append(band.reading.codes.reshape(band.z.shape[:2])[rows, 1:-1].reshape(-1))
        self._last = band

    def _pack(self, on: NDArray[np.bool_]) -> None:
        """Pack the points' states, (U, n), as far as they fill bytes."""
        joined = np.ascontiguousarray(on) if self._left is None else np.concatenate([self._left, on], axis=1)
        whole = joined.shape[1] // 8 * 8
        self._packed.append(np.packbits(joined[:, :whole], axis=1))
        self._left = joined[:, whole:].copy()

    def result(self) -> Capture:
        """Return the capture; call it after the sweep."""
        if self._last is None:
            raise RuntimeError("No band was read; sweep the grid first.")
        assert self._left is not None
        on = np.concatenate([*self._packed, np.packbits(self._left, axis=1)], axis=1)
        field = self._output.result(self._resolution)
        undefined = np.empty(0, np.int64) if self._undefined is None else np.flatnonzero(self._undefined)
        return Capture(
            watched_layers(self._last.layers),
            self._resolution,
            frozen(on),
            field,
            _notes(self._last, field, undefined),
            undefined,
            patterns=self._patterns(),
        )

    def _patterns(self) -> int | None:
        codes = np.concatenate([np.empty(0, np.uint64), *self._codes])
        return len(np.unique(codes)) if len(codes) == self._resolution**2 else None


def _notes(band: Band, field: Field | None, undefined: NDArray[np.int64]) -> tuple[str, ...]:
    """Return what is wrong first, then what was left out; many layers with the same fate are one note."""
    notes = []
    for layer, span in zip(band.layers, spans_of(band.layers).values(), strict=True):
        count = int(((undefined >= span.start) & (undefined < span.stop)).sum())
        if count:
            notes.append(f"{layer.name}: {count} of {len(layer.kept)} units not finite")
    notes += left_out(band.layers)
    notes += band.reading.gaps
    if field is None:
        notes.append("no background: the model's output is no vector a point")
    elif not np.isfinite(field.value).all():
        notes.insert(0, "output not finite")
    return tuple(notes)


class _OutputReader:
    """Reduces the output, band by band, to what a background needs: never C numbers a point."""

    def __init__(self) -> None:
        self._kind: Literal["value", "probability", "classes"] | None = None
        self._classes = 0
        self._what = ""
        self._chances: Callable[[Floats], Floats] = softmax
        self._parts: dict[str, list[Array]] = {}
        self._complete = True

    def skip(self) -> None:
        self._complete = False

    def add(self, output: Floats, reading: Reading) -> None:
        if not len(output):
            return
        self._what = "output" if reading.what == "scores" else reading.what
        if self._kind is None:
            self._decide(output, reading)
        if self._kind == "value":
            self._keep(value=output[:, 0])
            return
        if self._kind == "probability" and self._chances is softmax:
            self._keep(value=_logistic(output[:, 1] - output[:, 0]))
            return
        chances = self._chances(output)
        if self._kind == "probability":
            self._keep(value=chances[:, 1])
            return
        self._keep(value=chances.max(axis=1), winner=chances.argmax(axis=1), second=np.partition(chances, -2, axis=1)[:, -2])
        if self._chances is independent:
            self._keep(above=(chances > 0.5).sum(axis=1))

    def _keep(self, **parts: Array) -> None:
        for name, part in parts.items():
            self._parts.setdefault(name, []).append(
                part.astype(_PRECISION.get(name, np.float16) if self._kind != "value" else np.float32)
            )

    def result(self, side: int) -> Field | None:
        if not self._complete or self._kind is None:
            return None
        joined: dict[str, Any] = {name: np.concatenate(parts).reshape(side, side) for name, parts in self._parts.items()}
        return Field(self._kind, classes=self._classes, what=self._what, **joined)

    def _decide(self, output: Floats, reading: Reading) -> None:
        self._classes = output.shape[1]
        self._chances = chances_of(output, reading)
        two = self._classes == 2 and self._chances is not independent
        self._kind = "value" if self._classes == 1 else "probability" if two else "classes"


def chances_of(output: Floats, reading: Reading) -> Callable[[Floats], Floats]:
    """Return what makes chances of outputs (n, C).

    Scores that are probabilities already (a softmax at the end) are taken as they are, and so are those of sigmoids, each a chance
    of its own; log-probabilities need no case of theirs, since softmax gives them back as probabilities.
    """
    if (output >= 0).all() and np.allclose(output.sum(axis=1), 1, atol=1e-3):
        return np.asarray
    return independent if reading.closes and reading.layers[-1].op in _SIGMOIDS else softmax


def _logistic(difference: Floats) -> Floats:
    """Return the softmax of two scores from their difference."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(1 / (1 + np.exp(-difference)))


def independent(chances: Floats) -> Floats:
    """Return chances that do not share a sum, as they are."""
    return chances


def softmax(scores: Floats) -> Floats:
    """Return the softmax of scores (n, C)."""
    with np.errstate(invalid="ignore"):  # infinite or NaN scores give NaN, which the capture's notes name
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
