"""Indecisive units: known answers, simulated walks, a plain oracle, and what must not change them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import linear_units, mlp
from test_drift import TwoLayers, in_canonical_gauge, line, rescaled, sample
from test_resume import equal

from boundarycb import Recorder, load, memory, metrics, slices
from boundarycb.metrics.coarser import coarser
from boundarycb.metrics.indecisive import indecisive_units
from boundarycb.probe import compare, joined, probe
from boundarycb.schedule import bursts
from boundarycb.types import Boundaries, Capture, Field, Floats, Layer, Moves, Sample

SQUARE = slices.box((-1, 1), (-1, 1))
SIDE = 64
X = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1


def captured(on: Any, layers: tuple[Layer, ...] | None = None, field: Field | None = None) -> Capture:
    """Return the capture of states (U, side, side)."""
    units, side, _ = on.shape
    layers = layers or (Layer("fc", "relu", (units,), tuple(range(units))),)
    return Capture(layers, side, np.packbits(on.reshape(units, -1).astype(bool), axis=1), field)


def state(*edges: float, layers: tuple[Layer, ...] | None = None) -> Capture:
    """Return units that are on right of x = edge on [-1, 1]."""
    return captured(np.repeat((np.array(edges)[:, None] < X)[:, None], SIDE, axis=1), layers)


def slanted(angles: Floats, offsets: Floats) -> Capture:
    """Return units that are on where cos(angle) x + sin(angle) y > offset: their areas are not whole columns of points."""
    x, y = np.meshgrid(X, X)
    return captured(np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y > offsets[:, None, None])


def sampled(states: Sequence[Capture], steps: Sequence[int] | None = None, **more: Any) -> Sample:
    """Return the sample of the last of `states` after the others, at every tenth step unless said otherwise."""
    lines = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), states[0].layers)
    steps = [10 * k for k in range(len(states))] if steps is None else steps
    window = tuple(states[:-1])
    return Sample(states[-1], lines, step=steps[-1], window=window, window_steps=tuple(steps[:-1]), **more)


def values(*states: Capture, **more: Any) -> dict[str, Any]:
    return indecisive_units(sampled(states, **more))


def numbers(found: dict[str, Any], *names: str) -> list[float]:
    return [found[f"indecisive/{name}/fc"] for name in names]


# ---------------------------------------------------------------------------------------------------------- known answers


@pytest.mark.parametrize(
    ("edges", "jitter", "osc", "ret"),
    [
        ((0, 0.5, 0, 0.5), 0.25, 1, 2 / 3),  # three flips of .25, one over; the next but one is the same
        ((0, 0.25, 0.5), 0.125, 0, 0),  # two flips of .125 in the same direction
        ((0, 0.5, 0, 0.5, 0), 0.25, 1, 1),
        ((0, 0.5, -0.5, 0), 1 / 3, 2 / 3, 1),  # .25, .5, .25, home again; f2 is .25 twice, of .75 twice
    ],
)
def test_known_answers(edges: tuple[float, ...], jitter: float, osc: float, ret: float) -> None:
    assert numbers(values(*(state(edge) for edge in edges)), "jitter", "osc", "ret") == pytest.approx([jitter, osc, ret])


def walks(kind: str, steps: int, units: int, rng: np.random.Generator) -> Floats:
    """Return edges (steps, units)."""
    if kind == "drift":
        return np.cumsum(np.full((steps, units), 0.04), axis=0) - 0.8
    if kind == "walk":
        return np.cumsum(rng.normal(0, 0.05, (steps, units)), axis=0)
    if kind == "noise":
        return rng.normal(0, 0.15, (steps, units))
    return np.tile(np.where(np.arange(steps) % 2, 0.3, -0.3)[:, None], (1, units))


@pytest.mark.parametrize(("kind", "expected"), [("drift", 0), ("walk", 1 - 0.5**0.5), ("noise", 0.5), ("two states", 1)])
def test_what_kinds_of_motion_give(kind: str, expected: float) -> None:
    """Over many units and a long window; 400 walks of 40 steps are known to 0.02."""
    edges = walks(kind, 40, 400, np.random.default_rng(0)).clip(-0.98, 0.98)
    found = values(*(state(*row) for row in edges))
    assert np.nanmean(found["indecisive/osc_per_unit/fc"]) == pytest.approx(expected, abs=0.03)


def test_jitter_is_compared_with_the_layers_live_units() -> None:
    """Jitters .25, .0625, .0625, .03125, and 0 of two that never switch: the median of the live four is .0625."""
    there, back = state(0, 0, 0, 0, -2, 2), state(0.5, 0.125, 0.125, 0.0625, -2, 2)
    found = values(there, back, there)
    assert found["indecisive/rel_jitter_per_unit/fc"].tolist() == [4, 1, 1, 0.5, 0, 0]
    assert numbers(found, "rel_jitter", "units") == [4, 1]


def test_among_units_that_stand_a_grid_point_is_the_measure() -> None:
    found = values(*(state(edge, 0, 0, 0.1) for edge in (0, 0.5, 0)))
    assert numbers(found, "rel_jitter", "units") == [0.25 * SIDE**2, 1]


@pytest.mark.parametrize(("flips", "count"), [(4, 0), (5, 1)])
def test_fewer_than_five_points_a_sample_are_no_movement(flips: int, count: int) -> None:
    on = np.zeros((5, 8, 8), bool)
    on[:, 0] = True
    other = on.copy()
    other[0, 1, :flips] = True
    assert numbers(values(captured(on), captured(other), captured(on)), "units") == [count]


def test_one_that_goes_to_and_fro_and_away_is_not_counted() -> None:
    """f1 = .25, .125, .25 and f2 = .125 twice: osc is 1 - .25 / .75, and .375 of .625 is not undone."""
    found = values(*(state(edge, 0, 0.1, 0.2) for edge in (-0.5, 0, -0.25, 0.25)))
    assert per_unit(found, "osc", "ret")[:, 0] == pytest.approx([2 / 3, 0.4])
    assert numbers(found, "units") == [0]
    assert numbers(values(*(state(edge, 0, 0.1, 0.2) for edge in (-0.5, 0, -0.25))), "units") == [1]


def test_a_layers_only_unit_has_nothing_to_be_compared_with() -> None:
    found = values(state(0), state(0.5), state(0))
    assert numbers(found, "rel_jitter", "osc", "ret", "units") == [1, 1, 1, 0]


# ---------------------------------------------------------------------------------------------------------------- planted


def planted(steps: int = 8) -> list[tuple[float, ...]]:
    """Return edges of 16 units that drift or stand, and of one that flips between two states, in place 11, at every sample."""
    rng = np.random.default_rng(1)
    start, speed = rng.uniform(-0.8, 0.8, 16), rng.uniform(-0.02, 0.02, 16) * (np.arange(16) % 3 > 0)
    return [tuple(np.insert(start + k * speed, 11, 0.4 * (k % 2))) for k in range(steps)]


def test_one_that_goes_to_and_fro_is_named_with_its_two_states() -> None:
    """Units of the layer are those with odd indices; the states at steps 70 and 60 are the latest of those that differ most."""
    layer = Layer("fc", "relu", (34,), tuple(range(1, 34, 2)))
    found = values(*(state(*row, layers=(layer,)) for row in planted()))
    (row,) = found["indecisive/worst"]
    assert (row["layer"], row["unit"], row["step"], row["other_step"]) == ("fc", 23, 60, 70)
    assert [row[name] for name in ("jitter", "osc", "ret")] == pytest.approx([13 / 64, 1, 1 - 1 / 7])  # 13 of 64 columns
    assert row["rel_jitter"] == pytest.approx(found["indecisive/rel_jitter/fc"])
    assert found["indecisive/units/fc"] == 1


def test_the_two_states_are_those_that_differ_most() -> None:
    edges = (0, 0.3, 0, 0.8, 0.1, 0.4, 0)
    found = values(*(state(edge, *still) for edge in edges for still in [(0.0, 0.1, 0.2, 0.3)]))
    assert [(row["unit"], row["step"], row["other_step"]) for row in found["indecisive/worst"]] == [(0, 30, 60)]


def test_at_most_five_of_a_layer_are_named_the_most_restless_first() -> None:
    flips = [0.1, 0.6, 0.3, 0.4, 0.2, 0.5, 0.7]
    layers = tuple(Layer(name, "relu", (17,), tuple(range(17))) for name in ("a", "b"))
    there, still = [0.0] * 7, [0.0] * 10
    rows = [state(*flip, *still, *there, *still, layers=layers) for flip in (there, flips, there)]
    found = values(*rows)
    assert [(row["layer"], row["unit"]) for row in found["indecisive/worst"]] == [("a", unit) for unit in (6, 1, 5, 3, 2)]
    assert [found[f"indecisive/units/{name}"] for name in ("a", "b")] == [7, 0]


def named(edges: Sequence[Capture]) -> int:
    return int(values(*edges)["indecisive/units/fc"])


def test_what_walks_at_random_is_hardly_ever_named() -> None:
    """100 windows of 16 units: none of one speed; of speeds that differ by a factor of e, about one unit in a hundred."""
    rng = np.random.default_rng(0)
    alike = uneven = 0
    for _ in range(100):
        turns, shifts = (np.cumsum(rng.normal(0, 0.05, (8, 16)), axis=0) for _ in range(2))
        start, where, speed = rng.uniform(0, 7, 16), rng.uniform(-0.8, 0.8, 16), np.exp(rng.normal(0, 1, 16))
        alike += named([slanted(start + turn, where + shift) for turn, shift in zip(turns, shifts, strict=True)])
        uneven += named([slanted(start + turn * speed, where + shift * speed) for turn, shift in zip(turns, shifts, strict=True)])
    assert alike == 0
    assert 0 < uneven < 0.02 * 1600


def test_shuffled_drift_names_none() -> None:
    """Out of order it looks like noise about a place; but all units do, so none stands out by four times."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        speeds = rng.uniform(0.01, 0.03, 16)
        rows = [state(*(k * speeds - 0.1)) for k in rng.permutation(8)]
        assert named(rows) == 0


