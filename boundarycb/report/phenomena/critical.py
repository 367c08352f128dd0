"""Whether boundaries went to the edges and the corners of the target."""

from __future__ import annotations

import math

from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import SHORT, Finding, live_units, number, start_and_end, whose
from boundarycb.report.layout import THIRD, layer_colour, side_by_side
from boundarycb.report.planes import Lines, Plane, draw_planes
from boundarycb.report.run import Run
from boundarycb.types import Picture, spans_of
from boundarycb.words import listed, spoken

_QUESTION = (
    "Do boundaries run where the target changes? The *edge ratio* is how far a layer's boundaries lie from the target's edges, "
    "on average, divided by how far any point of the slice does. The *corner ratio* is how far the target's corners lie from the "
    "nearest boundary of the layer, divided by how far any point does. 0 is on the edge, or through every corner. Boundaries "
    "that are dense where the target lies are near its edges by that alone: the *chance* level is what the same boundaries have "
    "when they are turned about the slice's middle. GINN's authors saw boundaries converge to such critical points (section 6)."
)

_SCATTER = 0.28
"""How far the edge ratio of U random lines lies from its chance level, as standard deviation, times the root of U."""

_CLEAR = 3  # standard deviations: what is told of
_SHOWN = "{}'s boundaries at the end over the network's output, with the target's edges and corners."


def critical(run: Run) -> Finding | None:
    """Return what a run says of critical points; None where the slice has no target, or it was not measured."""
    layers = [layer for layer in run.layers if math.isfinite(run.at_end(f"critical/edge/{layer}"))]
    if run.end.slice.target is None or not layers:
        return None
    nearest = min(layers, key=lambda layer: _above_chance(run, "edge", layer))
    return Finding(
        name="critical",
        title="Convergence to critical points",
        question=_QUESTION,
        result=f"edge ratio {_in_short(run, 'edge', layers)} at the end{whose(layers)}",
        level=f"{_in_short(run, 'edge_chance', layers)} when the same boundaries are turned",
        columns={
            "layer": "layer",
            "units": "units that switch, start",
            "edge0": "edge ratio, start",
            "edge2": "edge ratio turned, start",
            "units1": "units that switch, end",
            "edge1": "edge ratio, end",
            "edge3": "edge ratio turned, end",
            "corner0": "corner ratio, start",
            "corner2": "corner ratio turned, start",
            "corner1": "corner ratio, end",
            "corner3": "corner ratio turned, end",
        },
        rows=[_row(run, layer) for layer in layers],
        sentences=_sentences(run, layers),
        caption=_SHOWN.format(spoken(nearest))
        if run.is_single
        else (
            f"Left: both ratios over the run, by layer, and what {spoken(nearest)}'s boundaries have when they are turned. Right: "
            f"{_SHOWN.format(spoken(nearest))}"
        ),
        draw=lambda: _draw(run, layers, nearest),
    )


def _in_short(run: Run, name: str, layers: list[str]) -> str:
    return " / ".join(number(run.at_end(f"critical/{name}/{layer}")) or "?" for layer in layers[:SHORT])


def _sentences(run: Run, layers: list[str]) -> list[str]:
    """Return what edge ratios say: of single layers, and of all together."""
    off = {layer: _deviations(run, layer) for layer in layers}
    known = [value for value in off.values() if math.isfinite(value)]
    below = [spoken(layer) for layer, value in off.items() if value <= -_CLEAR]
    together = sum(known) / math.sqrt(len(known)) if known else 0.0
    who = f"of {listed(below)}" if below else "of no layer by itself"
    told = [f"At the end the boundaries {who} run clearly nearer to the target's edges than the same boundaries turned."]
    if not below and together <= -_CLEAR:
        told.append(f"All {len(known)} layers together do: they lie {-together:.1f} standard deviations below.")
    return [
        *told,
        f"Clearly: by {_CLEAR} standard deviations of as many random lines (0.28 divided by the root of their number). The corner "
        "ratio of a layer of 16 scatters by 0.25 to 0.4, so that of one layer by itself says little.",
    ]


def _deviations(run: Run, layer: str) -> float:
    """Return how far a layer's edge ratio lies above its chance level, in standard deviations of as many random lines."""
    span = spans_of(run.end.layers)[layer]
    lines = int(run.end.capture.switching()[span].sum())
    return _above_chance(run, "edge", layer) / (_SCATTER / math.sqrt(lines)) if lines else math.nan


def _above_chance(run: Run, name: str, layer: str) -> float:
    """Return how far a layer's ratio lies above its chance level at the end; what is not defined lies above everything."""
    above = run.at_end(f"critical/{name}/{layer}") - run.at_end(f"critical/{name}_chance/{layer}")
    return above if math.isfinite(above) else math.inf


def _row(run: Run, layer: str) -> dict[str, str]:
    row = {"layer": layer, "units": live_units(run.start, layer), "units1": live_units(run.end, layer)}
    for name in ("edge", "corner"):
        row[f"{name}0"], row[f"{name}1"] = start_and_end(run, f"critical/{name}/{layer}")
        row[f"{name}2"], row[f"{name}3"] = start_and_end(run, f"critical/{name}_chance/{layer}")
    return row


def _draw(run: Run, layers: list[str], nearest: str) -> Picture:
    plane = Plane(
        f"{spoken(nearest)} at step {run.end.step:,}",
        run.end,
        [Lines(run.end, nearest, colour=layer_colour(run.end, nearest), width=1.5)],
        target=run.end.slice.target,
    )
    if run.is_single:
        return draw_planes([plane])
    charts = [
        Chart(
            f"{name} ratio",
            [
                *(Curve(spoken(layer), run.series(f"critical/{name}/{layer}"), layer_colour(run.end, layer)) for layer in layers),
                Curve(f"{spoken(nearest)} turned", run.series(f"critical/{name}_chance/{nearest}"), THIRD, ":"),
            ],
            "",
            low=0.0,
            most=2.0,
        )
        for name in ("edge", "corner")
    ]
    return side_by_side(draw_charts(run.steps.tolist(), charts, columns=1), draw_planes([plane]))
