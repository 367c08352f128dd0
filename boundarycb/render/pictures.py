"""The pictures that users see: the overlay (all layers) and the panels (a layer each)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.evenly import evenly
from boundarycb.render.canvas import Box, Canvas, Pen, fitted, fitted_together, text_width, wrapped
from boundarycb.render.captions import Caption, Room, captions_of, field_span, legend_classes, number_width
from boundarycb.render.colours import ALARM, FAINT, INK, WHITE, Scheme, class_colour, scheme, tone_indices
from boundarycb.render.layout import SIZE, SMALLER, Layout, checked_size
from boundarycb.render.marks import draw_marks, thumbnail_colours, to_pixels
from boundarycb.render.vector import SvgCanvas
from boundarycb.types import Array, Boundaries, Field, Floats, Picture, Snapshot, spans_of

_MAX_PANELS = 16
_LEGEND_NAMES = 6  # more layers than this are shown as a ramp from first to last


def draw_overlay(snapshot: Snapshot, size: int = SIZE, *, title: str | None = None) -> Picture:
    """Return the overlay: every unit's boundary, coloured by layer, over the network's output.

    Args:
        snapshot: what to draw.
        size: length of the plot's longer side in pixels, 64 to 4096; a header and a footer are added to its height.
        title: what stands at the top; by default the step.
    """
    drawing = _Overlay.of(snapshot, checked_size(size), title)
    layout = drawing.layout
    canvas = Canvas(layout.width, layout.height, WHITE)
    tones = _background(canvas, layout.plot, snapshot.field, drawing.colours)
    drawing.draw(canvas)
    return drawing.colours.to_picture(canvas.pixels, tones)


def draw_vector(snapshot: Snapshot, size: int = SIZE, *, title: str | None = None) -> str:
    """Return the overlay as an SVG file: lines as they are, the output behind them as an image of the grid's values.

    Args:
        snapshot: what to draw.
        size: as of the overlay.
        title: as of the overlay.
    """
    drawing = _Overlay.of(snapshot, checked_size(size), title)
    layout, (left, top, right, bottom) = drawing.layout, drawing.layout.plot
    canvas = SvgCanvas(layout.width, layout.height, WHITE)
    if snapshot.field is not None:
        tones = _field_tones(snapshot.field, (right - left, bottom - top))
        canvas.paste(left, top, drawing.colours.palette[tones])
    drawing.draw(canvas)
    return canvas.svg()


@dataclass(frozen=True)
class _Overlay:
    """What an overlay is made of, before it is drawn."""

    snapshot: Snapshot
    layout: Layout
    captions: list[Caption]
    colours: Scheme
    title: str

    @staticmethod
    def of(snapshot: Snapshot, size: int, title: str | None) -> _Overlay:
        layout, colours = Layout.of(snapshot.slice, size), _scheme(snapshot)
        room = Room.below(layout, snapshot)
        whole = Layout.of(snapshot.slice, size, lines=room.lines)
        return _Overlay(snapshot, whole, captions_of(snapshot, room), colours, title or _step(snapshot))

    def draw(self, pen: Pen) -> None:
        """Draw all but the background."""
        snapshot, layout, colours = self.snapshot, self.layout, self.colours
        for number in range(len(snapshot.layers)):
            _draw_layer(pen, layout.plot, snapshot, number, colours)
        _draw_decision(pen, layout.plot, snapshot)
        draw_marks(pen, layout.plot, snapshot.slice, layout.letter)
        _header(pen, layout, snapshot, colours, self.title)
        _footer(pen, layout, snapshot, self.captions)


def draw_panels(snapshot: Snapshot, size: int = SIZE) -> Picture:
    """Return one small plot a layer (16 at most, evenly spread), each with the boundaries of that layer alone.

    Args:
        snapshot: what to draw.
        size: as of the overlay; each panel's longer side is half of it.
    """
    colours = _scheme(snapshot)
    count = len(snapshot.layers)
    shown = evenly(count, _MAX_PANELS).tolist()
    columns = next(c for c in (1, 2, 3, 4) if c * c >= len(shown) or c == 4)
    layout = Layout.of(snapshot.slice, checked_size(size) // 2, letters=min(columns, 2) * size / 2)
    (inset, _, end, _), title, gap = layout.plot, layout.strip, layout.strip // 3
    plot_h = layout.plot[3] - layout.plot[1]
    cell_w, cell_h = layout.width + gap, plot_h + title + gap
    width, letter = columns * cell_w + gap, layout.letter * SMALLER
    notes = wrapped("; ".join(snapshot.notes), letter, width - 2 * gap)
    bottom = title + -(-len(shown) // columns) * cell_h
    canvas = Canvas(width, bottom + gap + round(len(notes) * 1.5 * letter), WHITE)
    tones = np.zeros((canvas.height, canvas.width), dtype=np.uint8)
    words = _step(snapshot) + ("" if len(shown) == count else f": {len(shown)} of {count} layers")
    _title_line(canvas, (gap, canvas.width - gap), title, layout.letter, words, snapshot)
    for place, number in enumerate(shown):
        left, top = gap + place % columns * cell_w, title + place // columns * cell_h + title
        plot = (left + inset, top, left + end, top + plot_h)
        tones |= _background(canvas, plot, snapshot.field, colours)
        _draw_layer(canvas, plot, snapshot, number, colours)
        _draw_decision(canvas, plot, snapshot)
        name, count_words = _panel_title(snapshot, number)
        name = fitted(name, layout.letter, layout.width - text_width(count_words, layout.letter))
        canvas.text(left, top - title * 0.3, name + count_words, layout.letter, colours.layers[number])
    for line, words in enumerate(notes):
        canvas.text(gap, bottom + round((line + 1) * 1.5 * letter), words, letter, _note_colour(snapshot))
    return colours.to_picture(canvas.pixels, tones)


# ---------------------------------------------------------------------------------------------------------------- layout


def _scheme(snapshot: Snapshot) -> Scheme:
    field = snapshot.field
    kind, classes = ("none", 1) if field is None else (field.kind, field.classes)
    return scheme(len(snapshot.layers), kind, classes, thumbnail_colours(snapshot.slice))


# ------------------------------------------------------------------------------------------------------------------ plot


def _background(canvas: Canvas, plot: Box, field: Field | None, colours: Scheme) -> NDArray[np.uint8]:
    """Paint the output into `plot` and return the tone of each pixel of the canvas (0 outside)."""
    left, top, right, bottom = plot
    tones = np.zeros((canvas.height, canvas.width), dtype=np.uint8)
    if field is None:
        tones[top:bottom, left:right] = len(colours.opaque) - 1
    else:
        tones[top:bottom, left:right] = _field_tones(field, (right - left, bottom - top))
    canvas.packed[top:bottom, left:right] = colours.opaque.take(tones[top:bottom, left:right])
    return tones


def _field_tones(field: Field, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the field's tones on a plot of `shape` (width, height): values are interpolated, classes are not."""
    low, high = field_span(field)
    value = field.value.astype(np.float64)
    undefined = ~np.isfinite(value)
    share = np.clip((np.where(undefined, low, value) - low) / ((high - low) or 1.0), 0, 1)
    winner = None if field.winner is None else _resized(field.winner.astype(np.int32), shape, Image.Resampling.NEAREST)
    hole = _resized(undefined.astype(np.uint8), shape, Image.Resampling.NEAREST).astype(bool) if undefined.any() else None
    return tone_indices(field, _resized(np.rint(share * 255).astype(np.uint8), shape, Image.Resampling.BILINEAR), winner, hole)


