"""The numbers of a run by name and step, and what they add up to between steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from boundarycb.evenly import evenly
from boundarycb.history import History
from boundarycb.metrics.finals import LEAST_FLIPS
from boundarycb.types import Floats, Snapshot

WINDOWS = (0, 20, 100, 500, 2000)
"""Steps between which drift is told apart, up to the run's end: most happens early."""

LEAST_SAMPLES = 3
"""Samples in a window of steps, for a sentence about it."""

SHIFT = ("drift/shift", "drift/rotate")
BIAS = ("cause/bias", "cause/weights")
"""The first part of what a unit itself did, by geometry and by its parameters, and the other."""

_CLEAR = 3  # standard errors
_NOTHING = 1e-9  # switches a point and unit: a grid of 4096 points a side cannot tell so few
_LAYERS = 8  # that a table shows, evenly spread


class Run:
    """The numbers of a history's samples.

    Args:
        history: the run; it must hold a snapshot.

    Attributes:
        history: the same.
        steps: (n,), the step of each sample.
        start: the first snapshot.
        last: number of the last one whose output is finite somewhere on the slice (without an output: half of whose units are):
            what is measured after it is of the few units that are left, and is left out. The last one of all where there is none.
        end: that one.
        layers: names of at most eight layers, evenly spread, that a report speaks of; of more, those of single units are left out.
        still: those of them of which no unit switches on the slice at any snapshot, such as one that does not depend on what varies
            there; none where it is all of them.
        is_bare: whether it is all layers that there are, so that no boundary lies on the slice.
        moving: the others, about whose boundaries there is something to say.
        edges: the steps at which the windows begin and end, all of them samples; a short run has fewer.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.steps = np.array(history.steps)
        self.start: Snapshot = history[0]
        self.last = end_of(history)
        self.end: Snapshot = history[self.last]
        self.layers = _told(self.end, history.layers)
        left_out = set(history.layers) - set(self.layers)
        series: dict[str, Floats] = {}
        self._scalars: list[dict[str, float]] = []
        for number, (metrics, scalars) in enumerate(history.numbers()):
            self._scalars.append(scalars)
            for name, value in metrics.items():
                if name not in series and name.rpartition("/")[2] not in left_out:
                    series[name] = np.full(len(history), np.nan)
                if name in series and number <= self.last:
                    series[name][number] = value
        self._series = series
        never = self._never_switching()
        is_all = bool(never) and len(never) == len(self.layers)
        self.is_bare = is_all and not left_out
        self.still = [] if is_all else never
        self.moving = [layer for layer in self.layers if layer not in self.still]
        nominal = [step for step in WINDOWS if step < self.end.step]
        ends = {int(self.steps[self.steps <= step].max(initial=self.steps[0])) for step in nominal}
        self.edges = sorted(ends | {self.end.step})

    def _never_switching(self) -> list[str]:
        """Return the layers whose share of units that switch is 0 wherever it is defined."""
        live = {layer: self.series(f"dormant/live/{layer}") for layer in self.layers}
        known = {layer: shares[np.isfinite(shares)] for layer, shares in live.items()}
        return [layer for layer, shares in known.items() if len(shares) and not shares.any()]

    @property
    def lost(self) -> str:
        """That no output is finite after the end, or never is, in a sentence; empty where the last snapshot's is."""
        return said_of_lost(self.history)

    @property
    def is_single(self) -> bool:
        """Whether there is one snapshot only, so that its start is its end and nothing has a course."""
        return len(self.steps) == 1

    @property
    def windows(self) -> list[tuple[int, int]]:
        """The windows between the edges."""
        return list(pairwise(self.edges))

    def has(self, name: str) -> bool:
        """Return whether some sample has a number `name`, or `name` of some layer, that is defined."""
        return any(
            np.isfinite(values).any() for known, values in self._series.items() if known == name or known.startswith(f"{name}/")
        )

    def series(self, name: str) -> Floats:
        """Return the number `name` at each sample (n,); NaN where there is none."""
        return self._series.get(name, np.full(len(self.steps), np.nan))

    @property
    def scalars(self) -> list[str]:
        """Names of what the training loop logged, the loss first."""
        return sorted(self.end.scalars, key=lambda name: (name != "loss", name))

    def logged(self, name: str) -> Floats:
        """Return what the training loop logged under a name, at each snapshot, also after the end: (n,); NaN where it did not."""
        return np.array([scalars.get(name, math.nan) for scalars in self._scalars])

    def broken(self, name: str) -> NDArray[np.int64]:
        """Return the numbers of the snapshots at which what was logged under a name is not finite."""
        found = [name in scalars and not math.isfinite(scalars[name]) for scalars in self._scalars]
        return np.flatnonzero(found)

    def at_start(self, name: str) -> float:
        """Return the number `name` at the first snapshot; NaN where it is not defined there, be it later or not."""
        return float(self.series(name)[0])

    def at_end(self, name: str) -> float:
        """Return the number `name` at the last snapshot that says something; NaN where there is none."""
        return float(self.series(name)[self.last])

    def sum(self, name: str, start: int, stop: int) -> float:
        """Return the sum of a number over the samples after step `start` up to `stop`; NaN where there are none."""
        chosen = self.series(name)[(self.steps > start) & (self.steps <= stop)]
        return math.nan if np.isnan(chosen).all() else float(np.nansum(chosen))

    def share(self, parts: Sequence[str], layer: str, start: int, stop: int) -> float:
        """Return the first part's share of them all, between two steps, -1 to 2.

        NaN where less than five points of the grid flipped, and where parts cancel: where together they are less than a third of
        what they are without their signs.
        """
        sums = [self.sum(f"{part}/{layer}", start, stop) for part in parts]
        flipped = self.sum(f"drift/flipped/{layer}", start, stop)
        enough = flipped * self.end.capture.resolution**2 >= LEAST_FLIPS
        return sums[0] / sum(sums) if enough and sum(sums) > sum(map(abs, sums)) / 3 else math.nan

    def turns_nothing(self, layer: str) -> bool:
        """Return whether a layer's units moved their boundaries, and turned none: that they shift is then no finding.

        Layers below may turn them all the same.
        """
        turned = np.nan_to_num(self.series(f"drift/rotate/{layer}"))
        moved = math.isfinite(self.share(SHIFT, layer, self.start.step, self.end.step))
        return moved and float(abs(turned).max()) < _NOTHING

    def falls(self, parts: Sequence[str], layer: str, early: tuple[int, int], late: tuple[int, int]) -> bool:
        """Return whether the first part's share of all of them is clearly less late than early: by three standard errors."""
        shares = [self.share(parts, layer, *window) for window in (early, late)]
        return shares[0] - shares[1] > _CLEAR * math.hypot(*(self._error(parts, layer, window) for window in (early, late)))

    def _error(self, parts: Sequence[str], layer: str, window: tuple[int, int]) -> float:
        """Return the standard error of a share, which is a ratio of sums, from how the samples scatter about it."""
        inside = (self.steps > window[0]) & (self.steps <= window[1])
        first, *others = (np.nan_to_num(self.series(f"{part}/{layer}")[inside]) for part in parts)
        whole = first + sum(others)
        if len(whole) < 2 or not whole.sum() > 0:
            return math.inf
        off = first - first.sum() / whole.sum() * whole
        return float(math.sqrt((off**2).sum() * len(off) / (len(off) - 1)) / whole.sum())

    def compared(self, layer: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """Return an early and a late window in which a layer's shares say something; None where there are no two of them.

        These have three samples or more, and shares that are shares: where parts cancel they may be anything.
        """
        known = [
            window
            for window in self.windows
            if self.samples_in(window) >= LEAST_SAMPLES
            and all(0 <= self.share(parts, layer, *window) <= 1 for parts in (SHIFT, BIAS))
        ]
        return (known[0], known[-1]) if len(known) > 1 else None

    def samples_in(self, window: tuple[int, int]) -> int:
        """Return how many samples lie in a window."""
        return int(((self.steps > window[0]) & (self.steps <= window[1])).sum())

    def at(self, step: int) -> Snapshot:
        """Return the snapshot of `step`, or of the last sample before it."""
        return self.history[max(0, int(np.searchsorted(self.steps, step, side="right")) - 1)]


def end_of(history: History) -> int:
    """Return the place of the snapshot that a run's end is taken to be: the last one that is not lost, or of all."""
    place = history.last_finite()
    return len(history) - 1 if place is None else place


def said_of_lost(history: History) -> str:
    """Return that a run's network is lost at its end, and since when, in a sentence; empty where it is not."""
    last, place = history[-1], history.last_finite()
    if not last.is_lost:
        return ""
    what = "most units are not finite" if last.field is None else "no output on the slice is finite"
    units = f"{len(last.capture.undefined):,} of {len(last.capture.on):,} units are not finite at step {last.step:,}"
    if place is None:
        return f"At all snapshots {what} ({units})."
    return f"After step {history.steps[place]:,} {what} ({units}); the end, here, is that step."


def _told(snapshot: Snapshot, names: Sequence[str]) -> list[str]:
    """Return which layers a report speaks of."""
    single = {layer.name for layer in snapshot.layers if len(layer.kept) < 2}
    several = [name for name in names if name not in single]
    chosen = several if len(names) > _LAYERS and len(several) > 1 else names
    return [chosen[place] for place in evenly(len(chosen), _LAYERS)]
