"""Where a picture's parts stand: the title, the legend, the plot, and the lines of text below it."""

from __future__ import annotations

from dataclasses import dataclass

from boundarycb.render.canvas import Box
from boundarycb.types import Slice

SIZE = 512
SMALLER = 0.88  # of the letters' size, below the plot
_NARROWEST = 5 / 6  # of the plot's longer side: a canvas is at least as wide, for what is written on it
_FIRST, _NEXT = 0.68, 0.82  # of a strip: from the plot to the first line's letters below it, and to each further line's


@dataclass(frozen=True)
class Layout:
    """Where things stand in an overlay, in pixels."""

    width: int
    height: int
    plot: Box
    strip: int  # height of one line of text
    letter: float  # size of the letters

    @staticmethod
    def of(slice: Slice, size: int, letters: float | None = None, lines: int = 3) -> Layout:
        """Return the layout for a plot of `size` pixels above `lines` of text, in letters as for a picture `letters` wide.

        The plot of a tall slice stands in the middle of a canvas that is wide enough for words.
        """
        ratio = plot_ratio(slice)
        across, up = (size, round(size / ratio)) if ratio >= 1 else (round(size * ratio), size)
        width = max(across, round(_NARROWEST * size))
        letter = max(9.0, (letters or size) * 0.0235)
        strip = round(letter * 1.75)
        left, bottom = (width - across) // 2, 2 * strip + up
        return Layout(
            width,
            bottom + round((_FIRST + _NEXT * (lines - 1) + 0.5) * strip),
            (left, 2 * strip, left + across, bottom),
            strip,
            letter,
        )

    def baseline(self, number: int) -> float:
        """Return where the line of text below the plot with this number, from 0, stands."""
        return self.plot[3] + (_FIRST + _NEXT * number) * self.strip


def plot_ratio(slice: Slice) -> float:
    """Return the plot's width by its height: the slice's, as lengths in input space, or 1 where that would make it a thread."""
    return slice.aspect if slice.is_to_scale else 1.0


def checked_size(size: int, name: str = "size") -> int:
    """Return `size`; raise ValueError, with the argument's `name`, where it is no whole number of pixels from 64 to 4096."""
    if not isinstance(size, int) or isinstance(size, bool) or not 64 <= size <= 4096:
        raise ValueError(f"`{name}` must be a whole number of pixels, 64 to 4096, got {size!r}.")
    return size
