"""Chains segments into polylines and thins their points, for all lines at once, in a logarithmic number of numpy steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.engines.sorting import Ints, begins, order_of
from boundarycb.types import Floats


def chain(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return the order (M,) that lines segments up end to start, and the number of segments of each line.

    Args:
        start: what each segment starts on (M,), 0 or more.
        end: what each segment ends on (M,). Where several end on what several start on, they are joined in their order.

    A chain starts at the segment that nothing leads to; a closed one at its first segment. Ranks come from pointer jumping
    (Wyllie 1979): each segment knows the one 2**k steps on, and k grows until all know the last.

    >>> order, lengths = chain(np.array([7, 3, 5, 9]), np.array([3, 5, 8, 9]))
    >>> order.tolist(), lengths.tolist()
    ([0, 1, 2, 3], [3, 1])
    """
    count = len(start)
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    following = _cut_cycles(_following(start, end))
    # Walk backwards: `before` points at the segment that leads here, a head at itself; so every segment finds its head.
    before = np.arange(count + 1)
    before[following[:count]] = np.arange(count)
    before = before[:count]
    is_head = before == np.arange(count)
    rank = (~is_head).astype(np.int64)
    while True:
        further = before[before]
        if np.array_equal(further, before):
            break
        rank += rank[before]
        before = further
    line = (np.cumsum(is_head) - 1)[before]
    lengths = np.bincount(line)
    order = np.empty(count, np.int64)
    order[(np.cumsum(lengths) - lengths)[line] + rank] = np.arange(count)
    return order, lengths


def _following(start: Ints, end: Ints) -> Ints:
    """Return the segment that starts where each one ends (M + 1,); M, pointing at itself, stands for none."""
    count = len(start)
    by_start, by_end = order_of(start), order_of(end)
    starts, ends = start[by_start], end[by_end]
    # Of several with one end the first takes the first start there, and so on.
    place = np.arange(count)
    rank = place - np.maximum.accumulate(np.where(begins(ends), place, 0))
    found = np.searchsorted(starts, ends) + rank
    inside = np.minimum(found, count - 1)
    following = np.full(count + 1, count)
    following[by_end] = np.where((found < count) & (starts[inside] == ends), by_start[inside], count)
    return following


def _cut_cycles(following: Ints) -> Ints:
    """Return `following` with every cycle cut before its smallest member."""
    count = len(following) - 1
    ahead, still = following, count + 1
    while True:  # Those that have not come to an end when no further one does are in cycles.
        inside = np.flatnonzero(ahead[:count] != count)
        if len(inside) == still or not len(inside):
            break
        ahead, still = ahead[ahead], len(inside)
    if not len(inside):
        return following
    number = np.empty(count, np.int64)
    number[inside] = np.arange(len(inside))
    ahead = smallest = number[following[inside]]
    for _ in range(len(inside).bit_length()):
        smallest = np.minimum(smallest, smallest[ahead])
        ahead = ahead[ahead]
    cut = following.copy()
    cut[inside[smallest == number[following[inside]]]] = count
    return cut


def simplify(points: Floats, offsets: Ints, tolerance: float) -> tuple[Ints, Ints, Ints]:
    """Return which points to keep, the new offsets, and which lines survive, after Douglas and Peucker (1973).

    No dropped point lies further than `tolerance` from the kept line, so gentle curves keep their shape and straight lines
    become two points. All lines are split at once: each round looks at every open span's furthest point. The first round is
    given away: a point further than `tolerance` from its two neighbours' segment is a bend and kept, which on piecewise-linear
    networks leaves little to split. Lines that shrink to less than `tolerance` are dropped.

    Args:
        points: (N, 2), in units in which `tolerance` means the same along both axes.
        offsets: (S + 1,).
        tolerance: 0 or more.

    >>> kept, offsets, lines = simplify(np.array([[0.0, 0], [1, 0], [2, 0], [2, 1]]), np.array([0, 4]), 0.01)
    >>> kept.tolist(), offsets.tolist()
    ([0, 2, 3], [0, 3])
    """
    places = np.ascontiguousarray(points.T)
    keep = np.zeros(len(points), dtype=bool)
    keep[1:-1] = _to_segment(places[:, 1:-1], places[:, :-2], places[:, 2:]) > tolerance**2
    keep[offsets[:-1]] = keep[offsets[1:] - 1] = True
    kept = np.flatnonzero(keep)
    first, last = kept[:-1], kept[1:]
    while True:
        open_span = last - first > 1
        first, last = first[open_span], last[open_span]
        if not len(first):
            break
        furthest, squared = _furthest(places, first, last)
        split = squared > tolerance**2
        first, last, furthest = first[split], last[split], furthest[split]
        keep[furthest] = True
        first, last = np.concatenate([first, furthest]), np.concatenate([furthest, last])
    return _compacted(places, offsets, keep, tolerance)


def _furthest(places: Floats, first: Ints, last: Ints) -> tuple[Ints, Floats]:
    """Return of each span of `places` (2, N) the inner one furthest from the segment between its ends, and the squared distance."""
    sizes = last - first - 1
    begin = np.cumsum(sizes) - sizes
    span = np.repeat(np.arange(len(first)), sizes)
    inner = np.arange(int(sizes.sum())) - begin[span] + first[span] + 1
    squared = _to_segment(places[:, inner], places[:, first][:, span], places[:, last][:, span])
    most = np.maximum.reduceat(squared, begin)
    at_most = np.flatnonzero(squared == most[span])
    pick = np.flatnonzero(begins(span[at_most]))
    return inner[at_most[pick]], most


def _to_segment(places: Floats, a: Floats, b: Floats) -> Floats:
    """Return the squared distance of each of `places` (2, n) to its segment from `a` to `b`; one of length 0 is its point."""
    (along_x, along_y), (x, y) = b - a, places - a
    squared = np.maximum(along_x * along_x + along_y * along_y, np.finfo(np.float64).tiny)
    share = np.clip((x * along_x + y * along_y) / squared, 0, 1)
    x, y = x - share * along_x, y - share * along_y
    return np.asarray(x * x + y * y)


def _compacted(places: Floats, offsets: Ints, keep: NDArray[np.bool_], tolerance: float) -> tuple[Ints, Ints, Ints]:
    sizes = np.diff(offsets)
    line = np.repeat(np.arange(len(sizes)), sizes)
    # The first point of a line is always kept; a line all of whose kept points lie on it is no line.
    away = np.abs(places - np.repeat(places[:, offsets[:-1]], sizes, axis=1))
    alive = np.zeros(len(sizes), dtype=bool)
    alive[line[keep & (np.maximum(*away) > tolerance)]] = True
    keep = keep & alive[line]
    sizes = np.bincount(line[keep], minlength=len(alive))[alive]
    return np.flatnonzero(keep), np.concatenate([[0], np.cumsum(sizes)]), np.flatnonzero(alive)
