"""Context managers that leave a process and a model's switches as they were: random numbers, caches, modes, logging.

Every one restores in a ``finally``, so that an error in the user's forward pass changes nothing either. What a model's objects and
tensors hold is kept by :mod:`boundarycb.keep.kept`.
"""

from __future__ import annotations

import functools
import random
import signal
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from boundarycb.keep.holders import Generator, Holder, put_at
from boundarycb.keep.reach import Reach

# -------------------------------------------------------------------------------------------------------- random numbers


def random_state(devices: Iterable[torch.device] = ()) -> list[Holder]:
    """Return the holders of the generators that everyone shares: python's, numpy's, torch's of the CPU and of `devices`.

    CUDA's are all among them once CUDA is in use: a model on the CPU may draw there too.
    """
    holders: list[Holder] = [
        Generator("python's random numbers", random.getstate, random.setstate),
        Generator("numpy's random numbers", np.random.get_state, np.random.set_state),
        Generator("torch's random numbers", torch.get_rng_state, torch.set_rng_state),
    ]
    used = dict.fromkeys(devices)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        used |= dict.fromkeys(torch.device("cuda", number) for number in range(torch.cuda.device_count()))
    for device in used:
        generator = _generator(device)
        if generator is not None:
            holders.append(Generator(f"the random numbers of {device}", generator.get_state, generator.set_state))
    return holders


@contextmanager
def random_state_kept(devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Put the random number generators of python, numpy, torch's CPU and the given `devices` back at the end."""
    holders = random_state(devices)
    try:
        yield
    finally:
        for holder in holders:
            holder.put_back()


def _generator(device: torch.device) -> torch.Generator | None:
    """Return the default generator of an accelerator, or None where torch has none for it."""
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    module = getattr(torch, device.type, None)
    generators = getattr(module, "default_generators", ())
    index = device.index if device.index is not None else 0
    return generators[index] if device.type != "cpu" and index < len(generators) else None


# ---------------------------------------------------------------------------------------------------------------- caches


@contextmanager
def weight_cache_off() -> Iterator[None]:
    """Keep weights that parametrisations compute without gradients out of a ``parametrize.cached()`` around us."""
    enabled, cache = parametrize._cache_enabled, parametrize._cache
    try:
        parametrize._cache_enabled, parametrize._cache = 0, {}
        yield
    finally:
        parametrize._cache_enabled, parametrize._cache = enabled, cache


@contextmanager
def autocast_cache_off() -> Iterator[None]:
    """Keep casts of weights made without gradients out of the cache of an autocast region around us."""
    enabled = torch.is_autocast_cache_enabled()
    try:
        torch.set_autocast_cache_enabled(False)
        yield
    finally:
        torch.set_autocast_cache_enabled(enabled)


# ------------------------------------------------------------------------------------------------------------- the model


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch every submodule to eval mode and back to the mode that it, itself, had.

    The flag is set directly, past a user's ``__setattr__`` too: ``model.eval()`` would run a user's own ``train()`` override, and
    ``model.train(mode)`` at the end would thaw submodules that the user froze on purpose (a batch-norm in eval mode).
    """
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]  # frozen scripts have none
    try:
        for module, _ in modes:
            _set_mode(module, training=False)
        yield
    finally:
        for module, training in modes:
            _set_mode(module, training=training)


def _set_mode(module: nn.Module, *, training: bool) -> None:
    if "training" in vars(module):
        vars(module)["training"] = training
    else:
        module.training = training  # of a ScriptModule


@contextmanager
def _standing_in(places: Sequence[tuple[Any, Any, Any]], stand_ins: Mapping[int, Any]) -> Iterator[None]:
    """Put into every place (owner, key, thing) what stands in for the thing, by its identity; put the things back at the end."""
    try:
        for owner, key, thing in places:
            put_at(owner, key, stand_ins[id(thing)])
        yield
    finally:
        for owner, key, thing in places:
            put_at(owner, key, thing)


def graphs_apart(reach: Reach) -> AbstractContextManager[None]:
    """Let a tensor without a graph stand in, with the same bytes, for each that is part of the user's: it could be cut off."""
    tensors = [place[1:] for place in reach.places() if issubclass(type(place[3]), torch.Tensor)]
    places = [place for place in tensors if place[2].grad_fn is not None]
    aliases = {id(tensor): tensor.detach() for _, _, tensor in places}
    for _, _, tensor in places:
        vars(aliases[id(tensor)]).update(vars(tensor))
    return _standing_in(places, aliases)


def caches_apart(reach: Reach) -> AbstractContextManager[None]:
    """Let an empty cache stand in for every ``functools.lru_cache`` of the model's classes and objects, and of those they name.

    What a forward pass of ours computes without gradients, or in double precision, must not be found there by one of the user's.
    """
    places = [place[1:] for place in reach.places()]
    places += [(cls, name, value) for cls in reach.classes for name, value in vars(cls).items()]
    functions = [value for _, _, value in places if type(value) is types.FunctionType]
    places += [(one.__globals__, name, one.__globals__.get(name)) for one in functions for name in one.__code__.co_names]
    caches = [(owner, key, value) for owner, key, value in places if type(value) is functools._lru_cache_wrapper]
    fresh = {id(cache): functools.lru_cache(**cache.cache_parameters())(cache.__wrapped__) for _, _, cache in caches}
    return _standing_in(caches, fresh)


@contextmanager
def logging_silenced(reach: Reach) -> Iterator[None]:
    """Let ``self.log`` and ``self.log_dict`` of LightningModules do nothing: what they log in forward is the user's, not ours."""
    shadowed: list[tuple[nn.Module, str]] = []
    try:
        for _, module in reach.modules:
            if any(cls.__name__ == "LightningModule" for cls in type(module).__mro__):
                for name in {"log", "log_dict"} - module.__dict__.keys():
                    module.__dict__[name] = _nothing
                    shadowed.append((module, name))
        yield
    finally:
        for module, name in shadowed:
            del module.__dict__[name]


def _nothing(*_: object, **__: object) -> None:
    """Take anything, do nothing."""


# --------------------------------------------------------------------------------------------------------------- signals


class SignalsHeld:
    """Holds Ctrl-C and SIGTERM back while a model is being switched over, so that neither leaves it half restored.

    Signals come to the main thread; in any other there is nothing to hold. One that arrived is handled by :meth:`release`, at the
    latest when the block ends.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._arrived: list[tuple[int, FrameType | None]] = []

    def __enter__(self) -> SignalsHeld:
        self.hold()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def hold(self) -> None:
        """Keep signals from now on, as the block does from its beginning."""
        if threading.current_thread() is not threading.main_thread() or self._handlers:
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):  # a default one ends the process, and with it all that could be restored
                self._handlers[number] = handler
                signal.signal(number, lambda number, frame: self._arrived.append((number, frame)))

    def release(self) -> None:
        """Give signals to whom they belong, first those that arrived."""
        handlers, self._handlers = self._handlers, {}
        arrived, self._arrived = self._arrived, []
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in arrived:
            handlers[number](number, frame)
