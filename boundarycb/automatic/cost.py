"""How finely and how often to sample, so that it costs a small share of the training.

Costs are counted in floating-point operations, not in seconds: two runs of the same training sample alike. What is no forward pass,
such as metrics, pictures and files, is the same for large models and small ones, and counted by what it takes where a training step
of a small one takes three milliseconds. On a GPU it is nearly all that a sample costs, and a step of a large model's takes little
longer than one of a small model's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from boundarycb.probe import LEAST_POINTS, Budget
from boundarycb.schedule import Pace

SHARE = 0.02
"""Of the training between two samples: what a sample's forward passes may cost."""
FINEST, COARSEST = 128, 24
"""Grid points a side."""

_NEARLY = 1.25  # what is so close to the share is left as it is
_TRAINING = 3  # forward passes: one forward, and a backward of twice its cost
_STEP = 1e8  # operations: what a training step costs besides, in Python, the optimiser and the loop; some three milliseconds
_SAMPLE, _WATCHED = 3e9, 6e6  # operations: what a sample costs besides its passes, and more for each watched unit; some 0.1 s
_FASTER = 1000  # times as many operations a GPU does in a second
_MADE = 200  # operations: what it takes to make a number of an input, and to bring it to a GPU
_TRACED = 5  # passes' worth: the traced pass, and the maps that are made again with other weights or inputs
_DOUBLE = 2  # passes' worth: one in double precision


@dataclass(frozen=True)
class Work:
    """What a model's passes cost.

    Args:
        flops: of one forward pass of one point.
        units: pre-activations of one point.
        rows: training samples a step.
        traced: whether a traced pass is made too.
        exact: whether the exact engine may be tried.
        watched: units whose lines are drawn.
        together: rows of a training batch.
        numbers: of an input.
        far: whether the model is on a GPU.
    """

    flops: float
    units: int
    rows: int
    traced: bool
    exact: bool
    watched: int = 0
    together: int = 1
    numbers: int = 0
    far: bool = False

    def share(self, points: float, every: int, besides: float = 0.0) -> float:
        """Return what passes of `points`, and operations `besides`, cost, as a share of the training of `every` steps."""
        flops = max(self.flops, 1.0)  # products alone are counted, and a model may have none
        return (points * flops + besides) / (every * (_TRAINING * self.rows * flops + _STEP))

    def whole(self, points: float, every: int) -> float:
        """Return the same of all that a sample costs, in time: on a GPU operations are cheap, and inputs have to get there."""
        besides = _SAMPLE + _WATCHED * self.watched
        if not self.far:
            return self.share(points, every, besides)
        return replace(self, flops=self.flops / _FASTER).share(points, every, besides + _MADE * self.numbers * points)

    def points(self, resolution: int) -> float:
        """Return how many points' passes a sample at `resolution` costs, without the exact engine's beyond the least it gets."""
        grid = (resolution + 2) ** 2
        traced = _TRACED * self.traced_points(resolution) if self.traced else 0
        return grid + traced + (_DOUBLE * self.least_vertices(resolution) if self.exact else 0)

    def traced_points(self, resolution: int) -> int:
        """Return how many points the traced pass takes: so many that it costs what the grid does, and not too few to tell."""
        return min(Budget.points(self.units, resolution), max(LEAST_POINTS, (resolution + 2) ** 2 // _TRACED))

    def least_vertices(self, resolution: int) -> int:
        """Return how many corners the exact engine gets in any case: so many that it costs what the grid does."""
        return (resolution + 2) ** 2 // _DOUBLE


@dataclass(frozen=True)
class Plan:
    """How to sample.

    Args:
        resolution: grid points a side.
        max_vertices: corners that the exact engine's regions may have.
        traced_points: points of the traced pass.
        every: steps between two samples.
        share: what a sample's passes cost at most, of the training between two.
        late: steps between two samples once there are many.
        together: rows of a training batch, which tell how many points may run at once.
    """

    resolution: int
    max_vertices: int
    traced_points: int
    every: int
    share: float
    late: int
    together: int

    @property
    def pace(self) -> Pace:
        """How often to sample."""
        return Pace(self.every, self.late)


def plan(work: Work, every: int, *, may_wait: bool) -> Plan:
    """Return the finest grid whose passes cost no more than `SHARE`; where even the coarsest's do, samples are farther apart.

    Late samples are so far apart that all of a sample costs no more than that, pictures and files too. Early ones are not: a run is
    to have some, and what fifty of them cost is known and small.

    Args:
        work: what passes cost.
        every: steps between two samples.
        may_wait: whether they may be farther apart; where the user said how often, they may not.

    >>> small = plan(Work(flops=1e3, units=48, rows=32, traced=True, exact=True, watched=48), 100, may_wait=True)
    >>> small.resolution, small.every, small.late
    (128, 100, 1800)
    >>> resnet = Work(flops=7.4e7, units=47_000, rows=64, traced=True, exact=False, watched=1024)
    >>> large = plan(resnet, 100, may_wait=True)
    >>> large.resolution, large.every, round(large.share, 3), large.late
    (24, 510, 0.02, 510)
    >>> plan(replace(resnet, numbers=3072, far=True), 100, may_wait=True).late  # on a GPU
    4600
    """
    fitting = [side for side in range(COARSEST, FINEST + 1) if work.share(work.points(side), every) <= SHARE]
    resolution = max(fitting, default=COARSEST)
    points = work.points(resolution)
    if not fitting and may_wait:
        every = _rounded_up(every * work.share(points, every) / SHARE)
    left = (SHARE / work.share(1, every) - points) / _DOUBLE
    most = min(2**16, 4 * resolution**2)
    vertices = int(min(most, work.least_vertices(resolution) + max(0.0, left)))
    if work.exact:
        points += _DOUBLE * (vertices - work.least_vertices(resolution))
    whole = work.whole(points, every)
    late = _rounded_up(every * whole / SHARE) if may_wait and whole > _NEARLY * SHARE else every
    return Plan(
        resolution,
        max(4, vertices),
        work.traced_points(resolution),
        every,
        work.share(points, every),
        late,
        work.together,
    )


def _rounded_up(steps: float) -> int:
    """Return the next larger number of two digits and zeros.

    >>> _rounded_up(1012.5), _rounded_up(37)
    (1100, 37)
    """
    unit: int = 10 ** max(0, math.floor(math.log10(steps)) - 1)
    return int(math.ceil(steps / unit) * unit)
