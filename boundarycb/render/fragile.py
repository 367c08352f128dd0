"""Where images are fragile: at which pixels one step changes the class, and what that looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.render.canvas import Box, Canvas, cut, packed, text_width
from boundarycb.render.colours import FAINT, INK, WHITE, rgb
from boundarycb.render.inputs import sized
from boundarycb.render.layout import SIZE, SMALLER, checked_size
from boundarycb.types import Array, Floats, Picture

_RAMP = ("#fce2b4", "#e9793f", "#7d0d35")  # lightness falls all the way, so that no hue has to be told
_TONES = 32
_MIDDLE = 140  # between tones that take white letters, and dark ones
_UNDER = (196, 250)  # greys of the image below the map: lighter than what lies on it
_UP, _DOWN = "#d55e00", "#1f6fd0"  # of Okabe and Ito's kind, told apart by colour-blind people
_RIM = 0.13  # of a cell: what is seen of the image around a flip
_LEAST_CELL = 6  # pixels a side under which there is no room for a rim
_LEAST_FRAME, _LEAST_DOT = 7, 4  # pixels a side of what shows where a pixel is
_BOLD = 1.2  # letters are at most so much wider in bold
_LABELS = 8  # numbers along a side of the map
_HEADS = ("before", "after", "difference")


def draw_fragile(
    flips: Array,
    image: Array | None = None,
    *,
    title: str,
    phrases: Sequence[str] = (),
    below: str = "the image",
    at_least: bool = False,
    size: int = SIZE,
) -> Picture:
    """Return the map of fragile pixels: how many steps of each pixel change the class, over an image.

    Args:
        flips: whole numbers (rows, columns), or (channels, rows, columns), of which each pixel has the sum.
        image: what lies below, such as the mean image, (rows, columns) or (1 or 3, rows, columns); it is seen around the squares of
            flips, and alone where there are none. It is paler than it is.
        title: what stands at the top.
        phrases: what was found, in words, for the foot.
        below: what `image` is, in words.
        at_least: whether the numbers are lower bounds, which the key says then.
        size: of the map's longer side in pixels, 64 to 4096, but for what is left over from whole pixels.

    Raises:
        ValueError: the shapes are none of images, or not alike.
    """
    counts = _checked_flips(flips)
    grey = None if image is None else _grey(_checked_images("image", np.asarray(image)[None], counts.shape)[0])
    sheet = _Map.of(counts.shape, checked_size(size), [*phrases, *([] if image is None else [f"grey: {below}"])])
    canvas = Canvas(sheet.width, sheet.height, WHITE)
    canvas.text(sheet.margin, 0.75 * sheet.strip, cut(title, sheet.title, sheet.room / _BOLD), sheet.title, INK, bold=True)
    _draw_key(canvas, sheet, int(counts.max()), at_least)
    _draw_cells(canvas, sheet, counts, grey)
    _draw_numbers(canvas, sheet, counts)
    _draw_sides(canvas, sheet, counts.shape)
    for number, words in enumerate(sheet.lines):
        baseline = sheet.plot[3] + (1.9 + 0.85 * number) * sheet.strip
        canvas.text(sheet.margin, baseline, words, sheet.letter * SMALLER, FAINT)
    return _picture(canvas)


def draw_examples(
    before: Array,
    after: Array,
    classes: Sequence[tuple[str, str]],
    *,
    title: str,
    notes: Sequence[str] = (),
    phrases: Sequence[str] = (),
    size: int = SIZE,
) -> Picture:
    """Return a sheet of images beside what a step of one pixel makes of them, and the difference: two examples a row.

    Black is the least number of the images, white the largest. A frame shows where the pixel is.

    Args:
        before: the images (k, rows, columns), or (k, 1 or 3, rows, columns), k of 1 or more.
        after: the same behind a step: each differs from its image in one number.
        classes: k pairs of words, what the class is before and after.
        title: what stands at the top.
        notes: k short remarks, such as which image it is; none by default.
        phrases: what was found, in words, for the foot.
        size: four times a tile's longer side in pixels, 64 to 4096; tiles are larger where words take more room.

    Raises:
        ValueError: the shapes are none of images, or not alike, or a pair does not differ in one number.
    """
    pairs = _pairs(before, after, classes, notes)
    sheet = _Sheet.of(len(pairs), pairs[0].images[0].shape[:2], checked_size(size), list(phrases))
    canvas = Canvas(sheet.width, sheet.height, WHITE)
    canvas.text(sheet.margin, 0.8 * sheet.strip, cut(title, sheet.title, sheet.room / _BOLD), sheet.title, INK, bold=True)
    for number in range(min(sheet.columns, len(pairs))):
        for tile, words in enumerate(_HEADS):
            left = sheet.corner(number)[0] + tile * (sheet.tile[0] + sheet.gap)
            canvas.text(left, 2.1 * sheet.strip, words, sheet.letter * SMALLER, FAINT)
    for number, pair in enumerate(pairs):
        _draw_pair(canvas, sheet, pair, *sheet.corner(number))
    for number, words in enumerate(sheet.lines):
        baseline = sheet.height - sheet.margin - (len(sheet.lines) - 1 - number) * 0.85 * sheet.strip
        canvas.text(sheet.margin, baseline, words, sheet.letter * SMALLER, FAINT)
    return _picture(canvas)


# --------------------------------------------------------------------------------------------------------------- the map


@dataclass(frozen=True)
class _Map:
    """Where things stand in a map, in pixels."""

    cell: int
    plot: Box
    width: int
    height: int
    letter: float
    lines: list[str]

    @staticmethod
    def of(shape: tuple[int, ...], size: int, phrases: list[str]) -> _Map:
        rows, columns = shape
        cell, letter = max(1, size // max(shape)), max(9.0, 0.0235 * size)
        strip, side = round(1.75 * letter), round(3.2 * letter)
        width = max(columns * cell + side + round(letter), round(24 * letter))
        lines = packed(phrases, letter * SMALLER, width - 2 * round(letter))
        left = side + (width - side - round(letter) - columns * cell) // 2
        plot = (left, round(2.5 * strip), left + columns * cell, round(2.5 * strip) + rows * cell)
        return _Map(cell, plot, width, plot[3] + round((1.5 + 0.85 * len(lines)) * strip), letter, lines)

    @property
    def strip(self) -> int:
        return round(1.75 * self.letter)

    @property
    def margin(self) -> int:
        return round(self.letter)

    @property
    def title(self) -> float:
        return 1.1 * self.letter

    @property
    def room(self) -> int:
        return self.width - 2 * self.margin


def _draw_key(canvas: Canvas, sheet: _Map, most: int, at_least: bool) -> None:
    """Write what the tones mean, behind the ramp from the least number of flips that is drawn to the largest."""
    letter, baseline = sheet.letter * SMALLER, 1.85 * sheet.strip
    top, bottom = round(baseline - 0.85 * letter), round(baseline + 0.15 * letter)
    if not most:
        canvas.text(sheet.margin, baseline, f"no pixel flips{', of those tried' if at_least else ''}", letter, INK)
        return
    x = _word(canvas, sheet.margin, baseline, "1", letter) + 0.4 * letter
    ramp = _ramp()[np.linspace(0, _TONES - 1, round(7 * letter)).round().astype(int)]
    if most > 1:
        canvas.paste(round(x), top, np.tile(ramp, (bottom - top, 1, 1)))
        x = _word(canvas, x + len(ramp) + 0.4 * letter, baseline, f"{most:,}", letter) + 0.4 * letter
    words = f"flips at a pixel{', at least' if at_least else ''}"
    _word(canvas, x, baseline, cut(words, letter, sheet.width - sheet.margin - x), letter)


def _draw_cells(canvas: Canvas, sheet: _Map, counts: NDArray[np.int64], below: Floats | None) -> None:
    left, top, right, bottom = sheet.plot
    under = np.full(counts.shape, 1.0) if below is None else below
    tones = np.rint(_UNDER[0] + under * (_UNDER[1] - _UNDER[0])).astype(np.uint8)
    canvas.pixels[top:bottom, left:right, :3] = _blown(tones, sheet.cell)[..., None]
    heat = _blown(_ramp()[_place(counts, int(counts.max()))], sheet.cell)
    on = _blown(counts > 0, sheet.cell)
    rim = round(_RIM * sheet.cell) if sheet.cell >= _LEAST_CELL and below is not None else 0
    inner = np.arange(bottom - top) % sheet.cell, np.arange(right - left) % sheet.cell
    rows, columns = ((side >= rim) & (side < sheet.cell - rim) for side in inner)
    shown = on & rows[:, None] & columns
    canvas.pixels[top:bottom, left:right, :3][shown] = heat[shown]


def _draw_numbers(canvas: Canvas, sheet: _Map, counts: NDArray[np.int64]) -> None:
    """Write into each square how many flips it has, where there is room for the largest number."""
    letter, most = sheet.letter * SMALLER, int(counts.max())
    if text_width(f"{most:,}", letter) > (1 - 3 * _RIM) * sheet.cell:
        return
    for row, column in np.argwhere(counts):
        words = f"{counts[row, column]:,}"
        x = sheet.plot[0] + (column + 0.5) * sheet.cell - text_width(words, letter) / 2
        colour = WHITE if _is_dark(int(counts[row, column]), most) else INK
        canvas.text(x, sheet.plot[1] + (row + 0.5) * sheet.cell + 0.36 * letter, words, letter, colour)


def _is_dark(count: int, most: int) -> bool:
    return float(_ramp()[_place(np.array(count), most)].mean()) < _MIDDLE


def _place(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return the tones' places in the ramp: from 1 flip to the largest number."""
    return np.asarray(np.rint((counts - 1) / max(1, most - 1) * (_TONES - 1)), dtype=np.int64)


