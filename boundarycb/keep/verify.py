"""A deep look at everything around a model, to be compared with another one: what does a forward pass change, and is it all back?

It costs a pass over all bytes, so it is made once, on request. It shares no code with what puts things back, and looks further:
where that compares which objects are where, this compares values, and digests of bytes; it enters objects of any package, what
functions close over, and the globals that methods name.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import random
import types
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

log = logging.getLogger(__name__)

_ENOUGH = 2_000_000  # values; a model that has more around it has a data set there
_CLOSED = frozenset(
    "torch lightning pytorch_lightning lightning_fabric boundarycb tensorboard wandb mlflow matplotlib threading logging queue "  # noqa: SIM905
    "concurrent asyncio multiprocessing builtins weakref _weakref io _io".split()
)
_PLAIN = (int, float, complex, str, bytes, bool, type(None), torch.dtype, torch.device, range, slice)


@dataclass(frozen=True)
class Verdict:
    """What a forward pass does besides giving an output.

    Args:
        changes: where it changed something.
        lost: where something was still changed after all was put back.
    """

    changes: tuple[str, ...]
    lost: tuple[str, ...]


class Portrait:
    """What is around `model` at this moment: a digest by path."""

    def __init__(self, model: nn.Module) -> None:
        self._digests: dict[str, Any] = {}
        self._seen: dict[int, Any] = {}  # holds on to objects, so that a new one cannot take an old one's identity
        self._todo: list[tuple[str, Any]] = [("", model)]
        self._random()
        while self._todo and len(self._digests) < _ENOUGH:
            path, value = self._todo.pop()
            if isinstance(value, _PLAIN):
                self._put(path, repr(value))
            elif id(value) not in self._seen:
                self._seen[id(value)] = value
                self._put(path, (type(value).__qualname__, id(value)))
                self._enter(path, value)
        if self._todo:
            log.warning("verify looks at %d values around the model; there are more, which it does not see.", _ENOUGH)

    def differences(self, other: Portrait) -> tuple[str, ...]:
        """Return the paths whose digests differ, or that one of the two has alone; of a path within another the outer one."""
        paths = self._digests.keys() | other._digests.keys()
        found: list[str] = []
        for path in sorted(path for path in paths if self._digests.get(path) != other._digests.get(path)):
            if not any(path.startswith((f"{outer}.", f"{outer}[")) for outer in found):
                found.append(path)
        return tuple(found)

    def _put(self, path: str, digest: Any) -> None:
        self._digests[path or "the model"] = digest

    def _random(self) -> None:
        self._put("python's random numbers", hash(random.getstate()))
        _, keys, place, *rest = np.random.get_state()  # noqa: NPY002
        self._put("numpy's random numbers", (_hashed(np.asarray(keys).tobytes()), place, *rest))
        self._put("torch's random numbers", _hashed(torch.get_rng_state().numpy().tobytes()))

    def _enter(self, path: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            self._put(path, (id(value), *_of_tensor(value)))
            if value.is_leaf and value.grad is not None:
                self._todo.append((f"{path}.grad", value.grad))
        elif isinstance(value, np.ndarray):
            self._put(path, (id(value), value.dtype, value.shape, _hashed(value.tobytes()) if not value.dtype.hasobject else 0))
        elif (state := _state(value)) is not None:
            self._put(path, (id(value), _hashed(state)))
        elif isinstance(value, (dict, list, tuple, set, frozenset, deque)):
            self._container(path, value)
        elif isinstance(value, types.FunctionType):
            self._function(path, value)
        elif isinstance(value, types.MethodType):
            self._todo.append((f"{path}.__func__", value.__func__))
        elif isinstance(value, nn.Module) or not _closed(value):
            self._object(path, value)

    def _container(self, path: str, value: Any) -> None:
        keys: list[Any]
        if isinstance(value, dict):
            keys = [key if isinstance(key, _PLAIN) else id(key) for key in value]
            self._todo += [(f"{path}[{key!r}]", part) for key, part in zip(keys, list(value.values()), strict=True)]
        elif isinstance(value, (set, frozenset)):
            keys = sorted(map(_name, value))
        else:
            keys = [len(value)]
            self._todo += [(f"{path}[{place}]", part) for place, part in enumerate(value)]
        self._put(path, (type(value).__qualname__, id(value), tuple(keys)))

    def _object(self, path: str, value: Any) -> None:
        for name, part in _attributes(value):
            self._todo.append((f"{path}.{name}" if path else name, part))
        for cls in type(value).__mro__:
            if id(cls) not in self._seen and not _closed_class(cls):
                self._seen[id(cls)] = cls
                for name, part in vars(cls).items():
                    if isinstance(part, types.FunctionType) or (
                        not name.startswith("__") and isinstance(part, (*_PLAIN, list, dict, set))
                    ):
                        self._todo.append((f"{cls.__qualname__}.{name}", part))

    def _function(self, path: str, function: types.FunctionType) -> None:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._todo.append((f"{path}:{name}", cell.cell_contents))
            except ValueError:
                continue  # not filled yet
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if isinstance(value, (*_PLAIN, list, dict, set, deque)) and not name.startswith("__"):
                self._todo.append((f"{function.__module__}:{name}", value))


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    names: dict[str, Any] = getattr(value, "__dict__", None) or {}
    for name, part in names.items():
        if name in ("_parameters", "_buffers", "_modules") and isinstance(part, dict):
            yield from part.items()
        else:
            yield name, part
    for cls in type(value).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name) and not name.startswith("__"):
                yield name, getattr(value, name)


def _state(value: Any) -> bytes | None:
    """Return the state of a generator of random numbers, of bytes or of an iterator that shows how far it is; else None."""
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, (np.random.Generator, np.random.BitGenerator)):
        bits: Any = getattr(value, "bit_generator", value)
        return repr(bits.state).encode()
    if isinstance(value, np.random.RandomState):
        return repr(value.get_state(legacy=False)).encode()
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return repr(value.getstate()).encode()
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, itertools.count):
        return repr(value).encode()
    hint = getattr(type(value), "__length_hint__", None)
    return None if hint is None else repr(hint(value)).encode()


def _of_tensor(tensor: torch.Tensor) -> tuple[Any, ...]:
    layout = (tensor.dtype, tensor.device, tuple(tensor.shape), tensor.requires_grad)
    if tensor.layout != torch.strided or tensor.is_meta or type(tensor) not in (torch.Tensor, nn.Parameter):
        return (*layout, tensor._version if not tensor.is_inference() else 0)
    storage = tensor.untyped_storage()
    view = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    return (*layout, tensor.stride(), tensor.storage_offset(), _hashed(view.cpu().numpy().tobytes()))


def _hashed(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _name(value: Any) -> str:
    return repr(value) if isinstance(value, _PLAIN) else str(id(value))


def _closed(value: Any) -> bool:
    """Return whether an object is no part of what is looked at: of such a class itself, or a Trainer, whoever derived it."""
    packages = {str(cls.__module__).partition(".")[0] for cls in type(value).__mro__}
    trainer = not packages.isdisjoint({"lightning", "pytorch_lightning", "lightning_fabric", "boundarycb"})
    return isinstance(value, (type, types.ModuleType)) or _closed_class(type(value)) or trainer


def _closed_class(cls: type) -> bool:
    return str(cls.__module__).partition(".")[0] in _CLOSED
