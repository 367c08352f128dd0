"""Where small networks switch on [-1, 1] squared, in exact rational arithmetic: an oracle that shares nothing with the package.

A unit is active where its pre-activation is > 0, and inactive where it is <= 0. Its boundary lies between a part of the open square
in which it is active and one in which it is not: a line on the square's border is none, nor is one at which the pre-activation
touches zero from above. ``python tests/rational.py --write`` computes the stored answers anew.
"""

from __future__ import annotations

import math
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Vector = tuple[Fraction, ...]
Matrix = tuple[Vector, ...]
Point = tuple[Fraction, Fraction]
Polygon = tuple[Point, ...]
Segment = tuple[Point, Point]
Affine = tuple[Fraction, Fraction, Fraction]  # a x + b y + c

ZERO, ONE = Fraction(0), Fraction(1)
SQUARE: Polygon = ((-ONE, -ONE), (ONE, -ONE), (ONE, ONE), (-ONE, ONE))
ANSWERS = Path(__file__).parent / "rational_answers.npz"
SEEDS = {"integer": 2000, "float": 500}
NAMES = ("generic", "zero_bias", "duplicated", "axis_aligned", "dead_half", "all_zero")


@dataclass(frozen=True)
class Network:
    """A fully connected network on the plane: a matrix (rows are units) and biases for each hidden layer, and for the output."""

    weights: tuple[Matrix, ...]
    biases: tuple[Vector, ...]
    slope: Fraction = ZERO  # of the activation below zero: 0 is ReLU

    @classmethod
    def of(cls, layers: Sequence[tuple[Sequence[Sequence[float]], Sequence[float]]], slope: float | Fraction = 0) -> Network:
        """Return the network of these (matrix, biases), whose numbers are taken as they are."""
        weights = tuple(tuple(tuple(Fraction(value) for value in row) for row in matrix) for matrix, _ in layers)
        return cls(weights, tuple(tuple(Fraction(value) for value in biases) for _, biases in layers), Fraction(slope))

    @classmethod
    def from_module(cls, module: nn.Sequential) -> Network:
        """Return the network of a stack of linear layers with ReLUs between."""
        linears = [layer for layer in module if isinstance(layer, nn.Linear)]
        return cls.of([(linear.weight.double().tolist(), linear.bias.double().tolist()) for linear in linears])

    @property
    def widths(self) -> tuple[int, ...]:
        """How many units each hidden layer has."""
        return tuple(len(biases) for biases in self.biases[:-1])

    def module(self, dtype: torch.dtype = torch.float64) -> nn.Sequential:
        """Return the same network for torch: Linear layers at 0, 2, 4, ... with ReLU or LeakyReLU between."""
        layers: list[nn.Module] = []
        for weights, biases in zip(self.weights, self.biases, strict=True):
            linear = nn.Linear(len(weights[0]), len(weights), dtype=dtype)
            with torch.no_grad():
                linear.weight.copy_(_exactly(weights, dtype))
                linear.bias.copy_(_exactly((biases,), dtype)[0])
            layers += [linear, nn.LeakyReLU(float(self.slope)) if self.slope else nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def checksum(self) -> int:
        """Return a number that tells this network from others, also where generators of random numbers have changed."""
        return zlib.crc32(repr((self.weights, self.biases, self.slope)).encode())


def _exactly(matrix: Matrix, dtype: torch.dtype) -> torch.Tensor:
    tensor = torch.tensor([[float(value) for value in row] for row in matrix], dtype=dtype)
    if any(
        Fraction(got) != value
        for row, told in zip(tensor.tolist(), matrix, strict=True)
        for got, value in zip(row, told, strict=True)
    ):
        raise ValueError(f"A weight is not exact in {dtype}")
    return tensor


@dataclass(frozen=True)
class Region:
    """A convex part, corners counter-clockwise, in which every unit so far is active or inactive throughout."""

    corners: Polygon
    pattern: tuple[bool, ...]  # of all units so far, layer after layer
    inputs: tuple[Affine, ...]  # of the next layer

    @property
    def area(self) -> Fraction:
        """Return the exact area."""
        return sum((a[0] * b[1] - b[0] * a[1] for a, b in sides(self.corners)), ZERO) / 2


@dataclass(frozen=True)
class Border:
    """Segments that overlap nowhere, in no order; one line may come in several parts."""

    segments: tuple[Segment, ...]

    @property
    def length(self) -> float:
        """Return the total length: exact but for the square roots and their sum."""
        return math.fsum(_length(segment) for segment in self.segments)

    @property
    def moments(self) -> tuple[float, float]:
        """Return the integrals of x and of y along the segments."""
        along = [(_length(segment), segment) for segment in self.segments]
        x, y = (math.fsum(length * float((a[axis] + b[axis]) / 2) for length, (a, b) in along) for axis in (0, 1))
        return x, y

    @property
    def measures(self) -> tuple[float, float, float]:
        """Return the length and the two moments."""
        return self.length, *self.moments


def _length(segment: Segment) -> float:
    (x0, y0), (x1, y1) = segment
    return math.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2)


