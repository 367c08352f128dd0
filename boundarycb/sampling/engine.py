"""Which engine draws the lines: the exact one where it holds and within its budget, else the grid; kept for a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from boundarycb.engines import exact
from boundarycb.probe import EVERY_UNIT, Prober
from boundarycb.types import Boundaries, Floats, Forward, Reading, Slice
from boundarycb.words import in_line

EngineName = Literal["auto", "exact", "grid"]
"""Which engine: ``exact`` finds the lines of piecewise-linear networks to the last digit; ``grid`` traces those of any network on a
grid; ``auto`` takes the exact one, and the grid for smooth activations and for what the exact one cannot do."""

T = TypeVar("T")

_ROUNDED = 1e-2  # more than this is no rounding, not even that of bfloat16
_RETRY = 20  # samples until the exact engine is tried again
_MOST_VERTICES = 2**16


@dataclass(frozen=True, eq=False)
class Drawn:
    """The lines of one look.

    Args:
        boundaries: where units switch; None where the grid is to trace them.
        decision: where the winning class changes; None where there is none, or the grid is to trace it.
        notes: what the picture should say of the engine.
        hints: what else the user should know.
        regions: how many regions the units of all layers up to each one make; empty where that was not found out.
    """

    boundaries: Boundaries | None = None
    decision: Boundaries | None = None
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    regions: Mapping[str, int] = field(default_factory=dict)


class Engine:
    """Chooses the engine for every look of a run.

    Where the exact engine cannot do a network the grid takes over; the exact one is tried again after twenty looks.

    Args:
        name: which one.
        max_vertices: corners that the exact engine's regions may have; by default 4 for each grid point, 65,536 at most.

    Raises:
        ValueError: `name` is none, or `max_vertices` no whole number from 4 to 2**21.
    """

    def __init__(self, name: EngineName = "auto", max_vertices: int | None = None) -> None:
        if name not in get_args(EngineName):
            raise ValueError(f"`engine` must be one of {', '.join(get_args(EngineName))}, got {name!r}.")
        self._name = name
        self._max_vertices = None if max_vertices is None else checked_vertices(max_vertices)
        self._waits = 0  # looks until the exact engine is tried again
        self._note: str | None = None  # why the grid draws
        self._kind: type[exact.Unsuitable] | None = None  # what kind of reason that is
        self._since = ""  # when it began to
        self._drew_exactly: bool | None = None

    def state(self) -> dict[str, Any]:
        """Return what it remembers from look to look, as plain values."""
        kind = None if self._kind is None else self._kind.__name__
        return {"waits": self._waits, "note": self._note, "kind": kind, "since": self._since, "drew_exactly": self._drew_exactly}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Remember what another engine did, by its state."""
        reasons: list[type[exact.Unsuitable]] = [exact.Unsuitable, *exact.Unsuitable.__subclasses__()]
        kinds = {reason.__name__: reason for reason in reasons}
        self._waits, self._note, self._since = state["waits"], state["note"], state["since"]
        self._kind, self._drew_exactly = kinds.get(state["kind"]), state["drew_exactly"]

    def draw(self, forward: Prober, slice: Slice, resolution: int, step: int | None = None, *, decide: bool = True) -> Drawn:
        """Return the lines on `slice`; none where the grid is to trace them.

        Args:
            forward: the open probe.
            slice: where to look.
            resolution: grid points a side, which the exact engine's budget follows.
            step: optimiser steps taken, for a note where the engine changes; None where there is no run.
            decide: whether the borders between classes are wanted too.

        Raises:
            Exception: what `forward` raises, which is run once as it is.
        """
        if self._name == "grid":
            return Drawn()
        reading = glimpse(forward, slice)
        if self._name == "auto" and exact.is_smooth(reading):
            return Drawn()  # the engine for it: there is nothing to say
        if forward.has_lost:
            return Drawn()  # the sooner it is over, the better
        if self._waits:
            self._waits -= 1
            return Drawn(notes=(self._note,) if self._note else ())
        limit = self._max_vertices or min(_MOST_VERTICES, 4 * resolution**2)
        classes = decide and reading.output is not None and reading.output.shape[1] > 1
        uncounted = exact.uncounted(reading)
        find = partial(exact.find, slice=slice, watched=reading.layers, max_vertices=limit, decide=classes, whole=bool(uncounted))
        try:
            found = exactly(forward, reading, find)
        except exact.NotFinite as error:
            # In a run the capture says it, and of which units.
            return Drawn(hints=() if decide else (f"lines are traced on a grid, since {error}",))
        except exact.Unsuitable as error:
            return self._on_grid(error, step)
        is_bent = uncounted is not None and found.certificate.output > exact.LIMIT
        return self._exactly(found, (uncounted,) if uncounted is not None and is_bent else (), step)

    def _on_grid(self, why: exact.Unsuitable, step: int | None) -> Drawn:
        if self._drew_exactly:
            self._since = f" from step {step:,} on"
        # The figures differ at every try; what kind of reason it is may stay the same.
        if self._note is None or type(why) is not self._kind:
            self._note, self._kind = f"lines are traced on a grid{self._since}, since {why}", type(why)
        self._waits, self._drew_exactly = _RETRY - 1, False
        return Drawn(notes=(self._note,))

    def _exactly(self, found: exact.Found, hints: tuple[str, ...], step: int | None) -> Drawn:
        notes = () if self._note is None else (f"lines are exact again from step {step:,} on",)
        self._note, self._drew_exactly = None, True
        return Drawn(found.boundaries, found.decision, notes, hints, found.regions)


