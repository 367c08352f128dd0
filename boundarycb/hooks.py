"""What the two Lightning callbacks share: the Trainer's hooks, in terms of a Recorder.

This file imports neither Lightning: a Trainer is used by the names of its attributes, so one mixin serves
``lightning.pytorch`` and ``pytorch_lightning``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from boundarycb.automatic import Asked, Example, Listener, ModelCall, SliceLike, Source, VaryLike
from boundarycb.probe import (
    MAX_ALL_UNITS,
    BackgroundLike,
    ForwardLike,
    LayersLike,
    NothingToDraw,
    OutputLike,
    UnitsLike,
    WrongChoice,
    module_at,
    waits_for_input,
)
from boundarycb.recorder import Recorder, checked_name, learning_rates
from boundarycb.sampling import EngineName, ResolutionLike
from boundarycb.schedule import ScheduleLike
from boundarycb.sinks import GifFile, TensorBoard
from boundarycb.types import Metric, Mode, Sink, warn

log = logging.getLogger(__name__)


class BoundaryHooks:
    """Samples a model's boundaries while a Trainer fits it: before the first step, as the schedule asks for, and at the end.

    Pictures and numbers go to the Trainer's TensorBoard logger; ``history.bcb`` and ``boundaries.gif`` into the folder `name`
    of the logger's directory. Training is not changed by a bit.

    Args:
        every_n_steps: Sample every so many optimiser steps; 100 by default.
        schedule: Instead of `every_n_steps`: "log", "ginn", a list of steps, or a callable (previous, step) -> bool.
        slice: Where to look: one of boundarycb.slices; three samples, or their places in the data set; by default what the data
            suggest: the box around 2-D inputs, else the plane through three samples, of different classes as far as there are any.
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
        module: The part of the LightningModule to look at, by its path; by default itself, or what it holds if it has no forward.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: An argument is of another kind.

    Example::

        trainer = Trainer(callbacks=[BoundaryCallback()])
        trainer.fit(model, loader)
    """

    def __init__(
        self,
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
        module: str | None = None,
    ) -> None:
        self._directory = directory
        self._name = checked_name(name)
        self._sinks = list(sinks)
        self._options: dict[str, Any] = {
            "every_n_steps": every_n_steps,
            "schedule": schedule,
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
        }
        Recorder("", **self._options)  # errors belong here, where the user wrote the argument
        self._module = module  # the path of the part that is looked at, once it is known
        self._step = 0  # batches in which an optimiser stepped: the axis of Lightning's own scalars
        self._outputs: Any = None  # of the last training step
        self._place = module
        self._began = False
        self._listener: Listener | None = None  # where the training step is to tell what the model is called with
        self._doubt: str | None = None  # why a batch does not
        self._global_step = 0  # the Trainer's count, which grows by two a batch with two optimisers
        self.recorder: Recorder | None = None
        """What samples during a fit; afterwards it still tells the steps, the directory and the seconds spent."""

    # ------------------------------------------------------------------------------------------------- Lightning's hooks

    @property
    def state_key(self) -> str:
        """The callback's key in checkpoints: the same for both Lightning packages."""
        return f"BoundaryCallback[{self._name}]"

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: how many steps were taken."""
        return {"step": self._step}

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled or copied: the settings, not a run's open files, nor what Lightning hangs on a callback."""
        return {name: value for name, value in self.__dict__.items() if name not in ("log", "log_dict")} | {
            "recorder": None,
            "_outputs": None,
            "_listener": None,
            "_doubt": None,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take the number of steps from a checkpoint."""
        self._step = int(state_dict["step"])

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        """Get ready for a fit."""
        self.recorder, self._outputs, self._place, self._began = None, None, self._module, False
        self._listener, self._doubt = None, None
        # The Trainer's own count of such batches: 0 in a fresh fit, whatever the callback did before, and right after a resume from
        # a checkpoint that was written without the callback.
        self._step = getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", self._step)
        self._global_step = trainer.global_step
        # Other ranks hold the same weights; a fast_dev_run and a barebones Trainer write nothing.
        if not trainer.is_global_zero or trainer.fast_dev_run or getattr(trainer, "barebones", False):
            return
        self.recorder = self._make_recorder(trainer)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Take the first sample, before any step of this fit: the first batch tells where and how to look."""
        if self.recorder is not None and not self._began:
            self._began = True
            source = Source.of(trainer.train_dataloader)
            self._begin(pl_module, Example(batch, source=source, batches=trainer.accumulate_grad_batches), trainer.optimizers)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:  # noqa: ARG002
        """End the run before its first step where nothing was found that could be looked at."""
        self._end_listening()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Count the step, if one was made, and take a sample if the schedule asks for one."""
        self._end_listening()
        if trainer.global_step <= self._global_step:
            return
        self._global_step = trainer.global_step
        self._step += 1
        if self.recorder is not None:
            self._outputs = outputs
            self.recorder.advance(self._looked_at(pl_module), self._step, partial(self._scalars, trainer))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Take the last sample and close, while the model is still on its device and the logger is open."""
        if self.recorder is not None:
            self.recorder.finish(self._looked_at(pl_module), self._step, partial(self._scalars, trainer))
            self.recorder.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Close: what was sampled becomes the movie, also after an error or Ctrl-C."""
        if self._listener is not None:  # whose hooks must not stay on the user's modules
            self._listener.stop()
            self._listener = None
        if self.recorder is not None:
            self.recorder.close()

    # --------------------------------------------------------------------------------------------------------- set-up

    def _scalars(self, trainer: Any) -> dict[str, Any]:
        return {**_loss(self._outputs, trainer.accumulate_grad_batches), **learning_rates(trainer.optimizers)}

    def _make_recorder(self, trainer: Any) -> Recorder:
        root = Path(self._directory if self._directory is not None else _logger_directory(trainer))
        writers = [logger.experiment for logger in trainer.loggers if _is_a(logger, "TensorBoardLogger")]
        if not writers:
            log.info("No TensorBoard logger: boundaries go to %s only.", root / self._name)
        boards = [TensorBoard(writer, name=self._name) for writer in writers]
        sinks: list[Sink] = [*boards, GifFile(), *self._sinks]
        context = trainer.precision_plugin.forward_context  # what its own training steps run in: autocast, a default dtype
        return Recorder(root / self._name, sinks=sinks, context=context, **self._options)

    def _looked_at(self, pl_module: Any) -> nn.Module:
        """Return the module that is looked at."""
        return module_at(pl_module, self._place) if self._place else pl_module

    def _begin(self, pl_module: Any, example: Example, optimizers: Any) -> None:
        """Take the first sample of what a training batch is for; where that cannot be guessed, of what the training step calls.

        Raises:
            ValueError: it cannot be found out; the message says what to give.
        """
        assert self.recorder is not None
        self.recorder.meet(example)
        module = module_at(pl_module, self._module) if self._module else pl_module
        if waits_for_input(module):
            self.recorder.record(module, self._step)  # which waits too
            return
        if self._module or has_forward(pl_module):
            try:
                self.recorder.settle(module)
            except (NothingToDraw, WrongChoice):
                raise
            except ValueError as error:
                self._doubt = str(error)
            else:
                self.recorder.record(module, self._step, learning_rates(optimizers))
                return
        parts = {self._module: module} if self._module else parts_of(pl_module)
        self._listener = Listener(parts, partial(self._hear, pl_module, example, optimizers))
        self._listener.listen()

    def _hear(self, pl_module: Any, example: Example, optimizers: Any, path: str, call: ModelCall) -> None:
        """Take the first sample of a module that the training step calls, as it calls it; of one that will not do, listen on."""
        assert self.recorder is not None
        assert self._listener is not None
        module = module_at(pl_module, path) if path else pl_module
        self.recorder.meet(replace(example, call=call))
        try:
            self.recorder.settle(module)
        except ValueError as error:
            if not path and isinstance(error, Asked):  # that it calls is known, and what it lacks
                raise
            self._doubt = self._doubt if self._doubt and path else str(error)
            return
        self._listener.stop()
        self._listener, self._doubt, self._place = None, None, path
        others = [name for name in parts_of(pl_module) if name and not name.startswith(path)]
        if path and others and not self._module:
            warn(
                f"Boundaries are those of {path}, which the training step calls; `module` names another part, such as {others[0]}."
            )
        self.recorder.record(module, self._step, learning_rates(optimizers))

    def _end_listening(self) -> None:
        """Raise where the training step called nothing that could be looked at."""
        if self._listener is None:
            return
        self._listener.stop()
        self._listener = None
        raise ValueError(
            self._doubt
            or "The training step calls no part of the module that could be looked at: name one with `module`, or give `forward`, "
            "a function (module, inputs) -> output."
        )


def parts_of(pl_module: Any) -> dict[str, nn.Module]:
    """Return the modules that a training step may call, by path: the LightningModule, and what it holds that is trained."""
    parts: dict[str, nn.Module] = {"": pl_module}
    waiting = list(pl_module.named_children())
    while waiting:
        path, module = waiting.pop(0)
        if isinstance(module, (nn.ModuleList, nn.ModuleDict)):  # which are never called
            waiting[:0] = [(f"{path}.{name}", child) for name, child in module.named_children()]
        elif any(parameter.requires_grad for parameter in module.parameters()):
            parts[path] = module
    return parts


def has_forward(module: nn.Module) -> bool:
    """Return whether a user's class defines ``forward``: torch and Lightning have one that only raises."""
    home = next(cls for cls in type(module).__mro__ if "forward" in vars(cls))
    return not home.__module__.startswith(("torch.nn.modules.module", "lightning.pytorch.", "pytorch_lightning."))


def _logger_directory(trainer: Any) -> str:
    """Return the first logger's directory. ``trainer.log_dir`` would talk to the other ranks, which do not listen."""
    for logger in trainer.loggers:
        for attribute in ("log_dir", "save_dir"):
            directory = getattr(logger, attribute, None)
            if isinstance(directory, (str, os.PathLike)):
                return str(directory)
    return str(trainer.default_root_dir)


def _is_a(thing: Any, class_name: str) -> bool:
    """Return whether `thing` is of a class of this name: the two Lightning packages have one each."""
    return any(cls.__name__ == class_name for cls in type(thing).__mro__)


def _loss(outputs: Any, accumulated: int) -> dict[str, Any]:
    """Return the loss that the training step gave. Lightning hands it on divided by the number of accumulated batches."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    return {} if loss is None or not hasattr(loss, "numel") or loss.numel() != 1 else {"loss": loss * accumulated}
