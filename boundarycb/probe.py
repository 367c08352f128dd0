"""Runs the user's model, sees every activation call, and leaves no trace. Nothing else in the package runs the model.

>>> from torch import nn
>>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
>>> with probe(model) as forward:
...     reading = forward(np.zeros((5, 2)))
>>> [layer.name for layer in reading.layers], reading.z.shape
(['0'], (5, 3))

How it sees. Activations are functions in the end: ``nn.ReLU`` calls ``F.relu``, a model may call ``torch.relu`` or
``x.relu_()`` itself. A ``TorchFunctionMode`` around our own forward pass, and around nothing else, sees all of them, and reads
the pre-activation *before* the call, since an in-place activation overwrites it. Module hooks, gone after the ``with``, tell
which module is running, for the names only.

What makes a pre-activation. A linear map, a convolution or a matrix product leaves a mark (:class:`Affine`) on its result;
the mark survives reshaping and a batch-norm in eval mode, and is void once the tensor was written into. So a layer is named
after the module whose weights made it, however the activation was called.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from boundarycb.restore import buffers_kept, eval_mode, logging_silenced, random_state_kept
from boundarycb.types import Floats, Layer, Reading

MAX_UNITS = 512
"""Default cap of watched units a layer: more lines than this in one colour cannot be told apart, and memory is bounded."""

# ------------------------------------------------------------------------------------------------ what is an activation

_ACTIVATIONS = tuple(
    "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign sigmoid tanh logsigmoid "  # noqa: SIM905
    "hardtanh hardsigmoid hardswish tanhshrink softshrink hardshrink threshold glu".split()
)
_SPELLINGS = {"logsigmoid": ("log_sigmoid",), "threshold": ("_threshold",), "sigmoid": ("expit",)}


def _activation_table() -> dict[Callable[..., Any], str]:
    """Return every function object that is an activation, with its canonical name: one place for 90 spellings."""
    table: dict[Callable[..., Any], str] = {}
    for op in _ACTIVATIONS:
        for name in (op, *_SPELLINGS.get(op, ())):
            for home in (F, torch, torch.Tensor, torch.special):
                for spelling in (name, name + "_"):
                    function = getattr(home, spelling, None)
                    if callable(function):
                        table[function] = op
    return table


def _methods(*names: str) -> set[Callable[..., Any]]:
    homes = (F, torch, torch.Tensor)
    return {getattr(home, name) for home in homes for name in names if hasattr(home, name)}


ACTIVATIONS = _activation_table()
_LAYERS = _methods("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
_PRODUCTS = _methods("matmul", "mm", "__matmul__")
_ADDED_PRODUCTS = _methods("addmm")
_FOLDED = _methods("batch_norm")
_ADDED = _methods("add", "add_", "__add__", "__radd__", "__iadd__")
_RESHAPED = _methods("flatten", "reshape", "view", "squeeze", "unsqueeze", "contiguous", "to")
_DROPOUTS = _methods("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


@dataclass(frozen=True, eq=False)
class Step:
    """A torch function that maps one of its arguments, the one at `place`; the others are the same for all points."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    place: int

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        """Return the function's result with `value` in its place."""
        result: torch.Tensor = self.function(*self.args[: self.place], value, *self.args[self.place + 1 :], **self.kwargs)
        return result


@dataclass(frozen=True, eq=False)
class Affine:
    """The affine map that made a pre-activation: a layer's call, and what followed before the activation.

    Args:
        module: path of the module that made the call ("" is the model itself).
        steps: the linear map, convolution or product, then a bias that was added, a batch-norm in eval mode, reshapings.
    """

    module: str
    steps: tuple[Step, ...]

    def __call__(self, value: torch.Tensor) -> torch.Tensor:
        """Return the pre-activation that the layer makes of the input `value`."""
        for step in self.steps:
            value = step(value)
        return value


@dataclass(frozen=True, eq=False)
class _Mark:
    """What is known of a tensor: the affine map that made it, and from which input, in which version."""

    affine: Affine
    source: torch.Tensor
    version: int


