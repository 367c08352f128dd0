"""Finds all that a model's forward pass can get at and change, from the model down.

That is: modules (also those in a plain list, which ``model.modules()`` does not know), their attributes, the containers and objects
in them, their classes, generators of random numbers, and every tensor. Objects are entered where their class comes from the package
of one of the model's modules, or is a dataclass, a plain namespace, an optimiser or a distribution; the Trainer, loggers and what
other threads may be using are not the model's, and are left alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import queue
import threading
import types
from collections import UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributions import Distribution
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from boundarycb.probe.holders import ClassNames, Grouped, Holder, Mapped, Sequenced, Slots, maker_of, of_array, plain_names

MOST_VALUES = 1_000_000
"""Entries of containers of which is kept which they are. A container that is larger (a data set) is not kept, and named."""
MOST_THINGS = 2_000
"""Entries of containers that are entered, since they can change themselves: tensors, arrays, objects, other containers. Those of
a container that has more (a replay buffer) are not kept, and it is named; a tensor takes 50 microseconds."""
MOST_BYTES = 64 * 2**20
"""Bytes of numpy arrays that are kept."""

_ATOMS = frozenset(
    {int, float, complex, bool, str, bytes, type(None), type, range, slice, property, torch.dtype, torch.device, torch.Size}
    | {types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType}
)
_NOT_THE_MODELS = {"torch", "lightning", "pytorch_lightning", "lightning_fabric", "builtins", "boundarycb"}
_SHARED = (threading.Thread, queue.Queue, queue.SimpleQueue, type(threading.Lock()), type(threading.RLock()), threading.Condition)
_ENTERED = (types.SimpleNamespace, argparse.Namespace, UserDict, UserList, Optimizer, LRScheduler, Distribution)
_INNER = {"_parameters", "_buffers", "_modules"}  # a module's parts have its own path, not that of the dict which holds them


class Reach:
    """What can be reached from `model`.

    Args:
        model: where to begin.

    Attributes:
        tensors: (path, tensor) of all tensors, gradients too.
        modules: (path, module) of all modules.
        containers: (path, dict or list) of all that has entries which can be replaced.
        too_large: paths of attributes that hold more than is kept, in the order in which they were found.
    """

    def __init__(self, model: nn.Module) -> None:
        self.tensors: list[tuple[str, torch.Tensor]] = []
        self.modules: list[tuple[str, nn.Module]] = []
        self.containers: list[tuple[str, Any]] = []
        self.too_large: dict[str, None] = {}
        self._objects: list[tuple[str, Any, Callable[[str, Any], Holder]]] = []
        self._values, self._things, self._bytes = MOST_VALUES, MOST_THINGS, MOST_BYTES
        self._seen: dict[int, Any] = {}  # holds on to what it has seen, so that no identity is used twice
        self._packages: set[str] = set()
        self._todo: list[tuple[str, Any]] = [("", model)]
        self._hooks: list[tuple[str, Any]] = []
        self._foreign: dict[int, tuple[str, Any]] = {}
        self._visit_all()
        self._without_hooks = frozenset(self._seen)
        self._todo = self._hooks
        self._visit_all()

    def __contains__(self, value: object) -> bool:
        """Return whether `value` belongs to the model: hooks alone do not bring it there."""
        return id(value) in self._without_hooks and not isinstance(value, (tuple, frozenset))  # an empty one is everyone's

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
                self._visit(*self._todo.pop())

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
        entries: Iterable[tuple[Any, Any]] = dict.items(value) if isinstance(value, dict) else enumerate(value)
        changeable = [(key, entry) for key, entry in entries if type(entry) not in _ATOMS]
        if changeable and self._fits(path, len(changeable), entered=True):
            self._todo += [(f"{path}[{key!r}]" if isinstance(key, (str, int)) else f"{path}[…]", one) for key, one in changeable]

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
        self._add(path, names, Mapped)
        self.containers.append((path, names))
        for name, value in names.items():
            if name in _INNER and type(value) is dict:
                self._seen[id(value)] = value
                self._add(path, value, Mapped)
                self.containers.append((path, value))
                self._todo += [(_join(path, key), part) for key, part in value.items()]
            else:
                (self._hooks if name.endswith("_hooks") else self._todo).append((_join(path, name), value))
        if isinstance(module, torch.jit.ScriptModule):  # what it has is not in its names
            self._todo += [(_join(path, name), buffer) for name, buffer in module.named_buffers(recurse=False)]
            self._todo += [(_join(path, name), parameter) for name, parameter in module.named_parameters(recurse=False)]
            self._todo += [(_join(path, name), child) for name, child in module.named_children()]
        self._classes(type(module))

    def _object(self, path: str, value: Any) -> None:
        names = getattr(value, "__dict__", None)
        slots = [name for name in _slots(type(value)) if not name.startswith("__")]
        parts = {**(names or {}), **{name: getattr(value, name) for name in slots if hasattr(value, name)}}
        if any(isinstance(part, _SHARED) for part in (value, *parts.values())):
            return
        if names is not None:
            self._attributes(path, names)
        if slots:
            self._add(path, value, partial(Slots, names=slots))
            self._todo += [(_join(path, name), parts[name]) for name in slots if name in parts]
        self._classes(type(value))

    def _attributes(self, path: str, names: dict[str, Any]) -> None:
        if id(names) not in self._seen:
            self._seen[id(names)] = names
            self._add(path, names, Mapped)
            self.containers.append((path, names))
            self._todo += [(_join(path, name), value) for name, value in names.items()]

    def _classes(self, kind: type) -> None:
        """Enter the user's own classes: what all instances share."""
        for cls in kind.__mro__:
            if id(cls) not in self._seen and _package(cls) in self._packages:
                self._seen[id(cls)] = cls
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
        if isinstance(value, type):
            return False
        if isinstance(value, _ENTERED):
            return True
        packages = {_package(cls) for cls in kind.__mro__ if cls is not object}
        if packages & (_NOT_THE_MODELS - {"builtins"}):
            return False  # such as a Trainer, or a subclass of it
        return dataclasses.is_dataclass(value) or bool(packages & self._packages)


def _package(cls: type) -> str:
    return str(cls.__module__).partition(".")[0]


def _slots(kind: type) -> Iterator[str]:
    for cls in kind.__mro__:
        slots = vars(cls).get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
