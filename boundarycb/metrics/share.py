"""How much of the slice each unit is on for."""

from __future__ import annotations

import numpy as np

from boundarycb.metrics.masks import defined, mean
from boundarycb.packed import count_ones
from boundarycb.types import Sample, Value, spans_of


def on_share(sample: Sample) -> dict[str, Value]:
    r"""Return ``on/share/<layer>`` of each layer, as the mean over its units and per unit (``on/share_per_unit/<layer>``).

    .. math:: \mathrm{share}_u = \frac{1}{P} \sum_p [z_u(p) > 0]

    with the pre-activation z of unit u at grid point p. Range 0 (never on) to 1 (always on); a line through the middle of the
    slice gives 0.5. A unit that is not finite somewhere has NaN and is left out of the mean; a layer without any other has NaN.
    Cost: one count of the packed masks' bits.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (2,), (0, 1))
    >>> on = np.packbits([[1, 0, 0, 0], [1, 1, 1, 1]], axis=1)
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> values = on_share(Sample(Capture((layer,), 2, on), empty))
    >>> values["on/share/fc"], values["on/share_per_unit/fc"].tolist()
    (0.625, [0.25, 1.0])
    """
    capture = sample.now
    shares = np.where(defined(capture), count_ones(capture.on) / capture.resolution**2, np.nan)
    values: dict[str, Value] = {}
    for name, span in spans_of(capture.layers).items():
        values[f"on/share/{name}"] = mean(shares[span])
        values[f"on/share_per_unit/{name}"] = shares[span].astype(np.float32)
    return values
