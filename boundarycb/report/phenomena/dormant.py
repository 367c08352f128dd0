"""Units that do not switch on the slice, or do nothing."""

from __future__ import annotations

import math

import numpy as np

from boundarycb.metrics.masks import defined
from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import Finding, count, of_several, of_the_finite, percent, says_classes
from boundarycb.report.layout import layer_colour
from boundarycb.report.run import Run
from boundarycb.types import Picture, spans_of
from boundarycb.words import listed, spoken

_QUESTION = (
    "Which units do no work here? A ReLU that is on nowhere on the slice gives nothing to the next layer there (a leaky one, "
    "or one of another kind, gives little); one that is on everywhere is linear there; the others are *live*. The slice is a "
    "thin piece of the input space, so a unit that is never on here is not called dead: it may be on for data elsewhere, which"
    " *never on for the data points* looks at, and it can come on again when the layers below move. *tau-dormant* units have a"
    " mean activation of 2.5 % of their layer's or less (Sokar et al. 2023, on the slice). Sigmoid and tanh units work on both"
    " sides of 0: one that is never on is not idle; *saturated* says on how much of the slice, on average over the units, they"
    " have hardly any slope left."
)


_ZERO_WHEN_OFF = {"relu", "relu6"}

_MANY = 0.25
"""Share of a layer's units that are on everywhere, from which on it is told of in a sentence."""


def dormant(run: Run) -> Finding | None:
    """Return what a run says of units that do not switch; None where they were not looked for."""
    layers = [layer for layer in run.layers if math.isfinite(run.at_end(f"dormant/live/{layer}"))]
    if not layers:
        return None
    least = min([layer for layer in layers if layer in run.moving] or layers, key=lambda layer: run.at_end(f"dormant/live/{layer}"))
    dead = [layer for layer in layers if _since_all_off(run, layer) is not None]
    told = f"never_on/{dead[0]}" if dead else f"live/{least}"
    revivals = np.nansum([run.at_end(f"dormant/revivals/{layer}") for layer in layers if layer in run.moving])
    never = run.at_end("dormant/never_predicted_data")
    return Finding(
        name="dormant",
        title="Units that do not switch",
        question=_QUESTION,
        result=f"all {_units(run, dead)} of {listed([spoken(layer) for layer in dead])} on nowhere at the end"
        if dead
        else f"{spoken(least)}: {percent(run.at_end(f'dormant/live/{least}'))} of the units switch at the end",
        level="" if run.is_single else f"{percent(run.at_start(f'dormant/{told}'))} at the start",
        columns={
            "layer": "layer",
            "live0": "live, start",
            "live1": "live, end",
            "never": "never on here, end",
            "always": "always on here, end",
            "tau": "tau-dormant, end",
            "saturated": "saturated, end",
            "data": "never on for the data points, end",
            "revivals": "came on",
        },
        rows=[_row(run, layer) for layer in layers],
        note=of_the_finite(run.end),
        sentences=[*(_said_of_dead(run, layer) for layer in dead), *_sentences(run, layers, round(revivals), never)],
        caption="The share of units that switch on the slice, and of those never or always on where there are any, by layer.",
        draw=None if run.is_single else lambda: _draw(run, layers),
    )


def _sentences(run: Run, layers: list[str], revivals: int, never: float) -> list[str]:
    idle = [(layer, run.at_end(f"dormant/never_on_data/{layer}")) for layer in layers]
    told = [f"{spoken(layer)} {percent(share)}" for layer, share in idle if share > 0]
    said = [f"At the end these shares of the units are on for none of the data points: {', '.join(told)}."] if told else []
    fixed = [(layer, run.at_end(f"dormant/always_on/{layer}")) for layer in layers]
    told = [f"{spoken(layer)} {percent(share)}" for layer, share in fixed if share >= _MANY]
    if told:
        said.append(
            f"At the end these shares of the units are on everywhere on the slice, and so bend nothing here: {', '.join(told)}."
        )
    if never > 0 and says_classes(run.end):
        said.append(f"{of_several(round(never), 'class', 'classes').capitalize()} won for none of the data points.")
    if run.is_single:
        return said
    if not revivals:
        return [*said, "No unit that was on nowhere on the slice was on somewhere at the next snapshot."]
    back = "Once a unit" if revivals == 1 else f"{revivals:,} times a unit"
    return [*said, f"{back} that was on nowhere on the slice was on somewhere at the next snapshot, again or for the first time."]


def _since_all_off(run: Run, layer: str) -> int | None:
    """Return the number of the snapshot since which all watched units of a layer of ReLUs are on nowhere; None if some are not.

    Other activations give something below 0 too. Of a layer with units that are not finite nothing is told.
    """
    ops = {known.name: known.op for known in run.end.layers}
    off = run.series(f"dormant/never_on/{layer}")[: run.last + 1] >= 1
    is_whole = layer in ops and bool(defined(run.end.capture)[spans_of(run.end.layers)[layer]].all())
    if not is_whole or ops[layer] not in _ZERO_WHEN_OFF or not off[-1]:
        return None
    return int(np.flatnonzero(np.append(True, ~off))[-1])


def _said_of_dead(run: Run, layer: str) -> str:
    """Return that a layer gives nothing on the slice, and since when; of one that is watched in part, that these units do not."""
    place = _since_all_off(run, layer)
    since = "at all snapshots" if place == 0 else f"since step {int(run.steps[place or 0]):,}"
    gives = ": the layer gives 0 everywhere there" if _are_all_watched(run, [layer]) else ""
    return f"All {_units(run, [layer])} of {spoken(layer)} are on nowhere on the slice, {since}{gives}."


def _units(run: Run, layers: list[str]) -> str:
    """Return what is said of all units of some layers, which may not all be watched."""
    return "units" if _are_all_watched(run, layers) else "watched units"


def _are_all_watched(run: Run, layers: list[str]) -> bool:
    return all(len(known.kept) == known.size for known in run.end.layers if known.name in layers)


def _row(run: Run, layer: str) -> dict[str, str]:
    return {
        "layer": layer,
        "live0": percent(run.at_start(f"dormant/live/{layer}")),
        "live1": percent(run.at_end(f"dormant/live/{layer}")),
        "never": percent(run.at_end(f"dormant/never_on/{layer}")),
        "always": percent(run.at_end(f"dormant/always_on/{layer}")),
        "tau": percent(run.at_end(f"dormant/tau/{layer}")),
        "saturated": percent(run.at_end(f"dormant/saturated/{layer}")),
        "data": percent(run.at_end(f"dormant/never_on_data/{layer}")),
        "revivals": "" if run.is_single else count(run.at_end(f"dormant/revivals/{layer}")),
    }


def _draw(run: Run, layers: list[str]) -> Picture:
    charts = [
        Chart(
            title,
            [Curve(spoken(layer), run.series(f"dormant/{name}/{layer}"), layer_colour(run.end, layer)) for layer in layers],
            "share of the units",
            low=0.0,
            high=1.0,
        )
        for name, title in (("live", "live: switch on the slice"), ("never_on", "never on here"), ("always_on", "always on here"))
        if name == "live" or any(np.nan_to_num(run.series(f"dormant/{name}/{layer}")).any() for layer in layers)
    ]
    return draw_charts(run.steps.tolist(), charts)
