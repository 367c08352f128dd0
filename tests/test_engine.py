"""Which engine draws: the choice of a run, what is said of it, and that it changes nothing of the numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import mlp
from torch import nn

from boundarycb import BoundaryWarning, Recorder, find_boundaries, find_regions, load, metrics, overlay, slices, watch
from boundarycb.probe import probe
from boundarycb.render import draw_overlay
from boundarycb.render.captions import background_caption
from boundarycb.sampling import Engine, capture, look
from boundarycb.types import Sample, Snapshot

SQUARE = slices.box((-1, 1), (-1, 1))


class Switch(nn.Module):
    """A ReLU network that also bends where none of its units does, while `bent` says so."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 8, 8, 2)
        self.bent = False
        self.single = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.single and x.dtype == torch.float64:
            raise TypeError("no double precision in here")
        x = self.net[:2](x)
        if self.bent:
            x = torch.maximum(x, 0.5 * x + 0.1)
        return torch.as_tensor(self.net[2:](x))


def record(recorder: Recorder, model: nn.Module, steps: range) -> None:
    for step in steps:
        recorder.record(model, step)


def test_exact_is_the_default_and_the_picture_says_so() -> None:
    seen = look(mlp(2, 8, 8, 2), SQUARE, resolution=16)
    assert seen.boundaries.exact
    assert seen.decision is not None
    assert seen.decision.exact
    assert background_caption(Snapshot(0, 0.0, SQUARE, seen.capture, seen.boundaries)).startswith("exact lines")


@pytest.mark.parametrize("activation", [nn.Tanh, nn.GELU, nn.SiLU, nn.Softplus, nn.Sigmoid, nn.ELU])
def test_smooth_activations_are_for_the_grid_and_nobody_is_warned(activation: type[nn.Module]) -> None:
    seen = look(mlp(2, 8, 8, 2, act=activation), SQUARE, resolution=16)
    assert not seen.boundaries.exact
    assert not seen.boundaries.notes
    assert background_caption(Snapshot(0, 0.0, SQUARE, seen.capture, seen.boundaries)).startswith("lines from a 16² grid")
    with pytest.warns(BoundaryWarning, match="0 is .*, which is not piecewise linear"):
        assert not find_boundaries(mlp(2, 8, 8, 2, act=activation), SQUARE, engine="exact").exact


def test_a_run_keeps_to_the_grid_once_the_exact_engine_failed_and_tries_again(tmp_path: Path) -> None:
    model = Switch()
    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[])
    record(recorder, model, range(2))
    model.bent = True
    with pytest.warns(BoundaryWarning) as caught:
        record(recorder, model, range(2, 5))
    (said,) = caught
    words = str(said.message)
    assert "lines are traced on a grid from step 2 on, since units of net.2 are not affine within its regions (0." in words
    assert "maximum in its forward" in words
    model.bent = False
    record(recorder, model, range(5, 22))
    with pytest.warns(BoundaryWarning, match="step 22: lines are exact again from step 22 on"):
        record(recorder, model, range(22, 24))
    recorder.close()
    history = load(tmp_path)
    assert [snapshot.boundaries.exact for snapshot in history] == [True] * 2 + [False] * 20 + [True] * 2
    assert all("from step 2 on" in snapshot.notes[0] for snapshot in list(history)[2:22])
    assert [len(history[k].notes) for k in (0, 22, 23)] == [0, 1, 0]


def test_the_warning_tells_how_to_opt_in() -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.net[2:](self.net[0](x).clamp(min=0)))

    with pytest.warns(BoundaryWarning, match=r"it calls clamp in its forward; `activations=\[\"clamp\"\]` makes units of that"):
        assert not find_boundaries(Clamped(), SQUARE).exact
    lines = find_boundaries(Clamped(), SQUARE, activations=["clamp"])
    assert lines.exact
    assert [layer.op for layer in lines.layers] == ["clamp", "relu"]


@pytest.mark.parametrize("name", ["magic", "", None])
def test_an_unknown_engine_is_named(name: Any, tmp_path: Path) -> None:
    for call in (
        lambda: find_boundaries(mlp(2, 4, 2), SQUARE, engine=name),
        lambda: Recorder(tmp_path, SQUARE, engine=name),
        lambda: watch(mlp(2, 4, 2), slice=SQUARE, directory=tmp_path, engine=name),
    ):
        with pytest.raises(ValueError, match="`engine` must be one of auto, exact, grid"):
            call()


