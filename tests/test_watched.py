"""Which units are watched, which part of an output is shown, and patterns of all units."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from models import mlp
from torch import nn

from boundarycb import capture, find_boundaries, find_regions, input_gradient, overlay, slices
from boundarycb.metrics import regions_seen
from boundarycb.probe import Conditions, probe
from boundarycb.probe.patterns import Codes, Patterns
from boundarycb.sampling import look
from boundarycb.types import Boundaries, Reading, Sample, units_of

SQUARE = slices.box((-1, 1), (-1, 1))
Heads = namedtuple("Heads", "value policy")


@dataclass
class Output:
    loss: torch.Tensor
    logits: torch.Tensor


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (2, 1, 1)), nn.Upsample(size=(8, 8)), nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.Tanh(),
        nn.Flatten(), nn.Linear(128, 600), nn.ReLU(), nn.Linear(600, 3),
    )  # fmt: skip


def kept(model: nn.Module, **how: Any) -> dict[str, int]:
    states = capture(model, SQUARE, resolution=4, **how)
    return {layer.name: len(layer.kept) for layer in states.layers}


def test_units_with_positions_are_watched_more_sparingly() -> None:
    assert kept(convolutional()) == {"2": 64, "4": 64, "7": 512}
    assert kept(convolutional(), max_units=100) == {"2": 100, "4": 100, "7": 100}
    assert kept(convolutional(), max_units=1000, max_all_units=10**6) == {"2": 144, "4": 128, "7": 600}


def test_the_cap_of_all_layers_is_shared_fairly_and_said() -> None:
    assert kept(convolutional(), max_all_units=100) == {"2": 33, "4": 33, "7": 33}
    assert kept(mlp(2, 5, 900, 900, 2)) == {"0": 5, "2": 509, "4": 509}
    assert kept(mlp(2, 5, 9, 2), max_all_units=1) == {"0": 1, "2": 1}
    notes = capture(convolutional(), SQUARE, resolution=4, max_all_units=100).notes
    assert notes == ("3 layers: 99 of 872 units watched",)
    one = capture(convolutional(), SQUARE, resolution=4, layers="7").notes
    assert one == ("7: 512 of 600 units watched",)


def test_the_same_units_are_watched_by_both_engines_and_at_every_sample() -> None:
    model = mlp(2, 30, 30, 2)
    exact, grid = (find_boundaries(model, SQUARE, engine=engine, max_all_units=20) for engine in ("exact", "grid"))
    assert exact.exact
    assert exact.layers == grid.layers
    assert units_of(exact.layers) == units_of(capture(model, SQUARE, resolution=4, max_all_units=20).layers)
    assert exact.layers == look(model, SQUARE, resolution=8, conditions=Conditions(max_all_units=20), trace=True).capture.layers


@pytest.mark.parametrize(
    ("layers", "names"),
    [
        ("4", ["4"]),
        (["2", "7"], ["2", "7"]),
        ("[24]", ["2", "4"]),
        (nn.Conv2d, ["2", "4"]),
        ([nn.Linear, "4"], ["4", "7"]),
        (nn.ReLU, ["2", "7"]),
        ("*", ["2", "4", "7"]),
    ],
)
def test_layers_are_chosen_by_name_glob_or_type(layers: Any, names: list[str]) -> None:
    assert list(kept(convolutional(), layers=layers)) == names
    lines = find_boundaries(convolutional(), SQUARE, engine="grid", resolution=8, layers=layers)
    assert [layer.name for layer in lines.layers] == names


def test_layers_that_are_not_watched_still_bend_the_others() -> None:
    """The lines of the second layer alone are those that it has among all."""
    model = mlp(2, 8, 8, 2)
    every, second = find_boundaries(model, SQUARE), find_boundaries(model, SQUARE, layers="2")
    assert second.exact
    assert [layer.name for layer in second.layers] == ["2"]
    for unit in range(8):
        for one, other in zip(every.of("2", unit), second.of("2", unit), strict=True):
            assert np.array_equal(one, other)
    assert len(find_regions(model, SQUARE, layers="2")) == len(find_regions(model, SQUARE))
    seen = look(model, SQUARE, resolution=8, conditions=Conditions(layers="2"), trace=True)
    assert [layer.name for layer in seen.capture.layers] == ["2"]
    assert seen.capture.strength is not None
    assert len(seen.capture.strength) == 8
    overlay(model, SQUARE, resolution=8, image_size=64, layers="2")


def test_units_are_chosen_by_place_or_position() -> None:
    model = convolutional()
    states = capture(model, SQUARE, resolution=4, units={"2": [(3, 0, 1), 5, -1], "7": range(3)})
    assert {layer.name: layer.kept for layer in states.layers if layer.name != "4"} == {"2": (5, 109, 143), "7": (0, 1, 2)}
    assert len(states.layers[1].kept) == 64
    few = capture(mlp(2, 8, 8, 2), SQUARE, resolution=4, units=[0, 3], max_all_units=2)
    assert [layer.kept for layer in few.layers] == [(0, 3), (0, 3)]  # what was asked for is not cut


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ({"layers": "conv"}, ValueError, "`layers` names 'conv', and the model's layers are '2', '4', '7'"),
        (
            {"layers": nn.Conv3d},
            ValueError,
            "`layers` names Conv3d, and the model's layers are those of Conv2d, Linear, ReLU, Tanh",
        ),
        ({"layers": []}, TypeError, "`layers` must be names, globs or types of modules"),
        ({"layers": 3}, TypeError, "`layers` must be names"),
        ({"layers": [int]}, TypeError, "`layers` must be names"),
        ({"units": {"conv": [0]}}, ValueError, "`units` names 'conv', and the model's layers are"),
        ({"units": {"7": [600]}}, ValueError, r"`units` names 600 of 7, whose units are \(600,\)"),
        ({"units": {"2": [(9, 0, 0)]}}, ValueError, r"`units` names \(9, 0, 0\) of 2, whose units are \(4, 6, 6\)"),
        ({"units": "0"}, TypeError, "`units` must be places"),
        ({"units": [0.5]}, TypeError, "`units` must be places"),
        ({"max_units": 0}, ValueError, "`max_units` must be a whole number"),
        ({"max_all_units": True}, ValueError, "`max_all_units` must be a whole number"),
        ({"background": "pixels"}, ValueError, "`background` must be"),
        ({"background": 3}, ValueError, "`background` must be the place of one of 3 outputs, got 3"),
        ({"output": 1.5}, TypeError, "`output` must be the name or the place"),
        ({"output": "logits"}, ValueError, r"`output` names 'logits', and the model's output has no parts\.$"),
        ({"output": 0}, ValueError, "`output` names '0', and the model's output has no parts; `background=` shows one of its"),
        ({"speed": 3}, TypeError, "There is no argument `speed`; those are max_units"),
    ],
)
def test_wrong_choices_are_named(how: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        capture(convolutional(), SQUARE, resolution=4, **how)


# --------------------------------------------------------------------------------------------------------------- outputs


class Gives(nn.Module):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        return self.make(F.relu(x))


def read(make: Any, **how: Any) -> Reading:
    with probe(Gives(make), Conditions(**how)) as forward:
        return forward(np.array([[1.0, 2], [3, 4], [0, 5]]))


@pytest.mark.parametrize(
    ("make", "how", "want", "what"),
    [
        (lambda x: x, {}, [[1, 2], [3, 4], [0, 5]], "scores"),
        (lambda x: x[:, :1], {}, [[1], [3], [0]], "output"),
        (lambda x: x, {"background": 1}, [[2], [4], [5]], "output 1"),
        (lambda x: x, {"background": "mean"}, [[1.5], [3.5], [2.5]], "mean of the output"),
        (lambda x: x, {"background": "norm"}, [[5**0.5], [5], [5]], "norm of the output"),
        (lambda x: x[:, None, :, None].expand(-1, 3, 2, 2), {}, [[1.5], [3.5], [2.5]], "mean of the output"),
        (lambda x: x[:, None], {}, [[5**0.5], [5], [5]], "norm of the output"),
        (lambda x: x[:, None], {"background": "classes"}, [[1, 2], [3, 4], [0, 5]], "scores"),
        (lambda x: (x.sum(), x[:, :1]), {}, [[1], [3], [0]], "output"),
        (lambda x: {"loss": x.sum(), "aux": -x, "logits": x}, {}, [[1, 2], [3, 4], [0, 5]], "scores"),
        (lambda x: {"a": x, "b": {"c": -x}}, {"output": "b.c"}, [[-1, -2], [-3, -4], [0, -5]], "scores"),
        (lambda x: (x, -x), {"output": 1}, [[-1, -2], [-3, -4], [0, -5]], "scores"),
        (lambda x: Heads(x[:, :1], -x), {"output": "policy"}, [[-1, -2], [-3, -4], [0, -5]], "scores"),
        (lambda x: Output(x.sum(), -x), {}, [[-1, -2], [-3, -4], [0, -5]], "scores"),
        (lambda x: torch.distributions.Categorical(logits=x), {"output": lambda d: d.probs[:, 1:]}, None, "output"),
        (lambda x: torch.distributions.Normal(x[:, :1], 1 + x[:, :1]), {"output": "loc"}, [[1], [3], [0]], "output"),
    ],
)
def test_which_part_of_an_output_is_shown_and_how(make: Any, how: Any, want: Any, what: str) -> None:
    reading = read(make, **how)
    assert reading.what == what
    assert reading.output is not None
    assert want is None or np.allclose(reading.output, want)


def test_an_output_of_no_batch_is_refused_where_it_was_named() -> None:
    with pytest.raises(
        ValueError, match=r"`output` must give real numbers with a row for each of 3 points, got a tensor of shape \(\)"
    ):
        read(lambda x: (x, x.sum()), output=1)
    assert read(lambda x: "text").output is None


def test_the_caption_says_what_the_background_is() -> None:
    seen = look(Gives(lambda x: x[:, None, :, None].expand(-1, 3, 2, 2)), SQUARE, resolution=4)
    assert seen.capture.field is not None
    assert (seen.capture.field.kind, seen.capture.field.what) == ("value", "mean of the output")


# -------------------------------------------------------------------------------------------------------------- patterns


def codes_of(z: torch.Tensor, layer: int) -> Codes:
    patterns = Patterns(len(z))
    patterns.add(z, layer)
    return patterns.codes()


@settings(deadline=None, max_examples=60)  # some are large
@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=3, max_side=200), elements=st.sampled_from([-1.0, 0.0, 1.0])))
def test_equal_patterns_have_equal_codes_and_others_do_not(z: Any) -> None:
    """By numpy's own comparison of rows."""
    codes = codes_of(torch.tensor(z), 0)
    states = z.reshape(len(z), -1) > 0
    assert len(np.unique(codes)) == len(np.unique(states, axis=0))
    assert (codes_of(torch.tensor(z), 1) != codes).all()


