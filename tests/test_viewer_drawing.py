"""What is drawn, pixel by pixel, against samples made by hand: which way is up, which side is on, which colour means what."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snapshots import fan, snapshot
from viewing import Screen

from boundarycb import slices
from boundarycb.history import History, HistoryWriter
from boundarycb.replay import make_page
from boundarycb.types import Marks, Slice, Snapshot

IMAGE = np.zeros((40, 40), np.int64)
IMAGE[30:, 30:] = 1  # the row of smallest v first: the upper right corner
PLANE = slices.aimed(slices.box((-1, 1), (-1, 1)), IMAGE)
LEFT, RIGHT, LOW, HIGH = 0.1, 0.9, 0.1, 0.9


def corner(u: Any, v: Any) -> Any:
    """Return an output that is high in the upper right corner alone."""
    return (((u > 0) & (v > 0)) * 1.0)[:, None]


def classes(u: Any, v: Any) -> Any:
    """Return scores of two classes: the second wins in the upper right corner."""
    return np.stack([0 * u, np.where((u > 0) & (v > 0), 9.0, -9.0)], axis=1)


def upright(at: float) -> Callable[[Any, Any], Any]:
    """Return a unit whose boundary is a vertical line, and which is on at its right."""
    return lambda u, v: u - at + 0 * v


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Screen]]:
    """Opens a page of samples, with what is chosen in its address."""
    screens: list[Screen] = []

    def show(samples: list[Snapshot], choice: str = "") -> Screen:
        folder = tmp_path / str(len(screens))
        writer = HistoryWriter(folder, samples[0].slice)
        for sample in samples:
            writer.append(sample)
        (folder / "a.html").write_text(make_page({"a": History(folder)}), encoding="utf-8")
        screens.append(Screen(browser, f"{(folder / 'a.html').as_uri()}#{choice}", offline=True, color_scheme="light"))
        return screens[-1]

    yield show
    for screen in screens:
        screen.check("file:")
        screen.close()


def colour(screen: Screen, u: float, v: float) -> Any:
    """Return the colour at a place of what is seen, (3,)."""
    spot = screen.place(u, v)
    return screen.canvas()[round(spot["y"]), round(spot["x"])]


def is_dark(pixel: Any) -> bool:
    return bool(pixel.max() < 200)


def test_the_output_stands_upright(shown: Callable[..., Screen]) -> None:
    screen = shown([snapshot([fan(1, 9)], corner)], "hide=layer1")
    assert [is_dark(colour(screen, u, v)) for u, v in ((LEFT, LOW), (RIGHT, LOW), (LEFT, HIGH), (RIGHT, HIGH))] == [
        True,
        True,
        True,
        False,
    ]


def test_it_stands_upright_when_it_is_enlarged(shown: Callable[..., Screen]) -> None:
    """Seen eight times larger about a place right of the middle and above it, the lower left part is the darker one."""
    screen = shown([snapshot([fan(1, 9)], corner, resolution=128)], "hide=layer1&at=0.5,0.53,8")
    assert is_dark(colour(screen, 0.7, 0.05))
    assert not is_dark(colour(screen, 0.7, 0.9))
    assert is_dark(colour(screen, 0.2, 0.9))


def test_the_target_stands_upright(shown: Callable[..., Screen]) -> None:
    screen = shown([snapshot([fan(1, 9)], corner, plane=PLANE)], "hide=layer1&background=target")
    seen = [tuple(colour(screen, u, v)) for u, v in ((LEFT, LOW), (RIGHT, LOW), (LEFT, HIGH), (RIGHT, HIGH))]
    assert seen[0] == seen[1] == seen[2] != seen[3]


def test_decision_regions_have_the_colours_of_their_classes(shown: Callable[..., Screen]) -> None:
    screen = shown([snapshot([fan(1, 9)], classes)], "hide=layer1&background=regions&border=0")
    blue, orange = colour(screen, LEFT, LOW), colour(screen, RIGHT, HIGH)
    assert blue[2] > blue[0]  # class 0
    assert orange[0] > orange[2]  # class 1
    assert screen.inside.locator(".bcb-classes").inner_text().split() == ["0", "1"]
    hues = screen.inside.locator(".bcb-class").evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert [tuple(int(part) for part in hue[4:-1].split(",")) for hue in hues] == [tuple(blue), tuple(orange)]


def test_more_units_that_are_on_are_darker(shown: Callable[..., Screen]) -> None:
    screen = shown([snapshot([[upright(at) for at in (-0.5, 0.0, 0.5)]], corner)], "hide=layer1&background=count")
    levels = [int(colour(screen, u, 0.5).sum()) for u in (0.1, 0.35, 0.65, 0.9)]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 4
    assert "light 0 … dark 3" in screen.inside.locator(".bcb-caption").inner_text()
    assert abs(np.array([92, 137, 161]) - colour(screen, 0.9, 0.5)).max() <= 3  # all of them: the ramp's end


@pytest.mark.parametrize("sign", [1, -1])
def test_strokes_stand_on_the_side_where_the_unit_is_on(shown: Callable[..., Screen], sign: int) -> None:
    sample = snapshot([[lambda u, v: sign * u + 0 * v]], corner)
    screen = shown([sample], "background=none&pin=layer1:0")
    seen = screen.canvas()
    spot = screen.place(0.5, 0.5)
    middle = round(spot["x"])
    inked = (seen.min(axis=2) < 200)[40:250]
    right, left = inked[:, middle + 3 : middle + 6].sum(), inked[:, middle - 5 : middle - 2].sum()
    assert (right > 20 > left) if sign == 1 else (left > 20 > right)


def test_a_pinned_unit_leaves_a_trail_as_long_as_asked(shown: Callable[..., Screen]) -> None:
    samples = [snapshot([[upright(-0.8 + 0.2 * k)]], corner, step=k) for k in range(6)]
    for length, places in ((0, 0), (4, 4), (8, 5)):
        screen = shown(samples, f"background=none&pin=layer1:0&trail={length}")
        screen.page.wait_for_timeout(200)
        seen = screen.canvas()
        row = seen[round(screen.place(0.5, 0.3)["y"])]
        found = 0
        for k in range(5):
            x = round(screen.place((0.2 + 0.2 * k) / 2, 0.5)["x"])
            found += bool(row[x - 2 : x + 3].min() < 245)
        assert found == places


def test_data_and_corners_are_shown_and_hidden(shown: Callable[..., Screen]) -> None:
    marks = Marks(np.array([[0.6, -0.4]]), np.zeros(1), np.array([2]))
    base = slices.box((-1, 1), (-1, 1))
    plane = Slice(
        base.origin,
        base.axes,
        base.bounds,
        np.array([[-0.5, 0.5]]),
        base.names,
        marks=marks,
        limits=np.array([[-0.9, -0.9], [0.2, -0.9], [0.2, 0.1]]),
    )
    sample = snapshot([fan(1, 9)], None, plane=plane)
    screen = shown([sample], "hide=layer1")
    spots = {"mark": (0.8, 0.3), "anchor": (0.25, 0.75)}
    assert abs(colour(screen, *spots["mark"]) - [152, 223, 138]).max() < 12  # class 2
    spot = {name: round(value) for name, value in screen.place(*spots["anchor"]).items()}
    assert screen.canvas()[spot["y"] - 5 : spot["y"] + 6, spot["x"] - 5 : spot["x"] + 6].max(axis=2).min() < 100  # its rim
    along = screen.canvas()[
        round(screen.place(0.3, 0.05)["y"]), round(screen.place(0.1, 0.05)["x"]) : round(screen.place(0.5, 0.05)["x"])
    ]
    assert (along.max(axis=1) < 200).mean() > 0.3  # dashed
    screen.inside.locator(".bcb-tick", has_text="Data").locator("input").uncheck()
    assert colour(screen, *spots["mark"]).min() == 255


def test_dragging_moves_the_picture_with_the_pointer(shown: Callable[..., Screen]) -> None:
    screen = shown([snapshot([fan(1, 9)], corner, resolution=128)], "at=0.5,0.5,4")
    box = screen.plot().bounding_box()
    screen.page.mouse.move(box["x"] + 300, box["y"] + 300)
    screen.page.mouse.down()
    screen.page.mouse.move(box["x"] + 350, box["y"] + 330, steps=3)
    screen.page.mouse.up()
    x, y, zoom = (float(part) for part in screen.address().split("at=")[1].replace("%2C", ",").split("&")[0].split(","))
    assert zoom == 4
    assert x == pytest.approx(0.5 - 50 / (box["width"] - 60) / 4, abs=1e-3)
    assert y == pytest.approx(0.5 + 30 / (box["height"] - 26) / 4, abs=1e-3)
    for _ in range(20):
        screen.press("Shift+ArrowRight")
    x = float(screen.address().split("at=")[1].replace("%2C", ",").split(",")[0])
    assert x == 0.875  # as far as the slice goes


def test_a_line_is_met_above_and_below_it_within_the_same_distance(shown: Callable[..., Screen]) -> None:
    """On a plot four times as wide as high a pixel is another share of either side."""
    wide = slices.box((0, 4), (0, 1))
    screen = shown([snapshot([[lambda u, v: v - 0.5 + 0 * u]], None, plane=wide)])
    spot = screen.place(0.5, 0.5)
    for distance, meant in ((0, True), (5, True), (-5, True), (10, False), (-10, False)):
        screen.page.mouse.move(0, 0)
        screen.settle()
        before = screen.canvas()
        screen.plot().hover(position={"x": spot["x"], "y": spot["y"] + distance})
        assert (screen.canvas() != before).any() == meant, distance


def test_pairs_are_copycats_at_their_level_only(shown: Callable[..., Screen]) -> None:
    phi = np.array([[1, 0.97, 0.2], [0.97, 1, -0.99], [0.2, -0.99, 1]], np.float16)
    sample = replace(
        snapshot([fan(3, 0)], corner),
        per_unit={"copycat/phi/layer1": phi, "copycat/units/layer1": np.arange(3), "copycat/since/layer1": np.array([[1, 2, 40]])},
        metrics={"copycat/chance/layer1": 0.98},
        tables={
            "copycat/closest": [{"layer": "layer1", "unit": 1, "other": 2, "phi": -0.99, "chance": 0.98, "since": 40, "r": None}]
        },
    )
    screen = shown([sample])
    assert screen.inside.locator(".bcb-found tbody tr").all_inner_texts() == ["layer1 · 1 and 2\t−0.990\t40"]


def test_units_that_are_hidden_and_pins_are_in_the_address(shown: Callable[..., Screen]) -> None:
    screen = shown([snapshot([fan(3, 0)], corner)])
    screen.inside.get_by_label("units of layer layer1").click()
    screen.settle()
    screen.inside.get_by_label("show unit 1", exact=True).uncheck()
    assert "hide-unit=layer1%3A1" in screen.address()


def test_curves_of_units_and_log_scales(shown: Callable[..., Screen]) -> None:
    values = [np.array([1.0, 10.0**-k, 5.0]) for k in range(4)]
    samples = [
        replace(snapshot([fan(3, 0)], corner, step=k), per_unit={"b_per_unit/layer1": 0 * value, "mine_per_unit/layer1": value})
        for k, value in enumerate(values)
    ]
    screen = shown(samples, "pin=layer1:1&curve=unit:mine")
    screen.page.wait_for_timeout(300)
    read = """() => {
      const canvas = document.querySelector(".bcb-chart");
      const context = canvas.getContext("2d");
      const { width, height } = canvas;
      const { data } = context.getImageData(0, 0, width, height);
      const rows = [];
      for (const share of [1 / 3, 2 / 3]) {
        const x = Math.round(52 + share * (width - 62));
        const isBlue = (y) => data[4 * (y * width + x)] < 60 && data[4 * (y * width + x) + 2] > 150;
        rows.push(Array.from({ length: height }, (_, y) => y).find(isBlue));
      }
      return rows;
    }"""
    straight = screen.page.evaluate(read)
    screen.inside.locator(".bcb-tick", has_text="Log scale").locator("input").check()
    screen.settle()
    logarithmic = screen.page.evaluate(read)
    assert len(straight) == len(logarithmic) == 2
    assert straight[1] - straight[0] < 14  # 0.1 and 0.01, of 1
    assert logarithmic[1] - logarithmic[0] > 25  # a power of ten each


@pytest.mark.parametrize("count", [1, 2, 21, 48, 172])
def test_steps_below_the_curves_are_evenly_spread(shown: Callable[..., Screen], count: int) -> None:
    """The first and the last one, and between them every second, fifth or tenth and so on: no odd numbers of a rounded place."""
    samples = [snapshot([fan(1, 9)], corner, step=2000 * k, scalars={"loss": 1.0}) for k in range(count)]
    found = [(int(words.replace(",", "")), left, right) for words, left, right in shown(samples).letters() if "000" in words]
    steps = [step for step, _, _ in found]
    assert steps[-1:] == [2000 * (count - 1)] * (count > 1)
    assert len(set(np.diff([0, *steps[:-1]]))) <= 1
    assert len(steps) == {1: 0, 2: 1, 21: 4, 48: 4, 172: 8}[count]
    assert all(right < left for (_, _, right), (_, left, _) in pairwise(found))


@pytest.mark.parametrize("span", [2.0, 2e-4])
def test_numbers_beside_a_plot_stand_whole_also_enlarged(shown: Callable[..., Screen], span: float) -> None:
    """A thousand times, where they are negative."""
    plane = slices.box((-span, span), (-span, span))
    screen = shown([snapshot([fan(1, 9)], corner, plane=plane)], "at=0.4991,0.4991,1000")
    beside = [(words, left, right) for words, left, right in screen.letters() if right <= 58]
    assert len(beside) > 3
    assert all(left >= 0 for _, left, _ in beside), beside


def test_what_is_next_to_nothing_has_no_sign(shown: Callable[..., Screen]) -> None:
    drift = {"drift/flipped_per_unit/layer1": np.full(3, 0.2), "drift/shift_per_unit/layer1": np.array([-1e-5, -0.2, 0.3])}
    screen = shown([replace(snapshot([fan(3, 0)], corner), per_unit=drift)], "pin=layer1:0&pin=layer1:1")
    said = screen.inside.locator(".bcb-card dl").all_inner_texts()
    assert ["0.0 %" in said[0].split("\n"), "−20 %" in said[1].split("\n")] == [True, True], said


def test_a_note_is_no_alarm(shown: Callable[..., Screen]) -> None:
    sample = snapshot([fan(3, 0)], corner)
    screen = shown([replace(sample, boundaries=replace(sample.boundaries, notes=("units of layer2 are left out",)))])
    note = screen.inside.locator(".bcb-note")
    assert note.inner_text() == "units of layer2 are left out"
    assert note.evaluate("note => getComputedStyle(note).color === getComputedStyle(document.querySelector('.bcb')).color")


def test_a_class_that_is_written_where_nothing_is_finite_wins_nowhere(shown: Callable[..., Screen]) -> None:
    """What stands for the winner of no numbers is class 0; here class 1 wins wherever there are numbers."""

    def output(u: Any, v: Any) -> Any:
        return np.where(u > 0, np.nan, 1) * np.stack([0 * u, 1 + 0 * u, 0 * v], axis=0)

    screen = shown([snapshot([fan(1, 9)], lambda u, v: output(u, v).T)])
    keys = screen.inside.locator(".bcb-classes .bcb-key")
    assert keys.all_inner_texts() == ["0", "1", "2", "not finite"]
    absent = keys.evaluate_all("keys => keys.map(key => key.classList.contains('bcb-absent'))")
    assert absent == [True, False, True, False]


def test_units_that_are_not_finite_are_listed_so(shown: Callable[..., Screen]) -> None:
    shares = {"on/share_per_unit/layer1": np.array([np.nan, 0.0, 0.5], np.float32)}
    screen = shown([replace(snapshot([fan(3, 0)], corner), per_unit=shares)])
    screen.inside.get_by_role("tab", name="Dormant").click()
    screen.settle()
    assert screen.inside.locator(".bcb-found tbody tr").all_inner_texts() == ["layer1 · 1\tnever on", "layer1 · 0\tnot finite"]


@pytest.mark.parametrize(("theme", "words"), [("light", "paler"), ("dark", "darker")])
def test_what_shades_say_goes_by_the_theme(shown: Callable[..., Screen], theme: str, words: str) -> None:
    """On white the unsure fades to white, on black to black; decision regions are of one shade."""
    screen = shown([snapshot([fan(1, 9)], lambda u, v: np.stack([u, v, -u], axis=1))])
    if theme == "dark":
        screen.inside.get_by_role("button", name="Dark").click()
        screen.settle()
    assert f"winner of 3 classes ({words}: less sure)" in screen.inside.locator(".bcb-caption").inner_text()
    screen.choose("Background", "regions")
    assert "less sure" not in screen.inside.locator(".bcb-caption").inner_text()


def test_a_list_that_is_cut_says_so_at_its_end(shown: Callable[..., Screen]) -> None:
    shares = {"on/share_per_unit/layer1": np.zeros(130, np.float32)}
    screen = shown([replace(snapshot([fan(130, 0)], corner), per_unit=shares)])
    screen.inside.get_by_role("tab", name="Dormant").click()
    screen.settle()
    found = screen.inside.locator(".bcb-found")
    assert found.locator("tbody tr").count() == 100
    assert found.inner_text().rstrip().endswith("And 30 more.")


def test_what_is_not_finite_is_said_and_shown(shown: Callable[..., Screen]) -> None:
    """A run that explodes: first a part of the plane, then all of it; its loss is infinite, then no number."""
    losses = (0.5, 0.7, math.inf, math.nan, -math.inf)
    limits = (2.0, 2.0, 0.5, -2.0, -2.0)

    def output(limit: float) -> Callable[[Any, Any], Any]:
        return lambda u, v: np.where(u > limit, np.nan, u + 0 * v)[:, None]

    samples = [
        snapshot([fan(1, 9)], output(limit), step=k, scalars={"loss": loss})
        for k, (loss, limit) in enumerate(zip(losses, limits, strict=True))
    ]
    screen = shown(samples, "hide=layer1")
    heights = set()
    caption, legend = screen.inside.locator(".bcb-caption"), screen.inside.locator(".bcb-legend")
    for key, words, ground, swatches in (
        ("End", "−∞", "output: nowhere finite, sampled at", ["not finite"]),
        ("ArrowLeft", "NaN", "output: nowhere finite, sampled at", ["not finite"]),
        ("ArrowLeft", "∞", "output: dark −0.984", ["not finite"]),
        ("ArrowLeft", "0.7", "output: dark −0.984", []),
    ):
        screen.press(key)
        heights.add(screen.inside.locator(".bcb-curve").evaluate("curve => curve.offsetTop"))
        assert screen.inside.locator("figcaption").inner_text().endswith(f"loss {words}")
        assert legend.inner_text() == words
        assert f": {words}" in screen.inside.locator(".bcb-chart").get_attribute("aria-label")
        assert ground in caption.inner_text()
        assert screen.inside.locator(".bcb-classes .bcb-key").all_inner_texts() == swatches
        note = screen.inside.locator(".bcb-note")
        assert note.inner_text() == ("output not finite" if swatches else "")
        if swatches:
            assert note.evaluate("note => getComputedStyle(note).color") == "rgb(179, 38, 30)"
    assert len(heights) == 1  # what is below moves for none of it
    crosses = screen.page.evaluate("""() => {
      const canvas = document.querySelector(".bcb-chart");
      const { width } = canvas;
      const { data } = canvas.getContext("2d").getImageData(0, 0, width, 12);
      const inked = (place) => {
        const x = Math.round(52 + (place / 4) * (width - 62));
        let count = 0;
        const isBlue = (at) => data[at] < 120 && data[at + 2] > 150 && data[at + 3] > 100; // and no black marker
        for (let y = 4; y < 12; y++) for (let k = x - 4; k <= x + 4; k++) count += isBlue(4 * (y * width + k));
        return count;
      };
      return [0, 1, 2, 3, 4].map(inked);
    }""")
    assert [count > 8 for count in crosses] == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("low", "span", "words"), [(-1, 2, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]), (0, 100, ["0", "20", "40", "60", "80", "100"])]
)
def test_round_numbers_stand_along_the_sides(shown: Callable[..., Screen], low: float, span: float, words: list[str]) -> None:
    screen = shown([snapshot([fan(1, 0)], corner)])
    source = (Path(__file__).parent.parent / "boundarycb" / "viewer" / "plot.js").read_text()
    code = source[source.index("export function steps") :].split("\n}\n")[0].removeprefix("export ") + "\n}"
    found = screen.page.evaluate(f"() => {{ {code}; return steps({low}, {span}, 5).map(({{ words }}) => words); }}")
    assert found == words