@pytest.mark.parametrize("wrong", [0, 3, -1, 2.5, True, "many", 2**22])
def test_a_wrong_budget_is_named(wrong: Any) -> None:
    with pytest.raises(ValueError, match="`max_vertices` must be a whole number of corners, 4 to 2,097,152"):
        find_boundaries(mlp(2, 4, 2), SQUARE, max_vertices=wrong)


@pytest.mark.parametrize(("wrong", "kind"), [("clamp", TypeError), (["relu"], ValueError), ([1], ValueError), (3, TypeError)])
def test_wrong_optional_activations_are_named(wrong: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="`activations` m"):
        find_boundaries(mlp(2, 4, 2), SQUARE, activations=wrong)


def test_past_the_budget_the_grid_takes_over_and_says_so() -> None:
    model = mlp(2, 32, 32, 2)
    with pytest.warns(BoundaryWarning, match="lines are traced on a grid, since the regions have more than 100 corners"):
        assert not find_boundaries(model, SQUARE, max_vertices=100).exact
    with pytest.raises(ValueError, match="cannot be cut into linear regions here, since the regions have more than 100 corners"):
        find_regions(model, SQUARE, max_vertices=100)
    assert find_boundaries(model, SQUARE, max_vertices=2000).exact


def test_past_the_budget_it_is_said_what_else_may_be_the_matter() -> None:
    """More corners would not help a network that bends elsewhere, whichever of its layers has too many."""
    torch.manual_seed(0)
    for wide, most in ((24, 4), (24, 60), (800, 4)):  # the last has too many crossings to begin with
        layers = (nn.Linear(2, wide), nn.GroupNorm(2, wide), nn.ReLU(), nn.Linear(wide, 24), nn.ReLU(), nn.Linear(24, 2))
        model = nn.Sequential(*layers)
        with pytest.warns(BoundaryWarning, match=rf"more than {most} corners \(`max_vertices=` .*\); it calls group_norm in 1\.$"):
            find_boundaries(model, SQUARE, max_vertices=most)
    model = nn.Sequential(nn.Linear(2, 24), nn.GroupNorm(2, 24), nn.ReLU(), nn.Linear(24, 2))
    with pytest.raises(ValueError, match=r"more than 60 corners .*; it calls group_norm in 1\.?$"):
        find_regions(model, SQUARE, max_vertices=60)


def test_what_two_notes_say_is_in_a_picture_once(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 2))
    recorder = Recorder(tmp_path, SQUARE, resolution=16, mode="as_is", max_vertices=4, metrics=[])
    with pytest.warns(BoundaryWarning):
        recorder.record(model, 0)
    recorder.close()
    said = "; ".join(load(tmp_path)[0].notes)
    assert said.startswith("lines are traced on a grid, since ")
    assert said.count("a batch-norm takes its statistics from the points") == 1


def test_the_budget_follows_the_resolution() -> None:
    with pytest.warns(BoundaryWarning, match="more than 256 corners"):
        find_boundaries(mlp(2, 32, 32, 2), SQUARE, resolution=8)


def test_a_model_without_double_precision_goes_to_the_grid() -> None:
    class OnlySingle(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            if x.dtype != torch.float32:
                raise TypeError("only float32")
            return x * 2

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            doubled: torch.Tensor = OnlySingle.apply(x)  # type: ignore[no-untyped-call]
            return torch.as_tensor(self.net(doubled))

    with pytest.warns(BoundaryWarning, match="since the model does not run in double precision .TypeError: only float32"):
        assert not find_boundaries(Model(), SQUARE).exact


def test_a_model_that_narrows_by_itself_is_widened() -> None:
    class Narrows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.net[:2](x.float())
            table = torch.full((8,), 1 / 3, dtype=torch.float32)
            return torch.as_tensor(self.net[2:](F.linear(x.float(), torch.diag(table))))

    assert find_boundaries(Narrows(), SQUARE).exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_model_that_narrows_and_widens_again_out_of_sight_is_found_out(dtype: torch.dtype) -> None:
    class Narrows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.net[2:](self.net[:2](x).to(dtype).to(x.dtype)))

    torch.manual_seed(0)
    model = Narrows()
    lines, wanted = find_boundaries(model, SQUARE), find_boundaries(model.net, SQUARE)
    assert lines.exact
    assert np.allclose(lines.points, wanted.points, rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [4, 13, 14, 26])
