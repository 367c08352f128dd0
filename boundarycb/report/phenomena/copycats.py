"""Which units became copies of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import Finding, count, number, of_several
from boundarycb.report.layout import ONE, OTHER, below, layer_colour, side_by_side
from boundarycb.report.planes import Lines, Plane, draw_planes, is_in_view
from boundarycb.report.run import Run
from boundarycb.types import Picture, Snapshot
from boundarycb.words import listed, spoken

_BEHIND = "Behind them: the network's output."
_COURSE = "The curves: |phi| of each layer's most alike pair, and the level of the shown one."
_CANNOT_TELL = "no pair can be told from chance at the end"
_TOLD = 8  # pairs that have a sentence
_QUESTION = (
    "Are two units of a layer on and off at the same points? Their likeness is |phi|, the correlation of their on/off states: 1 "
    "for the same boundary, 0 for unrelated ones. Of many boundaries some two are always alike, so a pair counts as *copycats* "
    "only at or above its layer's *level*, which is fixed at the first snapshot: what the most alike of as many random straight "
    "lines exceed in one layer of twenty, and what the run's own first boundaries reach when they are mirrored and turned one by "
    "one; 0.95 at least. Units for which a grid point or two would decide are not compared. *Functional* pairs also correlate by "
    "0.95 or more in what they give for data points, on at the same side: one of them could go. *Effective units*: 1 if all are "
    "copies, the number of units that switch if all are uncorrelated. GINN's authors call them copycat neurons (section 7)."
)


def copycats(run: Run) -> Finding | None:
    """Return what a run says of copycats; None where they were not looked for."""
    layers = [layer for layer in run.moving if math.isfinite(run.at_end(f"copycat/pairs/{layer}"))]
    if not layers:
        return None
    start, end, new = (sum(values) for values in zip(*(_counts(run, layer) for layer in layers), strict=True))
    rows = [_row(run, layer) for layer in layers]
    pair = _shown_pair(run)
    levels = [level for layer in layers if math.isfinite(level := run.at_end(f"copycat/chance/{layer}"))]
    return Finding(
        name="copycats",
        title="Copycats",
        question=_QUESTION,
        result=_CANNOT_TELL
        if not any(math.isfinite(run.at_end(f"copycat/max_phi/{layer}")) for layer in layers)
        else f"{of_several(int(end), 'pair')} at the end"
        + ("" if run.is_single else f"{f', {int(new)} of them new' if end else ''}; {int(start)} at the start"),
        level=_level_in_words(levels),
        columns={
            "layer": "layer",
            "level": "level",
            "phi0": "most alike pair, start",
            "phi1": "most alike pair, end",
            "pairs0": "pairs, start",
            "pairs1": "pairs, end",
            "functional": "functional pairs, end",
            "cluster": "largest group",
            "effective": "effective units",
            "live": "units that switch, of those compared",
        },
        rows=rows,
        sentences=_sentences(run, layers),
        caption=_caption(pair, run),
        draw=None if pair is None else lambda: _draw(run, pair),
    )


def _level_in_words(levels: Sequence[float]) -> str:
    """Return from which likeness on pairs count, of layers that have such a level each; nothing where none has."""
    if not levels:
        return ""
    lowest, highest = min(levels), max(levels)
    return f"|phi| of {number(lowest, 3)}" + (f" to {number(highest, 3)}" if highest > lowest + 5e-4 else "") + " or more"


def _counts(run: Run, layer: str) -> tuple[float, float, float]:
    values = (
        run.at_start(f"copycat/pairs/{layer}"),
        run.at_end(f"copycat/pairs/{layer}"),
        run.at_end(f"copycat/new_pairs/{layer}"),
    )
    return tuple(value if math.isfinite(value) else 0.0 for value in values)  # type: ignore[return-value]


def _row(run: Run, layer: str) -> dict[str, str]:
    return {
        "layer": layer,
        "level": number(run.at_end(f"copycat/chance/{layer}"), 3),
        "phi0": number(run.at_start(f"copycat/max_phi/{layer}"), 3),
        "phi1": number(run.at_end(f"copycat/max_phi/{layer}"), 3),
        "pairs0": count(run.at_start(f"copycat/pairs/{layer}")),
        "pairs1": count(run.at_end(f"copycat/pairs/{layer}")),
        "functional": count(run.at_end(f"copycat/functional/{layer}")),
        "cluster": count(run.at_end(f"copycat/largest_cluster/{layer}")),
        "effective": number(run.at_end(f"copycat/effective_units/{layer}"), 1),
        "live": _compared(run, layer),
    }


def _compared(run: Run, layer: str) -> str:
    """Return how many of the units that are compared switch at the end, in words."""
    matrix = run.end.per_unit.get(f"copycat/phi/{layer}")
    return "" if matrix is None else f"{int((~np.isnan(np.diag(matrix))).sum())} of {len(matrix)}"


def _pairs(run: Run) -> list[dict[str, Any]]:
    """Return the copycats at the end that the table of closest pairs has."""
    return [row for row in run.end.tables.get("copycat/closest", []) if row["since"] is not None and row["layer"] in run.moving]


def _shown_pair(run: Run) -> Mapping[str, Any] | None:
    """Return the pair that the picture shows: one that became copycats in the run, the most alike first; else the most alike."""
    rows = [row for row in run.end.tables.get("copycat/closest", []) if row["layer"] in run.moving]
    born = [row for row in _pairs(run) if row["since"] > run.start.step]
    for known in (born, _pairs(run), rows):
        if known:
            return max(known, key=lambda row: abs(row["phi"]) - row["chance"])
    return None


def _sentences(run: Run, layers: list[str]) -> list[str]:
    told = []
    for pair in _pairs(run)[:_TOLD]:
        since = "from the start" if pair["since"] == run.start.step else f"since step {pair['since']:,}"
        mirrored = ", mirrored (one is on where the other is off)" if pair["phi"] < 0 else ""
        told.append(
            f"{spoken(pair['layer'])}: units {pair['unit']} and {pair['other']} are copycats {since}{mirrored}: |phi| "
            f"{abs(pair['phi']):.3f}, level {pair['chance']:.3f}."
        )
    more = int(sum(_counts(run, layer)[1] for layer in layers)) - len(told)
    if more > 0:
        told.append(f"And {of_several(more, 'more such pair')}.")
    told += _meanwhile(run, layers)
    known = [layer for layer in layers if math.isfinite(run.at_end(f"copycat/max_phi/{layer}"))]
    none = [spoken(layer) for layer in known if run.at_end(f"copycat/pairs/{layer}") == 0]
    if none:
        told.append(f"At the end no pair of {listed(none)} reaches its layer's level.")
    untold = [spoken(layer) for layer in layers if layer not in known and run.at_end(f"dormant/live/{layer}") > 0]
    if untold:
        told.append(
            f"Of {listed(untold)} no pair can be told from chance at the end: the level is so near 1, or so few grid points lie on "
            "one side of the units' boundaries, that a point or two would decide."
        )
    return told


def _meanwhile(run: Run, layers: list[str]) -> list[str]:
    """Return of layers without pairs at the end that they had some in the run."""
    said = []
    for layer in layers:
        pairs = np.nan_to_num(run.series(f"copycat/pairs/{layer}"))
        had = np.flatnonzero(pairs)
        if len(had) and not pairs[run.last]:
            which = "step" if len(had) == 1 else f"{len(had)} snapshots, the last of them at step"
            said.append(
                f"{spoken(layer)} had {of_several(int(pairs.max()), 'pair')} at most, at {which} {int(run.steps[had[-1]]):,}."
            )
    return said


def _caption(pair: Mapping[str, Any] | None, run: Run) -> str:
    if pair is None:
        return ""
    who = f"{spoken(pair['layer'])}, units {pair['unit']} and {pair['other']}"
    behind = _BEHIND if run.is_single else f"{_BEHIND} {_COURSE}"
    if pair["since"] is None:
        return f"{who}: the most alike pair, which does not reach its level. {behind}"
    course = f", copycats since step {pair['since']:,}: at the start, then and at the end, as far as they are on the slice"
    return f"{who}{'' if run.is_single else course}. {behind}"


def _draw(run: Run, pair: Mapping[str, Any]) -> Picture:
    middle = int(run.steps[(run.last + 1) // 2])
    steps = sorted({run.start.step, middle if pair["since"] is None else pair["since"], run.end.step})
    planes = [plane for step in steps if any(map(is_in_view, (plane := _plane(run.at(step), pair)).lines))]
    if run.is_single:
        return draw_planes([_plane(run.end, pair)])
    curves = [
        Curve(spoken(layer), run.series(f"copycat/max_phi/{layer}"), layer_colour(run.end, layer))
        for layer in run.moving
        if run.has(f"copycat/max_phi/{layer}")
    ]
    chart = Chart("most alike pair", curves, "|phi|", level=pair["chance"], level_label="level", low=0.0, high=1.0)
    shown, course = draw_planes(planes or [_plane(run.end, pair)]), draw_charts(run.steps.tolist(), [chart])
    return below(shown, course) if len(planes) > 1 else side_by_side(shown, course)


def _plane(snapshot: Snapshot, pair: Mapping[str, Any]) -> Plane:
    lines = [
        Lines(snapshot, pair["layer"], pair["unit"], ONE, f"unit {pair['unit']}", width=3.2),
        Lines(snapshot, pair["layer"], pair["other"], OTHER, f"unit {pair['other']}", "--", width=1.8),
    ]
    return Plane(f"step {snapshot.step:,}", snapshot, lines)
