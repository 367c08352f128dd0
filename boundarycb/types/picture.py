"""The picture: colour indices and a palette, from the drawing to the file."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundarycb.types.arrays import frozen


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A palette image: colour indices uint8 (h, w), top row first, and the palette, uint8 (k, 3) with k <= 256."""

    pixels: NDArray[np.uint8]
    palette: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.palette.ndim != 2 or self.palette.shape[1] != 3 or len(self.palette) > 256:
            raise ValueError(
                f"A picture is (h, w) indices and (k <= 256, 3) colours, got {self.pixels.shape}, {self.palette.shape}."
            )
        object.__setattr__(self, "pixels", frozen(self.pixels))
        object.__setattr__(self, "palette", frozen(self.palette))

    def __repr__(self) -> str:
        height, width = self.pixels.shape
        return f"<Picture of {width} x {height} pixels>"

    def rgb(self) -> NDArray[np.uint8]:
        """Return the picture in true colour, uint8 (h, w, 3)."""
        colours: NDArray[np.uint8] = self.palette[self.pixels]
        return colours

    def png(self, *, quick: bool = False) -> bytes:
        """Return the picture as the bytes of a PNG file with a palette: a quarter of a true-colour one's size.

        Args:
            quick: whether runs alone are packed (zlib's Z_RLE), in a quarter of the time. A picture of many lines becomes a quarter
                larger at most; one whose rows repeat may become three times as large.
        """
        from PIL import Image

        image = Image.fromarray(self.pixels)
        image.putpalette(self.palette.tobytes())
        out = io.BytesIO()
        how = {"compress_level": 1, "compress_type": zlib.Z_RLE} if quick else {"compress_level": 6}
        image.save(out, "PNG", **how)
        return out.getvalue()

    _repr_png_ = png  # Jupyter shows a picture by itself
