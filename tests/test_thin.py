"""Thin lines by OpenCV: in their places, as wide as they should be, and much like Agg's."""

from __future__ import annotations

import os
import sys
import types
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from snapshots import Function, fan, four_classes, plain, snapshot

from boundarycb.render import draw_overlay, draw_panels
from boundarycb.render.canvas import Canvas
from boundarycb.render.raster import WIDEST
from boundarycb.render.thin import INK, coverage, opencv
from boundarycb.types import Snapshot

SIDE = 64
MANY = 60  # lines from which on Agg does not draw them


@pytest.fixture
def cv2(monkeypatch: pytest.MonkeyPatch) -> Any:
    """OpenCV, with which pictures are drawn meanwhile."""
    module = pytest.importorskip("cv2")
    monkeypatch.setattr("boundarycb.render.thin.opencv", opencv)
    return module


def distances(line: np.ndarray, fine: int = 1) -> np.ndarray:
    """Return the distances from a polyline (n, 2) of so many points a pixel's side (SIDE * fine, SIDE * fine), by brute force."""
    y, x = (np.mgrid[: SIDE * fine, : SIDE * fine] + 0.5) / fine
    nearest = np.full((SIDE * fine, SIDE * fine), np.inf)
    for (x0, y0), (x1, y1) in pairwise(line):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        share = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / (length or 1.0), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0)))
    return nearest


places = st.tuples(st.floats(4, SIDE - 4), st.floats(4, SIDE - 4))


@settings(max_examples=100, deadline=None)
@given(st.lists(places, min_size=2, max_size=6))
def test_lines_are_where_they_should_be(points: list[tuple[float, float]]) -> None:
    line = np.array(points)
    assume(np.hypot(*np.diff(line, axis=0).T).min() > 1)  # of shorter ones the ends are all there is
    mask = coverage(pytest.importorskip("cv2"), line, np.array([0, len(line)]), (SIDE, SIDE))
    away = distances(line)
    assert (mask[away > 2.75] == 0).all()  # the ends of short lines are drawn a little long
    assert (mask[away < 0.25] > 80).all()


@pytest.mark.parametrize("degrees", range(0, 180, 15))
def test_a_line_covers_as_much_as_it_is_wide(cv2: Any, degrees: int) -> None:
    toward = 25 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    mask = coverage(cv2, np.array([32 - toward, 32 + toward]), np.array([0, 2]), (SIDE, SIDE))
    assert mask.sum() / 255 / 50 == pytest.approx(INK, rel=0.2)


def test_lines_that_cross_cover_no_more_than_the_whole(cv2: Any) -> None:
    lines = [np.array([[4.0, 5.0], [60.0, 50.0]]), np.array([[4.0, 50.0], [60.0, 5.0], [30.0, 8.0]])]
    both = coverage(cv2, np.concatenate(lines), np.array([0, 2, 5]), (SIDE, SIDE))
    single = [coverage(cv2, line, np.array([0, len(line)]), (SIDE, SIDE)) for line in lines]
    assert (both >= np.maximum(*single)).all()
    apart = np.minimum(*single) == 0
    assert (both[apart] == np.maximum(*single)[apart]).all()


def crowded() -> Snapshot:
    """Return a sample with three layers of many lines, which are thin therefore."""

    def line(angle: float) -> Function:
        return lambda x, y: np.cos(angle) * x + np.sin(angle) * y - 0.6 * np.cos(7 * angle)

    groups = [[line(turn + np.pi * k / count) for k in range(count)] for count, turn in ((110, 0.1), (90, 0.4), (100, 0.7))]
    return snapshot(groups, four_classes)


