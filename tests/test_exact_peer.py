"""The exact engine against regioncam, which walks the regions of a network in single precision, and who is right where they differ.

Small networks are judged by the oracle in exact arithmetic, larger ones by forward passes alone: a partition is right if every
region has one activation pattern throughout, neighbours have different ones, and nothing is left over.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import rational
import regioncam
import torch
from models import mlp
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import nn

from boundarycb import find_regions, slices
from boundarycb.types import Floats, Regions, polygon_areas

SQUARE = slices.box((-1, 1), (-1, 1))  # regioncam's own, at size 1
NEAR = 5e-5  # what single precision leaves of a corner's place
SMALL, WIDE, DEEP = (2, 16, 16, 16, 2), (2, 64, 64, 64, 2), (2, *[32] * 8, 2)
LARGE = (2, 256, 256, 256, 2)

Ints = NDArray[np.int64]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Products are small here: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def linears(model: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in model if isinstance(layer, nn.Linear)]


def hidden(model: nn.Sequential) -> list[nn.Linear]:
    return linears(model)[:-1]


def peer(model: nn.Sequential) -> Any:
    """Return what regioncam makes of the same weights."""
    walk = regioncam.Regioncam(size=1.0)
    for linear in hidden(model):
        walk.linear(linear.weight.detach().numpy().T.copy(), linear.bias.detach().numpy().copy())
        walk.relu()
    return walk


def count(regions: Regions) -> int:
    """Return how many regions there are, with those that are thin."""
    return len(regions) + regions.thin


def trained(model: nn.Sequential, steps: int = 100) -> nn.Sequential:
    """Return the model after a few steps on a spiral."""
    x = torch.rand(256, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    y = (torch.sin(6 * x.norm(dim=1) + torch.atan2(x[:, 1], x[:, 0])) > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def pre_activations(model: nn.Sequential, points: Floats) -> Floats:
    """Return all units' pre-activations (n, U) at `points`, by a plain forward pass in double precision."""
    signal, found = torch.from_numpy(points), []
    with torch.no_grad():
        for layer in copy.deepcopy(model).double():
            if isinstance(layer, nn.ReLU):
                found.append(signal)
            signal = layer(signal)
    return torch.cat(found, dim=1).numpy()


# ------------------------------------------------------------------------------------------- networks in general position


def assert_same_regions(model: nn.Sequential) -> None:
    regions, walk = find_regions(model, SQUARE), peer(model)
    assert len(np.unique(regions.on, axis=0)) == len(regions)  # convex, so a pattern is one region
    assert regions.areas().sum() == pytest.approx(4, rel=1e-9)  # the whole square
    # Theirs is single precision: whether it finds a region thinner than that hangs on how the processor rounded in training.
    assert abs(count(regions) - walk.num_faces) <= regions.thin // 100
    assert regions.thin <= 2e-3 * len(regions) + 1
    theirs = np.asarray(walk.vertex_inputs, np.float64)
    nearest, ours = cKDTree(regions.points).query(theirs)
    assert cKDTree(theirs).query(regions.points)[0].max() <= max(NEAR, nearest.max())
    far = np.flatnonzero(nearest > NEAR)
    assert len(far) <= 1e-4 * len(theirs)
    assert is_corner(model, regions.points[ours[far]]).all()  # so it is theirs that are off


def is_corner(model: nn.Sequential, points: Floats) -> NDArray[np.bool_]:
    """Return at which points two units are zero to the last digits."""
    if not len(points):
        return np.ones(0, np.bool_)
    second = np.sort(np.abs(pre_activations(model, points)), axis=1)[:, 1]
    return np.asarray(second < 1e-12)


