"""Drift: known answers, an oracle that rescales the network itself, and what must not change it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from models import linear_units, mlp
from torch import nn

from boundarycb import metrics, slices
from boundarycb.metrics.finals import Finals
from boundarycb.metrics.shapley import shapley
from boundarycb.sampling import Look, look
from boundarycb.types import Boundaries, Capture, Floats, Layer, Sample, Slice

SQUARE = slices.box((-1, 1), (-1, 1))
PARTS = ("flipped", "shift", "rotate", "upstream")


def sample(old: nn.Module, new: nn.Module, plane: Slice = SQUARE, resolution: int = 64) -> Sample:
    """Return the sample of `new` after one of `old`."""
    before = look(old, plane, resolution=resolution, trace=True)
    now = look(new, plane, resolution=resolution, trace=True, before=before.traces)
    return Sample(now.capture, now.boundaries, before.capture, before.capture, 1, now.moves)


def parts(old: nn.Module, new: nn.Module, layer: str = "0", plane: Slice = SQUARE, resolution: int = 64) -> Floats:
    """Return flipped, shift, rotate, upstream of each unit, (4, units)."""
    values: Any = metrics.drift_parts(sample(old, new, plane, resolution))
    return np.stack([values[f"drift/{part}_per_unit/{layer}"] for part in PARTS])


def causes(old: nn.Module, new: nn.Module, layer: str = "0", plane: Slice = SQUARE) -> Floats:
    """Return bias, weights, upstream of each unit, (3, units)."""
    values: Any = metrics.drift_causes(sample(old, new, plane))
    return np.stack([values[f"cause/{part}_per_unit/{layer}"] for part in ("bias", "weights", "upstream")])


def line(a: float, b: float, c: float) -> nn.Module:
    return linear_units((a, b, c))


# ---------------------------------------------------------------------------------------------------------- known answers

KNOWN = {
    "x = 0 to x = .5": (line(1, 0, 0), line(1, 0, -0.5), (0.25, 0.25, 0, 0)),
    "a quarter turn": (line(1, 0, 0), line(0, 1, 0), (0.5, 0, 0.5, 0)),
    "x = 0 to y = .5": (line(1, 0, 0), line(0, 1, -0.5), (0.5, 0.125, 0.375, 0)),
    "(w, b) to (3 w, 3 b)": (line(1, 0.4, 0.2), line(3, 1.2, 0.6), (0, 0, 0, 0)),
    "never on, before and after": (line(1, 0, -2), line(0, 1, -3), (0, 0, 0, 0)),
    "no weights": (line(0, 0, 1), line(0, 0, -1), (1, 1, 0, 0)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name: str) -> None:
    old, new, expected = KNOWN[name]
    assert parts(old, new)[:, 0] == pytest.approx(expected, abs=1e-6)


def test_moving_the_frame_changes_nothing() -> None:
    def moved(a: float, b: float, c: float) -> nn.Module:
        return line(a, b, c - 10 * a + 7 * b)

    plane = slices.box((9, 11), (-8, -6))
    assert parts(moved(1, 0, 0), moved(0, 1, -0.5), plane=plane)[:, 0] == pytest.approx((0.5, 0.125, 0.375, 0), abs=1e-6)


class TwoLayers(nn.Module):
    """h = relu(x + below), z = h + above, with h's weight `scale` and z's weight 1 / scale."""

    def __init__(self, below: float, above: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(2, 1), nn.Linear(1, 1)
        with torch.no_grad():
            self.fc1.weight.copy_(torch.tensor([[scale, 0.0]]))
            self.fc1.bias.fill_(below * scale)
            self.fc2.weight.fill_(1 / scale)
            self.fc2.bias.fill_(above)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.fc2(torch.relu(self.fc1(x))))


def test_a_layer_moves_what_is_above_it() -> None:
    assert parts(TwoLayers(0), TwoLayers(-0.25), "fc2")[:, 0] == pytest.approx((0.125, 0, 0, 0.125), abs=1e-6)
    assert causes(TwoLayers(0), TwoLayers(-0.25), "fc2")[:, 0] == pytest.approx((0, 0, 0.125), abs=1e-6)


def test_causes_are_parameters_not_geometry() -> None:
    """Seen from an origin far away, the new weights alone turn the unit off everywhere, and the new bias alone on: half each."""
    old, new = line(1, 0, -10), line(0, 1, 6.5)  # x = 0 to y = .5 about (10, -7)
    plane = slices.box((9, 11), (-8, -6))
    assert parts(old, new, plane=plane)[:, 0] == pytest.approx((0.5, 0.125, 0.375, 0), abs=1e-6)
    assert causes(old, new, plane=plane)[:, 0] == pytest.approx((0.25, 0.25, 0), abs=1e-6)
    # Scaled by three nothing moved; by parameters the two cancel.
    rescaled = causes(line(1, 0, -0.5), line(3, 0, -1.5))[:, 0]
    assert rescaled.sum() == pytest.approx(0, abs=1e-6)
    assert abs(rescaled[:2]).min() > 0.03


# --------------------------------------------------------------------------------------------------------------- the oracle


def by_orders(value: Callable[[frozenset[int]], float]) -> list[float]:
    """Return Shapley values as the mean over the six orders in which three players may come."""
    shares = [0.0, 0.0, 0.0]
    for order in permutations(range(3)):
        for place, player in enumerate(order):
            shares[player] += (value(frozenset(order[: place + 1])) - value(frozenset(order[:place]))) / 6
    return shares


def in_canonical_gauge(model: nn.Sequential) -> list[tuple[Floats, Floats]]:
    """Return weights and biases of a stack of linear layers, every row but the last layer's scaled to length one, in float64."""
    found = []
    scale = None
    for module in model:
        if isinstance(module, nn.Linear):
            weight, bias = module.weight.detach().double().numpy(), module.bias.detach().double().numpy()
            weight = weight if scale is None else weight * scale
            scale = np.linalg.norm(weight, axis=1)
            found.append((weight / scale[:, None], bias / scale))
    return found


