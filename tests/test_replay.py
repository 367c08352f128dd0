"""What the viewer reads: small samples against the snapshots that they were made of, and pages of them."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from snapshots import SQUARE, fan, four_classes, one_value, plain, rings, snapshot

from boundarycb import metrics, slices, wire
from boundarycb.history import History, HistoryWriter
from boundarycb.measuring import measure, no_values
from boundarycb.memory import Memory
from boundarycb.replay import encode_scene, encode_view, make_bundle, make_page
from boundarycb.replay.frames import _shortened, in_square, on_count
from boundarycb.sinks.replay import Replay
from boundarycb.sinks.summaries import Summaries
from boundarycb.types import Boundaries, Capture, Layer, Marks, Sample, Snapshot, class_layer
from boundarycb.webpage import hash_of


def viewed(sample: Snapshot, number: int = 0) -> wire.Record:
    return wire.unpack(encode_view(sample, number))


def measured(sample: Snapshot) -> Snapshot:
    """Return a snapshot with what the default metrics say of it."""
    values = no_values()
    asked = Memory(windowed=False).sample(sample.step, sample.capture, sample.boundaries, {})
    for metric in (metrics.on_share, metrics.copycats, metrics.dormant_units):
        for kind, found in measure(metric, asked, []).items():
            values[kind].update(found)
    return replace(sample, metrics=values["metrics"], per_unit=values["per_unit"], tables=values["tables"])


def test_lines_are_those_of_the_snapshot_in_the_unit_square() -> None:
    sample = plain()
    record = viewed(sample)
    points, counts, owner = (record.sections[name] for name in ("points", "counts", "owner"))
    assert points.dtype == np.float32
    assert np.abs(points - (sample.boundaries.points + 1) / 2).max() < 2**-24
    assert counts.tolist() == np.diff(sample.boundaries.offsets).tolist()
    assert owner.tolist() == sample.boundaries.owner.tolist()


def test_points_far_from_the_origin_keep_their_digits() -> None:
    """Of a slice at 1e6 float32 tells a sixteenth apart; of the unit square a few 1e-8."""
    plane = slices.box((1e6, 1e6 + 1), (-1e6 - 1, -1e6))
    place = np.array([[1e6 + 0.123456789, -1e6 - 0.987654321]])
    assert np.abs(in_square(place, plane) - [[0.123456789, 0.012345679]]).max() < 1e-7


@pytest.mark.parametrize("output", [one_value, four_classes, None])
def test_the_output_is_kept_to_a_level_in_64(output: Any) -> None:
    sample = snapshot([fan(3, 0)], output)
    record = viewed(sample)
    said = record.header["field"]
    if output is None:
        assert said is None
        assert "field" not in record.sections
        return
    assert sample.field is not None
    levels = record.sections["field"].astype(float)
    back = said["low"] + (levels - 1) / 63 * (said["high"] - said["low"])
    assert np.abs(back - sample.field.value).max() <= (said["high"] - said["low"]) / 126 + 1e-6
    if sample.field.winner is not None:
        assert record.sections["winner"].tolist() == sample.field.winner.tolist()


def test_what_is_not_finite_is_level_0() -> None:
    sample = snapshot([fan(3, 0)], one_value)
    assert sample.field is not None
    value = sample.field.value.copy()
    value[3, 5] = np.nan
    broken = replace(sample, capture=replace(sample.capture, field=replace(sample.field, value=value)))
    assert np.argwhere(viewed(broken).sections["field"] == 0).tolist() == [[3, 5]]


@given(st.integers(2, 130), st.integers(1, 70), st.randoms(use_true_random=False))
def test_on_count_is_that_of_every_so_many_th_point(side: int, units: int, random: Any) -> None:
    masks = np.random.default_rng(random.randrange(2**32)).random((units, side * side)) < 0.5
    capture = Capture((Layer("a", "relu", (units,), tuple(range(units))),), side, np.packbits(masks, axis=1))
    count = on_count(capture)
    places = [int((k + 0.5) * side / min(side, 64)) for k in range(min(side, 64))]
    whole = masks.reshape(units, side, side).sum(axis=0)
    assert count.tolist() == [[whole[row, column] for column in places] for row in places]


@given(arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=True)))
def test_shortened_numbers_keep_three_digits_and_whole_ones_all(values: Any) -> None:
    short = _shortened(values)
    whole = np.isfinite(values) & (values == np.rint(values))
    assert np.array_equal(short[whole], values[whole])
    assert np.array_equal(np.isnan(short), np.isnan(values))
    normal = np.isfinite(values) & (abs(values) > 1e-37) & (abs(values) < 1e38)
    assert (abs(short[normal] - values[normal]) <= 2.0**-10 * abs(values[normal])).all()


def test_each_unit_has_what_metrics_say_of_it() -> None:
    sample = measured(plain())
    record = viewed(sample)
    row = record.header["units"].index("on/share")
    shares = np.concatenate([sample.per_unit[f"on/share_per_unit/{layer.name}"] for layer in sample.layers])
    assert np.abs(record.sections["per_unit"][row] - shares).max() < 1e-3
    assert record.header["metrics"]["on/share/layer1"] == pytest.approx(sample.metrics["on/share/layer1"], rel=1e-5)


def test_a_metric_of_some_layers_leaves_the_others_open() -> None:
    sample = replace(plain(), per_unit={"mine_per_unit/layer2": np.array([1.0, 2.0, 3.0])})
    record = viewed(sample)
    assert record.header["units"] == ["mine"]
    (row,) = record.sections["per_unit"]
    assert np.isnan(row[:6]).all()
    assert row[6:9].tolist() == [1, 2, 3]
    assert np.isnan(row[9:]).all()


def test_the_most_alike_are_those_of_largest_phi() -> None:
    sample = measured(snapshot([fan(7, 0.2), rings(2, (0, 0))], one_value))
    record = viewed(sample)
    near, likeness = record.sections["nearest"], record.sections["nearest/phi"]
    start = 0
    for layer in sample.layers:
        matrix = sample.per_unit[f"copycat/phi/{layer.name}"].astype(float)
        for unit in range(layer.size):
            others = [k for k in range(layer.size) if k != unit]
            best = sorted(others, key=lambda k: -abs(matrix[unit, k]))[:3]
            assert [abs(matrix[unit, k - start]) for k in near[start + unit] if k >= 0] == [abs(matrix[unit, k]) for k in best]
            assert likeness[start + unit, : len(best)].tolist() == pytest.approx([matrix[unit, k] for k in best], abs=1e-3)
            assert (near[start + unit, len(best) :] == -1).all()
        start += layer.size


def test_copycats_come_before_what_only_looks_more_alike() -> None:
    """Units 0 and 4 are called copycats; 0, 1, 2 and 3 are the same on the grid, which tells nothing of so few points."""
    matrix = np.ones((5, 5), np.float16)
    matrix[4] = matrix[:, 4] = 0.98
    numbers: dict[str, Any] = {"phi": matrix, "units": np.arange(5), "since": np.array([[0, 4, 7]])}
    sample = replace(snapshot([fan(5, 0.2)]), per_unit={f"copycat/{name}/layer1": values for name, values in numbers.items()})
    record = viewed(sample)
    assert record.sections["nearest"][0].tolist() == [4, 1, 2]
    assert record.sections["nearest/phi"][0].tolist() == pytest.approx([0.98, 1, 1], abs=1e-3)
    assert record.sections["nearest/since"].tolist() == [[7, -1, -1], *[[-1, -1, -1]] * 3, [7, -1, -1]]


def test_units_that_do_not_switch_are_like_none() -> None:
    sample = measured(snapshot([[*fan(2, 0.1), lambda u, v: 0 * u + 1]], one_value))
    record = viewed(sample)
    assert record.sections["nearest"].tolist() == [[1, -1, -1], [0, -1, -1], [-1, -1, -1]]


def test_the_border_of_two_classes_is_there_once() -> None:
    ends = np.array([[0.0, -1.0], [0.0, 1.0]])
    border = Boundaries(np.concatenate([ends, ends[::-1]]), np.array([0, 2, 4]), np.array([0, 1]), (class_layer(2),), exact=True)
    record = viewed(replace(plain(), decision=border))
    assert record.sections["decision/points"].tolist() == [[0.5, 1.0], [0.5, 0.0]]
    several = replace(border, layers=(class_layer(3),))
    assert len(viewed(replace(plain(), decision=several)).sections["decision/points"]) == 4


def test_the_scene_tells_the_slice() -> None:
    image = np.array([[0, 1], [-1, 1]])
    plane = slices.aimed(slices.box((0, 4), (0, 1)), image)
    record = wire.unpack(encode_scene(plane, "abc", first=7))
    assert record.header["bounds"] == [[0, 4], [0, 1]]
    assert (record.header["ratio"], record.header["first"], record.header["run"]) == (4, 7, "abc")
    assert plane.target is not None
    assert record.sections["target"].tolist() == plane.target.labels.tolist()


def test_numbers_that_are_not_finite_are_text() -> None:
    record = viewed(replace(plain(), metrics={"a": math.nan, "b": math.inf}))
    assert record.header["metrics"] == {"a": "nan", "b": "inf"}


def test_tables_come_along() -> None:
    record = viewed(replace(plain(), tables={"pairs": [{"unit": 1, "phi": math.nan}]}))
    assert json.loads(record.sections["tables"].tobytes()) == {"pairs": [{"unit": 1, "phi": {"float": "nan"}}]}


# ----------------------------------------------------------------------------------------------------------------- pages


@pytest.fixture
def history(tmp_path: Path) -> History:
    writer = HistoryWriter(tmp_path, SQUARE)
    for step in range(0, 1000, 100):
        writer.append(measured(plain(step)))
    return History(tmp_path)


def bundle_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    plain_bytes = gzip.decompress(data)
    (size,) = struct.unpack("<I", plain_bytes[:4])
    return json.loads(plain_bytes[4 : 4 + size]), plain_bytes[4 + size :]


def test_the_last_sample_says_why_none_follows(history: History) -> None:
    with history.path.open("ab") as file:
        file.write(wire.encode_end(950, "step 950: sampling failed."))
    said, _ = bundle_of(make_bundle({"a": History(history.path)}, max_frames=4).data)
    assert ["step 950: sampling failed." in header["notes"] for header in said["runs"][0]["headers"][1:]] == [False] * 3 + [True]


def test_a_bundle_holds_every_sample_to_the_last_bit(history: History) -> None:
    said, numbers = bundle_of(make_bundle({"a": history, "b": history}).data)
    assert said["version"] == 1
    place = 0
    for run in said["runs"]:
        assert run["of"] == 10
        records = [encode_scene(history.slice, history.run), *(encode_view(sample, i) for i, sample in enumerate(history))]
        wanted = [wire.unpack(record) for record in records]
        assert [header["kind"] for header in run["headers"]] == ["scene", *["view"] * 10]
        for name in run["sections"]:
            for record in wanted:
                if name in record.sections:
                    array = record.sections[name]
                    assert numbers[place : place + array.nbytes] == array.tobytes()
                    place += array.nbytes
    assert place == len(numbers)


def test_a_bundle_tells_what_numbers_mean(history: History) -> None:
    texts = make_bundle({"a": history}).texts
    assert "Share of the slice on which a unit is on" in texts["on/share"]
    assert all(texts.values())


def test_too_many_samples_are_thinned_and_the_ends_stay(history: History) -> None:
    said, _ = bundle_of(make_bundle({"a": history}, max_frames=4).data)
    assert [header["step"] for header in said["runs"][0]["headers"][1:]] == [0, 300, 600, 900]
    assert said["runs"][0]["of"] == 10
    small, _ = bundle_of(make_bundle({"a": history}, max_bytes=1).data)
    assert [header["step"] for header in small["runs"][0]["headers"][1:]] == [0, 900]


def test_a_page_is_no_larger_than_asked(history: History) -> None:
    sizes = {limit: 4 / 3 * len(make_bundle({"a": history}, max_bytes=limit).data) for limit in (2**30, 12_000, 8_000)}
    assert sizes[2**30] > 12_000
    assert sizes[12_000] <= 12_000
    assert sizes[8_000] <= 8_000 < sizes[12_000]


def test_a_page_asks_for_nothing_and_allows_its_own_parts_only(history: History) -> None:
    page = make_page({"a": history}, title='A <run> & "more"')
    assert "A &lt;run&gt; &amp; &quot;more&quot;" in page
    assert not re.search(r"\{\{\w+\}\}", page)
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", re.sub(r"data:[^\"']*|http-equiv", "", page))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    assert f"script-src '{hash_of(script)}'; style-src '{hash_of(style)}'; img-src data: blob:" in policy
    assert policy.startswith("default-src 'none'")
    (payload,) = re.findall(r'id="runs">([^<]*)</script>', page)
    assert bundle_of(base64.b64decode(payload))[0]["runs"][0]["name"] == "a"


def test_names_that_look_like_places_are_names(history: History) -> None:
    page = make_page({"{{script}} </script>": history}, title="{{runs}}")
    assert "<title>{{runs}}</title>" in page
    assert page.count("</script>") == 3


def test_what_cannot_be_shown_is_said(history: History, tmp_path: Path) -> None:
    HistoryWriter(tmp_path / "empty", SQUARE)
    with pytest.raises(ValueError, match="`runs` must hold a run or more, got none"):
        make_page({})
    with pytest.raises(ValueError, match="`max_frames` must be 2 or more, got 1"):
        make_page({"a": history}, max_frames=1)
    with pytest.raises(ValueError, match="new holds no snapshot"):
        make_page({"new": History(tmp_path / "empty")})


def test_a_metric_added_later_changes_no_reader() -> None:
    """Whatever else is in a record stands there under its name, and is left alone by who does not know it."""
    record = viewed(plain())
    more = wire.pack({**record.header, "colour": "red"}, {**record.sections, "new/part": np.arange(3.0)})
    again = wire.unpack(more)
    assert again.sections["points"].tolist() == record.sections["points"].tolist()


def test_samples_have_the_arguments_of_a_sample() -> None:
    """The helper above makes samples as the recorder does: without what came before, metrics of a first sample."""
    sample = plain()
    asked = Memory(windowed=False).sample(sample.step, sample.capture, sample.boundaries, {})
    assert isinstance(asked, Sample)
    assert asked.before is None


# ------------------------------------------------------------------------------------------------------- in event files


class Written:
    """What a run's series of summaries was given: the records of each tag."""

    def __init__(self, **options: Any) -> None:
        self.replay = Replay(Summaries("boundaries"), **options)
        self.views: list[dict[str, Any]] = []
        self.tags: list[str] = []
        self.scenes = 0

    def take(self, values: list[Any]) -> None:
        for value in values:
            *scenes, view = value.tensor.string_val
            self.scenes += len(scenes)
            self.tags.append(value.tag)
            self.views.append(dict(wire.unpack(view).header))

    def run(self, steps: range) -> None:
        for step in steps:
            self.take(self.replay.add(plain(step)))
        self.take([value for _, value in self.replay.finish()])

    @property
    def numbers(self) -> list[int]:
        return [view["number"] for view in self.views]