def _draw_sides(canvas: Canvas, sheet: _Map, shape: tuple[int, ...]) -> None:
    """Write the numbers of rows and columns beside the map."""
    letter = sheet.letter * SMALLER
    left, _, _, bottom = sheet.plot
    for row in _labelled(shape[0], sheet.cell, letter):
        middle = sheet.plot[1] + (row + 0.5) * sheet.cell
        canvas.text(left - 0.5 * letter, middle + 0.36 * letter, str(row), letter, FAINT, align="right")
    for column in _labelled(shape[1], sheet.cell, 2 * letter):
        middle = left + (column + 0.5) * sheet.cell
        canvas.text(middle - text_width(str(column), letter) / 2, bottom + 1.1 * letter, str(column), letter, FAINT)


def _labelled(count: int, cell: int, room: float) -> range:
    """Return which rows or columns have their number beside them: all, or every second, fifth, … where these are too many."""
    least = max(count / _LABELS, room / cell)
    return range(0, count, next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if step >= least))


def _ramp() -> NDArray[np.uint8]:
    stops = np.array([rgb(code) for code in _RAMP], dtype=np.float64)
    places = np.linspace(0, len(_RAMP) - 1, _TONES)
    return np.stack([np.interp(places, range(len(_RAMP)), stops[:, k]) for k in range(3)], axis=1).round().astype(np.uint8)


