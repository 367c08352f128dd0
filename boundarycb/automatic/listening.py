"""Hears how models are called, where a batch does not tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import nn

from boundarycb.automatic.calls import ModelCall, copied
from boundarycb.nested import leaves

Heard = Callable[[str, ModelCall], None]
"""Takes the name of a module that is called, and what it is called with, before it runs."""


class Listener:
    """Listens to calls of some modules.

    Args:
        modules: by name.
        heard: called at each call, until it stops the listener.
    """

    def __init__(self, modules: Mapping[str, nn.Module], heard: Heard) -> None:
        self._modules = modules
        self._heard = heard
        self._handles: list[Any] = []

    def listen(self) -> None:
        """Begin."""
        for name, module in self._modules.items():
            with suppress(RuntimeError):  # a ScriptModule takes no hooks
                self._handles.append(module.register_forward_pre_hook(_Ear(partial(self._hear, name)), with_kwargs=True))

    def stop(self) -> None:
        """End; nothing is heard any more."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _hear(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._handles and not any(_is_wrapped(leaf) for _, leaf in leaves([args, kwargs])):
            self._heard(name, ModelCall(*copied((args, kwargs))))


def _is_wrapped(leaf: Any) -> bool:
    """Return whether a tensor lives inside a transform such as vmap, and must not leave it."""
    return isinstance(leaf, torch.Tensor) and bool(torch._C._functorch.is_functorch_wrapped_tensor(leaf))


def _nothing(_args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
    """Hear nothing."""


class _Ear:
    """A forward pre-hook that hears one model: copied or pickled with it, it is one that does nothing."""

    def __init__(self, hear: Callable[[tuple[Any, ...], dict[str, Any]], None] = _nothing) -> None:
        self._hear = hear

    def __call__(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._hear(args, kwargs)

    def __reduce__(self) -> tuple[type[_Ear], tuple[()]]:
        return _Ear, ()
