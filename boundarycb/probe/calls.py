"""Sees the activation calls of a forward pass.

Activations are functions in the end: ``nn.ReLU`` calls ``F.relu``, a model may call ``torch.relu`` or ``x.relu_()`` itself. A
``TorchFunctionMode`` around our own forward pass, and around nothing else, sees all of them, and reads the pre-activation *before*
the call, since an in-place activation overwrites it.

What is known of a tensor is kept beside it: the affine map that made it, for the layer's name and for making it again; and, in
a traced pass, the scale of its channels. It is void once the tensor was written into.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from boundarycb.probe.affine import (
    Affine,
    Step,
    input_of_affine,
    keeps_affine,
    names_batch,
    option,
    uses_batch_statistics,
)
from boundarycb.probe.away import chosen_columns
from boundarycb.probe.gaps import Gaps
from boundarycb.probe.kinks import (
    BENDING,
    MAX_POOLS,
    OPTIONAL,
    OPTIONAL_TABLE,
    clamp_kinks,
    is_activation,
    kinks_of,
    optional_source,
    spelled_out,
)
from boundarycb.probe.landing import LandingField
from boundarycb.probe.patterns import Patterns
from boundarycb.probe.watched import Watched
from boundarycb.types import Bend, Layer

T = TypeVar("T")

# ------------------------------------------------------------------------------------------------ what is an activation

ACTIVATIONS = tuple(
    "relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign sigmoid tanh logsigmoid "  # noqa: SIM905
    "hardtanh hardsigmoid hardswish tanhshrink softshrink hardshrink threshold glu".split()
)
_SPELLINGS = {"logsigmoid": ("log_sigmoid",), "threshold": ("_threshold",), "sigmoid": ("expit",)}


def _activation_table() -> dict[Callable[..., Any], str]:
    """Return every function object that is an activation, with its canonical name: one place for 90 spellings."""
    table: dict[Callable[..., Any], str] = {}
    for op in ACTIVATIONS:
        for name in (op, *_SPELLINGS.get(op, ())):
            for home in (F, torch, torch.Tensor, torch.special):
                for spelling in (name, name + "_"):
                    function = getattr(home, spelling, None)
                    if callable(function):
                        table[function] = op
    return table


ACTIVATION_TABLE = _activation_table()

_DIFFERENTIATING = {
    torch.autograd.grad,
    torch.autograd.backward,
    torch.Tensor.backward,
    torch.Tensor.requires_grad_,
    torch.Tensor.register_hook,
    torch.Tensor.retain_grad,
}
"""What a forward pass calls that needs a graph, also where it hides the error that it gets without one."""

# ------------------------------------------------------------------------------------------------ what is known of a tensor


class Known(Generic[T]):
    """What is known of tensors, by their identity. It goes with the tensor, and is void once something was written into it."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[torch.Tensor], int, T]] = {}

    def put(self, tensor: Any, what: T) -> None:
        """Remember `what` of `tensor`; of anything else than a tensor nothing."""
        if isinstance(tensor, torch.Tensor) and not tensor.is_inference():
            key = id(tensor)
            self._entries[key] = (weakref.ref(tensor, lambda _: self._entries.pop(key, None)), tensor._version, what)

    def get(self, tensor: Any) -> T | None:
        """Return what is known of `tensor`, or None."""
        alive, version, what = self._entries.get(id(tensor), (None, 0, None))
        return what if alive is not None and alive() is tensor and getattr(tensor, "_version", None) == version else None


@dataclass(frozen=True, eq=False)
class Mark:
    """How a tensor was made.

    Args:
        affine: the affine map that made it.
        source: that map's input.
        version: the input's version; another one means that it was written into since.
        earlier: activation calls before the map's.
        holds: whether the map can be made again for another number of points.
    """

    affine: Affine
    source: torch.Tensor
    version: int
    earlier: int
    holds: bool = True


# ------------------------------------------------------------------------------------------------------------- the calls


