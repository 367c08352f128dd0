"""The traced pass: what it keeps, of which layers, at how many points; and that it fails without harm."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import Ginn, mlp
from torch import nn

from boundarycb import BoundaryWarning, Recorder, load, metrics, slices
from boundarycb.automatic import Data
from boundarycb.engines.bands import centres
from boundarycb.engines.grid import LineReader
from boundarycb.engines.straight import planes
from boundarycb.probe import Budget, Conditions, Prober, Trace, joined, probe
from boundarycb.probe import budget as limits
from boundarycb.probe.affine import Affine, Step
from boundarycb.probe.calls import Call
from boundarycb.sampling import look
from boundarycb.types import Layer

SQUARE = slices.box((-1, 1), (-1, 1))
POINTS = centres(SQUARE, 9)


def traced(model: nn.Module, points: Any = POINTS, max_units: int = 512) -> tuple[Trace, ...]:
    with probe(model, Conditions(max_units=max_units)) as forward:
        names = {layer.name for layer in forward(points).layers}
        return joined([forward.trace(points, names)])


def test_a_pass_that_needs_a_graph_leaves_none_in_its_traces() -> None:
    class Gradient(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.energy = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]

    traces = traced(Gradient())
    assert [one.layer.name for one in traces] == ["energy.0", "energy.2"]
    for one in traces:
        assert one.replay is not None
        tensors = [one.z, one.strength, one.replay.source, one.replay.scale, one.replay.norms]
        assert not any(tensor.requires_grad for tensor in tensors)
        assert torch.equal(one.replay(one.replay.source), one.z)


class Net(nn.Module):
    """A first layer of four units, what follows, and a last layer of three."""

    def __init__(self, follow: Any, width: int = 4, op: Any = F.relu) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 4), nn.Linear(width, 3)
        self.follow, self.op = follow, op

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.last(self.follow(self.op(self.first(x))))
        return F.relu(z)


FOLLOW: dict[str, tuple[Any, int, bool]] = {
    "nothing": (lambda h: h, 4, True),
    "reshaped": (lambda h: h.reshape(len(h), 2, 2).flatten(1), 4, True),
    "with the batch named": (lambda h: h.view(h.shape[0], -1, 2).view(h.shape[0], -1), 4, True),
    "permuted": (lambda h: h.reshape(-1, 2, 2).permute(0, 2, 1).reshape(-1, 4), 4, True),
    "in parts": (lambda h: torch.cat([h[:, 2:], h[:, :2]], dim=1), 4, True),
    "chunks": (lambda h: torch.cat(h.chunk(2, dim=1)[::-1], dim=1), 4, True),
    "named": (lambda h: torch.cat(tensors=(h[:, 2:], h[:, :2]), dim=1), 4, True),
    "turned over": (lambda h: h.flip(1).roll(1, dims=1), 4, True),
    "unflattened": (lambda h: h.unflatten(1, (2, 2)).flatten(1), 4, True),
    "the highest of the dead": (lambda h: (0 * h).amax(dim=1, keepdim=True), 1, False),
    "dropout that is off": (lambda h: F.dropout(h, 0.5, training=False), 4, True),
    "max-pooled unit by unit": (lambda h: F.max_pool1d(torch.stack([h, h], dim=2), 2).flatten(1), 4, True),
    "mean-pooled unit by unit": (lambda h: F.avg_pool1d(torch.stack([h, h], dim=2), 2).flatten(1), 4, True),
    "the highest of itself": (lambda h: torch.stack([h, h], dim=2).amax(dim=2), 4, True),
    "max-pooled across units": (lambda h: F.max_pool1d(h.unsqueeze(1), 2).flatten(1), 2, False),
    "mean-pooled across units": (lambda h: F.avg_pool1d(h.unsqueeze(1), 2).flatten(1), 2, False),
    "the highest unit": (lambda h: h.amax(dim=1, keepdim=True), 1, False),
    "into a buffer": (lambda h: torch.cat([h[:, 2:], h[:, :2]], dim=1, out=torch.empty_like(h)), 4, False),
    "viewed as only it can be": (lambda h: h.view(-1).view(h.shape), 4, False),
    "padded": (lambda h: F.pad(h, (1, 1)), 6, True),
    "a sum": (lambda h: h + 1, 4, False),
    "normalised": (lambda h: F.layer_norm(h, (4,)), 4, False),
    "a product": (lambda h: h * h, 4, False),
    "with another": (lambda h: torch.cat([h, torch.ones_like(h)], dim=1), 8, False),
}


@pytest.mark.parametrize("name", FOLLOW)
def test_the_scale_of_a_unit_is_carried_by_what_commutes_with_it(name: str) -> None:
    follow, width, canonical = FOLLOW[name]
    model = Net(follow, width)
    last = traced(model)[-1].replay
    assert last is not None
    assert last.canonical == canonical
    if canonical:  # the scale goes through like an activation of one sample
        norms = model.first.weight.detach().norm(dim=1)
        expected = follow(norms[None].expand(len(POINTS), 4))[:2]
        assert last.scale == pytest.approx(expected)
    else:
        assert (last.scale == 1).all()


@pytest.mark.parametrize("op", [F.leaky_relu, F.rrelu, lambda h: F.prelu(h, torch.tensor([0.1])), lambda h: h.relu_(), torch.relu])
def test_homogeneous_activations_carry_the_scale(op: Any) -> None:
    replay = traced(Net(lambda h: h, op=op))[-1].replay
    assert replay is not None
    assert replay.canonical


@pytest.mark.parametrize("op", [torch.tanh, F.gelu, F.relu6, F.elu, F.softplus, F.silu])
def test_other_activations_do_not(op: Any) -> None:
    replay = traced(Net(lambda h: h, op=op))[-1].replay
    assert replay is not None
    assert not replay.canonical


def norms_of(layer: nn.Module, shape: tuple[int, ...], scale: torch.Tensor | None = None, *after: nn.Module) -> torch.Tensor:
    """Return what a layer's |w| are said to be, for inputs of `shape` made of two coordinates."""

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.after = layer, nn.Sequential(*after)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z: torch.Tensor = self.after(self.layer(x.sum(dim=1).reshape(-1, *[1] * len(shape)).expand(-1, *shape)))
            return F.relu(z)

    with probe(One()) as forward:
        forward(POINTS)
        affine = forward.calls[0].affine
        assert affine is not None
        found: torch.Tensor = affine.norms(torch.ones(2, *shape) if scale is None else scale.expand(2, *scale.shape[1:]))
        return found


