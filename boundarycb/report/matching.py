"""Which unit of one run is which of another: by where they switch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.chance import scattered
from boundarycb.metrics.masks import defined, phi_between
from boundarycb.report.ends import End, nearest
from boundarycb.types import Bits, Floats, spans_of

Assign = Callable[[Floats], tuple[NDArray[np.int64], NDArray[np.int64]]]

_DRAWS = 8  # that the chance level is the mean of


@dataclass(frozen=True)
class Matched:
    """The units of a layer of two runs, matched one to one.

    Args:
        units: (unit of the first run, unit of the second, phi), flat indices in the layer; phi is negative where one is on where
            the other is off.
        likeness: mean of the absolute values of phi, 0 to 1; NaN where a run has no unit that switches.
        draws: the same where each unit of the second run is mirrored and turned without regard to the others, eight times.
    """

    units: tuple[tuple[int, int, float], ...]
    likeness: float
    draws: tuple[float, ...]

    @property
    def chance(self) -> float:
        """The chance level of the likeness: the mean of the draws."""
        return float(np.mean(self.draws))

    @property
    def spread(self) -> float:
        """How far chance alone goes from its level: the standard deviation of the draws."""
        return float(np.std(self.draws, ddof=1))


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a layer that switch: their flat indices (k,), packed states (k, bytes), and how many were left out."""

    indices: NDArray[np.int64]
    on: Bits
    left_out: int


def units_by_layer(end: End, side: int) -> dict[str, Units]:
    """Return the units of a run's last snapshot, on a grid of `side` points a side; constant and undefined ones are left out."""
    capture = end.snapshot.capture
    resolution, usable, found = capture.resolution, defined(capture), {}
    rows, columns = nearest(resolution, side)
    for layer, span in zip(capture.layers, spans_of(capture.layers).values(), strict=True):
        states = np.unpackbits(capture.on[span], axis=1, count=resolution**2).reshape(-1, resolution, resolution)
        flat = states[:, rows, columns].reshape(len(states), side * side)
        good = usable[span] & (flat != flat[:, :1]).any(axis=1)
        found[layer.name] = Units(np.array(layer.kept, dtype=np.int64)[good], np.packbits(flat[good], axis=1), int((~good).sum()))
    return found


def match(first: Units, second: Units, side: int, assign: Assign, number: int = 0) -> Matched:
    r"""Return the matching of units that makes the sum of likenesses largest, and what chance would give.

    Of the one-to-one matchings m it is the one with the largest

    .. math:: \sum_u |\varphi(u, m(u))|

    with :math:`\varphi` of the units' on/off states over the slice (:func:`~boundarycb.metrics.masks.phi`). Of a layer that is
    larger in one run the units left over have no partner.

    A matching always finds something alike, so chance is far above 0: 0.6 to 0.75 for sixteen lines, more for more. Where the
    second run's units are copies of each other they are scattered all the same; so the level is too high there, if anything.

    Cost: U x U x P / 64 counts of bits, nine times, and the assignment's U^3: seconds for a layer of 1,000 units, milliseconds for
    one of 16.

    Args:
        first: units of one run.
        second: units of the other.
        side: points a side.
        assign: ``scipy.optimize.linear_sum_assignment``.
        number: of the second run. In a draw its units are in the same positions whichever run it is compared with; so the draws of
            several pairs may be averaged.
    """
    if not len(first.indices) or not len(second.indices):
        return Matched((), float("nan"), (float("nan"),) * _DRAWS)
    points = side * side
    table = phi_between(first.on, second.on, points)
    rows, columns = assign(-abs(table))
    phis = table[rows, columns]
    pairs = zip(first.indices[rows].tolist(), second.indices[columns].tolist(), phis.tolist(), strict=True)
    draws = []
    for draw in range(_DRAWS):
        likeness = abs(phi_between(first.on, _moved(second.on, side, (number, draw)), points))
        draws.append(float(likeness[assign(-likeness)].mean()))
    return Matched(tuple(pairs), float(abs(phis).mean()), tuple(draws))


def _moved(on: Bits, side: int, seed: tuple[int, int]) -> Bits:
    """Return packed states with each unit in a position of its own."""
    states = np.unpackbits(on, axis=1, count=side * side).reshape(-1, side, side).astype(bool)
    return np.packbits(scattered(states, np.random.default_rng(seed)).reshape(len(states), -1), axis=1)


def assignment() -> Assign | None:
    """Return scipy's assignment; None where scipy is not installed."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        return None
    solve: Any = linear_sum_assignment
    return solve  # type: ignore[no-any-return]
