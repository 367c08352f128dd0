"""What the network makes of samples of the data, beside what it does on the slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.automatic import Data
from boundarycb.probe import Prober
from boundarycb.types import Answers, Floats

_LEAST = 64  # samples, however coarse the grid
_PART = 16  # of the grid's points: what as many samples may cost
_RAYS = 64  # along which margins are looked for
_PARTS = 16  # that a ray is looked at in
_ROUNDS = 6  # of looking closer: 16 ** 6 parts of a ray are 6e-8 of it


def fitting(data: Data | None, resolution: int) -> Data | None:
    """Return as many of the samples as cost little beside a grid of `resolution` points a side."""
    return None if data is None else data.some(max(_LEAST, resolution**2 // _PART))


def answer(forward: Prober, data: Data, *, margins: bool = False) -> Answers:
    """Return what the network makes of `data`.

    Args:
        forward: the open probe.
        data: the samples.
        margins: whether to find where the winning class changes first on the way from samples to others.
    """
    count = len(data.values)
    size = forward.batch_of(count)
    traces, output = forward.answer(np.resize(data.values, (size, *data.values.shape[1:])))
    on = np.concatenate([(one.z[:count] > 0).cpu().numpy() for one in traces], axis=1)
    values = np.concatenate([one.values[:count].float().cpu().numpy() for one in traces if one.values is not None], axis=1)
    winners = _winners(None if output is None else output[:count])
    found = _margins(forward, data) if margins and winners is not None else None
    return Answers(np.packbits(on.T, axis=1), values, winners, data.labels, found)


def _winners(output: Floats | None) -> NDArray[np.int64] | None:
    return None if output is None or output.ndim != 2 or output.shape[1] < 2 else output.argmax(axis=1).astype(np.int64)


def _margins(forward: Prober, data: Data) -> Floats:
    """Return the distance (m,) from samples, each towards another one, to where the winning class changes first; NaN if nowhere.

    Each ray is looked at in 16 parts, the first of which changes the class is looked at in 16 parts, and so on. A class that comes
    and goes within a sixteenth of a ray may be missed.
    """
    start, stop = _ends(data)
    low, high = np.zeros(len(start)), np.ones(len(start))
    found = np.ones(len(start), dtype=bool)
    for _ in range(_ROUNDS):
        places = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, _PARTS + 1)
        winners = _along(forward, start, stop, places)
        changed = winners != winners[:, :1]
        found &= changed.any(axis=1)
        first = np.maximum(changed.argmax(axis=1), 1)
        rows = np.arange(len(start))
        low, high = places[rows, first - 1], places[rows, first]
    lengths = np.linalg.norm((stop - start).reshape(len(start), -1), axis=1)
    return np.where(found, (low + high) / 2 * lengths, np.nan)


def _ends(data: Data) -> tuple[Floats, Floats]:
    """Return where rays start and stop (m, *shape): samples, and for each another one, of another class where these are known."""
    count = len(data.values)
    starts = np.linspace(0, count - 1, min(count, _RAYS)).round().astype(np.int64)
    order = (starts[:, None] + count // 2 + np.arange(count)) % count  # from the other half on
    if data.labels is None:
        stops = order[:, 0]
    else:
        stops = order[np.arange(len(starts)), (data.labels[order] != data.labels[starts, None]).argmax(axis=1)]
    return data.values[starts], data.values[stops]


def _along(forward: Prober, start: Floats, stop: Floats, places: Floats) -> NDArray[np.int64]:
    """Return the winning classes (m, k) at `places` (m, k) of the rays."""
    shares = places.reshape(*places.shape, *[1] * (start.ndim - 1))
    points = start[:, None] + shares * (stop - start)[:, None]
    output = forward(points.reshape(-1, *start.shape[1:])).output
    assert output is not None
    return np.asarray(output.argmax(axis=1).reshape(places.shape))
