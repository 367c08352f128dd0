"""What a user says of where and how to look, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from boundarycb import slices
from boundarycb.automatic.data import Data
from boundarycb.automatic.varying import VaryLike
from boundarycb.probe import ForwardLike
from boundarycb.types import Slice

SliceLike = Slice | Sequence[Any] | Callable[[], Slice] | None
"""A slice, or a function that makes it; two ranges, of a box; three samples, or the places of three; None for what data suggest."""


@dataclass(frozen=True, eq=False)
class Given:
    """What a user said.

    Args:
        slice: where to look.
        inputs: an example of what the model is called with.
        vary: what of it varies.
        forward: how to run the model.
        class_names: what classes are called.
        data: samples of the data, or None for those of a training batch.

    Raises:
        TypeError: one is of another kind.
        ValueError: `forward` and `vary` are both given.
    """

    slice: SliceLike = None
    inputs: Any = None
    vary: VaryLike = None
    forward: ForwardLike | None = None
    class_names: Sequence[str] = ()
    data: Any = None

    def __post_init__(self) -> None:
        if self.forward is not None and not callable(self.forward):
            raise TypeError(f"`forward` must be a function (model, inputs) -> output, got {type(self.forward).__name__}.")
        if isinstance(self.vary, bool) or not (self.vary is None or isinstance(self.vary, (str, int))):
            raise TypeError(f"`vary` must be the name or place of an argument, or the path of a module, got {self.vary!r}.")
        if self.forward is not None and self.vary is not None:
            raise ValueError("Give `forward` or `vary`, not both: your function says what varies.")
        object.__setattr__(self, "class_names", _checked_names(self.class_names))
        ranges = _ranges(self.slice)
        if ranges is not None:  # as a configuration file can say them
            object.__setattr__(self, "slice", slices.box(*ranges))
        _checked_slice(self.slice)
        if self.data is not None and not isinstance(self.data, Data):
            object.__setattr__(self, "data", Data.of(self.data))

    @property
    def needs_example(self) -> bool:
        """Whether it takes an example of the data to know where to look."""
        known = isinstance(self.slice, Slice) or callable(self.slice)
        return self.inputs is None and (not known or self.vary is not None)

    def allows(self, slice: Slice) -> bool:
        """Return whether `slice` may be the one that the user means; of one that the data tell nothing is known."""
        if not isinstance(self.slice, Slice):
            return True
        mine, same = self.slice, np.array_equal
        arrays = ((mine.origin, slice.origin), (mine.axes, slice.axes), (mine.bounds, slice.bounds))
        return mine.names == slice.names and all(same(one, other) for one, other in arrays)

    @property
    def places(self) -> tuple[int, int, int] | None:
        """The places of three samples, where `slice` is such."""
        if isinstance(self.slice, (tuple, list)) and all(isinstance(one, (int, np.integer)) for one in self.slice):
            a, b, c = (int(one) for one in self.slice)
            return a, b, c
        return None


def _checked_names(given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"`class_names` must be a list of words, got {given!r}.")
    return tuple(given)


def _ranges(given: Any) -> Any:
    """Return the two pairs of numbers that `given` is, or None where it is something else."""
    pairs = given.tolist() if hasattr(given, "tolist") and getattr(given, "shape", None) == (2, 2) else given
    if not isinstance(pairs, (tuple, list)) or len(pairs) != 2:
        return None
    pairs = [pair.tolist() if hasattr(pair, "tolist") else pair for pair in pairs]
    if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        return None
    numbers = [[number.item() if np.ndim(number) == 0 and hasattr(number, "item") else number for number in pair] for pair in pairs]
    return numbers if all(isinstance(number, (int, float)) for pair in numbers for number in pair) else None


def _checked_slice(given: Any) -> None:
    """Raise TypeError where `given` is no slice, nor three samples; ValueError where two of these are one."""
    if given is None or isinstance(given, Slice) or callable(given):
        return
    if isinstance(given, (tuple, list)) and len(given) == 3:
        if all(isinstance(one, (int, np.integer)) for one in given) and len(set(given)) < len(given):
            raise ValueError(f"`slice` must name three different samples by their places, got {given!r}.")
        return
    if hasattr(given, "shape") and len(given.shape) > 1 and given.shape[0] == 3:
        return
    raise TypeError(
        "`slice` must be made by boundarycb.slices, such as slices.box((-1, 1), (-1, 1)), or be the two ranges of a box, three "
        f"samples or the places of three, got {type(given).__name__}."
    )
