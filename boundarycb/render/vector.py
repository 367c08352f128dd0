"""The overlay as vector graphics: the same picture, with lines that stay sharp however far one goes into them."""

from __future__ import annotations

import base64
import io
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.render.canvas import Box
from boundarycb.types import Floats

_FONT = "DejaVu Sans, Verdana, sans-serif"  # the first is the one that widths are measured in


class SvgCanvas:
    """An SVG file to draw on, with the strokes of :class:`~boundarycb.render.canvas.Canvas`.

    Args:
        width: in pixels.
        height: in pixels.
        colour: "#rrggbb".
    """

    def __init__(self, width: int, height: int, colour: str) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []
        self._clips: dict[Box, str] = {}
        self.swatch((0, 0, width, height), colour)

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
        """Draw the polylines `points` (N, 2), split at `offsets`, as one path."""
        if not len(points):
            return
        words = [f"{x:.3f} {y:.3f}" for x, y in points.tolist()]
        path = "".join(f"M{'L'.join(words[start:stop])}" for start, stop in pairwise(offsets.tolist()))
        more = f' stroke-dasharray="{dashes[0]:g} {dashes[1]:g}"' if dashes is not None else ""
        more += f' stroke-opacity="{alpha:g}"' if alpha < 1 else ""
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:.2f}" stroke-linejoin="round"{more} '
            f'clip-path="url(#{self._clip(clip)})"/>'
        )

    def swatch(self, box: Box, colour: str) -> None:
        """Fill `box` with one colour."""
        left, top, right, bottom = box
        self._parts.append(f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" fill="{colour}"/>')

    def paste(self, left: int, top: int, image: NDArray[np.uint8]) -> None:
        """Put a true-colour image (h, w, 3) on the canvas."""
        height, width = image.shape[:2]
        out = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(out, "PNG", compress_level=9)
        data = base64.b64encode(out.getvalue()).decode()
        self._parts.append(
            f'<image x="{left}" y="{top}" width="{width}" height="{height}" href="data:image/png;base64,{data}" '
            'preserveAspectRatio="none"/>'
        )

    def ring(self, x: float, y: float, radius: float, colour: str, inside: str | None, alpha: float = 1.0) -> None:
        """Draw a circle with a rim, filled with the colour `inside` or hollow."""
        more = f' opacity="{alpha:.2f}"' if alpha < 1 else ""
        self._parts.append(
            f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" fill="{inside or "none"}" stroke="{colour}" '
            f'stroke-width="1.2"{more}/>'
        )

    def text(
        self, x: float, baseline: float, words: str, size: float, colour: str, *, bold: bool = False, align: str = "left"
    ) -> None:
        """Write `words` in letters of `size` pixels; `x` is their left or right end, as `align` says."""
        more = ' font-weight="bold"' if bold else ""
        more += ' text-anchor="end"' if align == "right" else ""
        self._parts.append(
            f'<text x="{x:.2f}" y="{baseline:.2f}" font-size="{size:.2f}" fill="{colour}"{more} xml:space="preserve">'
            f"{escape(words)}</text>"
        )

    def _clip(self, box: Box) -> str:
        if box not in self._clips:
            left, top, right, bottom = box
            self._clips[box] = f"plot{len(self._clips)}"
            rect = f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
            self._parts.append(f'<clipPath id="{self._clips[box]}">{rect}</clipPath>')
        return self._clips[box]

    def svg(self) -> str:
        """Return the picture, a whole file."""
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_FONT}">'
        return "\n".join([head, *self._parts, "</svg>", ""])