def _blown(cells: Array, cell: int) -> Array:
    return cells.repeat(cell, axis=0).repeat(cell, axis=1)


# -------------------------------------------------------------------------------------------------------------- examples


@dataclass(frozen=True, eq=False)
class _Pair:
    """An image before and after a step, as true colour (rows, columns, 3), and what is said of it."""

    images: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    pixel: tuple[int, int]
    change: float
    heading: str
    step: str
    note: str


@dataclass(frozen=True)
class _Sheet:
    """Where things stand in a sheet of examples, in pixels."""

    tile: tuple[int, int]  # width, height
    columns: int
    rows: int
    letter: float
    width: int
    lines: list[str]

    @staticmethod
    def of(count: int, shape: tuple[int, ...], size: int, phrases: list[str]) -> _Sheet:
        letter = max(9.0, 0.0235 * size)
        side = max(size // 4, round(7 * letter))
        cell = side // max(shape) or side / max(shape)  # whole pixels where they fit
        tile = max(1, round(shape[1] * cell)), max(1, round(shape[0] * cell))
        columns = min(count, 2)
        empty = _Sheet(tile, columns, -(-count // columns), letter, 0, [])
        width = 2 * empty.margin + columns * empty.block + (columns - 1) * 3 * empty.margin
        return _Sheet(tile, columns, empty.rows, letter, width, packed(phrases, letter * SMALLER, width - 2 * empty.margin))

    @property
    def strip(self) -> int:
        return round(1.75 * self.letter)

    @property
    def margin(self) -> int:
        return round(self.letter)

    @property
    def gap(self) -> int:
        return round(0.6 * self.letter)

    @property
    def title(self) -> float:
        return 1.2 * self.letter

    @property
    def block(self) -> int:
        """Width of an example."""
        return max(3 * self.tile[0] + 2 * self.gap, round(20 * self.letter))

    @property
    def room(self) -> int:
        return self.width - 2 * self.margin

    @property
    def height(self) -> int:
        return self.corner(self.rows * self.columns)[1] + round(0.85 * len(self.lines) * self.strip) + self.margin

    def corner(self, number: int) -> tuple[int, int]:
        """Return the upper left corner of an example."""
        row, column = divmod(number, self.columns)
        each = self.tile[1] + round(2.9 * self.strip)
        return self.margin + column * (self.block + 3 * self.margin), round(2.4 * self.strip) + row * each


def _pairs(before: Array, after: Array, classes: Sequence[tuple[str, str]], notes: Sequence[str]) -> list[_Pair]:
    given = _checked_images("before", np.asarray(before))
    other = _checked_images("after", np.asarray(after), given.shape[2:])
    if not len(given) or other.shape != given.shape or len(classes) != len(given) or len(notes) not in (0, len(given)):
        raise ValueError(
            f"`before`, `after`, `classes` and `notes` must be of one length, 1 or more, and shape, got {given.shape}, "
            f"{other.shape}, {len(classes)} and {len(notes)}."
        )
    low, high = float(given.min()), float(given.max())
    remarks = notes or [""] * len(given)
    return [_pair(*one, (low, high)) for one in zip(given, other, classes, remarks, strict=True)]


def _pair(before: Floats, after: Floats, classes: tuple[str, str], note: str, ends: tuple[float, float]) -> _Pair:
    places = np.argwhere(before != after)
    if len(places) != 1:
        raise ValueError(f"`before` and `after` must differ in one number of each image, got {len(places)} for one of them.")
    channel, row, column = (int(part) for part in places[0])
    old, new = float(before[channel, row, column]), float(after[channel, row, column])
    where = f"pixel ({row}, {column})" + (f" of channel {channel}" if len(before) > 1 else "")
    images = _toned(before, ends), _toned(after, ends)
    return _Pair(images, (row, column), new - old, f"{classes[0]} → {classes[1]}", f"{where}: {_short(old)} → {_short(new)}", note)


def _draw_pair(canvas: Canvas, sheet: _Sheet, pair: _Pair, left: int, top: int) -> None:
    width, height = sheet.tile
    paper = np.full_like(pair.images[0], 255)
    for number, image in enumerate((*pair.images, paper)):
        x = left + number * (width + sheet.gap)
        canvas.swatch((x - 1, top - 1, x + width + 1, top + height + 1), FAINT if number < 2 else "#d9dbdf")
        canvas.paste(x, top, sized(image, max(width, height))[:height, :width])
        (_draw_frame if number < 2 else _draw_change)(canvas, sheet, pair, x, top)
    baseline = top + height + 0.9 * sheet.strip
    words = cut(pair.heading, 1.15 * sheet.letter, 0.65 * sheet.block / _BOLD)
    canvas.text(left, baseline, words, 1.15 * sheet.letter, INK, bold=True)
    room = sheet.block - text_width(words, 1.15 * sheet.letter, bold=True) - sheet.letter
    note = cut(pair.note, SMALLER * sheet.letter, room)
    canvas.text(left + sheet.block, baseline, note, SMALLER * sheet.letter, FAINT, align="right")
    canvas.text(left, baseline + 0.8 * sheet.strip, cut(pair.step, sheet.letter, sheet.block), sheet.letter, INK)


def _draw_frame(canvas: Canvas, sheet: _Sheet, pair: _Pair, left: int, top: int) -> None:
    """Draw a frame around the pixel; a small one has some room in it."""
    inner = _box(sheet, pair, left, top, _LEAST_FRAME)
    x0, y0, x1, y1 = inner[0] - 1.0, inner[1] - 1.0, inner[2] + 1.0, inner[3] + 1.0
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0], [x1, y0]])
    clip = (left - 4, top - 4, left + sheet.tile[0] + 4, top + sheet.tile[1] + 4)
    for tone, thick in ((WHITE, 4.0), (_colour(pair), 2.0)):  # white keeps the frame apart from the image
        canvas.lines(corners, np.array([0, len(corners)]), tone, thick, clip)


