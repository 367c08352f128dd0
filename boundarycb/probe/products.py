"""Counts the floating-point operations of a forward pass, as torch counts them: those of products; or says how many they may be.

torch's own counter tells them apart by modules, with hooks on all modules and all their inputs. Those fail where a forward pass
differentiates by an input that it detached, and make torch warn of compiled models; here no module needs to be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_SIZES = {
    "aten::size", "aten::sym_size", "aten::stride", "aten::sym_stride", "aten::storage_offset", "aten::sym_storage_offset",
    "aten::numel", "aten::sym_numel", "aten::dim", "aten::is_contiguous", "aten::sym_is_contiguous",
    "aten::is_strides_like_format", "aten::is_non_overlapping_and_dense", "prim::layout",
}  # fmt: skip
"""What tensors of a class of their own, such as nested ones, are asked for: that is answered elsewhere."""


class Products(TorchDispatchMode):
    """Counts operations while it is entered.

    Attributes:
        flops: two for each multiplication with its addition.

    >>> with Products() as products:
    ...     _ = torch.ones(3, 4) @ torch.ones(4, 5)
    >>> products.flops
    120
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(getattr(func, "_schema", None), "name", "") in _SIZES:
            return NotImplemented
        counted = flop_registry.get(getattr(func, "_overloadpacket", None))
        if counted is None and isinstance(func, torch._ops.OpOverload) and func is not torch.ops.prim.device.default:
            with self:  # in inference mode some come whole that are products and more
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        result = func(*args, **kwargs)
        if counted is not None:
            self.flops += counted(*args, **kwargs, out_val=result)
        return result


def most_flops(weights: Iterable[torch.Tensor], units: int) -> float:
    """Return how many operations a forward pass of one point may take: as many as if each unit had the most inputs of any.

    What multiplies no weight, such as attention, is not in it. For a network of convolutions it is some ten times too many, for
    stacked matrices, such as experts, more. What has a batch's axis of 1, such as an embedding of places, is no unit's inputs.

    Args:
        weights: the model's parameters.
        units: pre-activations of one point.

    >>> layer = torch.nn.Linear(4, 5)
    >>> most_flops(layer.parameters(), 5)  # 40 of the layer's units, and as many for one of which no activation tells
    80.0
    """
    several = [weight for weight in weights if weight.ndim > 1 and weight.numel()]
    inputs = [one.numel() / one.shape[0] for one in several if one.ndim == 2 or one.shape[0] > 1]
    return float(2 * (units * max(inputs, default=1.0) + sum(one.numel() for one in several)))
