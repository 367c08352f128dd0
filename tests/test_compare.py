"""Runs beside each other: known answers, other people's formulas, permuted units, the chance level, the picture, the command."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import cohen_kappa_score
from snapshots import SQUARE, Function, four_classes, one_value, plain, snapshot

import boundarycb
from boundarycb import slices
from boundarycb.cli import main
from boundarycb.history import HistoryWriter, load, short_names
from boundarycb.metrics.chance import scattered
from boundarycb.metrics.masks import phi, phi_between
from boundarycb.render.canvas import text_width
from boundarycb.render.colours import rgb
from boundarycb.render.layout import Layout
from boundarycb.render.pictures import draw_overlay
from boundarycb.render.sheet import _APART, _SAME, _title, columns_for
from boundarycb.render.thin import opencv
from boundarycb.report.compare import agreement_of, compare, correlation_of, kappa_of
from boundarycb.report.ends import ends_of, nearest
from boundarycb.report.matching import Matched, Units, assignment, match
from boundarycb.report.sheet import difference, dissent, draw_comparison
from boundarycb.types import Boundaries, Floats, Slice, Snapshot, class_layer

ASSIGN = assignment()


def run(folder: Path, name: str, *snapshots: Snapshot) -> Path:
    """Return a run that ends with the last of `snapshots`, in a history of its own."""
    writer = HistoryWriter(folder / name / "boundaries", snapshots[0].slice if snapshots else SQUARE)
    for one in snapshots:
        writer.append(one)
    return folder / name


def nowhere(u: Floats, v: Floats) -> Floats:
    """Return the output of a lost network."""
    return np.full((len(u), 2), math.nan)


def right_of(edge: float) -> Function:
    """Return the output of two classes of which the second wins right of `edge`."""
    return lambda u, v: np.stack([0 * u, 50 * (u - edge)], axis=1)


def lines(seed: int, count: int) -> list[Function]:
    """Return lines through uniform points of the square, in uniform directions."""

    def line(angle: float, x: float, y: float) -> Function:
        return lambda u, v: math.cos(angle) * (u - x) + math.sin(angle) * (v - y)

    rng = np.random.default_rng(seed)
    return [line(*numbers) for numbers in rng.uniform((0, -0.9, -0.9), (np.pi, 0.9, 0.9), (count, 3))]


def opposite(function: Function) -> Function:
    return lambda u, v: -function(u, v)


def units(states: NDArray[Any]) -> Units:
    """Return those of the states (units, rows, columns) that switch, as what is matched."""
    flat = states.reshape(len(states), -1)
    live = flat.any(axis=1) & ~flat.all(axis=1)
    return Units(np.flatnonzero(live), np.packbits(flat[live], axis=1), int((~live).sum()))


def states_of(functions: Sequence[Function], side: int) -> NDArray[np.bool_]:
    places = (np.arange(side) + 0.5) / side * 2 - 1
    u, v = np.meshgrid(places, places)
    return np.stack([function(u, v) > 0 for function in functions])


def matched(one: NDArray[Any], other: NDArray[Any]) -> Matched:
    assert ASSIGN is not None
    return match(units(one), units(other), one.shape[1], ASSIGN)


# ---------------------------------------------------------------------------------------------------------------- outputs


def test_known_agreement(tmp_path: Path) -> None:
    """On points at -.75, -.25, .25, .75 every row says 0011 in one run and 0111 in the other: 3 of 4 alike, by chance 2 of 4."""
    paths = [run(tmp_path, str(edge), snapshot([lines(0, 2)], right_of(edge), resolution=4)) for edge in (0.0, -0.5)]
    found = compare(paths)
    assert found.names == ("0.0", "-0.5")
    assert found.agreement == 0.75
    assert found.kappa == pytest.approx(0.5)
    assert math.isnan(found.correlation)
    (row,) = [line for line in found.text().splitlines() if line.startswith("0.0, -0.5 ")]
    assert row.split()[2:4] == ["0.750", "0.500"]
    assert "correlation" not in found.text()


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40).flatmap(lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, 3))] * 2)))
def test_kappa_is_that_of_scikit_learn(maps: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    one, other = maps
    if len(np.union1d(one, other)) == 1:
        assert math.isnan(kappa_of(one, other))  # theirs is NaN with a warning, or 1
        assert agreement_of(one, other) == 1
        return
    assert kappa_of(one, other) == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
    assert kappa_of(one, other) == pytest.approx(kappa_of(other, one), abs=1e-12)
    assert kappa_of(3 - one, 3 - other) == pytest.approx(kappa_of(one, other), abs=1e-12)


def test_one_class_everywhere_has_no_kappa(tmp_path: Path) -> None:
    paths = [run(tmp_path, str(edge), snapshot([lines(0, 2)], right_of(edge), resolution=8)) for edge in (-3.0, -4.0, 0.0)]
    found = compare(paths)
    assert found.pairs[0].agreement == 1
    assert math.isnan(found.pairs[0].kappa)
    assert found.pairs[1].kappa == 0  # one map is half and half: chance gives as much
    assert found.kappa == 0  # the mean of those that have one
    assert next(line for line in found.text().splitlines() if line.startswith("-3.0, -4.0")).split()[2:4] == ["1.000", "-"]


def test_values_have_a_correlation_instead(tmp_path: Path) -> None:
    shapes: list[Function] = [one_value, lambda u, v: (5 * u * v + u)[:, None], lambda u, v: (0 * u + 2)[:, None]]
    paths = [run(tmp_path, str(k), snapshot([lines(0, 2)], shape, resolution=16)) for k, shape in enumerate(shapes)]
    found = compare(paths)
    values = [load(path)[-1].field.value.ravel() for path in paths]  # type: ignore[union-attr]
    assert found.pairs[0].correlation == pytest.approx(np.corrcoef(values[0], values[1])[0, 1], abs=1e-6)
    assert math.isnan(found.pairs[1].correlation)  # with a constant
    assert math.isnan(found.agreement)
    assert "correlation" in found.text()
    assert "agreement" not in found.text()
    assert correlation_of(np.array([0.0, 1, 2]), np.array([5.0, 3, 1])) == -1


def test_outputs_of_two_kinds_are_not_compared(tmp_path: Path) -> None:
    kinds = {"classes": four_classes, "value": one_value, "none": None}
    paths = [run(tmp_path, name, snapshot([lines(0, 2)], output, resolution=8)) for name, output in kinds.items()]
    found = compare(paths)
    assert all(math.isnan(value) for value in (found.agreement, found.kappa, found.correlation))
    assert "(classes: classes; value: a value; none: not known)" in found.notes[0]
    assert "layer1" in found.text()
    assert difference(ends_of(paths)) is None
    assert draw_comparison(paths, 64).pixels.shape[1] > 3 * 64  # three panels and no map


def test_points_without_an_output_are_left_out(tmp_path: Path) -> None:
    """The runs differ in one of four columns; where that is not finite in one of them, the rest agrees."""

    def broken(u: Floats, v: Floats) -> Floats:
        return np.where((u > -0.5) & (u < 0), np.nan, right_of(0.0)(u, v).T).T

    paths = [
        run(tmp_path, name, snapshot([lines(0, 2)], output, resolution=4))
        for name, output in {"a": right_of(-0.5), "b": broken}.items()
    ]
    assert (compare(paths).agreement, compare(paths).kappa) == (1, 1)
    shown = difference(ends_of(paths))
    assert shown is not None
    assert np.isnan(shown.values[0]).tolist() == [False, True, False, False]


def test_a_lost_run_is_compared_where_it_was_whole(tmp_path: Path) -> None:
    """Its end would be an empty map beside whole ones."""
    before, after = (snapshot([lines(0, 4)], output, step=step) for output, step in ((right_of(0.2), 10), (nowhere, 20)))
    whole, lost, never = (run(tmp_path, name, *ends) for name, ends in (("a", [before]), ("b", [before, after]), ("c", [after])))
    cut = [run(tmp_path / "cut", name, before) for name in ("a", "b")]
    found = compare([whole, lost])
    assert (found.agreement, found.steps) == (1, (10, 10))
    assert found.notes == (
        "b: After step 10 no output on the slice is finite (0 of 4 units are not finite at step 20); the end, here, is that step.",
    )
    assert np.array_equal(draw_comparison([whole, lost]).rgb(), draw_comparison(cut).rgb())
    assert math.isnan(compare([whole, never]).agreement)
    assert compare([whole, never]).notes[0].startswith("c: At all snapshots no output on the slice is finite")


def test_grids_that_differ_meet_at_the_coarser_one(tmp_path: Path) -> None:
    sizes = (60, 24, 48)
    paths = [run(tmp_path, str(size), snapshot([lines(3, 5)], right_of(0.1), resolution=size)) for size in sizes]
    found = compare(paths)
    assert found.resolution == 24
    assert "(24 x 24, 48 x 48, 60 x 60)" in found.notes[0]
    assert found.agreement > 0.95
    assert found.likeness("layer1")[0] > 0.9
    coarse, fine = (np.arange(24) + 0.5) / 24, (np.arange(60) + 0.5) / 60
    distance = abs(fine[nearest(60, 24)[1]] - coarse)
    assert distance == pytest.approx(abs(fine[None] - coarse[:, None]).min(axis=1))


# ------------------------------------------------------------------------------------------------------------------ units


masks = arrays(np.bool_, st.tuples(st.integers(1, 5), st.just(13)))


@settings(deadline=None, max_examples=60)
@given(masks, masks)
def test_phi_between_is_the_correlation(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> None:
    found = phi_between(np.packbits(one, axis=1), np.packbits(other, axis=1), 13)
    together = phi(np.packbits(np.concatenate([one, other]), axis=1), 13)
    assert np.array_equal(found, together[: len(one), len(one) :], equal_nan=True)
    turned = phi_between(np.packbits(~one, axis=1), np.packbits(other, axis=1), 13)
    assert turned == pytest.approx(-found, nan_ok=True)
    for i, j in np.ndindex(found.shape):
        if one[i].any() and other[j].any() and not one[i].all() and not other[j].all():
            assert found[i, j] == pytest.approx(np.corrcoef(one[i], other[j])[0, 1])
        else:
            assert math.isnan(found[i, j])


@pytest.mark.parametrize(("first", "second"), [(5, 5), (5, 3), (3, 5)])
def test_the_matching_is_the_best_of_all(first: int, second: int) -> None:
    """Against all permutations of five units; and its figures are those of the pairs that it names."""
    for seed in range(5):
        one, other = states_of(lines(2 * seed, first), 16), states_of(lines(2 * seed + 1, second), 16)
        table = abs(np.corrcoef(one.reshape(first, -1), other.reshape(second, -1))[:first, first:])
        wide = table if first <= second else table.T
        best = max(wide[range(len(wide)), list(order[: len(wide)])].sum() for order in permutations(range(wide.shape[1])))
        found = matched(one, other)
        assert len(found.units) == min(first, second)
        assert found.likeness == pytest.approx(best / min(first, second))
        assert [abs(value) for _, _, value in found.units] == pytest.approx([table[i, j] for i, j, _ in found.units])


def test_a_run_with_permuted_and_complemented_units_is_the_same_run(tmp_path: Path) -> None:
    functions, order = lines(4, 7), [3, 0, 6, 1, 5, 2, 4]
    mixed = [opposite(functions[k]) if k == 5 else functions[k] for k in order]
    paths = [run(tmp_path, name, snapshot([group], right_of(0.3))) for name, group in {"one": functions, "other": mixed}.items()]
    found = compare(paths).pairs[0].layers["layer1"]
    assert found.likeness == 1
    assert [(order[j], sign) for _, j, sign in found.units] == [(k, -1.0 if k == 5 else 1.0) for k in range(7)]
    assert found.likeness > found.chance
    twice = compare([paths[0], paths[0]])
    assert (twice.agreement, twice.kappa, twice.likeness("layer1")[0]) == (1, 1, 1)
    assert twice.names == ("one", "one (2)")


def test_units_that_do_not_switch_are_left_out_and_counted(tmp_path: Path) -> None:
    on: Function = lambda u, v: 1 + 0 * u  # noqa: E731
    functions = lines(4, 4)
    broken = snapshot([[*functions, on]], right_of(0.0))
    one = dataclasses.replace(broken, capture=dataclasses.replace(broken.capture, undefined=np.array([1])))
    other = snapshot([[on, opposite(on), *functions]], right_of(0.0))
    found = compare([run(tmp_path, "one", one), run(tmp_path, "other", other)])
    assert found.left_out == {"layer1": (2.0, 2.0)}
    pairs = found.pairs[0].layers["layer1"].units
    assert [(i, j) for i, j, _ in pairs] == [(0, 2), (2, 4), (3, 5)]  # 1 is undefined, 4 constant
    assert "units not matched/layer1" in found.text()
    idle = run(tmp_path, "idle", snapshot([[on]], right_of(0.0)))
    empty = compare([tmp_path / "one", idle]).pairs[0].layers["layer1"]
    assert empty.units == ()
    assert all(math.isnan(value) for value in (empty.likeness, empty.chance, empty.spread))


def test_unrelated_lines_are_as_alike_as_chance_has_it() -> None:
    """Over 40 pairs of random sets the mean of likeness - chance is 0 within three standard errors; planted ones are far above."""
    apart, spreads = [], []
    for seed in range(40):
        found = matched(states_of(lines(1000 + seed, 12), 24), states_of(lines(2000 + seed, 12), 24))
        apart.append(found.likeness - found.chance)
        spreads.append(found.spread)
    error = np.std(apart, ddof=1) / math.sqrt(len(apart))
    assert error < 0.02
    assert abs(np.mean(apart)) < 3 * error
    # The spread is that of one set of positions, as the sets are one: it tells how far chance alone goes.
    assert np.mean(spreads) == pytest.approx(np.std(apart), rel=0.6)
    planted = matched(states_of(lines(7, 12), 24), states_of(lines(7, 12)[::-1], 24))
    assert planted.likeness == 1
    assert planted.likeness > planted.chance + 3 * planted.spread
    assert 0.4 < planted.chance < 0.9


def test_the_level_of_a_mean_over_pairs_is_that_of_its_draws(tmp_path: Path) -> None:
    """Six unrelated runs, fifteen pairs: the mean's spread is smaller than one pair's, and the mean within it."""
    paths = [run(tmp_path, str(k), snapshot([lines(300 + k, 8)], resolution=24)) for k in range(6)]
    found = compare(paths)
    draws = np.array([pair.layers["layer1"].draws for pair in found.pairs])
    likeness, chance, spread = found.likeness("layer1")
    assert draws.shape == (15, 8)
    assert chance == pytest.approx(draws.mean())
    assert spread == pytest.approx(draws.mean(axis=0).std(ddof=1))
    assert spread < 0.8 * draws.std(axis=1, ddof=1).mean()
    assert abs(likeness - chance) < 3 * spread
    again = compare([*paths[:2], paths[0]]).pairs
    assert again[0] == found.pairs[0]
    assert again[1].layers["layer1"].draws != again[2].layers["layer1"].draws


def test_in_a_draw_a_runs_units_have_the_same_places_whichever_run_they_are_compared_with(tmp_path: Path) -> None:
    """So draws of several pairs may be averaged; and a copy of a run is drawn on its own, or it would count twice."""
    one, other = (snapshot([lines(seed, 8)], resolution=24) for seed in (300, 301))
    paths = [run(tmp_path, name, sample) for name, sample in {"a": one, "b": one, "c": other, "d": other}.items()]
    draws = {pair.runs: pair.layers["layer1"].draws for pair in compare(paths).pairs}
    assert draws[0, 2] == draws[1, 2]
    assert draws[0, 3] == draws[1, 3]
    assert not set(draws[0, 2]) & set(draws[0, 3])
    assert len(set(draws[0, 2])) == 8


def test_lines_through_the_middle_are_alike_by_that_alone() -> None:
    """Mirrored and turned they still run through the middle, so their chance level is higher than that of lines anywhere."""

    def through_the_middle(turn: float) -> list[Function]:
        def line(angle: float) -> Function:
            return lambda u, v: math.cos(angle) * u + math.sin(angle) * v

        return [line(turn + 0.4 * k) for k in range(8)]

    middle = matched(states_of(through_the_middle(0.1), 24), states_of(through_the_middle(0.25), 24))
    anywhere = matched(states_of(lines(7, 8), 24), states_of(lines(8, 8), 24))
    assert middle.chance > anywhere.chance + 0.1


def test_scattered_units_are_in_one_of_eight_positions() -> None:
    states = np.random.default_rng(0).random((200, 5, 5)) > 0.5
    moved = scattered(states, np.random.default_rng(1))
    places = []
    for before, after in zip(states, moved, strict=True):
        eight = [np.rot90(turned, k) for turned in (before, before.T) for k in range(4)]
        places.append([np.array_equal(after, one) for one in eight].index(True))
    assert np.bincount(places, minlength=8).min() >= 10  # 25 are expected in each


def test_chance_is_drawn_anew_from_the_same_seed() -> None:
    one, other = states_of(lines(1, 6), 16), states_of(lines(2, 6), 16)
    assert matched(one, other) == matched(one, other)
    assert matched(one, other).spread > 0


def test_without_scipy_all_but_the_units_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [run(tmp_path, name, plain(step)) for name, step in {"a": 0, "b": 900}.items()]
    whole = compare(paths)
    for module in ("scipy", "scipy.optimize"):
        monkeypatch.setitem(sys.modules, module, None)
    found = compare(paths)
    assert found.layers == ()
    assert found.pairs[0].layers == {}
    assert "Units are not matched: that takes scipy (pip install 'boundarycb[compare]')." in found.text()
    assert "|phi|" not in found.text()
    assert found.agreement == whole.agreement
    assert found.numbers == whole.numbers
    assert whole.layers == ("layer1", "layer2", "layer3")
    assert not whole.notes


def test_layers_that_not_all_have(tmp_path: Path) -> None:
    deep, flat = [lines(k, 3) for k in range(3)], [lines(9, 4)]
    paths = [
        run(tmp_path, name, snapshot(groups, right_of(0.0), resolution=16))
        for name, groups in {"a": deep, "b": deep[:2], "c": flat}.items()
    ]
    found = compare(paths)
    assert found.layers == ("layer1", "layer2")
    assert [list(pair.layers) for pair in found.pairs] == [["layer1", "layer2"], ["layer1"], ["layer1"]]
    assert [len(pair.layers["layer1"].units) for pair in found.pairs] == [3, 3, 3]
    assert "Layer layer2 is only in a, b." in found.notes
    assert "Layer layer3 is only in a, so it is not compared." in found.notes
    assert math.isnan(found.left_out["layer2"][2])
    assert next(line for line in found.text().splitlines() if line.startswith("b, c ")).split()[-1] == "-"


# ----------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("planes", "words"),
    [
        ([SQUARE, slices.box((0, 1), (-1, 1))], "the bounds differ, x1 -1 to 1, x2 -1 to 1 in a, x1 0 to 1, x2 -1 to 1 in b"),
        ([slices.through([0.0] * 3, [1, 0, 0], [0, 1, 0]), SQUARE], "the shapes of inputs differ"),
        (
            [slices.through([0.0, 0, height], [1, 0, height], [0, 1, height]) for height in (0, 0.25)],
            "the origin of a and b differ by up to 0.25",
        ),
        ([Slice(np.zeros(2), np.array([[1.0, 0], [0, one]]), ((0, 1), (0, 1))) for one in (1, 1.5)], "the axes of a and b differ"),
    ],
)
def test_runs_on_other_slices_are_refused(planes: list[Slice], words: str, tmp_path: Path) -> None:
    paths = [
        run(tmp_path, name, snapshot([lines(0, 2)], plane=plane, resolution=8)) for name, plane in zip("ab", planes, strict=True)
    ]
    with pytest.raises(ValueError, match="`runs` must be of one slice") as error:
        compare(paths)
    assert words in str(error.value)
    with pytest.raises(ValueError, match="`runs` must be of one slice"):
        draw_comparison(paths)


def test_slices_that_differ_by_rounding_are_one(tmp_path: Path) -> None:
    planes = [Slice(np.full(2, 1.0), np.eye(2), ((0, 1), (0, one))) for one in (1, 1 + 1e-9)]
    paths = [
        run(tmp_path, name, snapshot([lines(0, 2)], plane=plane, resolution=8)) for name, plane in zip("ab", planes, strict=True)
    ]
    assert compare(paths).likeness("layer1")[0] == 1


def test_too_few_runs_are_refused(tmp_path: Path) -> None:
    path = run(tmp_path, "a", plain(0))
    with pytest.raises(ValueError, match="`runs` must be two or more runs, got 1"):
        compare([path])
    with pytest.raises(ValueError, match=r"`runs` must be a list of two or more runs, got .* alone"):
        compare(str(path))
    with pytest.raises(ValueError, match=r"`runs` must have a snapshot each; .*empty.* has none"):
        compare([path, run(tmp_path, "empty")])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        compare([path, tmp_path / "nowhere"])


# ------------------------------------------------------------------------------------------------------------------ words


def with_numbers(output: Function, metrics: dict[str, float], scalars: dict[str, float], step: int = 0) -> Snapshot:
    sample = snapshot([lines(0, 3)], output, resolution=8, scalars=scalars, step=step)
    return dataclasses.replace(sample, metrics=metrics)


def test_numbers_side_by_side(tmp_path: Path) -> None:
    last = {"decision/length": 2.5, "copycat/pairs/layer1": 1.0, "dormant/live/layer1": 0.75, "drift/flipped/layer1": 0.5}
    one = with_numbers(right_of(0.0), {**last, "symmetry/left_right/output": 0.9}, {"train_loss": 0.25, "lr": 0.1}, step=20)
    other = with_numbers(right_of(0.0), {"decision/length": 3.0, "regions/seen": math.nan}, {"val_acc": 0.875}, step=10)
    earlier = with_numbers(right_of(0.0), {"target/accuracy": 1.0}, {"loss": 9.0}, step=5)
    found = compare([run(tmp_path, "a", earlier, one), load(run(tmp_path, "b", other))])
    nan = pytest.approx(math.nan, nan_ok=True)
    assert found.numbers == {
        "train_loss": (0.25, nan),
        "val_acc": (nan, 0.875),
        "decision/length": (2.5, 3.0),
        "symmetry/left_right/output": (0.9, nan),
        "copycat/pairs/layer1": (1.0, nan),
        "dormant/live/layer1": (0.75, nan),
    }
    assert found.steps == (20, 10)
    rows = {line[:42].strip(): line[42:].split() for line in found.text().splitlines()}
    assert rows["step"] == ["20", "10"]
    assert rows["decision/length"] == ["2.5", "3"]
    assert rows["copycat/pairs/layer1"] == ["1", "-"]
    assert "agreement with the others" not in rows  # two runs have one agreement


def test_the_run_that_is_unlike_the_others_is_named(tmp_path: Path) -> None:
    """Right of 0, -.125, .5 on 16 columns: agreements 15/16, 12/16 and 11/16."""
    edges = {"a": 0.0, "b": -0.125, "bad": 0.5}
    paths = [run(tmp_path, name, snapshot([lines(1, 3)], right_of(edge), resolution=16)) for name, edge in edges.items()]
    found = compare(paths)
    assert [pair.agreement for pair in found.pairs] == [15 / 16, 12 / 16, 11 / 16]
    assert found.with_others(2, "agreement") == 11.5 / 16
    text = found.text()
    assert "bad is least like the others: agreement 0.719 with them on average, 0.938 without it." in text
    rows = {line[:42].strip(): line[42:].split() for line in text.splitlines()}
    assert rows["agreement with the others"] == ["0.8438", "0.8125", "0.7188"]
    assert rows["mean over pairs"][0] == "0.792"


def test_of_runs_that_differ_by_little_none_is_named(tmp_path: Path) -> None:
    """One of three is the least like the others in any case: agreements 55, 56 and 47 of 64."""
    edges = {"a": 0.0, "b": -0.28125, "c": 0.25}
    paths = [run(tmp_path, name, snapshot([lines(1, 3)], right_of(edge), resolution=64)) for name, edge in edges.items()]
    found = compare(paths)
    assert [64 * pair.agreement for pair in found.pairs] == [55, 56, 47]
    assert "is least like the others" not in found.text()


def test_sentences_say_whether_units_are_more_alike_than_chance(tmp_path: Path) -> None:
    first, second = [lines(1, 9), lines(2, 9)], [lines(1, 9)[::-1], lines(3, 9)]
    found = compare([run(tmp_path, n, snapshot(g, resolution=32)) for n, g in {"a": first, "b": second}.items()])
    assert "layer1: units switch in the same places from run to run, more than chance explains." in found.text()
    assert "layer2: units are no more alike from run to run than chance explains." in found.text()
    likeness, chance, spread = found.likeness("layer2")
    rows = {line[:42].strip(): line[42:].split() for line in found.text().splitlines()}
    assert rows["chance level of it"][1] == f"{chance:.3f}"
    assert rows["spread of the chance level"][1] == f"{spread:.3f}"
    assert rows["a, b"] == ["1.000", f"{likeness:.3f}"]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Thirteen runs of which the second class wins right of -.6, -.5, …"""
    folder = tmp_path_factory.mktemp("many")
    return [run(folder, f"r{k}", snapshot([lines(k, 2)], right_of(-0.6 + 0.1 * k), resolution=20)) for k in range(13)]


