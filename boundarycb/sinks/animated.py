"""Animated GIFs put together frame by frame: each is packed when it comes, and pixels are not kept.

Pillow packs a frame (LZW) as a GIF of its own, of which the image is taken; what stands around it is of the standard: "Graphics
Interchange Format, version 89a" (CompuServe 1990). Pillow's own animations keep all frames' pixels until the last one is there.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from boundarycb.types import Picture

_SCREEN = struct.Struct("<6sHHBBB")  # signature, width, height, flags, background, aspect
_FOREVER = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_KEEP = 1 << 2  # disposal: the next frame is drawn over this one
_LONGEST = 0xFFFF  # hundredths of a second


def of_height(picture: Picture, height: int) -> Picture:
    """Return `picture` with rows of its last one's first colour added below, or with its last rows cut.

    Captions of other units, in mid-run, may take a line more or less.
    """
    pixels = picture.pixels
    if len(pixels) == height:
        return picture
    below = np.full((max(0, height - len(pixels)), pixels.shape[1]), pixels[-1, 0], dtype=pixels.dtype)
    return replace(picture, pixels=np.concatenate([pixels[:height], below]))


class Frames:
    """Packs pictures of one width in the colours and the height of the first one.

    Args:
        first: the movie's first picture.
    """

    def __init__(self, first: Picture) -> None:
        self.height, self.width = first.pixels.shape
        self._palette = _image(first)

    def pack(self, picture: Picture) -> bytes:
        """Return one frame as :meth:`join` takes it.

        Raises:
            ValueError: the picture has another width than the first one.
        """
        if picture.pixels.shape[1] != self.width:
            raise ValueError(f"`picture` must be {self.width} pixels wide as the first one, got {picture!r}.")
        image = _image(of_height(picture, self.height))
        if image.getpalette() != self._palette.getpalette():
            # The network's layers or outputs changed during the run, so this frame was drawn in other colours.
            image = image.convert("RGB").quantize(palette=self._palette, dither=Image.Dither.NONE)
        data, start = _alone(image)
        return data[start:-1]

    def join(self, frames: Sequence[bytes], pauses: Sequence[float]) -> bytes:
        """Return the GIF, which is played without end.

        Args:
            frames: packed ones.
            pauses: for how many seconds each is shown.
        """
        head, start = _alone(self._palette)
        colours, depth = head[_SCREEN.size : start], head[10] & 7
        parts = [_SCREEN.pack(b"GIF89a", self.width, self.height, 0xF0 | depth, 0, 0), colours, _FOREVER]
        for frame, pause in zip(frames, pauses, strict=True):
            hundredths = min(_LONGEST, round(100 * pause))
            parts += [struct.pack("<BBBBHBB", 0x21, 0xF9, 4, _KEEP, hundredths, 0, 0), frame]
        return b"".join([*parts, b";"])


def _image(picture: Picture) -> Image.Image:
    image = Image.fromarray(picture.pixels)
    image.putpalette(picture.palette.tobytes())
    return image


def _alone(image: Image.Image) -> tuple[bytes, int]:
    """Return a GIF of one image, and where the image begins: behind the colours."""
    out = io.BytesIO()
    image.save(out, "GIF", optimize=False, interlace=0)
    data = out.getvalue()
    start = _SCREEN.size + 3 * 2 ** ((data[10] & 7) + 1)
    assert data[start] == 0x2C, "Pillow writes something between colours and image"
    return data, start
