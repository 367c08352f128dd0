"""Keeps tensors: their bytes, and which bytes they look at.

The bytes are copied beforehand while they are few. The rest is not: a ``TorchDispatchMode`` around the forward pass sees every
operation that writes, by its schema, and what it is about to write to is copied first. So a probe of a large model takes memory for
what the forward pass changes, and not for the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, is_traceable_wrapper_subclass

from boundarycb.keep.devices import is_far, wait_for

FEW_BYTES = 16 * 2**20
"""Bytes of the main memory that are copied beforehand: a write that no schema declares (into a numpy view, say) is undone too."""
FEW_BYTES_THERE = 128 * 2**20
"""The same of the memory of a device that is far: there all are copied and compared as one, which takes less time than a guard."""

_UNDECLARED = {"native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "batch_norm_gather_stats_with_counts"}
"""Operations that write to running statistics, which are their arguments 3 and 4, without a word in the schema."""


# ------------------------------------------------------------------------------------------------------------- the bytes


class _Bytes:
    """The bytes of one storage, and the copy of them, once there is one."""

    def __init__(self, storage: torch.UntypedStorage) -> None:
        self._storage = storage
        self._size = storage.nbytes()
        self._view = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
        self._copy: torch.Tensor | None = None

    @property
    def size(self) -> int:
        return self._size

    @property
    def device(self) -> torch.device:
        return self._storage.device

    @property
    def saved(self) -> bool:
        return self._copy is not None

    @property
    def view(self) -> torch.Tensor:
        return self._view

    def save(self, copy: torch.Tensor | None = None) -> None:
        if self._copy is None:
            self._copy = self._view.clone() if copy is None else copy

    @property
    def resized(self) -> bool:
        return self._storage.nbytes() != self._size

    def changed(self) -> bool:
        if self.resized or self._copy is None:
            return self.resized
        try:
            return not torch.equal(self._view, self._copy)
        except RuntimeError:  # a comparison needs memory, and what may be different can be put back without
            return True

    def differs(self) -> torch.Tensor:
        """Return whether what was saved is different now, as a tensor that nobody has waited for."""
        assert self._copy is not None
        return (self._view != self._copy).any()

    def put_back(self) -> None:
        if self.resized:
            self._storage.resize_(self._size)
        if self._copy is not None:
            self._view.copy_(self._copy)


class _AsOne:
    """Bytes on a device that is far, copied beforehand: the copies are parts of one."""

    def __init__(self, ones: Sequence[_Bytes]) -> None:
        self.ones = ones
        self._whole = torch.cat([one.view for one in ones])
        for one, copy in zip(ones, self._whole.split([one.size for one in ones]), strict=True):
            one.save(copy)

    def changed(self) -> list[_Bytes]:
        """Return those that are different now, or may be. The device is asked once, and again where some are."""
        resized = [one for one in self.ones if one.resized]
        try:
            if not resized and torch.equal(torch.cat([one.view for one in self.ones]), self._whole):
                return []
            rest = [one for one in self.ones if not one.resized]
            differing = torch.stack([one.differs() for one in rest]).tolist() if rest else []
            return resized + [one for one, differs in zip(rest, differing, strict=True) if differs]
        except RuntimeError:  # for want of memory, say
            return list(self.ones)


def _few_by_device(every: Iterable[_Bytes]) -> dict[torch.device, list[_Bytes]]:
    """Return the bytes to copy beforehand, the smallest first, as far as there is room on their device."""
    found: dict[torch.device, list[_Bytes]] = {}
    left: dict[torch.device, int] = {}
    for one in sorted(every, key=lambda one: one.size):
        few = FEW_BYTES_THERE if is_far(one.device) else FEW_BYTES if one.device.type == "cpu" else 0
        room = left.setdefault(one.device, few)
        if one.size <= room:
            found.setdefault(one.device, []).append(one)
            left[one.device] -= one.size
    return found


def storages_of(tensor: torch.Tensor) -> list[torch.UntypedStorage]:
    """Return what holds a tensor's bytes: one storage; of a sparse or composed tensor several; none of one without bytes."""
    any_tensor: Any = tensor
    if is_traceable_wrapper_subclass(any_tensor):
        names, _ = any_tensor.__tensor_flatten__()
        parts = [getattr(tensor, name) for name in names]
        return [storage for part in parts if isinstance(part, torch.Tensor) for storage in storages_of(part)]
    if tensor.layout == torch.sparse_coo:
        return storages_of(tensor._indices()) + storages_of(tensor._values())
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return storages_of(tensor.crow_indices()) + storages_of(tensor.col_indices()) + storages_of(tensor.values())
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return storages_of(tensor.ccol_indices()) + storages_of(tensor.row_indices()) + storages_of(tensor.values())
    if tensor.layout != torch.strided or tensor.is_meta:
        return []
    try:
        storage = tensor.untyped_storage()
        return [storage] if storage.data_ptr() or not storage.nbytes() else []
    except (NotImplementedError, RuntimeError):  # a device or a subclass that gives no access to its bytes
        return []