@dataclass(frozen=True)
class Solution:
    """All that the oracle says of a network."""

    counts: tuple[int, ...]  # of regions, when the units up to each hidden layer have cut
    regions: tuple[Region, ...]  # after the last hidden layer
    boundaries: tuple[tuple[Border, ...], ...]  # of each unit of each hidden layer
    decision: Border


def solve(network: Network) -> Solution:
    """Cut the square by every unit, layer after layer, and say where each of them switches."""
    cells: tuple[Region, ...] = (Region(SQUARE, (), ((ONE, ZERO, ZERO), (ZERO, ONE, ZERO))),)
    counts, boundaries = [], []
    for weights, biases in zip(network.weights[:-1], network.biases[:-1], strict=True):
        maps = [pre_activations(weights, biases, cell.inputs) for cell in cells]
        boundaries.append(tuple(_boundary(cells, [unit[index] for unit in maps]) for index in range(len(biases))))
        cells = tuple(part for cell, units in zip(cells, maps, strict=True) for part in _split(cell, units, network.slope))
        counts.append(len(cells))
    _check(cells)
    outputs = [pre_activations(network.weights[-1], network.biases[-1], cell.inputs) for cell in cells]
    won = [part for cell, scores in zip(cells, outputs, strict=True) for part in winners(cell.corners, scores)]
    return Solution(tuple(counts), cells, tuple(boundaries), Border(tuple(seams(won))))


def pre_activations(weights: Matrix, biases: Vector, inputs: Sequence[Affine]) -> tuple[Affine, ...]:
    """Return what a linear layer makes of its inputs, where they are these functions of x and y."""
    made = []
    for row, bias in zip(weights, biases, strict=True):
        a, b, c = ZERO, ZERO, bias
        for weight, (p, q, r) in zip(row, inputs, strict=True):
            if weight and (p or q or r):
                a, b, c = a + weight * p, b + weight * q, c + weight * r
        made.append((a, b, c))
    return tuple(made)


def value(function: Affine, point: Point) -> Fraction:
    """Return the function's value at the point."""
    return function[0] * point[0] + function[1] * point[1] + function[2]


def sides(polygon: Polygon) -> Iterator[Segment]:
    """Iterate over the polygon's sides, from corner to corner."""
    return pairwise((*polygon, polygon[0]))


def cut(polygon: Polygon, function: Affine) -> tuple[Polygon | None, Polygon | None]:
    """Return the part in which the function is > 0 and the one in which it is <= 0; None for a part without area.

    Corners that lie on the line are not made twice, so polygons stay strictly convex.
    """
    values = [value(function, corner) for corner in polygon]
    if not any(v > 0 for v in values):
        return None, polygon
    if not any(v < 0 for v in values):
        return polygon, None
    above: list[Point] = []
    below: list[Point] = []
    for (p, q), (vp, vq) in zip(sides(polygon), pairwise((*values, values[0])), strict=True):
        if vp >= 0:
            above.append(p)
        if vp <= 0:
            below.append(p)
        if vp * vq < 0:
            share = vp / (vp - vq)
            crossing = (p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1]))
            above.append(crossing)
            below.append(crossing)
    return tuple(above), tuple(below)


