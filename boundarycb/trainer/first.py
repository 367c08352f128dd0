"""The first look at a LightningModule: which part of it, and what goes in, as a training batch or the training step tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from torch import nn

from boundarycb.automatic import Asked, Example, Listener, ModelCall
from boundarycb.probe import NothingToDraw, Talks, WrongChoice, is_shard, module_at, waits_for_input
from boundarycb.recorder import Recorder
from boundarycb.warning import warn


class FirstLook:
    """Finds out what a recorder looks at, and lets it take its first sample.

    Args:
        recorder: what samples.
        model: the LightningModule.
        path: the part of it that the user named; None for what is found.
        step: optimiser steps taken.
        scalars: numbers to keep with the sample.

    Attributes:
        path: of the part that is looked at; None as long as that is not known, "" for the module itself.
    """

    def __init__(self, recorder: Recorder, model: nn.Module, path: str | None, step: int, scalars: Mapping[str, float]) -> None:
        self.path = path
        self._recorder = recorder
        self._model = model
        self._named = path is not None
        self._step = step
        self._scalars = scalars
        self._listener: Listener | None = None  # where the training step is to tell what the model is called with
        self._doubt: Exception | None = None  # why a batch does not

    def begin(self, example: Example, *, may_listen: bool) -> bool:
        """Take the first sample of what a training batch is for; where that cannot be guessed, listen to what the step calls.

        Returns:
            Whether the training step is listened to.

        Raises:
            ValueError: it cannot be found out; the message says what to give.
        """
        self._recorder.meet(example)
        if not may_listen:
            self.path = whole_part(self._model, self.path)
        part = part_at(self._model, self.path)
        if waits_for_input(part):
            self.path = self.path or ""
            self._recorder.record(part, self._step)  # which waits too
            return False
        if self._named or not may_listen or has_forward(self._model):
            try:
                self._recorder.settle(part)
            except Talks as error:
                self._doubt = error
            except (NothingToDraw, WrongChoice):
                raise
            except ValueError as error:
                if not may_listen:
                    raise
                self._doubt = error
            else:
                self._take(self.path or "")
                return False
        parts = {self.path: part} if self.path is not None else parts_of(self._model)
        self._listener = Listener(parts, partial(self._hear, example))
        self._listener.listen()
        return True

    def end(self) -> None:
        """End listening, before the first step is made.

        Raises:
            Exception: what the first sample raised.
            ValueError: the training step called nothing that could be looked at; the message says what to give.
        """
        was_listening = self._listener is not None
        self.stop()
        if self._doubt is not None:
            raise self._doubt
        if was_listening:
            raise ValueError(
                "The training step calls no part of the module that could be looked at: name one with `module`, or give `forward`, "
                "a function (module, inputs) -> output."
            )

    def stop(self) -> None:
        """Take the hooks that listen off the user's modules."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def _hear(self, example: Example, path: str, call: ModelCall) -> None:
        """Take the first sample of a module that the training step calls, as it calls it; of one that will not do, listen on.

        What cannot be mended by listening on is raised when that ends: not in the middle of a user's forward pass.
        """
        if not path and "forward" in vars(self._model):
            return  # under several processes Lightning calls the training step by this name
        self._recorder.meet(replace(example, call=call))
        try:
            self._recorder.settle(part_at(self._model, path))
        except ValueError as error:
            if self._doubt is None or not path:
                self._doubt = error
            if not path and isinstance(error, Asked):  # that it calls is known, and what it lacks
                self.stop()
            return
        self.stop()
        self._doubt = None
        others = [name for name in parts_of(self._model) if name and not name.startswith(path)]
        if path and others and not self._named:
            warn(
                f"Boundaries are those of {path}, which the training step calls; `module` names another part, such as {others[0]}."
            )
        try:
            self._take(path)
        except Exception as error:  # noqa: BLE001 - raised at the end of listening
            self._doubt = error

    def _take(self, path: str) -> None:
        """Take the first sample, unless a run is gone on with whose samples there are."""
        self.path = path
        part = part_at(self._model, path)
        if self._recorder.steps:
            self._recorder.try_out(part)
        else:
            self._recorder.record(part, self._step, self._scalars)


def part_at(model: nn.Module, path: str | None) -> nn.Module:
    """Return the part of a LightningModule at `path`; itself for an empty one, and for None."""
    return module_at(model, path) if path else model


def parts_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that a training step may call, by path: the LightningModule, and what it holds that is trained."""
    parts: dict[str, nn.Module] = {"": model}
    waiting = list(model.named_children())
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


def whole_part(model: nn.Module, path: str | None) -> str:
    """Return the path of the part of a spread model that is looked at, which must not lie inside another part that is spread.

    Raises:
        ValueError: it does, or there are several to choose from.
    """
    if path is None and not has_forward(model):
        parts = [name for name in parts_of(model) if name]
        if len(parts) != 1:
            raise ValueError(f"`module` is needed, the part of the module to look at: one of {', '.join(parts[:8]) or 'none'}.")
        return parts[0]
    for place in _above(path or ""):
        if is_shard(part_at(model, place)):
            raise ValueError(f"`module`: {path} lies inside {place or 'a module'}, which is spread as a whole; name that one.")
    return path or ""


def _above(path: str) -> list[str]:
    """Return the paths above `path`.

    >>> _above("net.encoder.0")
    ['', 'net', 'net.encoder']
    """
    keys = path.split(".") if path else []
    return [".".join(keys[:count]) for count in range(len(keys))]