def test_many_runs_have_several_tables(many: list[Path]) -> None:
    found = compare(many)
    assert len(found.pairs) == 78
    text = found.text()
    assert "  and 50 pairs that are more alike" in text
    heads = [line.split() for line in text.splitlines() if (line.startswith(" " * 42) and "r0" in line) or "r12" in line.split()]
    assert [f"r{k}" for k in range(8)] in heads
    assert [f"r{k}" for k in range(8, 13)] in heads
    first = text.splitlines()[4]
    assert first.startswith("r0, r12 ")  # the least alike comes first
    assert max(map(len, text.splitlines()[:-2])) <= 42 + 8 * 12


def test_what_paths_differ_in_is_the_name() -> None:
    def names(*paths: str) -> list[str]:
        return short_names([Path(path) for path in paths])

    assert names("/x/a/boundaries/history.bcb", "/x/b/boundaries/history.bcb") == ["a", "b"]
    assert names("/x/a/v/history.bcb", "/y/b/v/history.bcb") == ["x/a", "y/b"]
    assert names("/x/history.bcb", "/x/b/history.bcb") == ["x", "x/b"]
    assert names("/x/a/v/history.bcb", "/x/v/history.bcb") == ["a/v", "v"]
    assert names("/x/one.bcb", "/x/two.bcb") == ["one.bcb", "two.bcb"]
    assert names("/history.bcb", "/history.bcb", "/history.bcb") == ["history.bcb", "history.bcb (2)", "history.bcb (3)"]
    assert names("/x/a/history.bcb", "/x/a/history.bcb", "/x/a (2)/history.bcb") == ["a", "a (3)", "a (2)"]


