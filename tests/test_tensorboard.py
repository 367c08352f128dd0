"""The event file, read back by TensorBoard's own reader."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
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
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from boundarycb import BoundaryWarning, slices, watch
from boundarycb.render import draw_overlay, draw_panels
from boundarycb.sinks import TensorBoard

SQUARE = slices.box((-1, 1), (-1, 1))


def train(model: nn.Module, steps: int, **options: Any) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with watch(model, optimizer, slice=SQUARE, resolution=24, image_size=96, **options) as recorder:
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
    assert set(texts) == {"boundaries/overlay", "boundaries/panels", "boundaries/movie", "boundaries/on/share/0"}
    assert all(len(text) > 20 for text in texts.values())
    assert "--samples_per_plugin images=1000" in texts["boundaries/overlay"]


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
    kinds = {}
    for path in tmp_path.glob("events*"):
        for event in RawEvents(str(path)).Load():
            for value in event.summary.value:
                kinds[value.tag] = (value.metadata.plugin_data.plugin_name, value.metadata.data_class)
    assert kinds["boundaries/overlay"] == ("images", 3)  # DATA_CLASS_BLOB_SEQUENCE
    assert kinds["boundaries/on/share/0"] == ("scalars", 1)  # DATA_CLASS_SCALAR


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    def metric(sample: Any) -> dict[str, float]:
        return {"mine/a": float("nan"), "mine/b": 2.0, "mine/c": float("inf")}

    train(mlp(2, 4, 2), 1, directory=tmp_path, metrics=[metric])
    assert read(tmp_path).Tags()["scalars"] == ["boundaries/mine/b"]


def test_another_name_leads_every_tag_and_folder(tmp_path: Path) -> None:
    train(mlp(2, 4, 2), 1, directory=tmp_path, name="slice-b")
    tags = read(tmp_path).Tags()
    assert all(tag.startswith("slice-b/") for tag in [*tags["images"], *tags["scalars"]])
    assert (tmp_path / "slice-b" / "boundaries.gif").exists()


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="`writer` must be a torch.utils.tensorboard.SummaryWriter or a directory, got int"):
        TensorBoard(3)
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
