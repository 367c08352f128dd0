"""What failed of ours is dropped with one warning, and training goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from boundarycb.warning import warn
from boundarycb.words import in_line

T = TypeVar("T")


def attempt(act: Callable[[], T], warning: str) -> T | None:
    """Return what `act` gives; where it fails say `warning` and why, and return None."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - whatever it is, the user's training matters more
        warn(f"{warning} {in_words(error)}")
        return None


def attempt_part(parts: list[Any], part: Any, act: Callable[[], T]) -> T | None:
    """Return what `act` gives; where it fails drop `part` from `parts`, say so, and return None."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - as above
        parts[:] = [other for other in parts if other is not part]
        warn(f"{name_of(part)} failed and is dropped; training and other outputs go on. {in_words(error)}")
        return None


def in_words(error: BaseException) -> str:
    """Return an error in a line.

    >>> in_words(ValueError("no"))
    '(ValueError: no)'
    """
    return f"({in_line(error)})"


def name_of(part: Any) -> str:
    """Return what a user calls a metric or a sink.

    >>> name_of(partial(print, 1))
    'print'
    """
    while isinstance(part, partial):
        part = part.func
    name: str = getattr(part, "__name__", type(part).__name__)
    return name
