"""All that a training run leaves behind, as values that two runs can be compared by: bytes, numbers and names, by path.

An oracle: it knows nothing of how the probe finds or keeps things.
"""

from __future__ import annotations

import functools
import random
import types
from typing import Any

import numpy as np
import torch
from torch import nn

_SKIPPED = {"_trainer", "_fabric", "_fabric_optimizers", "_compiler_ctx", "_backward_hooks", "_torchdynamo_wrapper_id"}
"""What Lightning hangs on a module, which holds the directory of the run; and an address in memory."""


def everything(model: nn.Module, *optimizers: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the complete state: of the model and all that hangs on it, of the optimisers and of the process."""
    found: dict[str, Any] = {}
    _walk("", model, found, set())
    _walk("state", dict(model.state_dict()), found, set())  # knows what is in a ScriptModule
    for number, optimizer in enumerate(optimizers):
        _walk(f"optimizer{number}", optimizer.state_dict(), found, set())
    name, keys, *rest = np.random.get_state()
    found["random"] = (random.getstate(), name, np.asarray(keys).tobytes(), rest, torch.get_rng_state().numpy().tobytes())
    if torch.cuda.is_available():
        found["random.cuda"] = [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    found["settings"] = (
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
        torch.is_autocast_cache_enabled(),
        torch.is_inference_mode_enabled(),
        np.geterr(),
    )
    return found


def _walk(path: str, value: Any, found: dict[str, Any], seen: set[int]) -> None:
    if isinstance(value, (bool, int, float, str, bytes, bytearray, type(None), torch.dtype)):
        found[path] = repr(value)
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        _walk_numbers(path, value, found)
    elif id(value) not in seen:
        seen.add(id(value))
        random_state = _random_state(value)
        if random_state is not None:
            found[path] = random_state
        elif hasattr(value, "__iter__") and hasattr(value, "__len__") and not isinstance(value, nn.Module):
            _walk_container(path, value, found, seen)
        else:
            _walk_object(path, value, found, seen)


def _walk_numbers(path: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, np.ndarray):
        found[path] = (value.dtype, value.shape, value.tobytes())
        return
    found[path] = _of_tensor(value)
    if value.is_leaf and value.grad is not None:
        found[f"{path}.grad"] = _of_tensor(value.grad)
    hooks = [getattr(value, kind, None) or {} for kind in ("_backward_hooks", "_post_accumulate_grad_hooks")]
    found[f"{path}.hooks"] = [[_place(hook) for hook in ones.values()] for ones in hooks]


def _place(function: Any) -> tuple[str, int]:
    """Return where a function is written down, which is the same in another run: its name, and the line for those without one."""
    code = getattr(function, "__code__", None)
    return getattr(function, "__qualname__", type(function).__qualname__), 0 if code is None else code.co_firstlineno


def _random_state(value: Any) -> Any:
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state)
    return repr(value.__getstate__()) if isinstance(value, (random.Random, np.random.RandomState)) else None


def _walk_container(path: str, value: Any, found: dict[str, Any], seen: set[int]) -> None:
    hooks = path.endswith("hooks")  # their keys are numbers that go up through a whole process
    if isinstance(value, dict):
        found[path] = len(value) if hooks else [str(key) for key in value]
        for number, (key, part) in enumerate(value.items()):
            _walk(f"{path}[{number if hooks else key}]", part, found, seen)
    elif isinstance(value, (set, frozenset)):
        found[path] = sorted(map(str, value))
    else:
        found[path] = (type(value).__name__, len(value))
        for place, part in enumerate(value):
            _walk(f"{path}[{place}]", part, found, seen)


def _walk_object(path: str, value: Any, found: dict[str, Any], seen: set[int]) -> None:
    found[path] = getattr(value, "__qualname__", type(value).__qualname__)
    if isinstance(value, types.MethodType):
        _walk(f"{path}.__self__", value.__self__, found, seen)
    elif isinstance(value, functools.partial):
        _walk(f"{path}.args", value.args, found, seen)
    if callable(value) and not isinstance(value, nn.Module):
        return
    for name in [*getattr(value, "__dict__", ()), *getattr(value, "__slots__", ())]:
        if name not in _SKIPPED and hasattr(value, name):
            _walk(f"{path}.{name}", getattr(value, name), found, seen)
    for name, part in vars(type(value)).items():
        if not name.startswith("_") and isinstance(part, (int, float, dict, list)):
            _walk(f"{path}.{type(value).__name__}.{name}", part, found, seen)


def _of_tensor(tensor: torch.Tensor) -> Any:
    version = "inference" if tensor.is_inference() else tensor._version
    content = tensor.detach().cpu().clone()
    data = content.contiguous().view(torch.uint8).numpy().tobytes() if content.numel() and content.ndim else repr(content.tolist())
    return tensor.dtype, tuple(tensor.shape), tensor.requires_grad, version, data


class Meter:
    """Something that a model of another file counts with."""

    def __init__(self) -> None:
        self.count = 0

    def up(self) -> int:
        self.count += 1
        return self.count


def add(meter: Meter) -> int:
    """Count one more."""
    return meter.up()


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the paths at which two states differ."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path, "missing") != other.get(path, "missing"))
