"""What a run that goes on needs of the one before, read from what that left on disk."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from boundarycb.history import FILE, History, load
from boundarycb.memory import WINDOW
from boundarycb.metrics.finals import Finals
from boundarycb.probe import load_plain
from boundarycb.types import Snapshot


@dataclass(frozen=True, eq=False)
class Earlier:
    """What a run that goes on needs of the one before: all of it is read before anything is made.

    Args:
        history: the other run's.
        steps: of its samples that are gone on with.
        ends: the first one, and the last ones.
        finals: the numbers of all of them.
    """

    history: History
    steps: list[int]
    ends: list[Snapshot]
    finals: Finals


def read_earlier(directory: Path, run: str, last: int, points: int) -> Earlier | None:
    """Return what is needed of an earlier run's samples up to step `last`; None where it took none by then.

    Args:
        directory: where its history lies.
        run: what tells it from all others; empty where that is not known.
        last: the step.
        points: how many grid points its samples have.

    Raises:
        OSError: the history cannot be read.
        ValueError: it is damaged, or another run's.
    """
    history = load(directory / FILE)
    if run not in ("", history.run):
        raise ValueError(f"{directory} holds another run now")
    steps = [step for step in history.steps if step <= last]
    if not steps:
        return None
    found = Earlier(history, steps, list(history.ends(WINDOW, last)), Finals(points))
    whole = history.last_finite(len(steps))
    for place, metrics in enumerate(islice(history.metrics(), len(steps))):
        found.finals.add(metrics, is_lost=whole is None or place > whole)
    return found


def read_place(file: Path, run: str) -> dict[str, Any]:
    """Return where a run looked, from the `file` that lies beside its history.

    Raises:
        Exception: there is none, or it is damaged or another run's.
    """
    place: dict[str, Any] = load_plain(file)
    if place.pop("run") != run:
        raise ValueError(f"{file.parent} holds another run now")
    return place
