"""Which units of a layer have become copies of each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.evenly import evenly
from boundarycb.metrics.chance import FLOOR, are_nested, are_several, chance_of_lines, chance_of_masks, chance_of_parallels
from boundarycb.metrics.clusters import complete_linkage
from boundarycb.metrics.correlation import correlation
from boundarycb.metrics.masks import defined, phi
from boundarycb.metrics.segments import parallel_layers
from boundarycb.packed import count_ones
from boundarycb.types import Capture, Floats, Sample, Value, needs, spans_of

MAX_UNITS = 256
"""Units a layer that are compared with each other, evenly spread where a layer has more."""

SAME = 0.95
"""Correlation of what two units give, from which on they are taken for one function."""

_CLOSEST = 5  # rows a layer of the table of closest pairs

_APART = 3.0
"""Grid points by which two units that are just as alike as the level differ, at least: of fewer it is up to chance how many lie
between two boundaries. Where so many are expected there is none in one case of twenty."""

_SLACK = 1e-9
_DIGITS = 4  # of a correlation there: those of values in single precision


@needs("data")
def copycats(sample: Sample) -> dict[str, Value]:
    r"""Return how alike the on/off patterns of a layer's units are, what chance alone would give, and which give the same values.

    The likeness of two units is :math:`|\varphi|`, the absolute phi coefficient of their on/off states over the slice
    (:func:`~boundarycb.metrics.masks.phi`): 1 for the same boundary, whichever side is on; 0 for what two unrelated ones have in
    common. Units that do not switch on the slice have none, and are counted by :func:`~boundarycb.metrics.dormant.dormant_units`
    instead.

    Of many lines some pair is always alike. *Copycats* are pairs at or above the layer's chance level, which is fixed at the
    first sample as the highest of: 0.95; what the most alike pair of as many random lines exceeds in one set of twenty
    (:func:`~boundarycb.metrics.chance.chance_of_lines`); and the most alike two of the run's own first patterns, mirrored and
    turned (:func:`~boundarycb.metrics.chance.chance_of_masks`). The boundaries of a layer that reads one number are parallel, or
    never cross, and are nearer to each other by chance: its level is that of random parallel lines
    (:func:`~boundarycb.metrics.chance.chance_of_parallels`).

    The grid has to tell a pair from chance. Two units that are just at the level :math:`\ell` differ by
    :math:`2 P p (1 - p) (1 - \ell)` grid points, with the share p of the P points at which they are on. Units for which that is
    less than 3 are not *comparable* and make no pairs: those with a corner of the slice on a coarse grid, or all of a layer whose
    level is nearly 1. Of parallel lines a whole row of points lies between two, so that P is the number of points a side there.

    By layer:

    * ``copycat/max_phi``: likeness of the most alike pair, 0 to 1; NaN with fewer than two comparable units.
    * ``copycat/chance``: the level to compare it with.
    * ``copycat/pairs``: number of copycat pairs. ``copycat/new_pairs``: those that were below the level at the first sample.
    * ``copycat/largest_cluster``: units in the largest group of which all pairs are copycats (complete linkage); 1 if there is
      none.
    * ``copycat/share``: 1 - groups / live units, with single units as groups: the share of live units that repeat another. 0 to 1.
    * ``copycat/functional``: number of copycat pairs that are one function of the data too, up to scale and offset: on at the same
      side (:math:`\varphi > 0`), and with a Pearson correlation r of what they give for samples of the data of 0.95 or more
      (:func:`~boundarycb.metrics.correlation.correlation`). 0 or more; high: units that could be merged. NaN without samples.
    * ``copycat/effective_units``: :math:`(\sum \lambda)^2 / \sum \lambda^2` with the eigenvalues of the matrix of phi: 1 if all
      are copies, the number of live units if all are uncorrelated.

    Arrays: ``copycat/phi/<layer>`` float16 (k, k), signed, NaN for units that do not switch; ``copycat/units/<layer>`` (k,), the
    units' flat indices in the layer; ``copycat/since/<layer>`` (pairs, 3): two places in these and the step since when the pair
    is without a break at or above the level. Table: ``copycat/closest``, the five most alike pairs of each layer, with their r;
    None without samples, and where a unit gives one value for all of them.

    The same boundary is not yet the same function: in deeper layers the values may differ, and a mirrored pair is not redundant
    (relu(z) - relu(-z) = z).
    Source: "copycat neurons", GINN (arXiv:1810.01860, section 7). Cost: U x U x P / 64 counts of bits a layer, and U x U x n
    products for n samples; at most 256 units of a layer are compared.

    >>> from boundarycb.types import Boundaries, Layer
    >>> layer = Layer("fc", "relu", (3,), (0, 1, 2))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> state = Capture((layer,), 16, np.packbits([[1] * 128 + [0] * 128, [0] * 128 + [1] * 128, [1, 0] * 128], axis=1))
    >>> values = copycats(Sample(state, empty))
    >>> [values[f"copycat/{name}/fc"] for name in ("max_phi", "pairs", "largest_cluster", "effective_units")]
    [1.0, 1.0, 2.0, 1.8]
    """
    values: dict[str, Value] = {}
    table: list[dict[str, Any]] = []
    parallel = set() if sample.slice is None else parallel_layers(sample.boundaries, sample.slice.bounds)
    for layer, span in zip(sample.now.layers, spans_of(sample.now.layers).values(), strict=True):
        places = evenly(len(layer.kept), MAX_UNITS)
        units, columns = np.array(layer.kept, dtype=np.int64)[places], span.start + places
        matrix = _matrix(sample.now, columns)
        level = _level(sample, layer.name, columns, parallel=layer.name in parallel)
        # Units that have all become copies are parallel too, though their layer is none that is so by itself: its level tells.
        is_parallel = layer.name in parallel and level >= max(FLOOR + _SLACK, chance_of_parallels(len(columns)))
        likeness = _likeness(matrix, _comparable(sample.now, columns, level, parallel=is_parallel))
        since = _since(sample, layer.name, np.argwhere(likeness >= level))
        r = None if sample.answers is None else correlation(sample.answers.values[:, columns])
        values |= {f"copycat/{name}/{layer.name}": value for name, value in _numbers(matrix, likeness, level).items()}
        values[f"copycat/new_pairs/{layer.name}"] = _new_pairs(sample, columns, since, level)
        values[f"copycat/functional/{layer.name}"] = _functional(matrix, since, r)
        values[f"copycat/phi/{layer.name}"] = matrix.astype(np.float16)
        values[f"copycat/units/{layer.name}"] = units
        values[f"copycat/since/{layer.name}"] = since
        table += _closest(layer.name, units, (matrix, likeness), r, level, since)
    return {**values, "copycat/closest": table}


def _matrix(capture: Capture, columns: NDArray[np.int64]) -> Floats:
    """Return phi of the units `columns`, (k, k); NaN for those that do not switch, or are undefined."""
    matrix = phi(capture.on[columns], capture.resolution**2)
    out = ~(defined(capture) & capture.switching())[columns]
    matrix[out] = matrix[:, out] = np.nan
    return matrix


def _comparable(capture: Capture, columns: NDArray[np.int64], level: float, *, parallel: bool) -> NDArray[np.bool_]:
    """Return of which of the units the grid can tell whether a likeness is beyond the level, (k,)."""
    points = capture.resolution**2
    ones = count_ones(capture.on[columns])
    weight = ones * (points - ones) / points / (capture.resolution if parallel else 1)
    return np.asarray(2 * weight * (1 - level) >= _APART)


def _likeness(matrix: Floats, comparable: NDArray[np.bool_]) -> Floats:
    """Return the upper triangle of the absolute values, -1 elsewhere and where there is none, or none that says anything."""
    known = ~np.isnan(matrix) & comparable & comparable[:, None]
    return np.where(np.triu(known, 1), np.nan_to_num(abs(matrix)), -1.0)


def _level(sample: Sample, layer: str, columns: NDArray[np.int64], *, parallel: bool) -> float:
    """Return the level that was fixed at the first sample, or fix it."""
    fixed = sample.past.get(f"copycat/chance/{layer}")
    if isinstance(fixed, float):
        return fixed
    if len(columns) < 2:
        return math.nan
    first = sample.now if sample.first is None else sample.first
    known = columns[defined(first)[columns]]
    states = first.on[known], first.resolution
    lines = chance_of_parallels if (parallel and are_several(*states)) or are_nested(*states) else chance_of_lines
    return float(np.nanmax([FLOOR, lines(len(columns)), chance_of_masks(*states)]))


def _numbers(matrix: Floats, likeness: Floats, level: float) -> dict[str, float]:
    live = np.flatnonzero(~np.isnan(np.diag(matrix)))
    inner = matrix[np.ix_(live, live)]
    groups = complete_linkage(np.maximum(likeness, likeness.T)[np.ix_(live, live)], level)
    repeated = sum(len(group) - 1 for group in groups)
    return {
        "max_phi": float(likeness.max()) if (likeness >= 0).any() else math.nan,
        "chance": level,
        "pairs": float((likeness >= level).sum()),
        "largest_cluster": float(len(groups[0]) if groups else min(1, len(live))),
        "share": repeated / len(live) if len(live) else math.nan,
        "effective_units": len(live) ** 2 / float((inner**2).sum()) if len(live) else math.nan,
    }


def _since(sample: Sample, layer: str, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (pairs, 3): the pair and the step since when it is one; that of the last sample where it was one there."""
    past = sample.past.get(f"copycat/since/{layer}")
    known = {(int(i), int(j)): int(step) for i, j, step in past} if isinstance(past, np.ndarray) else {}
    steps = [known.get((int(i), int(j)), sample.step) for i, j in pairs]
    return np.column_stack([pairs, np.array(steps, dtype=np.int64)]).astype(np.int64)


