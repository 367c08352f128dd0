"""What a model and its process were before a forward pass, put back after it and compared with what they are then."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from boundarycb.keep.holders import Generator, Holder, paths
from boundarycb.keep.reach import Reach
from boundarycb.keep.restore import random_state
from boundarycb.keep.settings import settings
from boundarycb.keep.tensors import KeptTensors


class Kept:
    """All that can be reached from a model, random numbers and torch's settings, as they are when this is made.

    Args:
        reach: what can be reached.

    Attributes:
        lost: paths of what a forward pass changed and could not be put back.
    """

    def __init__(self, reach: Reach) -> None:
        self.lost: tuple[str, ...] = ()
        self._tensors = KeptTensors(reach.tensors)
        self._holders: list[Holder] = [*reach.hold(), *random_state(tensor.device for _, tensor in reach.tensors), *settings()]

    def guard(self) -> AbstractContextManager[Any]:
        """Return the context in which the model is run: what it is about to write to is copied first."""
        return self._tensors.guard()

    def writes(self) -> bool:
        """Return whether tensors are different now."""
        return bool(self._tensors.changed())

    def changed(self) -> tuple[str, ...]:
        """Return the paths of what is different now."""
        return _once((*self._tensors.changed(), *paths(self._holders)))

    def drew(self) -> bool:
        """Return whether random numbers were drawn since."""
        return any(holder.changed() for holder in self._holders if isinstance(holder, Generator))

    def put_back(self) -> None:
        """Make everything what it was. What cannot be is added to `lost`, and does not keep the rest from it."""
        lost = list(self._tensors.put_back())
        lost += [holder.path for holder in self._holders if not _put_back(holder)]
        self.lost = _once((*self.lost, *lost))


def _put_back(holder: Holder) -> bool:
    """Return whether it is, in the end, what it was."""
    try:
        if not holder.changed():
            return True
        holder.put_back()
        return not holder.changed()
    except Exception:  # noqa: BLE001 - a user's object that refuses; what else is to be put back shall be
        return False


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