def test_a_single_unit_changes_the_code_wherever_it_stands() -> None:
    z = -torch.ones(300, 299)
    z[torch.arange(299), torch.arange(299)] = 1.0
    assert len(np.unique(codes_of(z, 0))) == 300
    pairs = -torch.ones(64, 128)
    pairs[torch.arange(64), torch.arange(64)] = pairs[torch.arange(64), 127 - torch.arange(64)] = 1.0
    assert len(np.unique(codes_of(pairs, 0))) == 64


def test_patterns_are_those_of_all_units_and_no_more_than_the_regions() -> None:
    model = mlp(2, 12, 12, 2)
    states = capture(model, SQUARE, resolution=64, max_units=1)
    every = capture(model, SQUARE, resolution=64)
    masks = np.concatenate([every.mask("0"), every.mask("2")]).reshape(24, -1).T
    assert states.patterns == every.patterns == len(np.unique(masks, axis=0))
    assert states.patterns <= len(find_regions(model, SQUARE))
    values = regions_seen(Sample(states, Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), states.layers)))
    assert values == {"regions/seen": states.patterns, "regions/seen_share": states.patterns / 64**2}


# ------------------------------------------------------------------------------------------------------------- gradients


def test_the_gradient_is_autograds_and_leaves_no_trace() -> None:
    model = mlp(4, 8, 3)
    model[0].weight.grad = torch.full((8, 4), 7.0)
    model.train()
    x = torch.tensor([0.3, -0.2, 0.9, 0.1], requires_grad=True)
    want = torch.autograd.grad(model(x[None])[0, 2], x)[0]
    assert np.allclose(input_gradient(model, x, target=2), want, atol=1e-6)
    assert np.allclose(input_gradient(model, x, lambda scores: scores[:, 2]), want, atol=1e-6)
    largest = int(model(x[None]).argmax())
    assert np.allclose(input_gradient(model, x), input_gradient(model, x, target=largest))
    assert model[0].weight.grad.unique().tolist() == [7.0]
    assert model[2].weight.grad is None
    assert model.training
    with pytest.raises(ValueError, match="`target` must be the place of one of 3 outputs, got 3"):
        input_gradient(model, x, target=3)
    with pytest.raises(ValueError, match="gives nothing that could be differentiated"):
        input_gradient(Gives(lambda x: x.detach()), x)
