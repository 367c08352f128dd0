"""What the benchmarks share: medians in shuffled order, where a program's time goes, and what machine it was."""

from __future__ import annotations

import os
import platform
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

Clock = Callable[[], float]


def medians(contestants: Mapping[str, Callable[[], object]], repeats: int, clock: Clock = time.process_time) -> dict[str, float]:
    """Return the median seconds of each contestant, CPU time by default; their order is shuffled in every repetition."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(repeats):
        for name in random.sample(list(contestants), len(contestants)):
            start = clock()
            contestants[name]()
            times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> str:
    """Return what was measured on, in a line."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, "
        f"torch {torch.__version__} on {torch.get_num_threads()} thread(s)"
    )


class Ledger:
    """Tells which parts of a program take how much CPU time of this thread, each without the parts that it calls.

    Args:
        clock: another clock, such as the wall's.

    Example::

        ledger = Ledger()
        with ledger.watching([("drawing", pictures, "draw_overlay"), ("PNG", Picture, "png")]):
            ...
        ledger.seconds["drawing"]
    """

    def __init__(self, clock: Clock = time.thread_time) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock = clock
        self._inside: list[str] = []
        self._since = 0.0

    @contextmanager
    def watching(self, parts: list[tuple[str, Any, str]]) -> Iterator[None]:
        """Watch functions meanwhile: the part's name, where the function is found, and its name there."""
        kept = [(owner, name, owner.__dict__[name]) for _, owner, name in parts]
        for part, owner, name in parts:
            setattr(owner, name, self._watched(part, owner.__dict__[name]))
        try:
            yield
        finally:
            for owner, name, function in kept:
                setattr(owner, name, function)

    def _watched(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._turn()
            self._inside.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._inside.pop()

        return timed

    def _turn(self) -> None:
        now = self._clock()
        if self._inside:
            self.seconds[self._inside[-1]] += now - self._since
        self._since = now


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown, numbers at the right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
