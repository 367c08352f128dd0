"""What a slice shows of itself: the samples that defined it, others near it, and where inputs are valid ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from boundarycb.render.canvas import Box, Pen, text_width
from boundarycb.render.colours import INK, WHITE, class_colour
from boundarycb.render.inputs import images_at, is_image, main_colours, sized
from boundarycb.types import Floats, Marks, Slice

LETTERS = "abcdefghij"
_ON_PLANE = 1e-6  # of the slice's diagonal: nearer than this a sample lies on it
_THUMBNAIL = 0.13  # of the plot's width
_COLOURS = 24  # of the palette, for thumbnails
_SMALL = 64  # pixels a side of the images that tell those colours


def to_pixels(points: Floats, slice: Slice, plot: Box) -> Floats:
    """Return slice coordinates (n, 2) as pixels (n, 2) of the canvas."""
    (u0, u1), (v0, v1) = slice.bounds
    left, top, right, bottom = plot
    x = left + (points[:, 0] - u0) / (u1 - u0) * (right - left)
    y = bottom - (points[:, 1] - v0) / (v1 - v0) * (bottom - top)
    return np.stack([x, y], axis=1)


def draw_marks(canvas: Pen, plot: Box, slice: Slice, letter: float, *, thumbnails: bool = True) -> None:
    """Draw everything that `slice` shows, into `plot`.

    Args:
        canvas: what to draw on.
        plot: where the slice is on it.
        slice: the slice.
        letter: size of letters in pixels.
        thumbnails: whether anchors that are images are shown as such.
    """
    if slice.limits is not None and has_limits(slice) and not _is_triangle(slice):
        _outline(canvas, plot, slice, slice.limits, (4.0, 3.0))
    if slice.is_through_samples:
        _outline(canvas, plot, slice, slice.anchors[:3], (1.0, 2.0))
    if slice.marks is not None:
        _draw_samples(canvas, plot, slice, slice.marks, letter)
    _draw_anchors(canvas, plot, slice, letter, thumbnails and is_image(slice.input_shape))


def thumbnail_colours(slice: Slice) -> bytes:
    """Return the colours that the palette needs for thumbnails of the anchors, three bytes each; none where there are none."""
    if not is_image(slice.input_shape) or not len(slice.anchors):
        return b""
    small = np.stack([sized(image, _SMALL) for image in images_at(slice, slice.anchors)])
    return main_colours(small, _COLOURS)


def marks_phrases(slice: Slice) -> list[str]:
    """Return what is held beside the slice and what the marks mean, in phrases; empty where there is nothing to say."""
    words = [slice.held] if slice.held else []
    words += [f"{letter}: {name}" for letter, name in zip(LETTERS, slice.anchor_names, strict=False)]
    if _is_triangle(slice):
        words.append("dotted: between the three; beyond, inputs leave the data's range")
    elif slice.is_through_samples:
        words.append("dotted: between the three")
    if has_limits(slice) and not _is_triangle(slice):
        words.append("dashed: inputs within the data's range" if slice.limits is not None and len(slice.limits) else NO_LIMITS)
    if slice.marks is not None:
        words += _samples_phrases(slice, slice.marks)
    return words


NO_LIMITS = "no input here lies within the data's range"


def has_limits(slice: Slice) -> bool:
    """Return whether some inputs on the slice are not valid ones."""
    if slice.limits is None:
        return False
    (u0, u1), (v0, v1) = slice.bounds
    return _area(slice.limits) < (1 - 1e-9) * (u1 - u0) * (v1 - v0)


def _is_triangle(slice: Slice) -> bool:
    """Return whether inputs are valid between the three anchors and hardly anywhere else, as in pictures on a black ground."""
    if not slice.is_through_samples or slice.limits is None or not has_limits(slice):
        return False
    return 0.98 * _area(slice.limits) <= _area(slice.anchors[:3]) <= 1.02 * _area(slice.limits)


def _area(polygon: Floats) -> float:
    x, y = polygon.T if len(polygon) else (np.zeros(1), np.zeros(1))
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _outline(canvas: Pen, plot: Box, slice: Slice, corners: Floats, dashes: tuple[float, float]) -> None:
    if not len(corners):
        return
    points = to_pixels(np.concatenate([corners, corners[:1]]), slice, plot)
    scale = max(1.0, (plot[2] - plot[0]) / 512)
    canvas.lines(points, np.array([0, len(points)]), WHITE, 2.6 * scale, plot, 0.7)
    canvas.lines(points, np.array([0, len(points)]), INK, 1.1 * scale, plot, dashes=(dashes[0] * scale, dashes[1] * scale))


# ---------------------------------------------------------------------------------------------------------------- samples


def _diagonal(slice: Slice) -> float:
    """Return the slice's diagonal in input units."""
    (u0, u1), (v0, v1) = slice.bounds
    return float(np.linalg.norm((u1 - u0) * slice.axes[0] + (v1 - v0) * slice.axes[1]))


