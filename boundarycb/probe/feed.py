"""How points of a slice go into a model: which part of a call they are, and at what the rest of it is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from boundarycb.nested import Path, at, changed, is_plain, leaves
from boundarycb.probe.watched import WrongChoice

ForwardLike = Callable[[nn.Module, torch.Tensor], Any]
"""A user's own way to run a model on a batch of points, ``(model, inputs) -> output``."""


Beside = Mapping[Path, torch.Tensor]
"""What goes in beside points, by its path in the call: a row for each of them."""

PLAIN = (torch.Tensor, nn.Parameter, bool, int, float, str, type(None))
"""What ``torch.load(weights_only=True)`` reads besides tuples, lists and dicts of such: these classes, and none derived of them."""


@dataclass(frozen=True, eq=False)
class Feed:
    """How points go into a model.

    By default it is called with them alone. With an example call one tensor of it varies with the points, or what one module of the
    model gives does, and everything else is held at one row of the example.

    Args:
        args: the example's arguments, with a batch of `rows`.
        kwargs: its named ones.
        place: path of the tensor that varies; its first key is the place of an argument, or the name of a named one.
        module: path of the module whose output varies instead, such as an embedding.
        rows: of the example's batch.
        batched: paths of the tensors that have those rows; None for all that are as long.
        own_rows: whether the module gives other rows than the call has, such as a bag of each text's words.
        forward: the user's own way to run the model; then the rest does not matter.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    place: Path = ()
    module: str | None = None
    rows: int = 0
    batched: frozenset[Path] | None = None
    own_rows: bool = False
    forward: ForwardLike | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the model is called with the points alone."""
        return self.forward is None and not self.place and self.module is None

    def at_row(self, row: int) -> Feed:
        """Return the same with one row of the example, at which everything else is held; the others are let go."""
        arguments = self._arguments()
        batched = frozenset(path for path, leaf in leaves(arguments) if self._is_batched(path, leaf))
        one = changed(arguments, lambda path, leaf: leaf[row : row + 1].clone() if path in batched else leaf)
        return replace(self, args=tuple(_positional(one)), kwargs=_named(one), rows=1, batched=batched)

    def with_rows(self, rows: int) -> Feed:
        """Return the same where the module that varies gives `rows` rows, which are not those of the call.

        What the module makes them of, such as offsets, is as whole numbers held whole; real ones with a row for each go along.
        """
        tensors = [(path, leaf) for path, leaf in leaves(self._arguments()) if isinstance(leaf, torch.Tensor)]
        batched = frozenset(path for path, leaf in tensors if leaf.is_floating_point() and leaf.ndim and len(leaf) == rows)
        return replace(self, rows=rows, batched=batched, own_rows=True)

    def beside(self) -> Beside:
        """Return what the example has beside what varies, a row for each sample; nothing where a call has the points alone."""
        if self.forward is not None or self.is_plain:
            return {}
        batched = [(path, leaf) for path, leaf in leaves(self._arguments()) if self._is_batched(path, leaf)]
        return {path: leaf for path, leaf in batched if self.module is not None or path != self.place}

    def __call__(self, model: nn.Module, points: torch.Tensor, beside: Beside | None = None) -> Any:
        """Return what `model` gives for a batch of `points`; of what is `beside` them each has a row of its own."""
        if self.forward is not None:
            return self.forward(model, points)
        if self.is_plain:
            return model(points)
        arguments = self._held(points, beside or {})
        with _giving(model, self.module, points, as_many=not self.own_rows):
            return model(*_positional(arguments), **_named(arguments))

    def example(self, model: nn.Module) -> Any:
        """Return what `model` gives for the example itself."""
        arguments = changed(self._arguments(), lambda _, leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf)
        return model(*_positional(arguments), **_named(arguments))

    def values(self, model: nn.Module) -> torch.Tensor:
        """Return the example's values (rows, *shape) of what varies; where a module's output does, `model` is run once.

        Raises:
            ValueError: there is no such module, it was not called, or it gave no batch of real numbers.
        """
        if self.module is None:
            found: torch.Tensor = at(self._arguments(), self.place or (0,))
            return found
        given: list[Any] = []
        with _hooked(model, self.module, given.append):
            self.example(model)
        value = _first_tensor(given[0]) if given else None
        if value is None or not value.is_floating_point() or value.ndim < 2 or not len(value):
            what = "is not called" if not given else "gives no batch of real numbers"
            raise WrongChoice(f"`vary` names the module {self.module!r}, which {what} when the model runs; name another one.")
        return value.detach()

    def _is_batched(self, path: Path, leaf: Any) -> bool:
        if not isinstance(leaf, torch.Tensor) or not leaf.ndim:
            return False
        return path in self.batched if self.batched is not None else len(leaf) == self.rows

    def _arguments(self) -> dict[Any, Any]:
        return {**dict(enumerate(self.args)), **self.kwargs}

    def _held(self, points: torch.Tensor, beside: Beside) -> dict[Any, Any]:
        """Return the arguments for a batch of `points`, with what is `beside` them."""

        def held(path: Path, leaf: Any) -> Any:
            if path == self.place and self.module is None:
                return points
            if not isinstance(leaf, torch.Tensor):
                return leaf
            own = beside.get(path)
            if own is not None and type(own) is not type(leaf) and not isinstance(leaf, nn.Parameter):
                own = own.as_subclass(type(leaf))  # a checkpoint holds plain tensors
            wide = points.dtype == torch.float64 and leaf.is_floating_point()
            mine = (leaf if own is None else own).to(points.device, torch.float64 if wide else leaf.dtype)
            if own is None and self._is_batched(path, leaf):
                mine = mine[0].expand(len(points), *mine.shape[1:])
            return mine.clone(memory_format=torch.contiguous_format)  # the model may write to it

        made: dict[Any, Any] = changed(self._arguments(), held)
        return made