def _new_pairs(sample: Sample, columns: NDArray[np.int64], since: NDArray[np.int64], level: float) -> float:
    """Return how many of the pairs were below the level at the first sample, or had no likeness there."""
    if not len(since) or sample.first is None or sample.first is sample.now:
        return 0.0
    involved = np.unique(since[:, :2])
    then = np.searchsorted(involved, since[:, :2])
    before = _matrix(sample.first, columns[involved])[then[:, 0], then[:, 1]]
    return float((~(abs(before) >= level)).sum())


def _functional(matrix: Floats, since: NDArray[np.int64], r: Floats | None) -> float:
    """Return how many of the pairs are on at the same side and give the same values, up to scale; NaN where these are not known."""
    if r is None:
        return math.nan
    one, other = since[:, 0], since[:, 1]
    return float(((matrix[one, other] > 0) & (r[one, other] >= SAME)).sum())


def _closest(
    layer: str,
    units: NDArray[np.int64],
    alike: tuple[Floats, Floats],
    r: Floats | None,
    level: float,
    since: NDArray[np.int64],
) -> list[dict[str, Any]]:
    """Return a row for each of the layer's most alike pairs; `alike` are all phi, and the likeness of comparable units."""
    matrix, likeness = alike
    steps = {(int(i), int(j)): int(step) for i, j, step in since}
    rows = []
    for place in np.argsort(-likeness, axis=None, kind="stable")[:_CLOSEST]:
        i, j = divmod(int(place), len(matrix))
        if likeness[i, j] < 0:
            break
        same = math.nan if r is None else float(r[i, j])
        pair = {"layer": layer, "unit": int(units[i]), "other": int(units[j]), "phi": float(matrix[i, j])}
        rows.append({**pair, "chance": level, "since": steps.get((i, j)), "r": None if math.isnan(same) else round(same, _DIGITS)})
    return rows
