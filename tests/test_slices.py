from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from boundarycb import slices
from boundarycb.types import Slice

NUMBERS = st.floats(-100, 100, allow_nan=False, width=32)


def test_box_lifts_to_itself() -> None:
    plane = slices.box((-1, 1), (0, 2))
    assert plane.input_shape == (2,)
    assert plane.lift(np.array([[0.25, 1.5], [-1, 0]])).tolist() == [[0.25, 1.5], [-1, 0]]
    assert slices.box((0, 1), (0, 1), shape=(1, 2)).lift(np.array([[0.5, 1.0]])).shape == (1, 1, 2)


def test_a_box_says_what_its_inputs_are() -> None:
    assert slices.box((0, 1), (0, 1)).names == ("x1", "x2")
    named = slices.around(np.array([[20.0, 1e4], [60.0, 9e4]]), names=["age", "income"])  # type: ignore[arg-type]
    assert named.names == ("age", "income")
    assert repr(named) == "<Slice of inputs (2,): age 16 to 64, income 2000 to 98000>"


def test_through_puts_the_anchors_where_it_says() -> None:
    a, b, c = np.zeros((3, 4)), np.zeros((3, 4)), np.zeros((3, 4))
    b[0, 0], c[0, 0], c[2, 1] = 2.0, 1.0, 5.0
    plane = slices.through(a, torch.tensor(b, requires_grad=True), c.tolist(), margin=0.25)
    assert plane.anchors.tolist() == [[0, 0], [2, 0], [1, 5]]
    assert np.allclose(plane.lift(plane.anchors), [a, b, c])
    # Square, around the anchors, a quarter of the longer side (5) wider on each side.
    assert plane.bounds == ((1 - 3.75, 1 + 3.75), (-1.25, 6.25))


