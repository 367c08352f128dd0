"""The pixel probe: against a known answer, a loop over all steps, and what must hold for any classifier; and its pictures."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from everything import differing, everything
from hypothesis import given, settings
from hypothesis import strategies as st
from models import mlp
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from boundarycb.analysis.pixels import PixelProbe, probe_pixels
from boundarycb.render.colours import rgb
from boundarycb.render.fragile import draw_examples, draw_fragile
from boundarycb.types import Picture

Flip = tuple[int, int, int, Any]


def flips_of(probe: PixelProbe) -> list[Flip]:
    columns = (probe.sample, probe.feature, probe.direction, probe.after)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def brute(classify: Callable[[Any], Any], inputs: Any, quantum: Any, low: Any, high: Any) -> tuple[list[Flip], int]:
    """Return the flips, and how many steps are legal: one input at a time, one number at a time."""
    found, legal = [], 0
    for sample, one in enumerate(inputs):
        was = classify(one[None])[0]
        for feature, place in enumerate(np.ndindex(*one.shape)):
            for direction in (-1, 1):
                changed = one.astype(float)
                changed[place] += direction * np.broadcast_to(quantum, one.shape)[place]
                ends = np.broadcast_to(low, one.shape)[place], np.broadcast_to(high, one.shape)[place]
                if ends[0] <= changed[place] <= ends[1]:
                    legal += 1
                    now = classify(changed[None])[0]
                    found += [(sample, feature, direction, now)] if now != was else []
    return found, legal


def linear(weights: Any, offsets: Any) -> Callable[[Any], Any]:
    return lambda inputs: np.argmax(inputs.reshape(len(inputs), -1) @ np.asarray(weights).T + offsets, axis=1)


def module_of(weights: Any, offsets: Any) -> nn.Sequential:
    layer = nn.Linear(np.shape(weights)[1], np.shape(weights)[0])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(np.asarray(weights, dtype=np.float32)))
        layer.bias.copy_(torch.tensor(np.asarray(offsets, dtype=np.float32)))
    return nn.Sequential(nn.Flatten(), layer)


def images(n: int = 6, *shape: int, most: int = 9, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, most + 1, (n, *(shape or (3, 3))))


WEIGHTS = np.random.default_rng(1).integers(-4, 5, (3, 9))
OFFSETS = np.array([0, 2, -1])


# ------------------------------------------------------------------------------------------------------------ known answers


def test_between_two_gaussians_only_steps_across_the_border_flip() -> None:
    """Their means are 100 and 103, their variances equal: the border is at 101.5."""
    model = GaussianNB().fit([[99.0], [101.0], [102.0], [104.0]], [0, 0, 1, 1])
    found = probe_pixels(model, [[100.0], [101.0], [102.0], [103.0]], labels=[0, 0, 1, 0], high=255)
    assert flips_of(found) == [(1, 0, 1, 1), (2, 0, -1, 0)]
    assert found.before.tolist() == [0, 1]
    assert (found.legal, found.tried, found.complete) == (8, 8, True)
    assert (found.share, found.per_probe, found.accuracy, found.robust_accuracy) == (0.5, 0.25, 0.75, 0.25)
    assert repr(found) == "<PixelProbe: 50% of 4 inputs change class by one step; 2 of 8 probes flip (25%)>"


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, np.float64])
def test_every_step_is_tried_once_and_none_beyond_the_box(kind: Any) -> None:
    seen: list[Any] = []

    def classify(inputs: Any) -> Any:
        assert inputs.dtype == np.float64
        seen.extend(map(tuple, inputs.reshape(len(inputs), -1)))
        return np.zeros(len(inputs), np.int64)

    given = np.array([[[0, 5], [9, 1]]], dtype=kind)
    found = probe_pixels(classify, given, high=9)
    flat = (0, 5, 9, 1)
    steps = {(*flat[:place], flat[place] + step, *flat[place + 1 :]) for place in range(4) for step in (-1, 1)}
    legal = [one for one in steps if min(one) >= 0 and max(one) <= 9]
    assert len(legal) == 6 == found.legal
    assert sorted(seen) == sorted([flat, *legal])
    assert (len(found), found.share) == (0, 0.0)
    assert found.fragile() == ()
    assert not found.map().any()


@pytest.mark.parametrize("scaled", [np.float32, np.float64])
def test_scaled_pixels_have_the_steps_of_the_whole_numbers(scaled: Any) -> None:
    """Rounding moves no pixel of 0 or 255 out of the box, or a step off its end."""
    whole = images(5, 3, 2, 2, most=255)
    whole[0, :, 0], whole[1, :, 1] = 0, 255
    mean, std = (np.array(row, dtype=scaled).reshape(3, 1, 1) for row in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    inputs = ((whole.astype(scaled) / scaled(255)) - mean) / std
    box = {"low": -mean / std, "high": (1 - mean) / std}

    found = probe_pixels(lambda inputs: np.zeros(len(inputs)), inputs, quantum=1 / 255 / std, **box)
    assert found.legal == (whole > 0).sum() + (whole < 255).sum()


def test_a_step_to_the_side_of_the_box_ends_there() -> None:
    seen: list[float] = []

    def classify(inputs: Any) -> Any:
        seen.extend(inputs[:, 0])
        return np.zeros(len(inputs))

    assert 0.2 + 0.1 > 0.3
    assert probe_pixels(classify, [[0.2]], quantum=0.1, high=0.3).legal == 2
    assert seen == [0.2, 0.1, 0.3]


def test_counts_maps_and_the_most_fragile_agree() -> None:
    inputs = images(40)
    found = probe_pixels(linear(WEIGHTS, OFFSETS), inputs, high=9)
    assert len(found) > 10
    table = np.zeros((40, 9), np.int64)
    np.add.at(table, (found.sample, found.feature), 1)
    assert np.array_equal(found.counts, table.sum(axis=1))
    assert np.array_equal(found.map(), table.sum(axis=0).reshape(3, 3))
    fragile = found.fragile(5)
    assert [len(one.places) for one in fragile] == sorted(found.counts, reverse=True)[:5]
    for one in fragile:
        assert set(found.sample[one.places].tolist()) == {one.sample}
        changed = found.changed(inputs, one.places)
        assert np.array_equal(linear(WEIGHTS, OFFSETS)(changed), found.after[one.places])
        assert (np.abs(changed - inputs[one.sample]).sum(axis=(1, 2)) == 1).all()
    assert len(found.fragile(1000)) == (found.counts > 0).sum()
    for name in ("classes", "sample", "feature", "direction", "after", "quantum", "low", "high"):
        assert not getattr(found, name).flags.writeable
    assert [getattr(found, name).dtype for name in ("sample", "feature", "direction", "after")] == [
        np.int32,
        np.int32,
        np.int8,
        np.int32,
    ]


# ---------------------------------------------------------------------------------------------------------------- properties


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 5]), st.sampled_from([1, 7, None]), st.booleans())
def test_linear_classifiers_flip_where_a_loop_finds_it(seed: int, classes: int, batch: int | None, boxes: bool) -> None:
    """All numbers are whole, so that nothing rounds; of functions and of modules."""
    draw = np.random.default_rng(seed)
    weights, offsets = draw.integers(-3, 4, (classes, 9)), draw.integers(-9, 10, classes)
    inputs = draw.integers(0, 6, (4, 3, 3))
    quantum = draw.integers(1, 4, (3, 1)) if boxes else 2
    low, high = (inputs.min(axis=0) - draw.integers(0, 4, (3, 3)), 9) if boxes else (0, 7)
    expected, legal = brute(linear(weights, offsets), inputs, quantum, low, high)
    for classifier in (linear(weights, offsets), module_of(weights, offsets)):
        found = probe_pixels(classifier, inputs, quantum=quantum, low=low, high=high, batch=batch)
        assert flips_of(found) == expected
        assert (found.legal, found.complete) == (legal, True)
    some = probe_pixels(module_of(weights, offsets), inputs, quantum=quantum, low=low, high=high, batch=batch, screen=2)
    assert set(flips_of(some)) <= set(expected)
    assert some.legal == legal
    assert some.share == found.share  # to first order is exact for them: the first of two steps flips if any does
    assert some.tried == sum(min(2, len(rows)) for rows in legal_rows(inputs, quantum, low, high))


def legal_rows(inputs: Any, quantum: Any, low: Any, high: Any) -> list[list[int]]:
    steps = [(one + direction * np.broadcast_to(quantum, one.shape)) for one in inputs for direction in (-1, 1)]
    legal = [np.flatnonzero((np.broadcast_to(low, step.shape) <= step) & (step <= high)).tolist() for step in steps]
    return [down + up for down, up in zip(legal[::2], legal[1::2], strict=True)]


@pytest.mark.parametrize("act", [nn.ReLU, nn.Tanh])
def test_a_screen_finds_a_part_of_the_flips_and_says_so(act: type[nn.Module]) -> None:
    model = mlp(9, 16, 4, act=act).double()
    inputs = np.random.default_rng(3).normal(size=(60, 9))
    box: dict[str, Any] = {"quantum": 0.4, "low": -math.inf, "high": math.inf}
    every = probe_pixels(model, inputs, **box)
    assert every.legal == 60 * 18
    some = probe_pixels(model, inputs, screen=3, **box)
    assert set(flips_of(some)) <= set(flips_of(every))
    assert 0 < len(some) < len(every)
    assert (some.complete, some.tried, some.legal) == (False, 180, every.legal)
    assert some.share >= 0.9 * every.share  # the likeliest steps flip first
    assert repr(some).count("at least") == 2
    assert "180 tried" in repr(some)
    whole = probe_pixels(model, inputs, screen=99, **box)
    assert whole.complete
    assert flips_of(whole) == flips_of(every)


def test_a_screen_tries_legal_steps_alone() -> None:
    """Where none is told from the others, since scores do not change."""
    model = module_of(np.zeros((2, 4)), [1, 0])
    found = probe_pixels(model, [[0.0, 0, 0, 9], [9, 9, 9, 9], [4, 4, 4, 4]], high=[9, 9, 9, 9], screen=5)
    assert (found.tried, found.legal) == (4 + 4 + 5, 16)


def test_how_many_run_together_changes_nothing() -> None:
    model, inputs = mlp(9, 16, 4).double(), np.random.default_rng(4).normal(size=(30, 9))
    box: dict[str, Any] = {"quantum": 0.3, "low": None, "high": None}
    found = [probe_pixels(model, inputs, batch=batch, **box) for batch in (1, 7, 64, None)]
    found += [probe_pixels(model, torch.tensor(inputs), batch=5, screen=99, **box)]
    assert len(found[0]) > 10
    assert all(flips_of(one) == flips_of(found[0]) for one in found)


def test_no_more_are_made_at_a_time_than_run_together() -> None:
    sizes: list[int] = []

    def classify(inputs: Any) -> Any:
        sizes.append(len(inputs))
        return np.zeros(len(inputs), np.int64)

    probe_pixels(classify, images(10), high=9, batch=8)
    assert max(sizes) <= 8
    sizes.clear()
    probe_pixels(classify, np.zeros((1, 1, 30, 30)), high=1)
    assert max(sizes) * 30 * 30 * 8 <= 2**24
    sizes.clear()
    probe_pixels(classify, np.zeros((5, 4000)), high=[1, *[0] * 3999])
    assert sum(sizes) == 10  # one step of each is legal


# --------------------------------------------------------------------------------------------------------------- classifiers


class Careless(nn.Module):
    """Counts, draws and drops out when it runs, as models in training do."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.norm = nn.BatchNorm1d(9)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        random.random()
        torch.rand(3)
        x += 0  # in place
        out: torch.Tensor = self.last(torch.relu(self.drop(self.norm(x.flatten(1)))))
        return out


