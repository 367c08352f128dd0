"""The exact engine on models of all kinds: those that are piecewise linear, those that are not, and those that only seem to be.

What a unit does is read here by a copy of the model in double precision: at many points of random ways through the slice, it must
switch where the way crosses one of its lines, and nowhere else.
"""

from __future__ import annotations

import copy
import re
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import linear_units, mlp
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.overrides import TorchFunctionMode

from boundarycb import BoundaryWarning, find_boundaries, find_regions, slices
from boundarycb.engines.exact.certificate import Certificate, certify
from boundarycb.engines.exact.limits import NotPiecewiseLinear
from boundarycb.engines.exact.search import partition
from boundarycb.probe import EVERY_UNIT, probe
from boundarycb.sampling import look
from boundarycb.sampling.engine import Engine
from boundarycb.types import Boundaries, Floats, Slice

BOX = slices.box((-1.5, 1.5), (-1.0, 2.0))
IMAGE, SEQUENCE, VECTORS = (2, 6, 6), (3, 8), (4, 3)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Products are small here: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plane(*shape: int, seed: int = 5) -> Slice:
    """Return a slice of inputs of this shape."""
    if shape == (2,):
        return BOX
    return slices.through(*torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed)))


# --------------------------------------------------------------------------------------------------- an independent check

SEEN = {"relu", "relu6", "leaky_relu", "prelu", "rrelu", "hardtanh", "hardsigmoid", "softshrink", "threshold"}


class Watch(TorchFunctionMode):
    """Keeps what goes into activations; those called `extra` too."""

    def __init__(self, *extra: str) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self._names = SEEN | set(extra)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.__name__.strip("_")
        if name == "float":
            return args[0]
        if name in self._names:
            self.seen.append(args[0] - args[1] if name in ("maximum", "max", "minimum") else args[0].detach().clone())
        return func(*args, **(kwargs or {}))


Values = Callable[[Floats], Floats]


def units_of(model: nn.Module, where: Slice, *extra: str) -> Values:
    """Return the function from slice coordinates (n, 2) to all units' pre-activations (n, U)."""
    twin = copy.deepcopy(getattr(model, "_orig_mod", model)).double().eval()

    def values(points: Floats) -> Floats:
        with torch.no_grad(), Watch(*extra) as watch:
            twin(torch.from_numpy(where.lift(points)))
        rows = [z if len(z) == len(points) else z.movedim(1, 0) for z in watch.seen]
        return torch.cat([z.reshape(len(points), -1) for z in rows], dim=1).numpy()

    return values


def margins_of(model: nn.Module, where: Slice) -> Values:
    """Return the function to each class's lead over the best of the others (n, C)."""
    twin = copy.deepcopy(model).double().eval()

    def values(points: Floats) -> Floats:
        with torch.no_grad():
            scores = twin(torch.from_numpy(where.lift(points)))
        best, second = scores.topk(2, dim=1).values.T[:, :, None]
        return torch.where(scores == best, scores - second, scores - best).numpy()

    return values


def pieces(lines: Boundaries) -> tuple[Floats, Floats, NDArray[np.int32]]:
    """Return start, end and owner of every straight piece."""
    inside = np.ones(max(len(lines.points) - 1, 0), np.bool_)
    inside[lines.offsets[1:-1] - 1] = False
    owner = np.repeat(lines.owner, np.diff(lines.offsets))[:-1]
    return lines.points[:-1][inside], lines.points[1:][inside], owner[inside]


def cross(a: Floats, b: Floats) -> Floats:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def switches(lines: Boundaries, start: Floats, along: Floats) -> list[tuple[float, int, bool]]:
    """Return when the way from `start` crosses lines, in time 0 to 1: time, unit, and whether it is on then; in order."""
    a, b, owner = pieces(lines)
    sides = cross(along, a - start), cross(along, b - start)
    hit = (sides[0] > 0) != (sides[1] > 0)
    a, b, owner, share = a[hit], b[hit], owner[hit], sides[0][hit] / (sides[0] - sides[1])[hit]
    times = (a + share[:, None] * (b - a) - start) @ along / (along @ along)
    on = cross(b - a, along) > 0
    return sorted((t, u, o) for t, u, o in zip(times.tolist(), owner.tolist(), on.tolist(), strict=True) if 0 < t < 1)


