"""What moved: shift, turn, or the layers below; and which parameters did it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import SHORT, Finding, between, number, percent, whose
from boundarycb.report.layout import ONE, OTHER, THIRD
from boundarycb.report.run import BIAS, LEAST_SAMPLES, SHIFT, WINDOWS, Run
from boundarycb.types import Floats
from boundarycb.words import listed, spoken

_SHOWN = 4  # layers in the picture
_UNIT = "switches a point and unit"

_QUESTION = (
    "A unit's boundary can *shift* in parallel, it can *turn*, or the layers below can carry it along (*upstream*). Between two "
    "snapshots, all points of the slice where the unit switched are counted, and shared out among the three: each gets its part, "
    "averaged over all orders in which the three could have changed (Shapley values, which add up to the whole). Which "
    "*parameters* did it is another question: the same points, shared out among the unit's own bias, its own weights, and "
    "upstream. (A batch norm before the activation counts as the unit's own, running statistics too.) Moving the zero point of the "
    "inputs would change the second split, not the first. GINN's authors saw that "
    "boundaries shift before they turn, and called it “bias shifts before weights shift” (section 5)."
)

_CAPTION = "How much switched so far, mean over the layer's units. 1 means: as many switches as the slice has points."
_CAPTION_PARTS = (
    "How much switched so far, mean over the layer's units, and what did it: left by geometry, right by parameters. A part falls "
    "where it undid what another part did. 1 means: as many switches as the slice has points."
)


_NO_LEVEL = "no chance level"
_COMPARE, _NONE_TO_COMPARE = ": compare early with late", ", and no early and late to compare"

_SHARES = ("shift", "rotate", "upstream", "early", "late", "bias_early", "bias_late")
_OUT_OF_RANGE = (
    "Parts are counted with their sign: one that undid what others did, so that units switched back, is below 0 %. All of them add "
    "up to 100 %, so another one is then above it."
)


def moved(run: Run) -> Finding | None:
    """Return what a run says of how boundaries moved; None where drift was not measured."""
    layers = [layer for layer in run.moving if math.isfinite(run.sum(f"drift/flipped/{layer}", *_whole(run)))]
    if not layers:
        return None
    known = [layer for layer in layers if run.has(f"drift/shift/{layer}")]  # shift and turn apart
    move = [layer for layer in known if _moves(run, layer)]
    told = [layer for layer in move if not run.turns_nothing(layer)]  # to shift is no finding where nothing can turn
    shown = move or known
    most = (told or shown or layers)[0]
    early, late = run.compared(most) or (_whole(run), _whole(run))
    compared = early != late and bool(_defined(run, SHIFT, told, early, late))
    rows = [_row(run, layer, early, late) for layer in layers]
    return Finding(
        name="moved",
        title="What moved: shift, turn, or the layers below",
        question=_QUESTION,
        result=_result(run, told, early, late) if compared else _how_much(run, shown or layers),
        level=_NO_LEVEL + (_COMPARE if compared else _NONE_TO_COMPARE if early == late else ""),
        columns={
            key: head for key, head in _columns(early, late).items() if early != late or key not in ("part", "late", "bias_late")
        },
        rows=rows,
        note=_OUT_OF_RANGE if any(_is_out_of_range(row) for row in rows) else "",
        sentences=[
            *(_of_shift(run, told, early, late) if early != late else []),
            *(_of_bias(run, shown, early, late) if early != late else _why_not(run, shown)),
            *_shifted([layer for layer in move if run.turns_nothing(layer)]),
            *_untold([layer for layer in layers if layer not in known]),
        ],
        caption=(_CAPTION_PARTS if shown else _CAPTION) + _which(shown or layers),
        draw=lambda: draw_charts(run.steps.tolist(), _parts(run, shown[:_SHOWN]) if shown else _wholes(run, layers[:_SHOWN])),
    )


def _which(layers: list[str]) -> str:
    """Return that not all layers are in the picture, if so."""
    return f" Of {len(layers)} layers the first {_SHOWN} are shown." if len(layers) > _SHOWN else ""


def _columns(early: tuple[int, int], late: tuple[int, int]) -> dict[str, str]:
    return {
        "layer": "layer",
        "flipped": "switches a point and unit, in all",
        "part": f"of these in {between(early)}",
        "shift": "by shift",
        "rotate": "by turn",
        "upstream": "by upstream",
        "early": f"shift / (shift + turn), {between(early)}",
        "late": f"the same, {between(late)}",
        "bias_early": f"own bias / (bias + weights), {between(early)}",
        "bias_late": f"the same, {between(late)}",
    }


def _moves(run: Run, layer: str) -> bool:
    """Return whether so much of a layer switched that shares of it say something."""
    return math.isfinite(run.share(SHIFT, layer, *_whole(run)))


def _whole(run: Run) -> tuple[int, int]:
    return run.start.step, run.end.step


def _row(run: Run, layer: str, early: tuple[int, int], late: tuple[int, int]) -> dict[str, str]:
    whole = _whole(run)
    parts = {
        part: [f"drift/{part}", *(f"drift/{other}" for other in ("shift", "rotate", "upstream") if other != part)]
        for part in ("shift", "rotate", "upstream")
    }
    return {
        "layer": layer,
        "flipped": number(run.sum(f"drift/flipped/{layer}", *whole)),
        "part": percent(_ratio(run.sum(f"drift/flipped/{layer}", *early), run.sum(f"drift/flipped/{layer}", *whole))),
        **{part: percent(run.share(names, layer, *whole)) for part, names in parts.items()},
        "early": percent(run.share(SHIFT, layer, *early)),
        "late": percent(run.share(SHIFT, layer, *late)),
        "bias_early": percent(run.share(BIAS, layer, *early)),
        "bias_late": percent(run.share(BIAS, layer, *late)),
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _result(run: Run, layers: list[str], early: tuple[int, int], late: tuple[int, int]) -> str:
    layers = _defined(run, SHIFT, layers, early, late)
    first, last = (_shares(run, SHIFT, layers[:SHORT], window) for window in (early, late))
    return f"of shift + turn, shift makes {first} in {between(early)}, {last} in {between(late)}{whose(layers)}"


def _defined(run: Run, parts: Sequence[str], layers: list[str], *windows: tuple[int, int]) -> list[str]:
    """Return the layers whose share is defined in each window."""
    return [layer for layer in layers if all(math.isfinite(run.share(parts, layer, *window)) for window in windows)]


def _how_much(run: Run, layers: list[str]) -> str:
    flipped = number(run.sum(f"drift/flipped/{layers[0]}", *_whole(run)))
    turned = ", none by turns of its own" if run.turns_nothing(layers[0]) else ""
    return f"{spoken(layers[0])}: {flipped} switches a point and unit{turned}"


def _shares(run: Run, parts: Sequence[str], layers: list[str], window: tuple[int, int]) -> str:
    """Return the first part's share of all of them in each layer, in words."""
    return " / ".join(percent(run.share(parts, layer, *window)) for layer in layers)


