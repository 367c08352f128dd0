"""Which parameters moved the boundaries since the last sample."""

from __future__ import annotations

import numpy as np

from boundarycb.metrics.masks import defined, mean
from boundarycb.metrics.shapley import shapley
from boundarycb.types import Sample, Value, needs, spans_of

_PARTS = ("bias", "weights", "upstream")


@needs("trace")
def drift_causes(sample: Sample) -> dict[str, Value]:
    r"""Return ``cause/bias/<layer>``, ``cause/weights/<layer>`` and ``cause/upstream/<layer>``; none at the first sample.

    The flipped share of :func:`~boundarycb.metrics.drift.drift_parts`, split by parameters instead of geometry: the Shapley values
    of the unit's own new bias, its own new weights and its new input in :math:`z = w \cdot A + b`, as the mean over the layer's
    units and per unit (``cause/bias_per_unit/<layer>`` …). A batch-norm in eval mode behind the layer is folded into both. They add
    up to ``drift/flipped``.

    As there, a unit that has the same state everywhere, before and after, has moved by 0. Unlike drift this depends on how the
    network is written: parameters that are only rescaled give parts that cancel, and moving the origin of the inputs moves flips
    from bias to weights. It answers "which parameters did it", not "what happened". NaN where drift's parts are. Cost: with drift,
    two more maps of each layer's input.

    >>> from boundarycb.types import Boundaries, Capture, Layer, Moves
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> state = Capture((layer,), 2, np.packbits([[1, 1, 0, 0]], axis=1))
    >>> moves = Moves(4, np.zeros((8, 1), np.int64), np.array([[0, 0, 1, 1, 0, 0, 1, 1]]).T)  # the weights did it
    >>> values = drift_causes(Sample(state, empty, state, moves={"fc": moves}))
    >>> [values[f"cause/{name}/fc"] for name in ("bias", "weights", "upstream")]
    [0.0, 0.25, 0.0]
    """
    if sample.before is None:
        return {}
    good = defined(sample.now, sample.before)
    values: dict[str, Value] = {}
    for name, span in spans_of(sample.now.layers).items():
        moves = sample.moves.get(name)
        shares = np.full((3, len(good[span])), np.nan)
        if moves is not None:
            shares[:, good[span]] = shapley(moves.cause)[:, good[span]] / moves.points
        for part, share in zip(_PARTS, shares, strict=True):
            values[f"cause/{part}/{name}"] = mean(share)
            values[f"cause/{part}_per_unit/{name}"] = share.astype(np.float32)
    return values
