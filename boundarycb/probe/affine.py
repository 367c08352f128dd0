"""The affine map behind a pre-activation: which calls make one, and how it is kept, made again and measured.

A layer's call (a linear map, a convolution, a product with a parameter) and what followed before the activation (a bias, a
batch-norm in eval mode, reshapings) are recorded as the calls that they were, so that they can be made again on another input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

# ------------------------------------------------------------------------------------------------------ which functions


def methods(*names: str) -> set[Callable[..., Any]]:
    """Return torch's functions of these names, wherever they are spelled: ``F.relu``, ``torch.relu``, ``Tensor.relu``."""
    homes = (F, torch, torch.Tensor)
    return {getattr(home, name) for home in homes for name in names if hasattr(home, name)}


_LINEAR = methods("linear")
_CONVOLUTIONS = methods("conv1d", "conv2d", "conv3d")
_TRANSPOSED = methods("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_PRODUCTS = methods("matmul", "mm", "__matmul__")
_ADDED_PRODUCTS = methods("addmm")
_FOLDED = methods("batch_norm")
_ADDED = methods("add", "add_", "__add__", "__radd__", "__iadd__")
_RESHAPED = methods("flatten", "unflatten", "reshape", "view", "squeeze", "unsqueeze", "contiguous", "to")
_DROPOUTS = methods("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")

_NAMES_SIZES = methods("reshape", "view")
_MOVED = methods(
    "flatten", "reshape", "view", "squeeze", "unsqueeze", "contiguous", "to", "clone", "detach", "permute", "transpose", "t",
    "movedim", "swapaxes", "__getitem__", "narrow", "select", "cat", "concat", "stack", "chunk", "split", "unbind", "repeat",
    "expand", "pad", "pixel_shuffle", "unflatten", "flip", "roll", "index_select", "fliplr", "flipud",
)  # fmt: skip
"""What puts numbers elsewhere as they are."""
_POOLED = methods(
    "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "mean", "amax", "interpolate",
)  # fmt: skip
"""What commutes with scales as long as all numbers that it puts together have the same one."""


def option(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str, default: Any) -> Any:
    """Return an argument that may be given by place or by name."""
    return args[place] if len(args) > place else kwargs.get(name, default)


def input_of_affine(func: Callable[..., Any], args: tuple[Any, ...]) -> int | None:
    """Return which argument `func` maps by an affine map, or None. The product of two activations is no such map.

    Weights given to a linear layer or a convolution are taken to be the same for all points, since they may be computed
    (weight_norm); those of a plain product must be parameters.
    """
    if func in _LINEAR | _CONVOLUTIONS | _TRANSPOSED and args:
        return 0
    if func in _PRODUCTS and len(args) > 1 and _constant(args[1]):
        return 0
    if func in _ADDED_PRODUCTS and len(args) > 2 and _constant(args[0]) and _constant(args[2]):
        return 1
    return None


def keeps_affine(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int) -> bool:
    """Return whether `func` maps an affine map's result, which stands at `place`, by an affine map again."""
    if func in _ADDED:
        return len(args) == 2 and not kwargs and _constant(args[1 - place])
    if place != 0:
        return False
    return func in _RESHAPED or is_off(func, args, kwargs) or (func in _FOLDED and not _training(func, args, kwargs))


def is_off(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether `func` is a dropout that drops nothing."""
    return func in _DROPOUTS and not option(args, kwargs, 2, "training", True) and not kwargs.get("train", False)


def moves_numbers(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether `func` gives the numbers that it takes, each as it is, elsewhere."""
    return func in _MOVED or is_off(func, args, kwargs)


def pools_numbers(func: Callable[..., Any]) -> bool:
    """Return whether `func` gives maxima or means of the numbers that it takes."""
    return func in _POOLED


def names_batch(func: Callable[..., Any], args: tuple[Any, ...], n: int) -> bool:
    """Return whether `func` names the number of points, as in ``view(x.shape[0], -1)``: then it holds for no other.

    The batch is the first size, or the second behind a fixed one in sequence-first models.
    """
    if func not in _NAMES_SIZES or len(args) < 2:
        return False
    sizes = args[1] if isinstance(args[1], (tuple, list)) else args[1:]
    return bool(sizes[:1] == type(sizes)([n]) or (len(sizes) > 1 and sizes[0] != -1 and sizes[1] == n))


def uses_batch_statistics(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether `func` is a batch-norm that takes mean and variance from the points that run together."""
    return func in _FOLDED and _training(func, args, kwargs)


def _training(_func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return bool(option(args, kwargs, 5, "training", False))


def _constant(value: Any) -> bool:
    """Return whether `value` is the same for all points: a parameter (or its transpose) or a number, not an activation."""
    return isinstance(value, (int, float, nn.Parameter)) or isinstance(getattr(value, "_base", None), nn.Parameter)


# --------------------------------------------------------------------------------------------------------- the map itself


@dataclass(frozen=True, eq=False)
class Step:
    """A torch function that maps one of its arguments, the one at `place`; the others are the same for all points."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    place: int

    @classmethod
    def of(cls, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int) -> Step:
        """Return the call without the tensor that it maps, which the step shall not keep alive."""
        return cls(function, (*args[:place], None, *args[place + 1 :]), kwargs, place)

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        """Return the function's result with `value` in its place."""
        result: torch.Tensor = self.function(*self.args[: self.place], value, *self.args[self.place + 1 :], **self.kwargs)
        return result

    def tensors(self) -> list[torch.Tensor]:
        """Return the tensors among the arguments: weights, bias, statistics."""
        return [value for value in (*self.args, *self.kwargs.values()) if isinstance(value, torch.Tensor)]

    def copied(self) -> Step:
        """Return the step with copies of its tensors, which training does not change."""
        args = tuple(_copied(value) for value in self.args)
        return replace(self, args=args, kwargs={name: _copied(value) for name, value in self.kwargs.items()})

    def weight(self) -> torch.Tensor:
        """Return the weights of a layer's call."""
        name, place = ("mat2", 2) if self.function in _ADDED_PRODUCTS else ("weight", 1)
        weight: torch.Tensor = option(self.args, self.kwargs, place, name, None)
        return weight


@dataclass(frozen=True, eq=False)
class Affine:
    """The affine map that made a pre-activation: a layer's call, and what followed before the activation.

    Args:
        module: path of the module that made the call ("" is the model itself).
        steps: the linear map, convolution or product, then a bias that was added, a batch-norm in eval mode, reshapings.
    """

    module: str
    steps: tuple[Step, ...]

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        """Return the pre-activation that the layer makes of the input `value`."""
        for step in self.steps:
            value = step(value)
        return value

    def then(self, step: Step) -> Affine:
        """Return the map followed by `step`."""
        return replace(self, steps=(*self.steps, step))

    @property
    def convolution(self) -> bool:
        """Whether units of a channel share their weights."""
        return self.steps[0].function in _CONVOLUTIONS | _TRANSPOSED

    def bytes(self) -> int:
        """Return how much memory the weights take."""
        return sum(tensor.numel() * tensor.element_size() for step in self.steps for tensor in step.tensors())

    def copied(self) -> Affine:
        """Return the map with copies of its weights."""
        return replace(self, steps=tuple(step.copied() for step in self.steps))

    def norms(self, scale: torch.Tensor) -> torch.Tensor:
        r"""Return each unit's :math:`|w|`, with inputs measured in units of `scale`, in the pre-activation's shape.

        .. math:: |w|_u = \sqrt{\sum_d (w_{ud} g_d)^2}

        with the weights folded with a batch-norm that follows. All units of a convolution's channel have that
        of its kernel, unless the scale of a channel of its input differs from place to place.

        Args:
            scale: g, the size of one unit of each input, in the input's shape with any batch.
        """
        first, *later = self.steps
        zeros = first(torch.zeros_like(scale))
        norms, zeros = _norms(first, scale, zeros.shape).to(zeros.dtype), torch.zeros_like(zeros)
        for step in later:
            norms, zeros = step(norms), step(zeros)
        return (norms - zeros).abs()


def _norms(step: Step, scale: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return the norm of each row of a layer's weights, in the `shape` of the call's result."""
    wide = torch.promote_types(scale.dtype, torch.float32)  # squares leave half precision's range, which autocast would go back to
    with torch.autocast(scale.device.type, enabled=False):
        return _root_of_squares(step, step.weight().to(wide), scale.to(wide).square(), shape)


def _root_of_squares(step: Step, weight: torch.Tensor, squares: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    if step.function in _LINEAR:
        return F.linear(squares, weight.square()).sqrt()
    if step.function not in _CONVOLUTIONS | _TRANSPOSED:
        factor: float = abs(step.kwargs.get("alpha", 1))
        return torch.matmul(squares, weight.square()).sqrt() * factor
    if not torch.allclose(squares.flatten(2), squares.flatten(2)[..., :1], rtol=1e-3, atol=0):
        return _norms_by_place(step, weight, squares)
    groups = option(step.args, step.kwargs, 6, "groups", 1)
    taps = weight.square().flatten(2).sum(dim=2)  # (out, in / groups), or (in, out / groups) where transposed
    channels = squares.flatten(2)[0, :, 0].reshape(groups, -1, 1)  # (groups, in / groups, 1)
    if step.function in _TRANSPOSED:
        kernels = (taps.reshape(groups, channels.shape[1], -1) * channels).sum(dim=1)
    else:
        kernels = (taps.reshape(groups, -1, channels.shape[1]) * channels.transpose(1, 2)).sum(dim=2)
    norms: torch.Tensor = kernels.sqrt().reshape(1, -1, *[1] * (len(shape) - 2)).expand(shape).contiguous()
    return norms


def _norms_by_place(step: Step, weight: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """Return the norms of a convolution's rows where the scale of a channel differs from place to place: one a unit."""
    kwargs = {name: value for name, value in step.kwargs.items() if name not in ("weight", "bias")}
    options = step.args[3:]
    found: torch.Tensor = step.function(squares, weight.square(), None, *options, **kwargs)
    return found.clamp(min=0).sqrt()


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
