"""Anti-aliased lines and text on an array of pixels.

Lines are drawn by matplotlib's Agg renderer without a Figure (and without pyplot), many thin ones by numpy or OpenCV, letters by
Pillow, which takes a tenth of the time, in the font that matplotlib ships.

Coordinates are pixels from the upper left corner; y grows downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import matplotlib
import numpy as np
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path as Stroke
from matplotlib.transforms import Affine2D, Bbox
from numpy.typing import NDArray
from PIL import ImageFont

from boundarycb.render import raster, thin
from boundarycb.render.colours import rgb
from boundarycb.types import Floats, frozen
from boundarycb.words import common

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""

_IDENTITY = Affine2D()
_MANY = 60  # thin lines from which on they are not drawn by Agg: what is laid over the picture is as large for few


class Pen(Protocol):
    """What draws, on pixels or as vector graphics; :class:`Canvas` says what each stroke is."""

    width: int
    height: int

    def lines(
        self,
        points: Floats,
        offsets: NDArray[np.int64],
        colour: str,
        width: float,
        clip: Box,
        alpha: float = 1.0,
        *,
        dashes: tuple[float, float] | None = None,
    ) -> None:
        """Draw polylines."""

    def swatch(self, box: Box, colour: str) -> None:
        """Fill a box."""

    def paste(self, left: int, top: int, image: NDArray[np.uint8]) -> None:
        """Put an image."""

    def ring(self, x: float, y: float, radius: float, colour: str, inside: str | None, alpha: float = 1.0) -> None:
        """Draw a circle."""

    def text(
        self, x: float, baseline: float, words: str, size: float, colour: str, *, bold: bool = False, align: str = "left"
    ) -> None:
        """Write words."""


@lru_cache(maxsize=16)
def _font(size: float, bold: bool) -> ImageFont.FreeTypeFont:
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(
        str(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")), size, layout_engine=ImageFont.Layout.BASIC
    )


@lru_cache(maxsize=256)  # legends and labels are the same in every frame
def _letters(words: str, size: float, bold: bool) -> tuple[NDArray[np.uint8], int, int]:
    """Return how far `words` cover each pixel, 0 to 255 (h, w), and how far the upper left one lies from their start."""
    mask, (dx, dy) = _font(size, bold).getmask2(words, mode="L", anchor="ls")
    width, height = mask.size
    return frozen(np.asarray(mask, dtype=np.uint8).reshape(height, width)), int(dx), int(dy)


@lru_cache(maxsize=1024)
def text_width(words: str, size: float, *, bold: bool = False) -> float:
    """Return how many pixels wide `words` are in letters of `size` pixels."""
    return float(_font(size, bold).getlength(words))


def fitted(words: str, size: float, room: float) -> str:
    """Return `words`, with an ellipsis for their middle where they do not fit into `room` pixels.

    Names of layers tell most at their ends: ``encoder.layers.11.linear1``.
    """
    if text_width(words, size) <= room:
        return words
    for kept in range(len(words) - 1, 1, -1):
        shorter = f"{words[: kept // 2]}…{words[len(words) - (kept - kept // 2) :]}"
        if text_width(shorter, size) <= room:
            return shorter
    return ""


def fitted_together(names: Sequence[str], size: float, room: float, beside: float) -> list[str]:
    """Return names for one line of `room` pixels, of which each takes `beside` more than its letters.

    Where they do not fit as they are, they lose the parts that all begin with; where that is not enough, each is cut to its share.
    """
    for shown in (list(names), _telling(names)):
        if sum(text_width(name, size) + beside for name in shown) <= room:
            return shown
    return [fitted(name, size, room / len(names) - beside) for name in _telling(names)]


def _telling(names: Sequence[str]) -> list[str]:
    """Return dotted names without the parts that all begin with.

    >>> _telling(["encoder.0", "encoder.3.call2"]), _telling(["encoder", "encoder.3"])
    (['…0', '…3.call2'], ['encoder', 'encoder.3'])
    """
    parts = [name.split(".") for name in names]
    same = common(parts)
    return ["…" + ".".join(part[same:]) for part in parts] if same else list(names)


def cut(words: str, size: float, room: float) -> str:
    """Return `words`, with an ellipsis for their end where they do not fit into `room` pixels, as sentences are cut."""
    if text_width(words, size) <= room:
        return words
    said = words.split(" ")
    while len(said) > 1 and text_width(" ".join(said) + " …", size) > room:
        said.pop()
    return fitted(" ".join(said) + " …", size, room)


def wrapped(words: str, size: float, room: float) -> list[str]:
    """Return a sentence in lines of at most `room` pixels, broken between words; a word that does not fit alone is shortened."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(fitted(word, size, room))
    return lines


