"""The exact engine on small and degenerate networks: answers worked by hand, and those of an oracle in rational arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rational import (
    NAMES,
    Answer,
    Border,
    Network,
    Segment,
    answers,
    keys,
    make,
    pre_activations,
    seams,
    solve,
    winners,
)
from torch import nn

from boundarycb import find_boundaries, find_regions, slices
from boundarycb.engines import exact
from boundarycb.probe import probe
from boundarycb.types import Boundaries, Floats

SQUARE = slices.box((-1, 1), (-1, 1))
NEAR = 2e-6  # of a domain of width 2
MANY = 10**6


def found(model: nn.Module) -> exact.Found:
    """Return what the exact engine finds, or raise why it does not."""
    with probe(model) as forward:
        reading = forward(SQUARE.lift(SQUARE.corners()))
        double = forward.double(MANY)
        return exact.find(double.quick(reading), SQUARE, reading.layers, MANY, again=double)


def measures(lines: Boundaries) -> NDArray[np.float64]:
    """Return the length of each unit's boundary and its first moments (U, 3)."""
    total = np.zeros((len(lines.units), 3))
    for index, owner in enumerate(lines.owner):
        line = lines.line(index)
        lengths = np.hypot(*np.diff(line, axis=0).T)
        total[owner] += [lengths.sum(), *(lengths @ (line[1:] + line[:-1]) / 2)]
    return total


def differences(model: nn.Module, wanted: Answer) -> list[str]:
    """Return in what the engine's answers for `model` differ from the oracle's."""
    regions, lines = find_regions(model, SQUARE), found(model)
    wrong = []
    if len(regions) + regions.thin != wanted.counts[-1]:
        wrong.append(f"{len(regions)} + {regions.thin} regions for {wanted.counts[-1]}")
    if np.abs(measures(lines.boundaries) - np.concatenate(wanted.units)).max() > 1e-6:
        wrong.append("boundaries")
    if lines.decision is None or np.abs(measures(lines.decision).sum(axis=0) / 2 - wanted.decision).max() > 1e-6:
        wrong.append("decision")
    return wrong


# ----------------------------------------------------------------------------------------------------------- the oracle

