"""The output of each class as a surface: what is kept of it, what is drawn, and where it goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import compare
from models import mlp
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from boundarycb import load, slices, watch, wire
from boundarycb.engines.masks import shown_of
from boundarycb.render import Drawn, draw_surfaces, draw_zones, has_surfaces
from boundarycb.render.layout import Layout
from boundarycb.sampling import Look, look
from boundarycb.sinks.gif import make_movie
from boundarycb.types import Capture, Field, Floats, Snapshot

PLANE = slices.box((-1, 1), (-2, 2))


def kept(model: nn.Module, resolution: int = 64) -> Floats:
    field = seen(model, resolution).capture.field
    assert field is not None
    assert field.surfaces is not None
    return field.surfaces


def seen(model: nn.Module, resolution: int = 64, **more: Any) -> Look:
    return look(model, PLANE, resolution=resolution, **{"surfaces": True, **more})


def at_points(model: nn.Module, resolution: int = 64) -> Floats:
    """Return the outputs (h, w, C) at the points that are kept, one by one."""
    us, vs = PLANE.nodes(resolution)
    shown = shown_of(resolution)
    points = [[(us[1 + column], vs[1 + row]) for column in shown] for row in shown]
    with torch.no_grad():
        return np.asarray(model(torch.tensor(points, dtype=torch.float32)))


def snapshot(model: nn.Module, step: int = 7, names: tuple[str, ...] = ()) -> Snapshot:
    one = seen(model)
    capture = one.capture
    if names:
        assert capture.field is not None
        capture = replace(capture, field=replace(capture.field, names=names))
    return Snapshot(step, 0.0, PLANE, capture, one.boundaries)


@pytest.mark.parametrize("resolution", [8, 48, 64, 100])
def test_they_are_the_chances_at_evenly_spread_points(resolution: int) -> None:
    model = mlp(2, 8, 3)
    expected = torch.softmax(torch.from_numpy(at_points(model, resolution)), dim=2).numpy()
    found = kept(model, resolution)
    side = min(48, resolution)
    assert found.shape == (3, side, side)
    assert np.abs(found - np.moveaxis(expected, 2, 0)).max() < 1e-5
    gaps = np.diff(shown_of(resolution))
    assert gaps.max() - gaps.min() <= 1


def test_sigmoid_outputs_are_chances_of_their_own() -> None:
    model = nn.Sequential(mlp(2, 8, 2), nn.Sigmoid())
    assert np.abs(kept(model) - np.moveaxis(at_points(model), 2, 0)).max() < 1e-5


def test_two_classes_have_two_surfaces_and_one_output_is_itself() -> None:
    two = kept(mlp(2, 8, 2))
    assert two.shape == (2, 48, 48)
    assert np.allclose(two.sum(axis=0), 1, atol=1e-6)
    model = mlp(2, 8, 1)
    assert np.abs(kept(model)[0] - at_points(model)[..., 0]).max() < 1e-5


def test_of_many_classes_the_first_ten_are_kept_with_their_chances_among_all() -> None:
    model = mlp(2, 8, 12)
    expected = torch.softmax(torch.from_numpy(at_points(model)), dim=2).numpy()
    found = kept(model)
    assert found.shape == (10, 48, 48)
    assert np.abs(found - np.moveaxis(expected, 2, 0)[:10]).max() < 1e-5
    picture = draw_surfaces(snapshot(model))
    assert picture.pixels.shape[0] > 3 * 300  # four rows of three


def test_a_users_signs_are_no_formulas() -> None:
    capture = look(mlp(2, 8, 2), PLANE, surfaces=True)
    assert capture.capture.field is not None
    field = replace(capture.capture.field, names=("$a_$", "\\frac$"))
    plane = slices.box((-1, 1), (-1, 1), names=("$a_$", "price $"))
    sample = Snapshot(0, 0.0, plane, replace(capture.capture, field=field), capture.boundaries)
    assert draw_surfaces(sample).pixels.size


def test_they_are_not_kept_unless_asked_for() -> None:
    field = look(mlp(2, 8, 3), PLANE).capture.field
    assert field is not None
    assert field.surfaces is None
    one = Snapshot(0, 0.0, PLANE, look(mlp(2, 8, 3), PLANE).capture, look(mlp(2, 8, 3), PLANE).boundaries)
    assert not has_surfaces(one)
    with pytest.raises(ValueError, match="`snapshot` must be one of a run with `surfaces=True`"):
        draw_surfaces(one)


def test_a_history_gives_them_back() -> None:
    one = snapshot(mlp(2, 8, 3))
    again = wire.decode(wire.unpack(wire.encode(one)), PLANE)
    assert one.field is not None
    assert again.field is not None
    assert again.field.surfaces is not None
    assert (again.field.surfaces == one.field.surfaces).all()


def test_the_picture(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(0)
    hidden, out = nn.Linear(2, 3), nn.Linear(3, 3)
    with torch.no_grad():
        hidden.weight.copy_(torch.tensor([[4.0, 0.0], [0.0, 3.0], [3.0, -2.0]]))
        hidden.bias.copy_(torch.tensor([0.5, -0.5, 0.0]))
        out.weight.copy_(4 * torch.eye(3))
        out.bias.zero_()
    model = nn.Sequential(hidden, nn.Sigmoid(), out)
    compare(draw_surfaces(snapshot(model, names=("white", "black", "grey"))), "surfaces", request)


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 10])
def test_any_number_of_classes_is_drawn_with_one_palette(classes: int) -> None:
    first, second = draw_surfaces(snapshot(mlp(2, 4, classes))), draw_surfaces(snapshot(mlp(2, 4, classes, seed=3)))
    assert (first.palette == second.palette).all()
    assert first.pixels.shape == second.pixels.shape
    assert len(np.unique(first.pixels)) > 20


def test_outputs_that_are_not_finite_do_no_harm() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x[:, :1] > 0.5, torch.nan, self.net(x))

    picture = draw_surfaces(snapshot(Odd()))
    assert picture.pixels.shape[0] > 100


def test_a_run_keeps_them_and_leaves_a_movie(tmp_path: Path) -> None:
    model = mlp(2, 6, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer, slice=PLANE, directory=tmp_path, surfaces=True, every_n_steps=2, resolution=32) as recorder:
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.rand(8, 2)).square().mean().backward()
            optimizer.step()
    history = load(tmp_path)
    for one in history:
        assert one.field is not None
        assert one.field.surfaces is not None
        assert one.field.surfaces.shape == (3, 32, 32)
    with Image.open(recorder.directory / "surfaces.gif") as movie:
        assert getattr(movie, "n_frames", 1) == 3
    assert "surfaces.gif" in recorder.summary
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "boundaries/surfaces" in events.Tags()["images"]


def test_a_run_without_them_makes_no_movie_of_them(tmp_path: Path) -> None:
    model = mlp(2, 6, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer, slice=PLANE, directory=tmp_path, resolution=16) as recorder:
        model(torch.rand(8, 2)).mean().backward()
        optimizer.step()
    assert not (recorder.directory / "surfaces.gif").exists()
    with pytest.raises(ValueError, match="`history` must be one of a run with `surfaces=True`"):
        make_movie(load(tmp_path), picture="surfaces")
    with pytest.raises(ValueError, match="`picture` must be one of overlay, surfaces"):
        make_movie(load(tmp_path), picture="panels")  # type: ignore[arg-type]


def test_it_is_yes_or_no(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`surfaces` must be True or False, got 3"):
        watch(mlp(2, 6, 3), surfaces=3, directory=tmp_path)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------------ zones


def zoned(above: Any, value: Any = 0.9, second: Any = 0.1) -> Snapshot:
    """Return a snapshot whose sigmoid outputs are on as often as `above` (4, 4) says."""
    one = snapshot(nn.Sequential(mlp(2, 4, 3), nn.Sigmoid()))
    grid = np.ones((4, 4))
    field = Field(
        "classes",
        (value * grid).astype(np.float16),
        np.zeros((4, 4), np.uint16),
        3,
        second=(second * grid).astype(np.float16),
        above=np.asarray(above * grid, np.uint16),
    )
    return replace(one, capture=Capture(one.layers, 4, np.zeros((len(one.capture.on), 2), np.uint8), field))


def colours_in(one: Snapshot) -> dict[tuple[int, ...], int]:
    """Return how many pixels of the plot have each colour."""
    layout = Layout.of(one.slice, 128, lines=2)
    left, top, right, bottom = layout.plot
    found, counts = np.unique(draw_zones(one, 128).rgb()[top:bottom, left:right].reshape(-1, 3), axis=0, return_counts=True)
    return {tuple(int(part) for part in colour): int(count) for colour, count in zip(found, counts, strict=True)}


def test_zones_are_where_the_outputs_say() -> None:
    above = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [2, 2, 3, 3], [2, 2, 1, 1]])
    counts = sorted(colours_in(zoned(above)).values())
    total = sum(counts)
    assert [round(16 * count / total) for count in counts] == [4, 6, 6]
    tie = zoned(above, value=0.6, second=0.55)
    assert len(colours_in(tie)) == 1
    assert len(colours_in(zoned(above, value=np.nan))) == 1


def test_zones_are_drawn_the_right_way_up() -> None:
    one = zoned(np.array([[0] * 4, [1] * 4, [1] * 4, [1] * 4]))  # none on in the row of least v
    layout = Layout.of(one.slice, 128, lines=2)
    pixels = draw_zones(one, 128).rgb()
    middle = (layout.plot[0] + layout.plot[2]) // 2
    assert (pixels[layout.plot[3] - 3, middle] != pixels[layout.plot[1] + 3, middle]).any()
    assert (pixels[layout.plot[1] + 3, middle] == pixels[(layout.plot[1] + layout.plot[3]) // 2, middle]).all()


def test_zones_are_for_sigmoid_outputs() -> None:
    assert "zones" in Drawn(snapshot(nn.Sequential(mlp(2, 4, 3), nn.Sigmoid())), 128)
    plain = snapshot(mlp(2, 4, 3))
    assert "zones" not in Drawn(plain, 128)
    with pytest.raises(ValueError, match="outputs are sigmoids"):
        draw_zones(plain)
