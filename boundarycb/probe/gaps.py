"""What a pass could not read, in words: one phrase for all calls of a module, and for all parts that run on some points alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

TRANSPOSED = "`inputs=X.transpose(0, 1), forward=lambda m, x: m(x.transpose(0, 1)).transpose(0, 1)`"
"""How to look at a model whose batch is the second axis of what it is called with, X."""

_NAMED = 4  # parts in a phrase


class Gaps:
    """What one pass of `n` points left out.

    Args:
        n: points.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._notes: dict[str, None] = {}  # in their order
        self._calls: dict[str, list[tuple[int, ...]]] = {}  # shapes, by the layer's name without the number of its call

    def note(self, words: str) -> None:
        """Say something, once."""
        self._notes[words] = None

    def leave_out(self, name: str, shape: Sequence[int]) -> None:
        """Say that the call named `name` has a pre-activation of `shape`, in which no point has a row of its own."""
        self._calls.setdefault(re.sub(r"\.call\d+$", "", name), []).append(tuple(shape))

    @property
    def is_shaped_otherwise(self) -> bool:
        """Whether a call is left out for its shape, and not since it runs on a part of the points."""
        return len(self._calls) > len(self._routed())

    def words(self) -> tuple[str, ...]:
        """Return all of it."""
        routed, words = self._routed(), list(self._notes)
        for name, shapes in self._calls.items():
            if name not in routed:
                which = "" if len(shapes) == 1 else f" at {len(shapes)} calls"
                words.append(f"{name}: left out{which}, since its pre-activation of shape {shapes[0]} is not one row a point")
        if routed:
            named = ", ".join(routed[:_NAMED]) + (f" and {len(routed) - _NAMED} more" if len(routed) > _NAMED else "")
            words.append(
                f"{named}: left out, since such a part runs on a part of the points only (routing); give a `forward` that runs all "
                "of them on all points"
            )
        return tuple(words)

    def _routed(self) -> list[str]:
        """Return the layers that run on a part of the points: fewer rows than points, and not equally many everywhere."""
        fewer = {name: shapes for name, shapes in self._calls.items() if all(shape and shape[0] < self._n for shape in shapes)}
        counts = {shape[0] for shapes in fewer.values() for shape in shapes}
        return [name for name, shapes in fewer.items() if len(counts) > 1 and all(len(shape) == 2 for shape in shapes)]
