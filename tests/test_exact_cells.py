"""How cells are cut: both ways of cutting them, lines that nearly meet, and what keeps memory bounded."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from boundarycb import find_regions, slices
from boundarycb.engines.exact.careful import Careful
from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.cutting import Cut
from boundarycb.engines.exact.limits import NotFinite, TooManyVertices, TooMuchMemory
from boundarycb.engines.exact.lines import Lines
from boundarycb.engines.exact.refine import refine
from boundarycb.engines.exact.rounding import tolerance
from boundarycb.engines.exact.search import partition
from boundarycb.engines.exact.values import Values
from boundarycb.engines.exact.web import loops
from boundarycb.engines.polylines import chain
from boundarycb.engines.sorting import order_of
from boundarycb.probe import probe
from boundarycb.types import Floats, Forward, Layer, Reading, polygon_areas

SQUARE = slices.box((-1, 1), (-1, 1))
MANY = 10**6


def cut_by(rows: Floats) -> Cut:
    """Return the unit square's cut by lines a x + b y + c = 0."""
    square = Cells.square()
    return Cut.of(square, square.points @ rows[:, :2].T + rows[:, 2], MANY)


def areas_with_care(cut: Cut) -> Floats:
    """Return the areas of the cells that cutting one line after another gives, sorted."""
    rings, lines = cut.rings, Lines.of(cut.rings, cut.chords)
    ring = rings.half_edges.tolist()
    careful = Careful(rings.points, int(rings.first_part[-1]), dict(zip(ring, rings.vertex.tolist(), strict=True)))
    careful.cut(ring, list(zip(lines.low.tolist(), lines.high.tolist(), strict=True)))
    points = np.concatenate([rings.points, np.array(careful.new_points).reshape(-1, 2)])
    corners = [[careful.origin[half_edge] for half_edge in face] for face in careful.faces]
    offsets = np.concatenate([[0], np.cumsum([len(face) for face in corners])])
    return np.sort(polygon_areas(points[np.concatenate(corners)], offsets))


COEFFICIENT = st.one_of(st.integers(-4, 4).map(float), st.floats(-2, 2))
ROWS = st.lists(st.tuples(COEFFICIENT, COEFFICIENT, COEFFICIENT), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(ROWS)
def test_both_ways_of_cutting_give_the_same_cells(rows: list[tuple[float, float, float]]) -> None:
    cut = cut_by(np.array(rows))
    cells = refine(cut.rings, cut.chords, MANY)
    at_once, with_care = np.sort(cells.areas), areas_with_care(cut)
    thick = 1e-9
    assert np.allclose(at_once[at_once > thick], with_care[with_care > thick], atol=1e-9)
    assert at_once.sum() == pytest.approx(1)


def grid(count: int) -> Floats:
    """Return lines that make count + 1 times count + 1 squares."""
    at = np.arange(1, count + 1) / (count + 1)
    upright = np.stack([np.ones(count), np.zeros(count), -at], axis=1)
    return np.concatenate([upright, upright[:, [1, 0, 2]]])


@pytest.mark.parametrize("count", [1, 4, 40])
def test_a_grid_of_lines_makes_squares(count: int) -> None:
    cut = cut_by(grid(count))
    for areas in (refine(cut.rings, cut.chords, MANY).areas, areas_with_care(cut)):
        assert areas == pytest.approx(np.full((count + 1) ** 2, (count + 1.0) ** -2))


def test_a_triangular_grid_has_three_lines_through_every_node() -> None:
    rows = np.concatenate([grid(7), [[1, 1, -k / 8] for k in range(1, 16)]])
    cut = cut_by(rows)
    cells = refine(cut.rings, cut.chords, MANY)
    assert cells.areas == pytest.approx(np.full(128, 1 / 128))
    assert len(cells.points) == 81
    assert areas_with_care(cut) == pytest.approx(np.full(128, 1 / 128))


@pytest.mark.parametrize("gap", [1e-14, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7])
def test_lines_that_nearly_meet_in_a_point_end_and_fill_the_square(gap: float) -> None:
    rng = np.random.default_rng(0)
    angles = np.sort(rng.uniform(0, np.pi, 24))
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows = np.column_stack([normals, -normals @ [0.4, 0.6] + gap * rng.uniform(-1, 1, 24)])
    cut = cut_by(rows)
    cells = refine(cut.rings, cut.chords, MANY)
    assert cells.areas.sum() == pytest.approx(1)
    assert len(cells.thick) == 48
    assert cells.areas.min() > -1e-12


@pytest.mark.parametrize("seed", range(60))
def test_lines_that_nearly_coincide_or_meet_are_cut_as_with_care(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, gap = rng.integers(4, 14), 10.0 ** rng.uniform(-13, -8.5)
    angles = {
        0: rng.uniform(0, np.pi, count),
        1: np.concatenate([rng.uniform(0, np.pi, 3), 1 + 10.0 ** rng.uniform(-9, -5) * rng.uniform(-1, 1, count - 3)]),
        2: rng.choice([0, np.pi / 2, np.pi / 4], count) + 10.0 ** rng.uniform(-12, -6) * rng.uniform(-1, 1, count),
    }[seed % 3]
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    cut = cut_by(np.column_stack([normals, -normals @ [0.4, 0.6] + gap * rng.uniform(-1, 1, count)]))
    at_once, with_care = np.sort(refine(cut.rings, cut.chords, MANY).areas), areas_with_care(cut)
    assert at_once.sum() == pytest.approx(1)
    assert at_once.min() > -1e-12
    assert np.allclose(at_once[at_once > 1e-6], with_care[with_care > 1e-6], atol=1e-7)


def near_copies(gap: float) -> nn.Sequential:
    """Return a network half of whose units are 3.7 times the others, but for differences of the size of `gap`."""
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for k in range(4) for layer in (nn.Linear(24 if k else 2, 24), nn.ReLU())), nn.Linear(24, 2))
    model.double()
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, nn.Linear) and layer.out_features == 24:
                layer.weight[12:], layer.bias[12:] = layer.weight[:12] * 3.7, layer.bias[:12] * 3.7
        for parameter in model.parameters():
            parameter.add_(gap * torch.randn(parameter.shape, dtype=parameter.dtype))
    return model


