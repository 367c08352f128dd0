"""Parks the user's forward hooks while the model is probed.

A hook that counts calls or collects activations must not see ours. But some hooks are a part of the model: torch's own (weight
norm, spectral norm, pruning, observers), and those that work on the model's own modules. These run; what they change in the model
is put back with everything else.
"""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from boundarycb.probe.holders import Mapped
from boundarycb.probe.reach import Reach

_KINDS = ("_forward_pre_hooks", "_forward_hooks")


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
                names += [f"{_name(hooks.pop(number))} on {path or 'the model'}" for number in foreign]
        yield tuple(names)
    finally:
        for holder in holders:
            holder.put_back()


def _is_the_models(hook: Any, reach: Reach) -> bool:
    """Return whether `hook` is torch's, or works on things of the model and on nothing else.

    A function is told by what it took along from where it was made: with a list of the user's it is the user's, with the model's
    own modules alone it is the model's.
    """
    if str(getattr(hook, "__module__", None) or type(hook).__module__).partition(".")[0] == "torch":
        return True
    if isinstance(hook, functools.partial):
        taken = [*hook.args, *hook.keywords.values(), *_taken_along(hook.func)]
    else:
        taken = [hook] if isinstance(hook, nn.Module) else _taken_along(hook)
    things = [thing for thing in taken if not isinstance(thing, _PLAIN)]
    return bool(things) and all(thing in reach for thing in things)


_PLAIN = (int, float, complex, str, bytes, type(None), type, torch.dtype, torch.device, types.FunctionType, types.ModuleType)


def _taken_along(hook: Any) -> list[Any]:
    """Return what a hook works on: its object, what it closes over, its defaults, and containers of its module that it names."""
    owner = getattr(hook, "__self__", None)
    function = getattr(hook, "__func__", hook)
    if not isinstance(function, types.FunctionType):
        return [hook]
    cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    named = [function.__globals__.get(name) for name in function.__code__.co_names]
    containers = [value for value in named if isinstance(value, (list, dict, set, deque))]
    return [owner, *cells, *(function.__defaults__ or ()), *containers]


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _name(hook: Any) -> str:
    hook = hook.func if isinstance(hook, functools.partial) else hook
    return str(getattr(hook, "__qualname__", type(hook).__qualname__)).rpartition("<locals>.")[2]
