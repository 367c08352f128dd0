"""What a user is asked for, in words that name the argument and what to give."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from boundarycb.automatic.calls import Asked, ModelCall
from boundarycb.automatic.doubts import TRIED
from boundarycb.automatic.given import Given
from boundarycb.probe import NothingToDraw

OURS = (
    f"(A trial takes {TRIED} samples, whatever a batch has: what needs as many rows as that had, such as a graph, whose rows are "
    "no samples of their own, needs a `forward` that brings the rest.)"
)
"""Where the number in many an error comes from."""


class NotGuessed(ValueError):  # noqa: N818 - it is a finding
    """No way to call the model with a training batch worked; to see how it is called would tell."""


def explained(model: nn.Module, given: Given, failures: Sequence[tuple[ModelCall, Exception]], *, known: bool) -> Exception:
    """Return the error that says what was tried, and what to give that was not given; `known`: whether the call is no guess."""
    name = type(model).__name__
    if not failures:
        return Asked(f"`inputs` is needed, since the training batch has no tensor: give an example of what {name} is called with.")
    asked = [error for _, error in failures if isinstance(error, (Asked, NothingToDraw))]
    if asked:
        return asked[0]
    columns = [of_columns(model, call, given) for call, _ in failures] if given.slice is None else []
    if given.forward is not None and any(columns):
        return Asked(next(filter(None, columns)))
    tried = "; ".join(f"{name}{call}: {_root(error)}" for call, error in failures[:4])
    if given.forward is not None:
        return NotGuessed(f"Your `forward` must run {name} on any number of its inputs, and fails on some. Tried {tried}. {OURS}")
    if known:
        what = "what it is called with" if given.inputs is None else "your `inputs`"
        return NotGuessed(
            f"{name} must run on samples of {what}, and fails on some: give `forward`, a function (model, inputs) -> "
            f"output. Tried {tried}. {OURS}"
        )
    return NotGuessed(
        f"How {name} is called with a training batch could not be guessed: give `forward`, a function (model, inputs) -> output, "
        f"or `inputs`, an example of what it is called with. Tried {tried}. {OURS}"
    )


def single_numbers(model: nn.Module, call: ModelCall, given: Given, several: Sequence[tuple[str, int]]) -> str:
    """Return what to give where the input that would vary is a single number a sample.

    Args:
        model: the model.
        call: an example of its calls.
        given: what the user said.
        several: the modules that give activations their input, with how many numbers a sample that is.
    """
    words = of_columns(model, call, given)
    if words is not None:
        return words
    modules = dict(model.named_modules())
    inside = next(
        (
            f"`vary={path!r}` shows the {size} numbers that the module {path!r} gives"
            for path, size in several
            if size > 1 and path in modules
        ),
        None,
    )
    return "`slice` is 2-D, and the model's inputs are single numbers" + (
        f": {inside}." if inside else ": there is nothing to show."
    )


def of_columns(model: nn.Module, call: ModelCall, given: Given) -> str | None:
    """Return how to let two inputs vary that are single numbers a sample each; None where the model is not called with such."""
    arguments: dict[Any, Any] = dict(enumerate(call.args)) | dict(call.kwargs)
    columns = {key: value for key, value in arguments.items() if _is_column(value)}
    if len(columns) < 2 or len(columns) < len(arguments) or not _takes(model, call):
        return None
    names = _names(model)
    called = [str(key) if isinstance(key, str) or key >= len(names) else names[key] for key in columns]
    ranges = ", ".join(map(_range, list(columns.values())[:2]))
    box = f"slice=slices.box({ranges}, names=({called[0]!r}, {called[1]!r}))"
    how = ", ".join(_argument(number, key, value) for number, (key, value) in enumerate(columns.items()))
    forward = "" if given.forward is not None else f"`forward=lambda m, p: m({how})` together with "
    return f"{type(model).__name__} is called with columns of single numbers, {' and '.join(called)}: give {forward}`{box}`."


def _is_column(value: Any) -> bool:
    real = isinstance(value, torch.Tensor) and value.is_floating_point()
    return real and value.ndim in (1, 2) and len(value) > 0 and value[0].numel() == 1


def _range(value: torch.Tensor) -> str:
    low, high = float(value.detach().min()), float(value.detach().max())
    return f"({low:.3g}, {high if high > low else low + 1:.3g})"


def _argument(number: int, key: Any, value: torch.Tensor) -> str:
    """Return how argument `number` is made of points p (n, 2); beyond the second it is held at its first value."""
    columns = ("p[:, 0]", "p[:, 1]") if value.ndim == 1 else ("p[:, :1]", "p[:, 1:]")
    column = columns[number] if number < 2 else f"0 * {columns[0]} + {float(value.detach().reshape(-1)[0]):.3g}"
    return f"{key}={column}" if isinstance(key, str) else column


def _takes(model: nn.Module, call: ModelCall) -> bool:
    """Return whether the model's forward has parameters for a call, as far as can be told: a guess may have more than it takes."""
    try:
        inspect.signature(getattr(model, "_orig_mod", model).forward).bind(*call.args, **call.kwargs)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _names(model: nn.Module) -> list[str]:
    try:
        parameters = inspect.signature(getattr(model, "_orig_mod", model).forward).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


def _root(error: Exception) -> str:
    """Return what the model itself raised, in a line."""
    inner = error.__cause__ if isinstance(error.__cause__, Exception) else error
    words = " ".join(str(inner).split())
    return f"{type(inner).__name__}, {words.rstrip('.') if len(words) < 160 else words[:157] + '..'}"  # a full stop follows
