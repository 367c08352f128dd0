"""What the report's pictures share: lines, letters, and how they are put together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.render.canvas import Box, Canvas, fitted, text_width
from boundarycb.render.colours import FAINT, INK, layer_colours
from boundarycb.types import Array, Floats, Picture, Snapshot

LETTER = 12.0
"""Size of letters in pixels."""

_GAP = 16  # between pictures
_SMALL = LETTER * 0.9  # letters of legends
_SWATCH, _APART = 22.0, 12.0  # pixels of a legend's piece of line, and between its entries
_ROW = 1.3 * LETTER  # from one row of a legend to the next
_CROSS = 3.0  # half the width of the mark of a value that is not finite

ONE, OTHER, THIRD = "#7a3e9d", "#00857a", FAINT
"""Colours of things that are no layers."""

_DASHES = {"-": None, "--": (7.0, 4.0), ":": (2.0, 3.0)}

Pixels = NDArray[np.uint8]
Named = tuple[str, str, str]
"""An entry of a legend: its words, its colour, and a style of lines, ``o`` for a ring or ``x`` for a cross."""


def layer_colour(snapshot: Snapshot, layer: str) -> str:
    """Return the colour that a layer has in all pictures."""
    names = [one.name for one in snapshot.layers]
    return layer_colours(len(names))[names.index(layer)] if layer in names else INK


def draw_line(canvas: Canvas, points: Floats, clip: Box, colour: str, width: float, style: str) -> None:
    """Draw a line through `points` (n, 2), in pixels; `style` is ``-`` solid, ``--`` dashed or ``:`` dotted."""
    if len(points) > 1:
        canvas.lines(points, np.array([0, len(points)]), colour, width, clip, dashes=_DASHES[style])


def write_titles(canvas: Canvas, title: str, unit: str) -> None:
    """Write the title at the left end of the first line, and the unit at the right one."""
    room = canvas.width - 16 - text_width(unit, LETTER * 0.9) - 10
    canvas.text(8, 1.25 * LETTER, fitted(title, LETTER, room * 0.92), LETTER, INK, bold=True)
    canvas.text(canvas.width - 8, 1.25 * LETTER, unit, LETTER * 0.9, FAINT, align="right")


def legend_rows(named: Sequence[Named], width: float) -> list[list[Named]]:
    """Return the entries of a legend in as many rows as a canvas of `width` pixels needs; a name is cut where it fills a row alone.

    >>> [len(row) for row in legend_rows([("a", INK, "-"), ("b", INK, "-"), ("long " * 20, INK, "-")], 200)]
    [2, 1]
    """
    rows: list[list[Named]] = []
    room = width - 16
    for words, colour, style in named:
        entry = (fitted(words, _SMALL, room - _SWATCH - 4), colour, style)
        if rows and sum(map(_wide, rows[-1])) + _wide(entry) - _APART <= room:
            rows[-1].append(entry)
        else:
            rows.append([entry])
    return rows


def legend_height(rows: Sequence[Sequence[Named]]) -> int:
    """Return how many pixels the rows of a legend take beyond the one that there is always room for."""
    return round(_ROW * max(0, len(rows) - 1))


def write_legend(canvas: Canvas, rows: Sequence[Sequence[Named]]) -> None:
    """Write the names of lines behind a piece of each, from the second line on."""
    whole = (0, 0, canvas.width, canvas.height)
    for number, row in enumerate(rows):
        x, height = 8.0, 2.3 * LETTER + _ROW * number
        for words, colour, style in row:
            if style == "o":
                canvas.ring(x + _SWATCH / 2, height, 5.0, colour, None)
            elif style == "x":
                draw_cross(canvas, x + _SWATCH / 2, height, colour)
            else:
                draw_line(canvas, np.array([[x, height], [x + _SWATCH, height]]), whole, colour, 2.4, style)
            canvas.text(x + _SWATCH + 4, height + 0.32 * LETTER, words, _SMALL, INK)
            x += _wide((words, colour, style))


def _wide(entry: Named) -> float:
    """Return how many pixels an entry of a legend takes, with what parts it from the next one."""
    return _SWATCH + 4 + text_width(entry[0], _SMALL) + _APART


def draw_cross(canvas: Canvas, x: float, y: float, colour: str) -> None:
    """Draw a cross around a point, as the viewer's curves have it where a number is not finite."""
    whole = (0, 0, canvas.width, canvas.height)
    for rise in (_CROSS, -_CROSS):
        draw_line(canvas, np.array([[x - _CROSS, y - rise], [x + _CROSS, y + rise]]), whole, colour, 1.4, "-")


def beside(images: Sequence[Array]) -> Pixels:
    """Return images (h, w, 3) side by side, on white, the tops in line."""
    height = max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images) + _GAP * (len(images) - 1)
    sheet, left = np.full((height, width, 3), 255, dtype=np.uint8), 0
    for image in images:
        sheet[: image.shape[0], left : left + image.shape[1]] = image
        left += image.shape[1] + _GAP
    return sheet


def stacked(images: Sequence[Array]) -> Pixels:
    """Return images (h, w, 3) below each other, on white."""
    turned = [np.swapaxes(image, 0, 1) for image in images]
    return np.ascontiguousarray(np.swapaxes(beside(turned), 0, 1))


def side_by_side(*pictures: Picture) -> Picture:
    """Return pictures beside each other, on white."""
    return reduced(beside([picture.rgb() for picture in pictures]))


def below(*pictures: Picture) -> Picture:
    """Return pictures below each other, on white."""
    return reduced(stacked([picture.rgb() for picture in pictures]))


def reduced(pixels: Pixels) -> Picture:
    """Return true-colour pixels (h, w, 3) as a picture.

    It has 256, 128 or 64 steps a channel, where these are few enough colours; else the 256 colours that suit it best.
    """
    wide = pixels.astype(np.int32)
    codes, which = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], return_inverse=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    for bits in range(3):
        few, index = np.unique(colours >> bits, axis=0, return_inverse=True)
        if len(few) <= 256:
            palette = np.rint(few * (255 / (255 >> bits))).astype(np.uint8)
            return Picture(index.reshape(-1).astype(np.uint8)[which].reshape(pixels.shape[:2]), palette)
    image = Image.fromarray(pixels).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return Picture(np.asarray(image), np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3))
