"""How much of a training's wall time samples may take: those that would take more are left out."""

from __future__ import annotations

import time
from collections.abc import Callable


class Overhead:
    """Keeps samples within a share of the wall time since the first one.

    The first sample is free: what it does once, such as finding out where to look, is no matter of how often samples are taken. Of
    what is left, a sample is taken only if it fits in too, at the cost of the one before.

    Args:
        share: of the wall time, more than 0 and less than 1; None allows all samples.
        clock: tells the time in seconds; by default the wall time.

    Raises:
        ValueError: `share` is none.

    >>> now = iter([10.0, 11.0, 20.0, 30.0])  # the first sample is over, and three that are due
    >>> overhead = Overhead(0.1, lambda: next(now))
    >>> overhead.took(5.0)
    >>> overhead.allows()  # nothing is known of what a later sample costs
    True
    >>> overhead.took(2.0)
    >>> overhead.allows(), overhead.allows()  # 4 of 12 seconds would be too much, as 4 of 22 are
    (False, False)
    """

    def __init__(self, share: float | None = None, clock: Callable[[], float] | None = None) -> None:
        number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if share is not None and not (number and 0 < share < 1):
            raise ValueError(f"`max_overhead` must be a share of the wall time, more than 0 and less than 1, got {share!r}.")
        self.share = share
        self.left_out = 0
        """Samples that were due, and would have taken too much."""
        self._clock = clock or _now
        self._began: float | None = None
        self._spent = self.cost = 0.0

    def took(self, seconds: float) -> None:
        """Take note of what a sample took."""
        if self._began is None:
            self._began = self._clock()
        else:
            self._spent, self.cost = self._spent + seconds, seconds

    def allows(self) -> bool:
        """Return whether a sample that is due may be taken; count it where it may not."""
        if self.share is None or self._began is None:
            return True
        passed = self._clock() - self._began
        if self._spent + self.cost <= self.share * (passed + self.cost):
            return True
        self.left_out += 1
        return False


def _now() -> float:
    return time.perf_counter()
