"""What an object held before a forward pass, and how it gets it back: attributes, containers, arrays, generators.

What is kept is *which* objects it held, in their order; what is inside those is kept by holders of their own. Every holder tells
its path from the model, whether the object holds something else now, and puts back what it held.
"""

from __future__ import annotations

import itertools
import random
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from operator import is_, length_hint
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data.dataloader import _BaseDataLoaderIter

T = TypeVar("T")

MISSING = object()


class Holder(Protocol):
    """Something that can be put back."""

    path: str
    """Where it is, seen from the model."""

    def changed(self) -> bool:
        """Return whether it is different now."""

    def put_back(self) -> None:
        """Make it what it was."""


class Mapped:
    """The entries of a dict of any kind, or the attributes of an object, which are a dict too."""

    __slots__ = ("_keys", "_kind", "_now", "_values", "path")

    def __init__(self, path: str, now: dict[Any, Any]) -> None:
        self.path = path
        self._now = now
        self._kind: Any = OrderedDict if isinstance(now, OrderedDict) else dict
        self._keys = list(self._kind.keys(now))
        self._values = list(self._kind.values(now))

    def changed(self) -> bool:
        """Return whether a key or a value is another object, or stands elsewhere."""
        now = self._now
        if not self._keys:  # such as most of a module's hooks: this runs after every forward pass
            return bool(self._kind.__len__(now))
        return not (self._has_the_keys() and all(map(is_, self._kind.values(now), self._values)))

    def put_back(self) -> None:
        """Put the entries back in their order. A subclass's own methods, which may do more, are passed by."""
        if not self._has_the_keys():
            self._kind.clear(self._now)
        for key, value in zip(self._keys, self._values, strict=True):
            self._kind.__setitem__(self._now, key, value)

    def _has_the_keys(self) -> bool:
        return self._kind.__len__(self._now) == len(self._keys) and all(map(is_, self._kind.keys(self._now), self._keys))


class Slots:
    """The attributes of an object that has ``__slots__``."""

    __slots__ = ("_names", "_owner", "_values", "path")

    def __init__(self, path: str, owner: object, names: Collection[str]) -> None:
        self.path = path
        self._owner = owner
        self._names = tuple(names)
        self._values = [getattr(owner, name, MISSING) for name in self._names]

    def changed(self) -> bool:
        """Return whether a slot holds another object."""
        return not all(getattr(self._owner, name, MISSING) is value for name, value in zip(self._names, self._values, strict=True))

    def put_back(self) -> None:
        """Fill the slots, also those of a frozen dataclass."""
        for name, value in zip(self._names, self._values, strict=True):
            if value is MISSING and hasattr(self._owner, name):
                object.__delattr__(self._owner, name)
            elif value is not MISSING:
                object.__setattr__(self._owner, name, value)


class ClassNames:
    """The plain attributes of a class, such as a counter that all instances share."""

    __slots__ = ("_old", "_owner", "path")

    def __init__(self, path: str, owner: type) -> None:
        self.path = path
        self._owner = owner
        self._old = plain_names(owner)

    def changed(self) -> bool:
        """Return whether one is another object, is new, or is gone."""
        now = plain_names(self._owner)
        return now.keys() != self._old.keys() or not all(now[name] is value for name, value in self._old.items())

    def put_back(self) -> None:
        """Set them as they were; classes take no writing into their ``__dict__``."""
        now = plain_names(self._owner)
        for name in now.keys() - self._old.keys():
            type.__delattr__(self._owner, name)
        for name, value in self._old.items():
            if now.get(name, MISSING) is not value:
                type.__setattr__(self._owner, name, value)


def plain_names(owner: type) -> dict[str, Any]:
    """Return a class's own attributes that are neither special, nor methods, nor anything else that acts when it is looked up."""
    return {
        name: value
        for name, value in vars(owner).items()
        if not name.startswith(("__", "_abc_")) and not isinstance(value, type) and not hasattr(type(value), "__get__")
    }


class Scripted:
    """The attributes of a ScriptModule, which are no Python objects: they are asked for, and given back, by value."""

    __slots__ = ("_inner", "_old", "path")

    def __init__(self, path: str, module: Any) -> None:
        self.path = path
        self._inner = module._c
        self._old = script_values(module)

    def changed(self) -> bool:
        """Return whether an attribute has another value; of tensors, whether it is another one."""
        return not all(_alike(self._inner.getattr(name), value) for name, value in self._old.items())

    def put_back(self) -> None:
        """Give the attributes their values."""
        for name, value in self._old.items():
            if not _alike(self._inner.getattr(name), value):
                self._inner.setattr(name, value)


def script_values(module: Any) -> dict[str, Any]:
    """Return the attributes of a ScriptModule by name; lists and dicts are copies."""
    return {name: module._c.getattr(name) for name in module._concrete_type.get_attributes()}


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one is other
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_alike, one.values(), other.values()))
    return bool(one == other)


class Sequenced:
    """The items of a list or a deque."""

    __slots__ = ("_now", "_old", "path")

    def __init__(self, path: str, now: list[Any] | deque[Any]) -> None:
        self.path = path
        self._now = now
        self._old = list(now)

    def changed(self) -> bool:
        """Return whether an item is another object, is new, or is gone."""
        return len(self._now) != len(self._old) or not all(map(is_, self._now, self._old))

    def put_back(self) -> None:
        """Put the items back in their order."""
        kind: Any = list if isinstance(self._now, list) else deque
        kind.clear(self._now)
        kind.extend(self._now, self._old)