def glimpse(forward: Prober, slice: Slice) -> Reading:
    """Return what `forward` reads at the slice's corners: what the model calls, and what bends it."""
    return forward(glimpse_points(slice))


def glimpse_points(slice: Slice) -> Floats:
    """Return the inputs (n, *input_shape) at the slice's corners, so many that a batch can be told."""
    return slice.lift(slice.corners()[np.arange(exact.LEAST_BATCH) % 4])


def checked_vertices(max_vertices: int) -> int:
    """Return `max_vertices`; raise ValueError where it is no whole number from 4 to 2**21."""
    if not isinstance(max_vertices, int) or isinstance(max_vertices, bool) or not 4 <= max_vertices <= 2**21:
        raise ValueError(f"`max_vertices` must be a whole number of corners, 4 to {2**21:,}, got {max_vertices!r}.")
    return max_vertices


def exactly(forward: Prober, reading: Reading, find: Callable[..., T]) -> T:
    """Return what `find`, of the exact engine, finds of a model in double precision.

    Args:
        forward: the open probe.
        reading: what it read on the slice.
        find: takes a forward pass, and another that certifies.

    Raises:
        Unsuitable: it finds nothing, for whatever reason.
    """
    why = "the model's parameters are spread over several processes" if forward.is_spread else exact.unsupported(reading)
    if why is not None:
        raise exact.Unsuitable(why)
    try:
        with _in_double():
            double = forward.double(EVERY_UNIT)
        full = _guarded(double)
        try:
            return find(_guarded(double.quick(reading)), again=full)
        except exact.NotPiecewiseLinear as error:
            if error.off > _ROUNDED:
                raise
            return find(full)  # which widens what the model makes narrower by itself
    except exact.Unsuitable:
        raise
    except Exception as error:
        raise exact.Unsuitable(f"the exact engine failed ({in_line(error)})") from error


@contextmanager
def _in_double() -> Iterator[None]:
    """Make errors a reason not to find anything: what fails in double precision ran in the model's own."""
    try:
        yield
    except Exception as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise exact.Unsuitable(f"the model does not run in double precision ({in_line(cause)})") from error


def _guarded(forward: Forward) -> Forward:
    def run(inputs: Floats) -> Reading:
        with _in_double():
            return forward(inputs)

    return run
