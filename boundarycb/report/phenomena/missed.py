"""Which part of the target was missed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from boundarycb.metrics.target import MISSED
from boundarycb.report.finding import Finding, number, of_several, percent
from boundarycb.report.planes import draw_target_beside
from boundarycb.report.run import Run
from boundarycb.types import Snapshot, Target

_TOLD = 10  # parts that a table shows, the largest, and that are told of where they are missed, the worst

_NONE = "No part of 0.5 % of the slice or more is missed as a whole. What is wrong elsewhere is in the picture."

_QUESTION = (
    "Which part of the target did the network miss? The target falls into connected areas of one class each. For each of them "
    "that covers 0.5 % of the slice or more, *recall* is the share of its points at which that class wins; below a half the part "
    "is missed. A high accuracy may hide that a small part is missing altogether: that is GINN's failure case, whose network "
    "never found the diamond (section 10). A feature within a part, such as a bottle's lip, may be lost without any part being "
    "missed."
)


def missed(run: Run) -> Finding | None:
    """Return what a run says of the target's parts; None where there is no target, or it was not compared."""
    target, parts = run.end.slice.target, run.end.tables.get("target/parts", [])
    if target is None or not parts:
        return None
    accuracy, lost = run.at_end("target/accuracy"), run.at_end("target/missed_parts")
    if not math.isfinite(lost):
        return None
    worst = sorted((part for part in parts if part["recall"] < MISSED), key=lambda part: part["recall"])
    return Finding(
        name="missed",
        title="Which part of the target was missed",
        question=_QUESTION,
        result=f"{of_several(int(lost), 'part')} missed; {percent(accuracy)} of the points are right",
        level=f"{percent(_commonest(target))} of the points are right where the commonest class is said everywhere",
        columns={
            "part": "part",
            "class": "class",
            "share": "share of the slice",
            "where": "its centre of gravity",
            "recall": "recall",
        },
        rows=[_row(run.end, part) for part in parts[:_TOLD]],
        sentences=[_sentence(run.end, part) for part in worst[:_TOLD]] if lost else [_NONE],
        caption="The target, the network's output at the end, and the grid points at which they differ.",
        draw=lambda: draw_target_beside(run.end, target),
    )


def _commonest(target: Target) -> float:
    """Return the share of the commonest class among the points that have one."""
    counts = np.bincount(target.labels[target.labels >= 0])
    return float(counts.max() / counts.sum()) if counts.sum() else math.nan


def _row(snapshot: Snapshot, part: Mapping[str, Any]) -> dict[str, Any]:
    names = () if snapshot.field is None else snapshot.field.names
    said = names[part["class"]] if part["class"] < len(names) else part["class"]
    where = f"({number(part['u'])}, {number(part['v'])})"
    return {"part": part["part"], "class": said, "share": percent(part["share"]), "where": where, "recall": percent(part["recall"])}


def _sentence(snapshot: Snapshot, part: Mapping[str, Any]) -> str:
    row = _row(snapshot, part)
    return f"Part {row['part']} is missed: of its points around {row['where']}, class {row['class']}, {row['recall']} are right."