@dataclass(frozen=True, eq=False)
class Call:
    """One activation call.

    Args:
        layer: its layer.
        z: the kept units' pre-activations (n, kept); of half precision single where they are a part of a reading's `joined`.
        affine: the affine map that made them, if any.
        memory: bytes that the map's weights take, and its input for one point.
        kinks: the pre-activations between which the activation is affine; None where it is smooth, jumps, or cannot be told.
    """

    layer: Layer
    z: torch.Tensor
    affine: Affine | None
    memory: tuple[int, int]
    kinks: tuple[float, ...] | None = None

    def of(self, kept: tuple[int, ...]) -> Call:
        """Return the same of fewer units, which are `kept`."""
        if kept == self.layer.kept:
            return self
        chosen = np.searchsorted(np.array(self.layer.kept), np.array(kept)).tolist()
        return replace(self, layer=replace(self.layer, kept=kept), z=chosen_columns(self.z, tuple(chosen)))


class CallWatch(TorchFunctionMode):
    """Sees the activation calls of one forward pass of `n` points.

    Args:
        n: points.
        running: paths of the modules that are running, the innermost last.
        optional: what else counts as an activation.
        watched: says which units are kept.
        patterns: whether the states of all units are read too.
        field: where the pre-activations are copied to; by default each layer's are by themselves.

    Attributes:
        calls: the activation calls so far.
        patterns: makes a number of the states of all units at each point; None where they are not read.
        field: as given.
        gaps: what was left out.
        bends: what else was called that may bend the network.
        activated: what the last activation gave.
        differentiates: whether something was called that needs a graph of the pass.
    """

    def __init__(
        self,
        n: int,
        running: list[str],
        optional: Collection[str],
        watched: Watched,
        *,
        patterns: bool = False,
        field: LandingField | None = None,
    ) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.gaps = Gaps(n)
        self.bends: list[Bend] = []
        self.activated: Any = None
        self.differentiates = False
        self._n = n
        self._running = running
        self.patterns = Patterns(n) if patterns else None
        self.field = field
        self._watched = watched
        self._optional = optional
        self._names: set[str] = set()
        self._marks: Known[Mark] = Known()  # a mark goes with its tensor, and holds the layer's input no longer than that

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.differentiates |= func in _DIFFERENTIATING
        op = ACTIVATION_TABLE.get(func) or self._optional_activation(func, args, kwargs)
        with torch._C._DisableFuncTorch():  # what is read of a tensor that no transform has wrapped shall not be wrapped either
            seen = None if op is None else self._activation(op, func, args, kwargs)
        mark = self._mark_of_result(func, args, kwargs)
        result = func(*args, **kwargs)
        if seen is not None:
            self.activated = result
        if mark is not None:
            self._marks.put(result, mark)
        self._follow(func, args, kwargs, result, seen)
        return result

    def _follow(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        seen: tuple[Call, Mark | None] | None,
    ) -> None:
        """Do what a traced pass does after a function ran; `seen`: the activation call that it was, and how its input was made."""

    def _mark_of_result(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mark | None:
        place = input_of_affine(func, args)
        if place is not None and isinstance(args[place], torch.Tensor) and not args[place].is_inference():
            source = args[place]
            affine = Affine(self._running[-1], (self._step(func, args, kwargs, place),))
            return Mark(affine, source, source._version, len(self.calls))
        if uses_batch_statistics(func, args, kwargs):
            self.gaps.note("a batch-norm takes its statistics from the points, so values depend on which of them run together")
        for place, value in enumerate(args[:2]):
            mark = self._marks.get(value)
            if mark is not None and keeps_affine(func, args, kwargs, place):
                # The name holds in any case: it must not depend on how many points run together.
                holds = mark.holds and not names_batch(func, args, self._n)
                return replace(mark, affine=mark.affine.then(self._step(func, args, kwargs, place)), holds=holds)
        return None

    def _step(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int) -> Step:
        """Return a call that maps its argument at `place`, as a step that can be made again."""
        return Step.of(func, args, kwargs, place)

    def _optional_activation(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """Return what `func` is where the user says that it is an activation; else note what bends the network besides those."""
        if func not in BENDING and func not in MAX_POOLS:
            return None
        op = OPTIONAL_TABLE.get(func)
        if op is not None and not is_activation(op, args, kwargs):
            op = None
        if op in self._optional:
            return op
        name = getattr(func, "__name__", "").strip("_")
        bend = Bend(_users_path(self._running[-1]), name, len(self.calls), func in MAX_POOLS, op or "")
        if bend not in self.bends:
            self.bends.append(bend)
        return None

    def _activation(
        self, op: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Call, Mark | None] | None:
        source = optional_source(op, args, kwargs) if op in OPTIONAL else option(args, kwargs, 0, "input", None)
        if not isinstance(source, torch.Tensor) or not source.is_floating_point():
            return None
        if torch._C._functorch.is_functorch_wrapped_tensor(source):
            self.gaps.note(f"{op}: left out, since it runs inside a transform such as vmap")
            return None
        mark = self._marks.get(source)
        name, module = self._name(op, mark)
        # An input that was written into since cannot be mapped again: its name still holds, the map does not.
        known = mark is not None and mark.holds and mark.source._version == mark.version
        affine = mark.affine if mark is not None and known else None
        z = source
        if op == "glu":
            gate = Step(second_half, (None, option(args, kwargs, 1, "dim", -1)), {}, 0)
            z, affine = gate(source), None if affine is None else affine.then(gate)
        rows = per_point(z, self._n)
        if rows is None:
            self.gaps.leave_out(name, z.shape)
            return None
        shape = tuple(rows.shape[1:])
        kept = self._watched.kept(name, (module, self._running[-1]), shape)
        if self.patterns is not None:
            self.patterns.add(rows, len(self.calls))
        memory = (0, 0) if affine is None or mark is None else (affine.bytes(), mark.source.nbytes // self._n)
        kinks = clamp_kinks(func, args, kwargs) if op == "clamp" else kinks_of(op, args, kwargs)
        call = Call(
            Layer(name, spelled_out(op, args, kwargs), shape, kept),
            self._copied(units_of_rows(rows, kept).detach()),
            affine,
            memory,
            kinks,
        )
        self.calls.append(call)
        return call, mark

    def _copied(self, z: torch.Tensor) -> torch.Tensor:
        landed = None if self.field is None else self.field.land(z)
        return z.clone() if landed is None else landed

    def _name(self, op: str, mark: Mark | None) -> tuple[str, str]:
        """Return a call's name, and the path of the module that it is named after."""
        path = _users_path(mark.affine.module if mark is not None else self._running[-1])
        base = re.sub(r"[^A-Za-z0-9_.-]+", "_", path).strip(".") or op
        name, count = base, 1
        while name in self._names:
            count += 1
            name = f"{base}.call{count}"
        self._names.add(name)
        return name, path


def _users_path(path: str) -> str:
    """Return a module's path without torch.compile's wrapper, which is no module of the user's.

    >>> _users_path("_orig_mod.enc.0"), _users_path("_orig_mod")
    ('enc.0', '')
    """
    return path.replace("_orig_mod.", "").removesuffix("_orig_mod")


def second_half(tensor: torch.Tensor, dim: int) -> torch.Tensor:
    """Return the half of `tensor` that a GLU takes for its gate."""
    return tensor.chunk(2, dim=dim)[1]


def per_point(z: torch.Tensor, n: int) -> torch.Tensor | None:
    """Return `z` with one row a point, or None where it cannot be told.

    The batch is the first axis, or the second in sequence-first models. One that is folded with another axis cannot be told: it may
    be the slow or the fast part.
    """
    if z.ndim and z.shape[0] == n:
        return z
    if z.ndim > 1 and z.shape[1] == n:
        return z.movedim(1, 0)
    return None


def units_of_rows(rows: torch.Tensor, kept: tuple[int, ...]) -> torch.Tensor:
    """Return the kept units (n, kept) of `rows` (n, *shape)."""
    flat = rows.reshape(len(rows), -1)
    return flat if len(kept) == flat.shape[1] else chosen_columns(flat, kept)
