"""The nearest boundary from a point, as far as one looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from boundarycb import slices
from boundarycb.analysis.crossings import TOLERANCE, Crossings, Of, checked, crossings_of, opened
from boundarycb.analysis.rays import Ints, Rays
from boundarycb.probe import NoGradient, Prober
from boundarycb.sampling.how import How
from boundarycb.types import Floats, Unit, frozen

if TYPE_CHECKING:
    from typing_extensions import Unpack  # it comes with torch

_AXES = 64  # numbers of an input up to which all axes are looked along, both ways
_RANDOM = 8  # directions where there are more, both ways: the gradient does better
_DOUBLINGS = 10  # from the nearest places to the reach
_PARTS = 32  # of a ray, between one radius and its double
_ROUNDS = 8  # of looking along the gradient
_RIVALS = 9  # classes that may gain on the winning one, at most
_NUMBERS = 2**20  # of the ends of rays that are looked along together
_BEFORE = 1 - 1e-5  # of the way: a unit may switch at the crossing itself
_WITHIN = 1 - 1e-8  # of a ray: what is met at its very end may be touched only
_AGAIN = 1 - 1e-6  # of a radius, from where on one looks out to its double: so what was at the end lies within


@dataclass(frozen=True, eq=False, repr=False)
class Nearest:
    """The nearest crossing that was found from each of m points.

    Args:
        distance: float64 (m,), how far it is, in input units; NaN where there is none within reach.
        inputs: float64 (m, *input_shape), where it is; NaN there.
        column: int64 (m,), the unit that switches, of `units`; -1 for the decision, or where there is none.
        before: int64 (m,), the state or the class at the point; -1 where there is none.
        after: int64 (m,), that behind the crossing.
        units: what `column` indexes.
    """

    distance: Floats
    inputs: Floats
    column: Ints
    before: Ints
    after: Ints
    units: tuple[Unit, ...]

    def __post_init__(self) -> None:
        for name in ("distance", "inputs", "column", "before", "after"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def __repr__(self) -> str:
        return f"<Nearest: crossings from {np.isfinite(self.distance).sum()} of {len(self.distance)} points>"


def nearest_crossing(
    model: nn.Module,
    points: Any,
    *,
    of: Of = "decision",
    directions: Any = None,
    reach: float | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    **how: Unpack[How],
) -> Nearest:
    """Return the nearest crossing from each point, of those along `directions` and, for the decision, along its gradient.

    Rays are looked along out to a radius that doubles until one crosses. For the decision, points from which none does are looked
    from along the gradients in which other classes gain on the winning one, the likeliest first and nine at most. Then the way is
    turned to the gradient of the two classes' difference at the crossing, as long as that is nearer: of a linear border that is the
    nearest point of all. The distance is one to a crossing that there is, so it is never less than the true one, and may be more;
    where none is found along these ways, there may be one along others.

    Args:
        model: any module; it is left as it was.
        points: inputs (m, *input_shape).
        of: ``decision``: where another class wins; ``units``: where any unit switches (`layers` and `units` say which).
        directions: (k, *input_shape), to look along; their lengths do not matter. By default every number of the input up and
            down, up to 64 of them; of larger inputs 8 random directions, both ways.
        reach: how far to look, in input units; by default four times the largest norm of a point, or 4 where that is 0.
        seed: of the random directions.
        tolerance: to which share of a ray a bracket is halved, where the network is not piecewise linear.
        how: how to run the model, as of :func:`find_crossings`.

    Raises:
        ValueError: as of :func:`find_crossings`, of `points`; `directions` are zero or of another shape; `reach` is not above 0.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    >>> for layer in (model[0], model[2]):
    ...     layer.weight.data, layer.bias.data = torch.eye(2), torch.zeros(2)
    >>> found = nearest_crossing(model, [[3.0, 1.0]])  # classes meet where x1 = x2
    >>> found.distance.round(6).tolist(), found.inputs.round(6).tolist(), found.after.tolist()
    ([1.414214], [[2.0, 2.0]], [1])
    """
    start = Rays.checked(points, points, names=("points", "points")).start
    checked(of, _PARTS, tolerance)
    ways = _ways(directions, start.shape[1:], seed)
    far = _checked_reach(reach, start)
    with opened(model, Rays(start, start), of, how) as forward:
        search = _Search(forward, start, of, tolerance)
        search.along(ways, far)
        if of == "decision":
            search.towards_rivals(far)
            search.downhill(far)
    return search.best


class _Search:
    """The nearest crossings so far."""

    def __init__(self, forward: Prober, start: Floats, of: Of, tolerance: float) -> None:
        self._forward, self._start, self._of, self._tolerance = forward, start, of, tolerance
        none = np.full(len(start), -1)
        self.best = Nearest(np.full(len(start), np.nan), np.full(start.shape, np.nan), none, none, none, ())

    def along(self, ways: Floats, far: float) -> None:
        """Look along all `ways` (k, *input_shape) from every point, out to a radius that doubles until one crosses."""
        parts = -(-len(self._start) * ways.size // _NUMBERS)
        for points in np.array_split(np.arange(len(self._start)), min(parts, len(self._start))):
            self._outwards(points, np.broadcast_to(ways, (len(points), *ways.shape)), far)

    def towards_rivals(self, far: float) -> None:
        """Look from points without a crossing to where another class gains most on the one that wins there, class after class."""
        lost = np.flatnonzero(np.isnan(self.best.distance))
        output = self._forward(self._start[lost]).output if len(lost) else None
        for rank in range(1, 1 if output is None else min(1 + _RIVALS, output.shape[1])):
            try:
                ways = self._gradient_of(self._start[lost], partial(_gain_of, rank))
            except NoGradient:  # then there is no such way
                return
            known = np.isfinite(ways).reshape(len(lost), -1).all(axis=1) & ways.reshape(len(lost), -1).any(axis=1)
            self._outwards(lost[known], ways[known, None], far)
            lost = lost[np.isnan(self.best.distance[lost])]
            if not len(lost):
                return

    def _outwards(self, points: Ints, ways: Floats, far: float) -> None:
        """Look from `points` (k,) along ways of their own (k, ways, *input_shape)."""
        rows, low = np.arange(len(points)), 0.0
        for doubling in range(_DOUBLINGS, -1, -1):
            if not len(rows):
                return
            high = far / 2**doubling
            each = np.repeat(points[rows], ways.shape[1])
            steps = ways[rows].reshape(-1, *ways.shape[2:])
            self._look(each, self._start[each] + low * steps, self._start[each] + high * steps)
            rows, low = rows[np.isnan(self.best.distance[points[rows]])], high * _AGAIN

    def downhill(self, far: float) -> None:
        """Look from every point along the gradient of the classes' difference at its crossing, while that is nearer."""
        going = np.flatnonzero(np.isfinite(self.best.distance))
        for _ in range(_ROUNDS):
            if not len(going):
                return
            distance = self.best.distance[going]
            ways = self._gradients(going)
            steps = np.minimum(distance, far).reshape(-1, *[1] * (ways.ndim - 1)) * ways
            self._look(going, self._start[going], self._start[going] + steps)
            going = going[self.best.distance[going] < distance * (1 - 1e-9)]

    def _gradients(self, going: Ints) -> Floats:
        """Return unit directions in which the class behind the crossing gains most on that before it, just before it."""
        before, after = self.best.before[going], self.best.after[going]
        start, stop = self._start[going], self.best.inputs[going]

        def gain(scores: torch.Tensor) -> torch.Tensor:
            rows = torch.arange(len(scores), device=scores.device)
            number = rows % len(going)  # a batch may be padded by its first points again
            one, two = (torch.from_numpy(which).to(scores.device)[number] for which in (before, after))
            return scores[rows, two] - scores[rows, one]

        return self._gradient_of(start + _BEFORE * (stop - start), gain)

    def _gradient_of(self, inputs: Floats, gain: Callable[[torch.Tensor], torch.Tensor]) -> Floats:
        """Return unit directions (k, *input_shape) in which `gain` of the scores (k, C) grows most; zero where it does not."""
        found = self._forward.gradient(inputs, lambda shown: gain(shown.reshape(len(shown), -1)))
        return _unit(found.astype(np.float64))

    def _look(self, points: Ints, start: Floats, stop: Floats) -> None:
        """Look along rays that start on the way from `points`, and keep what is nearest and nearer."""
        found = crossings_of(self._forward, Rays(start, stop), self._of, _PARTS, self._tolerance)
        within = np.flatnonzero(found.place < _WITHIN)
        if not len(within):
            return
        inputs, point = found.inputs[within], points[found.ray[within]]
        distance = np.linalg.norm((inputs - self._start[point]).reshape(len(inputs), -1), axis=1)
        order = np.lexsort((distance, point))
        first = order[np.unique(point[order], return_index=True)[1]]
        nearer = first[~(distance[first] >= self.best.distance[point[first]])]
        self._keep(point[nearer], distance[nearer], inputs[nearer], found, within[nearer])

    def _keep(self, at: Ints, distance: Floats, inputs: Floats, found: Crossings, which: Ints) -> None:
        def put(known: Any, new: Any) -> Any:
            array = known.copy()
            array[at] = new
            return array

        best = self.best
        self.best = replace(
            best,
            distance=put(best.distance, distance),
            inputs=put(best.inputs, inputs),
            column=put(best.column, found.column[which]),
            before=put(best.before, found.before[which]),
            after=put(best.after, found.after[which]),
            units=found.units,
        )


