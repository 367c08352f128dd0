"""The event file, read back by TensorBoard's own reader."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import signal
import sys
import warnings
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from models import Ginn, mlp
from PIL import Image
from snapshots import plain
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader as RawEvents
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.util.tensor_util import make_ndarray
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from boundarycb import BoundaryWarning, Recorder, load, metrics, slices, watch
from boundarycb.metrics.descriptions import describe
from boundarycb.render import draw_overlay, draw_panels
from boundarycb.sinks import TensorBoard
from boundarycb.sinks.eventfile import OwnFile, SharedFile, _path_under
from boundarycb.sinks.layout import layout_for
from boundarycb.sinks.summaries import Summaries

SQUARE = slices.box((-1, 1), (-1, 1))


def train(model: nn.Module, steps: int, *, resolution: int = 24, **options: Any) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with watch(model, optimizer, slice=SQUARE, resolution=resolution, image_size=96, **options) as recorder:
        for _ in range(steps):
            output = model(torch.rand(16, 2))
            loss = (output[0] if isinstance(output, tuple) else output).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return recorder


def read(directory: Path) -> Any:
    events = EventAccumulator(str(directory), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    events.Reload()
    return events


def test_everything_is_there_when_read_back(tmp_path: Path) -> None:
    train(Ginn(), 12, every_n_steps=2, directory=tmp_path)
    events = read(tmp_path)
    overlays = events.Images("boundaries/overlay")
    assert [event.step for event in overlays] == [0, 2, 4, 6, 8, 10, 12]
    first = Image.open(io.BytesIO(overlays[0].encoded_image_string))
    assert (first.format, first.mode, first.size) == ("PNG", "P", (overlays[0].width, overlays[0].height))
    assert [event.step for event in events.Images("boundaries/panels")] == [0, 10, 12]  # every fifth, and the last
    train(Ginn(), 10, every_n_steps=2, directory=tmp_path / "b")
    assert [event.step for event in read(tmp_path / "b").Images("boundaries/panels")] == [0, 10]  # the last is a fifth: once
    (movie,) = events.Images("boundaries/movie")
    animation = Image.open(io.BytesIO(movie.encoded_image_string))
    assert (animation.format, animation.n_frames, movie.step) == ("GIF", 7, 12)  # type: ignore[attr-defined]
    for layer in ("layer1", "layer2", "layer3"):
        scalars = events.Scalars(f"boundaries/on/share/{layer}")
        assert [event.step for event in scalars] == [0, 2, 4, 6, 8, 10, 12]
        assert all(0 <= event.value <= 1 for event in scalars)


def test_every_tag_carries_a_description(tmp_path: Path) -> None:
    train(mlp(2, 4, 2), 2, every_n_steps=1, directory=tmp_path)
    texts: dict[str, str] = {}
    for path in tmp_path.glob("events*"):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                texts.setdefault(value.tag, value.metadata.summary_description)
    assert texts.pop("custom_scalars__config__") == ""  # TensorBoard's own
    assert all(len(text) > 20 for text in texts.values())
    words = (
        "overlay",
        "panels",
        "similarity",
        "movie",
        "on/share/0",
        "drift/rotate/0",
        "drift/rotate_per_unit/0",
        "copycat/closest",
    )
    assert {f"boundaries/{word}" for word in words} < set(texts)
    assert "--samples_per_plugin images=1000" in texts["boundaries/overlay"]


def test_descriptions_are_sent_once(tmp_path: Path) -> None:
    train(mlp(2, 4, 2), 4, every_n_steps=1, directory=tmp_path)
    described: dict[str, list[bool]] = {}
    for path in tmp_path.glob("events*"):
        for record in RawEvents(str(path)).Load():
            for value in record.summary.value:
                described.setdefault(value.tag, []).append(value.HasField("metadata"))
    assert described.pop("boundaries/movie") == [True]
    assert described.pop("boundaries/drift/shift/0") == [True, False, False, False]  # from the second sample on
    assert all(flags[0] and not any(flags[1:]) for flags in described.values())


@pytest.mark.parametrize("metric", metrics.default(), ids=lambda metric: metric.__name__)
def test_every_number_of_ours_is_described(metric: Any, tmp_path: Path) -> None:
    """With its range, or what it adds up to."""
    aimed = slices.aimed(SQUARE, lambda inputs: abs(inputs).max(axis=1) < 0.5)
    recorder = Recorder(tmp_path, aimed, resolution=16, metrics=[metric], data=np.random.default_rng(0).normal(size=(20, 2)))
    for step in (0, 1):
        recorder.record(mlp(2, 4, 4, 2, seed=step), step)
    recorder.close()
    names = load(tmp_path)[-1].metrics
    assert names
    for name in names:
        assert re.search(r"Range|or more|flipped\.|did\.|copies", describe(name)), name
    assert describe("my/own/number") == describe("my/own_per_unit/number") == ""


def test_histograms_hold_a_value_a_unit(tmp_path: Path) -> None:
    recorder = train(Ginn(), 4, every_n_steps=2, directory=tmp_path)
    last = load(recorder.directory)[-1]
    for part in ("flipped", "shift", "rotate", "upstream"):
        events = read(tmp_path).Tensors(f"boundaries/drift/{part}_per_unit/layer2")
        assert [event.step for event in events] == [2, 4]
        table = make_ndarray(events[-1].tensor_proto)
        values = last.per_unit[f"drift/{part}_per_unit/layer2"]
        assert table[:, 2].sum() == 16
        assert table[0, 0] <= values.min() <= values.max() <= table[-1, 1]
        assert (table[:, 2] * table[:, :2].mean(axis=1)).sum() / 16 == pytest.approx(values.mean(), abs=np.ptp(table[:, :2]) / 30)


def test_the_closest_pairs_are_a_table(tmp_path: Path) -> None:
    recorder = train(Ginn(), 12, every_n_steps=2, directory=tmp_path)
    events = read(tmp_path).Tensors("boundaries/copycat/closest")
    assert [event.step for event in events] == [0, 10, 12]
    lines = make_ndarray(events[-1].tensor_proto).item().decode().splitlines()
    rows = sorted(load(recorder.directory)[-1].tables["copycat/closest"], key=lambda row: row["chance"] - abs(row["phi"]))
    assert lines[0] == "| layer | unit | other | phi | r on data | chance level | copycats since step |"
    assert len(lines) == 2 + len(rows)
    assert lines[2].startswith(
        f"| layer1 | {rows[0]['unit']} | {rows[0]['other']} | {rows[0]['phi']:.3f} |  | {rows[0]['chance']:.3f} |"
    )


def test_units_of_a_convolution_are_told_by_their_place(tmp_path: Path) -> None:
    class Image(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv = nn.Linear(2, 5), nn.Conv1d(1, 3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z: torch.Tensor = self.conv(self.first(x)[:, None])
            return z.relu().flatten(1)

    train(Image(), 1, every_n_steps=1, directory=tmp_path, resolution=64)
    lines = make_ndarray(read(tmp_path).Tensors("boundaries/copycat/closest")[-1].tensor_proto).item().decode().splitlines()
    assert len(lines) > 2
    for line in lines[2:]:
        unit, place = line.split("|")[2].strip().split(" ", 1)
        assert place == str(divmod(int(unit), 4))


def layout(directory: Path) -> Layout:
    (event,) = read(directory).Tensors("custom_scalars__config__")
    return Layout.FromString(make_ndarray(event.tensor_proto).item())


def test_the_layout_puts_drift_with_its_parts_on_one_chart_and_all_layers_on_one(tmp_path: Path) -> None:
    train(Ginn(), 4, every_n_steps=2, directory=tmp_path)
    tags = read(tmp_path).Tags()["scalars"]
    charts = {chart.title: chart.multiline.tag for category in layout(tmp_path).category for chart in category.chart}
    shown = {
        title: sorted(tag for tag in tags if any(re.search(regex, tag) for regex in regexes)) for title, regexes in charts.items()
    }
    assert shown["layer2: shift, rotate, upstream"] == [
        f"boundaries/drift/{part}/layer2" for part in ("flipped", "rotate", "shift", "upstream")
    ]
    assert shown["all layers"] == [f"boundaries/drift/flipped/layer{k}" for k in (1, 2, 3)]
    assert shown["layer1: most alike pair, and chance level"] == [
        "boundaries/copycat/chance/layer1",
        "boundaries/copycat/max_phi/layer1",
    ]
    assert all(shown.values())


def test_a_layout_of_the_users_stays_and_so_does_that_of_another_name(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_custom_scalars({"mine": {"losses": ["Multiline", ["loss/.*"]]}})
        train(mlp(2, 4, 2), 2, every_n_steps=1, writer=writer)
        train(mlp(2, 4, 2), 2, every_n_steps=1, writer=writer, name="other")
        with pytest.warns(BoundaryWarning, match="other holds a history already"):
            train(mlp(2, 4, 2), 2, every_n_steps=1, writer=writer, name="other")  # again, in the same run
    last = Layout.FromString(make_ndarray(read(tmp_path).Tensors("custom_scalars__config__")[-1].tensor_proto).item())
    titles = [category.title.split(":")[0] for category in last.category]
    assert titles == ["mine", *["boundaries"] * 4, *["other"] * 4]


def test_an_event_file_that_is_too_large_to_be_searched_keeps_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.sinks.layout._READABLE", 10)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_custom_scalars({"mine": {"losses": ["Multiline", ["loss/.*"]]}})
        train(mlp(2, 4, 2), 2, every_n_steps=1, writer=writer)
    assert [category.title for category in layout(tmp_path).category] == ["mine"]


def test_layers_without_parts_have_no_chart_of_them(tmp_path: Path) -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(2, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.fc1(x))
            z: torch.Tensor = torch.tanh(x + self.fc2(h))
            return z

    train(Skip(), 2, every_n_steps=1, directory=tmp_path)
    titles = [chart.title for category in layout(tmp_path).category for chart in category.chart]
    assert [title for title in titles if "rotate" in title or "weights" in title] == [
        "fc1: shift, rotate, upstream",
        "fc1: bias, weights, upstream",
    ]


def test_layers_with_odd_names_are_found_by_their_charts() -> None:
    layers = ["net.0", "net.00", "net-1"]
    numbers = {f"{metric}/{layer}": 0.5 for metric in ("drift/flipped", "drift/shift", "copycat/chance") for layer in layers}
    for category in layout_for("a.b", layers, numbers).category:
        for chart in category.chart:
            (regex,) = chart.multiline.tag
            hits = [layer for layer in layers if re.search(regex, f"a.b/drift/shift/{layer}")]
            assert hits in ([], [chart.title.split(":")[0]])
            assert not re.search(regex, "aXb/drift/flipped/net.0")


def test_a_write_that_fails_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk; what is written once there is room again can be read."""
    room = [10**6]

    class Small(io.FileIO):
        def write(self, data: Any) -> int:
            if not room[0]:
                raise OSError(28, "No space left on device")
            taken = min(room[0], len(data), 1000)  # a write may take a part
            room[0] -= taken
            return super().write(data[:taken])

    def opened(self: Path, mode: str, buffering: int = -1) -> Any:
        return Small(self, mode.replace("b", ""))

    monkeypatch.setattr(Path, "open", opened)
    file, make = OwnFile(tmp_path), Summaries("x")
    file.add([make.scalar("a", "", 1.0)], 1)
    room[0] = 2500
    with pytest.raises(OSError, match="No space"):
        file.add([make.markdown("text", "", "word " * 1000)], 2)
    assert file._file is None  # it is closed, since the sink will be dropped
    room[0] = 10**6
    file.add([make.scalar("a", "", 3.0)], 3)
    file.close()
    monkeypatch.undo()
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("x/a")] == [(1, 1.0), (3, 3.0)]


