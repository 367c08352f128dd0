"""Numbers computed on every sample: pure functions from a :class:`~boundarycb.types.Sample` to values by name.

A metric is any callable of that signature; it needs no registration and no base class::

    def lines(sample):
        return {"lines/all": len(sample.boundaries)}

    BoundaryCallback(metrics=[*boundarycb.metrics.default(), lines])
"""

from __future__ import annotations

from boundarycb.metrics.share import on_share
from boundarycb.types import Metric

__all__ = ["default", "on_share"]


def default() -> list[Metric]:
    """Return the metrics that are computed unless the user says otherwise."""
    return [on_share]