# ---------------------------------------------------------------------------------------------------------------- picture


def test_the_picture_has_its_panels_in_their_places(tmp_path: Path) -> None:
    """Three runs and a map, 2 x 2: overlays to the pixel, and the map's tones where the runs differ."""

    def sample(edge: float) -> Snapshot:
        border = Boundaries(np.array([[edge, -1.0], [edge, 1.0]]), np.array([0, 2]), np.array([1]), (class_layer(2),))
        return dataclasses.replace(snapshot([[lambda u, v: v]], right_of(edge), step=1500), decision=border)

    paths = [run(tmp_path, name, sample(edge)) for name, edge in {"a": 0.0, "b": 0.0, "c": -0.5}.items()]
    picture = draw_comparison(paths, 256)
    layout = Layout.of(SQUARE, 256)
    gap, top = layout.strip, 2 * layout.strip
    assert picture.pixels.shape == (top + 2 * (layout.height + gap), 2 * (layout.width + gap) + gap)
    seen = picture.rgb().astype(int)

    def panel(place: int) -> NDArray[np.int64]:
        x, y = gap + place % 2 * (layout.width + gap), top + place // 2 * (layout.height + gap)
        return seen[y : y + layout.height, x : x + layout.width]

    for place, path in enumerate(paths):
        want = draw_overlay(load(path)[-1], 256, title=f"{'abc'[place]}   step 1,500").rgb().astype(int)
        assert abs(panel(place) - want).max() == 0
    left, upper, right, lower = layout.plot
    plot = panel(3)[upper:lower, left:right]
    assert plot[20, 20].tolist() == plot[200, 200].tolist() == list(rgb(_SAME))
    assert plot[128, 96].tolist() == list(rgb(_APART))  # u = -.25: between the edges, where one of three differs
    assert (plot[:, 127:129].min(axis=(1, 2)) < 150).all()  # the border of a and b
    assert (plot[:, 63:65, 0].min(axis=1) < 150).all()  # that of c


