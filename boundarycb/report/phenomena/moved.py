"""What moved: shift, turn, or the layers below; and which parameters did it."""

from __future__ import annotations

import math

import numpy as np

from boundarycb.report.figures import Chart, Curve, draw_charts
from boundarycb.report.finding import LEAST_SAMPLES, Finding, between, number, percent
from boundarycb.report.run import Run, spoken
from boundarycb.types import Floats, Picture

_SHIFT = ["drift/shift", "drift/rotate"]
_BIAS = ["cause/bias", "cause/weights"]
_BLUE, _ORANGE, _GREY = "#1F6FD0", "#D55E00", "#73777f"
_SHOWN = 4  # layers in the picture

_QUESTION = (
    "A unit's boundary can *shift* in parallel, it can *turn*, or the layers below can carry it along (*upstream*). Between two "
    "samples, all points of the slice where the unit switched are counted, and shared out among the three (Shapley values, which "
    "add up to the whole). Which *parameters* did it is another question: the same points, shared out among the unit's own bias, "
    "its own weights, and upstream. GINN's authors saw that boundaries shift before they turn, and called it “bias shifts before "
    "weights shift” (section 5)."
)


def moved(run: Run) -> Finding | None:
    """Return what a run says of how boundaries moved; None where drift was not measured."""
    layers = [layer for layer in run.layers if math.isfinite(run.sum(f"drift/flipped/{layer}", *_whole(run)))]
    if not layers:
        return None
    early, late = _compared(run, layers[0])
    return Finding(
        name="moved",
        title="What moved: shift, turn, or the layers below",
        question=_QUESTION,
        result=_result(run, layers[0], early, late),
        level="no chance level: compare early with late",
        columns={
            "layer": "layer",
            "flipped": "flipped, sum over the run",
            "shift": "by shift",
            "rotate": "by turn",
            "upstream": "by upstream",
            "early": f"shift / (shift + turn), {between(early)}",
            "late": f"… {between(late)}",
            "bias_early": f"own bias / (bias + weights), {between(early)}",
            "bias_late": f"… {between(late)}",
        },
        rows=[_row(run, layer, early, late) for layer in layers],
        sentences=_sentences(run, layers[0], early, late),
        caption=(
            "How much switched so far, mean over the layer's units, and what did it: left by geometry, right by parameters. A "
            "part falls where it undid what another part did. 1 means: as many switches as the slice has points."
        ),
        draw=lambda: _draw(run, layers[:_SHOWN]),
    )


def _whole(run: Run) -> tuple[int, int]:
    return run.start.step, run.end.step


def _compared(run: Run, layer: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return an early and a late window in which shares are shares: where parts cancel they may be anything."""
    known = [
        window
        for window in run.windows
        if run.samples_in(window) >= LEAST_SAMPLES
        and 0 <= run.share(_SHIFT, layer, *window) <= 1
        and 0 <= run.share(_BIAS, layer, *window) <= 1
    ]
    return (known[0], known[-1]) if known else (_whole(run), _whole(run))


def _row(run: Run, layer: str, early: tuple[int, int], late: tuple[int, int]) -> dict[str, str]:
    whole = _whole(run)
    parts = {
        part: [f"drift/{part}", *(f"drift/{other}" for other in ("shift", "rotate", "upstream") if other != part)]
        for part in ("shift", "rotate", "upstream")
    }
    return {
        "layer": layer,
        "flipped": number(run.sum(f"drift/flipped/{layer}", *whole)),
        **{part: percent(run.share(names, layer, *whole)) for part, names in parts.items()},
        "early": percent(run.share(_SHIFT, layer, *early)),
        "late": percent(run.share(_SHIFT, layer, *late)),
        "bias_early": percent(run.share(_BIAS, layer, *early)),
        "bias_late": percent(run.share(_BIAS, layer, *late)),
    }


def _result(run: Run, layer: str, early: tuple[int, int], late: tuple[int, int]) -> str:
    first, last = (percent(run.share(_SHIFT, layer, *window)) for window in (early, late))
    if early == late or not first or not last:
        return f"{spoken(layer)}: {number(run.sum(f'drift/flipped/{layer}', *_whole(run)))} of the slice flipped a unit"
    return f"{spoken(layer)}: shift makes {first} of shift + turn in {between(early)}, {last} in {between(late)}"


def _sentences(run: Run, layer: str, early: tuple[int, int], late: tuple[int, int]) -> list[str]:
    if early == late:
        return []
    shift, bias = ([run.share(parts, layer, *window) for window in (early, late)] for parts in (_SHIFT, _BIAS))
    change = "less and less" if shift[1] < shift[0] else "as much or more"
    return [
        f"{spoken(layer)} moved {change} by shifting: {percent(shift[0])} of shift + turn in {between(early)}, "
        f"{percent(shift[1])} in {between(late)}.",
        f"Shift is not bias: of what {spoken(layer)}'s own parameters did, its biases did {percent(bias[0])} in {between(early)} "
        f"and {percent(bias[1])} in {between(late)}. (This split, unlike the first, depends on where the inputs' origin lies.)",
    ]


def _draw(run: Run, layers: list[str]) -> Picture:
    charts = []
    for layer in layers:
        for title, names in (
            (
                "geometry",
                (("shift", "drift/shift", _BLUE), ("turn", "drift/rotate", _ORANGE), ("upstream", "drift/upstream", _GREY)),
            ),
            (
                "parameters",
                (("bias", "cause/bias", _BLUE), ("weights", "cause/weights", _ORANGE), ("upstream", "cause/upstream", _GREY)),
            ),
        ):
            curves = [Curve(label, _so_far(run, f"{name}/{layer}"), colour) for label, name, colour in names]
            charts.append(Chart(f"{spoken(layer)}: {title}", curves, "switched so far", low=0))
    return draw_charts(run.steps.tolist(), charts)


def _so_far(run: Run, name: str) -> Floats:
    """Return the running sum of a number; NaN where it is defined nowhere."""
    values = run.series(name)
    return np.nancumsum(values) if np.isfinite(values).any() else values
