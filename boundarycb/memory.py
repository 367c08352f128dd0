"""What earlier samples of a run leave for the next one, in memory or read back from the history that a run goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isqrt

import numpy as np

from boundarycb.metrics.coarser import coarser
from boundarycb.probe import Trace, put_by
from boundarycb.types import Boundaries, Capture, Layer, Moves, Sample, Snapshot, Value

WINDOW = 7
"""Captures before the current one that are kept where a metric needs them."""
WINDOW_BYTES = 2**25
"""Most memory for their states and outputs: beyond it they are kept on a coarser grid."""

_OUTPUT_BYTES = 8  # a grid point, at most
_KINDS = 4  # kinds of layers that a model has at different samples, of which the last are remembered


@dataclass(frozen=True, eq=False)
class _Known:
    """What is known of earlier samples with the same layers."""

    first: Capture
    past: Mapping[str, Value] = field(default_factory=dict)


class Memory:
    """Remembers of a run's samples what metrics compare the next one with; its size does not grow with the run.

    The captures of a window take 32 MB at most: where they would take more (10,000 units on 128 x 128 points take 144 MB) they are
    kept on the finest grid that fits, 61 x 61 points there. All units stay; areas get coarser steps. Fewer captures would not do:
    one alone may take 20 MB.

    Args:
        windowed: whether the captures of the last samples are kept too.

    Attributes:
        before: the last sample's capture; None before the first one.
        traces: the last sample's traces.
    """

    def __init__(self, *, windowed: bool) -> None:
        self.before: Capture | None = None
        self.traces: tuple[Trace, ...] = ()
        self._windowed = windowed
        self._window: tuple[Snapshot, ...] = ()
        self._known: dict[tuple[Layer, ...], _Known] = {}

    def sample(self, step: int, capture: Capture, boundaries: Boundaries, moves: Mapping[str, Moves]) -> Sample:
        """Return what metrics may look at.

        Where the layers are others than at the last sample, there is nothing to compare with; where they are those of an earlier
        one, what was known of them then holds on.
        """
        known = self._known.get(capture.layers, _Known(capture))
        if self.before is None or self.before.layers == capture.layers:
            return Sample(
                capture,
                boundaries,
                self.before,
                known.first,
                step,
                moves=moves,
                past=known.past,
                window=tuple(one.capture for one in self._window),
                window_steps=tuple(one.step for one in self._window),
                window_scalars=tuple(one.scalars for one in self._window),
            )
        return Sample(capture, boundaries, None, known.first, step, past=known.past)

    def remember(self, snapshot: Snapshot, traces: tuple[Trace, ...] = ()) -> None:
        """Keep what the next sample is compared with: of this one, and of as many kinds of layers as a model may sensibly have."""
        now = snapshot.capture
        known = self._known.pop(now.layers, _Known(now))
        if self._windowed:
            is_next = self.before is not None and self.before.layers == now.layers
            self._window = (*(self._window if is_next else ()), _bare(snapshot))[-WINDOW:]
        past: dict[str, Value] = {**snapshot.metrics, **snapshot.per_unit, **snapshot.tables}
        self._known[now.layers] = _Known(known.first, past)
        if len(self._known) > _KINDS:
            del self._known[next(iter(self._known))]
        self.before, self.traces = now, traces

    def recall(self, snapshots: Iterable[Snapshot]) -> None:
        """Remember samples of a history, one after another, as if they had just been taken."""
        for snapshot in snapshots:
            self.remember(snapshot)

    def forget(self) -> None:
        """Let everything go but the traces, which a checkpoint that is written after the run still needs; no device keeps them."""
        self._known, self._window, self.before = {}, (), None
        self.traces = put_by(self.traces)


def window_side(units: int, resolution: int) -> int:
    """Return the side of the finest grid, up to `resolution`, on which a window of so many units takes no more than it may.

    >>> window_side(1024, 128), window_side(10_000, 128), window_side(48, 4096)
    (128, 61, 585)
    """
    bits = units + 8 * _OUTPUT_BYTES
    return min(resolution, max(1, isqrt(8 * WINDOW_BYTES // WINDOW // bits)))


def _bare(snapshot: Snapshot) -> Snapshot:
    """Return `snapshot` without what a window does not need."""
    empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), snapshot.layers)
    capture = coarser(snapshot.capture, window_side(len(snapshot.capture.on), snapshot.capture.resolution))
    return Snapshot(snapshot.step, snapshot.time, snapshot.slice, capture, empty, scalars=snapshot.scalars)