def _draw_change(canvas: Canvas, sheet: _Sheet, pair: _Pair, left: int, top: int) -> None:
    """Fill the pixel, and write beside it by how much it changes."""
    (width, height), letter = sheet.tile, sheet.letter * SMALLER
    box = _box(sheet, pair, left, top, _LEAST_DOT)
    canvas.swatch(box, _colour(pair))
    words = f"{'+' if pair.change > 0 else ''}{_short(pair.change, 2)}"
    wide, space = text_width(words, letter), 0.35 * letter
    x = box[2] + space if box[2] + wide + 2 * space <= left + width else max(left + space, box[0] - space - wide)
    baseline = min(max((box[1] + box[3]) / 2 + 0.36 * letter, top + 1.1 * letter), top + height - 0.4 * letter)
    canvas.text(x, baseline, words, letter, INK)


def _box(sheet: _Sheet, pair: _Pair, left: int, top: int, least: int) -> Box:
    """Return where the pixel is in a tile: its box, or one of `least` pixels around it, as far as the tile goes."""
    rows, columns = pair.images[0].shape[:2]
    ends = []
    for start, place, count, side in ((left, pair.pixel[1], columns, sheet.tile[0]), (top, pair.pixel[0], rows, sheet.tile[1])):
        length = max(round(side / count), min(least, side))
        first = min(max(round(start + (place + 0.5) * side / count - length / 2), start), start + side - length)
        ends.append((first, first + length))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def _colour(pair: _Pair) -> str:
    return _UP if pair.change > 0 else _DOWN


