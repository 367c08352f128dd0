"""How the processes of a training run take part in a sample: one alone, one for all, or all together.

Every rank calls the same methods in the same order, so that what talks to the others talks on all of them, and nothing hangs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from torch import nn

from boundarycb.probe import STAGE_3, Message, spread_of

T = TypeVar("T")

Broadcast = Callable[[Any], Any]
"""Gives every rank what rank 0 gave; any picklable value. All ranks must call it."""

Follow = Callable[[Callable[[], Message]], Message]
"""Runs what the leader runs, as it is heard; returns the leader's last message."""


class Ranks(Protocol):
    """The processes of a run."""

    leads: bool
    """Whether this one samples."""

    def first(self, act: Callable[[], T], follow: Follow) -> T:
        """Let the leader `act`, for the first time; return what it returned, and raise what it raised, on every rank.

        Args:
            act: what the leader does; it returns something that can be pickled.
            follow: what the others do where they have to run the model too.
        """

    def later(self, act: Callable[[], Any], follow: Follow) -> None:
        """Let the leader `act`, once more."""

    def agree(self, ask: Callable[[], bool]) -> bool:
        """Return whether a sample is due: the same on all ranks that have to take part."""

    def allow(self, ask: Callable[[], bool]) -> bool:
        """Return whether one that is due may be taken, by what only the leader knows: the same on all ranks that take part."""


class Single:
    """One process, or one that does not need the others."""

    leads = True

    def first(self, act: Callable[[], T], follow: Follow) -> T:  # noqa: ARG002
        """Act."""
        return act()

    def later(self, act: Callable[[], Any], follow: Follow) -> None:  # noqa: ARG002
        """Act."""
        act()

    def agree(self, ask: Callable[[], bool]) -> bool:
        """Ask."""
        return ask()

    allow = agree


class Replicas:
    """Ranks that have the same model: rank 0 samples, the others go on, and wait for it where training lets them meet.

    Only the first time do they wait for what comes of it, since what ends the run must end it on all of them.

    Args:
        broadcast: gives every rank what rank 0 gave.
        leads: whether this is rank 0.
    """

    def __init__(self, broadcast: Broadcast, *, leads: bool) -> None:
        self.leads = leads
        self._broadcast = broadcast

    def first(self, act: Callable[[], T], follow: Follow) -> T:  # noqa: ARG002
        """Let rank 0 act, and tell the others what came of it."""
        return _led(act, self._broadcast) if self.leads else _said(self._broadcast(None))

    def later(self, act: Callable[[], Any], follow: Follow) -> None:  # noqa: ARG002
        """Act on rank 0."""
        if self.leads:
            act()

    def agree(self, ask: Callable[[], bool]) -> bool:
        """Ask on rank 0."""
        return self.leads and ask()

    allow = agree


class Shards:
    """Ranks that have a part of the model each: all of them run every pass, and rank 0 alone looks at what comes of it.

    Args:
        broadcast: gives every rank what rank 0 gave.
        leads: whether this is rank 0.
        certain: whether every rank comes to the same answer when it is asked whether a sample is due.
    """

    def __init__(self, broadcast: Broadcast, *, leads: bool, certain: bool) -> None:
        self.leads = leads
        self._broadcast = broadcast
        self._certain = certain

    def first(self, act: Callable[[], T], follow: Follow) -> T:
        """Let rank 0 act, while the others run what it runs."""
        return _led(act, self._broadcast) if self.leads else _said(follow(lambda: self._broadcast(None)))

    def later(self, act: Callable[[], Any], follow: Follow) -> None:
        """Let rank 0 act, while the others run what it runs."""

        def nothing_said() -> None:
            act()

        self.first(nothing_said, follow)

    def agree(self, ask: Callable[[], bool]) -> bool:
        """Ask every rank, or rank 0 for all."""
        return ask() if self._certain else self.allow(ask)

    def allow(self, ask: Callable[[], bool]) -> bool:
        """Ask rank 0 for all."""
        return bool(self._broadcast(self.leads and ask()))


def _led(act: Callable[[], T], broadcast: Broadcast) -> T:
    """Act, and tell the others how it ended."""
    try:
        result = act()
    except Exception as error:
        broadcast(Message("end", error=f"{error}"))
        raise
    broadcast(Message("end", result=result))
    return result


def _said(message: Message) -> Any:
    """Return what the leader returned.

    Raises:
        ValueError: it raised.
    """
    if message.error is not None:
        raise ValueError(message.error)
    return message.result


# ------------------------------------------------------------------------------------------------------ which there are

_REPLICAS = ("DDPStrategy", "SingleDeviceStrategy", "SingleDeviceXLAStrategy")
"""Strategies, by class name, under which every rank has the whole model."""


def ranks_of(trainer: Any, model: nn.Module, *, certain: bool) -> Ranks | str:
    """Return how the ranks of a Trainer take part; where they cannot, why, in words that follow "since".

    Args:
        trainer: a Trainer in a fit.
        model: its module, as this rank has it.
        certain: whether every rank comes to the same answer when it is asked whether a sample is due.
    """
    strategy, leads = trainer.strategy, trainer.is_global_zero
    kinds = [cls.__name__ for cls in type(strategy).__mro__]
    if "DeepSpeedStrategy" in kinds and strategy.zero_stage_3:
        return STAGE_3
    spread = spread_of(model)
    if spread is not None:
        return spread or Shards(strategy.broadcast, leads=leads, certain=certain)
    if trainer.world_size == 1:
        return Single()
    if "ModelParallelStrategy" in kinds or any(name in _REPLICAS for name in kinds):
        return Replicas(strategy.broadcast, leads=leads)
    return f"what {kinds[0]} does with the model is not known"
