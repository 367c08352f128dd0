"""What every metric makes of a network that is written in another way: the same numbers, but for those in one table.

Each transformation is applied to a whole run, which the real recorder then samples: the network is trained once, in double
precision, and its weights after each step are transformed. A metric is added to ``METRICS``; if it changes under a transformation,
the names that it changes go to ``CHANGES``, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp
from numpy.typing import NDArray

from boundarycb import Recorder, load, slices
from boundarycb.metrics.ambiguity import ambiguous_zones
from boundarycb.metrics.cause import drift_causes
from boundarycb.metrics.complexity import local_complexity
from boundarycb.metrics.copycat import copycats
from boundarycb.metrics.critical import critical_points
from boundarycb.metrics.dead import dead_on_data
from boundarycb.metrics.decision import decision_map
from boundarycb.metrics.dormant import dormant_units
from boundarycb.metrics.drift import drift_parts
from boundarycb.metrics.indecisive import indecisive_units
from boundarycb.metrics.line import line_motion
from boundarycb.metrics.margin import data_margins
from boundarycb.metrics.regions import exact_regions, regions_seen
from boundarycb.metrics.share import on_share
from boundarycb.metrics.symmetry import mirror_symmetry
from boundarycb.metrics.target import target_parts
from boundarycb.types import Capture, Metric, Moves, Sample, Snapshot, Value, spans_of

METRICS: list[Metric] = [
    ambiguous_zones,
    copycats,
    critical_points,
    data_margins,
    dead_on_data,
    decision_map,
    dormant_units,
    drift_causes,
    drift_parts,
    exact_regions,
    indecisive_units,
    line_motion,
    local_complexity,
    mirror_symmetry,
    on_share,
    regions_seen,
    target_parts,
]

CHANGES: dict[str, dict[str, str]] = {
    # Tau-dormancy compares a unit's activation with the layer's mean, so its scale counts.
    "rescaled": {"dormant/tau": "changes", "dormant/score": "changes"},
    # The raw parameters did move, by parts that cancel.
    "rescaled anew at each sample": {
        "dormant/tau": "changes",
        "dormant/score": "changes",
        "cause/bias": "changes",
        "cause/weights": "changes",
        "cause/upstream": "changes",
    },
    "permuted": {},
    # A weight turns its line about the inputs' origin, which is elsewhere now; only the first layer reads the inputs.
    "shifted": {"cause/bias/0": "changes", "cause/weights/0": "changes", "target/parts": "changes"},
    # Axes are called by other names, and parts of the target lie elsewhere.
    "rotated": {
        "symmetry/left_right": "symmetry/up_down",
        "symmetry/up_down": "symmetry/left_right",
        "symmetry/f1_left_right": "symmetry/f1_up_down",
        "symmetry/f1_up_down": "symmetry/f1_left_right",
        "target/parts": "changes",
    },
    # A unit that is on everywhere is on nowhere; who comes back from nowhere is another; phi, and which way the side that is on
    # grows, change their sign. Everything else speaks of boundaries.
    "complemented": {
        "on/share": "changes",
        "dormant/never_on": "changes",
        "dormant/always_on": "changes",
        "dormant/revivals": "changes",
        "copycat/phi": "changes",
        "copycat/closest": "changes",
        "line/slide_per_unit": "changes",
        "line/slid_per_unit": "changes",
    },
}
"""Transformation -> metric, or metric of a layer -> how it may change: ``changes``, or the name that it goes by there."""

HIDDEN = (9, 8)
LAYERS = ("0", "2")
STEPS = (0, 3, 6, 9, 12)
SIDE = 40
SHIFT = np.array([3.7, -1.9])
QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])  # turns inputs by 90 degrees

Weights = list[tuple[NDArray[np.float64], NDArray[np.float64]]]
Values = dict[str, Value]


@dataclass(frozen=True)
class Run:
    """A run written in some way.

    Args:
        weights: weight and bias of each layer at each sample.
        inputs: turns an input (n, 2) of the run as it was into one of this.
        bounds: of the slice.
        order: for each layer which unit of the run as it was stands at each place.
    """

    weights: list[Weights]
    inputs: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda points: points
    bounds: tuple[tuple[float, float], tuple[float, float]] = ((-1, 1), (-1, 1))
    order: tuple[Sequence[int], ...] = tuple(range(count) for count in HIDDEN)


def data() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return inputs and classes that have no symmetry."""
    points = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    return points, classes_at(points)


