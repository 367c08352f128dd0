"""Which engine draws: the choice of a run, what is said of it, and that it changes nothing of the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import mlp
from torch import nn

from boundarycb import BoundaryWarning, Recorder, find_boundaries, find_regions, load, metrics, slices, watch
from boundarycb.probe import probe
from boundarycb.render import draw_overlay
from boundarycb.render.pictures import background_caption
from boundarycb.sampling import Engine, capture, look
from boundarycb.types import Sample, Snapshot

SQUARE = slices.box((-1, 1), (-1, 1))


class Switch(nn.Module):
    """A ReLU network that also bends where none of its units does, while `bent` says so."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 8, 8, 2)
        self.bent = False
        self.passes = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
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
def test_a_smooth_activation_that_gives_the_output_is_no_obstacle(closing: type[nn.Module]) -> None:
    model = nn.Sequential(*mlp(2, 8, 8, 1), closing(), nn.Flatten(0))
    lines = find_boundaries(model, SQUARE)
    assert lines.exact
    assert [layer.op for layer in lines.layers][:2] == ["relu", "relu"]
    assert not find_boundaries(nn.Sequential(*model, nn.Unflatten(0, (-1, 1)), nn.Linear(1, 1)), SQUARE).exact


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
    assert caption.startswith("exact lines, decision from a 32² grid")


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
