"""The one conductor: schedule, look at the model, metrics, snapshot, history, sinks.

What goes wrong at or before the first sample is raised: the user is still there and can mend it. After it, nothing is: the part
that failed is dropped with one warning, and training goes on. So is a sink at any time: the server behind it may be down.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from boundarycb import metrics as metrics_module
from boundarycb.automatic import SHARE, DataLike, Example, Given, Plan, SliceLike, VaryLike
from boundarycb.earlier import Earlier, read_earlier, read_place
from boundarycb.failing import attempt, attempt_part, in_words
from boundarycb.measuring import Kinds, checked_metrics, is_needed, measure, no_values
from boundarycb.memory import Memory
from boundarycb.metrics.finals import Finals
from boundarycb.nested import changed
from boundarycb.outputs import Outputs, checked_directory, place_file, traces_file
from boundarycb.overhead import Overhead
from boundarycb.probe import (
    MAX_ALL_UNITS,
    Alone,
    BackgroundLike,
    Conditions,
    ForwardLike,
    LayersLike,
    Message,
    OutputLike,
    UnitsLike,
    bytes_of,
    follow,
    home_of,
    load_traces,
    waits_for_input,
)
from boundarycb.render.layout import checked_size
from boundarycb.sampling import EngineName, Look, ResolutionLike, View, said_of_lost, with_class_names
from boundarycb.scalars import detached
from boundarycb.schedule import EVERY, Pace, ScheduleLike, resolve
from boundarycb.types import Metric, Mode, Sample, Sink, Snapshot
from boundarycb.warning import warn

logger = logging.getLogger(__name__)

_FEW, _TWENTY = 3, 20  # samples of a run that are too few to see much in, and enough

_STATE = 2  # version of what `state_dict` gives

_PLACE = ("slice", "feed", "data")  # parts of the view's state that may be large

_MOST_BYTES = 2**16  # of those in a checkpoint

Scalars = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None


class Recorder:
    """Samples a model while it trains, and keeps what it saw.

    You get one from :func:`boundarycb.watch` or from the callback; make one yourself to sample by hand with :meth:`record`.

    Args:
        directory: where ``history.bcb`` goes; made when the first sample is taken. Where it holds a history already, a number is
            added to its name: nothing is overwritten.
        slice: where to look, or a function that tells it when the first sample is taken; the two ranges of a box; three samples, or
            the places of three in the example; by default what the example suggests: the box around 2-D inputs, else the plane
            through three of them.
        every_n_steps: sample every so many optimiser steps. By default every 100; where `resolution` is automatic and a training
            batch is known, so seldom that a sample's passes, and after fifty samples all of it, cost about 2 % of the training
            between two. That is counted in operations, a step for three milliseconds or more: two runs sample the same steps.
        schedule: instead of `every_n_steps`: ``"log"``, ``"ginn"``, a list of steps, or a callable ``(previous, step) -> bool``.
        max_overhead: share of the wall time that samples may take, such as 0.02; those beyond it are left out, which is said. By
            default none is, so that two runs sample the same steps. The first sample and the last one are taken in
            any case; so is the second, whose cost is not known yet. Closing (the movie, the report) is not counted.
        metrics: callables from a Sample to values by name; by default :func:`boundarycb.metrics.default`.
        sinks: where samples go besides the history.
        engine: what finds the lines: ``exact`` to the last digits, for piecewise-linear networks; ``grid`` on the grid, for
            any; ``auto`` chooses, and the picture says which.
        resolution: grid points a side of masks, background and traced lines, 2 to 4096; ``auto`` takes the finest from 24 to 128 on
            which a sample's forward passes cost no more than 2 % of the training between two samples, as far as an example tells
            how large batches are; else 128.
        max_vertices: corners that the exact engine's regions may have; by default what costs little, 4 a grid point at most.
        image_size: longer side of the overlay's plot in pixels, 64 to 4096.
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
        inputs: an example of what the model is called with: a batch; a tuple of arguments; a mapping of named ones. Everything in
            it that does not vary is held at one row.
        vary: which of the inputs varies, by name or place, or the path of a module whose output does, such as an embedding.
        forward: instead, a function (model, inputs) -> output.
        output: which tensor of the model's output is shown, by name or place, or a function of the output.
        background: how it is shown: ``classes``, ``mean``, ``norm`` or one of its numbers, by its place; ``auto`` goes by shape.
        class_names: what classes are called.
        surfaces: whether the output of each class is kept too, and drawn as a surface over the slice: the image ``surfaces``, and
            ``surfaces.gif``.
        data: samples of the data, inputs (n, *shape) or a pair of them and their classes (n,), 256 of which are looked at with each
            sample; by default those of the first training batch.

    Raises:
        ValueError: an argument is out of its range.
        TypeError: an argument is of another kind.

    Attributes:
        start: the step at which it began: 0, or that of the run that is gone on with.
        step: optimiser steps taken, as far as it was told.
        steps: the steps that were sampled, growing.
        seconds: wall time spent sampling and closing so far.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        slice: SliceLike = None,
        *,
        every_n_steps: int | None = None,
        schedule: ScheduleLike | None = None,
        max_overhead: float | None = None,
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
        data: DataLike = None,
    ) -> None:
        self.start = self.step = 0
        self.steps: list[int] = []
        self.seconds = 0.0
        self._born = time.perf_counter()
        self._started: float | None = None  # when what is being done now began
        self._told_seconds = 0.0  # the seconds that snapshots say
        self._overhead = Overhead(max_overhead)
        self._copied = 0  # samples of the run that this one goes on with
        self._left_out = -1  # the last step whose sample took too much
        self._due = resolve(every_n_steps, schedule)
        self._due_by_default = every_n_steps is None and schedule is None
        self._metrics = checked_metrics(metrics_module.default() if metrics is None else metrics)
        self._outputs = Outputs(checked_directory(directory), sinks, checked_size(image_size, "image_size"))
        self._given = Given(slice, inputs, vary, forward, class_names, data)
        self._view = View(
            self._given,
            Conditions(
                max_units,
                mode,
                run_hooks,
                verify,
                context,
                activations,
                output=output,
                background=background,
                max_all_units=max_all_units,
                layers=layers,
                units=units,
            ),
            engine=engine,
            max_vertices=max_vertices,
            resolution=resolution,
            traced=is_needed("trace", self._metrics),
            answered="margins" if is_needed("margins", self._metrics) else is_needed("data", self._metrics),
            surfaces=surfaces,
            every=EVERY if every_n_steps is None else index(every_n_steps),  # numpy's numbers are none that a checkpoint may hold
            may_wait=self._due_by_default,
        )
        self._example: Example | None = None
        self._memory = Memory(windowed=is_needed("window", self._metrics))
        self._traces_at: Path | None = None  # the file of those before a resume, until they are read
        self._finals = Finals(self._view.resolution**2)
        self._logged: dict[str, Any] = {}
        self._said: set[str] = set()
        self._stopped = self._schedule_failed = False
        self._waiting = False  # for a lazy model's first input
        self._alone = False
        self._closed = False

    @property
    def directory(self) -> Path:
        """Where the history lies, or will: a number is added where there is one already."""
        return self._outputs.directory

    @property
    def waiting(self) -> bool:
        """Whether the first sample waits for lazy modules to see their first input."""
        return self._waiting

    @property
    def finals(self) -> dict[str, float]:
        """The run in finite numbers, ready for an HParams table: ``final/<metric>``, and ``total/<metric>`` of what moved.

        Of a network whose output becomes finite nowhere on the slice they are those up to the last sample before that.

        With Lightning ``trainer.logger.log_hyperparams(model.hparams, callback.recorder.finals)`` after the fit; with a
        SummaryWriter ``writer.add_hparams(hparams, recorder.finals, run_name=".")``.
        """
        return self._finals.numbers()

    @property
    def plan(self) -> Plan | None:
        """How finely and how often samples are taken, where that is counted; None before the first one, and where it is not."""
        return self._view.plan

    @property
    def needs_example(self) -> bool:
        """Whether it takes an example of the training data to know where to look."""
        return self._view.needs_example

    @property
    def summary(self) -> str:
        """The run in a sentence: samples, the time that they took, and where they are."""
        if not self.steps:
            return f"{self.directory.name}: no samples."
        share = self.seconds / max(time.perf_counter() - self._born, 1e-9)
        files, left_out = ", ".join(self._outputs.files()), self._overhead.left_out
        outside = "in which the first sample and the end do not count"
        more = f" ({left_out:,} more were left out for `max_overhead`, {outside})" if left_out else ""
        pace = self.pace
        if pace is not None and pace.late > pace.early and self.steps[-1] > pace.turn + pace.early:  # one was left out at least
            more += f" (every {pace.late:,} steps from step {pace.turn:,} on; `every_n_steps` sets it)"
        if self._due_by_default and not left_out and len(self.steps) <= _FEW and self.steps[-1] >= _TWENTY:
            more += f" (few; `every_n_steps={self.steps[-1] // _TWENTY}` takes some twenty)"
        several = f"{len(self.steps):,} samples of steps {self.steps[0]:,} to {self.steps[-1]:,}"
        what = f"{self.directory.name}: {several if len(self.steps) > 1 else f'1 sample, of step {self.steps[0]:,},'}"
        if self._outputs.last != self.steps[-1]:
            what += f" (the history ends at step {self._outputs.last:,})"
        where = f"{files} in {self.directory}" if files else f"nothing is left in {self.directory}"
        took = f"took {self.seconds:.1f} s, {share:.1%} of the time{more}: {where}"
        if self._copied:
            return f"{what}, of which {len(self.steps) - self._copied:,} are new and {took}"
        return f"{what} {took}"

    def meet(self, example: Example) -> None:
        """Take an example of the training data, from which the first sample finds out where and how to look."""
        self._example = example

    def settle(self, model: nn.Module) -> None:
        """Find out where and how to look at `model`, as the first sample does.

        Raises:
            ValueError: it cannot be found out; the message says what to give.
        """
        with self._spending(), self._by_itself():
            self._view.settle(model, self._example)
        self._example = None

    @contextmanager
    def _spending(self) -> Iterator[None]:
        """Count the time that passes meanwhile, once."""
        if self._started is not None:
            yield
            return
        self._started = start = time.perf_counter()
        try:
            yield
        finally:
            self._started = None
            self.seconds += time.perf_counter() - start

    # ------------------------------------------------------------------------------------------------------- other ranks

    def lead(self, tell: Callable[[Message], Any]) -> None:
        """Tell other ranks of every pass before it is run, since each of them has to run it too."""
        self._view.lead(tell)

    def follow(self, model: nn.Module, hear: Callable[[], Message]) -> Message:
        """Run what the leading rank runs, without looking at it; return its last message."""
        return follow(model, self._view.conditions, hear, self._given.forward)

    def stand_alone(self) -> None:
        """Refuse a model that would wait for other ranks, who do not listen."""
        self._alone = True

    def _by_itself(self) -> AbstractContextManager[Any]:
        return Alone() if self._alone else nullcontext()

    def rest(self) -> None:
        """Take no sample, whatever is asked: another rank does."""
        self._stopped = True

    @property
    def pace(self) -> Pace | None:
        """How often samples are taken, where that was counted and is not every 100 steps; None where it is, or the user said."""
        plan = self._view.plan
        return plan.pace if plan is not None and self._due_by_default and plan.pace != Pace() else None

    def expect(self, step: int, pace: Pace | None) -> None:
        """Count from `step` on, and sample as seldom as the leading rank does, by its :attr:`pace`."""
        self.step = step
        if pace is not None:
            self._due = pace.schedule()

    # --------------------------------------------------------------------------------------------- stopping and going on

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs so that a later run can go on with this one's history; empty before the first sample.

        Plain values and tensors, 70 kilobytes at most: frames stay where they are; a slice of many numbers, and what the next
        sample is compared with, are written beside them, the latter for the last three samples that were asked for.
        """
        if not self.steps:
            return {}
        self._outputs.keep_traces(self.steps[-1], self._memory.traces)
        state = {
            "version": _STATE,
            "step": self.step,
            "last": self.steps[-1],
            "directory": os.fspath(self.directory),
            "run": self._outputs.run,
            "view": self._view_state(),
        }
        # Of a number that is numpy's a checkpoint could not be loaded with `weights_only=True`, by any Trainer.
        plain: dict[str, Any] = changed(state, lambda _, leaf: leaf.item() if isinstance(leaf, np.generic) else leaf)
        return plain

    def _view_state(self) -> dict[str, Any]:
        """Return the view's state; slice and held inputs of many numbers are beside the history, and not in each checkpoint."""
        state = self._view.state()
        place = {name: state[name] for name in _PLACE}
        large = bytes_of(place) > _MOST_BYTES and self._outputs.keep_place(place)
        return state | dict.fromkeys(_PLACE) if large else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the run of :meth:`state_dict`, of another process as a rule: the same slice, grid, units and chance levels.

        The new history begins with the old one's samples up to the checkpoint, copied; the old one is left as it is.

        Args:
            state: what ``state_dict`` gave; an empty one is that of a run that had not begun.

        Raises:
            RuntimeError: a sample was taken already.
            ValueError: the state is of another version, which this boundarycb does not read.
            OSError: the directory cannot be written to.
        """
        if self.steps or self._closed:
            raise RuntimeError("`load_state_dict` must come before the first sample.")
        if not state or self._stopped:
            return
        if state.get("version") != _STATE:
            raise ValueError(f"The state of version {state.get('version')!r} cannot be read; this boundarycb reads {_STATE}.")
        self.start = self.step = state["step"]
        view = state["view"]
        if view["slice"] is None:
            what = f"The samples before step {self.step:,} are gone, and where they looked, so this history begins there."
            place = attempt(partial(read_place, place_file(Path(state["directory"])), state["run"]), what)
            if place is None:
                return
            view = {**view, **place}
        for name in self._view.restore(view):
            warn(f"`{name}` is that of the run that is gone on with, so that its samples can be compared; yours is left out.")
        try:
            earlier = read_earlier(Path(state["directory"]), state["run"], state["last"], self._view.resolution**2)
        except (OSError, ValueError) as error:
            warn(f"The samples before step {self.step:,} are gone, so this history begins there. {in_words(error)}")
            return
        if earlier is None:
            return
        if earlier.steps[-1] < state["last"]:
            gone = f"after step {earlier.steps[-1]:,}, up to step {state['last']:,}"
            warn(f"The samples {gone} are gone, so this history goes on without them: the one before ended too early.")
        self._go_on(earlier, state["last"])

    def _go_on(self, earlier: Earlier, last: int) -> None:
        """Begin with the samples of an earlier history up to step `last`."""
        self._outputs.go_on(earlier.history, last)
        self.steps, self._finals, self._copied = earlier.steps, earlier.finals, len(earlier.steps)
        self._memory.recall(earlier.ends)
        if self.steps[-1] == last:  # else it was cut, and the traces are those of a sample that is gone
            self._traces_at = traces_file(self.directory, last)
        self.expect(self.step, self.pace)

    def _recall_traces(self, model: nn.Module) -> None:
        """Read, once, what the first sample after a resume is compared with."""
        path, self._traces_at = self._traces_at, None
        if path is None or not is_needed("trace", self._metrics):
            return
        try:
            self._memory.traces = load_traces(path, home_of(model)[1])
        except Exception as error:  # noqa: BLE001 - whatever it is, one sample goes without
            self._say(
                f"drift since step {self.steps[-1]:,} is not split into its parts: its weights are not kept. {in_words(error)}"
            )

    # ------------------------------------------------------------------------------------------------ what users call

    def log(self, **scalars: Any) -> None:
        """Remember numbers, such as ``loss=loss``, for the samples to come. Tensors are read when one is taken, not now.

        Log before ``optimizer.step()``, so that the sample after that step has the loss that led to it.

        Args:
            scalars: numbers or one-element tensors by name; a name keeps its value until it is logged again.
        """
        self._logged.update({name: detached(value) for name, value in scalars.items()})

    def advance(self, model: nn.Module, step: int, scalars: Scalars = None) -> None:
        """Say that training has reached `step`; take a sample if the schedule asks for one.

        This runs at every step and costs microseconds: `scalars` may be a function, called only when a sample is taken.
        """
        if self.is_due(step) and not self._stopped and not self._closed and self.may_take(step):
            self.record(model, step, scalars)

    def is_due(self, step: int) -> bool:
        """Say that training has reached `step`; return whether the schedule asks for a sample."""
        previous, self.step = self.step, max(step, self.step)
        if step <= previous or self._schedule_failed:
            return False
        try:
            return bool(self._due(previous, step)) or self._waiting
        except Exception as error:
            if not self.steps:
                raise
            self._schedule_failed = True
            self.give_up(f"step {step}: `schedule`", error)
            return False

    def may_take(self, step: int) -> bool:
        """Return whether a sample that is due fits into what the user allows; say once where it does not."""
        if self._stopped or self._closed or self._overhead.allows():
            return True
        self._left_out = step
        limit = f"`max_overhead`, {self._overhead.share:.3g} of the time"
        self._say("overhead", f"step {step}: a sample takes {self._overhead.cost:.2g} s; some are left out to stay within {limit}.")
        return False

    def finish(self, model: nn.Module, step: int, scalars: Scalars = None) -> None:
        """Take the last sample, unless `step` was sampled already."""
        if not self._stopped and not self._closed and (not self.steps or step > self.steps[-1]):
            self._overhead.left_out -= step == self._left_out  # now it is taken
            self.record(model, step, scalars)

    def record(self, model: nn.Module, step: int, scalars: Scalars = None) -> None:
        """Take a sample now, whatever the schedule says.

        Args:
            model: the model; it is left as it was.
            step: optimiser steps taken so far; must grow from sample to sample.
            scalars: numbers or one-element tensors to keep with the sample, or a function that gives them.

        Raises:
            ValueError: `step` is no whole number or does not grow; at the first sample only: the model or slice will not do.
            OSError: at the first sample only: the directory cannot be written to.
            RuntimeError: the recorder is closed.
        """
        if self._closed:
            raise RuntimeError("The recorder is closed; record inside the `with` block.")
        if not hasattr(step, "__index__") or isinstance(step, bool) or step < 0:
            raise ValueError(f"`step` must be a whole number of optimiser steps, 0 or more, got {step!r}.")
        step = index(step)
        if self.steps and step <= self.steps[-1]:
            raise ValueError(f"`step` must grow from sample to sample: got {step} after {self.steps[-1]}.")
        self.step = max(step, self.step)
        if self._stopped or self._must_wait(model):
            return
        before = self.seconds
        try:
            with self._spending():
                given = scalars() if callable(scalars) else scalars or {}
                self._take(model, step, {**self._logged, **given})
        except Exception as error:
            if not self.steps:
                raise
            self.give_up(f"step {step}: sampling", error)
        finally:
            self._overhead.took(self.seconds - before)

    def give_up(self, what: str, error: Exception) -> None:
        """Take no further sample, since `what` failed, and say so once."""
        if self._stopped:
            return
        self._stop(f"{what} failed; no further sample is taken, training goes on. {in_words(error)}")

    def _stop(self, words: str) -> None:
        """Take no further sample, and say why: to the user now, and in the history for who reads it later."""
        self._stopped = True
        self._outputs.end(self.step, words)
        warn(words)

    def try_out(self, model: nn.Module) -> None:
        """Run `model` on a few points of the slice of a run that is gone on with.

        Raises:
            ValueError: the model cannot take them.
            Exception: what its forward pass raises.
        """
        self.settle(model)
        with self._spending(), self._by_itself():
            self._view.try_out(model)

    def close(self, tell: Callable[[str], None] = logger.info) -> None:
        """End the run: make the movie, close history and sinks. Never raises; closing twice does nothing.

        Args:
            tell: takes the summary of the run, a sentence; by default it is logged.
        """
        if self._closed:
            return
        self._closed = True
        if self._waiting:
            warn("No sample was taken, since the model has lazy modules that have not seen an input.")
        with self._spending():
            self._outputs.close(written=bool(self.steps))
            attempt(self._memory.forget, "the last sample's weights could not be brought from the model's device.")
        if self.steps:
            attempt(lambda: tell(self.summary), "the summary could not be told.")

    # ------------------------------------------------------------------------------------------------------ one sample

    def _take(self, model: nn.Module, step: int, scalars: Mapping[str, Any]) -> None:
        self.settle(model)
        if not self.steps:
            self._follow_plan()
        self._recall_traces(model)
        with self._by_itself():
            seen = self._view.look(model, step, self._memory.traces)
        self._check(model, seen)
        seen = replace(seen, capture=with_class_names(seen.capture, self._given.class_names))
        numbers = self._numbers(scalars)
        measured = self._measured(self._sample(step, seen, numbers))
        snapshot = Snapshot(
            step=step,
            time=time.time(),
            slice=self._view.slice,
            capture=seen.capture,
            boundaries=seen.boundaries,
            decision=seen.decision,
            scalars=numbers,
            seconds=self._seconds(),
            **measured,
        )
        self._outputs.keep(snapshot, first=not self.steps)
        self.steps.append(step)
        self._outputs.show(snapshot)
        self._finals.add(snapshot.metrics, is_lost=snapshot.is_lost)
        self._memory.remember(snapshot, seen.traces)
        self._say_notes(snapshot, seen.notes)

    def _seconds(self) -> float:
        """Return the wall time that sampling took since it was last asked for."""
        whole = self.seconds + (0.0 if self._started is None else time.perf_counter() - self._started)
        took, self._told_seconds = whole - self._told_seconds, whole
        return took

    def _must_wait(self, model: nn.Module) -> bool:
        """Return whether `model` has lazy modules whose shapes its first input decides: that shall be one of the user's."""
        before, self._waiting = self._waiting, not self.steps and waits_for_input(model)
        if self._waiting and not before:
            logger.info("The first sample waits until the lazy modules of %s have seen an input.", type(model).__name__)
        return self._waiting

    def _check(self, model: nn.Module, seen: Look) -> None:
        """Say what the forward pass changes, where that was asked for; stop where it cannot be put back.

        Raises:
            RuntimeError: it cannot be, at the first sample of a recorder that was asked to verify it.
        """
        if seen.verdict is not None:
            changes = ", ".join(seen.verdict.changes)
            told = f"{changes}; all of it is put back after each sample" if changes else "nothing"
            if not seen.lost:
                warn(f"verify: the forward pass of {type(model).__name__} changes {told}.")
        for words in said_of_lost(model, seen.lost):
            if seen.verdict is not None:
                raise RuntimeError(f"verify: {words}; training is not what it would be without the samples.")
            self._stop(f"{words}, so this training is not what it would be without it; no further sample is taken.")

    def _sample(self, step: int, seen: Look, scalars: Mapping[str, float]) -> Sample:
        """Return what metrics may look at; say it where that is less than at the last sample."""
        sample = self._memory.sample(step, seen.capture, seen.boundaries, seen.moves)
        sample = replace(
            sample,
            decision=seen.decision,
            slice=self._view.slice,
            scalars=scalars,
            regions=seen.regions,
            answers=seen.answers,
        )
        if sample.before is None and self._memory.before is not None:
            words = "the model called other layers than at the last sample, so there is nothing to compare with"
            self._say("layers", f"step {step}: {words}.")
        return sample

    def _follow_plan(self) -> None:
        """Sample as seldom as was found to be cheap enough, and say what it costs."""
        plan = self._view.plan
        self._finals = Finals(self._view.resolution**2)
        if plan is None:
            return
        cost = f"a sample's forward passes cost about {plan.share:.1%} of the training between two samples"
        grid = f"on a {plan.resolution} x {plan.resolution} grid"
        besides = "That is counted in operations; metrics, pictures and files come on top"
        pace = self.pace or Pace()
        self.expect(self.step, self.pace)
        if pace.early > EVERY:
            often = f"Samples are taken every {pace.early:,} steps {grid}"
            warn(f"{often}: {cost}. {besides}. `every_n_steps` and `resolution` set it otherwise.")
        elif plan.share > SHARE:
            warn(f"{cost.capitalize()}, {grid}. {besides}. `every_n_steps` sets how often they are taken.")
        else:
            logger.info("%s, %s.", cost.capitalize(), grid)
        if pace.late > pace.early:
            logger.info("From step %s on samples are taken every %s steps; `every_n_steps` sets it.", pace.turn, pace.late)

    def _numbers(self, scalars: Mapping[str, Any]) -> dict[str, float]:
        """Return what the loop logged as numbers; what is none is left out and said once."""
        numbers = {}
        for name, value in scalars.items():
            try:
                numbers[name] = float(detached(value))
            except Exception as error:  # noqa: BLE001 - whatever a user's object raises, it is no number
                what = f"`{name}` was logged as {type(value).__name__}, which is no number or one-element tensor; it is left out"
                self._say(what, f"{what} {in_words(error)}.")
        return numbers

    def _measured(self, sample: Sample) -> Kinds:
        """Return the metrics' values, sorted by kind."""
        measured = no_values()
        for metric in list(self._metrics):
            now = partial(measure, metric, sample, list(measured.values()))
            given = attempt_part(self._metrics, metric, now) if self.steps else now()
            for kind, values in (given or {}).items():
                measured[kind].update(values)
        return measured

    # ------------------------------------------------------------------------------------------------------------ words

    def _say_notes(self, snapshot: Snapshot, more: Sequence[str]) -> None:
        for note in (*snapshot.notes, *more):
            what = re.sub(r"\b[\d,]+ (of [\d,]+|layers, the first [^:]+)", "some", note)  # a number that grows is said once
            self._say(what, f"step {snapshot.step}: {note}.")

    def _say(self, what: str, words: str | None = None) -> None:
        """Warn of `what`, once a run."""
        if what not in self._said:
            self._said.add(what)
            warn(words or what)
