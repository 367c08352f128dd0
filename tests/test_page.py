"""The report of a run: what its findings say of planted numbers, the page, its pictures, and who gets it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshots import SQUARE, fan, four_classes, one_value, plain, rings, snapshot, two_classes

from boundarycb import load, slices
from boundarycb.cli import main
from boundarycb.history import History, HistoryWriter
from boundarycb.render.colours import INK, rgb
from boundarycb.report import make_report, summarise
from boundarycb.report.charts import Chart, Curve, _step_ticks, _stretched, _ticks, draw_charts
from boundarycb.report.ends import extent
from boundarycb.report.finding import Finding
from boundarycb.report.layout import legend_rows
from boundarycb.report.phenomena import ALL
from boundarycb.report.planes import Lines, Plane, _axes_words, draw_planes, draw_target_beside, wrong_points
from boundarycb.report.run import Run
from boundarycb.sinks.report import ReportFile, write_report

LAYERS = ("layer1", "layer2", "layer3")
STEPS = (0, 5, 10, 15, 20, 60, 100, 600, 700, 800)


def history(
    directory: Path, numbers: Mapping[str, Any], tables: Mapping[int, Mapping[str, list[dict[str, Any]]]] | None = None, **more: Any
) -> History:
    """Return a run whose metrics are `numbers`: functions of the step, or what is the same at every step."""
    plane = more.get("plane", SQUARE)
    writer = HistoryWriter(directory, plane)
    for step in STEPS:
        metrics = {name: float(value(step) if callable(value) else value) for name, value in numbers.items()}
        writer.append(replace(plain(step), slice=plane, metrics=metrics, tables=(tables or {}).get(step, {})))
    return load(directory)


def found(name: str, run: History) -> Finding:
    """Return the finding called `name`."""
    findings = [one for phenomenon in ALL if (one := phenomenon(Run(run))) is not None]
    return next(one for one in findings if one.name == name)


def test_nothing_is_said_of_what_was_not_measured(tmp_path: Path) -> None:
    run = history(tmp_path, {})
    assert [phenomenon(Run(run)) for phenomenon in ALL] == [None] * len(ALL)
    report = make_report(run)
    assert set(report.pictures) == {"run", "training"}
    assert "In short" not in report.text
    assert "10 snapshots of steps 0 to 800" in report.text


def test_an_empty_history_is_refused(tmp_path: Path) -> None:
    HistoryWriter(tmp_path, SQUARE)
    with pytest.raises(ValueError, match="`history` holds no snapshot"):
        make_report(load(tmp_path))


def drift(shift: Any, bias: float) -> dict[str, Any]:
    """Return drift of 0.1 a sample, of which the share `shift` of the step is shift, and `bias` is done by biases."""
    return {
        "drift/flipped/layer1": lambda step: math.nan if step == 0 else 0.1,
        "drift/shift/layer1": lambda step: math.nan if step == 0 else 0.1 * shift(step),
        "drift/rotate/layer1": lambda step: math.nan if step == 0 else 0.1 * (1 - shift(step)),
        "drift/upstream/layer1": 0.0,
        "cause/bias/layer1": lambda step: math.nan if step == 0 else 0.1 * bias,
        "cause/weights/layer1": lambda step: math.nan if step == 0 else 0.1 * (1 - bias),
        "cause/upstream/layer1": 0.0,
    }


def test_what_moved_early_and_late(tmp_path: Path) -> None:
    run = history(tmp_path, drift(lambda step: 0.9 if step <= 20 else 0.4, bias=0.25))
    said = found("moved", run)
    assert said.result == "of shift + turn, shift makes 90 % in steps 0 to 20, 40 % in steps 100 to 800"
    assert "shift makes 90 % in steps 0 to 20 and 40 % in steps 100 to 800 (layer1)" in said.sentences[0]
    assert said.sentences[0].endswith("Clearly less, by three standard errors: layer1.")
    assert "its bias did 25 % in steps 0 to 20 and 25 % in steps 100 to 800" in said.sentences[1]
    (row,) = said.rows
    # nine samples of 0.1: .9; shift .1 (4 x .9 + 5 x .4) of .9
    assert row["flipped"] == "0.90"
    assert row["part"] == "44 %"  # four of nine
    assert row["shift"] == f"{(4 * 0.9 + 5 * 0.4) / 9:.0%}".replace("%", " %")
    assert row["upstream"] == "0 %"


def test_a_window_that_has_too_few_samples_is_not_compared(tmp_path: Path) -> None:
    """Three samples make a sentence: the window from 20 to 100 has two, and what is in it could not be less like the others."""
    said = found("moved", history(tmp_path, drift(lambda step: 0.0 if 20 < step <= 100 else 0.5, bias=0.25)))
    assert "shift makes 50 % in steps 0 to 20 and 50 % in steps 100 to 800" in said.sentences[0]
    assert said.sentences[0].endswith("three standard errors: none.")


def test_less_shift_that_samples_scatter_by_is_not_clearly_less(tmp_path: Path) -> None:
    """0.9, 0.1, 0.9, 0.1 early and 0.2, 0.4, 0.6 late: 0.5 and 0.4, with standard errors of 0.23 and 0.12."""
    shares = {5: 0.9, 10: 0.1, 15: 0.9, 20: 0.1, 60: 0.5, 100: 0.5, 600: 0.2, 700: 0.4, 800: 0.6}
    said = found("moved", history(tmp_path, drift(lambda step: shares[step], bias=0.25)))
    assert said.sentences[0].endswith("three standard errors: none.")


def test_a_layer_whose_drift_has_no_parts_is_no_obstacle_and_is_named(tmp_path: Path) -> None:
    """Such as one behind a normalisation: windows, shares and charts are those of the layers that have parts."""
    numbers = {
        name.replace("layer1", "layer2"): value for name, value in drift(lambda step: 0.9 if step <= 20 else 0.4, 0.25).items()
    }
    nothing = {"drift/shift/layer1": math.nan, "drift/rotate/layer1": math.nan, "drift/upstream/layer1": math.nan}
    said = found("moved", history(tmp_path, {**numbers, "drift/flipped/layer1": 0.1, **nothing}))
    assert said.result == "of shift + turn, shift makes 90 % in steps 0 to 20, 40 % in steps 100 to 800"
    assert "(layer2)" in said.sentences[0]
    assert said.sentences[2].startswith("Of layer1 only how much switched is known")
    assert [row["layer"] for row in said.rows] == ["layer1", "layer2"]
    assert said.draw is not None
    alone = found("moved", history(tmp_path / "alone", numbers))
    assert alone.draw is not None
    np.testing.assert_array_equal(said.draw().pixels, alone.draw().pixels)


def test_where_no_layer_has_parts_it_is_drawn_how_much_switched(tmp_path: Path) -> None:
    flipped = {"drift/flipped/layer1": 0.1, "drift/flipped/layer2": lambda step: 0.01 * (step > 20)}
    said = found("moved", history(tmp_path, flipped))
    assert said.result == "layer1: 0.90 switches a point and unit"
    assert said.sentences == [said.sentences[0]]
    assert said.sentences[0].startswith("Of layer1 and layer2 only how much switched is known")
    assert "geometry" not in said.caption
    assert said.draw is not None
    still = found("moved", history(tmp_path / "still", {**flipped, "drift/flipped/layer2": 0.0}))
    assert still.draw is not None
    assert (said.draw().pixels != still.draw().pixels).any()  # the second layer's curve is there


def test_shares_in_the_summary_have_the_names_of_their_layers(tmp_path: Path) -> None:
    """Three at most, and none that is not defined in both windows."""
    numbers = drift(lambda step: 0.9 if step <= 20 else 0.4, bias=0.25)
    for layer in ("layer2", "layer3"):
        numbers |= {name.replace("layer1", layer): value for name, value in drift(lambda step: 0.8, bias=0.25).items()}
    numbers["drift/flipped/layer3"] = lambda step: 0.1 * (step > 20)  # so that nothing is known of its first steps
    said = found("moved", history(tmp_path, numbers))
    assert said.result == (
        "of shift + turn, shift makes 90 % / 80 % in steps 0 to 20, 40 % / 80 % in steps 100 to 800 (layer1 / layer2)"
    )
    assert "?" not in "".join(said.sentences)


def test_a_constant_learning_rate_takes_no_room(tmp_path: Path) -> None:
    sizes = {}
    for name, rate in (("constant", lambda step: 0.1), ("falling", lambda step: 0.1 / (1 + step))):
        writer = HistoryWriter(tmp_path / name, SQUARE)
        for step in STEPS:
            writer.append(replace(plain(step), scalars={"loss": 1 / (1 + step), "lr": rate(step)}))
        sizes[name] = make_report(load(tmp_path / name)).pictures["training"].pixels.shape[1]
    assert sizes["falling"] > 1.8 * sizes["constant"]


def test_parts_that_cancel_are_no_shares(tmp_path: Path) -> None:
    """Shift of -0.5 and turn of 1.5: shares of nothing, so no sentence is made of them but that."""
    said = found("moved", history(tmp_path, drift(lambda step: -0.5, bias=0.25)))
    (sentence,) = said.sentences
    assert sentence.startswith("Early and late are not compared: what switched is too little, or its parts cancel")


def test_parts_that_nearly_cancel_are_no_shares(tmp_path: Path) -> None:
    """Shift of -2.05 and turn of 2.15 were -2050 % of both."""
    run = Run(history(tmp_path, drift(lambda step: -20.5 if step > 100 else 0.8, bias=0.5)))
    assert math.isnan(run.share(["drift/shift", "drift/rotate"], "layer1", 100, 800))
    assert run.share(["drift/shift", "drift/rotate"], "layer1", 0, 100) == pytest.approx(0.8)
    assert "2050" not in make_report(run.history).text


def test_parts_below_nothing_and_above_all_are_explained_where_they_stand(tmp_path: Path) -> None:
    """Biases that did 105 % of what bias and weights did together: weights undid 5 %."""
    said = found("moved", history(tmp_path / "some", drift(lambda step: 0.5, bias=1.05)))
    assert said.rows[0]["bias_early"] == "105 %"
    assert said.note.startswith("Parts are counted with their sign: one that undid what others did")
    signs = "Shares below 0 or above 1 are of parts that undid what others did"
    assert signs in summarise(load(tmp_path / "some"))
    assert signs not in summarise(history(tmp_path / "within", drift(lambda step: 0.5, bias=0.5)))
    assert f"\n\n{said.note}\n\n![" in make_report(load(tmp_path / "some")).text  # between the table and the picture
    assert found("moved", history(tmp_path / "none", drift(lambda step: 0.5, bias=1.0))).note == ""


@pytest.mark.parametrize("count", [4, 7])
def test_too_few_snapshots_to_compare_are_said_so(tmp_path: Path, count: int) -> None:
    """Four of steps 0 to 15 are all in the first window; with those of steps 20, 60 and 100 there are two in the second."""
    writer = HistoryWriter(tmp_path, SQUARE)
    numbers = drift(lambda step: 0.5, bias=0.25)
    for step in STEPS[:count]:
        writer.append(
            replace(plain(step), metrics={name: value(step) if callable(value) else value for name, value in numbers.items()})
        )
    said = found("moved", load(tmp_path))
    (sentence,) = said.sentences
    assert sentence.startswith(
        "There are too few snapshots to compare early with late: that takes 3 of them in each of two windows"
    )
    assert sentence.endswith(f"parted at 20, 100, 500 and 2,000, and here are {count} in all.")
    assert said.level == "no chance level, and no early and late to compare"
    assert "or the layers below\n\n- **There are" in make_report(load(tmp_path)).text


def critical(layer: str, edge: float, chance: float) -> dict[str, Any]:
    numbers = {
        "edge": lambda step: chance - (chance - edge) * step / 800,
        "edge_chance": chance,
        "corner": 0.5,
        "corner_chance": 1.0,
    }
    return {f"critical/{name}/{layer}": value for name, value in numbers.items()}


def test_critical_points_need_a_target(tmp_path: Path) -> None:
    run = history(tmp_path, critical("layer1", 0.4, 0.9))
    assert not [one for phenomenon in ALL if (one := phenomenon(Run(run))) is not None and one.name == "critical"]


def test_edge_ratios_are_compared_with_their_own_chance_levels(tmp_path: Path) -> None:
    """Layer 2 has the lower ratio, and is not below its chance level; layer 1 is, by 4.4 times 0.28 / sqrt(6)."""
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    numbers = {**critical("layer1", 0.4, 0.9), **critical("layer2", 0.35, 0.4)}
    said = found("critical", history(tmp_path, numbers, plane=aimed))
    assert said.result == "edge ratio 0.40 / 0.35 at the end (layer1 / layer2)"
    assert said.level == "0.90 / 0.40 when the same boundaries are turned"
    assert said.sentences[0].startswith("At the end the boundaries of layer1 run clearly nearer to the target's edges")
    assert [row["edge1"] for row in said.rows] == ["0.40", "0.35"]
    assert said.rows[0]["units1"] == "6 of 6"
    none = found("critical", history(tmp_path / "none", critical("layer2", 0.35, 0.4), plane=aimed))
    assert none.sentences[0].startswith("At the end the boundaries of no layer by itself run clearly nearer")
    assert len(none.sentences) == 2


def test_layers_that_are_near_together_are_told_so(tmp_path: Path) -> None:
    """0.25 below in lines of 6, 3 and 4 units: 2.2, 1.5 and 1.8 standard deviations, together 5.5 / sqrt(3) = 3.2."""
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    numbers = critical("layer1", 0.65, 0.9) | critical("layer2", 0.65, 0.9) | critical("layer3", 0.65, 0.9)
    said = found("critical", history(tmp_path, numbers, plane=aimed))
    assert "of no layer by itself" in said.sentences[0]
    assert said.sentences[1] == "All 3 layers together do: they lie 3.2 standard deviations below."


def pair(since: int | None, phi: float = 0.98, layer: str = "layer1", units: tuple[int, int] = (2, 4)) -> dict[str, Any]:
    return {"layer": layer, "unit": units[0], "other": units[1], "phi": phi, "chance": 0.95, "since": since}


def copies(pairs: Any, chance: float = 0.95) -> dict[str, Any]:
    return {
        "copycat/pairs/layer1": pairs,
        "copycat/new_pairs/layer1": pairs,
        "copycat/chance/layer1": chance,
        "copycat/max_phi/layer1": 0.98,
    }


def test_copycats_are_told_with_their_birth(tmp_path: Path) -> None:
    tables = {800: {"copycat/closest": [pair(0, 0.99, units=(0, 1)), pair(100), pair(None, 0.94, units=(1, 3))]}}
    run = history(tmp_path, copies(lambda step: 2 if step >= 100 else 1), tables)
    said = found("copycats", run)
    assert said.result == "2 pairs at the end, 2 of them new; 1 at the start"
    assert said.level == "|phi| of 0.950 or more"
    assert said.sentences[0] == "layer1: units 0 and 1 are copycats from the start: |phi| 0.990, level 0.950."
    assert said.sentences[1] == "layer1: units 2 and 4 are copycats since step 100: |phi| 0.980, level 0.950."
    assert len(said.sentences) == 2
    assert (
        "units 2 and 4, copycats since step 100: at the start, then and at the end" in said.caption
    )  # the one that was born in the run


def test_a_mirrored_pair_is_called_so(tmp_path: Path) -> None:
    said = found("copycats", history(tmp_path, copies(1), {800: {"copycat/closest": [pair(100, -0.98)]}}))
    assert "mirrored (one is on where the other is off): |phi| 0.980" in said.sentences[0]


def test_copycats_of_the_middle_of_a_run_are_told(tmp_path: Path) -> None:
    numbers = {**copies(0), "copycat/pairs/layer1": lambda step: {5: 1.0, 60: 3.0}.get(step, 0.0)}
    assert (
        "layer1 had 3 pairs at most, at 2 snapshots, the last of them at step 60."
        in found("copycats", history(tmp_path, numbers)).sentences
    )


def test_no_copycats_are_no_claim(tmp_path: Path) -> None:
    said = found("copycats", history(tmp_path, copies(0), {800: {"copycat/closest": [pair(None, 0.9)]}}))
    assert said.result == "no pairs at the end; 0 at the start"
    assert said.sentences == ["At the end no pair of layer1 reaches its layer's level."]
    assert "the most alike pair, which does not reach its level" in said.caption


def restless(at: int) -> tuple[dict[str, Any], dict[int, Any]]:
    numbers = {
        "indecisive/units/layer3": lambda step: 1 if step == at else 0,
        "indecisive/strict/layer3": lambda step: 1 if step == at else 0,
        "indecisive/jitter/layer3": 0.01,
        "indecisive/output_moved": lambda step: 0.002 if step == at else 0.5,
    }
    row = {"layer": "layer3", "unit": 1, "jitter": 0.06, "osc": 0.9, "ret": 0.8, "rel_jitter": 6.0, "step": 60, "other_step": 100}
    return numbers, {at: {"indecisive/worst": [row]}}


def test_an_indecisive_unit_is_named_with_its_two_states(tmp_path: Path) -> None:
    said = found("indecisive", history(tmp_path, *restless(600)))
    assert said.result == "1 unit ever flagged, 1 at once at most"
    assert (
        "of the strict ones: layer3, unit 1, in the eight snapshots up to step 600: it flips on 6 % of the slice"
        in said.sentences[0]
    )
    assert "the output moved by 0.2 % of its range a snapshot" in said.sentences[0]  # then, and not at the end
    assert "layer3, unit 1, at 1 snapshot of 10" in said.sentences[1]
    assert said.caption.startswith("Left: the two of the eight snapshots at which layer3's unit 1 differs most")


def test_the_most_restless_of_the_strict_ones_is_shown(tmp_path: Path) -> None:
    """Another one flips more, while the output moves; a third one less."""
    numbers, tables = restless(600)
    row = tables[600]["indecisive/worst"][0]
    tables[100] = {"indecisive/worst": [{**row, "unit": 3, "jitter": 0.9}]}  # with six snapshots before it: no whole window
    tables[800] = {"indecisive/worst": [{**row, "unit": 2, "jitter": 0.3}]}
    tables[700] = {"indecisive/worst": [{**row, "unit": 0, "jitter": 0.01}, {**row, "unit": 2, "jitter": 0.3}]}
    said = found("indecisive", history(tmp_path, numbers, tables))
    assert "layer3, unit 1" in said.sentences[0]
    assert "Flagged most often: layer3, unit 2, at 2 snapshots" in said.sentences[1]
    assert [row["units"] for row in said.rows] == ["3"]


def test_no_indecisive_unit_is_said_so(tmp_path: Path) -> None:
    numbers, _ = restless(-1)
    said = found("indecisive", history(tmp_path, numbers))
    assert said.result == "no units ever flagged"
    assert said.sentences == ["No unit met all of the criteria at any snapshot."]


def test_the_most_symmetric_layer_is_that_farthest_above_its_chance(tmp_path: Path) -> None:
    numbers: dict[str, Any] = {}
    for layer, score, chance in (("layer1", 0.7, 0.65), ("layer2", 0.5, 0.1), ("layer3", math.nan, math.nan)):
        numbers |= {f"symmetry/left_right/{layer}": 0.0, f"symmetry/up_down/{layer}": score, f"symmetry/chance/{layer}": chance}
    said = found("symmetry", history(tmp_path, {**numbers, "symmetry/up_down/target": 0.93}))
    assert said.result == "most: layer2, up-down, 0.50"
    assert said.level == "0.10 on other axes"
    assert "The target's own up-down symmetry is 0.93." in said.sentences[0]


def test_dormant_units_are_told_at_start_and_end(tmp_path: Path) -> None:
    numbers = {"dormant/live/layer2": lambda step: 1 - step / 1600, "dormant/never_on/layer2": 0.3, "dormant/revivals/layer2": 2}
    said = found("dormant", history(tmp_path, {**numbers, "dormant/never_predicted_data": 1}))
    assert said.result == "layer2: 50 % of the units switch at the end"
    assert said.level == "100 % at the start"
    back = "2 times a unit that was on nowhere on the slice was on somewhere at the next snapshot, again or for the first time."
    assert said.sentences == [back]  # nothing but the shape of the output says that it is of classes
    marked = slices.marked(SQUARE, [[0.5, 0.5]], labels=[1])
    called = found("dormant", history(tmp_path / "marked", {**numbers, "dormant/never_predicted_data": 1}, plane=marked))
    assert called.sentences == ["1 class won for none of the data points.", back]


@pytest.mark.parametrize(("since", "said"), [(0, "at all snapshots"), (600, "since step 600")])
def test_a_layer_that_is_off_is_told_first(tmp_path: Path, since: int, said: str) -> None:
    """Nothing of the input passes it, which no other number of the report says."""
    numbers: dict[str, Any] = {"dormant/live/layer1": 0.5, "dormant/never_on/layer1": 0.5}
    numbers |= {"dormant/live/layer2": 0.0, "dormant/never_on/layer2": lambda step: 1.0 if step >= since else 0.5}
    one = found("dormant", history(tmp_path, numbers))
    assert (one.result, one.level) == (
        "all units of layer2 on nowhere at the end",
        "100 % at the start" if not since else "50 % at the start",
    )
    assert one.sentences[0] == f"All units of layer2 are on nowhere on the slice, {said}: the layer gives 0 everywhere there."
    back = found("dormant", history(tmp_path / "back", {**numbers, "dormant/never_on/layer2": lambda step: float(step < 800)}))
    assert "All units" not in back.sentences[0]
    others = {}
    for name in ("smooth", "part"):
        writer = HistoryWriter(tmp_path / name, SQUARE)
        for sample in history(tmp_path / f"{name} first", numbers):
            layers = tuple(replace(one, op="gelu") if name == "smooth" else replace(one, shape=(40,)) for one in sample.layers)
            lines = replace(sample.boundaries, layers=layers)
            writer.append(replace(sample, capture=replace(sample.capture, layers=layers), boundaries=lines))
        others[name] = found("dormant", load(tmp_path / name)).sentences[0]
    assert not others["smooth"].startswith("All")
    assert others["part"] == f"All watched units of layer2 are on nowhere on the slice, {said}."


@pytest.fixture(scope="module")
def half_still(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A run of which one layer depends on something that does not vary on the slice: its units switch, each everywhere at once."""
    numbers = drift(lambda step: 0.5, 0.5)
    numbers |= {name.replace("layer1", "layer3"): value for name, value in drift(lambda step: 1.0, 1.0).items()}
    numbers |= {"dormant/live/layer1": lambda step: 0.0 if step < 10 else 0.75, "dormant/live/layer3": 0.0}
    numbers |= {"dormant/revivals/layer1": 0, "dormant/revivals/layer3": 3, "complexity/local/layer3": 0.0}
    numbers |= {"regions/exact/layer1": 9, "regions/exact/layer2": 20, "regions/exact/layer3": 20}
    numbers |= {**copies(0), "copycat/pairs/layer3": 0.0, "copycat/chance/layer3": 0.95}
    numbers |= {f"indecisive/{name}/{layer}": 0.0 for name in ("units", "strict", "jitter") for layer in LAYERS}
    row = {"layer": "layer3", "unit": 1, "jitter": 0.5, "osc": 0.9, "ret": 0.8, "rel_jitter": 6.0, "step": 60, "other_step": 100}
    return history(tmp_path_factory.mktemp("still"), numbers, {600: {"indecisive/worst": [row]}})


