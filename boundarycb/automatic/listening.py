"""Hears how a model is called first, where a batch does not tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from boundarycb.automatic.calls import Call
from boundarycb.nested import changed

Heard = Callable[[str, Call], None]
"""Takes the name of the module that was called first, and what it was called with, before it runs."""


class Listener:
    """Listens until one of some modules is called.

    Args:
        modules: by name.
        heard: called once.
    """

    def __init__(self, modules: Mapping[str, nn.Module], heard: Heard) -> None:
        self._modules = modules
        self._heard = heard
        self._handles: list[Any] = []

    def listen(self) -> None:
        """Begin."""
        self._handles = [
            module.register_forward_pre_hook(_Ear(partial(self._hear, name)), with_kwargs=True)
            for name, module in self._modules.items()
        ]

    def stop(self) -> None:
        """End; nothing is heard any more."""
        for handle in self._handles:
            handle.remove()

    def _hear(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.stop()
        copies = changed((args, kwargs), lambda _, leaf: leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf)
        self._heard(name, Call(*copies))


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
