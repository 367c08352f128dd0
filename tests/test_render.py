"""Pictures: golden ones, and what must hold of every one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from golden import compare
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colormaps
from matplotlib.colors import to_hex
from snapshots import SQUARE, fan, four_classes, one_value, plain, rings, snapshot, two_classes

from boundarycb import slices
from boundarycb.render import draw_inputs, draw_overlay, draw_panels, draw_similarity, draw_vector, has_inputs, has_similarity
from boundarycb.render.canvas import Canvas, cut, fitted, fitted_together, limited, text_width, wrapped
from boundarycb.render.captions import Room, axes_caption, background_caption, captions_of, field_span, from_to, legend_classes
from boundarycb.render.colours import _FEW, INK, Scheme, class_colour, layer_colours, rgb, scheme
from boundarycb.render.heatmap import _in_words
from boundarycb.render.inputs import images_at
from boundarycb.render.layout import SMALLER, Layout
from boundarycb.render.marks import _corner_beside, marks_phrases, to_pixels
from boundarycb.render.pictures import _panel_title
from boundarycb.types import Field, Picture, Snapshot
from boundarycb.viewer import text_of


def many_layers() -> Snapshot:
    return snapshot([fan(5, 0.4 * k) for k in range(9)], one_value, step=77)


def broken() -> Snapshot:
    def torn(u: Any, v: Any) -> Any:
        return np.where(u > 0.3, np.nan, two_classes(u, v).T).T

    return snapshot([fan(5, 0.2), [lambda u, v: np.where(v > 0.5, np.nan, u)]], torn, step=3, scalars={"loss": float("nan")})


def on_a_plane() -> Snapshot:
    plane = slices.through(np.zeros(5), 2 * np.eye(5)[0], np.eye(5)[0] + 1.5 * np.eye(5)[3])
    return snapshot([fan(4, 0.2), rings(3, (1.0, 0.5))], four_classes, plane=plane)


def through_images() -> Snapshot:
    """Return a snapshot on the plane through three drawings: a bar, a ring and a cross; named, with the valid ones' outline."""
    bar, ring, cross = np.zeros((3, 1, 8, 8))
    bar[0, :, 3:5] = ring[0, 1:7, 1:7] = cross[0, 3:5] = cross[0, :, 3:5] = 1
    ring[0, 3:5, 3:5], cross[0, 0, 0] = 0, 0.5
    plane = slices.through(bar, ring, cross, margin=0.3, names=("bar", "ring", "cross"))
    plane = slices.limited(plane, -0.2, 1.2)
    sample = snapshot([fan(4, 0.2), rings(3, (2.0, 1.5))], four_classes, plane=plane)
    assert sample.field is not None
    named = replace(sample.field, names=("bar", "ring", "cross", "none"))
    return replace(sample, capture=replace(sample.capture, field=named))


def with_samples() -> Snapshot:
    """Return a snapshot with two samples on the plane, two off it at different distances, and one too far to show."""
    plane = slices.through([0.0, 0, 0], [4, 0, 0], [0, 4, 0])
    inputs = [[1.0, 1, 0], [3, 3, 0], [1, 3, 0.5], [3, 1, 3], [2, 2, 50]]
    return snapshot([fan(2, 0.3)], four_classes, plane=slices.marked(plane, inputs, labels=[0, 1, 0, 1, 2]))


def wide() -> Snapshot:
    return snapshot([fan(4, 0.2)], two_classes, plane=slices.box((-3, 3), (-1, 1)))


