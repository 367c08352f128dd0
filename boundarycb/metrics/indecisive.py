"""Units that go to and fro between states instead of moving on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.coarser import coarser
from boundarycb.metrics.masks import defined, mean
from boundarycb.packed import count_ones
from boundarycb.types import Capture, Field, Floats, Layer, Sample, Value, needs, spans_of

_LEAST_FLIPS = 5  # grid points a sample: less is no movement
_TIMES_MEDIAN = 4  # the layer's median jitter
_TO_AND_FRO = 0.5  # osc and ret: more than noise about a place
_OUTPUT_STANDS = 0.01
_WORST = 5  # rows a layer of the table


@needs("window", "trace")
def indecisive_units(sample: Sample) -> dict[str, Value]:
    r"""Return how much a layer's units go to and fro over the last samples, and which are *indecisive*.

    With the share :math:`f^1_t` of the slice that flipped between one sample and the next, and :math:`f^2_t` between one and the
    next but one, over the window of the last eight samples:

    .. math::
        \mathrm{jitter} = \overline{f^1}, \qquad
        \mathrm{osc} = 1 - \frac{\sum f^2_t}{\sum (f^1_t + f^1_{t-1})}, \qquad
        \mathrm{ret} = 1 - \frac{|M_T \oplus M_0|}{\sum f^1_t}

    From the third sample on:

    * ``indecisive/jitter/<layer>``: mean over the units, 0 to 1. How much flips a sample; high: much.
    * ``indecisive/rel_jitter/<layer>``: the largest of the units' jitters, each by the median of the layer's live units (those that
      switch somewhere in the window). 0 or more; 1: all alike; high: one moves while the others stand. A median below one grid
      point is taken as one. NaN where no unit is live.
    * ``indecisive/osc/<layer>``: mean over the units that moved, 0 to 1. 0: steady drift; 0.29: random walk; 0.5: noise about a
      place; 1: two states in turn.
    * ``indecisive/ret/<layer>``: the same, 0 to 1. 1: back where the window began, whatever the period.
    * ``indecisive/units/<layer>``: number of *indecisive* units: jitter of five grid points or more, rel_jitter of 4 or more, osc
      and ret above 0.5. One that is named once is no finding: a random walk has such an osc and ret in one window of ten, and is
      held back by rel_jitter alone. Of straight boundaries that all walk at random at one speed none is called so (0 of
      96,000 simulated), of such whose speeds differ widely (log-normally, by a factor of e) one or two in a hundred at each sample.
    * ``indecisive/output_moved``: mean over the window of what the output moved from one sample to the next: a probability by
      :math:`|\Delta p|`, classes by the share of points whose winner changed, a value by :math:`|\Delta v|` as a share of its
      range over slice and window. 0 to 1. NaN without an output on the slice, and for a value that is the same everywhere.
    * ``indecisive/loss_moved``: :math:`(\max - \min) / \overline{|\mathrm{loss}|}` over the window, of what the loop logged as
      ``loss``. 0 or more. NaN with fewer than two losses.
    * ``indecisive/strict/<layer>``: number of indecisive units while output_moved is below 0.01 and below the unit's own jitter:
      those that flip without a change of the output, GINN's case; NaN where output_moved is. The output decides, not the loss: the
      loop logs the loss of one batch, which differs from batch to batch by more than one percent even where nothing is learnt.

    Where the last three samples are of consecutive steps, as :func:`boundarycb.schedule.bursts` takes them:

    * ``indecisive/burst_jitter/<layer>``: the share that flips a step, mean over both steps and the units, 0 to 1.
    * ``indecisive/burst_osc/<layer>``: :math:`1 - f^2 / (f^1 + f^{1\prime})` of these three, mean over the units that moved, 0 to
      1, read as osc is. Units that flip at every step are seen here only: samples of every second step always find them in the same
      state, with a jitter of 0. (In a run of bursts, osc is of short and long intervals alike.)

    Why it happens: a boundary is displaced by :math:`|\Delta z| / |\nabla z|`, so where z is flat the least change of it, of its
    own or from below, flips a large area.

    * ``indecisive/flat/<layer>``: the share of the slice with :math:`|z| < 0.01\,\mathrm{RMS}(z)`, mean over the units, 0 to 1;
      high: boundaries lie where nothing holds them. Left out where that was not computed.
    * ``indecisive/sensitivity/<layer>``: the share that flipped since the last sample (by whatever moved it) by the change of the
      unit's own map since then, which is relative and as root mean square; median over the units. 0 or more; high: small steps move
      the boundary far. Unlike jitter it can be compared across learning rates. NaN where the change is 0 or not known; nothing at
      the first sample.

    Per unit: ``indecisive/jitter_per_unit/<layer>``, and so on for rel_jitter, osc, ret, flat, sensitivity, burst_jitter and
    burst_osc. osc, ret and burst_osc are NaN for units that did not move, all for units that are not finite. Table:
    ``indecisive/worst``, the up to five indecisive units of each layer with the largest jitter, and the two steps of the window,
    ``step`` and ``other_step``, at which its states differ most.

    Of more units than fit, the window is kept on fewer grid points (see :class:`boundarycb.memory.Memory`), and so compared there.

    Source: "The Indecisive Neuron", GINN (arXiv:1810.01860, section 8); osc and ret follow from the triangle inequality of the
    Hamming distance, :math:`f^2_t \le f^1_t + f^1_{t-1}`. Cost: two comparisons of packed masks for each sample of the window.

    >>> from boundarycb.types import Boundaries
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> a, b = (Capture((layer,), 2, np.packbits([bits], axis=1)) for bits in ([1, 1, 0, 0], [1, 0, 0, 0]))
    >>> values = indecisive_units(Sample(b, empty, a, a, step=3, window=(a, b, a), window_steps=(0, 1, 2)))  # and b now
    >>> [round(values[f"indecisive/{name}/fc"], 3) for name in ("jitter", "osc", "ret", "burst_osc")]
    [0.25, 1.0, 0.667, 1.0]
    """
    values = {**_flatness(sample), **_sensitivity(sample)}
    if len(sample.window) < 2:
        return values
    states = [*sample.window, coarser(sample.now, sample.window[-1].resolution)]
    steps = [*sample.window_steps, sample.step]
    motion = _motion_of(states)
    for name, found in (("jitter", motion.jitter), ("osc", motion.osc), ("ret", motion.ret)):
        values |= _by_layer(name, found, sample.now.layers)
    values |= _by_layer("rel_jitter", motion.rel_jitter, sample.now.layers, _largest)
    if list(np.diff(steps[-3:])) == [1, 1]:
        values |= _by_layer("burst_jitter", motion.burst_jitter, sample.now.layers)
        values |= _by_layer("burst_osc", motion.burst_osc, sample.now.layers)
    moved = _output_moved([state.field for state in states])
    values |= {"indecisive/output_moved": moved, "indecisive/loss_moved": _loss_moved(sample)}
    for layer, span in spans_of(sample.now.layers).items():
        flagged = motion.indecisive[span]
        values[f"indecisive/units/{layer}"] = float(flagged.sum())
        stands = moved < np.minimum(_OUTPUT_STANDS, motion.jitter[span])
        values[f"indecisive/strict/{layer}"] = math.nan if math.isnan(moved) else float((flagged & stands).sum())
    return {**values, "indecisive/worst": _worst(states, steps, motion)}


@dataclass(frozen=True, eq=False)
class _Motion:
    """What each unit did in a window: numbers (U,), NaN where undefined, and whether it is indecisive."""

    jitter: Floats
    rel_jitter: Floats
    osc: Floats
    ret: Floats
    burst_jitter: Floats
    burst_osc: Floats
    indecisive: NDArray[np.bool_]


def _motion_of(states: Sequence[Capture]) -> _Motion:
    points = states[-1].resolution ** 2
    one = np.stack([count_ones(new.on ^ old.on) for old, new in pairwise(states)])
    two = np.stack([count_ones(new.on ^ old.on) for old, new in zip(states, states[2:], strict=False)])
    whole = count_ones(states[-1].on ^ states[0].on)
    total, last = one.sum(axis=0), one[-2:].sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        osc = 1 - two.sum(axis=0) / (one[1:] + one[:-1]).sum(axis=0)
        ret, burst_osc = 1 - whole / total, 1 - two[-1] / last
    good = defined(*states)
    found = [total / (len(one) * points), osc, ret, last / (2 * points), burst_osc]
    jitter, osc, ret, burst_jitter, burst_osc = (np.where(good, part, np.nan) for part in found)
    rel_jitter = _rel_jitter(jitter, states)
    moves = (total >= _LEAST_FLIPS * len(one)) & (rel_jitter >= _TIMES_MEDIAN)
    return _Motion(jitter, rel_jitter, osc, ret, burst_jitter, burst_osc, moves & (osc > _TO_AND_FRO) & (ret > _TO_AND_FRO))


def _rel_jitter(jitter: Floats, states: Sequence[Capture]) -> Floats:
    """Return `jitter` by the median of each layer's live units."""
    live = np.logical_or.reduce([state.switching() for state in states])
    relative = np.full(len(jitter), np.nan)
    for span in spans_of(states[-1].layers).values():
        usual = _median(np.where(live, jitter, np.nan)[span])
        # Less than a grid point a sample is not told from nothing; and no unit is called indecisive by it.
        relative[span] = jitter[span] / np.maximum(usual, 1 / states[-1].resolution ** 2)
    return relative


