"""Numbers computed on every sample: pure functions from a :class:`~boundarycb.types.Sample` to values by name.

A metric is any callable of that signature; it needs no registration and no base class::

    def lines(sample):
        return {"lines/all": len(sample.boundaries)}

    BoundaryCallback(metrics=[*boundarycb.metrics.default(), lines])

A metric says what it takes to compute: ``@metrics.needs("trace")`` where it looks at ``sample.moves``, or at a capture's
``strength``, ``planes``, ``flat`` or ``saturated``; ``"window"`` for ``sample.window``; ``"data"`` for ``sample.answers``, and
``"data", "margins"`` for their ``margins``.
"""

from __future__ import annotations

from boundarycb.metrics.ambiguity import ambiguous_zones
from boundarycb.metrics.cause import drift_causes
from boundarycb.metrics.complexity import local_complexity
from boundarycb.metrics.copycat import copycats
from boundarycb.metrics.critical import critical_points
from boundarycb.metrics.dead import dead_on_data
from boundarycb.metrics.decision import decision_map
from boundarycb.metrics.distance import boundary_distance
from boundarycb.metrics.dormant import dormant_units
from boundarycb.metrics.drift import drift_parts
from boundarycb.metrics.far import confident_far
from boundarycb.metrics.indecisive import indecisive_units
from boundarycb.metrics.line import line_motion
from boundarycb.metrics.margin import data_margins
from boundarycb.metrics.regions import exact_regions, regions_seen
from boundarycb.metrics.share import on_share
from boundarycb.metrics.symmetry import mirror_symmetry
from boundarycb.metrics.target import target_parts
from boundarycb.types import Metric, needs

__all__ = [
    "ambiguous_zones",
    "boundary_distance",
    "confident_far",
    "copycats",
    "critical_points",
    "data_margins",
    "dead_on_data",
    "decision_map",
    "default",
    "dormant_units",
    "drift_causes",
    "drift_parts",
    "exact_regions",
    "indecisive_units",
    "line_motion",
    "local_complexity",
    "mirror_symmetry",
    "needs",
    "on_share",
    "regions_seen",
    "target_parts",
]


def default() -> list[Metric]:
    """Return the metrics that are computed unless the user says otherwise: all but the dear ones.

    Those that need a target, classes, exact lines or samples of the data give nothing where there are none.
    """
    return [
        on_share,
        regions_seen,
        exact_regions,
        drift_parts,
        drift_causes,
        line_motion,
        copycats,
        dormant_units,
        dead_on_data,
        indecisive_units,
        mirror_symmetry,
        critical_points,
        target_parts,
        decision_map,
        ambiguous_zones,
    ]