SNAPSHOTS = {
    "plain": plain,
    "many_layers": many_layers,
    "broken": broken,
    "plane": on_a_plane,
    "images": through_images,
    "samples": with_samples,
    "wide": wide,
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_overlay(name: str, request: pytest.FixtureRequest) -> None:
    compare(draw_overlay(SNAPSHOTS[name](), 320), f"overlay_{name}", request)


@pytest.mark.parametrize("name", ["plain", "many_layers"])
def test_panels(name: str, request: pytest.FixtureRequest) -> None:
    compare(draw_panels(SNAPSHOTS[name](), 320), f"panels_{name}", request)


def alike(layers: int = 3, units: int = 16) -> Snapshot:
    """Return a snapshot with likenesses made by hand: a copy, a unit that does not switch, an unlike rest."""
    shot = snapshot([fan(units, 0.3 * k) for k in range(layers)], step=1200)
    phi: dict[str, Any] = {}
    numbers: dict[str, float] = {}
    for number in range(1, layers + 1):
        matrix = np.cos(np.subtract.outer(np.arange(units), np.arange(units)) * (0.2 + 0.1 * number))
        matrix[2] = matrix[:, 2] = np.nan
        phi |= {
            f"copycat/phi/layer{number}": matrix.astype(np.float16),
            f"copycat/units/layer{number}": np.arange(units) * number,
            f"copycat/since/layer{number}": np.array([[0, units - 1, 5]] * (number == 2), dtype=np.int64).reshape(-1, 3),
        }
        numbers |= {f"copycat/chance/layer{number}": 0.972, f"copycat/pairs/layer{number}": float(number == 2)}
        numbers |= {f"copycat/max_phi/layer{number}": 0.99}
    return replace(shot, per_unit=phi, metrics=numbers)


@pytest.mark.parametrize(("name", "layers", "units"), [("three", 3, 16), ("one", 1, 5), ("wide", 2, 200)])
def test_similarity(name: str, layers: int, units: int, request: pytest.FixtureRequest) -> None:
    compare(draw_similarity(alike(layers, units), 320), f"similarity_{name}", request)


def test_similarity_marks_the_pairs_and_the_units_that_do_not_switch() -> None:
    colours = {name: np.array(rgb(code)) for name, code in (("pair", "#f07800"), ("idle", "#e9e6df"), ("self", "#b9bec6"))}
    shot = alike(2, 8)
    picture = draw_similarity(shot, 320)
    side = 8 * (160 // 8)
    gap, strip = round(round(9.0 * 1.75) / 2), round(9.0 * 1.75)
    square = picture.rgb()[3 * strip :, gap + 160 + gap :][:side, :side]  # the second layer's
    cells = square.reshape(8, side // 8, 8, side // 8, 3)[:, 3, :, 3]
    assert {tuple(cell) for cell in cells[2]} == {tuple(colours["idle"])}
    assert (cells[0, 7] == colours["pair"]).all()
    assert (cells[7, 0] == colours["pair"]).all()
    assert ((cells == colours["pair"]).all(axis=2)).sum() == 2
    assert (cells[[0, 1, 3], [0, 1, 3]] == colours["self"]).all()


def test_similarity_of_a_large_layer_leaves_out_units_that_do_not_switch() -> None:
    idle = np.array(rgb("#e9e6df"))
    small, large = (draw_similarity(alike(1, units), 320).rgb()[:200] for units in (16, 70))
    assert (small == idle).all(axis=2).any()
    assert not (large == idle).all(axis=2).any()


def test_similarity_has_no_square_for_layers_of_one_unit() -> None:
    whole, one = alike(2, 6), alike(1, 6)
    numbers = {
        f"copycat/{name}/layer2": values for name, values in (("phi", np.ones((1, 1), np.float16)), ("units", np.zeros(1, int)))
    }
    with_single = replace(whole, per_unit={**one.per_unit, **numbers})
    assert np.array_equal(draw_similarity(with_single, 320).rgb(), draw_similarity(one, 320).rgb())
    only = replace(whole, per_unit=numbers)
    assert draw_similarity(only, 320).pixels.shape == draw_similarity(one, 320).pixels.shape


def test_similarity_says_where_no_units_are_compared() -> None:
    """No pairs, since there are none to compare, is not the same as none found."""
    none, told = (replace(one, metrics={**one.metrics, "copycat/pairs/layer1": 0.0}) for one in (alike(1, 6), alike(1, 6)))
    untold = replace(told, metrics={**told.metrics, "copycat/max_phi/layer1": np.nan})
    assert _in_words(none, "layer1") == "0 pairs at or above chance level 0.972"
    assert _in_words(untold, "layer1") == "no two units to compare, level 0.972"
    assert not np.array_equal(draw_similarity(untold, 320).rgb(), draw_similarity(none, 320).rgb())


def test_similarity_needs_its_metric() -> None:
    assert not has_similarity(plain())
    with pytest.raises(
        ValueError, match=r"`snapshot` has no likeness of units; sample with the metric boundarycb\.metrics\.copycats"
    ):
        draw_similarity(plain(), 320)


def near(picture: Picture, colour: str) -> int:
    """Return how many pixels have nearly this colour."""
    return int((np.abs(picture.rgb().astype(int) - rgb(colour)).max(axis=2) < 24).sum())


def plot(picture: Picture, size: int) -> Picture:
    """Return the plot alone, without the header, two lines, and the footer."""
    strip = round(max(9.0, size * 0.0235) * 1.75)
    return Picture(picture.pixels[2 * strip : 2 * strip + size], picture.palette)


def test_lines_have_their_layers_colour_where_the_line_is() -> None:
    sample = snapshot([[lambda u, v: u], [lambda u, v: v - 0.5]])
    pixels = plot(draw_overlay(sample, 256), 256).rgb().astype(int)
    first, second = (np.abs(pixels - rgb(colour)).sum(axis=2) for colour in layer_colours(2))
    columns, rows = (
        np.unravel_index(np.argsort(first, axis=None)[:200], first.shape)[1],
        np.unravel_index(np.argsort(second, axis=None)[:200], second.shape)[0],
    )
    assert np.abs(columns - 127.5).max() <= 1  # u = 0 is the middle column
    assert np.abs(rows - 63.5).max() <= 1  # v = 0.5 is a quarter from the top: v grows upwards


def test_background_stands_the_right_way_up() -> None:
    def upper_right(u: Any, v: Any) -> Any:
        return np.stack([0 * u, 100 * np.minimum(u, v)], axis=1)

    pixels = plot(draw_overlay(snapshot([[lambda u, v: 1 + 0 * u]], upper_right), 128), 128).rgb()[..., 0].astype(int)
    assert pixels[20, 100] > pixels[20, 20] + 50
    assert pixels[20, 100] > pixels[100, 100] + 50


def test_samples_off_the_plane_are_hollow_and_fainter_the_farther() -> None:
    """The same sample on the plane, off it, and farther off: its middle is filled on the plane alone, its rim pales."""
    plane = slices.through([0.0, 0, 0], [4, 0, 0], [0, 4, 0])
    middles, rims = [], []
    for off in (0.0, 1.0, 4.0, 60.0):
        marked = slices.marked(plane, [[2.7, 2.7, off]], labels=[1])
        pixels = plot(draw_overlay(snapshot([[lambda u, v: u + 100]], plane=marked), 400), 400).rgb().astype(int)
        x, y = (to_pixels(marked.marks.points, plane, (0, 0, 400, 400))[0]).round().astype(int)  # type: ignore[union-attr]
        around = pixels[y - 6 : y + 7, x - 6 : x + 7].sum(axis=2)
        middles.append(around[6, 6])
        rims.append(around.min())
    background = middles[3]
    assert middles[0] != background  # its class's colour
    assert middles[1] == middles[2] == background
    assert rims[0] < rims[1] < rims[2] < rims[3] == background


def test_marks_are_explained() -> None:
    assert marks_phrases(slices.box((0, 1), (0, 1))) == []
    assert marks_phrases(through_images().slice) == [
        "a: bar",
        "b: ring",
        "c: cross",
        "dotted: between the three",
        "dashed: inputs within the data's range",
    ]
    assert marks_phrases(with_samples().slice)[-2:] == ["dots: 2 samples", "circles: 2 of 3 samples off the plane, by 3 (median)"]
    flat = slices.through([0.0, 0, 0], [1, 0, 0], [0, 1, 0])
    triangle = replace(flat, limits=flat.anchors)
    assert marks_phrases(triangle) == ["dotted: between the three; beyond, inputs leave the data's range"]
    everywhere = slices.limited(slices.box((0, 1), (0, 1)), -1, 2)
    nowhere = slices.limited(slices.box((0, 1), (0, 1)), 3, 4)
    assert marks_phrases(everywhere) == []
    assert marks_phrases(nowhere) == ["no input here lies within the data's range"]
    draw_overlay(snapshot([fan(2, 0.3)], plane=nowhere), 100)


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.floats(4, 196)] * 2), st.tuples(*[st.integers(5, 60)] * 2))
def test_thumbnails_stay_in_the_plot_and_off_their_anchor(place: tuple[float, float], size: tuple[int, int]) -> None:
    corner = _corner_beside(np.array(place), np.array(size), np.array([100.0, 90]), (0, 0, 200, 200))
    if corner is None:
        return
    low, high = np.array(corner), np.array(corner) + size
    assert (low >= 0).all()
    assert (high <= 200).all()
    assert not ((low < place) & (place < high)).all()


