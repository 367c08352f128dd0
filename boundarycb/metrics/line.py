"""How the straight lines of the first layer moved: the angle, and the distance."""

from __future__ import annotations

import numpy as np

from boundarycb.types import Floats, Sample, Value, needs, spans_of


@needs("trace")
def line_motion(sample: Sample) -> dict[str, Value]:
    r"""Return ``line/turn/<layer>`` in degrees and ``line/slide/<layer>`` in input lengths, where units are straight lines.

    On the slice such a unit is :math:`z(q) = g \cdot q + c`, with q measured from the slice's centre in lengths of the input:

    .. math:: \mathrm{turn} = \mathrm{atan2}(g \times g', g \cdot g'), \qquad \mathrm{slide} = \frac{c'}{|g'|} - \frac{c}{|g|}

    since the last sample. Turn is signed, -180 to 180, positive from the slice's first axis to its second; a unit that swaps its
    sides in place has turned by 180. Slide is the change of the signed distance of the line from the slice's centre, positive
    when the side where the unit is on grew. Per layer the median of the absolute values (one line that is nearly out of sight would
    rule a mean), per unit (``line/turn_per_unit/<layer>``) the
    signed one; ``line/turned_per_unit`` and ``line/slid_per_unit`` are the same since the first sample. NaN for units without a
    line.

    Lines and angles are those that the picture shows; of a slice that is not drawn to scale, such as one of years and euros,
    nothing is given, since an angle means nothing there. In a slice of high-dimensional inputs they tell nothing of what the
    weights did off it. Cost: one least-squares fit of a plane for all units of the layer.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> on = np.zeros((1, 1), np.uint8)
    >>> old, new = (Capture((layer,), 2, on, planes=np.array([plane])) for plane in ([1.0, 0, 0], [0, 2.0, -1]))  # x and 2 y - 1
    >>> values = line_motion(Sample(new, empty, old, old))
    >>> values["line/turn_per_unit/fc"].tolist(), values["line/slide_per_unit/fc"].tolist()
    ([90.0], [-0.5])
    """
    if sample.before is None or sample.now.planes is None or sample.before.planes is None:
        return {}
    if sample.slice is not None and not sample.slice.is_to_scale:
        return {}
    turn, slide = _motion(sample.before.planes, sample.now.planes)
    values: dict[str, Value] = {}
    for name, span in spans_of(sample.now.layers).items():
        if np.isnan(sample.now.planes[span]).all():
            continue
        values[f"line/turn/{name}"] = _typical(turn[span])
        values[f"line/slide/{name}"] = _typical(slide[span])
        values[f"line/turn_per_unit/{name}"] = turn[span].astype(np.float32)
        values[f"line/slide_per_unit/{name}"] = slide[span].astype(np.float32)
        if sample.first is not None and sample.first.planes is not None:
            turned, slid = _motion(sample.first.planes[span], sample.now.planes[span])
            values[f"line/turned_per_unit/{name}"] = turned.astype(np.float32)
            values[f"line/slid_per_unit/{name}"] = slid.astype(np.float32)
    return values


def _typical(values: Floats) -> float:
    """Return the median of the sizes of values that are not NaN; NaN where there are none."""
    good = values[~np.isnan(values)]
    return float(np.median(abs(good))) if len(good) else float("nan")


def _motion(old: Floats, new: Floats) -> tuple[Floats, Floats]:
    """Return turn in degrees and slide (U,) between planes (U, 3)."""
    cross = old[:, 0] * new[:, 1] - old[:, 1] * new[:, 0]
    turn = np.degrees(np.arctan2(cross, (old[:, :2] * new[:, :2]).sum(axis=1)))
    lengths = np.linalg.norm(old[:, :2], axis=1), np.linalg.norm(new[:, :2], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        slide = new[:, 2] / lengths[1] - old[:, 2] / lengths[0]
    none = (lengths[0] == 0) | (lengths[1] == 0)
    turn[none] = slide[none] = np.nan
    return turn, slide
