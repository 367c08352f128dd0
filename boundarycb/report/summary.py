"""A run's numbers in words: what moved and what moved it, copycats beside their chance level, dormant units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from boundarycb.history import History
from boundarycb.report.run import BIAS, SHIFT, Run
from boundarycb.types import Snapshot, spans_of
from boundarycb.words import listed, spoken

_PAIRS = 12  # lines about copycats
_WORDS, _CELL = 42, 11  # characters


def summarise(history: History) -> str:
    """Return what the numbers of a run say: a table with a column a layer, and sentences. Empty where it has no numbers of ours.

    Figures that are not defined, such as the parts of a drift of less than five grid points, are "-".
    """
    if len(history) < 2:
        return ""
    run = Run(history)
    layers, said = run.layers, _Summary(run)
    rows = [*said.drift(), *said.copycats(), *said.dormant()]
    if not rows:
        return ""
    names = "".join(f"{_cut(layer):>{_CELL}}" for layer in layers)
    which = "" if len(layers) == len(history.layers) else f"{len(layers)} of {len(history.layers)} layers"
    rest = listed([spoken(layer) for layer in history.layers if layer not in layers])
    lost, left_out = [run.lost, ""] if run.lost else [], [f"Not in the table: {rest}."] if rest else []
    return "\n".join([*lost, f"{which:<{_WORDS}}{names}", *rows, *said.sentences(), *left_out])


class _Summary:
    """The rows and sentences of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._layers = run.layers

    def drift(self) -> Iterator[str]:
        """Yield the rows about what moved."""
        whole = (self._run.start.step, self._run.end.step)
        flipped = [self._run.sum(f"drift/flipped/{layer}", *whole) for layer in self._layers]
        yield from _row("drift: flipped, sum over the run", flipped, ".2f")
        for words, shares, style in self._parts():
            yield from _row(f"  {words}", shares, style)

    def _parts(self) -> Iterator[tuple[str, list[float], str]]:
        """Yield the shares that parts have in what moved: words, one a layer, and how they are written."""
        whole = (self._run.start.step, self._run.end.step)
        for part in ("shift", "rotate", "upstream"):
            parts = [f"drift/{part}", *(f"drift/{other}" for other in ("shift", "rotate", "upstream") if other != part)]
            yield f"of it by {part}", self._shares(parts, whole), ".0%"
        for title, pair in (("shift / (shift + rotate)", SHIFT), ("own bias / (bias + weights)", BIAS)):
            for window in self._run.windows:
                yield f"{title}, {window[0]:,}-{window[1]:,}", self._shares(pair, window), ".2f"

    def _shares(self, parts: Sequence[str], window: tuple[int, int]) -> list[float]:
        """Return the first part's share in each layer; NaN for those that switch nowhere on the slice, and so have no boundary."""
        moving = self._run.moving
        return [self._run.share(parts, layer, *window) if layer in moving else math.nan for layer in self._layers]

    def copycats(self) -> Iterator[str]:
        """Yield the rows about units that are alike."""
        start = self._run.start
        yield from _row("copycats: pairs at the start", [_get(start, "copycat/pairs", layer) for layer in self._layers], ".0f")
        for name, words, style in (
            ("pairs", "pairs at the end", ".0f"),
            ("largest_cluster", "largest cluster", ".0f"),
            ("max_phi", "most alike pair, |phi|", ".3f"),
            ("chance", "chance level for it", ".3f"),
        ):
            yield from _row(f"  {words}", [_get(self._run.end, f"copycat/{name}", layer) for layer in self._layers], style)

    def dormant(self) -> Iterator[str]:
        """Yield the rows about units that do not switch."""
        for name, words, style in (
            ("live", "dormant: units that switch on the slice", ".0%"),
            ("never_on", "  never on here", ".0%"),
            ("always_on", "  always on here", ".0%"),
            ("tau", "  tau-dormant", ".0%"),
            ("revivals", "  revivals during the run", ".0f"),
        ):
            yield from _row(words, [_get(self._run.end, f"dormant/{name}", layer) for layer in self._layers], style)

    def sentences(self) -> Iterator[str]:
        """Yield what the figures of single layers and units say."""
        yield ""
        if any(share < 0 or share > 1 for _, shares, _ in self._parts() for share in shares):
            yield "Shares below 0 or above 1 are of parts that undid what others did: all are counted with their sign."
        yield from self._said_of_shift(self._layers[0])
        yield from self._said_of_lines()
        yield from self._said_of_copycats()

    def _said_of_shift(self, layer: str) -> Iterator[str]:
        windows = self._run.compared(layer)
        if windows is None:
            return
        early, late = (f"steps {window[0]:,}-{window[1]:,}" for window in windows)
        first, last = (self._run.share(SHIFT, layer, *window) for window in windows)
        if self._run.turns_nothing(layer):
            yield f"{spoken(layer)}'s units turned no boundary themselves."
        else:
            falls = self._run.falls(SHIFT, layer, *windows)
            change = "fell" if falls else "did not fall" if last >= first else "did not clearly fall"
            share = f"The share of shift in {spoken(layer)}'s shift + rotate"
            yield f"{share} {change}: {first:.0%} in {early}, {last:.0%} in {late}."
        first, last = (self._run.share(BIAS, layer, *window) for window in windows)
        yield f"Its own biases did {first:.0%} of what its own parameters did in {early}, {last:.0%} in {late}."

    def _said_of_lines(self) -> Iterator[str]:
        if not self._run.end.slice.is_to_scale:
            yield "How far lines turned is not told: the slice is not drawn to scale, so that an angle means nothing."
            return
        spans = spans_of(self._run.end.layers)
        seen = self._run.start.capture.switching() | self._run.end.capture.switching()
        for layer, span in spans.items():
            turned, slid = (self._run.end.per_unit.get(f"line/{name}_per_unit/{layer}") for name in ("turned", "slid"))
            if turned is None or slid is None or np.isnan(turned[seen[span]]).all():
                continue
            turn, slide = (float(np.nanmedian(abs(values[seen[span]]))) for values in (turned, slid))
            yield (
                f"{spoken(layer)}'s lines turned by {turn:.1f} degrees and slid by {slide:.2f} input lengths from start to end "
                "(medians of those seen at either)."
            )

    def _said_of_copycats(self) -> Iterator[str]:
        pairs = [pair for pair in self._run.end.tables.get("copycat/closest", []) if pair["since"] is not None]
        for pair in pairs[:_PAIRS]:
            since = "from the start" if pair["since"] == self._run.start.step else f"since step {pair['since']:,}"
            yield (
                f"{spoken(pair['layer'])}: units {pair['unit']} and {pair['other']} are copycats {since} "
                f"(phi {pair['phi']:.3f}, chance level {pair['chance']:.3f})."
            )
        more = sum(_get(self._run.end, "copycat/pairs", layer.name) for layer in self._run.end.layers) - len(pairs[:_PAIRS])
        if more > 0:
            yield f"And {more:.0f} more such pair{'' if more == 1 else 's'}."
        none = [
            layer
            for layer in self._layers
            if _get(self._run.end, "copycat/pairs", layer) == 0 and not math.isnan(_get(self._run.end, "copycat/max_phi", layer))
        ]
        if none:
            yield f"No pair of {', '.join(spoken(layer) for layer in none)} is more alike than chance explains."


def _get(snapshot: Snapshot, metric: str, layer: str) -> float:
    return snapshot.metrics.get(f"{metric}/{layer}", math.nan)


def _row(words: str, values: Sequence[float], style: str) -> Iterator[str]:
    """Yield a row of the table, unless nothing in it is defined."""
    if not all(math.isnan(value) for value in values):
        yield f"{words:<{_WORDS}}" + "".join(f"{'-' if math.isnan(value) else format(value, style):>{_CELL}}" for value in values)


def _cut(layer: str) -> str:
    return layer if len(layer) < _CELL else f"…{layer[2 - _CELL :]}"
