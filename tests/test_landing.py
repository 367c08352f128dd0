"""Pre-activations land side by side as they come."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import Ginn, mlp
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from boundarycb import capture, find_boundaries, slices
from boundarycb.keep import devices
from boundarycb.probe import probe
from boundarycb.probe.landing import Landing, LandingField
from boundarycb.types import Floats

RANDOM = np.random.default_rng(0)


def points(n: int) -> Floats:
    return RANDOM.uniform(-1, 1, (n, 2))


def of_first(model: nn.Module, inputs: Floats) -> Any:
    """Return what a prober says that has not run before, whose pre-activations are copied layer by layer."""
    with probe(model) as forward:
        return forward(inputs)


class Wrote(nn.Module):
    """Writes to its pre-activations after it used them, and to what it has activated."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.one(x)
        b = F.relu(a, inplace=True)
        c = self.two(b)
        d = torch.tanh(c)
        c.zero_()
        b += 1
        return d


class InInference(nn.Module):
    def __init__(self, *, inside: bool) -> None:
        super().__init__()
        self.one, self.two, self.inside = nn.Linear(2, 5), nn.Linear(5, 3), inside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(self.inside):
            h = F.relu(self.one(x))
        with torch.inference_mode(not self.inside):
            return F.relu(self.two(h.clone()))


class Mixed(nn.Module):
    """Two layers of single and one of double precision."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(F.relu(self.two(F.relu(self.one(x)))).double() - 0.1).float()


MODELS: list[Callable[[], nn.Module]] = [
    lambda: mlp(2, 7, 9, 2),
    Ginn,
    lambda: mlp(2, 7, 2),  # one layer of units
    lambda: mlp(2, 7, 9, 2).bfloat16(),
    lambda: mlp(2, 7, 9, 2).half(),
    lambda: mlp(2, 7, 9, 2).double(),
    Wrote,
    lambda: InInference(inside=True),
    lambda: InInference(inside=False),
    Mixed,
    lambda: nn.Sequential(
        nn.Linear(2, 16), nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4), nn.GELU()
    ),
]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("outside", [False, True])
def test_a_later_pass_says_the_same_as_a_first_one_bit_for_bit(make: Callable[[], nn.Module], outside: bool) -> None:
    torch.manual_seed(0)
    model = make()
    with torch.inference_mode(outside), probe(model) as forward:
        forward(points(5))
        for n in (300, 17, 300):
            inputs = points(n)
            found, want = forward(inputs), of_first(model, inputs)
            assert found.layers == want.layers
            assert found.z.dtype == want.z.dtype
            assert found.z.tobytes() == want.z.tobytes()
            assert [part.tolist() for part in found.parts] == [part.tolist() for part in want.parts]


def test_what_somebody_holds_is_not_written_over() -> None:
    with probe(mlp(2, 7, 9, 2)) as forward:
        forward(points(50))
        held: list[Any] = [forward(points(50)).z, forward(points(50)).z[3:5], forward(points(50)).parts[1]]
        held.append(forward(points(50)).first(20).z)
        held += [call.z[:, 1] for call in forward.calls]
        first = [one.tolist() for one in held]
        for _ in range(5):
            forward(points(50))
        assert [one.tolist() for one in held] == first


class Turns(nn.Module):
    """Calls its layers in another order, or leaves one out, as the first input says."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 5), nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layers = {0: [self.one, self.two], 1: [self.two, self.one], 2: [self.one], 3: [self.one, self.two, self.two]}
        return torch.cat([F.relu(layer(x)) for layer in layers[int(x[0, 0])]], dim=1)


def test_layers_that_come_otherwise_are_read_all_the_same() -> None:
    model = Turns()
    with probe(model) as forward:
        for which in (0, 1, 0, 2, 0, 3, 0, 0):
            inputs = points(20)
            inputs[0] = which
            found = forward(inputs)
            with torch.no_grad():
                tensors = {5: model.one(torch.from_numpy(inputs).float()), 3: model.two(torch.from_numpy(inputs).float())}
            assert [part.shape[1] for part in found.parts] == {0: [5, 3], 1: [3, 5], 2: [5], 3: [5, 3, 3]}[which]
            want = np.concatenate([tensors[part.shape[1]].numpy() for part in found.parts], axis=1)
            assert np.allclose(found.z, want, atol=1e-6)