@pytest.mark.parametrize("gap", [1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7])
def test_layers_of_near_copies_end(gap: float) -> None:
    regions, apart = find_regions(near_copies(gap), SQUARE), find_regions(near_copies(0), SQUARE)
    assert regions.areas().sum() == pytest.approx(4, abs=1e-4)
    patterns = {regions.pattern(k).tobytes() for k in range(len(regions))}
    assert len(patterns) == len(regions) >= len(apart)
    assert gap > 1e-11 or len(regions) == len(apart)


def test_the_budget_is_kept_before_memory_is_taken() -> None:
    rng = np.random.default_rng(0)
    cut = cut_by(rng.normal(size=(3000, 3)))
    with pytest.raises(TooManyVertices, match="more than 20,000 corners"):
        refine(cut.rings, cut.chords, 20_000)


def test_far_more_crossings_than_the_budget_has_corners_are_refused_early() -> None:
    square = Cells.square()
    rows = np.random.default_rng(0).normal(size=(200, 3))
    with pytest.raises(TooManyVertices, match="more than 10 corners"):
        Cut.of(square, square.points @ rows[:, :2].T + rows[:, 2], 10)


@pytest.mark.parametrize("bytes_", [8 * 2000 * 16, 8 * 2000 * 40, 2**30])
def test_values_that_do_not_fit_are_computed_again(bytes_: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(layer for k in range(4) for layer in (nn.Linear(16 if k else 2, 16), nn.ReLU())), nn.Linear(16, 2))
    with probe(model) as forward:
        found = partition(forward.double(MANY), SQUARE, MANY, memory=bytes_)
    assert found.counts == tuple(find_regions(model, SQUARE).counts.values())


def test_values_that_never_fit_are_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    with probe(model) as forward, pytest.raises(TooMuchMemory, match="pre-activations at the regions' corners take more than 0 MB"):
        partition(forward.double(MANY), SQUARE, MANY, memory=10_000)


def test_what_is_zero_follows_what_may_be_rounding() -> None:
    """Of five units: one of size 1; one just small; one that is left where numbers of size 1 cancel; one small and bent; none."""
    left, rng = 40 * np.finfo(np.float64).eps, np.random.default_rng(0)

    def again(points: Floats) -> Floats:
        x, y = points.T
        noise = left * rng.choice([-1, 1], len(x))
        return np.stack([x - y, 1e-6 * (x - y), noise, 1e-6 * (x**2 - y), 0 * x], axis=1)

    cells = Cells.square()
    large, small, rounding, bent, none = tolerance(again(cells.points), cells=cells, again=again)
    assert large == pytest.approx(1e-10, abs=0)
    assert small == pytest.approx(1e-16, rel=1e-3, abs=0)  # as large a part of its size as of the first one's
    assert left < rounding < 2 * left
    assert bent < 2 * left  # not what it is off a plane, or all of it would be zero
    assert none == 0
    # Where there are no more values to tell, what is small may be rounding; and so is what later numbers of that size are made of.
    assert (tolerance(again(cells.points))[1:] > left).all()
    assert tolerance(again(cells.points), 1e3)[0] > 1e3 * left
    assert tolerance(again(cells.points), 1e3, cells, again)[0] == pytest.approx(1e-10, rel=1e-3, abs=0)


WIDTHS = (4, 24, 2, 5)


def layered(ran: list[int]) -> Forward:
    """Return a forward pass of four layers and two classes, which notes how many points it runs."""
    weights = np.random.default_rng(1).normal(size=(2, sum(WIDTHS) + 2))
    layers = tuple(Layer(f"layer{k}", "relu", (width,), tuple(range(width))) for k, width in enumerate(WIDTHS))

    def forward(inputs: Floats) -> Reading:
        ran.append(len(inputs))
        *parts, output = np.split(inputs @ weights, np.cumsum(WIDTHS), axis=1)
        return Reading(layers, tuple(parts), output)

    return forward