def test_an_axis_as_long_as_a_batch_is_not_taken_for_it(steps: int) -> None:
    class StepsFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.a(x.transpose(0, 1))).mean(0)

    generator = torch.Generator().manual_seed(0)
    a, b, c = torch.randn(3, steps, 2, generator=generator)
    assert find_boundaries(StepsFirst(), slices.through(a, b, c)).exact


def test_a_gate_that_is_a_constant_is_no_obstacle() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.gate = mlp(2, 8, 8, 2), nn.Parameter(torch.tensor(0.3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.net[:2](x)
            return torch.as_tensor(self.net[3:](x + torch.sigmoid(self.gate) * self.net[2](x)))

    lines = find_boundaries(Gated(), SQUARE)
    assert lines.exact


def test_a_model_that_overwrites_what_was_read_out_of_sight_is_found_out() -> None:
    class Overwrites(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.net[:3](x)
            y = torch.relu(z)
            z.detach().numpy()[:] = 1.0
            return torch.as_tensor(self.net[4](y))

    torch.manual_seed(0)
    model = Overwrites()
    with pytest.warns(BoundaryWarning, match="units of net.2 switch within its regions"):
        assert not find_boundaries(model, SQUARE).exact


@pytest.mark.parametrize("closing", [nn.Sigmoid, nn.Tanh, nn.Softplus])
def test_a_smooth_activation_behind_all_other_units_is_no_obstacle(closing: type[nn.Module]) -> None:
    model = nn.Sequential(*mlp(2, 8, 8, 1), closing(), nn.Flatten(0))
    lines = find_boundaries(model, SQUARE)
    assert lines.exact
    assert [layer.op for layer in lines.layers][:2] == ["relu", "relu"]
    scaled = nn.Sequential(*model, nn.Unflatten(0, (-1, 1)), nn.Linear(1, 1))
    assert find_boundaries(scaled, SQUARE).exact
    assert not find_boundaries(nn.Sequential(*scaled, nn.ReLU()), SQUARE).exact


def test_what_bends_after_the_last_activation_leaves_lines_exact_and_the_decision_to_the_grid() -> None:
    class Squared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 8, 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.net(x)).square()

    seen = look(Squared(), SQUARE, resolution=32)
    assert seen.boundaries.exact
    assert seen.decision is not None
    assert not seen.decision.exact
    caption = background_caption(Snapshot(0, 0.0, SQUARE, seen.capture, seen.boundaries, decision=seen.decision))
    assert caption.startswith("exact lines, decision on 32²")


class Three(nn.Module):
    """Three linear layers, joined by a function of them and the input."""

    def __init__(self, call: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.call(self, x)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, x: m.c(m.b(F.relu(m.a(x))).clamp(min=0)), r"the output is not affine .*`activations=\[\"clamp\"\]` makes units"),
        (lambda m, x: m.c((z := m.b(F.relu(m.a(x)))) * (z > 0)), "the output is not affine within its regions"),
        (lambda m, x: m.c(F.layer_norm(m.b(F.relu(m.a(x))), (8,))), "the output is not affine .* it calls layer_norm"),
        (lambda m, x: m.c(F.dropout(m.b(F.relu(m.a(x))), 0.3)), "the output is not affine"),
        (lambda m, x: m.c(F.relu(F.relu(m.a(x)).reshape(-1, 4)).reshape(-1, 8)), "not one row a point"),
    ],
)
def test_regions_are_refused_where_the_network_bends_behind_all_units(call: Any, words: str) -> None:
    """Lines are exact all the same, since no unit reads what bends there; regions would be too few."""
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=words):
        find_regions(Three(call), SQUARE)


def test_what_is_not_counted_behind_all_units_is_told_with_the_lines() -> None:
    torch.manual_seed(0)
    model = Three(lambda m, x: m.c(m.b(F.relu(m.a(x))).clamp(min=0)))
    for shown in (lambda: find_boundaries(model, SQUARE), lambda: overlay(model, SQUARE, resolution=8)):
        with pytest.warns(BoundaryWarning, match=r'clamp in its forward may bend .*`activations=\["clamp"\]` makes units of that'):
            shown()
    assert len(find_boundaries(model, SQUARE, activations=["clamp"]).layers) == 2
    assert len(find_regions(model, SQUARE, activations=["clamp"])) > 8


