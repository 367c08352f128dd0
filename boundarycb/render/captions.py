"""What is written below a plot: the axes, what lines and background are, and what is wrong or left out."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from boundarycb.render.canvas import fitted, limited, packed, text_width, wrapped
from boundarycb.render.colours import CLASS_HUES
from boundarycb.render.layout import SMALLER, Layout
from boundarycb.render.marks import marks_phrases
from boundarycb.types import Field, Slice, Snapshot

KINKED = set(
    "relu leaky_relu prelu rrelu relu6 hardtanh hardsigmoid softshrink hardshrink threshold abs clamp maximum minimum".split()  # noqa: SIM905
)
"""Activations with a kink, or a jump, for a unit's boundary; of others it is a convention that they are on above 0."""

ACROSS, UP = "\N{RIGHTWARDS ARROW}", "\N{UPWARDS ARROW}"  # as the viewer says which axis is which

_WIDE = "\N{MINUS SIGN}0.0000"  # as wide as a number becomes, but for very large and very small ones

_LEGEND = 15  # of letters' sizes, how wide the classes of a legend are: ten of one digit, seven of two

_BESIDE, _BOTH = 0.1, 0.3
"""The shorter side of 0 by the longer: up to where a range is one of numbers beside 0, and from where on one about 0."""

_ADVICE = re.compile(r" \(`\w+=`[^()]*\)")  # which option changes what a note says; the warning has it too


@dataclass(frozen=True)
class Caption:
    """A line below the plot.

    Args:
        words: what it says; empty for the classes, which are drawn.
        kind: ``slice`` (axes and marks), ``drawing`` (lines and background), ``classes`` (their names) or ``notes``.
    """

    words: str
    kind: str


