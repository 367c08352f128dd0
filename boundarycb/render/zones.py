"""Where outputs that are chances of their own do not agree on one class: none is on, several are, or two are next to equal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.render.canvas import Canvas, text_width
from boundarycb.render.captions import axes_caption
from boundarycb.render.colours import FAINT, INK, UNDEFINED, WHITE, rgb
from boundarycb.render.layout import SIZE, SMALLER, Layout, checked_size
from boundarycb.types import Field, Picture, Snapshot

TIE = 0.1  # by less than this the winner leads: the limit of the metric ambiguity/tie
_ZONES = (
    ("one output on", "#f1f2f4"),
    ("none on", "#a9adb5"),
    ("several on", "#e8853a"),
    ("two within 0.1", "#2f78d0"),
    ("not finite", UNDEFINED),
)


def has_zones(snapshot: Snapshot) -> bool:
    """Return whether the outputs are sigmoids, each of its own."""
    return snapshot.field is not None and snapshot.field.above is not None


def draw_zones(snapshot: Snapshot, size: int = SIZE) -> Picture:
    """Return a map of where one output is on (above one half), none, or several, and where two are next to equal.

    Args:
        snapshot: of a network whose outputs are sigmoids.
        size: as of the overlay.

    Raises:
        ValueError: its outputs are no sigmoids.
    """
    field = snapshot.field
    if field is None or field.above is None:
        raise ValueError(
            "`snapshot` must be of a network whose outputs are sigmoids, each of its own; of others one at most is on."
        )
    layout = Layout.of(snapshot.slice, checked_size(size), lines=2)
    canvas, letter, margin = Canvas(layout.width, layout.height, WHITE), layout.letter, layout.strip // 3
    zones = _zones_of(field)
    canvas.text(margin, layout.strip - letter * 0.45, f"step {snapshot.step:,}", letter * 1.1, INK, bold=True)
    canvas.text(layout.width - margin, layout.strip - letter * 0.45, "how many outputs are on", letter, INK, align="right")
    left, top, right, bottom = layout.plot
    map_ = Image.fromarray(np.ascontiguousarray(zones[::-1])).resize((right - left, bottom - top), Image.Resampling.NEAREST)
    colours = np.array([rgb(colour) for _, colour in _ZONES], dtype=np.uint8)
    canvas.paste(left, top, colours[np.asarray(map_)])
    x = float(margin)
    shares = np.bincount(zones.ravel(), minlength=len(_ZONES)) / zones.size
    for number, (name, colour) in enumerate(_ZONES):
        if number == len(_ZONES) - 1 and not shares[number]:
            continue
        x = _key(canvas, layout, x, colour, f"{name} {shares[number]:.1%}".replace("%", " %"))
    small = letter * SMALLER
    axes = axes_caption(snapshot.slice, small, layout.width - 2 * margin)
    canvas.text(margin, layout.baseline(0), axes, small, FAINT)
    names = ", ".join(field.names) if field.names else f"{field.classes} outputs"
    canvas.text(margin, layout.baseline(1), f"{names}; on: above one half", small, FAINT)
    image = Image.fromarray(np.ascontiguousarray(canvas.pixels[..., :3])).quantize(64, method=Image.Quantize.MEDIANCUT)
    palette = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return Picture(np.asarray(image), palette[:256])


def _zones_of(field: Field) -> NDArray[np.uint8]:
    """Return the zone of each grid point (H, W), by its place among the zones."""
    assert field.above is not None
    value = field.value.astype(np.float64)
    zones = np.where(field.above == 0, 1, np.where(field.above > 1, 2, 0))
    if field.second is not None:
        with np.errstate(invalid="ignore"):
            zones = np.where(value - field.second.astype(np.float64) < TIE, 3, zones)
    return np.where(np.isfinite(value), zones, len(_ZONES) - 1).astype(np.uint8)


def _key(canvas: Canvas, layout: Layout, x: float, colour: str, words: str) -> float:
    """Write what a colour stands for; return where the next one goes."""
    letter = layout.letter * SMALLER
    baseline = 2 * layout.strip - letter * 0.55
    canvas.swatch((round(x), round(baseline - 0.75 * letter), round(x + letter), round(baseline + 0.1 * letter)), colour)
    canvas.text(x + 1.3 * letter, baseline, words, letter, INK)
    return x + 2.1 * letter + text_width(words, letter)