def assert_units_switch_at_their_lines(lines: Boundaries, where: Slice, values: Values, ways: int = 6) -> int:
    """Return how many switches there were on the ways."""
    low, high = np.transpose(where.bounds)
    source, times = np.random.default_rng(0), np.linspace(0, 1, 1001)
    count = 0
    for _ in range(ways):
        start, stop = source.uniform(low, high, (2, 2))
        z = values(start + times[:, None] * (stop - start))
        on = z > 1e-9 * np.abs(z).max(axis=0)
        assert on.shape[1] == len(lines.units)
        want, sure = np.repeat(on[:1], len(times), axis=0), np.ones_like(on)
        for time, unit, turns_on in switches(lines, start, stop - start):
            place = int(np.searchsorted(times, time))
            assert want[-1, unit] != turns_on, "two lines in a row with the same side on"
            want[place:, unit] = turns_on
            sure[np.abs(times - time) < 1e-6, unit] = False
            count += 1
        assert np.array_equal(want[sure], on[sure])
    return count


# ------------------------------------------------------------------------------------- networks that are piecewise linear


class Net(nn.Module):
    """A model of some parts, and of a function that calls them."""

    def __init__(self, call: Callable[[Any, torch.Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> Any:
        return self.call(self, x)


def three(call: Callable[[Any, torch.Tensor], Any], width: int = 8, **parts: nn.Module) -> Net:
    """Return a model of three linear layers, a, b and c, and other parts."""
    return Net(call, a=nn.Linear(2, width), b=nn.Linear(width, width), c=nn.Linear(width, 3), **parts)


def stacked(*parts: nn.Module) -> nn.Sequential:
    """Return the parts in a row, with batch-norms that have seen something."""
    model = nn.Sequential(*parts)
    settle(model)
    return model


def settle(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.3)
            part.running_mean, part.running_var = torch.randn(part.num_features) * 0.3, torch.rand(part.num_features) + 0.3


def between(act: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Return what makes a model of three layers with this activation."""
    return lambda: nn.Sequential(nn.Linear(2, 8), act(), nn.Linear(8, 8), act(), nn.Linear(8, 3))


def shared_relu() -> nn.Module:
    relu = nn.ReLU(inplace=True)
    return between(lambda: relu)()


def bottleneck() -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1), nn.LeakyReLU(0.5), nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 2)
    )


def dead_layers() -> nn.Module:
    model = mlp(2, 8, 8, 8, 2)
    nn.init.constant_(model[2].bias, -100.0)
    return model  # type: ignore[no-any-return]


def constant_output() -> nn.Module:
    model = mlp(2, 8, 8, 2)
    nn.init.zeros_(model[4].weight)
    return model  # type: ignore[no-any-return]


def masked() -> nn.Module:
    mask, kept = torch.tensor([0.0, 1, -1, 2, 0, 1, 1, 0.5]), torch.rand(8)

    def call(m: Any, x: torch.Tensor) -> Any:
        return m.c(F.relu(m.b(F.relu(m.a(x)) * mask) * m.kept + 0.1))

    model = three(call)
    model.register_buffer("kept", kept)
    return model


def computed_constants() -> nn.Module:
    """Functions that bend, of weights alone."""

    def call(m: Any, x: torch.Tensor) -> Any:
        weight = (m.b.weight - m.b.weight.mean(dim=1, keepdim=True)) / m.b.weight.std(dim=1, keepdim=True)
        mixed = F.relu(m.a(x)) * torch.softmax(m.kept, dim=0) * m.kept.abs().clamp(min=0.1).sqrt()
        return m.c(F.relu(F.linear(mixed, F.normalize(weight), m.b.bias)))

    model = three(call)
    model.register_buffer("kept", torch.randn(8))
    return model


def pruned() -> nn.Module:
    model: Any = mlp(2, 8, 8, 2)
    prune.l1_unstructured(model[2], "weight", amount=0.5)
    with torch.no_grad():
        model(torch.zeros(1, 2))  # what it computes its weight from can be copied, but a weight with a graph cannot
    return model  # type: ignore[no-any-return]


def weight_norm() -> nn.Module:
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(2, 8)),
        nn.ReLU(),
        parametrizations.spectral_norm(nn.Linear(8, 8)).eval(),
        nn.ReLU(),
        nn.Linear(8, 2),
    )


def compiled() -> nn.Module:
    model: nn.Module = torch.compile(mlp(2, 8, 8, 2), backend="eager")  # type: ignore[assignment]
    return model


def dense_net() -> nn.Module:
    def call(m: Any, x: torch.Tensor) -> Any:
        x = torch.cat([x, F.relu(m.a(x))], dim=1)
        return m.c(torch.cat([x, F.relu(m.b(x))], dim=1))

    return Net(call, a=nn.Linear(2, 8), b=nn.Linear(10, 8), c=nn.Linear(18, 2))


def two_branches() -> nn.Module:
    def call(m: Any, x: torch.Tensor) -> Any:
        return m.c(F.leaky_relu(m.left(x), 0.1) + F.relu6(3 * m.right(x)) - F.hardtanh(m.a(x), -0.2, 0.7) + m.a(x))

    return three(call, left=nn.Linear(2, 8), right=nn.Linear(2, 8))


def sequence_first() -> nn.Module:
    """Steps first, then points, in the middle of the model."""

    def call(m: Any, x: torch.Tensor) -> Any:
        steps = F.relu(m.a(x.transpose(0, 1)))
        return m.c(F.relu(m.b(steps)).mean(dim=0))

    return Net(call, a=nn.Linear(3, 6), b=nn.Linear(6, 6), c=nn.Linear(6, 2))


def mixer() -> nn.Module:
    def call(m: Any, x: torch.Tensor) -> Any:
        x = x + m.down(F.relu(m.up(x.transpose(1, 2)))).transpose(1, 2)
        return m.c(F.relu(m.a(x)))  # an output a step

    return Net(call, up=nn.Linear(4, 6), down=nn.Linear(6, 4), a=nn.Linear(3, 6), c=nn.Linear(6, 2))


def dictionary() -> nn.Module:
    return three(lambda m, x: {"hidden": (h := F.relu(m.a(x))), "logits": m.c(F.relu(m.b(h)))})


def residual_image(act: Callable[[torch.Tensor], torch.Tensor] = F.relu) -> nn.Module:
    """A small residual network on images of one channel, 12 x 12: 504 units."""

    def call(m: Any, x: torch.Tensor) -> Any:
        x = act(m.stem(x))
        x = F.avg_pool2d(act(x + m.second(act(m.first(x)))), 2)
        return m.fc(act(m.last(x)).mean((2, 3)))

    def folded(channels: int, out: int, stride: int = 1) -> nn.Module:
        return nn.Sequential(nn.Conv2d(channels, out, 3, stride, padding=1), nn.BatchNorm2d(out))

    model = Net(call, stem=folded(1, 4, 2), first=folded(4, 4), second=folded(4, 4), last=folded(4, 8), fc=nn.Linear(8, 3))
    settle(model)
    return model


def u_net() -> nn.Module:
    def call(m: Any, x: torch.Tensor) -> Any:
        deep = F.relu(m.down(F.relu(x_in := m.stem(x))))
        up = F.interpolate(deep, scale_factor=2, mode="bilinear", align_corners=False)
        up = torch.cat([F.interpolate(deep, scale_factor=2), up + m.back(deep), x_in], dim=1)
        return m.fc(F.relu(m.head(up)).flatten(1))

    parts = {"stem": nn.Conv2d(2, 3, 3, padding=1), "down": nn.Conv2d(3, 3, 3, stride=2, padding=1)}
    return Net(call, **parts, back=nn.ConvTranspose2d(3, 3, 2, stride=2), head=nn.Conv2d(9, 2, 1), fc=nn.Linear(72, 2))


VALID: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "modules": (between(nn.ReLU), (2,)),
    "functions": (lambda: three(lambda m, x: m.c(F.relu(m.b(torch.relu(m.a(x)))))), (2,)),
    "methods, in place": (lambda: three(lambda m, x: m.c(m.b(m.a(x).relu_()).relu_())), (2,)),
    "a shared in-place module": (shared_relu, (2,)),
    "leaky": (between(nn.LeakyReLU), (2,)),
    "leaky the other way": (between(lambda: nn.LeakyReLU(-0.5)), (2,)),
    "PReLU": (between(lambda: nn.PReLU(8, init=0.1)), (2,)),
    "RReLU": (between(nn.RReLU), (2,)),
    "ReLU6": (between(nn.ReLU6), (2,)),
    "Hardtanh": (between(lambda: nn.Hardtanh(-0.4, 0.3)), (2,)),
    "Softshrink": (between(lambda: nn.Softshrink(0.2)), (2,)),
    "Hardsigmoid": (lambda: three(lambda m, x: m.c(F.hardsigmoid(5 * m.b(F.hardsigmoid(5 * m.a(x)))))), (2,)),
    "a threshold without a jump": (between(lambda: nn.Threshold(0.1, 0.1)), (2,)),
    "dropout": (lambda: stacked(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), (2,)),
    "weight norm, spectral norm": (weight_norm, (2,)),
    "pruned": (pruned, (2,)),
    "a bottleneck of width 1": (bottleneck, (2,)),
    "a dead layer": (dead_layers, (2,)),
    "a constant output": (constant_output, (2,)),
    "softmax at the end": (lambda: nn.Sequential(mlp(2, 8, 8, 3), nn.Softmax(dim=1)), (2,)),
    "log-softmax at the end": (lambda: nn.Sequential(mlp(2, 8, 8, 3), nn.LogSoftmax(dim=1)), (2,)),
    "an activation at the end": (lambda: nn.Sequential(mlp(2, 8, 4), nn.ReLU()), (2,)),
    "double": (lambda: mlp(2, 8, 8, 2).double(), (2,)),
    "bfloat16": (lambda: mlp(2, 8, 8, 2).bfloat16(), (2,)),
    "half": (lambda: mlp(2, 8, 8, 2).half(), (2,)),
    "constants": (masked, (2,)),
    "constants that are computed": (computed_constants, (2,)),
    "the largest output": (lambda: three(lambda m, x: m.c(F.relu(m.b(F.relu(m.a(x))))).max(dim=1, keepdim=True).values), (2,)),
    "residual": (lambda: three(lambda m, x: m.c((h := F.relu(m.a(x))) + F.relu(m.b(h)))), (2,)),
    "dense": (dense_net, (2,)),
    "branches": (two_branches, (2,)),
    "compiled": (compiled, (2,)),
    "one layer twice": (lambda: three(lambda m, x: m.c(F.relu(m.b(F.relu(m.b(F.relu(m.a(x)))))))), (2,)),
    "a dictionary": (dictionary, (2,)),
    "BatchNorm1d": (lambda: stacked(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)), (2,)),
    "inputs scaled": (lambda: three(lambda m, x: m.c(F.relu(m.b(F.relu(m.a((x - 0.3) / 0.2)))))), (2,)),
    "cast to single": (lambda: three(lambda m, x: m.c(F.relu(m.b(F.relu(m.a(x.float()))).float()))), (2,)),
    "Conv1d": (
        lambda: stacked(
            nn.Conv1d(3, 4, 3), nn.ReLU(), nn.AvgPool1d(2), nn.Conv1d(4, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)
        ),
        SEQUENCE,
    ),
    "Conv2d, batch-norm, in place": (
        lambda: stacked(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 6), nn.ReLU()
        ),
        IMAGE,
    ),
    "groups": (
        lambda: stacked(
            nn.Conv2d(2, 4, 3, groups=2, padding=1, padding_mode="reflect"), nn.ReLU6(), nn.Conv2d(4, 4, 3, groups=4, stride=2),
            nn.ReLU(), nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2),
        ),
        IMAGE,
    ),
    "pixels shuffled": (
        lambda: stacked(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.PixelShuffle(2), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()),
        IMAGE,
    ),
    "up and down": (u_net, IMAGE),
    "an output a step": (mixer, VECTORS),
    "steps first": (sequence_first, (5, 3)),
    "four steps first": (sequence_first, VECTORS),
}  # fmt: skip


@pytest.mark.parametrize("name", VALID)
def test_piecewise_linear_networks_have_exact_lines_where_their_units_switch(name: str) -> None:
    make, shape = VALID[name]
    model, where = make(), plane(*shape)
    lines = find_boundaries(model, where, engine="exact", max_units=2000, max_all_units=2000)
    assert lines.exact
    assert lines.notes == ()
    assert assert_units_switch_at_their_lines(lines, where, units_of(model, where)) > 10


@pytest.mark.parametrize("units", [56, 64, 65])
def test_pre_activations_that_are_transposed_in_memory_are_cut_like_others(units: int) -> None:
    model = Net(lambda m, x: m.c(F.relu((m.a.weight @ x.T).T + m.a.bias)), a=nn.Linear(2, units), c=nn.Linear(units, 2))
    lines = find_boundaries(model, BOX, engine="exact")
    assert lines.exact
    assert_units_switch_at_their_lines(lines, BOX, units_of(model, BOX))
    assert len(find_regions(model, BOX)) > units


# ------------------------------------------------------------------------------------------------------ a residual network


def sampled(lines: Boundaries, step: float) -> Floats:
    """Return points along the lines, not more than `step` apart, with the unit as a third coordinate that keeps units apart."""
    a, b, owner = pieces(lines)
    counts = np.ceil(np.linalg.norm(b - a, axis=1) / step).astype(int) + 1
    which = np.repeat(np.arange(len(a)), counts)
    share = (np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)) / np.maximum(counts[which] - 1, 1)
    return np.column_stack([a[which] + share[:, None] * (b - a)[which], 1e6 * owner[which]])


@pytest.mark.parametrize("resolution", [96, pytest.param(512, marks=pytest.mark.slow)])
def test_the_grid_lies_near_the_exact_lines_of_a_residual_network_on_a_plane_of_images(resolution: int) -> None:
    model, where = residual_image(), plane(1, 12, 12)
    exact, grid = (
        find_boundaries(model, where, engine=engine, resolution=resolution, max_units=2000) for engine in ("exact", "grid")
    )
    (low, high), _ = where.bounds
    cell = (high - low) / resolution
    assert exact.exact
    assert sum(layer.size for layer in exact.layers) == 504
    tree = cKDTree(sampled(exact, cell / 10))
    vertices = np.column_stack([grid.points, 1e6 * np.repeat(grid.owner, np.diff(grid.offsets))])
    assert tree.query(vertices)[0].max() <= 0.6 * cell
    assert tree.query(sampled(grid, cell / 10))[0].max() <= 0.75 * cell  # between them it may cut a corner
    missed = cKDTree(sampled(grid, cell / 10)).query(sampled(exact, cell / 10))[0] > 0.6 * cell
    assert missed.mean() < 0.02  # what fits between grid points


def test_a_residual_network_on_a_plane_of_images_switches_at_its_lines() -> None:
    model, where = residual_image(), plane(1, 12, 12)
    lines = find_boundaries(model, where, engine="exact", max_units=2000)
    assert lines.exact
    assert assert_units_switch_at_their_lines(lines, where, units_of(model, where)) > 500


@pytest.mark.parametrize(
    "act", [torch.relu_, nn.ReLU(inplace=True), torch.Tensor.relu], ids=["in place", "in-place module", "method"]
)
def test_a_residual_network_has_the_same_lines_however_relu_is_called(act: Any) -> None:
    model, other, where = residual_image(), residual_image(act), plane(1, 12, 12)
    other.load_state_dict(model.state_dict())
    want, got = (find_boundaries(net, where, engine="exact", max_units=2000) for net in (model, other))
    assert want.exact
    assert got.exact
    assert np.array_equal(got.owner, want.owner)
    assert np.array_equal(got.offsets, want.offsets)
    assert np.allclose(got.points, want.points, rtol=0, atol=1e-9)


# ----------------------------------------------------------------------------------------------- networks that are not


def bent(f: Callable[[Any, torch.Tensor], torch.Tensor]) -> Callable[[], nn.Module]:
    """Return what makes a model that calls `f` between two layers of ReLUs, a and b."""
    return lambda: three(lambda m, x: m.c(F.relu(m.b(f(m, F.relu(m.a(x)))))))


def instead(f: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], nn.Module]:
    """Return what makes a model that calls `f` where another has its first ReLU."""
    return lambda: three(lambda m, x: m.c(F.relu(m.b(f(m.a(x))))))


def deep(seventh: Callable[[], nn.Module]) -> nn.Module:
    acts = [seventh() if depth == 7 else nn.ReLU() for depth in range(9)]
    return nn.Sequential(*(part for k, act in enumerate(acts) for part in (nn.Linear(8 if k else 2, 8), act)), nn.Linear(8, 2))


def max_pool() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 2))


def normed(part: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), part, nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


def through_numpy(z: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.tanh(z.detach().numpy()))


def quantised() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(mlp(2, 8, 8, 2), {nn.Linear})  # type: ignore[no-any-return]


def single_only() -> nn.Module:
    def call(m: Any, x: torch.Tensor) -> Any:
        if x.dtype != torch.float32:
            raise TypeError("float32 it must be")
        return m.c(F.relu(m.b(F.relu(m.a(x)))))

    return three(call)


def not_affine(call: str = "") -> str:
    """Return what is said of layer b, and of a call that may be the reason."""
    return f"units of b are not affine within its regions.*{call}|b: a unit of it changes its sign more than twice"


INVALID: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "GELU": (between(nn.GELU), (2,), "0 is gelu, which is not piecewise linear"),
    "SiLU": (between(nn.SiLU), (2,), "0 is silu, which is not piecewise linear"),
    "softplus": (between(nn.Softplus), (2,), "0 is softplus, which is not piecewise linear"),
    "tanh first": (lambda: nn.Sequential(nn.Linear(2, 8), nn.Tanh(), mlp(8, 8, 2)), (2,), "0 is tanh, which is not"),
    "tanh second": (lambda: nn.Sequential(mlp(2, 8, 8), nn.Tanh(), mlp(8, 8, 2)), (2,), "0.2 is tanh, which is not"),
    "tanh deep": (lambda: deep(nn.Tanh), (2,), "14 is tanh, which is not"),
    "a jump": (between(nn.Hardshrink), (2,), "0 is hardshrink, which is not"),
    "MaxPool": (max_pool, IMAGE, "max_pool2d in 2 bends the network where no unit switches"),
    "LayerNorm": (normed(nn.LayerNorm(8)), (2,), "units of 3 are not affine within its regions.*it calls layer_norm in 2"),
    "maximum": (bent(lambda m, h: torch.maximum(h, m.b(h))), (2,), not_affine("it calls maximum in its forward")),
    "max of all": (bent(lambda m, h: h - h.max(dim=1, keepdim=True).values), (2,), not_affine("it calls max in its forward")),
    "clamp": (instead(lambda z: z.clamp(min=0)), (2,), not_affine("it calls clamp in its forward")),
    "abs": (instead(torch.abs), (2,), not_affine("it calls abs in its forward")),
    "a mask": (instead(lambda z: z * (z > 0)), (2,), not_affine()),
    "where": (instead(lambda z: torch.where(z > 0, z, 0 * z)), (2,), not_affine("it calls where in its forward")),
    "attention": (bent(lambda m, h: torch.softmax(m.b(h), dim=1) * h), (2,), not_affine("it calls softmax in its forward")),
    "a product": (bent(lambda m, h: h * m.b(h)), (2,), not_affine()),
    "numpy": (bent(lambda m, h: through_numpy(h)), (2,), not_affine()),
    "numpy deep": (lambda: deep(lambda: Net(lambda m, x: through_numpy(x))), (2,), "units of 16 are not affine within its regions"),
    "the batch's mean": (bent(lambda m, h: h - h.mean(dim=0)), (2,), not_affine()),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", INVALID)
def test_other_networks_are_traced_on_the_grid_with_one_warning_that_says_why(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    make, shape, reason = INVALID[name]
    model, where = make(), plane(*shape, seed=seed)
    with pytest.warns(BoundaryWarning) as caught:
        lines = find_boundaries(model, where, engine="exact", resolution=16)
    assert [bool(re.search(f"^lines are traced on a grid, since .*({reason})", str(one.message))) for one in caught] == [True]
    assert not lines.exact
    assert lines.notes == (str(caught[0].message).removesuffix("."),)
    with pytest.raises(ValueError, match=f"{type(model).__name__} cannot be cut into linear regions here, since .*"):
        find_regions(model, where)


@pytest.mark.parametrize("make", [quantised, single_only])
def test_what_refuses_double_precision_is_traced_on_the_grid_with_one_warning_that_says_so(make: Callable[[], nn.Module]) -> None:
    model = make()
    with pytest.warns(BoundaryWarning, match=r"since the model does not run in double precision \(.*(Float|float32)") as caught:
        lines = find_boundaries(model, BOX, engine="exact", resolution=16)
    assert len(caught) == 1
    assert not lines.exact
    with pytest.raises(ValueError, match="cannot be cut into linear regions here, since .* double precision"):
        find_regions(model, BOX)


LEFT_ON: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "dropout": (normed(nn.Dropout(0.5)), "units of 3 are not affine within its regions|3: a unit of it changes its sign"),
    "batch-norm": (normed(nn.BatchNorm1d(8)), "a batch-norm takes its statistics from the points"),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", LEFT_ON)
def test_what_is_left_on_is_seen_and_only_then(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    make, reason = LEFT_ON[name]
    model = make().train()
    with pytest.warns(BoundaryWarning, match=reason) as caught:
        lines = find_boundaries(model, BOX, engine="exact", resolution=16, mode="as_is")
    assert len(caught) == 1
    assert not lines.exact
    assert find_boundaries(model, BOX, engine="exact").exact
    with pytest.raises(ValueError, match=f"cannot be cut into linear regions here, since .*({reason})"):
        find_regions(model, BOX, mode="as_is")


@pytest.mark.parametrize("f", [torch.sin, through_numpy, torch.Tensor.atan, lambda z: z**3], ids=["sin", "numpy", "atan", "cube"])
def test_odd_functions_without_biases_are_seen_around_the_origin(f: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """On the square around the origin they are zero in the middle, and so is the mean of their values at the corners."""
    parts = {"a": nn.Linear(2, 8, bias=False), "b": nn.Linear(8, 8, bias=False), "c": nn.Linear(8, 2)}
    model = Net(lambda m, x: m.c(F.relu(m.b(f(3 * m.a(x))))), **parts)
    with pytest.warns(BoundaryWarning, match="since units of b are not"):
        lines = find_boundaries(model, slices.box((-1, 1), (-1, 1)), engine="exact", resolution=16)
    assert not lines.exact


def certified(model: nn.Module, another: nn.Module, *, through_last: bool = True) -> Certificate:
    """Return what is said of the cells of one model where another gives the values that they are looked at again by."""
    with probe(model) as forward, probe(copy.deepcopy(another)) as again:
        found = partition(forward.double(EVERY_UNIT), slices.box((-1, 1), (-1, 1)), 10**6, through_last=through_last)
        return certify(found, again.double(EVERY_UNIT))


@pytest.mark.parametrize("size", [1e-3, 1, 1e3])
def test_a_unit_that_is_not_zero_on_its_boundary_is_refused(size: float) -> None:
    """As where a faster pass reads it with less precision: a line 1e-7 of the unit's size beside the right one is no exact one."""
    model, nearly, beside = (linear_units((size, 0, size * off)) for off in (0, 5e-9, 1e-7))
    assert certified(model, model, through_last=False).miss < 1e-12
    assert certified(model, nearly, through_last=False).miss == pytest.approx(5e-9, rel=0.01)
    with pytest.raises(
        NotPiecewiseLinear, match=r"units of 0 are not zero on the boundaries that were found \(1e-07 of their size"
    ):
        certified(model, beside, through_last=False)


@pytest.mark.parametrize("through_last", [True, False])
def test_a_boundary_that_was_overlooked_is_refused(through_last: bool) -> None:
    """The second unit seemed to be on everywhere, and no cell ends where it is not; the first one's line may run through cells."""
    model, another = linear_units((1, 0, 0), (1, 0, 3)), linear_units((1, 0, 0), (1, 0, 0.5))
    assert certified(model, model, through_last=through_last).bend < 1e-12
    with pytest.raises(NotPiecewiseLinear, match=r"units of 0 switch within its regions \(0.33 of their size"):
        certified(model, another, through_last=through_last)


def grid_of_lines() -> nn.Linear:
    """Return a layer whose units' boundaries cut the square from -1 to 1 into 41 x 41."""
    lines = nn.Linear(2, 80)
    with torch.no_grad():
        lines.weight.copy_(torch.eye(2).repeat_interleave(40, dim=0))
        lines.bias.copy_(torch.arange(-39, 40, 2).repeat(2) / 41)
    return lines


def squares(bump: float) -> Net:
    """Return 41 x 41 squares, and a pyramid that no unit makes within the one in the middle; of height 0 nothing bends."""

    def call(m: Any, x: torch.Tensor) -> Any:
        far = torch.maximum(torch.maximum(x, -x)[:, :1], torch.maximum(x, -x)[:, 1:])
        return m.out(F.relu(m.lines(x))) + bump * torch.maximum(1 - 41 * far, torch.zeros(1))

    torch.manual_seed(0)
    return Net(call, lines=grid_of_lines(), out=nn.Linear(80, 1))


def test_where_something_may_bend_the_network_all_of_its_cells_are_looked_at_again() -> None:
    """A call such as maximum need not bend it; where it does, that may be in one cell of 1681."""
    square = slices.box((-1, 1), (-1, 1))
    assert certified(squares(0), squares(0)).cells == len(find_regions(squares(0), square)) == 41**2
    with pytest.raises(ValueError, match="the output is not affine within its regions .*it calls maximum"):
        find_regions(squares(1), square)
    plain = nn.Sequential(grid_of_lines(), nn.ReLU(), nn.Linear(80, 1))
    assert 256 <= certified(plain, plain).cells < 41**2


def test_regions_are_refused_where_units_are_left_out_whatever_the_output() -> None:
    """Two rows a point after the last activation: there is no output that could tell what was left out."""
    torch.manual_seed(0)
    model = Net(lambda m, x: F.relu(F.relu(m.a(x)).reshape(-1, 4)), a=nn.Linear(2, 8))
    with pytest.raises(ValueError, match="cannot be cut into linear regions here, since relu: left out, .* is not one row a point"):
        find_regions(model, BOX)


def test_smooth_networks_are_traced_on_the_grid_without_a_word_where_the_engine_is_ours_to_choose() -> None:
    lines = find_boundaries(between(nn.Tanh)(), BOX, resolution=16)
    assert not lines.exact
    assert lines.notes == ()


# ---------------------------------------------------------------------------------------------- activations on request

OPTED: dict[str, tuple[str, Callable[[Any, torch.Tensor], torch.Tensor], str]] = {
    "clamp": ("clamp", lambda m, x: m.b(m.a(x).clamp(min=0)).clamp(-0.3, 0.4), "clamp"),
    "clip": ("clamp", lambda m, x: torch.clip(m.b(m.a(x).clip_(0, 1)), min=0.0), "clip"),
    "clamp_min": ("clamp", lambda m, x: torch.clamp_min(m.b(torch.clamp_max(m.a(x), 0.5)), 0), "clamp_min clamp_max"),
    "maximum": ("maximum", lambda m, x: torch.maximum(m.b(h := torch.maximum(m.a(x), m.a(-x))), 0.3 * h), "maximum"),
    "max of two": ("maximum", lambda m, x: torch.max(m.b(h := m.a(x).max(m.a(-x))), 0.3 * h), "max"),
    "minimum": ("minimum", lambda m, x: torch.minimum(m.b(h := torch.minimum(m.a(x), m.a(-x))), 0.3 * h), "minimum"),
    "abs": ("abs", lambda m, x: abs(m.b(m.a(x).abs())), "abs"),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", OPTED)
def test_what_is_an_activation_on_request_has_exact_lines(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    op, f, spellings = OPTED[name]
    model = three(lambda m, x: m.c(f(m, x)))
    lines = find_boundaries(model, BOX, engine="exact", activations=[op])
    assert lines.exact
    assert [(layer.op, layer.shape) for layer in lines.layers] == [(op, (8,))] * 2
    assert assert_units_switch_at_their_lines(lines, BOX, units_of(model, BOX, *spellings.split())) > 10
    assert sum(find_regions(model, BOX, activations=[op]).areas()) == pytest.approx(9)


def test_a_maximum_along_an_axis_stays_unseen_by_those_that_ask_for_maxima() -> None:
    model = bent(lambda m, h: torch.maximum(h, m.b(h)) - h.max(dim=1, keepdim=True).values)()
    with pytest.warns(BoundaryWarning, match="are not affine within its regions.*it calls max in its forward"):
        assert not find_boundaries(model, BOX, engine="exact", resolution=16, activations=["maximum"]).exact


# ------------------------------------------------------------------------------------------------------------- budgets


def test_too_many_corners_are_traced_on_the_grid_with_a_warning() -> None:
    model = mlp(2, 64, 64, 64, 2)
    with pytest.warns(BoundaryWarning, match="^lines are traced on a grid, since the regions have more than 1,000 corners"):
        lines = find_boundaries(model, BOX, engine="exact", max_vertices=1000, resolution=16)
    assert not lines.exact
    assert len(lines)


@pytest.mark.parametrize("widths", [(2, 64, 64, 2), (2, 64, 2)], ids=str)
def test_too_many_corners_for_regions_are_refused_whichever_layer_makes_them(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be cut into linear regions here, since the regions have more than 200 corners"):
        find_regions(mlp(*widths), BOX, max_vertices=200)


def convolutions() -> nn.Module:
    """40,000 units on images of 3 channels, 32 x 32."""
    layers = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))


WIDE: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "3,000 units": (lambda: mlp(2, 3000, 10, 2), (2,), "more than 65,536 corners"),
    "30,000 units": (lambda: mlp(2, 30_000, 10, 2), (2,), "more than 65,536 corners"),
    "convolutions": (convolutions, (3, 32, 32), "more than 65,536 corners"),
    "more units than are tried": (lambda: mlp(2, 70_000, 2), (2,), "the network has 70,000 units"),
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_layers_are_given_up_soon_and_in_bounded_memory(name: str) -> None:
    make, shape, reason = WIDE[name]
    model, where = make(), plane(*shape)
    tracemalloc.start()
    try:
        with pytest.warns(BoundaryWarning, match=reason) as caught:
            lines = find_boundaries(model, where, engine="exact", resolution=16, max_vertices=2**16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(caught) == 1
    assert not lines.exact
    assert peak < 256 * 2**20


# --------------------------------------------------------------------------------------------------- borders of classes


def decision(model: nn.Module) -> Boundaries:
    seen = look(model, BOX, resolution=16, engine=Engine("exact", 2**16))
    assert seen.boundaries.exact
    assert seen.decision is not None
    assert [(layer.name, layer.op) for layer in seen.decision.layers] == [("output", "argmax")]
    return seen.decision


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_classes_win_on_the_left_of_their_borders_and_nowhere_else(classes: int, seed: int) -> None:
    model = mlp(2, 16, 16, classes, seed=seed)
    borders = decision(model)
    assert borders.exact
    assert len(borders)
    assert assert_units_switch_at_their_lines(borders, BOX, margins_of(model, BOX), ways=20) > 4


@pytest.mark.parametrize("head", [nn.Softmax(dim=1), nn.LogSoftmax(dim=1)], ids=["softmax", "log-softmax"])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_probabilities_have_the_borders_of_their_logits(classes: int, head: nn.Module) -> None:
    model = mlp(2, 16, 16, classes)
    logits, probabilities = decision(model), decision(nn.Sequential(model, head))
    assert probabilities.exact
    assert probabilities.lengths().sum() == pytest.approx(logits.lengths().sum(), rel=1e-9)
    assert_units_switch_at_their_lines(probabilities, BOX, margins_of(model, BOX), ways=20)


def test_any_number_of_classes_has_borders() -> None:
    for seed in range(20):
        model = mlp(2, 16, 16, 50, seed=seed)
        borders = decision(model)
        assert borders.exact, seed
        assert_units_switch_at_their_lines(borders, BOX, margins_of(model, BOX), ways=2)


def test_a_network_that_writes_to_its_inputs_is_drawn_exactly() -> None:
    """Its passes in double precision get the same inputs, also where one is run again since an activation wrote in place."""
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(inplace=True), nn.Linear(16, 16), nn.ReLU(inplace=True), nn.Linear(16, 2))

    class Shifted(nn.Module):
        def __init__(self, *, in_place: bool) -> None:
            super().__init__()
            self.net, self.in_place = net, in_place

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.net(x.sub_(0.3) if self.in_place else x - 0.3)
            return out

    found = [find_boundaries(Shifted(in_place=in_place), BOX) for in_place in (True, False)]
    assert all(lines.exact for lines in found)
    assert np.array_equal(found[0].points, found[1].points)
