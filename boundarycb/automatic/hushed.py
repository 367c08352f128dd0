"""Guesses that fail leave no warnings behind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boundarycb.warning import BoundaryWarning

_OURS = str(Path(__file__).parents[1])


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back what is warned of meanwhile, and show it at the end: but for what torch says of a guess that failed.

    A model that is called as it never is in training may do what torch warns of, such as to index a tensor with a name, before it
    fails; such warnings name a line of ours. Filters are left as they are: to change them would have Python show again what it
    shows once.
    """
    held: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    shown, failed = warnings.showwarning, True

    def hold(*told: Any, **more: Any) -> None:
        held.append((told, more))

    warnings.showwarning = hold
    try:
        yield
        failed = False
    finally:
        if warnings.showwarning is hold:
            warnings.showwarning = shown
        for told, more in held:
            if not failed or issubclass(told[1], BoundaryWarning) or not str(told[2]).startswith(_OURS):
                shown(*told, **more)
