"""Runs the model inside an open probe, as often as it is asked to, and reads what it says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import nn

from boundarycb.keep import is_far
from boundarycb.keep.verify import Verdict
from boundarycb.probe.activity import Activity, ActivityWatch
from boundarycb.probe.away import Away, fetched, numbers, stays
from boundarycb.probe.calls import ACTIVATIONS, Call, CallWatch
from boundarycb.probe.double import InDouble, StandIns
from boundarycb.probe.feed import Beside
from boundarycb.probe.gaps import TRANSPOSED
from boundarycb.probe.landing import Landing
from boundarycb.probe.output import chosen, reduced
from boundarycb.probe.products import Products
from boundarycb.probe.quick import Glance, Quick
from boundarycb.probe.session import Session
from boundarycb.probe.together import Message, Pass
from boundarycb.probe.trace import Trace, TraceWatch
from boundarycb.probe.watched import EVERY_UNIT, Watched, WrongChoice, checked_layers, checked_units
from boundarycb.types import Floats, Reading, Room
from boundarycb.words import in_line

W = TypeVar("W", bound=CallWatch)

_ENOUGH = 60  # points: more at once are no faster on a processor, and a number that is rarely an axis of a model's
_MOST = 1024  # points that run at once on another device, however many training has
_AGAIN = 5  # times: a branch that a coin decides on is mostly seen to be one
_ROUNDED = 1e-5  # of the largest number
_MORE = 4  # times the bytes of inputs there


class NothingToDraw(ValueError):  # noqa: N818 - it is a finding
    """The model calls no activation."""


class NoGradient(ValueError):  # noqa: N818 - it is a finding
    """What the model gives cannot be differentiated by its inputs."""


class Prober:
    """The forward pass inside a probe's scope: a callable from inputs (n, *input_shape) to a Reading.

    Attributes:
        calls: the activation calls of the last forward pass, with the affine call behind each.
        lost: after the scope, paths of what the forward pass changed and could not be put back; empty as a rule.
        verdict: after the scope, what the forward pass changes; None where that was not asked for.
    """

    def __init__(
        self,
        session: Session,
        home: tuple[torch.dtype, torch.device],
        stand_ins: StandIns | None = None,
        max_units: int | None = None,
    ) -> None:
        self.calls: tuple[Call, ...] = ()
        self.lost: tuple[str, ...] = ()
        self.verdict: Verdict | None = None
        self._session = session
        self._home = home
        self._stand_ins = stand_ins
        self._landing = Landing()
        asked = session.conditions
        if max_units is not None:  # of every layer: what the user wants to see does not matter
            asked = replace(asked, max_units=max_units, max_all_units=EVERY_UNIT, layers=None, units=None)
        self._conditions = asked
        self._watched = Watched(
            asked.max_units,
            asked.max_all_units,
            checked_layers(asked.layers),
            checked_units(asked.units),
            dict(session.model.named_modules()).get,
        )

    @property
    def parked(self) -> tuple[str, ...]:
        """Hooks of the user's that do not run, in words."""
        return self._session.parked

    @property
    def too_large(self) -> tuple[str, ...]:
        """Paths of containers and arrays that hold more than is kept."""
        return tuple(self._session.reach.too_large)

    @property
    def is_spread(self) -> bool:
        """Whether other ranks run every pass too: then it runs as the model is, and not in double precision."""
        return self._session.conditions.lead is not None

    @property
    def is_far(self) -> bool:
        """Whether the model is on a device that is far from the processor, such as a GPU."""
        return is_far(self._home[1])

    @property
    def has_lost(self) -> bool:
        """Whether a pass so far changed something that could not be put back: each further one would change more."""
        return self._session.kept is not None and bool(self._session.kept.lost)

    def __call__(self, inputs: Floats) -> Reading:
        """Run the model once, on `inputs`, and return what it said.

        Raises:
            ValueError: the model cannot take inputs of this shape, or calls no activation.
            Exception: what the forward pass itself raises.
        """
        self._tell("read", inputs)
        reading = self._read(inputs)
        if self._session.learn(reading.layers, reading.count):
            return reading.first(len(inputs))
        return self._read(inputs).first(len(inputs))

    def _read(self, inputs: Floats) -> Reading:
        """Return what the model says of `inputs`, and of the first of them again as far as the batch needs more points."""
        self.calls = ()
        session, inputs = self._session, self._padded(inputs)
        with session.passing():
            output, watch = self._run(inputs, lambda _: self._call_watch(len(inputs)))
            self.calls = self._settled(watch.calls)
            shown, what = self._shown(output, len(inputs))
            z = [call.z for call in self.calls]
            self._landing.expect(z)
            away = Away.of(z) if self._stand_ins is None and stays(*z) else None  # the exact engine needs them all
            return Reading(
                layers=tuple(call.layer for call in self.calls),
                parts=tuple(fetched(z)) if away is None else (),
                joined=None if watch.field is None else watch.field.joined,
                codes=None if watch.patterns is None else watch.patterns.codes(),
                output=shown,
                what=what,
                gaps=watch.gaps.words(),
                kinks=tuple(call.kinks for call in self.calls),
                bends=tuple(watch.bends),
                closes=_is_view(chosen(output, self._conditions.output, len(inputs)), watch.activated),
                away=away,
            )

    def _call_watch(self, n: int, *, lands: bool = True) -> CallWatch:
        # The exact engine, which is what runs in double precision, knows the regions, and keeps layers one by one.
        is_exact = self._stand_ins is not None
        patterns, field = self._conditions.patterns and not is_exact, self._landing.field(n) if lands and not is_exact else None
        return CallWatch(n, self._session.running, self._conditions.activations, self._watched, patterns=patterns, field=field)

    def _settled(self, calls: Sequence[Call]) -> tuple[Call, ...]:
        """Return `calls` with the units that are watched, which is settled once all layers are known."""
        if self._watched.caps or not self._watched.settle({call.layer.name: call.layer.kept for call in calls}):
            return tuple(calls)
        return tuple(call.of(self._watched.caps[call.layer.name]) for call in calls)

    def _padded(self, inputs: Floats) -> Floats:
        size = self._session.batch_of(len(inputs))
        return inputs if size == len(inputs) else np.resize(inputs, (size, *inputs.shape[1:]))

    def examples(self) -> Floats:
        """Return the values (rows, *shape) of what varies in the feed's example."""
        self._tell("examples")
        session, feed = self._session, self._conditions.feed
        with session.passing(runs=feed.module is not None) as kept, kept.guard():
            values: Floats = feed.values(session.model).detach().cpu().double().numpy()
            return values.copy()

    def noise(self, inputs: Floats) -> Literal["units", "output"] | None:
        """Return what random numbers, which the model draws while it runs, change: units, the shown output alone, or nothing."""
        session, padded = self._session, self._padded(inputs)
        if not session.draws or self.has_lost:
            return None
        try:
            with session.passing():  # once: each run goes on with other random numbers
                (units, shown), *others = [self._numbers_of(inputs, padded) for _ in range(1 + _AGAIN)]
        except torch.OutOfMemoryError:
            raise
        except Exception:  # noqa: BLE001 - other numbers led it where it cannot go on: its first run, with the first ones, did
            return "units"
        if not all(_are_alike(units, again) for again, _ in others):
            return "units"
        return None if all(_are_alike(shown, again) for _, again in others) else "output"

    def _numbers_of(self, inputs: Floats, padded: Floats) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return pre-activations and output of a run, in a pass that may have several."""
        self._tell("read", inputs)
        try:
            output, watch = self._run(padded, lambda _: self._call_watch(len(padded), lands=False))
        finally:
            self._session.reshard()  # as the other ranks do, of which each run is a pass
        shown = self._shown_tensor(output, len(padded))[0]
        return [call.z for call in watch.calls], [] if shown is None else [shown.detach().clone()]

    def gradient(self, inputs: Floats, of: Callable[[torch.Tensor], torch.Tensor]) -> Floats:
        """Return the gradient (n, *input_shape), with respect to each input, of what `of` makes of the shown output (n, …).

        Raises:
            NoGradient: there is no output to differentiate, or it does not depend on the inputs.
        """
        session, padded = self._session, self._padded(inputs)
        dtype, device = self._home
        with session.passing() as kept, torch.enable_grad(), kept.guard():
            batch = torch.from_numpy(padded).to(device=device, dtype=dtype).requires_grad_()
            shown = chosen(self._call(batch.clone()), self._conditions.output, len(padded))
            gradient = None
            if shown is not None and shown.requires_grad:
                (gradient,) = torch.autograd.grad(of(shown).sum(), batch, allow_unused=True)
            if gradient is None:
                raise NoGradient(f"{type(session.model).__name__} gives nothing that could be differentiated by its inputs.")
        return numbers(gradient)[: len(inputs)].copy()

    def flops(self, inputs: Floats) -> float:
        """Return how many floating-point operations a forward pass of one point takes, as torch counts them: products alone."""
        self._tell("flops", inputs)
        session, padded = self._session, self._padded(inputs)
        with session.passing(), Products() as products:  # as a reading runs it, since a model may see to it
            self._run(padded, lambda _: self._call_watch(len(padded)))
        return float(products.flops) / len(padded)

    def glance(self, inputs: Floats, like: Reading, *, copies: bool) -> Reading | None:
        """Run the model once and read the pre-activations alone, of all units; see :class:`boundarycb.probe.quick.Runs`.

        It is for a model of which `like` tells the rest; nothing is widened, and errors of the model's come out as they are.
        """
        session = self._session
        if session.needs_graph or not (copies or session.is_pure):
            return None
        padded = self._padded(inputs)
        with session.passing() as kept:
            watch = Glance(len(padded), self._conditions.activations, copies=copies)
            with kept.guard(), self._standing_in(), watch:
                output = self._call(self._batch(padded))
            if watch.shapes != [layer.shape for layer in like.layers] or watch.is_spoiled():
                return None
            tensor = self._shown_tensor(output, len(padded))[0]
            found = fetched(watch.z if tensor is None else [*watch.z, tensor])
            shown = None if tensor is None else found.pop().copy()
            # What `like` read itself is of other points.
            return replace(like, codes=None, away=None, joined=None, parts=tuple(found), output=shown).first(len(inputs))

    def again(self, what: Pass, args: tuple[Any, ...]) -> None:
        """Run a pass that another rank runs."""
        passes = (self.trace, self.examples, self.flops, self.answer)
        run = {"read": self.__call__, **{one.__name__: one for one in passes}}[what]
        run(*args)

    def _tell(self, what: Pass, *args: Any) -> None:
        """Tell the other ranks, where they have to know, of a pass."""
        lead = self._session.conditions.lead
        if lead is not None:
            dtype = np.float64 if self._home[0] == torch.float64 else np.float32  # the model rounds them in any case
            lead(Message("pass", what=what, args=tuple(a.astype(dtype) if isinstance(a, np.ndarray) else a for a in args)))

    def room(self, rows: int) -> Room:
        """Return how much may run at once, where a training batch has so many `rows`.

        On a processor more than some are no faster. A GPU takes twice as many as training has, where a pass was seen to need no
        graph, which takes more memory than another batch.
        """
        if not self.is_far:
            return Room(min(rows, _ENOUGH))
        many = 2 * rows if self.calls and not self._session.needs_graph else rows
        return Room(min(many, _MOST), inputs=_MORE)

    def batch_of(self, n: int) -> int:
        """Return with how many points to run `n` of them, so that a batch can be told; a trace does not see to it by itself."""
        return self._session.batch_of(n)

    def quick(self, like: Reading) -> Quick:
        """Return a faster forward pass of a model that gave the reading `like`; this prober must be double and watch all units."""
        return Quick(self, like)

    def trace(self, inputs: Floats, names: Collection[str]) -> tuple[Trace, ...]:
        """Run the model once, on `inputs`, and keep of the layers called `names` their map and input: a trace a call.

        Raises:
            ValueError: the model cannot take inputs of this shape, or calls no activation.
            Exception: what the forward pass itself raises.
        """
        self._tell("trace", inputs, names)
        session = self._session
        with session.passing() as kept:
            optional, watched = self._conditions.activations, self._watched
            fleeting = session.is_sharded
            _, watch = self._run(
                inputs,
                lambda batch: TraceWatch(len(inputs), session.running, optional, watched, names, batch, fleeting=fleeting),
            )
            # Weights that the pass wrote to are put back after it: then they are not what they were in it.
            return tuple(one.with_its_weights() for one in watch.traces) if kept.writes() else tuple(watch.traces)

    def answer(self, inputs: Floats, beside: Beside | None = None) -> tuple[tuple[Activity, ...], Floats | None]:
        """Run the model once, on `inputs`, and return what each layer that is watched gives, and the shown output (n, C).

        Args:
            inputs: the inputs (n, *input_shape).
            beside: what else of the call each of them has a row of its own of (n, …); the rest is held at the feed's row.

        Raises:
            ValueError: the model cannot take inputs of this shape, or calls no activation.
            Exception: what the forward pass itself raises.
        """
        self._tell("answer", inputs, beside)
        session, padded = self._session, self._padded(inputs)
        more = {path: own[torch.arange(len(padded)) % len(own)] for path, own in (beside or {}).items()}
        with session.passing():
            optional, watched, n = self._conditions.activations, self._watched, len(padded)
            output, watch = self._run(padded, lambda _: ActivityWatch(n, session.running, optional, watched), more)
            shown = self._shown(output, n)[0]
            return watch.activities(len(inputs)), None if shown is None else shown[: len(inputs)]

    def double(self, max_units: int | None = None) -> Prober:
        """Return another prober of the same scope, which runs the model in double precision.

        Float64 copies of parameters, buffers and all other tensors of the model stand in for the length of each pass; they take
        twice a float32 model's memory as long as this prober lives. The model stays as it is, and both may run in turn.

        Args:
            max_units: watched units of every layer; by default those that this prober watches.

        Raises:
            ValueError: a tensor of the model has no double precision, or its device has none.
        """
        if self._session.kept is None:
            raise RuntimeError("The probe is closed; call `forward.double()` inside its `with` block.")
        home = torch.float64, self._home[1]
        return Prober(self._session, home, StandIns(self._session.reach), max_units)

    def _run(self, inputs: Floats, watch_of: Callable[[torch.Tensor], W], beside: Beside | None = None) -> tuple[Any, W]:
        """Run the model under a watch made for its batch; return its output, and the watch, which saw activations."""
        session = self._session
        assert session.kept is not None
        batch = self._batch(inputs)
        watch = watch_of(batch)
        try:
            # The watch sees what the forward pass calls, and not how the stand-ins get into their places.
            with self._graph(), session.kept.guard(), self._standing_in(), watch, self._widening():
                output = self._call(batch, beside)
        except Exception as error:
            if not watch.differentiates or session.needs_graph:
                _explain(error, session, inputs, watch)
                raise
        if watch.differentiates and not session.needs_graph:  # such as a Hamiltonian network
            session.needs_graph = True
            session.kept.put_back()
            return self._run(inputs, watch_of, beside)
        if not watch.calls:
            raise NothingToDraw(_nothing_seen(session.model, watch))
        return output, watch

    def _call(self, batch: torch.Tensor, beside: Beside | None = None) -> Any:
        return self._conditions.feed(self._session.model, batch, beside)

    def _shown(self, output: Any, n: int) -> tuple[Floats | None, str]:
        """Return the part of the model's output that is shown (n, C), or None, and what it is."""
        tensor, what = self._shown_tensor(output, n)
        return None if tensor is None else numbers(tensor).copy(), what  # a model may give one of its own, which is put back

    def _shown_tensor(self, output: Any, n: int) -> tuple[torch.Tensor | None, str]:
        tensor = chosen(output, self._conditions.output, n)
        return (None, "output") if tensor is None else reduced(tensor, self._conditions.background)

    def _standing_in(self) -> AbstractContextManager[None]:
        return nullcontext() if self._stand_ins is None else self._stand_ins.in_place(fresh=self._session.is_pure)

    def _widening(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stand_ins is None else InDouble()

    def _graph(self) -> AbstractContextManager[None]:
        return torch.enable_grad() if self._session.needs_graph else nullcontext()

    def _batch(self, inputs: Floats) -> torch.Tensor:
        dtype, device = self._home
        # A copy in any case: a model may write to its inputs, and they are run again.
        batch = torch.tensor(np.ascontiguousarray(inputs), device=device, dtype=dtype)
        if not self._session.needs_graph:
            return batch
        with torch.enable_grad():
            return batch.requires_grad_().clone()  # no leaf, so that it can be written to


# -------------------------------------------------------------------------------------------------- what goes in and out


def home_of(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return dtype and device of the model's first floating-point parameter, or buffer."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            if tensor.is_floating_point():
                return tensor.dtype, tensor.device
    return torch.get_default_dtype(), torch.device("cpu")


def _are_alike(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    """Return whether tensors are equal but for rounding, which some devices do in another order each time."""
    if [(z.shape, z.dtype) for z in one] != [(z.shape, z.dtype) for z in other]:
        return False
    sizes = [float(z.abs().nan_to_num(0.0, 0.0).max()) if z.numel() else 0.0 for z in one]
    pairs = zip(one, other, sizes, strict=True)
    return all(torch.allclose(z, same, rtol=0.0, atol=_ROUNDED * size, equal_nan=True) for z, same, size in pairs)


def _is_view(output: Any, of: Any) -> bool:
    """Return whether one tensor is the other in another shape."""
    tensors = isinstance(output, torch.Tensor) and isinstance(of, torch.Tensor) and output.layout == of.layout == torch.strided
    return tensors and output.numel() == of.numel() and output.data_ptr() == of.data_ptr()


# ---------------------------------------------------------------------------------------------------------------- errors


def _explain(error: Exception, session: Session, inputs: Floats, watch: CallWatch) -> None:
    """Raise what is the slice's fault as a ValueError that says so; add to an error of the model's own when it happened."""
    if isinstance(error, WrongChoice):
        return
    model = type(session.model).__name__
    hooks = "" if not session.parked else f" Not run while it is probed: {', '.join(session.parked)}; `run_hooks=True` runs them."
    if isinstance(error, NotImplementedError) and not watch.calls:
        raise ValueError(
            f"{model} has no forward pass that can be called with inputs alone ({in_line(error)}); define `forward`.{hooks}"
        ) from error
    # What fails before anything was activated, in an operation on the input, failed for the input's sake.
    is_of_input = isinstance(error, (RuntimeError, ValueError, TypeError, IndexError)) and not isinstance(
        error, torch.OutOfMemoryError
    )
    if not watch.calls and is_of_input:
        raise ValueError(
            f"{model} failed before its first activation on inputs of shape {inputs.shape} taken from the slice "
            f"({in_line(error)}); give a `slice` whose points are inputs of the model.{hooks}"
        ) from error
    if hasattr(error, "add_note"):  # Python 3.11 and newer
        reached = f"after {watch.calls[-1].layer.name}" if watch.calls else "before its first activation"
        error.add_note(
            f"{model} raised this {reached}, while boundarycb ran it on inputs of shape {inputs.shape} from the slice, "
            f'without gradients and in mode "{session.conditions.mode}".{hooks}'
        )


def _nothing_seen(model: nn.Module, watch: CallWatch) -> str:
    gaps = watch.gaps.words()
    if gaps:
        hint = (
            f" Where the batch is the second axis of what it is called with, X: {TRANSPOSED}."
            if watch.gaps.is_shaped_otherwise
            else ""
        )
        return f"{type(model).__name__} has no activation that can be drawn: {'; '.join(gaps)}.{hint}"
    return (
        f"{type(model).__name__} called no activation function in its forward pass, so it has no boundaries to draw: "
        f"{', '.join(ACTIVATIONS)} are seen; clamp, maximum, your own formulas and the inside of a fused LSTM or GRU are not."
    )
