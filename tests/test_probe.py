"""The probe sees every activation call, names it, and leaves the model as it was."""

from __future__ import annotations

import contextlib
import gc
import random
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import Ginn, WithCalls, mlp
from torch import nn

from boundarycb.probe import MAX_UNITS, Conditions, NothingToDraw, probe
from boundarycb.probe.affine import keeps_affine
from boundarycb.probe.kinks import kinks_of
from boundarycb.types import Reading

POINTS = np.random.default_rng(0).uniform(-1, 1, (50, 2))


def read(model: nn.Module, points: Any = POINTS, **options: Any) -> Reading:
    with probe(model, Conditions(**options)) as forward:
        return forward(points)


def names(model: nn.Module, points: Any = POINTS) -> list[str]:
    return [layer.name for layer in read(model, points).layers]


class Applies(nn.Module):
    """A linear layer and one activation, given as a function."""

    def __init__(self, call: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 4)
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result = self.call(self.fc(x))
        return result if isinstance(result, torch.Tensor) else x


SPELLINGS: list[tuple[str, Callable[[torch.Tensor], Any]]] = [
    ("relu", F.relu),
    ("relu", torch.relu),
    ("relu", torch.relu_),
    ("relu", torch.Tensor.relu),
    ("relu", torch.Tensor.relu_),
    ("relu", lambda x: F.relu(input=x)),
    ("relu", lambda x: F.relu(x, inplace=True)),
    ("relu", nn.ReLU()),
    ("relu", nn.ReLU(inplace=True)),
    ("relu6", nn.ReLU6()),
    ("relu6", F.relu6),
    ("leaky_relu", nn.LeakyReLU()),
    ("leaky_relu", F.leaky_relu_),
    ("prelu", nn.PReLU()),
    ("prelu", lambda x: torch.prelu(x, torch.tensor([0.1]))),
    ("rrelu", nn.RReLU()),
    ("elu", nn.ELU()),
    ("elu", F.elu_),
    ("selu", nn.SELU()),
    ("celu", nn.CELU()),
    ("gelu", nn.GELU()),
    ("gelu", lambda x: F.gelu(x, approximate="tanh")),
    ("silu", nn.SiLU()),
    ("mish", nn.Mish()),
    ("softplus", nn.Softplus()),
    ("softsign", nn.Softsign()),
    ("sigmoid", nn.Sigmoid()),
    ("sigmoid", torch.Tensor.sigmoid_),
    ("sigmoid", torch.special.expit),
    ("tanh", nn.Tanh()),
    ("tanh", torch.Tensor.tanh),
    ("logsigmoid", nn.LogSigmoid()),
    ("hardtanh", nn.Hardtanh()),
    ("hardsigmoid", nn.Hardsigmoid()),
    ("hardswish", nn.Hardswish()),
    ("tanhshrink", nn.Tanhshrink()),
    ("softshrink", nn.Softshrink()),
    ("hardshrink", nn.Hardshrink()),
    ("threshold", nn.Threshold(0.0, 0.0)),
    ("threshold", lambda x: torch.threshold_(x, 0.0, 0.0)),
    ("threshold", lambda x: F.threshold(x, 0.0, 0.0)),
]


@pytest.mark.parametrize(("op", "call"), [pytest.param(*pair, id=f"{pair[0]}-{k}") for k, pair in enumerate(SPELLINGS)])
def test_every_spelling_is_seen_once_with_what_went_in(op: str, call: Callable[[torch.Tensor], Any]) -> None:
    model = Applies(call)
    reading = read(model)
    assert [(layer.name, layer.op, layer.shape) for layer in reading.layers] == [("fc", op, (4,))]
    with torch.no_grad():
        before = model.fc(torch.tensor(POINTS, dtype=torch.float32)).numpy()
    assert np.array_equal(reading.z, before)  # not what an in-place call left of it


