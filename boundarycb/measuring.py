"""Metrics as users give them: checked, named, run on a sample, their values sorted by kind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from boundarycb.failing import name_of
from boundarycb.types import Array, Metric, Sample, frozen
from boundarycb.words import in_line

Kinds = dict[str, dict[str, Any]]
"""``metrics`` (numbers), ``per_unit`` (arrays) and ``tables``, each by name: what a Snapshot has."""


def checked_metrics(metrics: Any) -> list[Metric]:
    """Return `metrics` as a list; raise TypeError where it is no list of callables."""
    ask = "`metrics` must be a list of functions of a sample, such as [*metrics.default(), mine]"
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise TypeError(f"{ask}, got {getattr(metrics, '__name__', repr(metrics))}.")
    found: list[Metric] = list(metrics)
    for metric in found:
        if not callable(metric):
            raise TypeError(f"{ask}, got {metric!r:.80} in it.")
    return found


def is_needed(part: str, metrics: Iterable[Metric]) -> bool:
    """Return whether one of `metrics` needs `part`; see :func:`boundarycb.types.needs`."""
    return any(part in getattr(_inner(metric), "needs", ()) for metric in metrics)


def no_values() -> Kinds:
    """Return what no metric gives."""
    return {"metrics": {}, "per_unit": {}, "tables": {}}


def measure(metric: Metric, sample: Sample, taken: Sequence[Collection[str]] = ()) -> Kinds:
    """Return a metric's values by kind.

    Args:
        metric: the metric.
        sample: what it looks at.
        taken: names that other metrics gave.

    Raises:
        RuntimeError: the metric failed.
        TypeError: it gave something that cannot be kept.
        ValueError: it gave a name that is taken.
    """
    who = f"The metric `{name_of(metric)}`"
    try:
        values: Any = metric(sample)
    except Exception as error:
        raise RuntimeError(f"{who} failed ({in_line(error)}); mend it, or leave it out of `metrics`.") from error
    if not isinstance(values, Mapping):
        raise TypeError(f"{who} must return values by name, as in {{'lines': 3.0}}, got {type(values).__name__}.")
    kinds = no_values()
    for name, value in values.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"{who} must name its values by text, got {name!r}.")
        if name == "seconds":
            raise ValueError(f"{who} gives `seconds`, which is what sampling takes; rename it.")
        if any(name in others for others in taken):
            raise ValueError(f"{who} gives `{name}`, which another metric gives already; leave one of them out, or rename it.")
        kind, plain = _sorted(value)
        if kind is None:
            kept = "a number, an array of numbers or a list of dicts of numbers and text"
            raise TypeError(f"{who} must give {kept} for `{name}`, got {value!r:.80}.")
        kinds[kind][name] = plain
    return kinds


def _sorted(value: Any) -> tuple[str | None, Any]:
    """Return the kind of `value`, None for one that cannot be kept, and the value as it is kept."""
    try:
        if hasattr(value, "detach"):  # a tensor, of any precision
            value = np.array(value.detach().tolist())
        if isinstance(value, int):
            value = float(value)
    except (OverflowError, RuntimeError, TypeError, ValueError):
        return None, value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return ("per_unit", _copied(value)) if value.ndim else ("metrics", float(value))
    if isinstance(value, list) and all(_is_row(row) for row in value):
        return "tables", [{key: _plain(cell) for key, cell in row.items()} for row in value]
    return ("metrics", float(value)) if isinstance(value, (bool, int, float, np.number, np.bool_)) else (None, value)


def _copied(values: Array) -> Array:
    """Return a copy that no one writes to: a metric may go on with its own. Of floats wider than 64 bits there are no files."""
    wide = values.dtype.kind == "f" and values.dtype.itemsize > np.dtype(np.float64).itemsize
    return frozen(np.array(values, dtype=np.float64 if wide else None))


def _is_row(row: Any) -> bool:
    plain = (bool, int, float, str, np.integer, np.floating, np.bool_, type(None))
    return isinstance(row, dict) and all(isinstance(key, str) and isinstance(cell, plain) for key, cell in row.items())


def _plain(cell: Any) -> Any:
    """Return a number of numpy's as one of Python's; anything else as it is."""
    kinds = ((np.bool_, bool), (np.integer, int), (np.floating, float))
    return next((make(cell) for kind, make in kinds if isinstance(cell, kind)), cell)


def _inner(part: Any) -> Any:
    """Return what a ``functools.partial`` calls; anything else as it is."""
    while isinstance(part, partial):
        part = part.func
    return part
