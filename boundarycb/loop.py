"""The plain-PyTorch edge: watch a training loop without changing a line of it."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from torch import distributed, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from boundarycb.automatic import DataLike, Example, Listener, ModelCall, SliceLike, VaryLike, may_take_more
from boundarycb.outputs import checked_directory, checked_name, checked_sinks
from boundarycb.probe import (
    MAX_ALL_UNITS,
    BackgroundLike,
    ForwardLike,
    LayersLike,
    OutputLike,
    UnitsLike,
    refuse_talking,
    spread_of,
)
from boundarycb.recorder import Recorder
from boundarycb.sampling import EngineName, ResolutionLike
from boundarycb.scalars import learning_rates
from boundarycb.schedule import ScheduleLike
from boundarycb.sinks import GifFile, PageFile, ReportFile, TensorBoard
from boundarycb.types import Metric, Mode, Sink
from boundarycb.warning import users_line, warn

logger = logging.getLogger(__name__)

_UNUSED = (
    "Nothing was sampled: `watch` gives a context manager, and this one was never entered. Write `with boundarycb.watch(model, "
    "optimizer):` around the training loop."
)


def watch(
    model: nn.Module,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    *,
    slice: SliceLike = None,
    every_n_steps: int | None = None,
    schedule: ScheduleLike | None = None,
    max_overhead: float | None = None,
    directory: str | os.PathLike[str] | None = None,
    writer: Any = None,
    name: str = "boundaries",
    metrics: Sequence[Metric] | None = None,
    sinks: Iterable[Sink] = (),
    engine: EngineName = "auto",
    resolution: ResolutionLike = "auto",
    max_vertices: int | None = None,
    image_size: int = 512,
    max_units: int | None = None,
    max_all_units: int = MAX_ALL_UNITS,
    layers: LayersLike = None,
    units: UnitsLike = None,
    mode: Mode = "eval",
    run_hooks: bool = False,
    verify: bool = False,
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    activations: Collection[str] = (),
    inputs: Any = None,
    vary: VaryLike = None,
    forward: ForwardLike | None = None,
    output: OutputLike = None,
    background: BackgroundLike = "auto",
    class_names: Sequence[str] = (),
    surfaces: bool = False,
    replay: bool = True,
    data: DataLike = None,
) -> Watch:
    """Return a context manager that samples `model` while the loop inside it trains; it yields a Recorder.

    Samples are taken before the first optimiser step, as the schedule asks for, and after the last step. Where there is no
    `optimizer`, only ``recorder.record(model, step)`` samples.

    Args:
        model: the network; training it is not changed by a bit.
        optimizer: its optimiser, or a list of them; a step is counted when the one that has made the most steps makes another.
        slice: where to look: one of boundarycb.slices; the two ranges of a box; three samples, or their places in the first batch;
            by default what the first batch suggests: the box around 2-D inputs, else the plane through three of them.
        every_n_steps: sample every so many optimiser steps. By default every 100; where `resolution` is automatic and a training
            batch is known, so seldom that a sample's passes, and after fifty samples all of it, cost about 2 % of the training
            between two. That is counted in operations, a step for three milliseconds or more: two runs sample the same steps.
        schedule: instead of `every_n_steps`: ``"log"``, ``"ginn"``, a list of steps, or a callable ``(previous, step) -> bool``.
        max_overhead: share of the wall time that samples may take, such as 0.02; those beyond it are left out, which is said. By
            default none is, so that two runs sample the same steps. The first sample and the last one are taken in
            any case; so is the second, whose cost is not known yet. Closing (the movie, the report) is not counted.
        directory: the run's directory; by default the writer's, else ``runs/<date>_<host>`` as torch's SummaryWriter has it.
        writer: your SummaryWriter; by default an event file of our own in `directory`.
        name: the leading word of all tags, and the folder below `directory` for ``history.bcb``, the movie and the report.
        metrics: callables from a Sample to values by name; by default :func:`boundarycb.metrics.default`.
        sinks: further outputs.
        engine: what finds the lines: ``exact`` to the last digits, for piecewise-linear networks; ``grid`` on the grid, for
            any; ``auto`` chooses, and the picture says which.
        resolution: grid points a side, 2 to 4096; ``auto`` takes the finest from 24 to 128 on which a sample's forward passes cost
            no more than 2 % of the training between two samples, and samples less often where that is not enough.
        max_vertices: corners that the exact engine's regions may have; by default what costs little, 4 a grid point at most.
        image_size: longer side of the picture's plot in pixels, 64 to 4096.
        max_units: watched units a layer, evenly spread where a layer has more; by default 512, or 64 where units have positions, as
            in a convolution or a sequence.
        max_all_units: watched units of all layers together, one of each layer at least.
        layers: which layers are watched, by names, globs such as ``encoder.*``, or types of modules; all by default.
        units: which units are watched, by places in the flattened layer or by positions; of every layer, or by layers' names.
        mode: ``eval``, or ``as_is`` to leave dropout and batch-norm in the mode that they are in.
        run_hooks: whether forward hooks of yours run too while the model is sampled; those that are a part of it do in any case.
        verify: whether the first sample tells what the forward pass changes, and checks deeply that all of it is put back.
        context: makes a context to run the model in, such as ``lambda: torch.autocast("cuda")``.
        activations: what else is an activation in this model: ``abs``, ``clamp``, ``maximum``, ``minimum``.
        inputs: an example of what the model is called with, where the first call will not do: a batch; a tuple of arguments; a
            mapping of named ones. Everything in it that does not vary is held at one row.
        vary: which of the inputs varies, by name or place, or the path of a module whose output does, such as an embedding.
        forward: instead, a function (model, inputs) -> output.
        output: which tensor of the model's output is shown, by name or place, or a function of the output.
        background: how it is shown: ``classes``, ``mean``, ``norm`` or one of its numbers, by its place; ``auto`` goes by shape.
        class_names: what classes are called.
        surfaces: whether the output of each class is kept too, and drawn as a surface over the slice: the image ``surfaces``, and
            ``surfaces.gif``.
        replay: whether the run can be stepped through: in TensorBoard's tab *Boundaries*, and in ``boundaries.html`` at the end.
        data: samples of the data, inputs (n, *shape) or a pair of them and their classes (n,), 256 of which are looked at with each
            sample; by default those that the model is called with first, where that is heard: not where `slice` tells all.

    Raises:
        ValueError, TypeError: an argument will not do; here, or at the first sample where it takes the model to tell.

    Example::

        with boundarycb.watch(model, optimizer) as recorder:
            for x, y in loader:
                loss = criterion(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                recorder.log(loss=loss)  # optional; before the step that it belongs to
                optimizer.step()
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a torch.nn.Module, got {type(model).__name__}.")
    checked_name(name)
    sinks = checked_sinks(sinks)
    root = _root(directory, writer, name).absolute()  # the user's program may go to another directory
    whole, context = _unwrapped(model, context)
    ranks = _ranks()
    samples = ranks == 1 or _samples_here(whole, mode)
    recorder = Recorder(
        root / name,
        slice,
        every_n_steps=every_n_steps,
        schedule=schedule,
        max_overhead=max_overhead,
        metrics=metrics,
        sinks=_outlets(root if writer is None else writer, name, replay=replay, more=sinks) if samples else [],
        engine=engine,
        resolution=resolution,
        max_vertices=max_vertices,
        image_size=image_size,
        max_units=max_units,
        max_all_units=max_all_units,
        layers=layers,
        units=units,
        mode=mode,
        run_hooks=run_hooks,
        verify=verify,
        context=context,
        activations=activations,
        inputs=inputs,
        vary=vary,
        forward=forward,
        output=output,
        background=background,
        class_names=class_names,
        surfaces=surfaces,
        data=data,
    )
    if not samples:
        recorder.rest()
    elif ranks > 1:
        recorder.stand_alone()
    return Watch(whole, _optimizers_of(whole, optimizer), recorder, samples=samples)


def _outlets(board: Any, name: str, *, replay: bool, more: Sequence[Sink]) -> list[Sink]:
    """Return where samples of a plain loop go: an event file at `board`, the files at the end, and what the user gave."""
    return [TensorBoard(board, name=name, replay=replay), GifFile(), *([PageFile()] if replay else []), ReportFile(), *more]


class Watch:
    """The context manager that :func:`watch` returns: hooks on the optimisers, gone at its end.

    Args:
        model: the network.
        optimizers: whose steps count.
        recorder: what samples.
        samples: whether it does; on other ranks than the first it does not.
    """

    _open: ClassVar[weakref.WeakSet[Watch]] = weakref.WeakSet()
    """Those whose block runs, of the whole process: what they write to is the process's, too."""

    def __init__(self, model: nn.Module, optimizers: Sequence[Optimizer], recorder: Recorder, *, samples: bool = True) -> None:
        self._model = model
        self._samples = samples
        self._optimizers = optimizers
        self._recorder = recorder
        self._place = recorder.directory.resolve()
        self._counts = [0] * len(optimizers)
        self._stepping = False
        self._tried = False  # whether the model takes the slice of a run that is gone on with
        self._listener = Listener({"": model}, self._hear)
        self._awaits_call = recorder.needs_example
        self._entered = False
        self._others = _Others(model, optimizers)
        self._removals: list[Callable[[], None]] = [self._listener.stop, self._others.stop]
        self._unused = weakref.finalize(self, warn, _UNUSED, users_line())
        if not samples:
            self._unused.detach()

    def __enter__(self) -> Recorder:
        if self._entered:
            raise RuntimeError("This `watch` had its run; make a new one for another `with` block.")
        self._entered = True
        self._unused.detach()
        if not self._samples:
            return self._recorder
        if any(other._place == self._place for other in self._open):
            warn(
                f'Another `watch` that is not over yet writes to {self._place.parent} as `name` "{self._place.name}" too, and '
                f"TensorBoard will mix both under the same tags; give one of them a `name` or a `directory` of its own."
            )
        # A hook makes a compiled model compile anew, so it is there only where something can be heard.
        if self._awaits_call or may_take_more(self._model):
            self._listener.listen()
        for number, optimizer in enumerate(self._optimizers):
            before = optimizer.register_step_pre_hook(lambda *_: self._before_step())
            after = optimizer.register_step_post_hook(lambda *_, number=number: self._after_step(number))
            self._removals += [before.remove, after.remove]
        if self._optimizers:
            self._others.listen()
        self._open.add(self)
        return self._recorder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.discard(self)
        for remove in self._removals:
            remove()
        # After an error in the loop the model may be in any state: what was sampled is kept, and nothing is added to it.
        try:
            if kind is None and self._step:
                self._recorder.finish(self._model, self._step, self._rates)
            if kind is None and self._samples and not self._recorder.steps and not self._recorder.waiting:
                warn(self._why_nothing())
            elif kind is None and self._others.took_over:
                warn(self._others.words(self._step))
        finally:
            self._recorder.close(_tell)

    def _why_nothing(self) -> str:
        if not self._optimizers:
            return "No sample was taken: without an `optimizer` only recorder.record(model, step) takes one."
        return "No sample was taken: the `optimizer` that `watch` was given made no step; one made inside the block is not seen."

    @property
    def _step(self) -> int:
        return self._recorder.start + max(self._counts, default=0)

    def _before_step(self) -> None:
        if any(self._counts):
            return
        if self._recorder.steps:
            if not self._tried and not self._awaits_call:
                self._tried = True
                self._recorder.try_out(self._model)
            return
        # An optimiser with a closure (LBFGS) calls the model for the first time inside its step: then that call is awaited.
        self._stepping = True
        if not self._awaits_call:
            self._record_first()

    def _hear(self, _: str, call: ModelCall) -> None:
        """Take note of a call; the last one before the first step tells how the model is called."""
        self._awaits_call = False
        self._recorder.meet(Example(call=call))
        if self._stepping:
            self._record_first()

    def _record_first(self) -> None:
        self._listener.stop()
        if not self._recorder.steps:
            self._recorder.record(self._model, self._step, self._rates())

    def _after_step(self, number: int) -> None:
        self._stepping = False
        self._listener.stop()
        if self._awaits_call and not self._recorder.steps:
            # Nothing was seen before a step was made, so there is no step 0 to show any more.
            raise ValueError(
                "`slice` cannot be guessed, since the model was not called inside the `with` block before the first step; give "
                "one, such as slices.box((-1, 1), (-1, 1)), or `inputs`, an example of what the model is called with. Of a model "
                "and its compiled copy, watch the one that is called."
            )
        previous = self._step
        self._others.heed_given()
        self._counts[number] += 1
        if self._step > previous:
            self._recorder.advance(self._model, self._step, self._rates)

    def _rates(self) -> Mapping[str, float]:
        return learning_rates(self._optimizers)


class _Others:
    """Counts steps of optimisers that `watch` was not given, and that train its model nevertheless."""

    def __init__(self, model: nn.Module, given: Sequence[Optimizer]) -> None:
        self._model = model
        self._trains: weakref.WeakKeyDictionary[Optimizer, bool] = weakref.WeakKeyDictionary(dict.fromkeys(given, False))
        self._kind = ""
        self._remove: Callable[[], Any] | None = None
        self._steps = 0  # since one of those given made its last
        self._most = 1  # of such, between two steps of those given

    @property
    def took_over(self) -> bool:
        """Whether they made more steps than ever beside those given."""
        return self._steps > self._most

    def listen(self) -> None:
        """Hear of all steps, until :meth:`stop`, or until nobody has this any more: a block may be left half-way."""
        hear = weakref.WeakMethod(self._hear)

        def pass_on(optimizer: Optimizer, *_: Any) -> None:
            heard = hear()
            if heard is not None:
                heard(optimizer)

        self._remove = weakref.finalize(self, register_optimizer_step_post_hook(pass_on).remove)

    def stop(self) -> None:
        if self._remove is not None:
            self._remove()

    def heed_given(self) -> None:
        """Take note that one of those given made a step."""
        self._most, self._steps = max(self._most, self._steps), 0

    def words(self, step: int) -> str:
        """Return what the user is told of them, who were last seen to train at `step`."""
        return (
            f"After step {step:,} an optimiser that `watch` was not given ({self._kind}) made {self._steps:,} more, of which no "
            "samples were taken: what is kept ends before them. Where one takes another's place inside the block, begin a new "
            "`watch` with it, or call recorder.record(model, step)."
        )

    def _hear(self, optimizer: Optimizer) -> None:
        if optimizer not in self._trains:
            self._trains[optimizer] = _train([optimizer], self._model)
        if self._trains[optimizer]:
            self._steps, self._kind = self._steps + 1, type(optimizer).__name__


def _tell(words: str) -> None:
    """Tell the user something: by their logging where they have any, else on the console, as Python does with warnings."""
    logger.info(words)
    if not logger.hasHandlers() and sys.stderr is not None:
        sys.stderr.write(f"{words}\n")


def _optimizers(optimizer: Any) -> list[Optimizer]:
    """Return the optimisers that were given; raise TypeError where something else was."""
    is_one = isinstance(optimizer, (Optimizer, str)) or not isinstance(optimizer, Iterable)
    given: list[Any] = [] if optimizer is None else [optimizer] if is_one else list(optimizer)
    for one in given:
        if not isinstance(one, Optimizer):
            raise TypeError(f"`optimizer` must be a torch optimiser or a list of them, got {type(one).__name__}.")
    return [_innermost(one) for one in given]


def _optimizers_of(model: nn.Module, optimizer: Optimizer | Sequence[Optimizer] | None) -> list[Optimizer]:
    """Return whose steps count; say it where they train something else."""
    optimizers = _optimizers(optimizer)
    if not _train(optimizers, model):
        warn(
            "No parameter of `optimizer` is one of `model`. Its steps are counted; where it trains neither this network nor copies "
            "of its weights, nothing will be seen to change."
        )
    return optimizers


def _train(optimizers: Sequence[Optimizer], model: nn.Module) -> bool:
    """Return whether `optimizers` have a parameter of `model`; so where there are no optimisers, or no parameters."""
    mine = {id(parameter) for parameter in model.parameters()}
    given = [id(parameter) for optimizer in optimizers for group in optimizer.param_groups for parameter in group["params"]]
    return not mine or not given or not mine.isdisjoint(given)


def _innermost(optimizer: Optimizer) -> Optimizer:
    """Return the optimiser within one that only wraps it and takes no hooks, as accelerate's and opacus's do."""
    for name in ("optimizer", "original_optimizer"):
        inner = getattr(optimizer, name, None)
        if isinstance(inner, Optimizer) and not hasattr(optimizer, "_optimizer_step_pre_hooks"):
            return _innermost(inner)
    return optimizer


def _unwrapped(
    model: nn.Module, context: Callable[[], AbstractContextManager[Any]]
) -> tuple[nn.Module, Callable[[], AbstractContextManager[Any]]]:
    """Return the module within those that spread its batches or its precision, and the context that it runs in.

    Their own forward pass would meet other ranks (DistributedDataParallel), run in other threads (DataParallel), or both.
    """
    kinds = {cls.__name__ for cls in type(model).__mro__}
    if "OptimizedModule" in kinds:  # what was compiled may be such a one
        compiled: Any = model._orig_mod
        found = _unwrapped(compiled, context)
        return (model, context) if found[0] is compiled else found
    if kinds & {"DistributedDataParallel", "DataParallel"}:
        inner: Any = model.module
        return _unwrapped(inner, context)
    if "_FabricModule" in kinds:  # of Lightning Fabric
        precision: Any = getattr(getattr(model, "_strategy", None), "precision", None)
        inside = precision.forward_context if precision is not None and context is nullcontext else context
        inner = model.module
        return _unwrapped(inner, inside)
    return model, context


def _ranks() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _samples_here(model: nn.Module, mode: Mode) -> bool:
    """Return whether this one of several ranks samples `model`: the first does, if one alone can."""
    first = distributed.get_rank() == 0
    spread = spread_of(model)
    if spread is not None:
        if first:
            why = spread or "fully_shard spreads its parameters over ranks, which BoundaryCallback looks at, and `watch` does not"
            warn(f"No boundaries are sampled, since {why}.")
        return False
    if mode == "as_is":
        refuse_talking(model)
    return first


def _root(directory: str | os.PathLike[str] | None, writer: Any, name: str) -> Path:
    """Return the run's directory; of two runs that begin in one second each has its own."""
    if directory is not None:
        return checked_directory(directory)
    if writer is not None and hasattr(writer, "get_logdir"):
        return Path(writer.get_logdir())
    made = Path("runs") / f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}"
    places = (made.with_name(f"{made.name}-{number}") if number else made for number in count())
    return next(place for place in places if not (place / name).exists())
