"""The grid engine against boundaries worked by hand, a loop over edges, and contourpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contourpy
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from models import Ginn, WithCalls, by_hand, linear_units, mlp
from oracles import distance_to_lines, edge_crossings
from test_probe import WAYS
from torch import nn

from boundarycb import find_boundaries, slices
from boundarycb.engines import grid
from boundarycb.engines.bands import sweep
from boundarycb.sampling import Engine, EngineName, look
from boundarycb.types import Boundaries, Floats, Slice

SQUARE = slices.box((-1, 1), (-1, 1))


def ends(line: Floats) -> list[list[float]]:
    return sorted([[round(float(x), 6) for x in line[0]], [round(float(x), 6) for x in line[-1]]])


@pytest.mark.parametrize("engine", ["exact", "grid"])
def test_three_lines_in_general_position(engine: EngineName) -> None:
    # x = 0.5; y = x; x + y = -0.5
    lines = find_boundaries(linear_units((1, 0, -0.5), (1, -1, 0), (1, 1, 0.5)), SQUARE, engine=engine, resolution=32)
    assert lines.owner.tolist() == [0, 1, 2]
    assert [len(lines.line(k)) for k in range(3)] == [2, 2, 2]  # straight lines have two points, whatever the grid
    assert ends(lines.line(0)) == [[0.5, -1], [0.5, 1]]
    assert ends(lines.line(1)) == [[-1, -1], [1, 1]]
    assert ends(lines.line(2)) == [[-1, 0.5], [0.5, -1]]
    assert np.allclose(lines.lengths(), [2, 8**0.5, 1.5 * 2**0.5])
    assert lines.exact == (engine == "exact")


@pytest.mark.parametrize("engine", ["exact", "grid"])
def test_on_is_on_the_left(engine: EngineName) -> None:
    (line,) = find_boundaries(linear_units((1, 0, 0)), SQUARE, engine=engine, resolution=8).of("0", 0)
    assert line.tolist() == [[0, 1], [0, -1]]  # downwards: x > 0 is on its left


def layer_two_bend() -> Any:
    """Return z1 = (x, y), z2 = relu(x) + relu(y) - 1: its boundary is x = 1 (y < 0), x + y = 1, y = 1 (x < 0)."""
    model: Any = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
        model[0].bias.zero_()
        model[2].weight.fill_(1.0)
        model[2].bias.fill_(-1.0)
    return model


@pytest.mark.parametrize(("engine", "resolution"), [("exact", 10**6), ("grid", 16), ("grid", 41), ("grid", 128)])
def test_a_unit_of_layer_two_bends_where_layer_one_switches(engine: EngineName, resolution: int) -> None:
    plane = slices.box((-2, 2), (-2, 2))
    lines = find_boundaries(layer_two_bend(), plane, engine=engine, resolution=min(resolution, 128))
    (line,) = lines.of("2", 0)
    cell = 4 / resolution  # of the exact engine none
    corners = np.array([[1.0, -2], [1, 0], [0, 1], [-2, 1]])
    assert distance_to_lines(corners, [line]).max() < 0.6 * cell
    assert distance_to_lines(corners[[0, 3]], [line]).max() < 1e-6
    assert distance_to_lines(line, [corners]).max() < 0.6 * cell
    # Bends lie at (1, 0) and (0, 1), to a cell, and nowhere else.
    bends = line[1:-1]
    to_corner = np.abs(bends[:, None] - corners[None, 1:3]).max(axis=2).min(axis=1)
    assert to_corner.max() <= cell
    assert ends(lines.of("0", 0)[0]) == [[0, -2], [0, 2]]


def test_a_strip_one_pixel_wide_is_seen() -> None:
    """GINN's detector (np.gradient of the 0/1 mask) marks the pixels beside such a strip and misses the strip itself."""
    plane = slices.box((0, 10), (0, 10))
    mask = np.zeros((10, 10))
    mask[:, 4] = 1
    assert (np.gradient(mask, axis=1)[0] != 0).tolist() == [False] * 3 + [True, False, True] + [False] * 4

    def strip(x: Floats, _: Floats) -> Floats:  # on for 4 < x < 5: one column of pixel centres
        return np.asarray(0.5 - np.abs(x - 4.5))

    lines = grid.find_boundaries(by_hand(strip), plane, resolution=10)
    assert [ends(line) for line in lines.of("hand", 0)] == [[[5, 0], [5, 10]], [[4, 0], [4, 10]]] or [
        ends(line) for line in lines.of("hand", 0)
    ] == [[[4, 0], [4, 10]], [[5, 0], [5, 10]]]