def test_images_are_those_on_the_plane() -> None:
    plane = through_images().slice
    shown = images_at(plane, plane.anchors)
    assert shown.shape == (3, 8, 8, 3)
    assert np.array_equal(np.unique(shown[0]), [0, 255])
    assert shown[2, 0, 0].tolist() == [128, 128, 128]
    halfway = images_at(plane, plane.anchors[:2].mean(axis=0, keepdims=True))[0]
    assert np.abs(halfway.astype(int) - (shown[0].astype(int) + shown[1]) / 2).max() <= 1


def test_the_convention_for_smooth_units_is_said() -> None:
    sample = plain()
    layers = (replace(sample.layers[0], op="gelu"), *sample.layers[1:])
    smooth = replace(sample, capture=replace(sample.capture, layers=layers))
    assert "smooth" not in background_caption(sample)
    assert background_caption(smooth).endswith("smooth: on above 0")


def sigmoids(chance: float = 0.1) -> Snapshot:
    """Return a snapshot of three sigmoid outputs, of which the one that wins has this chance on the left half, else 0.9."""
    sample = snapshot([fan(4, 0.2)], four_classes, resolution=16)
    left = np.arange(16) < 8
    value = np.tile(np.where(left, chance, 0.9), (16, 1)).astype(np.float16)
    above = np.tile(~left, (16, 1)).astype(np.uint16)
    field = Field("classes", value, np.zeros((16, 16), np.uint16), 3, second=value / 2, above=above)
    return replace(sample, capture=replace(sample.capture, field=field))


def test_sigmoid_outputs_are_called_so() -> None:
    assert background_caption(sigmoids()).endswith("winner of 3 sigmoid outputs (paler: less sure)")
    assert background_caption(snapshot([fan(2, 0.2)], four_classes)).endswith("winner of 4 classes (paler: less sure)")
    sample = sigmoids()
    assert sample.field is not None
    many = replace(sample, capture=replace(sample.capture, field=replace(sample.field, classes=70_000)))
    assert background_caption(many).endswith("winner of 70,000 sigmoid outputs (colours repeat, paler: less sure)")


