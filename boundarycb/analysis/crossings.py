"""Where straight ways through input space cross boundaries: of units, or between classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch  # noqa: F401 - the doctests use it
from torch import nn

from boundarycb import slices
from boundarycb.analysis import pieces, sampled
from boundarycb.analysis.found import Found
from boundarycb.analysis.rays import Ints, Rays
from boundarycb.analysis.units import with_a_unit
from boundarycb.engines.exact import LEAST_BATCH, Unsuitable, is_smooth
from boundarycb.probe import Conditions, Feed, NothingToDraw, Prober, WrongChoice, probe
from boundarycb.sampling import said_of_lost
from boundarycb.sampling.engine import exactly
from boundarycb.sampling.how import How, conditions_of
from boundarycb.types import Floats, Forward, Layer, Reading, Unit, frozen, units_of
from boundarycb.warning import warn
from boundarycb.words import in_line

if TYPE_CHECKING:
    from typing_extensions import Unpack  # it comes with torch

Of = Literal["units", "decision"]
"""What is crossed: the boundaries of ``units``, or the border between classes, the ``decision``."""

PARTS = 256
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Crossings:
    """K crossings along m rays, sorted along each.

    Args:
        rays: the rays.
        ray: int64 (K,), the ray of each crossing.
        place: float64 (K,), where on it: 0 at its start, 1 at its stop.
        column: int64 (K,), which of `units` switches; -1 for the decision.
        before: int64 (K,), the unit's state before it along the ray, 0 off and 1 on, or the class that wins.
        after: int64 (K,), the same behind it.
        layers: the layers of units.
        exact: whether these are all crossings of a piecewise-linear network; else those that samples show.

    ``len(crossings)`` is K.
    """

    rays: Rays
    ray: Ints
    place: Floats
    column: Ints
    before: Ints
    after: Ints
    layers: tuple[Layer, ...]
    exact: bool

    def __post_init__(self) -> None:
        for name in ("ray", "place", "column", "before", "after"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.ray)

    def __repr__(self) -> str:
        how = "all of them" if self.exact else "those that samples show"
        return f"<Crossings: {len(self)} on {len(self.rays)} rays, {how}>"

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that `column` indexes."""
        return units_of(self.layers)

    @property
    def inputs(self) -> Floats:
        """The inputs at the crossings, float64 (K, *input_shape)."""
        return self.rays.at(self.ray, self.place)

    @property
    def distances(self) -> Floats:
        """How far each crossing is from its ray's start (K,), in input units."""
        return np.asarray(self.place * self.rays.lengths()[self.ray])

    def first(self) -> Ints:
        """Return the first crossing of each ray (m,), to index with; -1 where there is none."""
        first = np.full(len(self.rays), -1)
        which, index = np.unique(self.ray, return_index=True)
        first[which] = index
        return first


def find_crossings(
    model: nn.Module,
    start: Any,
    stop: Any,
    *,
    of: Of = "units",
    parts: int = PARTS,
    tolerance: float = TOLERANCE,
    **how: Unpack[How],
) -> Crossings:
    """Return where straight ways from `start` to `stop` cross boundaries, in an input space of any dimension.

    Of a piecewise-linear network these are all crossings, found layer by layer as the exact engine does on a plane, from forward
    passes alone. Whether the network is one is looked at in each piece that was found, and at 64 more places of each ray: what
    bends without a unit, and between these alone, goes unseen. Of any other network, and where that fails, rays are sampled: where
    a unit switches between two samples, or dips towards zero and back, the place is bracketed and halved down to `tolerance`, and
    so for the decision with the lead of each class. What comes and goes between two samples without a dip is missed: more `parts`
    see more. A warning says why rays are sampled, unless an activation is smooth, and where the model does not run in double
    precision. Of classes that are next to equal the first one wins. What is only touched, at one place, is not crossed.

    This is the boundary value problem that "Visualizing Neural Nets" (2023) leaves to future work, along rays.

    Args:
        model: any module; it is left as it was.
        start: inputs (m, *input_shape) at which rays start.
        stop: inputs (m, *input_shape) at which they stop.
        of: ``units``: where units switch on or off (`layers` and `units` say which); ``decision``: where another class wins.
        parts: into which samples part a ray, 2 or more.
        tolerance: to which share of a ray a bracket is halved, above 0, less than 1.
        how: how to run the model: `max_units`, `max_all_units`, `layers`, `units`, `mode`, `activations`, `inputs`, `vary`,
            `forward`, `output`, as of :func:`boundarycb.watch`.

    Raises:
        ValueError: `start` and `stop` are no batches of inputs of one shape; an argument is out of its range; the model has no
            classes where the decision is asked for, or calls no activation where units are, or cannot take the inputs.

    >>> model = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    >>> model[0].weight.data, model[0].bias.data = torch.tensor([[1.0, 0.0]]), torch.tensor([-0.25])
    >>> found = find_crossings(model, [[0.0, 0.0]], [[1.0, 2.0]])
    >>> found, found.inputs.tolist(), found.after.tolist()
    (<Crossings: 1 on 1 rays, all of them>, [[0.25, 0.5]], [1])
    """
    rays = Rays.checked(start, stop)
    checked(of, parts, tolerance)
    with opened(model, rays, of, how) as forward:
        return crossings_of(forward, rays, of, parts, tolerance)