@pytest.mark.parametrize(
    ("memory", "run"),
    [
        (15_840, 13 + 56 + 30 + 30),  # all of it: each point is run once, of which the first are four, made up to 13
        (15_839, 13 + 56 + 30 + 30 + 116),  # the output's are computed when it is its turn
        (14_880, 13 + 56 + 30 + 30 + 116),
        (14_879, 13 + 56 + 30 + 116),  # those of the last layer too, and the output's along with them
        (12_480, 13 + 56 + 30 + 116),
        (12_479, 13 + 56 + 86 + 30),  # from the last layer but one on
        (11_520, 13 + 56 + 86 + 30),
    ],
)
def test_values_take_no_more_memory_than_they_may_and_are_the_same_with_any(memory: int, run: int) -> None:
    """At 60 points the second layer's 24 units take 11,520 bytes, with 2 more 12,480, with 5 more 14,880, and all 15,840."""
    ran: list[int] = []
    points = np.concatenate([Cells.square().points, np.random.default_rng(2).random((116, 2))])
    values = Values(layered(ran), SQUARE, memory)
    taken = [values.take(number, points[:count]) for number, count in enumerate((4, 60, 90, 120, 120))]
    assert sum(ran) == run
    z, output = values.at(points)
    for got, wanted in zip(taken, [*np.split(z, np.cumsum(WIDTHS)[:-1], axis=1), output], strict=True):
        assert np.allclose(got, np.asarray(wanted)[: len(got)], rtol=0, atol=1e-12)


def test_values_of_one_layer_that_do_not_fit_are_refused() -> None:
    values = Values(layered([]), SQUARE, 11_519)
    values.take(0, Cells.square().points)
    with pytest.raises(TooMuchMemory):
        values.take(1, np.random.default_rng(2).random((60, 2)))


@pytest.mark.parametrize(("place", "words"), [(0, "layer0"), (3, "layer3"), (4, "the output")])
@pytest.mark.parametrize("wrong", [np.nan, -np.inf])
def test_one_value_that_is_not_finite_is_told_with_whose_it_is(place: int, words: str, wrong: float) -> None:
    plain = layered([])

    def forward(inputs: Floats) -> Reading:
        reading = plain(inputs)
        at = [*reading.parts, reading.output][place]
        assert at is not None
        at[np.flatnonzero(inputs[:, 0] > 0.5)[:1], 0] = wrong
        return reading

    values = Values(forward, SQUARE, 2**20)
    for number in range(place):
        assert np.isfinite(values.take(number, Cells.square().points)).all()
    with pytest.raises(NotFinite, match=f"^{words} is not finite everywhere$"):
        values.take(place, Cells.square().points)


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(30)))
def test_loops_are_the_cycles_of_a_permutation(following: list[int]) -> None:
    members, start, heads = loops(np.array(following))
    assert sorted(members.tolist()) == list(range(30))
    for k, head in enumerate(heads):
        cycle = members[start[k] : start[k + 1]].tolist()
        assert cycle[0] == head == min(cycle)
        assert [following[member] for member in cycle] == [*cycle[1:], cycle[0]]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30))
def test_a_chain_joins_ends_to_starts_and_loses_none(pieces: list[tuple[int, int]]) -> None:
    start, end = (np.array([piece[k] for piece in pieces], np.int64) for k in (0, 1))
    order, lengths = chain(start, end)
    assert sorted(order.tolist()) == list(range(len(pieces)))
    assert lengths.sum() == len(pieces)
    first = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    inner = [k for k in range(len(pieces)) if k not in first]
    assert all(end[order[k - 1]] == start[order[k]] for k in inner)
    # As many are joined at each place as both end and start there, but for one a closed line.
    joined = sum(min((end == place).sum(), (start == place).sum()) for place in range(10))
    closed = sum(bool(end[order[b - 1]] == start[order[a]]) for a, b in pairwise(first))
    assert len(inner) >= joined - closed


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**62), max_size=20))
def test_the_order_is_the_stable_one(keys: list[int]) -> None:
    assert order_of(np.array(keys, np.int64)).tolist() == np.argsort(np.array(keys, np.int64), kind="stable").tolist()


@pytest.mark.parametrize(("width", "thick"), [(1e-7, [0, 2]), (1e-6, [0, 1, 2])])
def test_a_sliver_is_thin_whatever_its_area(width: float, thick: list[int]) -> None:
    """Across the unit square its area is `width` and its perimeter 2: at THIN, 2.5e-7, times that it begins to count."""
    cut = cut_by(np.array([[1.0, 0, -0.3], [1.0, 0, -0.3 - width]]))
    cells = refine(cut.rings, cut.chords, MANY)
    order = np.argsort(cells.centres()[:, 0])
    assert cells.areas[order] == pytest.approx([0.3, width, 0.7 - width], rel=1e-6)
    assert sorted(np.argsort(order)[cells.thick].tolist()) == thick