@pytest.mark.parametrize("screen", [None, 4])
def test_a_module_is_left_as_it_was(screen: int | None) -> None:
    model = Careless().train()
    model.norm.eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    inputs = images(7)
    before, given = everything(model), inputs.copy()
    first = probe_pixels(model, inputs, high=9, screen=screen)
    assert differing(before, everything(model)) == []
    assert [part.training for part in model.modules()] == [True, False, True, True]
    assert np.array_equal(given, inputs)
    assert flips_of(first) == flips_of(probe_pixels(model.eval(), inputs, high=9, screen=screen))


def test_linear_modules_and_modules_with_units_are_run_alike() -> None:
    """The probe is made for units; a linear classifier has none."""
    inputs = images(20)
    bare = module_of(WEIGHTS, OFFSETS)
    with_units = nn.Sequential(*bare, nn.ReLU())
    classes = linear(WEIGHTS, OFFSETS)(inputs)
    assert np.array_equal(probe_pixels(bare, inputs, high=9).classes, classes)
    positive = (inputs.reshape(20, -1) @ WEIGHTS.T + OFFSETS).max(axis=1) > 0
    assert np.array_equal(probe_pixels(with_units, inputs, high=9).classes[positive], classes[positive])


def of_one_number(layer: nn.Module) -> nn.Module:
    class Padded(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = layer(torch.cat([x, x], dim=1))
            return out

    return Padded()


def test_a_single_output_has_a_threshold() -> None:
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0]]))
        layer.bias.fill_(-2.5)
    inputs = [[2.0, 0.0], [3.0, 1.0], [5.0, 1.0]]  # one number alone will do too:
    assert flips_of(probe_pixels(of_one_number(layer), [[2.0], [3.0]], high=9)) == [(0, 0, 1, 1), (1, 0, -1, 0)]
    logit = probe_pixels(layer, inputs, high=9)
    assert flips_of(logit) == [(0, 0, 1, 1), (1, 0, -1, 0)]
    likely = nn.Sequential(layer, nn.Sigmoid())
    assert flips_of(probe_pixels(likely, inputs, high=9, threshold=0.5)) == flips_of(logit)
    assert flips_of(probe_pixels(likely, inputs, high=9, threshold=0.5, screen=1)) == flips_of(logit)
    assert flips_of(probe_pixels(layer, inputs, high=9, screen=1)) == flips_of(logit)
    assert flips_of(probe_pixels(layer, inputs, high=9, threshold=1.0)) == [(1, 0, 1, 1)]
    with pytest.raises(
        ValueError, match=r"`classifier` \(Sequential\) has a single output, .* give threshold=0.5 where it is a prob"
    ):
        probe_pixels(likely, inputs, high=9)
    with pytest.raises(
        ValueError, match=r"`threshold` is for a single output, and `classifier` \(Sequential\) has 3; leave it out"
    ):
        probe_pixels(module_of(WEIGHTS, OFFSETS), images(), high=9, threshold=0.5)