def classes_at(points: NDArray[np.float64]) -> NDArray[np.int64]:
    x, y = points.T
    return np.asarray((x + 0.3 * y > 0.2) + 1 * ((x - 0.3) ** 2 + (y + 0.2) ** 2 < 0.2), dtype=np.int64)


@cache
def plain() -> Run:
    """Return the run as it was: a network that learns, with some units made so that every metric has something to say."""
    model = mlp(2, *HIDDEN, 3, seed=3).double()
    points, labels = (torch.tensor(part) for part in data())
    linears = list(model)[::2]
    weights: list[Weights] = []
    for step in range(max(STEPS) + 1):
        if step in STEPS:
            weights.append([(one.weight.detach().numpy().copy(), one.bias.detach().numpy().copy()) for one in linears])
        loss = torch.nn.functional.cross_entropy(model(points), labels)
        with torch.no_grad():
            for parameter, slope in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True):
                parameter -= 0.4 * slope
    for number, layers in enumerate(weights):
        weight, bias = layers[0]
        reach = abs(weight).sum(axis=1)  # of a unit without bias, on the square
        bias[8] = -1.1 * reach[8] if number < 2 else 0.1  # on nowhere, and then on somewhere
        bias[7] = 1.1 * reach[7] if number != 2 else 0.1  # on everywhere, but for once
        bias[6] = (0.5 - number % 2) * reach[6]  # to and fro
        if number >= 1:
            weight[5], bias[5] = -1.5 * weight[4], -1.5 * bias[4] + 0.02  # nearly a mirrored copy
    return Run(weights)


def rescaled(seeds: Sequence[int]) -> Run:
    """Return the run with every hidden unit at its own scale; that of a sample is drawn with its seed."""
    weights = []
    for layers, seed in zip(plain().weights, seeds, strict=True):
        generator = np.random.default_rng(seed)
        scales = [np.ones(2), *(np.exp(generator.uniform(-2, 2, count)) for count in HIDDEN), np.ones(3)]
        weights.append(
            [(after[:, None] * w / before, after * b) for (w, b), before, after in zip(layers, scales, scales[1:], strict=False)]
        )
    return Run(weights)


def permuted() -> Run:
    orders = [np.random.default_rng(seed).permutation(count) for seed, count in enumerate(HIDDEN)]
    every = [np.arange(2), *orders, np.arange(3)]
    weights = [
        [(w[after][:, before], b[after]) for (w, b), before, after in zip(layers, every, every[1:], strict=False)]
        for layers in plain().weights
    ]
    return Run(weights, order=tuple(order.tolist() for order in orders))


def moved(turn: NDArray[np.float64], shift: NDArray[np.float64]) -> Run:
    """Return the run on inputs x' = turn x + shift: w x + b is w turn^T (x' - shift) + b."""
    weights = []
    for (w, b), *others in plain().weights:
        turned = w @ turn.T
        weights.append([(turned, b - turned @ shift), *others])
    (u, v) = ((float(s) - 1, float(s) + 1) for s in shift)
    return Run(weights, lambda points: points @ turn.T + shift, (u, v))


RUNS: dict[str, Callable[[], Run]] = {
    "rescaled": lambda: rescaled([7] * len(STEPS)),
    "rescaled anew at each sample": lambda: rescaled(range(len(STEPS))),
    "permuted": permuted,
    "shifted": lambda: moved(np.eye(2), SHIFT),
    "rotated": lambda: moved(QUARTER, np.zeros(2)),
}