def test_many_numbers_are_lifted_as_few_are() -> None:
    """Beyond a size no matrix product is made, whose threads would be in the way of the model's."""
    random = np.random.default_rng(0)
    plane, points = slices.through(*random.normal(size=(3, 50, 60))), random.uniform(-1, 1, (100, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boundarycb.types.slice._LARGE", 0)
        found = plane.lift(points)
    want = plane.origin + points[:, 0, None, None] * plane.axes[0] + points[:, 1, None, None] * plane.axes[1]
    for got in (found, plane.lift(points), np.concatenate([plane.lift(points[:20]), plane.lift(points[20:])])):
        assert np.allclose(got, want, rtol=1e-14, atol=1e-14)


@settings(deadline=None)
@given(arrays(np.float64, (3, 5), elements=NUMBERS), arrays(np.float64, (4, 2), elements=NUMBERS))
def test_project_undoes_lift_and_measures_the_way_off(corners: Any, points: Any) -> None:
    spread = np.linalg.svd(corners[1:] - corners[0], compute_uv=False)
    if spread[1] < 1e-3 * max(1.0, spread[0]):
        return
    plane = slices.through(*corners)
    lifted = plane.lift(points)
    back, off = plane.project(lifted)
    scale = 1 + np.abs(corners).max() + np.abs(points).max()
    assert np.allclose(back, points, atol=1e-9 * scale)
    assert np.allclose(off, 0, atol=1e-9 * scale)
    # A push along a direction orthogonal to the plane is the distance, and does not move the projection.
    normal = np.linalg.svd(plane.axes.reshape(2, -1))[2][-1]
    moved, away = plane.project(lifted + 3.0 * normal)
    assert np.allclose(moved, points, atol=1e-8 * scale)
    assert np.allclose(away, 3.0, atol=1e-8 * scale)


def test_nodes_are_pixel_centres_and_borders() -> None:
    us, vs = slices.box((-1, 1), (0, 4)).nodes(4)
    assert us.tolist() == [-1, -0.75, -0.25, 0.25, 0.75, 1]
    assert vs.tolist() == [0, 0.5, 1.5, 2.5, 3.5, 4]


def test_around_survives_constant_and_infinite_data() -> None:
    assert slices.around(np.array([[0.0, 5], [10, 5]])).bounds == ((-1, 11), (0, 10))
    assert slices.around(np.array([[2.0, 3]])).bounds == ((1.5, 2.5), (2.5, 3.5))
    assert slices.around(np.array([[0.0, 0], [1, 1], [np.nan, 0], [np.inf, 1]]), margin=0).bounds == ((0, 1), (0, 1))


def test_around_takes_tensors_as_they_are() -> None:
    points = torch.tensor([[0.0, 5], [10, 5]])
    for given_points in (points.requires_grad_(), points.bfloat16(), points.detach().reshape(2, 1, 2)):
        assert slices.around(given_points).bounds == ((-1, 11), (0, 10))


def test_a_slice_cannot_be_changed() -> None:
    plane = slices.box((0, 1), (0, 1))
    with pytest.raises(ValueError, match="read-only"):
        plane.origin[0] = 1.0
    source = np.zeros(2)
    kept = Slice(source, np.eye(2), ((0, 1), (0, 1)))
    source[0] = 7.0
    assert kept.origin.tolist() == [0, 0]


def corners_of_a_cube(dimensions: int) -> Any:
    return np.array(np.meshgrid(*[[0.0, 1.0]] * dimensions)).reshape(dimensions, -1).T


def test_principal_components_are_those_of_the_covariance() -> None:
    """By numpy's eigenvectors of the covariance matrix; each component's largest number is positive."""
    generator = np.random.default_rng(5)
    data = generator.normal(size=(300, 2, 3)) * np.arange(1, 7).reshape(2, 3) ** 2
    plane = slices.from_data(torch.tensor(data))
    variances, vectors = np.linalg.eigh(np.cov(data.reshape(300, 6), rowvar=False, bias=True))
    for axis, vector in zip(plane.axes.reshape(2, 6), vectors.T[::-1], strict=False):
        assert np.allclose(np.abs(axis @ vector), 1)
        assert axis[np.abs(axis).argmax()] > 0
    share = variances[-1] / variances.sum()
    assert plane.names[0] == f"PC1 ({100 * share:.1f} % of variance)"
    assert np.allclose(plane.origin, data.mean(axis=0))
    # Turned over, the data have the same components: the signs do not depend on them.
    assert np.allclose(slices.from_data(-data).axes, plane.axes)


def test_more_numbers_than_samples_give_the_same_plane() -> None:
    data = np.zeros((4, 50))
    data[:, 7], data[:, 31] = [0, 8, 8, 0], [0, 0, 2, 2]
    plane = slices.from_data(data)
    assert (plane.axes[0, 7], plane.axes[1, 31]) == (1, 1)
    assert plane.marks is not None
    assert np.allclose(plane.marks.off, 0)
    assert np.allclose(np.sort(plane.marks.points[:, 0]), [-4, -4, 4, 4])


def test_principal_components_of_a_cube_are_a_matter_of_chance() -> None:
    """VNN's figure 2: all variances of a hypercube's corners are equal."""
    with pytest.warns(UserWarning, match=r"16 samples do not tell .* \(variances of 0.25 and 0.25\)"):
        slices.from_data(corners_of_a_cube(4))


def test_from_data_marks_some_and_reaches_beyond_all() -> None:
    generator = np.random.default_rng(0)
    data = generator.normal(size=(1000, 3)) * [9, 3, 0.5]
    plane = slices.from_data(data, labels=np.arange(1000) % 3, margin=0.5)
    assert plane.marks is not None
    assert len(plane.marks.points) == 200
    assert plane.marks.labels[-1] == 999 % 3
    assert np.allclose(plane.project(data[-1:])[0], plane.marks.points[-1])
    where = plane.project(data)[0]
    (u0, u1), _ = plane.bounds
    extent = np.ptp(where[:, 0])
    assert np.allclose([u0, u1], [where[:, 0].min() - extent / 2, where[:, 0].max() + extent / 2])


def test_random_planes_are_orthonormal_and_repeatable() -> None:
    np.random.seed(1)
    before = np.random.rand()
    np.random.seed(1)
    plane = slices.random(np.ones((3, 4, 4)), radius=2.5, seed=3)
    flat = plane.axes.reshape(2, -1)
    assert np.allclose(flat @ flat.T, np.eye(2))
    assert np.array_equal(plane.axes, slices.random(np.ones((3, 4, 4)), seed=3).axes)
    assert not np.allclose(plane.axes, slices.random(np.ones((3, 4, 4)), seed=4).axes)
    assert plane.bounds == ((-2.5, 2.5), (-2.5, 2.5))
    assert plane.anchors.tolist() == [[0, 0]]
    assert np.random.rand() == before


def test_random_planes_of_neighbouring_seeds_have_nothing_in_common() -> None:
    planes = [slices.random(np.ones(1000), seed=seed).axes.reshape(2, -1) for seed in range(5)]
    assert max(np.abs(one @ other.T).max() for one, other in combinations(planes, 2)) < 0.2  # a cosine's spread is 0.03


def test_along_a_direction() -> None:
    sample, gradient = np.array([1.0, 2, 2]), torch.tensor([0.0, -3, 0])
    plane = slices.along(sample, gradient, names=("uphill", "across"))
    assert plane.axes[0].tolist() == [0, -1, 0]
    assert abs(float(plane.axes[1] @ plane.axes[0])) < 1e-12
    assert plane.names == ("uphill", "across")
    assert plane.bounds == ((-3, 3), (-3, 3))


def test_axes_hold_the_other_numbers() -> None:
    sample = np.arange(12.0).reshape(3, 4)
    plane = slices.axes(sample, (0, 1), 11, (-5, 5), (0, 1))
    lifted = plane.lift(np.array([[3.0, 0.5]]))[0]
    assert (lifted[0, 1], lifted[2, 3]) == (3, 0.5)
    lifted[0, 1], lifted[2, 3] = 1, 11
    assert np.array_equal(lifted, sample)
    assert np.array_equal(plane.lift(plane.anchors)[0], sample)
    assert plane.names == ("input (0, 1)", "input 11")


def test_marks_tell_how_far_samples_lie_off() -> None:
    plane = slices.through([0.0, 0, 0], [2, 0, 0], [0, 2, 0], names=["cat", "dog", "cat"])
    shown = slices.marked(plane, [[1, 1, 0], [1, 0, 7]], labels=[2, 0])
    assert shown.marks is not None
    assert shown.marks.points.tolist() == [[1, 1], [1, 0]]
    assert shown.marks.off.tolist() == [0, 7]
    assert shown.marks.labels.tolist() == [2, 0]
    assert shown.anchor_names == ("cat", "dog", "cat")


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, (3, 4), elements=st.floats(0, 1)), st.integers(0, 2**31))
def test_limits_are_where_inputs_are_valid(corners: Any, seed: int) -> None:
    """By brute force: a point lies in the outline if and only if its input is valid."""
    spread = np.linalg.svd(corners[1:] - corners[0], compute_uv=False)
    if spread[1] < 1e-3:
        return
    plane = slices.limited(slices.through(*corners, margin=2), 0.0, 1.0)
    outline = plane.limits
    assert outline is not None
    (u0, u1), (v0, v1) = plane.bounds
    points = np.random.default_rng(seed).uniform((u0, v0), (u1, v1), size=(200, 2))
    inputs = plane.lift(points)
    slack = np.minimum(inputs, 1 - inputs).min(axis=1)  # below 0 where it is not valid
    following = np.roll(outline, -1, axis=0) - outline
    away = points[:, None] - outline
    inside = (following[:, 0] * away[..., 1] - following[:, 1] * away[..., 0] >= 0).all(axis=1)
    clear = np.abs(slack) > 1e-6
    assert (inside == (slack > 0))[clear].all()