def limited(lines: list[str], most: int, joint: str, size: float, room: float) -> list[str]:
    """Return `lines`, with an ellipsis at the end of the last of `most` where there are more; `joint` parts them in one line."""
    return lines if len(lines) <= most else [*lines[: most - 1], cut(joint.join(lines[most - 1 :]), size, room)][:most]


def packed(phrases: list[str], size: float, room: float) -> list[str]:
    """Return `phrases` in lines of at most `room` pixels, as many as fit in each; one that does not fit alone is shortened."""
    lines: list[str] = []
    for phrase in phrases:
        longer = f"{lines[-1]}   {phrase}" if lines else phrase
        if lines and text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(cut(phrase, size, room))
    return lines


class Canvas:
    """Pixels to draw on, at first of one colour.

    Args:
        width: in pixels.
        height: in pixels.
        colour: "#rrggbb".
    """

    def __init__(self, width: int, height: int, colour: str) -> None:
        self.width, self.height = width, height
        self._renderer = RendererAgg(width, height, 72)  # at 72 dots an inch a point is a pixel
        self.pixels: NDArray[np.uint8] = np.asarray(self._renderer.buffer_rgba())
        """The canvas itself, uint8 (height, width, 4)."""
        self.packed: NDArray[np.uint32] = self.pixels.view(np.uint32)[..., 0]
        """The same memory, a number a pixel."""
        self.packed[:] = np.array([*rgb(colour), 255], dtype=np.uint8).view(np.uint32)

    def lines(
        self,
        points: Floats,
        offsets: NDArray[np.int64],
        colour: str,
        width: float,
        clip: Box,
        alpha: float = 1.0,
        *,
        dashes: tuple[float, float] | None = None,
    ) -> None:
        """Draw the polylines `points` (N, 2), split at `offsets`, in one stroke: where they cross nothing is drawn twice.

        `dashes` are the lengths of dash and gap in pixels; by default lines are solid.
        """
        if not len(points):
            return
        if width <= raster.WIDEST and dashes is None and len(offsets) > _MANY:
            left, top, right, bottom = max(0, clip[0]), max(0, clip[1]), min(self.width, clip[2]), min(self.height, clip[3])
            if left >= right or top >= bottom:
                return  # nothing of it lies on the canvas
            if self._thin_lines(points, offsets, colour, width, (left, top, right, bottom), alpha):
                return
        codes = np.full(len(points), Stroke.LINETO, dtype=np.uint8)
        codes[offsets[:-1]] = Stroke.MOVETO
        flipped = np.stack([points[:, 0], self.height - points[:, 1]], axis=1)
        gc = self._context(colour, width, alpha)
        if dashes is not None:
            gc.set_dashes(0, list(dashes))
        left, top, right, bottom = clip
        gc.set_clip_rectangle(Bbox([[left, self.height - bottom], [right, self.height - top]]))
        self._renderer.draw_path(gc, Stroke(flipped, codes), _IDENTITY, None)

    def _thin_lines(self, points: Floats, offsets: NDArray[np.int64], colour: str, width: float, box: Box, alpha: float) -> bool:
        """Draw many thin lines into a part of the canvas, or return False where Agg takes less time."""
        left, top, right, bottom = box
        places, shape, cv2 = points - (left, top), (bottom - top, right - left), thin.opencv()
        if cv2 is None:
            if not raster.pays(places, offsets, shape):
                return False
            self._blend(left, top, raster.coverage(places, offsets, shape, width), colour, alpha)
            return True
        cover = thin.coverage(cv2, places, offsets, shape)
        region = self.pixels[top:bottom, left:right]
        thin.lay(cv2, region, cover, (*rgb(colour), 255), alpha * min(1.0, width / thin.INK))
        return True

    def swatch(self, box: Box, colour: str) -> None:
        """Fill `box` with one colour."""
        left, top, right, bottom = box
        self.pixels[top:bottom, left:right] = (*rgb(colour), 255)

    def paste(self, left: int, top: int, image: NDArray[np.uint8]) -> None:
        """Put a true-colour image (h, w, 3) on the canvas, which must have room for it."""
        self.pixels[top : top + image.shape[0], left : left + image.shape[1], :3] = image

    def ring(self, x: float, y: float, radius: float, colour: str, inside: str | None, alpha: float = 1.0) -> None:
        """Draw a circle with a rim, filled with the colour `inside` or hollow: a marker."""
        circle = Stroke.unit_circle().transformed(Affine2D().scale(radius).translate(x, self.height - y))
        filling = None if inside is None else tuple(part / 255 for part in rgb(inside))
        self._renderer.draw_path(self._context(colour, 1.2, alpha), circle, _IDENTITY, filling)

    def text(
        self, x: float, baseline: float, words: str, size: float, colour: str, *, bold: bool = False, align: str = "left"
    ) -> None:
        """Write `words` in letters of `size` pixels; `x` is their left or right end, as `align` says."""
        if align == "right":
            x -= text_width(words, size, bold=bold)
        cover, dx, dy = _letters(words, size, bold)
        (height, width), left, top = cover.shape, round(x) + dx, round(baseline) + dy
        box = (max(0, left), max(0, top), min(self.width, left + width), min(self.height, top + height))
        if box[0] >= box[2] or box[1] >= box[3]:
            return  # nothing of it lies on the canvas
        cover = cover[box[1] - top : box[3] - top, box[0] - left : box[2] - left]
        self._blend(box[0], box[1], cover, colour)

    def _blend(self, left: int, top: int, cover: NDArray[np.uint8], colour: str, alpha: float = 1.0) -> None:
        """Lay a colour over the canvas, which must have room for it, as far as `cover` (h, w) says, 0 to 255, times `alpha`."""
        places = np.flatnonzero(cover != 0)  # which is faster of bools
        shares = cover.ravel().take(places)
        if cover.shape[1] < self.width:
            rows, columns = np.divmod(places, cover.shape[1])
            places = rows * self.width + columns
        places += top * self.width + left
        flat = self.packed.ravel()  # the canvas itself, not a copy
        old = flat.take(places).view(np.uint8).reshape(-1, 4)
        # In 256ths of what is new: both parts, and a half, fit in 16 bits.
        new = np.rint(np.arange(256) * (alpha * 256 / 255)).astype(np.uint16)
        mixed = old * (256 - new).take(shares)[:, None]
        mixed += (new[:, None] * np.array([*rgb(colour), 255], np.uint16) + np.uint16(128)).take(shares, axis=0)
        flat[places] = (mixed >> 8).astype(np.uint8).view(np.uint32)[:, 0]

    def _context(self, colour: str, width: float, alpha: float) -> GraphicsContextBase:
        gc = self._renderer.new_gc()
        gc.set_foreground(colour)
        gc.set_linewidth(width)
        gc.set_alpha(alpha)
        gc.set_antialiased(True)
        gc.set_joinstyle("round")
        gc.set_capstyle("butt")
        gc.set_snap(False)
        return gc
