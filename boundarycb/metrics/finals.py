"""A run in a few numbers: what an HParams table or a comparison of runs needs."""

from __future__ import annotations

import math
from collections.abc import Mapping

_SUMMED = tuple(  # are since the last sample, so a run has their sum
    f"{group}/{part}/"
    for group, parts in {"drift": "flipped shift rotate upstream", "cause": "bias weights upstream", "line": "turn slide"}.items()
    for part in parts.split()
)
LEAST_FLIPS = 5
"""Grid points that flipped: fewer say nothing about their parts."""


class Finals:
    """Adds up the metrics of a run's samples; only numbers by name are held, whatever the length of the run.

    >>> finals = Finals(points=100)
    >>> finals.add({"copycat/pairs/fc": 0.0})
    >>> finals.add({"copycat/pairs/fc": 2.0, "drift/flipped/fc": 0.2, "drift/shift/fc": 0.15, "drift/rotate/fc": 0.05})
    >>> finals.numbers()["final/copycat/pairs/fc"], round(finals.numbers()["total/drift/shift_share/fc"], 9)
    (2.0, 0.75)

    Args:
        points: grid points, for what is too little to be shared out.
    """

    def __init__(self, points: int) -> None:
        self._points = points
        self._last: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._was_whole = False  # at some sample
        self._told: dict[str, float] | None = None  # up to the last such sample, where samples after it were lost

    def add(self, metrics: Mapping[str, float], *, is_lost: bool = False) -> None:
        """Add a sample's metrics; `is_lost` says that its network was (:attr:`boundarycb.types.Snapshot.is_lost`)."""
        if not is_lost:
            self._was_whole, self._told = True, None
        elif self._was_whole and self._told is None:
            self._told = self._numbers()
        for name, value in metrics.items():
            if not name.startswith(_SUMMED):
                self._last[name] = value
            elif math.isfinite(value):
                self._sums[name] = self._sums.get(name, 0.0) + value

    def numbers(self) -> dict[str, float]:
        """Return the finite figures of the run up to its last sample that was not lost; up to its end where all were.

        ``final/<metric>`` is the last sample's value. ``total/<metric>`` is the sum over the samples of what is measured since the
        last one: the way that boundaries went, with detours. ``total/drift/shift_share/<layer>`` is shift / (shift + rotate) of
        these sums, given where five points of the grid or more flipped.
        """
        return dict(self._numbers() if self._told is None else self._told)

    def _numbers(self) -> dict[str, float]:
        found = {f"total/drift/shift_share/{layer}": share for layer, share in self._shift_shares().items()}
        found |= {f"total/{name}": value for name, value in self._sums.items()}
        found |= {f"final/{name}": value for name, value in self._last.items()}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _shift_shares(self) -> dict[str, float]:
        shares = {}
        for name, flipped in self._sums.items():
            layer = name.removeprefix("drift/flipped/")
            shift, rotate = (self._sums.get(f"drift/{part}/{layer}", math.nan) for part in ("shift", "rotate"))
            if layer != name and flipped * self._points >= LEAST_FLIPS and shift + rotate > 0:
                shares[layer] = shift / (shift + rotate)
        return shares
