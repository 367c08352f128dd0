"""Where the network is sure of itself far from any data."""

from __future__ import annotations

import math

import numpy as np

from boundarycb.types import Field, Floats, Sample, Slice, Value

_RADIUS = 0.1  # of the slice's diagonal
_PAIRS = 2**21  # of points and samples that are looked at together


def confident_far(sample: Sample, confidence: float = 0.99, radius: float | None = None) -> dict[str, Value]:
    r"""Return ``far/confident`` and ``far/share``, shares of the slice; nothing where no classes are, or no samples are marked.

    .. math:: \mathrm{confident} = |\{p : P(p) > c, \ \min_i \lVert x(p) - x_i \rVert > r\}| \,/\, |\{p\}|

    with the winner's chance P at grid point p, and the distance in input space from there to the nearest of the samples that are
    marked on the slice (:func:`boundarycb.slices.marked`, ``from_data``).

    * ``far/share``: share of the slice that is farther than r from all of them. Range 0 to 1; 1: the slice nowhere comes near the
      data, as random planes do.
    * ``far/confident``: share that is far and on which the winner has a chance of more than c: regions that no data speak for, of
      which the network has a firm opinion all the same. Range 0 to ``far/share``.

    Grid points where the output is not finite are left out; both are NaN where it is finite nowhere.

    Samples off the plane are as far away as they are, not as their shadows on it. More samples make less of the slice far: mark as
    many as describe the data.

    Source: the "erroneous regions" of "Visualizing Neural Nets" (2023), section 7, such as static that is called a 3. Cost: the
    distances of all grid points from all samples.

    Args:
        sample: a sample.
        confidence: c, 0 to less than 1; ``functools.partial(confident_far, confidence=0.9)`` is a metric too.
        radius: r, in input units, 0 or more; by default a tenth of the slice's diagonal.

    Raises:
        ValueError: `confidence` or `radius` is out of its range.

    >>> from boundarycb import slices
    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    >>> sure = Field("classes", np.ones((8, 8), np.float16), np.zeros((8, 8), np.uint16), 3)
    >>> plane = slices.marked(slices.box((-1, 1), (-1, 1)), [[x, y] for x in (-0.9, -0.4) for y in (-0.8, 0, 0.8)])
    >>> confident_far(Sample(Capture((layer,), 8, np.zeros((1, 8), np.uint8), sure), empty, slice=plane), radius=0.5)
    {'far/share': 0.5, 'far/confident': 0.5}
    """
    if not isinstance(confidence, (int, float)) or not 0 <= confidence < 1:
        raise ValueError(f"`confidence` must be 0 or more and less than 1, got {confidence!r}.")
    if radius is not None and not (math.isfinite(radius) and radius >= 0):
        raise ValueError(f"`radius` must be a length of 0 or more, got {radius!r}.")
    field, slice_ = sample.now.field, sample.slice
    if field is None or field.kind == "value" or slice_ is None or slice_.marks is None or not len(slice_.marks.points):
        return {}
    far = _distances(slice_, sample.now.resolution) > (_RADIUS * _diagonal(slice_) if radius is None else radius)
    chance = _chance(field)
    known = np.isfinite(chance)
    if not known.any():
        return {"far/share": math.nan, "far/confident": math.nan}
    return {"far/share": float(far[known].mean()), "far/confident": float((far & (chance > confidence))[known].mean())}


def _chance(field: Field) -> Floats:
    """Return the winner's chance at each grid point (H, W)."""
    value = field.value.astype(np.float64)
    return np.maximum(value, 1 - value) if field.kind == "probability" else value


def _diagonal(slice_: Slice) -> float:
    corners = slice_.lift(slice_.corners()[[0, 2]])
    return float(np.linalg.norm(corners[1] - corners[0]))


def _distances(slice_: Slice, resolution: int) -> Floats:
    """Return how far each grid point is from the nearest marked sample, in input units (H, W)."""
    assert slice_.marks is not None
    us, vs = (nodes[1:-1] for nodes in slice_.nodes(resolution))
    u, v = np.meshgrid(us, vs)
    axes = slice_.axes.reshape(2, -1)
    frame = np.linalg.cholesky(axes @ axes.T)  # lengths of slice coordinates times it are lengths in input space
    points = np.stack([u.ravel(), v.ravel()], axis=1) @ frame
    samples, off = slice_.marks.points @ frame, slice_.marks.off
    rows = max(1, _PAIRS // len(samples))
    nearest = []
    for first in range(0, len(points), rows):
        gap = points[first : first + rows, None] - samples
        nearest.append(((gap**2).sum(axis=2) + off**2).min(axis=1))
    return np.asarray(np.sqrt(np.concatenate(nearest))).reshape(resolution, resolution)
