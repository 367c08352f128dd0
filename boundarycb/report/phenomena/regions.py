"""How finely the slice is cut up, and what the map of classes looks like."""

from __future__ import annotations

import math

from boundarycb.report.figures import Chart, Curve, draw_charts, layer_colour
from boundarycb.report.finding import Finding, count, number
from boundarycb.report.run import Run, spoken
from boundarycb.types import Picture

_NAMES = {
    "regions/seen": "activation patterns seen at the grid points (at least as many linear regions)",
    "decision/length": "length of the border between classes, in sides of the slice",
    "decision/fragments": "connected pieces of the map of classes",
    "decision/never": "classes that win nowhere on the slice",
    "ambiguity/tie": "share of the slice where the two likeliest classes are within 0.1",
    "ambiguity/overlap": "share where two or more outputs are above 0.5",
    "ambiguity/none": "share where no output is above 0.5",
}
_WHOLE = {"regions/seen", "decision/fragments", "decision/never"}

_QUESTION = (
    "Into how many pieces do all boundaries cut the slice? On each piece a network of ReLUs is linear. *Regions up to a layer* "
    "is their exact number for the boundaries of that layer and those below it. The border between classes is a border of the "
    "output, made of straight lines in these regions. That the number of regions grows with the number of units, far from what "
    "depth allows, is known for random networks (Hanin and Rolnick 2019)."
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
    name = f"regions/exact/{layers[-1]}" if layers else "regions/seen"
    words = "linear regions" if layers else "activation patterns seen"
    return Finding(
        name="regions",
        title="Regions, and the map of classes",
        question=_QUESTION,
        result=f"{count(run.at_end(name))} {words} at the end" if run.has(name) else f"{rows[0]['what']}: {rows[0]['end']}",
        level=f"{count(run.at_start(name))} at the start" if run.has(name) else rows[0]["start"],
        columns={"what": "", "start": "start", "end": "end"},
        rows=rows,
        caption="The number of regions, and the length of the border between classes, over the run.",
        draw=lambda: _draw(run, layers),
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