def _draw_samples(canvas: Pen, plot: Box, slice: Slice, marks: Marks, letter: float) -> None:
    """Draw samples: filled on the plane, hollow off it and fainter the farther; those beyond a diagonal are left out."""
    far, radius = marks.off / _diagonal(slice), max(2.0, letter * 0.22)
    left, top, right, bottom = plot
    for (x, y), away, label in zip(to_pixels(marks.points, slice, plot), far, marks.labels, strict=True):
        if not (left <= x <= right and top <= y <= bottom) or away > 1:
            continue
        on_plane = away <= _ON_PLANE
        colour = WHITE if label < 0 else class_colour(int(label))
        canvas.ring(x, y, radius, INK, colour if on_plane else None, 1.0 if on_plane else 0.75 * math.exp(-2 * away))


def _samples_phrases(slice: Slice, marks: Marks) -> list[str]:
    far = marks.off / _diagonal(slice)
    on_plane, shown, count = int((far <= _ON_PLANE).sum()), int((far <= 1).sum()), len(far)
    if on_plane == count:
        return [f"dots: {count} samples"]
    words = [f"dots: {on_plane} samples"] if on_plane else []
    of = f"{shown - on_plane}" if shown == count else f"{shown - on_plane} of {count - on_plane}"
    return [*words, f"circles: {of} samples off the plane, by {np.median(marks.off[far > _ON_PLANE]):.3g} (median)"]


# ---------------------------------------------------------------------------------------------------------------- anchors


def _draw_anchors(canvas: Pen, plot: Box, slice: Slice, letter: float, thumbnails: bool) -> None:
    """Mark the points that defined the slice, each with its letter on white, and with what it looks like."""
    places = to_pixels(slice.anchors, slice, plot)
    images = images_at(slice, slice.anchors) if thumbnails else None
    middle = places.mean(axis=0) if len(places) else None
    for number, (name, (x, y)) in enumerate(zip(LETTERS, places, strict=False)):
        if images is not None and middle is not None:
            _draw_thumbnail(canvas, plot, sized(images[number], round(_THUMBNAIL * (plot[2] - plot[0]))), (x, y), middle)
        canvas.ring(x, y, letter * 0.3, INK, WHITE)
        wide = text_width(name, letter, bold=True)
        left = x + letter * 0.5 if x + letter * 0.6 + wide < plot[2] else x - letter * 0.5 - wide
        baseline = max(y - letter * 0.35, plot[1] + letter)
        canvas.swatch(
            (round(left) - 1, round(baseline - letter * 0.85), round(left + wide) + 1, round(baseline + letter * 0.15)), WHITE
        )
        canvas.text(left, baseline, name, letter, INK, bold=True)


def _draw_thumbnail(canvas: Pen, plot: Box, image: NDArray[np.uint8], place: tuple[float, float], middle: Floats) -> None:
    """Put an image beside `place`, as far as there is room away from the `middle` of all anchors, within the plot."""
    height, width = image.shape[:2]
    corner = _corner_beside(np.array(place), np.array([width, height]), middle, plot)
    if corner is None:
        return
    left, top = corner
    canvas.swatch((left - 2, top - 2, left + width + 2, top + height + 2), WHITE)
    canvas.swatch((left - 1, top - 1, left + width + 1, top + height + 1), INK)
    canvas.paste(left, top, image)


def _corner_beside(place: Floats, size: Floats, middle: Floats, plot: Box) -> tuple[int, int] | None:
    """Return the upper left corner of a box of `size` beside `place`, away from `middle` as far as it fits into `plot`."""
    gap = 9.0
    sides = [np.array([x, y]) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
    sides.sort(key=lambda side: -float((place - middle) @ side) / float(np.linalg.norm(side)))
    for side in sides:
        corner = np.rint(place + side * (size / 2 + gap) - size / 2).astype(int)
        inside = corner >= np.array(plot[:2]) + 2
        if inside.all() and (corner + size <= np.array(plot[2:]) - 2).all():
            return int(corner[0]), int(corner[1])
    return None
