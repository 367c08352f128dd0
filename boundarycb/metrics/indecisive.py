"""Units that go to and fro between states instead of moving on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from boundarycb.metrics.masks import count_ones, defined, mean
from boundarycb.types import Floats, Sample, Value, needs, spans_of

_LEAST_FLIPS = 5  # grid points a sample: less is no movement
_TIMES_MEDIAN = 4  # the layer's median jitter


@needs("window")
def indecisive_units(sample: Sample) -> dict[str, Value]:
    r"""Return how much a layer's units go to and fro over the last samples, and how many are *indecisive*. Not computed by default.

    With the share :math:`f^1_t` of the slice that flipped between one sample and the next, and :math:`f^2_t` between one and the
    next but one, over the window of the last eight samples:

    .. math::
        \mathrm{jitter} = \overline{f^1}, \qquad
        \mathrm{osc} = 1 - \frac{\sum f^2_t}{\sum (f^1_t + f^1_{t-1})}, \qquad
        \mathrm{ret} = 1 - \frac{|M_T \oplus M_0|}{\sum f^1_t}

    * ``indecisive/jitter/<layer>``: mean over the units, 0 to 1. How much flips a sample.
    * ``indecisive/osc/<layer>``: mean over the units that moved, 0 to 1. 0: steady drift; 0.29: random walk; 0.5: noise about a
      place; 1: two states in turn.
    * ``indecisive/ret/<layer>``: the same, 0 to 1. 1: back where the window began, whatever the period.
    * ``indecisive/units/<layer>``: number of units that flip on five grid points or more a sample, four times the median of the
      layer's live units or more, with osc and ret above 0.5.

    Per unit: ``indecisive/jitter_per_unit/<layer>`` and so on. NaN for units that did not move. All are blind to a period that the
    sampling has too, and see more of fast ones the denser it is. They start at the third sample. That a unit is indecisive says
    nothing of the loss; GINN's case is one that leaves the loss as it is.

    Source: "indecisive neurons", GINN (arXiv:1810.01860, section 8); osc and ret follow from the triangle inequality of the Hamming
    distance, :math:`f^2_t \le f^1_t + f^1_{t-1}`. Cost: two comparisons of packed masks for each sample of the window.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> a, b = (Capture((layer,), 2, np.packbits([bits], axis=1)) for bits in ([1, 1, 0, 0], [1, 0, 0, 0]))
    >>> values = indecisive_units(Sample(b, empty, a, a, window=(a, b, a)))  # and b now
    >>> [round(values[f"indecisive/{name}/fc"], 3) for name in ("jitter", "osc", "ret")]
    [0.25, 1.0, 0.667]
    """
    states = [*sample.window, sample.now]
    if len(states) < 3:
        return {}
    points = sample.now.resolution**2
    one = np.stack([count_ones(new.on ^ old.on) / points for old, new in pairwise(states)])
    two = np.stack([count_ones(new.on ^ old.on) / points for old, new in zip(states, states[2:], strict=False)])
    whole = count_ones(states[-1].on ^ states[0].on) / points
    good = defined(*states)
    with np.errstate(invalid="ignore", divide="ignore"):
        osc = 1 - two.sum(axis=0) / (one[1:] + one[:-1]).sum(axis=0)
        ret = 1 - whole / one.sum(axis=0)
    jitter, osc, ret = (np.where(good, part, np.nan) for part in (one.mean(axis=0), osc, ret))
    restless = (jitter * points >= _LEAST_FLIPS) & (osc > 0.5) & (ret > 0.5)
    live = np.logical_or.reduce([state.switching() for state in states])
    values: dict[str, Value] = {}
    for name, span in spans_of(sample.now.layers).items():
        much = jitter[span] >= _TIMES_MEDIAN * _median(jitter[span][live[span]])
        values[f"indecisive/units/{name}"] = int((restless[span] & much).sum())
        for part, found in (("jitter", jitter), ("osc", osc), ("ret", ret)):
            values[f"indecisive/{part}/{name}"] = mean(found[span])
            values[f"indecisive/{part}_per_unit/{name}"] = found[span].astype(np.float32)
    return values


def _median(values: Floats) -> float:
    good = values[~np.isnan(values)]
    return float(np.median(good)) if len(good) else float("nan")
