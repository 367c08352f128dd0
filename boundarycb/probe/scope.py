"""Opens a scope in which a model can be run and watched, and closes it without leaving a trace.

>>> import numpy as np
>>> from torch import nn
>>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
>>> with probe(model) as forward:
...     reading = forward(np.zeros((5, 2)))
>>> [layer.name for layer in reading.layers], reading.z.shape
(['0'], (5, 3))

:mod:`boundarycb.keep.reach` finds what a forward pass can change; :mod:`boundarycb.keep.kept` puts it back after every pass, so
that each begins where training left off. Module hooks, gone after the scope, tell which module is running.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from boundarycb.keep.reach import Reach
from boundarycb.keep.restore import (
    SignalsHeld,
    autocast_cache_off,
    caches_apart,
    eval_mode,
    graphs_apart,
    logging_silenced,
    weight_cache_off,
)
from boundarycb.keep.userhooks import backward_parked, parked
from boundarycb.keep.verify import Portrait, Verdict
from boundarycb.probe.conditions import Conditions
from boundarycb.probe.prober import Prober, home_of
from boundarycb.probe.session import Session
from boundarycb.probe.together import Message

_DEFAULT = Conditions()


@contextmanager
def probe(model: nn.Module, conditions: Conditions = _DEFAULT) -> Iterator[Prober]:
    """Open a scope in which `model` can be run and watched; at its end model and process are as they were.

    The model runs in eval mode, unless `conditions` say otherwise, and without gradients. Put back, also after an error or Ctrl-C,
    are the mode of every submodule; parameters, buffers, gradients and all other tensors, as objects and in their bytes;
    attributes, lists, dicts, sets and deques; random number generators; torch's settings. docs/no-trace.md has the table.
    Do not train inside: a step would be put back too.

    Args:
        model: any module; it stays where it is (device, dtype).
        conditions: how it is run.

    Raises:
        TypeError: `model` is no module.
        ValueError: `model` has lazy modules that have not seen an input yet.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be a torch.nn.Module, got {type(model).__name__}.")
    if waits_for_input(model):
        raise ValueError(
            f"{type(model).__name__} has lazy modules whose shapes are not known yet; run it once on real inputs first."
        )
    with _led(conditions):
        yield from _opened(model, conditions)


@contextmanager
def _led(conditions: Conditions) -> Iterator[None]:
    """Let the other ranks open the same scope, where they have to run the same passes."""
    if conditions.lead is None:
        yield
        return
    feed, own = replace(conditions.feed, forward=None), conditions.feed.forward is not None
    conditions.lead(Message("open", feed=feed, own=own, verify=conditions.verify))
    try:
        yield
    except Exception:
        conditions.lead(Message("close"))
        raise
    conditions.lead(Message("close"))  # not on Ctrl-C, when the others may not listen any more


def _opened(model: nn.Module, conditions: Conditions) -> Iterator[Prober]:
    """Yield the prober of a scope, once."""
    before = Portrait(model) if conditions.verify else None
    session = Session(model, conditions, Reach(model))
    prober = Prober(session, home_of(model))
    with SignalsHeld() as signals, ExitStack() as scope:
        scope.callback(_close, prober, session, before)  # the last that is done
        _enter(scope, session)
        scope.callback(signals.hold)  # the first that is done
        signals.release()
        yield prober


def _enter(scope: ExitStack, session: Session) -> None:
    """Switch model and process over; `scope` switches back, the last first."""
    scope.enter_context(torch.inference_mode(False))  # its tensors have no version, by which we see what was written into
    scope.enter_context(torch.no_grad())
    scope.enter_context(session.conditions.context())
    scope.enter_context(autocast_cache_off())
    scope.enter_context(weight_cache_off())
    if session.conditions.mode == "eval":
        scope.enter_context(eval_mode(session.model))
    if not session.conditions.run_hooks:
        session.parked = scope.enter_context(parked(session.reach))
    scope.enter_context(backward_parked(session.reach))
    scope.enter_context(logging_silenced(session.reach))
    scope.enter_context(caches_apart(session.reach))
    scope.enter_context(graphs_apart(session.reach))
    scope.enter_context(_eager())
    session.running = scope.enter_context(_running_module(session.model))
    scope.callback(session.open().put_back)


def _close(prober: Prober, session: Session, before: Portrait | None) -> None:
    """Say what came of it, and forget what was kept."""
    kept, session.kept, prober.calls = session.kept, None, ()
    prober.lost = () if kept is None else kept.lost
    if before is not None:
        prober.lost = tuple(dict.fromkeys((*prober.lost, *before.differences(Portrait(session.model)))))
        prober.verdict = Verdict(session.changes, prober.lost)


def waits_for_input(model: nn.Module) -> bool:
    """Return whether `model` has lazy modules, whose shapes the first input decides: that must not be ours."""
    return any(is_lazy(tensor) for tensors in (model.parameters(), model.buffers()) for tensor in tensors)


def _eager() -> AbstractContextManager[Any]:
    """Return a context in which compiled modules run uncompiled: nothing is hidden in a graph, and none is compiled for us."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


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
            handles.append(module.register_forward_hook(lambda *_, path=path: _leave(running, path), always_call=True))
        yield running
    finally:
        for handle in handles:
            handle.remove()


def _leave(running: list[str], path: str) -> None:
    """Forget the module at `path`, which ran last. Where a hook of the user's raised before ours ran, it was never entered."""
    if len(running) > 1 and running[-1] == path:
        running.pop()