def test_a_map_stands_the_right_way_up(tmp_path: Path) -> None:
    def upper(edge: float) -> Function:
        return lambda u, v: np.stack([0 * u, 50 * (np.minimum(u, v) - edge)], axis=1)

    paths = [run(tmp_path, str(edge), snapshot([[lambda u, v: 1 + u]], upper(edge), resolution=32)) for edge in (0.4, 2.0)]
    shown = difference(ends_of(paths))
    assert shown is not None
    assert shown.values[-1, -1] == 0.5  # of two, one differs from the majority
    assert shown.values[0, -1] == shown.values[-1, 0] == shown.values[0, 0] == 0
    assert shown.ends == ("same", "other")  # of two there is no majority
    assert shown.caption == "where the two runs' classes differ, 32² grid"
    picture = draw_comparison(paths, 100)
    layout = Layout.of(SQUARE, 100)
    x, y = layout.strip + 2 * (layout.width + layout.strip), 4 * layout.strip  # three columns; the map is the last
    assert picture.rgb()[y + 10, x + 90].tolist() == list(rgb(_APART))
    assert picture.rgb()[y + 90, x + 90].tolist() == picture.rgb()[y + 10, x + 10].tolist() == list(rgb(_SAME))


def test_dissent_is_the_share_outside_the_majority() -> None:
    classes = np.random.default_rng(0).integers(0, 4, (7, 6, 5))
    found = dissent(classes)
    for place in np.ndindex(6, 5):
        votes = np.bincount(classes[(slice(None), *place)])
        assert found[place] == pytest.approx(1 - votes.max() / 7)


