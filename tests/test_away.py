"""What stays on the model's device: forced here with tensors on the processor, so that it is tested without a GPU."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from models import mlp
from test_cuda import by_model
from torch import nn
from zoo import Hamiltonian

from boundarycb import Recorder, capture, find_boundaries, slices
from boundarycb.engines import bands
from boundarycb.engines.here import Here
from boundarycb.history import History
from boundarycb.keep import devices
from boundarycb.probe import away, patterns, probe
from boundarycb.types import Reading, Room, Snapshot

SQUARE = slices.box((-1, 1), (-1, 1))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor is far away."""
    monkeypatch.setattr(devices, "FAR", {"cpu"})


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch, far: None) -> list[int]:
    """Bytes of what is copied from there, a copy each."""
    sizes: list[int] = []
    cpu = torch.Tensor.cpu

    def counted(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        sizes.append(tensor.nbytes)
        return cpu(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "cpu", counted)
    return sizes


@settings(deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=1, max_dims=3, max_side=70)))
def test_bits_are_packed_there_as_numpy_packs_them(states: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "FAR", {"cpu"})
        there = away.packed(torch.from_numpy(states))
    assert np.array_equal(there.numpy(), np.packbits(states, axis=-1))
    assert np.array_equal(away.packed(torch.from_numpy(states)).numpy(), np.packbits(states, axis=-1))


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))), st.integers(0, 2**20))
def test_patterns_have_the_same_numbers_there(bits: Any, layer: int) -> None:
    there = patterns.coded_there(torch.from_numpy(bits), layer).numpy().view(np.uint64)
    assert np.array_equal(there, patterns._coded(bits, layer))


def test_a_layers_place_tells_its_patterns_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.randn(30, 70)
    found = []
    for far in (set(), {"cpu"}):
        monkeypatch.setattr(devices, "FAR", far)
        codes = patterns.Patterns(30)
        codes.add(z, 3)
        found.append(codes.codes())
    assert np.array_equal(found[0], found[1])


@pytest.mark.usefixtures("far")
def test_tensors_come_back_as_they_are_a_copy_for_each_dtype(fetches: list[int]) -> None:
    once = torch.arange(6.0).reshape(2, 3)
    tensors = [once, torch.tensor([True]), torch.ones(0, 4), once, torch.tensor([1.5], dtype=torch.bfloat16), torch.eye(2).double()]
    found = away.fetched(tensors)
    assert [one.dtype for one in found] == [np.float32, np.bool_, np.float32, np.float32, np.float32, np.float64]
    assert all(np.array_equal(one, tensor.double().numpy()) for one, tensor in zip(found, tensors, strict=True))
    assert [one.shape for one in found] == [tuple(tensor.shape) for tensor in tensors]
    assert sorted(fetches) == [1, 4 * 7, 8 * 4]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 9), st.integers(1, 20), st.integers(0, 10**6))
