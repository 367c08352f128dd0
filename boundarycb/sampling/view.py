"""Where, how and how finely a run looks at its model: what the user said, and what is found out at the first sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from boundarycb import wire
from boundarycb.automatic import Data, Example, Given, Plan, Settled, Work, plan, settle
from boundarycb.engines import exact
from boundarycb.engines.bands import FIXED, AnotherPath, checked_resolution
from boundarycb.nested import is_plain, spelled
from boundarycb.probe import PLAIN, Conditions, Feed, Message, Prober, Trace, feed_in, feed_out, most_flops, probe
from boundarycb.sampling.data import fitting
from boundarycb.sampling.engine import Engine, EngineName, glimpse
from boundarycb.sampling.looking import RESOLUTION, Look, look
from boundarycb.types import Floats, Slice
from boundarycb.warning import warn
from boundarycb.words import in_line

ResolutionLike = int | Literal["auto"]
"""Grid points a side; ``auto`` takes what costs a small share of the training."""


class View:
    """What a run looks at.

    Args:
        given: what the user said of slice and inputs; its slice may be a function that tells it when it is needed.
        conditions: how the model is run.
        engine: what finds the lines.
        max_vertices: corners that the exact engine's regions may have.
        resolution: grid points a side.
        traced: whether a traced pass is made.
        answered: whether samples of the data are looked at too; "margins" where their margins are wanted.
        surfaces: whether the output of each class is kept.
        every: steps between two samples.
        may_wait: whether they may be farther apart.

    Raises:
        ValueError: `engine`, `max_vertices` or `resolution` is none that there is.
        TypeError: `surfaces` is neither True nor False.

    Attributes:
        plan: how finely and how often to sample, where that is counted; None before the first sample, and where it is not.
    """

    def __init__(
        self,
        given: Given,
        conditions: Conditions,
        *,
        engine: EngineName = "auto",
        max_vertices: int | None = None,
        resolution: ResolutionLike = "auto",
        traced: bool = False,
        answered: bool | Literal["margins"] = False,
        surfaces: bool = False,
        every: int = 100,
        may_wait: bool = False,
    ) -> None:
        self.plan: Plan | None = None
        self._engine = Engine(engine, max_vertices)
        self._options = (engine, max_vertices)
        self._resolution = checked_auto(resolution)
        self._given = given
        self._conditions = conditions
        self._traced = traced
        if not isinstance(surfaces, bool):
            raise TypeError(f"`surfaces` must be True or False, got {surfaces!r}.")
        self._answered, self._surfaces = answered, surfaces
        self._spacing = (every, may_wait)
        self._settled: Settled | None = None
        self._restored: Mapping[str, Any] = {}
        self._has_looked = False

    @property
    def needs_example(self) -> bool:
        """Whether it takes an example of the training data to know where to look."""
        return self._settled is None and self._given.needs_example

    @property
    def slice(self) -> Slice:
        """The slice; it is known once the view is settled."""
        assert self._settled is not None
        return self._settled.slice

    @property
    def resolution(self) -> int:
        """Grid points a side."""
        if self.plan is not None:
            return self.plan.resolution
        return RESOLUTION if self._resolution == "auto" else self._resolution

    @property
    def conditions(self) -> Conditions:
        """How the model is run."""
        return self._conditions

    def lead(self, tell: Callable[[Message], Any]) -> None:
        """Tell other ranks of every pass beforehand."""
        self._conditions = replace(self._conditions, lead=tell)

    def settle(self, model: nn.Module, example: Example | None = None) -> None:
        """Find out where and how to look at `model`, once; errors as of :func:`boundarycb.automatic.settle`."""
        if self._settled is not None:
            return
        given = self._given
        if callable(given.slice):
            given = replace(given, slice=given.slice())
        settled = settle(model, self._conditions, given, example)
        if self._resolution == "auto" and settled.rows:
            self._make_plan(model, settled)
        self._settled, self._conditions = replace(settled, slice=_aimed_at(settled.slice, self.resolution)), settled.conditions

    def state(self) -> dict[str, Any]:
        """Return where, how and how finely is looked, as plain values and tensors; before that is settled, what was restored."""
        if self._settled is None:
            return dict(self._restored)
        return {
            "slice": wire.encode_run(self.slice),
            "feed": feed_out(self._settled.conditions.feed),
            "data": _data_out(self._settled.data if self._answered else None),
            "resolution": self.resolution,
            "plan": None if self.plan is None else asdict(self.plan),
            "engine": self._engine.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> tuple[str, ...]:
        """Look where, how and how finely another view did, by its state.

        Returns:
            The names of arguments that say otherwise.
        """
        self._restored = state
        plane = wire.decode_run(wire.unpack(state["slice"]))
        differing = [] if self._given.allows(plane) else ["slice"]
        if self._resolution not in ("auto", state["resolution"]):
            differing.append("resolution")
        self._resolution = state["resolution"]
        self._given = replace(self._given, slice=plane)
        if state["plan"] is not None:
            self._follow(Plan(**state["plan"]))
        self._engine.restore(state["engine"])
        feed = Feed(forward=self._given.forward) if self._given.forward is not None else feed_in(state["feed"])
        data = _data_in(state["data"])
        if data is not None:
            if self._given.data is not None and not data.same(self._given.data):
                differing.append("data")
            self._given = replace(self._given, data=data)
        if feed is not None and self._given.inputs is None:
            self._conditions = replace(self._conditions, feed=feed)
            self._settled = Settled(plane, self._conditions, 0, self._given.data)
        return tuple(differing)

    def try_out(self, model: nn.Module) -> None:
        """Run `model` on a few points of the slice.

        Raises:
            Exception: it cannot be.
        """
        with probe(model, replace(self._conditions, verify=False)) as forward:
            glimpse(forward, self.slice)

    def look(self, model: nn.Module, step: int, before: Sequence[Trace]) -> Look:
        """Return what `model` does on the slice at `step`; `before` are the traces of the last look."""
        seen = self._looked(
            model,
            self.slice,
            resolution=self.resolution,
            conditions=self._conditions,
            engine=self._engine,
            step=step,
            trace=self._traced,
            traced_points=None if self.plan is None else self.plan.traced_points,
            together=1 if self.plan is None else self.plan.together,
            before=before,
            data=fitting(self._settled.data, self.resolution) if self._answered and self._settled is not None else None,
            margins=self._answered == "margins",
            surfaces=self._surfaces,
        )
        self._conditions = replace(self._conditions, verify=False)
        self._has_looked = True
        held = self._held_for_data() if seen.answers is not None else ()
        return replace(seen, notes=(*seen.notes, *held))

    def _looked(self, *args: Any, **options: Any) -> Look:
        """Return what :func:`look` does; say it where not the points but the weights have the model take several paths.

        The points are the same at each look, and all of them took one path at the last.
        """
        try:
            return look(*args, **options)
        except AnotherPath as error:
            if not self._has_looked:
                raise
            raise AnotherPath(
                "The model calls other activations for some points than for others, which it did not at the last sample, so what "
                f"it calls changes with its weights, as an iteration does that stops at a tolerance; give {FIXED}."
            ) from error

    def _held_for_data(self) -> Iterator[str]:
        """Yield, where samples of the data do not bring all that goes into the model, what is held for them, in words."""
        assert self._settled is not None
        data = self._settled.data
        held = () if data is None else [spelled(path) for path in self._conditions.feed.beside() if path not in data.beside]
        if held:
            yield (
                f"numbers of the data points are those with {', '.join(held)} held at one sample's, since what belongs to each of "
                "them is not known, as of `data`, or takes more than 16 MB"
            )

    def _make_plan(self, model: nn.Module, settled: Settled) -> None:
        """Find out how finely and how often to sample."""
        with probe(model, replace(settled.conditions, verify=False)) as forward:
            reading = glimpse(forward, settled.slice)
            units = sum(layer.size for layer in reading.layers)
            points = settled.slice.lift(np.resize(settled.slice.corners(), (exact.LEAST_BATCH, 2)))
            flops = _counted(forward, points, model, units)
        may_be_exact = self._options[0] != "grid" and exact.unsupported(reading) is None
        watched = sum(len(layer.kept) for layer in reading.layers)
        rows, numbers = settled.together, settled.slice.origin.size
        work = Work(flops, units, settled.rows, self._traced, may_be_exact, watched, rows, numbers, forward.is_far)
        every, may_wait = self._spacing
        self._follow(plan(work, every, may_wait=may_wait))

    def _follow(self, plan: Plan) -> None:
        name, max_vertices = self._options
        self.plan = plan
        self._engine = Engine(name, plan.max_vertices if max_vertices is None else max_vertices)


def _aimed_at(slice: Slice, resolution: int) -> Slice:
    """Return `slice` with a target that is known at the points of the grid, as far as it can be."""
    return slice if slice.target is None else replace(slice, target=slice.target.made_for(resolution))


def _counted(forward: Prober, points: Floats, model: nn.Module, units: int) -> float:
    """Return how many operations a forward pass of one point takes; where that fails, say so, and return rather many."""
    try:
        return forward.flops(points)
    except Exception as error:  # noqa: BLE001 - the model ran before, without anything that watches all of torch's operations
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        warn(
            f"The operations of {type(model).__name__} could not be counted ({in_line(cause)}), so what a sample costs is told "
            "from the sizes of weights and layers, and rather too high; `resolution` and `every_n_steps` set how finely and how "
            "often samples are taken, and `max_overhead` goes by the clock."
        )
        return most_flops(model.parameters(), units)


def _data_out(data: Data | None) -> dict[str, Any] | None:
    """Return samples of the data as tensors, of no class of the user's."""
    if data is None:
        return None
    labels = None if data.labels is None else torch.from_numpy(data.labels.copy())
    beside = [[list(path), whole.as_subclass(torch.Tensor)] for path, whole in data.beside.items()]
    return {
        "values": torch.from_numpy(data.values.copy()),
        "labels": labels,
        "beside": beside if is_plain(beside, PLAIN) else [],
    }


def _data_in(state: Mapping[str, Any] | None) -> Data | None:
    if state is None:
        return None
    labels, beside = state["labels"], state.get("beside", [])  # an older checkpoint has none
    rows = {tuple(path): whole for path, whole in beside}
    return Data(state["values"].numpy(), None if labels is None else labels.numpy(), rows)


def checked_auto(resolution: ResolutionLike) -> ResolutionLike:
    """Return `resolution`; raise ValueError where it is neither ``auto`` nor a whole number from 2 to 4096."""
    return resolution if resolution == "auto" else checked_resolution(resolution)
