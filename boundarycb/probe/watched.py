"""Which units are watched: those of the layers that the user wants, as many as can be told apart, the same ones at every sample."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import prod
from typing import Any

import numpy as np
from torch import nn

from boundarycb.evenly import evenly

MAX_UNITS = 512
"""Default cap of watched units a layer: more lines than this in one colour cannot be told apart, and memory is bounded."""
MAX_POSITIONS = 64
"""The same where units have positions, as in a convolution or a sequence: they are many, and neighbours are much alike."""
MAX_ALL_UNITS = 1024
"""Default cap of watched units of all layers together."""
EVERY_UNIT = 2**40
"""A cap that no layer reaches."""

LayersLike = str | type[nn.Module] | Sequence[str | type[nn.Module]] | None
"""Layers by name, by a glob of names such as ``encoder.*``, or by the type of the module that they are named after."""
UnitsLike = Sequence[Any] | Mapping[str, Sequence[Any]] | None
"""Units by their places in the flattened layer, or by their positions; of every layer, or by the layer's name or glob."""


class WrongChoice(ValueError):  # noqa: N818 - it is the user's
    """An argument of the user's that does not fit the model; the message names it."""


def checked_layers(layers: Any) -> tuple[str | type[nn.Module], ...] | None:
    """Return `layers` as names and types; raise TypeError where they are something else."""
    if layers is None:
        return None
    given = (layers,) if isinstance(layers, (str, type)) else layers
    if not isinstance(given, (tuple, list)) or not given or not all(_is_kind(one) for one in given):
        raise TypeError(f'`layers` must be names, globs or types of modules, such as ["conv*", nn.Linear], got {layers!r}.')
    return tuple(given)


def checked_units(units: Any) -> Mapping[str, Sequence[Any]] | None:
    """Return `units` by globs of layers' names; raise TypeError where they are no places."""
    if units is None:
        return None
    given = units if isinstance(units, Mapping) else {"*": units}
    for name, places in given.items():
        listed = isinstance(places, (Sequence, range, np.ndarray)) and not isinstance(places, str)
        if not isinstance(name, str) or not listed or not all(_is_place(place) for place in places):
            raise TypeError(
                f'`units` must be places, such as [0, 5], positions, such as [(3, 0, 0)], or such by layer, {{"conv1": [0]}}, '
                f"got {units!r}."
            )
    return dict(given)


def _is_kind(one: Any) -> bool:
    return isinstance(one, str) or (isinstance(one, type) and issubclass(one, nn.Module))


def _is_place(place: Any) -> bool:
    parts = place if isinstance(place, (tuple, list)) else (place,)
    return all(hasattr(part, "__index__") and not isinstance(part, bool) for part in parts)


@dataclass
class Watched:
    """Says of each layer which of its units are watched.

    Args:
        max_units: of a layer; None for the defaults.
        max_all_units: of all layers together.
        layers: which layers; None for all.
        units: which units of which layers; those of others are chosen evenly.
        module_at: tells the module at a path.

    Attributes:
        caps: what was settled for each layer, once all layers are known.
    """

    max_units: int | None
    max_all_units: int
    layers: tuple[str | type[nn.Module], ...] | None
    units: Mapping[str, Sequence[Any]] | None
    module_at: Callable[[str], nn.Module | None]
    caps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _types: set[type] = field(default_factory=set)

    def kept(self, name: str, modules: Sequence[str], shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the watched units of a layer, as flat indices, growing; none where the layer is not wanted.

        Args:
            name: the layer's.
            modules: paths of the module that it is named after, and of the one that calls the activation.
            shape: of the pre-activation, without the batch.

        Raises:
            WrongChoice: `units` names one that the layer does not have.
        """
        if name in self.caps:
            return self.caps[name]
        self._types |= {type(self.module_at(path)) for path in modules}
        if self.layers is not None and not any(self._is(one, name, modules) for one in self.layers):
            return ()
        if self.units is not None:
            for glob, places in self.units.items():
                if fnmatchcase(name, glob):
                    return tuple(sorted({_flat(name, place, shape) for place in places}))
        default = MAX_UNITS if len(shape) < 2 else MAX_POSITIONS
        return tuple(evenly(prod(shape), default if self.max_units is None else self.max_units).tolist())

    def settle(self, kept: Mapping[str, tuple[int, ...]]) -> bool:
        """Take note of the watched units of all layers; return whether there were too many, and some are left out from now on.

        Raises:
            WrongChoice: `layers` or `units` names a layer that there is not.
        """
        first = not self.caps
        if first:
            self._check(list(kept))
        sizes = {name: len(indices) for name, indices in kept.items() if not self._is_chosen(name)}
        room = max(len(sizes), self.max_all_units - sum(map(len, kept.values())) + sum(sizes.values()))
        most = _fair(list(sizes.values()), room)
        self.caps = {
            name: tuple(indices[place] for place in evenly(len(indices), most)) if name in sizes else indices
            for name, indices in kept.items()
        }
        return first and any(self.caps[name] != indices for name, indices in kept.items())

    def _is(self, one: str | type[nn.Module], name: str, modules: Sequence[str]) -> bool:
        if isinstance(one, str):
            return fnmatchcase(name, one)
        return any(isinstance(self.module_at(path), one) for path in modules)

    def _is_chosen(self, name: str) -> bool:
        """Return whether the user chose a layer's units one by one: all of them are watched."""
        return self.units is not None and any(fnmatchcase(name, glob) for glob in self.units)

    def _check(self, names: list[str]) -> None:
        words = ", ".join(f"{name!r}" for name in names[:12]) + (", …" if len(names) > 12 else "")
        for argument, globs in (("layers", self.layers or ()), ("units", self.units or ())):
            for glob in globs:
                if isinstance(glob, str) and not any(fnmatchcase(name, glob) for name in names):
                    raise WrongChoice(
                        f"`{argument}` names {glob!r}, and the model's layers are {words}, each called after the module whose "
                        "output its activation is applied to."
                    )
                if isinstance(glob, type) and not any(issubclass(one, glob) for one in self._types):
                    kinds = ", ".join(sorted(one.__name__ for one in self._types))
                    raise WrongChoice(f"`layers` names {glob.__name__}, and the model's layers are those of {kinds}.")


def _fair(sizes: list[int], room: int) -> int:
    """Return the largest cap with which `sizes` add up to no more than `room`, 1 at least: small ones are not cut for large ones.

    >>> _fair([5, 100, 100], 45), _fair([3, 3], 45)
    (20, 45)
    """
    left, count = room, len(sizes)
    for size in sorted(sizes):
        if size * count > left:
            return max(1, left // count)
        left, count = left - size, count - 1
    return max(1, room)


def _flat(name: str, place: Any, shape: tuple[int, ...]) -> int:
    try:
        if isinstance(place, (tuple, list)):
            return int(np.ravel_multi_index(tuple(map(operator.index, place)), shape))
        return range(prod(shape))[operator.index(place)]
    except (ValueError, IndexError):
        raise WrongChoice(f"`units` names {place!r} of {name}, whose units are {shape}.") from None