def oracle(old: nn.Sequential, new: nn.Sequential, resolution: int) -> dict[str, Floats]:
    """Return (4, units) by layer: rescale the networks, then compute the definition unit by unit."""
    us, vs = SQUARE.nodes(resolution)
    u, v = np.meshgrid(us[1:-1], vs[1:-1])
    inputs = [np.stack([u.ravel(), v.ravel()], axis=1)] * 2
    answers = {}
    pairs = list(zip(in_canonical_gauge(old), in_canonical_gauge(new), strict=True))[:-1]
    for number, layers in enumerate(pairs):
        mean = inputs[0].mean(axis=0)
        units = []
        for unit in range(len(layers[0][1])):

            def state(
                coalition: frozenset[int], unit: int = unit, layers: Any = layers, mean: Any = mean, inputs: Any = inputs
            ) -> Any:
                normal = layers[1 in coalition][0][unit]
                source = inputs[2 in coalition]
                offset = layers[0 in coalition]
                return (source - mean) @ normal + (offset[1][unit] + offset[0][unit] @ mean) > 0

            base = state(frozenset())
            value = [float((state(frozenset(c)) != base).mean()) for c in ((0, 1, 2),)]
            if (base.all() and state(frozenset((0, 1, 2))).all()) or not (base.any() or state(frozenset((0, 1, 2))).any()):
                units.append([0.0] * 4)
            else:
                units.append(value + by_orders(lambda c, base=base, state=state: float((state(c) != base).mean())))  # type: ignore[misc]
        answers[str(2 * number)] = np.array(units).T
        inputs = [np.maximum(inputs[k] @ layers[k][0].T + layers[k][1], 0) for k in (0, 1)]
    return answers


@pytest.mark.parametrize("seed", range(6))
def test_the_split_is_that_of_the_definition(seed: int) -> None:
    torch.manual_seed(seed)
    old, new = mlp(2, 6, 5, 4, 1, seed=seed), mlp(2, 6, 5, 4, 1, seed=seed)
    with torch.no_grad():
        for parameter in new.parameters():
            parameter += 0.15 * torch.randn_like(parameter)
    for layer, expected in oracle(old, new, 48).items():
        assert parts(old, new, layer, resolution=48) == pytest.approx(expected, abs=1.5 / 48**2)


@given(st.lists(st.integers(0, 100), min_size=7, max_size=7))
def test_shapley_values_are_the_mean_over_orders_and_add_up(counts: list[int]) -> None:
    totals = np.array([[0], *[[count] for count in counts]])
    found = shapley(totals)[:, 0]
    assert found == pytest.approx(by_orders(lambda c: float(totals[sum(1 << player for player in c), 0])), abs=1e-9)
    assert np.rint(6 * found).sum() == 6 * counts[-1]
    assert 6 * found == pytest.approx(np.rint(6 * found), abs=1e-9)