def test_a_long_run_is_written_ever_more_sparsely_and_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(encode_view(plain(0), 0))
    monkeypatch.setattr("boundarycb.sinks.replay._FULL", 8 * size)
    monkeypatch.setattr("boundarycb.sinks.replay._PART", 3 * size)
    written = Written()
    written.run(range(40))
    assert written.numbers[:8] == list(range(8))
    gaps = np.diff(written.numbers[:-1])
    assert sorted(set(gaps)) == [1, 2, 4]
    assert written.numbers[-1] == 39  # the last is always there
    assert written.views[0]["every"] == 1
    assert written.views[-1]["every"] == 4
    assert len(written.numbers) < 25
    assert written.tags[0] == "boundaries/replay"
    assert len(set(written.tags)) == written.scenes > 5  # each part begins with the scene
    again = Written()
    again.take(again.replay.add(plain(0)))
    assert again.replay.finish() == []  # nothing was left out


def test_a_run_that_goes_on_counts_on() -> None:
    written = Written(earlier=7)
    written.run(range(3))
    assert written.numbers == [7, 8, 9]


@pytest.mark.logs_warnings
def test_a_sample_that_is_too_large_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("boundarycb.sinks.replay._LARGEST", 100)
    written = Written()
    written.run(range(1))
    assert written.views == []
    assert "are too much for TensorBoard's tab Boundaries" in caplog.text


def test_marks_and_limits_are_in_the_unit_square() -> None:
    base = slices.box((0, 2), (0, 10))
    marks = Marks(np.array([[1.0, 2.5]]), np.array([0.25]), np.array([3]))
    plane = replace(base, marks=marks, limits=np.array([[0.5, 5.0], [2.0, 10.0]]), anchors=np.array([[2.0, 0.0]]))
    record = wire.unpack(encode_scene(plane, ""))
    assert record.sections["marks/points"].tolist() == [[0.5, 0.25]]
    assert record.sections["marks/off"].tolist() == [0.25]
    assert record.sections["marks/labels"].tolist() == [3]
    assert record.sections["limits"].tolist() == [[0.25, 0.5], [1.0, 1.0]]
    assert record.sections["anchors"].tolist() == [[1.0, 0.0]]
