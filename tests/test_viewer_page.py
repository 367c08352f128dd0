"""The page that a run leaves, in a real Chromium without a network: everything on it is used, and nothing leaves it."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snapshots import fan, four_classes, one_value, rings, snapshot
from viewing import Screen, train, two_layers

from boundarycb import History, slices
from boundarycb.cli import main
from boundarycb.history import HistoryWriter
from boundarycb.replay import make_page
from boundarycb.types import Layer, Snapshot


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with other layers, and a page of both."""
    folder: Path = tmp_path_factory.mktemp("pages")
    train(folder / "one")
    train(folder / "two", seed=1, every=5, model=two_layers())
    assert main(["export", str(folder / "one"), str(folder / "two"), "-o", str(folder / "both.html")]) == 0
    return folder


@pytest.fixture
def one(browser: Any, runs: Path) -> Iterator[Screen]:
    """The page that the first run left by itself."""
    screen = Screen(browser, (runs / "one" / "boundaries" / "boundaries.html").as_uri(), offline=True)
    yield screen
    screen.check("file:")
    screen.close()


@pytest.fixture
def both(browser: Any, runs: Path) -> Iterator[Screen]:
    screen = Screen(browser, (runs / "both.html").as_uri(), offline=True)
    yield screen
    screen.check("file:")
    screen.close()


def test_it_opens_at_the_last_step(one: Screen) -> None:
    assert one.drawn() == [60, 21]
    assert one.inside.locator("figcaption").inner_text().startswith("step 60 · loss 0.")
    assert "exact lines · eval mode · p(class 1): dark 0 … light 1" in one.inside.locator(".bcb-caption").inner_text()


def test_it_asks_for_nothing(one: Screen) -> None:
    assert [url.split("/")[-1] for url in one.requests] == ["boundaries.html"]


def test_the_slider_keys_and_buttons_change_the_step(one: Screen) -> None:
    slider = one.inside.locator("input[type=range]")
    slider.fill("4")
    one.settle()
    assert one.drawn()[0] == 12
    assert slider.get_attribute("aria-valuetext") == "step 12, sample 5 of 21"
    for key, step in (("ArrowRight", 15), ("ArrowLeft", 12), ("Home", 0), ("ArrowLeft", 0), ("End", 60), ("ArrowRight", 60)):
        one.press(key)
        assert one.drawn()[0] == step, key
    one.inside.get_by_role("button", name="sample before").click()
    one.settle()
    assert one.drawn()[0] == 57


def test_it_plays_to_the_end_and_stops(one: Screen) -> None:
    one.choose("Speed", "40")
    one.inside.get_by_role("button", name="Play").click()
    one.page.wait_for_timeout(120)
    assert one.drawn()[0] < 60  # from the start, since it stood at the end
    one.inside.get_by_role("button", name="Stop").wait_for()
    one.inside.get_by_role("button", name="Play").wait_for(timeout=10_000)
    assert one.drawn()[0] == 60
    one.press("Home")
    one.press(" ")
    one.page.wait_for_timeout(300)
    one.press(" ")
    stopped = one.drawn()[0]
    one.page.wait_for_timeout(300)
    assert 0 < stopped == one.drawn()[0]


def test_layers_and_units_can_be_hidden(one: Screen) -> None:
    one.choose("Background", "none")
    whole = one.pixels()
    tick = one.inside.get_by_label("show layer layer1", exact=True)
    tick.uncheck()
    fewer = one.pixels()
    assert (whole != fewer).any()
    tick.check()
    assert (one.pixels() == whole).all()
    one.inside.get_by_label("units of layer layer1").click()
    one.settle()
    rows = one.inside.get_by_label("units of layer1").locator("input")
    assert rows.count() == 16
    for row in range(16):
        rows.nth(row).uncheck()
    assert (one.pixels() == fewer).all()
    one.inside.get_by_label("show layer layer2 only").click()
    one.settle()
    assert not tick.is_checked()
    one.inside.get_by_label("show layer layer2 only").click()
    one.settle()
    assert tick.is_checked()


def test_all_and_none_of_layers_and_of_units(one: Screen) -> None:
    one.choose("Background", "none")
    whole = one.pixels()
    one.inside.get_by_role("button", name="hide all layers").click()
    empty = one.pixels()
    one.inside.get_by_role("button", name="show all layers").click()
    assert (one.pixels() == whole).all()
    for layer in ("layer1", "layer2", "layer3"):
        one.inside.get_by_label(f"units of layer {layer}").click()
        one.settle()
        one.inside.get_by_role("button", name=f"hide all units of {layer}").click()
    assert (one.pixels() == empty).all()
    one.inside.get_by_role("button", name="show all units of layer2").click()
    assert (one.pixels() != empty).any()


def test_hiding_a_unit_changes_its_own_pixels_only(one: Screen, runs: Path) -> None:
    index, _ = unit_line(runs, "layer2")
    one.choose("Background", "none")
    whole = one.canvas()
    one.inside.get_by_label("units of layer layer2").click()
    one.settle()
    one.inside.get_by_label("units of layer2").get_by_label(f"show unit {index}", exact=True).uncheck()
    without = one.canvas()
    one.inside.get_by_role("button", name="hide all layers").click()
    one.settle()  # a box that still looks checked would be left as it is
    one.inside.get_by_label("show layer layer2", exact=True).check()
    one.inside.get_by_role("button", name="hide all units of layer2").click()
    one.settle()
    one.inside.get_by_label("units of layer2").get_by_label(f"show unit {index}", exact=True).check()
    alone = one.canvas()
    one.inside.get_by_label("units of layer2").get_by_label(f"show unit {index}", exact=True).uncheck()
    own = (alone != one.canvas()).any(axis=2)
    changed = abs(whole - without).max(axis=2) > 12
    assert changed.sum() > 50
    # A layer is one path, whose edges are smoothed together: where lines run side by side a shade changes with its neighbour.
    assert (changed & ~own).sum() < 0.02 * changed.sum()