def _split(cell: Region, units: Sequence[Affine], slope: Fraction) -> Iterator[Region]:
    """Cut a cell by all units of a layer, whose pre-activations are affine in it."""
    parts: list[tuple[Polygon, tuple[bool, ...]]] = [(cell.corners, ())]
    for unit in units:
        halves = [(cut(polygon, unit), pattern) for polygon, pattern in parts]
        parts = [
            (half, (*pattern, active))
            for (above, below), pattern in halves
            for half, active in ((above, True), (below, False))
            if half is not None
        ]
    for polygon, pattern in parts:
        yield Region(polygon, (*cell.pattern, *pattern), _activations(units, pattern, slope))


def _activations(units: Sequence[Affine], pattern: Sequence[bool], slope: Fraction) -> tuple[Affine, ...]:
    return tuple(
        unit if active else (slope * unit[0], slope * unit[1], slope * unit[2]) for unit, active in zip(units, pattern, strict=True)
    )


def _boundary(cells: Sequence[Region], units: Sequence[Affine]) -> Border:
    """Return one unit's boundary, from its pre-activation in each of the cells before its layer.

    A pre-activation is continuous, so it is zero along a boundary: no other edges need to be looked at. Boundaries through cells
    and those along edges of cells come out alike, since the unit cuts the cells first.
    """
    edges = []
    for cell, unit in zip(cells, units, strict=True):
        for polygon, active in zip(cut(cell.corners, unit), (True, False), strict=True):
            if polygon is not None:
                edges += [(side, active) for side in sides(polygon) if value(unit, side[0]) == value(unit, side[1]) == 0]
    return Border(tuple(_seams(edges)))


def winners(polygon: Polygon, scores: Sequence[Affine]) -> Iterator[tuple[Polygon, int]]:
    """Iterate over the parts in which one output is the greatest; the lowest index wins where several are, on a whole area."""
    for index, mine in enumerate(scores):
        part: Polygon | None = polygon
        for rival, other in enumerate(scores):
            if part is not None and rival != index:
                ahead = (mine[0] - other[0], mine[1] - other[1], mine[2] - other[2])
                behind = (-ahead[0], -ahead[1], -ahead[2])
                part = cut(part, ahead)[0] if rival < index else cut(part, behind)[1]
        if part is not None:
            yield part, index


def seams(parts: Iterable[tuple[Polygon, int]]) -> Iterator[Segment]:
    """Iterate over what lies between parts of different labels, when the parts cover the square and overlap nowhere."""
    return _seams((side, label) for polygon, label in parts for side in sides(polygon))


class _Stretch(NamedTuple):
    low: Fraction
    high: Fraction
    label: int


def _seams(edges: Iterable[tuple[Segment, int]]) -> Iterator[Segment]:
    """Compare the two sides of every line. The square's border has one side; neighbours' edges may end at different points."""
    lines: dict[tuple[Fraction | None, Fraction], list[_Stretch]] = defaultdict(list)
    for (a, b), label in edges:
        line, axis = _line(a, b)
        low, high = sorted((a[axis], b[axis]))
        lines[line].append(_Stretch(low, high, label))
    for (slope, offset), stretches in lines.items():
        for low, high in _differences(stretches):
            yield (
                ((offset, low), (offset, high)) if slope is None else ((low, slope * low + offset), (high, slope * high + offset))
            )