def test_both_blocks_say_the_same(points: int, units: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    z = random.choice(
        np.array([-1.5, 0.0, 2.0, np.nan, np.inf, -np.inf], np.float32), p=[0.4, 0.1, 0.35, 0.05, 0.05, 0.05], size=(points, units)
    )
    here, there = Here(z), away.Away.of([torch.from_numpy(part) for part in np.split(z, [units // 2], axis=1)])
    assert here.shape == there.shape == (points, units)
    assert np.array_equal(here.on, there.on)
    assert np.array_equal(here.undefined, there.undefined)
    places = random.integers(0, z.size, 7)
    steps = (0, -min(places), z.size - 1 - max(places))
    assert np.array_equal(here.at(places, steps), there.at(places, steps), equal_nan=True)
    assert np.array_equal(here.array(), there.array(), equal_nan=True)
    start = int(random.integers(-points, points))
    joined = here.followed_by(here.rows(start), here.rows(0, 1)).array()
    assert np.array_equal(joined, there.followed_by(there.rows(start), there.rows(0, 1)).array(), equal_nan=True)


@pytest.mark.usefixtures("far")
def test_half_precision_comes_back_as_single() -> None:
    there = away.Away.of([torch.tensor([[1.0, -2.0]], dtype=torch.float16), torch.tensor([[0.5]])])
    assert there.array().dtype == np.float32
    assert there.array().tolist() == [[1.0, -2.0, 0.5]]


@by_model
@pytest.mark.parametrize("engine", ["auto", "grid"])
def test_a_look_is_the_same_bit_for_bit(make: Any, plane: Any, engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make().eval()
    monkeypatch.setattr(bands, "_BAND_VALUES", 2000)  # many bands, and seams between them
    monkeypatch.setattr(bands, "_BATCH_BYTES", 16 * 700)  # in batches
    near = find_boundaries(model, plane, engine=engine, resolution=40), capture(model, plane, resolution=40)
    monkeypatch.setattr(devices, "FAR", {"cpu"})
    there = find_boundaries(model, plane, engine=engine, resolution=40), capture(model, plane, resolution=40)
    assert len(near[0])
    for name in ("points", "offsets", "owner", "notes"):
        assert np.array_equal(getattr(near[0], name), getattr(there[0], name))
    assert np.array_equal(near[1].on, there[1].on)
    assert near[1].patterns == there[1].patterns
    assert near[1].field is not None
    assert there[1].field is not None
    assert np.array_equal(near[1].field.value, there[1].field.value)


@by_model
def test_a_run_is_the_same_bit_for_bit(make: Any, plane: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[list[Snapshot]] = []
    made = make()
    for far in (set(), {"cpu"}):
        monkeypatch.setattr(devices, "FAR", far)
        model = copy.deepcopy(made)
        generator = torch.Generator().manual_seed(5)
        recorder = Recorder(tmp_path / str(len(runs)), plane, resolution=24)
        for step in range(3):
            recorder.record(model, step, {})
            for parameter in model.parameters():
                parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
        recorder.close()
        runs.append(list(History(recorder.directory)))
    for one, other in zip(*runs, strict=True):
        assert one.metrics.keys() == other.metrics.keys()
        assert {k: v for k, v in one.metrics.items() if v == v} == {k: v for k, v in other.metrics.items() if v == v}
        assert all(np.array_equal(values, other.per_unit[name], equal_nan=True) for name, values in one.per_unit.items())


def test_units_that_are_not_finite_are_told(far: None) -> None:
    class Broken(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = torch.stack([x[:, 0], torch.where(x[:, 1] > 0.5, torch.nan, 1.0), -x[:, 1]], dim=1)
            return torch.relu(z)

    seen = capture(Broken(), SQUARE, resolution=9)
    assert seen.undefined.tolist() == [1]
    assert any("1 of 3 units not finite" in note for note in seen.notes)


def test_tensors_on_several_devices_do_not_stay(far: None) -> None:
    one, other = torch.ones(2, 3), torch.ones(2, 3, device="meta")
    assert away.stays(one)
    assert not away.stays(one, other)
    assert not away.stays(other)


def test_patterns_of_layers_on_several_devices_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of three layers comes back at once, as one on another device does."""
    layers = [torch.randn(40, units).sign() for units in (3, 2, 4)]
    monkeypatch.setattr(devices, "FAR", {"cpu"})
    stays, seen = away.stays, list[int]()
    monkeypatch.setattr(patterns, "stays", lambda bits, *rest: len(seen) != 2 and stays(bits, *rest))
    codes = patterns.Patterns(40)
    for number, z in enumerate(layers):
        seen.append(number)
        codes.add(z, number)
    states = torch.cat(layers, dim=1) > 0
    assert len(codes._there) == 2
    found, want = (np.unique(rows, axis=0, return_inverse=True)[1] for rows in (codes.codes(), states.numpy()))
    assert np.array_equal(np.equal.outer(found, found), np.equal.outer(want, want))


@pytest.mark.parametrize("points", [13, 40])
@pytest.mark.parametrize("units", [13, 20])
def test_a_glance_has_its_own_numbers_and_not_those_of_the_reading_it_is_like(points: int, units: int, far: None) -> None:
    """A batch of 13 points is filled up where a layer has 13 units."""
    model = mlp(2, units, 2)
    inputs = SQUARE.lift(np.random.default_rng(0).uniform(-1, 1, (points, 2)))
    with probe(model) as forward:
        like = forward(SQUARE.lift(SQUARE.corners()[np.arange(13) % 4]))
        reading = forward.double().quick(like)(inputs)
    with torch.no_grad():
        want = copy.deepcopy(model).double()[0](torch.from_numpy(inputs)).numpy()
    assert reading.count == points
    assert [part.shape for part in reading.parts] == [(points, units)]
    assert np.allclose(reading.z, want, rtol=1e-12)


@pytest.mark.usefixtures("far")
def test_what_comes_back_as_one_is_let_go_of_by_itself() -> None:
    """The exact engine counts what it holds layer by layer."""
    assert all(one.base is None for one in away.fetched([torch.ones(3, 2), torch.ones(4)]))


def test_bits_and_crossings_alone_come_back(fetches: list[int]) -> None:
    """Of 512 units at 66 x 66 points: a quarter of a megabyte of states, twice, and the corners of cells that lines cross."""
    model, resolution = mlp(2, 256, 256, 2), 64
    points = (resolution + 2) ** 2
    lines = find_boundaries(model, SQUARE, engine="grid", resolution=resolution)
    assert len(lines)
    whole, states = 4 * points * 512, points * 512 / 8
    corners = 4 * 4 * 3 * len(lines.points)  # a point of a line lies between two cells; some are left out of straight lines
    assert sum(fetches) < states + corners + 4 * points * 2 + 4000
    assert sum(fetches) < whole / 4


def test_a_pass_comes_back_in_few_copies(fetches: list[int]) -> None:
    model = mlp(2, *[8] * 12, 2)
    with probe(model) as forward:
        forward(SQUARE.lift(SQUARE.corners()[np.arange(20) % 4]))  # which settles what is watched
        fetches.clear()
        reading = forward(SQUARE.lift(SQUARE.corners()[np.arange(20) % 4]))
    assert len(fetches) <= 2  # the output, the patterns of all units
    assert isinstance(reading, Reading)
    assert reading.z.shape == (20, 8 * 12)


def test_more_points_run_at_once_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with probe(mlp(2, 4, 2)) as forward:
        assert [forward.room(rows) for rows in (1, 64, 4096)] == [Room(1), Room(60), Room(60)]
    monkeypatch.setattr(devices, "FAR", {"cpu"})
    with probe(mlp(2, 4, 2)) as forward:
        assert forward.room(64) == Room(64, 4)  # until a pass was seen
        forward(SQUARE.lift(SQUARE.corners()[np.arange(20) % 4]))
        assert [forward.room(rows) for rows in (1, 64, 4096)] == [Room(2, 4), Room(128, 4), Room(1024, 4)]
    with probe(Hamiltonian()) as forward:
        forward(SQUARE.lift(SQUARE.corners()[np.arange(20) % 4]))
        assert forward.room(64) == Room(64, 4)  # its graph takes memory


@pytest.mark.usefixtures("far")
def test_a_batch_that_is_filled_up_is_read_without_what_fills_it() -> None:
    """A row of the grid has as many points as the layer has units."""
    model = mlp(2, 24, 3)
    masks = [capture(model, SQUARE, resolution=22).on]
    masks.append(capture(model, SQUARE, resolution=22, max_units=24).on)
    with torch.no_grad():
        z = model[0](torch.tensor(SQUARE.lift(bands.centres(SQUARE, 22)), dtype=torch.float32))
    assert all(np.array_equal(on, np.packbits((z > 0).numpy().T, axis=1)) for on in masks)


@pytest.mark.parametrize("kinds", [set(), {"cpu"}], ids=["near", "far"])
def test_a_transform_of_the_models_leaves_nothing_for_the_next(kinds: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made once and used again must not be of a transform that is over."""

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last, self.weight = nn.Linear(2, 20), nn.Linear(20, 2), nn.Parameter(torch.ones(20))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x)
            scores: torch.Tensor = self.last(torch.func.functionalize(lambda w: torch.relu(h) * w)(self.weight))
            return scores

    monkeypatch.setattr(devices, "FAR", kinds)
    away._indices.cache_clear()
    away._shifts.cache_clear()
    for model in (Functional(), mlp(2, 20, 2)):
        seen = capture(model, SQUARE, resolution=12, max_units=5)
        assert not len(seen.undefined)
        layer = model.first if isinstance(model, Functional) else model[0]
        with torch.no_grad():
            z = layer(torch.tensor(SQUARE.lift(bands.centres(SQUARE, 12)), dtype=torch.float32))
        assert np.array_equal(seen.on, np.packbits((z > 0).numpy().T[list(seen.layers[0].kept)], axis=1))


@pytest.mark.usefixtures("far")
def test_indices_may_be_kept_by_a_graph_and_by_inference() -> None:
    away._indices.cache_clear()
    with torch.inference_mode():
        away.chosen_columns(torch.ones(2, 4), (1, 3))
    values = torch.ones(2, 4, requires_grad=True)
    away.chosen_columns(values, (1, 3)).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[0, 1, 0, 1]] * 2


def test_want_of_memory_is_not_taken_for_the_slices_fault() -> None:
    class Full(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        capture(Full(), SQUARE, resolution=8)