def test_help_says_the_keys_and_they_work(one: Screen) -> None:
    one.page.set_viewport_size({"width": 1280, "height": 300})
    one.inside.get_by_role("button", name="Help").click()
    scrolled = "dialog => [dialog.scrollTop, dialog.scrollHeight > dialog.clientHeight]"
    assert one.inside.get_by_role("dialog").evaluate(scrolled) == [0, True]
    one.page.set_viewport_size({"width": 1280, "height": 900})
    assert "faster, slower" in one.inside.get_by_role("dialog").inner_text()
    one.page.keyboard.press("Escape")
    assert one.inside.get_by_role("dialog").count() == 0
    speed = one.inside.locator(".bcb-field", has_text="Speed").locator("select")
    one.inside.get_by_role("button", name="next sample").focus()
    for key, value in (("+", "20"), ("+", "40"), ("+", "40"), ("-", "20")):
        one.page.keyboard.press(key)
        one.settle()
        assert speed.input_value() == value


def unit_line(runs: Path, layer: str) -> tuple[int, Any]:
    """Return a unit of the first run's last sample, and a place of the unit square on its longest piece, away from the edges."""
    last = History(runs / "one")[-1]
    best: tuple[float, int, Any] = (0.0, -1, None)
    for line in range(len(last.boundaries)):
        unit = last.boundaries.units[last.boundaries.owner[line]]
        points = (last.boundaries.line(line) + 1) / 2
        for start, stop in pairwise(points):
            middle = (start + stop) / 2
            if unit.layer == layer and middle.min() > 0.1 and middle.max() < 0.9 and np.hypot(*(stop - start)) > best[0]:
                best = (float(np.hypot(*(stop - start))), unit.index, middle)
    assert best[1] >= 0
    return best[1], best[2]


def test_hovering_names_a_unit_and_a_click_pins_it(one: Screen, runs: Path) -> None:
    one.inside.get_by_label("show layer layer1 only").click()
    index, (u, v) = unit_line(runs, "layer1")
    plain = one.pixels()
    one.plot().hover(position=one.place(u, v))
    assert (one.pixels() != plain).any()
    one.plot().click(position=one.place(u, v))
    one.settle()
    assert one.pinned() == [f"layer1 · {index}"]
    card = one.inside.locator(".bcb-card")
    assert "moved since the last sample" in card.inner_text()
    assert "most alike" in card.inner_text()
    one.inside.locator(".bcb-alike button").first.click()
    one.settle()
    assert len(one.pinned()) == 2
    one.inside.get_by_role("button", name=f"let go of layer1 · {index}").click()
    one.settle()
    assert len(one.pinned()) == 1
    one.press("Escape")
    assert one.pinned() == []


@pytest.mark.parametrize("how", ["button", "key", "list"])
def test_a_unit_that_is_let_go_of_is_no_longer_thick(one: Screen, runs: Path, how: str) -> None:
    """What the pointer is on goes away under it, and so tells of no leave; the pointer itself is not moved."""
    silent = """() => {
      for (const name of ["pointerover", "pointerout", "pointerenter", "pointerleave", "pointermove"]) {
        document.addEventListener(name, (event) => event.stopPropagation(), true);
      }
    }"""
    index, _ = unit_line(runs, "layer1")
    one.inside.get_by_label("show layer layer1 only").click()
    plain = one.canvas()
    if how == "list":
        one.inside.locator(".bcb-found tbody tr").first.hover()
        one.page.evaluate(silent)
        one.inside.get_by_role("tab", name="Dormant").press("Enter")
    else:
        one.inside.get_by_label("units of layer layer1").click()
        one.inside.get_by_label(f"pin unit {index}", exact=True).click()
        away = one.inside.get_by_role("button", name=f"let go of layer1 · {index}")
        away.hover()
        one.page.evaluate(silent)
        if how == "button":
            away.click()
        else:
            one.page.keyboard.press("Escape")
    one.settle()
    assert one.pinned() == []
    assert (one.canvas() == plain).all()


FOCUS = "() => (document.activeElement.getAttribute('aria-label') || document.activeElement.textContent)"


def test_the_focus_stays_where_units_are_pinned_and_let_go_of(one: Screen, runs: Path) -> None:
    index, _ = unit_line(runs, "layer1")
    one.inside.get_by_label("units of layer layer1").click()
    one.inside.get_by_label(f"pin unit {index}", exact=True).click()
    one.settle()
    alike = one.inside.locator(".bcb-alike button").first
    alike.press("Enter")
    assert len(one.pinned()) == 2
    assert one.page.evaluate(FOCUS) == alike.get_attribute("aria-label")
    one.inside.get_by_role("button", name=f"let go of layer1 · {index}", exact=True).press("Enter")
    (left,) = one.pinned()
    assert one.page.evaluate(FOCUS) == f"let go of {left}"
    one.page.keyboard.press("Enter")
    assert one.pinned() == []
    assert one.page.evaluate(FOCUS) == "Pinned units"