def test_a_box_may_be_given_as_its_two_ranges() -> None:
    """As in a run; what would take data, such as the places of samples, is refused in words."""
    model, ranges = mlp(2, 4, 2, seed=1), [(-1, 1), (-1, 1)]
    assert np.array_equal(find_boundaries(model, ranges).points, find_boundaries(model, SQUARE).points)
    assert len(find_regions(model, ranges)) == len(find_regions(model, SQUARE))
    assert np.array_equal(capture(model, ranges, resolution=8).on, capture(model, SQUARE, resolution=8).on)
    picture = overlay(model, SQUARE, resolution=8).rgb()
    given: Any
    for given in (ranges, np.array(ranges), torch.tensor(ranges), [np.array(ends) for ends in ranges]):
        assert np.array_equal(overlay(model, given, resolution=8).rgb(), picture)
    for wrong in ((3, 1, 2), None, torch.zeros(3, 2)):
        with pytest.raises(TypeError, match=r"`slice` must be one of boundarycb.slices, such as slices.box\(.*two ranges of a box"):
            overlay(model, wrong, resolution=8)  # type: ignore[arg-type]


def test_a_mild_bend_of_the_output_leaves_the_decision_to_the_grid() -> None:
    torch.manual_seed(0)
    bent = Three(lambda m, x: (o := m.c(F.relu(m.b(F.relu(m.a(x)))))) + 0.3 * o**3 * torch.tensor([1.0, 2.0]))
    seen = look(bent, SQUARE, resolution=16)
    assert seen.boundaries.exact
    assert seen.decision is not None
    assert not seen.decision.exact


class Difference(nn.Module):
    """A network less its copy, as an anti-symmetric initialisation makes it: every output is zero but for rounding."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 64), nn.Linear(64, classes, bias=False)
        with torch.no_grad():
            for parameter in self.first.parameters():
                parameter[32:] = parameter[:32]
            self.last.weight[:, 32:] = -self.last.weight[:, :32]

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(F.relu(self.first(x)))


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_an_output_that_cancels_is_no_bent_one(classes: int) -> None:
    for seed in range(6):
        torch.manual_seed(seed)
        model = Difference(classes)
        regions = find_regions(model, SQUARE)
        half = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
        half[0].load_state_dict({name: value[:32] for name, value in model.first.state_dict().items()})
        assert len(regions) == len(find_regions(half, SQUARE))
        seen = look(model, SQUARE, resolution=16)
        if classes > 1:
            assert seen.decision is not None
            assert seen.decision.exact
            assert not len(seen.decision)  # all classes are equal, so the first wins everywhere


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-8, 1e-12])
def test_an_output_that_bends_is_seen_however_small_it_is_beside_the_units(scale: float) -> None:
    torch.manual_seed(0)
    model = Three(lambda m, x: scale * m.c(F.relu(3 * m.b(F.relu(3 * m.a(x))))).square())
    with pytest.raises(ValueError, match="the output is not affine within its regions"):
        find_regions(model, SQUARE)
    decision = look(model, SQUARE, resolution=16).decision
    assert decision is not None
    assert not decision.exact


def test_other_threads_see_nothing_of_the_double_precision() -> None:
    """The default format is one for all threads, and a replay buffer's tensors would be made in it."""
    seen, stop = set(), threading.Event()

    def make() -> None:
        while not stop.is_set():
            seen.add(torch.tensor([0.5]).dtype)

    thread = threading.Thread(target=make)
    thread.start()
    try:
        for _ in range(5):
            assert find_boundaries(mlp(2, 16, 16, 2), SQUARE).exact
    finally:
        stop.set()
        thread.join()
    assert seen == {torch.float32}