# ---------------------------------------------------------------------------------------------------------------- images


def _checked_flips(flips: Array) -> NDArray[np.int64]:
    """Return the flips at each pixel (rows, columns)."""
    given = np.asarray(flips)
    if given.ndim not in (2, 3) or not given.size or given.dtype.kind not in "iu" or given.min() < 0:
        raise ValueError(
            f"`flips` must be whole numbers of 0 or more, (rows, columns) or (channels, rows, columns), got {given.dtype} "
            f"{given.shape}; where images were given as rows of numbers, take flips.reshape(rows, columns)."
        )
    return np.asarray(given if given.ndim == 2 else given.sum(axis=0), dtype=np.int64)


def _checked_images(name: str, images: Array, shape: tuple[int, ...] | None = None) -> Floats:
    """Return images as float64 (k, 1 or 3, rows, columns)."""
    full = images[:, None] if images.ndim == 3 else images
    if full.ndim != 4 or full.shape[1] not in (1, 3) or not full[:1].size or (shape is not None and full.shape[2:] != shape):
        wanted = "" if shape is None else f", of {shape[0]} x {shape[1]} pixels"
        raise ValueError(
            f"`{name}` must be (rows, columns) or (1 or 3, rows, columns) for an image{wanted}, got {images.shape[1:]}."
        )
    return np.asarray(full, dtype=np.float64)


def _grey(image: Floats) -> Floats:
    """Return an image (channels, rows, columns) as brightness (rows, columns), 0 to 1."""
    mean = image.mean(axis=0)
    return np.asarray((mean - mean.min()) / ((mean.max() - mean.min()) or 1.0))


def _toned(image: Floats, ends: tuple[float, float]) -> NDArray[np.uint8]:
    """Return an image (channels, rows, columns) as true colour (rows, columns, 3)."""
    share = np.clip((image - ends[0]) / ((ends[1] - ends[0]) or 1.0), 0, 1)
    tones = np.rint(255 * np.moveaxis(share, 0, -1)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(tones, (*tones.shape[:2], 3)))


def _word(canvas: Canvas, x: float, baseline: float, words: str, letter: float) -> float:
    """Write `words` and return where they end."""
    canvas.text(x, baseline, words, letter, INK)
    return x + text_width(words, letter)


def _picture(canvas: Canvas) -> Picture:
    image = Image.fromarray(np.ascontiguousarray(canvas.pixels[..., :3])).quantize(256, method=Image.Quantize.MEDIANCUT)
    return Picture(np.asarray(image), np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)[:256])


def _short(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")
