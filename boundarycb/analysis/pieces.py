"""Crossings along rays of a piecewise-linear network: all of them, to the last digits, from forward passes alone.

Along a ray all units of the first layer are affine, so their values at its two ends tell where each is zero. Between these places
all units of the second layer are affine, and so on: the boundaries of a plane, one dimension down. What was found is looked at once
more between all places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from boundarycb.analysis.found import Found
from boundarycb.analysis.rays import Ints, Rays, Reader, Values
from boundarycb.engines.exact import LIMIT, NotFinite, NotPiecewiseLinear, Unsuitable
from boundarycb.types import Floats, Forward, Layer, Reading

_SAME = 1e-12  # of a ray: places nearer to each other are one
_ZERO = 1e-12  # of a unit's largest value: less is what rounding leaves
_LEFT = 64 * np.finfo(np.float64).eps  # of what it is elsewhere: the same
_LOOKS = 64  # places of each ray at which it is looked again
_VALUES = 2**22  # that are held at a time, as far as the rays that are looked at together decide
_MOST_VALUES = 2**25  # of one ray
_OFF_MIDDLE = 0.4142135623730951  # where a piece is looked at: at its middle an odd function looks affine


def find(forward: Forward, *, rays: Rays, reading: Reading, decide: bool, again: Forward | None = None) -> list[Found]:
    """Return the crossings of all units, watched or not, or of the decision.

    Args:
        forward: runs the model in double precision, and gives all units.
        rays: where to look.
        reading: what the model calls.
        decide: whether crossings of the decision are wanted, instead of those of units.
        again: runs it in another way, to look again; `forward` by default.

    Raises:
        Unsuitable: the network is not affine where it should be, its values are not finite, or they take too much memory.
    """
    units = sum(layer.size for layer in reading.layers)
    together = max(1, _VALUES // max(1, 2 * units * units))
    found = []
    for first in range(0, len(rays), together):
        some = rays.some(first, first + together)
        pieces = _cut(Reader(forward, some, reading), len(some), reading, decide)
        _certify(Reader(again or forward, some, reading), pieces, decide)
        found.append((_decisions(pieces) if decide else pieces.crossings).shifted(first))
    return found


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Places on rays, sorted, between which the network is affine, what it gives there, and where units cross zero.

    `beside` is the size of the largest unit beside each ray (m,).
    """

    ray: Ints
    place: Floats
    values: Values
    crossings: Found
    beside: Floats

    def starts(self) -> Ints:
        """Return which places begin a piece: all but the last one of each ray."""
        return np.flatnonzero(self.ray[1:] == self.ray[:-1])


def _cut(read: Reader, count: int, reading: Reading, decide: bool) -> _Pieces:
    ray, place = np.repeat(np.arange(count), 2), np.tile([0.0, 1.0], count)
    values, events, own = read(ray, place), [], _own_sizes(read)
    kinks = reading.kinks or ((0.0,),) * len(reading.layers)
    first = 0
    for number, (layer, bends) in enumerate(zip(reading.layers, kinks, strict=True)):
        columns = slice(first, first + layer.size)
        z = values.z[:, columns]
        if not np.isfinite(z).all():
            raise NotFinite(f"{layer.name} is not finite everywhere")
        zero = np.maximum(_ZERO * _largest(ray, z), _LEFT * own[ray, columns])
        events.append(_zeros(ray, place, z, zero, first))
        first += layer.size
        if number == len(reading.layers) - 1 and not decide:
            break  # nothing is read behind the last layer
        new = _places(ray, place, z, zero, bends or ())
        if len(new[0]):
            if (len(place) + len(new[0])) * max(1, values.z.shape[1]) > _MOST_VALUES:
                raise Unsuitable("pre-activations at the rays' pieces take too much memory")
            order = np.lexsort((np.concatenate([place, new[1]]), np.concatenate([ray, new[0]])))
            values = Values.joined([values, read(*new)]).where(order)
            ray, place = np.concatenate([ray, new[0]])[order], np.concatenate([place, new[1]])[order]
    return _Pieces(ray, place, values, Found.joined(events).merged(_SAME), own.max(axis=1, initial=0.0))


