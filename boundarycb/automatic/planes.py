"""The slice that training data suggest: the box around 2-D inputs, else the plane through three samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from boundarycb import slices
from boundarycb.automatic.calls import Asked
from boundarycb.render.inputs import is_image
from boundarycb.types import Floats, Slice

_FLAT = 1e-5
"""Height of three samples' triangle by its length, below which they lie on one line but for single precision's rounding."""

NOT_FINITE = "`slice` cannot be guessed: each sample of the first batch holds a number that is NaN or infinite; look at your data."

_MARGIN = 0.25  # beyond the three samples, of their extent: room for what they look like


def plane_of(
    values: Floats,
    labels: NDArray[np.int64] | None,
    class_names: Sequence[str] = (),
    *,
    rows: Sequence[int] | None = None,
    seen: Floats | None = None,
) -> tuple[Slice, int]:
    """Return the plane through three of the samples `values` (n, *shape), and the row of the first.

    Args:
        values: samples.
        labels: their classes (n,); the three are of different ones as far as there are any.
        class_names: what classes are called.
        rows: which three; by default the first that span a plane.
        seen: inputs that tell the range of valid ones, of images.

    Raises:
        Asked: no three of them span a plane.
    """
    chosen = list(rows) if rows is not None else _spanning(values, labels)
    names = () if labels is None or (labels[chosen] < 0).all() else [class_name(int(labels[row]), class_names) for row in chosen]
    a, b, c = values[chosen]
    plane = slices.through(a, b, c, margin=_MARGIN, names=names)
    if abs(plane.anchors[2, 1]) < _FLAT * abs(plane.anchors).max():  # rounding alone tells where "towards c" is
        plane = replace(plane, names=(plane.names[0], "across; a, b and c lie on one line"))
    if seen is not None and is_image(plane.input_shape):
        axes = (0, 2, 3)  # a range for each channel
        plane = slices.limited(plane, seen.min(axis=axes)[:, None, None], seen.max(axis=axes)[:, None, None])
    return plane, chosen[0]


def class_name(label: int, class_names: Sequence[str]) -> str:
    """Return what a class is called.

    >>> class_name(1, ["cat", "dog"]), class_name(1, []), class_name(-100, [])
    ('dog', 'class 1', 'no class')
    """
    if label < 0:
        return "no class"
    return str(class_names[label]) if label < len(class_names) else f"class {label}"


def _spanning(values: Floats, labels: NDArray[np.int64] | None) -> list[int]:
    """Return three rows that span a plane, the first of different classes where there are labels."""
    finite = np.flatnonzero(np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if not len(finite):
        raise Asked(NOT_FINITE)
    order = list(_by_class(finite, labels))
    chosen: list[int] = []
    for row in order:
        if _adds_to([values[one] for one in chosen], values[row]):
            chosen.append(row)
        if len(chosen) == 3:
            return chosen
    raise Asked(
        f"`slice` cannot be guessed: a plane needs three inputs that do not lie on one line, and {len(values)} had {len(chosen)}; "
        "give one, such as slices.through(a, b, c)."
    )


def _by_class(rows: NDArray[np.int64], labels: NDArray[np.int64] | None) -> Iterator[int]:
    """Yield `rows`: the first of each class, then the others."""
    if labels is None:
        yield from rows.tolist()
        return
    classes, first = np.unique(labels[rows], return_index=True)
    leading = np.sort(first[classes >= 0])
    yield from rows[leading].tolist()
    yield from np.delete(rows, leading).tolist()


def _adds_to(known: list[Floats], value: Floats) -> bool:
    """Return whether a sample does not lie on the line, or in the point, that is `known`."""
    if len(known) < 2:
        return not known or bool((value != known[0]).any())
    try:
        slices.through(known[0], known[1], value)
    except ValueError:
        return False
    return True
