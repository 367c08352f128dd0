"""Models that train in several processes: how parameters are spread over them, and what the leading rank tells the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from boundarycb.probe.feed import Feed
from boundarycb.probe.watched import WrongChoice

Pass = Literal["read", "trace", "examples", "flops", "answer"]
"""What a prober can be asked for that takes a pass."""


STAGE_3 = "DeepSpeed's stage 3 spreads parameters in a way that cannot be looked at; its stages 1 and 2 can be"
"""Why nothing is sampled under it."""


@dataclass(frozen=True, eq=False)
class Message:
    """What the leader tells the others.

    Args:
        kind: ``open`` a scope; run a ``pass`` in it; ``close`` it; ``end``: training goes on.
        feed: of a scope, how points go in; a user's own function does not travel.
        own: of a scope, whether it is such a function that runs the model.
        verify: of a scope, whether it is looked for what the pass changes.
        what: of a pass, which.
        args: and on what.
        result: of the end, what the leader says.
        error: and why it failed, if it did.
    """

    kind: Literal["open", "pass", "close", "end"]
    feed: Feed | None = None
    own: bool = False
    verify: bool = False
    what: Pass = "read"
    args: tuple[Any, ...] = ()
    result: Any = None
    error: str | None = None


def is_shard(module: nn.Module) -> bool:
    """Return whether ``torch.distributed.fsdp.fully_shard`` spread a module's parameters over ranks."""
    return any(cls.__name__ == "FSDPModule" for cls in type(module).__mro__)


def reshard(modules: Iterable[nn.Module]) -> None:
    """Spread what a pass gathered of these shards again: of the root it stays gathered, to be there for a backward pass."""
    for module in modules:
        module.reshard()  # type: ignore[operator]


def spread_of(model: nn.Module) -> str | None:
    """Return None where parameters are whole, "" where ``fully_shard`` spread them, else why they cannot be gathered."""
    kinds = {cls.__name__ for module in model.modules() for cls in type(module).__mro__}
    if "FullyShardedDataParallel" in kinds:
        return "FullyShardedDataParallel spreads parameters in a way that cannot be looked at; fully_shard's can be"
    if any(hasattr(parameter, "ds_id") for parameter in model.parameters()):
        return STAGE_3
    spread: list[Any] = [parameter for parameter in model.parameters() if _is_spread(parameter)]
    if not spread:
        return None
    parallel = "tensor parallelism spreads layers in a way that cannot be looked at"
    if "FSDPModule" not in kinds:
        return parallel
    axes = max(sum(place.is_shard() for place in parameter.placements) for parameter in spread)
    return parallel if axes > 1 else ""


def _is_spread(parameter: nn.Parameter) -> bool:
    return any(cls.__name__ == "DTensor" for cls in type(parameter).__mro__)


class Talks(WrongChoice):
    """The forward pass would wait for other ranks."""


class Alone(TorchDispatchMode):
    """Raises where the model talks to other ranks, who do not listen: it would wait for them for ever.

    It sees what goes through torch.distributed's operators, which is all but sending to a single rank.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator that needs no others."""
        if "c10d" in func.namespace:
            raise Talks(
                f"The forward pass talks to other ranks ({func}), and one rank alone is sampled: give `forward`, a function "
                "(model, inputs) -> output that does not, or look at a part of the model that does not."
            )
        return func(*args, **(kwargs or {}))


def refuse_talking(model: nn.Module) -> None:
    """Raise ValueError where `model`, in the mode that it is in while it trains, would wait for other ranks."""
    if any(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
        raise ValueError('`mode` "as_is" would let SyncBatchNorm talk to other ranks, who do not listen; leave it at "eval".')