def test_a_sigmoid_that_wins_with_a_small_chance_is_paler_than_any_winner_of_a_softmax() -> None:
    """Of three classes that share a sum of 1 the winner has a third at least, so tones begin there; a sigmoid's begin at 0."""
    pale, third, shared = sigmoids(0.05), sigmoids(1 / 3), sigmoids(1 / 3)
    assert pale.field is not None
    assert shared.field is not None
    assert field_span(pale.field) == (0.0, 1.0)
    shared = replace(shared, capture=replace(shared.capture, field=replace(shared.field, above=None)))
    assert shared.field is not None
    assert field_span(shared.field) == (1 / 3, 1.0)
    tones = [plot(draw_overlay(sample, 128), 128).rgb()[5, 5].astype(int).sum() for sample in (pale, third, shared)]
    assert tones[0] > tones[1]
    assert tones[2] > tones[1]


@pytest.mark.parametrize("colour", [False, True])
def test_a_sheet_shows_what_lies_on_the_plane(colour: bool, request: pytest.FixtureRequest) -> None:
    plane = through_images().slice
    if colour:
        tinted = np.array([1.0, 0.5, 0.2])[:, None, None] * np.repeat(plane.lift(plane.anchors), 3, axis=1)
        plane = slices.through(*tinted, margin=0.3, names=("bar", "ring", "cross"))
    compare(draw_inputs(plane, 320), f"inputs_{'colour' if colour else 'grey'}", request)
    assert has_inputs(plane)


def test_a_sheet_needs_images() -> None:
    with pytest.raises(ValueError, match=r"`slice` must have images for inputs, .* got \(2,\)"):
        draw_inputs(slices.box((0, 1), (0, 1)))
    assert not has_inputs(slices.box((0, 1), (0, 1)))


def test_dead_units_leave_the_background_alone() -> None:
    """GINN's figure with all units dead: no coloured pixel."""
    sample = snapshot([[lambda u, v: -1 + 0 * u], [lambda u, v: 1 + 0 * u]], two_classes)
    pixels = plot(draw_overlay(sample, 128), 128).rgb().astype(int)
    assert (pixels.max(axis=2) == pixels.min(axis=2)).all()


def test_a_frame_that_is_not_finite_is_marked() -> None:
    sample = broken()
    assert "output not finite" in sample.notes
    picture = draw_overlay(sample, 256)
    assert near(picture, "#f6c9cb") > 0.2 * 256**2
    assert near(picture, "#c4161c") > 20


@pytest.mark.parametrize("size", [64, 200, 512, 900])
def test_sizes_are_as_asked(size: int) -> None:
    assert draw_overlay(plain(), size).pixels.shape[1] == size
    assert size <= draw_panels(plain(), size).pixels.shape[1] <= 1.25 * size


@pytest.mark.parametrize("size", [0, 63, 5000, 10.5, True])
def test_wrong_sizes_are_named(size: Any) -> None:
    with pytest.raises(ValueError, match="`size` must be a whole number of pixels, 64 to 4096"):
        draw_overlay(plain(), size)


def test_sixteen_layers_have_a_panel_each() -> None:
    few, many, more = (draw_panels(snapshot([fan(2, 0.1 * k) for k in range(count)])) for count in (9, 16, 17))
    assert many.pixels.shape == more.pixels.shape  # of seventeen one is left out
    assert many.pixels.shape[0] > 1.2 * few.pixels.shape[0]


def test_panels_count_the_units_that_switch_and_say_what_they_leave_out() -> None:
    dead, always = (lambda u, v: -1 + 0 * u), (lambda u, v: 1 + 0 * u)
    sample = snapshot([[*fan(3, 0.1), dead, always]])
    assert _panel_title(sample, 0) == ("layer1", ": 3 of 5 switch here")
    no_lines = replace(
        sample, boundaries=replace(sample.boundaries, points=np.empty((0, 2)), offsets=np.array([0]), owner=np.empty(0, np.int32))
    )
    assert _panel_title(no_lines, 0)[1] == ": 3 of 5 switch here"  # a cap on lines is no matter
    many = snapshot([fan(2, 0.1 * k) for k in range(20)])
    assert draw_panels(many, 200).pixels.shape[1] > draw_panels(sample, 200).pixels.shape[1]


def test_all_frames_of_a_run_share_one_palette() -> None:
    first, last = draw_overlay(plain(0)), draw_overlay(plain(5000))
    assert np.array_equal(first.palette, last.palette)
    assert len(first.palette) <= 256
    assert not np.array_equal(first.pixels, last.pixels)