def test_layers_that_switch_nowhere_on_the_slice_are_no_findings(half_still: History) -> None:
    for phenomenon in ALL:
        said = phenomenon(Run(half_still))
        if said is not None and said.name != "dormant":
            assert "layer3" not in f"{said.result} {said.level} {said.rows} {said.sentences} {said.caption}", said.name
    assert found("regions", half_still).result == "20 linear regions at the end"  # its count is that of the layer below it
    assert [row["what"] for row in found("regions", half_still).rows] == ["regions up to layer1", "regions up to layer2"]
    assert found("dormant", half_still).result == "layer1: 75 % of the units switch at the end"
    assert [row["layer"] for row in found("dormant", half_still).rows] == ["layer1", "layer3"]  # where it is told what they are
    assert (
        found("dormant", half_still).sentences[-1]
        == "No unit that was on nowhere on the slice was on somewhere at the next snapshot."
    )
    assert make_report(half_still).text.count("No unit of layer3 switches on this slice at any snapshot") == 1


def test_the_table_in_the_terminal_has_no_parts_of_what_has_no_boundary(half_still: History) -> None:
    rows = [line for line in summarise(half_still).splitlines() if line.startswith("  of it by")]
    assert len(rows) == 3
    assert all(line.split()[-1] == "-" and line.split()[-3] != "-" for line in rows)