SOME = [key for key in keys() if key[0] in NAMES or key[1] % 25 == 0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("key", SOME, ids=str)
def test_regions_boundaries_and_decision_are_those_of_the_oracle(key: tuple[str, int], dtype: torch.dtype) -> None:
    wanted = answers()[key]
    assert not differences(wanted.network().module(dtype), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_all_2500_networks_are_answered_as_by_the_oracle(dtype: torch.dtype) -> None:
    wrong = {key: differences(wanted.network().module(dtype), wanted) for key, wanted in answers().items()}
    assert len(wrong) >= 2500
    assert not {key: words for key, words in wrong.items() if words}


AFRESH = [("integer", seed) for seed in range(0, 2000, 50)] + [("float", seed) for seed in range(0, 500, 50)]


@pytest.mark.parametrize("key", AFRESH, ids=str)
def test_every_units_boundary_lies_where_the_oracle_finds_it_afresh(key: tuple[str, int]) -> None:
    network = make(*key)
    wanted = solve(network)
    lines = found(network.module(torch.float32)).boundaries
    unit = 0
    for layer in wanted.boundaries:
        for border in layer:
            ours = [lines.line(int(k)) for k in np.flatnonzero(lines.owner == unit)]
            assert_same_place(ours, border.segments)
            unit += 1


def assert_same_place(ours: list[Floats], theirs: tuple[Segment, ...]) -> None:
    """Assert that either lies within NEAR of the other; both are looked at in points along them."""
    here = [(line[:-1], line[1:]) for line in ours]
    a, b = (np.concatenate([part[k] for part in here]) if here else np.empty((0, 2)) for k in (0, 1))
    c, d = (np.array([[float(x) for x in segment[k]] for segment in theirs]).reshape(-1, 2) for k in (0, 1))
    assert (len(a) == 0) == (len(c) == 0)
    if len(a):
        assert off(a, b, c, d) < NEAR
        assert off(c, d, a, b) < NEAR


def off(a: Floats, b: Floats, c: Floats, d: Floats) -> float:
    """Return how far points on the segments from a to b lie from the nearest of those from c to d, at most."""
    shares = np.linspace(0, 1, 9)[:, None, None]
    points = (a + shares * (b - a)).reshape(-1, 1, 2)
    along = d - c
    at = np.clip(((points - c) * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-300), 0, 1)
    distance = np.hypot(*np.moveaxis(points - (c + at[:, :, None] * along), 2, 0))
    return float(distance.min(axis=1).max())


NAMED = {
    "generic": (166, 795, 1180),
    "zero_bias": (64, 126, 204),
    "duplicated": (44, 121, 177),
    "axis_aligned": (25, 250, 915),
    "dead_half": (55, 532, 889),
    "all_zero": (1, 1, 1),
}


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_of_a_named_network_makes_as_many_regions_as_the_oracle_says(name: str) -> None:
    regions = find_regions(make(name).module(torch.float32), SQUARE)
    assert tuple(regions.counts.values()) == NAMED[name] == answers()[name, 0].counts
    assert len(regions) == NAMED[name][-1]
    assert regions.areas().sum() == pytest.approx(4)


# -------------------------------------------------------------------------------------------------------------- by hand


def network(*layers: tuple[list[list[float]], list[float]]) -> Any:
    """Return the ReLU network of these weights and biases, the last of which are the output's."""
    parts: list[nn.Module] = []
    for weights, biases in layers:
        linear = nn.Linear(len(weights[0]), len(weights))
        linear.weight.data, linear.bias.data = torch.tensor(weights), torch.tensor(biases)
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


SUM = ([[1.0]], [0.0])


def test_a_unit_that_bends_where_another_switches() -> None:
    # relu(x) - 0.5 + y: below x = 0 it switches at y = 0.5, above on the line from (0, 0.5) to (1, -0.5).
    model = network(([[1.0, 0], [0, 1], [0, -1]], [0.0, 0, 0]), ([[1.0, 1, -1]], [-0.5]), SUM)
    (line,) = found(model).boundaries.of("2", 0)
    assert np.allclose(line, [[-1, 0.5], [0, 0.5], [0.5, 0], [1, -0.5]], atol=1e-12)  # the on side is on its left
    assert found(model).boundaries.exact


def test_where_a_unit_is_zero_on_a_region_its_boundary_runs_where_it_starts_to_be_on() -> None:
    # relu(x) is 0 on the left half: off there, on from x = 0.
    model = network(([[1.0, 0], [0, 1]], [0.0, 0.25]), ([[1.0, 0]], [0.0]), SUM)
    lines = found(model).boundaries
    (line,) = lines.of("2", 0)
    assert np.allclose(line[[0, -1]], [[0, 1], [0, -1]], atol=1e-12) or np.allclose(line[[0, -1]], [[0, -1], [0, 1]], atol=1e-12)
    assert lines.lengths()[lines.owner == 2].sum() == pytest.approx(2)
    assert len(find_regions(model, SQUARE)) == 4


def test_a_line_that_only_touches_zero_is_no_boundary() -> None:
    model = network(([[1.0, 0], [-1, 0]], [0.0, 0]), ([[1.0, 1]], [0.0]), SUM)  # |x|
    assert found(model).boundaries.of("2", 0) == []


def test_lines_on_the_border_and_through_corners() -> None:
    model = network(([[1.0, 0], [0, 1], [1, 1], [1, -1]], [1.0, -1, 0, 0]), ([[1.0, 1, 1, 1]], [0.0]))
    lines = found(model).boundaries
    assert np.unique(lines.owner).tolist() == [2, 3]
    assert np.allclose(lines.lengths(), 8**0.5)
    assert len(find_regions(model, SQUARE)) == 4


@pytest.mark.parametrize("scale", [1.0, 3.0, -1.0, 1e-3, -1e-9])
def test_copies_share_their_boundary_and_make_no_region(scale: float) -> None:
    rows = [[0.3, 0.7], [1.0, -0.4], [0.3 * scale, 0.7 * scale]]
    model = network((rows, [0.2, 0.1, 0.2 * scale]), ([[1.0, 1, 1]], [0.0]))
    lines = found(model.double()).boundaries
    first, copy = lines.of("0", 0)[0], lines.of("0", 2)[0]
    assert np.allclose(first if scale > 0 else first[::-1], copy, atol=1e-9)
    assert len(find_regions(model, SQUARE)) == 4


def test_many_lines_through_one_point_off_the_centre() -> None:
    angles = np.linspace(0, np.pi, 40, endpoint=False)
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    model = network((rows.tolist(), (-rows @ [0.3, -0.2]).tolist()), ([[1.0] * 40], [0.0])).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(rows))
        model[0].bias.copy_(torch.tensor(-rows @ [0.3, -0.2]))
    assert len(find_regions(model, SQUARE)) == 80


# ------------------------------------------------------------------------------------------------- borders of classes


def lengths_by_class(border: Boundaries | None) -> list[float]:
    assert border is not None
    return [float(border.lengths()[border.owner == k].sum()) for k in range(len(border.units))]


@pytest.mark.parametrize("signs", [[1, 1, -1], [1, -1, 0], [1, 1, 1, -1, -1, 0], [0, 1, -1, 1]])
def test_classes_that_tie_along_a_line_have_the_border_of_those_that_win_beside_it(signs: list[int]) -> None:
    """Scores are x, -x or 0: the first of those that rise wins the right, the first of those that fall the left."""
    rows = [(sign, 0) for sign in signs], [-2 * sign for sign in signs]
    border = found(Network.of([([(1, 0), (0, 1)], [2, 0]), rows]).module()).decision  # relu(x + 2) - 2 is x on the square
    right, left = signs.index(1), signs.index(-1)
    assert lengths_by_class(border) == pytest.approx([2 * (k in (right, left)) for k in range(len(signs))])
    assert border is not None
    ends = {int(border.owner[i]): border.line(i)[-1].tolist() for i in range(len(border))}
    assert ends == {right: [0, -1], left: [0, 1]}  # the area that a class wins is on the left of its line


def test_classes_that_are_all_zero_where_units_are_off_have_no_border_there() -> None:
    """-relu(x), 2 relu(x) and relu(x): of three zeros the first wins the left half, and the second wins the right one."""
    network = Network.of([([(1, 0), (1, 1), (1, -1)], [0, 0, 0]), ([(-1, 0, 0), (2, 0, 0), (1, 0, 0)], [0, 0, 0])])
    assert lengths_by_class(found(network.module()).decision) == pytest.approx([2, 2, 0])


def degenerate_classes(seed: int) -> Network:
    """Return a small network of whole numbers with three to five classes, some of them copies, most often without biases."""
    rng = np.random.default_rng(seed)
    hidden, classes = int(rng.integers(1, 5)), int(rng.integers(3, 6))
    layers = []
    for fan_in, fan_out in ((2, hidden), (hidden, classes)):
        weights = rng.integers(-2, 3, (fan_out, fan_in))
        weights[-1] = rng.choice([-1, 0, 1]) * weights[0]
        layers.append((weights.tolist(), (rng.integers(-1, 2, fan_out) * int(rng.random() < 0.3)).tolist()))
    return Network.of(layers)


def test_borders_of_degenerate_classes_are_those_of_the_oracle() -> None:
    wrong = []
    for seed in range(50):
        network = degenerate_classes(seed)
        solution, border = solve(network), found(network.module()).decision
        assert border is not None
        won = [
            part
            for cell in solution.regions
            for part in winners(cell.corners, pre_activations(network.weights[-1], network.biases[-1], cell.inputs))
        ]
        wanted = [
            Border(tuple(seams((corners, winner == k) for corners, winner in won))).measures for k in range(len(border.units))
        ]
        if np.abs(measures(border) - wanted).max() > 1e-9:
            wrong.append(seed)
    assert not wrong


def test_without_biases_classes_have_no_borders_at_the_origin_alone() -> None:
    torch.manual_seed(0)
    linears = [nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 10)]
    model = nn.Sequential(linears[0], nn.ReLU(), linears[1], nn.ReLU(), linears[2])
    for layer in linears:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    border = found(model).decision
    assert border is not None
    assert border.lengths().min() > 0.5  # from the origin to the square's border and back


