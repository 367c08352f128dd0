"""Units that go to and fro between two states."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import Finding, count, number, of_several
from boundarycb.report.layout import ONE, OTHER, layer_colour, side_by_side
from boundarycb.report.planes import Lines, Plane, draw_planes
from boundarycb.report.run import Run
from boundarycb.types import Floats, Picture
from boundarycb.words import spoken

_MOVED = {
    "probability": "moved by {:.2g} % of its range",
    "value": "moved by {:.2g} % of its range",
    "classes": "changed its class at {:.2g} % of the points",
}

_WHOLE = 7
"""The first snapshot that has seven before it. Shorter windows have numbers too, of what happens at once in the beginning."""

_QUESTION = (
    "Does a unit go to and fro instead of moving on? Of its last eight snapshots, *jitter* is the share of the slice that flips "
    "from one to the next; *osc* says how much of that the one after undoes: 0 for a steady drift, 0.29 for a random walk, 0.5 "
    "for noise about a place, 1 for two states in turn; *ret* is 1 where the unit is back where the eight began. A unit is "
    "*flagged* if it flips on five grid points a snapshot or more, four times as much as its layer's median unit, with osc and "
    "ret above 0.5. GINN's authors saw one that flips late in training without any change of the output (section 8): *strict* "
    "flags are those while the output moves by less than 1 % a snapshot. Jitter is larger where snapshots are farther apart."
)


def indecisive(run: Run) -> Finding | None:
    """Return what a run says of indecisive units; None where they were not looked for."""
    layers = [layer for layer in run.moving if np.isfinite(_series(run, "units", layer)).any()]
    if not layers:
        return None
    flags = _Flags.of(run)
    most = int(np.nanmax(_summed(run, "units", layers)))
    return Finding(
        name="indecisive",
        title="Indecisive units",
        question=_QUESTION,
        result=f"{of_several(len(flags.counts), 'unit')} ever flagged" + (f", {most} at once at most" if most else ""),
        level="units that walk at random are flagged at about 1 % of snapshots each",
        columns={
            "layer": "layer",
            "units": "units ever flagged",
            "most": "at once at most",
            "strict": "strict, at once at most",
            "jitter": "mean jitter, highest",
            "jitter1": "mean jitter, end",
        },
        rows=[_row(run, layer, flags) for layer in layers],
        sentences=_sentences(run, flags),
        caption=_caption(flags.worst),
        draw=None if run.is_single else lambda: _draw(run, layers, flags.worst),
    )


@dataclass(frozen=True, eq=False)
class _Flags:
    """Which units were flagged.

    Args:
        counts: at how many snapshots, by layer and unit.
        place: number of the snapshot of the worst.
        worst: the row of the most restless one, of all strict ones if there are any; None for none.
        is_strict: whether it is strict.
    """

    counts: Mapping[tuple[str, int], int]
    place: int = 0
    worst: Mapping[str, Any] | None = None
    is_strict: bool = False

    @staticmethod
    def of(run: Run) -> _Flags:
        """Return those of a run."""
        counts: Counter[tuple[str, int]] = Counter()
        best: tuple[bool, float, int, Mapping[str, Any] | None] = (False, -1.0, 0, None)
        strict = _summed(run, "strict", run.moving)
        for place, rows in enumerate(islice(run.history.tables("indecisive/worst"), run.last + 1)):
            for row in rows if place >= _WHOLE else ():
                if row["layer"] in run.moving:
                    counts[row["layer"], row["unit"]] += 1
                    best = max(best, (bool(strict[place] > 0), row["jitter"], place, row), key=lambda one: one[:2])
        return _Flags(counts, best[2], best[3], best[0])


def _summed(run: Run, name: str, layers: list[str]) -> Floats:
    values = np.stack([_series(run, name, layer) for layer in layers])
    return np.where(np.isnan(values).all(axis=0), np.nan, np.nansum(values, axis=0))


def _series(run: Run, name: str, layer: str) -> Floats:
    """Return a number of a layer at each snapshot; NaN where the window is not whole."""
    return np.where(np.arange(len(run.steps)) >= _WHOLE, run.series(f"indecisive/{name}/{layer}"), np.nan)


def _row(run: Run, layer: str, flags: _Flags) -> dict[str, str]:
    jitter = _series(run, "jitter", layer)
    return {
        "layer": layer,
        "units": count(float(sum(known == layer for known, _ in flags.counts))),
        "most": count(_highest(_series(run, "units", layer))),
        "strict": count(_highest(_series(run, "strict", layer))),
        "jitter": number(_highest(jitter), 4),
        "jitter1": number(float(jitter[run.last]), 4),
    }


def _highest(values: Floats) -> float:
    return math.nan if np.isnan(values).all() else float(np.nanmax(values))


def _sentences(run: Run, flags: _Flags) -> list[str]:
    found = flags.worst
    if found is None:
        return ["No unit met all of the criteria at any snapshot."]
    moved = run.series("indecisive/output_moved")[flags.place]
    kind = "none" if run.end.field is None else run.end.field.kind
    output = (
        f" Meanwhile the output {_MOVED[kind].format(100 * moved)} a snapshot." if math.isfinite(moved) and kind in _MOVED else ""
    )
    (layer, unit), often = max(flags.counts.items(), key=lambda item: item[1])
    return [
        f"The most restless of the {'strict' if flags.is_strict else 'flagged'} ones: {spoken(found['layer'])}, unit "
        f"{found['unit']}, in the eight snapshots up to step {int(run.steps[flags.place]):,}: it flips on "
        f"{100 * found['jitter']:.2g} % of the slice a snapshot, {found['rel_jitter']:.0f} times the median of its layer (osc "
        f"{found['osc']:.2f}, ret {found['ret']:.2f}).{output}",
        f"Flagged most often: {spoken(layer)}, unit {unit}, at {of_several(often, 'snapshot')} of {run.last + 1}. A unit that "
        "walks at random, at a speed of its own, is flagged at about 1 % of them (simulated; boundarycb's docs/metrics.md), so a "
        "single flag is no finding.",
    ]


def _caption(found: Mapping[str, Any] | None) -> str:
    curves = "how many units are flagged, and mean jitter, by layer."
    if found is None:
        return f"Over the run: {curves}"
    who = f"{spoken(found['layer'])}'s unit {found['unit']}"
    return f"Left: the two of the eight snapshots at which {who} differs most, over the network's output. Right: {curves}"


def _draw(run: Run, layers: list[str], found: Mapping[str, Any] | None) -> Picture:
    charts = [
        Chart(
            title,
            [Curve(spoken(layer), _series(run, name, layer), layer_colour(run.end, layer)) for layer in layers],
            unit,
            low=0.0,
        )
        for name, title, unit in (("units", "flagged units", ""), ("jitter", "mean jitter", "share of the slice a snapshot"))
    ]
    chart = draw_charts(run.steps.tolist(), charts, columns=1 if found is not None else 2)
    if found is None:
        return chart
    one, other = run.at(found["step"]), run.at(found["other_step"])
    lines = [
        Lines(one, found["layer"], found["unit"], ONE, f"step {one.step:,}", width=2.6),
        Lines(other, found["layer"], found["unit"], OTHER, f"step {other.step:,}", "--", width=2.0),
    ]
    plane = Plane(f"{spoken(found['layer'])}, unit {found['unit']}", other, lines)
    return side_by_side(draw_planes([plane]), chart)
