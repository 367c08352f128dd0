"""How alike units are by chance: what a copycat score is to be compared with."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from boundarycb.evenly import evenly
from boundarycb.metrics.masks import phi
from boundarycb.packed import count_common
from boundarycb.types import Bits

FLOOR = 0.95
"""No pair is called alike below this, however few units there are."""

_SEVERAL = 3  # different boundaries: fewer may be parallel by chance
_ENOUGH = 5  # different boundaries: of fewer random lines none may cross
_SIDE = 64  # points a side at which the run's own masks are compared: enough for a level, and cheap


def chance_of_lines(units: int) -> float:
    r"""Return the level that the most alike pair of `units` random straight lines exceeds in one set of twenty.

    .. math:: 1 - 0.30 \Big/ \sqrt{U (U - 1) / 2}

    Lines through a uniform point of a square, in a uniform direction; a fit to the 95th percentile of the largest
    :math:`|\varphi|` in thousands of such sets (``tests/test_copycat.py`` draws them again). Two lines are within :math:`\delta`
    of each other with a probability that grows as :math:`\delta^2`, hence the root of the number of pairs. NaN for fewer than two
    units.

    >>> [round(chance_of_lines(units), 3) for units in (4, 16, 64, 512)]
    [0.878, 0.973, 0.993, 0.999]
    """
    return 1 - 0.30 / math.sqrt(units * (units - 1) / 2) if units > 1 else math.nan


def chance_of_parallels(units: int) -> float:
    r"""Return the same of `units` random parallel lines, such as those of a layer that reads one number.

    .. math:: 1 - 0.075 \Big/ \frac{U (U - 1)}{2}

    Lines at uniform places across a square, fitted in the same way. Two of them are within :math:`\delta` with a probability that
    grows as :math:`\delta`, so that some pair is much more alike than of lines in all directions.

    >>> [round(chance_of_parallels(units), 4) for units in (2, 4, 16, 64)]
    [0.925, 0.9875, 0.9994, 1.0]
    """
    return 1 - 0.075 / (units * (units - 1) / 2) if units > 1 else math.nan


def are_nested(on: Bits, resolution: int) -> bool:
    """Return whether no two boundaries cross, of five or more different ones: all are thresholds of one number.

    Of any two there is then one of the four ways to be on or off, both, the one, the other, or neither, that no point has. Five
    random lines cross somewhere nearly always.

    Args:
        on: packed states (U, bytes) on the grid, of which at most 64 points a side are looked at.
        resolution: points a side.

    >>> places = np.arange(9)
    >>> are_nested(np.packbits([places > k for k in range(6)], axis=1), 3)
    True
    >>> are_nested(np.packbits([places > 3, places % 2 > 0, *(places > k for k in range(4))], axis=1), 3)
    False
    """
    if len(on) < _ENOUGH:
        return False
    states = _different(_coarse(on, resolution))
    if len(states) < _ENOUGH:
        return False
    flat = states.reshape(len(states), -1)
    both = count_common(np.packbits(flat, axis=1)).astype(np.int64)
    ones = np.diag(both)
    cells = (both, ones - both, ones[:, None] - both, flat.shape[1] - ones - ones[:, None] + both)
    return not np.minimum.reduce(cells).any()


def are_several(on: Bits, resolution: int) -> bool:
    """Return whether there are three different boundaries or more, on the same grid: of fewer, that they are parallel says little.

    >>> places = np.arange(9)
    >>> are_several(np.packbits([places > 2, places > 2, places <= 2, places > 5], axis=1), 3)
    False
    >>> are_several(np.packbits([places > 2, places > 4, places > 5], axis=1), 3)
    True
    """
    return len(on) >= _SEVERAL and len(_different(_coarse(on, resolution))) >= _SEVERAL


def chance_of_masks(on: Bits, resolution: int) -> float:
    r"""Return how alike units with these on/off states get when each is mirrored and turned without regard to the others.

    The largest :math:`|\varphi|` between any unit and any other in any of the square's eight positions. What a unit looks like
    stays, what two have in common by more than their kind does not; units whose lines all run through one point (biases of zero)
    are alike by that alone, and this level says so: 1, or nearly. Units with the same states count once. NaN where fewer than two
    switch.

    Args:
        on: packed states (U, bytes) on the grid.
        resolution: points a side.
    """
    if not len(on):
        return math.nan
    states = _different(_coarse(on, resolution))
    if len(states) < 2:
        return math.nan
    units, side = len(states), states.shape[1]
    highest = -math.inf
    for turned in _positions(states):
        both = np.packbits(np.concatenate([states, turned]).reshape(2 * units, -1), axis=1)
        between = abs(phi(both, side * side)[:units, units:])
        np.fill_diagonal(between, 0)
        highest = max(highest, float(between.max()))
    return highest


def scattered(states: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return the states (U, H, H) with each unit, without regard to the others, in one of the square's eight positions.

    What a unit looks like stays; where its boundary lies by more than chance does not.
    """
    place = rng.integers(8, size=len(states))
    moved = np.empty_like(states)
    for number, turned in enumerate(_positions(states)):
        moved[place == number] = turned[place == number]
    return moved


def _coarse(on: Bits, resolution: int) -> NDArray[np.bool_]:
    """Return the states on a grid of at most 64 points a side, (U, side, side)."""
    rows = evenly(resolution, _SIDE)
    states = np.unpackbits(on, axis=1, count=resolution**2).reshape(-1, resolution, resolution)
    return np.asarray(states[:, rows[:, None], rows].astype(bool))


def _different(states: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the states of units that switch, one of each that are the same or opposite."""
    flat = states.reshape(len(states), -1)
    flat = flat ^ flat[:, :1]
    _, first = np.unique(np.packbits(flat, axis=1), axis=0, return_index=True)
    return np.asarray(states[[index for index in sorted(first) if flat[index].any()]])


def _positions(states: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return `states` in the eight positions of a square."""
    return [np.rot90(mirrored, turns, axes=(1, 2)) for mirrored in (states, states[:, ::-1]) for turns in range(4)]