# ----------------------------------------------------------------------------------------------- an oracle, and invariances


@st.composite
def histories(draw: st.DrawFn) -> Any:
    """Return states (samples, units, side, side)."""
    shape = (draw(st.integers(3, 8)), draw(st.integers(1, 5)), side := draw(st.integers(2, 5)), side)
    flips = np.random.default_rng(draw(st.integers(0, 2**32))).random(shape) < draw(st.sampled_from([0.02, 0.2, 0.5]))
    return np.logical_xor.accumulate(flips, axis=0)


def plainly(history: Any) -> Any:
    """Return jitter, osc, ret of each unit (3, units), by loops over masks."""
    found = []
    for masks in np.moveaxis(history, 1, 0):
        one = [float((masks[k] != masks[k - 1]).mean()) for k in range(1, len(masks))]
        two = [float((masks[k] != masks[k - 2]).mean()) for k in range(2, len(masks))]
        pairs = sum(one[k] + one[k - 1] for k in range(1, len(one)))
        osc = 1 - sum(two) / pairs if pairs else math.nan
        ret = 1 - float((masks[-1] != masks[0]).mean()) / sum(one) if sum(one) else math.nan
        found.append([sum(one) / len(one), osc, ret])
    return np.array(found).T


def per_unit(found: dict[str, Any], *names: str) -> Floats:
    return np.stack([found[f"indecisive/{name}_per_unit/fc"] for name in names])


