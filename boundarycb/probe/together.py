"""Models whose parameters are spread over ranks: what the leading rank tells the others of its passes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from boundarycb.probe.feed import Feed

Pass = Literal["read", "trace", "examples", "flops"]
"""What a prober can be asked for that takes a pass."""


@dataclass(frozen=True, eq=False)
class Message:
    """What the leader tells the others.

    Args:
        kind: ``open`` a scope; run a ``pass`` in it; ``close`` it; ``end``: training goes on.
        feed: of a scope, how points go in.
        verify: of a scope, whether it is looked for what the pass changes.
        what: of a pass, which.
        args: and on what.
        result: of the end, what the leader says.
        error: and why it failed, if it did.
    """

    kind: Literal["open", "pass", "close", "end"]
    feed: Feed | None = None
    verify: bool = False
    what: Pass = "read"
    args: tuple[Any, ...] = ()
    result: Any = None
    error: Exception | None = None


def is_shard(module: nn.Module) -> bool:
    """Return whether ``torch.distributed.fsdp.fully_shard`` spread a module's parameters over ranks."""
    return any(cls.__name__ == "FSDPModule" for cls in type(module).__mro__)


def reshard(modules: Iterable[nn.Module]) -> None:
    """Spread the parameters that a pass gathered again: of the root module they stay gathered, to be there for a backward pass."""
    for module in modules:
        if is_shard(module):
            module.reshard()  # type: ignore[operator]
