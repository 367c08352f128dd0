"""What a forward pass may change besides giving an output, piece by piece: it is put back, or it is told."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import gc
import itertools
import os
import queue
import random
import signal
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp
from torch import nn
from torch.utils.data import DataLoader, Dataset

from boundarycb import Recorder, capture, load, overlay, slices, watch
from boundarycb.keep.reach import Reach
from boundarycb.keep.settings import _precision, _set_precision
from boundarycb.keep.tensors import KeptTensors
from boundarycb.keep.verify import Portrait
from boundarycb.probe import Conditions, Prober, probe
from boundarycb.warning import BoundaryWarning

SQUARE = slices.box((-1, 1), (-1, 1))
POINTS = np.random.default_rng(0).uniform(-1, 1, (20, 2))
SMALL: dict[str, Any] = {"resolution": 8, "image_size": 64}


class Does(nn.Module):
    """A layer, and something done beside it."""

    def __init__(self, act: Callable[[Any], Any], **attributes: Any) -> None:
        super().__init__()
        self.fc, self.act = nn.Linear(2, 4), act
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.fc(x))
        self.act(self)
        return h


def run(model: nn.Module, **conditions: Any) -> Prober:
    with probe(model, Conditions(**conditions)) as forward:
        forward(POINTS)
        forward(POINTS[:3])
    return forward


# -------------------------------------------------------------------------------------------------------- what is reached


class Strange(dict[str, int]):
    """A dict whose own methods must not be asked."""

    def clear(self) -> None:
        raise AssertionError

    def update(self, *_: Any, **__: Any) -> None:
        raise AssertionError

    def __setitem__(self, key: str, value: int) -> None:
        raise AssertionError


def change_strange(model: Any) -> None:
    dict.__setitem__(model.kept, "a", 2)
    dict.__setitem__(model.kept, "b", 3)


class Extended(list[int]):
    """A list that takes attributes."""

    def __repr__(self) -> str:
        return repr(vars(self))


class Slotted(list[int]):
    """A list with a slot."""

    __slots__ = ("extra",)

    def __repr__(self) -> str:
        return str(hasattr(self, "extra"))


class Count:
    """Counts up in an attribute that no one else may name."""

    __slots__ = ("__count",)

    def __init__(self) -> None:
        self.__count = 0

    def up(self) -> None:
        self.__count += 1

    def __repr__(self) -> str:
        return f"{self.__count}"


CHANGES: dict[str, tuple[Callable[[Any], Any], Callable[[], Any]]] = {
    "list": (lambda m: m.kept.append(1), lambda: [1, 2]),
    "list shrinks": (lambda m: m.kept.pop(0) if m.kept else None, lambda: [1, 2]),
    "list item": (lambda m: m.kept.__setitem__(0, object()), lambda: [1, 2]),
    "dict": (lambda m: m.kept.update(c=1), lambda: {"a": 1}),
    "dict loses": (lambda m: m.kept.pop("a", None), lambda: {"a": 1, "b": 2}),
    "dict value": (lambda m: m.kept.update(a=m.kept["a"] + 1), lambda: {"a": 1, "b": 2}),
    "dict of a kind": (change_strange, lambda: Strange(a=1)),
    "ordered dict": (lambda m: m.kept.move_to_end("a"), lambda: collections.OrderedDict(a=1, b=2)),
    "default dict": (lambda m: m.kept["new"], lambda: collections.defaultdict(list, a=[1])),
    "set": (lambda m: m.kept.add(len(m.kept)), lambda: {0, 7}),
    "set loses": (lambda m: m.kept.discard(7), lambda: {0, 7}),
    "deque": (lambda m: m.kept.append(1), lambda: collections.deque([0, 0], maxlen=2)),
    "user list": (lambda m: m.kept.append(1), lambda: collections.UserList([1])),
    "nested": (lambda m: m.kept[0]["a"][1].append(1), lambda: [{"a": (0, [1])}]),
    "in a tuple": (lambda m: m.kept[0].append(1), lambda: ([],)),
    "namespace": (lambda m: setattr(m.kept, "n", m.kept.n + 1), lambda: types.SimpleNamespace(n=1)),
    "bytes": (lambda m: m.kept.extend(b"x"), lambda: bytearray(b"ab")),
    "array": (lambda m: m.kept.__iadd__(1), lambda: np.zeros((2, 3))),
    "array by columns": (lambda m: m.kept.__iadd__(1), lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    "array of integers": (lambda m: m.kept.fill(3), lambda: np.arange(4)),
    "number": (lambda m: setattr(m, "kept", m.kept + 1), lambda: 1),
    "new attribute": (lambda m: setattr(m, "fresh", 1), lambda: None),
    "attribute deleted": (lambda m: m.__dict__.pop("kept", None), lambda: 1),
    "submodule replaced": (lambda m: setattr(m, "fc", nn.Linear(2, 4)), lambda: None),
    "submodule added": (lambda m: m.add_module(f"more{len(m._modules)}", nn.Linear(2, 2)), lambda: None),
    "parameter replaced": (lambda m: setattr(m.fc, "bias", nn.Parameter(torch.zeros(4))), lambda: None),
    "tensor written to": (lambda m: m.kept.add_(1), lambda: torch.zeros(3)),
    "part of a tensor": (lambda m: m.kept[1:].add_(1), lambda: torch.zeros(3)),
    "strided tensor": (lambda m: m.kept.add_(1), lambda: torch.zeros(4, 6)[::2, ::3]),
    "tensor resized": (lambda m: m.kept.resize_(1 + len(m.kept)).fill_(1), lambda: torch.zeros(3)),
    "tensor shrunk": (lambda m: m.kept.resize_(1).fill_(1), lambda: torch.zeros(3)),
    "tensor transposed": (lambda m: m.kept.t_(), lambda: torch.zeros(2, 3)),
    "storage replaced": (lambda m: m.kept.set_(torch.ones(5)), lambda: torch.zeros(3)),
    "sparse tensor": (lambda m: m.kept._values().add_(1), lambda: torch.eye(3).to_sparse()),
    "sparse rows": (lambda m: m.kept.values().add_(1), lambda: torch.eye(3).to_sparse_csr()),
    "half precision": (lambda m: m.kept.add_(1), lambda: torch.zeros(3, dtype=torch.bfloat16)),
    "truth values": (lambda m: m.kept.logical_not_(), lambda: torch.zeros(3, dtype=torch.bool)),
    "complex": (lambda m: m.kept.mul_(2j), lambda: torch.ones(3, dtype=torch.complex64)),
    "bits of a generator": (lambda m: m.kept.random_raw(), lambda: np.random.PCG64(1)),
    "quasi-random": (lambda m: m.kept.draw(), lambda: torch.quasirandom.SobolEngine(2)),
    "chain of dicts": (lambda m: m.kept.update(b=2), lambda: collections.ChainMap({"a": 1})),
    "set in its order": (lambda m: m.kept.add(-1), lambda: set(range(100)) - set(range(2, 99))),
    "list with attributes": (lambda m: setattr(m.kept, "extra", 1), lambda: Extended([1])),
    "list with slots": (lambda m: setattr(m.kept, "extra", 1), lambda: Slotted([1])),
    "method of an object": (lambda m: m.kept(), lambda: Count().up),
    "partial": (lambda m: m.kept(), lambda: functools.partial(Count.up, Count())),
    "needs a gradient": (lambda m: m.kept.requires_grad_(), lambda: torch.zeros(3)),
    "has a gradient": (lambda m: setattr(m.kept, "grad", torch.ones(3)), lambda: torch.zeros(3)),
    "tensor's own attribute": (lambda m: setattr(m.kept, "extra", 1), lambda: torch.zeros(3)),
}
CHANGES["quantised"] = (lambda m: m.kept.fill_(1.0), lambda: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8))


def look_at(value: Any) -> Any:
    """Return what `value` is, deeply."""
    if isinstance(value, torch.Tensor):
        dense = value.dequantize() if value.is_quantized else value.to_dense() if value.layout != torch.strided else value
        return value.shape, value.dtype, value.requires_grad, value.grad, dict(vars(value)), dense.tolist()
    if isinstance(value, np.ndarray):
        return value.flags.f_contiguous, value.tolist()
    if type(value) in (list, tuple, collections.deque, collections.UserList):
        return type(value), [look_at(part) for part in value]
    if isinstance(value, dict):
        return type(value), [(key, look_at(part)) for key, part in value.items()]
    if isinstance(value, types.MethodType):
        return repr(value.__self__)
    if isinstance(value, np.random.BitGenerator):
        return repr(value.state)
    if isinstance(value, torch.quasirandom.SobolEngine):
        return value.num_generated, value.quasi.tolist()
    if isinstance(value, set):
        return list(value)
    return dict(vars(value)) if isinstance(value, types.SimpleNamespace) else repr(value)


def parts_of(model: Any) -> dict[str, int]:
    """Return which objects a model is made of."""
    return {name: id(part) for name, part in [*model._modules.items(), *model.fc._parameters.items()]}


@pytest.mark.parametrize(("few_bytes", "far"), [(2**24, set()), (0, set()), (2**24, {"cpu"})], ids=["copied", "guarded", "as one"])
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.filterwarnings(
    "ignore:Sparse CSR tensor support:UserWarning", "ignore:.*quantiz:UserWarning", "ignore::DeprecationWarning"
)
def test_it_is_put_back(name: str, few_bytes: int, far: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", few_bytes)
    monkeypatch.setattr("boundarycb.keep.devices.FAR", far)  # where all are copied as one
    act, make = CHANGES[name]
    kept = make()
    model = Does(act, kept=kept)
    names, parts, before = set(vars(model)), parts_of(model), look_at(kept)
    forward = run(model)
    assert forward.lost == ()
    assert set(vars(model)) == names
    assert parts_of(model) == parts
    assert model.kept is kept
    assert look_at(kept) == before
    act(model)
    assert (set(vars(model)), parts_of(model), look_at(vars(model).get("kept"))) != (names, parts, before)


@pytest.mark.parametrize(
    ("few_bytes", "far", "lost"),
    [(2**24, set(), ()), (0, set(), ("kept",)), (2**24, {"cpu"}, ())],
    ids=["copied", "guarded", "as one"],
)
def test_a_storage_that_was_emptied(few_bytes: int, far: set[str], lost: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """As sharding does it. No operation tells that it happens, so the bytes are gone unless they were copied before."""
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", few_bytes)
    monkeypatch.setattr("boundarycb.keep.devices.FAR", far)
    model: Any = Does(lambda m: m.kept.untyped_storage().resize_(0), kept=torch.ones(3))
    assert run(model).lost == lost
    assert model.kept.untyped_storage().nbytes() == 12
    assert lost or model.kept.tolist() == [1, 1, 1]


@pytest.mark.parametrize("far", [set(), {"cpu"}], ids=["copied", "as one"])
def test_what_cannot_be_compared_for_want_of_memory_is_put_back(far: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU may be nearly full."""
    monkeypatch.setattr("boundarycb.keep.devices.FAR", far)
    model: Any = Does(lambda m: m.kept.mul_(2), kept=torch.ones(3))

    equal = torch.equal

    def full(one: torch.Tensor, other: torch.Tensor) -> bool:
        if one.numel() < 1000:  # the model's, and not the state of random numbers
            raise torch.OutOfMemoryError
        return equal(one, other)

    monkeypatch.setattr(torch, "equal", full)
    assert run(model).lost == ()
    assert model.kept.tolist() == [1, 1, 1]


