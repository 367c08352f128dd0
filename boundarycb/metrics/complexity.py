"""How many boundaries run near a point."""

from __future__ import annotations

import numpy as np

from boundarycb.metrics.masks import defined
from boundarycb.types import Sample, Value, spans_of


def local_complexity(sample: Sample, radius: float = 0.05) -> dict[str, Value]:
    r"""Return ``complexity/local/<layer>``, how many of the layer's boundaries cross a small neighbourhood, on average.

    .. math:: \mathrm{LC}(p) = \#\{u : \exists k : s_u(p + r v_k) \ne s_u(p + r v_1)\}, \qquad v = (e_1, -e_1, e_2, -e_2)

    with the on/off state s of unit u and the slice's axes e (A. I. Humayun, R. Balestriero and R. Baraniuk, "Deep Networks Always
    Grok and Here is Why", 2024, arXiv:2402.15555, there with vertices in all input dimensions), averaged over all grid points p
    whose neighbourhood lies on the slice. Range 0 to the layer's watched units; high: the network bends much near a typical point.
    It depends on the radius: compare only what has the same. No unit's scale matters, and no unit's order or side. Cost: the states
    of all units, unpacked.

    Args:
        sample: a sample.
        radius: r, as a share of the slice's side, more than 0 to less than 0.5; taken to whole grid points, one at least. Give
            another one by ``functools.partial(local_complexity, radius=0.1)``.

    Raises:
        ValueError: `radius` is out of its range.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> half = np.packbits(np.tile([0] * 5 + [1] * 5, (10, 1)).reshape(1, -1), axis=1)
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    >>> local_complexity(Sample(Capture((layer,), 10, half), empty), radius=0.2)  # of six columns the four in the middle
    {'complexity/local/fc': 0.6666666666666666}
    """
    if not 0 < radius < 0.5:
        raise ValueError(f"`radius` must be more than 0 and less than 0.5 of the slice's side, got {radius!r}.")
    capture = sample.now
    side = capture.resolution
    reach = min(max(1, round(radius * side)), (side - 1) // 2)
    usable = defined(capture)
    values: dict[str, Value] = {}
    for name, span in spans_of(capture.layers).items():
        on = capture.on[span][usable[span]]
        if not reach or not len(on):
            values[f"complexity/local/{name}"] = float("nan")
            continue
        states = np.unpackbits(on, axis=1, count=side * side).reshape(-1, side, side)
        inner, low, high = slice(reach, side - reach), slice(0, side - 2 * reach), slice(2 * reach, side)
        first = states[:, inner, high]
        crossed = (first != states[:, inner, low]) | (first != states[:, high, inner]) | (first != states[:, low, inner])
        values[f"complexity/local/{name}"] = float(np.count_nonzero(crossed) / first[0].size)
    return values
