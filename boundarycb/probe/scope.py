"""Runs the user's model, sees every activation call, and leaves no trace.

>>> from torch import nn
>>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
>>> with probe(model) as forward:
...     reading = forward(np.zeros((5, 2)))
>>> [layer.name for layer in reading.layers], reading.z.shape
(['0'], (5, 3))

Module hooks, gone after the ``with``, tell which module is running; :mod:`boundarycb.probe.calls` tells how activations are seen.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn

from boundarycb.probe.calls import ACTIVATIONS, Call, CallWatch
from boundarycb.probe.restore import buffers_kept, eval_mode, logging_silenced, random_state_kept
from boundarycb.probe.trace import Trace, TraceWatch
from boundarycb.types import Floats, Reading

MAX_UNITS = 512
"""Default cap of watched units a layer: more lines than this in one colour cannot be told apart, and memory is bounded."""


class Prober:
    """The forward pass inside a :func:`probe` scope: a callable from inputs (n, *input_shape) to a Reading.

    Attributes:
        calls: the activation calls of the last forward pass, with the affine call behind each.
    """

    def __init__(self, model: nn.Module, running: list[str], max_units: int) -> None:
        self.calls: tuple[Call, ...] = ()
        self._model = model
        self._running = running
        self._max_units = max_units
        self._home = _home(model)

    def __call__(self, inputs: Floats) -> Reading:
        """Run the model once, on `inputs`, and return what it said.

        Raises:
            ValueError: the model cannot take inputs of this shape, or calls no activation.
        """
        self.calls = ()
        watch = CallWatch(len(inputs), self._running, self._max_units)
        output = self._run(self._batch(inputs), watch, inputs)
        self.calls = tuple(watch.calls)
        z = np.concatenate([_numpy(call.z) for call in watch.calls], axis=1)
        return Reading(tuple(call.layer for call in watch.calls), z, _output(output, len(inputs)), tuple(watch.gaps))

    def trace(self, inputs: Floats, names: Collection[str]) -> tuple[Trace, ...]:
        """Run the model once, on `inputs`, and keep of the layers called `names` their map and input: a trace a call.

        Raises:
            ValueError: the model cannot take inputs of this shape, or calls no activation.
        """
        batch = self._batch(inputs)
        watch = TraceWatch(len(inputs), self._running, self._max_units, names, batch)
        self._run(batch, watch, inputs)
        return tuple(watch.traces)

    def _batch(self, inputs: Floats) -> torch.Tensor:
        dtype, device = self._home
        return torch.from_numpy(np.ascontiguousarray(inputs)).to(device=device, dtype=dtype)

    def _run(self, batch: torch.Tensor, watch: CallWatch, inputs: Floats) -> Any:
        try:
            with watch:
                output = self._model(batch)
        except Exception as error:
            raise ValueError(_failure(self._model, inputs, watch, error)) from error
        if not watch.calls:
            raise ValueError(_nothing_seen(self._model, watch))
        return output


@contextmanager
def probe(model: nn.Module, *, max_units: int = MAX_UNITS) -> Iterator[Prober]:
    """Open a scope in which `model` can be run and watched; at its end model and process are as they were.

    The model runs in eval mode, without gradients. Modes of every submodule, buffers and random number generators are put back,
    also after an error.

    Args:
        model: any module; it stays where it is (device, dtype).
        max_units: watched units a layer, evenly spread where a layer has more.

    Raises:
        TypeError: `model` is no module.
        ValueError: `max_units` is less than 1.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a torch.nn.Module, got {type(model).__name__}.")
    checked_max_units(max_units)
    with ExitStack() as scope:
        scope.enter_context(random_state_kept({parameter.device for parameter in model.parameters()}))
        scope.enter_context(buffers_kept(model))
        scope.enter_context(eval_mode(model))
        scope.enter_context(logging_silenced(model))
        scope.enter_context(torch.inference_mode(False))  # its tensors have no version, by which we see what was written into
        scope.enter_context(torch.no_grad())
        scope.enter_context(_eager())
        running = scope.enter_context(_running_module(model))
        prober = Prober(model, running, max_units)
        yield prober
        prober.calls = ()


