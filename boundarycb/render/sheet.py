"""Several runs beside each other: an overlay each, and a map of where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.render.canvas import Box, Canvas, cut, text_width
from boundarycb.render.captions import axes_caption
from boundarycb.render.colours import FAINT, INK, UNDEFINED, WHITE, rgb
from boundarycb.render.layout import SIZE, SMALLER, Layout, checked_size
from boundarycb.render.marks import to_pixels
from boundarycb.render.pictures import draw_overlay
from boundarycb.types import Boundaries, Floats, Picture, Slice, Snapshot

_SAME, _APART = "#f4f2ee", "#b3123f"
_TONES = 16
_COLOURS = 256
_TITLE = "where the runs disagree"
_TITLE_SHARE = 0.75  # of a panel's width: numbers stand at its right end


@dataclass(frozen=True, eq=False)
class Difference:
    """Where runs differ.

    Args:
        values: (H, W), 0 where they are the same; NaN where that is not known.
        ends: what the palest and the darkest tone mean: 0 and the largest of the values.
        caption: what the values are.
        borders: the borders between classes of each run, which are drawn over it.
    """

    values: Floats
    ends: tuple[str, str]
    caption: str
    borders: tuple[Boundaries, ...] = ()


def draw_sheet(
    snapshots: Sequence[Snapshot],
    names: Sequence[tuple[str, str]],
    difference: Difference | None,
    *,
    heading: str,
    size: int = SIZE,
) -> Picture:
    """Return the snapshots' overlays side by side, and the map of differences as the last panel.

    Args:
        snapshots: one a run, all on the same slice.
        names: of each run what stays of its name, which may be empty, and what loses its beginning where it is too long.
        difference: what the map shows; None for no map.
        heading: what stands at the top.
        size: longer side of each plot in pixels, 64 to 4096.
    """
    layout = Layout.of(snapshots[0].slice, checked_size(size))
    titles = [_title(name, snapshot, layout) for name, snapshot in zip(names, snapshots, strict=True)]
    panels = [draw_overlay(snapshot, size, title=title).rgb() for title, snapshot in zip(titles, snapshots, strict=True)]
    paper = panels[0][0, 0]  # white, or what their palette has for it
    if difference is not None:
        panels.append(_map(difference, snapshots[0].slice, layout, paper))
    width, height = layout.width, max(len(panel) for panel in panels)
    gap, top = layout.strip, 2 * layout.strip
    columns = columns_for(len(panels))
    rows = -(-len(panels) // columns)
    canvas = Canvas(columns * (width + gap) + gap, top + rows * (height + gap), WHITE)
    canvas.pixels[..., :3] = paper
    letter = layout.letter * 1.4
    canvas.text(gap, top - 0.6 * layout.strip, cut(heading, letter, canvas.width - 2 * gap), letter, INK, bold=True)
    for place, panel in enumerate(panels):
        canvas.paste(gap + place % columns * (width + gap), top + place // columns * (height + gap), panel)
    return _picture(canvas.pixels)


def columns_for(panels: int) -> int:
    """Return the columns of a sheet that is about square, or a little wide where that leaves fewer places empty.

    >>> [columns_for(panels) for panels in (2, 3, 4, 5, 7, 10, 13)]
    [2, 3, 2, 3, 4, 5, 5]
    """
    least = next(side for side in range(1, panels + 1) if side * side >= panels)
    return min((least, least + 1), key=lambda columns: (-panels % columns, columns))


def _title(name: tuple[str, str], snapshot: Snapshot, layout: Layout) -> str:
    """Return the run's name and its step in a line; a name that is too long loses its beginning."""
    step, letter = f"   step {snapshot.step:,}", layout.letter * 1.1
    room = layout.width * _TITLE_SHARE
    lead, rest = name
    for start in range(len(rest) + 1):
        title = lead + (f"…{rest[start:]}" if start else rest) + step
        if text_width(title, letter, bold=True) <= room:
            return title
    return lead + step.strip()


