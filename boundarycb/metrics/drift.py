"""How far boundaries moved since the last sample, and whether by shifting, by turning, or because the layers below moved."""

from __future__ import annotations

import numpy as np

from boundarycb.metrics.masks import defined, mean
from boundarycb.metrics.shapley import shapley
from boundarycb.packed import count_ones
from boundarycb.types import Floats, Sample, Value, needs, spans_of

_PARTS = ("shift", "rotate", "upstream")


@needs("trace")
def drift_parts(sample: Sample) -> dict[str, Value]:
    r"""Return ``drift/flipped/<layer>`` and its parts, ``drift/{shift,rotate,upstream}/<layer>``; nothing at the first sample.

    Flipped is the share of the slice on which a unit changed its state since the last sample, as the mean over the layer's units
    (and per unit, ``drift/flipped_per_unit/<layer>`` and so on). Range 0 to 1, and the parts add up to it. It is split exactly.
    With the unit written as

    .. math:: z = n \cdot (A - \bar A) + \beta', \qquad n = w / |w|, \quad \beta' = (b + w \cdot \bar A) / |w|

    with the layer's input A, measured in units of the weights that made it, and its mean :math:`\bar A` over the slice at the last
    sample: *shift* is the Shapley value of the new :math:`\beta'`, the distance of the unit's hyperplane from the middle of its
    inputs; *rotate* that of the new normal n; *upstream* that of the new A. Scaling a unit's weights and scaling the next layer's
    back moves nothing. A part is negative where it undid what another did.

    A unit that has the same state everywhere, before and after, has moved by 0, whatever its boundary does out of view. The parts
    are NaN where the pre-activation has no affine map that could be made again (a residual sum), or no memory for it (weights and
    input of more than 64 MB a layer): there only flipped is given. The table ``drift/layers`` says so, and the gauge:
    ``canonical``, or ``own`` behind a normalisation, a residual sum or a smooth activation, where inputs are taken as they are.
    Flipped has steps of 1 / points, the grid's in layers without parts.

    Source: GINN (arXiv:1810.01860, section 5) saw boundaries shift before they turn ("Bias Shifts Before Weights Shift"); which of
    the parameters did it is :func:`~boundarycb.metrics.cause.drift_causes`. Cost: four more maps of each layer's input, 8
    comparisons a unit and point.

    >>> from boundarycb.types import Boundaries, Capture, Layer, Moves
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> old, new = (Capture((layer,), 2, np.packbits([bits], axis=1)) for bits in ([1, 1, 0, 0], [1, 0, 0, 0]))
    >>> moves = Moves(4, np.array([[0, 1, 0, 1, 0, 1, 0, 1]]).T, np.zeros((8, 1), np.int64))  # it shifted, that is all
    >>> values = drift_parts(Sample(new, empty, old, moves={"fc": moves}))
    >>> [values[f"drift/{name}/fc"] for name in ("flipped", "shift", "rotate", "upstream")]
    [0.25, 0.25, 0.0, 0.0]
    """
    if sample.before is None:
        return {}
    good = defined(sample.now, sample.before)
    flipped = count_ones(sample.now.on ^ sample.before.on) / sample.now.resolution**2
    values: dict[str, Value] = {}
    rows = []
    for name, span in spans_of(sample.now.layers).items():
        moves = sample.moves.get(name)
        shares: Floats = np.full((4, len(good[span])), np.nan)
        shares[0] = flipped[span]
        if moves is not None:
            shares[0] = moves.geometry[7] / moves.points
            shares[1:] = shapley(moves.geometry) / moves.points
        shares[:, ~good[span]] = np.nan
        for part, share in zip(("flipped", *_PARTS), shares, strict=True):
            values[f"drift/{part}/{name}"] = mean(share)
            values[f"drift/{part}_per_unit/{name}"] = share.astype(np.float32)
        gauge, points = ("none", sample.now.resolution**2) if moves is None else (moves.gauge, moves.points)
        rows.append({"layer": name, "gauge": gauge, "points": points})
    return {**values, "drift/layers": rows}