def test_keys_work_wherever_the_focus_is(one: Screen) -> None:
    """But for those that the control uses itself."""
    speed = one.inside.locator(".bcb-field", has_text="Speed").locator("select")
    slider = one.inside.locator("input[type=range]")
    one.inside.get_by_label("units of layer layer1").click()
    for control in (slider, one.inside.locator(".bcb-tick", has_text="Log scale").locator("input")):
        pin = one.inside.get_by_label("pin unit 3", exact=True)
        pin.click()
        assert one.pinned() == ["layer1 · 3"]
        control.focus()
        for key, value in (("+", "20"), ("-", "10")):
            one.page.keyboard.press(key)
            one.settle()
            assert speed.input_value() == value
        one.page.keyboard.press("Escape")
        assert one.pinned() == []
        for key, step in (("ArrowLeft", 57), ("ArrowRight", 60), ("Home", 0), ("End", 60)):
            one.page.keyboard.press(key)
            one.settle()
            assert one.drawn()[0] == step
    one.page.keyboard.press(" ")
    assert one.inside.locator(".bcb-tick", has_text="Log scale").locator("input").is_checked()
    assert one.inside.get_by_role("button", name="Play").count() == 1


def test_an_open_list_of_units_stays_open_beside_another_run(both: Screen) -> None:
    tick = both.inside.get_by_label("two", exact=True)
    tick.uncheck()
    both.settle()
    opener = both.inside.get_by_label("units of layer layer1")
    opener.click()
    tick.check()
    both.settle()
    assert opener.get_attribute("aria-expanded") == "true"
    assert both.inside.get_by_label("pin unit 3", exact=True).is_visible()
    opener.click()
    assert opener.get_attribute("aria-expanded") == "false"


def test_one_sample_is_not_played(browser: Any, tmp_path: Path) -> None:
    screen = Screen(browser, handmade(tmp_path, [snapshot([fan(2, 0)], one_value)]), offline=True)
    for name in ("Play", "sample before", "next sample"):
        assert screen.inside.get_by_role("button", name=name).is_disabled()
    screen.close()


def test_the_legend_of_curves_can_be_read(both: Screen) -> None:
    """Each line as it is drawn, units as they are called elsewhere, and the values where the marker stands, also without eyes."""
    both.page.evaluate("location.hash = '#pin=layer2:5&pin=2:5&curve=unit:on%2Fshare'")
    both.settle()
    legend = both.inside.locator(".bcb-legend")
    words = legend.locator(".bcb-key").evaluate_all("keys => keys.map(key => key.childNodes[1].textContent)")
    assert words == ["one layer2 · 5", "one 2 · 5", "two layer2 · 5", "two 2 · 5"]
    dashes = legend.locator("line").evaluate_all("lines => lines.map(line => line.getAttribute('stroke-dasharray'))")
    assert dashes == [None, "6 4", "6 4", "2 3"]
    both.page.wait_for_timeout(200)
    values = legend.locator(".bcb-value").all_inner_texts()
    assert values[1] == values[2] == "–"  # a unit that the run does not have
    label = both.inside.locator(".bcb-chart").get_attribute("aria-label")
    assert f"4 curves; at step 60: one layer2 · 5 {values[0]}, one 2 · 5 –" in label
    before = values[0]
    both.press("Home")
    assert legend.locator(".bcb-value").first.inner_text() != before


def test_a_card_says_what_the_run_says(one: Screen, runs: Path) -> None:
    last = History(runs / "one")[-1]
    one.inside.get_by_label("units of layer layer2").click()
    one.inside.get_by_label("pin unit 3", exact=True).click()
    one.settle()
    share = last.per_unit["on/share_per_unit/layer2"][3]
    said = one.inside.locator(".bcb-card dl").first.inner_text().split("\n")
    assert said[0] == "on"
    assert abs(float(said[1].removesuffix(" %")) / 100 - share) < 0.006
    one.choose("Curve", "unit:on/share")
    value = float(one.inside.locator(".bcb-legend").inner_text())  # one curve needs no name
    assert value == pytest.approx(share, abs=0.0006)
    assert f"1 curve; at step 60: {value:.3g}" in one.inside.locator(".bcb-chart").get_attribute("aria-label")


def test_the_lists_select(one: Screen) -> None:
    found = one.inside.locator(".bcb-found")
    found.locator("button").first.click()
    one.settle()
    assert len(one.pinned()) == 2  # a pair
    for tab in ("Dormant", "Indecisive"):
        one.inside.get_by_role("tab", name=tab).click()
        assert one.inside.get_by_role("tab", name=tab).get_attribute("aria-selected") == "true"
        if found.locator("button").count():
            found.locator("button").first.click()
            one.settle()
            assert len(one.pinned()) == 1


def test_dormant_units_are_those_of_the_run(one: Screen, runs: Path) -> None:
    last = History(runs / "one")[-1]
    one.inside.get_by_role("tab", name="Dormant").click()
    rows = one.inside.locator(".bcb-found tbody tr").all_inner_texts()
    want: list[str] = []  # those that are never on come first
    for layer in last.layers:
        for unit, share in enumerate(last.per_unit[f"on/share_per_unit/{layer.name}"]):
            want += [f"{layer.name} · {unit}\t{'never' if share == 0 else 'always'} on"] if share in (0, 1) else []
    want.sort(key=lambda row: "always" in row)
    assert [" ".join(row.split()) for row in rows] == [" ".join(row.split()) for row in want]


