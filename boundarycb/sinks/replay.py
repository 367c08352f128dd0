"""What TensorBoard's tab *Boundaries* shows, as summaries of tensors.

One series is cut into parts of some megabytes, each with a tag of its own, since TensorBoard answers with a series as a whole; and
what is written grows with the logarithm of a long run only, since TensorBoard holds all of it in memory.
"""

from __future__ import annotations

from tensorboard.compat.proto.summary_pb2 import Summary

from boundarycb.replay import encode_scene, encode_view
from boundarycb.sinks.summaries import Summaries
from boundarycb.types import Snapshot
from boundarycb.warning import warn

TAG = "replay"
_PART = 8 * 2**20
_FULL = 64 * 2**20  # each time that so much was written, every second sample is left out from then on
_LARGEST = 16 * 2**20


class Replay:
    """Makes the summaries of a run's samples.

    Args:
        make: makes summaries.
        earlier: how many samples of the run came before, in another process.
    """

    def __init__(self, make: Summaries, earlier: int = 0) -> None:
        self._make = make
        self._first = self._count = earlier
        self._scene = b""
        self._part, self._written, self._all = 1, 0, 0
        self._every = 1
        self._begun: set[str] = set()  # tags that have the scene of this process
        self._left_out: Snapshot | None = None

    def add(self, snapshot: Snapshot) -> list[Summary.Value]:
        """Return the summary of a sample; nothing where it is left out."""
        number = self._count
        self._count += 1
        if (number - self._first) % self._every:
            self._left_out = snapshot
            return []
        return self._made(snapshot, number)

    def finish(self) -> list[tuple[int, Summary.Value]]:
        """Return the last sample's step and summary, where it was left out."""
        last, self._left_out = self._left_out, None
        return [] if last is None else [(last.step, value) for value in self._made(last, self._count - 1)]

    def _made(self, snapshot: Snapshot, number: int) -> list[Summary.Value]:
        self._left_out = None
        record = encode_view(snapshot, number, self._every)
        if len(record) > _LARGEST:
            size = f"{len(record) / 2**20:.0f} MB"
            warn(f"step {snapshot.step}: its {size} are too much for TensorBoard's tab Boundaries, and left out.")
            return []
        if not self._scene:
            self._scene = encode_scene(snapshot.slice, "", self._first)
        if self._written and self._written + len(record) > _PART:
            self._part, self._written = self._part + 1, 0
        self._written += len(record)
        self._all += len(record)
        if self._all > _FULL:
            self._all, self._every = 0, 2 * self._every
        tag = TAG if self._part == 1 else f"{TAG}/{self._part}"
        begins = tag not in self._begun
        self._begun.add(tag)
        return [self._make.samples(tag, _TEXT, [self._scene, record] if begins else [record], self._scene)]


_TEXT = "What the tab Boundaries shows: each unit's boundary, the output, and what metrics say of units."
