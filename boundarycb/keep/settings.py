"""Settings of torch and numpy that hold for the whole process, and that a forward pass may leave otherwise than it found them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from boundarycb.keep.holders import Holder, State

Setting = tuple[str, Callable[[], Any], Callable[[Any], Any]]  # what it is, how it is read and how it is written


def settings() -> list[Holder]:
    """Return the holders of all of them, as they are now."""
    holders: list[Holder] = [State(f"torch's {name}", get, give) for name, get, give in _SETTINGS]
    return [*holders, State("numpy's error state", np.geterr, lambda old: np.seterr(**old))]


def _deterministic(mode: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])


def _of_autocast(device: str) -> Setting:
    def put_back(mode: tuple[bool, torch.dtype]) -> None:
        torch.set_autocast_enabled(device, mode[0])
        torch.set_autocast_dtype(device, mode[1])

    return f"autocast of {device}", lambda: (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)), put_back


def _of_backend(name: str, *switches: str) -> Setting:
    """Return the switches of ``torch.backends.<name>`` as one setting; those that this torch has."""
    backend = getattr(torch.backends, name)
    switches = tuple(switch for switch in switches if hasattr(backend, switch))

    def put_back(old: tuple[Any, ...]) -> None:
        for switch, value in zip(switches, old, strict=True):
            setattr(backend, switch, value)

    return name, lambda: tuple(getattr(backend, switch) for switch in switches), put_back


def _default_device() -> torch.device | None:
    """Return the device on which tensors are made, or None for the CPU: what is set as one slows every call down."""
    try:
        device = torch.get_default_device()
    except AttributeError:  # torch 2.6 where None was set: it asks that for its device
        return None
    return None if device == torch.device("cpu") else device


def _set_default_device(device: torch.device | None) -> None:
    torch.set_default_device(device)
    try:
        torch.get_default_device()
    except AttributeError:  # as above, for which nobody else is to blame then
        del torch._GLOBAL_DEVICE_CONTEXT.device_context


def _precision() -> tuple[str | None, tuple[str | None, ...]]:
    """Return how float32 is multiplied: the one word for all, and each backend's own, which torch has since 2.9.

    Where they contradict each other torch refuses to give the one word, and None stands for it.
    """
    try:
        word = torch.get_float32_matmul_precision()
    except RuntimeError:
        word = None
    return word, tuple(getattr(backend, "fp32_precision", None) for backend in _multiplying())


def _set_precision(old: tuple[str | None, tuple[str | None, ...]]) -> None:
    word, own = old
    if word not in (None, _precision()[0]):
        torch.set_float32_matmul_precision(word)  # which writes the backends' own, too
    for backend, value in zip(_multiplying(), own, strict=True):
        for given in ("none", value):  # "none" is to be asked for another's; what is written would no longer follow that one
            if value is not None and backend.fp32_precision != value:
                backend.fp32_precision = given


def _multiplying() -> list[Any]:
    """Return what has a precision of its own; the one that is asked where another has none comes before it.

    oneDNN as a whole is left out: what is written to it torch writes to the one for all.
    """
    backends = torch.backends
    parts = [getattr(backend, part, None) for backend in (backends.cudnn, backends.mkldnn) for part in ("matmul", "conv", "rnn")]
    return [backends, backends.cudnn, backends.cuda.matmul, *parts]


_TF32 = () if hasattr(torch.backends.cudnn, "fp32_precision") else ("allow_tf32",)  # what came before `fp32_precision`

_SETTINGS: list[Setting] = [
    ("grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
    ("default dtype", torch.get_default_dtype, torch.set_default_dtype),
    ("default device", _default_device, _set_default_device),
    ("number of threads", torch.get_num_threads, torch.set_num_threads),
    ("autocast cache", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    ("anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    ("float32 matmul precision", _precision, _set_precision),
    _of_autocast("cpu"),
    _of_autocast("cuda"),
    _of_backend("cudnn", "enabled", "benchmark", "deterministic", *_TF32),
    _of_backend("mkldnn", "enabled", "deterministic"),
    (
        "deterministic algorithms",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        _deterministic,
    ),
]
