"""Traces as a file of tensors and plain values, which ``torch.load(weights_only=True)`` reads, and back.

A resumed run compares its first sample with the last one before the checkpoint, of which it needs maps and inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from boundarycb.nested import changed, is_plain, leaves
from boundarycb.probe import calls
from boundarycb.probe.affine import Affine, Step
from boundarycb.probe.feed import PLAIN
from boundarycb.probe.trace import Replay, Trace
from boundarycb.types import Layer

MOST_BYTES = 64 * 2**20
"""Of a file of traces: more is not written."""

_HOMES = {"torch.nn.functional": F, "torch.Tensor": torch.Tensor, "torch": torch, "boundarycb": calls}
_PLAIN = (*PLAIN, torch.Size, torch.dtype, torch.device)


class NotPlain(ValueError):  # noqa: N818 - it is a finding
    """Something in a trace is no tensor and no plain value."""


def save_traces(traces: Sequence[Trace], path: Path) -> bool:
    """Write `traces` to a file, whole or not at all; return whether they are there, which too large ones are not.

    Raises:
        OSError: the file cannot be written.
    """
    if bytes_of([_tensors(trace) for trace in traces]) > MOST_BYTES:
        return False
    return save_plain([_trace_out(trace) for trace in traces], path)


def save_plain(value: Any, path: Path) -> bool:
    """Write plain values and tensors to a file, whole or not at all; return that they are there.

    Raises:
        OSError: the file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        torch.save(value, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return True


def load_plain(path: Path, device: torch.device | str = "cpu") -> Any:
    """Return what a file holds, on `device`.

    Raises:
        Exception: there is no file, or it is damaged.
    """
    return torch.load(path, map_location=device, weights_only=True)


def bytes_of(value: Any) -> int:
    """Return how many bytes the tensors and byte strings in `value` take."""
    found = [leaf for _, leaf in leaves(value)]
    return sum(len(leaf) for leaf in found if isinstance(leaf, bytes)) + sum(
        leaf.numel() * leaf.element_size() for leaf in found if isinstance(leaf, torch.Tensor)
    )


def load_traces(path: Path, device: torch.device) -> tuple[Trace, ...]:
    """Return the traces that a file holds, on `device`.

    Raises:
        Exception: there is no file, or it is damaged.
    """
    return tuple(_trace_in(said) for said in load_plain(path, device))


def _tensors(trace: Trace) -> list[torch.Tensor]:
    if trace.replay is None:
        return [trace.z]
    weights = (one for step in trace.replay.affine.steps for one in step.tensors())
    return [trace.z, trace.replay.source, trace.replay.scale, *weights]


def _trace_out(trace: Trace) -> dict[str, Any]:
    try:
        replay = None if trace.replay is None else _replay_out(trace.replay)
    except NotPlain:
        replay = None  # an odd layer goes without
    said = _named(trace) | {"layer": _named(trace.layer), "replay": replay}
    return said | {"z": _compact(trace.z), "strength": _compact(trace.strength)}


def _trace_in(said: Mapping[str, Any]) -> Trace:
    replay = said["replay"]
    return Trace(**{**said, "layer": Layer(**said["layer"]), "replay": None if replay is None else _replay_in(replay)})


def _replay_out(replay: Replay) -> dict[str, Any]:
    steps = [_step_out(step) for step in replay.affine.steps]
    tensors = {name: _compact(getattr(replay, name)) for name in ("source", "scale", "norms")}
    return _named(replay) | {"affine": {"module": replay.affine.module, "steps": steps}} | tensors


def _replay_in(said: Mapping[str, Any]) -> Replay:
    affine = Affine(said["affine"]["module"], tuple(_step_in(step) for step in said["affine"]["steps"]))
    return Replay(**{**said, "affine": affine})


def _step_out(step: Step) -> dict[str, Any]:
    if not is_plain([step.args, dict(step.kwargs)], _PLAIN):
        raise NotPlain(step.function)
    args, kwargs = changed((step.args, dict(step.kwargs)), lambda _, leaf: _compact(leaf))
    return {"function": _name_of(step.function), "args": args, "kwargs": kwargs, "place": step.place}


def _step_in(said: Mapping[str, Any]) -> Step:
    home, _, name = said["function"].rpartition(":")
    return Step(getattr(_HOMES[home], name), tuple(said["args"]), said["kwargs"], said["place"])


def _compact(value: Any) -> Any:
    """Return a tensor that is all of its memory: a part of a larger one would be written as that; anything else as it is."""
    if not isinstance(value, torch.Tensor) or value.untyped_storage().nbytes() == value.numel() * value.element_size():
        return value
    return value.clone(memory_format=torch.contiguous_format)


def _name_of(function: Any) -> str:
    for home, owner in _HOMES.items():
        for name in {getattr(function, "__name__", ""), f"__{getattr(function, '__name__', '')}__"}:
            if getattr(owner, name, None) is function:
                return f"{home}:{name}"
    raise NotPlain(function)


def _named(value: Any) -> dict[str, Any]:
    """Return the fields of a data class by name."""
    return {field.name: getattr(value, field.name) for field in fields(value)}
