"""Whether boundaries went to the edges and the corners of the target."""

from __future__ import annotations

import math

from boundarycb.report.figures import Chart, Curve, Lines, Plane, draw_charts, draw_planes, layer_colour, side_by_side
from boundarycb.report.finding import Finding, start_and_end
from boundarycb.report.run import Run, spoken
from boundarycb.types import Picture

_QUESTION = (
    "Do boundaries run where the target changes? The *edge ratio* is how far the points of a layer's boundaries lie from the "
    "target's edges, on average, divided by how far any point of the slice does. The *corner ratio* is how far the target's "
    "corners lie from the nearest boundary of the layer, divided by how far any point does. 1 is what lines that know nothing of "
    "the target have; 0 is on the edge, or through every corner. GINN's authors saw boundaries converge to such critical points "
    "(section 6)."
)


def critical(run: Run) -> Finding | None:
    """Return what a run says of critical points; None where the slice has no target, or it was not measured."""
    layers = [layer for layer in run.layers if math.isfinite(run.at_end(f"critical/edge/{layer}"))]
    if run.end.slice.target is None or not layers:
        return None
    nearest = min(layers, key=lambda layer: run.at_end(f"critical/edge/{layer}"))
    first, last = start_and_end(run, f"critical/edge/{nearest}")
    rows = []
    for layer in layers:
        edges, corners = (start_and_end(run, f"critical/{name}/{layer}") for name in ("edge", "corner"))
        rows.append({"layer": layer, "edge0": edges[0], "edge1": edges[1], "corner0": corners[0], "corner1": corners[1]})
    fell = [spoken(layer) for layer in layers if run.at_end(f"critical/edge/{layer}") < run.at_start(f"critical/edge/{layer}")]
    return Finding(
        name="critical",
        title="Convergence to critical points",
        question=_QUESTION,
        result=f"{spoken(nearest)}: edge ratio {first} at the start, {last} at the end",
        level="1 for lines that know nothing of the target",
        columns={
            "layer": "layer",
            "edge0": "edge ratio, start",
            "edge1": "end",
            "corner0": "corner ratio, start",
            "corner1": "end",
        },
        rows=rows,
        sentences=[
            f"{len(fell)} of {len(layers)} layers ended nearer to the target's edges than they began"
            + (f": {', '.join(fell)}." if fell else ".")
        ],
        caption=(f"Left: both ratios over the run. Right: {spoken(nearest)}'s boundaries at the end, and the target's edges."),
        draw=lambda: _draw(run, layers, nearest),
    )


def _draw(run: Run, layers: list[str], nearest: str) -> Picture:
    charts = [
        Chart(
            f"{name} ratio",
            [Curve(spoken(layer), run.series(f"critical/{name}/{layer}"), layer_colour(run.end, layer)) for layer in layers],
            "ratio",
            level=1.0,
            level_label="chance",
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