@contextmanager
def opened(model: nn.Module, rays: Rays, of: Of, how: How) -> Iterator[Prober]:
    """Yield the probe of `model`, in which its units can be seen; a border between classes needs none."""
    conditions = conditions_of(model, slices.random(rays.start[0]), how)
    if of == "decision" and _has_no_unit(model, rays, conditions):
        conditions = replace(conditions, feed=Feed(forward=with_a_unit(conditions.feed)))
    with probe(model, conditions) as forward:
        yield forward
    for words in said_of_lost(model, forward.lost):
        warn(f"{words}.")


def _has_no_unit(model: nn.Module, rays: Rays, conditions: Conditions) -> bool:
    try:
        with probe(model, conditions) as forward:
            _seen(forward, rays)
    except NothingToDraw:
        return True
    return False


def _seen(forward: Prober, rays: Rays) -> Reading:
    """Return what the model says on the first rays: what it calls."""
    try:
        return forward(rays.at(np.arange(LEAST_BATCH) % len(rays), np.linspace(0, 1, LEAST_BATCH)))
    except (NothingToDraw, WrongChoice):
        raise
    except (ValueError, RuntimeError) as error:
        words = " ".join(str(error.__cause__ or error).split())
        raise ValueError(
            f"The model cannot take inputs of shape {rays.start.shape[1:]} ({words}); give them as it takes them."
        ) from error


def crossings_of(forward: Prober, rays: Rays, of: Of, parts: int, tolerance: float) -> Crossings:
    """Return the crossings along `rays` of the model of an open probe; see :func:`find_crossings`."""
    reading = _seen(forward, rays)
    decide = of == "decision"
    if decide and (reading.output is None or reading.output.shape[1] < 2):
        raise ValueError('`of` can be "decision" only where the output has two or more classes; `output=` says which output.')
    # The engine reads no unit behind the last activation, which may be any; the decision is behind it.
    exact = not is_smooth(reading) and not (decide and (reading.kinks or (None,))[-1] is None)
    if exact:
        try:
            every = exactly(forward, reading, partial(pieces.find, rays=rays, reading=reading, decide=decide))
        except Unsuitable as error:
            warn(f"Crossings are those that samples show, since {error}.")
            exact = False
    if exact:
        found = Found.joined(every) if decide else _watched(Found.joined(every), reading)
    else:
        run = partial(sampled.find, rays=rays, reading=reading, decide=decide, parts=parts, tolerance=tolerance)
        found = Found.joined(_in_best_precision(forward, run))
    layers = tuple(layer for layer in reading.layers if layer.kept)
    return Crossings(rays, found.ray, found.place, found.column, found.before, found.after, layers, exact)


def _watched(found: Found, reading: Reading) -> Found:
    """Return the crossings of units that are watched, by their places among those."""
    columns = pieces.watched_columns(reading.layers)[found.column]
    seen = columns >= 0
    return Found(found.ray, found.place, columns, found.before, found.after).where(seen)


def _in_best_precision(forward: Prober, run: Callable[[Forward], list[Found]]) -> list[Found]:
    """Return what `run` finds in double precision; in the model's own where it does not run in that."""
    if forward.is_spread:
        return run(forward)
    try:
        return run(forward.double())
    except Exception as error:  # noqa: BLE001 - whatever keeps it from double precision, it ran in its own
        warn(f"Crossings are found in the model's own precision, since it does not run in double ({in_line(error)}).")
        return run(forward)


def checked(of: Of, parts: int, tolerance: float) -> None:
    """Raise ValueError where an argument is out of its range."""
    if of not in ("units", "decision"):
        raise ValueError(f'`of` must be "units" or "decision", got {of!r}.')
    if not isinstance(parts, int) or isinstance(parts, bool) or parts < 2:
        raise ValueError(f"`parts` must be a whole number, 2 or more, got {parts!r}.")
    if not isinstance(tolerance, (int, float)) or not 0 < tolerance < 1:
        raise ValueError(f"`tolerance` must be a share of a ray above 0 and less than 1, got {tolerance!r}.")
