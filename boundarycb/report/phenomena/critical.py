"""Whether boundaries went to the edges and the corners of the target."""

from __future__ import annotations

import math

from boundarycb.report.figures import Chart, Curve, Lines, Plane, draw_charts, draw_planes, layer_colour, side_by_side
from boundarycb.report.finding import Finding, listed, number, start_and_end
from boundarycb.report.run import Run, spoken
from boundarycb.types import Picture

_QUESTION = (
    "Do boundaries run where the target changes? The *edge ratio* is how far a layer's boundaries lie from the target's edges, "
    "on average, divided by how far any point of the slice does. The *corner ratio* is how far the target's corners lie from the "
    "nearest boundary of the layer, divided by how far any point does. 0 is on the edge, or through every corner. Boundaries "
    "that are dense where the target lies are near its edges by that alone: the *chance* level is what the same boundaries have "
    "when they are turned about the slice's middle. GINN's authors saw boundaries converge to such critical points (section 6)."
)

_SCATTER = 0.1
"""How far an edge ratio of 16 random lines may well lie from its chance level (docs/metrics.md)."""


def critical(run: Run) -> Finding | None:
    """Return what a run says of critical points; None where the slice has no target, or it was not measured."""
    layers = [layer for layer in run.layers if math.isfinite(run.at_end(f"critical/edge/{layer}"))]
    if run.end.slice.target is None or not layers:
        return None
    nearest = min(layers, key=lambda layer: _above_chance(run, layer))
    edge, chance = (run.at_end(f"critical/{name}/{nearest}") for name in ("edge", "edge_chance"))
    below = [spoken(layer) for layer in layers if _above_chance(run, layer) < -_SCATTER]
    told = f"{listed(below)}: {'it runs' if len(below) == 1 else 'they run'}" if below else "no layer: none runs"
    return Finding(
        name="critical",
        title="Convergence to critical points",
        question=_QUESTION,
        result=f"nearest to the edges: {spoken(nearest)}, edge ratio {number(edge)} at the end",
        level=f"{number(chance)} when its boundaries are turned",
        columns={
            "layer": "layer",
            "edge0": "edge ratio, start",
            "edge1": "end",
            "edge2": "chance, end",
            "corner0": "corner ratio, start",
            "corner1": "end",
            "corner2": "chance, end",
        },
        rows=[_row(run, layer) for layer in layers],
        sentences=[
            f"At the end more than chance explains holds for {told} nearer to the target's edges than the same boundaries turned, "
            "by more than 0.1, which is how far a layer of 16 random lines scatters. (A corner ratio of so few lines scatters by "
            "0.3.)"
        ],
        caption=(
            f"Left: both ratios over the run, by layer, and the chance level of {spoken(nearest)}. Right: {spoken(nearest)}'s "
            "boundaries at the end, with the target's edges and corners."
        ),
        draw=lambda: _draw(run, layers, nearest),
    )


def _above_chance(run: Run, layer: str) -> float:
    """Return how far a layer's edge ratio lies above its chance level at the end; what is not defined lies above everything."""
    above = run.at_end(f"critical/edge/{layer}") - run.at_end(f"critical/edge_chance/{layer}")
    return above if math.isfinite(above) else math.inf


def _row(run: Run, layer: str) -> dict[str, str]:
    row = {"layer": layer}
    for name in ("edge", "corner"):
        row[f"{name}0"], row[f"{name}1"] = start_and_end(run, f"critical/{name}/{layer}")
        row[f"{name}2"] = number(run.at_end(f"critical/{name}_chance/{layer}"))
    return row


def _draw(run: Run, layers: list[str], nearest: str) -> Picture:
    charts = [
        Chart(
            f"{name} ratio",
            [
                *(Curve(spoken(layer), run.series(f"critical/{name}/{layer}"), layer_colour(run.end, layer)) for layer in layers),
                Curve("chance", run.series(f"critical/{name}_chance/{nearest}"), layer_colour(run.end, nearest), ":"),
            ],
            "ratio",
            low=0.0,
        )
        for name in ("edge", "corner")
    ]
    plane = Plane(
        f"{spoken(nearest)} at step {run.end.step:,}",
        run.end,
        [Lines(run.end, nearest, colour=layer_colour(run.end, nearest), width=1.5)],
        target=run.end.slice.target,
    )
    return side_by_side(draw_charts(run.steps.tolist(), charts, columns=1), draw_planes([plane]))