@pytest.mark.parametrize("background", ["output", "regions", "target", "count", "none"])
def test_backgrounds(one: Screen, background: str) -> None:
    one.choose("Background", background)
    caption = one.inside.locator(".bcb-caption").inner_text()
    words = {"output": "p(class 1): dark 0 … light 1", "regions": "where class 1 wins", "target": "target"}
    assert {**words, "count": "units that are on: light 0 … dark 48", "none": "no background"}[background] in caption
    seen = one.pixels()
    one.choose("Background", "output" if background == "none" else "none")
    assert (one.pixels() != seen).mean() > 0.3


def test_a_zoom_of_a_thousand_keeps_lines_where_they_are(browser: Any, runs: Path) -> None:
    """Seen a thousand times larger about a place on a line, the line still goes through that place."""
    address = (runs / "one" / "boundaries" / "boundaries.html").as_uri()
    for layer in ("layer1", "layer2", "layer3"):
        _, (u, v) = unit_line(runs, layer)
        screen = Screen(browser, f"{address}#at={u:.12g},{v:.12g},1000&background=none&border=0", offline=True)
        assert "× 1,000" in screen.inside.locator(".bcb-caption").inner_text()
        seen = screen.pixels()
        spot = screen.place(0.5, 0.5)
        around = seen[round(spot["y"]) - 2 : round(spot["y"]) + 3, round(spot["x"]) - 2 : round(spot["x"]) + 3]
        assert (around.min(axis=2) < 200).any()
        assert (seen.min(axis=2) < 200).mean() < 0.2
        screen.inside.get_by_role("button", name="Whole slice").click()
        screen.settle()
        assert "×" not in screen.inside.locator(".bcb-caption").inner_text()
        screen.check("file:")
        screen.close()


def test_the_wheel_enlarges_what_is_under_the_pointer(one: Screen) -> None:
    one.wheel(0.3, 0.8, 13)
    assert "× 1,000" in one.inside.locator(".bcb-caption").inner_text()
    (x, y, zoom) = (float(number) for number in one.address().split("at=")[1].split("&")[0].replace("%2C", ",").split(","))
    assert zoom == 1000
    assert abs(x - 0.3) < 0.003
    assert abs(y - 0.8) < 0.003
    one.wheel(0.3, 0.8, -20)
    assert "×" not in one.inside.locator(".bcb-caption").inner_text()


def test_dragging_moves_and_keys_zoom(one: Screen) -> None:
    one.press("+")
    one.press("+")
    assert "× 2.25" in one.inside.locator(".bcb-caption").inner_text()
    before = one.pixels()
    box = one.plot().bounding_box()
    one.page.mouse.move(box["x"] + 300, box["y"] + 200)
    one.page.mouse.down()
    one.page.mouse.move(box["x"] + 260, box["y"] + 230, steps=4)
    one.page.mouse.up()
    one.page.mouse.move(0, 0)
    assert (one.pixels() != before).any()
    assert one.pinned() == []  # a drag is no click
    one.press("0")
    assert "×" not in one.inside.locator(".bcb-caption").inner_text()


def test_two_runs_with_other_layers_are_linked(both: Screen) -> None:
    assert both.drawn() == [60, 21, 13]
    assert both.inside.locator(".bcb-layer").count() == 5
    titles = both.inside.locator("figcaption").all_inner_texts()
    assert [title.split(" · ")[0] for title in titles] == ["one", "two"]
    both.inside.locator("input[type=range]").fill("1")
    both.settle()
    titles = both.inside.locator("figcaption").all_inner_texts()
    assert [title.split(" · ")[1] for title in titles] == ["step 3", "step 0"]  # the last sample at or before
    before = [both.pixels(0), both.pixels(1)]
    both.wheel(0.5, 0.5, 3, number=0)
    both.page.mouse.move(0, 0)
    assert all((both.pixels(k) != before[k]).any() for k in range(2))
    both.inside.get_by_label("two", exact=True).uncheck()
    both.settle()
    assert len(both.drawn()) == 2
    assert both.inside.locator(".bcb-layer").count() == 3


def test_layers_side_by_side(both: Screen) -> None:
    both.choose("Layers", "layers")
    assert both.inside.locator(".bcb-plot").count() == 5
    titles = both.inside.locator("figcaption").all_inner_texts()
    assert [title.partition(" · loss")[0] for title in titles] == [
        *("one · step 60", "layer1", "layer2", "layer3"),
        *("two · step 60", "0", "2"),
    ]
    captions = both.inside.locator(".bcb-caption").all_inner_texts()
    assert len(captions) == 2
    assert all("exact lines" in caption for caption in captions)
    both.choose("Layers", "together")
    assert both.inside.locator(".bcb-caption").count() == both.inside.locator(".bcb-plot").count() == 2


def test_layers_side_by_side_are_saved_so(both: Screen, tmp_path: Path) -> None:
    both.choose("Layers", "layers")
    both.inside.get_by_label("show layer layer2", exact=True).uncheck()
    root = ET.fromstring(saved(both, "SVG", tmp_path).read_text())
    words = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in words if word in {"layer1", "layer2", "layer3", "0", "2"}] == ["layer1", "layer3", "0", "2"]
    assert sum("exact lines" in word for word in words) == 2
    clips = list(root.iter("{http://www.w3.org/2000/svg}clipPath"))
    assert len(clips) == 4
    drawn = [
        [group.get("aria-label") for group in plot.iter("{http://www.w3.org/2000/svg}g") if len(group) and group.get("aria-label")]
        for plot in root.iter("{http://www.w3.org/2000/svg}g")
        if plot.get("clip-path")
    ]
    assert drawn == [["layer1"], ["layer3"], ["0"], ["2"]]  # each plot has the lines of its own layer