def _flatness(sample: Sample) -> dict[str, Value]:
    flat = sample.now.flat
    return {} if flat is None else _by_layer("flat", np.where(defined(sample.now), flat, np.nan), sample.now.layers)


def _sensitivity(sample: Sample) -> dict[str, Value]:
    """Return what flipped since the last sample by the change of the units' own maps."""
    if sample.before is None:
        return {}
    flipped = count_ones(sample.now.on ^ sample.before.on) / sample.now.resolution**2
    change = np.full(len(flipped), np.nan)
    for layer, span in spans_of(sample.now.layers).items():
        moves = sample.moves.get(layer)
        if moves is not None and moves.change is not None:
            change[span] = moves.change
    known = defined(sample.now, sample.before) & (change > 0)
    found = np.divide(flipped, change, out=np.full(len(flipped), np.nan), where=known)
    return _by_layer("sensitivity", found, sample.now.layers, _median)


def _output_moved(fields: Sequence[Field | None]) -> float:
    """Return the mean change of the output from one sample to the next; NaN where one has none, or another kind."""
    known = [field for field in fields if field is not None]
    if len(known) < len(fields) or len({(field.kind, field.classes, field.value.shape) for field in known}) > 1:
        return math.nan
    grids = [field.value.astype(np.float64) for field in known]
    if not all(np.isfinite(grid).all() for grid in grids):
        return math.nan
    if known[0].kind == "classes":
        return float(np.mean([np.mean(new.winner != old.winner) for old, new in pairwise(known)]))
    moved = float(np.mean([abs(new - old).mean() for old, new in pairwise(grids)]))
    if known[0].kind == "probability":
        return moved
    span = max(grid.max() for grid in grids) - min(grid.min() for grid in grids)
    return moved / float(span) if span > 0 else math.nan