def sampled(run: Run, directory: Path) -> list[Snapshot]:
    """Return the samples of `run`."""
    points, labels = data()
    plane = slices.box(*run.bounds)
    back = run.inputs(np.eye(2)) - run.inputs(np.zeros((1, 2)))  # rows: what the old axes became
    plane = slices.aimed(plane, lambda inputs: classes_at((inputs - run.inputs(np.zeros((1, 2)))) @ back.T))
    model = mlp(2, *HIDDEN, 3).double()
    recorder = Recorder(
        directory / "run", plane, metrics=METRICS, resolution=SIDE, image_size=64, data=(run.inputs(points), labels)
    )
    for step, layers in zip(STEPS, run.weights, strict=True):
        with torch.no_grad():
            for linear, (weight, bias) in zip(list(model)[::2], layers, strict=True):
                linear.weight.copy_(torch.tensor(weight))
                linear.bias.copy_(torch.tensor(bias))
        recorder.record(model, step, {"loss": 1.0})
    recorder.close()
    return list(load(directory))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> list[Snapshot]:
    return sampled(plain(), tmp_path_factory.mktemp("original"))


def values_of(snapshot: Snapshot) -> Values:
    return {**snapshot.metrics, **snapshot.per_unit, **snapshot.tables}


def in_order(name: str, value: Value, orders: Mapping[str, Sequence[int]]) -> Value:
    """Return a value with its units in their order in the run as it was; `orders`: which of them stands at each place, by layer."""
    order = orders.get(name.split("/")[-1])
    if isinstance(value, list):
        return sorted((_row_in_order(row, orders) for row in value), key=repr)
    if not isinstance(value, np.ndarray) or order is None or name.startswith("copycat/units/"):
        return value
    if name.startswith("copycat/since/"):
        pairs = np.sort(np.asarray(order)[value[:, :2]], axis=1)
        return np.array(sorted(map(tuple, np.column_stack([pairs, value[:, 2]]))), np.int64).reshape(-1, 3)
    places = np.argsort(order)
    for axis, count in enumerate(value.shape):  # one value a unit, or one a pair of units
        value = value.take(places, axis=axis) if count == len(order) else value
    return value


