"""The closed form of z1 = z2 against the network itself, the paper's printed coefficients, and what it prints wrong."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import distance_to_lines
from torch import nn

from boundarycb import slices
from boundarycb.analysis import sigmoid_boundary, zero_lines
from boundarycb.sampling import look
from boundarycb.types import Floats

SQUARE = slices.box((-2, 2), (-2, 2))


def net(hidden: int = 3, inputs: int = 2, outputs: int = 2, scale: float = 3.0, seed: int = 0) -> Any:
    """Return a network of sigmoids, hidden and output, with normal weights of size `scale`."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.Sigmoid(), nn.Linear(hidden, outputs), nn.Sigmoid())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return model


def raw_sum(border: Any, point: Floats) -> float:
    """Return the left side of the paper's equation 2 at a point, term by term as it stands there, for any number of units."""
    exponents = border.exponents(point[None])[0]
    total = 0.0
    for off in product([False, True], repeat=len(exponents)):
        constant = border.offset + sum(d for d, out in zip(border.differences, off, strict=True) if not out)
        total += constant * float(np.exp(sum(e for e, out in zip(exponents, off, strict=True) if out)))
    return total


def test_the_worked_example() -> None:
    # z1 - z2 = s(x1) - s(x2): equal where x1 = x2. The printed equation 4 gives B_i = -w1 x1 + w2 x2 + b.
    border = sigmoid_boundary((np.eye(2), None), (np.eye(2), None))
    assert border(np.array([[0.4, 0.4], [-1.3, -1.3]])).tolist() == pytest.approx([0, 0], abs=1e-15)
    assert (border([[0.5, 0.4], [0.4, 0.5]]) > 0).tolist() == [True, False]
    # As printed: C = (0, -1, 1, 0) and B = (-x1, +x2), so exp(x2) - exp(-x1): zero on the other diagonal.
    printed = [float(-np.exp(-x1) + np.exp(x2)) for x1, x2 in ((0.4, 0.4), (0.4, -0.4))]
    assert printed[0] == pytest.approx(np.exp(0.4) - np.exp(-0.4))
    assert printed[1] == 0.0
    assert border([[0.4, -0.4]])[0] > 0.19


def test_the_papers_worked_third_unit_fails_as_documented() -> None:
    # D = (1, -1, 0), with a third unit of no weights and no bias: the value that research found for the printed form.
    weights, differences = np.array([[1.0, 0], [0, 1], [0, 0]]), np.array([1.0, -1, 0])
    border = sigmoid_boundary((weights, np.zeros(3)), (np.stack([differences, np.zeros(3)]), np.zeros(2)))
    assert border([[0.4, 0.4]])[0] == pytest.approx(0, abs=1e-15)

    def printed(x1: float, x2: float) -> float:
        exponents = -weights[:, 0] * x1 + weights[:, 1] * x2
        total = 0.0
        for off in product([0, 1], repeat=3):
            total += float((differences * (1 - np.array(off))).sum() * np.exp((exponents * off).sum()))
        return total

    assert printed(0.4, 0.4) == pytest.approx(2 * (np.exp(0.4) - np.exp(-0.4)))
    assert printed(0.4, -0.4) == pytest.approx(0, abs=1e-15)


def test_the_coefficients_are_those_of_equation_3() -> None:
    model = net(seed=1)
    border = sigmoid_boundary(model[0], model[2])
    out, bias = model[2].weight.detach().double().numpy(), model[2].bias.detach().double().numpy()
    d1, d2, d3 = out[0] - out[1]
    db = bias[0] - bias[1]
    paper = [d1 + d2 + d3 + db, d2 + d3 + db, d1 + d3 + db, d1 + d2 + db, d1 + db, d2 + db, d3 + db, db]  # C0 to C7
    assert border.coefficients[[0, 1, 2, 4, 6, 5, 3, 7]].tolist() == pytest.approx(paper, abs=1e-12)


def test_its_sign_is_that_of_the_difference_on_200_networks() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for seed in range(200):
        model = net(hidden=1 + seed % 6, inputs=2 + seed % 3, scale=0.5 + seed % 4, seed=seed)
        border = sigmoid_boundary(model[0], model[2])
        points = rng.uniform(-3, 3, (500, 2 + seed % 3))
        with torch.no_grad():
            scores = model.double()[:3](torch.from_numpy(points)).numpy()
        lead = scores[:, 0] - scores[:, 1]
        clear = np.abs(lead) > 1e-12 * np.abs(scores).max()
        wrong += int(((border(points) > 0) != (lead > 0))[clear].sum())
    assert wrong == 0