# ------------------------------------------------------------------------------------------------------------- invariance


def rescaled(model: nn.Sequential, layer: int, factors: torch.Tensor) -> nn.Sequential:
    """Return `model` with the units of a layer scaled, and the weights that read them scaled back."""
    other = copy.deepcopy(model)
    here: Any = other[layer]
    above: Any = other[layer + 2]
    with torch.no_grad():
        here.weight *= factors[:, None]
        here.bias *= factors
        above.weight /= factors
    return other


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=5, max_size=5), st.integers(0, 10), st.sampled_from([0, 2]))
def test_rescaling_a_unit_moves_nothing(factors: list[float], seed: int, layer: int) -> None:
    model = mlp(2, 5, 5, 3, 1, seed=seed)
    other = rescaled(model, layer, torch.tensor(factors))
    for name in ("0", "2", "4"):
        assert abs(parts(model, other, name, resolution=32)).max() <= 1 / 32**2  # a point on a line may fall to either side


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0.05, 20), min_size=5, max_size=5), st.integers(0, 10))
def test_rescaling_hides_no_move_either(factors: list[float], seed: int) -> None:
    """The same move, with one of the two networks written in another scale."""
    model, moved = mlp(2, 5, 5, 1, seed=seed), mlp(2, 5, 5, 1, seed=seed)
    with torch.no_grad():
        moved[0].bias += 0.1
        moved[2].weight[:, 0] += 0.3
    plain = parts(model, moved, "2", resolution=32)
    assert parts(model, rescaled(moved, 0, torch.tensor(factors)), "2", resolution=32) == pytest.approx(plain, abs=4 / 32**2)


def test_units_that_are_zero_on_a_region_are_not_switched_by_rounding() -> None:
    """Behind a dead half-plane z is exactly 0; a rescaled copy of the network must not flip it."""
    model = mlp(2, 5, 5, 1, seed=3)
    with torch.no_grad():
        model[2].bias.zero_()
        model[0].weight.copy_(model[0].weight[:1].expand(5, 2))
        model[0].bias.zero_()
    for factor in (1 / 3, 0.7, 3.3):
        other = rescaled(model, 0, torch.full((5,), factor))
        with torch.no_grad():
            above: Any = other[2]
            above.weight *= factor
        assert not parts(model, other, "2").any()


def test_permuted_units_permute_and_a_complement_moves_alike() -> None:
    model, moved = mlp(2, 6, 4, 1, seed=1), mlp(2, 6, 4, 1, seed=2)
    order = torch.tensor([3, 1, 5, 0, 2, 4])

    def permuted(one: nn.Sequential, sign: int = 1) -> nn.Sequential:
        other = copy.deepcopy(one)
        first: Any = other[0]
        second: Any = other[2]
        with torch.no_grad():
            first.weight.copy_(sign * first.weight[order])
            first.bias.copy_(sign * first.bias[order])
            second.weight.copy_(second.weight[:, order])
        return other

    plain = parts(model, moved)
    assert np.array_equal(parts(permuted(model), permuted(moved)), plain[:, order.numpy()])
    assert parts(permuted(model, -1), permuted(moved, -1)) == pytest.approx(plain[:, order.numpy()], abs=2 / 64**2)
    assert parts(permuted(model), permuted(moved), "2") == pytest.approx(parts(model, moved, "2"), abs=2 / 64**2)


# --------------------------------------------------------------------------------------------------------- kinds of layers


def gauges(old: nn.Module, new: nn.Module) -> dict[str, str]:
    table: Any = metrics.drift_parts(sample(old, new, resolution=16))["drift/layers"]
    return {row["layer"]: row["gauge"] for row in table}