def same(one: Floats, other: Floats) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@given(histories())
def test_numbers_are_those_of_the_definition(history: Any) -> None:
    found = values(*map(captured, history))
    expected = plainly(history)
    same(per_unit(found, "jitter", "osc", "ret"), expected)
    for name, row in zip(("jitter", "osc", "ret"), expected, strict=True):
        known = row[~np.isnan(row)]
        assert found[f"indecisive/{name}/fc"] == pytest.approx(known.mean() if len(known) else math.nan, nan_ok=True)
        assert not len(known) or (known.min() >= -1e-9 and known.max() <= 1 + 1e-9)


@settings(max_examples=40)
@given(histories(), st.randoms(use_true_random=False))
def test_order_side_and_direction_of_time_change_nothing(history: Any, random: Any) -> None:
    names = ("jitter", "osc", "ret", "rel_jitter")
    units = history.shape[1]
    plain, order = values(*map(captured, history)), random.sample(range(units), units)
    same(per_unit(values(*map(captured, history[:, order])), *names), per_unit(plain, *names)[:, order])
    mirrored = history.copy()
    mirrored[:, 0] = ~mirrored[:, 0]  # the same boundary with the other side on
    for other in (mirrored, history[::-1], history.swapaxes(2, 3)):
        same(per_unit(values(*map(captured, other)), *names), per_unit(plain, *names))