# ------------------------------------------------------------------------------------------------------- what is recorded


@dataclass(frozen=True, eq=False)
class Call:
    """One activation call: its layer, the pre-activations (n, units), and the affine call that made them, if any."""

    layer: Layer
    z: torch.Tensor
    affine: Affine | None


class _Watch(TorchFunctionMode):
    """Sees the torch functions of one forward pass of `n` points."""

    def __init__(self, n: int, running: list[str], max_units: int) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.gaps: list[str] = []
        self._n = n
        self._running = running
        self._max_units = max_units
        self._names: set[str] = set()
        # Marks by the identity of the result. A mark goes with its tensor, and holds the layer's input no longer than that.
        self._marks: dict[int, tuple[weakref.ref[torch.Tensor], int, _Mark]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        op = ACTIVATIONS.get(func)
        if op is not None:
            self._activation(op, args, kwargs)
        mark = self._mark_of_result(func, args, kwargs)
        result = func(*args, **kwargs)
        if mark is not None and isinstance(result, torch.Tensor) and not result.is_inference():
            key = id(result)
            self._marks[key] = (weakref.ref(result, lambda _: self._marks.pop(key, None)), result._version, mark)
        return result

    def _mark_of_result(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Mark | None:
        place = _input_of_affine(func, args)
        if place is not None and isinstance(args[place], torch.Tensor) and not args[place].is_inference():
            source = args[place]
            return _Mark(Affine(self._running[-1], (_step(func, args, kwargs, place),)), source, source._version)
        if func in _FOLDED and _option(args, kwargs, 5, "training", False):
            self._note("a batch-norm has no running statistics, so values depend on which points run together")
        for place, value in enumerate(args[:2]):
            mark = self._mark(value)
            if mark is not None and _keeps_affine(func, args, kwargs, place) and not _names_batch(args, self._n):
                affine = Affine(mark.affine.module, (*mark.affine.steps, _step(func, args, kwargs, place)))
                return replace(mark, affine=affine)
        return None

    def _mark(self, tensor: Any) -> _Mark | None:
        """Return the mark of `tensor`, unless something was written into it since."""
        made, version, mark = self._marks.get(id(tensor), (None, 0, None))
        return mark if made is not None and made() is tensor and getattr(tensor, "_version", None) == version else None

    def _activation(self, op: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        source = _option(args, kwargs, 0, "input", None)
        if not isinstance(source, torch.Tensor) or not source.is_floating_point():
            return
        z = source.chunk(2, dim=_option(args, kwargs, 1, "dim", -1))[1] if op == "glu" else source
        mark = self._mark(source)
        name = self._name(op, mark)
        rows = _per_point(z, self._n)
        if rows is None:
            self._note(f"{name}: left out, since its pre-activation of shape {tuple(z.shape)} is not one row a point")
            return
        shape = tuple(rows.shape[1:])
        kept = _spread(int(np.prod(shape, dtype=np.int64)), self._max_units)
        flat = rows.reshape(self._n, -1)
        chosen = flat if len(kept) == flat.shape[1] else flat[:, list(kept)]
        # An input that was written into since cannot be mapped again: its name still holds, the map does not.
        affine = mark.affine if mark is not None and mark.source._version == mark.version else None
        self.calls.append(Call(Layer(name, op, shape, kept), chosen.detach().clone(), affine))

    def _note(self, gap: str) -> None:
        if gap not in self.gaps:
            self.gaps.append(gap)

    def _name(self, op: str, mark: _Mark | None) -> str:
        path = mark.affine.module if mark is not None else self._running[-1]
        path = path.replace("_orig_mod.", "").removesuffix("_orig_mod")  # torch.compile's wrapper is no module of the user's
        base = re.sub(r"[^A-Za-z0-9_.-]+", "_", path).strip(".") or op
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base}.call{count}"
        self._names.add(name)
        return name


def _step(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int) -> Step:
    """Return the call without the tensor that it maps, which the step shall not keep alive."""
    return Step(func, (*args[:place], None, *args[place + 1 :]), kwargs, place)


def _option(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str, default: Any) -> Any:
    """Return an argument that may be given by place or by name."""
    return args[place] if len(args) > place else kwargs.get(name, default)


def _names_batch(args: tuple[Any, ...], n: int) -> bool:
    """Return whether the number of points stands among the arguments, as in ``view(x.shape[0], -1)``: that holds for no other."""
    sizes = [size for arg in args[1:] for size in (arg if isinstance(arg, (tuple, list, torch.Size)) else [arg])]
    return any(isinstance(size, int) and not isinstance(size, bool) and size == n for size in sizes)


def _keeps_affine(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int) -> bool:
    """Return whether `func` maps an affine map's result, which stands at `place`, by an affine map again."""
    if func in _ADDED:
        return len(args) == 2 and not kwargs and _constant(args[1 - place])
    if place != 0:
        return False
    if func in _DROPOUTS:
        return not _option(args, kwargs, 2, "training", True) and not kwargs.get("train", False)
    return func in _RESHAPED or (func in _FOLDED and not _option(args, kwargs, 5, "training", False))


def _input_of_affine(func: Callable[..., Any], args: tuple[Any, ...]) -> int | None:
    """Return which argument `func` maps by an affine map, or None. The product of two activations is no such map.

    Weights given to a linear layer or a convolution are taken to be the same for all points, since they may be computed
    (weight_norm); those of a plain product must be parameters.
    """
    if func in _LAYERS and args:
        return 0
    if func in _PRODUCTS and len(args) > 1 and _constant(args[1]):
        return 0
    if func in _ADDED_PRODUCTS and len(args) > 2 and _constant(args[0]) and _constant(args[2]):
        return 1
    return None


def _constant(value: Any) -> bool:
    """Return whether `value` is the same for all points: a parameter (or its transpose) or a number, not an activation."""
    return isinstance(value, (int, float, nn.Parameter)) or isinstance(getattr(value, "_base", None), nn.Parameter)


def _per_point(z: torch.Tensor, n: int) -> torch.Tensor | None:
    """Return `z` with one row a point, or None where it cannot be told.

    The batch is the first axis, or the second in sequence-first models. One that is folded with another axis cannot be told: it may
    be the slow or the fast part.
    """
    if z.ndim and z.shape[0] == n:
        return z
    if z.ndim > 1 and z.shape[1] == n:
        return z.movedim(1, 0)
    return None


def _spread(size: int, cap: int) -> tuple[int, ...]:
    """Return `cap` of `size` indices, evenly spread; all of them where they fit."""
    if size <= cap:
        return tuple(range(size))
    return tuple(int(i) for i in np.linspace(0, size - 1, cap).round())


# ------------------------------------------------------------------------------------------------------------- the scope


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
        dtype, device = self._home
        batch = torch.from_numpy(np.ascontiguousarray(inputs)).to(device=device, dtype=dtype)
        watch = _Watch(len(inputs), self._running, self._max_units)
        try:
            with watch:
                output = self._model(batch)
        except Exception as error:
            raise ValueError(_failure(self._model, inputs, watch, error)) from error
        self.calls = tuple(watch.calls)
        if not watch.calls:
            raise ValueError(_nothing_seen(self._model, watch))
        z = np.concatenate([_numpy(call.z) for call in watch.calls], axis=1)
        return Reading(tuple(call.layer for call in watch.calls), z, _output(output, len(inputs)), tuple(watch.gaps))


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


def _failure(model: nn.Module, inputs: Floats, watch: _Watch, error: Exception) -> str:
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


def _nothing_seen(model: nn.Module, watch: _Watch) -> str:
    if watch.gaps:
        return f"{type(model).__name__} has no activation that can be drawn: {'; '.join(watch.gaps)}."
    return (
        f"{type(model).__name__} called no activation function in its forward pass, so it has no boundaries to draw: "
        f"{', '.join(_ACTIVATIONS)} are seen; clamp, maximum, your own formulas and the inside of a fused LSTM or GRU are not."
    )


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