def _resized(values: Array, shape: tuple[int, int], how: Image.Resampling) -> Array:
    """Return a grid as pixels. In a picture the first row is the topmost one, which is the last of the grid."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(values[::-1])).resize(shape, how))


def _draw_layer(canvas: Pen, plot: Box, snapshot: Snapshot, number: int, colours: Scheme) -> None:
    lines = snapshot.boundaries
    span = list(spans_of(snapshot.layers).values())[number]
    points, offsets = _lines_of(lines, span)
    if not len(points):
        return
    count = len(offsets) - 1
    scale = (plot[2] - plot[0]) / SIZE
    width = max(0.6, 1.7 * max(scale, 0.6) * min(1.0, (60 / count) ** 0.35))
    alpha = 0.95 if count <= 60 else 0.75
    canvas.lines(to_pixels(points, snapshot.slice, plot), offsets, colours.layers[number], width, plot, alpha)


def _draw_decision(canvas: Pen, plot: Box, snapshot: Snapshot) -> None:
    """Draw where the winning class changes, over all boundaries: dark, with a light edge that parts it from them."""
    border = snapshot.decision
    if border is None or not len(border):
        return
    points, scale = to_pixels(border.points, snapshot.slice, plot), (plot[2] - plot[0]) / SIZE
    for colour, width in ((WHITE, 4.6), (INK, 2.4)):
        canvas.lines(points, border.offsets, colour, max(1.0, width * max(scale, 0.6)), plot)


def _lines_of(lines: Boundaries, span: slice) -> tuple[Floats, NDArray[np.int64]]:
    """Return points and offsets of the lines whose owner lies in `span`."""
    chosen = (lines.owner >= span.start) & (lines.owner < span.stop)
    sizes = np.diff(lines.offsets)
    return lines.points[np.repeat(chosen, sizes)], np.concatenate([[0], np.cumsum(sizes[chosen])])


# ----------------------------------------------------------------------------------------------------------------- words


def _header(canvas: Pen, layout: Layout, snapshot: Snapshot, colours: Scheme, title: str) -> None:
    margin = layout.strip // 3
    _title_line(canvas, (margin, layout.width - margin), layout.strip, layout.letter, title, snapshot)
    _legend(canvas, layout, snapshot, colours)


def _step(snapshot: Snapshot) -> str:
    return f"step {snapshot.step:,}"


def _title_line(canvas: Pen, ends: tuple[float, float], bottom: float, letter: float, title: str, snapshot: Snapshot) -> None:
    """Write `title` at the left end and the scalars at the right one, as many as fit."""
    left, right = ends
    baseline = bottom - letter * 0.45
    title = fitted(title, letter * 1.1, (right - left) * 0.9)
    canvas.text(left, baseline, title, letter * 1.1, INK, bold=True)
    room = right - left - text_width(title, letter * 1.1, bold=True) - letter
    scalars = [f"{name} {value:.3g}" for name, value in snapshot.scalars.items()]
    while scalars and text_width("   ".join(scalars), letter) > room:
        scalars.pop()
    canvas.text(right, baseline, "   ".join(scalars), letter, INK, align="right")


def _legend(canvas: Pen, layout: Layout, snapshot: Snapshot, colours: Scheme) -> None:
    """Write the layers' names behind a swatch of their colour; many layers become a ramp from the first to the last."""
    names, letter = [layer.name for layer in snapshot.layers], layout.letter
    x, right = float(layout.strip // 3), layout.width - 1.7 * letter
    if snapshot.decision is not None and len(snapshot.decision):
        right -= text_width("decision", letter) + 2.6 * letter
    if len(names) <= _LEGEND_NAMES:
        shown = fitted_together(names, letter, right + 1.7 * letter - x, 2.6 * letter)
        for name, colour in zip(shown, colours.layers, strict=True):
            x = _swatches(canvas, layout, x, [colour], 1.3 * letter)
            x = _legend_word(canvas, layout, x, name)
    else:
        ramp = min(max(8 * letter, 2.0 * len(names)), layout.width / 3)
        each = (right - ramp - x - 1.3 * letter) / 2
        x = _legend_word(canvas, layout, x, fitted(f"{len(names)} layers: {names[0]}", letter, each))
        x = _swatches(canvas, layout, x, colours.layers, ramp)
        x = _legend_word(canvas, layout, x, fitted(names[-1], letter, each))
    if right < layout.width - 1.7 * letter:
        x = _swatches(canvas, layout, x, [INK], 1.3 * letter)
        _legend_word(canvas, layout, x, "decision")


def _swatches(canvas: Pen, layout: Layout, x: float, colours: Sequence[str], width: float) -> float:
    middle = 2 * layout.strip - 0.9 * layout.letter
    top, bottom = round(middle - 0.12 * layout.letter), round(middle + 0.16 * layout.letter)
    edges = np.rint(x + np.linspace(0, width, len(colours) + 1)).astype(int)
    for colour, left, right in zip(colours, edges[:-1], edges[1:], strict=True):
        canvas.swatch((int(left), top, int(right), bottom), colour)
    return x + width + 0.4 * layout.letter


def _legend_word(canvas: Pen, layout: Layout, x: float, words: str) -> float:
    canvas.text(x, 2 * layout.strip - 0.55 * layout.letter, words, layout.letter, INK)
    return x + text_width(words, layout.letter) + 0.9 * layout.letter


def _footer(canvas: Pen, layout: Layout, snapshot: Snapshot, captions: Sequence[Caption]) -> None:
    left, letter = layout.strip // 3, layout.letter * SMALLER
    kinds = [caption.kind for caption in captions]
    for number, caption in enumerate(captions):
        colour = _note_colour(snapshot) if caption.kind == "notes" else FAINT
        canvas.text(left, layout.baseline(number), caption.words, letter, colour)
    if "classes" in kinds:
        _named_classes(canvas, layout, snapshot.field, layout.baseline(kinds.index("classes")))
    else:
        _numbered_classes(canvas, layout, snapshot.field, layout.baseline(kinds.index("drawing")))


def _note_colour(snapshot: Snapshot) -> str:
    return ALARM if snapshot.is_broken else FAINT


def _numbered_classes(canvas: Pen, layout: Layout, field: Field | None, baseline: float) -> None:
    """Draw the classes' colours with their numbers at the right end."""
    if field is None:
        return
    letter, right = layout.letter * SMALLER, layout.width - layout.strip // 3
    wide, (shown, more) = number_width(field, letter), legend_classes(field)
    left = right - wide * (len(shown) + bool(more))
    for place, number in enumerate(shown):
        _class_swatch(canvas, left + wide * place, baseline, (wide, letter), class_colour(number), str(number))
    if more:
        canvas.text(right, baseline, f"+{more:,}", letter, FAINT, align="right")


def _named_classes(canvas: Pen, layout: Layout, field: Field | None, baseline: float) -> None:
    """Draw the classes' colours with their names, which are shortened where they do not fit into the line."""
    assert field is not None  # it has names
    letter, left = layout.letter * SMALLER, float(layout.strip // 3)
    shown, more = legend_classes(field)
    rest = f"+{more:,}" if more else ""
    widths = [text_width(field.names[number], letter) + 0.9 * letter for number in shown]
    shrink = min(1.0, (layout.width - 2 * left - text_width(rest, letter)) / max(sum(widths), 1.0))
    for number, width in zip(shown, widths, strict=True):
        _class_swatch(canvas, left, baseline, (width * shrink, letter), class_colour(number), field.names[number])
        left += width * shrink
    canvas.text(left + 0.4 * letter, baseline, rest, letter, FAINT)


def _class_swatch(canvas: Pen, x: float, baseline: float, size: tuple[float, float], colour: str, name: str) -> None:
    """Draw a class's colour, `size` (width, letter) wide and high, with its name in the middle."""
    wide, letter = size
    canvas.swatch((round(x), round(baseline - 0.95 * letter), round(x + wide) - 1, round(baseline + 0.25 * letter)), colour)
    words = fitted(name, letter, wide - 2)
    canvas.text(x + (wide - text_width(words, letter)) / 2, baseline, words, letter, INK)


def _panel_title(snapshot: Snapshot, number: int) -> tuple[str, str]:
    """Return the layer's name, which may be shortened, and how many of its units switch, which may not."""
    layer = snapshot.layers[number]
    span = list(spans_of(snapshot.layers).values())[number]
    live = int(snapshot.capture.switching()[span].sum())
    return layer.name, f": {live} of {len(layer.kept)} switch here"
