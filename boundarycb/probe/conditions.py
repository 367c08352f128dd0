"""How a model is run while it is probed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from boundarycb.probe.feed import Feed
from boundarycb.probe.kinks import OPTIONAL
from boundarycb.probe.output import BackgroundLike, OutputLike, checked_background, checked_output
from boundarycb.probe.together import Message
from boundarycb.probe.watched import MAX_ALL_UNITS, LayersLike, UnitsLike, checked_layers, checked_units
from boundarycb.types import Mode


@dataclass(frozen=True)
class Conditions:
    """How a model is run while it is probed.

    Args:
        max_units: watched units a layer, evenly spread where a layer has more; by default 512, and 64 where units have positions.
        max_all_units: watched units of all layers together.
        layers: which layers are watched, by names, globs or types of modules; all by default.
        units: which units are watched; by default they are chosen evenly.
        mode: ``eval`` switches dropout off and lets batch-norm use its running statistics; ``as_is`` leaves every module in the
            mode that it is in.
        run_hooks: whether forward hooks of the user's run too; without it only those do that are a part of the model.
        verify: whether it is looked for, deeply, what the forward pass changes.
        context: makes a context to run the model in, such as ``lambda: torch.autocast("cuda")``.
        activations: what else is an activation in this model: of `OPTIONAL`.
        feed: how points go into the model.
        output: which tensor of the model's output is shown: its name or place, or a function of the output.
        background: how it is shown.
        lead: where other ranks have to run the same passes, what tells them of each beforehand.
        patterns: whether the states of all units are read too, for what counts regions.

    Raises:
        ValueError: a cap is no whole number of 1 or more; `mode`, `background` or `activations` is none that there
            is.
        TypeError: another argument is of another kind.
    """

    max_units: int | None = None
    mode: Mode = "eval"
    run_hooks: bool = False
    verify: bool = False
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    activations: Collection[str] = ()
    feed: Feed = Feed()  # noqa: RUF009 - it is frozen
    output: OutputLike = None
    background: BackgroundLike = "auto"
    max_all_units: int = MAX_ALL_UNITS
    layers: LayersLike = None
    units: UnitsLike = None
    lead: Callable[[Message], Any] | None = None
    patterns: bool = True

    def __post_init__(self) -> None:
        for name in ("max_units", "max_all_units"):
            cap = getattr(self, name)
            if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
                raise ValueError(f"`{name}` must be a whole number of units, 1 or more, got {cap!r}.")
        checked_layers(self.layers)
        checked_units(self.units)
        if self.mode not in ("eval", "as_is"):
            raise ValueError(f'`mode` must be "eval" or "as_is", got {self.mode!r}.')
        for name in ("run_hooks", "verify"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"`{name}` must be True or False, got {getattr(self, name)!r}.")
        if not callable(self.context):
            raise TypeError(f'`context` must make a context, such as lambda: torch.autocast("cuda"), got {self.context!r}.')
        if isinstance(self.activations, str) or not isinstance(self.activations, Collection):
            raise TypeError(f'`activations` must be a list of names, such as ["clamp"], got {self.activations!r}.')
        for name in self.activations:
            if name not in OPTIONAL:
                raise ValueError(
                    f"`activations` may have {', '.join(OPTIONAL)}, got {name!r}. torch's activation functions are seen anyway, "
                    "and others, such as sin, cannot be watched."
                )
        checked_output(self.output)
        checked_background(self.background)
