"""What the network makes of samples of the data, beside what it does on the slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from boundarycb.automatic import Data
from boundarycb.engines.bands import USUAL, most_together
from boundarycb.evenly import evenly
from boundarycb.probe import Activity, Prober
from boundarycb.types import Answers, Floats, Layer, Room

_LEAST = 64  # samples, however coarse the grid
_PART = 16  # of the grid's points: what as many samples may cost
_LEAST_RAYS = 16  # along which margins are looked for
_SAMPLES = 4  # for one ray beyond these: it takes sixty points
_PARTS = 16  # that a ray, and then a part of it, is looked at in
_ROUNDS = 4  # of looking closer; within 16 ** -4 of a ray scores are as good as straight


def fitting(data: Data | None, resolution: int) -> Data | None:
    """Return as many of the samples as cost little beside a grid of `resolution` points a side."""
    return None if data is None else data.some(max(_LEAST, resolution**2 // _PART))


def answer(forward: Prober, data: Data, layers: Sequence[Layer], *, margins: bool = False, room: Room = USUAL) -> Answers:
    """Return what the network makes of `data`.

    Args:
        forward: the open probe.
        data: the samples.
        layers: those that have units that are watched.
        margins: whether to find where the winning class changes first on the way from samples to others.
        room: how much may run at once.

    Raises:
        ValueError: the samples go another way through the model than points of the slice do.
    """
    activities, output = _run(forward, data, room)
    if tuple(one.layer for one in activities) != tuple(layers):
        raise ValueError("the model calls other activations for them than on the slice")
    on = np.concatenate([one.on for one in activities], axis=1)
    values = np.concatenate([one.values for one in activities], axis=1)
    has_classes = output is not None and output.shape[1] > 1 and not np.isnan(output).any()
    return Answers(
        np.packbits(on.T, axis=1),
        values,
        output.argmax(axis=1).astype(np.int64) if output is not None and has_classes else None,
        data.labels,
        _margins(forward, data) if margins and has_classes else None,
    )


def _run(forward: Prober, data: Data, room: Room) -> tuple[list[Activity], Floats | None]:
    """Return what units and output give for samples, which run in batches that take a bounded amount of memory."""
    ran = [forward.answer(part.values, part.beside) for part in _parts(forward, data, room)]
    if any([one.layer for one in activities] != [one.layer for one in ran[0][0]] for activities, _ in ran):
        raise ValueError("the model calls other activations for some of them than for others")
    activities = [
        Activity(ones[0].layer, np.concatenate([one.on for one in ones]), np.concatenate([one.values for one in ones]))
        for ones in zip(*(activities for activities, _ in ran), strict=True)
    ]
    outputs = [output for _, output in ran if output is not None]
    return activities, np.concatenate(outputs) if len(outputs) == len(ran) else None


def _parts(forward: Prober, data: Data, room: Room) -> Iterator[Data]:
    count, size = len(data.values), most_together(data.numbers, sum(call.layer.size for call in forward.calls), room)
    yield from map(data.at, np.array_split(np.arange(count), -(-count // size)))


def _margins(forward: Prober, data: Data) -> Floats:
    """Return the distance (m,) from samples, each towards another one, to where the winning class changes first; NaN if nowhere.

    Each ray is looked at in 16 parts, the first part that ends in another class in 16 parts, and so on; in the last one the two
    classes' scores are taken to be straight lines, which meet. A class that comes and goes within a sixteenth of a ray is missed.
    What else goes into the model stays that of the sample at which a ray starts.
    """
    start, stop = _ends(data)
    lengths = np.linalg.norm((stop - start.values).reshape(len(stop), -1), axis=1)
    ends = np.broadcast_to([0.0, 1.0], (len(stop), 2))
    places, scores = _looked_at(forward, start, stop, ends, _along(forward, start, stop, ends))
    own = scores[:, 0].argmax(axis=1)
    margins = np.full(len(stop), np.nan)
    found = (scores.argmax(axis=2) != own[:, None]).any(axis=1)
    if not found.any():
        return margins
    start, stop, own, places, scores = start.at(np.flatnonzero(found)), stop[found], own[found], places[found], scores[found]
    for _ in range(_ROUNDS - 1):
        places, scores = _looked_at(forward, start, stop, *_first_change(places, scores, own))
    margins[found] = _meeting(*_first_change(places, scores, own), own) * lengths[found]
    return margins


def _ends(data: Data) -> tuple[Data, Floats]:
    """Return the m samples where rays start, and where they stop (m, *shape): others, of other classes where these are known."""
    count = len(data.values)
    rays = min(count, max(_LEAST_RAYS, count // _SAMPLES))
    starts = evenly(count, rays)
    order = (starts[:, None] + count // 2 + np.arange(count)) % count  # from the other half on
    stops = order[:, 0]
    if data.labels is not None:
        others = data.labels[order]
        stops = order[np.arange(rays), ((others != data.labels[starts, None]) & (others >= 0)).argmax(axis=1)]
    return data.at(starts), data.values[stops]


def _looked_at(forward: Prober, start: Data, stop: Floats, ends: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return places (m, 17) from end to end of parts of rays (m, 2), and the scores there, which are known at the ends."""
    shares = np.arange(1, _PARTS) / _PARTS
    inner = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * shares
    between = _along(forward, start, stop, inner)
    return (
        np.concatenate([ends[:, :1], inner, ends[:, 1:]], axis=1),
        np.concatenate([scores[:, :1], between, scores[:, 1:]], axis=1),
    )


def _along(forward: Prober, start: Data, stop: Floats, places: Floats) -> Floats:
    """Return the scores (m, k, C) at `places` (m, k) of rays, 0 where they start and 1 where they stop."""
    rays = np.repeat(np.arange(len(places)), places.shape[1])
    shares = places.reshape(-1, *[1] * (stop.ndim - 1))
    size = most_together(start.numbers, sum(call.layer.size for call in forward.calls))
    scores = []
    for first in range(0, len(rays), size):
        some, share = rays[first : first + size], shares[first : first + size]
        near = start.at(some)
        output = forward.answer((1 - share) * near.values + share * stop[some], near.beside)[1]
        assert output is not None
        scores.append(output)
    return np.concatenate(scores).reshape(*places.shape, -1).astype(np.float64)


def _first_change(places: Floats, scores: Floats, own: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the two places (m, 2) between which another class than `own` wins first, and the scores there (m, 2, C)."""
    after = (scores.argmax(axis=2) != own[:, None]).argmax(axis=1)
    rows, ends = np.arange(len(own))[:, None], np.stack([after - 1, after], axis=1)
    return places[rows, ends], scores[rows, ends]


def _meeting(places: Floats, scores: Floats, own: NDArray[np.int64]) -> Floats:
    """Return the place (m,) between two at which the score of the class that wins at the one meets that of the other's winner."""
    rows = np.arange(len(own))
    lead = scores[rows, :, own] - scores[rows, :, scores[:, 1].argmax(axis=1)]
    fall = lead[:, 0] - lead[:, 1]
    share = np.where(fall > 0, lead[:, 0] / np.where(fall > 0, fall, 1.0), 0.0)  # two scores that are equal all along meet at once
    return np.asarray(places[:, 0] + share * (places[:, 1] - places[:, 0]))