def test_where_there_is_no_memory_for_copies_the_guard_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.devices.FAR", {"cpu"})
    model: Any = Does(lambda m: m.kept.mul_(2), kept=torch.ones(3))

    def full(*_: Any, **__: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(torch, "cat", full)
        kept = KeptTensors([("kept", model.kept), ("weight", model.fc.weight)])
    with kept.guard():
        model.kept.mul_(2)
    assert kept.changed() == ("kept",)
    assert kept.put_back() == ()
    assert model.kept.tolist() == [1, 1, 1]


def test_of_many_that_are_kept_as_one_the_device_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once whether anything changed, and then which of them did."""
    monkeypatch.setattr("boundarycb.keep.devices.FAR", {"cpu"})
    tensors = [torch.ones(4) for _ in range(50)]
    kept = KeptTensors([(str(number), tensor) for number, tensor in enumerate(tensors)])
    asked: list[str] = []
    for owner, name in ((torch, "equal"), (torch.Tensor, "tolist")):
        function = getattr(owner, name)

        def counted(*args: Any, name: str = name, function: Any = function) -> Any:
            asked.append(name)
            return function(*args)

        monkeypatch.setattr(owner, name, counted)
    assert kept.changed() == ()
    assert asked == ["equal"]
    for number in (3, 30):
        tensors[number].data.mul_(2)
    asked.clear()
    assert kept.changed() == ("3", "30")
    assert asked == ["equal", "tolist"]
    assert kept.put_back() == ()
    assert all(tensor.tolist() == [1, 1, 1, 1] for tensor in tensors)


@dataclasses.dataclass(frozen=True)
class Settled:
    """An object that can be changed only on purpose."""

    __slots__ = ("a", "b")
    a: int
    b: list[int]


def test_slots_of_a_frozen_dataclass_are_put_back() -> None:
    def act(model: Any) -> None:
        object.__setattr__(model.kept, "a", model.kept.a + 1)
        model.kept.b.append(3)

    model: Any = Does(act, kept=Settled(1, [2]))
    run(model)
    assert (model.kept.a, model.kept.b) == (1, [2])
    object.__delattr__(model.kept, "b")
    model.act = lambda m: object.__setattr__(m.kept, "b", 1)
    run(model)
    assert not hasattr(model.kept, "b")


def test_what_a_class_is_given_is_taken_away() -> None:
    class Marked(Does):
        marks = 0

    def act(model: Any) -> None:
        Marked.marks += 1
        Marked.fresh = 1  # type: ignore[attr-defined]

    assert run(Marked(act)).lost == ()
    assert Marked.marks == 0
    assert not hasattr(Marked, "fresh")


def test_a_trainer_is_not_the_models() -> None:
    import lightning.pytorch as pl

    class Mine(pl.Trainer):
        pass

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.trainer.note.append(1)  # type: ignore[attr-defined]
            return torch.relu(self.fc(x))

    module = Module()
    trainer: Any = Mine(logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False)
    module.trainer, trainer.note = trainer, []
    run(module)
    assert len(trainer.note) == 2


def turned(backend: Any, name: str) -> Callable[[], None]:
    """Return what turns a switch to its other position, and leaves it there at the second pass."""
    return partial(setattr, backend, name, not getattr(backend, name))


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "grad mode": (torch.is_grad_enabled, lambda: torch.set_grad_enabled(False)),
    "default dtype": (torch.get_default_dtype, lambda: torch.set_default_dtype(torch.float64)),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda: torch.set_autocast_enabled("cpu", True)),
    "autocast dtype": (lambda: torch.get_autocast_dtype("cpu"), lambda: torch.set_autocast_dtype("cpu", torch.float16)),
    "autocast cache": (torch.is_autocast_cache_enabled, lambda: torch.set_autocast_cache_enabled(True)),
    "deterministic": (torch.are_deterministic_algorithms_enabled, lambda: torch.use_deterministic_algorithms(True)),
    "anomaly": (torch.is_anomaly_enabled, lambda: torch.autograd.set_detect_anomaly(True)),
    "matmul": (torch.get_float32_matmul_precision, lambda: torch.set_float32_matmul_precision("medium")),
    **{
        f"cudnn.{name}": (partial(getattr, torch.backends.cudnn, name), turned(torch.backends.cudnn, name))
        for name in ("enabled", "benchmark", "deterministic")
    },
    **{
        f"mkldnn.{name}": (partial(getattr, torch.backends.mkldnn, name), turned(torch.backends.mkldnn, name))
        for name in ("enabled", "deterministic")
        if hasattr(torch.backends.mkldnn, name)
    },
    "threads": (torch.get_num_threads, lambda: torch.set_num_threads(torch.get_num_threads() + 1)),
    "device": (torch.get_default_device, lambda: torch.set_default_device("meta")),
    "numpy": (np.geterr, lambda: np.seterr(all="raise")),
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_settings_are_put_back(name: str) -> None:
    get, change = SETTINGS[name]
    before = get()
    assert run(Does(lambda _: change())).lost == ()
    assert get() == before


def test_a_torch_that_cannot_read_the_default_device_after_none_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch 2.6 asks None for its device, once that was set; before there is no such attribute."""
    slot: Any = torch._GLOBAL_DEVICE_CONTEXT
    current = torch.get_default_device

    def as_in_2_6() -> torch.device:
        return torch.device(slot.device_context.device) if hasattr(slot, "device_context") else current()

    monkeypatch.setattr(torch, "get_default_device", as_in_2_6)
    torch.set_default_device(None)
    with pytest.raises(AttributeError):
        torch.get_default_device()
    assert run(Does(lambda _: torch.set_default_device("meta"))).lost == ()
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.zeros(1).device == torch.device("cpu")


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "matmul"), reason="this torch has one precision for all backends")
@pytest.mark.parametrize("where", ["cuda", "cudnn", "mkldnn"])
def test_a_backends_own_precision_is_no_obstacle_and_put_back(where: str, tmp_path: Path) -> None:
    """torch refuses to give the one word for all of them once a backend has another."""
    backend: Any = getattr(torch.backends, where)
    backend = backend if where == "cudnn" else backend.matmul
    before = _precision()
    try:
        backend.fp32_precision = "bf16" if where == "mkldnn" else "tf32"
        told = _precision()
        assert run(Does(lambda _: setattr(backend, "fp32_precision", "ieee"))).lost == ()
        assert _precision() == told
        model = mlp(2, 8, 2)
        with watch(model, slice=SQUARE, directory=tmp_path, **SMALL) as recorder:
            recorder.record(model, 0)
        assert recorder.steps == [0]
    finally:
        _set_precision(before)
    assert _precision() == before


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "matmul"), reason="this torch has one precision for all backends")
def test_a_precision_that_follows_another_still_does() -> None:
    """What a backend has from all of them is not written to it, when it is put back."""
    backends: Any = torch.backends
    before = _precision()
    followers = [backends.cudnn.conv, backends.mkldnn.matmul, backends.cuda.matmul]
    try:
        for one in (backends.cudnn, *followers):
            one.fp32_precision = "none"
        backends.fp32_precision = "tf32"
        assert run(Does(lambda _: setattr(backends.cudnn.conv, "fp32_precision", "ieee"))).lost == ()
        assert [one.fp32_precision for one in followers[:1]] == ["tf32"]
        backends.fp32_precision = "ieee"
        assert [one.fp32_precision for one in followers] == ["ieee"] * 3
    finally:
        backends.fp32_precision = "none"
        _set_precision(before)
    assert _precision() == before