@pytest.mark.parametrize(("kind", "classes"), [("probability", 2), ("value", 1), ("classes", 10), ("classes", 1000), ("none", 1)])
@pytest.mark.parametrize("layers", [1, 3, 5, 6, 50, 200])
def test_palettes_fit(kind: str, classes: int, layers: int) -> None:
    colours = scheme(layers, kind, classes)
    assert len(colours.layers) == layers
    assert len(colours.palette) <= 256


@pytest.mark.parametrize("kind", ["value", "classes"])
@pytest.mark.parametrize("layers", [6, 64, 80, 200, 400])
def test_lines_of_many_layers_have_nearly_their_own_colours(layers: int, kind: str) -> None:
    colours = scheme(layers, kind, 3)
    wanted = np.array([[*rgb(code), 255] for code in colours.layers], np.uint8)[None]
    picture = colours.to_picture(wanted, np.zeros(wanted.shape[:2], np.uint8))
    off = np.abs(picture.rgb()[0].astype(int) - wanted[0, :, :3]).max(axis=1)
    # The middle of a cell of the table that maps colours is 4 away in each channel; what is nearest to it lies within its corners.
    assert off.max() <= 4 + 4 * 3**0.5


def crowded(output: Any) -> Snapshot:
    """Return a snapshot of 300 lines in three layers, all over the square."""

    def line(turn: int) -> Any:
        return lambda u, v: np.cos(turn) * u + np.sin(turn) * v - 0.9 * np.sin(7 * turn)

    return snapshot([[line(100 * layer + k) for k in range(100)] for layer in range(3)], output)


CROWDED = {"grey": one_value, "two": two_classes, "four": four_classes}