def test_pictures_look_as_without_it(cv2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = draw_overlay(crowded()).rgb().astype(int)
    monkeypatch.setattr("boundarycb.render.thin.opencv", lambda: None)
    agg = draw_overlay(crowded()).rgb().astype(int)
    bare = draw_overlay(snapshot([fan(1, 0.0)] * 3, four_classes)).rgb().astype(int)
    assert (fast != agg).any()
    drawn = abs(agg - bare).mean()
    assert abs(fast - agg).mean() < 0.35 * drawn
    assert abs(fast - bare).mean() == pytest.approx(drawn, rel=0.15)  # as much ink


@pytest.mark.parametrize("size", [128, 300, 384, 512])
def test_few_lines_are_drawn_as_ever(cv2: Any, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    fast = draw_overlay(plain(), size), draw_panels(plain(), size)
    monkeypatch.setattr("boundarycb.render.thin.opencv", lambda: None)
    for one, other in zip(fast, (draw_overlay(plain(), size), draw_panels(plain(), size)), strict=True):
        assert (one.pixels == other.pixels).all()


def test_panels_and_small_pictures_of_many_lines_look_as_without_it(cv2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(sample: Snapshot) -> list[np.ndarray]:
        return [picture.rgb().astype(int) for picture in (draw_panels(sample), draw_overlay(sample, 200))]

    fast = drawn(crowded())
    monkeypatch.setattr("boundarycb.render.thin.opencv", lambda: None)
    for one, other, bare in zip(fast, drawn(crowded()), drawn(snapshot([fan(1, 0.0)] * 3, four_classes)), strict=True):
        assert (one != other).any()
        assert abs(one - other).mean() < 0.35 * abs(other - bare).mean()


def many(line: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return many copies of a line, and where they begin."""
    return np.tile(line, (MANY, 1)), np.arange(0, (MANY + 1) * len(line), len(line))


def test_lines_stay_within_their_box(cv2: Any) -> None:
    canvas = Canvas(40, 30, "#ffffff")
    points, offsets = many([[-50.0, 14.0], [90.0, 14.0]])
    for nowhere in ((50, 0, 60, 30), (10, 5, 10, 20), (-9, -9, 0, 30)):
        canvas.lines(points, offsets, "#ff0000", 1.0, nowhere)
    assert (canvas.pixels == 255).all()
    canvas.lines(points, offsets, "#ff0000", 1.0, (10, 5, 25, 20))
    rows, columns = np.nonzero(canvas.pixels[..., 1] < 255)
    assert (rows.min(), rows.max()) in [(13, 14), (12, 14), (13, 15)]
    assert (columns.min(), columns.max()) == (10, 24)
    assert (canvas.pixels[..., 3] == 255).all()
    assert (canvas.pixels[..., 0] == 255).all()


def test_a_thinner_line_is_fainter(cv2: Any) -> None:
    ink = []
    for width in (0.4, 0.8, WIDEST):
        canvas = Canvas(40, 30, "#ffffff")
        canvas.lines(*many([[5.0, 14.0], [35.0, 17.0]]), "#000000", width, (-5, -5, 60, 40))
        ink.append((255.0 - canvas.pixels[..., 0]).sum())
    assert ink[0] == pytest.approx(ink[1] / 2, rel=0.05)
    assert ink[2] == pytest.approx(ink[1] * INK / 0.8, rel=0.05)


def test_an_opencv_that_does_not_load_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that lacks a library of the system."""

    def broken(name: str) -> Any:
        raise ImportError(f"libGL.so.1, which {name} needs")

    monkeypatch.setattr("boundarycb.render.thin.import_module", broken)
    opencv.cache_clear()
    assert opencv() is None
    opencv.cache_clear()


def test_what_is_left_of_an_installation_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", types.ModuleType("cv2"))
    opencv.cache_clear()
    assert opencv() is None
    opencv.cache_clear()


def test_it_can_be_turned_off(cv2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOUNDARYCB_OPENCV", "0")
    opencv.cache_clear()
    assert opencv() is None
    opencv.cache_clear()


def test_loading_it_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV writes to it, and the processes that the user starts would have that."""

    def meddles(name: str) -> Any:
        os.environ["LD_LIBRARY_PATH"] = f"/of/{name}"
        os.environ["QT_QPA_FONTDIR"] = "/of/fonts"
        os.environ.pop("KEPT", None)
        raise ImportError(name)

    monkeypatch.setenv("LD_LIBRARY_PATH", "/of/mine")
    monkeypatch.delenv("QT_QPA_FONTDIR", raising=False)
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setattr("boundarycb.render.thin.import_module", meddles)
    before = dict(os.environ)
    opencv.cache_clear()
    assert opencv() is None
    opencv.cache_clear()
    assert dict(os.environ) == before