# ------------------------------------------------------------------------------------------------------------- regions


def test_regions_know_patterns_neighbours_and_areas() -> None:
    model = network(([[1.0, 0], [0, 1]], [0.5, 0]), ([[1.0, 1]], [0.0]))  # x = -0.5 and y = 0: four rectangles
    regions = find_regions(model, SQUARE)
    assert sorted(regions.areas().tolist()) == pytest.approx([0.5, 0.5, 1.5, 1.5])
    patterns = {tuple(regions.pattern(k).tolist()): regions.areas()[k] for k in range(4)}
    assert patterns[True, True] == pytest.approx(1.5)
    assert patterns[False, False] == pytest.approx(0.5)
    # Each has the two beside it for neighbours, and not the one across the corner.
    assert len(regions.neighbours) == 4
    for a, b in regions.neighbours:
        assert (regions.pattern(a) != regions.pattern(b)).sum() == 1
    assert regions.shares() == pytest.approx([0.75, 0.5])
    assert np.allclose(np.sort(regions.polygon(0), axis=0)[0], regions.polygon(0).min(axis=0))


def test_a_unit_that_is_zero_or_nothing_but_rounding_is_on_nowhere() -> None:
    """A ReLU gives 0 there, or next to it: the first is all of a layer less its copy, the second has no weights at all."""
    torch.manual_seed(0)
    half, whole, behind = nn.Linear(2, 16), nn.Linear(2, 32), nn.Linear(32, 2, bias=False)
    weights = torch.rand(16)
    with torch.no_grad():
        for parameter, part in zip(whole.parameters(), half.parameters(), strict=True):
            parameter.copy_(torch.cat([part, part]))
        behind.weight.copy_(torch.stack([torch.cat([weights, -weights]), torch.zeros(32)]))
    regions = find_regions(nn.Sequential(whole, nn.ReLU(), behind, nn.ReLU(), nn.Linear(2, 1)), SQUARE)
    assert len(regions) == len(find_regions(nn.Sequential(half, nn.ReLU()), SQUARE))
    assert regions.shares()[32:].tolist() == [0, 0]


