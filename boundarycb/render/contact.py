"""What inputs look like along a slice, where they are images: a contact sheet."""

from __future__ import annotations

import numpy as np
from PIL import Image

from boundarycb.render.canvas import Canvas, packed
from boundarycb.render.captions import axes_caption
from boundarycb.render.colours import FAINT, INK, WHITE
from boundarycb.render.inputs import images_at, is_image, sized
from boundarycb.render.layout import SIZE, SMALLER, Layout, checked_size
from boundarycb.render.marks import draw_marks, marks_phrases
from boundarycb.types import Picture, Slice

_TILES = 7  # a side


def has_inputs(slice: Slice) -> bool:
    """Return whether inputs on the slice are images."""
    return is_image(slice.input_shape)


def draw_inputs(slice: Slice, size: int = SIZE) -> Picture:
    """Return what inputs look like along the slice: 7 x 7 of them, each where its middle is in the other pictures.

    Args:
        slice: a slice whose inputs are images, (1 or 3, rows, columns).
        size: as of the overlay.

    Raises:
        ValueError: its inputs are no images.
    """
    if not has_inputs(slice):
        raise ValueError(f"`slice` must have images for inputs, (1 or 3, rows, columns), got {slice.input_shape}.")
    plain = Layout.of(slice, checked_size(size))
    margin, letter = plain.strip // 3, plain.letter * SMALLER
    room = plain.width - 2 * margin
    captions = packed([axes_caption(slice, letter, room), *marks_phrases(slice)], letter, room)
    layout = Layout.of(slice, size, lines=len(captions))
    canvas = Canvas(layout.width, layout.height, WHITE)
    canvas.text(margin, layout.strip - layout.letter * 0.45, "inputs along the plane", layout.letter * 1.1, INK, bold=True)
    canvas.text(margin, 2 * layout.strip - layout.letter * 0.55, "each stands for its middle", layout.letter, FAINT)
    _draw_tiles(canvas, layout, slice)
    draw_marks(canvas, layout.plot, slice, layout.letter, thumbnails=False)
    for number, words in enumerate(captions):
        canvas.text(margin, layout.baseline(number), words, letter, FAINT)
    image = Image.fromarray(np.ascontiguousarray(canvas.pixels[..., :3])).quantize(256, method=Image.Quantize.MEDIANCUT)
    palette = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return Picture(np.asarray(image), palette[:256])


def _draw_tiles(canvas: Canvas, layout: Layout, slice: Slice) -> None:
    (u0, u1), (v0, v1) = slice.bounds
    left, top, right, bottom = layout.plot
    places = (np.arange(_TILES) + 0.5) / _TILES
    u, v = np.meshgrid(places, places)
    shown = images_at(slice, np.stack([u0 + u.ravel() * (u1 - u0), v0 + v.ravel() * (v1 - v0)], axis=1))
    side = min(right - left, bottom - top) // _TILES - 3
    for image, across, up in zip(shown, u.ravel(), v.ravel(), strict=True):
        tile = sized(image, side)
        height, width = tile.shape[:2]
        canvas.paste(round(left + across * (right - left) - width / 2), round(bottom - up * (bottom - top) - height / 2), tile)
