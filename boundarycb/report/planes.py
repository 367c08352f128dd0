"""Units on the slice, over the output, and the output beside the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.metrics.masks import classes_of
from boundarycb.render.canvas import Box, Canvas, fitted, packed, text_width
from boundarycb.render.captions import ACROSS, UP, field_span, from_to
from boundarycb.render.colours import ALARM, CLASS_HUES, FAINT, INK, UNDEFINED, WHITE, class_colour, rgb
from boundarycb.render.layout import plot_ratio
from boundarycb.render.marks import to_pixels
from boundarycb.report.layout import (
    LETTER,
    Named,
    Pixels,
    beside,
    draw_line,
    legend_height,
    legend_rows,
    reduced,
    write_legend,
    write_titles,
)
from boundarycb.types import Floats, Picture, Slice, Snapshot, Target

_PLANE = 340  # pixels of the plot's longer side
_NARROWEST = 320  # pixels of what is written above and below it, however narrow it is
_PALE = 0.35  # of the background, behind lines


@dataclass(frozen=True, eq=False)
class Lines:
    """Boundaries to draw.

    Args:
        snapshot: the sample.
        layer: name of the layer.
        unit: flat index of one unit of it; None for all.
        colour: "#rrggbb".
        label: for the legend; empty for none.
        style: as of a curve.
        mirrored: ``left_right`` or ``up_down``, to draw the mirror image; empty for the lines as they are.
        width: in pixels.
    """

    snapshot: Snapshot
    layer: str
    unit: int | None = None
    colour: str = INK
    label: str = ""
    style: str = "-"
    mirrored: str = ""
    width: float = 2.0


@dataclass(frozen=True, eq=False)
class Plane:
    """A plot of the slice.

    Args:
        title: what it shows.
        snapshot: whose output is the background.
        lines: the boundaries on it, the later over the earlier.
        target: what the output should be, whose edges and corners are drawn; None for none.
        strength: of the background, 0 to 1.
    """

    title: str
    snapshot: Snapshot
    lines: Sequence[Lines] = ()
    target: Target | None = None
    strength: float = _PALE


def draw_planes(planes: Sequence[Plane]) -> Picture:
    """Return plots of the slice side by side."""
    return reduced(beside([_plane(plane) for plane in planes]))


def draw_target_beside(snapshot: Snapshot, target: Target) -> Picture:
    """Return the target, the output, and where they differ, side by side."""
    canvases = [
        _sheet(Plane(title, snapshot, strength=strength))
        for title, strength in (("target", 0.0), (f"output at step {snapshot.step:,}", 0.7), ("wrong points, in red", 0.15))
    ]
    (canvas, plot), _, (last, where) = canvases
    _fill(canvas, plot, _label_image(target.labels, snapshot))
    red = np.array(rgb(ALARM)) / 255
    under = _background(snapshot, 0.15, wrong_points(snapshot, target).shape)
    _fill(last, where, np.where(wrong_points(snapshot, target)[..., None], red, under))
    for sheet, box in canvases:
        _frame(sheet, box)
    return reduced(beside([sheet.pixels[..., :3] for sheet, _ in canvases]))


def wrong_points(snapshot: Snapshot, target: Target) -> NDArray[np.bool_]:
    """Return at which grid points another class wins than the target's, bool (H, W); nowhere where the output is no classes."""
    classes = None if snapshot.field is None else classes_of(snapshot.field)
    labels = target.at(snapshot.capture.resolution)
    return np.zeros(labels.shape, dtype=bool) if classes is None else (labels >= 0) & (classes != labels)


def _plane(plane: Plane) -> Pixels:
    canvas, plot = _sheet(plane)
    _frame(canvas, plot)
    return np.ascontiguousarray(canvas.pixels[..., :3])


def _sheet(plane: Plane) -> tuple[Canvas, Box]:
    """Return a canvas with a plot of the slice, and where that is."""
    slice = plane.snapshot.slice
    width, height = _size(slice)
    margin, letter = 8, LETTER * 0.9
    legend = legend_rows(_named(plane), max(width, _NARROWEST) + 2 * margin)
    axes = packed(_axes_words(slice, letter, max(width, _NARROWEST)), letter, max(width, _NARROWEST))
    top, below = round(3.4 * LETTER) + legend_height(legend), round((0.4 + 1.4 * len(axes)) * LETTER)
    canvas = Canvas(max(width, _NARROWEST) + 2 * margin, top + height + below, WHITE)
    left = (canvas.width - width) // 2
    plot = (left, top, left + width, top + height)
    write_titles(canvas, plane.title, "")
    if plane.snapshot.field is not None:
        _fill(canvas, plot, _background(plane.snapshot, plane.strength))
    if plane.target is not None:
        _draw_target(canvas, plot, slice, plane.target)
    for lines in plane.lines:
        _draw_lines(canvas, plot, lines)
    write_legend(canvas, legend)
    for number, words in enumerate(axes):
        canvas.text(margin, canvas.height - (0.5 + 1.4 * (len(axes) - 1 - number)) * LETTER, words, letter, FAINT)
    return canvas, plot


def _named(plane: Plane) -> list[Named]:
    """Return the legend's entries."""
    named: list[Named] = [(_label(lines), lines.colour, lines.style) for lines in plane.lines if lines.label]
    return named if plane.target is None else [*named, ("edge of the target", INK, ":"), ("corner", INK, "o")]