def _own_sizes(read: Reader) -> Floats:
    """Return how large each unit is beside each ray (m, U), as far from the middle as its ends are.

    A unit that is zero all along a ray is nothing but what is left where the numbers that make it cancel: these are seen beside it.
    """
    beside = Rays(-read.rays.start, np.roll(read.rays.stop.reshape(len(read.rays), -1), 1, axis=1).reshape(read.rays.stop.shape))
    z = read.along(beside)(np.repeat(np.arange(len(beside)), 2), np.tile([0.0, 1.0], len(beside))).z
    return np.asarray(np.abs(np.where(np.isfinite(z), z, 0.0)).reshape(len(beside), 2, -1).max(axis=1))


def _largest(ray: Ints, values: Floats) -> Floats:
    """Return the largest size of each column on the ray that a place (k,) is on, (k, columns): no ray's depends on the others."""
    first = np.flatnonzero(np.concatenate([[True], ray[1:] != ray[:-1]]))
    sizes = np.maximum.reduceat(np.abs(values), first, axis=0)
    return np.repeat(sizes, np.diff(np.append(first, len(ray))), axis=0)


def _between(ray: Ints, place: Floats, z: Floats, zero: Floats, level: float) -> tuple[Ints, Ints, Floats, Floats]:
    """Return after which place, and in which column, `z` crosses a level, where, and its value after it."""
    shifted = z - level
    shifted = np.where(np.abs(shifted) <= zero, 0.0, shifted)
    on = shifted > 0
    after, column = np.nonzero((on[1:] != on[:-1]) & (ray[1:] == ray[:-1])[:, None])
    low, high = shifted[after, column], shifted[after + 1, column]
    return after, column, place[after] + low / (low - high) * (place[after + 1] - place[after]), high


def _zeros(ray: Ints, place: Floats, z: Floats, zero: Floats, first: int) -> Found:
    after, column, where, high = _between(ray, place, z, zero, 0.0)
    on = (high > 0).astype(np.int64)
    return Found(ray[after], where, column + first, 1 - on, on)


def _places(ray: Ints, place: Floats, z: Floats, zero: Floats, kinks: Sequence[float]) -> tuple[Ints, Floats]:
    """Return the places, sorted, at which the layer bends and none is yet."""
    found = [_between(ray, place, z, zero, level) for level in kinks]
    if not found:
        return np.empty(0, np.int64), np.empty(0)
    after = np.concatenate([one[0] for one in found])
    where = np.concatenate([one[2] for one in found])
    inside = (where - place[after] > _SAME) & (place[after + 1] - where > _SAME)
    after, where = after[inside], where[inside]
    order = np.lexsort((where, ray[after]))
    rays, where = ray[after][order], where[order]
    fresh = np.ones(len(where), dtype=bool)
    fresh[1:] = (rays[1:] != rays[:-1]) | (where[1:] - where[:-1] > _SAME)
    return rays[fresh], where[fresh]


def _certify(read: Reader, pieces: _Pieces, decide: bool) -> None:
    """Raise NotPiecewiseLinear where the network is not affine in a piece: each is looked at, and each ray at some places more."""
    low, place = _looks(pieces, len(read.rays))
    start, end = pieces.place[low], pieces.place[low + 1]
    share = ((place - start) / (end - start))[:, None]
    seen = read(pieces.ray[low], place)
    pairs = [(pieces.values.z, seen.z), (pieces.values.scores, seen.scores)] if decide else [(pieces.values.z, seen.z)]
    least = (_LEFT / LIMIT * pieces.beside)[pieces.ray[low], None]  # so that what rounding leaves near a zero is no bend
    for known, there in pairs:
        size = _largest(pieces.ray, known)
        size = np.maximum(size, 1e-3 * size.max(axis=1, initial=0.0)[:, None])[low]
        size = np.maximum(size, least)
        said = known[low] + share * (known[low + 1] - known[low])
        off = np.abs(there - said) / np.where(size > 0, size, 1.0)
        if not np.isfinite(off).all():
            raise NotFinite("values are not finite everywhere")
        if off.max(initial=0.0) > LIMIT:
            raise NotPiecewiseLinear("the network is not affine between its units' zeros", float(off.max()))


