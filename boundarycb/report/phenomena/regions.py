"""How finely the slice is cut up, and what the map of classes looks like."""

from __future__ import annotations

import math

import numpy as np

from boundarycb.metrics.masks import classes_of
from boundarycb.render.captions import KINKED
from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import Finding, count, number
from boundarycb.report.layout import layer_colour
from boundarycb.report.run import Run
from boundarycb.types import Snapshot
from boundarycb.words import listed, spoken

_NAMES = {
    "regions/seen": "activation patterns seen at the grid points",
    "decision/length": "length of the border between classes, in sides of the slice",
    "decision/fragments": "connected pieces of the map of classes",
    "decision/never": "classes that win nowhere on the slice",
    "ambiguity/tie": "share of the slice where the chances of the two likeliest classes differ by less than 0.1",
    "ambiguity/overlap": "share where two or more outputs are above 0.5",
    "ambiguity/none": "share where no output is above 0.5",
}
_WHOLE = {"regions/seen", "decision/fragments", "decision/never"}
_SEEN = "regions/seen"
_TOO_COARSE = 0.9
"""Patterns by grid points: from here on nearly every point has a pattern of its own, and their number is that of the points."""
_BENT_AT_0 = KINKED - {"hardtanh", "hardsigmoid", "softshrink", "hardshrink"}
"""Activations that bend where a unit switches, so that each pattern is a piece of its own, if nothing else bends the network."""
_SAME = 4  # units in an output's last place: differences of rounding
_CANNOT_TELL = "the grid is too coarse to tell"

_QUESTION = (
    "Into how many pieces do all boundaries cut the slice? On each piece every unit is either on or off, so a network of ReLUs "
    "is linear there. *Regions up to a layer* is the exact number of pieces that the boundaries of that layer and those below it "
    "make. Of random networks it is known that their number grows with the number of units and not exponentially with depth "
    "(Hanin and Rolnick 2019)."
)
_OF_CLASSES = " The border between classes is where the winning class changes."


def regions(run: Run) -> Finding | None:
    """Return what a run says of regions and the map of classes; None where nothing of it was measured."""
    layers = [layer for layer in run.moving if run.has(f"regions/exact/{layer}")]
    rows = [_row(f"regions up to {spoken(layer)}", run, f"regions/exact/{layer}", whole=True) for layer in layers]
    rows += [_row(_named(run, name), run, name, whole=name in _WHOLE) for name in _NAMES if run.has(name)]
    rows += [
        _row(f"boundaries of {spoken(layer)} near a point", run, f"complexity/local/{layer}")
        for layer in run.moving
        if run.has(f"complexity/local/{layer}")
    ]
    if not rows:
        return None
    has_classes = any(run.has(name) for name in _NAMES if not name.startswith("regions/"))
    charts = [] if run.is_single else _charts(run, layers)
    name, words = _headline(run, layers)
    return Finding(
        name="regions",
        title="Regions, and the map of classes" if has_classes else "Regions of the slice",
        question=_QUESTION + _OF_CLASSES * has_classes,
        result=_told(run, name, words, "end") if run.has(name) else f"{rows[0]['what']}: {rows[0]['end']}",
        level="" if run.is_single else _told(run, name, "", "start") if run.has(name) else rows[0]["start"],
        columns={"what": "", "start": "start", "end": "end"},
        rows=rows,
        sentences=[
            *_everywhere(run.end),
            *([_course(run, name, words)] if run.has(name) else []),
        ],
        caption=f"{listed([chart.title for chart in charts]).capitalize()} over the run." if charts else "",
        draw=(lambda: draw_charts(run.steps.tolist(), charts)) if charts else None,
    )


def _headline(run: Run, layers: list[str]) -> tuple[str, str]:
    """Return the number that the result is, and what it counts: exact regions where they are known, of as many layers as are."""
    whole = run.end.layers[-1].name  # of outputs without classes the engine does not cut along its boundaries
    if math.isfinite(run.at_end(f"regions/exact/{whole}")):
        return f"regions/exact/{whole}", "linear regions"
    known = [layer for layer in layers if math.isfinite(run.at_end(f"regions/exact/{layer}"))]
    if known:
        return f"regions/exact/{known[-1]}", f"regions up to {spoken(known[-1])}"
    return _SEEN, "activation patterns seen"


