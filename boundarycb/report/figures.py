"""The report's pictures: curves over the run, and units on the slice, drawn as the overlay is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.metrics.masks import classes_of
from boundarycb.render.canvas import Box, Canvas, fitted, text_width
from boundarycb.render.colours import ALARM, CLASS_HUES, FAINT, INK, WHITE, class_colour, layer_colours, rgb
from boundarycb.render.marks import to_pixels
from boundarycb.render.pictures import field_span
from boundarycb.types import Array, Floats, Picture, Slice, Snapshot, Target

_CHART = 440, 270  # pixels
_PLANE = 340  # pixels of the plot's longer side
_LETTER = 12.0
_GAP = 16  # between pictures
_PALE = 0.35  # of the background, behind lines
ONE, OTHER, THIRD = "#7a3e9d", "#00857a", FAINT
"""Colours of things that are no layers."""
_DASHES = {"-": None, "--": (7.0, 4.0), ":": (2.0, 3.0)}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Curve:
    """A number over the run.

    Args:
        label: what it is, for the legend.
        values: (n,), one a sample.
        colour: "#rrggbb".
        style: ``-`` solid, ``--`` dashed, ``:`` dotted.
    """

    label: str
    values: Floats
    colour: str = INK
    style: str = "-"


@dataclass(frozen=True, eq=False)
class Chart:
    """A plot of curves.

    Args:
        title: what it shows.
        curves: the curves; those without a defined value are left out.
        unit: of the vertical axis.
        level: a value to compare with, such as chance, drawn as a dashed line; None for none.
        level_label: what it is.
        low: the least value that is shown in any case.
        high: the largest one.
        most: what is higher is cut off; None for nothing.
    """

    title: str
    curves: Sequence[Curve]
    unit: str
    level: float | None = None
    level_label: str = ""
    low: float | None = None
    high: float | None = None
    most: float | None = None


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


# ---------------------------------------------------------------------------------------------------------------- pictures


def draw_charts(steps: Sequence[int], charts: Sequence[Chart], *, columns: int = 2) -> Picture:
    """Return charts beside each other, over the steps of a run: on a logarithmic axis, since most happens early."""
    axis = np.asarray(steps, dtype=np.float64)
    drawn = [_chart(axis, chart) for chart in charts]
    rows = [_beside(drawn[first : first + columns]) for first in range(0, len(drawn), columns)]
    return _reduced(_below(rows))


def draw_planes(planes: Sequence[Plane]) -> Picture:
    """Return plots of the slice side by side."""
    return _reduced(_beside([_plane(plane) for plane in planes]))


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
    return _reduced(_beside([sheet.pixels[..., :3] for sheet, _ in canvases]))


def side_by_side(*pictures: Picture, shaded: bool = False) -> Picture:
    """Return pictures beside each other, on white; `shaded` ones keep their shades rather than their finest lines."""
    pixels = _beside([picture.rgb() for picture in pictures])
    return _shaded(pixels) if shaded else _reduced(pixels)


def below(*pictures: Picture) -> Picture:
    """Return pictures below each other, on white."""
    return _reduced(_below([picture.rgb() for picture in pictures]))


def wrong_points(snapshot: Snapshot, target: Target) -> NDArray[np.bool_]:
    """Return at which grid points another class wins than the target's, bool (H, W); nowhere where the output is no classes."""
    classes = None if snapshot.field is None else classes_of(snapshot.field)
    labels = target.at(snapshot.capture.resolution)
    return np.zeros(labels.shape, dtype=bool) if classes is None else (labels >= 0) & (classes != labels)


def layer_colour(snapshot: Snapshot, layer: str) -> str:
    """Return the colour that a layer has in all pictures."""
    names = [one.name for one in snapshot.layers]
    return layer_colours(len(names))[names.index(layer)] if layer in names else INK


# ------------------------------------------------------------------------------------------------------------------ charts