def test_an_address_shows_what_was_chosen(one: Screen, browser: Any) -> None:
    one.choose("Background", "count")
    one.inside.locator("input[type=range]").fill("7")
    one.inside.get_by_label("units of layer layer3").click()
    one.inside.get_by_label("pin unit 5", exact=True).click()
    one.inside.get_by_label("show layer layer1", exact=True).uncheck()
    one.wheel(0.4, 0.6, 4)
    one.page.mouse.move(0, 0)
    seen = one.pixels()
    again = Screen(browser, one.address(), offline=True)
    assert again.drawn()[0] == 21
    assert again.pinned() == ["layer3 · 5"]
    again.page.mouse.move(0, 0)
    assert (again.pixels() == seen).all()
    again.close()


def test_a_log_scale_is_in_the_address(one: Screen, browser: Any) -> None:
    scale = one.inside.locator(".bcb-tick", has_text="Log scale").locator("input")
    scale.check()
    again = Screen(browser, one.address(), offline=True)
    assert again.inside.locator(".bcb-tick", has_text="Log scale").locator("input").is_checked()
    again.close()
    scale.uncheck()
    assert "log" not in one.address()


def test_an_address_that_is_pasted_into_an_open_page_is_shown(both: Screen) -> None:
    both.choose("Background", "count")
    both.inside.get_by_label("show layer layer1", exact=True).uncheck()
    both.page.evaluate("location.hash = '#run=one&step=12&pin=layer3%3A5&log=1'")  # before the page has written its own
    both.settle()
    assert both.drawn() == [12, 21]
    assert both.pinned() == ["layer3 · 5"]
    assert both.inside.locator(".bcb-tick", has_text="Log scale").locator("input").is_checked()
    assert both.inside.locator(".bcb-field", has_text="Background").locator("select").input_value() == "output"
    assert both.inside.get_by_label("show layer layer1", exact=True).is_checked()
    assert both.address().endswith("#run=one&step=12&pin=layer3%3A5&log=1")
    both.press("ArrowRight")
    assert "step=15" in both.address()
    assert "pin=layer3%3A5" in both.address()
    both.page.go_back()
    both.settle()
    assert both.drawn() == [60, 21, 13]  # all runs, as at first


def test_the_curve_jumps(one: Screen) -> None:
    chart = one.inside.locator(".bcb-chart")
    box = chart.bounding_box()
    chart.click(position={"x": 52 + 0.5 * (box["width"] - 62), "y": 60})
    one.settle()
    assert one.drawn()[0] == 30
    one.choose("Curve", "drift/shift")
    assert re.findall(r"layer\d", one.inside.locator(".bcb-legend").inner_text()) == ["layer1", "layer2", "layer3"]
    assert "boundaries shifting in parallel" in one.inside.locator(".bcb-curve .bcb-hint").inner_text()


def test_pictures_are_saved(one: Screen, tmp_path: Path, runs: Path) -> None:
    for kind in ("PNG", "SVG"):
        with one.page.expect_download() as download:
            one.inside.get_by_role("button", name=kind).click()
        assert download.value.suggested_filename == f"boundaries-one-60.{kind.lower()}"
        download.value.save_as(tmp_path / f"a.{kind.lower()}")
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    root = ET.fromstring((tmp_path / "a.svg").read_text())
    groups = {group.get("aria-label"): group for group in root.iter("{http://www.w3.org/2000/svg}g") if group.get("aria-label")}
    assert list(groups) == ["layer1", "layer2", "layer3"]
    last = History(runs / "one")[-1]
    for name, group in groups.items():
        (path,) = group.iter("{http://www.w3.org/2000/svg}path")
        lines = sum(last.boundaries.units[owner].layer == name for owner in last.boundaries.owner)
        assert (path.get("d") or "").count("M") >= lines


def saved(screen: Screen, kind: str, folder: Path) -> Path:
    with screen.page.expect_download() as download:
        screen.inside.get_by_role("button", name=kind).click()
    path: Path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_saved_picture_says_all_that_is_seen_and_no_words_meet(browser: Any, tmp_path: Path) -> None:
    """Of two runs with long names, of themselves, of layers and of classes; where the second has points that are not finite."""
    layers = [DEEP.format(k) for k in range(8)]
    scalars = {"loss": 0.0788, "accuracy": 0.996, "a_number_with_a_long_name": 0.002}
    classes = tuple(f"a category of things whose name is long number {k}" for k in range(4))

    def broken(u: Any, v: Any) -> Any:
        return np.where((u > 0.5)[:, None], np.nan, four_classes(u, v))

    histories = {}
    for run, output in ((f"first_{'x' * 70}", four_classes), (f"second_{'x' * 70}", broken)):
        sample = renamed(snapshot([fan(2, 0.3 * k) for k in range(8)], output, scalars=scalars), *layers)
        assert sample.field is not None
        capture = replace(sample.capture, field=replace(sample.field, names=classes))
        writer = HistoryWriter(tmp_path / run, sample.slice)
        writer.append(replace(sample, capture=capture))
        histories[run] = History(tmp_path / run)
    (tmp_path / "a.html").write_text(make_page(histories), encoding="utf-8")
    screen = Screen(browser, (tmp_path / "a.html").as_uri() + "#at=0.7,0.5,2", offline=True)
    path = saved(screen, "SVG", tmp_path)
    screen.check("file:")
    assert re.fullmatch(r"boundaries-first_x+-.*x-0\.svg", path.name)
    screen.page.goto(path.as_uri())
    boxes = screen.page.evaluate("""() => [...document.querySelectorAll("text")].map((text) => {
      const { x, y, width, height } = text.getBBox();
      return [text.textContent, x, y, x + width, y + height];
    })""")
    words = [found[0] for found in boxes]
    assert words.count("8 layers: the_e…0…ything") == words.count("the_e…7…ything") == 2
    assert words.count("loss 0.0788 · accuracy 0.996 · a_number_with_a_long_name 0.002") == 2
    assert [sum(re.search(rf"…{k}$", found) is not None for found in words) for k in range(4)] == [2, 2, 2, 2]
    assert sum("× 2" in found for found in words) == 2
    assert sum("output not finite" in found for found in words) == 1
    width, height = (
        float(screen.page.evaluate(f"() => document.documentElement.getAttribute('{name}')")) for name in ("width", "height")
    )
    for k, (told, x0, y0, x1, y1) in enumerate(boxes):
        assert x0 >= 0, told
        assert x1 <= width, told
        assert y1 <= height, told
        for other, left, top, right, below in boxes[:k]:
            assert x0 >= right or left >= x1 or y0 + 3 >= below or top + 3 >= y1, (told, other)
    screen.close()


