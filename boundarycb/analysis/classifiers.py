"""Classifiers of any kind, asked for the classes of inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from boundarycb import slices
from boundarycb.analysis.steps import Ints, Steps
from boundarycb.analysis.units import with_a_unit
from boundarycb.engines.bands import most_together
from boundarycb.probe import Conditions, Feed, ForwardLike, OutputLike, Prober, WrongChoice, home_of, probe
from boundarycb.sampling import said_of_lost
from boundarycb.types import Array, Floats, Mode
from boundarycb.warning import warn
from boundarycb.words import in_line

_MOST = 4096  # inputs that run together, however small: more gain nothing
_RIVALS = 9  # classes next to the winner that a screen looks at
_TABLE = 2**20  # estimates at a time


class Predicts(Protocol):
    """Anything with ``predict``, such as the estimators and pipelines of scikit-learn."""

    def predict(self, inputs: Any, /) -> Any:
        """Return the class of each of the inputs (n, *shape)."""


Classifier = nn.Module | Predicts | Callable[[Floats], Any]


@dataclass(frozen=True)
class Asking:
    """How a classifier is asked.

    Args:
        batch: inputs that run together; None for as many as take some megabytes.
        threshold: of a single output; None for 0, and for an error where outputs look like probabilities.
        mode: of a module.
        forward: runs a module in the user's own way.
        output: which tensor of a module's output has the scores.

    Raises:
        ValueError: `batch` is no whole number of 1 or more.
    """

    batch: int | None = None
    threshold: float | None = None
    mode: Mode = "eval"
    forward: ForwardLike | None = None
    output: OutputLike = None

    def __post_init__(self) -> None:
        checked_count("batch", self.batch)

    @contextmanager
    def of(self, classifier: Classifier, steps: Steps) -> Iterator[Asked]:
        """Yield the classifier, ready to answer; a module runs in a probe, which is closed behind.

        Raises:
            TypeError: it is none.
            ValueError: it cannot be asked so, or not for these inputs.
        """
        if isinstance(classifier, nn.Module):
            _check_precision(classifier, steps)
            with probe(classifier, self._conditions(classifier)) as forward:
                yield Network(forward, steps, self, type(classifier).__name__)
            for words in said_of_lost(classifier, forward.lost):
                warn(f"{words}.")
            return
        if isinstance(classifier, type) or not (callable(classifier) or hasattr(classifier, "predict")):
            raise TypeError(f"`classifier` must be a module, have `predict`, or be a function of inputs, got {classifier!r}.")
        for name in ("threshold", "mode", "forward", "output"):
            if getattr(self, name) != getattr(Asking, name):
                raise ValueError(f"`{name}` is for a torch.nn.Module, got it with {type(classifier).__name__}; leave it out.")
        yield Predictor(classifier, self.batch or min(_MOST, most_together(steps.numbers, 1)))

    def _conditions(self, model: nn.Module) -> Conditions:
        """Return how `model` runs, with as little watched as can be."""
        feed = Feed(forward=_explained(with_a_unit(Feed(forward=self.forward)), type(model).__name__))
        return Conditions(mode=self.mode, output=self.output, feed=feed, background="classes", max_units=1)


def checked_count(name: str, number: Any) -> None:
    """Raise ValueError where `number` is neither None nor a whole number of 1 or more."""
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
        raise ValueError(f"`{name}` must be a whole number, 1 or more, or None, got {number!r}.")


class Asked(Protocol):
    """A classifier that answers."""

    together: int
    """Inputs that run together."""

    def classes(self, inputs: Floats, /) -> Array:
        """Return the class of each of the inputs (n,)."""


class Predictor:
    """An estimator, or a function."""

    def __init__(self, classifier: Any, together: int) -> None:
        self.together = together
        self._predict = classifier.predict if hasattr(classifier, "predict") else classifier
        self._name = getattr(classifier, "__name__", type(classifier).__name__)

    def classes(self, inputs: Floats) -> Array:
        """Return the class of each of the inputs (n,), as it is given; whole numbers as int32 where they fit."""
        given = slices.to_array(self._predict(inputs))
        if given.shape != (len(inputs),):
            raise ValueError(
                f"`classifier` ({self._name}) must give one class an input, ({len(inputs)},), got shape {given.shape}; of scores "
                "take the largest, as in lambda inputs: model.predict(inputs).argmax(axis=1)."
            )
        if given.dtype.kind == "f" and not (given == np.rint(given)).all():
            some = given[given != np.rint(given)][0]
            raise ValueError(
                f"`classifier` ({self._name}) must give classes, whole numbers or words, got {some:.6g}; make classes of its "
                "numbers, as in lambda inputs: model.predict(inputs) > 0.5."
            )
        fits = given.dtype.kind in "iu" and (np.abs(given.astype(np.float64)) < 2**31).all()
        return given.astype(np.int32) if fits else given


class Network:
    """A module in an open probe."""

    def __init__(self, forward: Prober, steps: Steps, asking: Asking, name: str) -> None:
        self._forward, self._name = forward, name
        first = next(steps.unchanged(1))
        forward(first)  # tells the layers
        units = sum(call.layer.size for call in forward.calls)
        self.together = asking.batch or min(_MOST, most_together(steps.numbers, units))
        self._threshold = self._settled(asking.threshold, next(steps.unchanged(self.together)))

    def classes(self, inputs: Floats) -> Array:
        """Return the place of the largest score for each of the inputs, int32 (n,); -1 where a score is NaN."""
        scores = self._scores(inputs)
        winners = scores[:, 0] > self._threshold if scores.shape[1] == 1 else scores.argmax(axis=1)
        return np.where(np.isnan(scores).any(axis=1), -1, winners).astype(np.int32)

    def likeliest(self, steps: Steps, count: int) -> Iterator[Ints]:
        """Yield those legal steps, `count` for each input, that flip first to first order."""
        rows = max(1, min(self.together, _TABLE // (2 * steps.numbers)))
        for number, inputs in enumerate(steps.unchanged(rows)):
            first = 2 * steps.numbers * rows * number
            table = first + np.arange(2 * steps.numbers * len(inputs)).reshape(len(inputs), -1)
            legal = steps.are_legal(table)
            # Those that never flip to first order come before those that are not legal.
            quanta = np.where(legal, np.minimum(self._quanta(inputs, steps.quantum), np.finfo(np.float64).max), np.inf)
            order = np.sort(quanta.argsort(axis=1, kind="stable")[:, :count], axis=1)
            chosen = np.take_along_axis(table, order, axis=1)[np.take_along_axis(legal, order, axis=1)]
            yield from (chosen[at : at + self.together] for at in range(0, len(chosen), self.together))

    def _quanta(self, inputs: Floats, quantum: Floats) -> Floats:
        """Return after how many quanta of each number another class wins, to first order (n, 2 D): down and up in turn."""
        least = np.full((len(inputs), quantum.size, 2), np.inf)
        for gap, gradient in self._gaps(inputs):
            slope = gradient.reshape(len(inputs), -1) * quantum.ravel()
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                quanta = gap[:, None] / np.abs(slope)
            for place, falls in enumerate((slope > 0, slope < 0)):
                least[..., place] = np.fmin(least[..., place], np.where(falls, quanta, np.inf))
        return least.reshape(len(inputs), -1)

    def _gaps(self, inputs: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Yield by how much the winner leads each of the classes next to it (n,), and the gradient of that (n, *shape)."""
        scores = self._scores(inputs)
        if scores.shape[1] == 1:
            above = scores[:, 0] > self._threshold
            yield np.abs(scores[:, 0] - self._threshold), self._forward.gradient(inputs, _Side(above))
            return
        winner, *rivals = np.argsort(-scores, axis=1, kind="stable")[:, : _RIVALS + 1].T
        rows = np.arange(len(scores))
        for rival in rivals:
            yield scores[rows, winner] - scores[rows, rival], self._forward.gradient(inputs, _Lead(winner, rival))

    def _scores(self, inputs: Floats) -> Floats:
        scores = self._forward.answer(inputs)[1]
        if scores is None:
            raise ValueError(
                f"`classifier` ({self._name}) gives no tensor of scores with a row for each input; `output=` says which one it is."
            )
        return scores

    def _settled(self, threshold: float | None, inputs: Floats) -> float:
        scores = self._scores(inputs)
        single = scores.shape[1] == 1
        if threshold is not None and not single:
            raise ValueError(
                f"`threshold` is for a single output, and `classifier` ({self._name}) has {scores.shape[1]}; leave it out."
            )
        if threshold is None and single and ((scores >= 0) & (scores <= 1)).all():
            raise ValueError(
                f"`classifier` ({self._name}) has a single output, which is between 0 and 1 here: give threshold=0.5 where it is a "
                "probability, threshold=0.0 where it is a logit."
            )
        return threshold or 0.0