@pytest.mark.parametrize("output", CROWDED.values(), ids=CROWDED)
def test_mapping_to_the_palette_costs_little_colour(output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where lines of three layers cross everywhere: what is drawn in true colour is found in the palette nearby."""
    drawn = []
    mapped = Scheme.to_picture

    def noted(self: Scheme, pixels: Any, background: Any) -> Picture:
        drawn.append(pixels[..., :3].astype(int))
        return mapped(self, pixels, background)

    monkeypatch.setattr(Scheme, "to_picture", noted)
    picture = draw_overlay(crowded(output))
    off = np.abs(picture.rgb() - drawn[0]).max(axis=2)
    touched = off[off > 0]
    assert touched.size > 100_000
    assert touched.mean() < 18
    assert np.percentile(touched, 95) < 40
    assert len(picture.png(quick=True)) < 170_000  # of 313,856 pixels
    colours = {tuple(colour) for colour in picture.palette.tolist()}
    assert colours >= {rgb(code) for code in layer_colours(3)}


# Brettel-type projections for dichromats in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1.0).
BLINDNESS = {
    "none": np.eye(3).tolist(),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour: str, blindness: str) -> Any:
    """Return CIE L*a*b* (D65) of a colour as a colour-blind person sees it."""
    value = np.array(rgb(colour)) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(BLINDNESS[blindness]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_layer_colours_stay_apart_for_colour_blind_people(blindness: str) -> None:
    """And from the ink of the border between classes, and from the ends of the background."""
    seen = [lab(colour, blindness) for colour in (*_FEW, INK, "#8e8e8e", "#fcfcfc")]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 18


@pytest.mark.parametrize("blindness", BLINDNESS)
@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_so_they_do_on_the_viewers_light_and_dark_page(blindness: str, theme: int) -> None:
    text = text_of("palette.js")
    few = re.findall(r"few: \[(.*)\]", text)[theme].replace('"', "").split(", ")
    ends = [re.findall(rf"{end}: \[(.*)\]", text)[theme].split(", ") for end in ("low", "high")]
    ink, greys = re.findall(r'ink: "(.*)"', text)[theme], ["#" + "".join(f"{int(part):02x}" for part in end) for end in ends]
    assert theme or tuple(few) == _FEW
    seen = [lab(colour, blindness) for colour in (*few, ink, *greys)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 18


@pytest.mark.parametrize("count", [6, 7, 8, 10, 12, 16])
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_colours_of_many_layers_stay_further_apart_than_on_a_usual_ramp(blindness: str, count: int) -> None:
    """In the order of the layers, and darker than the darkest grey of the background."""

    def apart(codes: Sequence[str]) -> float:
        seen = [lab(code, blindness) for code in codes]
        return float(min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)))

    usual = [to_hex(colour) for colour in colormaps["plasma"](np.linspace(0, 0.66, count))]
    assert apart(layer_colours(count)) > (3.0 if blindness == "none" else 1.5) * apart(usual)
    assert max(lab(colour, "none")[0] for colour in layer_colours(count)) < lab("#8e8e8e", "none")[0]


@pytest.mark.parametrize("size", [384, 512])
@pytest.mark.parametrize("exact", [True, False])
def test_a_caption_is_whole_in_a_movies_frames(size: int, *, exact: bool) -> None:
    """Of smooth units over two classes too, and all frames have one size, whatever draws the lines."""
    sample = snapshot([fan(3, 0.1)], two_classes)
    layers = tuple(replace(layer, op="silu") for layer in sample.layers)
    sample = replace(sample, capture=replace(sample.capture, layers=layers))
    sample = replace(sample, boundaries=replace(sample.boundaries, layers=layers, exact=exact))
    room = Room.below(Layout.of(sample.slice, size), sample)
    words = " ".join(caption.words for caption in captions_of(sample, room))
    assert words.endswith("smooth: on above 0")
    assert "…" not in words.replace(" … ", "")
    assert (
        room.lines
        == Room.below(Layout.of(sample.slice, size), replace(sample, boundaries=replace(sample.boundaries, exact=not exact))).lines
    )


def test_twenty_classes_have_colours_of_their_own() -> None:
    seen = [lab(class_colour(number), "none") for number in range(20)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 12
    assert class_colour(20) == class_colour(0)


def test_a_legend_of_many_classes_names_those_that_win() -> None:
    """All of ten; of more, those of the largest areas, in their order, and how many more there are."""
    value = np.ones((8, 8), np.float32)
    winner = np.full((8, 8), 31, np.uint16)
    winner[0, :3], winner[1, :2], winner[2, 0] = 4, 17, 9
    assert legend_classes(Field("classes", value, winner, classes=10)) == (list(range(10)), 0)
    assert legend_classes(Field("classes", value, winner, classes=32)) == ([4, 9, 17, 31], 0)
    many = np.arange(64, dtype=np.uint16).reshape(8, 8) // 3  # 0 to 20 at three points each, 21 at one
    assert legend_classes(Field("classes", value, many, classes=32)) == (list(range(6)), 16)
    value[:2] = np.nan
    assert legend_classes(Field("classes", value, winner, classes=32)) == ([9, 31], 0)
    assert legend_classes(Field("value", value)) == legend_classes(None) == ([], 0)


def test_a_range_far_from_zero_keeps_its_ends_apart() -> None:
    """Years from 2019 to 2024 were 2.02e+03 at both ends."""
    years = slices.box((2019, 2024), (16.7, 82.5))
    assert axes_caption(years, 9, 999) == "→ x1 2019 … 2024   ↑ x2 16.7 … 82.5   (not to scale)"
    assert axes_caption(slices.box((-2024.14, -2018.96), (0, 5)), 9, 999) == "→ x1 −2024.1 … −2019   ↑ x2 0 … 5"
    assert from_to(1e6, 1e6 + 1e-3) == ("1000000", "1000000.001")


@pytest.mark.parametrize("names", [("a long name " * 6, "y"), ("x", "a long name " * 6), ("a long name " * 6, "another name " * 6)])
def test_long_names_of_axes_leave_room_for_the_numbers(names: tuple[str, str]) -> None:
    words = axes_caption(slices.box((0, 1), (0, 200), names=names), 9, 300)
    assert text_width(words, 9) <= 300
    assert re.search(r"^→ \S.*\S 0 … 1   ↑ \S.* 0 … 200   \(not to scale\)$|^→ x 0 … 1   ↑ \S.* 0 … 200   \(not to scale\)$", words)
    short = [name for name in names if len(name) == 1]
    assert all(f"{name} 0" in words for name in short)
    assert words.count("…") == 2 + 2 - len(short)


def test_the_captions_say_what_is_drawn() -> None:
    assert axes_caption(plain().slice, 9, 999) == "→ x1 −1 … 1   ↑ x2 −1 … 1"
    assert axes_caption(slices.box((0, 100), (0, 1)), 9, 999) == "→ x1 0 … 100   ↑ x2 0 … 1   (not to scale)"
    assert background_caption(plain()) == "lines from a 64² grid   eval mode   p(class 1) by softmax: dark 0 … light 1"
    shot = plain()
    assert shot.field is not None
    given = replace(shot, capture=replace(shot.capture, field=replace(shot.field, what="probability")))
    assert background_caption(given).endswith("p(class 1): dark 0 … light 1")
    assert background_caption(on_a_plane()).endswith("winner of 4 classes (paler: less sure)")
    assert background_caption(snapshot([fan(2, 0)])).endswith("no background")
    assert background_caption(replace(plain(), boundaries=replace(plain().boundaries, exact=True))).startswith("exact lines")


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-1, 3, "dark −3 … light 3"),
        (2, 3, "dark 2 … light 3"),
        (0.25, 0.75, "dark 0.25 … light 0.75"),
        (0.01, 0.03, "dark 0.01 … light 0.03"),
        (0, 1, "dark 0 … light 1"),
        (-613, 0.07, "dark −613 … light 0.07"),
        (-0.5, 10, "dark −0.5 … light 10"),
        (-2, 10, "dark −6 … light 10"),
        (-1e9, 1e9, "dark −1e+09 … light 1e+09"),
        (1000.25, 1000.75, "dark 1000.25 … light 1000.75"),
    ],
)
def test_a_single_outputs_greys_have_zero_in_the_middle_where_it_is_well_inside(low: float, high: float, words: str) -> None:
    sample = snapshot([fan(2, 0)], lambda u, v: (low + (high - low) * (u > 0))[:, None])
    assert background_caption(sample).endswith(f"output: {words}")
    assert not any("finite" in note for note in sample.notes)


def test_an_output_that_is_nowhere_finite_is_said_so() -> None:
    sample = snapshot([fan(2, 0)], lambda u, v: u[:, None] * np.nan)
    assert background_caption(sample).endswith("output: nowhere finite")


def test_greys_of_a_single_output_go_by_the_limits_of_its_activation() -> None:
    value = np.array([[0.4, 0.6]], np.float32)
    assert field_span(Field("value", value)) == pytest.approx((0.4, 0.6))
    assert field_span(Field("value", value, limits=(0.0, 1.0))) == (0.0, 1.0)
    assert field_span(Field("value", -value, limits=(-1.0, 1.0))) == (-1.0, 1.0)
    assert field_span(Field("value", value * np.nan)) == (0.0, 1.0)


@settings(deadline=None)
@given(st.floats(-10, 10), st.floats(0.001, 10), st.floats(-1e-3, 1e-3), st.floats(-1e-3, 1e-3))
def test_greys_of_a_movie_do_not_jump(low: float, width: float, first: float, second: float) -> None:
    """What is dark and light moves little where the output does: six times as far at most, as the rule changes evenly."""
    one, other = (
        field_span(Field("value", np.array([ends]))) for ends in ((low, low + width), (low + first, low + width + second))
    )
    assert max(abs(np.subtract(one, other))) <= 12e-3


def test_names_of_layers_lose_what_all_share_before_they_lose_what_tells_them_apart() -> None:
    names = [f"model.encoder.layers.{number}.linear1" for number in range(6)]
    whole = sum(text_width(name, 12) + 20 for name in names)
    assert fitted_together(names, 12, whole, 20) == names
    shorter = fitted_together(names, 12, whole - 1, 20)
    assert shorter == [f"…{number}.linear1" for number in range(6)]
    narrow = fitted_together(names, 12, 240, 20)
    assert sum(text_width(name, 12) + 20 for name in narrow) <= 240
    assert fitted_together(["alone.in.its.line"], 12, 999, 20) == ["alone.in.its.line"]
    assert fitted_together(["alone.in.its.line"], 12, 60, 20) == ["…line"]
    unlike = fitted_together(["first_of_all", "second_of_all"], 12, 120, 20)
    assert all("…" in name for name in unlike)


def test_letters_stay_on_the_canvas_wherever_anchors_lie() -> None:
    for corner in ([1.0, 1.0], [0.0, 1.0], [0.5, 1.0]):
        plane = slices.through([0.0, 0.0], [1.0, 0.0], corner, margin=0)
        draw_overlay(snapshot([fan(2, 0.1)], plane=plane), 100)


def written(sample: Snapshot, size: int) -> list[tuple[float, float, str]]:
    """Return what an overlay says: where each text stands (x, baseline), and its words."""
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', draw_vector(sample, size))
    return [(float(x), float(y), unescape(words)) for x, y, words in texts]


def noted(sample: Snapshot, *notes: str) -> Snapshot:
    return replace(sample, boundaries=replace(sample.boundaries, notes=notes))


LONG = (
    "lines are traced on a grid, since units of head.0 are not affine within its regions (0.24 of their size, 1e-09 is allowed)",
    "it calls sort in its forward, lstm in rnn",
)


@pytest.mark.parametrize(("sides", "width"), [((1, 3), 320), ((1, 4), 320), ((3, 1), 384), ((1, 8), 384), ((1, 1), 384)])
def test_a_tall_slice_stands_in_the_middle_of_a_canvas_that_has_room_for_words(sides: tuple[int, int], width: int) -> None:
    """Such as 1:3, whose plot is 128 pixels wide; 1:8 is not drawn to scale, and as wide as any."""
    plane = slices.box((0, sides[0]), (0, sides[1]))
    sample = snapshot([fan(3, 0.1), fan(2, 0.5), fan(4, 0.2)], four_classes, plane=plane, scalars={"loss": 0.03125})
    picture = draw_overlay(sample, 384)
    assert picture.pixels.shape[1] == width
    plot = Layout.of(plane, 384).plot
    assert abs((plot[0] + plot[2]) / 2 - width / 2) <= 0.5
    inside = picture.pixels[plot[1] : plot[3]]
    assert len(np.unique(inside[:, : plot[0]])) == len(np.unique(inside[:, plot[2] :])) == (1 if plot[0] else 0)
    words = [words for _, _, words in written(sample, 384)]
    assert {"layer1", "layer2", "layer3", "loss 0.0312"} <= set(words)
    assert not [text for text in words if "…" in text.replace(" … ", " ")]
    assert draw_panels(sample, 384).pixels.shape[1] >= width


def test_long_notes_are_wrapped_and_all_frames_have_one_size() -> None:
    """Two lines, of which the axes give one; what is longer than these is cut."""
    for sample in (plain(), on_a_plane(), through_images(), wide()):
        said = written(noted(sample, *LONG), 384)
        assert "; ".join(LONG) in " ".join(words for _, _, words in said)
        frames = [draw_overlay(noted(sample, *notes), 384).pixels.shape for notes in ((), ("a note",), LONG, LONG * 3)]
        assert len(set(frames)) == 1
        cut_off = written(noted(sample, *LONG * 3), 384)
        assert any(words.endswith(" …") for _, _, words in cut_off)
        for x, y, words in (*said, *cut_off):
            assert y < frames[0][0], words
            assert x + text_width(words, Layout.of(sample.slice, 384).letter * SMALLER) < frames[0][1] or x > frames[0][1] - 20


def test_panels_say_all_of_their_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[float, str]] = []

    def spy(canvas: Canvas, x: float, y: float, words: str, *rest: Any, **more: Any) -> None:
        assert 0 <= y < canvas.height
        said.append((y, words))
        plain_text(canvas, x, y, words, *rest, **more)

    plain_text = Canvas.text
    monkeypatch.setattr(Canvas, "text", spy)
    bare, noted_panels = draw_panels(plain(), 384), draw_panels(noted(plain(), *LONG * 3), 384)
    lines = [(y, words) for y, words in said if y > bare.pixels.shape[0]]
    assert "; ".join(LONG * 3) == " ".join(words for _, words in lines)
    assert len({y for y, _ in lines}) == len(lines) > 3
    assert noted_panels.pixels.shape[0] > lines[-1][0]


def test_a_short_note_leaves_the_axes_where_they_are() -> None:
    words = [words for _, _, words in written(noted(plain(), "a note"), 384)]
    assert words[-3:] == [axes_caption(SQUARE, 9, 999), background_caption(plain()), "a note"]


def test_axes_stay_where_a_note_fits_without_its_advice() -> None:
    corners = "lines are traced on a grid, since the regions have more than 668 corners (`max_vertices=` sets how many may be)"
    words = [words for _, _, words in written(noted(plain(), corners), 512)]
    assert words[-3:] == [axes_caption(SQUARE, 9, 999), background_caption(plain()), corners.partition(" (")[0]]
    short = "more than 668 corners (`max_vertices=` sets how many may be)"
    words = [words for _, _, words in written(noted(plain(), short), 512)]
    assert words[-3:] == [axes_caption(SQUARE, 9, 999), background_caption(plain()), short.replace("`", "")]
    longer = f"{corners}; it calls group_norm in encoder.layers.1"  # the axes go in any case, so there is room for the advice
    words = [words for _, _, words in written(noted(plain(), longer), 512)]
    assert " ".join(words).endswith(longer.replace("`", ""))
    assert axes_caption(SQUARE, 9, 999) not in words
    other = corners.replace("`max_vertices=` sets", "an option sets")  # it is a part of what is said
    words = [words for _, _, words in written(noted(plain(), other), 512)]
    assert " ".join(words).endswith(other)
    assert axes_caption(SQUARE, 9, 999) not in words


def test_sentences_are_wrapped_at_words() -> None:
    words = "lines are traced on a grid, since the regions have more than 390 corners"
    lines = wrapped(words, 10, 120)
    assert " ".join(lines) == words
    assert len(lines) > 2
    assert all(text_width(line, 10) <= 120 for line in lines)
    assert limited(lines, 2, " ", 10, 120)[0] == lines[0]
    assert limited(lines, 2, " ", 10, 120)[1].endswith(" …")
    assert limited(lines, len(lines), " ", 10, 120) == lines
    assert limited(lines, 0, " ", 10, 120) == []


def test_long_sentences_are_cut_at_a_word() -> None:
    words = "lines are traced on a grid, since the regions have more than 390 corners"
    short = cut(words, 10, 200)
    assert short.endswith(" …")
    assert words.startswith(short[:-2])
    assert words[len(short) - 2] == " "
    assert text_width(short, 10) <= 200
    assert cut("short", 10, 200) == "short"
    assert text_width(cut("aVeryLongWordWithoutAnySpace", 10, 60), 10) <= 60


@pytest.mark.parametrize("count", [1, 5, 7, 40])
def test_long_names_keep_their_ends(count: int) -> None:
    short = fitted("encoder.layers.11.self_attention.linear1", 10, 120)
    assert short.startswith("enc")
    assert short.endswith("ear1")
    assert "…" in short
    assert text_width(short, 10) <= 120
    assert fitted("encoder", 10, 3) == ""
    sample = snapshot([fan(2, 0.1 * k) for k in range(count)])
    layers = tuple(replace(layer, name="feature_extractor.block." * 3 + layer.name) for layer in sample.layers)
    long = replace(sample, capture=replace(sample.capture, layers=layers), boundaries=replace(sample.boundaries, layers=layers))
    for size in (64, 300):
        draw_overlay(long, size)
        draw_panels(long, size)