def test_light_and_dark(browser: Any, runs: Path) -> None:
    for scheme in ("light", "dark"):
        screen = Screen(browser, (runs / "both.html").as_uri(), offline=True, color_scheme=scheme)
        assert screen.inside.locator(".bcb").get_attribute("data-theme") == scheme
        other = "dark" if scheme == "light" else "light"
        screen.inside.get_by_role("button", name=other.capitalize()).click()
        screen.settle()
        assert screen.inside.locator(".bcb").get_attribute("data-theme") == other
        screen.check("file:")
        screen.close()


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_page(browser: Any, runs: Path, width: int) -> None:
    screen = Screen(browser, (runs / "both.html").as_uri(), offline=True, viewport={"width": width, "height": 900})
    assert screen.page.evaluate("() => document.documentElement.scrollWidth") <= width
    for box in [element.bounding_box() for element in screen.inside.locator("button, select, canvas, input").all()]:
        assert box is None or (box["x"] >= -1 and box["x"] + box["width"] <= width + 1)
    screen.close()


def test_everything_has_a_name_for_those_who_do_not_see(one: Screen) -> None:
    names = one.page.evaluate(
        "() => [...document.querySelectorAll('button, select, input, canvas')].map(element => "
        "(element.getAttribute('aria-label') || element.textContent || element.labels?.[0]?.textContent || '').trim())"
    )
    assert len(names) > 20
    assert all(names)
    label = one.plot().get_attribute("aria-label")
    assert label.startswith("one, step 60, loss 0.")
    assert "48 units" in label


def handmade(folder: Path, samples: list[Snapshot]) -> str:
    """Leave a page of samples made by hand; return its address."""
    writer = HistoryWriter(folder, samples[0].slice)
    for sample in samples:
        writer.append(sample)
    (folder / "a.html").write_text(make_page({"<i>run & co</i>": History(folder)}), encoding="utf-8")
    return (folder / "a.html").as_uri()


def test_units_of_a_convolution_are_named_by_their_places(browser: Any, tmp_path: Path) -> None:
    sample = snapshot([fan(4, 0.3)], four_classes)
    layer = Layer("conv", "relu", (2, 3, 3), (0, 5, 9, 17))
    field = replace(sample.field, names=("a", "<b>", "c", "d")) if sample.field is not None else None
    capture = replace(sample.capture, layers=(layer,), field=field)
    sample = replace(sample, capture=capture, boundaries=replace(sample.boundaries, layers=(layer,)))
    screen = Screen(browser, handmade(tmp_path, [sample]) + "#pin=conv:17", offline=True)
    assert screen.pinned() == ["conv · 17 (1, 2, 2)"]
    assert "4 of 4 (of 18 units) in view" in screen.inside.locator(".bcb-layers").inner_text()
    assert screen.inside.locator(".bcb-classes").inner_text().split() == ["a", "<b>", "c", "d"]
    screen.inside.get_by_label("units of layer conv").click()
    screen.settle()
    assert [row.inner_text() for row in screen.inside.locator(".bcb-units .bcb-unit").all()] == [
        "(0, 0, 0)",
        "(0, 1, 2)",
        "(1, 0, 0)",
        "(1, 2, 2)",
    ]
    screen.inside.get_by_label("pin unit (1, 2, 2)").click()
    assert screen.pinned() == []
    screen.check("file:")
    screen.close()


DEEP = "the_encoder_of_the_second_generation_with_residuals.{}.feed_forward_projection_in_the_middle_of_everything"


def renamed(sample: Snapshot, *names: str) -> Snapshot:
    """Return a sample whose layers have other names."""
    layers = tuple(replace(layer, name=name) for layer, name in zip(sample.capture.layers, names, strict=True))
    per_unit = {
        key.replace(old.name, new.name): value
        for old, new in zip(sample.layers, layers, strict=True)
        for key, value in sample.per_unit.items()
        if old.name in key
    }
    return replace(
        sample,
        per_unit=per_unit,
        capture=replace(sample.capture, layers=layers),
        boundaries=replace(sample.boundaries, layers=layers),
    )


def test_what_is_logged_is_no_number_of_a_layer(browser: Any, tmp_path: Path) -> None:
    """Though two learning rates end as the layers of a Sequential are called; the loss is shown first, whatever it is called."""
    sample = renamed(snapshot([fan(2, 0.3), fan(2, 0.5)], four_classes), "0", "2")
    logged = {"lr/0": 0.1, "lr/2": 0.2, "d_loss": 0.5}
    sample = replace(sample, scalars=logged, metrics={"on/share/0": 0.5, "on/share/2": 0.25})
    screen = Screen(browser, handmade(tmp_path, [sample]), offline=True)
    offered = screen.inside.locator(".bcb-curve option").all_inner_texts()
    assert {"lr/0", "lr/2", "on/share (each layer)"} <= set(offered)
    assert not [words for words in offered if words.startswith("lr (")]
    assert screen.inside.locator(".bcb-curve select").input_value() == "d_loss"