# ------------------------------------------------------------------------------------------------------- undefined and none


def test_before_the_third_sample_there_is_nothing() -> None:
    assert values(state(0, 1)) == {}
    assert values(state(0, 1), state(0.5, 1)) == {}


def test_units_that_stand_or_are_off_have_no_direction() -> None:
    found = values(*[state(0.2, 2)] * 3)
    assert per_unit(found, "jitter").tolist() == [[0, 0]]
    assert np.isnan(per_unit(found, "osc", "ret")).all()
    none = values(*[state(-2, 2)] * 3)
    assert np.isnan(numbers(none, "osc", "ret", "rel_jitter")).all()
    assert numbers(none, "jitter", "units") == [0, 0]
    assert none["indecisive/worst"] == []


def test_units_that_are_not_finite_have_no_numbers_and_are_not_named() -> None:
    states = [replace(state(edge, 0, 0.01 * edge, 0), undefined=np.array([0])) for edge in (0, 0.5, 0)]
    states[0] = replace(states[0], undefined=np.empty(0, np.int64))
    found = values(*states, steps=[4, 5, 6])
    names = ("jitter", "osc", "ret", "rel_jitter", "burst_jitter", "burst_osc")
    assert np.isnan(per_unit(found, *names)[:, 0]).all()
    assert not np.isnan(per_unit(found, "jitter", "rel_jitter")[:, 1:]).any()
    assert found["indecisive/worst"] == []


# ----------------------------------------------------------------------------------------------------- the output, the loss


def fields(kind: Any, *grids: Any, classes: int = 2) -> list[Field]:
    if kind == "classes":
        return [Field(kind, np.ones((8, 8), np.float16), np.full((8, 8), grid, np.uint16), classes) for grid in grids]
    return [Field(kind, np.full((8, 8), grid, np.float16 if kind == "probability" else np.float32)) for grid in grids]


def restless(*outputs: Field | None, **more: Any) -> dict[str, Any]:
    """Return the values where one of five units goes to and fro, with these outputs."""
    on = np.zeros((5, 8, 8), bool)
    on[1:, 0] = True
    other = on.copy()
    other[0] = True
    return values(*(captured(other if k % 2 else on, field=output) for k, output in enumerate(outputs)), **more)


QUARTERS = np.repeat(np.arange(8) // 2, 8).reshape(8, 8)  # points of four classes


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (fields("probability", 0.25, 0.5, 0.375), (0.25 + 0.125) / 2),
        (fields("classes", QUARTERS, QUARTERS % 3, QUARTERS % 3, classes=4), 0.25 / 2),  # the last quarter goes to class 0
        (fields("value", QUARTERS, QUARTERS + 1, QUARTERS), 0.25),  # 1, 1 of a range of 4
        (fields("value", QUARTERS * 1e30, QUARTERS * 1e30, QUARTERS * 0), 1.5e30 / 2 / 3e30),
        (fields("value", 1, 1, 1), math.nan),  # no range
        (fields("value", 1, 1, np.nan), math.nan),
        (fields("probability", 0.25, np.nan, 0.25), math.nan),
        ([*fields("probability", 0.25, 0.25), None], math.nan),
        ([*fields("probability", 0.25, 0.25), *fields("value", 1)], math.nan),
        ([None] * 3, math.nan),
    ],
)
def test_how_far_the_output_moved(outputs: list[Field | None], expected: float) -> None:
    found = restless(*outputs)["indecisive/output_moved"]
    assert found == pytest.approx(expected, nan_ok=True)