def _chart(steps: Floats, chart: Chart) -> Pixels:
    width, height = _CHART
    canvas = Canvas(width, height, WHITE)
    curves = [curve for curve in chart.curves if np.isfinite(curve.values).any()]
    ticks = _ticks(*_span(chart, curves))
    wide = max(text_width(words, _LETTER * 0.9) for _, words in ticks)
    plot = (round(wide) + 10, round(3.6 * _LETTER), width - 12, height - round(2.6 * _LETTER))
    _titles(canvas, chart.title, chart.unit)
    level = [] if chart.level is None or not math.isfinite(chart.level) else [(chart.level_label, FAINT, "--")]
    _legend(canvas, [(curve.label, curve.colour, curve.style) for curve in curves] + level)
    low, high = ticks[0][0], ticks[-1][0]

    def place(x: Floats, y: Floats) -> Floats:
        across = plot[0] + _stretched(x, steps) * (plot[2] - plot[0])
        return np.stack([across, plot[3] - (y - low) / (high - low) * (plot[3] - plot[1])], axis=1)

    _grid(canvas, plot, ticks, steps, place)
    if level:
        _line(canvas, place(steps[[0, -1]], np.full(2, chart.level)), plot, FAINT, 1.2, "--")
    for curve in curves:
        for piece in _pieces(curve.values):
            _line(canvas, place(steps[piece], curve.values[piece]), plot, curve.colour, 1.8, curve.style)
    return np.ascontiguousarray(canvas.pixels[..., :3])


