"""How much of the slice each unit is on for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Bits, Sample, Value, spans_of


def on_share(sample: Sample) -> dict[str, Value]:
    r"""Return ``on/share/<layer>`` of each layer, as the mean over its units and per unit (``on/share_per_unit/<layer>``).

    .. math:: \mathrm{share}_u = \frac{1}{P} \sum_p [z_u(p) > 0]

    with the pre-activation z of unit u at grid point p. Range 0 (never on) to 1 (always on); a line through the middle of the
    slice gives 0.5. A unit that is not finite somewhere has NaN and is left out of the mean; a layer without any other has NaN.
    Cost: one table look-up a byte of the packed masks.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (2,), (0, 1))
    >>> on = np.packbits([[1, 0, 0, 0], [1, 1, 1, 1]], axis=1)
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> values = on_share(Sample(Capture((layer,), 2, on), empty))
    >>> values["on/share/fc"], values["on/share_per_unit/fc"].tolist()
    (0.625, [0.25, 1.0])
    """
    capture = sample.now
    shares = count_ones(capture.on) / capture.resolution**2
    shares[capture.undefined] = np.nan
    values: dict[str, Value] = {}
    for name, span in spans_of(capture.layers).items():
        defined = shares[span][~np.isnan(shares[span])]
        values[f"on/share/{name}"] = float(defined.mean()) if len(defined) else float("nan")
        values[f"on/share_per_unit/{name}"] = shares[span].astype(np.float32)
    return values


_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.uint8)


def count_ones(bits: Bits) -> NDArray[np.int64]:
    """Return the number of set bits of each row of packed `bits` (U, bytes), int64 (U,)."""
    return np.asarray(_ONES[bits].sum(axis=1, dtype=np.int64))