def _line(a: Point, b: Point) -> tuple[tuple[Fraction | None, Fraction], int]:
    """Return what all segments of one line have in common, and the coordinate to follow along it."""
    if a[0] == b[0]:
        return (None, a[0]), 1
    slope = (b[1] - a[1]) / (b[0] - a[0])
    return (slope, a[1] - slope * a[0]), 0


def _differences(stretches: list[_Stretch]) -> Iterator[tuple[Fraction, Fraction]]:
    """Iterate over where two stretches lie side by side with different labels: at most two cover any place, one on each side."""
    running: list[_Stretch] = []
    for stretch in sorted(stretches):
        running = [other for other in running if other.high > stretch.low]
        for other in running:
            if other.label != stretch.label:
                yield stretch.low, min(stretch.high, other.high)
        running.append(stretch)
        if len(running) > 2:
            raise AssertionError("More than two cells along one place of a line")


def _check(regions: Sequence[Region]) -> None:
    """Raise unless the regions have areas that make up the square, and patterns of their own."""
    areas = [region.area for region in regions]
    if min(areas) <= 0 or sum(areas) != 4:
        raise AssertionError("Regions do not tile the square")
    if len({region.pattern for region in regions}) != len(regions):
        raise AssertionError("Two regions have one pattern")


def integer_network(seed: int) -> Network:
    """Return a small network whose weights are integers or their halves, most often degenerate in several ways."""
    rng = np.random.Generator(np.random.PCG64(seed))
    depth = int(rng.integers(1, 4))
    widths = [int(rng.integers(3, 6 if depth == 3 else 9)) for _ in range(depth)]
    return _random(rng, widths, bits=0)


def float_network(seed: int) -> Network:
    """Return a network whose weights are multiples of 1/1024 of the usual sizes, most often degenerate in several ways."""
    rng = np.random.Generator(np.random.PCG64((seed, 1)))
    depth = int(rng.integers(2, 4))
    widths = [int(rng.integers(4, 9 if depth == 3 else 13)) for _ in range(depth)]
    return _random(rng, widths, bits=10)


@dataclass
class _Layer:
    """A layer in the making: float64, but every number a multiple of a small power of two."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    below: _Layer | None  # None for the first layer

    def some(self, rng: np.random.Generator, most: int) -> list[int]:
        """Return a few different units, in any order."""
        return [int(index) for index in rng.permutation(len(self.biases))[: int(rng.integers(1, most + 1))]]

    def at(self, point: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
        """Return the pre-activations at a point of the plane, without rounding where its coordinates are quarters."""
        if self.below is not None:
            z = self.below.at(point, slope)
            point = np.where(z > 0, z, slope * z)
        return self.weights @ point + self.biases

    def pair(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return two different units."""
        one, other = rng.permutation(len(self.biases))[:2]
        return int(one), int(other)

    def put(self, unit: int, weights: Iterable[float], bias: float) -> None:
        """Set a unit's row and bias."""
        self.weights[unit], self.biases[unit] = list(weights), bias

    def input(self, *wanted: tuple[int, float]) -> list[float]:
        """Return a row that is zero but for these inputs."""
        row = [0.0] * self.weights.shape[1]
        for index, weight in wanted:
            row[index] = weight
        return row


def _random(rng: np.random.Generator, widths: Sequence[int], bits: int) -> Network:
    """Draw layers of plain random numbers, and spoil them: six networks of seven, in up to three ways a hidden layer."""
    spoiled = rng.random() < 0.85
    slope = Fraction(1, int(rng.choice([4, 8]))) if rng.random() < 0.2 else ZERO
    layers: list[_Layer] = []
    for fan_in, fan_out in pairwise([2, *widths, 2]):
        layer = _plain(rng, fan_in, fan_out, bits, layers[-1] if layers else None)
        if rng.random() < 0.7:
            _centre(rng, layer, bits, float(slope), alone=len(layers) < len(widths))
        if spoiled:
            is_output = len(layers) == len(widths)
            ways = _ways(layer, is_output)
            for index in rng.integers(0, len(ways), size=int(rng.integers(0, 2 if is_output else 4))):
                ways[index](rng, layer)
        layers.append(layer)
    return Network.of([(layer.weights.tolist(), layer.biases.tolist()) for layer in layers], slope)