def test_without_metrics_there_are_pictures_alone(tmp_path: Path) -> None:
    train(mlp(2, 4, 2), 2, every_n_steps=1, directory=tmp_path, metrics=[])
    tags = read(tmp_path).Tags()
    assert tags["scalars"] == ["boundaries/seconds"]
    assert tags["images"] == ["boundaries/overlay", "boundaries/panels", "boundaries/movie"]


def test_final_numbers_go_into_hparams(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        recorder = train(mlp(2, 4, 2), 4, every_n_steps=2, writer=writer)
        writer.add_hparams({"lr": 0.05}, recorder.finals, run_name=".")
    events = read(tmp_path)
    assert len(events.Scalars("boundaries/drift/flipped/0")) == 2  # untouched
    (final,) = events.Scalars("total/drift/flipped/0")
    assert final.value == pytest.approx(sum(event.value for event in events.Scalars("boundaries/drift/flipped/0")), rel=1e-5)


def test_the_users_writer_is_shared_and_stays_open(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 1.0, 0)
        recorder = train(mlp(2, 4, 2), 3, every_n_steps=1, writer=writer)
        writer.add_scalar("loss", 0.5, 1)
    assert recorder.directory == tmp_path / "boundaries"
    assert len(list(tmp_path.glob("events*"))) == 1
    events = read(tmp_path)
    assert [event.value for event in events.Scalars("loss")] == [1.0, 0.5]
    assert len(events.Images("boundaries/overlay")) == 4


appends = pytest.mark.skipif(
    os.name != "posix" or importlib.util.find_spec("tensorflow") is not None, reason="a SummaryWriter's file is appended to"
)


@appends
def test_records_of_the_user_and_ours_do_not_tear_each_other(tmp_path: Path) -> None:
    """Ours are appended to the file under the writer, while its own thread appends to it too."""
    text, make = "word " * 4000, Summaries("x")
    with SummaryWriter(str(tmp_path), max_queue=2, flush_secs=0) as writer:
        file = SharedFile(writer)
        assert _path_under(writer._get_file_writer()) is not None, "samples are given a checksum byte by byte"

        def log() -> None:
            for step in range(80):
                writer.add_scalar("loss", step, step)
                writer.add_text("own", text[: 100 * step], step)

        user = Thread(target=log)
        user.start()
        for step in range(80):
            file.add([make.scalar("a", "", step), make.markdown("text", "", text)], step)
        user.join()
        file.close()
    events = read(tmp_path)
    for tag in ("loss", "x/a"):
        assert [(event.step, event.value) for event in events.Scalars(tag)] == [(step, step) for step in range(80)]
    assert len(list(tmp_path.glob("events*"))) == 1


@appends
def test_a_full_disk_takes_a_sample_and_nothing_of_the_users(tmp_path: Path) -> None:
    """What the user logs once there is room again can be read: there is no half record before it."""
    resource = pytest.importorskip("resource")
    with SummaryWriter(str(tmp_path)) as writer:
        file, make = SharedFile(writer), Summaries("x")
        writer.add_scalar("loss", 0.0, 0)
        file.add([make.scalar("a", "", 0.0)], 0)
        (path,) = tmp_path.glob("events*")
        limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5000, limits[1]))
            with pytest.raises(OSError, match="there is room for 5,000 of"):
                file.add([make.markdown("text", "", "word " * 4000)], 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        writer.add_scalar("loss", 2.0, 2)
        writer.flush()
        file.add([make.scalar("a", "", 2.0)], 2)
    events = read(tmp_path)
    for tag in ("loss", "x/a"):
        assert [(event.step, event.value) for event in events.Scalars(tag)] == [(0, 0.0), (2, 2.0)]


@appends
def test_what_begins_the_users_file_stands_before_our_first_record(tmp_path: Path) -> None:
    """Behind it all is purged from its step on, which is meant for an earlier file."""
    for _ in range(5):
        with SummaryWriter(str(tmp_path), purge_step=0) as writer:
            SharedFile(writer).add([Summaries("x").scalar("a", "", 1.0)], 1)
    for path in tmp_path.glob("events*"):
        kinds = [event.WhichOneof("what") for event in RawEvents(str(path)).Load()]
        assert kinds[-2:] == ["session_log", "summary"]


@pytest.mark.parametrize("kind", ["module", "address", "file"])
def test_other_writers_get_samples_in_their_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Such as one at an address, or TensorFlow's."""
    given: list[int] = []
    with SummaryWriter(f"memory://{tmp_path}" if kind == "address" else str(tmp_path)) as writer:
        under = writer._get_file_writer()
        if kind == "module":
            monkeypatch.delitem(sys.modules, "tensorboard.compat.tensorflow_stub.io.gfile")
        elif kind == "file":
            monkeypatch.setattr(under.event_writer, "_general_file_writer", io.BytesIO())
        file = SharedFile(writer)
        with monkeypatch.context() as patch:
            patch.setattr(under, "add_summary", lambda _summary, step: given.append(step))
            file.add([Summaries("x").scalar("a", "", 1.0)], 7)
        monkeypatch.undo()
    assert given == [7]


def test_the_advice_on_images_is_given_once_and_when_it_matters(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as few:
        warnings.simplefilter("always")
        train(mlp(2, 4, 2), 9, every_n_steps=1, directory=tmp_path / "few")
    assert few == []  # ten pictures: TensorBoard shows all
    with pytest.warns(
        BoundaryWarning, match="TensorBoard shows 10 pictures .* start it with --samples_per_plugin images=1000"
    ) as many:
        train(mlp(2, 4, 2), 14, every_n_steps=1, directory=tmp_path / "many")
    assert len(many) == 1


def test_an_open_tensorboard_sees_samples_while_training_goes_on(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path)
    pictures = {"overlay": draw_overlay(plain(), 64), "panels": draw_panels(plain(), 64)}
    sink.write(plain(0), pictures)
    assert [event.step for event in read(tmp_path).Images("boundaries/overlay")] == [0]
    sink.close(None, None)


def test_metadata_are_such_that_the_fast_loader_keeps_the_text(tmp_path: Path) -> None:
    train(mlp(2, 4, 2), 1, directory=tmp_path)
    kinds: dict[str, tuple[str, int]] = {}
    for path in tmp_path.glob("events*"):
        for event in RawEvents(str(path)).Load():
            for value in event.summary.value:
                kinds.setdefault(value.tag, (value.metadata.plugin_data.plugin_name, value.metadata.data_class))
    assert kinds["boundaries/overlay"] == ("images", 3)  # DATA_CLASS_BLOB_SEQUENCE
    assert kinds["boundaries/on/share/0"] == ("scalars", 1)  # DATA_CLASS_SCALAR
    assert kinds["boundaries/drift/shift_per_unit/0"] == ("histograms", 2)  # DATA_CLASS_TENSOR
    assert kinds["boundaries/copycat/closest"] == ("text", 2)


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    def metric(sample: Any) -> dict[str, float]:
        return {"mine/a": float("nan"), "mine/b": 2.0, "mine/c": float("inf")}

    train(mlp(2, 4, 2), 1, directory=tmp_path, metrics=[metric])
    assert read(tmp_path).Tags()["scalars"] == ["boundaries/mine/b", "boundaries/seconds"]


def test_another_name_leads_every_tag_and_folder(tmp_path: Path) -> None:
    train(mlp(2, 4, 2), 1, directory=tmp_path, name="slice-b")
    tags = read(tmp_path).Tags()
    assert all(tag.startswith("slice-b/") for tag in [*tags["images"], *tags["scalars"]])
    assert (tmp_path / "slice-b" / "boundaries.gif").exists()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="`writer` must be a torch.utils.tensorboard.SummaryWriter or a directory, got int"):
        TensorBoard(3)
    other = type("SummaryWriter", (), {"__module__": "tensorboardX.writer", "_get_file_writer": lambda self: None})
    with pytest.raises(TypeError, match="or a directory, got tensorboardX.writer.SummaryWriter"):  # whose protobufs are its own
        TensorBoard(other())
    with pytest.raises(ValueError, match="`panels_every` must be 1 or more"):
        TensorBoard("x", panels_every=0)


def test_a_run_without_samples_leaves_no_file(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(BoundaryWarning, match="No sample"), watch(model, optimizer, directory=tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()


def test_the_movie_of_the_event_file_is_the_one_on_disk(tmp_path: Path) -> None:
    recorder = train(mlp(2, 4, 2), 5, every_n_steps=1, directory=tmp_path)
    (movie,) = read(tmp_path).Images("boundaries/movie")
    assert (recorder.directory / "boundaries.gif").read_bytes() == movie.encoded_image_string
    assert max(movie.width, movie.height) < 500
    assert np.asarray(Image.open(io.BytesIO(movie.encoded_image_string))).ndim == 2


def test_the_report_is_a_text_whose_pictures_are_images(tmp_path: Path) -> None:
    recorder = train(Ginn(), 4, every_n_steps=2, directory=tmp_path)
    (event,) = read(tmp_path).Tensors("boundaries/report")
    assert event.step == 4
    text = make_ndarray(event.tensor_proto).item().decode()
    named = re.findall(r"\*Picture: `boundaries/report/(\w+)` under Images\.\*", text)
    images = {tag.removeprefix("boundaries/report/") for tag in read(tmp_path).Tags()["images"] if "/report/" in tag}
    assert set(named) == images
    assert "](report/" not in text  # which would be a picture that is not there
    page = (recorder.directory / "report.md").read_text(encoding="utf-8")
    assert {path.stem for path in (recorder.directory / "report").glob("*.png")} == images
    assert re.sub(r"!\[[^\]]*\]\(report/(\w+)\.png\)", r"*Picture: `boundaries/report/\1` under Images.*", page) == text
