"""S4: people's answers to whether two grey boxes are more black, white or grey.

It is the fourth set of D. Fishbein and J. Debata, *Visualizing Neural Nets*, 2023 (section 5), whose answers are not published.
:func:`write_answer_page` writes a page that asks for such answers, as the paper's figure 1 shows;
:func:`read_answers` reads what the page saved. :func:`simulated_answers` makes answers up, for when nobody was asked.

Labels are those of the other sets, 0 white, 1 black and 2 grey, but here words mean what a screen shows: 0 is black, 255 white.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from boundarycb.data.grey import BLACK, CLASSES, GREY, TOP, WHITE, Labels, checked_points, generator, pairs
from boundarycb.webpage import guarded

_COLUMNS = ("x1", "x2", "answer")
_WORDS = {word: label for label, word in enumerate(CLASSES)} | {"gray": GREY}

_ENTIRELY_WHITE = 250.0  # of the darker box, from which both pass for white
_DARK = TOP / 3  # of the mean level, under which an image is called black
_UNSURE_WHITE, _UNSURE_DARK = 1.5, 8.0  # standard deviations of the two from one answer to the next

_PAGE = "answer_page.html"


def read_answers(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], Labels]:
    """Return the answers in a CSV file of the answer page: points float32 (k, 2) of 0..255, labels int64 (k,), in the file's order.

    Args:
        path: the file. Its first line names the columns; of these x1, x2 and answer (white, black or grey) are read, in any
            order and case. Other columns, spaces and blank lines are no matter.

    Raises:
        ValueError: the file holds no answer, lacks a column, or has a level that is no number from 0 to 255 or an unknown word; the
            message says in which line.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            return _read(file, str(path))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"`path` must be a CSV file in UTF-8, got {path} ({error}); save it anew from the answer page.") from error


def _read(lines: Iterable[str], name: str) -> tuple[NDArray[np.float32], Labels]:
    reader = csv.reader(lines)
    rows = ([cell.strip() for cell in row] for row in reader)
    filled = (row for row in rows if any(row))
    places = _places(next(filled, []), name)
    points, labels = [], []
    for row in filled:
        x1, x2, answer = (row[place] if place < len(row) else "" for place in places)
        where = f"line {reader.line_num} of {name}"
        points.append((_level("x1", x1, where), _level("x2", x2, where)))
        labels.append(_label(answer, where))
    if not points:
        raise ValueError(f"`path` must hold an answer or more, got none in {name}; save it anew from the answer page.")
    return np.array(points, dtype=np.float32), np.array(labels, dtype=np.int64)


def _places(head: list[str], name: str) -> list[int]:
    """Return where the columns that are read stand in the first line."""
    if not head:
        raise ValueError(f"`path` must hold an answer or more, got an empty file, {name}; save it anew from the answer page.")
    names = [word.lower() for word in head]
    missing = [column for column in _COLUMNS if column not in names]
    if missing:
        raise ValueError(
            f"The first line of {name} must name the columns x1, x2 and answer, separated by commas; "
            f"it lacks {', '.join(missing)}, got {','.join(head)!r}."
        )
    return [names.index(column) for column in _COLUMNS]


def _level(column: str, word: str, where: str) -> float:
    try:
        level = float(word)
    except ValueError:
        level = np.nan
    if not 0 <= level <= TOP:
        raise ValueError(f"`{column}` must be a number from 0 to 255, got {word!r} in {where}; mend that line or leave it out.")
    return level


def _label(word: str, where: str) -> int:
    label = _WORDS.get(word.lower())
    if label is None:
        raise ValueError(f"`answer` must be white, black or grey, got {word!r} in {where}; mend that line or leave it out.")
    return label


def simulated_answers(points: ArrayLike, seed: int = 0) -> Labels:
    """Return SYNTHETIC labels of `points`, made up by a rule in place of a person's answers, int64 (k,). They measure nothing.

    The rule is ours. From the paper it has one thing: "a human would not categorize an image as 'White' unless the image was
    entirely white" (section 7). As levels on a screen:

    * white where the darker box is at 250 or above, give or take 1.5;
    * black where the mean of the two is below 85, a third of the range, give or take 8;
    * grey elsewhere,

    where "give or take" is the standard deviation of a threshold that is drawn anew (normal) for each answer. Of evenly spread
    pairs some .0004 are white, .22 black and .78 grey. Whoever shows results on them should call them synthetic.

    Args:
        points: pairs of levels from 0 (black) to 255 (white), (k, 2).
        seed: 0 or more; the same seed and points give the same labels.

    >>> simulated_answers([[255, 255], [255, 128], [200, 220], [0, 30]]).tolist()
    [0, 2, 2, 1]
    """
    levels = checked_points(points)
    # A use of its own: points drawn with the same seed are else made of the same random bits.
    unsure = generator(seed, 4).normal(size=(2, len(levels)))
    white = levels.min(axis=1) >= _ENTIRELY_WHITE + _UNSURE_WHITE * unsure[0]
    black = levels.mean(axis=1) < _DARK + _UNSURE_DARK * unsure[1]
    return np.where(white, WHITE, np.where(black, BLACK, GREY)).astype(np.int64)


def write_answer_page(path: str | os.PathLike[str], count: int = 100, seed: int | None = None, *, overwrite: bool = False) -> Path:
    """Return the path of a page, written there, that asks a person for `count` answers and saves them for :func:`read_answers`.

    The page is one file. It opens with a double click, also without a network: it loads nothing and sends nothing, and its content
    security policy forbids both. Answers stay in the browser until they are saved as ``answers.csv``, with the columns x1, x2,
    answer and seconds (from when the image was last shown until it was answered). Each page that is written has its own memory.

    Args:
        path: where to write it, ending in .html.
        count: how many images are asked for; one may stop before and go on after.
        seed: with one, the images are those of ``pairs(count, seed)``, in that order, for whoever opens the page. Without one the
            browser draws them, otherwise each time, as it does with those beyond `count`.
        overwrite: replace a file that is there.

    Raises:
        ValueError: `path` has another ending, `count` is below 1, or `seed` below 0.
        FileExistsError: a file is there and `overwrite` is False.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"`path` must end in .html, got {path}.")
    if count < 1:
        raise ValueError(f"`count` must be 1 or more, got {count}.")
    page = _page(count, [] if seed is None else pairs(count, seed).astype(int).tolist())
    try:
        with path.open("wb" if overwrite else "xb") as file:
            file.write(page.encode())
    except FileExistsError as error:
        raise FileExistsError(f"`path` is there already, got {path}; take another name or give `overwrite=True`.") from error
    return path


def _page(count: int, first: list[list[int]]) -> str:
    """Return the page, with what it asks and its policy filled in."""
    page = resources.files("boundarycb.data").joinpath(_PAGE).read_text(encoding="utf-8")
    settings = {"id": secrets.token_hex(8), "count": count, "pairs": first}
    return guarded(page).replace("{{settings}}", json.dumps(settings, separators=(",", ":")))
