"""Units that go to and fro between two states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from boundarycb.report.figures import Chart, Curve, Lines, Plane, draw_charts, draw_planes, layer_colour, side_by_side
from boundarycb.report.finding import Finding, count, number, of_several
from boundarycb.report.run import Run, spoken
from boundarycb.types import Floats, Picture

_ONE, _OTHER = "#1F6FD0", "#D55E00"

_QUESTION = (
    "Does a unit go to and fro instead of moving on? Over the last eight samples, *jitter* is the share of the slice that flips "
    "from one sample to the next; *osc* says how much of that is undone by the sample after: 0 for a steady drift, 0.29 for a "
    "random walk, 0.5 for noise about a place, 1 for two states in turn; *ret* is 1 where the unit is back where the window "
    "began. A unit is *indecisive* if it flips on five grid points a sample or more, four times as much as the layer's median "
    "unit, with osc and ret above 0.5. GINN's authors saw one that flips late in training without any change of the output "
    "(section 8): such units are counted as *strict*."
)


def indecisive(run: Run) -> Finding | None:
    """Return what a run says of indecisive units; None where they were not looked for."""
    layers = [layer for layer in run.layers if np.isfinite(run.series(f"indecisive/units/{layer}")).any()]
    if not layers:
        return None
    units = _summed(run, "units", layers)
    strict = _summed(run, "strict", layers)
    most = int(np.nanmax(units))
    place, found = _worst(run, strict if np.nanmax(strict, initial=0) > 0 else units)
    return Finding(
        name="indecisive",
        title="Indecisive units",
        question=_QUESTION,
        result=f"{of_several(most, 'unit')} at a time at most; {of_several(int(np.nanmax(strict, initial=0)), 'strict one')}",
        level="osc 0.29 for a random walk, 1 for two states in turn",
        columns={
            "layer": "layer",
            "most": "most indecisive units at a time",
            "strict": "… strict",
            "jitter": "mean jitter, highest",
            "jitter1": "at the end",
            "osc": "osc at the end",
        },
        rows=[_row(run, layer) for layer in layers],
        sentences=_sentences(run, place, found, most),
        caption=_caption(found),
        draw=lambda: _draw(run, layers, found),
    )


def _summed(run: Run, name: str, layers: list[str]) -> Floats:
    values = np.stack([run.series(f"indecisive/{name}/{layer}") for layer in layers])
    return np.where(np.isnan(values).all(axis=0), np.nan, np.nansum(values, axis=0))


def _row(run: Run, layer: str) -> dict[str, str]:
    jitter = run.series(f"indecisive/jitter/{layer}")
    return {
        "layer": layer,
        "most": count(float(np.nanmax(run.series(f"indecisive/units/{layer}")))),
        "strict": count(_highest(run.series(f"indecisive/strict/{layer}"))),
        "jitter": number(_highest(jitter), 4),
        "jitter1": number(float(jitter[-1]), 4),
        "osc": number(run.at_end(f"indecisive/osc/{layer}")),
    }


def _highest(values: Floats) -> float:
    return math.nan if np.isnan(values).all() else float(np.nanmax(values))


def _worst(run: Run, units: Floats) -> tuple[int, Mapping[str, Any] | None]:
    """Return the row of the most restless unit, of all samples at which there are `units`, and the number of its sample."""
    worst: tuple[int, Mapping[str, Any] | None] = (0, None)
    for place, rows in enumerate(run.history.tables("indecisive/worst")):
        for row in rows if units[place] > 0 else []:
            if row["layer"] in run.layers and (worst[1] is None or row["jitter"] > worst[1]["jitter"]):
                worst = (place, row)
    return worst


def _sentences(run: Run, place: int, found: Mapping[str, Any] | None, most: int) -> list[str]:
    if not most or found is None:
        return ["No unit met all of the criteria at any sample."]
    moved = run.series("indecisive/output_moved")[place]
    named = int((_summed(run, "units", run.layers) > 0).sum())
    words = "" if not math.isfinite(moved) else f" Meanwhile the output moved by {100 * moved:.2g} % of its range a sample."
    return [
        f"The most restless one: {spoken(found['layer'])}, unit {found['unit']}, in the samples up to step "
        f"{int(run.steps[place]):,}: it flips on {100 * found['jitter']:.2g} % of the slice a sample, {found['rel_jitter']:.0f} "
        f"times the median of its layer (osc {found['osc']:.2f}, ret {found['ret']:.2f}).{words}",
        f"Some unit is named at {of_several(named, 'sample')} of {len(run.steps)}. A unit that walks at random has osc and ret "
        "above 0.5 in one window of ten, so one that is named once or twice may be no more than that.",
        "A period that the sampling has too is not seen; `schedule=bursts(…)` samples consecutive steps.",
    ]


def _caption(found: Mapping[str, Any] | None) -> str:
    curves = "jitter over the run, by layer: the share of the slice that flips from one sample to the next, mean over the units."
    if found is None:
        return f"The {curves}"
    return f"Left: two states of {spoken(found['layer'])}'s unit {found['unit']}. Right: the {curves}"


def _draw(run: Run, layers: list[str], found: Mapping[str, Any] | None) -> Picture:
    curves = [Curve(spoken(layer), run.series(f"indecisive/jitter/{layer}"), layer_colour(run.end, layer)) for layer in layers]
    chart = draw_charts(run.steps.tolist(), [Chart("mean jitter", curves, "share of the slice a sample", low=0.0)])
    if found is None:
        return chart
    one, other = run.at(found["step"]), run.at(found["other_step"])
    lines = [
        Lines(one, found["layer"], found["unit"], _ONE, f"step {one.step:,}", width=2.6),
        Lines(other, found["layer"], found["unit"], _OTHER, f"step {other.step:,}", "--", width=2.0),
    ]
    plane = Plane(f"{spoken(found['layer'])}, unit {found['unit']}", other, lines)
    return side_by_side(draw_planes([plane]), chart)