class Key:
    """What a dict may be keyed by."""

    count = 0


def test_objects_that_are_keys_are_put_back() -> None:
    key = Key()
    model = Does(lambda self: setattr(next(iter(self.by)), "count", 1), by={key: 1, (1, 2): 3})
    assert run(model).lost == ()
    assert key.count == 0


@pytest.mark.parametrize("make", [str, np.str_, np.int64, Path, lambda number: datetime.date.fromordinal(number + 1)])
def test_keys_that_cannot_change_take_no_room(make: Callable[[Any], Any]) -> None:
    """Such as the words of a vocabulary."""
    vocabulary = {make(f"{number}" if make in (np.str_, Path) else number): number for number in range(3000)}
    reach = Reach(Does(lambda _: None, vocabulary=vocabulary))
    assert not reach.too_large


def test_sixteen_megabytes_are_copied_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", 200)
    model: Any = Does(lambda m: None, kept=[torch.zeros(20), torch.zeros(20), torch.zeros(20)])
    with probe(model) as forward:
        kept: Any = forward._session.kept
        sizes = [one.size for one in kept._tensors._bytes.values() if one.saved]
    assert sorted(sizes) == [16, 32, 80]  # bias, weight, and one of the three


@pytest.mark.parametrize(
    "act",
    [
        lambda m: torch._foreach_mul_([m.kept, m.more], 2.0),
        lambda m: torch.add(m.kept, 1.0, out=m.kept),
        lambda m: m.kept.unsqueeze(0).zero_(),
    ],
    ids=["many at once", "out", "through a view"],
)
def test_every_way_to_write_is_seen_coming(act: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", 0)
    model: Any = Does(act, kept=torch.ones(4), more=torch.ones(4))
    assert run(model).lost == ()
    assert (model.kept.tolist(), model.more.tolist()) == ([1] * 4, [1] * 4)


def test_the_traces_weights_are_those_of_the_pass() -> None:
    """They are written to in it, and put back after it."""
    model: Any = nn.Sequential(nn.Linear(2, 4), nn.ReLU())

    def forward(x: torch.Tensor) -> torch.Tensor:
        model[0].weight.data.mul_(3)
        result: torch.Tensor = torch.relu(model[0](x))
        return result

    model.forward = forward
    with probe(model) as prober:
        (one,) = prober.trace(POINTS, {"0"})
        assert one.replay is not None
        assert torch.equal(one.replay(one.replay.source), one.z)


def test_an_output_that_is_the_models_own_is_read_before_it_is_put_back() -> None:
    class Returns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = nn.Linear(2, 1), torch.zeros(20, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.out.copy_(torch.relu(self.fc(x)) + 1)
            return self.out

    model = Returns()
    with probe(model) as forward:
        output = forward(POINTS).output
    assert output is not None
    assert (output >= 1).all()
    assert model.out.abs().sum() == 0


def test_double_precision_reaches_everything() -> None:
    """What a pass makes in single precision by itself; what it writes to a copy, or puts in its place, is of that pass alone."""
    secret = torch.full((4,), 1 / 3)

    class Narrows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.scale = nn.Linear(2, 4), nn.Parameter(torch.ones(4), requires_grad=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert not self.scale.requires_grad
            self.scale.data = self.scale.data * 0.5
            self.fc.weight.mul_(2)
            h = self.fc(x.float()).to(torch.float32) * secret * self.scale
            h = h + torch.zeros(4, dtype=torch.float32) + torch.rand(4, dtype=torch.float32) * 0
            return torch.relu(torch.add(h, 1e-9, out=torch.empty_like(h)))

    model = Narrows()
    with probe(model) as forward:
        double = forward.double()
        first, second = double(POINTS), double(POINTS)
    weight, bias = (part.detach().double().numpy() for part in (model.fc.weight, model.fc.bias))
    want = (POINTS @ (2 * weight).T + bias) * secret.double().numpy() * 0.5 + 1e-9
    assert np.allclose(first.z, want, rtol=1e-12, atol=1e-14)
    assert np.array_equal(first.z, second.z)
    assert model.scale.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors:UserWarning")
def test_odd_tensors_are_no_obstacle() -> None:
    """Of some there are no bytes to be had, or no sizes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masked = torch.masked.masked_tensor(torch.ones(3), torch.tensor([True, False, True]))
        nested = [torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=kind) for kind in (torch.strided, torch.jagged)]
    model: Any = Does(lambda m: None, kept=[masked, *nested, torch.empty(3, device="meta")], secret=random.SystemRandom())
    gone = Count2()
    model.gone = weakref.proxy(gone)
    del gone
    with probe(model) as forward:
        forward(POINTS)
        forward.double()
    assert forward.lost == ()


class Count2:
    """Something that a weak reference can be made to."""


def test_classes_are_put_back_with_what_they_hold() -> None:
    class Holds(nn.Module):
        shared = nn.BatchNorm1d(4)  # of the class, so that eval() does not reach it

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.__class__ = Other
            return torch.relu(self.shared(x @ torch.ones(2, 4)))

    class Other(Holds):
        pass

    model = Holds()
    run(model)
    assert type(model) is Holds
    assert Holds.shared.running_mean is not None
    assert Holds.shared.running_mean.tolist() == [0, 0, 0, 0]


def test_tensors_stay_in_the_users_graph_and_out_of_ours() -> None:
    def act(model: Any) -> None:
        model.state.detach_()
        model.secret[0].detach_()
        with torch.enable_grad():
            model.ema.mul_(2).add_(model.fc.bias)

    model: Any = Does(act, ema=torch.ones(4))
    model.state = model.fc(torch.ones(1, 2))
    graph, secret = model.state.grad_fn, model.state * 2
    model.secret = (secret,)  # where nothing can be put in its place
    assert run(model).lost == ("secret[0]",)
    assert model.state.grad_fn is graph
    assert (model.ema.is_leaf, model.ema.requires_grad, model.ema.tolist()) == (True, False, [1] * 4)


def test_a_cache_of_weights_around_us_is_not_filled_without_gradients() -> None:
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(2, 2))
    model = nn.Sequential(layer, nn.ReLU())
    with nn.utils.parametrize.cached():
        run(model)
        model(torch.ones(3, 2)).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize(
    "look",
    [
        lambda h: h.register_hook(lambda grad: grad),
        lambda h: h.retain_grad(),
        lambda h: torch.autograd.grad(h.sum(), h),
    ],
    ids=["hook", "retained", "differentiated"],
)
def test_a_pass_that_needs_a_graph_gets_one(look: Callable[[torch.Tensor], Any]) -> None:
    """As for Grad-CAM; and no backward hook of the user's hears of it."""

    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.fc(x))
            look(h)
            if not self.training:
                h.sum().backward(retain_graph=True)
            return h

    model = Looks()
    heard: list[int] = []
    model.fc.register_full_backward_hook(lambda *_: heard.append(1))
    model.fc.weight.register_hook(lambda grad: heard.append(2))
    assert run(model).lost == ()
    assert heard == []
    assert model.fc.weight.grad is None
    model(torch.ones(1, 2, requires_grad=True)).sum().backward()
    assert sorted(heard) == [1, 2]


def test_what_is_not_the_models_is_left_alone() -> None:
    """A queue that another thread empties, a foreign object, a thread: put back, they would be broken."""

    class Shared:
        def __init__(self) -> None:
            self.queue: queue.Queue[int] = queue.Queue()
            self.items: list[int] = []

    class Worker(threading.Thread):
        items: list[int] = []  # noqa: RUF012

    def act(model: Any) -> None:
        model.shared.items.append(1)
        model.worker.items.append(1)
        model.foreign.values.append(1)

    foreign = type("Foreign", (), {"__module__": "elsewhere"})()
    foreign.values = []
    model: Any = Does(act, shared=Shared(), worker=Worker(), foreign=foreign)
    run(model)
    assert [len(one) for one in (model.shared.items, model.worker.items, model.foreign.values)] == [2, 2, 2]


def test_objects_of_a_package_that_a_hidden_module_brings_in_are_the_models() -> None:
    class Count:
        calls = 0

    class Hidden(nn.Module):
        count: Count

    def act(count: Count) -> bool:
        count.calls += 1
        return True

    model: Any = nn.Sequential(nn.Linear(2, 3), nn.ReLU())  # all of it is torch's
    model.before, model.hidden, model.after = Count(), [Hidden()], Count()
    counts = model.before, model.after
    model[1].forward = lambda x: torch.relu(x) if act(model.before) and act(model.after) else x
    run(model)
    assert [one.calls for one in counts] == [0, 0]


def test_packages_that_modules_bring_in_one_after_another_are_all_the_models() -> None:
    """The hidden module's package makes the first count the model's, and what that holds the second's; both were passed by."""

    def part(package: str, *bases: type) -> Any:
        return type("Part", bases, {"__module__": package, "calls": 0})()

    def forward(x: torch.Tensor) -> torch.Tensor:
        for count in (model.second, model.first):
            count.calls += 1
        return torch.relu(x)

    model: Any = nn.Sequential(nn.Linear(2, 3), nn.ReLU())  # all of it is torch's
    model.hidden = [part("near.net", nn.Module)]
    model.second, model.first = part("far"), part("near")  # the last is come to first, and the second time the other way round
    model.first.holds = [part("far.net", nn.Module)]
    model[1].forward = forward
    run(model)
    assert (model.first.calls, model.second.calls) == (0, 0)


def test_circles_end() -> None:
    circle: list[Any] = [{"a": []}]
    circle.append(circle)
    model: Any = Does(lambda m: m.circle[0]["a"].append(1), circle=circle)
    model.circle.append(types.SimpleNamespace(model=model))
    model.itself = [model]
    run(model)
    assert circle[0] == {"a": []}


def test_what_is_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.reach.MOST_VALUES", 200)
    monkeypatch.setattr("boundarycb.keep.reach.MOST_BYTES", 100)
    model: Any = Does(lambda m: m.small.append(1), large=list(range(1000)), small=[1], array=np.zeros(50))
    assert sorted(run(model).too_large) == ["array", "large"]
    assert model.small == [1]
    with pytest.warns(BoundaryWarning, match=r"^(large, array|array, large): too large to be kept .*that stays changed\.$"):
        capture(model, SQUARE, resolution=4)


def test_a_replay_buffer_is_not_entered_but_its_length_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        def __init__(self) -> None:
            self.items = collections.deque((np.zeros(3), number) for number in range(3000))

    model: Any = Does(lambda m: (m.memory.items.append(1), m.memory.items[0][0].fill(7)), memory=Memory(), last=[[1], [2]])
    assert run(model).too_large == ("memory.items",)
    assert len(model.memory.items) == 3000
    assert model.memory.items[0][0][0] == 7  # which is told
    tensors: Any = Does(lambda m: None, kept=[[torch.zeros(1) for _ in range(10)] for _ in range(500)])
    assert run(tensors).too_large == ("kept",)


def test_an_optimizer_of_the_models_own_is_kept() -> None:
    """A forward pass that learns."""
    model: Any = Does(lambda m: None)
    model.inner = torch.optim.SGD(model.fc.parameters(), lr=0.1, momentum=0.9)
    model.schedule = torch.optim.lr_scheduler.StepLR(model.inner, 1)
    model.prior = torch.distributions.MultivariateNormal(torch.zeros(2), scale_tril=torch.eye(2))

    def learns(model: Any) -> None:
        with torch.enable_grad():
            model.fc(torch.ones(1, 2)).sum().backward()
        model.inner.step()
        model.schedule.step()
        assert model.prior.covariance_matrix.shape == (2, 2)  # computed when it is first asked for, and kept

    model.act = learns
    weight = model.fc.weight.detach().clone()
    assert run(model).lost == ()
    assert torch.equal(model.fc.weight, weight)
    assert model.fc.weight.grad is None
    assert model.inner.state == {}
    assert model.schedule.last_epoch == 0
    assert model.inner.param_groups[0]["lr"] == 0.1
    assert "covariance_matrix" not in vars(model.prior)


def test_reach_gives_every_tensor_one_path() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    model.extra = {"a": [torch.zeros(1)]}
    model(torch.zeros(4, 2)).sum().backward()
    assert {path for path, _ in Reach(model).tensors} == {
        *("0.weight", "0.bias", "0.weight.grad", "0.bias.grad", "1.weight", "1.bias", "1.weight.grad", "1.bias.grad"),
        *("1.running_mean", "1.running_var", "1.num_batches_tracked", "extra['a'][0]"),
    }


def test_a_graph_made_before_can_run_backward_after() -> None:
    model: Any = Does(lambda m: m.kept.add_(1), kept=torch.ones(4))
    x = torch.ones(3, 4, requires_grad=True)
    loss = (x * model.kept).sum()
    run(model)
    loss.backward()  # would say that the tensor was written to, by its version
    assert x.grad is not None
    with torch.no_grad():
        model.act(model)
    assert model.kept._version == 1


def test_a_torch_that_sets_one_version_at_a_time_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch 2.6 does."""
    setter: Any = torch._C._autograd._unsafe_set_version_counter

    def one_at_a_time(tensor: torch.Tensor, version: int) -> None:
        if not isinstance(tensor, torch.Tensor):
            raise TypeError("incompatible function arguments")
        try:
            setter((tensor,), (version,))
        except TypeError:
            setter(tensor, version)

    monkeypatch.setattr(torch._C._autograd, "_unsafe_set_version_counter", one_at_a_time)
    model: Any = Does(lambda m: m.kept.add_(1), kept=torch.ones(4))
    assert run(model).lost == ()
    assert model.kept._version == 0


# ------------------------------------------------------------------------------------------------------------- the modes


def test_as_is_leaves_every_mode_and_moves_nothing(tmp_path: Path) -> None:
    modes: list[list[bool]] = []

    class Tells(nn.ReLU):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            modes.append([module.training for module in model])
            return super().forward(x)

    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), Tells(), nn.Linear(8, 1))
    model[1].eval()
    before = [*torch.get_rng_state().tolist(), *[value.clone() for value in model.state_dict().values()]]
    first, again = (capture(model, SQUARE, resolution=16, mode="as_is") for _ in range(2))
    still = capture(model, SQUARE, resolution=16)
    after = [*torch.get_rng_state().tolist(), *model.state_dict().values()]
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(before, after, strict=True))
    assert np.array_equal(first.on, again.on)  # the same random numbers, since they are put back
    assert not np.array_equal(first.on, still.on)  # units were dropped
    assert modes[0] == [True, False, True, True, True]
    assert modes[-1] == [False] * 5
    assert (first.mode, still.mode) == ("as_is", "eval")


def test_batch_statistics_as_they_are_leave_the_running_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    for few_bytes in (2**24, 0):
        monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", few_bytes)
        model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU())
        before = {name: value.clone() for name, value in model.state_dict().items()}
        versions = [value._version for value in model.state_dict().values()]
        run(model, mode="as_is")
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert [value._version for value in model.state_dict().values()] == versions


@pytest.mark.filterwarnings("ignore:step 0. lines are traced on a grid, since units of 2 are not affine")  # but noise
def test_the_caption_tells_the_mode(tmp_path: Path) -> None:
    from boundarycb.render.captions import background_caption

    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.ReLU())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for mode, words in (("eval", "eval mode"), ("as_is", "modes as they are")):
        with watch(model, optimizer, slice=SQUARE, directory=tmp_path / mode, mode=mode, **SMALL):  # type: ignore[arg-type]
            model(torch.rand(4, 2)).sum().backward()
            optimizer.step()
        history = load(tmp_path / mode)
        assert [snapshot.capture.mode for snapshot in history] == [mode, mode]
        assert words in background_caption(history[-1])


def test_wrong_conditions_are_named() -> None:
    for options, words in (
        ({"mode": "train"}, r"`mode` must be \"eval\" or \"as_is\", got 'train'"),
        ({"max_units": 0}, "`max_units` must be a whole number of units, 1 or more, got 0"),
        ({"run_hooks": 1}, "`run_hooks` must be True or False, got 1"),
        ({"verify": "yes"}, "`verify` must be True or False, got 'yes'"),
        ({"context": 3}, "`context` must make a context, such as .* got 3"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            Conditions(**options)


# ------------------------------------------------------------------------------------------------------------ the hooks


DATA: Any = [*range(9)]
CALLS: list[int] = []
SCALES = {"output": 2.0}


def counts(*_: Any) -> None:
    CALLS.append(1)


def log_of(_model: nn.Module) -> None:
    CALLS.append(2)


def foreign_hooks(model: nn.Module, seen: list[int]) -> Iterator[Callable[..., Any]]:
    class Notes:
        def __init__(self) -> None:
            self.model = model

        def note(self, *_: Any) -> None:
            seen.append(1)

        __call__ = note

    yield lambda *_: seen.append(1)
    yield lambda module, *_: seen.append(len(model._modules))
    yield lambda *_, model=model: log_of(model)
    yield functools.partial(lambda notes, *_: notes.append(1), seen)
    yield lambda *_, notes=seen: notes.append(1)
    yield Notes().note
    yield Notes()
    yield counts


def test_hooks_of_the_users_do_not_run() -> None:
    model = mlp(2, 4, 1)
    CALLS.clear()
    seen: list[int] = []
    for hook in foreign_hooks(model, seen):
        model[1].register_forward_hook(hook)
        model.register_forward_pre_hook(hook)
    everywhere = nn.modules.module.register_module_forward_hook(lambda *_: seen.append(2))
    try:
        before = [dict(module._forward_hooks) for module in model.modules()]
        forward = run(model)
        assert (seen, CALLS) == ([], [])
        assert len(forward.parked) == 17
        assert [dict(module._forward_hooks) for module in model.modules()] == before
        run(model, run_hooks=True)
        assert len(seen) == 2 * (6 + 6 + 3 + 1)
        assert len(CALLS) == 8
        model(torch.zeros(1, 2))
        assert len(CALLS) == 12
    finally:
        everywhere.remove()


def test_parked_hooks_are_named_once_with_the_way_out(tmp_path: Path) -> None:
    model = mlp(2, 4, 1)
    seen: list[int] = []
    model[1].register_forward_hook(lambda *_: seen.append(1))
    model.register_forward_pre_hook(counts)
    words = (
        r"step 0: hooks that are not the model's own were not run: counts on the model, <lambda> on 1; `run_hooks=True` runs them\."
    )
    recorder = Recorder(tmp_path, SQUARE, **SMALL)
    with pytest.warns(BoundaryWarning, match=words) as told:  # noqa: PT031
        recorder.record(model, 0)
        recorder.record(model, 1)
    assert len(told) == 1
    recorder.close()
    assert seen == []


def test_hooks_of_the_model_run_and_are_put_back() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.features, self.calls = nn.Linear(2, 4), [], 0  # type: ignore[var-annotated]
            self.fc.register_forward_hook(self.keep)
            self.fc.register_forward_hook(lambda *_: self.count())
            self.fc.register_forward_hook(functools.partial(Own.keep, self))
            self.fc.register_forward_hook(self.decorated)
            self.fc.register_forward_hook(self.reads_a_global)
            self.once: Any = self.fc.register_forward_pre_hook(lambda *_: self.once.remove())

        def keep(self, _module: nn.Module, _args: Any, output: torch.Tensor) -> None:
            self.features.append(output)

        @torch.no_grad()
        def decorated(self, *_: Any) -> None:
            self.calls += 1

        def reads_a_global(self, _module: nn.Module, _args: Any, output: torch.Tensor) -> torch.Tensor:
            return output * SCALES["output"]

        def count(self) -> None:
            self.calls += 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.fc(x)
            return torch.relu(self.features[-1] * self.calls)

    model = Own()
    forward = run(model)
    assert forward.parked == ()
    assert (model.features, model.calls) == ([], 0)
    assert (len(model.fc._forward_hooks), len(model.fc._forward_pre_hooks)) == (5, 1)
    model(torch.zeros(1, 2))
    assert (len(model.features), model.calls, len(model.fc._forward_pre_hooks)) == (2, 2, 0)


def test_an_error_for_want_of_a_hook_says_so() -> None:
    class Needs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.fc(x)
            return torch.relu(found["output"])

    found: dict[str, torch.Tensor] = {}
    model = Needs()
    model.fc.register_forward_hook(lambda _module, _args, output: found.update(output=output))
    with pytest.raises(KeyError) as raised:
        run(model)
    notes = getattr(raised.value, "__notes__", ["<lambda> on fc; `run_hooks=True` runs them"])  # Python 3.11 and newer
    assert "<lambda> on fc; `run_hooks=True` runs them" in notes[0]
    assert run(model, run_hooks=True).lost == ()


# --------------------------------------------------------------------------------------- what cannot be put back is told


class BehindTheBack(torch.autograd.Function):
    """Writes to a weight in a way that no operation tells, and says afterwards that it did."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor) -> torch.Tensor:
        weight.numpy()[...] *= 1.5
        ctx.mark_dirty(weight)
        return weight


def behind_the_back(model: Any) -> None:
    with torch.no_grad():
        BehindTheBack.apply(model.fc.weight.detach())  # type: ignore[no-untyped-call]


def test_a_loss_is_told_once_with_its_name_and_sampling_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", 0)
    model = Does(behind_the_back)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    words = (
        r"^the forward pass of Does changed fc\.weight in a way that cannot be put back, so this training is not what it would be "
        r"without it; no further sample is taken\.$"
    )
    with (  # noqa: PT031
        pytest.warns(BoundaryWarning, match=words) as told,
        watch(model, optimizer, slice=SQUARE, every_n_steps=1, directory=tmp_path, engine="grid", **SMALL) as recorder,
    ):
        for _ in range(3):
            model(torch.rand(4, 2)).sum().backward()
            optimizer.step()
    assert len(told) == 1
    assert recorder.steps == [0]
    assert load(tmp_path).steps == (0,)


def test_what_is_small_comes_back_whoever_wrote_it() -> None:
    model = Does(behind_the_back)
    before = model.fc.weight.detach().clone()
    assert run(model).lost == ()
    assert torch.equal(model.fc.weight, before)


@pytest.mark.parametrize(
    "make",
    [
        itertools.count,
        lambda: iter(range(9)),
        lambda: iter([*range(9)]),
        lambda: (k for k in range(9)),
        lambda: iter(DataLoader(DATA)),
    ],
    ids=["count", "range", "list", "generator", "loader"],
)
def test_an_iterator_that_moved_is_told(make: Callable[[], Any]) -> None:
    model: Any = Does(lambda m: next(m.ids), ids=make())
    assert run(model).lost == ("ids",)
    assert run(Does(lambda m: None, ids=make())).lost == ()
    with pytest.warns(BoundaryWarning, match=r"changed ids in a way that cannot be put back\.$"):
        overlay(model, SQUARE, resolution=4, image_size=64)


def test_an_object_that_refuses_is_told_and_keeps_nothing_else_from_its_place() -> None:
    class Refuses:
        __slots__ = ("secret", "value")

        def __init__(self) -> None:
            object.__setattr__(self, "value", [1])

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(name)

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    class Iterates(Iterator[int]):
        """An iterator that can be asked how far it is no more than once."""

        def __init__(self) -> None:
            self.asked = 0

        def __next__(self) -> int:
            return 1

        def __length_hint__(self) -> int:
            self.asked += 1
            if self.asked > 1:
                raise OSError
            return 1

    def act(model: Any) -> None:
        model.first.append(1)
        model.last.append(1)

    model: Any = Does(act, first=[], iterates=Iterates(), last=[], refuses=Refuses())
    forward = run(model)
    assert (model.first, model.last) == ([], [])
    assert forward.lost == ("iterates",)
    assert forward.too_large == ("refuses",)


# ---------------------------------------------------------------------------------------------------------------- verify


STEP = 0


class Busy(nn.Module):
    """Changes this and that."""

    ema: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.calls, self.seen = nn.Linear(2, 4), 0, {"a": [1]}
        self.register_buffer("ema", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen["a"].append(1)
        h = torch.relu(self.fc(x))
        self.ema += h.mean(0)
        return h + torch.rand(())


@pytest.mark.filterwarnings("ignore:step 0. the model draws random numbers")
def test_verify_tells_what_the_forward_pass_changes(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SQUARE, verify=True, **SMALL)
    words = (
        r"verify: the forward pass of Busy changes calls, ema, seen\['a'\], torch's random numbers; "
        r"all of it is put back after each sample\."
    )
    with pytest.warns(BoundaryWarning, match=words) as told:  # noqa: PT031
        recorder.record(Busy(), 0)
        recorder.record(Busy(), 1)
    assert len([one for one in told if "verify" in str(one.message)]) == 1
    recorder.close()


def test_verify_finds_nothing_in_a_plain_model(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SQUARE, verify=True, **SMALL)
    with pytest.warns(BoundaryWarning, match=r"^verify: the forward pass of Sequential changes nothing\.$"):
        recorder.record(mlp(2, 4, 2), 0)
    recorder.close()


def test_a_data_set_is_not_the_models_but_verify_sees_it(tmp_path: Path) -> None:
    class Data(Dataset[Any]):
        def __init__(self) -> None:
            self.items, self.asked = [(str(number), number) for number in range(5000)], 0

        def __getitem__(self, index: int) -> Any:
            self.asked += 1
            return self.items[index]

    model: Any = Does(lambda m: m.data[0], data=Data())
    assert run(model).too_large == ()  # a warning of it would be noise
    assert model.data.asked == 2
    recorder = Recorder(tmp_path, SQUARE, verify=True, **SMALL)
    with pytest.raises(RuntimeError, match=r"^verify: the forward pass of Does changed data\.asked in a way"):
        recorder.record(model, 0)


def test_verify_sees_numpys_random_numbers_and_says_where_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path, SQUARE, verify=True, **SMALL)
    with pytest.warns(BoundaryWarning, match="changes numpy's random numbers; all of it is put back"):
        recorder.record(Does(lambda _: np.random.rand()), 0)
    recorder.close()
    assert "there are more" not in caplog.text
    monkeypatch.setattr("boundarycb.keep.verify._ENOUGH", 5)
    run(mlp(2, 4, 2), verify=True)
    assert "verify looks at 5 values around the model; there are more, which it does not see." in caplog.text


def test_verify_sees_what_objects_hold(tmp_path: Path) -> None:
    def act(model: Any) -> None:
        model.bytes[0] += 1
        torch.rand(1, generator=model.one)
        model.two.random()
        model.three.rand()
        model.four.random()
        model.five.random_raw()
        model.tensor.data.mul_(2)

    model: Any = Does(act, bytes=bytearray(2), one=torch.Generator(), two=np.random.default_rng(1), three=np.random.RandomState(1))
    model.four, model.five, model.tensor = random.Random(1), np.random.PCG64(1), torch.ones(2)
    recorder = Recorder(tmp_path, SQUARE, verify=True, **SMALL)
    with pytest.warns(BoundaryWarning, match="changes bytes, five, four, one, tensor, three, two; all of it is put back"):
        recorder.record(model, 0)
    recorder.close()


def test_verify_sees_further_than_what_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(model: Any) -> None:
        global STEP
        STEP += 1
        outside.append(1)
        model.foreign.values.append(1)
        model.fc.weight.detach().numpy()[...] += 1

    outside: list[int] = []
    foreign = type("Foreign", (), {"__module__": "elsewhere"})()
    foreign.values = []
    monkeypatch.setattr("boundarycb.keep.tensors.FEW_BYTES", 0)
    recorder = Recorder(tmp_path, SQUARE, verify=True, **SMALL)
    with pytest.raises(RuntimeError) as raised:
        recorder.record(Does(act, foreign=foreign), 0)
    assert str(raised.value) == (
        "verify: the forward pass of Does changed act:outside, fc.weight, foreign.values, test_kept:STEP in a way that cannot be "
        "put back; training is not what it would be without the samples."
    )


# ------------------------------------------------------------------------------------------------------- raise and kill


class OwnError(Exception):
    """The user's."""


def interrupts(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def raises(_: Any) -> None:
    raise OwnError("mine")


def leaves(_: Any) -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("act", "error"),
    [(interrupts, KeyboardInterrupt), (raises, OwnError), (leaves, SystemExit)],
    ids=["interrupt", "raise", "exit"],
)
def test_whatever_ends_a_pass_all_is_put_back(act: Callable[[Any], Any], error: type[BaseException]) -> None:
    def acts(model: Any) -> None:
        model.items.append(1)
        model.fc.weight.data.add_(1)
        torch.rand(3)
        model.fc.eval()
        act(model)

    model: Any = Does(acts, items=[])
    hooks = model.register_forward_pre_hook(counts)
    weight, random = model.fc.weight.detach().clone(), torch.get_rng_state()
    modes = [module.training for module in model.modules()]
    with pytest.raises(error) as raised:
        run(model)
    assert type(raised.value) is error
    assert (model.items, [module.training for module in model.modules()]) == ([], modes)
    assert torch.equal(model.fc.weight, weight)
    assert torch.equal(torch.get_rng_state(), random)
    assert list(model._forward_pre_hooks.values()) == [counts]
    assert not model._forward_hooks
    assert torch.is_grad_enabled()
    hooks.remove()


def test_ctrl_c_while_all_is_put_back_waits_until_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from boundarycb.keep.kept import Kept

    model: Any = Does(lambda m: m.items.append(1), items=[])
    handler = signal.getsignal(signal.SIGINT)
    put_back = Kept.put_back
    finished: list[bool] = []

    def interrupted(self: Any) -> None:
        if not armed:
            return put_back(self)
        os.kill(os.getpid(), signal.SIGINT)
        put_back(self)
        finished.append(True)
        return None

    armed: list[bool] = []
    monkeypatch.setattr(Kept, "put_back", interrupted)
    with pytest.raises(KeyboardInterrupt), probe(model) as forward:
        forward(POINTS)
        armed.append(True)
    assert finished == [True]
    assert model.items == []
    assert all(module.training for module in model.modules())
    assert not model.fc._forward_hooks
    assert signal.getsignal(signal.SIGINT) is handler


def test_sigterm_waits_too() -> None:
    from boundarycb.keep.restore import SignalsHeld

    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: arrived.append(number))
    try:
        with SignalsHeld() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            assert arrived == []
            signals.release()
            assert arrived == [signal.SIGTERM]
            os.kill(os.getpid(), signal.SIGTERM)
            assert len(arrived) == 2
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_may_probe() -> None:
    model: Any = Does(lambda m: m.items.append(1), items=[])
    lost: list[Any] = []
    thread = threading.Thread(target=lambda: lost.append(run(model).lost))
    thread.start()
    thread.join()
    assert lost == [()]
    assert model.items == []


def test_an_error_of_the_users_comes_out_as_it_is_at_first_and_ends_sampling_later(tmp_path: Path) -> None:
    def act(model: Any) -> None:
        if not model.training and model.fails:
            raise OwnError("mine")

    model: Any = Does(act, fails=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loop(directory: Path, last: bool) -> Any:
        with watch(model, optimizer, slice=SQUARE, every_n_steps=1, directory=directory, **SMALL) as recorder:
            for step in range(3):
                model(torch.rand(4, 2)).sum().backward()
                optimizer.step()
                model.fails = last and step == 0
        return recorder

    with pytest.raises(OwnError, match="^mine"):
        loop(tmp_path / "first", last=False)
    model.fails = False
    with pytest.warns(BoundaryWarning, match=r"step 2: sampling failed; .*training goes on\. \(OwnError: mine\)"):
        recorder = loop(tmp_path / "later", last=True)
    assert recorder.steps == [0, 1]


def test_the_probe_is_closed_after_its_scope() -> None:
    with probe(mlp(2, 4, 1)) as forward:
        double = forward.double()
    for call in (lambda: forward(POINTS), lambda: double(POINTS), lambda: forward.trace(POINTS, []), forward.double):
        with pytest.raises(RuntimeError, match=r"The probe is closed; call `forward"):
            call()


def test_lazy_modules_are_left_to_the_users_first_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU())
    with pytest.raises(
        ValueError, match=r"Sequential has lazy modules whose shapes are not known yet; run it once on real inputs first\."
    ):
        capture(model, SQUARE)
    recorder = Recorder(tmp_path, SQUARE, every_n_steps=100, **SMALL)
    with caplog.at_level("INFO", logger="boundarycb"):
        recorder.record(model, 0)
    assert "The first sample waits until the lazy modules of Sequential have seen an input." in caplog.text
    assert isinstance(model[0].weight, nn.UninitializedParameter)
    model(torch.zeros(1, 2))
    recorder.advance(model, 1)  # not due, but waited for
    recorder.advance(model, 2)
    assert recorder.steps == [1]
    recorder.close()


# ---------------------------------------------------------------------------------------------------------------- memory


def tensors_alive() -> int:
    return sum(type(one) in (torch.Tensor, nn.Parameter) for one in gc.get_objects())


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's own account of memory")
@pytest.mark.slow
def test_a_thousand_probes_leave_nothing_behind() -> None:
    import tracemalloc

    class Keeps(Busy):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.last = super().forward(x)
            return self.last

    model = Keeps()
    model.fc.register_forward_hook(lambda *_: None)

    def probes(number: int) -> None:
        for _ in range(number):
            with probe(model) as forward:
                layers = forward(POINTS).layers
                forward.trace(POINTS, {layer.name for layer in layers})
                forward.double()(POINTS)

    tracemalloc.start()
    probes(100)
    gc.collect()
    objects, tensors, memory = len(gc.get_objects()), tensors_alive(), resident()
    start, _ = tracemalloc.get_traced_memory()
    probes(1000)
    gc.collect()
    end, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert end - start < 50_000
    assert len(gc.get_objects()) - objects < 200
    assert tensors_alive() == tensors
    assert resident() - memory < 8 * 2**20
    assert not hasattr(model, "last")
    assert (len(model.fc._forward_hooks), len(model.fc._forward_pre_hooks)) == (1, 0)


def test_only_what_is_written_to_is_copied() -> None:
    from boundarycb.keep.kept import Kept

    model = nn.Sequential(nn.Linear(2, 3000), nn.ReLU(), nn.Linear(3000, 3000), nn.ReLU(), nn.Linear(3000, 2))
    with probe(model) as forward:
        kept: Any = forward._session.kept
        assert isinstance(kept, Kept)
        forward(POINTS)
        saved = [one for one in kept._tensors._bytes.values() if one.saved]
        assert sum(one.size for one in saved) < 16 * 2**20
        assert max(one.size for one in kept._tensors._bytes.values()) == 4 * 3000**2


class Differentiates(nn.Module):
    """Gives its gradient by its inputs, for which it sees to a graph itself."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.out = nn.Linear(2, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.out(torch.relu(self.fc(x))).sum(), x, create_graph=True)
        return gradient


@pytest.mark.parametrize("kind", ["register_full_backward_pre_hook", "register_full_backward_hook", "on a weight"])
def test_backward_hooks_of_the_users_do_not_run_either(kind: str) -> None:
    model = Differentiates()
    seen: list[int] = []

    def hook(*_: Any) -> None:
        seen.append(1)

    if kind == "on a weight":
        model.out.weight.register_hook(hook)
    else:
        getattr(model.out, kind)(hook)
    run(model)
    assert seen == []
    model(torch.ones(1, 2)).sum().backward()
    assert seen


def test_a_weights_hooks_that_the_pass_takes_away_are_put_back() -> None:
    model = Does(lambda m: m.fc.weight._backward_hooks.clear())
    seen: list[int] = []
    model.fc.weight.register_hook(lambda _: seen.append(1))
    run(model)
    model.fc(torch.ones(1, 2)).sum().backward()
    assert seen == [1]


def test_the_places_of_a_sparse_tensor_are_put_back() -> None:
    """And not its values alone."""
    places = torch.tensor([[0, 1], [0, 1]])
    kept = torch.sparse_coo_tensor(places.clone(), torch.ones(2), (4, 4), check_invariants=False)
    run(Does(lambda m: m.kept._indices().add_(1), kept=kept))
    assert torch.equal(kept._indices(), places)


def test_a_parametrization_that_is_cached_stays_so() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return 2 * weight

    model: Any = Does(lambda _: None)
    parametrize = nn.utils.parametrize
    parametrize.register_parametrization(model.fc, "weight", Doubled())
    with parametrize.cached():
        weight = model.fc.weight
        run(model)
        assert model.fc.weight is weight


def test_verify_sees_gradients() -> None:
    model = Does(lambda _: None)
    model.fc.weight.grad = torch.zeros(4, 2)
    before = Portrait(model)
    assert before.differences(Portrait(model)) == ()
    model.fc.weight.grad.add_(1)
    assert before.differences(Portrait(model))


def test_what_forward_logs_as_a_dict_is_not_logged() -> None:
    seen: list[Any] = []

    class LightningModule(nn.Module):
        def log(self, *args: Any) -> None:
            seen.append(args)

        log_dict = log

    class Logs(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.log("a", 1)
            self.log_dict({"a": 1})
            return torch.relu(self.fc(x))

    model = Logs()
    run(model)
    assert seen == []
    model(torch.ones(1, 2))
    assert len(seen) == 2


def test_a_hook_with_a_default_of_the_users_is_the_users() -> None:
    """Though it reaches a module of the model: what it writes to is not the model's."""
    model = Does(lambda _: None)
    box: list[int] = []

    def made(inner: nn.Module) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, _output: Any, box: list[int] = box) -> None:
            box.append(len(list(inner.parameters())))

        return hook

    model.fc.register_forward_hook(made(model.fc))
    run(model)
    assert box == []
    model(torch.ones(1, 2))
    assert box == [2]


def test_a_tensor_that_stands_in_for_one_with_a_graph_has_its_attributes() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 4)
            doubled: Any = 2 * self.fc.weight
            doubled.factor = 3.0
            self.doubled = doubled

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scaled: torch.Tensor = self.doubled.factor * torch.relu(self.fc(x))
            return scaled

    model = Scaled()
    run(model)
    assert model.doubled.factor == 3.0


def test_a_pass_that_is_tried_again_with_a_graph_begins_anew() -> None:
    seen: list[int] = []

    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out, self.calls = nn.Linear(2, 4), nn.Linear(4, 1), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(self.calls)
            self.calls += 1
            (gradient,) = torch.autograd.grad(self.out(torch.relu(self.fc(x))).sum(), x, create_graph=True)
            return gradient

    model = Counts()
    with probe(model) as forward:
        forward(POINTS)
    assert seen[:2] == [0, 0]  # the first without a graph
    assert model.calls == 0
