"""How a model is run, as its user says it for a single look: one set of arguments for all functions that take one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypedDict

from torch import nn

from boundarycb.automatic import Given, VaryLike, settle
from boundarycb.probe import BackgroundLike, Conditions, ForwardLike, LayersLike, OutputLike, UnitsLike
from boundarycb.types import Mode, Slice


class How(TypedDict, total=False):
    """How to run a model, and what of it to show; the arguments of :func:`boundarycb.watch` of the same names."""

    max_units: int | None
    max_all_units: int
    layers: LayersLike
    units: UnitsLike
    mode: Mode
    activations: Collection[str]
    inputs: Any
    vary: VaryLike
    forward: ForwardLike | None
    output: OutputLike
    background: BackgroundLike


_INPUTS = ("inputs", "vary", "forward")


def slice_of(given: Slice | Sequence[Any]) -> Slice:
    """Return a slice, or the box that two ranges are.

    Raises:
        TypeError: `given` is neither.
    """
    slice = Given(given).slice
    if isinstance(slice, Slice):
        return slice
    raise TypeError(
        "`slice` must be one of boundarycb.slices, such as slices.box((-1, 1), (-1, 1)) or slices.through(a, b, c), or the two "
        f"ranges of a box, got {type(given).__name__}."
    )


def conditions_of(model: nn.Module, slice: Slice, how: How) -> Conditions:
    """Return how `model` is run on `slice`.

    Raises:
        TypeError: an argument is none of those of :class:`How`, or of another kind.
        ValueError: an argument has a wrong value, or there is no way to run the model with them.
    """
    unknown = how.keys() - How.__annotations__.keys()
    if unknown:
        raise TypeError(f"There is no argument `{min(unknown)}`; those are {', '.join(How.__annotations__)}.")
    conditions = Conditions(**{name: value for name, value in how.items() if name not in _INPUTS})  # type: ignore[arg-type]
    given = Given(slice, **{name: value for name, value in how.items() if name in _INPUTS})  # type: ignore[arg-type]
    return settle(model, conditions, given, None).conditions
