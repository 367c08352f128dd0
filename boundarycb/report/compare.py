"""How alike runs are: whether training again gives the same output, and the same units."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from boundarycb.report.comparison import Comparison, Pair
from boundarycb.report.ends import End, Run, ends_of, extent
from boundarycb.report.matching import Assign, Units, assignment, match, units_by_layer
from boundarycb.types import Array, Floats

_NUMBERS = (
    "decision/length",
    "decision/fragments",
    "regions/seen",
    "target/accuracy",
    "target/worst_part",
    "symmetry/left_right",
    "copycat/pairs",
    "dormant/live",
)
_LOGGED = ("acc", "auc", "err", "f1", "loss")  # in the name of what the loop logged: it says how good a run is


def compare(runs: Sequence[Run]) -> Comparison:
    r"""Return how alike runs are at their ends: their outputs, their units, and their numbers side by side.

    All must be on the same slice. Where their grids differ, all are taken at the points of the coarsest one, from the nearest
    point of the finer ones; the notes say so.

    * **agreement**: the share of the slice's grid points where two runs have the same winning class. Range 0 to 1; 1: the same map.
      Where one class fills most of the slice it is high whatever the rest does; hence
    * **kappa**, Cohen's:

      .. math:: \kappa = \frac{p_o - p_e}{1 - p_e}, \qquad p_e = \sum_c a_c b_c

      with the agreement :math:`p_o` and the shares :math:`a_c, b_c` that class c has of either map. 1: the same map; 0: as alike as
      maps with these shares are by chance; below 0: less than that. NaN where one class fills both maps. Points where an output is
      not finite are left out of both.
    * **correlation**: Pearson's, instead of the two, where outputs are values and no classes.
    * **matched units**: in each layer of the same name, units of two runs are matched one to one so that the sum of
      :math:`|\varphi|` of their on/off states is largest (:func:`~boundarycb.report.matching.match`). ``likeness`` is the mean of
      the matched pairs' :math:`|\varphi|`: 1 for the same boundaries in whatever order and on whichever side. ``chance`` is what is
      left of it when each unit of one run is mirrored and turned without regard to the others. High means far above ``chance``,
      counted in its ``spread``; at ``chance``, the runs have the same kind of boundaries in other places. Units that do not switch
      have no :math:`\varphi`; they are left out and counted. It takes scipy; without, the notes say what to install.
    * **numbers**: what the runs measured and logged there.

    A run whose network was lost, so that no output is finite on the slice, is compared at its last snapshot before that; the notes
    say so.

    Source: the share of equal predictions is the reproducibility of Somepalli et al. (2022, arXiv:2203.08124); a better
    run beside a worse one, and one that failed, are in GINN (arXiv:1810.01860, sections 9 and 10). Cost: see
    :func:`~boundarycb.report.matching.match`, for each pair of runs and layer.

    Args:
        runs: two or more histories, or paths that :func:`boundarycb.load` takes.

    Raises:
        ValueError: there are fewer than two runs, one has no snapshot, or they are not on one slice.
        FileNotFoundError: one has no history.
    """
    ends = ends_of(runs)
    side = min(end.snapshot.capture.resolution for end in ends)
    assign = assignment()
    units = [units_by_layer(end, side) for end in ends]
    layers = _shared(units)
    pairs = tuple(_pair(ends, units, (i, j), side, assign) for i, j in combinations(range(len(ends)), 2))
    return Comparison(
        tuple(end.name for end in ends),
        tuple(end.path for end in ends),
        tuple(end.snapshot.step for end in ends),
        extent(ends[0].snapshot.slice),
        side,
        pairs,
        layers if assign else (),
        {layer: tuple(float(run[layer].left_out) if layer in run else math.nan for run in units) for layer in layers},
        _numbers(ends, layers),
        tuple(_notes(ends, units, layers, assign)),
    )


def _pair(ends: Sequence[End], units: Sequence[dict[str, Units]], runs: tuple[int, int], side: int, assign: Assign | None) -> Pair:
    i, j = runs
    agreement = kappa = correlation = math.nan
    if ends[i].kind == ends[j].kind != "none":
        (one, here), (other, there) = (end.output(side) for end in (ends[i], ends[j]))
        good = here & there
        if ends[i].kind == "classes":
            agreement, kappa = agreement_of(one[good], other[good]), kappa_of(one[good], other[good])
        else:
            correlation = correlation_of(one[good], other[good])
    both = [layer for layer in units[i] if layer in units[j]] if assign else []
    layers = {layer: match(units[i][layer], units[j][layer], side, assign, j) for layer in both if assign}
    return Pair(runs, agreement, kappa, correlation, layers)


def agreement_of(one: Array, other: Array) -> float:
    """Return the share of places where two lists of classes are the same; NaN where they are empty.

    >>> agreement_of(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    0.75
    """
    return float((one == other).mean()) if len(one) else math.nan


def kappa_of(one: Array, other: Array) -> float:
    """Return Cohen's kappa of two lists of classes; NaN where one class fills both, or they are empty.

    Here chance has them agree in 0.5 * 0.25 + 0.5 * 0.75 = 0.5 of the places, so it is (0.75 - 0.5) / (1 - 0.5).

    >>> kappa_of(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    0.5
    """
    if not len(one):
        return math.nan
    classes = np.union1d(one, other)
    shares = [np.array([(run == number).mean() for number in classes]) for run in (one, other)]
    chance = float(shares[0] @ shares[1])
    return (agreement_of(one, other) - chance) / (1 - chance) if len(classes) > 1 else math.nan


def correlation_of(one: Floats, other: Floats) -> float:
    """Return Pearson's correlation; NaN where one of the two is constant, or they are empty.

    >>> round(correlation_of(np.array([0.0, 1, 2]), np.array([5.0, 5, 8])), 3)
    0.866
    """
    if not len(one):
        return math.nan
    a, b = one - one.mean(), other - other.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(np.clip(a @ b / size, -1, 1)) if size > 0 else math.nan


def _shared(units: Sequence[dict[str, Units]]) -> tuple[str, ...]:
    """Return the layers that two runs or more have, in the order of the first that has them."""
    names = list(dict.fromkeys(name for run in units for name in run))
    return tuple(name for name in names if sum(name in run for run in units) > 1)


def _numbers(ends: Sequence[End], layers: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Return the numbers that say most of a run, a value a run: what was logged, then what was measured, layer by layer."""
    logged = [name for end in ends for name in end.snapshot.scalars if any(part in name.lower() for part in _LOGGED)]
    measured = [name for metric in _NUMBERS for name in (metric, f"{metric}/output", *(f"{metric}/{layer}" for layer in layers))]
    found = {}
    for name in dict.fromkeys([*logged, *measured]):
        values = tuple(end.snapshot.metrics.get(name, end.snapshot.scalars.get(name, math.nan)) for end in ends)
        if not all(math.isnan(value) for value in values):
            found[name] = values
    return found


def _notes(ends: Sequence[End], units: Sequence[dict[str, Units]], layers: Sequence[str], assign: Assign | None) -> Iterator[str]:
    for end in ends:
        if end.lost:
            yield f"{end.name}: {end.lost}"
    resolutions = sorted({end.snapshot.capture.resolution for end in ends})
    if len(resolutions) > 1:
        grids = ", ".join(f"{side} x {side}" for side in resolutions)
        yield f"The runs' grids differ ({grids}): all are compared at the points of the coarsest one."
    kinds = sorted({end.kind for end in ends})
    if kinds != ["classes"] and kinds != ["value"]:
        words = {"classes": "classes", "value": "a value", "none": "not known"}
        said = "; ".join(f"{end.name}: {words[end.kind]}" for end in ends)
        yield f"Outputs are compared only where both are classes, or both a value ({said})."
    if assign is None:
        yield "Units are not matched: that takes scipy (pip install 'boundarycb[compare]')."
    for name in dict.fromkeys(name for run in units for name in run):
        have = [end.name for end, run in zip(ends, units, strict=True) if name in run]
        if len(have) < len(ends):
            yield f"Layer {name} is only in {', '.join(have)}{'' if name in layers else ', so it is not compared'}."
