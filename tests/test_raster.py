"""Thin lines by numpy: in their places, as wide as they should be, and much like Agg's."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import fan, four_classes, plain, snapshot
from test_thin import MANY, SIDE, crowded, distances, many

from boundarycb.render import canvas, draw_overlay, draw_panels
from boundarycb.render.canvas import Canvas
from boundarycb.render.raster import WIDEST, coverage, pays

places = st.tuples(st.floats(-20, SIDE + 20), st.floats(-20, SIDE + 20))


def of_lines(lines: list[np.ndarray], width: float = 1.0, shape: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    return coverage(np.concatenate(lines), np.cumsum([0, *map(len, lines)]), shape, width)


def area(line: np.ndarray, width: float, fine: int = 8) -> np.ndarray:
    """Return how much of each pixel (SIDE, SIDE) lies within half the width of a polyline, by brute force over parts of it.

    A part that the edge runs through counts as far as its middle is from that: a line along a row of middles would count all of
    them or none.
    """
    covered = np.clip((width / 2 - distances(line, fine)) * fine + 0.5, 0, 1)
    return np.asarray(covered.reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3)))


@settings(max_examples=60, deadline=None)
@given(st.lists(places, min_size=2, max_size=5), st.floats(0.3, WIDEST))
def test_a_pixel_is_covered_as_far_as_the_line_lies_on_it(points: list[tuple[float, float]], width: float) -> None:
    line = np.array(points)
    found, want = of_lines([line], width) / 255, area(line, width)
    # A segment goes on by half a pixel, along the axis it is walked on, into the next one.
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    at_corner = np.min([np.hypot(x - one[0], y - one[1]) for one in line], axis=0) < 2.5
    single = len(line) == 2  # where two segments lie on a pixel, it has the most that one covers
    # A strip of 0.71 pixels at 45 degrees lies on three quarters of the pixel in its middle, which is covered whole.
    assert (found <= want + 0.27)[~at_corner].all()
    assert not single or (found >= want - 0.27)[~at_corner].all()
    at_end = np.min([np.hypot(x - one[0], y - one[1]) for one in line[[0, -1]]], axis=0) < 1.5
    assert (found[~at_end & (distances(line) < 0.25)] > 0.4 * min(1.0, width)).all()  # no gap at a bend
    assert (found[distances(line) > 2.75] == 0).all()


@pytest.mark.parametrize("degrees", range(0, 180, 15))
@pytest.mark.parametrize("width", [0.3, 0.6, 1.0, WIDEST])
def test_a_line_covers_as_much_as_it_is_wide(degrees: int, width: float) -> None:
    toward = 25 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    cover = of_lines([np.array([32.2 - toward, 32.2 + toward])], width)
    assert cover.sum() / 255 / 50 == pytest.approx(width, rel=0.06)


def test_lines_that_cross_cover_no_more_than_the_whole() -> None:
    lines = [np.array([[4.0, 5.0], [60.0, 50.0]]), np.array([[4.0, 50.0], [60.0, 5.0], [30.0, 8.0]])]
    assert np.array_equal(of_lines(lines), np.maximum(*(of_lines([line]) for line in lines)))


def test_a_line_does_not_lead_to_the_next_one() -> None:
    cover = of_lines([np.array([[4.0, 5.5], [60.0, 5.5]]), np.array([[4.0, 50.5], [60.0, 50.5]])])
    assert cover[8:48].max() == 0


@pytest.mark.parametrize("turn", [False, True])
def test_a_line_worked_by_hand(turn: bool) -> None:
    # y = 2 from x = 1 to 4, on the border of two rows: half of each; as wide as 0.6: 0.3 of each.
    line = np.array([[1.0, 2.0], [4.0, 2.0]])
    for width, share in ((1.0, 128), (0.6, 76)):
        cover = of_lines([line[:, ::-1] if turn else line], width, (6, 6))
        want = np.zeros((6, 6))
        want[1:3, 1:4] = share
        assert abs((cover.T if turn else cover) - want).max() <= 1


@pytest.mark.parametrize("length", [0.0, 0.3, 1.0, 2.0, 8.0])
def test_short_lines_cover_no_more_than_they_are_long(length: float) -> None:
    random = np.random.default_rng(0)
    ink = []
    for angle in random.uniform(0, 2 * np.pi, 2000):
        start = random.uniform(20, 40, 2)
        ink.append(of_lines([np.array([start, start + length * np.array([np.cos(angle), np.sin(angle)])])]).sum() / 255)
    assert np.mean(ink) == pytest.approx(length, rel=0.1, abs=1e-9)


@pytest.mark.parametrize("backwards", [False, True])
def test_points_and_lines_far_outside_cost_no_memory_and_keep_their_places(backwards: bool) -> None:
    far = np.array([[-1e6, -1e6 + 7], [1e6, 1e6 + 7]])
    near = np.array([[-20.0, -13], [90, 97]])
    found, want = (of_lines([line[::-1] if backwards else line]) for line in (far, near))
    assert abs(found.astype(int) - want).max() <= 1
    for line in ([[-1e9, 5], [-5, 9]], [[5, 1e9], [9, 200]], [[5, -1e7], [1e7, -5]], [[200, 200], [200, 200]]):
        assert of_lines([np.array(line, float)]).max() == 0


def test_of_nothing_there_is_nothing() -> None:
    assert of_lines([np.array([[9.5, 7.5]])]).max() == 0
    assert coverage(np.empty((0, 2)), np.array([0]), (3, 4), 1.0).tolist() == [[0] * 4] * 3


def test_what_is_not_finite_parts_a_line() -> None:
    line = np.array([[4.0, 5.5], [20.0, 5.5], [np.nan, 30.0], [40.0, 5.5], [60.0, 5.5], [60.0, np.inf], [9.0, 40.0]])
    assert np.array_equal(of_lines([line]), of_lines([line[:2], line[3:5]]))


@pytest.mark.parametrize("line", [[[-50.0, 30], [4100, 2000]], [[10.0, 20], [10.4, 20.3]]])
def test_many_lines_take_the_memory_of_some(line: list[list[float]]) -> None:
    few, lots = 300, 30_000 if line[1][0] < 20 else 3000
    shape = (2048, 4096)
    peaks = []
    for count in (few, lots):
        points, offsets = np.tile(line, (count, 1)), np.arange(0, 2 * count + 1, 2)
        tracemalloc.start()
        cover = coverage(points, offsets, shape, 1.0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert np.array_equal(cover, coverage(points[:2], offsets[:2], shape, 1.0))
    assert peaks[1] - peaks[0] < 400 * (lots - few) + 2**22  # a few numbers of each, and not of each of their pixels


def by_agg(monkeypatch: pytest.MonkeyPatch, draw: Any) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(canvas, "_MANY", 10**9)
        return draw()


def test_pictures_look_as_agg_draws_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(sample: Any) -> list[np.ndarray]:
        return [picture.rgb().astype(int) for picture in (draw_overlay(sample), draw_panels(sample), draw_overlay(sample, 200))]

    bare = drawn(snapshot([fan(1, 0.0)] * 3, four_classes))
    for ours, agg, empty in zip(drawn(crowded()), by_agg(monkeypatch, lambda: drawn(crowded())), bare, strict=True):
        ink = abs(agg - empty).mean()
        assert (ours != agg).any()
        assert abs(ours - agg).mean() < 0.25 * ink
        assert abs(ours - empty).mean() == pytest.approx(ink, rel=0.12)  # as much ink


def test_what_pays_is_walked_far_on_few_segments() -> None:
    """Of 100 by 100 pixels a tenth must be walked, and one more for each segment; none outside."""
    ends = np.array([[20.0, 50.0], [31.0, 50.0]])
    for line, count, want in ((ends, 101, True), (ends, 89, False), (ends * 1e4, 89, True), (ends * 1e4, 9, False)):
        assert pays(np.tile(line, (count, 1)), np.arange(0, 2 * count + 1, 2), (100, 100)) == want
    # From the end of a line to the next one nothing is walked.
    apart = np.array([[0.0, 0.0], [0.0, 1.0], [99.0, 99.0], [99.0, 98.0]])
    assert not pays(np.tile(apart, (60, 1)), np.arange(0, 241, 2), (100, 100))


@pytest.mark.parametrize("angle", range(0, 360, 10))
def test_there_is_no_gap_where_a_line_bends(angle: int) -> None:
    random = np.random.default_rng(angle)
    for _ in range(20):
        middle, turn = random.uniform(25, 40, 2), np.radians(angle)
        arm = 15 * np.array([np.cos(turn), np.sin(turn)])
        bent = np.array([middle + np.array([15, 3]), middle, middle + arm])
        x, y = middle.astype(int)
        assert of_lines([bent])[y, x] > 30


CROSSING = [[2.0, 3.0], [98.0, 97.0]]
SHORT = [[50.0, 50.0], [53.0, 52.0]]


@pytest.mark.parametrize(
    ("line", "count", "width", "dashes", "ours"),
    [
        (CROSSING, MANY, 1.0, None, True),
        (CROSSING, MANY - 1, 1.0, None, False),
        (CROSSING, MANY, WIDEST + 0.1, None, False),
        (CROSSING, MANY, 1.0, (3.0, 3.0), False),
        (SHORT, MANY, 1.0, None, False),
        (np.linspace(CROSSING[0], CROSSING[1], 300).tolist(), MANY, 1.0, None, False),
        ([[2.0, 3.0], [np.nan, 97.0], [np.inf, 5.0], [np.inf, 6.0]], MANY, 1.0, None, False),
    ],
)
def test_what_is_many_thin_and_long_is_not_agg_s(
    monkeypatch: pytest.MonkeyPatch, line: Any, count: int, width: float, dashes: Any, ours: bool
) -> None:
    """Agg takes less time for few lines, and for short ones; numpy draws neither dashes nor what is wide."""

    def drawn() -> np.ndarray:
        page = Canvas(100, 100, "#ffffff")
        offsets = np.arange(0, (count + 1) * len(line), len(line))
        page.lines(np.tile(line, (count, 1)), offsets, "#000000", width, (0, 0, 100, 100), 0.9, dashes=dashes)
        return page.pixels.copy()

    assert (drawn() != by_agg(monkeypatch, drawn)).any() == ours


@pytest.mark.parametrize("size", [128, 512])
def test_few_lines_are_drawn_by_agg(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    agg = by_agg(monkeypatch, lambda: draw_overlay(plain(), size))
    assert (draw_overlay(plain(), size).pixels == agg.pixels).all()


def test_colours_are_laid_over_without_a_bias() -> None:
    cover = np.arange(256, dtype=np.uint8)[None]
    for alpha in (1.0, 0.75, 0.3):
        page = Canvas(256, 1, "#d0a010")
        page._blend(0, 0, cover, "#1050f0", alpha)
        share = alpha * cover[0, :, None] / 255
        off = page.pixels[0, :, :3] - ((1 - share) * (0xD0, 0xA0, 0x10) + share * (0x10, 0x50, 0xF0))
        assert abs(off).max() <= 1
        assert abs(off.mean(axis=0)).max() < 0.2


def test_lines_stay_within_their_box() -> None:
    page = Canvas(40, 30, "#ffffff")
    points, offsets = many([[-50.0, 14.0], [90.0, 14.0]])
    for nowhere in ((50, 0, 60, 30), (10, 5, 10, 20), (-9, -9, 0, 30)):
        page.lines(points, offsets, "#ff0000", 1.0, nowhere)
    assert (page.pixels == 255).all()
    page.lines(points, offsets, "#ff0000", 1.0, (10, 5, 25, 20), 0.5)
    rows, columns = np.nonzero(page.pixels[..., 1] < 255)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 14, 10, 24)
    assert (page.pixels[13:15, 10:25] == (255, 191, 191, 255)).all()  # half of half


def test_many_lines_are_each_where_they_are_alone() -> None:
    random = np.random.default_rng(0)
    lines = [random.uniform(2, SIDE - 2, (3, 2)) for _ in range(MANY)]
    page = Canvas(SIDE, SIDE, "#ffffff")
    page.lines(np.concatenate(lines), np.arange(0, 3 * MANY + 1, 3), "#000000", 0.8, (0, 0, SIDE, SIDE))
    want = np.max([of_lines([line], 0.8) for line in lines], axis=0)
    assert abs(255 - page.pixels[..., 0] - want.astype(int)).max() <= 1
