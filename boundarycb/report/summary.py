"""A run's numbers in words: what moved and what moved it, copycats beside their chance level, dormant units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from boundarycb.history import History
from boundarycb.metrics.finals import LEAST_FLIPS
from boundarycb.types import Snapshot, spans_of

_WINDOWS = (0, 20, 100, 500, 2000)
"""Steps between which drift is told apart, up to the run's end: most happens early."""

_LEAST_SAMPLES = 3  # in a window, for a sentence about it
_COLUMNS = 8  # layers that a table shows, evenly spread
_PAIRS = 12  # lines about copycats
_WORDS, _CELL = 42, 11  # characters


def summarise(history: History) -> str:
    """Return what the numbers of a run say: a table with a column a layer, and sentences. Empty where it has no numbers of ours.

    Figures that are not defined, such as the parts of a drift of less than five grid points, are "-".
    """
    if len(history) < 2:
        return ""
    layers = _shown(history.layers)
    run = _Run(history)
    rows = [*run.drift(layers), *run.copycats(layers), *run.dormant(layers)]
    if not rows:
        return ""
    head = "".join(f"{_cut(layer):>{_CELL}}" for layer in layers)
    which = "" if len(layers) == len(history.layers) else f"{len(layers)} of {len(history.layers)} layers"
    return "\n".join([f"{which:<{_WORDS}}{head}", *rows, *run.sentences(layers)])


