"""What is known of a model while a probe's scope is open, and what everything was before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from boundarycb.keep.kept import Kept
from boundarycb.keep.reach import Reach
from boundarycb.keep.verify import Portrait
from boundarycb.probe.conditions import Conditions
from boundarycb.probe.together import is_shard, reshard
from boundarycb.types import Layer


class Session:
    """What the probers of one scope share.

    Attributes:
        kept: what everything was; None outside the scope.
        running: paths of the modules that are running, the innermost last.
        parked: hooks of the user's that do not run, in words.
        needs_graph: whether the forward pass differentiates, so that it cannot run without gradients.
        changes: paths of what the first forward pass changed, where that was asked for.
        draws: whether the first one drew random numbers.
    """

    def __init__(self, model: nn.Module, conditions: Conditions, reach: Reach) -> None:
        self.model = model
        self.conditions = conditions
        self.reach = reach
        self.kept: Kept | None = None
        self.running: list[str] = [""]
        self.parked: tuple[str, ...] = ()
        self.needs_graph = False
        self.changes: tuple[str, ...] = ()
        self.draws = False
        self._axes = {axis for parameter in model.parameters() for axis in parameter.shape}
        self._portrait: Portrait | None = None
        self._is_pure: bool | None = None  # whether a forward pass changes nothing; not known before the first
        self._shards = [module for module in model.modules() if is_shard(module)]

    def open(self) -> Kept:
        """Keep everything as it is now."""
        self.kept = Kept(self.reach)
        if self.conditions.verify:
            self._portrait = Portrait(self.model)
        return self.kept

    def batch_of(self, n: int) -> int:
        """Return with how many points to run `n`: a batch is told by its size, which no other axis should have."""
        while n in self._axes:
            n += 1
        return n

    def learn(self, layers: Sequence[Layer], n: int) -> bool:
        """Remember which axes `layers` have besides the batch; return whether a batch of `n` could be told from them."""
        axes = {axis for layer in layers for axis in layer.shape}
        self._axes |= axes
        return n not in axes

    @property
    def is_sharded(self) -> bool:
        """Whether the model's parameters are spread over ranks, and gathered for the time that their layer runs."""
        return bool(self._shards)

    @property
    def is_pure(self) -> bool:
        """Whether a forward pass is known to change nothing."""
        return bool(self._is_pure)

    def reshard(self) -> None:
        """Spread parameters over the ranks again, which a forward pass gathered; nothing where they are not spread."""
        reshard(self._shards)

    @contextmanager
    def passing(self, *, runs: bool = True) -> Iterator[Kept]:
        """Put everything back after the forward pass in this block, so that the next begins where this one did.

        Where the first pass changed nothing, the next are taken to be like it: what they change is put back at the scope's end. It
        tells nothing of them where it `runs` no model.
        """
        if self.kept is None:
            raise RuntimeError("The probe is closed; call `forward` inside its `with` block.")
        try:
            yield self.kept
        finally:
            if self._portrait is not None:
                self.changes = self._portrait.differences(Portrait(self.model))
                self._portrait = None
            self.reshard()
            if self._is_pure is None and runs:
                self.draws = self.kept.drew()
                self._is_pure = not self.kept.changed()
            if not self._is_pure:
                self.kept.put_back()