def test_tensors_that_a_model_makes_are_double_without_being_told_so() -> None:
    def call(m: Any, x: torch.Tensor) -> torch.Tensor:
        shift = torch.zeros(8) + torch.tensor([0.1]) + torch.full((8,), 0.2) + torch.linspace(0, 1, 8) + torch.as_tensor(1 / 3)
        kinds.add((shift.dtype, torch.tensor([1, 2]).dtype, torch.arange(3).dtype, torch.ones(2, dtype=torch.float16).dtype))
        return torch.as_tensor(m.c(F.relu(m.b(F.relu(m.a(x))) + shift)))

    kinds: set[Any] = set()
    torch.manual_seed(0)
    lines = find_boundaries(Three(call), SQUARE)
    assert lines.exact
    assert {kind[0] for kind in kinds} == {torch.float32, torch.float64}
    assert {kind[1:3] for kind in kinds} == {(torch.int64, torch.int64)}


@pytest.mark.parametrize("size", [10, 12, 13, 14, 18, 34])
def test_an_activation_of_a_parameter_is_never_taken_for_one_of_the_points(size: int) -> None:
    """A gate whose axis is as long as a batch: 13 corners, or a row of a 16-grid with its borders."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(2, size), nn.Linear(size, 8), nn.Linear(8, 2)
            self.gate = nn.Parameter(torch.rand(size))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.c(F.relu(self.b(F.relu(self.a(x)) * torch.sigmoid(self.gate)))))

    torch.manual_seed(0)
    model = Gated()
    for resolution in (8, 16, 32):
        seen = look(model, SQUARE, resolution=resolution)
        assert seen.boundaries.exact
        assert [layer.name for layer in seen.capture.layers] == ["a", "b"]
        assert not find_boundaries(model, SQUARE, engine="grid", resolution=resolution).exact


@pytest.mark.parametrize("scale", [1e-3, 1e-9, 1e-16, 1e-30])
def test_a_unit_that_is_tiny_beside_its_layer_keeps_its_boundary(scale: float) -> None:
    """As under a long weight decay; a unit that is nothing but rounding has none."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    model[0].weight.data = torch.tensor([[1.0, 2.0], [1.0, 1.0], [0.3, -1.0]], dtype=torch.float64)
    model[0].weight.data[0] *= scale
    model[0].bias.data = torch.tensor([0.1 * scale, 3.0, 2.0], dtype=torch.float64)
    model[2].weight.data = torch.tensor([[1.0, 0, 0], [0, 1, -1]], dtype=torch.float64)
    model[2].bias.data = torch.tensor([-0.5 * scale, 0.2], dtype=torch.float64)
    (line,) = find_boundaries(model, SQUARE).of("0", 0)
    assert np.allclose(line @ [1, 2], -0.1)
    (line,) = find_boundaries(model, SQUARE).of("2", 0)
    assert np.allclose(line @ [1, 2], 0.4)