def test_as_printed_equations_1_and_4_are_wrong_at_many_points() -> None:
    rng = np.random.default_rng(0)
    wrong = []
    for seed in range(200):
        model = net(seed=seed, scale=1.0)
        border = sigmoid_boundary(model[0], model[2])
        points = rng.uniform(-3, 3, (500, 2))
        one_term = -border.weights[:, 0] * points[:, :1] + border.weights[:, 1] * points[:, 1:] + border.bias  # equation 4
        no_minus = -border.exponents(points)  # equation 1
        right = border(points) > 0
        printed = [(1 / (1 + np.exp(exponents))) @ border.differences + border.offset for exponents in (one_term, no_minus)]
        wrong.append([((values > 0) != right).mean() for values in printed])
    assert np.mean(wrong, axis=0) == pytest.approx([0.189, 0.263], abs=2e-3)  # as docs/second_paper.md says


def test_it_is_equation_2_over_a_positive_product() -> None:
    model = net(hidden=4, seed=3, scale=1.5)
    border = sigmoid_boundary(model[0], model[2])
    for point in np.random.default_rng(1).uniform(-2, 2, (20, 2)):
        product_ = float(np.prod(1 + np.exp(border.exponents(point[None])[0])))
        assert border(point[None])[0] * product_ == pytest.approx(raw_sum(border, point), rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), hidden=st.integers(1, 8), scale=st.floats(0.1, 2000))
def test_it_stays_finite_and_equals_the_plain_form(seed: int, hidden: int, scale: float) -> None:
    model = net(hidden=hidden, seed=seed, scale=scale)
    border = sigmoid_boundary(model[0], model[2])
    points = np.random.default_rng(seed).uniform(-3, 3, (50, 2))
    size = np.abs(border.differences).sum() + abs(border.offset)
    assert np.abs(border(points) - border.lead(points)).max() <= 1e-13 * size


def test_the_order_of_units_does_not_matter_and_classes_may_be_swapped() -> None:
    model = net(hidden=5, outputs=3, seed=7)
    first, out = model[0], model[2]
    points = np.random.default_rng(2).uniform(-2, 2, (40, 2))
    order = [3, 0, 4, 1, 2]
    turned = sigmoid_boundary((first.weight[order], first.bias[order]), (out.weight[:, order], out.bias))
    assert turned(points) == pytest.approx(sigmoid_boundary(first, out)(points), abs=1e-12)
    one, other = (sigmoid_boundary(first, out, classes=pair) for pair in ((0, 2), (2, 0)))
    assert one(points) == pytest.approx(-other(points), abs=1e-12)