def test_the_map_of_values_is_their_standard_deviation(tmp_path: Path) -> None:
    shapes: list[Function] = [lambda u, v: u[:, None], lambda u, v: 3 * u[:, None]]
    paths = [run(tmp_path, str(k), snapshot([lines(0, 2)], shape, resolution=8)) for k, shape in enumerate(shapes)]
    shown = difference(ends_of(paths))
    assert shown is not None
    assert shown.values[0] == pytest.approx(abs(np.arange(8) / 4 - 0.875))  # u and 3 u are |u| from their mean
    assert shown.ends == ("0", "0.875")
    assert shown.caption.startswith("standard deviation of the output over 2 runs")
    assert draw_comparison(paths, 64).pixels.shape[1] > 3 * 64


def test_twelve_runs_are_drawn_and_all_are_in_the_map(many: list[Path]) -> None:
    picture = draw_comparison(many, 64)
    layout = Layout.of(SQUARE, 64, lines=4)  # so narrow that the caption takes a line more
    assert columns_for(13) == 5
    assert picture.pixels.shape == (2 * layout.strip + 3 * (layout.height + layout.strip), 5 * (64 + layout.strip) + layout.strip)
    empty = picture.rgb()[2 * layout.strip + 2 * (layout.height + layout.strip) :, 4 * layout.strip + 3 * 64 :]
    assert (empty == empty[0, 0]).all()  # beside the thirteenth panel, the map
    assert np.array_equal(picture.pixels, compare(many).picture(64).pixels)
    shown = difference(ends_of(many))
    assert shown is not None
    assert shown.ends[1] == "6 of 13 runs"
    fewer = draw_comparison(many[:11], 64)
    assert fewer.pixels.shape[1] == 4 * (64 + layout.strip) + layout.strip