def test_of_many_layers_those_of_single_units_are_not_told_of(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(snapshot([fan(1 + number % 2, 0) for number in range(12)]))
    assert Run(load(tmp_path)).layers == [f"layer{number}" for number in range(2, 13, 2)]
    writer = HistoryWriter(tmp_path / "single", SQUARE)
    writer.append(snapshot([fan(1, 0) for _ in range(12)]))
    assert len(Run(load(tmp_path / "single")).layers) == 8


def test_a_network_of_which_nothing_switches_is_told_of_as_it_is(tmp_path: Path) -> None:
    numbers = {f"dormant/live/{layer}": 0.0 for layer in LAYERS} | {f"dormant/revivals/{layer}": 0 for layer in LAYERS}
    run = history(tmp_path, numbers)
    assert found("dormant", run).result == "layer1: 0 % of the units switch at the end"
    assert "**No unit switches on this slice at any snapshot: no boundary lies on it.**" in make_report(run).text
    assert "Another `slice=` may show some" in make_report(run).text
    some = history(tmp_path / "some", {**numbers, "dormant/live/layer2": 0.5})
    assert "no boundary lies on it" not in make_report(some).text


def test_units_that_are_on_everywhere_are_told_and_drawn(tmp_path: Path) -> None:
    numbers = {"dormant/live/layer1": 0.6, "dormant/always_on/layer1": 0.4, "dormant/never_on/layer1": 0.0}
    run = history(tmp_path, numbers)
    said = found("dormant", run)
    assert (
        said.sentences[0]
        == "At the end these shares of the units are on everywhere on the slice, and so bend nothing here: layer1 40 %."
    )
    assert said.draw is not None
    two = said.draw().pixels.shape
    few = found("dormant", history(tmp_path / "few", {**numbers, "dormant/always_on/layer1": 0.1}))
    assert few.sentences[0].startswith("No unit that was on nowhere")
    assert few.draw is not None
    assert few.draw().pixels.shape == two  # live and always on; of never on, which is 0 throughout, there is no chart


def test_units_that_do_nothing_for_the_data_are_told_first(tmp_path: Path) -> None:
    numbers = {"dormant/live/layer2": 0.5, "dormant/revivals/layer2": 0, "dormant/never_on_data/layer2": 0.5}
    said = found("dormant", history(tmp_path, numbers))
    assert said.sentences[0] == "At the end these shares of the units are on for none of the data points: layer2 50 %."
    assert said.sentences[1] == "No unit that was on nowhere on the slice was on somewhere at the next snapshot."


def parts_of(*recalls: float) -> dict[int, Any]:
    rows = [
        {"part": number + 1, "class": number % 2, "share": 0.1, "u": 0.01, "v": -0.02, "recall": recall}
        for number, recall in enumerate(recalls)
    ]
    return {800: {"target/parts": rows}}


def test_the_part_that_was_missed_is_named(tmp_path: Path) -> None:
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    numbers = {"target/accuracy": 0.77, "target/missed_parts": 1}
    said = found("missed", history(tmp_path, numbers, parts_of(0.99, 0.1, 0.6), plane=aimed))
    assert said.result == "1 part missed; 77 % of the points are right"
    assert said.level == "75 % of the points are right where the commonest class is said everywhere"
    assert said.sentences == ["Part 2 is missed: of its points around (0.01, -0.02), class 1, 10 % are right."]


def test_of_many_parts_that_were_missed_the_ten_worst_are_told_the_worst_first(tmp_path: Path) -> None:
    """The table has the ten largest; the smaller ones are missed more."""
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    recalls = [0.45, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.0, 0.05, 0.02, 0.01]
    said = found("missed", history(tmp_path, {"target/accuracy": 0.5, "target/missed_parts": 12}, parts_of(*recalls), plane=aimed))
    assert [row["part"] for row in said.rows] == list(range(1, 11))
    assert [int(sentence.split()[1]) for sentence in said.sentences] == [9, 12, 11, 10, 8, 7, 6, 5, 4, 3]


def test_how_many_parts_are_missed_is_the_metrics_to_say(tmp_path: Path) -> None:
    """The table has the twenty largest parts; a smaller one may be missed all the same."""
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    run = history(tmp_path / "one", {"target/accuracy": 0.99, "target/missed_parts": 1}, parts_of(*[1.0] * 20), plane=aimed)
    assert found("missed", run).result == "1 part missed; 99 % of the points are right"
    assert found("missed", run).sentences == []
    none = history(tmp_path / "none", {"target/accuracy": 0.99, "target/missed_parts": 0}, parts_of(0.9), plane=aimed)
    assert found("missed", none).sentences[0].startswith("No part of 0.5 % of the slice or more is missed as a whole.")


def test_a_narrow_slice_has_room_for_its_title_legend_and_axes() -> None:
    """Of sides of 1:3 the plot is 113 pixels wide; its words were cut, and the picture with them."""
    plane = slices.box((0, 1), (0, 3))
    sample = snapshot([fan(3, 0.1)], two_classes, plane=plane)
    picture = draw_planes([Plane("layer1 at step 0", sample, [Lines(sample, "layer1", label="layer1")])])
    assert picture.pixels.shape[1] == 336
    columns = np.flatnonzero((picture.rgb()[200].astype(int) < 250).all(axis=1))  # the plot's frame and what is in it
    assert abs((columns[0] + columns[-1]) / 2 - 168) <= 1
    assert columns[-1] - columns[0] < 120


def test_wrong_points_are_those_of_another_class(tmp_path: Path) -> None:
    aimed = slices.aimed(SQUARE, np.array([[0, 1], [-1, 1]]))
    sample = snapshot([fan(2, 0.1)], lambda u, v: np.stack([0 * u, 1 + 0 * u], axis=1), plane=aimed, resolution=4)
    assert aimed.target is not None
    assert wrong_points(sample, aimed.target).tolist() == [[True, True, False, False]] * 2 + [[False] * 4] * 2


def test_regions_are_told_exactly_where_they_are_known(tmp_path: Path) -> None:
    numbers = {
        "regions/exact/layer1": 7,
        "regions/exact/layer3": lambda step: 50 + step,
        "regions/seen": 40,
        "decision/length": 1.5,
    }
    said = found("regions", history(tmp_path, numbers))
    assert (said.result, said.level) == ("850 linear regions at the end", "50 at the start")
    assert {row["what"]: row["end"] for row in said.rows}["length of the border between classes, in sides of the slice"] == "1.500"


def test_as_many_patterns_as_grid_points_are_no_number_of_regions(tmp_path: Path) -> None:
    """Of a grid of 64 points a side nearly each has its own: that is told in both places, and is a result in none."""
    numbers = {"regions/seen": 4000, "regions/seen_share": 4000 / 4096}
    said = found("regions", history(tmp_path, numbers))
    assert said.result == "the grid is too coarse to tell at the end"
    assert said.level == "the grid is too coarse to tell at the start"
    assert said.sentences[0].startswith("The grid is too coarse to tell how many regions there are: of its 64 x 64 = 4,096 points")
    assert "(4,000 at the start and 4,000 at the end)" in said.sentences[0]
    assert said.rows[0]["what"].endswith("the grid is too coarse to tell")
    assert "| Regions" in make_report(load(tmp_path)).text


def test_a_grid_that_is_too_coarse_at_the_end_only_tells_of_the_start(tmp_path: Path) -> None:
    def share(step: int) -> float:
        return 0.25 if step < 800 else 0.95

    numbers: dict[str, Any] = {"regions/seen": lambda step: 4096 * share(step), "regions/seen_share": share}
    said = found("regions", history(tmp_path, numbers))
    assert (said.result, said.level) == ("the grid is too coarse to tell at the end", "1,024 at the start")
    fine = found("regions", history(tmp_path / "fine", {"regions/seen": 3600, "regions/seen_share": 0.89}))
    assert fine.result == "3,600 activation patterns seen at the end"


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (lambda u, v: np.stack([0 * u, 1 + u], axis=1), "At the end class 1 wins everywhere on the slice."),
        (lambda u, v: np.stack([0 * u, -9 + u, -8 + v], axis=1), "At the end class 0 wins everywhere on the slice."),
        (lambda u, v: 0 * u - 0.25, "At the end the output is the same number everywhere on the slice."),
        (lambda u, v: np.where(u < 0, np.nan, 3.0), None),
        (lambda u, v: np.where(u < 0, np.inf, 3.0), None),
        (lambda u, v: np.stack([0 * u, np.where(u < 0, np.nan, 1)], axis=1), None),
        (lambda u, v: 1e3 + 1e-3 * np.tanh(u), None),
        (lambda u, v: 1 + 1e-3 * u, None),
        (lambda u, v: np.stack([0 * u, 0.9 + u], axis=1), None),
        (lambda u, v: np.nan * u, None),
        (None, None),
    ],
)
def test_an_output_that_is_one_and_the_same_everywhere_is_told_first(tmp_path: Path, output: Any, said: str | None) -> None:
    columns = None if output is None else lambda u, v: output(u, v).reshape(len(u), -1)
    sample = replace(snapshot([fan(3, 0)], columns), metrics={"regions/seen": 12.0})
    HistoryWriter(tmp_path, SQUARE).append(sample)
    first = found("regions", load(tmp_path)).sentences[0]
    assert first == said if said else "everywhere" not in first