def _axes_words(slice: Slice, letter: float, room: float) -> list[str]:
    """Return which way each axis goes, and from where to where; a name is cut where it and its numbers have no `room`."""
    said = []
    for way, name, ends in zip((ACROSS, UP), slice.names, slice.bounds, strict=True):
        numbers = " … ".join(from_to(*ends)).replace("-", "\N{MINUS SIGN}")
        said.append(f"{way} {fitted(name, letter, room - text_width(f'{way}  {numbers}', letter))} {numbers}")
    return said


def _size(slice: Slice) -> tuple[int, int]:
    """Return width and height of the slice in pixels."""
    ratio = plot_ratio(slice)
    return (_PLANE, round(_PLANE / ratio)) if ratio >= 1 else (round(_PLANE * ratio), _PLANE)


def _frame(canvas: Canvas, plot: Box) -> None:
    left, top, right, bottom = plot
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=np.float64)
    draw_line(canvas, corners, (0, 0, canvas.width, canvas.height), INK, 1.0, "-")


def _background(snapshot: Snapshot, strength: float, shape: tuple[int, ...] = ()) -> Floats:
    """Return the output in colours from 0 to 1, (H, W, 3), paler the less the strength; white where there is none.

    Where it is not finite it has the colour that it has in all pictures.
    """
    field = snapshot.field
    if field is None:
        return np.ones((*shape, 3))
    defined = np.isfinite(field.value)
    if field.winner is not None:
        colours = _hues()[field.winner % CLASS_HUES]
    else:
        low, high = field_span(field)
        grey = (np.where(defined, field.value.astype(np.float64), low) - low) / ((high - low) or 1.0)
        colours = np.repeat(np.clip(grey, 0, 1)[..., None], 3, axis=2)
    return np.where(defined[..., None], 1 - strength * (1 - colours), np.array(rgb(UNDEFINED)) / 255)


def _label_image(labels: NDArray[np.int64], snapshot: Snapshot) -> Floats:
    """Return classes in the colours that the output has, (h, w, 3); white where there is none."""
    if snapshot.field is not None and snapshot.field.winner is not None:
        colours = _hues()[labels % CLASS_HUES]
    else:
        colours = np.repeat(np.clip(labels, 0, 1)[..., None].astype(np.float64), 3, axis=2)
    return np.where((labels >= 0)[..., None], 1 - 0.7 * (1 - colours), 1.0)


def _hues() -> Floats:
    return np.array([rgb(class_colour(number)) for number in range(CLASS_HUES)]) / 255


def _fill(canvas: Canvas, plot: Box, image: Floats) -> None:
    """Show an image (h, w, 3), the row of smallest v first, in the plot."""
    left, top, right, bottom = plot
    pixels = Image.fromarray(np.rint(255 * image[::-1]).astype(np.uint8))
    canvas.paste(left, top, np.asarray(pixels.resize((right - left, bottom - top), Image.Resampling.NEAREST)))


def _draw_target(canvas: Canvas, plot: Box, slice: Slice, target: Target) -> None:
    """Draw the edges of the target's areas, and rings around their corners."""
    (u0, u1), (v0, v1) = slice.bounds
    height, width = target.labels.shape
    rows, columns = np.nonzero(target.labels[:, 1:] != target.labels[:, :-1])
    upright = np.stack([np.stack([columns + 1, rows], axis=1), np.stack([columns + 1, rows + 1], axis=1)], axis=1)
    rows, columns = np.nonzero(target.labels[1:] != target.labels[:-1])
    level = np.stack([np.stack([columns, rows + 1], axis=1), np.stack([columns + 1, rows + 1], axis=1)], axis=1)
    edges = np.concatenate([upright, level]).reshape(-1, 2) / np.array([width, height])
    points = to_pixels(np.array([u0, v0]) + edges * np.array([u1 - u0, v1 - v0]), slice, plot)
    canvas.lines(points, np.arange(0, len(points) + 1, 2), INK, 1.0, plot, 0.6)
    for x, y in to_pixels(target.corners, slice, plot):
        canvas.ring(float(x), float(y), 5.0, INK, None)


def is_in_view(lines: Lines) -> bool:
    """Return whether there is anything to draw."""
    return bool(len(_numbers_of(lines)))


def _label(lines: Lines) -> str:
    return lines.label if is_in_view(lines) else f"{lines.label} (not in view)"


def _numbers_of(lines: Lines) -> NDArray[np.int64]:
    """Return which lines of the snapshot are meant."""
    found = lines.snapshot.boundaries
    owners = [number for number, unit in enumerate(found.units) if unit.layer == lines.layer and lines.unit in (None, unit.index)]
    return np.flatnonzero(np.isin(found.owner, owners))


def _draw_lines(canvas: Canvas, plot: Box, lines: Lines) -> None:
    slice, axis = lines.snapshot.slice, 0 if lines.mirrored == "left_right" else 1
    for number in _numbers_of(lines):
        points = lines.snapshot.boundaries.line(int(number))
        if lines.mirrored:
            points = points.copy()
            points[:, axis] = sum(slice.bounds[axis]) - points[:, axis]
        draw_line(canvas, to_pixels(points, slice, plot), plot, lines.colour, lines.width, lines.style)