def _row_in_order(row: dict[str, Any], orders: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return a table's row, which names units in ``unit`` and ``other``."""
    order = orders.get(str(row.get("layer")))
    units = {key: int(order[row[key]]) for key in ("unit", "other") if order is not None and key in row}
    if len(units) == 2:
        units["unit"], units["other"] = sorted(units.values())
    return {key: _rounded(cell) for key, cell in (row | units).items()}


def _rounded(cell: Any) -> Any:
    return float(f"{cell:.9g}") if isinstance(cell, float) else cell


def differs(one: Value, other: Value) -> bool:
    """Return whether two values differ by more than rounding: 1e-9 of them, or a step of the precision that an array has."""
    if isinstance(one, list) or isinstance(other, list):
        return repr(one) != repr(other)
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape or a.dtype != b.dtype:
        return True
    steps = 2 * float(np.finfo(a.dtype).eps) if a.dtype.kind == "f" else 0.0
    return not np.allclose(a.astype(float), b.astype(float), rtol=max(1e-9, steps), atol=1e-12, equal_nan=True)


def entry_of(name: str, table: Mapping[str, str]) -> str | None:
    """Return the entry that a value falls under: its name, or a beginning of it; values per unit go with those of the layer."""
    names = (name, name.replace("_per_unit/", "/"))
    return next((entry for entry in table if any(f"{one}/".startswith(f"{entry}/") for one in names)), None)


def there(name: str, table: Mapping[str, str]) -> str:
    """Return the name by which a value goes in the transformed run."""
    entry = entry_of(name, table)
    if entry is None or table[entry] == "changes":
        return name
    return name.replace(entry, table[entry], 1)


def check(pairs: Sequence[tuple[Values, Values]], table: Mapping[str, str]) -> None:
    """Assert that values are the same but for those in the table, each of which differs somewhere.

    Args:
        pairs: values of each sample of the run as it was, and of the transformed one, its units in order.
        table: how values may change.
    """
    wrong, changed = [], set()
    for number, (before, after) in enumerate(pairs):
        assert before.keys() == after.keys()
        for name, value in before.items():
            entry = entry_of(name, table)
            if entry is not None and differs(value, after[name]):
                changed.add(entry)
            if (entry is None or table[entry] != "changes") and differs(value, after[there(name, table)]):
                wrong.append(f"sample {number}: {name}: {value} became {after[there(name, table)]}")
    assert not wrong, "\n".join(wrong)
    assert changed == set(table), "these change nowhere"


@pytest.mark.parametrize("name", RUNS)
def test_only_what_the_table_says_changes(name: str, original: list[Snapshot], tmp_path: Path) -> None:
    run = RUNS[name]()
    orders = dict(zip(LAYERS, run.order, strict=True))
    same = {layer: list(range(count)) for layer, count in zip(LAYERS, HIDDEN, strict=True)}
    pairs = []
    for before, after in zip(original, sampled(run, tmp_path), strict=True):
        ours, theirs = values_of(before), values_of(after)
        ours, theirs = (
            {key: in_order(key, value, of) for key, value in values.items()} for values, of in ((ours, same), (theirs, orders))
        )
        pairs.append((ours, theirs))
    check(pairs, CHANGES[name])


def test_what_the_table_does_not_say_fails() -> None:
    values: Values = {"a/one/0": 1.0, "a/one_per_unit/0": np.array([1.0, 2.0]), "a/two/0": 2.0, "b/one/0": np.nan}
    other: Values = {**values, "a/one_per_unit/0": np.array([1.0, 2.1])}
    check([(values, values)], {})
    check([(values, values), (values, other)], {"a/one": "changes"})
    check([(values, other)], {"a/one_per_unit": "changes"})
    two: Values = {"c/left/0": 1.0, "c/right/0": 2.0}
    check([(two, {"c/left/0": 2.0, "c/right/0": 1.0})], {"c/left": "c/right", "c/right": "c/left"})
    with pytest.raises(AssertionError, match="c/left/0: 1.0 became 3.0"):
        check([(two, {"c/left/0": 2.0, "c/right/0": 3.0})], {"c/left": "c/right", "c/right": "c/left"})
    tables: list[dict[str, str]] = [{}, {"a/two": "changes"}, {"a/one/1": "changes"}, {"a/one": "changes", "b": "changes"}]
    for table in tables:
        with pytest.raises(AssertionError, match="a/one_per_unit/0|change nowhere"):
            check([(values, other)], table)
    with pytest.raises(AssertionError, match="sample 0: b/one/0: nan became 1.0"):
        check([(values, {**values, "b/one/0": 1.0})], {})
    with pytest.raises(AssertionError, match="change nowhere"):
        check([(values, values)], {"a/two": "changes"})


def test_the_run_has_what_metrics_look_for(original: list[Snapshot]) -> None:
    """Else they would agree for want of anything to say."""
    first, last = original[0].metrics, original[-1].metrics
    assert last["dormant/revivals/0"] == 1
    assert first["dormant/never_on/0"] > last["dormant/never_on/0"] > 0
    assert [shot.metrics["dormant/always_on/0"] > 0 for shot in original] == [True, True, False, True, True]
    assert last["copycat/new_pairs/0"] == 1
    assert last["indecisive/units/0"] == 1
    assert last["dormant/live/2"] > 0.5
    assert last["decision/length"] > 1
    assert 0.01 < last["ambiguity/tie"] < 0.9
    assert last["regions/exact/2"] > 2 * last["regions/exact/0"] > 20
    for part in ("shift", "rotate", "upstream"):
        assert abs(last[f"drift/{part}/2"]) > 5e-4
    assert first.keys() < last.keys()
    assert not [name for name, value in last.items() if np.isnan(value)]


# --------------------------------------------------------------------------------------------------------- other sides on

FLIPPED = {"0": [1, 4, 7, 8], "2": [0, 3, 5]}


def bare(capture: Capture) -> Capture:
    """Return a capture without activations: of a unit that is complemented they are others."""
    return replace(capture, strength=None)


def complemented(capture: Capture) -> Capture:
    """Return the same with some units z as -z: on where they were off, and off where they were on."""
    assert capture.planes is not None
    masks, planes = [], capture.planes.copy()
    for layer, span in spans_of(capture.layers).items():
        mask, flipped = capture.mask(layer), FLIPPED[layer]
        mask[flipped] = ~mask[flipped]
        planes[span][flipped] *= -1
        masks.append(mask.reshape(len(mask), -1))
    return replace(bare(capture), on=np.packbits(np.concatenate(masks), axis=1), planes=planes)


def by_hand(snapshots: list[Snapshot], change: Callable[[Capture], Capture], metrics: Sequence[Metric]) -> list[Values]:
    """Return the values that `metrics` give of the captures, one sample after another, without the network."""
    captures = [change(snapshot.capture) for snapshot in snapshots]
    found: list[Values] = []
    for number, snapshot in enumerate(snapshots):
        sample = Sample(
            captures[number],
            snapshot.boundaries,
            captures[number - 1] if number else None,
            captures[0],
            snapshot.step,
            moves=moves_of(snapshots[number - 1].capture, snapshot.capture) if number else {},
            past=found[-1] if found else {},
            window=tuple(captures[:number]),
            window_steps=STEPS[:number],
            slice=snapshot.slice,
        )
        found.append({name: value for metric in metrics for name, value in metric(sample).items()})
    return found


def moves_of(before: Capture, now: Capture) -> dict[str, Moves]:
    """Return moves of which the counts do not depend on which side is on: all points that flipped did so by shifting."""
    moves = {}
    for layer in spans_of(now.layers):
        flips = (before.mask(layer) ^ now.mask(layer)).reshape(len(now.mask(layer)), -1).sum(axis=1)
        moves[layer] = Moves(SIDE**2, np.array([flips * (number % 2) for number in range(8)]), np.zeros((8, len(flips)), np.int64))
    return moves


def test_which_side_is_on_changes_only_what_the_table_says(original: list[Snapshot]) -> None:
    pairs = zip(*(by_hand(original, change, METRICS) for change in (bare, complemented)), strict=True)
    check(list(pairs), CHANGES["complemented"])


def test_complementing_changes_the_sign_of_phi_and_swaps_on_and_off(original: list[Snapshot]) -> None:
    """What the table lets change is known: it is told here."""
    metrics = [copycats, dormant_units, on_share]
    before, after = (by_hand(original, change, metrics)[-1] for change in (bare, complemented))
    for layer, flipped in FLIPPED.items():
        phi, other = (np.asarray(values[f"copycat/phi/{layer}"], dtype=float) for values in (before, after))
        sign = np.where(np.isin(np.arange(len(phi)), flipped), -1.0, 1.0)
        assert np.allclose(other, phi * np.outer(sign, sign), equal_nan=True)
        share, others = (np.asarray(values[f"on/share_per_unit/{layer}"]) for values in (before, after))
        assert np.allclose(others, np.where(sign < 0, 1 - share, share))
        for values, shares in ((before, share), (after, others)):
            assert values[f"dormant/never_on/{layer}"] == pytest.approx((shares == 0).mean())
            assert values[f"dormant/always_on/{layer}"] == pytest.approx((shares == 1).mean())