class _Run:
    """The numbers of a history."""

    def __init__(self, history: History) -> None:
        self._steps = np.array(history.steps)
        self._series: dict[str, list[float]] = {}
        for number, metrics in enumerate(history.metrics()):
            for name, value in metrics.items():
                if name.startswith(("drift/", "cause/")):
                    self._series.setdefault(name, [math.nan] * len(history))[number] = value
        self._start: Snapshot = history[0]
        self._end: Snapshot = history[-1]
        # Windows begin and end at samples, since what moved is known from one to the next; a short run has fewer.
        nominal = [step for step in _WINDOWS if step < self._end.step]
        self._edges = sorted(
            {int(self._steps[self._steps <= step].max(initial=self._steps[0])) for step in nominal} | {self._end.step}
        )

    def drift(self, layers: Sequence[str]) -> Iterator[str]:
        """Yield the rows about what moved."""
        whole = (self._start.step, self._end.step)
        yield from _row(
            "drift: flipped, sum over the run", [self._moved("drift/flipped", layer, *whole) for layer in layers], ".2f"
        )
        for part in ("shift", "rotate", "upstream"):
            parts = [f"drift/{part}", *(f"drift/{other}" for other in ("shift", "rotate", "upstream") if other != part)]
            yield from _row(f"  of it by {part}", [self._share(parts, layer, *whole) for layer in layers], ".0%")
        for title, parts in (
            ("shift / (shift + rotate)", ["drift/shift", "drift/rotate"]),
            ("own bias / (bias + weights)", ["cause/bias", "cause/weights"]),
        ):
            for window in pairwise(self._edges):
                words = f"  {title}, {window[0]:,}-{window[1]:,}"
                yield from _row(words, [self._share(parts, layer, *window) for layer in layers], ".2f")

    def copycats(self, layers: Sequence[str]) -> Iterator[str]:
        """Yield the rows about units that are alike."""
        yield from _row("copycats: pairs at the start", [_get(self._start, "copycat/pairs", layer) for layer in layers], ".0f")
        for name, words, style in (
            ("pairs", "pairs at the end", ".0f"),
            ("largest_cluster", "largest cluster", ".0f"),
            ("max_phi", "most alike pair, |phi|", ".3f"),
            ("chance", "chance level for it", ".3f"),
        ):
            yield from _row(f"  {words}", [_get(self._end, f"copycat/{name}", layer) for layer in layers], style)

    def dormant(self, layers: Sequence[str]) -> Iterator[str]:
        """Yield the rows about units that do not switch."""
        for name, words, style in (
            ("live", "dormant: units that switch on the slice", ".0%"),
            ("never_on", "  never on here", ".0%"),
            ("always_on", "  always on here", ".0%"),
            ("tau", "  tau-dormant", ".0%"),
            ("revivals", "  revivals during the run", ".0f"),
        ):
            yield from _row(words, [_get(self._end, f"dormant/{name}", layer) for layer in layers], style)

    def sentences(self, layers: Sequence[str]) -> Iterator[str]:
        """Yield what the figures of single layers and units say."""
        yield ""
        yield from self._said_of_shift(layers[0])
        yield from self._said_of_lines()
        yield from self._said_of_copycats(layers)

    def _said_of_shift(self, layer: str) -> Iterator[str]:
        windows = list(pairwise(self._edges))
        shifts = [self._share(["drift/shift", "drift/rotate"], layer, *window) for window in windows]
        causes = [self._share(["cause/bias", "cause/weights"], layer, *window) for window in windows]
        known = [number for number, window in enumerate(windows) if self._says(shifts[number], causes[number], window)]
        if len(known) < 2:
            return
        first, last = known[0], known[-1]
        spans = [f"steps {windows[number][0]:,}-{windows[number][1]:,}" for number in (first, last)]
        change = "less and less" if shifts[last] < shifts[first] else "as much or more"
        early, late = (f"{shifts[number]:.0%}" for number in (first, last))
        yield f"{_spoken(layer)} moved {change} by shifting: {early} of shift + rotate in {spans[0]}, {late} in {spans[1]}."
        yield (
            f"Shift is not bias: its own biases did {causes[first]:.0%} of what its own parameters did in {spans[0]}, "
            f"{causes[last]:.0%} in {spans[1]}."
        )

    def _says(self, shift: float, cause: float, window: tuple[int, int]) -> bool:
        """Return whether a window has enough samples, and shares that are shares: where parts cancel they may be anything."""
        samples = ((self._steps > window[0]) & (self._steps <= window[1])).sum()
        return bool(samples >= _LEAST_SAMPLES and 0 <= shift <= 1 and 0 <= cause <= 1)

    def _said_of_lines(self) -> Iterator[str]:
        spans = spans_of(self._end.layers)
        seen = self._start.capture.switching() | self._end.capture.switching()
        for layer, span in spans.items():
            turned, slid = (self._end.per_unit.get(f"line/{name}_per_unit/{layer}") for name in ("turned", "slid"))
            if turned is None or slid is None or np.isnan(turned[seen[span]]).all():
                continue
            turn, slide = (float(np.nanmedian(abs(values[seen[span]]))) for values in (turned, slid))
            yield (
                f"{_spoken(layer)}'s lines turned by {turn:.1f} degrees and slid by {slide:.2f} input lengths from start to end "
                "(medians of those seen at either)."
            )

    def _said_of_copycats(self, layers: Sequence[str]) -> Iterator[str]:
        pairs = [pair for pair in self._end.tables.get("copycat/closest", []) if pair["since"] is not None]
        for pair in pairs[:_PAIRS]:
            since = "from the start" if pair["since"] == self._start.step else f"since step {pair['since']:,}"
            yield (
                f"{_spoken(pair['layer'])}: units {pair['unit']} and {pair['other']} are copycats {since} "
                f"(phi {pair['phi']:.3f}, chance level {pair['chance']:.3f})."
            )
        more = sum(_get(self._end, "copycat/pairs", layer.name) for layer in self._end.layers) - len(pairs[:_PAIRS])
        if more > 0:
            yield f"And {more:.0f} more such pair{'' if more == 1 else 's'}."
        none = [
            layer
            for layer in layers
            if _get(self._end, "copycat/pairs", layer) == 0 and not math.isnan(_get(self._end, "copycat/max_phi", layer))
        ]
        if none:
            yield f"No pair of {', '.join(_spoken(layer) for layer in none)} is more alike than chance explains."

    def _moved(self, metric: str, layer: str, start: int, stop: int) -> float:
        """Return the sum of `metric` over the samples after step `start` up to `stop`; NaN where there are none."""
        values = np.array(self._series.get(f"{metric}/{layer}", [math.nan] * len(self._steps)))
        chosen = values[(self._steps > start) & (self._steps <= stop)]
        return math.nan if np.isnan(chosen).all() else float(np.nansum(chosen))

    def _share(self, parts: Sequence[str], layer: str, start: int, stop: int) -> float:
        """Return the first part's share of them all, NaN where less than five points of the grid flipped."""
        sums = [self._moved(part, layer, start, stop) for part in parts]
        flipped = self._moved("drift/flipped", layer, start, stop)
        enough = flipped * self._end.capture.resolution**2 >= LEAST_FLIPS
        return sums[0] / sum(sums) if enough and sum(sums) > 0 else math.nan


def _get(snapshot: Snapshot, metric: str, layer: str) -> float:
    return snapshot.metrics.get(f"{metric}/{layer}", math.nan)


def _row(words: str, values: Sequence[float], style: str) -> Iterator[str]:
    """Yield a row of the table, unless nothing in it is defined."""
    if not all(math.isnan(value) for value in values):
        yield f"{words:<{_WORDS}}" + "".join(f"{'-' if math.isnan(value) else format(value, style):>{_CELL}}" for value in values)


def _spoken(layer: str) -> str:
    """Return a layer's name for a sentence: those of nn.Sequential are numbers."""
    return f"layer {layer}" if layer[0].isdigit() else layer


def _shown(layers: Sequence[str]) -> list[str]:
    return [layers[i] for i in sorted({round(place) for place in np.linspace(0, len(layers) - 1, min(len(layers), _COLUMNS))})]


def _cut(layer: str) -> str:
    return layer if len(layer) < _CELL else f"…{layer[2 - _CELL :]}"
