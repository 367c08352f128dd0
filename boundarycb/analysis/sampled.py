"""Crossings along rays of any network: brackets between samples, closed in by bisection.

A unit that is on at one sample and off at the next has crossed between them, and so has the decision where another class wins.
Where a unit's value, or the lead of a class, dips towards zero and back, so far that it may have crossed twice, the lowest point is
looked for. What comes and goes between two samples without such a dip is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from boundarycb.analysis.found import Found
from boundarycb.analysis.rays import Ints, Rays, Reader, Values
from boundarycb.engines.grid import leads
from boundarycb.types import Floats, Forward, Reading

_VALUES = 2**22  # pre-activations held at a time
_GOLDEN = 0.3819660112501051
_NARROW = 24  # rounds of golden sections: the lowest point of a dip to 1e-5 of it
_MOST_CHANGES = 64  # of the winning class between two samples

Look = Callable[[Ints, Floats], Floats]
"""What is looked at (k, columns) at places (k,) of rays (k,): pre-activations, or by how much each class leads."""


@dataclass(frozen=True, eq=False)
class _Brackets:
    """Parts of rays in which a column is zero somewhere: their ends (k, 2), and the values there."""

    ray: Ints
    column: Ints
    ends: Floats
    values: Floats


def find(forward: Forward, *, rays: Rays, reading: Reading, decide: bool, parts: int, tolerance: float) -> list[Found]:
    """Return the crossings of the units that are watched, or of the decision, that samples show.

    Args:
        forward: runs the model.
        rays: where to look.
        reading: what the model calls.
        decide: whether crossings of the decision are wanted, instead of those of units.
        parts: into which each ray is parted by samples.
        tolerance: share of a ray to which a crossing is closed in.
    """
    units = sum(len(layer.kept) for layer in reading.layers)
    together = max(1, _VALUES // max(1, (units + 2) * (parts + 1)))
    found = []
    for first in range(0, len(rays), together):
        some = rays.some(first, first + together)
        read = Reader(forward, some, reading)
        places = np.broadcast_to(np.linspace(0.0, 1.0, parts + 1), (len(some), parts + 1))
        ray = np.repeat(np.arange(len(some)), parts + 1)
        seen = read(ray, places.ravel())
        one = _decisions(read, places, seen, tolerance) if decide else _units(read, places, seen, tolerance)
        found.append(one.shifted(first))
    return found


def _units(read: Reader, places: Floats, seen: Values, tolerance: float) -> Found:
    def look(ray: Ints, place: Floats) -> Floats:
        return read(ray, place).z

    z = seen.z.reshape(*places.shape, -1)
    dips = _dips(look, places, z)
    every = [_changes(places, z), dips.part(places, z, 0), dips.part(places, z, 2)]
    names = ("ray", "column", "ends", "values")
    brackets = _Brackets(*(np.concatenate([getattr(one, name) for one in every]) for name in names))
    where = _bisected(look, brackets, tolerance)
    on = (brackets.values[:, 1] > 0).astype(np.int64)
    return Found.joined([Found(brackets.ray, where, brackets.column, 1 - on, on)]).merged(2 * tolerance)


def _changes(places: Floats, z: Floats) -> _Brackets:
    """Return the neighbours among samples between which a unit's state changes."""
    good = np.isfinite(z)
    on = z > 0
    ray, after, column = np.nonzero((on[:, 1:] != on[:, :-1]) & good[:, 1:] & good[:, :-1])
    ends = np.stack([places[ray, after], places[ray, after + 1]], axis=1)
    return _Brackets(ray, column, ends, np.stack([z[ray, after, column], z[ray, after + 1, column]], axis=1))


@dataclass(frozen=True, eq=False)
class _Dips:
    """Where a column crosses zero and comes back between samples: the first of three samples, the lowest place, the value there."""

    ray: Ints
    number: Ints
    column: Ints
    bottom: Floats
    value: Floats

    def part(self, places: Floats, z: Floats, side: int) -> _Brackets:
        """Return the parts between the lowest place and the first (0) or the last (2) of the three samples."""
        end, at_end = places[self.ray, self.number + side], z[self.ray, self.number + side, self.column]
        ends, values = [end, self.bottom], [at_end, self.value]
        order = slice(None) if side == 0 else slice(None, None, -1)
        return _Brackets(self.ray, self.column, np.stack(ends[order], axis=1), np.stack(values[order], axis=1))


def _dips(look: Look, places: Floats, z: Floats) -> _Dips:
    """Return where a column of `z` (m, k, columns), looked at between samples of one state, turns out to have the other."""
    low, middle, high = z[:, :-2], z[:, 1:-1], z[:, 2:]
    on = z > 0
    with np.errstate(invalid="ignore"):
        sign = np.where(on[:, 1:-1], 1.0, -1.0)
        same = (on[:, :-2] == on[:, 1:-1]) & (on[:, 2:] == on[:, 1:-1])
        lowest = (sign * middle <= sign * low) & (sign * middle <= sign * high)
        bent = sign * (low - 2 * middle + high)  # what a part of one sample's width can fall below a parabola or a kink
        ray, number, column = np.nonzero(same & lowest & (bent > 0) & (sign * middle < bent))
    if not len(ray):
        return _Dips(ray, number, column, np.empty(0), np.empty(0))
    signs = sign[ray, number, column]
    ends = np.stack([places[ray, number], places[ray, number + 2]], axis=1)
    bottom, value = _lowest(look, ray, column, ends, signs)
    crossed = (value > 0) != (signs > 0)
    return _Dips(ray[crossed], number[crossed], column[crossed], bottom[crossed], value[crossed])