@settings(max_examples=30)
@given(st.floats(0.1, 100), st.floats(-50, 50), st.integers(0, 2**32))
def test_units_of_a_value_do_not_matter(scale: float, shift: float, seed: int) -> None:
    grids = np.random.default_rng(seed).random((3, 8, 8))
    one, other = (restless(*fields("value", *made))["indecisive/output_moved"] for made in (grids, -grids * scale + shift))
    assert other == pytest.approx(one, rel=1e-3)


@pytest.mark.parametrize(
    ("outputs", "count"),
    [
        (fields("probability", 0.5, 0.5, 0.5), 1),
        (fields("probability", 0.5, 0.508, 0.5), 1),
        (fields("probability", 0.5, 0.52, 0.5), 0),
        ([None] * 3, math.nan),
    ],
)
def test_the_strict_case_is_one_that_leaves_the_output_as_it_is(outputs: list[Field | None], count: float) -> None:
    found = restless(*outputs, scalars={"loss": 9.0}, window_scalars=({"loss": 1.0}, {"loss": 5.0}))  # the loss has no say
    assert numbers(found, "units") == [1]
    assert numbers(found, "strict") == pytest.approx([count], nan_ok=True)


@pytest.mark.parametrize(("there", "count"), [(0.5083, 0), (0.501, 1)])
def test_in_the_strict_case_the_output_moves_less_than_the_unit_itself(there: float, count: int) -> None:
    """One of twenty flips 8 of 4096 points a sample, which is 0.00195: of that, 0.0083 is no standing, though it is below 0.01."""
    on = np.zeros((20, SIDE, SIDE), bool)
    on[:, 0] = True
    other = on.copy()
    other[0, 1, :8] = True
    outputs = [Field("probability", np.full((SIDE, SIDE), p, np.float16)) for p in (0.5, there, 0.5)]
    found = values(*(captured(state, field=output) for state, output in zip((on, other, on), outputs, strict=True)))
    assert found["indecisive/output_moved"] == pytest.approx(there - 0.5, abs=3e-4)
    assert numbers(found, "units", "strict") == [1, count]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1.0, 1.5, 0.5], 1.0),
        ([None, -1.5, -0.5], 1.0),  # none yet at step 0
        ([2.0, 2.0, 2.0], 0.0),
        ([None, None, 1.0], math.nan),
        ([None, None, None], math.nan),
        ([0.0, 0.0, 0.0], math.nan),
        ([1.0, math.nan, 1.0], math.nan),
        ([1.0, math.inf, 1.0], math.nan),
    ],
)
def test_how_far_the_loss_moved(losses: list[float | None], expected: float) -> None:
    said = [{"lr": 0.1} if loss is None else {"loss": loss, "lr": 0.1} for loss in losses]
    found = restless(None, None, None, scalars=said[-1], window_scalars=tuple(said[:-1]))
    assert found["indecisive/loss_moved"] == pytest.approx(expected, nan_ok=True)


# ------------------------------------------------------------------------------------------------------------------ bursts


def test_what_flips_at_every_step_is_seen_in_bursts_alone() -> None:
    """Between A and B at every step: every second step it is always A."""

    def at(*steps: int) -> dict[str, Any]:
        return values(*(state(0.5 * (step % 2), 0) for step in steps), steps=steps)

    sparse = at(*range(0, 16, 2))
    assert numbers(sparse, "jitter", "units") == [0, 0]
    assert np.isnan(numbers(sparse, "osc")).all()
    assert "indecisive/burst_osc/fc" not in sparse
    due = bursts([2, 12, 22])
    dense = at(*(step for step in range(1, 25) if due(step - 1, step)))
    assert numbers(dense, "burst_osc", "burst_jitter") == [1, 0.125]
    assert per_unit(dense, "burst_jitter", "burst_osc")[:, 0].tolist() == [0.25, 1]
    assert np.isnan(per_unit(dense, "burst_osc")[0, 1])