def checked_max_units(max_units: int) -> int:
    """Return `max_units`; raise ValueError where it is no whole number of 1 or more."""
    if not isinstance(max_units, int) or isinstance(max_units, bool) or max_units < 1:
        raise ValueError(f"`max_units` must be a whole number of units, 1 or more, got {max_units!r}.")
    return max_units


@contextmanager
def _running_module(model: nn.Module) -> Iterator[list[str]]:
    """Keep a stack of the paths of the modules that are running; its first entry is the model itself, "".

    A module that stands in the tree twice has one path, the first. ``always_call`` empties the stack after an error too.
    """
    running = [""]
    handles = []
    try:
        for path, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue  # takes no hooks, and hides its activations
            handles.append(module.register_forward_pre_hook(lambda _module, _args, path=path: running.append(path)))
            handles.append(module.register_forward_hook(lambda *_: _leave(running), always_call=True))
        yield running
    finally:
        for handle in handles:
            handle.remove()


def _leave(running: list[str]) -> None:
    """Forget the module that ran last. Where a hook of the user's raised before ours ran, it was never entered."""
    if len(running) > 1:
        running.pop()


def _home(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return dtype and device of the model's first floating-point parameter, or buffer."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            if tensor.is_floating_point():
                return tensor.dtype, tensor.device
    return torch.get_default_dtype(), torch.device("cpu")


def _numpy(tensor: torch.Tensor) -> Floats:
    """Return `tensor` as float64 where it is, else as float32: half precision is read, never computed with."""
    wide = tensor if tensor.dtype == torch.float64 else tensor.float()
    array: Floats = wide.cpu().numpy()
    return array


def _output(output: Any, n: int) -> Floats | None:
    """Return the model's output as (n, C): the first tensor of a tuple, a list or a mapping; None where it is no vector a point."""
    if isinstance(output, Mapping):
        output = output["logits"] if "logits" in output else next(iter(output.values()), None)
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor) or not output.is_floating_point() or not output.ndim or output.shape[0] != n:
        return None
    flat = output.detach().reshape(n, -1)
    return _numpy(flat) if output.ndim <= 2 or flat.shape[1] == 1 else None


def _failure(model: nn.Module, inputs: Floats, watch: CallWatch, error: Exception) -> str:
    if isinstance(error, NotImplementedError) and not watch.calls:
        return (
            f"{type(model).__name__} has no forward pass that can be called with inputs alone ({_words(error)}); define `forward`."
        )
    reached = f"after {watch.calls[-1].layer.name}" if watch.calls else "before its first activation"
    # What fails before anything was activated, in an operation on the input, failed for the input's sake.
    unfit = not watch.calls and isinstance(error, (RuntimeError, ValueError, TypeError, IndexError))
    advice = "; give a `slice` whose points are inputs of the model." if unfit else "; the error is in its forward pass."
    return (
        f"{type(model).__name__} failed {reached} on inputs of shape {inputs.shape} taken from the slice "
        f"({type(error).__name__}: {_words(error)}){advice}"
    )


def _eager() -> AbstractContextManager[Any]:
    """Return a context in which compiled modules run uncompiled: nothing is hidden in a graph, and none is compiled for us."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


def _nothing_seen(model: nn.Module, watch: CallWatch) -> str:
    if watch.gaps:
        return f"{type(model).__name__} has no activation that can be drawn: {'; '.join(watch.gaps)}."
    return (
        f"{type(model).__name__} called no activation function in its forward pass, so it has no boundaries to draw: "
        f"{', '.join(ACTIVATIONS)} are seen; clamp, maximum, your own formulas and the inside of a fused LSTM or GRU are not."
    )


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
