"""Which single steps of single numbers change the class of an input: a probe of every pixel of every image.

A step is one quantum up or down, the least by which a number of the input can differ: 1 of 255 for the pixels of a photograph. A
step that stays within the box of valid inputs is a *legal probe*, and one that changes the class is a *flip*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb import slices
from boundarycb.analysis.classifiers import Asked, Asking, Classifier, Network, checked_count
from boundarycb.analysis.steps import Ints, Steps, checked_inputs
from boundarycb.probe import ForwardLike, OutputLike
from boundarycb.types import Array, Floats, Mode, frozen


@dataclass(frozen=True, eq=False)
class Fragile:
    """An input whose class changes by one step.

    Args:
        sample: which input.
        places: int64 (f,), where its flips stand among those of the probe.
    """

    sample: int
    places: Ints


@dataclass(frozen=True, eq=False, repr=False)
class PixelProbe:
    """The flips of n inputs of D numbers; there are F, sorted by input and number, and down before up.

    Args:
        classes: (n,), the classes of the unchanged inputs, as the classifier gives them.
        sample: int32 (F,), which input.
        feature: int32 (F,), which number of it, by its place in the flattened input.
        direction: int8 (F,), +1 where that went up by a quantum, -1 where down.
        after: (F,), the class behind the step.
        legal: legal probes of all inputs.
        tried: how many of them were tried; fewer where they were screened.
        quantum: float64 (*shape), the step of each number.
        low: float64 (*shape), the least that each may be.
        high: float64 (*shape), the most.
        labels: (n,), what the classes should be, or None.

    ``len(probe)`` is F.
    """

    classes: Array
    sample: NDArray[np.int32]
    feature: NDArray[np.int32]
    direction: NDArray[np.int8]
    after: Array
    legal: int
    tried: int
    quantum: Floats
    low: Floats
    high: Floats
    labels: Array | None = None

    def __post_init__(self) -> None:
        for name in ("classes", "sample", "feature", "direction", "after", "quantum", "low", "high", "labels"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.sample)

    def __repr__(self) -> str:
        return f"<PixelProbe: {'; '.join(self.phrases)}>"

    @property
    def complete(self) -> bool:
        """Whether all legal probes were tried; where not, flips and shares of flips are lower bounds."""
        return self.tried == self.legal

    @property
    def before(self) -> Array:
        """The class before each step (F,)."""
        return np.asarray(self.classes[self.sample])

    @property
    def counts(self) -> Ints:
        """How many flips each input has, int64 (n,)."""
        return np.bincount(self.sample, minlength=len(self.classes))

    @property
    def share(self) -> float:
        """Share of the inputs that have a flip, 0 to 1."""
        return float(np.mean(self.counts > 0))

    @property
    def per_probe(self) -> float:
        """Flips per legal probe, 0 to 1; NaN where no probe is legal."""
        return len(self) / self.legal if self.legal else float("nan")

    @property
    def accuracy(self) -> float:
        """Share of the unchanged inputs whose class is their label, 0 to 1; NaN without labels."""
        return float("nan") if self.labels is None else float(np.mean(self.classes == self.labels))

    @property
    def robust_accuracy(self) -> float:
        """Share of the inputs for which that holds behind every step that was tried too; at most that, where not all were."""
        return float("nan") if self.labels is None else float(np.mean((self.classes == self.labels) & (self.counts == 0)))

    @property
    def phrases(self) -> tuple[str, str]:
        """What was found, in words for a caption; "at least" where not all probes were tried."""
        least, tried = ("", "") if self.complete else ("at least ", f", {self.tried:,} tried")
        flips = f"{least}{len(self):,} of {self.legal:,} probes flip ({_percent(self.per_probe)}){tried}"
        return f"{least}{_percent(self.share)} of {len(self.classes):,} inputs change class by one step", flips

    def map(self) -> Ints:
        """Return how many flips there are at each number of an input, int64 (*shape)."""
        return np.bincount(self.feature, minlength=self.low.size).reshape(self.low.shape)

    def fragile(self, k: int = 8) -> tuple[Fragile, ...]:
        """Return the `k` inputs with the most flips, the one with most first; fewer where fewer have any."""
        counts = self.counts
        starts = np.cumsum(counts) - counts
        first = np.argsort(-counts, kind="stable")[:k]
        return tuple(Fragile(int(row), starts[row] + np.arange(counts[row])) for row in first if counts[row])

    def changed(self, inputs: Any, places: Any) -> Floats:
        """Return the inputs behind f of the flips, float64 (f, *shape).

        Args:
            inputs: the inputs (n, *shape) that were probed.
            places: which flips (f,), by their places.
        """
        steps = Steps(checked_inputs(inputs), self.quantum, self.low, self.high)
        if steps.inputs.shape != (len(self.classes), *self.low.shape):
            raise ValueError(
                f"`inputs` must be those that were probed, {(len(self.classes), *self.low.shape)}, got {steps.inputs.shape}."
            )
        which = np.asarray(places)
        if which.dtype.kind not in "iu" and which.size:
            raise ValueError(f"`places` must be whole numbers, the places of flips among all, got {which.dtype}.")
        which = which.astype(np.int64)
        return steps.changed(steps.number(self.sample[which], self.feature[which], self.direction[which]))


def probe_pixels(
    classifier: Classifier,
    inputs: Any,
    *,
    labels: Any = None,
    quantum: Any = 1.0,
    low: Any = 0.0,
    high: Any = None,
    screen: int | None = None,
    batch: int | None = None,
    threshold: float | None = None,
    mode: Mode = "eval",
    forward: ForwardLike | None = None,
    output: OutputLike = None,
) -> PixelProbe:
    r"""Return which changes of a single number of an input, by one quantum up or down, change the class.

    The other numbers stay as they are. Steps that leave the box from `low` to `high` are not tried. That is a forward pass a step,
    2 D of them for an input of D numbers: 1,568 for an image of MNIST. Inputs are made batch by batch; what stays are 13 bytes a
    flip, or more where classes are words.

    A network's class is the place of its largest score, the first of equal ones; of a single output, 1 above `threshold`, else 0.
    Behind a step where a score is NaN it is -1. Where an input lies on a border but for rounding, how many run together may decide.

    With `screen`, only the steps most likely to flip are tried. To first order the winner's lead over class c, the gap
    :math:`g_c = s_{winner} - s_c`, closes after

    .. math:: \frac{g_c}{|q_j \, \partial g_c / \partial x_j|}

    quanta :math:`q_j` of number j, in the direction in which it falls. The least of this over the nine classes next to the winner
    counts, and of each input the `screen` steps where it is least are tried. Some flips may be missed: figures are lower bounds
    then, ``complete`` is False, and captions say "at least".

    Source: "Visualizing Neural Nets" (2023), section 7 and figure 8, where every training image of MNIST is traversed so, for a
    Gaussian naive Bayes classifier.

    Args:
        classifier: a module, which is left as it was; or anything with ``predict``, such as the estimators of scikit-learn; or a
            function from inputs float64 (n, *shape) to classes (n,), whole numbers or words.
        inputs: the inputs (n, *shape), in the shape that the classifier takes: (n, D) for scikit-learn, mostly (n, channels, rows,
            columns) for networks of images.
        labels: (n,), what their classes should be, for accuracies.
        quantum: the step, above 0: a number, or an array that fits one input. Of pixels from 0 to 255 it is 1; where these were
            divided by 255 and normalised, 1/255/std.
        low: the least that each number may be: a number, or an array that fits one input; None for the least of `inputs`, and
            ``-math.inf`` for no end.
        high: the most; by default, None, the largest of `inputs`.
        screen: how many steps of each input are tried, the likeliest; for modules alone. By default all legal ones are.
        batch: inputs that run together; by default as many as take some megabytes.
        threshold: of a module's single output; by default 0, which is right for logits. Where all that is seen is between 0 and 1,
            as probabilities are, it must be given.
        mode: of a module: ``eval``, or ``as_is``, every submodule in the mode that it has.
        forward: runs a module in your own way, ``(model, inputs) -> output``.
        output: which tensor of a module's output has the scores: its name or place, or a function of the output.

    Raises:
        TypeError: `classifier` is none of these, or no module where `screen` is given.
        ValueError: an argument is out of its range; `inputs` are not within the box; the classifier cannot take them, or does not
            give a class for each.

    >>> found = probe_pixels(lambda inputs: inputs[:, 0] > 101.5, [[101.0], [102.0], [200.0]], high=255)
    >>> found.sample.tolist(), found.direction.tolist(), found.after.tolist()
    ([0, 1], [1, -1], [True, False])
    >>> found
    <PixelProbe: 66.7% of 3 inputs change class by one step; 2 of 6 probes flip (33.3%)>
    """
    checked_count("screen", screen)
    steps, asking = Steps.checked(inputs, quantum, low, high), Asking(batch, threshold, mode, forward, output)
    known = _checked_labels(labels, len(steps.inputs))
    with asking.of(classifier, steps) as asked:
        classes = _classes(asked, steps)
        chosen = steps.every(asked.together) if screen is None else _screened(asked, steps, screen)
        numbers, after, tried = _flips(asked, steps, classes, chosen)
    sample, feature, direction = steps.told(numbers)
    return PixelProbe(
        classes,
        sample.astype(np.int32),
        feature.astype(np.int32),
        direction.astype(np.int8),
        after,
        tried if screen is None else steps.count(),
        tried,
        steps.quantum,
        steps.low,
        steps.high,
        known,
    )


def _checked_labels(labels: Any, count: int) -> Array | None:
    if labels is None:
        return None
    given = slices.to_array(labels)
    if given.shape != (count,):
        raise ValueError(f"`labels` must be one class for each of {count} inputs, ({count},), got shape {given.shape}.")
    return given


def _classes(asked: Asked, steps: Steps) -> Array:
    """Return the classes of the unchanged inputs (n,)."""
    classes = np.concatenate([asked.classes(part) for part in steps.unchanged(asked.together)])
    if isinstance(asked, Network) and (classes < 0).any():
        raise ValueError(
            f"`classifier` gives NaN for input {int(np.argmax(classes < 0))}, which has no class to begin with; leave it out."
        )
    return classes


def _screened(asked: Asked, steps: Steps, screen: int) -> Iterable[Ints]:
    if not isinstance(asked, Network):
        raise TypeError("`screen` takes gradients, which only a torch.nn.Module has; leave it out, and all steps are tried.")
    return asked.likeliest(steps, screen)


def _flips(asked: Asked, steps: Steps, classes: Array, chosen: Iterable[Ints]) -> tuple[Ints, Array, int]:
    """Return which of the `chosen` steps flip (F,), the classes behind them (F,), and how many were tried."""
    tried, numbers, after = 0, [np.empty(0, np.int64)], [classes[:0]]
    for some in chosen:
        seen = asked.classes(steps.changed(some))
        flipped = seen != classes[steps.told(some)[0]]
        numbers.append(some[flipped])
        after.append(seen[flipped])
        tried += len(some)
    return np.concatenate(numbers), np.concatenate(after), tried


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