def test_what_does_not_fit_is_not_taken() -> None:
    landing = Landing()
    assert landing.field(4) is None
    landing.expect([torch.zeros(4, 2), torch.zeros(4, 3)])
    for wrong in (
        torch.zeros(4, 3),
        torch.zeros(4, 2).double(),
        torch.zeros(3, 2),
        torch.zeros(4, 2).to_sparse(),
        nn.Parameter(torch.zeros(4, 2)),
    ):
        field = landing.field(4)
        assert isinstance(field, LandingField)
        assert field.land(wrong) is None
        assert field.land(torch.zeros(4, 2)) is None  # what comes after it would stand in the wrong columns
        assert field.joined is None
    field = landing.field(4)
    assert isinstance(field, LandingField)
    for z in (torch.ones(4, 2), torch.full((4, 3), 2.0, dtype=torch.float16)):
        landed = field.land(z)
        assert landed is not None
        assert landed.tolist() == z.tolist()
    assert field.joined is not None
    assert field.joined.tolist() == [[1, 1, 2, 2, 2]] * 4
    assert field.land(torch.zeros(4, 3)) is None
    assert field.joined is None  # more came than was told of


def test_what_is_kept_layer_by_layer_holds_no_others() -> None:
    """The exact engine keeps later layers' values, and lets go of earlier ones."""
    with probe(mlp(2, 7, 9, 2)) as forward:
        for one, joined in ((forward, True), (forward.double(), False)):
            one(points(50))
            found = one(points(50))
            assert (found.joined is not None) == joined
            assert found.z.shape == (50, 16)


def test_nothing_lands_that_stays_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    landing = Landing()
    monkeypatch.setattr(devices, "FAR", {"cpu"})
    landing.expect([torch.zeros(4, 2), torch.zeros(4, 3)])
    assert landing.field(4) is None


def test_of_a_sweep_one_band_is_in_memory_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bands: list[weakref.ref[Any]] = []
    field = Landing.field

    def noted(self: Landing, n: int) -> LandingField | None:
        assert not any(band() is not None for band in bands)
        found = field(self, n)
        bands.extend([] if found is None else [weakref.ref(found._joined)])
        return found

    monkeypatch.setattr(Landing, "field", noted)
    square = slices.box((-1, 1), (-1, 1))
    model = mlp(2, 64, 64, 64, 2)
    for act in (partial(find_boundaries, engine="grid"), capture):
        bands.clear()
        act(model, square, resolution=200)
        assert len(bands) > 5


def test_what_a_model_draws_is_looked_for_in_copies_of_one_kind() -> None:
    """Half precision lands as single, where it lands; several runs are compared, of which none may land."""

    class Draws(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(2, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.two(F.relu(self.one(x)))
            return F.relu(nn.Parameter(z) if torch.rand(()) < 0.5 else z)

    torch.manual_seed(0)
    with probe(Draws().half()) as forward:
        forward(points(50))
        assert [forward.noise(points(50)) for _ in range(6)] == [None] * 6


def test_a_model_under_a_mode_that_refuses_writing_runs_as_often_as_one_likes() -> None:
    class Pure(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            assert not func._schema.is_mutable, f"{func}: this model writes to nothing"
            return func(*args, **(kwargs or {}))

    class Under(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp(2, 8, 8, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with Pure():  # type: ignore[no-untyped-call]
                out: torch.Tensor = self.inner(x)
            return out

    model = Under()
    with probe(model) as forward:
        for n in (50, 50, 20):
            inputs = points(n)
            assert forward(inputs).z.tobytes() == of_first(model.inner, inputs).z.tobytes()


def test_a_batch_that_was_filled_up_is_cut_again() -> None:
    """Nine points are another axis of this model, so ten run."""
    with probe(mlp(2, 9, 7, 2)) as forward:
        forward(points(50))
        found = forward(points(9))
        assert found.joined is not None
        assert found.z.shape == (9, 16)
