"""The picture of how alike the units of a layer are: a square a layer, a cell a pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from boundarycb.evenly import evenly
from boundarycb.render.canvas import Canvas, fitted, text_width
from boundarycb.render.colours import FAINT, INK, WHITE, rgb
from boundarycb.types import Floats, Picture, Snapshot

_PREFIX = "copycat/phi/"
_PANELS = 12
_ALL_UNITS = 64  # of larger layers, only units that switch are drawn
_TONES = 128  # steps of likeness, from white to dark
_LETTERS = 64  # greys from ink to white
_DARK, _COPYCAT, _IDLE, _SELF = "#14406e", "#f07800", "#e9e6df", "#b9bec6"
_COPYCAT_AT, _IDLE_AT, _SELF_AT = range(_TONES, _TONES + 3)


def has_similarity(snapshot: Snapshot) -> bool:
    """Return whether the likeness of units was measured."""
    return any(name.startswith(_PREFIX) for name in snapshot.per_unit)


def draw_similarity(snapshot: Snapshot, size: int) -> Picture:
    """Return a heat map a layer of the likeness of its units.

    White is no likeness, dark blue is all but the same; pairs at or above the layer's chance level are orange. Units stand in
    their order in the layer. Units that do not switch are grey, so that a pair has the same place at every step; layers of more
    than 64 units are drawn without them.

    Args:
        snapshot: a snapshot with the values of :func:`boundarycb.metrics.copycat.copycats`; 12 layers at most are drawn, and those
            of a single unit only where there are no others.
        size: twice a square's side in pixels; a square is larger where it has more units than pixels.

    Raises:
        ValueError: it was not measured.
    """
    known = [layer.name for layer in snapshot.layers if _PREFIX + layer.name in snapshot.per_unit]
    if not known:
        raise ValueError("`snapshot` has no likeness of units; sample with the metric boundarycb.metrics.copycats.")
    names = [name for name in known if len(snapshot.per_unit[_PREFIX + name]) > 1] or known
    shown = [names[i] for i in evenly(len(names), _PANELS)]
    squares = [_square(snapshot, name, size // 2) for name in shown]
    sheet = _Sheet.of([len(square) for square in squares], size)
    canvas = Canvas(sheet.width, sheet.height, WHITE)
    cells: list[tuple[int, int, NDArray[np.uint8]]] = []
    words = f"step {snapshot.step:,}: how alike units are" + (
        "" if len(shown) == len(names) else f" ({len(shown)} of {len(names)} layers)"
    )
    canvas.text(sheet.gap, sheet.strip - sheet.letter * 0.5, words, sheet.letter * 1.1, INK, bold=True)
    for name, square, (left, top) in zip(shown, squares, sheet.corners(), strict=False):
        cells.append((left, top, square))
        _caption(canvas, sheet, snapshot, name, left, top)
    cells += _key(canvas, sheet)
    return _picture(canvas, cells)


@dataclass(frozen=True)
class _Sheet:
    """Where the squares stand, in pixels."""

    side: int  # of the largest square
    columns: int
    rows: int
    letter: float
    strip: int
    gap: int

    @staticmethod
    def of(sides: list[int], size: int) -> _Sheet:
        columns = next(c for c in (1, 2, 3, 4) if c * c >= len(sides) or c == 4)
        letter = max(9.0, size * 0.0235)
        strip = round(letter * 1.75)
        return _Sheet(max(*sides, size // 2), columns, -(-len(sides) // columns), letter, strip, strip // 2)

    @property
    def width(self) -> int:
        return max(self.columns * (self.side + self.gap) + self.gap, round(33 * self.letter))

    @property
    def height(self) -> int:
        return self.strip + self.rows * (2 * self.strip + self.side + self.gap) + 2 * self.strip

    def corners(self) -> Iterator[tuple[int, int]]:
        """Return the upper left corner of each square."""
        for place in range(self.rows * self.columns):
            row, column = divmod(place, self.columns)
            yield (
                self.gap + column * (self.side + self.gap),
                self.strip + row * (2 * self.strip + self.side + self.gap) + 2 * self.strip,
            )


def _square(snapshot: Snapshot, name: str, side: int) -> NDArray[np.uint8]:
    """Return the square of a layer as palette indices, each unit a whole number of pixels wide."""
    pairs = snapshot.per_unit.get(f"copycat/since/{name}", np.empty((0, 3), np.int64))[:, :2]
    tones = _tones(snapshot.per_unit[_PREFIX + name], pairs)
    shown = _shown_units(snapshot, name)
    tones = tones[np.ix_(shown, shown)]
    each = max(1, side // max(1, len(tones)))
    return np.asarray(tones.repeat(each, axis=0).repeat(each, axis=1))


def _shown_units(snapshot: Snapshot, name: str) -> NDArray[np.int64]:
    """Return the places of the units that are drawn: all of a small layer, those that switch of a large one."""
    diagonal = np.diag(snapshot.per_unit[_PREFIX + name])
    idle = np.isnan(diagonal) & (len(diagonal) > _ALL_UNITS)
    return np.flatnonzero(~idle)


def _tones(matrix: Floats, pairs: NDArray[np.int64]) -> NDArray[np.uint8]:
    likeness = np.abs(matrix.astype(np.float64))
    idle = np.isnan(likeness)
    tones: NDArray[np.uint8] = np.rint(np.where(idle, 0, likeness) * (_TONES - 1)).astype(np.uint8)
    tones[pairs[:, 0], pairs[:, 1]] = tones[pairs[:, 1], pairs[:, 0]] = _COPYCAT_AT
    tones[idle] = _IDLE_AT
    np.fill_diagonal(tones, np.where(np.diag(idle), _IDLE_AT, _SELF_AT))
    return tones


def _caption(canvas: Canvas, sheet: _Sheet, snapshot: Snapshot, name: str, left: int, top: int) -> None:
    """Write above a square its layer, and what was found in words that fit."""
    units, shown = snapshot.per_unit[f"copycat/units/{name}"], len(_shown_units(snapshot, name))
    which = f"   units {units[0]} to {units[-1]}" if len(units) > 1 else f"   unit {units[0]}"
    which += "" if shown == units[-1] - units[0] + 1 else f", {shown} of them"
    room = sheet.side - text_width(which, sheet.letter * 0.9)
    title = fitted(name, sheet.letter, room * 0.92)  # it is bold
    canvas.text(left, top - sheet.strip - sheet.letter * 0.1, title, sheet.letter, INK, bold=True)
    x = left + text_width(title, sheet.letter, bold=True)
    canvas.text(x, top - sheet.strip - sheet.letter * 0.1, which, sheet.letter * 0.9, FAINT)
    count = _in_words(snapshot, name)
    canvas.text(left, top - sheet.letter * 0.5, fitted(count, sheet.letter * 0.9, sheet.side), sheet.letter * 0.9, FAINT)


def _in_words(snapshot: Snapshot, name: str) -> str:
    """Return how many copycats a layer has; or that it has too few units, or none that can be compared there."""
    pairs, level, most = (snapshot.metrics.get(f"copycat/{key}/{name}", np.nan) for key in ("pairs", "chance", "max_phi"))
    if not np.isfinite(level):
        return "too few units"
    if not np.isfinite(most):
        return f"no two units to compare, level {level:.3f}"
    return f"{pairs:.0f} pair{'' if pairs == 1 else 's'} at or above chance level {level:.3f}"


def _key(canvas: Canvas, sheet: _Sheet) -> list[tuple[int, int, NDArray[np.uint8]]]:
    """Write at the foot what the colours mean, and return the patches of colour."""
    letter, baseline = sheet.letter * 0.9, sheet.height - sheet.strip * 0.6
    top, height = round(baseline - letter * 0.85), round(letter)
    x = float(sheet.gap)
    patches = []
    bar = np.linspace(0, _TONES - 1, round(5 * letter)).round().astype(np.uint8)
    for before, patch, after in (
        ("|phi| 0", bar, "1"),
        ("", np.full(height, _COPYCAT_AT, np.uint8), "copycats"),
        ("", np.full(height, _IDLE_AT, np.uint8), "does not switch here"),
        ("", np.full(height, _SELF_AT, np.uint8), "itself"),
    ):
        if before:
            canvas.text(x, baseline, before, letter, INK)
            x += text_width(before, letter) + letter * 0.4
        patches.append((round(x), top, np.tile(patch, (height, 1))))
        x += len(patch) + letter * 0.4
        canvas.text(x, baseline, after, letter, INK)
        x += text_width(after, letter) + letter * 1.2
    return patches


def _picture(canvas: Canvas, cells: list[tuple[int, int, NDArray[np.uint8]]]) -> Picture:
    """Return the canvas' letters, which are greys, and the cells' colours as a picture."""
    lightness = canvas.pixels[..., 1].astype(np.float64)
    low = rgb(INK)[1]
    pixels = (_SELF_AT + 1 + np.rint((lightness - low).clip(0) / (255 - low) * (_LETTERS - 1))).astype(np.uint8)
    for left, top, square in cells:
        pixels[top : top + square.shape[0], left : left + square.shape[1]] = square
    return Picture(pixels, _palette())


def _palette() -> NDArray[np.uint8]:
    def ramp(start: str, end: str, steps: int) -> Floats:
        return np.linspace(rgb(start), rgb(end), steps)

    single = np.array([rgb(code) for code in (_COPYCAT, _IDLE, _SELF)])
    colours = np.concatenate([ramp(WHITE, _DARK, _TONES), single, ramp(INK, WHITE, _LETTERS)])
    return np.asarray(colours.round().astype(np.uint8))