@dataclass(frozen=True, eq=False)
class _Lead:
    """By how much one score of each row leads another one; a batch longer than these (n,) begins anew."""

    winner: Ints
    rival: Ints

    def __call__(self, shown: torch.Tensor) -> torch.Tensor:
        rows = shown.reshape(len(shown), -1)
        winner, rival = (
            torch.from_numpy(np.resize(places, len(shown)).astype(np.int64)).to(shown.device)[:, None]
            for places in (self.winner, self.rival)
        )
        return rows.gather(1, winner) - rows.gather(1, rival)


@dataclass(frozen=True, eq=False)
class _Side:
    """A single output where it is above the threshold, and less the output where it is not."""

    above: Array

    def __call__(self, shown: torch.Tensor) -> torch.Tensor:
        signs = np.resize(np.where(self.above, 1.0, -1.0), len(shown))
        return shown.reshape(len(shown)) * torch.from_numpy(signs).to(shown)


def _explained(forward: ForwardLike, name: str) -> ForwardLike:
    """Return the same way to run a model, whose errors say what to give."""

    def run(model: nn.Module, inputs: torch.Tensor) -> Any:
        try:
            return forward(model, inputs)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise WrongChoice(
                f"`classifier` ({name}) failed on inputs of shape {tuple(inputs.shape)} ({in_line(error)}); give "
                "`inputs` (n, *shape) as it takes them."
            ) from error

    return run


def _check_precision(model: nn.Module, steps: Steps) -> None:
    """Raise ValueError where a step is lost in the model's precision."""
    dtype, _ = home_of(model)
    ends = np.maximum(np.abs(steps.inputs.min(axis=0).astype(np.float64)), np.abs(steps.inputs.max(axis=0).astype(np.float64)))
    here, there = (torch.from_numpy(np.array(value)).to(dtype) for value in (ends, ends - steps.quantum))
    if (here == there).any():
        raise ValueError(
            f"`quantum` must be more than rounding is in the model's {str(dtype).removeprefix('torch.')}, got "
            f"{steps.quantum.min():.6g} beside inputs up to {ends.max():.6g}; give the model in double precision."
        )
