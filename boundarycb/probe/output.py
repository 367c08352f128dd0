"""What of a model's output is shown: one tensor of it, as numbers a point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch

from boundarycb.nested import Path, leaves, spelled
from boundarycb.probe.watched import WrongChoice

OutputLike = str | int | Callable[[Any], Any] | None
"""Which tensor of an output: its name or place, or a function of the output."""
BackgroundLike = Literal["auto", "classes", "mean", "norm"] | int
"""How it is shown: ``classes`` (a score each), the ``mean`` or the ``norm`` of its numbers, or one of them by its place."""

_IMAGE = 4  # axes of a batch of images


def checked_background(background: Any) -> BackgroundLike:
    """Return `background`; raise ValueError where it is none."""
    if isinstance(background, int) and not isinstance(background, bool) and background >= 0:
        return background
    if background not in ("auto", "classes", "mean", "norm"):
        raise ValueError(f'`background` must be "auto", "classes", "mean", "norm" or the place of an output, got {background!r}.')
    name: BackgroundLike = background
    return name


def checked_output(output: Any) -> OutputLike:
    """Return `output`; raise TypeError where it is neither a name, nor a place, nor a function."""
    if output is None or isinstance(output, (str, int)) or callable(output):
        which: OutputLike = output
        return which
    raise TypeError(f"`output` must be the name or the place of a tensor in the model's output, or a function, got {output!r}.")


def chosen(output: Any, which: OutputLike, n: int) -> torch.Tensor | None:
    """Return the tensor of `output` that is shown, real numbers with a row for each of `n` points; None where there is none.

    By default that is the one called ``logits``, else the first that is such a batch.

    Raises:
        ValueError: `which` names none.
    """
    if which is None:
        found = [(path, leaf) for path, leaf in leaves(output) if _is_batch(leaf, n)]
        named = [leaf for path, leaf in found if path and path[-1] == "logits"]
        return next(iter([*named, *(leaf for _, leaf in found)]), None)
    given = which(output) if callable(which) else _named(output, str(which))
    if not _is_batch(given, n):
        what = f"a tensor of shape {tuple(given.shape)}" if isinstance(given, torch.Tensor) else type(given).__name__
        raise WrongChoice(f"`output` must give real numbers with a row for each of {n} points, got {what}.")
    tensor: torch.Tensor = given
    return tensor


def reduced(tensor: torch.Tensor, background: BackgroundLike) -> tuple[torch.Tensor, str]:
    """Return a batch `tensor` as numbers (n, C), and what they are: ``scores`` of classes, or in words.

    Raises:
        ValueError: `background` is the place of a number that the output does not have.
    """
    flat = tensor.detach().reshape(len(tensor), -1)
    if background == "auto":
        background = "classes" if tensor.ndim <= 2 or flat.shape[1] == 1 else "mean" if tensor.ndim >= _IMAGE else "norm"
    if background == "classes":
        return flat, "output" if flat.shape[1] == 1 else "scores"
    if background == "mean":
        return flat.mean(dim=1, keepdim=True), "mean of the output"
    if background == "norm":
        return torch.linalg.vector_norm(flat, dim=1, keepdim=True), "norm of the output"
    if not background < flat.shape[1]:
        raise WrongChoice(f"`background` must be the place of one of {flat.shape[1]} outputs, got {background}.")
    return flat[:, background : background + 1], f"output {background}"


def _is_batch(value: Any, n: int) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.ndim > 0 and value.shape[0] == n


def _named(output: Any, name: str) -> Any:
    """Return the part of `output` that is called `name`."""
    found: dict[str, Any] = {spelled(path): leaf for path, leaf in _parts(output)}
    if name not in found:
        numbers = "no parts; `background=` shows one of its numbers" if name.isdigit() else "no parts"
        raise WrongChoice(f"`output` names {name!r}, and the model's output has {', '.join(filter(None, found)) or numbers}.")
    return found[name]


def _parts(output: Any) -> list[tuple[Path, Any]]:
    """Return path and value of every leaf, and of attributes that are tensors where an object is no container."""
    found = list(leaves(output))
    if len(found) == 1 and not found[0][0] and not isinstance(output, (torch.Tensor, Mapping)):
        attributes = getattr(output, "__dict__", {})
        found = [((name,), value) for name, value in attributes.items() if isinstance(value, torch.Tensor)]
    return found
