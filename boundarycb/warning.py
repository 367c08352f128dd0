"""Warnings of ours, which point at the user's own line."""

from __future__ import annotations

import logging
import sys
import warnings
from types import FrameType

log = logging.getLogger(__name__)


class BoundaryWarning(UserWarning):
    """Something of boundarycb was left out or failed; training was not touched."""


_BETWEEN = {"boundarycb", "torch", "lightning", "pytorch_lightning", "lightning_fabric", "contextlib", "functools"}
"""Whose calls lie between a user's line and ours."""


def warn(words: str, line: tuple[str, int] | None = None) -> None:
    """Warn the user, of the line of theirs that led here, or of `line`.

    Where warnings are made errors, log it instead, since training shall not end for a warning of ours.
    """
    try:
        if line is None:
            warnings.warn(words, BoundaryWarning, stacklevel=_users_frame()[0] - 1)
        else:
            warnings.warn_explicit(words, BoundaryWarning, *line)
    except BoundaryWarning:
        log.warning(words)


def users_line() -> tuple[str, int]:
    """Return the file and the number of the line of the user's that led here."""
    frame = _users_frame()[1]
    return frame.f_code.co_filename, frame.f_lineno


def _users_frame() -> tuple[int, FrameType]:
    """Return how many calls above this one the user's own lies, and its frame."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    return level, frame
