"""What a report says of one phenomenon, and the words and numbers that all of them use."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boundarycb.metrics.masks import defined
from boundarycb.report.run import Run
from boundarycb.types import Picture, Snapshot, spans_of
from boundarycb.words import listed, spoken

SHORT = 3  # layers whose figures stand in the summary


@dataclass(frozen=True, eq=False)
class Finding:
    """What a run says of one phenomenon.

    Args:
        name: of its picture.
        title: of its section.
        question: what is asked, and how it is measured, for a reader who has not met it.
        result: the figure that answers it, in a phrase.
        level: what to compare that with: chance, or another figure, in a phrase.
        columns: of the table: keys, and what stands at their heads.
        rows: of the table.
        note: what a reader of the table has to know of its figures, below it.
        sentences: what the figures say.
        caption: of the picture.
        draw: draws it; None where there is none.
    """

    name: str
    title: str
    question: str
    result: str
    level: str
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    note: str = ""
    sentences: Sequence[str] = ()
    caption: str = ""
    draw: Callable[[], Picture] | None = None


def percent(share: float) -> str:
    """Return a share in percent.

    >>> percent(0.123), percent(0.004), percent(0.0), percent(0.9972), percent(float("nan"))
    ('12 %', '0.4 %', '0 %', '99.7 %', '')
    """
    if not math.isfinite(share):
        return ""
    is_fine = 0 < abs(share) < 0.01 or 0.99 < abs(share) < 1
    return f"{100 * share:.1f} %" if is_fine else f"{100 * share:.0f} %"


def number(value: float, digits: int = 2) -> str:
    """Return a number with `digits` after the point; nothing for one that is not defined.

    >>> number(0.6666), number(-0.001), number(float("nan"))
    ('0.67', '0.00', '')
    """
    if not math.isfinite(value):
        return ""
    return f"{value + 0.0:.{digits}f}".replace(f"-{0:.{digits}f}", f"{0:.{digits}f}")


def count(value: float) -> str:
    """Return a whole number; nothing for one that is not defined.

    >>> count(1234.0), count(float("nan"))
    ('1,234', '')
    """
    return f"{value:,.0f}" if math.isfinite(value) else ""


def of_several(things: int, one: str, many: str = "") -> str:
    """Return a number of things in words.

    >>> of_several(1, "pair"), of_several(2, "pair"), of_several(0, "copy", "copies")
    ('1 pair', '2 pairs', 'no copies')
    """
    return f"{f'{things:,}' if things else 'no'} {one if things == 1 else many or one + 's'}"


def between(window: tuple[int, int]) -> str:
    """Return a window of steps in words.

    >>> between((0, 1200))
    'steps 0 to 1,200'
    """
    return f"steps {window[0]:,} to {window[1]:,}"


def says_classes(snapshot: Snapshot) -> bool:
    """Return whether something but the shape of the output says that it is scores of classes: a target, labels or names."""
    slice, field = snapshot.slice, snapshot.field
    has_labels = slice.marks is not None and bool((slice.marks.labels >= 0).any())
    by_class = any(re.fullmatch(r"class \d+", name) for name in slice.anchor_names)  # so samples with labels are called
    return slice.target is not None or has_labels or by_class or (field is not None and bool(field.names))


def whose(layers: Sequence[str]) -> str:
    """Return which layers figures that a slash parts are of: the first few, and how many more there are; nothing of one layer.

    >>> whose(["0", "encoder"]), whose(["0"]), whose(["a", "b", "c", "d"])
    (' (layer 0 / encoder)', '', ' (a / b / c), and 1 more below')
    """
    more = f", and {len(layers) - SHORT} more below" if len(layers) > SHORT else ""
    return f" ({' / '.join(map(spoken, layers[:SHORT]))}){more}" if len(layers) > 1 else ""


def guesses_classes(snapshot: Snapshot) -> bool:
    """Return whether outputs are taken for scores of classes and nothing says so: they may be two numbers of a regression."""
    field = snapshot.field
    scores = field is not None and (field.kind == "classes" or (field.kind == "probability" and field.what == "softmax"))
    return scores and not says_classes(snapshot)


def live_units(snapshot: Snapshot, layer: str) -> str:
    """Return how many of a layer's units switch on the slice, of those that are finite there, in words."""
    span, good = spans_of(snapshot.layers).get(layer), defined(snapshot.capture)
    return "" if span is None else f"{int((snapshot.capture.switching() & good)[span].sum())} of {int(good[span].sum())}"


def of_the_finite(snapshot: Snapshot) -> str:
    """Return of how many units of a layer figures are, in a sentence; nothing where all are finite on the slice."""
    good = defined(snapshot.capture)
    some = [
        f"{int(good[span].sum())} of {span.stop - span.start} in {spoken(layer)}"
        for layer, span in spans_of(snapshot.layers).items()
        if not good[span].all()
    ]
    return f"Figures at the end are of the units that are finite everywhere on the slice: {listed(some)}." if some else ""


def start_and_end(run: Run, name: str, digits: int = 2) -> tuple[str, str]:
    """Return a number at the first snapshot, and at the end, in words."""
    return number(run.at_start(name), digits), number(run.at_end(name), digits)