def test_its_lines_are_where_the_network_decides() -> None:
    plane = slices.box((-1, 1), (-1, 1))
    compared = 0
    for seed in range(12):
        model = net(hidden=3, seed=seed)
        border = sigmoid_boundary(model[0], model[2])
        lines = border.on(plane)
        assert np.abs(border.lead(plane.lift(lines.points))).max(initial=0) < 1e-11
        sampled = look(model, plane, resolution=128).decision
        assert sampled is not None
        # Both see the same lines, but for what passes between the nodes of the coarser grid.
        for points, others in ((sampled.points, lines), (lines.points, sampled)):
            pieces = [others.line(k) for k in range(len(others))]
            if len(points) and pieces:
                some = points[:: max(1, len(points) // 40)]
                assert np.quantile(distance_to_lines(some, pieces), 0.95) < 2 / 128
                compared += 1
    assert compared >= 8


def test_no_line_crosses_more_often_than_descartes_rule_says() -> None:
    rng = np.random.default_rng(4)
    reached = set()
    for seed in range(60):
        model = net(hidden=1 + seed % 4, seed=seed, scale=4.0)
        border = sigmoid_boundary(model[0], model[2])
        for start, stop in rng.uniform(-2, 2, (5, 2, 2)):
            most = border.most_crossings(start, stop)
            assert most <= 2 ** (1 + seed % 4) - 1
            way = stop - start
            share = np.linspace(-30, 30, 60_001)
            found = np.count_nonzero(np.diff(border.lead(start + share[:, None] * way) > 0))
            assert found <= most
            reached.add((found, most))
    assert any(found == most > 1 for found, most in reached)  # the rule is sharp
    assert border.most_crossings(start, stop) == border.most_crossings(stop, start)


def test_terms_of_one_rate_are_one_term() -> None:
    # s(x) and s(x + 1) along y do not change at all: one term, no zero. Along x their two middle terms have one rate.
    border = sigmoid_boundary((np.array([[1.0, 0], [1, 0]]), [0.0, 1]), (np.array([[1.0, -1], [0, 0]]), [0.1, 0]))
    assert border.most_crossings([0.0, 0], [0.0, 1]) == 0
    # C = (.1, -.9, 1.1, .1) for S = {}, {1}, {2}, {1, 2}; at x = 0 the middle two add up to -.9 + 1.1 / e = -.495.
    assert border.most_crossings([0.0, 0], [1.0, 0]) == 2
    with pytest.raises(ValueError, match="two different points"):
        border.most_crossings([0.0, 0], [0.0, 0])


def test_many_hidden_units_take_the_plain_form() -> None:
    model = net(hidden=20, seed=1)
    border = sigmoid_boundary(model[0], model[2])
    assert len(border.on(SQUARE, resolution=32).points)
    with pytest.raises(ValueError, match=r"2\^20 terms"):
        _ = border.coefficients
    with pytest.raises(ValueError, match=r"2\^20 terms"):
        border(np.zeros((1, 2)))


def test_tensors_on_a_graph_and_layers_without_bias() -> None:
    first, out = nn.Linear(2, 3, bias=False), nn.Linear(3, 2)
    border = sigmoid_boundary(first, (out.weight, out.bias))
    assert border.bias.tolist() == [0, 0, 0]
    assert not border.weights.flags.writeable


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (np.eye(2), (np.eye(2), None), "`first` must be a linear layer"),
        ((np.ones(3), None), (np.eye(2), None), "`first` must have finite weights"),
        ((np.eye(2), [0.0, np.nan]), (np.eye(2), None), "`first` must have finite weights"),
        ((np.eye(3), None), (np.eye(2), None), "`second` must take the 3 hidden units"),
        ((np.eye(2), None), (np.eye(2), np.zeros(3)), "`second` must have finite weights"),
    ],
)
def test_what_does_not_fit_is_said(first: Any, second: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sigmoid_boundary(first, second)


@pytest.mark.parametrize("classes", [(0, 0), (0, 2), (0,), (0, -1), (0, 1.0)])
def test_classes_must_be_two_outputs(classes: Any) -> None:
    with pytest.raises(ValueError, match="`classes` must be two different outputs, of 0 to 1"):
        sigmoid_boundary((np.eye(2), None), (np.eye(2), None), classes=classes)


def test_inputs_and_slices_must_fit() -> None:
    border = sigmoid_boundary((np.eye(2), None), (np.eye(2), None))
    with pytest.raises(ValueError, match=r"`inputs` must be of shape \(n, 2\)"):
        border(np.zeros(2))
    with pytest.raises(ValueError, match="`slice` must be of inputs of 2 numbers"):
        border.on(slices.random(np.ones(3)))


def test_zero_lines_reach_the_border_and_keep_their_side() -> None:
    lines = zero_lines(lambda inputs: inputs[:, 0] - 0.3, slices.box((0, 1), (0, 2)), resolution=8)
    assert len(lines) == 1
    assert np.abs(lines.points[:, 0] - 0.3).max() < 1e-15
    assert sorted(lines.points[[0, -1], 1].tolist()) == [0.0, 2.0]
    assert lines.points[0, 1] > lines.points[-1, 1]  # downwards: what is positive, x > .3, lies on its left


def test_zero_lines_of_a_function_without_zeros_are_none() -> None:
    assert not len(zero_lines(lambda inputs: np.ones(len(inputs)), SQUARE, resolution=8))
    with pytest.raises(ValueError, match="`function` must give numbers, got none on the slice that is finite"):
        zero_lines(lambda inputs: np.full(len(inputs), np.nan), SQUARE, resolution=8)


def test_a_line_in_the_border_is_told() -> None:
    border = sigmoid_boundary((np.eye(2), None), (np.eye(2), None))  # equal where x1 = x2
    with pytest.raises(ValueError, match="a line that lies in the border"):
        border.most_crossings([0.0, 0], [1.0, 1])
    assert border.most_crossings([0.0, 0], [1.0, 0]) == 1


@pytest.mark.parametrize("ends", [([0.0, 0], [np.nan, 1]), ([0.0], [1.0]), ([0.0, 0, 0], [1.0, 1, 1])])
def test_ends_of_a_line_must_be_points(ends: Any) -> None:
    with pytest.raises(ValueError, match="two different points of 2 finite numbers each"):
        sigmoid_boundary((np.eye(2), None), (np.eye(2), None)).most_crossings(*ends)


def test_classes_may_be_numpys_numbers() -> None:
    first, second = (np.eye(2), None), (np.eye(2), None)
    assert sigmoid_boundary(first, second, classes=(np.int64(1), np.int64(0)))([[1.0, 0]])[0] < 0  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [lambda inputs: inputs[:, :1], lambda inputs: 3.0])
def test_a_function_must_give_a_number_an_input(function: Any) -> None:
    with pytest.raises(ValueError, match="`function` must give one number an input"):
        zero_lines(function, SQUARE, resolution=8)