def test_a_circle_is_one_closed_line_of_its_length() -> None:
    lines = grid.find_boundaries(by_hand(lambda x, y: 0.25 - x**2 - y**2), SQUARE, resolution=128)
    (line,) = lines.of("hand", 0)
    assert np.array_equal(line[0], line[-1])
    assert lines.lengths()[0] == pytest.approx(np.pi, rel=2e-3)
    area = 0.5 * float(np.sum(line[:-1, 0] * line[1:, 1] - line[1:, 0] * line[:-1, 1]))
    assert area == pytest.approx(np.pi / 4, rel=5e-3)  # positive: counter-clockwise, the inside (on) on the left


def test_zero_counts_as_off_and_dead_units_have_no_line() -> None:
    functions: list[Callable[[Floats, Floats], Floats]] = [
        lambda x, _: np.maximum(x, 0.0),  # 0 on the left half, and off there
        lambda x, _: 0 * x,  # 0 everywhere
        lambda x, _: 0 * x - 1,
        lambda x, _: 0 * x + 1,
    ]
    lines = grid.find_boundaries(by_hand(*functions), SQUARE, resolution=32)
    assert lines.owner.tolist() == [0]
    (line,) = lines.of("hand", 0)
    assert np.abs(line[:, 0]).max() <= 2 / 32  # within one cell of x = 0


def test_values_that_are_not_finite_break_lines_and_nothing_else() -> None:
    def torn(x: Floats, y: Floats) -> Floats:
        return np.where(np.abs(y) < 0.2, np.nan, x)

    lines = grid.find_boundaries(
        by_hand(torn, lambda x, y: np.where(x > 0, np.inf, -np.inf), lambda x, y: y), SQUARE, resolution=32
    )
    assert len(lines.of("hand", 0)) >= 2
    assert np.isfinite(lines.points).all()
    assert len(lines.of("hand", 2)) == 1


@pytest.mark.parametrize("resolution", [2, 3, 7, 20])
@pytest.mark.parametrize("seed", range(3))
def test_lines_run_through_every_crossing_of_the_grid(resolution: int, seed: int) -> None:
    plane = slices.box((-1, 1), (-2, 1))
    model = mlp(2, 6, 5, 1, seed=seed).double()
    lines = find_boundaries(model, plane, engine="grid", resolution=resolution)
    us, vs = plane.nodes(resolution)
    u, v = np.meshgrid(us, vs)
    with torch.no_grad():
        first = model[:1](torch.tensor(np.stack([u.ravel(), v.ravel()], axis=1)))
        second = model[:3](torch.tensor(np.stack([u.ravel(), v.ravel()], axis=1)))
    z = torch.cat([first, second], dim=1).numpy()
    cell = max(us[2] - us[1], vs[2] - vs[1])
    for column, unit in enumerate(lines.units):
        crossings = edge_crossings(z[:, column].reshape(len(vs), len(us)), us, vs)
        own = lines.of(unit.layer, unit.index)
        assert bool(len(crossings)) == bool(own)
        if own:
            assert distance_to_lines(crossings, own).max() <= 1.5e-3 * cell
            vertices = np.concatenate(own)
            assert max(np.abs(crossings - vertex).sum(axis=1).min() for vertex in vertices) <= 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_lines_are_contourpys(seed: int) -> None:
    model = mlp(2, 12, 12, 1, seed=seed).double()
    lines = find_boundaries(model, SQUARE, engine="grid", resolution=64)
    us, vs = SQUARE.nodes(64)
    u, v = np.meshgrid(us, vs)
    with torch.no_grad():
        z = model[:3](torch.tensor(np.stack([u.ravel(), v.ravel()], axis=1))).numpy()
    for index in range(12):
        theirs: Any = contourpy.contour_generator(us, vs, z[:, index].reshape(u.shape)).lines(0.0)
        ours = lines.of("2", index)
        assert len(ours) == len(theirs)
        assert sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in ours) == pytest.approx(
            sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in theirs), rel=1e-4
        )
        if theirs:
            assert distance_to_lines(np.concatenate(theirs), ours).max() < 1.5e-3 * 2 / 64


def swept(z: Floats, plane: Slice, resolution: int) -> Boundaries:
    """Return the lines of units whose values on the nodes are given, (rows, columns, U)."""
    us, vs = plane.nodes(resolution)

    def unit(column: int) -> Callable[[Floats, Floats], Floats]:
        return lambda x, y: z[np.searchsorted(vs, y), np.searchsorted(us, x), column]

    return grid.find_boundaries(by_hand(*(unit(k) for k in range(z.shape[2]))), plane, resolution=resolution)