def _plain(rng: np.random.Generator, fan_in: int, fan_out: int, bits: int, below: _Layer | None) -> _Layer:
    if not bits:
        weights = rng.integers(-3, 4, size=(fan_out, fan_in)) / 1.0
        return _Layer(weights, rng.integers(-6, 7, size=fan_out) / float(rng.choice([1, 2, 4])), below)
    scale = 2**bits
    weights = np.round(rng.normal(size=(fan_out, fan_in)) * (2 / fan_in) ** 0.5 * scale) / scale
    return _Layer(weights, np.round(rng.uniform(-0.5, 0.5, size=fan_out) * scale) / scale, below)


def _centre(rng: np.random.Generator, layer: _Layer, bits: int, slope: float, alone: bool) -> None:
    """Let units be zero near points of the square (at them, where weights are integers), or many would switch nowhere.

    Each has a point of its own if `alone`; outputs share one, at which the decision changes then.
    """
    points = rng.integers(-3, 4, size=(len(layer.biases), 2)) / 4
    for unit, point in enumerate(points):
        there = layer.at(point if alone else points[0], slope)[unit]
        layer.biases[unit] -= np.round(there * 2 ** (bits or 3)) / 2 ** (bits or 3)


_Way = Callable[[np.random.Generator, _Layer], None]


def _ways(layer: _Layer, is_output: bool) -> list[_Way]:
    """Return how such a layer may be spoiled."""
    anywhere = [_no_biases, _few_biases, _copied, _scaled, _negated, _constant, _zero]
    if is_output:
        return [*anywhere, _passed_on, _folded]
    if layer.below is None:
        return [*anywhere, _half_dead, _along_axes, _along_axes, _coincident, _through_corners, _negated, _negated]
    return [*anywhere, _half_dead, _all_dead, _passed_on, _passed_on, _folded, _folded, _folded]


def _no_biases(rng: np.random.Generator, layer: _Layer) -> None:
    layer.biases[:] = 0


def _few_biases(rng: np.random.Generator, layer: _Layer) -> None:
    layer.biases[:] = rng.integers(-2, 3, size=len(layer.biases)) / float(rng.choice([1, 2, 4]))


def _copied(rng: np.random.Generator, layer: _Layer) -> None:
    model, *others = layer.some(rng, 3)
    for unit in others:
        layer.put(unit, layer.weights[model], layer.biases[model])


def _scaled(rng: np.random.Generator, layer: _Layer) -> None:
    one, other = layer.pair(rng)
    factor = float(rng.choice([2, 3, 0.5]))
    layer.put(other, factor * layer.weights[one], factor * layer.biases[one])


def _negated(rng: np.random.Generator, layer: _Layer) -> None:
    one, other = layer.pair(rng)
    factor = float(rng.choice([-1, -1, -2]))
    layer.put(other, factor * layer.weights[one], factor * layer.biases[one])


def _constant(rng: np.random.Generator, layer: _Layer) -> None:
    layer.put(layer.some(rng, 1)[0], layer.input(), float(rng.choice([-1, 0.5, 1])))


def _zero(rng: np.random.Generator, layer: _Layer) -> None:
    for unit in layer.some(rng, 2):
        layer.put(unit, layer.input(), 0)