class Net(nn.Module):
    """One unit behind something: what it is is `body`, from inputs (n, 2) to its pre-activation."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x))


def folded(weight: tuple[float, float], gain: float, shift: float, mean: float, deviation: float) -> nn.Sequential:
    """Return a linear unit and a batch-norm: g (w x - m) / s + b."""
    norm = nn.BatchNorm1d(1, eps=1e-12)  # some versions of torch refuse 0
    linear = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([weight]))
        norm.weight.fill_(gain)
        norm.bias.fill_(shift)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(mean)
    norm.running_var.fill_(deviation**2)
    return nn.Sequential(linear, norm)


@pytest.mark.parametrize("gain", [1.0, -2.0])
def test_a_batch_norm_is_folded(gain: float) -> None:
    # 2 (x - .5) / 4 against x: the same line x = .5, whichever parameters say so; then the mean moves the line to x = .75.
    old = Net(folded((2, 0), gain, 0.0, 1.0, 4.0))
    assert not parts(old, Net(folded((1, 0), gain, -gain / 6, 0.0, 3.0)), "body.0").any()
    new = Net(folded((2, 0), gain, 0.0, 1.5, 4.0))
    assert parts(old, new, "body.0")[:, 0] == pytest.approx((0.125, 0.125, 0, 0), abs=1e-6)
    assert causes(old, new, "body.0")[:, 0] == pytest.approx((0.125, 0, 0), abs=1e-6)
    # A larger deviation alone turns the folded line w = g/s, b = -g m/s nowhere: it only rescales.
    assert not parts(old, Net(folded((2, 0), gain, 0.0, 1.0, 9.0)), "body.0").any()


def test_a_functional_linear_layer_is_one() -> None:
    class Functional(nn.Module):
        def __init__(self, weight: float, bias: float) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.tensor([[weight, 0.0]])), nn.Parameter(torch.tensor([float(bias)]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(x, self.weight, self.bias).relu()

    (name,) = sample(Functional(1, 0), Functional(2, -1)).moves
    assert parts(Functional(1, 0), Functional(2, -1), name)[:, 0] == pytest.approx((0.25, 0.25, 0, 0), abs=1e-6)
    assert causes(Functional(1, 0), Functional(1, -0.5), name)[:, 0] == pytest.approx((0.25, 0, 0), abs=1e-6)


class Image(nn.Module):
    """Inputs (n, 2) as an image of one row, (n, 1, 1, 4): x, y, x, y; a convolution; max-pooling; another one."""

    def __init__(self, pad: int = 0, pool: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, (1, 2), padding=(0, pad))
        self.pool = nn.MaxPool2d((1, 2), 1) if pool else nn.Identity()
        self.conv2 = nn.Conv2d(2, 3, (1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, x], dim=1).reshape(-1, 1, 1, 4)
        z: torch.Tensor = self.conv2(self.pool(torch.relu(self.conv1(x))))
        return z.relu()


def test_a_convolution_is_measured_position_by_position() -> None:
    old, new = Image(), Image()
    with torch.no_grad():
        for net, kernel, bias in ((old, [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), (new, [[1.0, 0.0], [1.0, 0.0]], [-0.5, 0.0])):
            net.conv1.weight.copy_(torch.tensor(kernel).reshape(2, 1, 1, 2))
            net.conv1.bias.copy_(torch.tensor(bias))  # type: ignore[union-attr]
    # Channel 0 reads x, y, x at its three places: x = 0 to x = .5 (or y). Channel 1 reads y, x, y, then x, y, x: a quarter turn.
    assert parts(old, new, "conv1")[:, :3].T.tolist() == [[0.25, 0.25, 0, 0]] * 3
    assert parts(old, new, "conv1")[:, 3:].T.tolist() == [[0.5, 0, 0.5, 0]] * 3


def test_a_convolution_is_the_linear_layer_that_it_writes_out() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, (1, 2)), nn.Conv2d(1, 2, (1, 2))

    def as_linear(one: nn.Conv2d) -> nn.Module:
        linear = nn.Linear(4, 6)
        with torch.no_grad():
            linear.weight.zero_()
            for channel in range(2):
                for place in range(3):
                    linear.weight[3 * channel + place, place : place + 2] = one.weight[channel, 0, 0]
                    linear.bias[3 * channel + place] = one.bias[channel]  # type: ignore[index]
        return linear

    def net(layer: nn.Module, image: bool) -> nn.Module:
        class Wide(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                x = torch.cat([x, x], dim=1)
                z: torch.Tensor = self.layer(x.reshape(-1, 1, 1, 4) if image else x)
                return z.relu()

        return Wide()

    image = parts(net(conv[0], True), net(conv[1], True), "layer")
    assert image[0].any()
    assert parts(net(as_linear(conv[0]), False), net(as_linear(conv[1]), False), "layer") == pytest.approx(image, abs=1.5 / 64**2)


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("pool", [False, True])
def test_rescaled_channels_move_nothing_behind_padding_and_pooling(pad: int, pool: bool) -> None:
    torch.manual_seed(1)
    old = Image(pad, pool)
    new = copy.deepcopy(old)
    with torch.no_grad():
        factors = torch.tensor([0.3, 7.0])
        new.conv1.weight *= factors.reshape(2, 1, 1, 1)
        new.conv1.bias *= factors  # type: ignore[operator]
        new.conv2.weight /= factors.reshape(1, 2, 1, 1)
    assert gauges(old, new) == {"conv1": "canonical", "conv2": "canonical"}
    for layer in ("conv1", "conv2"):
        assert abs(parts(old, new, layer)).max() <= 1 / 64**2


class Residual(nn.Module):
    def __init__(self, bias: float) -> None:
        super().__init__()
        self.fc1, self.fc2, self.out = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1)
        with torch.no_grad():
            for layer in (self.fc1, self.fc2):
                layer.weight.copy_(torch.eye(2))
                layer.bias.zero_()
            self.out.weight.fill_(1.0)
            self.out.bias.zero_()
            self.fc2.bias.fill_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(x + self.fc2(torch.relu(self.fc1(x))))
        return torch.relu(self.out(x))


def test_a_residual_sum_has_no_map_so_only_the_flipped_area_is_given() -> None:
    """x + relu(x) - b is positive from x = 0 on, then from x = b / 2 on."""
    (name,) = {layer.name for layer in sample(Residual(0), Residual(-0.5)).now.layers} - {"fc1", "out"}
    found = parts(Residual(0), Residual(-0.5), name)
    assert found[0] == pytest.approx([0.125, 0.125], abs=1e-6)
    assert np.isnan(found[1:]).all()
    assert np.isnan(causes(Residual(0), Residual(-0.5), name)).all()
    assert gauges(Residual(0), Residual(-0.5)) == {"fc1": "canonical", name: "none", "out": "own"}
    values: Any = metrics.drift_parts(sample(Residual(0), Residual(-0.5)))
    assert values[f"drift/flipped/{name}"] == pytest.approx(0.125)
    assert np.isnan(values[f"drift/shift/{name}"])


def test_what_is_not_known_to_be_the_input_is_the_units_own() -> None:
    """Behind a clamp that is not seen, a linear layer without an activation, a normalisation: nothing is claimed."""
    for before in (nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), nn.Linear(2, 2), nn.LayerNorm(2)):
        net = nn.Sequential(before, nn.Linear(2, 3), nn.ReLU())
        assert gauges(net, copy.deepcopy(net)) == {"1": "own"}

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.both = nn.Linear(2, 3), nn.Linear(1, 3), nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.one(x).relu()
            z: torch.Tensor = self.both(torch.cat([h, self.other(x[:, 1:]).relu()], dim=1))
            return z.relu()

    assert set(gauges(Branches(), Branches()).values()) == {"canonical"}
    both = sample(Branches(), Branches())
    assert {"line/turn/one", "line/turn/other"} <= set(metrics.line_motion(both))


def test_the_gauge_stays_the_units_own_above_a_layer_whose_scale_is_not_known() -> None:
    layers = [nn.Linear(2, 3), nn.Hardtanh(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU()]
    net = nn.Sequential(*layers)
    assert gauges(net, copy.deepcopy(net)) == {"0": "canonical", "2": "own", "4": "own", "6": "own"}

    class Sometimes(nn.Module):
        def __init__(self, norm: bool) -> None:
            super().__init__()
            self.norm, self.fc1, self.fc2 = norm, nn.Linear(2, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.fc1(x).relu()
            z: torch.Tensor = self.fc2(F.layer_norm(h, (3,)) if self.norm else h)
            return z.relu()

    for old, new in ((True, False), (False, True)):
        assert gauges(Sometimes(old), Sometimes(new)) == {"fc1": "canonical", "fc2": "own"}


def test_upsampling_within_channels_carries_their_scale() -> None:
    """Whose rounding is no difference: a rescaled network has not moved, at padded borders neither."""

    class Up(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.conv1(x.reshape(-1, 1, 1, 2)).relu()
            z: torch.Tensor = self.conv2(F.interpolate(h, (13, 11), mode="bilinear"))
            return z.relu()

    for seed in range(6):
        torch.manual_seed(seed)
        old = Up()
        new = copy.deepcopy(old)
        with torch.no_grad():
            factors = torch.tensor([0.37, 5.3, 1.7])
            new.conv1.weight *= factors.reshape(3, 1, 1, 1)
            new.conv1.bias *= factors  # type: ignore[operator]
            new.conv2.weight /= factors.reshape(1, 3, 1, 1)
        assert gauges(old, new) == {"conv1": "canonical", "conv2": "canonical"}
        assert abs(parts(old, new, "conv2", resolution=32)).max() <= 2 / 32**2


def test_a_unit_that_is_not_read_does_not_count() -> None:
    """A convolution over units of a linear layer: one that never reads the rescaled unit has not moved."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.conv = nn.Linear(2, 4), nn.Conv1d(1, 1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z: torch.Tensor = self.conv(self.fc(x).relu().view(-1, 1, 4))
            return z.relu()

    torch.manual_seed(3)
    old = Mixed()
    with torch.no_grad():
        old.fc.bias[3] = -9.0
    new = copy.deepcopy(old)
    with torch.no_grad():
        new.fc.weight[3] *= 10
        new.fc.bias[3] *= 10
    assert not parts(old, new, "conv")[:, :2].any()