@settings(deadline=None, max_examples=150)
@given(arrays(np.float64, (6, 6, 3), elements=st.sampled_from([-2.0, -1.0, 0.0, 1.0, 3.0])))
def test_any_values_give_whole_lines(z: Floats) -> None:
    """Saddles, zeros and plateaus: every line is closed or ends on the border, and every crossing lies on one."""
    plane = slices.box((0, 4), (0, 4))
    lines = swept(z, plane, 4)
    us, vs = plane.nodes(4)
    for column in range(3):
        own = lines.of("hand", column)
        crossings = edge_crossings(z[:, :, column], us, vs)
        # A line that is a single point (the corner of a plateau of zeros) is dropped: it has no length to draw.
        if own:
            vertices = np.concatenate(own)
            assert max(np.abs(crossings - vertex).sum(axis=1).min() for vertex in vertices) <= 1e-9
        for line in own:
            closed = np.array_equal(line[0], line[-1])
            on_border = [bool(np.isin(end, (0.0, 4.0)).any()) for end in (line[0], line[-1])]
            assert closed or all(on_border)
        no_zero = z[:, :, column] != 0
        if no_zero.all() and len(crossings):
            assert distance_to_lines(crossings, own).max() <= 1.5e-3


def test_a_saddle_is_decided_by_its_centre() -> None:
    plane = slices.box((0, 2), (0, 2))
    checker = np.fromfunction(lambda i, j: np.where((i + j) % 2 == 0, 1.0, -1.0), (4, 4))
    for push, joined in ((0.5, True), (-0.5, False)):
        lines = swept((checker + push)[:, :, None], plane, 2)
        # Where the centres are on, on corners join and off corners are islands of their own, and the other way round.
        areas = []
        for line in lines.of("hand", 0):
            if np.array_equal(line[0], line[-1]):
                areas.append(float(np.sum(line[:-1, 0] * line[1:, 1] - line[1:, 0] * line[:-1, 1])))
        assert len(areas) == 2
        assert all((area < 0) == joined for area in areas)  # clockwise islands are off inside


@settings(deadline=None)
@given(st.sampled_from([np.float32, np.float64]), st.integers(2, 5), st.data())
def test_of_classes_that_tie_the_first_leads(dtype: Any, classes: int, data: st.DataObject) -> None:
    """As a map of classes shows them; a row that is not finite everywhere may have no leader, and never has two."""
    values = st.sampled_from([-1e30, -1.0, 0.0, 1e-30, 1.0, np.nan, np.inf])
    output = data.draw(arrays(dtype, (6, classes), elements=values))
    leads = grid.leads(output)
    assert leads.dtype == dtype
    finite = np.isfinite(output).all(axis=1)
    assert np.array_equal(leads[finite] > 0, np.arange(classes) == output[finite].argmax(axis=1)[:, None])
    assert not (leads == 0).any()
    assert ((leads > 0).sum(axis=1) <= 1).all()
    assert np.isnan(leads[np.isnan(output).any(axis=1)]).any(axis=1).all()


def borders(*scores: tuple[float, float, float], closing: nn.Module) -> dict[int, list[list[list[float]]]]:
    """Return the ends of the lines of each class whose scores are these a x + b y + c, as the grid finds them."""
    linear = nn.Linear(2, len(scores))
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(scores)[:, :2])
        linear.bias.copy_(torch.tensor(scores)[:, 2])
    found = look(nn.Sequential(linear, closing), SQUARE, resolution=16, engine=Engine("grid")).decision
    assert found is not None
    return {k: [ends(line) for line in found.of("output", k)] for k in sorted(set(found.owner.tolist()))}


def test_inside_one_class_there_is_no_border_where_others_tie_with_it() -> None:
    ahead, behind = (40.0, 0.0, 1.0), (40.0, 0.0, 0.0)
    assert borders(ahead, behind, closing=nn.Sigmoid()) == {}  # both are 1 from x = 0.42 on, in single precision
    assert borders(ahead, behind, (0.0, 0.0, -200.0), closing=nn.Sigmoid()) == {}
    assert borders((-1.0, 0.0, 0.0), (-2.0, 0.0, 0.0), (-3.0, 0.0, 0.0), closing=nn.ReLU()).keys() == {0, 2}  # all 0 on the right


def test_copies_of_a_class_leave_its_border_where_it_is_to_a_cell() -> None:
    right, left = (1.0, 0.0, -0.3), (-1.0, 0.0, 0.3)
    found = borders(right, right, left, left, closing=nn.Tanh())
    assert found.keys() == {0, 2}
    for lines in found.values():
        assert np.allclose(lines, [[[0.3, -1], [0.3, 1]]], atol=2 / 16)


