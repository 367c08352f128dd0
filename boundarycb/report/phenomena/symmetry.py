"""Whether layers are their own mirror image."""

from __future__ import annotations

import math

import numpy as np

from boundarycb.metrics.segments import parallel_layers
from boundarycb.render.colours import INK
from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import Finding, live_units, number, start_and_end
from boundarycb.report.layout import THIRD, layer_colour, side_by_side
from boundarycb.report.planes import Lines, Plane, draw_planes
from boundarycb.report.run import Run
from boundarycb.types import Picture, Slice
from boundarycb.words import listed, spoken

_AXES = {"left_right": "left-right", "up_down": "up-down"}

_COLUMNS = {
    "layer": "layer",
    "units": "units that switch, end",
    "lr0": "left-right, start",
    "lr1": "left-right, end",
    "ud0": "up-down, start",
    "ud1": "up-down, end",
    "chance0": "chance, start",
    "chance1": "chance, end",
}

_FAR = 0.35
"""How far a score must lie above its chance level to be told of: there are two axes and several layers to choose from; layers of
16 random lines scatter by 0.12, and of 512, whose density is the square's own, the score lies 0.2 above it by itself."""

_NONE = "At the end no layer is more symmetric than chance explains, by 0.35 or more; the most so is {}"

_MOST = "At the end {} is the most symmetric layer beyond its chance level"
_BELOW = "no layer beyond chance; "
_ALL_PARALLEL = "nothing to tell, as all boundaries of each layer are parallel"

_OF_A_PLANE = (
    "This slice is laid through samples, and its left and right are theirs: a score here is one of the plane, and says nothing of "
    "a symmetry of the task."
)

_SHOWN = "{}'s boundaries at the end, their mirror image dashed."

_QUESTION = (
    "Is a layer's picture its own mirror image? The density of its boundaries is correlated with the mirrored one: 1 where "
    "every boundary has its mirror image, about 0 where the two have nothing in common. By chance it is more than 0, since "
    "boundaries crowd in the middle: the *chance* level is the mean over twenty other axes of reflection; layers of 16 random "
    "lines scatter about it with a standard deviation of 0.11. For the output and the target it is the share of points that "
    "have the class of their mirror image, 1 for an output of one class, and for an output that is one number its correlation "
    "with its mirror image. A layer need be no more symmetric than its task: compare with the target. GINN's authors saw that "
    "the better of two networks uses the symmetry of its data (section 9); one run cannot show that."
)


def symmetry(run: Run) -> Finding | None:
    """Return what a run says of symmetry; None where it was not measured."""
    layers = [layer for layer in run.layers if math.isfinite(run.at_end(f"symmetry/left_right/{layer}"))]
    if not layers:
        return None
    parallel = parallel_layers(run.end.boundaries, run.end.slice.bounds)
    telling = [layer for layer in layers if layer not in parallel]
    axis, best = max(((axis, layer) for layer in telling or layers for axis in _AXES), key=lambda pair: _above(run, *pair))
    score, chance = number(run.at_end(f"symmetry/{axis}/{best}")), number(run.at_end(f"symmetry/chance/{best}"))
    found = _above(run, axis, best) >= _FAR
    return Finding(
        name="symmetry",
        title="Symmetry",
        question=_QUESTION,
        result=_ALL_PARALLEL if not telling else f"{'' if found else _BELOW}most: {spoken(best)}, {_AXES[axis]}, {score}",
        level="" if not telling else f"{chance} on other axes",
        columns=_COLUMNS,
        rows=[
            _row(run, name) for name in (*layers, "output", "target") if math.isfinite(run.at_end(f"symmetry/left_right/{name}"))
        ],
        sentences=[
            *(_sentences(run, axis, best) if telling else []),
            *_by_parallels([layer for layer in layers if layer in parallel]),
            *([_OF_A_PLANE] if _lies_by_samples(run.end.slice) else []),
        ],
        caption=_SHOWN.format(spoken(best))
        if run.is_single
        else f"Left: {_SHOWN.format(spoken(best))} Right: the score over the run, by layer.",
        draw=lambda: _draw(run, layers, best, axis),
    )


def _sentences(run: Run, axis: str, best: str) -> list[str]:
    score, chance = run.at_end(f"symmetry/{axis}/{best}"), run.at_end(f"symmetry/chance/{best}")
    target = run.at_end(f"symmetry/{axis}/target")
    words = f" The target's own {_AXES[axis]} symmetry is {number(target)}." if math.isfinite(target) else ""
    scores = f"{_AXES[axis]} {number(score)}, {number(chance)} on other axes"
    found = _above(run, axis, best) >= _FAR
    said = (_MOST if found else _NONE).format(spoken(best))
    return [f"{said}: {scores}.{words}", *(_highest(run, best, axis) if found else [])]


def _by_parallels(layers: list[str]) -> list[str]:
    """Return of which layers the score says nothing."""
    who = listed([spoken(layer) for layer in layers])
    return [f"All boundaries of {who} are parallel, and so symmetric, or not, by that alone."] if layers else []


def _lies_by_samples(slice: Slice) -> bool:
    """Return whether samples tell where the slice's axes go, and no target lies on it that could have a symmetry."""
    return slice.is_through_samples and slice.target is None


def _above(run: Run, axis: str, layer: str) -> float:
    """Return how far a layer's score lies above its chance level; what is not defined lies below everything."""
    above = run.at_end(f"symmetry/{axis}/{layer}") - run.at_end(f"symmetry/chance/{layer}")
    return above if math.isfinite(above) else -math.inf


def _row(run: Run, name: str) -> dict[str, str]:
    pairs = {
        key: start_and_end(run, f"symmetry/{part}/{name}")
        for key, part in (("lr", "left_right"), ("ud", "up_down"), ("chance", "chance"))
    }
    return {
        "layer": name,
        "units": live_units(run.end, name),
        **{f"{key}{place}": value for key, pair in pairs.items() for place, value in enumerate(pair)},
    }


def _highest(run: Run, layer: str, axis: str) -> list[str]:
    """Return when a layer was at its most symmetric, where that was before the end."""
    values = run.series(f"symmetry/{axis}/{layer}")
    place = int(np.nanargmax(values))
    said = f"It was at its most symmetric at step {int(run.steps[place]):,}: {number(float(values[place]))}."
    return [said] if place < run.last else []


def _draw(run: Run, layers: list[str], best: str, axis: str) -> Picture:
    lines = [
        Lines(run.end, best, colour=INK, label="mirror image", style="--", mirrored=axis, width=1.2),
        Lines(run.end, best, colour=layer_colour(run.end, best), label=spoken(best), width=1.8),
    ]
    plane = draw_planes([Plane(f"step {run.end.step:,}", run.end, lines)])
    if run.is_single:
        return plane
    curves = [Curve(spoken(layer), run.series(f"symmetry/{axis}/{layer}"), layer_colour(run.end, layer)) for layer in layers]
    curves.append(Curve(f"chance of {spoken(best)}", run.series(f"symmetry/chance/{best}"), THIRD, ":"))
    chart = Chart(f"{_AXES[axis]} symmetry", curves, "correlation", low=0.0, high=1.0)
    return side_by_side(plane, draw_charts(run.steps.tolist(), [chart]))