def test_behind_a_normalisation_or_a_smooth_unit_the_gauge_is_the_units_own() -> None:
    normal = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 3), nn.ReLU())
    assert gauges(normal, copy.deepcopy(normal)) == {"0": "canonical", "3": "own"}
    assert gauges(mlp(2, 4, 4, 1, act=nn.Tanh), mlp(2, 4, 4, 1, act=nn.Tanh)) == {"0": "canonical", "2": "own"}
    assert gauges(mlp(2, 4, 4, 1, act=nn.LeakyReLU), mlp(2, 4, 4, 1, act=nn.LeakyReLU)) == {"0": "canonical", "2": "canonical"}


# ------------------------------------------------------------------------------------------------------------- everything


def test_the_parts_add_up_to_what_flipped() -> None:
    old, new = mlp(2, 16, 16, 16, 2, seed=0), mlp(2, 16, 16, 16, 2, seed=5)
    both = sample(old, new)
    drift: Any = metrics.drift_parts(both)
    cause: Any = metrics.drift_causes(both)
    for layer in ("0", "2", "4"):
        total = both.moves[layer].geometry[7]
        for counts in (both.moves[layer].geometry, both.moves[layer].cause):
            assert (np.rint(6 * shapley(counts)).sum(axis=0) == 6 * total).all()
            assert np.array_equal(counts[7], total)
        assert total.any()
        assert drift[f"drift/flipped/{layer}"] == pytest.approx(sum(drift[f"drift/{part}/{layer}"] for part in PARTS[1:]))
        assert drift[f"drift/flipped/{layer}"] == pytest.approx(
            sum(cause[f"cause/{p}/{layer}"] for p in ("bias", "weights", "upstream"))
        )
        # The traced pass and the sweep look at the same points.
        flipped = (both.now.mask(layer) != both.before.mask(layer)).mean(axis=(1, 2))  # type: ignore[union-attr]
        assert drift[f"drift/flipped_per_unit/{layer}"] == pytest.approx(flipped, abs=1.5 / 64**2)


