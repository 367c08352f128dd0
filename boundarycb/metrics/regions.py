"""How many activation patterns are seen on the slice."""

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