@torch.no_grad()
def test_norms_are_those_of_the_rows() -> None:
    torch.manual_seed(0)
    scale = torch.rand(1, 6) + 0.5
    linear = nn.Linear(6, 5)
    assert norms_of(linear, (6,), scale)[0] == pytest.approx((linear.weight * scale).norm(dim=1))
    wide = torch.rand(1, 6, 1, 1) + 0.5
    for groups in (1, 2, 3):
        for layer in (nn.Conv2d(6, 12, 3, groups=groups, padding=1), nn.ConvTranspose2d(6, 12, 3, groups=groups)):
            found = norms_of(layer, (6, 4, 4), wide.expand(1, 6, 4, 4))
            by_hand = []
            for channel in range(12):
                inside = range(channel // (12 // groups) * (6 // groups), (channel // (12 // groups) + 1) * (6 // groups))
                if isinstance(layer, nn.Conv2d):
                    taps = [layer.weight[channel, place] for place in range(6 // groups)]
                else:
                    taps = [layer.weight[source, channel % (12 // groups)] for source in inside]
                squares = sum(float((tap * wide[0, source]).square().sum()) for tap, source in zip(taps, inside, strict=True))
                by_hand.append(squares**0.5)
            assert found.amax(dim=(0, 2, 3)) == pytest.approx(by_hand, rel=1e-5)
            assert (found == found[:, :, :1, :1]).all()


@torch.no_grad()
def test_rounding_in_a_channels_scale_is_no_difference_between_places() -> None:
    """As upsampling leaves it; and where places differ indeed, each has the norm of what it reads."""
    layer = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    rough = torch.tensor([0.3712, 5.31]).reshape(1, 2, 1, 1) * (1 + 1e-6 * torch.rand(1, 2, 4, 4))
    found = norms_of(layer, (2, 4, 4), rough)
    assert (found == found[:, :, :1, :1]).all()
    half = torch.ones(1, 2, 4, 4)
    half[..., :2] = 10
    corner = norms_of(layer, (2, 4, 4), half)[0, :, 3, 3]  # which reads the right columns only, and no padding
    assert corner == pytest.approx(layer.weight[:, :, :2, :2].square().sum(dim=(1, 2, 3)).sqrt(), rel=1e-5)


@torch.no_grad()
def test_norms_are_folded_with_a_batch_norm() -> None:
    norm = nn.BatchNorm1d(5)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.weight.copy_(torch.tensor([1.0, -2, 0, 3, 0.5]))
    norm.running_mean.uniform_(-3, 3)
    norm.running_var.uniform_(0.5, 4)
    linear = nn.Linear(6, 5)
    expected = linear.weight.norm(dim=1) * (norm.weight / (norm.running_var + norm.eps).sqrt()).abs()
    assert norms_of(linear, (6,), None, norm)[0] == pytest.approx(expected, abs=1e-5)


def test_products_and_glu_and_sequences_have_norms_and_a_map() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.randn(2, 6)), nn.Parameter(torch.randn(4))
            self.c, self.d = nn.Parameter(torch.randn(3, 4)), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = F.glu(x @ self.a)
            h = torch.addmm(self.b, h, self.c, alpha=0.5).relu()
            time_first = torch.stack([h, 2 * h])  # (time, batch, features)
            z: torch.Tensor = self.d(time_first).relu()[1]
            return z

    model = Mixed()
    traces = traced(model)
    expected = [model.a.detach()[:, 3:].norm(dim=0), 0.5 * model.c.detach().norm(dim=0), model.d.weight.detach().norm(dim=1)]
    for trace, norms in zip(traces, expected, strict=True):
        assert trace.replay is not None
        assert torch.allclose(trace.replay(trace.replay.source), trace.z)
        assert trace.replay.norms[-len(norms) :] == pytest.approx(norms, rel=1e-5)


def test_what_was_kept_does_not_change_with_the_model() -> None:
    model = Ginn()
    before = traced(model)
    copies = [(trace.z.clone(), trace.replay.source.clone()) for trace in before if trace.replay is not None]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)
    for trace, (z, source) in zip(before, copies, strict=True):
        assert trace.replay is not None
        assert torch.equal(trace.z, z)
        assert torch.equal(trace.replay.source, source)
        assert torch.equal(trace.replay(source), z)


def test_an_input_that_is_overwritten_later_is_kept_as_it_was() -> None:
    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(2, 3), nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.fc1(x).relu_()
            z: torch.Tensor = self.fc2(h).relu()
            h += 100
            out: torch.Tensor = z + h
            return out

    for trace in traced(Overwrites()):
        assert trace.replay is not None
        assert torch.equal(trace.replay(trace.replay.source), trace.z)


def test_batches_are_joined_as_if_they_had_run_together() -> None:
    model = mlp(2, 5, 4, 1)
    with probe(model) as forward:
        whole = forward.trace(POINTS, {"0", "2"})
        parts = joined([forward.trace(part, {"0", "2"}) for part in (POINTS[:50], POINTS[50:60], POINTS[60:])])
    for one, other in zip(whole, parts, strict=True):
        assert other.z == pytest.approx(one.z, abs=1e-6)
        assert other.strength == pytest.approx(one.strength, abs=1e-6)
        assert one.replay is not None
        assert other.replay is not None
        assert other.replay.source == pytest.approx(one.replay.source, abs=1e-6)


def test_weights_are_copied_once_however_many_batches_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large network runs in many small batches: a copy a batch would be gigabytes."""
    copies: list[Affine] = []
    copied = Affine.copied

    def counting(affine: Affine) -> Affine:
        copies.append(affine)
        return copied(affine)

    monkeypatch.setattr(Affine, "copied", counting)
    monkeypatch.setattr("boundarycb.engines.bands._BAND_VALUES", 100)
    model = mlp(2, 6, 4, 1)
    seen = look(model, SQUARE, resolution=16, trace=True)
    assert len(copies) == 2
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)
    for trace in seen.traces:
        assert trace.replay is not None
        assert len(trace.replay.source) == 256
        assert trace.replay(trace.replay.source) == pytest.approx(trace.z, abs=1e-6)


def test_watched_units_are_traced_and_no_others() -> None:
    (trace,) = traced(mlp(2, 20, 1), max_units=5)
    assert trace.z.shape == (81, 5)
    assert trace.replay is not None
    assert trace.replay(trace.replay.source) == pytest.approx(trace.z)
    assert trace.strength.shape == trace.replay.norms.shape == (5,)


class Odd(nn.Module):
    """Two layers with something in between, or behind, that a careless map would stumble over."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.a, self.b = nn.Linear(2, 6), nn.Linear(3 if kind == "folded" else 6, 1)
        self.conv = nn.Conv1d(1, 3, 1)
        self.shift = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x).relu()
        z: torch.Tensor = self.b(h.reshape(-1, 3) if self.kind == "folded" else h)
        if self.kind == "squeezed":
            return torch.sigmoid(z.squeeze())
        if self.kind == "flattened convolution":
            z = self.conv(x.sum(dim=1).reshape(-1, 1, 1)).flatten(1)
        if self.kind == "folded":
            z = z.reshape(-1, 2)
        if self.kind == "added in place":
            z = z.add_(self.shift)
        if self.kind == "added with a factor":
            z = torch.add(z, self.shift, alpha=2)
        return z.relu()


ODD = ("squeezed", "flattened convolution", "folded", "added in place", "added with a factor", "plain")


@pytest.mark.parametrize("kind", ODD)
def test_odd_layers_have_their_map_or_none_and_do_no_harm_to_others(kind: str) -> None:
    torch.manual_seed(0)
    old, new = Odd(kind), Odd(kind)
    before = look(old, SQUARE, resolution=16, trace=True)
    now = look(new, SQUARE, resolution=16, trace=True, before=before.traces)
    assert now.moves["a"].geometry.any()
    assert now.capture.strength is not None
    assert np.isfinite(now.capture.strength).all()
    for trace in now.traces:
        if trace.replay is not None:
            assert torch.allclose(trace.replay(trace.replay.source), trace.z)
    left_out = [note for note in now.notes if "its map cannot be made again" in note]
    assert [note.split()[2] for note in left_out] == (["b"] if kind == "folded" else [])
    if kind == "added in place":
        replay = now.traces[-1].replay
        assert replay is not None
        assert replay.norms == pytest.approx((new.b.weight * new.a.weight.norm(dim=1)).norm(dim=1).detach(), rel=1e-5)


def test_names_do_not_depend_on_how_many_points_run_together() -> None:
    """A size among the arguments of a reshaping that happens to be the number of points."""

    class Sized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.fc(x).view(-1, 64).view(x.shape[0], 8, 8).flatten(1))

    with probe(Sized()) as forward:
        for n in (1, 2, 8, 63, 64, 65):
            assert [layer.name for layer in forward(np.zeros((n, 2))).layers] == ["fc"]
    assert look(Sized(), SQUARE, resolution=62).capture.layers[0].name == "fc"  # whose rows have 64 nodes


def test_a_sequence_first_model_moves_like_a_batch_first_one() -> None:
    class Sequence(nn.Module):
        def __init__(self, first: bool) -> None:
            super().__init__()
            self.first = first
            self.fc1, self.fc2 = nn.Linear(1, 3), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            steps = x[:, :, None].transpose(0, 1) if self.first else x[:, :, None]  # two steps of one feature
            z = self.fc2(self.fc1(steps).relu()).relu()
            out: torch.Tensor = (z.transpose(0, 1) if self.first else z).flatten(1)
            return out

    found = []
    for first in (False, True):
        old, new = Sequence(first), Sequence(first)
        for seed, model in ((0, old), (1, new)):
            torch.manual_seed(seed)
            for parameter in model.parameters():
                nn.init.normal_(parameter)
        before = look(old, SQUARE, resolution=32, trace=True)
        found.append(look(new, SQUARE, resolution=32, trace=True, before=before.traces).moves)
    for layer in ("fc1", "fc2"):
        assert found[1][layer].gauge == found[0][layer].gauge == "canonical"
        assert found[0][layer].geometry.any()
        assert abs(found[1][layer].geometry - found[0][layer].geometry).max() <= 2
        assert abs(found[1][layer].cause - found[0][layer].cause).max() <= 2


@torch.no_grad()
def test_large_weights_in_half_precision_have_their_norm() -> None:
    layer = nn.Linear(6, 2).half()
    layer.weight.fill_(300.0)  # whose squares are out of half precision's range
    affine = Affine("fc", (Step(F.linear, (None, layer.weight, layer.bias), {}, 0),))
    assert affine.norms(torch.ones(2, 6, dtype=torch.float16))[0].float() == pytest.approx([300 * 6**0.5] * 2, rel=1e-3)
    assert affine.bytes() == 2 * (12 + 2)


def test_the_scale_is_not_computed_in_half_precision_under_autocast() -> None:
    """Squares of 300 and more are out of its range, and weights of 1e-4 have squares below it."""
    torch.manual_seed(0)
    model = mlp(2, 6, 6, 2)
    with torch.no_grad():
        model[0].weight.fill_(300.0)
        model[2].weight.fill_(1e-4)
    found = []
    for context in (nullcontext, partial(torch.autocast, "cpu", torch.float16)):
        with probe(model, Conditions(context=context)) as forward:
            found.append(forward.trace(POINTS[:16], {layer.name for layer in forward(POINTS[:16]).layers}))
    for plain, half in zip(*found, strict=True):
        assert plain.replay is not None
        assert half.replay is not None
        assert half.z.dtype == torch.float16
        assert half.replay.norms.float() == pytest.approx(plain.replay.norms.float(), rel=2e-3)
    norms = found[0][1].replay
    assert norms is not None
    assert norms.norms.tolist() == pytest.approx([1e-4 * 300 * 2**0.5 * 6**0.5] * 6, rel=1e-3)


# ------------------------------------------------------------------------------------------------------------------ budget


def call(name: str, size: int, weights: int, inputs: int, affine: Any = "yes") -> Call:
    return Call(Layer(name, "relu", (size,), (0,)), torch.empty(0), affine, (weights, inputs))


def test_small_networks_are_traced_on_the_whole_grid() -> None:
    assert Budget.of([call("a", 48, 1000, 8)], 128) == Budget(128, frozenset("a"), ())
    assert Budget.of([call("a", 48, 1000, 8)], 8).side == 8


def test_many_units_take_fewer_points_but_not_too_few() -> None:
    assert Budget.of([call("a", 1000, 1000, 8)], 128).side ** 2 <= limits.VALUES // 1000
    assert Budget.of([call("a", 10**7, 1000, 8)], 128).side == 16


def test_memory_bounds_points_and_layers() -> None:
    megabyte = 2**20
    assert Budget.of([call("a", 10, megabyte, 32 * 1024)], 128).side == int((63 * megabyte / (32 * 1024)) ** 0.5)
    # Input of 64 MB at 256 points, or weights of more: not kept, and named.
    allowed = Budget.of(
        [call("a", 10, 0, 8), call("b", 10, 0, 300 * 1024), call("c", 10, 65 * megabyte, 8), call("d", 10, 0, 0, None)], 128
    )
    assert (allowed.names, allowed.left_out) == (frozenset("a"), ("b", "c"))
    # Six layers of 50 to 55 MB weights: the largest go, so that all take 256 MB.
    many = Budget.of([call(str(k), 10, (50 + k) * megabyte, 64) for k in range(6)] + [call("small", 10, 0, 64)], 128)
    assert (many.names, many.left_out) == (frozenset({"0", "1", "2", "3", "small"}), ("4", "5"))


def test_the_largest_layers_go_first_and_all_inputs_together_bound_the_points() -> None:
    megabyte = 2**20
    many = Budget.of([call(str(k), 10, (60 - 5 * k) * megabyte, 64) for k in range(6)], 128)
    assert many.left_out == ("0",)  # 60 + 55 + 50 + 45 + 40 + 35 MB are 285
    ten = Budget.of([call(str(k), 10, 0, 16 * 1024) for k in range(10)], 256)
    assert ten.side == int((256 * megabyte / (10 * 16 * 1024)) ** 0.5)  # 40, not the 64 that one layer alone would allow
    few = Budget.of([call("a", 10, 0, 300 * 1024)], 8)
    assert few == Budget(8, frozenset("a"), ())  # 64 points of it are 19 MB


def test_a_layer_that_is_too_large_is_said_and_has_its_flipped_area(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LAYER_BYTES", 20_000)
    model = mlp(2, 40, 4, 1)
    recorder = Recorder(tmp_path, SQUARE, resolution=32)
    with pytest.warns(
        BoundaryWarning, match="drift of 2 is not split into its parts, since weights and inputs take too much memory"
    ):
        recorder.record(model, 0)
    with torch.no_grad():
        model[0].bias += 0.3
    recorder.record(model, 1)
    recorder.close()
    last = load(tmp_path)[-1]
    assert np.isnan(last.metrics["drift/shift/2"])
    assert last.metrics["drift/flipped/2"] > 0
    assert last.metrics["drift/shift/0"] > 0


def test_what_fails_in_a_traced_pass_costs_its_numbers_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Prober, "trace", fails)
    model = mlp(2, 4, 1)
    recorder = Recorder(tmp_path, SQUARE, resolution=16)
    with pytest.warns(BoundaryWarning, match=r"drift is not split .* \(RuntimeError: out of memory\)"):
        recorder.record(model, 0)
    with torch.no_grad():
        model[0].bias += 0.5
    recorder.record(model, 1)  # and says it once
    recorder.close()
    last = load(tmp_path)[-1]
    assert last.metrics["drift/flipped/0"] > 0
    assert np.isnan(last.metrics["drift/shift/0"])
    assert "dormant/tau/0" not in last.metrics
    assert "dormant/live/0" in last.metrics


class LeavesOut(Odd):
    """A layer whose input is large, one whose map is of no use, a hook, and something that bends behind all units."""

    def __init__(self) -> None:
        super().__init__("folded")
        self.large = nn.Linear(400, 2)
        self.register_forward_hook(lambda *_: None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if (x > 8).any():
            raise RuntimeError("too far away")
        return (super().forward(self.large(x.repeat(1, 200)).relu() + x) + x).clamp(min=0)


HOOKS = "hooks that are not the model's own were not run"
BENDS = "clamp in its forward may bend what the network gives"
TOO_LARGE = "drift of large is not split into its parts, since weights and inputs take too much memory"
NO_MAP = "drift of b is not split into its parts, since its map cannot be made again"
NOT_TRACED = "drift is not split into its parts, since the pass that keeps inputs and weights failed"
SAMPLES = "samples of the data are left out, since their pass failed"


@pytest.mark.parametrize(("fails", "said"), [(False, (TOO_LARGE, NO_MAP)), (True, (NOT_TRACED,))])
def test_all_that_a_look_left_out_is_said(fails: bool, said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else was left out, in the order in which it was."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    torch.manual_seed(0)
    monkeypatch.setattr(limits, "LAYER_BYTES", 100_000)  # the large input of 256 points takes 410,000
    before = look(LeavesOut(), SQUARE, resolution=16, trace=True).traces
    if fails:
        monkeypatch.setattr(Prober, "trace", fail)
    seen = look(LeavesOut(), SQUARE, resolution=16, trace=True, before=before, data=Data.of(torch.full((5, 2), 9.0)))
    for note, words in zip(seen.notes, (HOOKS, BENDS, *said, SAMPLES), strict=True):
        assert words in note


def test_all_that_a_picture_does_not_show_is_said_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the grid drew it, that only some of the units are drawn, and that the lines are noise."""

    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.a(x))
            return torch.relu(self.b(torch.maximum(h, 0.3 - h)) + 0.1 * torch.rand(1))

    torch.manual_seed(0)
    monkeypatch.setattr("boundarycb.sampling.looking.LineReader", partial(LineReader, max_segments=10))
    notes = look(Noisy(), SQUARE, resolution=16).boundaries.notes
    for note, words in zip(notes, ("traced on a grid, since", "unit only: more than 10 segments", "random numbers"), strict=True):
        assert words in note


def test_only_metrics_that_need_it_make_a_traced_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(Prober, "trace", fails)
    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[metrics.on_share, metrics.copycats])
    recorder.record(mlp(2, 4, 1), 0)
    recorder.close()
    assert look(mlp(2, 4, 1), SQUARE, resolution=16).capture.strength is None


def test_a_model_that_grows_layers_starts_anew(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SQUARE, resolution=16)
    recorder.record(mlp(2, 4, 1), 0)
    with pytest.warns(BoundaryWarning, match="step 1: the model called other layers than at the last sample"):
        recorder.record(mlp(2, 6, 6, 1), 1)
    recorder.record(mlp(2, 6, 6, 1, seed=1), 2)
    recorder.close()
    steps, values = load(tmp_path).series("drift/flipped/0")
    assert steps.tolist() == [0, 1, 2]
    assert np.isnan(values[:2]).all()
    assert values[2] > 0


def test_a_layer_that_is_skipped_at_one_sample_costs_that_comparison_only(tmp_path: Path) -> None:
    """What was known of the others holds on: chance levels, since when pairs are copycats, revivals, the first lines."""

    class Skips(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(2, 8), nn.Linear(8, 4)
            self.on = True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.fc1(x))
            return torch.relu(self.fc2(h)) if self.on else h

    model = Skips()
    recorder = Recorder(tmp_path, SQUARE, resolution=32)
    for step in range(6):
        with torch.no_grad():
            model.fc1.weight.copy_(mlp(2, 8, 1)[0].weight)
            model.fc1.bias.fill_(0.1 + 0.02 * step)
            if step >= 2:
                model.fc1.weight[1] = model.fc1.weight[0]
        model.on = step != 4
        if step == 4:
            with pytest.warns(BoundaryWarning, match="step 4: the model called other layers than at the last sample"):
                recorder.record(model, step)
        else:
            recorder.record(model, step)
    recorder.close()
    history = load(tmp_path)
    chance = history.series("copycat/chance/fc1")[1]
    assert (chance[[0, 1, 2, 3, 5]] == chance[0]).all()
    assert history[5].per_unit["copycat/since/fc1"].tolist() == [[0, 1, 2]]
    flipped = history.series("drift/flipped/fc1")[1]
    assert np.isnan(flipped).tolist() == [True, False, False, False, True, True]


def test_planes_of_a_slice_are_told_from_its_middle() -> None:
    """Beside two that are none: a constant with the noise of rounding, and numbers that are not finite."""
    plane = slices.box((10, 14), (0, 2))
    points = centres(plane, 16)
    sloping = points[:, 0] - 12.5
    z = np.stack([sloping, 3 + 1e-9 * sloping, np.where(points[:, 1] > 1, np.inf, sloping)], axis=1)
    found = planes(plane, points, z)
    assert found[0] == pytest.approx([1, 0, -0.5])
    assert found[1] == pytest.approx([0, 0, 3])
    assert found[1, :2].tolist() == [0, 0]
    assert np.isnan(found[2]).all()