def _loss_moved(sample: Sample) -> float:
    """Return by how much the logged loss differed over the window, as a share of its size."""
    losses = np.array([said["loss"] for said in (*sample.window_scalars, sample.scalars) if "loss" in said])
    if len(losses) < 2 or not np.isfinite(losses).all() or not losses.any():
        return math.nan
    return float((losses.max() - losses.min()) / abs(losses).mean())


def _worst(states: Sequence[Capture], steps: Sequence[int], motion: _Motion) -> list[dict[str, Any]]:
    """Return a row for each of the indecisive units with the largest jitter."""
    rows = []
    for layer, span in zip(states[-1].layers, spans_of(states[-1].layers).values(), strict=True):
        places = span.start + np.flatnonzero(motion.indecisive[span])
        for unit in places[np.argsort(-motion.jitter[places], kind="stable")][:_WORST]:
            names = ("jitter", "osc", "ret", "rel_jitter")
            numbers = {name: float(getattr(motion, name)[unit]) for name in names}
            one, other = _furthest(np.stack([state.on[unit] for state in states]))
            pair = {"step": int(steps[one]), "other_step": int(steps[other])}
            rows.append({"layer": layer.name, "unit": layer.kept[unit - span.start], **numbers, **pair})
    return rows


def _furthest(bits: NDArray[np.uint8]) -> tuple[int, int]:
    """Return which two of the packed states (n, bytes) differ at most points, the latest where several do."""
    one, other = np.triu_indices(len(bits), 1)
    latest = np.lexsort((one, other))[::-1]
    one, other = one[latest], other[latest]
    most = int(np.argmax(count_ones(bits[one] ^ bits[other])))
    return int(one[most]), int(other[most])


def _by_layer(name: str, found: Floats, layers: Sequence[Layer], summary: Callable[[Floats], float] = mean) -> dict[str, Value]:
    """Return each layer's summary of a number, and the number of each of its units."""
    values: dict[str, Value] = {}
    for layer, span in spans_of(layers).items():
        values[f"indecisive/{name}/{layer}"] = summary(found[span])
        values[f"indecisive/{name}_per_unit/{layer}"] = found[span].astype(np.float32)
    return values


def _median(values: Floats) -> float:
    good = values[~np.isnan(values)]
    return float(np.median(good)) if len(good) else math.nan


def _largest(values: Floats) -> float:
    good = values[~np.isnan(values)]
    return float(good.max()) if len(good) else math.nan