def test_of_a_plane_through_samples_symmetry_says_nothing_of_the_task(tmp_path: Path) -> None:
    numbers = {f"symmetry/{name}/layer1": value for name, value in (("left_right", 0.9), ("up_down", 0.1), ("chance", 0.1))}
    through = slices.through(*np.eye(3))
    aimed = slices.aimed(through, lambda inputs: inputs[:, 0] < 0.5)
    for plane, told in ((SQUARE, False), (through, True), (aimed, False)):
        said = found("symmetry", history(tmp_path / f"{told}{plane.target is None}", numbers, plane=plane))
        assert said.sentences[-1].startswith("This slice is laid through samples") == told


def test_where_there_are_no_classes_nothing_is_said_of_their_border(tmp_path: Path) -> None:
    said = found("regions", history(tmp_path / "none", {"regions/seen": 40, "complexity/local/layer1": 0.5}))
    assert "class" not in f"{said.title} {said.question} {said.caption} {said.rows} {said.sentences}"
    assert said.caption == "Number of regions of the slice over the run."
    said = found("regions", history(tmp_path / "some", {"regions/seen": 40, "decision/length": 1.5}))
    assert said.title == "Regions, and the map of classes"
    assert said.question.endswith("The border between classes is where the winning class changes.")
    assert said.caption == "Number of regions of the slice and length of the border between classes over the run."
    only = found("regions", history(tmp_path / "only", {"complexity/local/layer1": 0.5}))
    assert only.draw is None


