"""What the two Lightning callbacks share: the Trainer's hooks, in terms of a Recorder.

Nothing here imports either Lightning: a Trainer is used by the names of its attributes, so one mixin serves
``lightning.pytorch`` and ``pytorch_lightning``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from boundarycb.automatic import DataLike, Example, SliceLike, Source, VaryLike
from boundarycb.outputs import checked_name, checked_sinks
from boundarycb.probe import (
    MAX_ALL_UNITS,
    BackgroundLike,
    ForwardLike,
    LayersLike,
    Message,
    OutputLike,
    UnitsLike,
    refuse_talking,
)
from boundarycb.recorder import Recorder
from boundarycb.sampling import EngineName, ResolutionLike
from boundarycb.scalars import detached, learning_rates
from boundarycb.schedule import Pace, ScheduleLike
from boundarycb.sinks import GifFile, PageFile, ReportFile
from boundarycb.trainer.first import FirstLook, part_at, whole_part
from boundarycb.trainer.loggers import directory_of, sinks_of
from boundarycb.trainer.ranks import Ranks, Replicas, Shards, ranks_of
from boundarycb.types import Metric, Mode, Sink
from boundarycb.warning import warn

log = logging.getLogger(__name__)


class BoundaryHooks:
    """Samples a model's boundaries while a Trainer fits it: before the first step, as the schedule asks for, and at the end.

    Pictures go to those of the Trainer's loggers that take them, numbers to all; ``history.bcb``, the movie, the page and the
    report into the folder `name` of the first logger's directory. Training is not changed by a bit.

    Args:
        every_n_steps: Sample every so many optimiser steps. By default every 100; where `resolution` is automatic and a training
            batch is known, so seldom that a sample's passes, and after fifty samples all of it, cost about 2 % of the training
            between two. That is counted in operations, a step for three milliseconds or more: two runs sample the same steps.
        schedule: Instead of `every_n_steps`: "log", "ginn", a list of steps, or a callable (previous, step) -> bool.
        slice: Where to look: one of boundarycb.slices; two ranges such as [[-1, 1], [-1, 1]], of a box; three samples, or their
            places in the data set; by default what the data suggest: the box around 2-D inputs, else the plane through three
            samples, of different classes as far as there are any.
        directory: Where `name` goes; by default the logger's directory, else the Trainer's default_root_dir.
        name: The leading word of all tags, and the folder's name; two callbacks need two names.
        metrics: Callables from a Sample to values by name; by default boundarycb.metrics.default().
        sinks: Further outputs.
        engine: What finds the lines: "exact" to the last digits, for piecewise-linear networks; "grid" on the grid, for any; "auto"
            chooses, and the picture says which.
        resolution: Grid points a side, 2 to 4096; "auto" takes the finest from 24 to 128 on which a sample's forward passes cost no
            more than 2 % of the training between two samples, and samples less often where that is not enough.
        max_vertices: Corners that the exact engine's regions may have; by default what costs little, 4 a grid point at most.
        image_size: Longer side of the picture's plot in pixels, 64 to 4096.
        max_units: Watched units a layer, evenly spread where a layer has more; by default 512, or 64 where units have positions, as
            in a convolution or a sequence.
        max_all_units: Watched units of all layers together, one of each layer at least.
        layers: Which layers are watched, by names, globs such as "encoder.*", or types of modules; all by default.
        units: Which units are watched, by places in the flattened layer or by positions; of every layer, or by layers' names.
        mode: "eval", or "as_is" to leave dropout and batch-norm in the mode that they are in.
        run_hooks: Whether forward hooks of yours run too while the model is sampled; those that are a part of it do in any case.
        verify: Whether the first sample tells what the forward pass changes, and checks deeply that all of it is put back.
        activations: What else is an activation in this model: "abs", "clamp", "maximum", "minimum".
        inputs: An example of what the model is called with, where a training batch does not tell: a batch; a tuple of arguments; a
            mapping of named ones. Everything in it that does not vary is held at one row.
        vary: Which of the inputs varies, by name or place, or the path of a module whose output does, such as an embedding.
        forward: Instead, a function (model, inputs) -> output.
        output: Which tensor of the model's output is shown, by name or place, or a function of the output.
        background: How it is shown: "classes", "mean", "norm" or one of its numbers, by its place; "auto" goes by shape.
        class_names: What classes are called.
        surfaces: Whether the output of each class is kept too, and drawn as a surface over the slice: the image ``surfaces``, and
            ``surfaces.gif``.
        replay: Whether the run can be stepped through: in TensorBoard's tab *Boundaries*, and in ``boundaries.html`` at the end.
        data: Samples of the data, inputs (n, *shape) or a pair of them and their classes (n,), 256 of which are looked at with each
            sample; by default those of the first training batch.
        module: The part of the LightningModule to look at, by its path; by default itself, or what it holds if it has no forward.
        max_overhead: Share of the wall time that samples may take, such as 0.02; those beyond it are left out, which is said. By
            default none is, so that two runs sample the same steps. The first sample and the last one are taken in
            any case; so is the second, whose cost is not known yet. Closing (the movie, the report) is not counted.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: An argument is of another kind.

    Example::

        trainer = Trainer(callbacks=[BoundaryCallback()])
        trainer.fit(model, loader)
    """

    def __init__(
        self,
        *,
        every_n_steps: int | None = None,
        schedule: ScheduleLike | None = None,
        slice: SliceLike = None,
        directory: str | os.PathLike[str] | None = None,
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
        module: str | None = None,
        max_overhead: float | None = None,
    ) -> None:
        self._directory = directory
        self._name = checked_name(name)
        self._sinks = checked_sinks(sinks)
        schedule, metrics = _kept(schedule), _kept(metrics)
        self._replay = replay
        self._options: dict[str, Any] = {
            "every_n_steps": every_n_steps,
            "schedule": schedule,
            "max_overhead": max_overhead,
            "metrics": metrics,
            "engine": engine,
            "resolution": resolution,
            "max_vertices": max_vertices,
            "image_size": image_size,
            "max_units": max_units,
            "max_all_units": max_all_units,
            "layers": layers,
            "units": units,
            "mode": mode,
            "run_hooks": run_hooks,
            "verify": verify,
            "activations": activations,
            "slice": slice,
            "inputs": inputs,
            "vary": vary,
            "forward": forward,
            "output": output,
            "background": background,
            "class_names": class_names,
            "surfaces": surfaces,
            "data": data,
        }
        Recorder("" if directory is None else directory, **self._options)  # errors belong here, where the user wrote the argument
        self._module = module
        self._restored: Mapping[str, Any] = {}  # what a checkpoint says
        self.recorder: Recorder | None = None
        """What samples during a fit; afterwards it still tells the steps, the directory and the seconds spent."""
        self._reset()

    def _reset(self) -> None:
        """Forget the last fit."""
        self.recorder = None
        self._ranks: Ranks | None = None  # None: nothing is sampled
        self._look: FirstLook | None = None
        self._began = self._listens = False
        self._step = 0  # batches in which an optimiser stepped: the axis of Lightning's own scalars
        self._global_step = 0  # the Trainer's count, which grows by two a batch with two optimisers
        self._logged: dict[str, Any] = {}  # that the last training step gave
        self._words = ""  # where pictures go, if that is to be said

    # ------------------------------------------------------------------------------------------------- Lightning's hooks

    @property
    def state_key(self) -> str:
        """The callback's key in checkpoints: the same for both Lightning packages."""
        return f"BoundaryCallback[{self._name}]"

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: how many steps were taken, and where the samples are."""
        if not self._began:
            return dict(self._restored)
        path = None if self._look is None else self._look.path
        state = self.recorder.state_dict() if self.recorder is not None else {}
        return {"step": self._step, "global_step": self._global_step, "module": path, "recorder": state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take what a checkpoint says: the fit to come goes on with its run."""
        self._restored = state_dict

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled or copied: the settings, not a run's open files, nor what Lightning hangs on a callback."""
        twin = object.__new__(type(self))
        twin.__dict__ = {name: value for name, value in self.__dict__.items() if name not in ("log", "log_dict")}
        twin._reset()
        return twin.__dict__

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002
        """Forget an earlier fit, and what its checkpoint said; that of this one is loaded after this hook."""
        if stage == "fit":
            self._restored = {}
            self._reset()  # a tuner saves a checkpoint before training starts

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Get ready for a fit."""
        self._reset()
        if trainer.fast_dev_run:
            return  # which writes nothing
        if getattr(trainer, "barebones", False):
            self._tell(f"{self._name}: a barebones Trainer is measured without callbacks, so nothing is sampled.")
            return
        ranks = ranks_of(trainer, pl_module, certain=not callable(self._options["schedule"]))
        if isinstance(ranks, str):
            if trainer.is_global_zero:
                warn(f"No boundaries are sampled, since {ranks}.")
            return
        if self._options["mode"] == "as_is" and trainer.world_size > 1:
            refuse_talking(pl_module)
        self._ranks, self._global_step = ranks, trainer.global_step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Take the first sample, before any step of this fit: the first batch tells where and how to look."""
        if self._ranks is None or self._began:
            return
        self._began = True
        if isinstance(self._ranks, Shards) and not self._ranks.leads:
            self.recorder = self._make_recorder(trainer)  # which follows, and samples nothing itself
        # The Trainer's own count of such batches: 0 in a fresh fit, whatever the callback did before, and right after a resume from
        # a checkpoint that was written without the callback.
        self._step = self._restored.get("step", getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", 0))
        # A checkpoint that was written after a step, and before this callback was told of it.
        self._step += trainer.global_step > self._restored.get("global_step", trainer.global_step)
        begin = partial(self._begin, trainer, pl_module, batch)
        self._listens, pace = self._ranks.first(begin, partial(self._follow, pl_module))
        if self.recorder is not None and not self._ranks.leads:
            self.recorder.expect(self._step, pace)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:  # noqa: ARG002
        """End the run before its first step where nothing was found that could be looked at."""
        self._end_listening(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Count the step, if one was made, and take a sample if the schedule asks for one."""
        self._end_listening(pl_module)
        if trainer.global_step <= self._global_step:
            return
        self._global_step = trainer.global_step
        self._step += 1
        recorder, ranks = self.recorder, self._ranks
        self._logged = _numbers(outputs)  # and not what else is in there, which may be large
        if recorder is None or ranks is None or not ranks.agree(partial(recorder.is_due, self._step)):
            return
        if self._options["max_overhead"] is not None and not ranks.allow(partial(recorder.may_take, self._step)):
            return
        ranks.later(partial(self._sample, trainer, pl_module), partial(self._follow, pl_module))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Take the last sample and close, while the model is still on its device and the logger is open."""
        if self.recorder is None or self._ranks is None:
            return
        if self._listens and self._look is not None:
            self._look.stop()  # all batches were skipped, so nothing was heard
        elif self._began:
            self._ranks.later(partial(self._sample, trainer, pl_module), partial(self._follow, pl_module))
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Close: what was sampled becomes the movie, also after an error or Ctrl-C."""
        if self._look is not None:  # whose hooks must not stay on the user's modules
            self._look.stop()
        self._close()

    # ---------------------------------------------------------------------------------------------------------- a fit

    @staticmethod
    def _tell(words: str) -> None:
        """Tell the user something, as their Lightning does."""
        log.info(words)

    @property
    def _path(self) -> str | None:
        """The path of the part to look at, where a checkpoint or the user named it."""
        path: str | None = self._restored.get("module")
        return self._module if path is None else path

    def _where(self) -> Path:
        assert self.recorder is not None
        return self.recorder.directory

    def _make_recorder(self, trainer: Any) -> Recorder:
        leads = self._ranks is not None and self._ranks.leads
        place, passed = (self._directory, "") if self._directory is not None else directory_of(trainer)
        if passed and leads:
            warn(passed)
        root = Path(place)
        found, self._words = sinks_of(trainer.loggers, self._name, self._where, replay=self._replay) if leads else ([], "")
        page: list[Sink] = [PageFile()] if self._replay else []
        sinks: list[Sink] = [GifFile(), *page, ReportFile(), *found, *self._sinks] if leads else []  # trackers send the file
        context = trainer.precision_plugin.forward_context  # what its own training steps run in: autocast, a default dtype
        options = self._options
        if isinstance(self._ranks, Shards) and options["verify"]:
            options = {**options, "verify": False}
            if leads:
                warn("`verify` is left out, since parameters that are spread over ranks cannot be compared so deeply.")
        recorder = Recorder(root / self._name, sinks=sinks, context=context, **options)
        if isinstance(self._ranks, Shards):
            recorder.lead(trainer.strategy.broadcast)
        if isinstance(self._ranks, Replicas):
            recorder.stand_alone()
        return recorder

    def _begin(self, trainer: Any, pl_module: Any, batch: Any) -> tuple[bool, Pace | None]:
        """Take the first sample, or go on with a run; return whether the training step is listened to, and the plan's pace."""
        self.recorder = self._make_recorder(trainer)
        self.recorder.load_state_dict(self._restored.get("recorder", {}))
        if self._module not in (None, self._path):
            warn(f"`module` is that of the run that is gone on with, {self._path or 'the whole'}; yours is left out.")
        self._look = FirstLook(self.recorder, pl_module, self._path, self._step, learning_rates(trainer.optimizers))
        example = Example(batch, source=Source.of(trainer.train_dataloader), batches=trainer.accumulate_grad_batches)
        listens = self._look.begin(example, may_listen=not isinstance(self._ranks, Shards))
        if not listens:
            self._has_begun(trainer, pl_module)
        return listens, self.recorder.pace

    def _end_listening(self, pl_module: Any) -> None:
        if self._listens and self._ranks is not None:
            self._listens = False
            self._ranks.first(self._end_look, partial(self._follow, pl_module))

    def _end_look(self) -> None:
        if self._look is not None:
            self._look.end()
            self._has_begun()

    def _has_begun(self, trainer: Any = None, pl_module: Any = None) -> None:
        """Say where pictures go, now that it is known; take the sample of a step that the checkpoint's run did not come to."""
        if self._words:
            self._tell(self._words.format(directory=self._where()))
            self._words = ""
        if trainer is not None and self.recorder is not None and self.recorder.steps and self.recorder.is_due(self._step):
            self._sample(trainer, pl_module)

    def _sample(self, trainer: Any, pl_module: Any) -> None:
        """Take a sample, unless this step has one."""
        assert self.recorder is not None
        assert self._look is not None
        try:
            model = part_at(pl_module, self._look.path)
        except ValueError as error:
            self.recorder.give_up(f"step {self._step}: sampling", error)
        else:
            self.recorder.finish(model, self._step, partial(self._scalars, trainer))

    def _follow(self, pl_module: Any, hear: Callable[[], Message]) -> Message:
        """Run what the leading rank runs."""
        assert self.recorder is not None
        part = pl_module
        with suppress(ValueError):  # which the leading rank has too, and raises on all
            part = part_at(pl_module, whole_part(pl_module, self._path))
        return self.recorder.follow(part, hear)

    def _close(self) -> None:
        if self.recorder is not None:
            self.recorder.close(self._tell)

    def _scalars(self, trainer: Any) -> dict[str, Any]:
        given = dict(self._logged) or {name: value for name, value in trainer.callback_metrics.items() if _is_number(value)}
        if "loss" in self._logged:  # which Lightning hands on divided by the number of accumulated batches
            given["loss"] = given["loss"] * trainer.accumulate_grad_batches
        return {**given, **learning_rates(trainer.optimizers)}  # under manual optimisation a step gives nothing, and logs


def _kept(values: Any) -> Any:
    """Return what gives its values once as a list, which gives them as often as it is asked."""
    return list(values) if isinstance(values, Iterator) and not callable(values) else values


def _numbers(outputs: Any) -> dict[str, Any]:
    """Return the loss that the training step gave, and what numbers it gave beside it, without their graphs."""
    given = outputs if isinstance(outputs, Mapping) else {"loss": outputs}
    return {str(name): detached(value) for name, value in given.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or (hasattr(value, "numel") and value.numel() == 1)


BoundaryHooks.__init__.__qualname__ = "BoundaryCallback.__init__"  # which Python names where an argument is misspelt
