"""Which tensor of a call varies with the points of a slice."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from boundarycb.automatic.calls import Asked, ModelCall, copied, places_of
from boundarycb.nested import Path, leaves, spelled
from boundarycb.probe import Feed, ForwardLike, module_at
from boundarycb.words import listed

_NAMED = 3  # of what is held, in a caption

VaryLike = str | int | None
"""What varies: a tensor of the call, by its place or its argument's name, or what a module gives, by the module's path.

A text that is both a place and a path, as in a Sequential, means the place, unless what is there is single numbers; a whole number
always does. One that is both a path and the name of an argument that was given by its place means the path.
"""


def feed_for(
    model: nn.Module, call: ModelCall, vary: VaryLike, shape: tuple[int, ...] | None = None, forward: ForwardLike | None = None
) -> Feed:
    """Return how points go into `model`, which is called with `call`.

    Args:
        model: the model.
        call: an example of its calls; it is copied.
        vary: what varies; by default the first batch of real numbers, of two or more each, whose rows are not all equal.
        shape: of one input, where it is known.
        forward: the user's own way to run the model, which takes whole numbers too.

    Raises:
        Asked: `vary` names nothing, or there is nothing that could vary.
    """
    arguments: dict[Any, Any] = dict(enumerate(call.args)) | dict(call.kwargs)
    tensors = [(path, leaf) for path, leaf in leaves(arguments) if isinstance(leaf, torch.Tensor)]
    if vary is not None:
        named = [(path, leaf) for path, leaf in tensors if spelled(path) == str(vary)]
        is_module = isinstance(vary, str) and _is_module(model, vary)
        if not named and not is_module:
            named = [(path, leaf) for path, leaf in tensors if _by_name(path, model) == str(vary)]
        if not named or (is_module and not _has_several(named[0][1])):
            return _of_module(model, call, str(vary), tensors)
        if not _is_batch(named[0][1]):
            raise Asked(f"`vary` names {vary!r}, which is no batch of real numbers ({_words(named[0][1])}).")
        return _of_tensor(call, *named[0], alone=len(list(leaves(arguments))) == 1)
    batches = [(path, leaf) for path, leaf in tensors if _is_batch(leaf, whole=forward is not None)]
    likely = [(path, leaf) for path, leaf in batches if shape is None or tuple(leaf.shape[1:]) == shape]
    chosen = [one for one in likely if _varies(one[1])] or likely
    if not chosen:
        raise Asked(_nothing_varies(model, tensors, shape, is_given=forward is not None))
    if forward is not None:
        args, kwargs = _copied(call)
        return Feed(args, kwargs, place=chosen[0][0], rows=len(chosen[0][1]), forward=forward)
    return _of_tensor(call, *chosen[0], alone=len(list(leaves(arguments))) == 1)


def said_of_held(feed: Feed, model: nn.Module, sample: str) -> str:
    """Return what of a call varies, and that the rest of it is that of `sample`; nothing where a tensor does, and there is no rest.

    >>> pair = Feed((torch.zeros(3, 2), torch.zeros(3, 2)), place=(0,), rows=3)
    >>> said_of_held(pair, nn.Bilinear(2, 2, 1), "a")
    'input1 varies, with input2 as in a'
    >>> said_of_held(Feed((torch.zeros(3, 7),), module="embed", rows=3), nn.Module(), "a")
    'what embed gives varies, with argument 0 as in a'
    >>> said_of_held(Feed((torch.zeros(3, 7),), module="0", rows=3), nn.Module(), "a")
    'what module 0 gives varies, with argument 0 as in a'
    """
    module = f"module {feed.module}" if (feed.module or "")[:1].isdigit() else feed.module
    first = _spoken(_by_name(feed.place, model)) if module is None else f"what {module} gives"
    names = [_spoken(_by_name(path, model)) for path in feed.beside()]
    if not names:
        return "" if feed.module is None else f"{first} varies"
    if len(names) > _NAMED:
        names = [*names[:_NAMED], f"{len(names) - _NAMED} more"]
    return f"{first} varies, with {listed(names)} as in {sample}"


def _spoken(name: str) -> str:
    """Return the name of a tensor of a call for a sentence: those without one are numbers."""
    return f"argument {name}" if name[0].isdigit() else name


def _by_name(path: Path, model: nn.Module) -> str:
    """Return `path` with what the forward pass calls an argument that was given by its place."""
    place, names = path[0], places_of(model)
    return spelled((names[place], *path[1:]) if isinstance(place, int) and place < len(names) else path)


def _is_batch(tensor: torch.Tensor, *, whole: bool = False) -> bool:
    """Return whether `tensor` is a batch of real numbers, or of `whole` ones too."""
    kind = tensor.is_floating_point() or (whole and not tensor.is_complex() and tensor.dtype != torch.bool)
    return kind and tensor.layout == torch.strided and tensor.ndim > 0 and len(tensor) > 0


def _is_module(model: nn.Module, path: str) -> bool:
    """Return whether `path` names a module: in a Sequential those are called as places of arguments are."""
    try:
        module_at(model, path)
    except ValueError:
        return False
    return True


def _has_several(tensor: torch.Tensor) -> bool:
    """Return whether a tensor can be looked at: a batch of two real numbers or more each."""
    return _is_batch(tensor) and tensor[0].numel() > 1


def _varies(tensor: torch.Tensor) -> bool:
    """Return whether a batch has two numbers or more a row, and different rows: a mask of ones is nothing to look at."""
    return tensor[0].numel() > 1 and (len(tensor) == 1 or bool((tensor != tensor[:1]).any()))


def _of_tensor(call: ModelCall, path: Path, tensor: torch.Tensor, *, alone: bool) -> Feed:
    args, kwargs = _copied(call)
    if alone and path == (0,):
        return Feed(args=args, rows=len(tensor))  # called with the points alone; the example tells where they lie
    return Feed(args, kwargs, place=path, rows=len(tensor))


def _of_module(model: nn.Module, call: ModelCall, path: str, tensors: list[tuple[Path, torch.Tensor]]) -> Feed:
    try:
        module_at(model, path)
    except ValueError as error:
        known = ", ".join(repr(_by_name(where, model)) for where, _ in tensors)
        raise Asked(f"`vary` must name a tensor of the call ({known}) or a module: {error}") from None
    args, kwargs = _copied(call)
    return Feed(args, kwargs, module=path, rows=next((len(leaf) for _, leaf in tensors if leaf.ndim), 0))


def _copied(call: ModelCall) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args, kwargs = copied((call.args, dict(call.kwargs)))
    return args, kwargs


def _nothing_varies(
    model: nn.Module, tensors: list[tuple[Path, torch.Tensor]], shape: tuple[int, ...] | None, *, is_given: bool
) -> str:
    """Return in words why nothing can vary, and what to do; `is_given`: whether there is a `forward` already."""
    kinds = ", ".join(_words(leaf) for _, leaf in tensors) or "no tensor"
    if shape is not None and any(_is_batch(leaf) for _, leaf in tensors):
        return f"`slice` has inputs of shape {shape}, and the model is called with {kinds}; `vary` names the tensor that varies."
    if is_given:
        return (
            f"`slice` is needed, or `inputs`, an example of what your `forward` takes beside the model: {type(model).__name__} is "
            f"called with {kinds}, of which none is a batch of numbers."
        )
    tables = [path for path, module in model.named_modules() if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and path]
    such = f"vary={tables[0]!r}" if tables else "vary='encoder.embed'"
    return (
        f"`vary` is needed, since {type(model).__name__} is called with {kinds}, and a slice needs real numbers: name the module "
        f"whose output is to vary, such as {such}, or give `forward`, a function (model, inputs) -> output of real inputs."
    )


def _words(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