def test_long_names_show_what_tells_them_apart(browser: Any, tmp_path: Path) -> None:
    names = [DEEP.format(k) for k in range(8)]
    never = [lambda u, v: 0 * u - 1]
    sample = renamed(snapshot([fan(2, 0.3 * k) + never for k in range(8)], four_classes), *names)
    per_unit = {f"mine_per_unit/{name}": np.arange(3.0) for name in names}
    screen = Screen(
        browser, handmade(tmp_path, [replace(sample, per_unit=per_unit)]) + f"#pin={DEEP.format(3)}:0&curve=unit:mine", offline=True
    )
    rows = screen.inside.locator(".bcb-layer .bcb-tick > span:last-child")
    assert rows.all_inner_texts() == [f"the_e…{k}…ything" for k in range(8)]
    fits = "rows => rows.every(row => row.scrollWidth <= row.clientWidth)"
    assert rows.evaluate_all(fits)
    assert screen.inside.get_by_label(f"show layer {names[3]}", exact=True).count() == 1
    for tab in ("Copycats", "Dormant"):
        screen.inside.get_by_role("tab", name=tab).click()
        screen.settle()
        assert screen.inside.locator(".bcb-found, .bcb-found button").evaluate_all(fits)
    assert screen.inside.locator(".bcb-found button").first.get_attribute("title") == f"{names[0]} · 2"
    assert screen.pinned() == ["the_e…3…ything · 0"]
    assert screen.inside.locator(".bcb-card h3").get_attribute("title") == f"{names[3]} · 0"
    width = screen.plot().bounding_box()["width"]
    labels = [found for found in screen.letters() if found[0] == "the_e…3…ything · 0"]
    assert labels
    assert all(58 <= left < right <= width for _, left, right in labels)
    screen.choose("Layers", "layers")
    titles = screen.inside.locator("figcaption")
    assert titles.first.inner_text().startswith("step 0")
    assert [titles.nth(1).inner_text(), titles.nth(1).get_attribute("title")] == ["the_e…0…ything", names[0]]
    screen.check("file:")
    screen.close()


def test_a_units_name_stands_whole_inside_the_plot(browser: Any, tmp_path: Path) -> None:
    """Beside a line at an edge, also in a plot that is narrower than the name."""
    sample = renamed(snapshot([[lambda u, v: u - 0.38 + 0 * v, lambda u, v: u + 0.97 + 0 * v]], four_classes), "w" * 16)
    for width in (300, 1280):
        address = handmade(tmp_path / str(width), [sample]) + f"#pin={'w' * 16}:0&pin={'w' * 16}:1"
        screen = Screen(browser, address, offline=True, viewport={"width": width, "height": 700})
        labels = [found for found in screen.letters() if "w…w" in found[0] or "ww" in found[0]]
        assert {label[0][-1] for label in labels} == {"0", "1"}
        assert all(58 <= left < right <= screen.plot().bounding_box()["width"] for _, left, right in labels)
        screen.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 700)])
def test_controls_stay_where_they_are_while_a_run_plays(browser: Any, tmp_path: Path, width: int, height: int) -> None:
    """Classes that win come and go, and scalars, notes and steps change their length."""

    def winner(k: int) -> Any:
        return lambda u, v: np.stack([9.0 * (place == k % 12) + 0 * u + (place > 6) * k * u for place in range(12)], axis=1)

    samples = []
    for k in range(12):
        sample = snapshot(
            [fan(3, 0.1 * k)], winner(k), step=10**k if k else 0, scalars={"loss": 10.0 ** (-k), "accuracy": k / 7, "lr": 0.01}
        )
        assert sample.field is not None
        names = tuple(f"a category of things whose name is long number {place}" for place in range(12))
        notes = ("something was left out of this sample, and is told at length",) if k % 2 else ()
        samples.append(replace(sample, capture=replace(sample.capture, field=replace(sample.field, names=names), notes=notes)))
    screen = Screen(browser, handmade(tmp_path, samples), offline=True, viewport={"width": width, "height": height})
    places = set()
    for place in (*range(12), *range(12)):
        screen.inside.locator("input[type=range]").evaluate(
            f"slider => {{ slider.value = {place}; slider.dispatchEvent(new Event('input')); }}"
        )
        screen.settle()
        assert screen.inside.locator(".bcb-classes .bcb-key").count() == 12
        boxes = [screen.inside.get_by_role("button", name=name).bounding_box() for name in ("Play", "sample before", "next sample")]
        assert all(box["y"] + box["height"] <= height for box in boxes)
        places.add(str([(box["x"], box["y"]) for box in [*boxes, screen.inside.locator(".bcb-transport select").bounding_box()]]))
    assert len(places) == 1
    assert screen.inside.locator(".bcb-absent").count() > 3
    screen.check("file:")
    screen.close()


