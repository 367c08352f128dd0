"""The picture of several runs: their last overlays side by side, and where they disagree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boundarycb.render.layout import SIZE
from boundarycb.render.sheet import Difference, draw_sheet
from boundarycb.report.ends import End, Run, ends_of, labels_of
from boundarycb.types import Array, Floats, Picture

MOST = 12
"""Runs that are drawn."""

_SHORT = 11  # characters: longer names are numbered, as in the tables

__all__ = ["MOST", "SIZE", "difference", "draw_comparison"]


def draw_comparison(runs: Sequence[Run], size: int = SIZE) -> Picture:
    """Return the overlays of the runs' ends side by side, and as the last panel a map of where the runs disagree.

    The map shows at each grid point the share of runs that differ from the majority's class, under the borders between classes of
    all runs; of outputs that are values, their standard deviation over the runs. There is none where outputs are not comparable.

    Args:
        runs: two or more histories on one slice, or paths of them; the first twelve are drawn, the map is of all.
        size: longer side of each plot in pixels, 64 to 4096.

    Raises:
        ValueError: there are fewer than two runs, one has no snapshot, or they are not on one slice.
        FileNotFoundError: one has no history.
    """
    ends = ends_of(runs)
    shown = ends[:MOST]
    which = f"{len(ends)} runs" if len(shown) == len(ends) else f"{len(shown)} of {len(ends)} runs"
    labels = labels_of([end.name for end in ends], _SHORT)
    titles = [("" if label == end.name else f"{label}: ", end.name) for label, end in zip(labels, shown, strict=False)]
    return draw_sheet([end.snapshot for end in shown], titles, difference(ends), heading=f"{which} side by side", size=size)


def difference(ends: Sequence[End]) -> Difference | None:
    """Return where runs disagree, for the map; None where outputs are not comparable."""
    kinds = {end.kind for end in ends}
    if len(kinds) > 1 or kinds == {"none"}:
        return None
    side = min(end.snapshot.capture.resolution for end in ends)
    outputs, good = (np.stack(parts) for parts in zip(*(end.output(side) for end in ends), strict=True))
    borders = tuple(end.snapshot.decision for end in ends if end.snapshot.decision is not None)
    if kinds == {"value"}:
        values = np.where(good.all(axis=0), np.where(good, outputs, 0).std(axis=0), np.nan)
        most = f"{_largest(values):.3g}"
        return Difference(values, ("0", most), f"standard deviation of the output over {len(ends)} runs, {side}² grid", borders)
    values = np.where(good.all(axis=0), dissent(outputs), np.nan)
    most = f"{round(_largest(values) * len(ends))} of {len(ends)} runs"
    what = "where the two runs' classes differ" if len(ends) == 2 else "runs that differ from the majority's class"
    scale = ("same", "other") if len(ends) == 2 else ("none", most)
    return Difference(values, scale, f"{what}, {side}² grid", borders)


def dissent(classes: Array) -> Floats:
    """Return the share of runs that differ from the majority's class, (H, W), of the `classes` (runs, H, W).

    >>> dissent(np.array([[[0, 0, 1]], [[0, 1, 2]], [[0, 1, 3]]])).round(3).tolist()
    [[0.0, 0.333, 0.667]]
    """
    votes = np.stack([(classes == one).sum(axis=0) for one in classes])
    return np.asarray(1 - votes.max(axis=0) / len(classes))


def _largest(values: Floats) -> float:
    return float(np.nanmax(values, initial=0.0))