def _looks(pieces: _Pieces, rays: int) -> tuple[Ints, Floats]:
    """Return which pieces are looked at, by the place that each begins with, and where (k,).

    Every piece is, and every ray at 64 more places: else a bend that comes and goes within one piece would be seen by chance only.
    """
    wide = pieces.starts()
    wide = wide[pieces.place[wide + 1] - pieces.place[wide] > 1e3 * _SAME]
    inside = pieces.place[wide] + _OFF_MIDDLE * (pieces.place[wide + 1] - pieces.place[wide])
    more = np.sort((np.arange(1, _LOOKS + 1) * _OFF_MIDDLE) % 1.0)
    ray, place = np.repeat(np.arange(rays), _LOOKS), np.tile(more, rays)
    keys = np.searchsorted(pieces.ray + pieces.place / 2, ray + place / 2, side="right") - 1  # rays one after another
    good = pieces.place[keys + 1] - pieces.place[keys] > 1e3 * _SAME
    return np.concatenate([wide, keys[good]]), np.concatenate([inside, place[good]])


def _decisions(pieces: _Pieces) -> Found:
    """Return where the winning class changes: between two places scores are straight lines, and the largest one is looked for."""
    low, scores = pieces.starts(), pieces.values.scores
    if not scores.shape[1]:
        return Found.none()
    if not np.isfinite(scores).all():
        raise NotFinite("the output is not finite everywhere")
    winner = _winners(pieces.ray, scores)
    low = low[winner[low] != winner[low + 1]]
    now, goal = winner[low], winner[low + 1]
    share: Floats = np.zeros(len(low))
    events, met = [], []
    while len(low):  # each time the next one gains more than the last, or is the goal: it ends
        share, following = _overtaken(scores[low], scores[low + 1], now, goal, share)
        where = pieces.place[low] + share * (pieces.place[low + 1] - pieces.place[low])
        events.append(Found(pieces.ray[low], where, np.full(len(low), -1), now, following))
        met.append(low)
        left = following != goal
        low, now, goal, share = low[left], following[left], goal[left], share[left]
    return Found.in_turn(events, met).merged(_SAME)


def _winners(ray: Ints, scores: Floats) -> Ints:
    """Return the class that wins at each place (k,): of those that are next to equal, the first, as where they are equal."""
    slack = _ZERO * _largest(ray, scores).max(axis=1)
    return np.asarray((scores >= scores.max(axis=1)[:, None] - slack[:, None]).argmax(axis=1))


def _overtaken(start: Floats, end: Floats, winner: Ints, goal: Ints, share: Floats) -> tuple[Floats, Ints]:
    """Return at which share of the way each winner's score is met first, after `share`, and by which class's (k,).

    At the end of the way it is met by that of the `goal`. Of several at once it is the goal's, else that which leads afterwards; of
    those that do, the first. Differences that rounding leaves are none, so that of equal classes the first one is named.
    """
    rows = np.arange(len(winner))
    slack = _ZERO * np.maximum(np.abs(start).max(axis=1), np.abs(end).max(axis=1))[:, None]
    behind, ahead = (scores - scores[rows, winner, None] for scores in (start, end))
    for differences in (behind, ahead):
        differences[np.abs(differences) <= slack] = 0.0
    gain = ahead - behind
    with np.errstate(divide="ignore", invalid="ignore"):
        meets = np.where(gain > 0, -behind / gain, np.inf)
    meets[rows, goal] = np.minimum(meets[rows, goal], 1.0)
    meets = np.maximum(meets, share[:, None])
    meets[rows, winner] = np.inf
    soonest = meets.min(axis=1)
    tied = meets <= soonest[:, None] + _SAME
    gain = np.where(tied, gain, -np.inf)
    leads = (gain >= gain.max(axis=1, keepdims=True) - slack).argmax(axis=1)
    following = np.where(tied[rows, goal], goal, leads)
    return np.minimum(soonest, 1.0), following


def watched_columns(layers: Sequence[Layer]) -> Ints:
    """Return for each unit of all `layers` its place among those that are watched; -1 where it is not."""
    columns, seen = [], 0
    for layer in layers:
        place = np.full(layer.size, -1)
        place[list(layer.kept)] = seen + np.arange(len(layer.kept))
        columns.append(place)
        seen += len(layer.kept)
    return np.concatenate(columns)
