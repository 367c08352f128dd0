"""The border between two classes of a network with one hidden layer of sigmoid units, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from boundarycb.analysis.levels import zero_lines
from boundarycb.slices import to_array
from boundarycb.types import Boundaries, Floats, Slice, frozen

MAX_UNITS = 16
"""Hidden units of which the closed form is evaluated: it has two to that power terms."""

_TERMS = 2**22  # held at a time
_SAME_RATE = 1e-12  # of all rates' sizes together: what parts two rates is no more than rounding
_ZERO_TERM = 1e-14  # of its parts' sizes: what a term is no more than rounding under


@dataclass(frozen=True, eq=False, repr=False)
class SigmoidBoundary:
    r"""The equation :math:`z_1 = z_2` of a network with H hidden sigmoid units; see :func:`sigmoid_boundary`.

    Args:
        weights: float64 (H, D), of the hidden units.
        bias: float64 (H,), theirs.
        differences: float64 (H,), :math:`D_i = w_{y_i \to z_1} - w_{y_i \to z_2}`.
        offset: :math:`\Delta b = b_{z_1} - b_{z_2}`.
    """

    weights: Floats
    bias: Floats
    differences: Floats
    offset: float

    def __post_init__(self) -> None:
        for name in ("weights", "bias", "differences"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def __repr__(self) -> str:
        return f"<SigmoidBoundary of {len(self.bias)} hidden units, {self.weights.shape[1]} inputs>"

    @property
    def coefficients(self) -> Floats:
        r"""The constants :math:`C_S = \Delta b + \sum_{i \notin S} D_i`, float64 (2^H,): bit i of a place tells whether i is in S.

        Of three units the paper's :math:`C_0 \dots C_7` stand at the places 0, 1, 2, 4, 6, 5, 3, 7.

        Raises:
            ValueError: there are more than 16 hidden units.
        """
        self._refuse_many()
        values = np.array([self.offset])
        for difference in self.differences:
            values = np.concatenate([values + difference, values])
        return values

    def exponents(self, inputs: Any) -> Floats:
        r"""Return :math:`B_i = -(\sum_j w_{x_j \to y_i} x_j + b_{y_i})` at inputs (n, D), float64 (n, H)."""
        points = to_array(inputs).astype(np.float64)
        if points.ndim != 2 or points.shape[1] != self.weights.shape[1]:
            raise ValueError(f"`inputs` must be of shape (n, {self.weights.shape[1]}), got {points.shape}.")
        return -(points @ self.weights.T + self.bias)

    def lead(self, inputs: Any) -> Floats:
        r"""Return :math:`\sum_i D_i y_i + \Delta b` at inputs (n, D): by how much z1 is above z2 before their activation, (n,)."""
        return _sigmoid(-self.exponents(inputs)) @ self.differences + self.offset

    def __call__(self, inputs: Any) -> Floats:
        r"""Return the closed form at inputs (n, D), over :math:`\prod_i (1 + e^{B_i})`: it has the sign of z1 - z2, (n,).

        So divided every term is :math:`C_S \prod_{i \notin S} y_i \prod_{i \in S} (1 - y_i)`: nothing grows beyond all bounds, and
        the sum is the mean of :math:`C_S` where each unit is off by the chance :math:`1 - y_i`. It equals :meth:`lead` but for
        rounding.

        Raises:
            ValueError: there are more than 16 hidden units, or inputs have another shape.
        """
        exponents, coefficients = self.exponents(inputs), self.coefficients
        rows = max(1, _TERMS // len(coefficients))
        sums = [_weights(exponents[first : first + rows]) @ coefficients for first in range(0, len(exponents), rows)]
        return np.concatenate([np.empty(0), *sums])

    def on(self, slice: Slice, *, resolution: int = 256) -> Boundaries:
        """Return the lines on `slice` where the two outputs are equal, z1 being larger on their left.

        Args:
            slice: a slice of the network's inputs.
            resolution: grid points a side on which lines are traced, 2 to 4096; their points are then exact to rounding.
        """
        if slice.origin.size != self.weights.shape[1]:
            raise ValueError(f"`slice` must be of inputs of {self.weights.shape[1]} numbers, got {slice.input_shape}.")
        function = self.lead if len(self.bias) > MAX_UNITS else self
        return zero_lines(lambda inputs: function(inputs.reshape(len(inputs), -1)), slice, resolution=resolution)

    def most_crossings(self, start: Any, stop: Any) -> int:
        r"""Return how often the straight line through `start` and `stop` (D,) can meet the border at most, out to infinity.

        Along the line every term of the closed form is :math:`C_S e^{\beta_S + \kappa_S t}`, a solution of
        :math:`y' = \kappa_S y` with a rate of its own. A sum of such terms has at most as many zeros as its coefficients, in the
        order of their rates, change their sign: Descartes' rule for exponential sums (G. J. O. Jameson, "Counting zeros of
        generalised polynomials", The Mathematical Gazette 90, 2006, 223-234). Terms of one rate count as one. It is 2^H - 1 at
        most, and a multiple zero counts as often as it is.

        Raises:
            ValueError: there are more than 16 hidden units; the two are equal, not finite, or of another shape; or the line lies in
                the border, where it meets it everywhere.

        >>> bump = sigmoid_boundary(([[1.0, 0], [1, 0]], [2.0, -2]), ([[1.0, -1], [0, 0]], [-0.5, 0]))  # s(x + 2) - s(x - 2) > 0.5
        >>> bump.most_crossings([-1.0, 0.0], [1.0, 0.0]), bump.most_crossings([0.0, 0.0], [0.0, 1.0])
        (2, 0)
        """
        ends = [to_array(end).astype(np.float64) for end in (start, stop)]
        inputs = self.weights.shape[1]
        if any(end.shape != (inputs,) or not np.isfinite(end).all() for end in ends) or (ends[0] == ends[1]).all():
            raise ValueError(f"`start` and `stop` must be two different points of {inputs} finite numbers each, got {ends}.")
        first, second = self.exponents(ends)
        coefficients, rates, sizes = self.coefficients, _subset_sums(second - first), _subset_sums(first)
        order = np.argsort(rates, kind="stable")
        parted = np.diff(rates[order]) > _SAME_RATE * np.abs(second - first).sum()
        groups = np.split(order, np.flatnonzero(parted) + 1)
        signs = np.array([_sign(coefficients[group], sizes[group]) for group in groups])
        if not signs.any():
            raise ValueError(
                "`start` and `stop` are two points of a line that lies in the border: the outputs are equal all along it."
            )
        signs = signs[signs != 0]
        return int((signs[1:] != signs[:-1]).sum())

    def _refuse_many(self) -> None:
        if len(self.bias) > MAX_UNITS:
            raise ValueError(
                f"The closed form has 2^{len(self.bias)} terms for {len(self.bias)} hidden units; up to {MAX_UNITS} are summed. "
                "`lead` gives the same number, but for rounding, from a term a unit."
            )


def sigmoid_boundary(first: Any, second: Any, *, classes: tuple[int, int] = (0, 1)) -> SigmoidBoundary:
    r"""Return the border between two outputs of a network with one hidden layer of sigmoid units, as an equation of its input.

    With :math:`y_i = 1 / (1 + e^{B_i})` and :math:`B_i = -(\sum_j w_{x_j \to y_i} x_j + b_{y_i})` the outputs z1 and z2 are equal
    where :math:`\sum_i D_i y_i + \Delta b = 0`, since what comes after (a sigmoid, a softmax) keeps their order. Multiplied by
    :math:`\prod_j (1 + e^{B_j})`, which is positive, that is

    .. math:: \sum_{S \subseteq \{1 \dots H\}} C_S \exp\Big(\sum_{i \in S} B_i\Big) = 0, \qquad
              C_S = \Delta b + \sum_{i \notin S} D_i

    with constants :math:`D_i = w_{y_i \to z_1} - w_{y_i \to z_2}` and :math:`\Delta b = b_{z_1} - b_{z_2}`. Its left side has the
    sign of :math:`z_1 - z_2` everywhere.

    Source: "Visualizing Neural Nets" (2023), equations 1 to 4, for H = 3. Equations 2 and 3 hold as printed; two do not: the inner
    exponents of equation 1 lack their minus, and equation 4 negates the first of three terms only. Here all three are, as the
    definition of y has it (docs/second_paper.md works it out).

    Args:
        first: the hidden layer: a ``nn.Linear``, or its weights (H, D) and bias (H,), or None for no bias.
        second: the output layer: the same, (C, H) and (C,).
        classes: which two of its outputs are z1 and z2.

    Raises:
        ValueError: the shapes do not fit, numbers are not finite, or there are no such classes.

    >>> border = sigmoid_boundary(([[1.0, 0], [0, 1]], None), ([[1.0, 0], [0, 1]], None))  # z1 = y1, z2 = y2: equal where x1 = x2
    >>> border.coefficients.tolist(), border([[0.4, 0.4], [0.9, 0.4]]).round(4).tolist()
    ([0.0, -1.0, 1.0, 0.0], [0.0, 0.1123])
    """
    weights, bias = _layer("first", first)
    out, out_bias = _layer("second", second)
    if out.shape[1] != len(weights):
        raise ValueError(f"`second` must take the {len(weights)} hidden units that `first` gives, got weights {out.shape}.")
    one, two = _checked_classes(classes, len(out))
    return SigmoidBoundary(weights, bias, out[one] - out[two], float(out_bias[one] - out_bias[two]))


def _layer(name: str, given: Any) -> tuple[Floats, Floats]:
    """Return the weights and the bias of a layer."""
    pair = (given.weight, given.bias) if hasattr(given, "weight") else given
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"`{name}` must be a linear layer, or its weights and bias, got {type(given).__name__}.")
    weights = to_array(pair[0]).astype(np.float64)
    bias = np.zeros(weights.shape[:1]) if pair[1] is None else to_array(pair[1]).astype(np.float64)
    if weights.ndim != 2 or bias.shape != weights.shape[:1] or not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError(
            f"`{name}` must have finite weights (units, inputs) and a bias (units,), got shapes {weights.shape} and {bias.shape}."
        )
    return weights, bias


def _checked_classes(classes: tuple[int, int], count: int) -> tuple[int, int]:
    try:
        one, two = (index(place) for place in classes)
    except (TypeError, ValueError):
        one = two = -1
    if one == two or not (0 <= one < count and 0 <= two < count):
        raise ValueError(f"`classes` must be two different outputs, of 0 to {count - 1}, got {classes!r}.")
    return one, two


def _sigmoid(values: Floats) -> Floats:
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, 1.0, small) / (1.0 + small))


def _subset_sums(values: Floats) -> Floats:
    """Return the sum of each subset S of `values` (H,), (2^H,)."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums


def _sign(coefficients: Floats, exponents: Floats) -> int:
    """Return the sign of the sum of terms ``c exp(e)``; 0 where it is no more than rounding."""
    terms = coefficients * np.exp(exponents - exponents.max())
    total = float(terms.sum())
    return 0 if abs(total) <= _ZERO_TERM * np.abs(terms).sum() else int(np.sign(total))


def _weights(exponents: Floats) -> Floats:
    """Return the chance of each set S of units that are off, in all n points, (n, 2^H), from exponents (n, H)."""
    chances = np.ones((len(exponents), 1))
    for column in exponents.T:
        off, on = _sigmoid(column)[:, None], _sigmoid(-column)[:, None]
        chances = np.concatenate([chances * on, chances * off], axis=1)
    return chances