class _WriteGuard(TorchDispatchMode):
    """Calls `about_to_write` with every tensor that an operation is about to write to."""

    supports_higher_order_operators = True

    def __init__(self, about_to_write: Callable[[torch.Tensor], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._about_to_write = about_to_write
        self._places: dict[Any, tuple[int | str, ...]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        places = self._places.get(func)
        if places is None:
            places = self._places[func] = _written_arguments(func)
        for place in places:
            given = kwargs.get(place) if isinstance(place, str) else args[place] if place < len(args) else None
            for tensor in given if isinstance(given, (list, tuple)) else (given,):
                if isinstance(tensor, torch.Tensor):
                    self._about_to_write(tensor)
        return func(*args, **kwargs)


def _written_arguments(func: Any) -> tuple[int | str, ...]:
    """Return which arguments an operation writes to: positions and names."""
    schema = getattr(func, "_schema", None)
    if schema is None:
        return ()
    if schema.name.partition("::")[2] in _UNDECLARED:
        return (3, 4)
    places: list[int | str] = []
    for place, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            places += [argument.name] if argument.kwarg_only else [place, argument.name]
    return tuple(places)


# ----------------------------------------------------------------------------------------------------------- the tensors


@dataclass(frozen=True, eq=False)
class _KeptTensor:
    """A tensor, and what it was.

    Args:
        path: where it is, seen from the model.
        tensor: the tensor itself.
        alias: another tensor that looks at the same bytes in the same way.
        version: how often it had been written to; -1 where that is not counted.
        requires_grad: whether it did.
        grad: its gradient.
        graph: what computed it, if it is part of a graph.
        hooks: its hooks, by kind.
        bytes: keys of its storages.
    """

    path: str
    tensor: torch.Tensor
    alias: torch.Tensor
    version: int
    requires_grad: bool
    grad: torch.Tensor | None
    graph: Any
    hooks: Mapping[str, Mapping[int, Any]]
    bytes: tuple[int, ...]

    def moved(self) -> bool:
        """Return whether it looks at other bytes, or at the same ones in another way."""
        one, other = self.tensor, self.alias
        if one.dtype != other.dtype or one.device != other.device or one.layout != other.layout:
            return True
        if not one.is_nested and one.shape != other.shape:
            return True
        if one.layout == torch.strided and not one.is_nested:
            return one.stride() != other.stride() or one.storage_offset() != other.storage_offset() or self._elsewhere()
        return self._elsewhere()

    def _elsewhere(self) -> bool:
        return self.bytes != tuple(storage._cdata for storage in storages_of(self.tensor))

    def graded(self) -> bool:
        """Return whether its gradient is another tensor, or whether it is asked for another."""
        one = self.tensor
        if one.requires_grad != self.requires_grad or hooks_of(one) != self.hooks or one.grad_fn is not self.graph:
            return True
        return one.is_leaf and one.grad is not self.grad

    def put_back(self) -> None:
        """Let it look at its own bytes again, and have its own hooks and gradient."""
        one = self.tensor
        if self.moved():
            one.data = self.alias
        if one.grad_fn is not None and self.graph is None:
            one.detach_()  # from a graph of ours, which wrote to it
        for kind, hooks in hooks_of(one).items():
            if hooks != self.hooks[kind]:
                getattr(one, kind).clear()
                getattr(one, kind).update(self.hooks[kind])
        if one.is_leaf:
            if one.requires_grad != self.requires_grad:
                one.requires_grad_(self.requires_grad)
            if one.grad is not self.grad:
                one.grad = self.grad


class KeptTensors:
    """Tensors as they were.

    Args:
        tensors: (path, tensor), each tensor once.
    """

    def __init__(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
        self._bytes: dict[int, _Bytes] = {}
        self._tensors = [self._keep(path, tensor) for path, tensor in tensors]
        self._as_one: list[_AsOne] = []
        for device, few in _few_by_device(self._bytes.values()).items():
            if is_far(device):
                wait_for(device)  # what another stream is still writing (an average of weights, say) would be put back half done
                with suppress(RuntimeError):  # where there is no memory for it, the guard copies what is written to
                    self._as_one.append(_AsOne(few))
            else:
                for one in few:
                    one.save()

    def _keep(self, path: str, tensor: torch.Tensor) -> _KeptTensor:
        storages = storages_of(tensor)
        for storage in storages:
            if storage._cdata not in self._bytes:
                self._bytes[storage._cdata] = _Bytes(storage)
        keys = tuple(storage._cdata for storage in storages)
        grad = tensor.grad if tensor.is_leaf else None
        return _KeptTensor(
            path=path,
            tensor=tensor,
            alias=tensor.detach(),
            version=version_of(tensor),
            requires_grad=tensor.requires_grad,
            grad=grad,
            graph=tensor.grad_fn,
            hooks=hooks_of(tensor),
            bytes=keys,
        )

    def guard(self) -> AbstractContextManager[Any]:
        """Return a context in which bytes are copied before they are written to, where they are not copied yet."""
        return nullcontext() if all(one.saved for one in self._bytes.values()) else _WriteGuard(self._save)

    def _save(self, tensor: torch.Tensor) -> None:
        for storage in storages_of(tensor):
            one = self._bytes.get(storage._cdata)
            if one is not None:
                one.save()

    def changed(self) -> tuple[str, ...]:
        """Return the paths of the tensors that are different now."""
        written = self._written()
        return tuple(one.path for one in self._tensors if written.intersection(one.bytes) or one.moved() or one.graded())

    def _written(self) -> set[int]:
        """Return the keys of the bytes that are different now."""
        asked = {id(one) for some in self._as_one for one in some.ones}
        changed = {id(one) for some in self._as_one for one in some.changed()}
        return {key for key, one in self._bytes.items() if id(one) in changed or (id(one) not in asked and one.changed())}

    def put_back(self) -> tuple[str, ...]:
        """Make the tensors what they were; return the paths of those that could not be.

        Such a one was written to in a way that was not seen coming, and it is only its version that tells.
        """
        lost = []
        for one in self._tensors:
            held = [self._bytes[key] for key in one.bytes]
            unseen = version_of(one.tensor) != one.version and not any(part.saved for part in held)
            if (unseen and not one.tensor.is_meta) or any(part.resized and not part.saved for part in held):
                lost.append(one.path)
        for key in self._written():
            self._bytes[key].put_back()
        for one in self._tensors:
            with suppress(Exception):  # a subclass may not take it; what else is to be put back shall be
                one.put_back()
            if one.moved() or one.graded():
                lost.append(one.path)
            if version_of(one.tensor) != one.version and one.path not in lost:
                _set_version(one.tensor, one.version)
        return tuple(lost)


TENSOR_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_NONE: Mapping[int, Any] = {}


def hooks_of(tensor: torch.Tensor) -> dict[str, Mapping[int, Any]]:
    """Return a tensor's hooks, by kind; most have none."""
    kinds = {kind: getattr(tensor, kind, None) for kind in TENSOR_HOOKS}
    return {kind: dict(hooks) if hooks else _NONE for kind, hooks in kinds.items()}


def version_of(tensor: torch.Tensor) -> int:
    """Return how often `tensor` was written to, as far as autograd counts it; -1 where it does not."""
    return -1 if tensor.is_inference() else tensor._version


def _set_version(tensor: torch.Tensor, version: int) -> None:
    """Set a version back, so that a graph that was built before a probe can still be run backward after it."""
    setter: Any = torch._C._autograd._unsafe_set_version_counter
    try:
        setter((tensor,), (version,))
    except TypeError:  # torch 2.6 takes one at a time
        setter(tensor, version)