@pytest.mark.parametrize("size", [1.0, 1e7])
def test_what_is_left_where_large_numbers_cancel_is_no_boundary(size: float) -> None:
    """h1 + h2 - h3 is 0 but for rounding wherever all three are on; and off where none is."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    rows = torch.tensor([[0.3, 0.1], [0.2, -0.7], [0.5, -0.6]], dtype=torch.float64)
    model[0].weight.data, model[0].bias.data = size * rows, size * torch.tensor([1.1, 2.3, 3.4], dtype=torch.float64)
    model[2].weight.data = torch.tensor([[1.0, 1, -1], [1 / size, 0, 0]], dtype=torch.float64)
    model[2].bias.data = torch.tensor([0.0, -1.0], dtype=torch.float64)
    lines = find_boundaries(model, SQUARE)
    assert lines.exact
    assert lines.of("2", 0) == []
    assert len(lines.of("2", 1)) == 1


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-9])
def test_a_unit_that_bends_is_seen_however_small_it_is_beside_its_layer(scale: float) -> None:
    """What it is off a plane is no rounding, for which it would be zero everywhere, without a boundary."""
    size = torch.tensor([scale, *[0.0] * 7])
    torch.manual_seed(0)
    model = Three(lambda m, x: m.c(F.relu((z := m.b(F.relu(m.a(x)))) * (size == 0) + size * z * z[:, :1])))
    with pytest.warns(BoundaryWarning, match="are not affine within its regions|changes its sign more than twice"):
        assert not find_boundaries(model, SQUARE).exact


def test_what_is_left_of_large_numbers_is_no_boundary_in_the_layers_behind_either() -> None:
    """The second layer is as above; the third reads what is left there, and no number of either is large any more."""
    size = 1e7
    model = nn.Sequential(*(part for k in range(3) for part in (nn.Linear((2, 3, 2)[k], (3, 2, 2)[k]), nn.ReLU())), nn.Linear(2, 2))
    model.double()
    rows = torch.tensor([[0.3, 0.1], [0.2, -0.7], [0.5, -0.6]], dtype=torch.float64)
    model[0].weight.data, model[0].bias.data = size * rows, size * torch.tensor([1.1, 2.3, 3.4], dtype=torch.float64)
    model[2].weight.data = torch.tensor([[1.0, 1, -1], [1 / size, 0, 0]], dtype=torch.float64)
    model[2].bias.data = torch.tensor([0.0, -1.0], dtype=torch.float64)
    model[4].weight.data = torch.tensor([[1.0, 0], [0, 1]], dtype=torch.float64)
    model[4].bias.data = torch.tensor([-1e-10, -0.1], dtype=torch.float64)
    lines = find_boundaries(model, SQUARE)
    assert lines.exact
    assert [len(lines.of(*unit)) for unit in (("2", 0), ("2", 1), ("4", 0), ("4", 1))] == [0, 1, 0, 1]
    regions = find_regions(model, SQUARE)
    assert len(regions) == 3
    assert not regions.shares()[3]  # a unit that is nothing but rounding is on nowhere


def test_the_reason_why_the_grid_draws_is_told_anew_where_it_is_another(tmp_path: Path) -> None:
    model = Switch()
    model.bent = True
    recorder = Recorder(tmp_path, SQUARE, resolution=8, metrics=[])
    with pytest.warns(BoundaryWarning, match="maximum"):
        record(recorder, model, range(3))
    model.bent, model.single = False, True
    with pytest.warns(BoundaryWarning, match="no double precision in here"):
        record(recorder, model, range(3, 23))
    recorder.close()
    notes = [snapshot.boundaries.notes[0] for snapshot in load(tmp_path)]
    assert "maximum" in notes[2]
    assert "maximum" in notes[19]
    assert "no double precision in here" in notes[20]


def test_values_that_are_not_finite_are_told_with_the_lines() -> None:
    model = Three(lambda m, x: m.c(F.relu(m.b(F.relu(m.a(x) / (x[:, :1] > -0.5))))))
    with pytest.warns(BoundaryWarning, match="lines are traced on a grid, since .* is not finite everywhere"):
        assert not find_boundaries(model, SQUARE, resolution=16).exact


@pytest.mark.parametrize("copies", [True, False])
def test_in_place_activations_are_read_before_they_are_overwritten(copies: bool) -> None:
    plain = mlp(2, 9, 9, 2)
    model = nn.Sequential(*(nn.ReLU(inplace=True) if isinstance(layer, nn.ReLU) else layer for layer in plain))
    inputs = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    with probe(model) as forward, probe(plain) as other:
        quick = forward.double().quick(forward(inputs[:4]))
        found, wanted = quick(inputs), other.double()(inputs)
        glanced = forward.double().glance(inputs, wanted, copies=copies)
    assert np.array_equal(found.z, wanted.z)
    assert (glanced is None) == (not copies)  # what is not copied is spoiled, which is seen


def test_the_quick_pass_reads_what_the_full_one_does() -> None:
    model = mlp(2, 9, 9, 3)
    inputs = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    with probe(model) as forward:
        double = forward.double()
        quick = double.quick(forward(inputs))
        for _ in range(3):
            found, wanted = quick(inputs), double(inputs)
            assert np.array_equal(found.z, wanted.z)
            assert found.layers == wanted.layers
            assert found.output is not None
            assert wanted.output is not None
            assert np.array_equal(found.output, wanted.output)


# ---------------------------------------------------------------------------------------------- numbers stay what they are


def trained() -> nn.Sequential:
    """Return a small network that was trained for a while, so that its boundaries have moved."""
    torch.manual_seed(0)
    model: nn.Sequential = mlp(2, 16, 16, 16, 2)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(200):
        x = torch.rand(128, 2) * 2 - 1
        loss = F.cross_entropy(model(x), (x.norm(dim=1) < 0.6).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def test_the_share_that_a_unit_is_on_agrees_with_the_regions_to_the_grids_resolution() -> None:
    model, side = trained(), 128
    grid = np.unpackbits(capture(model, SQUARE, resolution=side).on, axis=1, count=side * side).mean(axis=1)
    regions = find_regions(model, SQUARE)
    lengths = np.zeros(len(grid))
    lines = find_boundaries(model, SQUARE)
    np.add.at(lengths, lines.owner, lines.lengths())
    # A pixel can only be wrong where the boundary runs through it: a boundary of length l meets about l / h of them, h wide.
    most = (lengths / 2 + 4 / side) * (2 / side) / 2
    assert (np.abs(grid - regions.shares()) <= most + 1e-12).all()


def test_exact_dormancy_agrees_with_the_grids() -> None:
    model = trained()
    shares = find_regions(model, SQUARE).shares()
    seen = look(model, SQUARE)
    values = metrics.dormant_units(Sample(seen.capture, seen.boundaries, None, seen.capture))
    spans = {"0": slice(0, 16), "2": slice(16, 32), "4": slice(32, 48)}
    for name, span in spans.items():
        never = float((shares[span] == 0).mean())
        assert values[f"dormant/never_on/{name}"] == pytest.approx(never, abs=1 / 16)  # one unit may hide between grid points


def test_both_engines_find_boundaries_as_long() -> None:
    model = trained()
    exact, grid = (find_boundaries(model, SQUARE, engine=engine) for engine in ("exact", "grid"))
    lengths = np.zeros((2, 48))
    for row, lines in enumerate((exact, grid)):
        np.add.at(lengths[row], lines.owner, lines.lengths())
    assert np.allclose(lengths[0], lengths[1], rtol=0.02, atol=2 * 2 / 128)


def test_the_decision_boundary_is_kept_and_drawn(tmp_path: Path) -> None:
    model = trained()
    recorder = Recorder(tmp_path, SQUARE, resolution=32, metrics=[])
    recorder.record(model, 0)
    recorder.close()
    (snapshot,) = load(tmp_path)
    assert snapshot.decision is not None
    assert snapshot.decision.exact
    inner = snapshot.decision.of("output", 1)
    assert sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in inner) == pytest.approx(2 * np.pi * 0.6, rel=0.15)
    bare = Snapshot(0, 0.0, SQUARE, snapshot.capture, snapshot.boundaries)
    assert (draw_overlay(snapshot).pixels != draw_overlay(bare).pixels).mean() > 0.005


@pytest.mark.parametrize("classes", [2, 5])
def test_the_grids_decision_boundary_lies_beside_the_exact_one(classes: int) -> None:
    from oracles import distance_to_lines

    model = mlp(2, 12, 12, classes, seed=3)
    exact, grid = (look(model, SQUARE, engine=Engine(name)).decision for name in ("exact", "grid"))
    assert exact is not None
    assert grid is not None
    assert len(exact)
    for k in range(classes):
        ours, theirs = exact.of("output", k), grid.of("output", k)
        assert bool(ours) == bool(theirs)
        for a, b in ((ours, theirs), (theirs, ours)):
            if a:
                assert distance_to_lines(np.concatenate(a), b).max() < 2 * 2 / 128


def test_training_is_the_same_bit_for_bit_with_each_engine(tmp_path: Path) -> None:
    finals = []
    for engine in ("auto", "exact", "grid", None):
        torch.manual_seed(0)
        model: nn.Sequential = mlp(2, 8, 8, 2)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        recorder = None if engine is None else Recorder(tmp_path / engine, SQUARE, engine=engine, resolution=16)
        for step in range(5):
            if recorder is not None:
                recorder.record(model, step)
            x = torch.rand(16, 2)
            loss = F.cross_entropy(model(x), (x[:, 0] > 0.5).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if recorder is not None:
            recorder.close()
        finals.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert all(torch.equal(final, finals[-1]) for final in finals)


def test_an_overlay_names_classes_and_refuses_wrong_arguments() -> None:
    model = mlp(2, 8, 3)
    named, bare = (overlay(model, SQUARE, resolution=8, class_names=names).rgb() for names in (["red", "green", "blue"], ()))
    assert named.shape != bare.shape  # names have a line of their own
    with pytest.raises(ValueError, match="`class_names` has 2 names, and the model's output has 3 classes"):
        overlay(model, SQUARE, resolution=8, class_names=["red", "green"])
    with pytest.raises(ValueError, match="`image_size` must be a whole number of pixels"):
        overlay(model, SQUARE, resolution=8, image_size=3)
