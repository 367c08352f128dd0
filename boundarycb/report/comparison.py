"""What a comparison of runs holds, and how it is told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boundarycb.evenly import evenly
from boundarycb.metrics.masks import mean
from boundarycb.report.ends import labels_of
from boundarycb.report.matching import Matched
from boundarycb.report.sheet import SIZE, draw_comparison
from boundarycb.types import Picture

_WORDS, _CELL = 42, 12  # characters
_COLUMNS = 8  # of a table: layers, evenly spread; or runs, which go on in another table
_PAIRS = 28  # of runs that are listed, those of eight; of more the least alike
_ODD = 1.25  # times as unlike as all others are is clearly less alike
_SPREADS = 3.0  # above chance by so many of its spreads is said to be more than chance


@dataclass(frozen=True)
class Pair:
    """Two runs beside each other; figures that are not defined are NaN.

    Args:
        runs: the places of the two in :attr:`Comparison.names`.
        agreement: share of the slice's grid points where both have the same winning class, 0 to 1.
        kappa: Cohen's kappa of the two maps of classes: 0 for what chance gives, 1 for the same map.
        correlation: Pearson's correlation of the outputs, where these are values and no classes, -1 to 1.
        layers: the matched units of each layer that both have.
    """

    runs: tuple[int, int]
    agreement: float
    kappa: float
    correlation: float
    layers: Mapping[str, Matched]


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs beside each other, at their ends.

    Args:
        names: what tells the runs' paths apart.
        paths: their histories.
        steps: those of the snapshots that are compared: the last ones, but for lost runs.
        slice: the slice in words.
        resolution: points a side of the grid on which they are compared.
        pairs: each two of the runs.
        layers: names of the layers of which units are matched.
        left_out: by layer how many units of each run are not matched, since they do not switch on the slice or are undefined; NaN
            where a run has no such layer.
        numbers: by name, such as ``decision/length``, the last value in each run; NaN where it has none.
        notes: what could not be compared, in words.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    steps: tuple[int, ...]
    slice: str
    resolution: int
    pairs: tuple[Pair, ...]
    layers: tuple[str, ...]
    left_out: Mapping[str, tuple[float, ...]]
    numbers: Mapping[str, tuple[float, ...]]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.text()

    @property
    def agreement(self) -> float:
        """The mean over the pairs."""
        return self._mean("agreement")

    @property
    def kappa(self) -> float:
        """The mean over the pairs that have one."""
        return self._mean("kappa")

    @property
    def correlation(self) -> float:
        """The mean over the pairs that have one."""
        return self._mean("correlation")

    def likeness(self, layer: str) -> tuple[float, float, float]:
        """Return the matched units' likeness as the mean over the pairs, the chance level of this mean, and the level's spread."""
        found = [pair.layers[layer] for pair in self.pairs if layer in pair.layers and pair.layers[layer].units]
        if not found:
            return math.nan, math.nan, math.nan
        draws = np.mean([one.draws for one in found], axis=0)
        return float(np.mean([one.likeness for one in found])), float(draws.mean()), float(draws.std(ddof=1))

    def with_others(self, run: int, measure: str) -> float:
        """Return the mean of a measure (``agreement``, ``kappa``, ``correlation``) over the pairs that a run is in."""
        return mean(np.array([getattr(pair, measure) for pair in self.pairs if run in pair.runs]))

    def text(self) -> str:
        """Return the comparison as tables for a terminal, and sentences."""
        grid = f"{self.resolution} x {self.resolution} points"
        lines = [f"{len(self.names)} runs at their ends, on {self.slice} ({grid})"]
        labels = self._labels()
        lines += [f"  {label}: {name}" for label, name in zip(labels, self.names, strict=True) if label != name]
        lines += [*self._pairs(), *self._runs()]
        said = [*self._sentences(), *self.notes]
        return "\n".join([*lines, "", *said] if said else lines)

    def picture(self, size: int = SIZE) -> Picture:
        """Return the runs' last overlays side by side, and where they disagree; see :func:`draw_comparison`."""
        return draw_comparison(self.paths, size)

    def _labels(self) -> list[str]:
        return labels_of(self.names, _CELL - 1)

    def _mean(self, measure: str) -> float:
        return mean(np.array([getattr(pair, measure) for pair in self.pairs]))

    def _measures(self) -> list[str]:
        return [measure for measure in ("agreement", "kappa", "correlation") if not math.isnan(self._mean(measure))]

    def _pairs(self) -> Iterator[str]:
        """Yield the table of pairs: a row each, their mean, and the chance level of the units' likeness."""
        layers = [self.layers[place] for place in evenly(len(self.layers), _COLUMNS)]
        measures = self._measures()
        if not measures and not layers:
            return
        which = "" if len(layers) == len(self.layers) else f" in {len(layers)} of {len(self.layers)} layers"
        yield from ("", "Pairs of runs: output" + (f", and mean |phi| of matched units{which}" if layers else ""))
        yield " " * _WORDS + "".join(f"{_short(name, _CELL - 1):>{_CELL}}" for name in [*measures, *layers])
        shown, labels = self._shown_pairs(), self._labels()
        for pair in shown:
            likeness = [pair.layers[layer].likeness if layer in pair.layers else math.nan for layer in layers]
            yield _row(", ".join(labels[run] for run in pair.runs), [*(getattr(pair, measure) for measure in measures), *likeness])
        if len(shown) < len(self.pairs):
            yield f"  and {len(self.pairs) - len(shown)} pairs that are more alike"
        levels = [self.likeness(layer) for layer in layers]
        if len(self.pairs) > 1:
            yield _row("mean over pairs", [*(self._mean(measure) for measure in measures), *(level[0] for level in levels)])
        if layers:
            none = [math.nan] * len(measures)
            yield _row("  chance level of it", [*none, *(level[1] for level in levels)])
            yield _row("  spread of the chance level", [*none, *(level[2] for level in levels)])

    def _shown_pairs(self) -> list[Pair]:
        """Return all pairs in their order, or of many those that are least alike."""
        if len(self.pairs) <= _PAIRS:
            return list(self.pairs)
        measure = (self._measures() or ["agreement"])[-1]
        return sorted(self.pairs, key=lambda pair: getattr(pair, measure))[:_PAIRS]

    def _runs(self) -> Iterator[str]:
        """Yield the numbers of the runs side by side, eight of them a table."""
        others = {f"{name} with the others": [self.with_others(run, name) for run in self._all()] for name in self._measures()}
        idle = {f"units not matched/{layer}": counts for layer, counts in self.left_out.items() if np.nansum(counts) > 0}
        rows: dict[str, Sequence[float]] = {"step": self.steps, **(others if len(self.names) > 2 else {})}
        rows |= {**self.numbers, **(idle if self.layers else {})}
        for start in range(0, len(self.names), _COLUMNS):
            chosen = slice(start, start + _COLUMNS)
            yield from ("", "Runs side by side, at their ends")
            yield " " * _WORDS + "".join(f"{label:>{_CELL}}" for label in self._labels()[chosen])
            for name, values in rows.items():
                style = ",.0f" if all(math.isnan(value) or float(value).is_integer() for value in values) else ".4g"
                yield _row(_short(name, _WORDS - 1), values[chosen], style)

    def _all(self) -> range:
        return range(len(self.names))

    def _sentences(self) -> Iterator[str]:
        yield from self._said_of_the_odd_one()
        levels = {layer: self.likeness(layer) for layer in self.layers}
        defined = {layer: level for layer, level in levels.items() if not math.isnan(level[0])}
        above = [layer for layer, (phi, chance, spread) in defined.items() if phi > chance + _SPREADS * spread]
        below = [layer for layer in defined if layer not in above]
        if above:
            yield f"{_listed(above)}: units switch in the same places from run to run, more than chance explains."
        if below:
            yield f"{_listed(below)}: units are no more alike from run to run than chance explains."

    def _said_of_the_odd_one(self) -> Iterator[str]:
        """Yield which run is unlike the others, where each pair with it is clearly less alike than each pair without it."""
        measures = self._measures()
        if len(self.names) < 3 or not measures:
            return
        measure = measures[0]
        for run in self._all():
            its = [getattr(pair, measure) for pair in self.pairs if run in pair.runs]
            rest = [getattr(pair, measure) for pair in self.pairs if run not in pair.runs]
            if 1 - max(its) > _ODD * (1 - min(rest)):
                yield (
                    f"{self._labels()[run]} is least like the others: {measure} {np.mean(its):.3f} with them on average, "
                    f"{np.mean(rest):.3f} without it."
                )


def _row(words: str, values: Sequence[float], style: str = ".3f") -> str:
    return f"{words:<{_WORDS}}" + "".join(f"{'-' if math.isnan(value) else format(value, style):>{_CELL}}" for value in values)


def _short(name: str, room: int) -> str:
    """Return a name that is at most `room` characters long: its end, since that is where names differ."""
    return name if len(name) <= room else f"…{name[1 - room :]}"


def _listed(layers: Sequence[str]) -> str:
    """Return layers in a sentence: those of nn.Sequential are numbers."""
    return ", ".join(f"layer {layer}" if layer[0].isdigit() else layer for layer in layers)