@pytest.mark.parametrize("widths", [SMALL, WIDE, DEEP], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_random_networks_have_the_regions_that_regioncam_finds(widths: tuple[int, ...], seed: int) -> None:
    assert_same_regions(mlp(*widths, seed=seed))


@pytest.mark.parametrize(("widths", "steps"), [(SMALL, 300), (WIDE, 100), (DEEP, 100)], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_trained_networks_have_the_regions_that_regioncam_finds(widths: tuple[int, ...], steps: int, seed: int) -> None:
    assert_same_regions(trained(mlp(*widths, seed=seed), steps))


@pytest.mark.slow
@pytest.mark.parametrize("steps", [0, 100])
def test_large_networks_have_the_regions_that_regioncam_finds(steps: int) -> None:
    assert_same_regions(trained(mlp(*LARGE), steps))


# ------------------------------------------------------------------------------------------------ small degenerate networks


@pytest.mark.parametrize("kind", ["integer", "float"])
def test_where_they_differ_on_small_degenerate_networks_the_oracle_agrees_with_us(kind: str) -> None:
    """Regioncam has too many there: faces without an area."""
    stored = rational.answers()
    chosen = [stored[kind, seed] for seed in range(0, rational.SEEDS[kind], rational.SEEDS[kind] // 60)]
    surplus = []
    for answer in chosen:
        network = answer.network()
        model = network.module(torch.float32)
        assert count(find_regions(model, SQUARE)) == answer.counts[-1], answer.seed
        if not network.slope:
            surplus.append(peer(model).num_faces - answer.counts[-1])
    assert min(surplus) == 0 < max(surplus)


@pytest.mark.parametrize("name", rational.NAMES)
def test_named_networks_have_the_regions_of_the_oracle(name: str) -> None:
    answer = rational.answers()[name, 0]
    model = answer.network().module(torch.float32)
    regions = find_regions(model, SQUARE)
    assert tuple(regions.counts.values()) == answer.counts
    assert len(regions) == answer.counts[-1]
    assert (peer(model).num_faces == len(regions)) == (name != "duplicated")


# ------------------------------------------------------------------------------------------------ larger degenerate networks


@dataclass(frozen=True)
class Polygons:
    """Regions by whoever found them: the corners of each (M, 2), where each one's start (R + 1,), and pairs of neighbours."""

    corners: Floats
    offsets: Ints
    neighbours: Ints

    @classmethod
    def ours(cls, regions: Regions) -> Polygons:
        return cls(regions.points[regions.corners], regions.offsets, regions.neighbours)

    @classmethod
    def theirs(cls, walk: Any) -> Polygons:
        rings = [[int(vertex) for vertex in face.vertex_ids] for face in walk.faces]
        beside: dict[frozenset[int], list[int]] = defaultdict(list)
        for face, ring in enumerate(rings):
            for side in pairwise([*ring, ring[0]]):
                beside[frozenset(side)].append(face)
        corners = np.asarray(walk.vertex_inputs, np.float64)[np.concatenate(rings)]
        offsets = np.cumsum([0, *map(len, rings)])
        return cls(corners, offsets, np.array([pair for pair in beside.values() if len(pair) == 2]))

    def centres(self) -> Floats:
        return np.asarray(np.add.reduceat(self.corners, self.offsets[:-1], axis=0) / np.diff(self.offsets)[:, None])


@dataclass(frozen=True)
class Judgement:
    """What forward passes say of polygons.

    Args:
        on: the units' states in the middle of each (R, U).
        mixed: how many have another pattern near one of their corners than in the middle.
        alike: how many pairs of neighbours have the same pattern.
        area: of all.
    """

    on: NDArray[np.bool_]
    mixed: int
    alike: int
    area: float

    @classmethod
    def of(cls, model: nn.Sequential, polygons: Polygons) -> Judgement:
        centres, sizes = polygons.centres(), np.diff(polygons.offsets)
        inset = 0.98 * polygons.corners + 0.02 * np.repeat(centres, sizes, axis=0)
        z = pre_activations(model, np.concatenate([centres, inset]))
        states = z > 1e-12 * np.abs(z).max(axis=0)
        on, near_corners = states[: len(centres)], states[len(centres) :]
        other = (near_corners != np.repeat(on, sizes, axis=0)).any(axis=1)
        mixed = int(np.logical_or.reduceat(other, polygons.offsets[:-1]).sum())
        one, two = on[polygons.neighbours].transpose(1, 0, 2)
        alike = int((one == two).all(axis=1).sum())
        return cls(on, mixed, alike, float(polygon_areas(polygons.corners, polygons.offsets).sum()))


Change = Callable[[nn.Sequential], nn.Sequential]


def without_biases(model: nn.Sequential) -> nn.Sequential:
    for linear in linears(model):
        nn.init.zeros_(linear.bias)
    return model


def half(factor: float) -> Change:
    """Return what makes the second half of each layer's units the first half times `factor`."""

    def change(model: nn.Sequential) -> nn.Sequential:
        with torch.no_grad():
            for linear in hidden(model):
                middle = linear.out_features // 2
                linear.weight[middle:] = factor * linear.weight[:middle]
                linear.bias[middle:] = factor * linear.bias[:middle]
        return model

    return change


def along_axes(model: nn.Sequential) -> nn.Sequential:
    """Return the model with first-layer lines at multiples of 1/4, the border among them, and small integers after it."""
    generator = torch.Generator().manual_seed(3)
    first, *others = hidden(model)
    units = torch.arange(first.out_features)
    signs = torch.randint(0, 2, (first.out_features,), generator=generator) * 2.0 - 1
    with torch.no_grad():
        first.weight.zero_()[units, units % 2] = signs
        first.bias.copy_(signs * torch.randint(-4, 5, signs.shape, generator=generator) / 4)
        for linear in others:
            linear.weight.copy_(torch.randint(-2, 3, linear.weight.shape, generator=generator))
            linear.bias.copy_(torch.randint(-2, 3, linear.bias.shape, generator=generator) / 2)
    return model


DEGENERATE: dict[str, Change] = {
    "no biases": without_biases,
    "copies": half(1.0),
    "scaled copies": half(2.0),
    "negated copies": half(-1.0),
    "scaled and negated copies": half(-0.5),
    "along the axes": along_axes,
    "trained, then copied": lambda model: half(1.0)(trained(model)),
    "trained, then negated": lambda model: half(-1.0)(trained(model)),
    "trained, then without biases": lambda model: without_biases(trained(model)),
}


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize(("widths", "seed"), [(SMALL, 0), (SMALL, 1), (WIDE, 0)])
def test_where_they_differ_on_larger_degenerate_networks_forward_passes_agree_with_us(
    name: str, widths: tuple[int, ...], seed: int
) -> None:
    model = DEGENERATE[name](mlp(*widths, seed=seed))
    regions, walk = find_regions(model, SQUARE), peer(model)
    ours, theirs = Judgement.of(model, Polygons.ours(regions)), Judgement.of(model, Polygons.theirs(walk))
    assert (ours.mixed, ours.alike) == (0, 0)
    assert ours.area == pytest.approx(4, abs=1e-9)
    assert np.array_equal(ours.on, np.unpackbits(regions.on, axis=1, count=ours.on.shape[1]))
    if count(regions) != walk.num_faces:
        assert walk.num_faces > count(regions)
        assert theirs.alike > 0  # faces that no unit tells apart


def test_copies_to_the_last_digit_but_one_end_and_thin_regions_stand_apart() -> None:
    """3.7 times a unit, rounded to single precision, is off by 1e-8: its line is another one, and what lies between is thin."""
    model = half(3.7)(trained(mlp(*WIDE)))
    regions = find_regions(model, SQUARE)
    judgement = Judgement.of(model, Polygons.ours(regions))
    assert regions.thin > len(regions) > 1000
    assert judgement.mixed == 0
    assert judgement.area == pytest.approx(4, abs=1e-4)
