"""What the two Lightning callbacks share: the Trainer's hooks, in terms of a Recorder.

This file imports neither Lightning: a Trainer is used by the names of its attributes, so one mixin serves
``lightning.pytorch`` and ``pytorch_lightning``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from boundarycb.engines.bands import checked_resolution
from boundarycb.keep import random_state_kept
from boundarycb.probe import Conditions
from boundarycb.recorder import Recorder, checked_name, checked_slice, learning_rates
from boundarycb.render.pictures import checked_size
from boundarycb.sampling import Engine, EngineName
from boundarycb.schedule import ScheduleLike, resolve
from boundarycb.sinks import GifFile, TensorBoard
from boundarycb.sinks.gif import spread
from boundarycb.slices import around, to_array
from boundarycb.types import Metric, Mode, Sink, Slice

log = logging.getLogger(__name__)

_ITEMS = 4096  # of the training data that are read for the slice's bounds


class BoundaryHooks:
    """Samples a model's boundaries while a Trainer fits it: before the first step, as the schedule asks for, and at the end.

    Pictures and numbers go to the Trainer's TensorBoard logger; ``history.bcb`` and ``boundaries.gif`` into the folder `name`
    of the logger's directory. Training is not changed by a bit.

    Args:
        every_n_steps: Sample every so many optimiser steps; 100 by default.
        schedule: Instead of `every_n_steps`: "log", "ginn", a list of steps, or a callable (previous, step) -> bool.
        slice: Where to look, made with boundarycb.slices; by default the box around the training data, where they are 2-D.
        directory: Where `name` goes; by default the logger's directory, else the Trainer's default_root_dir.
        name: The leading word of all tags, and the folder's name; two callbacks need two names.
        metrics: Callables from a Sample to values by name; by default boundarycb.metrics.default().
        sinks: Further outputs.
        engine: What finds the lines: "exact" to the last digits, for piecewise-linear networks; "grid" on the grid, for any; "auto"
            chooses, and the picture says which.
        resolution: Grid points a side, 2 to 4096.
        max_vertices: Corners that the exact engine's regions may have; by default four for each grid point, 65,536 at most.
        image_size: Longer side of the picture's plot in pixels, 64 to 4096.
        max_units: Watched units a layer, evenly spread where a layer has more.
        mode: "eval", or "as_is" to leave dropout and batch-norm in the mode that they are in.
        run_hooks: Whether forward hooks of yours run too while the model is sampled; those that are a part of it do in any case.
        verify: Whether the first sample tells what the forward pass changes, and checks deeply that all of it is put back.
        activations: What else is an activation in this model: "abs", "clamp", "maximum", "minimum".

    Raises:
        ValueError: An argument is out of its range.

    Example::

        trainer = Trainer(callbacks=[BoundaryCallback()])
        trainer.fit(model, loader)
    """

    def __init__(
        self,
        every_n_steps: int | None = None,
        schedule: ScheduleLike | None = None,
        slice: Slice | None = None,
        directory: str | os.PathLike[str] | None = None,
        name: str = "boundaries",
        metrics: Sequence[Metric] | None = None,
        sinks: Iterable[Sink] = (),
        engine: EngineName = "auto",
        resolution: int = 128,
        max_vertices: int | None = None,
        image_size: int = 512,
        max_units: int = 512,
        mode: Mode = "eval",
        run_hooks: bool = False,
        verify: bool = False,
        activations: Collection[str] = (),
    ) -> None:
        # Errors belong here, where the user wrote the argument.
        resolve(every_n_steps, schedule)
        checked_resolution(resolution)
        checked_size(image_size)
        Engine(engine, max_vertices)
        Conditions(max_units, mode, run_hooks, verify, activations=activations)
        self._slice = None if slice is None else checked_slice(slice)
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
            "mode": mode,
            "run_hooks": run_hooks,
            "verify": verify,
            "activations": activations,
        }
        self._step = 0  # batches in which an optimiser stepped: the axis of Lightning's own scalars
        self._outputs: Any = None  # of the last training step
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
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take the number of steps from a checkpoint."""
        self._step = int(state_dict["step"])

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Take the first sample, before any step of this fit."""
        self.recorder, self._outputs = None, None
        # The Trainer's own count of such batches: 0 in a fresh fit, whatever the callback did before, and right after a resume from
        # a checkpoint that was written without the callback.
        self._step = getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", self._step)
        self._global_step = trainer.global_step
        # Other ranks hold the same weights; a fast_dev_run and a barebones Trainer write nothing.
        if not trainer.is_global_zero or trainer.fast_dev_run or getattr(trainer, "barebones", False):
            return
        self.recorder = self._make_recorder(trainer)
        self.recorder.record(pl_module, self._step, learning_rates(trainer.optimizers))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Count the step, if one was made, and take a sample if the schedule asks for one."""
        if trainer.global_step <= self._global_step:
            return
        self._global_step = trainer.global_step
        self._step += 1
        if self.recorder is not None:
            self._outputs = outputs
            self.recorder.advance(pl_module, self._step, partial(self._scalars, trainer))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Take the last sample and close, while the model is still on its device and the logger is open."""
        if self.recorder is not None:
            self.recorder.finish(pl_module, self._step, partial(self._scalars, trainer))
            self.recorder.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Close: what was sampled becomes the movie, also after an error or Ctrl-C."""
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
        slice = self._slice if self._slice is not None else lambda: data_box(trainer.train_dataloader)
        sinks: list[Sink] = [*boards, GifFile(), *self._sinks]
        context = trainer.precision_plugin.forward_context  # what its own training steps run in: autocast, a default dtype
        return Recorder(root / self._name, slice, sinks=sinks, context=context, **self._options)


def data_box(loader: Any) -> Slice:
    """Return the box around the 2-D inputs that `loader` trains on.

    At most 4,096 items are read, evenly spread and by index, so that the loader's order, its workers and the random
    numbers of torch, numpy and python stay as they are. A data set that draws from a generator of its own is moved on by it;
    give a `slice` there.

    Raises:
        ValueError: the data cannot be read by index, or are not 2-D.
    """
    dataset: Any = getattr(loader, "dataset", None)
    ask = "give one, such as BoundaryCallback(slice=slices.box((-1, 1), (-1, 1)))"
    through = "give one, such as slices.through(a, b, c) with three inputs"
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise ValueError(f"`slice` is needed, since the training data ({type(dataset).__name__}) cannot be read by index; {ask}.")
    points, shape = [], (2,)
    with random_state_kept():
        for index in spread(len(dataset), _ITEMS):
            try:
                point = to_array(_first_of(dataset[index]))
            except Exception as error:
                raise ValueError(
                    f"`slice` is needed, since training item {index} cannot be read ({type(error).__name__}); {ask}."
                ) from error
            if point.dtype.kind != "f":
                raise ValueError(f"`slice` is needed, since the first part of a training item is of type {point.dtype}; {through}.")
            if point.size != 2:
                raise ValueError(
                    f"`slice` is needed, since the first part of a training item has shape {point.shape}, not (2,); {through}."
                )
            points.append(point.ravel())
            shape = point.shape
    return around(np.stack(points), shape=shape)


def _first_of(item: Any) -> Any:
    """Return the part of a data set's item that is taken for the input: the first."""
    if isinstance(item, Mapping):
        return next(iter(item.values()), None)
    return item[0] if isinstance(item, (tuple, list)) and item else item


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
