"""Which tensor of a call varies with the points of a slice."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from boundarycb.automatic.calls import Asked, Call
from boundarycb.nested import Path, changed, leaves, spelled
from boundarycb.probe import Feed, module_at

VaryLike = str | int | None
"""What varies: a tensor of the call, by its place or name, or what a module gives, by the module's path."""


def feed_for(model: nn.Module, call: Call, vary: VaryLike, shape: tuple[int, ...] | None = None) -> Feed:
    """Return how points go into `model`, which is called with `call`.

    Args:
        model: the model.
        call: an example of its calls; it is copied.
        vary: what varies; by default the first batch of real numbers, of two or more each.
        shape: of one input, where it is known.

    Raises:
        Asked: `vary` names nothing, or there is nothing that could vary.
    """
    arguments: dict[Any, Any] = dict(enumerate(call.args)) | dict(call.kwargs)
    tensors = [(path, leaf) for path, leaf in leaves(arguments) if isinstance(leaf, torch.Tensor)]
    if vary is not None:
        named = [(path, leaf) for path, leaf in tensors if spelled(path) == str(vary)]
        if not named:
            return _of_module(model, call, str(vary), tensors)
        if not _can_vary(named[0][1]):
            raise Asked(f"`vary` names {vary!r}, which is no batch of real numbers ({_words(named[0][1])}).")
        return _of_tensor(call, *named[0], alone=len(list(leaves(arguments))) == 1)
    likely = [(path, leaf) for path, leaf in tensors if _can_vary(leaf) and (shape is None or tuple(leaf.shape[1:]) == shape)]
    if not likely:
        raise Asked(_nothing_varies(model, tensors, shape))
    return _of_tensor(call, *likely[0], alone=len(list(leaves(arguments))) == 1)


def _can_vary(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.ndim > 0 and len(tensor) > 0


def _of_tensor(call: Call, path: Path, tensor: torch.Tensor, *, alone: bool) -> Feed:
    args, kwargs = _copied(call)
    if alone and path == (0,):
        return Feed(args=args, rows=len(tensor))  # called with the points alone; the example tells where they lie
    return Feed(args, kwargs, place=path, rows=len(tensor))


def _of_module(model: nn.Module, call: Call, path: str, tensors: list[tuple[Path, torch.Tensor]]) -> Feed:
    try:
        module_at(model, path)
    except ValueError as error:
        known = ", ".join(repr(spelled(where)) for where, _ in tensors)
        raise Asked(f"`vary` must name a tensor of the call ({known}) or a module: {error}") from None
    args, kwargs = _copied(call)
    return Feed(args, kwargs, module=path, rows=next((len(leaf) for _, leaf in tensors if leaf.ndim), 0))


def _copied(call: Call) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, kwargs = changed(
        (call.args, dict(call.kwargs)), lambda _, leaf: leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf
    )
    return args, kwargs


def _nothing_varies(model: nn.Module, tensors: list[tuple[Path, torch.Tensor]], shape: tuple[int, ...] | None) -> str:
    """Return in words why nothing can vary, and what to do."""
    kinds = ", ".join(_words(leaf) for _, leaf in tensors) or "no tensor"
    if shape is not None and any(_can_vary(leaf) for _, leaf in tensors):
        return f"`slice` has inputs of shape {shape}, and the model is called with {kinds}; `vary` names the tensor that varies."
    tables = [path for path, module in model.named_modules() if isinstance(module, nn.Embedding) and path]
    such = f"vary={tables[0]!r}" if tables else "vary='encoder.embed'"
    return (
        f"`vary` is needed, since {type(model).__name__} is called with {kinds}, and a slice needs real numbers: name the module "
        f"whose output is to vary, such as {such}, or give `forward`, a function (model, inputs) -> output."
    )


def _words(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