def test_a_limit_on_one_side_is_one() -> None:
    square = slices.box((-1, 1), (-1, 1))
    for low, high, corner in ((0, np.inf, [1, 1]), (-np.inf, 0, [-1, -1])):
        outline = slices.limited(square, low, high).limits
        assert outline is not None
        assert sorted(outline.tolist()) == sorted([[0, 0], [corner[0], 0], corner, [0, corner[1]]])
    everywhere = slices.limited(square, -np.inf, np.inf).limits
    assert everywhere is not None
    assert sorted(everywhere.tolist()) == sorted(square.corners().tolist())


def test_a_slice_without_valid_inputs_has_an_empty_outline() -> None:
    plane = slices.through([5.0, 5, 5], [6, 5, 5], [5, 6, 5])
    outline = slices.limited(plane, 0, 1).limits
    assert outline is not None
    assert len(outline) == 0


@pytest.mark.parametrize("names", [np.array(["age", "income"]), ["age", "income "], iter(("age", "income"))])
def test_names_may_be_columns_of_a_table(names: Any) -> None:
    assert slices.box((0, 1), (0, 1), names=names).names == ("age", "income")
    assert slices.box((0, 1), (0, 1), names=(0, 3)).names == ("0", "3")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: slices.box((1, 0), (0, 1)), "`u` must be .low, high., two finite numbers with low < high, got .1, 0."),
        (lambda: slices.box((0, 1), (0, np.inf)), "`v` must be"),
        (lambda: slices.box(3, (0, 1)), "`u` must be .low, high., .* got 3"),  # type: ignore[arg-type]
        (lambda: slices.box((0, 1), (0, 1), shape=(3,)), "use `slices.through"),
        (lambda: slices.box((0, 1), (0, 1), names=("age",)), "`names` must be two words, .* got .'age',."),  # type: ignore[arg-type]
        (lambda: slices.box((0, 1), (0, 1), names="ab"), "`names` must be two words"),  # type: ignore[arg-type]
        (lambda: slices.box((0, 1), (0, 1), names=None), "`names` must be two words, .* got None"),  # type: ignore[arg-type]
        (lambda: slices.box((0, 1), (0, 1), names=("a", None)), "`names` must be two words"),  # type: ignore[arg-type]
        (lambda: slices.through([0, 0], [1, 1], [2, 2]), "got three inputs on one line"),
        (lambda: slices.through([0, 0], [0, 0], [2, 2]), "must span a plane"),
        (lambda: slices.through([0, 0], [1, 1], [0, 0, 1]), "must have one shape"),
        (lambda: slices.through([0, 0], [1, np.nan], [0, 1]), "`b` must be one input of .* got NaN or infinity in it"),
        (lambda: slices.through([0], [1, 1], [0, 1]), r"`a` must be one input of two or more .* got shape \(1,\)"),
        (lambda: slices.through([0, 0], [1, 0], [0, 1], margin=-1), "`margin` must be 0 or more"),
        (lambda: slices.around(np.empty((0, 2))), "`points` must be of shape"),
        (lambda: slices.around(np.zeros((3, 2)), margin=-1), "`margin` must be 0 or more"),
        (lambda: slices.through([0, 0], [1, 0], [0, 1], names="abc"), "`anchor_names` must be a list of words"),
        (lambda: slices.through([0, 0], [1, 0], [0, 1], names="abcd"), "at most one an anchor .3."),
        (lambda: slices.from_data(np.zeros((2, 5))), r"`data` must be three or more inputs .* got shape \(2, 5\)"),
        (lambda: slices.from_data(np.zeros((9, 1))), "two or more finite numbers each"),
        (lambda: slices.from_data(np.outer(np.arange(9.0), [1, 2, 3])), "`data` must span a plane"),
        (lambda: slices.from_data(np.full((9, 3), np.nan)), "`data` must be three or more .* got NaN or infinity in it"),
        (lambda: slices.random([1.0, 2], radius=-1), "`radius` must be a length above 0, got -1"),
        (lambda: slices.along([1.0, 2], [0, 0]), "neither zero nor parallel"),
        (lambda: slices.along([1.0, 2], [1, 1], [2, 2]), "neither zero nor parallel"),
        (lambda: slices.along([1.0, 2], [1, 1, 1]), r"`first` must have the shape of `sample`, \(2,\)"),
        (lambda: slices.axes([1.0, 2], 0, 2, (0, 1), (0, 1)), "`second` must be the place or the index"),
        (lambda: slices.axes([1.0, 2], 0, (0,), (0, 1), (0, 1)), "two different numbers"),
        (lambda: slices.axes([1.0, 2], 0, 1, (1, 0), (0, 1)), "`u` must be"),
        (lambda: slices.marked(slices.box((0, 1), (0, 1)), [[0, 0]], labels=[0.5]), "`labels` must be 1 whole numbers"),
        (lambda: slices.limited(slices.box((0, 1), (0, 1)), 1, 0), "`low` must be `high` or less"),
        (lambda: slices.limited(slices.box((0, 1), (0, 1)), 0, np.nan), "neither may be NaN"),
        (lambda: slices.limited(slices.box((0, 1), (0, 1)), np.inf, np.inf), "`low` must be `high` or less"),
        (lambda: slices.around(5.0), "`points` must be of shape"),
        (lambda: slices.around([[np.nan, 1.0]]), "`points` must be finite, got 1 pairs"),
        (lambda: slices.from_data(np.random.default_rng(0).normal(size=(20, 4)), labels=3), "`labels` must be 20 whole numbers"),
        (lambda: slices.box((0, 1), (0, 1), shape=2), "`shape` must hold exactly two numbers"),  # type: ignore[arg-type]
        (lambda: Slice(np.zeros(2), np.eye(2), ((1, 0), (0, 1))), "`bounds` must be finite with u0 < u1"),
        (lambda: Slice(np.zeros(2), np.eye(2), 3), "`bounds` must be"),  # type: ignore[arg-type]
        (lambda: Slice(np.zeros(2), np.zeros((2, 2)), ((0, 1), (0, 1))), "not parallel"),
        (lambda: Slice(np.zeros(3), np.eye(2), ((0, 1), (0, 1))), r"shape \(2, 3\)"),
        (lambda: slices.box((0, 1), (0, 1)).lift(np.zeros(2)), r"`points` must have shape \(n, 2\)"),
        (lambda: slices.box((0, 1), (0, 1)).project(np.zeros((1, 3))), r"`inputs` must have shape \(n, 2\)"),
    ],
)
def test_wrong_slices_are_named(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