class Grouped:
    """The members of a set."""

    __slots__ = ("_now", "_old", "path")

    def __init__(self, path: str, now: set[Any]) -> None:
        self.path = path
        self._now = now
        self._old = list(now)

    def changed(self) -> bool:
        """Return whether a member is another object, is new, or is gone."""
        return len(self._now) != len(self._old) or {id(one) for one in self._now} != {id(one) for one in self._old}

    def put_back(self) -> None:
        """Put the members back, in their order if there are only new ones besides."""
        kept = {id(one) for one in self._old}
        for new in [one for one in self._now if id(one) not in kept]:
            set.discard(self._now, new)
        if len(self._now) != len(self._old):
            set.clear(self._now)
            set.update(self._now, self._old)


class State(Generic[T]):
    """The state of an object that gives it and takes it: a generator, a numpy array, bytes."""

    __slots__ = ("_get", "_give", "_old", "path")

    def __init__(self, path: str, get: Callable[[], T], give: Callable[[T], object]) -> None:
        self.path = path
        self._get, self._give = get, give
        self._old = get()

    def changed(self) -> bool:
        """Return whether the state is another."""
        return not same(self._get(), self._old)

    def put_back(self) -> None:
        """Give the object its old state."""
        self._give(self._old)


class Generator(State[T]):
    """The state of a generator of random numbers, which tells whether some were drawn."""

    __slots__ = ()


def same(one: Any, other: Any) -> bool:
    """Return whether two states of generators or arrays are equal: nested dicts and sequences of numbers and arrays."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, (tuple, list)) and any(isinstance(part, (np.ndarray, torch.Tensor, dict)) for part in one):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def put_at(container: Any, key: Any, value: Any) -> None:
    """Put `value` at `key` of a dict, a list or a deque, or in a class; a subclass's own methods are passed by."""
    if isinstance(container, type):
        type.__setattr__(container, key, value)
        return
    kind: Any = next(kind for kind in (dict, list, deque) if isinstance(container, kind))
    kind.__setitem__(container, key, value)


def maker_of(value: Any) -> Callable[[str, Any], Holder] | None:
    """Return what makes a holder of `value` where it is a generator of random numbers, an iterator or a bytearray; else None."""
    if isinstance(value, random.SystemRandom):
        return None
    for kinds, make in _MAKERS:
        if isinstance(value, kinds):
            return make
    kind = type(value)  # a proxy's instance may do anything when it is asked for a name
    return _of_iterator if hasattr(kind, "__next__") and hasattr(kind, "__length_hint__") else None


def _of_numpy_generator(path: str, value: np.random.Generator) -> Holder:
    bits: Any = value.bit_generator
    return Generator(path, lambda: bits.state, lambda state: setattr(bits, "state", state))


def _of_iterator(path: str, value: Any) -> Holder:
    """Return a holder that tells whether an iterator moved; none can be moved back."""
    return State(path, lambda: length_hint(value), lambda _: None)


def _of_generator_function(path: str, value: types.GeneratorType[Any, Any, Any]) -> Holder:
    """Return a holder that tells whether a generator ran on; none can be run back."""

    def place() -> Any:
        frame = value.gi_frame
        return None if frame is None else (frame.f_lasti, {name: id(part) for name, part in frame.f_locals.items()})

    return State(path, place, lambda _: None)


def class_of(path: str, value: Any) -> Holder:
    """Return the holder of an object's class, which a forward pass may change."""
    return State(path, lambda: type(value), lambda old: object.__setattr__(value, "__class__", old))


_MAKERS: list[tuple[Any, Callable[[str, Any], Holder]]] = [
    (torch.Generator, lambda path, value: Generator(path, value.get_state, value.set_state)),
    (np.random.Generator, _of_numpy_generator),
    (np.random.RandomState, lambda path, value: Generator(path, value.get_state, value.set_state)),
    (random.Random, lambda path, value: Generator(path, value.getstate, value.setstate)),
    (bytearray, lambda path, value: State(path, lambda: bytes(value), lambda old: value.__setitem__(slice(None), old))),
    (_BaseDataLoaderIter, lambda path, value: State(path, lambda: value._num_yielded, lambda _: None)),
    (types.GeneratorType, _of_generator_function),
    (
        np.random.BitGenerator,
        lambda path, value: Generator(path, lambda: value.state, lambda state: setattr(value, "state", state)),
    ),
    (itertools.count, lambda path, value: State(path, lambda: repr(value), lambda _: None)),
]


def of_array(path: str, value: NDArray[Any]) -> Holder:
    """Return the holder of a numpy array's bytes."""

    def put_back(old: bytes) -> None:
        np.copyto(value, np.frombuffer(old, value.dtype).reshape(value.shape))

    return State(path, value.tobytes, put_back)


def paths(holders: Iterable[Holder]) -> tuple[str, ...]:
    """Return where the holders are that are different now, or do not tell."""
    return tuple(holder.path for holder in holders if _changed(holder))


def _changed(holder: Holder) -> bool:
    try:
        return holder.changed()
    except Exception:  # noqa: BLE001 - a user's object that does not want to be read
        return True
