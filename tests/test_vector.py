"""The overlay as vector graphics, beside the one of pixels."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from snapshots import fan, four_classes, one_value, plain, rings, snapshot

from boundarycb import slices
from boundarycb.render import draw_overlay, draw_vector
from boundarycb.types import Snapshot

SAMPLES = {
    "two classes": lambda: plain(),
    "four classes": lambda: snapshot([fan(4, 0.3), rings(2, (0, 0))], four_classes),
    "one value": lambda: snapshot([fan(9, 0.1)], one_value, plane=slices.box((-3, 3), (-1, 1))),
    "no output": lambda: snapshot([fan(5, 0.4)]),
}


def seen(browser: Any, path: Path, sample: Snapshot, size: int) -> tuple[Any, Any]:
    """Return a sample as a browser shows its vector picture, and as pixels."""
    path.write_text(draw_vector(sample, size), encoding="utf-8")
    picture = draw_overlay(sample, size).rgb()
    page = browser.new_page(viewport={"width": picture.shape[1], "height": picture.shape[0]})
    page.goto(path.as_uri())
    shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    page.close()
    return shot.astype(int), picture.astype(int)


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_the_picture_of_pixels(browser: Any, tmp_path: Path, name: str) -> None:
    """Edges are smoothed otherwise and letters may be of another font: they differ by little, and nowhere in what they show."""
    shot, picture = seen(browser, tmp_path / "a.svg", SAMPLES[name](), 400)
    assert shot.shape == picture.shape
    difference = abs(shot - picture).max(axis=2)
    assert difference.mean() < 5
    coarse = [
        np.asarray(Image.fromarray(image.astype(np.uint8)).resize((40, 40), Image.Resampling.BOX), int) for image in (shot, picture)
    ]
    assert abs(coarse[0] - coarse[1]).max() < 40


def test_lines_keep_all_their_digits_that_a_picture_needs() -> None:
    sample = plain()
    root = ET.fromstring(draw_vector(sample, 512))
    drawn = [path.get("d") or "" for path in root.iter("{http://www.w3.org/2000/svg}path")]
    points = [tuple(map(float, pair)) for path in drawn for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]
    left, top = min(x for x, _ in points), min(y for _, y in points)
    want = (sample.boundaries.points + 1) / 2 * [512, -512] + [0, 512]
    for x, y in want:
        assert min(abs(x - px) + abs(y - (py - top)) for px, py in points) < 0.01
    assert left >= 0


def test_words_are_words() -> None:
    """Names of the user's cannot end an element, or begin one."""
    sample = snapshot([fan(3, 0)], one_value, scalars={'<b a="1">&': 0.5})
    root = ET.fromstring(draw_vector(sample, 512))
    assert any('<b a="1">&' in (text.text or "") for text in root.iter("{http://www.w3.org/2000/svg}text"))
