"""Context managers that leave a model and the process as they were: modes, buffers, random numbers.

Every one restores in a ``finally``, so that an error in the user's forward pass changes nothing either.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def random_state_kept(devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Put the random number generators of python, numpy, torch's CPU and the given `devices` back at the end."""
    python, cpu = random.getstate(), torch.get_rng_state()
    legacy = np.random.get_state()  # noqa: NPY002 - the generator that training code uses
    others = [(generator, generator.get_state()) for generator in map(_generator, devices) if generator is not None]
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        for generator, state in others:
            generator.set_state(state)


def _generator(device: torch.device) -> torch.Generator | None:
    """Return the default generator of an accelerator, or None where torch has none for it."""
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    module = getattr(torch, device.type, None)
    generators = getattr(module, "default_generators", ())
    index = device.index if device.index is not None else 0
    return generators[index] if device.type != "cpu" and index < len(generators) else None


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Switch every submodule to eval mode and back to the mode that it, itself, had.

    The flag is set directly: ``model.eval()`` would run a user's own ``train()`` override, and ``model.train(mode)`` at the
    end would thaw submodules that the user froze on purpose (a batch-norm in eval mode).
    """
    modes = [(module, module.training) for module in model.modules() if hasattr(module, "training")]  # frozen scripts have none
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put every buffer back: the same tensor object, with its old size and values; buffers that are new are taken out again.

    Values are compared, not versions: a write through ``.data`` leaves no version behind, and tensors made in inference mode have
    none. A buffer that did not change is not written to.
    """
    kept = [(module, dict(module._buffers), set(module._non_persistent_buffers_set)) for module in model.modules()]
    values = [(buffer, buffer.detach().clone()) for _, buffers, _ in kept for buffer in buffers.values() if buffer is not None]
    versions = [_version(buffer) for buffer, _ in values]
    try:
        yield
    finally:
        for (buffer, old), version in zip(values, versions, strict=True):
            if not _same(buffer, old, version):
                _write_back(buffer, old)
        for module, buffers, transient in kept:
            if {name: id(buffer) for name, buffer in module._buffers.items()} != {
                name: id(buffer) for name, buffer in buffers.items()
            }:
                module._buffers.clear()
                module._buffers.update(buffers)
            module._non_persistent_buffers_set.clear()
            module._non_persistent_buffers_set.update(transient)


@contextmanager
def logging_silenced(model: nn.Module) -> Iterator[None]:
    """Let ``self.log`` and ``self.log_dict`` of LightningModules do nothing: what they log in forward is the user's, not ours."""
    shadowed: list[tuple[nn.Module, str]] = []
    try:
        for module in model.modules():
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


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _same(now: torch.Tensor, old: torch.Tensor, version: int) -> bool:
    if now.shape != old.shape or now.dtype != old.dtype or now.device != old.device:
        return False
    if now.layout != torch.strided or now.is_quantized:
        return _version(now) == version  # values of these cannot be compared by element
    if not now.is_floating_point():
        return torch.equal(now, old)
    return bool(((now == old) | (now.isnan() & old.isnan())).all())


def _write_back(buffer: torch.Tensor, old: torch.Tensor) -> None:
    with torch.inference_mode(buffer.is_inference()), torch.no_grad():
        if buffer.dtype != old.dtype or buffer.device != old.device:
            buffer.data = old
            return
        if buffer.shape != old.shape:
            buffer.resize_(old.shape)
        buffer.copy_(old)
