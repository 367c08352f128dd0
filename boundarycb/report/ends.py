"""The ends of several runs, checked to be on one slice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from boundarycb.evenly import coarse
from boundarycb.history import History, load, short_names
from boundarycb.metrics.masks import classes_of
from boundarycb.render.captions import from_to
from boundarycb.report.run import end_of, said_of_lost
from boundarycb.types import Array, Slice, Snapshot

Run = str | os.PathLike[str] | History
"""A history, or where one is: what :func:`boundarycb.load` takes."""


@dataclass(frozen=True, eq=False)
class End:
    """How a run ended: its last snapshot, or where the network was lost, the last one before that.

    Args:
        name: what tells its path from the others'.
        path: its history's file.
        snapshot: the last one whose output is finite somewhere on the slice; the last of all where none is.
        lost: that its network was lost, and since when, in a sentence; else empty.
    """

    name: str
    path: Path
    snapshot: Snapshot
    lost: str

    @property
    def kind(self) -> str:
        """What the output is: ``classes``, ``value`` or ``none``."""
        field = self.snapshot.field
        return "none" if field is None else "value" if field.kind == "value" else "classes"

    def output(self, side: int) -> tuple[Array, NDArray[np.bool_]]:
        """Return the winning class at `side` x `side` points, or the value; and where it is defined."""
        field = self.snapshot.field
        assert field is not None  # those without output are not asked
        classes, points = classes_of(field), nearest(self.snapshot.capture.resolution, side)
        shown = field.value.astype(np.float64) if classes is None else classes.astype(np.int64)
        return shown[points], np.isfinite(field.value)[points]


def nearest(resolution: int, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows and columns of a grid, to index with, that are nearest to the points of a coarser one of `side` x `side`."""
    rows = coarse(resolution, side)
    return rows[:, None], rows


def ends_of(runs: Sequence[Run]) -> list[End]:
    """Return the end of each run: its last snapshot that is not lost (:attr:`boundarycb.types.Snapshot.is_lost`).

    Raises:
        ValueError: there are fewer than two runs, one has no snapshot, or they are not on one slice.
        FileNotFoundError: one has no history.
    """
    if isinstance(runs, (str, os.PathLike, History)):
        raise ValueError(f"`runs` must be a list of two or more runs, got {runs!r} alone.")  # noqa: TRY004 - as other errors
    if len(runs) < 2:
        raise ValueError(f"`runs` must be two or more runs, got {len(runs)}.")
    histories = [run if isinstance(run, History) else load(run) for run in runs]
    for history in histories:
        if not len(history):
            raise ValueError(f"`runs` must have a snapshot each; {history.path} has none.")
    names = short_names([history.path for history in histories])
    ends = [
        End(name, history.path, history[end_of(history)], said_of_lost(history))
        for name, history in zip(names, histories, strict=True)
    ]
    for end in ends[1:]:
        _check_slice(ends[0], end)
    return ends


def _check_slice(first: End, second: End) -> None:
    one, other = first.snapshot.slice, second.snapshot.slice
    said = "`runs` must be of one slice"
    if one.input_shape != other.input_shape:
        shapes = f"{one.input_shape} in {first.name}, {other.input_shape} in {second.name}"
        raise ValueError(f"{said}: the shapes of inputs differ, {shapes}.")
    if not np.allclose(one.bounds, other.bounds, rtol=1e-6, atol=0):
        bounds = f"{extent(one)} in {first.name}, {extent(other)} in {second.name}"
        raise ValueError(f"{said}: the bounds differ, {bounds}. Train them with one `slice=`.")
    size = float(abs(one.lift(one.corners())).max())
    for part in ("origin", "axes"):
        apart = float(abs(getattr(one, part) - getattr(other, part)).max())
        if apart > 1e-6 * size:
            raise ValueError(
                f"{said}: the {part} of {first.name} and {second.name} differ by up to {apart:.3g}. Train them with one `slice=`."
            )


def extent(slice: Slice) -> str:
    """Return the slice's bounds in words.

    >>> from boundarycb import slices
    >>> extent(slices.box((-1, 1), (0, 2)))
    'x1 -1 to 1, x2 0 to 2'
    """
    return ", ".join(
        f"{name} {' to '.join(from_to(*ends, digits=4))}" for name, ends in zip(slice.names, slice.bounds, strict=True)
    )


def labels_of(names: Sequence[str], room: int) -> list[str]:
    """Return what stands for the runs where there are `room` characters: their names where all fit, else their numbers.

    >>> labels_of(["a", "b"], 6), labels_of(["a", "a/long/one"], 6)
    (['a', 'b'], ['run 1', 'run 2'])
    """
    if all(len(name) <= room for name in names):
        return list(names)
    return [f"run {number + 1}" for number in range(len(names))]
