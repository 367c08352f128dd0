"""The two ways in: the boundaries that a picture shows, and the regions between them. Both are certified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.certificate import LIMIT, Certificate, certify
from boundarycb.engines.exact.decision import decision_segments, scores
from boundarycb.engines.exact.limits import NotPiecewiseLinear, TooManyVertices, Unsuitable
from boundarycb.engines.exact.regions import regions
from boundarycb.engines.exact.search import Partition, causes, partition
from boundarycb.engines.exact.trails import boundaries
from boundarycb.types import Boundaries, Forward, Layer, Regions, Slice, class_layer


@dataclass(frozen=True, eq=False)
class Found:
    """What the exact engine found.

    Args:
        boundaries: the lines.
        decision: the border of the area that each class wins; None where there are no classes, or it cannot be had.
        certificate: how far off it was when it was looked at again.
        regions: how many regions the units of all layers up to each one make, by the layer's name; the last layer is missing where
            it was not cut through, or is smooth and not the output's own.
    """

    boundaries: Boundaries
    decision: Boundaries | None
    certificate: Certificate
    regions: Mapping[str, int]


def find(
    forward: Forward,
    slice: Slice,
    watched: Sequence[Layer],
    max_vertices: int,
    *,
    decide: bool = True,
    whole: bool = False,
    again: Forward | None = None,
) -> Found:
    """Return the boundaries of the `watched` units of a piecewise-linear network.

    Args:
        forward: runs the model, in double precision, and reads all units.
        slice: where to look.
        watched: the layers with the units whose lines are wanted.
        max_vertices: how many corners the regions may have.
        decide: whether the border between classes is wanted too.
        whole: whether the certificate is to tell of the output too where no border is wanted.
        again: runs the model for the certificate; by default `forward` does.

    Raises:
        Unsuitable: they cannot be found exactly.
    """
    found = partition(forward, slice, max_vertices, through_last=decide or whole, count=_thick)
    if [(layer.name, layer.shape) for layer in found.layers] != [(layer.name, layer.shape) for layer in watched]:
        raise Unsuitable("it calls other activations in double precision")
    certificate = certify(found, again)
    decision = _decision(found, slice, max_vertices, certificate) if decide else None
    reading = found.values.reading
    counted = zip(found.layers, found.counts, reading.kinks, strict=False)
    # The last layer may be smooth: then nothing is affine on the regions of its units, unless it is the output's own.
    counts = {layer.name: count for layer, count, kinks in counted if kinks is not None or reading.closes}
    return Found(boundaries(slice, watched, found.segments), decision, certificate, counts)


def find_regions(forward: Forward, slice: Slice, max_vertices: int, *, again: Forward | None = None) -> Regions:
    """Return the linear regions of a piecewise-linear network; arguments and errors as of :func:`find`."""
    found = partition(forward, slice, max_vertices, count=_thick)
    if not found.whole:
        raise TooManyVertices(max_vertices, causes(found.values.reading, len(found.layers) - 1))
    certificate, reading = certify(found, again), found.values.reading
    if reading.gaps:
        raise Unsuitable("; ".join(reading.gaps))
    if reading.output is not None and certificate.output > LIMIT and not reading.closes:
        last = len(reading.layers)
        raise NotPiecewiseLinear(
            f"the output is not affine within its regions ({certificate.output:.2g} of its size, {LIMIT:g} is allowed)"
            f"{causes(reading, last)}",
            certificate.output,
        )
    return regions(slice, found)


def _thick(cells: Cells) -> int:
    """Return how many cells are thick enough to be told from rounding."""
    return len(cells.thick)


def _decision(found: Partition, slice: Slice, limit: int, certificate: Certificate) -> Boundaries | None:
    """Return the border between classes; None where there are none, or where the output is not affine between boundaries."""
    output = found.values.reading.output
    if output is None or output.shape[1] < 2 or not found.whole or certificate.output > LIMIT:
        return None
    try:
        output = scores(found.values.take(len(found.layers), found.cells.points), logarithm=certificate.logarithm)
        segments = decision_segments(found.cells, output, limit, found.magnitude)
    except Unsuitable:
        return None
    return boundaries(slice, (class_layer(output.shape[1]),), (segments,))
