"""How finely the slice is cut up, and what the map of classes looks like."""

from __future__ import annotations

import math

import numpy as np

from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import Finding, count, number
from boundarycb.report.layout import layer_colour
from boundarycb.report.run import Run, spoken
from boundarycb.types import Picture

_NAMES = {
    "regions/seen": "activation patterns seen at the grid points (at least as many linear regions)",
    "decision/length": "length of the border between classes, in sides of the slice",
    "decision/fragments": "connected pieces of the map of classes",
    "decision/never": "classes that win nowhere on the slice",
    "ambiguity/tie": "share of the slice where the chances of the two likeliest classes differ by less than 0.1",
    "ambiguity/overlap": "share where two or more outputs are above 0.5",
    "ambiguity/none": "share where no output is above 0.5",
}
_WHOLE = {"regions/seen", "decision/fragments", "decision/never"}

_QUESTION = (
    "Into how many pieces do all boundaries cut the slice? On each piece every unit is either on or off, so a network of ReLUs "
    "is linear there. *Regions up to a layer* is the exact number of pieces that the boundaries of that layer and those below it "
    "make. Of random networks it is known that their number grows with the number of units and not exponentially with depth "
    "(Hanin and Rolnick 2019). The border between classes is where the winning class changes."
)


def regions(run: Run) -> Finding | None:
    """Return what a run says of regions and the map of classes; None where nothing of it was measured."""
    layers = [layer for layer in run.layers if run.has(f"regions/exact/{layer}")]
    rows = [_row(f"regions up to {spoken(layer)}", run, f"regions/exact/{layer}", whole=True) for layer in layers]
    rows += [_row(words, run, name, whole=name in _WHOLE) for name, words in _NAMES.items() if run.has(name)]
    rows += [
        _row(f"boundaries of {spoken(layer)} near a point", run, f"complexity/local/{layer}")
        for layer in run.layers
        if run.has(f"complexity/local/{layer}")
    ]
    if not rows:
        return None
    whole = run.end.layers[-1].name  # of outputs without classes its boundaries are not cut along
    is_exact = math.isfinite(run.at_end(f"regions/exact/{whole}"))
    name = f"regions/exact/{whole}" if is_exact else "regions/seen"
    words = "linear regions" if is_exact else "activation patterns seen"
    return Finding(
        name="regions",
        title="Regions, and the map of classes",
        question=_QUESTION,
        result=f"{count(run.at_end(name))} {words} at the end" if run.has(name) else f"{rows[0]['what']}: {rows[0]['end']}",
        level=f"{count(run.at_start(name))} at the start" if run.has(name) else rows[0]["start"],
        columns={"what": "", "start": "start", "end": "end"},
        rows=rows,
        sentences=[_course(run, name, words)] if run.has(name) else [],
        caption="The number of regions, and the length of the border between classes, over the run.",
        draw=lambda: _draw(run, layers),
    )


def _course(run: Run, name: str, words: str) -> str:
    """Return the least and the most of a number in the run."""
    values = run.series(name)
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    return (
        f"{words.capitalize()}: {count(run.at_start(name))} at the start, at least {count(values[low])} (step "
        f"{int(run.steps[low]):,}), at most {count(values[high])} (step {int(run.steps[high]):,}), {count(run.at_end(name))} at "
        "the end."
    )


def _row(words: str, run: Run, name: str, *, whole: bool = False) -> dict[str, str]:
    start, end = run.at_start(name), run.at_end(name)
    return {"what": words, "start": count(start) if whole else number(start, 3), "end": count(end) if whole else number(end, 3)}


def _draw(run: Run, layers: list[str]) -> Picture:
    curves = [
        Curve(f"up to {spoken(layer)}", run.series(f"regions/exact/{layer}"), layer_colour(run.end, layer)) for layer in layers
    ]
    if run.has("regions/seen"):
        curves.append(Curve("seen on a grid", run.series("regions/seen"), style=":"))
    charts = [Chart("regions of the slice", curves, "", low=0.0)]
    if math.isfinite(run.at_end("decision/length")):
        charts.append(
            Chart("border between classes", [Curve("length", run.series("decision/length"))], "sides of the slice", low=0.0)
        )
    return draw_charts(run.steps.tolist(), charts)
