"""Whether layers are their own mirror image."""

from __future__ import annotations

import math

from boundarycb.report.figures import Chart, Curve, Lines, Plane, draw_charts, draw_planes, layer_colour, side_by_side
from boundarycb.report.finding import Finding, number, start_and_end
from boundarycb.report.run import Run, spoken
from boundarycb.types import Picture

_AXES = {"left_right": "left-right", "up_down": "up-down"}
_MIRRORED = "#D55E00"

_QUESTION = (
    "Is a layer's picture its own mirror image? The density of its boundaries is correlated with the mirrored one: 1 where every "
    "boundary has its mirror image, 0 where the two have nothing in common. By chance it is more than 0, since boundaries crowd "
    "in the middle: the *chance* level is the mean over twenty other axes of reflection. A layer need be no more symmetric than "
    "its task: compare with the target. GINN's authors saw that the better network uses the symmetry of its data (section 9)."
)


def symmetry(run: Run) -> Finding | None:
    """Return what a run says of symmetry; None where it was not measured."""
    layers = [layer for layer in run.layers if math.isfinite(run.at_end(f"symmetry/left_right/{layer}"))]
    if not layers:
        return None
    axis, best = max(((axis, layer) for layer in layers for axis in _AXES), key=lambda pair: _above(run, *pair))
    score, chance = run.at_end(f"symmetry/{axis}/{best}"), run.at_end(f"symmetry/chance/{best}")
    target = run.at_end(f"symmetry/{axis}/target")
    words = f"The target's own {_AXES[axis]} symmetry is {number(target)}." if math.isfinite(target) else ""
    return Finding(
        name="symmetry",
        title="Symmetry",
        question=_QUESTION,
        result=f"most: {spoken(best)}, {_AXES[axis]}, {number(score)}",
        level=f"{number(chance)} on other axes",
        columns={
            "layer": "layer",
            "lr0": "left-right, start",
            "lr1": "end",
            "ud0": "up-down, start",
            "ud1": "end",
            "chance0": "chance, start",
            "chance1": "end",
        },
        rows=[
            _row(run, name) for name in (*layers, "output", "target") if math.isfinite(run.at_end(f"symmetry/left_right/{name}"))
        ],
        sentences=[
            f"{spoken(best)} is the most symmetric layer beyond its chance level: {_AXES[axis]} {number(score)}, {number(chance)} "
            f"on other axes.{' ' + words if words else ''}",
            "For the output and the target it is the share of points that have the same class as their mirror image.",
        ],
        caption=(
            f"Left: {spoken(best)}'s boundaries at the end, their mirror image dashed. Right: the score over the run, by layer."
        ),
        draw=lambda: _draw(run, layers, best, axis),
    )


def _above(run: Run, axis: str, layer: str) -> float:
    """Return how far a layer's score lies above its chance level; what is not defined lies below everything."""
    above = run.at_end(f"symmetry/{axis}/{layer}") - run.at_end(f"symmetry/chance/{layer}")
    return above if math.isfinite(above) else -math.inf


def _row(run: Run, name: str) -> dict[str, str]:
    pairs = {
        key: start_and_end(run, f"symmetry/{part}/{name}")
        for key, part in (("lr", "left_right"), ("ud", "up_down"), ("chance", "chance"))
    }
    return {"layer": name, **{f"{key}{place}": value for key, pair in pairs.items() for place, value in enumerate(pair)}}


def _draw(run: Run, layers: list[str], best: str, axis: str) -> Picture:
    lines = [
        Lines(run.end, best, colour=_MIRRORED, label="mirror image", style="--", mirrored=axis, width=1.2),
        Lines(run.end, best, colour=layer_colour(run.end, best), label=spoken(best), width=1.8),
    ]
    curves = [Curve(spoken(layer), run.series(f"symmetry/{axis}/{layer}"), layer_colour(run.end, layer)) for layer in layers]
    curves += [Curve("chance", run.series(f"symmetry/chance/{layer}"), layer_colour(run.end, layer), ":") for layer in layers[-1:]]
    curves[-1] = Curve(f"chance of {spoken(layers[-1])}", curves[-1].values, curves[-1].colour, ":")
    chart = Chart(f"{_AXES[axis]} symmetry", curves, "correlation", low=0.0, high=1.0)
    return side_by_side(draw_planes([Plane(f"step {run.end.step:,}", run.end, lines)]), draw_charts(run.steps.tolist(), [chart]))