def _lowest(look: Look, ray: Ints, column: Ints, ends: Floats, sign: Floats) -> tuple[Floats, Floats]:
    """Return where ``sign * z`` is lowest between `ends` (k, 2), by golden sections, and z there."""
    rows = np.arange(len(ray))
    low, high = ends[:, 0].copy(), ends[:, 1].copy()
    one, two = low + _GOLDEN * (high - low), high - _GOLDEN * (high - low)
    at_one, at_two = (sign * look(ray, place)[rows, column] for place in (one, two))
    for _ in range(_NARROW):
        left = at_one < at_two
        low, high = np.where(left, low, one), np.where(left, two, high)
        kept, at_kept = np.where(left, one, two), np.where(left, at_one, at_two)
        new = np.where(left, low + _GOLDEN * (high - low), high - _GOLDEN * (high - low))
        at_new = sign * look(ray, new)[rows, column]
        one, two = np.where(left, new, kept), np.where(left, kept, new)
        at_one, at_two = np.where(left, at_new, at_kept), np.where(left, at_kept, at_new)
    return np.where(at_one < at_two, one, two), sign * np.minimum(at_one, at_two)


def _bisected(look: Look, brackets: _Brackets, tolerance: float) -> Floats:
    """Return where each bracket's column is zero (k,): halved to the tolerance, and there taken for straight."""
    ends, values = brackets.ends.copy(), brackets.values.copy()
    rows = np.arange(len(ends))
    state = values[:, 0] > 0
    for _ in range(_rounds(ends, tolerance)):
        middle = ends.mean(axis=1)
        there = look(brackets.ray, middle)[rows, brackets.column]
        side = np.where((there > 0) == state, 0, 1)
        ends[rows, side], values[rows, side] = middle, there
    fall = values[:, 0] - values[:, 1]
    share = np.where(fall != 0, values[:, 0] / np.where(fall != 0, fall, 1.0), 0.5)
    return np.asarray(ends[:, 0] + share * (ends[:, 1] - ends[:, 0]))


def _decisions(read: Reader, places: Floats, seen: Values, tolerance: float) -> Found:
    if not seen.scores.shape[1]:
        return Found.none()
    ray, place, winner = _with_dips(read, places, seen.scores)
    after = np.flatnonzero((winner[1:] != winner[:-1]) & (winner[1:] >= 0) & (winner[:-1] >= 0) & (ray[1:] == ray[:-1]))
    ends = np.stack([place[after], place[after + 1]], axis=1)
    ray, now, goal, stop, events, met = ray[after], winner[after], winner[after + 1], place[after + 1], [], []
    for _ in range(_MOST_CHANGES):  # a third class may win on the way
        if not len(ray):
            break
        ends, following = _first_change(read, ray, ends, now, goal, tolerance)
        events.append(Found(ray, _met(read, ray, ends, now, following), np.full(len(ray), -1), now, following))
        met.append(after)
        left = following != goal
        ray, now, goal, stop, after = ray[left], following[left], goal[left], stop[left], after[left]
        ends = np.stack([ends[left, 1], stop], axis=1)
    return Found.in_turn(events, met).merged(2 * tolerance)


def _with_dips(read: Reader, places: Floats, scores: Floats) -> tuple[Ints, Floats, Ints]:
    """Return the ray, the place and the winner of all samples, in order, and of where another class wins between two of them."""

    def look(ray: Ints, place: Floats) -> Floats:
        return leads(read(ray, place).scores)

    dips = _dips(look, places, leads(scores).reshape(*places.shape, -1))
    ray = np.concatenate([np.repeat(np.arange(len(places)), places.shape[1]), dips.ray])
    place = np.concatenate([places.ravel(), dips.bottom])
    winner = np.concatenate([_winners(scores), _winners(read(dips.ray, dips.bottom).scores)])
    order = np.lexsort((place, ray))
    return ray[order], place[order], winner[order]


def _first_change(read: Reader, ray: Ints, ends: Floats, now: Ints, goal: Ints, tolerance: float) -> tuple[Floats, Ints]:
    """Return the ends (k, 2) of a part within the tolerance in which class `now` stops to win, and who wins at its end."""
    ends, following = ends.copy(), goal.copy()
    rows = np.arange(len(ends))
    for _ in range(_rounds(ends, tolerance)):
        middle = ends.mean(axis=1)
        there = _winners(read(ray, middle).scores)
        still = there == now
        ends[rows, np.where(still, 0, 1)] = middle
        following = np.where(still, following, there)
    return ends, following


def _met(read: Reader, ray: Ints, ends: Floats, now: Ints, following: Ints) -> Floats:
    """Return where between `ends` (k, 2) the two classes' scores meet (k,), if they are straight lines."""
    rows = np.arange(len(ray))
    scores = [read(ray, place).scores for place in ends.T]
    low, high = (one[rows, now] - one[rows, following] for one in scores)
    fall = low - high
    share = np.where(fall > 0, low / np.where(fall > 0, fall, 1.0), 0.5)
    return np.asarray(ends[:, 0] + np.clip(share, 0, 1) * (ends[:, 1] - ends[:, 0]))


def _winners(scores: Floats) -> Ints:
    """Return the class that wins (k,); -1 where a score is not finite."""
    return np.where(np.isfinite(scores).all(axis=1), scores.argmax(axis=1), -1).astype(np.int64)


def _rounds(ends: Floats, tolerance: float) -> int:
    widest = float((ends[:, 1] - ends[:, 0]).max(initial=0.0))
    return max(0, math.ceil(math.log2(widest / tolerance))) if widest > 0 else 0