def _of_shift(run: Run, layers: list[str], early: tuple[int, int], late: tuple[int, int]) -> list[str]:
    layers = _defined(run, SHIFT, layers, early, late)
    if not layers:
        return []
    falling = [spoken(layer) for layer in layers if run.falls(SHIFT, layer, early, late)]
    less = listed(falling) if falling else "none"
    who = " / ".join(spoken(layer) for layer in layers)
    return [
        f"Of what a unit did by shifting or turning, shift makes {_shares(run, SHIFT, layers, early)} in {between(early)} and "
        f"{_shares(run, SHIFT, layers, late)} in {between(late)} ({who}). Clearly less, by three standard errors: {less}."
    ]


def _of_bias(run: Run, layers: list[str], early: tuple[int, int], late: tuple[int, int]) -> list[str]:
    layers = _defined(run, BIAS, layers, early, late)
    if not layers:
        return []
    who = " / ".join(spoken(layer) for layer in layers)
    return [
        f"Of what a unit's own parameters did, its bias did {_shares(run, BIAS, layers, early)} in "
        f"{between(early)} and {_shares(run, BIAS, layers, late)} in {between(late)} ({who}).",
    ]


def _why_not(run: Run, layers: list[str]) -> list[str]:
    """Return why early and late are not compared; nothing of layers of which no parts are known."""
    if not layers:
        return []
    if len([window for window in run.windows if run.samples_in(window) >= LEAST_SAMPLES]) < 2:
        edges = listed([f"{edge:,}" for edge in WINDOWS[1:]])
        return [
            f"There are too few snapshots to compare early with late: that takes {LEAST_SAMPLES} of them in each of two windows of "
            f"steps, which are parted at {edges}, and here are {len(run.steps)} in all."
        ]
    return ["Early and late are not compared: what switched is too little, or its parts cancel, in all windows of steps but one."]


def _is_out_of_range(row: Mapping[str, str]) -> bool:
    """Return whether a part of a row is less than nothing, or more than all."""
    shares = [float(row[key].removesuffix(" %")) for key in _SHARES if row[key]]
    return any(not 0 <= share <= 100 for share in shares)


def _untold(layers: list[str]) -> list[str]:
    """Return what to say of layers of which nothing but how much switched is known."""
    if not layers:
        return []
    who = listed([spoken(layer) for layer in layers])
    return [
        f"Of {who} only how much switched is known, and not by what: either no single linear map makes the numbers that the units "
        "switch on (a normalisation or a sum comes between, or they take what varies as it is), or weights and inputs are too "
        "large to keep."
    ]


def _shifted(layers: list[str]) -> list[str]:
    """Return of which layers it is no finding that they shift."""
    if not layers:
        return []
    who = listed([spoken(layer) for layer in layers])
    return [
        f"Units of {who} turned no boundary themselves: one that reads one number cannot, nor one of fixed weights. (A turn that "
        "takes no grid point is not seen.)"
    ]


def _parts(run: Run, layers: list[str]) -> list[Chart]:
    charts = []
    for layer in layers:
        for title, names in (
            (
                "geometry",
                (("shift", "drift/shift", ONE), ("turn", "drift/rotate", OTHER), ("upstream", "drift/upstream", THIRD)),
            ),
            (
                "parameters",
                (("bias", "cause/bias", ONE), ("weights", "cause/weights", OTHER), ("upstream", "cause/upstream", THIRD)),
            ),
        ):
            curves = [Curve(label, _so_far(run, f"{name}/{layer}"), colour) for label, name, colour in names]
            charts.append(Chart(f"{spoken(layer)}: {title}", curves, _UNIT, low=0))
    return charts


def _wholes(run: Run, layers: list[str]) -> list[Chart]:
    return [
        Chart(spoken(layer), [Curve("switched", _so_far(run, f"drift/flipped/{layer}"), ONE)], _UNIT, low=0) for layer in layers
    ]


def _so_far(run: Run, name: str) -> Floats:
    """Return the running sum of a number up to the end; NaN where it is defined nowhere."""
    values = run.series(name)
    return np.where(np.arange(len(values)) <= run.last, np.nancumsum(values), np.nan) if np.isfinite(values).any() else values
