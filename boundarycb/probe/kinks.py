"""Where activations bend: the pre-activations between which each one is affine. The exact engine needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from boundarycb.probe.affine import methods, option

OPTIONAL = ("abs", "clamp", "maximum", "minimum")
"""What is an activation only where the user says so: most calls of these are something else."""

_OPTIONAL_SPELLINGS = {
    "abs": ("abs", "abs_", "absolute", "absolute_", "__abs__"),
    "clamp": ("clamp", "clamp_", "clip", "clip_", "clamp_min", "clamp_min_", "clamp_max", "clamp_max_"),
    "maximum": ("maximum", "max"),
    "minimum": ("minimum", "min"),
}
OPTIONAL_TABLE: dict[Callable[..., Any], str] = {
    function: op for op, spellings in _OPTIONAL_SPELLINGS.items() for function in methods(*spellings)
}

MAX_POOLS = methods(
    "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "fractional_max_pool2d", "fractional_max_pool3d",
)  # fmt: skip
"""What bends where the largest of its values changes: not at the boundary of any unit."""

BENDING = OPTIONAL_TABLE.keys() | methods(
    "amax", "amin", "topk", "sort", "median", "softmax", "log_softmax", "logsumexp", "layer_norm", "group_norm",
    "instance_norm", "local_response_norm", "normalize", "norm", "exp", "log", "sqrt", "rsqrt", "square", "pow", "__pow__",
    "sin", "cos", "where", "round", "floor", "sign", "lp_pool1d", "lp_pool2d", "scaled_dot_product_attention",
    "multi_head_attention_forward", "cosine_similarity", "cdist", "erf", "logit", "rms_norm", "fmax", "fmin", "heaviside",
    "masked_fill", "cummax", "cummin", "kthvalue", "ceil", "trunc", "remainder", "fmod", "tan", "atan", "arctan", "sinh",
    "cosh", "expm1", "log1p", "std", "var", "prod",
)  # fmt: skip
BENDING |= {getattr(torch, name) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")}  # fused: their activations are no calls
"""What may bend the network besides activations: named where the network turns out to be bent, and looked at more closely."""


def kinks_of(op: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the pre-activations at which a call of `op` bends; None where it is not piecewise linear, jumps, or cannot be told.

    >>> kinks_of("relu", (), {}), kinks_of("hardtanh", (None, -2.0, 2.0), {}), kinks_of("gelu", (), {})
    ((0.0,), (-2.0, 2.0), None)
    """
    if op in ("relu", "leaky_relu", "prelu", "abs", "maximum", "minimum"):
        return (0.0,)
    if op == "rrelu":
        return None if option(args, kwargs, 3, "training", False) else (0.0,)
    if op in _BETWEEN:
        return _BETWEEN[op]
    if op == "hardtanh":
        return _numbers(option(args, kwargs, 1, "min_val", -1.0), option(args, kwargs, 2, "max_val", 1.0))
    if op == "softshrink":
        width = option(args, kwargs, 1, "lambd", 0.5)
        return _numbers(-width, width)
    if op == "threshold":  # which jumps, unless it gives the threshold itself below it
        limit, value = option(args, kwargs, 1, "threshold", None), option(args, kwargs, 2, "value", None)
        return _numbers(limit) if limit == value else None
    return None


def spelled_out(op: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return what a call of `op` is called by its user: ``nn.ReLU6`` calls hardtanh.

    >>> spelled_out("hardtanh", (None, 0.0, 6.0), {}), spelled_out("hardtanh", (None,), {})
    ('relu6', 'hardtanh')
    """
    limits = option(args, kwargs, 1, "min_val", -1.0), option(args, kwargs, 2, "max_val", 1.0)
    return "relu6" if op == "hardtanh" and limits == (0.0, 6.0) else op


_BETWEEN = {"relu6": (0.0, 6.0), "hardsigmoid": (-3.0, 3.0)}


def clamp_kinks(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return the limits of a call of one of clamp's spellings; None where they are no plain numbers."""
    names = {"clamp_min": ("min",), "clamp_max": ("max",)}.get(getattr(func, "__name__", "").rstrip("_"), ("min", "max"))
    limits = [option(args, kwargs, place, name, None) for place, name in enumerate(names, start=1)]
    return _numbers(*(limit for limit in limits if limit is not None))


def is_activation(op: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call of the optional `op` is one of two tensors or of one, not a maximum along an axis."""
    return op in ("abs", "clamp") or isinstance(option(args, kwargs, 1, "other", None), torch.Tensor)


def optional_source(op: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """Return the pre-activation of an optional activation: of a maximum or minimum of two, how much the first is larger."""
    first = option(args, kwargs, 0, "input", None)
    if op in ("abs", "clamp"):
        return first if isinstance(first, torch.Tensor) else None
    second = option(args, kwargs, 1, "other", None)
    return first - second if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor) else None


def _numbers(*limits: Any) -> tuple[float, ...] | None:
    """Return `limits` as numbers, growing; None where one is none, such as a tensor with a limit a unit."""
    if not all(isinstance(limit, (int, float)) for limit in limits):
        return None
    return tuple(sorted({float(limit) for limit in limits}))
