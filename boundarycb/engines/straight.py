"""The straight line that a unit of an affine layer has on the slice: its normal, and its distance from the centre."""

from __future__ import annotations

import numpy as np

from boundarycb.evenly import evenly
from boundarycb.types import Floats, Slice

_TOLERANCE = 1e-4  # of the largest value: what a plane leaves over of an affine function in single precision is less

_ROUNDING = 1e-6
_POINTS = 1024  # that are enough to fit three numbers and to see that they fit


def in_plane(slice: Slice, points: Floats) -> Floats:
    """Return slice coordinates `points` (n, 2) in lengths of the input, from the slice's centre: (n, 2).

    The first axis is that of u, the second is at a right angle to it, on v's side: a turn from the first to the second is positive.
    """
    centre = np.mean(slice.bounds, axis=1)
    _, triangle = np.linalg.qr(slice.axes.reshape(2, -1).T)
    return np.asarray((points - centre) @ (triangle * np.sign(np.diag(triangle))[:, None]).T)


def planes(slice: Slice, points: Floats, z: Floats, rounding: float = 0.0) -> Floats:
    r"""Return for each unit the affine function that its pre-activations are on the slice, float64 (U, 3).

    .. math:: z(q) = c + g \cdot q, \qquad \text{row} = (g_1, g_2, c)

    with q as :func:`in_plane` has it, so that :math:`|g|` is per length of the input and c is the value at the slice's centre.
    Rows are NaN for units that are not affine there.

    Args:
        slice: the slice.
        points: slice coordinates (n, 2).
        z: pre-activations (n, U).
        rounding: what z was rounded to, of its largest value; a unit is affine if a plane leaves no more over than this, or 1e-4.
    """
    some = evenly(len(points), _POINTS)
    q, z = in_plane(slice, points[some]), z[some]
    design = np.column_stack([q, np.ones(len(q))])
    with np.errstate(all="ignore"):  # of units that are not finite it makes NaN
        found = np.linalg.pinv(design) @ z
        rest = np.abs(z - design @ found).max(axis=0)
        flat = np.linalg.norm(found[:2], axis=0) * np.linalg.norm(q, axis=1).max() <= _ROUNDING * np.abs(z).max(axis=0)
    found[:2, flat] = 0  # a constant is no line, however its rounding slopes
    found[:, ~(rest <= max(_TOLERANCE, rounding) * np.abs(z).max(axis=0))] = np.nan
    return found.T