def test_a_burst_is_of_the_last_three_samples_alone() -> None:
    """A jump of .5 before it, then .125 forth and .0625 back: f1 = .125, .0625, f2 = .0625."""
    found = values(*(state(edge) for edge in (-1, 0, 0.25, 0.125)), steps=[3, 7, 8, 9])
    assert numbers(found, "burst_jitter") == [0.1875 / 2]
    assert numbers(found, "burst_osc") == pytest.approx([1 - 1 / 3])


@pytest.mark.parametrize("steps", [(0, 1, 2), (5, 6, 8), (5, 7, 8), (5, 7, 9), (9, 8, 7)])
def test_bursts_are_of_consecutive_steps(steps: tuple[int, ...]) -> None:
    found = values(*[state(0)] * 3, steps=steps)
    assert ("indecisive/burst_jitter/fc" in found) == (steps == (0, 1, 2))


# ------------------------------------------------------------------------------------------------- flatness, sensitivity


def test_flatness_is_the_mean_over_units() -> None:
    flat = replace(state(0, 0, 0), flat=np.array([0.25, 0.5, 0.7]), undefined=np.array([2]))
    found = values(flat)
    assert found["indecisive/flat/fc"] == 0.375
    assert per_unit(found, "flat")[0] == pytest.approx([0.25, 0.5, np.nan], nan_ok=True)


def test_behind_a_unit_that_is_off_all_is_flat() -> None:
    """The second layer's z = relu(x) is 0 on one half; z = x is below 1 % of its size between two columns of points."""
    found = indecisive_units(sample(TwoLayers(0), TwoLayers(0)))
    assert found["indecisive/flat/fc2"] == 0.5
    assert found["indecisive/flat/fc1"] == 0


def changes(old: Any, new: Any) -> dict[str, Floats]:
    """Return by layer how much each unit's own map changed."""
    points = SQUARE.lift(np.stack(np.meshgrid(X, X), axis=2).reshape(-1, 2))
    traces = []
    for model in (old, new):
        with probe(model) as forward:
            forward(points[:4])
            traces.append(joined([forward.trace(points, {"0", "2", "4"})]))
    moves, _ = compare(*traces)
    return {layer: one.change for layer, one in moves.items() if one.change is not None}


SIZE = float(np.sqrt((X**2).mean()))  # root mean square of x


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (line(1, 0, 0), line(1, 0, -0.5), 0.5 / SIZE),  # the bias alone
        (line(2, 0, 0), line(2, 0, -1), 0.5 / SIZE),
        (line(1, 0, 0), line(0, 1, 0), 2**0.5),  # x and y are uncorrelated on the grid
        (line(1, 0, 0), line(-1, 0, 0), 2),
        (line(1, 0.4, 0.2), line(3, 1.2, 0.6), 0),  # only its scale
        (line(0, 0, 0), line(1, 0, 0), math.nan),  # of what was 0 everywhere there is no share
        (line(0, 0, 0), line(0, 0, 0), math.nan),
        (line(0, 0, 1), line(0, 0, -1), 2),  # no weights: measured as it is
        (line(1, 0, -9), line(1, 0, -9.09), 0.09 / np.sqrt(SIZE**2 + 81)),  # never on, and moves all the same
    ],
)
def test_by_how_much_a_units_own_map_changed(old: Any, new: Any, expected: float) -> None:
    assert changes(old, new)["0"][0] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def moved_a_little(seed: int) -> tuple[Any, Any]:
    old, new = mlp(2, 6, 5, 4, 1, seed=seed), mlp(2, 6, 5, 4, 1, seed=seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return old, new


@pytest.mark.parametrize("seed", range(3))
def test_changes_are_those_of_rescaled_networks(seed: int) -> None:
    """The networks' weights are written in the canonical gauge first; then each new layer reads the old one's input."""
    old, new = moved_a_little(seed)
    found = changes(old, new)
    x, y = np.meshgrid(X, X)
    source = np.stack([x.ravel(), y.ravel()], axis=1)
    for number, (was, now) in enumerate(list(zip(in_canonical_gauge(old), in_canonical_gauge(new), strict=True))[:-1]):
        before, after = (source @ weight.T + bias for weight, bias in (was, now))
        expected = np.sqrt(((after - before) ** 2).mean(axis=0) / (before**2).mean(axis=0))
        assert found[str(2 * number)] == pytest.approx(expected, rel=1e-3)
        source = np.maximum(before, 0)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=6, max_size=6), st.integers(0, 10))