def test_glu_units_are_its_gates() -> None:
    reading = read(Applies(nn.GLU()))
    assert [(layer.op, layer.shape) for layer in reading.layers] == [("glu", (2,))]
    first = read(Applies(lambda x: F.glu(x.reshape(-1, 2, 2), dim=1)))
    last = read(Applies(lambda x: F.glu(x.reshape(-1, 2, 2), dim=2)))
    assert [reading.layers[0].shape for reading in (first, last)] == [(1, 2), (2, 1)]


def test_ginns_class_gives_its_own_names() -> None:
    assert names(Ginn()) == ["layer1", "layer2", "layer3"]


SHARED = nn.ReLU()
WAYS: dict[str, tuple[Any, Any, Any]] = {
    "modules": (nn.ReLU(), nn.ReLU(), nn.ReLU()),
    "one shared module": (SHARED, SHARED, SHARED),
    "in-place modules": (nn.ReLU(inplace=True), nn.ReLU(inplace=True), nn.ReLU(inplace=True)),
    "methods": (torch.Tensor.relu_, torch.Tensor.relu, torch.relu_),
}


@pytest.mark.parametrize("way", WAYS)
def test_layers_are_the_same_however_relu_is_called(way: str) -> None:
    model, other = Ginn(), WithCalls(WAYS[way])
    other.load_state_dict(model.state_dict())
    want, got = read(model), read(other)
    assert got.layers == want.layers
    assert np.array_equal(got.z, want.z)
    assert got.output is not None
    assert want.output is not None
    assert np.array_equal(got.output, want.output)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(3 * 16, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)) + x)
        scores: torch.Tensor = self.fc(x.flatten(1))
        return scores


def test_a_residual_sum_is_named_after_its_activation() -> None:
    reading = read(Residual(), np.zeros((2, 1, 4, 4)))
    assert [(layer.name, layer.shape) for layer in reading.layers] == [("conv1", (3, 4, 4)), ("relu", (3, 4, 4))]