def test_outputs_that_nothing_calls_classes_are_taken_for_such_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a regression or an embedding the shape alone says so; a target, labels and names say more."""
    taken = 'Outputs are taken for scores of classes; `background="norm"` if they are not.'
    numbers = {"regions/seen": 40, "decision/length": 1.5}
    assert make_report(history(tmp_path / "none", numbers)).text.count(taken) == 1
    assert main(["info", str(tmp_path / "none")]) == 0
    assert "output     taken for scores of classes" in capsys.readouterr().out
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    marked = slices.marked(SQUARE, [[0.5, 0.5]], labels=[1])
    called = replace(SQUARE, anchors=np.zeros((1, 2)), anchor_names=("class 3",))
    for number, plane in enumerate((aimed, marked, called)):
        assert taken not in make_report(history(tmp_path / str(number), numbers, plane=plane)).text
    unlabelled = slices.marked(SQUARE, [[0.5, 0.5]])
    assert taken in make_report(history(tmp_path / "unlabelled", numbers, plane=unlabelled)).text
    sample = plain(0)
    assert sample.field is not None
    named = replace(sample, capture=replace(sample.capture, field=replace(sample.field, names=("no", "yes"))), metrics=numbers)
    HistoryWriter(tmp_path / "named", SQUARE).append(named)
    assert taken not in make_report(load(tmp_path / "named")).text
    HistoryWriter(tmp_path / "value", SQUARE).append(replace(snapshot([fan(2, 0.3)], one_value), metrics=numbers))
    assert taken not in make_report(load(tmp_path / "value")).text


def test_exact_regions_need_no_grid(tmp_path: Path) -> None:
    numbers = {"regions/exact/layer3": 9000, "regions/seen": 4000, "regions/seen_share": 0.98}
    said = found("regions", history(tmp_path, numbers))
    assert said.result == "9,000 linear regions at the end"
    assert said.sentences[0].startswith("Linear regions: 9,000 at the start")


# ---------------------------------------------------------------------------------------------------------------- the page


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A run that has something of every phenomenon."""
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    numbers, tables = restless(600)
    for layer in LAYERS:
        numbers |= {f"symmetry/{part}/{layer}": 0.2 for part in ("left_right", "up_down", "chance")} | critical(layer, 0.5, 0.5)
        numbers |= {f"dormant/live/{layer}": 1.0, f"dormant/revivals/{layer}": 0}
    numbers |= {**drift(lambda step: 0.5, 0.5), **copies(1), "target/accuracy": 0.9, "target/missed_parts": 0, "regions/seen": 30}
    parts = [{"part": 1, "class": 0, "share": 0.75, "u": 0.0, "v": 0.0, "recall": 0.99}]
    tables = {**tables, 800: {"copycat/closest": [pair(100)], "target/parts": parts}}
    return history(tmp_path_factory.mktemp("whole"), numbers, tables, plane=aimed)


def test_the_page_has_every_phenomenon_and_every_picture_is_there(whole: History) -> None:
    report = make_report(whole)
    named = re.findall(r"!\[[^\]]*\]\(report/(\w+)\.png\)", report.text)
    assert sorted(named) == sorted(report.pictures)
    assert named == ["run", "training", "missed", "dormant", "regions", "moved", "critical", "copycats", "indecisive", "symmetry"]
    assert report.text.count("\n## ") == 2 + len(ALL)  # in short, the phenomena, all numbers
    for picture in report.pictures.values():
        height, width = picture.pixels.shape
        assert width <= 1300
        assert height <= 900
        assert len(np.unique(picture.pixels)) > 10  # something is drawn


def test_every_cell_of_the_page_is_closed(whole: History) -> None:
    """A bar in a cell would make another column: |phi| is escaped."""
    tables = [line for line in make_report(whole).text.splitlines() if line.startswith("|")]
    columns = 0
    for line in tables:
        bars = len(re.findall(r"(?<!\\)\|", line))
        if set(line) <= set("|-"):
            assert bars == columns
        columns = bars


