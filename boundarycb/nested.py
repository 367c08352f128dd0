"""Batches as they come: tensors in tuples, lists, mappings, named tuples and data classes, one inside the other.

A *path* is the keys that lead to a part: places in sequences, keys of mappings, names of fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import Any

Path = tuple[Any, ...]


def parts_of(value: Any) -> list[tuple[Any, Any]] | None:
    """Return keys and parts of a container, in their order; None where `value` is none.

    >>> parts_of({"x": 1, "y": (2, 3)}), parts_of("text")
    ([('x', 1), ('y', (2, 3))], None)
    """
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, (tuple, list)):
        return list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield path and value of everything in `value` that is no container.

    >>> list(leaves({"x": 1, "y": (2, [3])}))
    [(('x',), 1), (('y', 0), 2), (('y', 1, 0), 3)]
    """
    parts = parts_of(value)
    if parts is None:
        yield path, value
        return
    for key, part in parts:
        yield from leaves(part, (*path, key))


def changed(value: Any, change: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """Return `value` with ``change(path, leaf)`` in place of each leaf; containers are new ones, of the same kinds if they can be.

    >>> changed({"x": 1, "y": (2, [3])}, lambda path, leaf: 10 * leaf)
    {'x': 10, 'y': (20, [30])}
    """
    parts = parts_of(value)
    if parts is None:
        return change(path, value)
    made = {key: changed(part, change, (*path, key)) for key, part in parts}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*made.values())
    if isinstance(value, (tuple, list)):
        return list(made.values()) if isinstance(value, list) else tuple(made.values())
    if type(value) is dict:
        return made
    try:
        twin = copy(value)
        for key, part in made.items():
            if isinstance(value, Mapping):
                twin[key] = part
            else:
                object.__setattr__(twin, key, part)
    except Exception:  # noqa: BLE001 - some mappings cannot be copied, or written to
        return made if isinstance(value, Mapping) else value
    return twin


def at(value: Any, path: Path) -> Any:
    """Return the part of `value` at `path`.

    Raises:
        KeyError: there is none.

    >>> at({"y": (2, [3])}, ("y", 1, 0))
    3
    """
    for key in path:
        parts = dict(parts_of(value) or [])
        if key not in parts:
            raise KeyError(f"{key!r}: there is {', '.join(map(repr, parts)) or 'nothing in it'}")
        value = parts[key]
    return value


def is_plain(value: Any, kinds: tuple[type, ...]) -> bool:
    """Return whether `value` is of one of `kinds`, and of no class derived of them, or is made of such by tuples, lists and dicts.

    Keys must be text or whole numbers.

    >>> is_plain({"x": (1, [2])}, (int,)), is_plain({1}, (int,)), is_plain(True, (int,)), is_plain({1.5: 1}, (int,))
    (True, False, False, False)
    """
    if type(value) is dict and not all(type(key) in (str, int) for key in value):
        return False
    if type(value) in (tuple, list, dict):
        return all(is_plain(part, kinds) for _, part in parts_of(value) or [])
    return type(value) in kinds


def spelled(path: Path) -> str:
    """Return `path` as users write it.

    >>> spelled(("batch", 0, "x"))
    'batch.0.x'
    """
    return ".".join(map(str, path))