def _map(difference: Difference, slice: Slice, layout: Layout, paper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the map as a panel with the layout of an overlay, in few colours."""
    canvas = Canvas(layout.width, layout.height, WHITE)
    canvas.pixels[..., :3] = paper
    left, top, right, bottom = layout.plot
    canvas.pixels[top:bottom, left:right, :3] = _toned(difference.values, (right - left, bottom - top))
    thickness = max(0.6, (right - left) / SIZE)
    for border in difference.borders:
        if len(border):
            canvas.lines(to_pixels(border.points, slice, layout.plot), border.offsets, INK, thickness, layout.plot, 0.6)
    margin, letter = layout.strip // 3, layout.letter
    canvas.text(margin, layout.strip - 0.45 * letter, cut(_TITLE, 1.1 * letter, 0.9 * layout.width), 1.1 * letter, INK, bold=True)
    _key(canvas, layout, difference)
    room = layout.width - 2 * margin
    small = letter * SMALLER
    for number, words in enumerate((axes_caption(slice, small, room), difference.caption)):
        canvas.text(margin, layout.baseline(number), cut(words, small, room), small, FAINT)
    colours, places = np.unique(canvas.packed, return_inverse=True)
    few = _map_colours(paper)
    seen = colours.view(np.uint8).reshape(-1, 4)[:, :3]
    return np.asarray(few[_nearest(seen, few)][places].reshape(*canvas.packed.shape, 3))


def _map_colours(paper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the tones, and what ink makes of them and of the paper at the edges of lines and letters."""
    tones = np.concatenate([_ramp(), [rgb(UNDEFINED), paper]])
    under = np.concatenate([_ramp()[::3], [paper]]).astype(np.float64)
    blends = [share * np.array(rgb(INK)) + (1 - share) * under for share in (0.25, 0.5, 0.75)]
    greys = np.array([rgb(INK), rgb(FAINT)])
    return np.concatenate([tones, *blends, greys]).round().astype(np.uint8)


def _nearest(colours: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return for each colour the place of the nearest one of a palette."""
    wanted = palette.astype(np.int64)
    return np.array([((wanted - colour) ** 2).sum(axis=1).argmin() for colour in colours], dtype=np.int64)


def _ramp() -> NDArray[np.uint8]:
    return np.linspace(rgb(_SAME), rgb(_APART), _TONES).round().astype(np.uint8)


def _toned(values: Floats, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return values as pixels of `shape` (width, height), each grid point a block; the top row is the grid's last."""
    most = float(np.nanmax(values, initial=0.0)) or 1.0
    known = np.isfinite(values)
    tones = np.where(known, np.rint(np.where(known, values, 0) / most * (_TONES - 1)), _TONES).astype(np.uint8)
    sized = np.asarray(Image.fromarray(np.ascontiguousarray(tones[::-1])).resize(shape, Image.Resampling.NEAREST))
    return np.asarray(np.concatenate([_ramp(), [rgb(UNDEFINED)]]).astype(np.uint8)[sized])


def _key(canvas: Canvas, layout: Layout, difference: Difference) -> None:
    """Write what the tones and the lines are, behind swatches of them."""
    letter, x = layout.letter, float(layout.strip // 3)
    baseline = 2 * layout.strip - 0.55 * letter
    box = (round(baseline - 0.85 * letter), round(baseline + 0.15 * letter))
    x = _word(canvas, x, baseline, difference.ends[0], letter) + 0.4 * letter
    room = layout.width - x - text_width(difference.ends[1], letter) - 0.8 * letter
    ramp = _ramp()[np.linspace(0, _TONES - 1, round(max(1.0, min(5 * letter, room)))).round().astype(int)]
    canvas.paste(round(x), box[0], np.tile(ramp, (box[1] - box[0], 1, 1)))
    x = _word(canvas, x + len(ramp) + 0.4 * letter, baseline, difference.ends[1], letter) + 1.4 * letter
    words = "decision of each run"
    if any(map(len, difference.borders)) and x + 1.7 * letter + text_width(words, letter) <= layout.width:
        middle: Box = (round(x), round(baseline - 0.4 * letter), round(x + 1.3 * letter), round(baseline - 0.4 * letter) + 1)
        canvas.swatch(middle, INK)
        _word(canvas, x + 1.7 * letter, baseline, words, letter)


def _word(canvas: Canvas, x: float, baseline: float, words: str, letter: float) -> float:
    """Write `words` and return where they end."""
    canvas.text(x, baseline, words, letter, INK)
    return x + text_width(words, letter)


def _picture(pixels: NDArray[np.uint8]) -> Picture:
    """Return true-colour pixels with the 256 colours that they have most of; others, rare blends at edges, take the nearest."""
    colours, places, counts = np.unique(np.ascontiguousarray(pixels).view(np.uint32), return_inverse=True, return_counts=True)
    order = np.argsort(-counts.astype(np.int64), kind="stable")
    seen = np.ascontiguousarray(colours[order]).view(np.uint8).reshape(-1, 4)[:, :3]
    palette = seen[:_COLOURS]
    table = np.empty(len(seen), dtype=np.uint8)
    table[order] = np.concatenate([np.arange(len(palette)), _nearest(seen[_COLOURS:], palette)])
    return Picture(table[places].reshape(pixels.shape[:2]), palette)