def _gain_of(rank: int, scores: torch.Tensor) -> torch.Tensor:
    """Return by how much the class of a rank, of 1 and more, is ahead of the winning one: 0 or less."""
    best = scores.topk(rank + 1, dim=1).values
    return best[:, rank] - best[:, 0]


def _unit(ways: Floats) -> Floats:
    lengths = np.linalg.norm(ways.reshape(len(ways), -1), axis=1).reshape(-1, *[1] * (ways.ndim - 1))
    return np.asarray(ways / np.where(lengths > 0, lengths, 1.0))


def _ways(directions: Any, shape: tuple[int, ...], seed: int) -> Floats:
    """Return the unit directions to look along (k, *shape)."""
    size = int(np.prod(shape))
    if directions is None:
        half = np.eye(size) if size <= _AXES else np.random.default_rng(seed).normal(size=(_RANDOM, size))
        return _unit(np.concatenate([half, -half]).reshape(-1, *shape))
    given = slices.to_array(directions).astype(np.float64)
    flat = given.reshape(len(given), -1) if given.ndim else given
    if given.shape[1:] != shape or not len(given) or not np.isfinite(given).all() or not flat.any(axis=1).all():
        raise ValueError(f"`directions` must be finite and not zero, (k, {', '.join(map(str, shape))}), got {given.shape}.")
    return _unit(given)


def _checked_reach(reach: float | None, start: Floats) -> float:
    if reach is not None and not isinstance(reach, (int, float)):
        raise ValueError(f"`reach` must be a length above 0, got {reach!r}.")
    norm = float(np.linalg.norm(start.reshape(len(start), -1), axis=1).max())
    far = 4 * (norm or 1.0) if reach is None else float(reach)
    if not (np.isfinite(far) and far > 0):
        raise ValueError(f"`reach` must be a length above 0, got {reach!r}.")
    return far
