"""Inputs as a person sees them: what lies at a slice's anchors and along its plane, where inputs are images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.types import Floats, Slice

_LEAST = 6  # pixels a side under which an input is hardly an image


def is_image(shape: tuple[int, ...]) -> bool:
    """Return whether inputs of this `shape` are taken for images: (1 or 3, rows, columns).

    >>> is_image((3, 32, 32)), is_image((64,)), is_image((3, 2, 2))
    (True, False, False)
    """
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) >= _LEAST


def images_at(slice: Slice, points: Floats) -> NDArray[np.uint8]:
    """Return the inputs at slice coordinates `points` (n, 2) as images (n, rows, columns, 3).

    Black is the least number of the slice's anchors, white the largest: brightness is the same in all pictures of a slice. Where it
    has no anchors its corners tell.
    """
    known = slice.lift(slice.anchors if len(slice.anchors) else slice.corners())
    low, high = float(known.min()), float(known.max())
    share = np.clip((slice.lift(points) - low) / ((high - low) or 1.0), 0, 1)
    tones = np.rint(255 * np.moveaxis(share, 1, -1)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(tones, (*tones.shape[:3], 3)))


def sized(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return `image` (h, w, 3) with a longer side of `side` pixels; small ones keep their pixels' edges."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    shape = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(shape, how))


def main_colours(images: NDArray[np.uint8], count: int) -> bytes:
    """Return at most `count` colours that stand for those of `images` (n, h, w, 3), three bytes each."""
    flat = Image.fromarray(images.reshape(-1, images.shape[2], 3))
    found = flat.quantize(count, method=Image.Quantize.MEDIANCUT)
    return bytes(found.getpalette() or ())[: 3 * count]