class Functional(nn.Module):
    """No submodules at all: parameters and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.randn(5))
        self.w2, self.b2 = nn.Parameter(torch.randn(3, 5)), nn.Parameter(torch.randn(3))
        self.w3 = nn.Parameter(torch.randn(3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(x @ self.w1 + self.b1)
        x = torch.relu(F.linear(x, self.w2, self.b2))
        return torch.tanh(torch.addmm(self.b2, x, self.w3))


def test_functional_layers_have_their_affine_map_behind_them() -> None:
    model = Functional()
    with probe(model) as forward:
        reading = forward(POINTS)
        affine = [call.affine for call in forward.calls]
        x = torch.tensor(POINTS, dtype=torch.float32)
        for start, stop, one in ((0, 5, affine[0]), (5, 8, affine[1]), (8, 11, affine[2])):
            assert one is not None
            z = one(x)
            assert np.array_equal(z.numpy(), reading.z[:, start:stop])
            x = torch.relu(z)
    assert [layer.name for layer in reading.layers] == ["relu", "relu.call2", "tanh"]


def test_a_transposed_weight_is_a_weight() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.weight = nn.Parameter(torch.randn(5, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x @ self.weight.T)

    with probe(Turned()) as forward:
        forward(POINTS)
        assert forward.calls[0].affine is not None


class Chain(nn.Module):
    """A linear layer, something that follows, and a ReLU."""

    def __init__(self, follow: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.fc, self.bn, self.bias = nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Parameter(torch.randn(4))
        self.square = nn.Parameter(torch.randn(4, 4))
        self.bn.running_mean, self.bn.running_var = torch.randn(4), torch.rand(4) + 0.5
        self.follow = follow

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.follow(self, self.fc(x)))


MAPS: dict[str, tuple[Any, bool]] = {
    "nothing": (lambda m, h: h, True),
    "norm": (lambda m, h: m.bn(h), True),
    "bias then norm": (lambda m, h: m.bn(h + m.bias), True),
    "norm then bias": (lambda m, h: m.bias + m.bn(h), True),
    "number": (lambda m, h: 0.5 + h, True),
    "named norm": (lambda m, h: F.batch_norm(h, m.bn.running_mean, m.bn.running_var, weight=m.bias, bias=m.bias), True),
    "two norms": (lambda m, h: m.bn(m.bn(h)), True),
    "reshaped": (lambda m, h: h.reshape(-1, 2, 2).flatten(1), True),
    "dropout at rest": (lambda m, h: F.dropout(h, 0.5, training=False), True),
    "dropout at work": (lambda m, h: F.dropout(h, 0.5), False),
    "scaled sum": (lambda m, h: torch.add(h, m.bias, alpha=-3), False),
    "batch statistics": (lambda m, h: F.batch_norm(h, None, None, training=True), False),
    "product with itself": (lambda m, h: h * h, False),
    "another activation": (lambda m, h: h + torch.tanh(h), False),
    "batch named": (lambda m, h: h.view(h.shape[0], 4), False),
    "added product": (lambda m, h: torch.addmm(h, h, m.square), False),
}


@pytest.mark.parametrize("name", MAPS)
def test_the_affine_map_makes_the_pre_activation_or_there_is_none(name: str) -> None:
    follow, affine = MAPS[name]
    with probe(Chain(follow)) as forward:
        reading = forward(POINTS)
        call = forward.calls[-1]
        assert (call.affine is not None) == affine
        if call.affine is not None:
            assert call.affine.module == "fc"
            assert np.array_equal(call.affine(torch.tensor(POINTS, dtype=torch.float32)).numpy(), reading.z[:, -4:])
    statistics = "a batch-norm takes its statistics from the points, so values depend on which of them run together"
    assert (statistics in reading.gaps) == (name == "batch statistics")


def test_a_map_is_void_where_its_result_or_its_input_was_written_into() -> None:
    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result = self.fc(x)
            result *= 2
            h = F.relu(result)
            later = self.fc(h)
            h += 1
            return F.relu(later) + h

    with probe(Writes()) as forward:
        reading = forward(POINTS)
        assert [call.affine for call in forward.calls] == [None, None]
    assert [layer.name for layer in reading.layers] == ["relu", "fc"]


def test_maps_keep_no_layers_input_alive() -> None:
    alive: list[weakref.ref[torch.Tensor]] = []

    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(6))
            self.most = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = F.relu(layer(x))
                alive.append(weakref.ref(x))
                self.most = max(self.most, sum(one() is not None for one in alive))
            return x

    model = Keeps()
    read(model)
    assert model.most <= 2


def test_products_of_activations_are_no_affine_layer() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.fc(x).reshape(-1, 2, 2)
            return F.relu(h @ h)

    assert names(Attends()) == ["relu"]


def test_a_reused_module_has_numbered_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(3):
                x = torch.tanh(self.cell(x))
            return x

    assert names(Twice()) == ["cell", "cell.call2", "cell.call3"]


def test_batch_axis_is_found_where_it_is_not_the_first() -> None:
    class Sequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            late = F.relu(x.reshape(-1, 2, 1).transpose(0, 1) + 0.0)  # (sequence, batch, feature)
            F.tanh(x.reshape(-1, 1))  # (batch * sequence, feature): could as well be (sequence * batch, feature)
            F.softplus(self.scale)  # of no point at all
            return late.sum(dim=(0, 2))

    reading = read(Sequences())
    assert [layer.shape for layer in reading.layers] == [(2, 1)]
    assert np.allclose(reading.z, POINTS)
    assert reading.gaps == (
        "tanh: left out, since its pre-activation of shape (100, 1) is not one row a point",
        "softplus: left out, since its pre-activation of shape (3,) is not one row a point",
    )


def test_calls_that_are_left_out_for_one_reason_are_one_phrase() -> None:
    """Of a network that is unrolled over a first axis, of experts that see some points each."""

    class Unrolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([self.fc(row[None].expand(4, 2)).relu() for row in x])

    class Experts(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            self.all = nn.ModuleList(nn.Linear(2, 3) for _ in range(count))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            own = torch.arange(len(x)).sqrt().long() % len(self.all)
            out = x.new_zeros(len(x), 3)
            for number, one in enumerate(self.all):
                out = out.index_add(0, torch.where(own == number)[0], one(x[own == number]).relu())
            return out

    with pytest.raises(NothingToDraw) as caught:
        read(Unrolled())
    said = str(caught.value)
    assert "fc: left out at 50 calls, since its pre-activation of shape (4, 3) is not one row a point. Where the batch" in said
    assert "call2" not in said
    assert "forward=lambda m, x: m(x.transpose(0, 1)).transpose(0, 1)`" in said
    for count, named in ((3, "all.0, all.1, all.2: left out, "), (6, "all.0, all.1, all.2, all.3 and 2 more: left out, ")):
        with pytest.raises(NothingToDraw) as caught:
            read(Experts(count))
        said = str(caught.value)
        assert f"drawn: {named}since such a part runs on a part of the points only (routing); give a `forward` that" in said
        assert "transpose" not in said


def test_wide_layers_are_thinned_evenly() -> None:
    reading = read(mlp(2, 1000, 1), max_units=4)
    (layer,) = reading.layers
    assert (layer.size, layer.kept) == (1000, (0, 333, 666, 999))
    full = read(mlp(2, 1000, 1), max_units=1000)
    assert np.array_equal(reading.z, full.z[:, list(layer.kept)])
    assert MAX_UNITS == 512


@pytest.mark.parametrize(
    ("dtype", "kept"), [(torch.float32, np.float32), (torch.float64, np.float64), (torch.bfloat16, np.float32)], ids=str
)
def test_precision_is_the_models_and_half_is_read_as_single(dtype: torch.dtype, kept: Any) -> None:
    assert read(mlp(2, 3, 1).to(dtype)).z.dtype == kept


# ------------------------------------------------------------------------------------------------------------- no trace


def test_modes_are_put_back_one_by_one() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout(0.5))
    model.train()
    model[1].eval()  # frozen on purpose
    seen: list[bool] = []
    model[3].register_forward_hook(lambda module, *_: seen.append(module.training))
    read(model, run_hooks=True)
    assert seen == [False]
    assert [module.training for module in model.modules()] == [True, True, False, True, True]


def test_a_users_own_train_method_is_not_called() -> None:
    class Counts(nn.Sequential):
        calls = 0

        def train(self, mode: bool = True) -> Any:
            self.calls += 1
            return super().train(mode)

    model = Counts(nn.Linear(2, 3), nn.ReLU())
    read(model)
    assert model.calls == 0


class Buffered(nn.Module):
    """Changes a buffer in forward in a way of its own."""

    kept: torch.Tensor

    def __init__(self, change: Callable[[Any], None], kept: torch.Tensor) -> None:
        super().__init__()
        self.fc, self.change = nn.Linear(2, 3), change
        self.register_buffer("kept", kept)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.change(self)
        return F.relu(self.fc(x))


def grow(model: Any) -> None:
    model.kept.resize_(5).fill_(7.0)


def forget(model: Any) -> None:
    del model._buffers["kept"]


with torch.inference_mode():
    INFERRED = torch.ones(3)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda m: m.kept.data.mul_(2), torch.ones(3)),
        (lambda m: m.kept.mul_(2), torch.tensor([1.0, float("nan"), float("inf")])),
        (grow, torch.ones(3)),
        (forget, torch.ones(3)),
        (lambda m: m.kept.data.add_(1), torch.arange(3)),
        (lambda m: None, INFERRED),
    ],
    ids=["data", "nan", "resized", "deleted", "integers", "inference"],
)
def test_buffers_come_back_however_they_were_changed(change: Any, kept: torch.Tensor) -> None:
    model = Buffered(change, kept.clone() if not kept.is_inference() else kept)
    buffer, before = model.kept, model.kept.clone()
    read(model)
    assert model.kept is buffer
    assert model.kept.shape == before.shape
    assert torch.allclose(model.kept.double(), before.double(), equal_nan=True)


def test_sparse_buffers_are_no_obstacle() -> None:
    sparse = torch.eye(3).to_sparse()
    model = Buffered(lambda m: None, sparse)
    read(model)
    assert model.kept is sparse
    assert torch.equal(sparse.to_dense(), torch.eye(3))


def test_buffers_made_in_forward_are_taken_out_again() -> None:
    def make(model: Any) -> None:
        model.register_buffer("fresh", torch.ones(2), persistent=False)

    model = Buffered(make, torch.ones(3))
    read(model)
    assert list(model._buffers) == ["kept"]
    assert model._non_persistent_buffers_set == set()
    assert list(model.state_dict()) == ["kept", "fc.weight", "fc.bias"]


def test_inference_mode_is_no_obstacle() -> None:
    model = mlp(2, 4, 3, 1)
    want = read(model)
    with torch.inference_mode():
        got = read(model)
        assert torch.is_inference_mode_enabled()
    assert got.layers == want.layers
    assert np.array_equal(got.z, want.z)

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = nn.Linear(2, 4), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                features = torch.relu(self.backbone(x))
            return torch.relu(self.head(features))

    assert [layer.shape for layer in read(Frozen()).layers] == [(4,), (3,)]


def test_a_module_or_a_hook_of_the_users_that_raises_leaves_the_names_right() -> None:
    class Forgives(nn.Module):
        def __init__(self, width: int = 2) -> None:
            super().__init__()
            self.bad, self.fc = nn.Linear(width, 3), nn.Linear(2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with contextlib.suppress(KeyError, RuntimeError):
                self.bad(x)
            return torch.relu(torch.relu(self.fc(x)) + 1)

    def fails(*_: Any) -> None:
        raise KeyError

    # The sum is not of a layer's making: it is named after the module that runs.
    before, inside, itself = Forgives(), Forgives(), Forgives(width=5)
    before.bad.register_forward_pre_hook(fails, prepend=True)
    inside.bad.register_forward_hook(fails)
    for model in (before, inside, itself):
        for whole, want in ((model, ["fc", "relu"]), (nn.Sequential(model), ["0.fc", "0"])):
            with probe(whole, Conditions(run_hooks=True)) as forward:
                for _ in range(2):
                    assert [layer.name for layer in forward(POINTS).layers] == want


def test_a_buffer_that_did_not_change_is_not_written_to() -> None:
    model = Buffered(lambda m: None, torch.tensor([1.0, float("nan")]))
    version = model.kept._version
    read(model)
    assert model.kept._version == version


def test_script_modules_are_passed_over() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 3)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.scripted = torch.jit.script(nn.Linear(3, 3))

        def forward(self, x: torch.Tensor) -> Any:
            return self.scripted(F.relu(self.fc(x)))

    assert names(Holds()) == ["fc"]


class Restless(nn.Module):
    """Moves every generator and its buffers in forward, whatever its mode."""

    count: torch.Tensor
    ema: torch.Tensor

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.fails = fails
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("ema", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1  # written into
        x = F.relu(self.fc(x))
        self.ema = 0.9 * self.ema + 0.1 * x.mean(0)  # bound anew
        if self.fails:
            raise RuntimeError("out of luck")
        return F.dropout(x) + torch.randn(()) + random.random() + np.random.rand()


def state(model: Restless) -> tuple[Any, ...]:
    return (
        model.count.item(),
        model.ema.tolist(),
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state(legacy=False)["state"]["key"].tobytes(),
        np.random.get_state(legacy=False)["state"]["pos"],
    )


@pytest.mark.parametrize("fails", [False, True])
def test_buffers_and_random_numbers_are_put_back(fails: bool) -> None:
    model = Restless(fails)
    count, ema, before = model.count, model.ema, state(model)
    if fails:
        with pytest.raises(RuntimeError, match="^out of luck"):
            read(model)
    else:
        read(model)
    assert state(model) == before
    assert model.count is count
    assert model.ema is ema


def test_hooks_gradients_and_activations_are_gone_afterwards() -> None:
    model = mlp(2, 4, 1)
    model(torch.zeros(1, 2)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    seen: list[bool] = []
    handle = model.register_forward_hook(lambda _module, _args, output: seen.append(output.requires_grad))
    with probe(model, Conditions(run_hooks=True)) as forward:
        reading = forward(POINTS)
        alive = weakref.ref(forward.calls[0].z)
    assert seen == [False]
    assert torch.is_grad_enabled()
    assert all(parameter.grad is old for parameter, old in zip(model.parameters(), gradients, strict=True))
    handle.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    gc.collect()
    assert alive() is None
    assert reading.z.shape == (50, 4)


def test_training_outside_the_scope_is_not_watched() -> None:
    model = mlp(2, 4, 1)
    with probe(model) as forward:
        forward(POINTS)
        calls = forward.calls
        model(torch.zeros(7, 2))
        assert forward.calls is calls


# --------------------------------------------------------------------------------------------------------------- errors


def test_a_model_without_activations_is_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^Sequential called no activation function .* to draw: relu, .* are not\.$") as raised:
        read(nn.Sequential(nn.Linear(2, 2)))
    assert "\n" not in str(raised.value)


def test_a_wrong_input_size_is_told_with_the_way_out() -> None:
    with pytest.raises(
        ValueError, match=r"Sequential failed before its first activation on inputs of shape \(50, 2\).*give a `slice`"
    ):
        read(mlp(3, 4, 1))


NOTE = (
    "Typo raised this before its first activation, while boundarycb ran it on inputs of shape (50, 2) from the slice, without "
    'gradients and in mode "eval".'
)


def test_an_error_in_forward_is_not_blamed_on_the_slice() -> None:
    class Typo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 3)

        def forward(self, x: torch.Tensor) -> Any:
            return self.head(self.fc(x))  # type: ignore[operator]

    with pytest.raises(AttributeError, match="^'Typo' object has no attribute 'head'") as raised:
        read(Typo())
    (note,) = getattr(raised.value, "__notes__", [NOTE])  # Python 3.11 and newer
    assert note == NOTE


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="`model` must be a torch.nn.Module, got str"), probe("model"):  # type: ignore[arg-type]
        pass
    with (
        pytest.raises(ValueError, match="`max_units` must be a whole number of units, 1 or more, got 0"),
        probe(mlp(2, 2), Conditions(max_units=0)),
    ):
        pass


class Gives(nn.Module):
    def __init__(self, make: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        return self.make(F.relu(x))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda x: x, (50, 2)),
        (lambda x: x[:, 0], (50, 1)),
        (lambda x: (x, None), (50, 2)),
        (lambda x: [[x[:, :1]]], (50, 1)),
        (lambda x: {"loss": x.sum(), "logits": x}, (50, 2)),
        (lambda x: {"scores": x}, (50, 2)),
        (lambda x: x[:, :, None, None].expand(-1, -1, 3, 3), (50, 1)),
        (lambda x: x.sum(), None),
        (lambda x: "text", None),
        (lambda x: x > 0, None),
    ],
    ids=["tensor", "vector", "tuple", "nested", "logits", "mapping", "maps", "scalar", "text", "bool"],
)
def test_outputs_of_all_kinds_are_read_or_left(make: Any, shape: tuple[int, int] | None) -> None:
    output = read(Gives(make)).output
    assert (None if output is None else output.shape) == shape


def test_a_sum_with_a_factor_of_its_own_is_no_plain_sum() -> None:
    assert keeps_affine(torch.add, (torch.ones(2), 1.0), {}, 0)
    assert not keeps_affine(torch.add, (torch.ones(2), 1.0), {"alpha": 2}, 0)


def test_a_threshold_that_jumps_is_not_piecewise_linear() -> None:
    assert kinks_of("threshold", (None, 0.5, 0.0), {}) is None
    assert kinks_of("threshold", (None, 0.5, 0.5), {}) == (0.5,)
