"""The ways in which a training batch may go into a model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from boundarycb.nested import changed, leaves, parts_of

LABELS = ("label", "labels", "target", "targets", "y", "class", "classes", "category")
"""What labels are called in a batch."""


class Asked(ValueError):  # noqa: N818 - it is a question
    """What cannot be found out; the message names the argument to give."""


@dataclass(frozen=True, eq=False)
class ModelCall:
    """What a model is called with.

    Args:
        args: by place.
        kwargs: by name.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Any) -> ModelCall:
        """Return the call that users mean by `inputs`: a mapping has named arguments, a tuple or list several, all else is one."""
        if isinstance(inputs, Mapping):
            return cls(kwargs=dict(inputs))
        return cls(tuple(inputs)) if isinstance(inputs, (tuple, list)) else cls((inputs,))

    def __str__(self) -> str:
        words = [_words(value) for value in self.args] + [f"{name}={_words(value)}" for name, value in self.kwargs.items()]
        return f"({', '.join(words)})"


@dataclass(frozen=True, eq=False)
class Example:
    """What is known of the data that a model trains on.

    Args:
        batch: a training batch; None where the call itself is known.
        call: the call that the model was seen to get.
        source: what the batches come from, where it can be read by index.
        batches: how many a training step takes.
    """

    batch: Any = None
    call: ModelCall | None = None
    source: Any = None
    batches: int = 1

    def calls(self, model: nn.Module) -> list[ModelCall]:
        """Return the ways in which `model` may be called, likeliest first."""
        return [self.call] if self.call is not None else calls_of(model, self.batch)

    def labels(self, rows: int, call: ModelCall) -> torch.Tensor | None:
        """Return the classes of the batch's `rows`, whole numbers (rows,) that do not go into `call`; None where there are none.

        Of several, those called so, else the last: others count or measure. Negative ones stand for what is no class.
        """
        takes_all = any(value is self.batch for value in call.args)
        used = set() if takes_all else {id(leaf) for _, leaf in leaves([call.args, call.kwargs])}
        parts = [(key, value) for key, value in parts_of(self.batch) or [] if id(value) not in used]
        named = [value for key, value in parts if key in LABELS]
        later = [value for key, value in parts if isinstance(key, int)]
        for value in (*named, *reversed(later)):
            if isinstance(value, torch.Tensor) and value.numel() == rows and value.shape[:1] == (rows,):
                if not value.is_floating_point() and not value.is_complex():
                    return value.reshape(rows).long()
                if bool(((value == 0) | (value == 1)).all()):  # of a binary cross-entropy
                    return value.reshape(rows).long()
        return None


def calls_of(model: nn.Module, batch: Any) -> list[ModelCall]:
    """Return the ways in which `batch` may go into `model`, likeliest first, by the names and number of its parameters.

    >>> class Pair(nn.Module):
    ...     def forward(self, x, t): ...
    >>> [str(call) for call in calls_of(Pair(), [torch.zeros(4, 2), torch.zeros(4), torch.zeros(4)])][0]
    '(float32 [4, 2], float32 [4])'
    """
    found = _calls_of(model, batch)
    unique: list[ModelCall] = []
    for call in found:
        if str(call) not in map(str, unique) and any(
            isinstance(leaf, torch.Tensor) for _, leaf in leaves([call.args, call.kwargs])
        ):
            unique.append(call)
    return unique


def _calls_of(model: nn.Module, batch: Any) -> list[ModelCall]:
    parts = parts_of(batch)
    if parts is None or not parts:
        return [ModelCall((batch,))]
    names, needed, takes_any = _parameters(model)
    values = [value for key, value in parts if key not in LABELS] or [value for _, value in parts]
    whole, first = ModelCall((batch,)), ModelCall((values[0],))
    if not isinstance(batch, Sequence) or hasattr(batch, "_fields"):
        inputs = {key: value for key, value in parts if key not in LABELS}
        known = inputs if takes_any else {key: value for key, value in inputs.items() if key in names}
        named = [ModelCall(kwargs=known)] if known and set(names[:needed]) <= set(known) else []
        several = [ModelCall(tuple(values[:needed]))] if needed > 1 else []
        return [*named, *several, first, whole]
    several = [ModelCall(tuple(values[: max(1, needed)]))]
    inside = _calls_of(model, values[0]) if parts_of(values[0]) is not None else []
    longer = [ModelCall(tuple(values[:count])) for count in range(2, len(values) + 1)]  # of wrappers that take anything
    return [*inside, *several, first, whole, *longer]


def may_take_more(model: nn.Module) -> bool:
    """Return whether `model` may be called with more than one argument."""
    names, needed, takes_any = _parameters(model)
    return len(names) != 1 or needed > 1 or takes_any


def places_of(model: nn.Module) -> list[str]:
    """Return what the forward pass calls the arguments that can be given by their places, in order."""
    return [one.name for one in _signature(model) or [] if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


def copied(value: Any) -> Any:
    """Return `value` with copies of its tensors, off their graphs."""
    return changed(value, lambda _, leaf: leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf)


def _parameters(model: nn.Module) -> tuple[list[str], int, bool]:
    """Return the names of what `model` takes, how many of the first are needed, and whether it takes any others by name."""
    given = _signature(model)
    if given is None:
        return [], 1, True
    places = [one for one in given if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    needed = sum(one.default is one.empty and one.kind is not one.KEYWORD_ONLY for one in places)
    return [one.name for one in places], needed, any(one.kind is one.VAR_KEYWORD for one in given)


def _signature(model: nn.Module) -> list[inspect.Parameter] | None:
    """Return the parameters of the forward pass; None where Python cannot tell them."""
    inner = getattr(model, "_orig_mod", model)
    try:
        return list(inspect.signature(inner.forward).parameters.values())
    except (TypeError, ValueError):
        return None


def _words(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    parts = parts_of(value)
    if parts is None:
        return type(value).__name__
    return f"{type(value).__name__}({', '.join(f'{key}: {_words(part)}' for key, part in parts[:4])})"