def test_rescaling_changes_no_map(factors: list[float], seed: int) -> None:
    old, new = moved_a_little(seed)
    other = rescaled(new, 0, torch.tensor(factors))
    plain, scaled, none = changes(old, new), changes(old, other), changes(new, other)
    assert set(plain) == {"0", "2", "4"}
    for layer, change in plain.items():
        assert scaled[layer] == pytest.approx(change, rel=1e-3)
        assert none[layer].max() < 5e-6


def test_sensitivity_is_what_flips_for_the_change() -> None:
    """x = 0 to x = .5 flips .25 for a change of .5 / RMS(x)."""
    found = indecisive_units(sample(line(1, 0, 0), line(1, 0, -0.5)))
    assert found["indecisive/sensitivity/0"] == pytest.approx(0.5 * SIZE, rel=1e-5)
    assert np.isnan(indecisive_units(sample(line(1, 0, 0), line(2, 0, 0)))["indecisive/sensitivity/0"])  # type: ignore[arg-type]


def test_sensitivity_is_not_known_without_a_change() -> None:
    layers = tuple(Layer(name, "relu", (3,), (0, 1, 2)) for name in "abc")
    old, new = (state(*[edge] * 9, layers=layers) for edge in (0, 0.5))
    new = replace(new, undefined=np.array([1]))
    zeros = np.zeros((8, 3), np.int64)
    change = np.array([0.5, 0.5, 0.125])
    moves = {"a": Moves(4, zeros, zeros, change=change), "b": Moves(4, zeros, zeros), "d": Moves(4, zeros, zeros, change=change)}
    found = values(new, before=old, moves=moves)
    assert found["indecisive/sensitivity_per_unit/a"] == pytest.approx([0.5, np.nan, 2], nan_ok=True)
    assert found["indecisive/sensitivity/a"] == 1.25
    assert np.isnan([found["indecisive/sensitivity/b"], found["indecisive/sensitivity/c"]]).all()
    nothing = values(new, before=old, moves={"a": Moves(4, zeros, zeros, change=np.array([0.0, 0.0, np.nan]))})
    assert np.isnan(nothing["indecisive/sensitivity_per_unit/a"]).all()


# --------------------------------------------------------------------------------------------------------- in whole runs


def test_it_has_a_window_of_eight(tmp_path: Path) -> None:
    seen: list[tuple[tuple[int, ...], tuple[float, ...]]] = []

    @metrics.needs("window")
    def looks(sample: Sample) -> dict[str, float]:
        seen.append((sample.window_steps, tuple(said["loss"] for said in sample.window_scalars)))
        return {}

    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[indecisive_units, looks])
    for step in range(14):
        recorder.record(linear_units((1, 0, -0.5 * (step % 2)), (0, 1, 0.1)), step, {"loss": step + 1})
    recorder.close()
    for number, window in ((5, range(5)), (13, range(6, 13))):
        assert seen[number] == (tuple(window), tuple(step + 1 for step in window))
    history = load(tmp_path)
    _, osc = history.series("indecisive/osc/0")
    assert np.isnan(osc[:2]).all()
    assert osc[2:] == pytest.approx(np.ones(12))
    _, back = history.series("indecisive/ret/0")
    assert back[-1] == pytest.approx(1 - 1 / 7)  # seven flips in the window: one over
    _, loss = history.series("indecisive/loss_moved")
    assert loss[-1] == pytest.approx(7 / 10.5)  # 7 to 14
    _, sensitivity = history.series("indecisive/sensitivity/0")
    assert np.isnan(sensitivity[0])
    assert (sensitivity[1:] > 0).all()