def test_a_comparison_shows_as_its_text(many: list[Path]) -> None:
    """Where it is the last line of a notebook's cell, say."""
    assert repr(compare(many[:2])) == compare(many[:2]).text()


def test_agreeing_runs_have_a_pale_map(tmp_path: Path) -> None:
    path = run(tmp_path, "a", snapshot([lines(0, 2)], right_of(0.0), resolution=16))
    shown = difference(ends_of([path, path]))
    assert shown is not None
    assert not shown.values.any()
    assert not (draw_comparison([path, path], 64).rgb() == rgb(_APART)).all(axis=2).sum() > 500  # the key alone


def test_titles_lose_their_beginning() -> None:
    layout, sample = Layout.of(SQUARE, 256), plain(1200)
    assert _title(("", "version_0"), sample, layout) == "version_0   step 1,200"
    long = _title(("run 7: ", "a_sweep_of_many_words/with_another_folder/lr=0.1"), sample, layout)
    assert long.startswith("run 7: …")
    assert long.endswith("lr=0.1   step 1,200")
    assert text_width(long, layout.letter * 1.1, bold=True) <= 0.9 * layout.width  # an overlay cuts longer ones


def test_long_names_are_numbered(tmp_path: Path) -> None:
    names = ["a_sweep/lr=0.1/batch=64/seed", "a_sweep/lr=0.1/batch=128/seed", "b"]
    paths = [run(tmp_path, name, plain(step)) for name, step in zip(names, (0, 300, 600), strict=True)]
    lines_ = compare(paths).text().splitlines()
    assert lines_[1:4] == [f"  run {number}: {name}" for number, name in enumerate(names, 1)]
    assert "run 1, run 2" in [line[:42].strip() for line in lines_]
    assert " run 1       run 2       run 3" in lines_[lines_.index("Runs side by side, at their ends") + 1]
    want = draw_overlay(load(paths[2])[-1], 256, title="run 3: b   step 600").rgb().astype(int)
    layout = Layout.of(SQUARE, 256)
    x, y = layout.strip, 2 * layout.strip + layout.height + layout.strip
    seen = draw_comparison(paths, 256).rgb()[y : y + layout.height, x : x + layout.width]
    apart = abs(seen - want).max(axis=2)  # of some 260 colours the rarest are given up
    assert (apart > 0).mean() < 0.001
    assert apart.max() < 48