def _pieces(values: Floats) -> list[slice]:
    """Return where values are defined, without a break: a curve has a gap where its number means nothing.

    >>> _pieces(np.array([1.0, 2.0, np.nan, 3.0]))
    [slice(0, 2, None), slice(3, 4, None)]
    """
    known = np.concatenate([[False], np.isfinite(values), [False]]).astype(np.int8)
    starts, stops = np.flatnonzero(np.diff(known) > 0), np.flatnonzero(np.diff(known) < 0)
    return [slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _span(chart: Chart, curves: Sequence[Curve]) -> tuple[float, float]:
    values = [curve.values[np.isfinite(curve.values)] for curve in curves]
    shown = np.concatenate([*values, [bound for bound in (chart.low, chart.high, chart.level) if bound is not None]])
    shown = shown[np.isfinite(shown)]
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    high = high if chart.most is None else min(high, max(low, chart.most))
    return (low, high) if high > low else (low, low + (abs(low) or 1.0))


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return four to eight round numbers around a span, and how they are written.

    >>> [words for _, words in _ticks(0.0, 0.9)]
    ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']
    >>> [words for _, words in _ticks(0, 1400)]
    ['0', '500', '1,000', '1,500']
    """
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(number * step, f"{number * step:,.{digits}f}") for number in range(first, last + 1)]


def _stretched(x: Floats, steps: Floats) -> Floats:
    """Return the place of steps along the axis, 0 to 1: in proportion up to 10, then each tenfold takes as much."""

    def stretch(values: Floats) -> Floats:
        return np.where(values <= 10, values / 10, 1 + np.log10(np.maximum(values, 10) / 10))

    if steps[-1] <= 20:
        return np.asarray((x - steps[0]) / (steps[-1] - steps[0] or 1.0))
    low, high = stretch(steps[[0, -1]])
    return np.asarray((stretch(np.asarray(x, dtype=np.float64)) - low) / (high - low))


def _step_ticks(steps: Floats) -> list[float]:
    first, last = float(steps[0]), float(steps[-1])
    if last <= 20:
        return sorted({first, last} | {float(round((first + last) / 2))})
    powers = [10.0**power for power in range(1, int(math.log10(last)) + 1)]
    return [first, *(power for power in powers if power > first)]


def _short(step: float) -> str:
    """Return a step in few letters.

    >>> _short(0), _short(250), _short(10_000), _short(1_280_000)
    ('0', '250', '10k', '1.28M')
    """
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if step >= 10 * unit or (step >= unit and unit == 1e6):
            return f"{step / unit:g}{letter}"
    return f"{step:,.0f}"


def _grid(canvas: Canvas, plot: Box, ticks: Sequence[tuple[float, str]], steps: Floats, place: object) -> None:
    assert callable(place)
    letter = _LETTER * 0.9
    ends = steps[[0, -1]]
    for value, words in ticks:
        points = place(ends, np.full(2, value))
        _line(canvas, points, plot, "#e4e6ea", 1.0, "-")
        canvas.text(plot[0] - 5, float(points[0, 1]) + 0.35 * letter, words, letter, FAINT, align="right")
    for step in _step_ticks(steps):
        points = place(np.full(2, step), np.array([ticks[0][0], ticks[-1][0]]))
        _line(canvas, points, plot, "#e4e6ea", 1.0, "-")
        words = _short(step)
        left = float(points[0, 0]) - text_width(words, letter) / 2
        canvas.text(min(max(left, plot[0] - 4), plot[2] - text_width(words, letter)), plot[3] + 1.25 * letter, words, letter, FAINT)
    words = "step" if steps[-1] <= 20 else "step (logarithmic from 10 on)"
    canvas.text(plot[2], canvas.height - 0.3 * letter, words, letter, FAINT, align="right")
    corners = np.array([[plot[0], plot[1]], [plot[0], plot[3]], [plot[2], plot[3]]], dtype=np.float64)
    _line(canvas, corners, (0, 0, canvas.width, canvas.height), INK, 1.0, "-")


# ------------------------------------------------------------------------------------------------------------------ planes


def _plane(plane: Plane) -> Pixels:
    canvas, plot = _sheet(plane)
    _frame(canvas, plot)
    return np.ascontiguousarray(canvas.pixels[..., :3])


def _sheet(plane: Plane) -> tuple[Canvas, Box]:
    """Return a canvas with a plot of the slice, and where that is."""
    slice = plane.snapshot.slice
    width, height = _size(slice)
    top, margin = round(3.4 * _LETTER), 8
    canvas = Canvas(width + 2 * margin, top + height + round(1.8 * _LETTER), WHITE)
    plot = (margin, top, margin + width, top + height)
    _titles(canvas, plane.title, "")
    if plane.snapshot.field is not None:
        _fill(canvas, plot, _background(plane.snapshot, plane.strength))
    named = [(_label(lines), lines.colour, lines.style) for lines in plane.lines if lines.label]
    if plane.target is not None:
        _draw_target(canvas, plot, slice, plane.target)
        named += [("edge of the target", INK, ":"), ("corner", INK, "o")]
    for lines in plane.lines:
        _draw_lines(canvas, plot, lines)
    _legend(canvas, named)
    caption = fitted(_axes_words(slice), _LETTER * 0.9, canvas.width - 2 * margin)
    canvas.text(margin, canvas.height - 0.5 * _LETTER, caption, _LETTER * 0.9, FAINT)
    return canvas, plot


def _axes_words(slice: Slice) -> str:
    """Return which way the axes go, and from where to where."""
    (first, second), ((u0, u1), (v0, v1)) = slice.names, slice.bounds
    return f"across: {first}, {u0:.3g} to {u1:.3g}   up: {second}, {v0:.3g} to {v1:.3g}"


def _size(slice: Slice) -> tuple[int, int]:
    """Return width and height of the slice in pixels."""
    (u0, u1), (v0, v1) = slice.bounds
    across, up = (float(np.linalg.norm(axis)) for axis in slice.axes)
    ratio = (u1 - u0) * across / ((v1 - v0) * up)
    if not 0.2 <= ratio <= 5:
        ratio = 1.0
    return (_PLANE, round(_PLANE / ratio)) if ratio >= 1 else (round(_PLANE * ratio), _PLANE)


def _frame(canvas: Canvas, plot: Box) -> None:
    left, top, right, bottom = plot
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=np.float64)
    _line(canvas, corners, (0, 0, canvas.width, canvas.height), INK, 1.0, "-")


def _background(snapshot: Snapshot, strength: float, shape: tuple[int, ...] = ()) -> Floats:
    """Return the output in colours from 0 to 1, (H, W, 3), paler the less the strength; white where there is none."""
    field = snapshot.field
    if field is None:
        return np.ones((*shape, 3))
    if field.winner is not None:
        return np.asarray(1 - strength * (1 - _hues()[field.winner % CLASS_HUES]))
    low, high = field_span(field)
    grey = (np.nan_to_num(field.value.astype(np.float64), nan=high) - low) / ((high - low) or 1.0)
    return np.asarray(1 - strength * (1 - np.repeat(np.clip(grey, 0, 1)[..., None], 3, axis=2)))


def _label_image(labels: NDArray[np.int64], snapshot: Snapshot) -> Floats:
    """Return classes in the colours that the output has, (h, w, 3)."""
    if snapshot.field is not None and snapshot.field.winner is not None:
        return np.asarray(1 - 0.7 * (1 - _hues()[labels % CLASS_HUES]))
    return np.asarray(1 - 0.7 * (1 - np.repeat(np.clip(labels, 0, 1)[..., None].astype(np.float64), 3, axis=2)))


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
        _line(canvas, to_pixels(points, slice, plot), plot, lines.colour, lines.width, lines.style)


# ------------------------------------------------------------------------------------------------------- lines and letters


def _line(canvas: Canvas, points: Floats, clip: Box, colour: str, width: float, style: str) -> None:
    if len(points) > 1:
        canvas.lines(points, np.array([0, len(points)]), colour, width, clip, dashes=_DASHES[style])


def _titles(canvas: Canvas, title: str, unit: str) -> None:
    """Write the title at the left end of the first line, and the unit at the right one."""
    room = canvas.width - 16 - text_width(unit, _LETTER * 0.9) - 10
    canvas.text(8, 1.25 * _LETTER, fitted(title, _LETTER, room * 0.92), _LETTER, INK, bold=True)
    canvas.text(canvas.width - 8, 1.25 * _LETTER, unit, _LETTER * 0.9, FAINT, align="right")


def _legend(canvas: Canvas, named: Sequence[tuple[str, str, str]]) -> None:
    """Write the names of lines behind a piece of each, in the second line."""
    if not named:
        return
    letter, swatch, x = _LETTER * 0.9, 22.0, 8.0
    room = (canvas.width - 16) / len(named) - swatch - 14
    for words, colour, style in named:
        height = 2.3 * _LETTER
        if style == "o":
            canvas.ring(x + swatch / 2, height, 5.0, colour, None)
        else:
            _line(canvas, np.array([[x, height], [x + swatch, height]]), (0, 0, canvas.width, canvas.height), colour, 2.4, style)
        words = fitted(words, letter, max(room, 8.0)) if _wide(named, letter) > canvas.width - 16 else words
        canvas.text(x + swatch + 4, 2.62 * _LETTER, words, letter, INK)
        x += swatch + 4 + text_width(words, letter) + 12


def _wide(named: Sequence[tuple[str, str, str]], letter: float) -> float:
    return sum(38 + text_width(words, letter) for words, _, _ in named)


def _beside(images: Sequence[Array]) -> Pixels:
    """Return images (h, w, 3) side by side, on white, the tops in line."""
    height = max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images) + _GAP * (len(images) - 1)
    sheet, left = np.full((height, width, 3), 255, dtype=np.uint8), 0
    for image in images:
        sheet[: image.shape[0], left : left + image.shape[1]] = image
        left += image.shape[1] + _GAP
    return sheet


def _below(images: Sequence[Array]) -> Pixels:
    """Return images (h, w, 3) below each other, on white."""
    turned = [np.swapaxes(image, 0, 1) for image in images]
    return np.ascontiguousarray(np.swapaxes(_beside(turned), 0, 1))


def _reduced(pixels: Pixels) -> Picture:
    """Return true-colour pixels (h, w, 3) as a picture: with 32 or 16 steps a channel, where these are few enough colours."""
    for bits in (3, 4):
        steps = (pixels >> bits).astype(np.int32)
        colours, indices = np.unique(steps[..., 0] << 16 | steps[..., 1] << 8 | steps[..., 2], return_inverse=True)
        if len(colours) <= 256:
            parts = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)
            palette = np.rint(parts * (255 / (255 >> bits))).astype(np.uint8)
            return Picture(indices.reshape(pixels.shape[:2]).astype(np.uint8), palette)
    return _shaded(pixels)


def _shaded(pixels: Pixels) -> Picture:
    """Return true-colour pixels (h, w, 3) as a picture in the 256 colours that suit it best."""
    image = Image.fromarray(pixels).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return Picture(np.asarray(image), np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3))