@pytest.mark.parametrize("engine", ["exact", "grid"])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_net_has_the_same_lines_however_relu_is_called(way: str, engine: EngineName) -> None:
    model, other = Ginn(), WithCalls(WAYS[way])
    other.load_state_dict(model.state_dict())
    want, got = (find_boundaries(net, SQUARE, engine=engine, resolution=64) for net in (model, other))
    assert got.units == want.units
    assert np.array_equal(got.owner, want.owner)
    assert np.array_equal(got.offsets, want.offsets)
    assert np.array_equal(got.points, want.points)


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mlp(2, 9, 9, 1).double()
    want = find_boundaries(model, SQUARE, engine="grid", resolution=40)
    monkeypatch.setattr("boundarycb.engines.bands._BAND_VALUES", 1)  # a row at a time
    got = find_boundaries(model, SQUARE, engine="grid", resolution=40)
    assert np.array_equal(got.owner, want.owner)
    assert np.allclose(got.points, want.points, atol=1e-12)


def test_points_are_thinned_alike_on_stretched_slices() -> None:
    """What is dropped is measured in cells of each axis, however long they are."""
    plane = slices.box((0, 1), (0, 1000))
    curve = grid.find_boundaries(by_hand(lambda x, y: y / 1000 - 0.5 - 0.3 * np.sin(6 * x)), plane, resolution=64)
    same = grid.find_boundaries(by_hand(lambda x, y: y - 0.5 - 0.3 * np.sin(6 * x)), slices.box((0, 1), (0, 1)), resolution=64)
    assert len(curve.points) == len(same.points)
    assert np.allclose(curve.points / [1, 1000], same.points, atol=1e-9)


def test_too_many_segments_thin_units_and_say_so() -> None:
    reader = grid.LineReader(max_segments=100)
    functions = [lambda x, y, k=k: np.sin((20 + k) * x) for k in range(8)]
    sweep(by_hand(*functions), SQUARE, 64, reader)
    lines = reader.result()
    assert lines.notes
    stride = int(lines.notes[0].split("every ")[1].split("th")[0])
    assert stride == 8  # one unit alone has more than 100 segments: it is the last to stay
    assert set(lines.owner.tolist()) <= set(range(0, 8, stride))


@pytest.mark.parametrize("engine", ["exact", "grid"])
def test_lines_follow_the_slice_and_not_the_input(engine: EngineName) -> None:
    """A plane in a space of images: the line lies where the hand says, in slice coordinates."""
    model: Any = nn.Sequential(nn.Flatten(), nn.Linear(12, 1), nn.ReLU())
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[0, 0] = 1.0
        model[1].bias.fill_(-0.25)
    a, b, c = np.zeros((3, 2, 2)), np.zeros((3, 2, 2)), np.zeros((3, 2, 2))
    b[0, 0, 0], c[1, 1, 1] = 2.0, 1.0
    lines = find_boundaries(model, slices.through(a, b, c, margin=0), engine=engine, resolution=16)
    (line,) = lines.of("1", 0)
    assert np.allclose(line[:, 0], 0.25)


@pytest.mark.parametrize("resolution", [1, 0, -5, 2.5, True, 5000])
def test_wrong_resolution_is_named(resolution: Any) -> None:
    with pytest.raises(ValueError, match="`resolution` must be a whole number of points a side, 2 to 4096"):
        find_boundaries(mlp(2, 2, 1), SQUARE, resolution=resolution)


def test_unknown_engine_and_unit_are_named() -> None:
    with pytest.raises(ValueError, match="`engine` must be one of auto, exact, grid, got 'magic'"):
        find_boundaries(mlp(2, 2, 1), SQUARE, engine="magic")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="Unit 9 of layer '0' is none that was watched"):
        find_boundaries(mlp(2, 2, 1), SQUARE, resolution=4).of("0", 9)
    with pytest.raises(KeyError, match="There is no layer 'fc'; the layers are 0\\."):
        find_boundaries(mlp(2, 2, 1), SQUARE, resolution=4).of("fc", 0)


def test_lines_meet_where_bands_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid is read in bands of rows: however high they are, the lines are the same, of curves too."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    square = slices.box((-1, 1), (-1, 1))
    whole = find_boundaries(model, square, engine="grid", resolution=32)
    for rows in (3, 5):
        monkeypatch.setattr("boundarycb.engines.bands._BAND_VALUES", 34 * 16 * rows)
        found = find_boundaries(model, square, engine="grid", resolution=32)
        assert np.array_equal(found.points, whole.points)
        assert np.array_equal(found.offsets, whole.offsets)
        assert np.array_equal(found.owner, whole.owner)
