"""Which units became copies of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from boundarycb.report.figures import Lines, Plane, draw_planes
from boundarycb.report.finding import Finding, count, number, of_several
from boundarycb.report.run import Run, spoken
from boundarycb.types import Picture

_TOLD = 8  # pairs that have a sentence
_ONE, _OTHER = "#1F6FD0", "#D55E00"

_QUESTION = (
    "Are two units on and off at the same points? Their likeness is |phi|, the correlation of their on/off states: 1 for the "
    "same boundary, 0 for unrelated ones. Of many lines some pair is always alike, so a pair counts as *copycats* only at or "
    "above its layer's chance level, which is fixed at the first sample. *Functional* pairs also have proportional values on "
    "samples of the data (r of 0.95 or more, same side on): one of them could go. GINN's authors call them copycat neurons "
    "(section 7)."
)


def copycats(run: Run) -> Finding | None:
    """Return what a run says of copycats; None where they were not looked for."""
    layers = [layer for layer in run.layers if math.isfinite(run.at_end(f"copycat/pairs/{layer}"))]
    if not layers:
        return None
    start, end, new = (sum(values) for values in zip(*(_counts(run, layer) for layer in layers), strict=True))
    rows = [_row(run, layer) for layer in layers]
    pair = _shown_pair(run)
    levels = [run.at_end(f"copycat/chance/{layer}") for layer in layers]
    lowest, highest = min(levels), max(levels)
    return Finding(
        name="copycats",
        title="Copycats",
        question=_QUESTION,
        result=f"{of_several(int(end), 'pair')} at the end, {int(new)} of them new; {int(start)} at the start",
        level=f"|phi| of {number(lowest, 3)}" + (f" to {number(highest, 3)}" if highest > lowest + 5e-4 else "") + " or more",
        columns={
            "layer": "layer",
            "level": "chance level",
            "phi0": "most alike pair, start",
            "phi1": "end",
            "pairs0": "pairs, start",
            "pairs1": "end",
            "functional": "functional, end",
            "cluster": "largest group",
            "effective": "effective units",
            "live": "of units that switch",
        },
        rows=rows,
        sentences=_sentences(run, layers),
        caption=_caption(pair),
        draw=None if pair is None else lambda: _draw(run, pair),
    )


def _counts(run: Run, layer: str) -> tuple[float, float, float]:
    values = (
        run.at_start(f"copycat/pairs/{layer}"),
        run.at_end(f"copycat/pairs/{layer}"),
        run.at_end(f"copycat/new_pairs/{layer}"),
    )
    return tuple(value if math.isfinite(value) else 0.0 for value in values)  # type: ignore[return-value]


def _row(run: Run, layer: str) -> dict[str, str]:
    units = sum(len(one.kept) for one in run.end.layers if one.name == layer)
    live = run.at_end(f"dormant/live/{layer}")
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
        "live": count(live * units) if math.isfinite(live) else "",
    }


def _pairs(run: Run) -> list[dict[str, Any]]:
    """Return the copycats at the end that the table of closest pairs has."""
    return [row for row in run.end.tables.get("copycat/closest", []) if row["since"] is not None and row["layer"] in run.layers]


def _shown_pair(run: Run) -> Mapping[str, Any] | None:
    """Return the pair that the picture shows: one that became copycats in the run, the most alike first; else the most alike."""
    rows = [row for row in run.end.tables.get("copycat/closest", []) if row["layer"] in run.layers]
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
    none = [spoken(layer) for layer in layers if run.at_end(f"copycat/pairs/{layer}") == 0]
    if none:
        told.append(f"No pair of {', '.join(none)} is more alike at the end than chance explains.")
    return told


def _caption(pair: Mapping[str, Any] | None) -> str:
    if pair is None:
        return ""
    who = f"{spoken(pair['layer'])}, units {pair['unit']} and {pair['other']}"
    if pair["since"] is None:
        return f"{who}, the most alike pair of the run, which is not more alike than chance explains: at the start and at the end."
    return f"{who}: at the start, when they became copycats, and at the end."


def _draw(run: Run, pair: Mapping[str, Any]) -> Picture:
    steps = sorted({run.start.step, run.start.step if pair["since"] is None else pair["since"], run.end.step})
    planes = []
    for step in steps:
        snapshot = run.at(step)
        lines = [
            Lines(snapshot, pair["layer"], pair["unit"], _ONE, f"unit {pair['unit']}", width=3.2),
            Lines(snapshot, pair["layer"], pair["other"], _OTHER, f"unit {pair['other']}", "--", width=1.8),
        ]
        planes.append(Plane(f"step {step:,}", snapshot, lines))
    return draw_planes(planes)
