"""Settles on which slice a model is looked at, and how points of it go in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from boundarycb import slices
from boundarycb.automatic.calls import Asked, Call, Example, takes_several
from boundarycb.automatic.planes import plane_of, rows_of
from boundarycb.automatic.varying import VaryLike, feed_for
from boundarycb.keep import random_state_kept
from boundarycb.nested import leaves
from boundarycb.probe import Conditions, Feed, ForwardLike, NothingToDraw, probe
from boundarycb.types import Floats, Slice

SliceLike = Slice | Sequence[Any] | Callable[[], Slice] | None
"""A slice, or a function that makes it; three samples, or the places of three; None for what the data suggest."""

_ITEMS = 4096  # of the training data that are read for the bounds of a box
_TRIED = 13  # points of a trial: fewer could be taken for another axis


class NotGuessed(ValueError):  # noqa: N818 - it is a finding
    """No way to call the model with a training batch worked; to see how it is called would tell."""


@dataclass(frozen=True, eq=False)
class Given:
    """What a user said.

    Args:
        slice: where to look.
        inputs: an example of what the model is called with.
        vary: what of it varies.
        forward: how to run the model.
        class_names: what classes are called.
    """

    slice: SliceLike = None
    inputs: Any = None
    vary: VaryLike = None
    forward: ForwardLike | None = None
    class_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.forward is not None and not callable(self.forward):
            raise TypeError(f"`forward` must be a function (model, inputs) -> output, got {type(self.forward).__name__}.")
        if isinstance(self.vary, bool) or not (self.vary is None or isinstance(self.vary, (str, int))):
            raise TypeError(f"`vary` must be the name or place of an argument, or the path of a module, got {self.vary!r}.")
        if self.forward is not None and self.vary is not None:
            raise ValueError("Give `forward` or `vary`, not both: your function says what varies.")
        object.__setattr__(self, "class_names", _checked_names(self.class_names))
        _checked_slice(self.slice)

    def needs_example(self, model: nn.Module) -> bool:
        """Return whether it takes an example of the data to know where to look at `model`, and how."""
        if self.inputs is not None:
            return False
        known = isinstance(self.slice, Slice) or callable(self.slice)
        return not known or self.vary is not None or (self.forward is None and takes_several(model))


@dataclass(frozen=True, eq=False)
class Settled:
    """Where and how a model is looked at.

    Args:
        slice: where.
        conditions: how.
        rows: of a training step's batches; 0 where that is not known.
    """

    slice: Slice
    conditions: Conditions
    rows: int


def settle(model: nn.Module, conditions: Conditions, given: Given, example: Example | None) -> Settled:
    """Return where and how to look at `model`.

    Args:
        model: the model; it is run on a few samples, and left as it was.
        conditions: how it is run, but for what goes in.
        given: what the user said.
        example: what is known of the data.

    Raises:
        ValueError: it cannot be found out; the message says what to give.
    """
    known = example if given.inputs is None else Example(call=Call.of(given.inputs))
    if known is None:
        return _without_example(conditions, given)
    calls = known.calls(model)
    failures: list[tuple[Call, Exception]] = []
    for call in calls:
        try:
            return _tried(model, conditions, given, known, call)
        except Exception as error:  # noqa: BLE001 - whatever the model makes of a batch that is not for it
            failures.append((call, error))
    if isinstance(given.slice, Slice) and given.vary is None and given.inputs is None:
        return _without_example(conditions, given)  # the model may take what the slice has, whatever the batches are
    raise _explained(model, failures)


def _without_example(conditions: Conditions, given: Given) -> Settled:
    if not isinstance(given.slice, Slice):
        raise Asked("`slice` cannot be guessed without training data; give one, such as slices.box((-1, 1), (-1, 1)).")
    return Settled(given.slice, replace(conditions, feed=Feed(forward=given.forward)), 0)


def _tried(model: nn.Module, conditions: Conditions, given: Given, example: Example, call: Call) -> Settled:
    """Return what follows from one way to call the model; raise whatever it raises."""
    shape = given.slice.input_shape if isinstance(given.slice, Slice) and given.vary is None else None
    feed = feed_for(model, call, given.vary, shape)
    if given.forward is not None:
        feed = Feed(feed.args, feed.kwargs, feed.place, rows=feed.rows, forward=given.forward)
    with probe(model, replace(conditions, feed=feed, verify=False)) as forward:
        values = forward.examples()
        forward(np.resize(values, (_TRIED, *values.shape[1:])))
    labels = example.labels(len(values), call)
    plane, row = _laid(given, example, values, None if labels is None else labels.cpu().numpy())
    held = feed.forward is None and not feed.is_plain
    feed = feed.at_row(row) if held else Feed(forward=given.forward)
    return Settled(plane, replace(conditions, feed=feed), len(values) * example.batches)


def _laid(given: Given, example: Example, values: Floats, labels: NDArray[np.int64] | None) -> tuple[Slice, int]:
    """Return the slice, and the row of the example at which everything else is held."""
    if isinstance(given.slice, Slice):
        return given.slice, 0
    size = values[0].size
    if size < 2:
        raise Asked("`slice` is 2-D, and the model's inputs are single numbers: there is nothing to show.")
    rows = rows_of(given.slice)
    if rows is not None:
        return _through_rows(rows, given, example, values, labels)
    if given.slice is not None and not callable(given.slice):
        a, b, c = given.slice
        return slices.through(a, b, c), 0
    if size == 2 and given.vary is None:
        read = list(_items(example, values.shape[1:], _ITEMS))
        return slices.around(np.stack([value for value, _ in read]) if read else values, shape=values.shape[1:]), 0
    samples, classes = _enough(example, values, labels)
    plane, row = plane_of(samples, classes, given.class_names)
    return plane, row if samples is values else 0


def _enough(example: Example, values: Floats, labels: NDArray[np.int64] | None) -> tuple[Floats, NDArray[np.int64] | None]:
    """Return the batch's samples, or where they are fewer than three some of the training data's."""
    if len(values) >= 3:
        return values, labels
    read = list(_items(example, values.shape[1:], 32))
    if len(read) < 3:
        return values, labels
    classes = [label for _, label in read if label is not None]
    return np.stack([value for value, _ in read]), np.array(classes) if len(classes) == len(read) else None


def _through_rows(
    rows: tuple[int, int, int], given: Given, example: Example, values: Floats, labels: NDArray[np.int64] | None
) -> tuple[Slice, int]:
    """Return the plane through the training data's items at `rows`, or, where those cannot be read, the batch's."""
    read = list(_items(example, values.shape[1:], rows))
    if read:
        classes = [label for _, label in read if label is not None]
        known = np.array(classes) if len(classes) == 3 else None
        return plane_of(np.stack([value for value, _ in read]), known, given.class_names, range(3))
    if not all(0 <= row < len(values) for row in rows):
        raise Asked(f"`slice` names the samples {rows}, and the batch has {len(values)}.")
    return plane_of(values, labels, given.class_names, rows)


def _items(example: Example, shape: tuple[int, ...], which: int | Sequence[int]) -> Iterator[tuple[Floats, int | None]]:
    """Yield input and class of some of the training data's items, `which` of them or that many; nothing where they are not such.

    They are read by index, so that the loader's order and its workers, and the random numbers of torch, numpy and python, stay as
    they are. A data set that draws from a generator of its own is moved on by it.
    """
    dataset = example.dataset
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        return
    count = len(dataset)
    places = which if not isinstance(which, int) else np.unique(np.linspace(0, count - 1, min(count, which)).round().astype(int))
    with random_state_kept():
        for place in places:
            try:
                parts = [slices.to_array(leaf) for _, leaf in leaves(dataset[int(place)])]
            except Exception:  # noqa: BLE001 - then the batch has to do
                return
            inputs = [part for part in parts if part.dtype.kind == "f" and part.shape == shape]
            classes = [int(part.reshape(-1)[0]) for part in parts if part.dtype.kind in "iu" and part.size == 1]
            if not inputs:
                return
            yield inputs[0].astype(np.float64), classes[0] if classes else None


def _checked_names(given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"`class_names` must be a list of words, got {given!r}.")
    return tuple(given)


def _checked_slice(given: Any) -> None:
    """Raise TypeError where `given` is no slice, nor three samples."""
    if given is None or isinstance(given, Slice) or callable(given):
        return
    if isinstance(given, (tuple, list)) and len(given) == 3:
        return
    if hasattr(given, "shape") and len(given.shape) > 1 and given.shape[0] == 3:
        return
    raise TypeError(
        "`slice` must be made by boundarycb.slices, such as slices.box((-1, 1), (-1, 1)), or be three samples or the places of "
        f"three, got {type(given).__name__}."
    )


def _explained(model: nn.Module, failures: Sequence[tuple[Call, Exception]]) -> Exception:
    """Return the error that says what was tried, and what to give."""
    name = type(model).__name__
    if not failures:
        return Asked(f"`inputs` is needed, since the training batch has no tensor: give an example of what {name} is called with.")
    asked = [error for _, error in failures if isinstance(error, (Asked, NothingToDraw))]
    if asked or len(failures) == 1:
        return asked[0] if asked else failures[0][1]
    tried = "; ".join(f"{name}{call}: {_root(error)}" for call, error in failures[:4])
    return NotGuessed(
        f"How {name} is called with a training batch could not be guessed: give `forward`, a function (model, inputs) -> output, "
        f"or `inputs`, an example of what it is called with. Tried {tried}."
    )


def _root(error: Exception) -> str:
    """Return what the model itself raised, in a line."""
    inner = error.__cause__ if isinstance(error.__cause__, Exception) else error
    words = " ".join(str(inner).split())
    return f"{type(inner).__name__}, {words if len(words) < 160 else words[:157] + '...'}"