def test_the_page_says_what_numbers_mean(whole: History) -> None:
    text = make_report(whole).text
    assert "Of a model with several inputs one varies on the slice, and all others are held at one sample's values" in text
    assert "| `dormant/live` |  | 1 | 1 | 1 | Share of" in text  # a column a layer, behind that of numbers of no layer
    assert "| `target/accuracy` | 0.9000 |  |  |  | Share of" in text


@pytest.mark.parametrize("output", [None, one_value, two_classes, four_classes])
def test_any_output_can_be_drawn(output: Any, tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    for step in STEPS[:3]:
        sample = snapshot([fan(3, step / 100), rings(2, (0, 0))], output, step=step)
        writer.append(
            replace(sample, metrics={**copies(1), "regions/seen": 12.0}, tables={"copycat/closest": [pair(5, units=(0, 1))]})
        )
    report = make_report(load(tmp_path))
    assert set(report.pictures) == {"run", "copycats", "regions"}


def test_a_run_of_one_sample_has_a_page(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(replace(plain(0), metrics={"regions/seen": 12.0, "copycat/pairs/layer1": 0.0, "copycat/chance/layer1": 0.95}))
    text = make_report(load(tmp_path)).text
    assert "**Sampling ended at step 0: one snapshot**" in text
    assert "steps 0 to 0" not in text


def test_a_run_of_one_sample_has_no_start_beside_its_end_and_no_charts(tmp_path: Path) -> None:
    """Each figure stands once, and pictures are those of the slice: a chart of one snapshot has no curve."""
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    numbers = {**copies(1), **critical("layer1", 0.5, 0.9), "regions/seen": 30, "decision/length": 1.5}
    numbers |= {"dormant/live/layer1": 0.5, "dormant/never_on/layer1": 0.25, "dormant/revivals/layer1": 0}
    numbers |= {f"symmetry/{part}/layer1": 0.2 for part in ("left_right", "up_down", "chance")}
    numbers |= {f"indecisive/{part}/layer1": 0.0 for part in ("units", "strict", "jitter")}
    values = {name: value(0) if callable(value) else value for name, value in numbers.items()}
    HistoryWriter(tmp_path, aimed).append(
        replace(plain(0), slice=aimed, metrics=values, tables={"copycat/closest": [pair(0, units=(0, 1))]})
    )
    report = make_report(load(tmp_path))
    assert set(report.pictures) == {"run", "critical", "copycats", "symmetry"}
    heads = [line for line in report.text.split("## All numbers")[0].splitlines() if line.startswith("|")]
    assert not [line for line in heads if re.search(r"\bstart\b|, end\b|\| end\b|again", line)]
    assert "| layer | live | never on here |\n" in report.text
    assert "|  | value |\n" in report.text
    assert "over the run" not in report.text
    assert "curves" not in report.text


def test_a_value_without_another_beside_it_leaves_a_mark_and_a_chart_without_values_is_left_out() -> None:
    nothing, some = np.full(3, np.nan), np.array([np.nan, 0.5, np.nan])
    alone = draw_charts([0, 5, 10], [Chart("some", [Curve("a", some, "#ff0000")], "")])
    assert ((alone.rgb().astype(int) - (255, 0, 0)) ** 2).sum(axis=2).min() < 1000
    both = draw_charts([0, 5, 10], [Chart("none", [Curve("b", nothing)], ""), Chart("some", [Curve("a", some, "#ff0000")], "")])
    np.testing.assert_array_equal(both.rgb(), alone.rgb())


def test_the_picture_at_the_top_says_which_snapshots_it_shows(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    for step, words in (
        (0, "output: step 0 (the only snapshot)."),
        (5, "output: step 0 and step 5 (first and last snapshot)."),
        (10, "output: step 0, step 5 and step 10 (first, middle and last snapshot)."),
    ):
        writer.append(plain(step))
        assert words in make_report(load(tmp_path)).text


def test_the_page_keeps_the_ends_of_a_slice_apart(tmp_path: Path) -> None:
    plane = slices.box((20190, 20240), (-1, 1))
    sample = snapshot([fan(2, 0.1)], plane=plane)
    HistoryWriter(tmp_path, plane).append(sample)
    assert "Slice: *x1* from 20190 to 20240 and *x2* from -1 to 1;" in make_report(load(tmp_path)).text
    assert extent(slices.box((20191, 20192), (-1, 1))) == "x1 20191 to 20192, x2 -1 to 1"
    assert _axes_words(plane, 11, 320) == ["→ x1 20190 … 20240", "↑ x2 −1 … 1"]
    long = slices.box((20190, 20240), (-1, 1), names=("the_income_of_" * 9, "days"))
    assert re.fullmatch(r"→ the_.*….*_of_ 20190 … 20240", _axes_words(long, 11, 320)[0])
    one, two = (draw_planes([Plane("", snapshot([fan(2, 0)], plane=some))]).pixels.shape for some in (plane, long))
    assert two[0] - one[0] in (16, 17)  # a second line for the second axis


def test_a_broken_number_at_the_end_leaves_the_page_whole(tmp_path: Path) -> None:
    numbers = {"dormant/live/layer1": math.nan, "symmetry/left_right/layer1": math.nan, "critical/edge/layer1": math.nan}
    assert "NaN" not in make_report(history(tmp_path, numbers)).text
    assert "nan" not in make_report(load(tmp_path)).text


def test_lines_that_are_not_in_view_are_said_so(tmp_path: Path) -> None:
    said = found("copycats", history(tmp_path, copies(1), {800: {"copycat/closest": [pair(100, units=(0, 77))]}}))
    assert said.draw is not None
    assert said.draw().pixels.shape[0] > 300


@pytest.mark.parametrize("value", [0.01, 1.0])
def test_a_constant_at_the_charts_top_is_drawn_as_wide_as_any(value: float) -> None:
    """A learning rate that stays, or all units that switch: its line is below the edge, which cut half of it off."""
    steps, wide = [0, 5, 10], {}
    for high in (value, 1.7 * value):
        picture = draw_charts(steps, [Chart("lr", [Curve("lr", np.full(3, value), "#ff0000")], "", low=0.0, high=high)])
        column = picture.rgb()[40:, 300].astype(float)  # below the legend
        wide[high] = float((column[:, 0] - column[:, 1]).sum() / 255)
    assert wide[value] == pytest.approx(wide[1.7 * value], abs=0.2)
    assert wide[value] > 1.5


def test_legends_name_eight_layers_whole_in_as_many_rows_as_it_takes() -> None:
    """They were cut to dashes without names in one row, or to the letters that all share."""
    names = [f"transformer.encoder.layers.{number}.linear1" for number in range(8)]
    entries = [(name, INK, "-") for name in names]
    rows = legend_rows(entries, 440)
    assert [entry for row in rows for entry in row] == entries
    assert len(rows) == 8
    assert [len(row) for row in legend_rows([(name[-8:], INK, "-") for name in names], 440)] == [5, 3]
    assert legend_rows([("a" * 99, INK, "-")], 440)[0][0][0].count("…") == 1
    assert legend_rows([], 440) == []
    some = [Curve(name, np.array([0.0, k]), "#ff0000") for k, name in enumerate(names)]
    heights = [draw_charts([0, 5], [Chart("live", some[:count], "")]).pixels.shape[0] for count in (1, 8)]
    assert heights[1] - heights[0] == 109  # seven rows more


def test_a_curve_that_is_called_as_its_chart_has_no_legend() -> None:
    curve = Curve("loss", np.array([0.0, 1.0]))
    above = [draw_charts([0, 5], [Chart(title, [curve], "")]).rgb()[20:40].min() for title in ("loss", "the loss")]
    assert above[0] > 200 > above[1]


def test_the_axis_of_steps_is_in_proportion_up_to_the_second_sample() -> None:
    """Of samples every hundred steps the first hundred took two thirds of a chart, where nothing is known."""
    steps = np.arange(0.0, 1001, 100)
    assert np.allclose(_stretched(steps, steps), steps / 1000)  # all of it is, where they are as far apart throughout
    assert _step_ticks(steps) == [0, 200, 400, 600, 800, 1000]
    early = np.array([0.0, 100, 150, 200, 1000])
    assert _stretched(early, early)[[0, 1, -1]].tolist() == [0, 0.5, 1]
    assert _stretched(np.array([50.0]), early).tolist() == [0.25]
    assert (np.diff(_stretched(np.arange(0.0, 1001), early)) > 0).all()
    assert _step_ticks(early) == [0, 100, 200, 500, 1000]
    assert _step_ticks(np.array([0.0, 1, 5, 1000])) == [0, 10, 100, 1000]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40, unique=True))
def test_steps_that_are_named_have_room(steps: list[int]) -> None:
    """The first and the last are, whatever the samples, and no two overlap."""
    axis = np.array([0, *sorted(steps)], dtype=np.float64)
    named = _step_ticks(axis)
    assert (named[0], named[-1]) == (0, axis[-1])
    places = _stretched(np.array(named), axis)
    assert np.diff(places).min() > (0.14 if axis[-1] > 20 else 0)
    assert (places[0], places[-1]) == (0, 1)


def test_ticks_hold_their_span() -> None:
    for low, high in ((0, 1), (0.0, 3e-5), (-2, 7), (995.0, 1005.0), (0, 123456)):
        values = [value for value, _ in _ticks(low, high)]
        assert values[0] <= low + 1e-9 * abs(high)
        assert values[-1] >= high * (1 - 1e-9)
        assert 3 <= len(values) <= 9
        assert len({words for _, words in _ticks(low, high)}) == len(values)


# ------------------------------------------------------------------------------------------------------------ who gets it


def test_the_files(whole: History, tmp_path: Path) -> None:
    report = make_report(whole)
    page = tmp_path / "report.md"
    write_report(report, page)
    assert page.read_text(encoding="utf-8") == report.text
    for name in re.findall(r"\((report/\w+\.png)\)", report.text):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.part"))


def test_without_a_report_there_are_no_files(tmp_path: Path) -> None:
    sink = ReportFile()
    sink.write(plain(0), {})
    sink.close(None, None)
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(plain(0))
    sink.close(load(tmp_path), None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.bcb"]


def test_a_page_of_another_name_has_its_own_folder(whole: History, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "my run.md"
    assert main(["export", str(whole.path), "-o", str(page)]) == 0
    assert f"my run.md, with 10 pictures in {tmp_path / 'my run'}" in capsys.readouterr().out
    named = re.findall(r"\((my%20run/\w+\.png)\)", page.read_text(encoding="utf-8"))
    assert len(named) == 10
    assert all((tmp_path / name.replace("%20", " ")).exists() for name in named)
    assert main(["export", str(whole.path), "-o", str(tmp_path / "run.txt")]) == 1
    assert "`--output` must end in one of .html, .gif, .mp4, .svg, .md" in capsys.readouterr().err


def scaled(function: Any, factor: float) -> Any:
    return lambda u, v: factor * function(u, v)


def lost(directory: Path, since: int, output: Any = four_classes) -> History:
    """Return a run whose network is lost from step `since` on: of each layer's units but the last nothing is finite any more."""
    writer = HistoryWriter(directory, SQUARE)
    for step in STEPS:
        gone = step >= since

        factor = math.nan if gone else 1.0
        shown = None if output is None else scaled(output, factor)

        units = [*(scaled(line, factor) for line in fan(3, 0)), fan(1, 1)[0]]
        sample = snapshot([units], shown, step=step, scalars={"loss": math.inf if gone else 0.5})
        numbers = {"dormant/live": 1.0, "dormant/never_on_data": float(gone), "drift/flipped": 0.1, "indecisive/units": 1.0}
        jitter = {"indecisive/jitter/layer1": 0.5 if gone else 0.25}
        flag = {"layer": "layer1", "unit": 3, "jitter": 0.5, "rel_jitter": 9.0, "osc": 1.0, "ret": 1.0, "step": 0, "other_step": 5}
        tables = {"indecisive/worst": [flag]} if gone else {}
        metrics = {f"{name}/layer1": value for name, value in numbers.items()} | jitter
        writer.append(replace(sample, metrics=metrics, tables=tables))
    return load(directory)


@pytest.mark.parametrize("output", [four_classes, one_value, None])
def test_a_report_of_a_lost_network_ends_where_it_was_whole(tmp_path: Path, output: Any) -> None:
    """One unit stays finite, as a dead one does, whose weights get no gradient: nothing is said of it as if it were the layer."""
    run, words = lost(tmp_path, 700, output), "no output on the slice is" if output else "most units are not"
    report = make_report(run)
    said = f"After step 600 {words} finite (3 of 4 units are not finite at step 800); the end, here, is that step."
    assert f"**{said}**" in report.text
    assert report.text.startswith("# What this run did\n\n10 snapshots of steps 0 to 800 of a network")
    assert "step 0, step 600 and step 800 (first, last finite and last snapshot)" in report.text
    assert "At step 600: loss 0.5." in report.text
    assert "never on for the data points" not in found("dormant", run).sentences[0]
    assert not any("none of the data points" in sentence for sentence in found("dormant", run).sentences)
    assert found("moved", run).rows[0]["flipped"] == "0.70"  # of seven samples after the first, and not of ten
    assert found("indecisive", run).sentences == ["No unit met all of the criteria at any snapshot."]
    assert found("indecisive", run).rows[0]["jitter1"] == "0.2500"
    assert summarise(run).startswith(f"{said}\n\n")


def test_what_is_measured_of_a_lost_network_is_left_out(tmp_path: Path) -> None:
    """It is of the one unit that is left: no curve goes on with it, and a layer that switched nowhere stays one that does not."""
    writer = HistoryWriter(tmp_path, SQUARE)
    for sample in lost(tmp_path / "lost", 700):
        gone = sample.step >= 700
        metrics = {"drift/flipped/layer1": 0.1, "dormant/live/layer1": float(gone)} | ({"line/turn/layer1": 3.0} if gone else {})
        writer.append(replace(sample, metrics=metrics))
    run = Run(load(tmp_path))
    assert np.isfinite(run.series("drift/flipped/layer1")).tolist() == [step < 700 for step in STEPS]
    assert run.is_bare
    assert not run.has("line/turn")


def test_a_network_that_was_never_finite_is_said_so(tmp_path: Path) -> None:
    run = lost(tmp_path, 0)
    assert (
        "**At all snapshots no output on the slice is finite (3 of 4 units are not finite at step 800).**" in make_report(run).text
    )
    note = "Figures at the end are of the units that are finite everywhere on the slice: 1 of 4 in layer1."
    assert found("dormant", run).note == note


def test_a_network_that_is_finite_again_at_the_end_is_not_lost(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    for step in (0, 5, 10):
        writer.append(snapshot([fan(2, 0)], scaled(one_value, math.nan if step == 5 else 1.0), step=step))
    assert (Run(load(tmp_path)).lost, Run(load(tmp_path)).last) == ("", 2)


def test_what_the_loop_logged_has_crosses_where_it_is_not_finite(tmp_path: Path) -> None:
    run = Run(lost(tmp_path, 600))
    assert run.broken("loss").tolist() == [7, 8, 9]
    assert run.broken("accuracy").tolist() == []
    curve = Curve("loss", run.logged("loss"), "#ff0000", broken=run.broken("loss"))
    pictures = [
        draw_charts(STEPS, [Chart("loss", [one], "", low=0.0)]).rgb()
        for one in (curve, replace(curve, broken=run.broken("accuracy")))
    ]
    crosses: Any = (abs(pictures[0].astype(int) - pictures[1]) > 60).any(axis=2)
    rows = np.flatnonzero(crosses.any(axis=1))
    assert 7 <= rows[rows > 40][-1] - rows[rows > 40][0] + 1 <= 9
    assert abs(rows[rows > 40].mean() - 50) < 1  # at the top of the chart; above it, the legend says what they are
    assert abs(rows[rows < 40].mean() - 27) < 2
    assert 3 * 7 < crosses[40:].sum() < 3 * 49


def test_pictures_show_where_the_output_is_not_finite_and_where_there_is_no_target() -> None:
    """On the right there is no number, and no class wins; its colour is none of a class, nor of a value."""

    def right(function: Any) -> Any:
        return lambda u, v: np.where((u > 0)[:, None], np.nan, function(u, v))

    aimed = slices.aimed(SQUARE, np.array([[0, -1], [1, -1]]))
    for output in (four_classes, one_value):
        sample = snapshot([fan(1, 9)], right(output), plane=aimed)
        shown = draw_planes([Plane("step 0", sample)]).rgb().astype(int)
        assert abs(shown[200, 250] - rgb("#f6c9cb")).max() <= 8
        assert abs(shown[200, 90] - rgb("#f6c9cb")).max() > 8
        assert aimed.target is not None
        beside = draw_target_beside(sample, aimed.target).rgb().astype(int)
        assert abs(beside[200, 250] - 255).max() <= 8  # nothing is aimed at on the right
        assert abs(beside[200, 90] - 255).max() > 8 or output is one_value


def test_random_symmetry_is_no_finding(tmp_path: Path) -> None:
    """0.3 above chance is what one of a few layers on one of two axes reaches now and then; 0.35 is told."""
    numbers = {"symmetry/left_right/layer1": 0.4, "symmetry/up_down/layer1": 0.0, "symmetry/chance/layer1": 0.1}
    said = found("symmetry", history(tmp_path / "none", numbers))
    assert said.result == "no layer beyond chance; most: layer1, left-right, 0.40"
    assert said.sentences[0].startswith("At the end no layer is more symmetric than chance explains")
    said = found("symmetry", history(tmp_path / "some", {**numbers, "symmetry/left_right/layer1": 0.46}))
    assert said.sentences[0].startswith("At the end layer1 is the most symmetric layer beyond its chance level")


def parallels(directory: Path, groups: Any, numbers: Mapping[str, float]) -> History:
    """Return a run whose layers have these units, and these numbers at every step."""
    writer = HistoryWriter(directory, SQUARE)
    for step in STEPS:
        writer.append(replace(snapshot(groups, four_classes, step=step), metrics=dict(numbers)))
    return load(directory)


def test_that_parallel_boundaries_are_symmetric_is_no_finding(tmp_path: Path) -> None:
    """Upright lines are their own image up-down, by that alone; as much is one line."""
    upright = [lambda u, v, k=k: u - 0.1 * k**1.5 for k in range(3)]
    numbers = {f"symmetry/{name}/layer1": value for name, value in (("left_right", 0.2), ("up_down", 1.0), ("chance", 0.1))}
    numbers |= {f"symmetry/{name}/layer2": 0.6 for name in ("left_right", "up_down")} | {"symmetry/chance/layer2": 0.1}
    both = found("symmetry", parallels(tmp_path / "both", [upright, fan(3, 0)], numbers))
    assert both.result == "most: layer2, left-right, 0.60"
    assert both.sentences[-1] == "All boundaries of layer1 are parallel, and so symmetric, or not, by that alone."
    alone = found("symmetry", parallels(tmp_path / "alone", [upright[:1], upright], numbers))
    assert alone.result == "nothing to tell, as all boundaries of each layer are parallel"
    assert alone.sentences == ["All boundaries of layer1 and layer2 are parallel, and so symmetric, or not, by that alone."]
    assert alone.level == ""
    assert alone.draw is not None
    assert alone.draw().pixels.shape[0] > 300


def test_that_units_of_one_number_shift_is_no_finding(tmp_path: Path) -> None:
    one = drift(lambda step: 0.2, 0.1)
    never = {name: 0.0 if "rotate" in name else value for name, value in one.items()}
    run = history(tmp_path, never | {name.replace("layer1", "layer2"): value for name, value in one.items()})
    said = found("moved", run)
    assert said.sentences[0].endswith("(layer2). Clearly less, by three standard errors: none.")
    assert said.sentences[-1].startswith("Units of layer1 turned no boundary themselves: one that reads one number cannot")
    assert [row["layer"] for row in said.rows] == ["layer1", "layer2"]


def test_a_network_whose_layers_only_shift_has_no_shares_of_shift_told(tmp_path: Path) -> None:
    """That all of it is shift is so by definition; what its biases did of it is a finding still."""
    numbers = {name: 0.0 if "rotate" in name else value for name, value in drift(lambda step: 1.0, 0.25).items()}
    said = found("moved", history(tmp_path, numbers))
    assert (said.result, said.level) == ("layer1: 0.90 switches a point and unit, none by turns of its own", "no chance level")
    assert [sentence.partition(" did ")[0].partition(":")[0] for sentence in said.sentences] == [
        "Of what a unit's own parameters did, its bias",
        "Units of layer1 turned no boundary themselves",
    ]
    assert "its bias did 25 % in steps 0 to 20 and 25 % in steps 100 to 800 (layer1)." in said.sentences[0]
    assert said.draw is not None
    text = summarise(load(tmp_path))
    assert "layer1's units turned no boundary themselves.\nIts own biases did 25%" in text
    assert "The share of shift" not in text


def test_the_most_alike_pair_at_the_start_is_that_of_the_start(tmp_path: Path) -> None:
    """Where no units are comparable at first, there is none; one of a later snapshot is not shown for it."""
    numbers = {"copycat/pairs": 0.0, "copycat/max_phi": lambda step: math.nan if step == 0 else 0.5, "copycat/chance": 0.95}
    said = found("copycats", history(tmp_path, {f"{name}/layer1": value for name, value in numbers.items()}))
    assert [said.rows[0][key] for key in ("phi0", "phi1", "pairs0", "pairs1")] == ["", "0.500", "0", "0"]


def test_layers_whose_pairs_the_grid_cannot_tell_are_said_so(tmp_path: Path) -> None:
    numbers = {"copycat/pairs": 0.0, "copycat/max_phi": math.nan, "copycat/chance": 0.9998, "dormant/live": 1.0}
    said = found("copycats", history(tmp_path, {f"{name}/layer1": value for name, value in numbers.items()}))
    assert said.sentences[0].startswith("Of layer1 no pair can be told from chance at the end: the level is so near 1")
    assert not any("reaches its layer's level" in sentence for sentence in said.sentences)
    assert said.level == "|phi| of 1.000 or more"


def test_layers_of_single_units_have_no_level_of_copycats(tmp_path: Path) -> None:
    numbers = {"copycat/pairs": 0.0, "copycat/max_phi": math.nan, "copycat/chance": math.nan, "dormant/live": 1.0}
    said = found("copycats", history(tmp_path, {f"{name}/layer1": value for name, value in numbers.items()}))
    assert said.level == ""


def test_without_the_last_layer_regions_are_not_called_linear(tmp_path: Path) -> None:
    """What a grid sees of all layers may fall where exact numbers rise: the exact ones are told, with the layer that they go to."""
    numbers = {"regions/exact/layer1": 7, "regions/exact/layer2": lambda step: 13 if step else 9}
    said = found("regions", history(tmp_path, {**numbers, "regions/seen": lambda step: 39 if step else 50}))
    assert (said.result, said.level) == ("13 regions up to layer2 at the end", "9 at the start")
    assert said.sentences[0].startswith("Regions up to layer2: 9 at the start")
    assert "39" in [row["end"] for row in said.rows]


def test_the_pair_that_is_shown_is_the_most_alike_of_the_new_ones(tmp_path: Path) -> None:
    closest = [pair(0, 0.999, units=(0, 1)), pair(100, 0.96), pair(60, 0.99, units=(1, 3)), pair(60, 0.97, units=(0, 5))]
    said = found("copycats", history(tmp_path, copies(4), {800: {"copycat/closest": closest}}))
    assert said.caption.startswith("layer1, units 1 and 3, copycats since step ")
