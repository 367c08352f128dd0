"""Units that do nothing here: never on, always on, or hardly active; and those that came back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.metrics.masks import defined, mean
from boundarycb.packed import count_ones
from boundarycb.types import Floats, Sample, Value, needs, spans_of


@needs("trace")
def dormant_units(sample: Sample, tau: float = 0.025) -> dict[str, Value]:
    r"""Return the shares of a layer's units that are ``dormant/never_on``, ``…/always_on``, ``…/live`` and ``…/tau``.

    Never on the slice, always, or neither (those have a boundary in view); and hardly active. ``dormant/revivals`` counts how
    often units came back.

    A unit is tau-dormant if

    .. math:: s_i = \frac{E|h_i|}{\frac{1}{U} \sum_k E|h_k|} \le \tau

    with the mean absolute activation :math:`E|h_i|` over the slice (of a convolution: over its channel's positions too), after
    Sokar et al. 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning" (arXiv:2302.12902), on a slice instead of a
    batch of data. In a layer that is zero all units are dormant. Scaling a unit's weights changes its score, though not what the
    network does.

    The three classes need no scale. They speak of the slice only: a unit that is never on here may be on for data elsewhere, so
    it is not called dead, and what is never on now can come back when the layers below move. A unit *revives* when it is on
    somewhere after a sample at which it was nowhere; ``dormant/revivals`` counts that over the run
    (``dormant/revivals_per_unit/<layer>``).

    A sigmoid or tanh works on both sides of 0, so that one which is never on is not idle. Of layers of these there is
    ``dormant/saturated`` too, the share of units and points at which the slope is less than a hundredth of the largest one: hardly
    any gradient gets through.

    Range 0 to 1; high means that much of the layer is idle (``live``: that it bends here). Units that are not finite are left out.
    Per unit: ``dormant/score_per_unit/<layer>`` and
    ``dormant/saturated_per_unit/<layer>``. Cost: two counts of the packed masks' bits.

    Args:
        sample: the sample.
        tau: 0 or more; 0, 0.025 and 0.1 are in use. ``functools.partial(dormant_units, tau=0.1)`` is a metric too.

    Raises:
        ValueError: `tau` is negative.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (4,), (0, 1, 2, 3))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> on = np.packbits([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], axis=1)
    >>> values = dormant_units(Sample(Capture((layer,), 2, on, strength=np.array([0, 0.1, 1, 2.9])), empty))
    >>> [values[f"dormant/{name}/fc"] for name in ("never_on", "always_on", "live", "tau")]
    [0.25, 0.25, 0.5, 0.25]
    """
    if not tau >= 0:
        raise ValueError(f"`tau` must be 0 or more, got {tau!r}.")
    good = defined(sample.now)
    never = count_ones(sample.now.on) == 0
    live = sample.now.switching()
    strength = sample.now.strength
    values: dict[str, Value] = {}
    for name, span in spans_of(sample.now.layers).items():
        kept = good[span]
        shares = {"never_on": never, "always_on": ~never & ~live, "live": live}
        values |= {f"dormant/{key}/{name}": _share(flags[span], kept) for key, flags in shares.items()}
        if strength is not None:
            scores = _scores(np.where(kept, strength[span], np.nan))
            values[f"dormant/tau/{name}"] = _share(scores <= tau, kept)
            values[f"dormant/score_per_unit/{name}"] = scores.astype(np.float32)
        values |= _saturated(sample, name, span, kept)
        revivals = _revivals(sample, name, span, never)
        values[f"dormant/revivals/{name}"] = int(revivals.sum())
        values[f"dormant/revivals_per_unit/{name}"] = revivals
    return values


def _saturated(sample: Sample, name: str, span: slice, kept: NDArray[np.bool_]) -> dict[str, Value]:
    """Return how far a layer's units are saturated; nothing where its activation cannot be."""
    if sample.now.saturated is None or np.isnan(sample.now.saturated[span]).all():
        return {}
    shares = np.where(kept, sample.now.saturated[span], np.nan)
    return {f"dormant/saturated/{name}": mean(shares), f"dormant/saturated_per_unit/{name}": shares.astype(np.float32)}


def _share(flags: NDArray[np.bool_], kept: NDArray[np.bool_]) -> float:
    return mean(np.where(kept, flags, np.nan))


def _scores(strength: Floats) -> Floats:
    """Return each unit's share of the layer's mean activation; 0 for all where that is 0."""
    average = mean(strength)
    return strength / average if average > 0 else strength


def _revivals(sample: Sample, name: str, span: slice, never: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return how often each unit came back so far: the last sample's count, and those that came back since."""
    so_far = sample.past.get(f"dormant/revivals_per_unit/{name}")
    count = np.zeros(len(never[span]), dtype=np.int32) if not isinstance(so_far, np.ndarray) else so_far.astype(np.int32)
    if sample.before is None:
        return count
    good = defined(sample.now, sample.before)[span]
    was_never = count_ones(sample.before.on[span]) == 0
    return np.asarray(count + (was_never & ~never[span] & good), dtype=np.int32)