def test_the_scores_can_be_anywhere_in_the_output() -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module_of(WEIGHTS, OFFSETS)

        def forward(self, x: torch.Tensor, factor: float = -1.0) -> dict[str, Any]:
            return {"other": torch.zeros(len(x), 4), "scores": [factor * self.inner(x)]}

    inputs = images(20)
    expected = flips_of(probe_pixels(linear(WEIGHTS, OFFSETS), inputs, high=9))
    for screen in (None, 18):
        found = probe_pixels(
            Told(), inputs, high=9, output=lambda out: out["scores"][0], forward=lambda model, x: model(x, 1.0), screen=screen
        )
        assert flips_of(found) == expected
    assert not len(probe_pixels(Told(), inputs, high=9))  # the first tensor says nothing


def test_estimators_give_classes_of_any_kind() -> None:
    inputs = images(60, 9)
    names = np.array(["ape", "bee", "cow"])[linear(WEIGHTS, OFFSETS)(inputs)]
    pipeline = make_pipeline(StandardScaler(), GaussianNB()).fit(inputs, names)
    found = probe_pixels(pipeline, inputs, high=9, labels=names)
    assert flips_of(found) == brute(pipeline.predict, inputs, 1, 0, 9)[0]
    assert found.after.dtype.kind == "U"
    assert found.accuracy == pipeline.score(inputs, names)
    assert 0 < found.robust_accuracy < found.accuracy
    truth = probe_pixels(lambda inputs: inputs.sum(axis=1) > 40, inputs, high=9)
    assert truth.classes.dtype == bool
    assert math.isnan(truth.accuracy)
    assert math.isnan(truth.robust_accuracy)