def test_fingers(browser: Any, runs: Path) -> None:
    """On the curve one goes along the steps or scrolls the page; on the plot it meets a line from farther away than a mouse."""
    address = (runs / "one" / "boundaries" / "boundaries.html").as_uri() + "#hide=layer2&hide=layer3"
    screen = Screen(browser, address, offline=True, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    chart = screen.inside.locator(".bcb-chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    hand = screen.context.new_cdp_session(screen.page)

    def touch(kind: str, x: float = 0, y: float = 0) -> None:
        points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        screen.page.wait_for_timeout(30)

    x, y = box["x"] + 150, box["y"] + 100
    before = screen.page.evaluate("scrollY")
    touch("touchStart", x, y)
    for k in range(1, 9):
        touch("touchMove", x, y - 25 * k)
    touch("touchEnd")
    screen.settle()
    assert screen.drawn()[0] == 60
    assert screen.page.evaluate("scrollY") > before + 50
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    seen = []
    touch("touchStart", box["x"] + 60, box["y"] + 50)
    for k in (10, 60, 120):
        touch("touchMove", box["x"] + 60 + k, box["y"] + 50)
        screen.settle()
        seen.append(screen.drawn()[0])
    touch("touchEnd")
    assert seen == sorted(set(seen))
    assert seen[-1] < 60
    screen.page.touchscreen.tap(box["x"] + box["width"] - 12, box["y"] + 50)
    screen.settle()
    assert screen.drawn()[0] == 60
    _, (u, v) = unit_line(runs, "layer1")
    screen.plot().scroll_into_view_if_needed()
    plot = screen.plot().bounding_box()
    place = screen.place(u, v)
    hits = []
    for dx, dy in ((13, 0), (-13, 0), (0, 13), (0, -13)):
        screen.page.touchscreen.tap(plot["x"] + place["x"] + dx, plot["y"] + place["y"] + dy)
        hits.append(screen.pinned())
        screen.page.keyboard.press("Escape")
    assert all(hits)
    screen.check("file:")
    screen.close()


def test_a_pinch_on_a_trackpad_is_a_wheel_with_a_key(one: Screen) -> None:
    spot = one.place(0.5, 0.5)
    one.plot().hover(position=spot)
    one.plot().dispatch_event("wheel", {"deltaY": -10, "ctrlKey": True, "clientX": 400, "clientY": 400, "cancelable": True})
    one.settle()
    assert "× 1.22" in one.inside.locator(".bcb-caption").inner_text()


def test_colours_of_the_system(browser: Any, runs: Path) -> None:
    """Where a reader's system has colours of its own, those that mean something stay, and what is pressed stands out."""
    address = (runs / "one" / "boundaries" / "boundaries.html").as_uri() + "#background=regions"
    screen = Screen(browser, address, offline=True, forced_colors="active", color_scheme="light")
    ground = "all => all.map(one => getComputedStyle(one).backgroundColor)"
    assert screen.inside.locator(".bcb-swatch").evaluate_all(ground) == ["rgb(31, 111, 208)", "rgb(213, 94, 0)", "rgb(0, 104, 55)"]
    assert len(set(screen.inside.locator(".bcb-class").evaluate_all(ground))) == 2
    screen.inside.get_by_label("units of layer layer1").click()
    pins = screen.inside.locator(".bcb-units .bcb-unit")
    pins.first.click()
    screen.settle()
    screen.page.mouse.move(0, 0)
    first, second = pins.evaluate_all(ground)[:2]
    assert first != second
    screen.close()


def test_awkward_runs_are_shown(browser: Any, tmp_path: Path) -> None:
    """One sample; no line, no output, no metric; a loss that is no number; layers that change; a thread of a slice."""
    flat = snapshot([[lambda u, v: 0 * u + 1]], None, scalars={"loss": math.nan})
    thread = slices.box((1e6, 1e6 + 100), (0, 0.5))
    many = snapshot([fan(2, 0.1 * k) for k in range(30)], one_value, step=5)
    runs = {
        "flat": [flat],
        "thread": [snapshot([fan(3, 0)], one_value, plane=thread)],
        "changes": [snapshot([fan(3, 0)], one_value), snapshot([fan(5, 1), rings(2, (0, 0))], four_classes, step=9)],
        "many": [many],
    }
    for name, samples in runs.items():
        for arrangement in ("together", "layers"):
            address = handmade(tmp_path / name / arrangement, samples)
            screen = Screen(
                browser, f"{address}#arrangement={arrangement}&pin=layer1:0&pin=no%3A7&curve=unit%3Anothing", offline=True
            )
            for tab in ("Dormant", "Indecisive", "Copycats"):
                screen.inside.get_by_role("tab", name=tab).click()
            screen.press("Home")
            assert screen.drawn()[1] == len(samples), name
            screen.check("file:")
            screen.close()


def test_pinning_is_told(one: Screen) -> None:
    one.inside.get_by_label("units of layer layer3").click()
    one.inside.get_by_label("pin unit 5", exact=True).click()
    one.settle()
    assert one.inside.locator("[aria-live]").inner_text() == "Pinned layer3 · 5"


def test_damage_is_said(browser: Any, runs: Path, tmp_path: Path) -> None:
    page = (runs / "both.html").read_text()
    start = page.index('id="runs">') + len('id="runs">')
    (tmp_path / "broken.html").write_text(page[: start + 4000] + "AAAA" + page[start + 4004 :])
    context = browser.new_context(offline=True)
    broken = context.new_page()
    broken.goto((tmp_path / "broken.html").as_uri())
    broken.wait_for_selector("text=This page cannot be shown: Packed data are damaged.")
    context.close()


def test_texts_of_the_page_are_json(runs: Path) -> None:
    page = (runs / "both.html").read_text()
    texts = json.loads(page.split('id="texts">')[1].split("</script>")[0])
    assert "Part of drift/flipped" in texts["drift/shift"]
