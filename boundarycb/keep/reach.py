"""Finds all that a model's forward pass can get at and change, from the model down.

That is: modules (also those in a plain list, which ``model.modules()`` does not know), their attributes, the containers and objects
in them, their classes, generators of random numbers, and every tensor. Objects are entered where their class is the user's own, or
comes from the package of one of the model's modules, or is a dataclass, a plain namespace, an optimiser or a distribution; the
Trainer, loggers, data sets and what other threads may be using are not the model's, and are left alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import enum
import functools
import queue
import sys
import sysconfig
import threading
import types
import weakref
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributions import Distribution
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.quasirandom import SobolEngine
from torch.utils.data import DataLoader, Dataset

from boundarycb.keep.holders import (
    ClassNames,
    Grouped,
    Holder,
    Mapped,
    Scripted,
    Sequenced,
    Slots,
    class_of,
    maker_of,
    of_array,
    plain_names,
    script_values,
)

MOST_VALUES = 1_000_000
"""Entries of containers of which is kept which they are. A container that is larger (a data set) is not kept, and named."""
MOST_THINGS = 2_000
"""Entries of containers that are entered, since they can change themselves: tensors, arrays, objects, other containers. Those of
a container that has more (a replay buffer) are not kept, and it is named; a tensor takes 50 microseconds."""
MOST_BYTES = 64 * 2**20
"""Bytes of numpy arrays that are kept."""

_ATOMS = frozenset(
    {int, float, complex, bool, str, bytes, type(None), type, range, slice, property, torch.dtype, torch.device, torch.Size}
    | {types.FunctionType, types.BuiltinFunctionType, types.ModuleType, *weakref.ProxyTypes}
)
_KEYS = (str, bytes, int, float, complex, np.generic, type, enum.Enum, tuple, frozenset, torch.Tensor)
"""Keys of dicts that are not entered: they cannot change, hold keys themselves, or have another place."""
_NOT_THE_MODELS = {"torch", "lightning", "pytorch_lightning", "lightning_fabric", "builtins", "boundarycb"}
_TRAINERS = _NOT_THE_MODELS - {"torch", "builtins"}
_SHARED = (threading.Thread, queue.Queue, queue.SimpleQueue, type(threading.Lock()), type(threading.RLock()), threading.Condition)
_PYTHONS = (types.SimpleNamespace, argparse.Namespace, UserDict, UserList, ChainMap)
_TORCHS = (Optimizer, LRScheduler, Distribution, SobolEngine)
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
_INNER = {"_parameters", "_buffers", "_modules"}  # a module's parts have its own path, not that of the dict which holds them


class Reach:
    """What can be reached from `model`.

    Args:
        model: where to begin.

    Attributes:
        tensors: (path, tensor) of all tensors, gradients too.
        modules: (path, module) of all modules.
        containers: (path, dict or list) of all that has entries which can be replaced.
        classes: the user's own classes.
        too_large: paths of attributes that hold more than is kept, in the order in which they were found.
    """

    def __init__(self, model: nn.Module) -> None:
        self.tensors: list[tuple[str, torch.Tensor]] = []
        self.modules: list[tuple[str, nn.Module]] = []
        self.containers: list[tuple[str, Any]] = []
        self.classes: list[type] = []
        self.too_large: dict[str, None] = {}
        self._objects: list[tuple[str, Any, Callable[[str, Any], Holder]]] = []
        self._values, self._things, self._bytes = MOST_VALUES, MOST_THINGS, MOST_BYTES
        self._seen: dict[int, Any] = {}  # holds on to what it has seen, so that no identity is used twice
        self._packages: set[str] = set()
        self._todo: list[tuple[str, Any]] = [("", model)]
        self._foreign: dict[int, tuple[str, Any]] = {}
        self._visit_all()

    def __contains__(self, value: object) -> bool:
        return id(value) in self._seen

    def places(self) -> Iterator[tuple[str, Any, Any, Any]]:
        """Yield every place whose object can be replaced by another, for a while: (path, container, key, what is there)."""
        for path, container in self.containers:
            entries = dict.items(container) if isinstance(container, dict) else enumerate(container)
            yield from [(path, container, key, value) for key, value in entries]

    def hold(self) -> list[Holder]:
        """Return the holders of everything but tensors, as it is now."""
        return [make(path, value) for path, value, make in self._objects]

    def _add(self, path: str, value: Any, make: Callable[[str, Any], Holder]) -> None:
        self._objects.append((path, value, make))

    def _visit_all(self) -> None:
        """Visit what is to be done; a module in a plain list may bring a package in, whose objects were passed by until then."""
        known = -1
        while known < len(self._packages):
            known = len(self._packages)
            self._todo += self._foreign.values()
            self._foreign.clear()
            while self._todo:
                path, value = self._todo.pop()
                try:
                    self._visit(path, value)
                except Exception:  # noqa: BLE001 - an object that does not want to be read
                    self.too_large[path] = None

    def _visit(self, path: str, value: Any) -> None:
        kind = type(value)
        if kind in _ATOMS or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, torch.Tensor):
            self._tensor(path, value)
        elif isinstance(value, (dict, list, set, deque, tuple, frozenset)):
            self._container(path, value)
        elif isinstance(value, nn.Module):
            self._module(path, value)
        elif isinstance(value, np.ndarray):
            self._array(path, value)
        elif (make := maker_of(value)) is not None:
            self._add(path, value, make)
        elif isinstance(value, types.MethodType):
            self._todo.append((f"{path}.__self__", value.__self__))
        elif isinstance(value, functools.partial):
            self._todo += [(f"{path}.func", value.func), (f"{path}.args", value.args), (f"{path}.keywords", value.keywords)]
        elif self._is_the_models(value, kind):
            self._object(path, value)
        else:
            self._foreign[id(value)] = path, self._seen.pop(id(value))

    def _tensor(self, path: str, tensor: torch.Tensor) -> None:
        self.tensors.append((path, tensor))
        if tensor.is_leaf and tensor.grad is not None:
            self._todo.append((f"{path}.grad", tensor.grad))
        self._attributes(path, vars(tensor))

    def _container(self, path: str, value: Any) -> None:
        """Keep which entries a container has, and enter those that can change themselves, as far as both fit."""
        if not self._fits(path, len(value)):
            return
        for kind, make in ((dict, Mapped), (set, Grouped), ((list, deque), Sequenced)):
            if isinstance(value, kind):
                self._add(path, value, make)
        if isinstance(value, (dict, list, deque)):
            self.containers.append((path, value))
        if hasattr(value, "__dict__"):  # a subclass's own attributes
            self._attributes(path, vars(value))
        self._slots(path, value)
        entries: Iterable[tuple[Any, Any]] = dict.items(value) if isinstance(value, dict) else enumerate(value)
        changeable = [(key, entry) for key, entry in entries if type(entry) not in _ATOMS]
        if isinstance(value, dict):
            changeable += [(..., key) for key in self._keys(value)]
        if changeable and self._fits(path, len(changeable), entered=True):
            self._todo += [(f"{path}[{key!r}]" if isinstance(key, (str, int)) else f"{path}[…]", one) for key, one in changeable]

    def _keys(self, value: dict[Any, Any]) -> list[Any]:
        """Return the keys of a dict that are objects of the model's own; most have none, so one of each class is asked."""
        kinds = {type(key): key for key in dict.keys(value)}
        own = {
            kind
            for kind, key in kinds.items()
            if not issubclass(kind, _KEYS) and (issubclass(kind, nn.Module) or self._is_the_models(key, kind))
        }
        return [key for key in dict.keys(value) if type(key) in own] if own else []

    def _fits(self, path: str, number: int, *, entered: bool = False) -> bool:
        """Return whether so many entries may still be kept, or entered; where not, remember the attribute that they are in."""
        left = self._things if entered else self._values
        if number > left:
            self.too_large[path.partition("[")[0]] = None
        elif entered:
            self._things -= number
        else:
            self._values -= number
        return number <= left

    def _module(self, path: str, module: nn.Module) -> None:
        self.modules.append((path, module))
        self._packages |= {_package(type(module))} - _NOT_THE_MODELS
        names = vars(module)
        self._add(path, module, class_of)
        self._slots(path, module)
        self._add(path, names, Mapped)
        self.containers.append((path, names))
        for name, value in names.items():
            if name in _INNER and isinstance(value, dict):
                self._seen[id(value)] = value
                self._add(path, value, Mapped)
                self.containers.append((path, value))
                self._todo += [(_join(path, key), part) for key, part in value.items()]
            elif name.endswith("_hooks") and isinstance(value, dict):
                self._add(_join(path, name), value, Mapped)  # a hook alone does not make what it works on the model's
            else:
                self._todo.append((_join(path, name), value))
        if isinstance(module, torch.jit.ScriptModule):  # what it has is not in its names
            self._add(path, module, Scripted)
            self._todo += [(_join(path, name), part) for name, part in [*script_values(module).items(), *module.named_children()]]
        self._classes(type(module))

    def _object(self, path: str, value: Any) -> None:
        names = getattr(value, "__dict__", {})
        slotted = [getattr(value, name, None) for name in _slots(type(value))]
        if any(isinstance(part, _SHARED) for part in (value, *names.values(), *slotted)):
            return
        if hasattr(value, "__dict__"):
            self._attributes(path, names)
        self._slots(path, value)
        self._classes(type(value))

    def _slots(self, path: str, value: Any) -> None:
        names = list(_slots(type(value)))
        if names:
            self._add(path, value, functools.partial(Slots, names=names))
            self._todo += [(_join(path, name), getattr(value, name)) for name in names if hasattr(value, name)]

    def _attributes(self, path: str, names: dict[str, Any]) -> None:
        if id(names) not in self._seen:
            self._seen[id(names)] = names
            self._add(path, names, Mapped)
            self.containers.append((path, names))
            self._todo += [(_join(path, name), value) for name, value in names.items()]

    def _classes(self, kind: type) -> None:
        """Enter the user's own classes: what all instances share."""
        for cls in kind.__mro__:
            if id(cls) not in self._seen and self._is_the_users(cls):
                self._seen[id(cls)] = cls
                self.classes.append(cls)
                self._add(cls.__qualname__, cls, ClassNames)
                self._todo += [(f"{cls.__qualname__}.{name}", value) for name, value in plain_names(cls).items()]

    def _array(self, path: str, array: Any) -> None:
        if array.dtype.hasobject or not array.flags.writeable:
            return
        if array.nbytes > self._bytes:
            self.too_large[path] = None
            return
        self._bytes -= array.nbytes
        self._add(path, array, of_array)

    def _is_the_models(self, value: Any, kind: type) -> bool:
        if isinstance(value, (type, Dataset, DataLoader)) or any(_package(cls) in _TRAINERS for cls in kind.__mro__):
            return False  # such as a Trainer, or a subclass of it
        return (
            isinstance(value, (*_PYTHONS, *_TORCHS))
            or dataclasses.is_dataclass(value)
            or any(map(self._is_the_users, kind.__mro__))
        )

    def _is_the_users(self, cls: type) -> bool:
        """Return whether a class is from a package that one of the model's modules is from, or from no installed package."""
        package = _package(cls)
        return package in self._packages or (package not in _NOT_THE_MODELS and not _is_installed(cls.__module__))


def _package(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]


@functools.cache
def _is_installed(module: str) -> bool:
    """Return whether a module is Python's own or an installed package's, and not a file of the user's project."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module != "__main__"
    return Path(file).resolve().is_relative_to(_STANDARD) or not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _slots(kind: type) -> Iterator[str]:
    """Yield the names of a class's slots, private ones as Python mangles them."""
    for cls in kind.__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name.startswith("__") and not name.endswith("__"):
                yield f"_{cls.__name__.lstrip('_')}{name}"
            elif name not in ("__dict__", "__weakref__"):
                yield name


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