@dataclass(frozen=True)
class Room:
    """How much fits below a plot. It depends on the slice and the kind of output and of units, which seldom change in a run.

    Args:
        lines: how many there are.
        width: of a line, pixels.
        letter: size of letters, pixels.
        taken: of the width beside what the drawing is, by the classes' colours.
    """

    lines: int
    width: float
    letter: float
    taken: float

    @staticmethod
    def below(layout: Layout, snapshot: Snapshot) -> Room:
        """Return the room below the plot of `layout`.

        It is that for the slice and the drawing, and for a line more where the drawing takes one; or for two without the axes.
        """
        width, letter = layout.width - 2 * (layout.strip // 3), layout.letter * SMALLER
        named = bool(class_names(snapshot.field))
        taken = 0.0 if named else numbers_width(snapshot.field, letter)
        slice, bare = _slice_lines(snapshot.slice, letter, width)
        drawing = max(2, len(packed(_widest(snapshot), letter, width - taken)))
        return Room(max(len(slice) + drawing, len(bare) + 3) + named, width, letter, taken)


def captions_of(snapshot: Snapshot, room: Room) -> list[Caption]:
    """Return the lines below the plot: axes and marks, background and lines, classes, and what is wrong or left out.

    Where these are more than there is room for, notes go without the options that would change them, or else the axes give way to
    what is wrong or left out, or both; then that is cut.
    """
    slice, bare = _slice_lines(snapshot.slice, room.letter, room.width)
    named = bool(class_names(snapshot.field))
    beside = room.width - room.taken
    drawing = packed(background_caption(snapshot).split("   "), room.letter, beside)
    free = room.lines - named
    said = "; ".join(snapshot.notes)
    ways = [(slice, _in_lines(said, room))]
    if len(slice) + len(drawing) + len(ways[0][1]) > free and said:
        short = _in_lines(_ADVICE.sub("", said), room)
        ways += [(slice, short), (bare, ways[0][1]), (bare, short)]
    fitting = [way for way in ways if len(way[0]) + len(drawing) + len(way[1]) <= free]
    slice, notes = (fitting or ways[-1:])[0]
    told = min(len(drawing), max(1, free - len(slice) - len(notes)))
    drawing = limited(drawing, told, "   ", room.letter, beside)
    notes = limited(notes, free - len(slice) - told, " ", room.letter, room.width)
    return [
        *(Caption(words, "slice") for words in slice),
        *(Caption(words, "drawing") for words in drawing),
        *([Caption("", "classes")] * named),
        *(Caption(words, "notes") for words in notes),
    ]


def _in_lines(notes: str, room: Room) -> list[str]:
    return wrapped(notes.replace("`", ""), room.letter, room.width)


def _slice_lines(slice: Slice, letter: float, width: float) -> tuple[list[str], list[str]]:
    """Return what the axes and the marks are, in lines; and the marks without the axes."""
    marks = marks_phrases(slice)
    return packed([axes_caption(slice, letter, width), *marks], letter, width), packed(marks, letter, width)


def class_names(field: Field | None) -> tuple[str, ...]:
    """Return what classes are called where each has a colour of its own; nothing where they have no names."""
    return field.names if field is not None and field.kind == "classes" else ()


def legend_classes(field: Field | None) -> tuple[list[int], int]:
    """Return the classes that a legend shows, and how many more win somewhere.

    All are shown where they are ten at most, else those that win most of the slice.
    """
    if field is None or field.kind != "classes":
        return [], 0
    most = _most_shown(field)
    if field.classes <= most:
        return list(range(field.classes)), 0
    assert field.winner is not None  # it has classes
    winners, points = np.unique(field.winner[np.isfinite(field.value)], return_counts=True)
    shown = len(winners) if len(winners) <= most else most - 1
    return sorted(winners[np.argsort(-points, kind="stable")][:shown].tolist()), len(winners) - shown


def number_width(field: Field, letter: float) -> float:
    """Return how wide the swatch of a class is in which its number stands."""
    return (0.9 + 0.6 * len(str(field.classes - 1))) * letter


def numbers_width(field: Field | None, letter: float) -> float:
    """Return how much of a line the classes' numbers take; nothing where there are none."""
    if field is None or field.kind != "classes":
        return 0.0
    return number_width(field, letter) * min(field.classes, _most_shown(field)) + letter


def _most_shown(field: Field) -> int:
    return int(_LEGEND / number_width(field, 1.0))


def axes_caption(slice: Slice, letter: float, width: float) -> str:
    """Return what the axes are, in a line of `width` pixels and letters of `letter` pixels; long names are shortened for it."""
    stretched = "   (not to scale)" if not slice.is_to_scale else ""
    u, v = (" … ".join(from_to(*ends)).replace("-", "\N{MINUS SIGN}") for ends in slice.bounds)
    room = width - text_width(f"{ACROSS}  {u}   {UP}  {v}{stretched}", letter)
    first, second = slice.names
    if text_width(first, letter) + text_width(second, letter) > room:
        first = fitted(first, letter, max(room / 2, room - text_width(second, letter)))
        second = fitted(second, letter, room - text_width(first, letter))
    return f"{ACROSS} {first} {u}   {UP} {second} {v}{stretched}"


def background_caption(snapshot: Snapshot) -> str:
    """Return what the background and the lines are, in a line."""
    engine = "exact lines" if snapshot.boundaries.exact else _on_grid(snapshot)
    if snapshot.boundaries.exact and snapshot.decision is not None and not snapshot.decision.exact:
        engine += _on_decision(snapshot)
    return "   ".join([engine, _mode(snapshot), _field_words(snapshot.field), *_smooth(snapshot)])


def _widest(snapshot: Snapshot) -> list[str]:
    """Return phrases as long as those of the caption may become in a run, whose pictures shall all have one size."""
    field = snapshot.field
    words = _field_words(field)
    if field is not None and field.kind != "classes":
        words = f"{_shown(field)}: dark {_WIDE} … light {_WIDE}"
    engine = _on_grid(snapshot) if field is None or field.kind == "value" else f"exact lines{_on_decision(snapshot)}"
    return [engine, _mode(snapshot), words, *_smooth(snapshot)]


def _on_grid(snapshot: Snapshot) -> str:
    return f"lines from a {snapshot.capture.resolution}² grid"


def _on_decision(snapshot: Snapshot) -> str:
    return f", decision on {snapshot.capture.resolution}²"


def _mode(snapshot: Snapshot) -> str:
    return "eval mode" if snapshot.capture.mode == "eval" else "modes as they are"


def _smooth(snapshot: Snapshot) -> list[str]:
    return [] if all(layer.op in KINKED for layer in snapshot.layers) else ["smooth: on above 0"]


def _shown(field: Field) -> str:
    """Return what the number is that greys show."""
    one = field.names[1] if len(field.names) > 1 else "class 1"
    how = " by softmax" if field.what == "softmax" else ""
    return f"p({one}){how}" if field.kind == "probability" else field.what


def _field_words(field: Field | None) -> str:
    if field is None:
        return "no background"
    if field.kind == "classes":
        what = "classes" if field.above is None else "sigmoid outputs"
        repeat = "colours repeat, " if field.classes > CLASS_HUES else ""
        return f"winner of {field.classes:,} {what} ({repeat}paler: less sure)"
    if not np.isfinite(field.value).any():
        return f"{_shown(field)}: nowhere finite"
    low, high = field_span(field)
    ends = " … light ".join(from_to(low, high)).replace("-", "\N{MINUS SIGN}")
    return f"{_shown(field)}: dark {ends}"


def field_span(field: Field) -> tuple[float, float]:
    """Return the values of the darkest and the lightest tone.

    Probabilities run from 0 to 1, and a winner's from 1 / C, the least that it can have, unless it is a sigmoid. An output has the
    limits that its activation gives it, and without any its finite range on the slice. Where that reaches well to either side of 0,
    the shorter side is made as long as the other, so that the middle grey is where a logit decides: from three tenths of it on, and
    below a tenth not at all. In between it grows evenly, so that the tones of a movie do not jump.

    >>> field_span(Field("value", np.array([[-1.0, 3.0]]))), field_span(Field("value", np.array([[-613.0, 0.07]])))
    ((-3.0, 3.0), (-613.0, 0.07))
    """
    if field.kind == "classes":
        return (1 / field.classes if field.above is None else 0.0), 1.0
    if field.kind == "probability" or field.limits is not None:
        return field.limits or (0.0, 1.0)
    finite = field.value[np.isfinite(field.value)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if not low < 0 < high:
        return low, high
    shorter, longer = sorted((-low, high))
    shorter += (longer - shorter) * min(1.0, max(0.0, (shorter / longer - _BESIDE) / (_BOTH - _BESIDE)))
    return (-shorter, longer) if -low < high else (-longer, shorter)


def from_to(low: float, high: float, digits: int = 3) -> tuple[str, str]:
    """Return the ends of a range as numbers of `digits`, and more where the range is small beside them.

    >>> from_to(-1.70444, 7.35), from_to(2018.58, 2023.88), from_to(0.0448, 1.036)
    (('-1.7', '7.35'), ('2018.6', '2023.9'), ('0.0448', '1.04'))
    """
    most, span = max(abs(low), abs(high)), high - low
    if span > 0 and most > span:
        digits = min(15, digits + math.floor(math.log10(most / span)))
    return f"{low:.{digits}g}", f"{high:.{digits}g}"