def feed_out(feed: Feed) -> dict[str, Any] | None:
    """Return what a feed is, as plain values and tensors; None where something in it is neither, as a user's function is."""
    if feed.forward is not None or not is_plain([feed.args, dict(feed.kwargs)], PLAIN):
        return None
    batched = None if feed.batched is None else [list(path) for path in feed.batched]
    return {name: getattr(feed, name) for name in ("args", "module", "rows", "own_rows")} | {
        "kwargs": dict(feed.kwargs),
        "place": list(feed.place),
        "batched": batched,
    }


def feed_in(said: Mapping[str, Any] | None) -> Feed | None:
    """Return the feed that :func:`feed_out` said."""
    if said is None:
        return None
    batched = None if said["batched"] is None else frozenset(tuple(path) for path in said["batched"])
    return Feed(**{**said, "args": tuple(said["args"]), "place": tuple(said["place"]), "batched": batched})


def _positional(arguments: Mapping[Any, Any]) -> list[Any]:
    return [value for key, value in arguments.items() if isinstance(key, int)]


def _named(arguments: Mapping[Any, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if isinstance(key, str)}


def _first_tensor(value: Any) -> torch.Tensor | None:
    return next((leaf for _, leaf in leaves(value) if isinstance(leaf, torch.Tensor)), None)


@contextmanager
def _giving(model: nn.Module, module: str | None, points: torch.Tensor, *, as_many: bool) -> Iterator[None]:
    """Let a module give `points` at its first call, in place of the first tensor of what it gives; nothing for None.

    What it gives must have their shape, with `as_many` rows, or else any number of them.
    """
    if module is None:
        yield
        return
    calls: list[Any] = []

    def give(output: Any) -> Any:
        calls.append(output)
        if len(calls) > 1:
            return None
        paths = [path for path, leaf in leaves(output) if isinstance(leaf, torch.Tensor)]
        given = [leaf for path, leaf in leaves(output) if paths and path == paths[0]]
        if not given or given[0].shape[0 if as_many else 1 :] != points.shape[0 if as_many else 1 :]:
            shape = tuple(given[0].shape) if given else type(output).__name__
            raise WrongChoice(f"`vary`: the module {module!r} gives {shape}, and the slice's points are {tuple(points.shape)}.")
        return changed(output, lambda path, leaf: points.to(leaf.dtype) if path == paths[0] else leaf)

    with _hooked(model, module, give):
        yield
    if not calls:
        raise WrongChoice(f"`vary` names the module {module!r}, which is not called when the model runs; name another one.")


@contextmanager
def _hooked(model: nn.Module, module: str, hear: Callable[[Any], Any]) -> Iterator[None]:
    """Call `hear` with what a module gives; what that returns, if anything, takes its place."""
    handle = module_at(model, module).register_forward_hook(lambda _module, _args, output: hear(output))
    try:
        yield
    finally:
        handle.remove()


def module_at(model: nn.Module, path: str) -> nn.Module:
    """Return the submodule at `path`, also within a compiled model.

    Raises:
        ValueError: there is none.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    found = modules.get(path, modules.get(f"_orig_mod.{path}"))
    if found is not None:
        return found
    near = ", ".join(name for name, _ in list(model.named_modules())[1:9])
    raise WrongChoice(f"{type(model).__name__} has no module {path!r}; it has {near or 'none'}.")
