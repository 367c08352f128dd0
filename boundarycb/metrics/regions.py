"""How many activation patterns are seen on the slice, and how many regions there are."""

from __future__ import annotations

import math

import numpy as np  # noqa: F401 - the doctest uses it

from boundarycb.types import Sample, Value


def regions_seen(sample: Sample) -> dict[str, Value]:
    r"""Return ``regions/seen``, the number of activation patterns at the grid points, and ``regions/seen_share``, of the points.

    .. math:: \mathrm{seen} = |\{ (z_u(p) > 0)_u : p \}|

    with the pre-activation z of unit u, of **all** units of the network whether they are watched or not, at grid point p. Range 1
    to the number of points P: a lower bound on the linear regions of the slice (Hanin and Rolnick 2019, arXiv:1906.00904), since
    those between the points are not seen; :func:`boundarycb.find_regions` gives their exact number. Where the share comes near 1
    the grid is too coarse to tell. NaN where patterns were not counted. Cost: a few operations a word of 64 units.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> capture = Capture((layer,), 2, np.packbits([[1, 0, 0, 0]], axis=1), patterns=2)
    >>> regions_seen(Sample(capture, Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))))
    {'regions/seen': 2.0, 'regions/seen_share': 0.5}
    """
    seen = math.nan if sample.now.patterns is None else float(sample.now.patterns)
    return {"regions/seen": seen, "regions/seen_share": seen / sample.now.resolution**2}


def exact_regions(sample: Sample) -> dict[str, Value]:
    r"""Return ``regions/exact/<layer>``, into how many regions the units of **all layers up to it** cut the slice.

    .. math:: |\{ (z_u(q) > 0)_{u \le l} : q \}|

    with the pre-activation z of unit u of the layers up to l, watched or not, at any point q of the slice: on each region the
    network up to that layer is affine. (Where activations bend elsewhere than at 0, as ReLU6 does, regions end there too.) 1 or
    more; high: the network bends in many places. Three lines in general position make 7; U lines across the slice 1 + U + their
    crossings on it. The number of the last layer is at least ``regions/seen``, which misses what lies between the grid's points.

    Given where the lines are exact, and of the last layer where the engine cut along its lines too, which it does for outputs with
    classes; it is that of :func:`boundarycb.find_regions`. Regions too thin to be told from rounding do not count.

    On a slice the number that a random network makes grows like the square of the number of its units, not exponentially with its
    depth (B. Hanin and D. Rolnick 2019, arXiv:1901.09021 and arXiv:1906.00904). Cost: nothing; the engine counts.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> capture = Capture((layer,), 2, np.packbits([[1, 0, 0, 0]], axis=1))
    >>> exact_regions(Sample(capture, Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,)), regions={"fc": 2}))
    {'regions/exact/fc': 2.0}
    """
    return {f"regions/exact/{layer}": float(count) for layer, count in sample.regions.items()}