def test_nothing_is_compared_at_the_first_sample_or_with_other_layers() -> None:
    first = look(mlp(2, 4, 1), SQUARE, resolution=16, trace=True)
    assert metrics.drift_parts(Sample(first.capture, first.boundaries)) == {}
    assert metrics.drift_causes(Sample(first.capture, first.boundaries)) == {}
    assert metrics.line_motion(Sample(first.capture, first.boundaries)) == {}
    assert look(mlp(2, 5, 1), SQUARE, resolution=16, trace=True, before=first.traces).moves == {}


def test_parts_add_up_on_a_coarser_grid_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many units are traced at fewer points than the masks have: then flipped is that of these points."""
    monkeypatch.setattr("boundarycb.probe.budget.VALUES", 36 * 400)
    both = sample(mlp(2, 16, 16, 4, 2), mlp(2, 16, 16, 4, 2, seed=1))
    values: Any = metrics.drift_parts(both)
    for layer in ("0", "2", "4"):
        assert both.moves[layer].points == 400
        assert values[f"drift/flipped/{layer}"] == pytest.approx(sum(values[f"drift/{part}/{layer}"] for part in PARTS[1:]))
        flipped = (both.now.mask(layer) != both.before.mask(layer)).mean()  # type: ignore[union-attr]
        assert values[f"drift/flipped/{layer}"] == pytest.approx(flipped, abs=0.02)


def test_the_slightest_move_of_what_is_below_counts() -> None:
    """x = 0 moves by 5e-4, which z = 1000 h - .2 sees on a slice that is 4e-3 wide."""
    plane = slices.box((-0.002, 0.002), (-1, 1))

    def net(bias: float) -> nn.Module:
        model = TwoLayers(bias, -0.2)
        with torch.no_grad():
            model.fc2.weight.fill_(1000.0)
        return model

    assert parts(net(0), net(5e-4), "fc2", plane)[:, 0] == pytest.approx((0.125, 0, 0, 0.125), abs=1e-6)


def test_a_unit_that_stays_on_everywhere_has_not_moved() -> None:
    assert not parts(line(0.1, 0, 1), line(0, 5, 6)).any()
    assert not causes(line(0.1, 0, 1), line(0, 5, 6)).any()


def test_undefined_units_have_no_drift() -> None:
    old, new = mlp(2, 4, 1), mlp(2, 4, 1, seed=1)
    with torch.no_grad():
        new[0].weight[1, 0] = torch.nan
    found = parts(old, new)
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[:, [0, 2, 3]]).all()
    assert np.isnan(causes(old, new)[:, 1]).all()
    assert np.isfinite(causes(old, new)[:, [0, 2, 3]]).all()


def test_what_does_not_change_is_exactly_zero() -> None:
    model = mlp(2, 16, 16, 2)
    seen: Look = look(model, SQUARE, resolution=32, trace=True)
    again = look(model, SQUARE, resolution=32, trace=True, before=seen.traces)
    for moves in again.moves.values():
        assert not moves.geometry.any()
        assert not moves.cause.any()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_a_small_shift_is_one_in_every_precision(kind: torch.dtype) -> None:
    found = parts(line(1, 0, 0).to(kind), line(1, 0, -0.03125).to(kind), resolution=128)
    assert found[:, 0] == pytest.approx((0.015625, 0.015625, 0, 0), abs=1e-6)
    both = sample(line(1, 0, 0).to(kind), line(0, 1, 0).to(kind))
    assert dict(metrics.line_motion(both))["line/turn/0"] == pytest.approx(90, abs=0.5)


def test_double_precision_and_half_precision_models() -> None:
    for kind in (torch.float64, torch.bfloat16):
        old, new = line(1, 0, 0).to(kind), line(0, 1, -0.5).to(kind)
        assert parts(old, new)[:, 0] == pytest.approx((0.5, 0.125, 0.375, 0), abs=0.02)


@pytest.mark.parametrize(("resolution", "width"), [(2, 4), (4, 16), (16, 256)])
def test_no_point_counts_twice_where_a_layer_is_as_wide_as_there_are_points(resolution: int, width: int) -> None:
    """Such a batch could not be told from the layer, so it runs with a point more."""
    torch.manual_seed(0)
    old: Any = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))
    new = copy.deepcopy(old)
    with torch.no_grad():
        new[0].bias += 0.5
    both = sample(old, new, resolution=resolution)
    assert both.moves["0"].points == resolution**2
    values: Any = metrics.drift_parts(both)
    assert both.before is not None
    flipped = (both.now.mask("0") != both.before.mask("0")).mean(axis=(1, 2))
    assert np.array_equal(values["drift/flipped_per_unit/0"], flipped)


def test_a_unit_that_was_undefined_before_has_no_drift() -> None:
    layer = Layer("fc", "relu", (2,), (0, 1))
    before = Capture((layer,), 2, np.packbits([[1, 1, 0, 0], [1, 1, 0, 0]], axis=1), undefined=np.array([0]))
    now = Capture((layer,), 2, np.packbits([[0, 0, 0, 0], [1, 1, 0, 0]], axis=1))
    found = metrics.drift_parts(Sample(now, Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (layer,)), before))
    assert found["drift/flipped/fc"] == 0
    assert np.isnan(np.asarray(found["drift/flipped_per_unit/fc"])).tolist() == [True, False]


def test_a_sample_without_a_drift_does_not_end_the_sum() -> None:
    finals = Finals(points=100)
    for flipped in (0.5, float("nan"), 0.25):
        finals.add({"drift/flipped/fc": flipped})
    assert finals.numbers()["total/drift/flipped/fc"] == 0.75