def test_slice_coordinates_are_those_of_the_slice() -> None:
    model = network(([[1.0, 0], [0, 1]], [-2.0, 5.0]), ([[1.0, 1]], [0.0]))
    wide = slices.box((1, 5), (-10, 10))
    assert np.allclose(find_boundaries(model, wide).of("0", 0)[0], [[2, -10], [2, 10]]) or np.allclose(
        find_boundaries(model, wide).of("0", 0)[0], [[2, 10], [2, -10]]
    )
    assert find_regions(model, wide).areas().sum() == pytest.approx(80)


# ------------------------------------------------------------------------------------------------------------ properties


def random_network(seed: int, widths: list[int]) -> Any:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip([2, *widths], widths, strict=False):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 3)).double()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(2, 9), min_size=1, max_size=4), st.integers(0, 10**6))
def test_permuting_and_scaling_units_changes_no_boundary(seed: int, widths: list[int], other: int) -> None:
    model = random_network(seed, widths)
    before = measures(found(model).boundaries)
    generator = torch.Generator().manual_seed(other)
    order = torch.randperm(widths[0], generator=generator)
    scale = torch.rand(widths[0], generator=generator, dtype=torch.float64) * 4 + 0.1
    with torch.no_grad():
        model[0].weight.copy_((model[0].weight * scale[:, None])[order])
        model[0].bias.copy_((model[0].bias * scale)[order])
        model[2].weight.copy_((model[2].weight / scale)[:, order])
    after = measures(found(model).boundaries)
    assert np.allclose(after[: widths[0]], before[: widths[0]][order], atol=1e-7)
    assert np.allclose(after[widths[0] :], before[widths[0] :], atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(2, 9), min_size=1, max_size=4))
def test_every_region_has_one_pattern_and_all_its_neighbours_another(seed: int, widths: list[int]) -> None:
    model = random_network(seed, widths)
    regions = find_regions(model, SQUARE)
    assert regions.areas().sum() == pytest.approx(4)
    patterns = [regions.pattern(k) for k in range(len(regions))]
    assert len({pattern.tobytes() for pattern in patterns}) == len(patterns)
    for index, pattern in enumerate(patterns):
        polygon = regions.polygon(index)
        inside = polygon.mean(axis=0) + 0.9 * (polygon - polygon.mean(axis=0))
        with torch.no_grad():
            states, values = [], torch.tensor(inside)
            for layer in model:
                if isinstance(layer, nn.ReLU):
                    states.append(values.numpy() > 0)
                values = layer(values)
        assert (np.concatenate(states, axis=1) == pattern).all()
    for a, b in regions.neighbours:
        assert (patterns[a] != patterns[b]).any()