def _everywhere(snapshot: Snapshot) -> list[str]:
    """Return that the output is the same all over the slice; nothing where it is not, or not finite somewhere."""
    field = snapshot.field
    if field is None or not np.isfinite(field.value).all():
        return []
    classes = classes_of(field)
    if classes is None:
        low, high = float(field.value.min()), float(field.value.max())
        is_one = high - low <= _SAME * float(np.spacing(np.abs(field.value).max()))
        return [f"At the end the {field.what} is the same number everywhere on the slice."] if is_one else []
    only = int(classes.flat[0])
    name = field.names[only] if field.names else f"class {only}"
    return [f"At the end {name} wins everywhere on the slice."] if (classes == only).all() else []


def _named(run: Run, name: str) -> str:
    """Return what a number is, and that it says nothing where it is that of the grid's points."""
    words = _NAMES[name]
    if name == _SEEN and run.end.boundaries.exact and all(layer.op in _BENT_AT_0 for layer in run.end.layers):
        words += " (at least as many linear regions)"
    return f"{words}; {_CANNOT_TELL}" if any(_is_too_coarse(run, name, when) for when in ("start", "end")) else words


def _is_too_coarse(run: Run, name: str, when: str) -> bool:
    """Return whether a number is one of patterns on a grid that has no more points than there are patterns, at start or end."""
    share = run.at_start("regions/seen_share") if when == "start" else run.at_end("regions/seen_share")
    return name == _SEEN and share >= _TOO_COARSE


def _told(run: Run, name: str, words: str, when: str) -> str:
    """Return how many regions there are at start or end, in words."""
    if _is_too_coarse(run, name, when):
        return f"{_CANNOT_TELL} at the {when}"
    said = count(run.at_start(name) if when == "start" else run.at_end(name))
    return " ".join(part for part in (said, words, f"at the {when}") if part)


def _coarse(run: Run) -> str:
    """Return that the grid has too few points for the patterns that there are, and what tells that; nothing where it has enough."""
    points, side = run.end.capture.resolution**2, run.end.capture.resolution
    seen = {"start": run.at_start(_SEEN), "end": run.at_end(_SEEN)}
    told = [f"{count(number)} at the {when}" for when, number in seen.items() if _is_too_coarse(run, _SEEN, when)]
    if not told:
        return ""
    return (
        f"{_CANNOT_TELL.capitalize()} how many regions there are: of its {side:,} x {side:,} = {points:,} points nearly each has "
        f"an activation pattern of its own ({listed(told)}), so these are numbers of points, and say only that there are at least "
        "as many regions. A larger `resolution`, or a slice of fewer regions, would tell."
    )


def _course(run: Run, name: str, words: str) -> str:
    """Return the least and the most of a number in the run, or that it is none of regions."""
    if name == _SEEN and (coarse := _coarse(run)):
        return coarse
    if run.is_single:
        return f"{words.capitalize()}: {count(run.at_end(name))}."
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


def _charts(run: Run, layers: list[str]) -> list[Chart]:
    """Return the charts of what was measured."""
    curves = [
        Curve(f"up to {spoken(layer)}", run.series(f"regions/exact/{layer}"), layer_colour(run.end, layer)) for layer in layers
    ]
    if run.has(_SEEN):
        points = run.end.capture.resolution**2
        curves.append(Curve(f"seen at {points:,} points", run.series(_SEEN), style=":"))
    charts = [Chart("number of regions of the slice", curves, "", low=0.0)] if curves else []
    if math.isfinite(run.at_end("decision/length")):
        border = Curve("length", run.series("decision/length"))
        charts.append(Chart("length of the border between classes", [border], "sides of the slice", low=0.0))
    return charts
