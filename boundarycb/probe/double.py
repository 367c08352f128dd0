"""Runs a model in double precision without converting it: float64 copies stand in for its tensors while a forward pass runs.

The tensors themselves are not touched, so an optimiser, a graph and a tied weight are what they were. A copy stands wherever the
forward pass may look: in parameters, buffers, attributes, lists and dicts; the same tensor has the same copy everywhere. What the
forward pass makes in a narrower format (``x.float()``, ``torch.zeros(…, dtype=torch.float32)``, a tensor in a closure) is widened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from boundarycb.keep.holders import put_at
from boundarycb.keep.reach import Reach
from boundarycb.keep.tensors import storages_of, version_of

_WIDE = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex32: torch.complex128,
    torch.complex64: torch.complex128,
}
_NARROWING = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}


def _factories(names: str) -> set[Callable[..., Any]]:
    return {getattr(torch, name) for name in names.split()}


_OF_FLOATS = _factories(
    "zeros ones empty rand randn eye linspace logspace normal empty_strided "
    "hann_window hamming_window blackman_window bartlett_window kaiser_window"
)
"""What makes tensors of the default format, if not told otherwise."""
_OF_VALUES = _factories("tensor as_tensor asarray full arange scalar_tensor")
"""What makes them of the default format where it is given floating-point numbers."""
_WRITING = {"__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__", "__ipow__"}
_ATTRIBUTES = {"__get__", "__set__", "__delete__"}


@dataclass(eq=False)
class _Copy:
    """A tensor and its float64 copy, which is made anew where a forward pass wrote into it."""

    original: torch.Tensor
    copy: torch.Tensor
    alias: torch.Tensor
    version: int = 0

    def refresh(self) -> None:
        if storages_of(self.copy) and self.copy.data_ptr() != self.alias.data_ptr():
            self.copy.data = self.alias
        if version_of(self.alias) != self.version:
            self.alias.copy_(self.original)
            self.version = version_of(self.alias)


class StandIns:
    """Float64 copies of all that is narrower in a model.

    Args:
        reach: what can be reached from the model.

    Raises:
        ValueError: a tensor has no double precision.
    """

    def __init__(self, reach: Reach) -> None:
        self._copies: dict[int, _Copy] = {}
        self._whole: dict[tuple[int, torch.dtype], torch.Tensor] = {}
        self._users = Counter((storage._cdata, one.dtype) for _, one in reach.tensors for storage in storages_of(one))
        self._places = [
            (container, key, self._copy_of(value, path))
            for path, container, key, value in reach.places()
            if issubclass(type(value), torch.Tensor) and value.dtype in _WIDE  # a dead weak reference must not be asked
        ]

    def _copy_of(self, tensor: torch.Tensor, path: str) -> _Copy:
        if id(tensor) not in self._copies:
            try:
                copy = self._wide(tensor)
            except Exception as error:
                raise ValueError(
                    f"`forward.double()` is not possible: a tensor in {path or 'the model'} ({tensor.dtype} on {tensor.device}) "
                    f"has no double precision ({type(error).__name__})."
                ) from error
            if isinstance(tensor, nn.Parameter):
                copy = nn.Parameter(copy, requires_grad=tensor.requires_grad)
            vars(copy).update(vars(tensor))
            self._copies[id(tensor)] = _Copy(tensor, copy, copy.detach(), version_of(copy))
        return self._copies[id(tensor)]

    def _wide(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return a copy in double precision; views of the same bytes are views of the same copy."""
        plain, wide = tensor.detach(), _WIDE[tensor.dtype]
        storages = storages_of(plain)
        odd = plain.layout != torch.strided or plain.is_nested or type(plain) is not torch.Tensor
        if len(storages) != 1 or odd:
            return plain.to(wide)
        key = storages[0]._cdata, plain.dtype
        if self._users[key] == 1:
            return plain.to(wide)
        if key not in self._whole:
            self._whole[key] = torch.empty(0, dtype=plain.dtype, device=plain.device).set_(storages[0]).to(wide)
        return self._whole[key].as_strided(plain.size(), plain.stride(), plain.storage_offset())

    @contextmanager
    def in_place(self, *, fresh: bool = False) -> Iterator[None]:
        """Let the copies stand in until the end; `fresh` where no forward pass can have written into them."""
        if not fresh:
            for one in self._copies.values():
                one.refresh()
        try:
            for container, key, one in self._places:
                put_at(container, key, one.copy)
            yield
        finally:
            for container, key, one in self._places:
                if _holds(container, key, one.copy):  # what a forward pass put in its place is put back with all that it changed
                    put_at(container, key, one.original)


def called(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call `func` as if double precision were the default format; torch's own default holds for all threads."""
    asked = kwargs.get("dtype") is not None or "out" in kwargs
    if func in _OF_FLOATS and not asked:
        return func(*args, **{**kwargs, "dtype": torch.float64})
    result = func(*args, **kwargs)
    if func in _OF_VALUES and not asked and result.dtype in _WIDE:
        return func(*args, **{**kwargs, "dtype": _WIDE[result.dtype]})
    return result


class InDouble(TorchFunctionMode):
    """Lets every operation be one of float64: widens what operations take, and what they are asked to make."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if func in _NARROWING:
            return args[0].double()
        if func is torch.Tensor.type and len(args) > 1 and "Float" in str(args[1]):  # the old spelling: x.type(torch.FloatTensor)
            return args[0].double()
        if name in _ATTRIBUTES or func is torch.Tensor.view:  # of which one kind reads the same bytes in another format
            return func(*args, **(kwargs or {}))
        writes = name in _WRITING or (name.endswith("_") and not name.endswith("__")) or "out" in (kwargs or {})
        return called(func, _widened(args, tensors=not writes), _widened(dict(kwargs or {}), tensors=not writes))


def _widened(value: Any, *, tensors: bool) -> Any:
    """Return `value` with the formats in it, and the `tensors` too, made double."""
    if isinstance(value, torch.Tensor):
        return value.to(_WIDE[value.dtype]) if tensors and value.dtype in _WIDE else value
    if isinstance(value, torch.dtype):
        return _WIDE.get(value, value)
    if type(value) in (tuple, list):
        return type(value)(_widened(part, tensors=tensors) for part in value)
    if type(value) is dict:
        return {name: _widened(part, tensors=tensors) for name, part in value.items()}
    return value


def _holds(container: Any, key: Any, value: Any) -> bool:
    if isinstance(container, dict):
        return dict.get(container, key) is value
    return key < len(container) and container[key] is value
