"""What the classes of an output are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from boundarycb.types import Capture

_ONE_LOGIT = "Of one logit, output=lambda z: torch.cat([0 * z, z], 1) makes two scores, with a border where it is 0."


def with_class_names(capture: Capture, names: Sequence[str]) -> Capture:
    """Return `capture` with the names of its classes.

    Raises:
        ValueError: there are not as many names as classes.
    """
    field = capture.field
    if field is None or not names:
        return capture
    if field.kind == "value" or len(names) != field.classes:
        classes = "one number, and no classes" if field.kind == "value" else f"{field.classes} classes"
        more = "" if field.kind != "value" or len(names) != 2 else f" {_ONE_LOGIT}"
        raise ValueError(
            f"`class_names` has {len(names)} {'name' if len(names) == 1 else 'names'}, and the model's output has {classes}.{more}"
        )
    return replace(capture, field=replace(field, names=tuple(names)))
