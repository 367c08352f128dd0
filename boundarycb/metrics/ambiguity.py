"""Where the network does not make up its mind: two classes next to equal, several at once, or none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Field, Floats, Sample, Value


def ambiguous_zones(sample: Sample, eps: float = 0.1) -> dict[str, Value]:
    r"""Return ``ambiguity/tie``, ``ambiguity/none``, ``ambiguity/overlap``, shares of the slice; nothing where no classes are.

    .. math:: \mathrm{tie} = |\{p : P_{(1)}(p) - P_{(2)}(p) < \epsilon\}| \,/\, |\{p\}|

    with the chances of the winner and of the runner-up at grid point p, by softmax, or as they are where the model gives chances
    already. Range 0 to 1 each; high: on much of the slice the network decides by a hair (tie), for nothing (none), or for several
    classes at once (overlap).

    * ``ambiguity/tie``: as above; of two classes :math:`|2 P - 1| < \epsilon`. NaN in histories that did not keep the runner-up.
    * ``ambiguity/none``: share with no output above 0.5. Not of two classes that share a sum of 1: one of them is, off the border.
    * ``ambiguity/overlap``: share with two or more outputs above 0.5; only where each output is a sigmoid of its own, since of
      chances with a sum of 1 one at most can be.

    A model for ``BCEWithLogitsLoss`` gives scores, which are taken for those of a softmax: sample it with
    ``forward=lambda model, inputs: model(inputs).sigmoid()``. Points where the output is not finite are left out, and all three are
    NaN where it is finite nowhere. Chances are kept in half precision, in steps of 0.0005 between 0.5 and 1: a point so near to
    `eps`, or of a softmax to 0.5, may be counted on the other side (sigmoids are held against 0.5 before).

    Source: "Visualizing Neural Nets" (2023), which shows such zones of networks with sigmoid outputs. Cost: a few passes over the
    grid.

    Args:
        sample: a sample.
        eps: least difference of the two chances that decides, more than 0 to 1; ``functools.partial(ambiguous_zones, eps=0.02)``
            is a metric too.

    Raises:
        ValueError: `eps` is out of its range.

    >>> from boundarycb.types import Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,))
    >>> first, second = np.array([[0.9, 0.6], [0.6, 0.3]]), np.array([[0.1, 0.55], [0.1, 0.25]])
    >>> field = Field("classes", first, np.zeros((2, 2), np.uint16), 2, second=second, above=np.array([[1, 2], [1, 0]], np.uint16))
    >>> ambiguous_zones(Sample(Capture((layer,), 2, np.zeros((1, 1), np.uint8), field), empty))
    {'ambiguity/tie': 0.5, 'ambiguity/none': 0.25, 'ambiguity/overlap': 0.25}
    """
    if not 0 < eps <= 1:
        raise ValueError(f"`eps` must be more than 0 and at most 1, got {eps!r}.")
    field = sample.now.field
    if field is None or field.kind == "value":
        return {}
    known = np.isfinite(field.value)
    lead = _lead(field)
    values: dict[str, Value] = {"ambiguity/tie": float("nan") if lead is None else _share(lead[known] < eps)}
    if field.above is not None:
        values["ambiguity/none"] = _share(field.above[known] == 0)
        values["ambiguity/overlap"] = _share(field.above[known] >= 2)
    elif field.kind == "classes":
        values["ambiguity/none"] = _share(field.value[known] <= 0.5)
    return values


def _lead(field: Field) -> Floats | None:
    """Return by how much the winner's chance is above the runner-up's, (H, W); None where that is not known."""
    value = field.value.astype(np.float64)
    if field.kind == "probability":
        return np.abs(2 * value - 1)
    return None if field.second is None else value - field.second.astype(np.float64)


def _share(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
