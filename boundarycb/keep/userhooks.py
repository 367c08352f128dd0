"""Parks the user's forward hooks while the model is probed.

A hook that counts calls or collects activations must not see ours. But some hooks are a part of the model: torch's own (weight
norm, spectral norm, pruning, observers), and those that work on the model's own modules. These run; what they change in the model
is put back with everything else.
"""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from boundarycb.keep.holders import Mapped
from boundarycb.keep.reach import Reach
from boundarycb.keep.tensors import TENSOR_HOOKS

_KINDS = ("_forward_pre_hooks", "_forward_hooks")
_BACKWARD = ("_backward_pre_hooks", "_backward_hooks")


@contextmanager
def parked(reach: Reach) -> Iterator[tuple[str, ...]]:
    """Take the user's hooks out of all modules, and out of torch's global ones; put them back at the end.

    Yields:
        What was parked, in words.
    """
    places = [(path, getattr(module, kind)) for path, module in reach.modules for kind in _KINDS if hasattr(module, kind)]
    places += [("all modules", getattr(torch_module, f"_global{kind}")) for kind in _KINDS]
    holders: list[Mapped] = []
    names: list[str] = []
    try:
        for path, hooks in places:
            foreign = [number for number, hook in hooks.items() if not _is_the_models(hook, reach)]
            if foreign:
                holders.append(Mapped(path, hooks))
                taken = [hooks.pop(number) for number in foreign]
                names += [f"{_name(hook)} on {path or 'the model'}" for hook in taken if not _is_ours(hook)]
        yield tuple(names)
    finally:
        for holder in holders:
            holder.put_back()


@contextmanager
def backward_parked(reach: Reach) -> Iterator[None]:
    """Take all backward hooks out, of modules and of tensors: a forward pass that differentiates would run them."""
    places = [(path, getattr(module, kind, None)) for path, module in reach.modules for kind in _BACKWARD]
    places += [(path, getattr(tensor, kind, None)) for path, tensor in reach.tensors for kind in TENSOR_HOOKS]
    holders = [(Mapped(path, hooks), hooks) for path, hooks in places if hooks]
    try:
        for _, hooks in holders:
            hooks.clear()
        yield
    finally:
        for holder, _ in holders:
            holder.put_back()


_PLAIN = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_CODE = (type, types.ModuleType, types.BuiltinFunctionType)


def _is_the_models(hook: Any, reach: Reach) -> bool:
    """Return whether `hook` is torch's, or a method of one of the model's modules, or works on things of the model alone.

    A function is told by what it took along from where it was made: with a list of the user's it is the user's, with the model's
    own modules alone it is the model's.
    """
    partial = isinstance(hook, functools.partial)
    plain = inspect.unwrap(hook.func if partial else hook)
    if str(getattr(plain, "__module__", None) or type(plain).__module__).partition(".")[0] == "torch":
        return True
    owner = hook if isinstance(hook, nn.Module) else getattr(hook, "__self__", None)
    if isinstance(owner, nn.Module):
        return owner in reach
    given = [*hook.args, *hook.keywords.values()] if partial else []
    things = list(_things([*given, plain]))
    return bool(things) and all(thing in reach for thing in things)


def _is_ours(hook: Any) -> bool:
    """Return whether `hook` listens for us: it is no user's, who need not hear of it."""
    return type(hook).__module__.partition(".")[0] == __name__.partition(".")[0]


def _things(values: Iterable[Any], depth: int = 3) -> Iterator[Any]:
    """Yield what can be changed among `values`, within tuples, and in what functions took along."""
    for value in values:
        if isinstance(value, tuple):
            yield from _things(value, depth)
        elif isinstance(value, types.MethodType):
            yield value.__self__
        elif isinstance(value, types.FunctionType):
            yield from _things(_taken_along(value), depth - 1) if depth else ()
        elif not isinstance(value, (*_PLAIN, *_CODE)):
            yield value


def _taken_along(function: types.FunctionType) -> Iterator[Any]:
    """Yield what a function works on: what it closes over, its defaults, and what it names of its module."""
    code = function.__code__
    if any(step.opname == "STORE_DEREF" and step.argval in code.co_freevars for step in dis.get_instructions(code)):
        yield object()  # a variable around it that it counts up, say: no thing of the model's
    yield from (cell.cell_contents for cell in function.__closure__ or () if _filled(cell))
    yield from function.__defaults__ or ()
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    yield from (function.__globals__.get(name) for name in sorted(names))


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _name(hook: Any) -> str:
    hook = hook.func if isinstance(hook, functools.partial) else hook
    return str(getattr(hook, "__qualname__", type(hook).__qualname__)).rpartition("<locals>.")[2]