def _half_dead(rng: np.random.Generator, layer: _Layer) -> None:
    layer.biases[layer.some(rng, max(1, len(layer.biases) // 2))] = -10000


def _all_dead(rng: np.random.Generator, layer: _Layer) -> None:
    if rng.random() < 0.3:  # nothing more happens above a dead layer
        layer.biases[:] = -10000


def _along_axes(rng: np.random.Generator, layer: _Layer) -> None:
    """Lines x or y = -1, -1/2, 0, 1/2 or 1, of which some are the square's border."""
    for unit in layer.some(rng, len(layer.biases)):
        weight = float(rng.choice([-2, -1, 1, 2]))
        layer.put(unit, layer.input((int(rng.integers(2)), weight)), weight * float(rng.integers(-2, 3)) / 2)


def _coincident(rng: np.random.Generator, layer: _Layer) -> None:
    """Several units on one line, which may be the border, in different scales and orientations."""
    axis, offset = int(rng.integers(2)), float(rng.integers(-2, 3)) / 2
    for unit in layer.some(rng, 4):
        weight = float(rng.choice([-3, -1, 0.5, 1, 2]))
        layer.put(unit, layer.input((axis, weight)), weight * offset)


def _through_corners(rng: np.random.Generator, layer: _Layer) -> None:
    for unit in layer.some(rng, 3):
        a, b = layer.weights[unit]
        layer.biases[unit] = float(rng.choice([-1, 1])) * a + float(rng.choice([-1, 1])) * b


def _passed_on(rng: np.random.Generator, layer: _Layer) -> None:
    """Units that pass on one of the layer below, up to sign and a constant: without one, z is zero wherever that unit is off."""
    for unit in layer.some(rng, 2):
        source = int(rng.integers(layer.weights.shape[1]))
        layer.put(unit, layer.input((source, float(rng.choice([-1, 1, 1, 2])))), float(rng.choice([0, 0, 0, 0.5, -0.5])))


def _folded(rng: np.random.Generator, layer: _Layer) -> None:
    """Units of relu(a) and relu(-a): |a| touches zero, |a| - 1/2 does not, their difference switches where a does, -|a| never."""
    if layer.below is None:
        return
    one, other = layer.below.pair(rng)
    layer.below.put(other, -layer.below.weights[one], -layer.below.biases[one])
    for unit in layer.some(rng, 2):
        first, second = rng.choice([[1, 1], [1, 1], [1, -1], [-1, -1], [2, 1]])
        layer.put(unit, layer.input((one, float(first)), (other, float(second))), float(rng.choice([0, 0, 0, -0.5, 0.5])))


def named_network(name: str) -> Network:
    """Return a 2-32-32-32-2 network with torch's own initial weights (seed 0), changed as its name says."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        linears = [nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise([2, 32, 32, 32, 2])]
        _CHANGES[name](linears)
    return Network.from_module(nn.Sequential(*linears))


def _all_biases_zero(linears: Sequence[nn.Linear]) -> None:
    for linear in linears:
        linear.bias.zero_()


def _second_half_copies(linears: Sequence[nn.Linear]) -> None:
    for linear in linears[:-1]:
        linear.weight[16:] = linear.weight[:16]
        linear.bias[16:] = linear.bias[:16]


def _first_along_axes(linears: Sequence[nn.Linear]) -> None:
    """Lines at five places of each axis, the border among them; scales and orientations differ."""
    first = linears[0]
    first.weight.zero_()
    for unit in range(32):
        weight = (1.0, -2.0, 0.5, -1.0, 2.0)[unit % 5]
        first.weight[unit, unit % 2] = weight
        first.bias[unit] = weight * (-0.75, -0.25, 0.0, 0.5, 1.0)[unit // 2 % 5]


def _first_half_dead(linears: Sequence[nn.Linear]) -> None:
    linears[0].bias[:16] = -100
    linears[1].bias.zero_()


def _all_parameters_zero(linears: Sequence[nn.Linear]) -> None:
    for linear in linears:
        linear.weight.zero_()
        linear.bias.zero_()


_CHANGES: dict[str, Callable[[Sequence[nn.Linear]], None]] = {
    "generic": lambda linears: None,
    "zero_bias": _all_biases_zero,
    "duplicated": _second_half_copies,
    "axis_aligned": _first_along_axes,
    "dead_half": _first_half_dead,
    "all_zero": _all_parameters_zero,
}


@dataclass(frozen=True)
class Answer:
    """What is stored of a solution."""

    kind: str  # "integer", "float", or the name of a named network
    seed: int  # 0 for a named one
    counts: tuple[int, ...]  # of regions, when the units up to each hidden layer have cut
    units: tuple[NDArray[np.float64], ...]  # a hidden layer each: rows are length, integral of x, integral of y along the boundary
    decision: NDArray[np.float64]  # the same three of the decision boundary
    smallest: float  # area of a region
    checksum: int  # of the network

    def network(self) -> Network:
        """Return the network that was solved."""
        return make(self.kind, self.seed)


RESOLUTION = 2.0**-26  # of stored lengths and moments, which are right to half of this


def make(kind: str, seed: int = 0) -> Network:
    """Return the network of this kind or name."""
    if kind == "integer":
        return integer_network(seed)
    return float_network(seed) if kind == "float" else named_network(kind)


def answer(key: tuple[str, int]) -> Answer:
    """Solve a network, for what would be stored of it."""
    network = make(*key)
    solution = solve(network)
    units = tuple(np.array([border.measures for border in layer]) for layer in solution.boundaries)
    smallest = float(min(region.area for region in solution.regions))
    return Answer(*key, solution.counts, units, np.array(solution.decision.measures), smallest, network.checksum())


def keys() -> list[tuple[str, int]]:
    """Return kind and seed of all networks whose answers are stored."""
    return [(kind, seed) for kind, count in SEEDS.items() for seed in range(count)] + [(name, 0) for name in NAMES]


@cache
def answers() -> dict[tuple[str, int], Answer]:
    """Return the stored answers by kind and seed."""
    with np.load(ANSWERS) as stored:
        arrays = {name: stored[name] for name in stored.files}
    found: dict[tuple[str, int], Answer] = {}
    layer = unit = 0
    for index, (kind, seed) in enumerate(keys()):
        depth = int(arrays["depths"][index])
        widths = arrays["widths"][layer : layer + depth]
        starts = unit + np.concatenate([[0], np.cumsum(widths, dtype=np.int64)])
        counts = tuple(int(count) for count in arrays["counts"][layer : layer + depth])
        units = tuple(arrays["units"][start:end] * RESOLUTION for start, end in pairwise(starts))
        decision = arrays["decisions"][index] * RESOLUTION
        smallest, checksum = float(arrays["smallest"][index]), int(arrays["checksums"][index])
        found[kind, seed] = Answer(kind, seed, counts, units, decision, smallest, checksum)
        layer, unit = layer + depth, int(starts[-1])
    return found


def _rounded(measures: Sequence[NDArray[np.float64]]) -> NDArray[np.int32]:
    steps = np.round(np.stack(measures) / RESOLUTION)
    if np.abs(steps).max() >= 2**31:
        raise OverflowError("A boundary is too long to store")
    return steps.astype(np.int32)


def write() -> None:
    """Solve all networks in two processes, and store the answers."""
    started = time.perf_counter()
    with get_context("spawn").Pool(2) as pool:
        solved = pool.map(answer, keys(), chunksize=4)
    layers = [layer for one in solved for layer in one.units]
    np.savez_compressed(
        ANSWERS,
        depths=np.array([len(one.units) for one in solved], dtype=np.uint8),
        widths=np.array([len(layer) for layer in layers], dtype=np.uint8),
        counts=np.array([count for one in solved for count in one.counts], dtype=np.uint16),
        units=_rounded([unit for layer in layers for unit in layer]),
        decisions=_rounded([one.decision for one in solved]),
        smallest=np.array([one.smallest for one in solved], dtype=np.float32),
        checksums=np.array([one.checksum for one in solved], dtype=np.uint32),
    )
    took, size = time.perf_counter() - started, ANSWERS.stat().st_size
    sys.stdout.write(f"{len(solved)} networks, {len(layers)} layers: {took:.0f} s, {size / 1000:.0f} kB\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    write()
