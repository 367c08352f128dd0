"""When to sample: plain predicates ``(previous, step) -> bool``, asked after every optimiser step.

A schedule is a *crossing*: it says whether a sampling point lies in ``previous < point <= step``. So it stays right where steps
are skipped (gradient accumulation, several optimisers), which ``step % n == 0`` does not. Step 0 and the last step are
always sampled and are no matter of the schedule.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import index
from typing import SupportsIndex

Schedule = Callable[[int, int], bool]
EVERY = 100
"""Steps between two samples, where nothing else is said."""
EARLY = 50
"""Samples that are so close together in any case; later ones may be farther apart."""
ScheduleLike = str | Sequence[int] | Schedule


def every(n: int) -> Schedule:
    """Return the schedule n, 2n, 3n and so on.

    >>> due = every(100)
    >>> due(99, 100), due(100, 101), due(190, 210)
    (True, False, True)
    """
    if not hasattr(n, "__index__") or isinstance(n, bool) or n < 1:
        raise ValueError(f"`every_n_steps` must be a whole number of optimiser steps, 1 or more, got {n!r}.")
    return _Every(index(n))


@dataclass(frozen=True)
class _Every:
    """A schedule, like those below: an object and no closure, so that a callback can be sent to another process."""

    n: int

    def __call__(self, previous: int, step: int) -> bool:
        return step // self.n > previous // self.n


@dataclass(frozen=True)
class Pace:
    """How often samples are taken where nothing is said: at first, and later on.

    Args:
        early: steps between two of the first `EARLY` samples.
        late: steps between two samples from then on, no fewer.
    """

    early: int = EVERY
    late: int = EVERY

    @property
    def turn(self) -> int:
        """The step from which on samples are farther apart."""
        return EARLY * self.early

    def schedule(self) -> Schedule:
        """Return the schedule of this pace.

        >>> due = Pace(1, 20).schedule()
        >>> [step for step in range(46, 101) if due(step - 1, step)]
        [46, 47, 48, 49, 50, 70, 90]
        """
        return _Paced(self)


@dataclass(frozen=True)
class _Paced:
    pace: Pace

    def __call__(self, previous: int, step: int) -> bool:
        return self._crossed(step) > self._crossed(previous)

    def _crossed(self, step: int) -> int:
        pace = self.pace
        return min(step, pace.turn) // pace.early + max(0, step - pace.turn) // pace.late


def at(steps: Iterable[int]) -> Schedule:
    """Return the schedule of the given steps, in any order.

    >>> due = at([10, 20])
    >>> due(0, 9), due(9, 10), due(10, 25), due(25, 26)
    (False, True, True, False)
    """
    return _At(tuple(sorted({_step(step) for step in steps})))


@dataclass(frozen=True)
class _At:
    points: tuple[int, ...]

    def __call__(self, previous: int, step: int) -> bool:
        return bisect_right(self.points, step) > bisect_right(self.points, previous)


def log_spaced(per_decade: int = 15) -> Schedule:
    """Return a schedule that is dense early: `per_decade` samples for each tenfold of steps.

    >>> due = log_spaced(2)
    >>> [step for step in range(1, 101) if due(step - 1, step)]
    [1, 3, 10, 32, 100]
    """
    if not isinstance(per_decade, int) or per_decade < 1:
        raise ValueError(f"`per_decade` must be a whole number, 1 or more, got {per_decade!r}.")
    decades = 12  # 10**12 steps: longer than any training
    return at({round(10 ** (k / per_decade)) for k in range(decades * per_decade)})


GINN_STEPS: tuple[int, ...] = tuple(
    step
    for start, stop, stride in (
        (0, 50, 1),
        (50, 101, 2),
        (105, 200, 2),
        (200, 300, 5),
        (300, 500, 10),
        (500, 1000, 20),
        (1000, 2000, 50),
        (2000, 4000, 100),
        (4000, 10_000, 500),
        (10_000, 640_000, 5000),
        (640_000, 1_280_000, 10_000),
    )
    for step in range(start, stop, stride)
)
"""The 431 steps at which GINN sampled (Darlow and Storkey 2018, arXiv 1810.01860; `sample_at` in their main.py)."""


def bursts(schedule: ScheduleLike, length: int = 3) -> Schedule:
    """Return the schedule that is due at the points of another one and at the `length` - 1 steps after each.

    Give it as ``schedule=bursts("log")``. Samples of consecutive steps show what flips at every step, which samples of every
    second, or of every hundredth, do not.

    Args:
        schedule: ``"log"``, ``"ginn"``, a list of steps or a callable ``(previous, step) -> bool``, such as ``every(100)``. A
            callable is asked once for each step of a burst, about earlier steps too: it must answer by its two arguments alone.
            One that counts its calls, or looks at the loss, is not fit.
        length: steps of a burst, 1 or more. Where a burst runs into the next point, it goes on.

    Raises:
        ValueError: `length` is no whole number of 1 or more, or a step is none of 0 or more.
        TypeError: `schedule` is none of the kinds that are understood.

    >>> due = bursts(every(10))
    >>> [step for step in range(1, 24) if due(step - 1, step)]
    [10, 11, 12, 20, 21, 22]
    >>> due(9, 14), due(11, 14), due(12, 14)  # where steps are skipped
    (True, True, False)
    """
    if not hasattr(length, "__index__") or isinstance(length, bool) or length < 1:
        raise ValueError(f"`length` must be a whole number of steps, 1 or more, got {length!r}.")
    # Step 0 is a point only where it is listed: of what comes before the first step no callable need know anything.
    return _Bursts(_understood(schedule), index(length), lowest=0 if callable(schedule) else -1)


@dataclass(frozen=True)
class _Bursts:
    due: Schedule
    length: int
    lowest: int

    def __call__(self, previous: int, step: int) -> bool:
        # A point is crossed k steps late if it is crossed by (previous - k, step - k).
        late = (k for k in range(self.length) if step - k > self.lowest)
        return any(self.due(max(previous - k, self.lowest), step - k) for k in late)


def resolve(every_n_steps: int | None = None, schedule: ScheduleLike | None = None) -> Schedule:
    """Return the schedule that the user's two arguments mean; every 100 steps where neither is given.

    Raises:
        ValueError: both are given, or one has a wrong value.
        TypeError: `schedule` is none of the kinds that are understood.
    """
    if every_n_steps is not None and schedule is not None:
        raise ValueError("Give `every_n_steps` or `schedule`, not both.")
    if schedule is None:
        return every(EVERY if every_n_steps is None else every_n_steps)
    return _understood(schedule)


def _understood(schedule: ScheduleLike) -> Schedule:
    if isinstance(schedule, str) and schedule in ("log", "ginn"):
        return log_spaced() if schedule == "log" else at(GINN_STEPS)
    if callable(schedule):
        return schedule
    if isinstance(schedule, str) or not hasattr(schedule, "__iter__"):
        raise TypeError(
            f'`schedule` must be "log", "ginn", a list of steps or a callable (previous, step) -> bool, got {schedule!r}.'
        )
    return at(schedule)


def _step(value: SupportsIndex) -> int:
    if not hasattr(value, "__index__") or isinstance(value, bool) or index(value) < 0:
        raise ValueError(f"`schedule` must list optimiser steps, whole numbers of 0 or more, got {value!r}.")
    return index(value)