def test_an_image_without_room_has_no_legal_probe() -> None:
    found = probe_pixels(lambda inputs: np.zeros(len(inputs)), np.zeros((2, 3)))
    assert (found.legal, found.share) == (0, 0.0)
    assert math.isnan(found.per_probe)


class Root(nn.Module):
    """NaN below 0."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(x) @ torch.eye(2)


def test_a_step_to_nan_has_no_class() -> None:
    found = probe_pixels(Root(), [[0.0, 3.0]], low=-5, high=9)
    assert flips_of(found) == [(0, 0, -1, -1)]
    with pytest.raises(ValueError, match=r"`classifier` gives NaN for input 1, which has no class to begin with; leave it out"):
        probe_pixels(Root(), [[0.0, 3.0], [-1.0, 3.0]], low=-5, high=9)


# --------------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"high": 8}, r"`inputs` must lie between `low` and `high`, got numbers from 0 to 9, and a box from 0 to 8; give as `low`"),
        ({"low": 1, "high": 9}, r"`inputs` must lie between .* a box from 1 to 9"),
        ({"quantum": 0}, r"`quantum` must be above 0 and finite, got 0 to 0"),
        ({"quantum": math.inf}, r"`quantum` must be above 0 and finite"),
        ({"quantum": math.nan}, r"`quantum` must be a number, got NaN"),
        (
            {"quantum": 9},
            r"`quantum` must be less than the 9 from `low` to `high`, where inputs lie in between, got 9; give the least",
        ),
        ({"quantum": [1, 2]}, r"`quantum` must be a number, or fit one input of shape \(3, 3\), got shape \(2,\)"),
        ({"low": np.zeros((9,))}, r"`low` must be a number, or fit one input"),
        ({"labels": [1]}, r"`labels` must be one class for each of 6 inputs, \(6,\), got shape \(1,\)"),
        ({"batch": 0}, r"`batch` must be a whole number, 1 or more, or None, got 0"),
        ({"screen": True}, r"`screen` must be a whole number"),
        ({"threshold": 0.5}, r"`threshold` is for a torch.nn.Module, got it with function; leave it out"),
        ({"mode": "as_is"}, r"`mode` is for a torch.nn.Module"),
        ({"output": 0}, r"`output` is for a torch.nn.Module"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], words: str) -> None:
    inputs = images()
    inputs[0, 0, :2] = 0, 9
    with pytest.raises(ValueError, match=words):
        probe_pixels(linear(WEIGHTS, OFFSETS), inputs, **arguments)


def test_binary_images_may_have_a_quantum_as_large_as_their_range() -> None:
    found = probe_pixels(linear(WEIGHTS, OFFSETS), images(most=1) > 0)
    assert found.legal == 6 * 9


@pytest.mark.parametrize(
    ("classifier", "words"),
    [
        (
            lambda inputs: inputs[:, 0],
            r"`classifier` \(<lambda>\) must give one class an input, \(6,\), got shape \(6, 3\); of scores",
        ),
        (lambda inputs: 1, r"must give one class an input, \(6,\), got shape \(\)"),
        (
            lambda inputs: 0.5 + inputs[:, 0, 0],
            r"must give classes, whole numbers or words, got .*\.5; make classes of its numbers",
        ),
        (nn.Linear(5, 2), r"`classifier` \(Linear\) failed on inputs of shape \(\d+, 3, 3\) \(RuntimeError: .*; give `inputs`"),
    ],
)
def test_classifiers_that_give_no_classes_are_named(classifier: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        probe_pixels(classifier, images(), high=9)


@pytest.mark.parametrize("classifier", [None, 3, "model", GaussianNB])
def test_what_is_no_classifier_is_refused(classifier: Any) -> None:
    with pytest.raises(TypeError, match="`classifier` must be a module, have `predict`, or be a function of inputs"):
        probe_pixels(classifier, images(), high=9)


def test_a_screen_takes_gradients() -> None:
    with pytest.raises(TypeError, match="`screen` takes gradients, which only a torch.nn.Module has; leave it out"):
        probe_pixels(linear(WEIGHTS, OFFSETS), images(), high=9, screen=3)


def test_a_module_without_scores_is_told_how_to_say_which() -> None:
    class Silent(nn.Module):
        def forward(self, x: torch.Tensor) -> str:
            return "nothing"

    with pytest.raises(ValueError, match=r"`classifier` \(Silent\) gives no tensor of scores .* `output=` says which"):
        probe_pixels(Silent(), images(), high=9)


def test_a_step_that_is_lost_in_rounding_is_an_error() -> None:
    model = module_of(WEIGHTS, OFFSETS)
    with pytest.raises(ValueError, match=r"`quantum` must be more than rounding is in the model's float32, got 1e-08 .* in double"):
        probe_pixels(model, images(), high=9, quantum=1e-8)
    assert probe_pixels(model.double(), images(), high=9, quantum=1e-8).legal > 0


@pytest.mark.parametrize("inputs", [np.zeros(4), np.zeros((0, 4)), [[math.nan, 0.0]], np.array([["a", "b"]])])
def test_inputs_are_finite_numbers(inputs: Any) -> None:
    with pytest.raises(ValueError, match=r"`inputs` must be finite numbers \(n, \*shape\), n of 1 or more"):
        probe_pixels(linear(WEIGHTS, OFFSETS), inputs)


def test_changed_takes_the_inputs_that_were_probed() -> None:
    found = probe_pixels(linear(WEIGHTS, OFFSETS), images(), high=9)
    with pytest.raises(ValueError, match=r"`inputs` must be those that were probed, \(6, 3, 3\), got \(5, 3, 3\)"):
        found.changed(images(5), [0])


# ------------------------------------------------------------------------------------------------------------------- pictures


def near(picture: Picture, code: str) -> Any:
    """Return where a picture has a colour, but for what its palette makes of it."""
    return (np.abs(picture.rgb().astype(int) - rgb(code)) < 24).all(axis=2)


def assert_margins_are_white(picture: Picture) -> None:
    """All words fit: the outermost pixels are paper."""
    pixels = picture.rgb()
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge >= 250).all()


LONG = "a classifier with a name that goes on and on: where one step of a single pixel changes what it sees in the image"


@pytest.mark.parametrize("size", [64, 200, 512, 1024])
@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (3, 5), (1, 1), (3, 40, 20)])
def test_the_map_fits_at_any_size(size: int, shape: tuple[int, ...]) -> None:
    flips = np.arange(np.prod(shape)).reshape(shape)
    phrases = ("99.3% of 1,797 inputs change class by one step", "17,760 of 163,288 probes flip (10.9%)")
    picture = draw_fragile(flips, np.ones(shape[-2:]), title=LONG, phrases=phrases, size=size)
    assert_margins_are_white(picture)
    longer = max(shape[-2:])
    assert size - longer < (size // longer) * longer <= size
    assert max(picture.pixels.shape) > (size // longer) * longer


def test_the_map_shows_how_many_flips_there_are_and_where() -> None:
    flips = np.zeros((4, 4), np.int64)
    flips[1, 2], flips[3, 0] = 1, 9
    plain = draw_fragile(flips, title="map", size=400)
    # The plot's lower left cell has the darkest tone, and one cell the palest; the others are paper.
    dark, pale = near(plain, "#7d0d35"), near(plain, "#fce2b4")
    rows, _ = np.nonzero(dark)
    assert rows.max() - rows.min() > 300  # with the key at the top
    assert pale.sum() > 50 * 100 - 500
    assert dark.sum() > 50 * 100 - 500
    assert near(draw_fragile(flips, np.eye(4), title="map", size=400), "#c4c4c4").sum() > 5000  # the image's darker pixels
    assert np.array_equal(draw_fragile(np.stack([flips, flips]), title="map", size=400).rgb()[100:], twice(flips).rgb()[100:])
    least = draw_fragile(flips, title="map", size=400, at_least=True)
    assert not np.array_equal(least.rgb(), plain.rgb())
    none = draw_fragile(0 * flips, title="map", size=400)
    assert not near(none, "#7d0d35").any()


def twice(flips: Any) -> Picture:
    return draw_fragile(2 * flips, title="map", size=400)


def a_pair(shape: tuple[int, ...], place: tuple[int, ...], change: float, count: int = 1) -> tuple[Any, Any]:
    before = np.random.default_rng(0).random((count, *shape))
    after = before.copy()
    for one in after:
        one[place] += change
    return before, after


@pytest.mark.parametrize("size", [64, 512])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(
    ("shape", "place"), [((8, 8), (0, 0)), ((28, 28), (27, 27)), ((3, 224, 224), (1, 3, 220)), ((1, 5, 3), (0, 4, 0))]
)
def test_the_sheet_fits_at_any_size(size: int, count: int, shape: tuple[int, ...], place: tuple[int, ...]) -> None:
    before, after = a_pair(shape, place, 1 / 255, count)
    names = [("golden retriever, the first of many words", "labrador retriever, and as many words")] * count
    picture = draw_examples(before, after, names, title=LONG, notes=[LONG] * count, phrases=(LONG, LONG), size=size)
    assert_margins_are_white(picture)
    wide = draw_examples(before, after, names, title="short", size=size).pixels.shape[1]
    assert picture.pixels.shape[1] == wide  # words do not widen it


@pytest.mark.parametrize(("change", "colour"), [(1.0, "#d55e00"), (-1.0, "#1f6fd0")])
def test_the_sheet_shows_which_pixel_changed_and_which_way(change: float, colour: str) -> None:
    before, after = a_pair((8, 8), (2, 5), change)
    picture = draw_examples(
        np.rint(before * 0 + 5), np.rint(before * 0 + 5 + after - before), [("8", "3")], title="sheet", size=512
    )
    shown = near(picture, colour)
    assert shown.sum() > 16 * 16  # the pixel itself, and two frames
    _, columns = np.nonzero(shown)
    groups = np.split(np.unique(columns), np.flatnonzero(np.diff(np.unique(columns)) > 30) + 1)
    assert len(groups) == 3  # before, after, difference
    assert not near(picture, {"#d55e00": "#1f6fd0", "#1f6fd0": "#d55e00"}[colour]).any()


def test_pictures_are_refused_where_shapes_are_none_of_images() -> None:
    before, after = a_pair((8, 8), (2, 5), 1.0)
    draws: list[tuple[Callable[[], Picture], str]] = [
        (
            lambda: draw_fragile(np.zeros(64, int), title=""),
            r"`flips` must be whole numbers .* take flips.reshape\(rows, columns\)",
        ),
        (lambda: draw_fragile(np.zeros((8, 8)), title=""), r"`flips` must be whole numbers of 0 or more, .* got float64"),
        (lambda: draw_fragile(-np.eye(8, dtype=int), title=""), r"`flips` must be whole numbers of 0 or more"),
        (lambda: draw_fragile(np.eye(8, dtype=int), np.eye(7), title=""), r"`image` must be .* of 8 x 8 pixels, got \(7, 7\)"),
        (
            lambda: draw_fragile(np.eye(8, dtype=int), title="", size=10),
            r"`size` must be a whole number of pixels, 64 to 4096",
        ),
        (lambda: draw_examples(before, after, [], title=""), r"must be of one length, 1 or more, .* 0 and 0"),
        (lambda: draw_examples(before[:0], after[:0], [], title=""), r"`before` must be"),
        (lambda: draw_examples(before, before, [("1", "2")], title=""), r"must differ in one number of each image, got 0"),
        (lambda: draw_examples(before, after[:, :7], [("1", "2")], title=""), r"`after` must be .* of 8 x 8 pixels, got \(7, 8\)"),
        (lambda: draw_examples(before[0, 0], after, [("1", "2")], title=""), r"`before` must be \(rows, columns\)"),
    ]
    for draw, words in draws:
        with pytest.raises(ValueError, match=words):
            draw()