@pytest.mark.parametrize("bound", [memory.WINDOW_BYTES, 7 * 150])
def test_a_run_that_was_cut_has_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int) -> None:
    """Samples of bursts, cut in the middle of one; the window on the whole grid, and on a coarser one."""
    monkeypatch.setattr(memory, "WINDOW_BYTES", bound)
    steps = (0, 3, 4, 5, 16, 17, 18, 19, 20, 21, 24)
    models = {step: mlp(2, 5, 4, 2, seed=step % 3) for step in steps}

    def record(name: str, steps: Sequence[int], state: Any = None) -> Recorder:
        recorder = Recorder(tmp_path / name, SQUARE, resolution=16, metrics=[indecisive_units])
        recorder.load_state_dict(state or {})
        for step in steps:
            recorder.record(models[step], step, {"loss": 1 / (step + 1)})
        return recorder

    record("whole", steps).close()
    record("resumed", steps[6:], record("cut", steps[:6]).state_dict()).close()
    whole, resumed = load(tmp_path / "whole"), load(tmp_path / "resumed")
    equal(resumed, whole)
    parts = ("burst_osc", "osc", "sensitivity", "flat", "strict")
    assert np.isfinite([whole[6].metrics[f"indecisive/{name}/0"] for name in parts]).all()


def test_a_window_on_a_coarser_grid_is_compared_there() -> None:
    rng = np.random.default_rng(0)
    states = [slanted(np.linspace(0, 3, 9) + turn, np.linspace(-0.5, 0.5, 9)) for turn in rng.normal(0, 0.1, 6)]
    coarse = [coarser(one, 23) for one in states]
    found, expected = values(*coarse[:-1], states[-1]), values(*coarse)
    assert repr(found) == repr(expected)
    fine = values(*states)
    assert found["indecisive/jitter/fc"] == pytest.approx(fine["indecisive/jitter/fc"], rel=0.1)
    assert found["indecisive/osc/fc"] == pytest.approx(fine["indecisive/osc/fc"], abs=0.05)


def test_the_two_states_of_a_pair_are_found_as_by_trying_all() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        flips = rng.random((7, 8, 8)) < 0.5
        history = np.zeros((7, 5, 8, 8), bool)
        history[:, 0] = flips * (np.arange(7) % 2)[:, None, None]
        history[:, 1:, :4] = True
        (row,) = values(*map(captured, history))["indecisive/worst"]
        differ = {(10 * i, 10 * j): int((history[i, 0] != history[j, 0]).sum()) for i, j in combinations(range(7), 2)}
        assert differ[row["step"], row["other_step"]] == max(differ.values())


def test_a_unit_that_was_undefined_in_the_window_is_left_out() -> None:
    states = [state(0.0, 0.0), state(0.1, 0.0), state(0.0, 0.0)]
    states[0] = replace(states[0], undefined=np.array([0]))
    jitter = values(*states)["indecisive/jitter_per_unit/fc"]
    assert np.isnan(jitter).tolist() == [True, False]


def test_where_an_output_is_not_finite_its_movement_is_unknown() -> None:
    def with_output(edge: float, value: float) -> Capture:
        chances, winner = np.full((SIDE, SIDE), value, np.float16), np.zeros((SIDE, SIDE), np.uint16)
        return replace(state(edge, 0.0), field=Field("classes", chances, winner, classes=3, second=chances))

    for value, moved in ((0.5, 0.0), (np.nan, np.nan)):
        found = values(with_output(0.0, 0.5), with_output(0.1, value), with_output(0.0, 0.5))
        assert found["indecisive/output_moved"] == pytest.approx(moved, nan_ok=True)