# ---------------------------------------------------------------------------------------------------------------- command


def test_the_command_says_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process, which must load neither torch nor Lightning."""
    monkeypatch.setattr("boundarycb.render.thin.opencv", opencv)  # with which it draws, where that is installed
    paths = [str(run(tmp_path, name, plain(step))) for name, step in {"a": 0, "b": 700}.items()]
    script = (
        "import sys; from boundarycb.cli import main; status = main(sys.argv[1:]); "
        "print(sorted({'torch', 'lightning', 'pytorch_lightning'} & set(sys.modules))); sys.exit(status)"
    )
    out = tmp_path / "out.png"
    command = [sys.executable, "-c", script, "compare", *paths, "-o", str(out), "--size", "128"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(compare(paths).text())
    *_, said, loaded = ran.stdout.splitlines()
    with Image.open(out) as image:
        seen = np.asarray(image.convert("RGB"))
    assert said.startswith(f"{out}: {seen.shape[1]} x {seen.shape[0]}, ")
    assert loaded == "[]"
    assert np.array_equal(seen, draw_comparison(paths, 128).rgb())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a"], "`RUN` must be two or more runs, got 1."),
        (["a", "nowhere"], "No history.bcb in nowhere"),
        (["a", "other"], "`RUN` must be of one slice: the bounds differ"),
        (["a", "a", "-o", "x.gif"], "`--output` must end in .png, got x.gif."),
        (["a", "a", "-o", "x.png", "--size", "3"], "`--size` must be"),
        (["a", "a", "-o", "no/such/folder/x.png"], "`--output` must lie in a folder that exists, got no/such/folder/x.png."),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "a", plain(0))
    run(tmp_path, "other", snapshot([lines(0, 2)], plane=slices.box((0, 1), (0, 1)), resolution=8))
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments]) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"boundarycb compare: {words}")
    assert told.err.count("\n") == 1
    assert not told.out


def test_it_is_public() -> None:
    assert boundarycb.compare is compare
    assert "compare" in dir(boundarycb)
