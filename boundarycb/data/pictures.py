"""Images as functions from pixel location to black or white, as GINN has them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

Image = NDArray[np.uint8]


def bottle(size: int = 200) -> Image:
    """Return a black bottle with a white diamond on white, uint8 (size, size) of 0 (black) and 1 (white), top row first.

    Drawn after GINN's task (Darlow and Storkey 2018, arXiv 1810.01860, figure 2): neck, shoulders, body and a diamond in it.

    >>> image = bottle()
    >>> image.shape, round(float(image.mean()), 2), int(image[140, 100]), int(image[100, 100])
    ((200, 200), 0.67, 1, 0)
    """
    centre = (np.arange(size) + 0.5) / size
    x, y = np.abs(centre - 0.5)[None, :], centre[:, None]
    neck = (x < 0.09) & (y > 0.06)
    lip = (x < 0.12) & (y > 0.06) & (y < 0.11)
    # Shoulders: a quarter of an ellipse from the neck out to the body.
    shoulders = (x < 0.09 + 0.19 * np.sqrt(np.clip(1 - ((y - 0.5) / 0.18) ** 2, 0, 1))) & (y > 0.32) & (y < 0.5)
    body = (x < 0.28) & (y >= 0.5) & (y < 0.95)
    diamond = x + np.abs(y - 0.7) < 0.1701
    black = ((neck & (y < 0.95)) | lip | shoulders | body) & ~diamond
    return (~black).astype(np.uint8)


def read_image(path: str | os.PathLike[str], size: int = 200) -> Image:
    """Return an image file as uint8 (size, size) of 0 (darker than middle grey) and 1, top row first.

    Args:
        path: the file, of any kind that Pillow reads; what is transparent is white.
        size: pixels a side.

    Raises:
        ValueError: it is a moving picture, or of numbers of which nothing tells which one is white.
    """
    with Pillow.open(Path(path)) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise ValueError(f"`path` must be a still picture, got {image.n_frames} frames from {path}.")  # type: ignore[attr-defined]
        grey = _grey(image)
    if grey is None:
        raise ValueError(f"`path` must be a picture of 8 or 16 bits a channel, got {image.mode} from {path}: white is unknown.")
    small = Pillow.fromarray(grey).resize((size, size), Pillow.Resampling.BILINEAR)
    return (np.asarray(small) > 0.5).astype(np.uint8)


def _grey(image: Pillow.Image) -> NDArray[np.float32] | None:
    """Return how light the pixels of `image` are, float32 (h, w) from 0 to 1, on white where they are transparent.

    None where nothing tells which number is white.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):  # which Pillow would cut to 8 bits
        values = np.asarray(image).astype(np.float32)
        return np.where(values == image.info.get("transparency", -1), np.float32(1), values / np.float32(65535))
    if image.mode in ("I", "F"):
        return None
    light, opaque = np.moveaxis(np.asarray(image.convert("RGBA").convert("LA"), dtype=np.float32) / 255, -1, 0)
    return np.asarray(light * opaque + (1 - opaque), dtype=np.float32)


def pixels_of(image: Image, low: float = -1.0, high: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the pixels of `image` (h, w) as points and classes: float32 (h * w, 2) and int64 (h * w,).

    A point is its pixel's centre, x to the right and y upwards, both from `low` to `high`.

    >>> points, labels = pixels_of(np.array([[0, 1]], dtype=np.uint8))
    >>> points.tolist(), labels.tolist()
    ([[-0.5, 0.0], [0.5, 0.0]], [0, 1])
    """
    height, width = image.shape
    x = low + (np.arange(width) + 0.5) / width * (high - low)
    y = high - (np.arange(height) + 0.5) / height * (high - low)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return points.astype(np.float32), image.reshape(-1).astype(np.int64)
