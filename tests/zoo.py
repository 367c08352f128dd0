"""Models that a probe may disturb, ordinary and awkward ones: the rows of the table in docs/no-trace.md.

A row's docstring is what the table says of it. Every model maps (n, *inputs) to (n, 2).
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import random
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import everything
import numpy as np
import torch
import torch.nn.functional as F
import torchmetrics
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils import weight_norm as old_weight_norm
from torch.utils.checkpoint import checkpoint

from boundarycb import Slice, slices


@dataclass(frozen=True)
class Row:
    """One model of the table.

    Args:
        name: what the table calls it.
        make: makes it.
        what: what is awkward about it.
        naive: what a naive probe (eval, forward, train) does to its training: ``same``, ``other losses``, ``other state`` (the
            losses of 12 steps are the same, what is left behind is not) or ``fails``.
        adam: whether it is trained with Adam too.
        inputs: shape of an input.
        double: how it runs in double precision: ``copy`` as a converted copy does; ``nearly``, since such a copy goes on in
            single precision in part; ``own`` where there can be no copy; ``fails`` where torch has no such operation.
    """

    name: str
    make: Callable[[], nn.Module]
    what: str
    naive: str
    adam: bool
    inputs: tuple[int, ...]
    double: str

    @property
    def slice(self) -> Slice:
        if self.inputs == (2,):
            return slices.box((-1, 1), (-1, 1))
        return slices.through(*np.random.default_rng(0).normal(size=(3, *self.inputs)))

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


ROWS: list[Row] = []


def row(
    name: str, naive: str = "same", *, adam: bool = False, inputs: tuple[int, ...] = (2,), double: str = "copy"
) -> Callable[[Any], Any]:
    def enter(make: Any) -> Any:
        ROWS.append(Row(name, make, " ".join(make.__doc__.split()).rstrip("."), naive, adam, inputs, double))
        return make

    return enter


class Odd(nn.Module):
    """Two layers with something odd between them."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(2, 8), nn.Linear(8, 2)
        self.setup()

    def setup(self) -> None:
        """Make what the odd part needs."""

    def odd(self, h: torch.Tensor) -> Any:
        return h

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.fc2(self.odd(torch.relu(self.fc1(x))))
        return scores


@contextmanager
def quiet() -> Iterator[None]:
    """Models of old: what torch has to say against their parts is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ------------------------------------------------------------------------------------------------------- ordinary models


@row("MLP", adam=True)
class Mlp(nn.Sequential):
    """Linear, ReLU, in a Sequential."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


@row("CNN", adam=True, inputs=(1, 6, 6))
class Cnn(nn.Sequential):
    """Convolution, batch-norm, in-place ReLU, pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)
        )


@row("ResNet", adam=True, inputs=(1, 6, 6))
class ResNet(nn.Module):
    """Two residual blocks that share one in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Linear(4, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, 4, 3, padding=1),
                nn.BatchNorm2d(4),
                self.relu,
                nn.Conv2d(4, 4, 3, padding=1),
                nn.BatchNorm2d(4),
            )
            for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.stem(x))
        for block in self.blocks:
            x = self.relu(block(x) + x)
        scores: torch.Tensor = self.fc(x.mean((2, 3)))
        return scores


@row("Transformer", adam=True)
class Transformer(nn.Module):
    """An encoder layer with dropout, whose fused path is taken in eval mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.fc = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.fc(self.encoder(self.embed(x[..., None])).mean(1))
        return scores


@row("GRU", adam=True)
class Gru(nn.Module):
    """A fused GRU, which keeps its weights in a list of its own too, and a ReLU head."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.fc1, self.fc2 = nn.GRU(1, 8, batch_first=True), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.fc2(F.relu(self.fc1(self.gru(x[..., None])[0][:, -1])))
        return scores


# ------------------------------------------------------------------------------------------------- modes, random numbers


@row("batch-norm and dropout", adam=True)
class Norms(Odd):
    """Batch statistics and dropped units while training."""

    def setup(self) -> None:
        self.bn, self.late, self.drop = nn.BatchNorm1d(8), nn.BatchNorm1d(8, momentum=None), nn.Dropout(0.5)

    def odd(self, h: torch.Tensor) -> Any:
        return self.drop(self.late(self.bn(h)))


@row("frozen batch-norm", "other losses", adam=True)
class Frozen(Norms):
    """A batch-norm that the user put into eval mode while the rest trains."""

    def setup(self) -> None:
        super().setup()
        self.bn.eval()
        self.bn.running_mean = torch.full((8,), 0.1)


@row("own train method", "other state")
class OwnTrain(Norms):
    """``train()`` is overridden, and counts."""

    def setup(self) -> None:
        super().setup()
        self.trained = 0

    def train(self, mode: bool = True) -> Any:
        if hasattr(self, "trained"):
            self.trained += 1
        return super().train(mode)


@row("mode switched in forward", "other losses")
class Switches(Norms):
    """The forward pass puts a part of itself into eval mode from its 3rd call on."""

    calls = 0

    def odd(self, h: torch.Tensor) -> Any:
        self.calls += 1
        if self.calls > 3:
            self.bn.eval()
        return super().odd(h)


@row("functional dropout", "other losses", adam=True)
class Drops(Odd):
    """``F.dropout(x)``, which drops in eval mode too."""

    def odd(self, h: torch.Tensor) -> Any:
        return F.dropout(h)


@row("variational", "other losses")
class Variational(Odd):
    """Noise from ``torch.randn_like``."""

    def odd(self, h: torch.Tensor) -> Any:
        return h + 0.1 * torch.randn_like(h)


@row("numpy and python random", "other losses")
class OtherRandom(Odd):
    """Noise from ``np.random`` and ``random``."""

    def odd(self, h: torch.Tensor) -> Any:
        return h * float(1 + 0.1 * np.random.rand()) + random.random()


@row("own generators", "other losses", double="own")
class Generators(Odd):
    """Noise from generators that the model has: torch's, both of numpy's, python's."""

    def setup(self) -> None:
        self.first, self.second = torch.Generator().manual_seed(1), np.random.default_rng(2)
        self.third, self.fourth = np.random.RandomState(3), random.Random(4)

    def odd(self, h: torch.Tensor) -> Any:
        noise = torch.rand(8, generator=self.first).to(h.dtype) + self.second.random() + self.third.rand() + self.fourth.random()
        return h + 0.1 * noise


@row("stochastic depth", "other losses")
class Depth(Odd):
    """A branch that python's random numbers take."""

    def setup(self) -> None:
        self.middle = nn.Linear(8, 8)

    def odd(self, h: torch.Tensor) -> Any:
        return h + self.middle(h) if random.random() < 0.5 else h


# --------------------------------------------------------------------------------------------------------------- tensors


@row("moving average", "other losses", adam=True)
class Average(Odd):
    """A buffer written to in forward, in every mode."""

    ema: torch.Tensor

    def setup(self) -> None:
        self.register_buffer("ema", torch.zeros(8))

    def odd(self, h: torch.Tensor) -> Any:
        with torch.no_grad():
            self.ema.mul_(0.9).add_(h.mean(0), alpha=0.1)
        return h - self.ema.clone()


@row("moving average bound anew", "other losses")
class Rebinds(Average):
    """A buffer replaced by another tensor in forward."""

    def odd(self, h: torch.Tensor) -> Any:
        self.ema = 0.9 * self.ema + 0.1 * h.detach().mean(0)
        return h - self.ema


@row("buffer made in forward", "other losses")
class Registers(Odd):
    """``register_buffer`` at the first call; the buffer then counts."""

    seen: torch.Tensor

    def odd(self, h: torch.Tensor) -> Any:
        if "seen" not in self._buffers:
            self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.seen += len(h)
        return h * (1 + 1 / self.seen)


@row("queue", "other losses")
class Queue(Odd):
    """A memory of past activations in a buffer, with a pointer, as in MoCo."""

    queue: torch.Tensor
    pointer: torch.Tensor

    def setup(self) -> None:
        self.register_buffer("queue", torch.zeros(40, 8))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def odd(self, h: torch.Tensor) -> Any:
        place = (torch.arange(len(h)) + self.pointer) % 40
        self.queue[place[:40]] = h.detach()[:40].to(self.queue.dtype)
        self.pointer += len(h)
        return h + 0.1 * self.queue.mean(0)


@row("plain tensors", "other losses", double="nearly")
class PlainTensors(Odd):
    """Tensors as plain attributes and in a list, written to in forward, one through ``.data``."""

    def setup(self) -> None:
        self.one, self.more = torch.zeros(8), [torch.zeros(8), torch.zeros(8)]

    def odd(self, h: torch.Tensor) -> Any:
        self.one += 1
        self.more[0].data.add_(0.5)
        self.more[1] = self.more[1] + 0.25
        return h + 1e-3 * (self.one + self.more[0] + self.more[1])


@row("tensor behind torch's back", "other losses", double="nearly")
class Raw(Odd):
    """A tensor written to through numpy, which leaves no version behind. (It is put back if it is small: up to 16 MB in all.)"""

    def setup(self) -> None:
        self.raw = torch.zeros(8)

    def odd(self, h: torch.Tensor) -> Any:
        self.raw.numpy()[...] += 1
        return h + 1e-3 * self.raw


@row("weights written to in forward", "other losses", adam=True)
class Shrinks(Odd):
    """Weights that decay a little at every call, in place and through ``.data``."""

    def odd(self, h: torch.Tensor) -> Any:
        with torch.no_grad():
            self.fc2.weight.mul_(0.999)
        self.fc2.bias.data = self.fc2.bias.data * 0.999
        return h


@row("weights under a constraint", "other losses")
class Constrained(Odd):
    """``weight.data = torch.renorm(…)`` before every use, as in EEGNet, and every second time through a view of the weights."""

    calls = 0

    def odd(self, h: torch.Tensor) -> Any:
        self.calls += 1
        self.fc2.weight.data = torch.renorm(self.fc2.weight.data, 2, 0, 0.3 + 0.01 * (self.calls % 2))
        self.fc2.weight.data[0] *= 0.99
        return h


@row("embedding with a largest norm", "other state")
class Embeds(Odd):
    """``nn.Embedding(max_norm=…)`` shrinks the rows that are looked up, in forward."""

    def setup(self) -> None:
        self.embedding = nn.Embedding(20, 8, max_norm=1.0)

    def odd(self, h: torch.Tensor) -> Any:
        return h + self.embedding(torch.arange(len(h)) % 20)


@row("gradients touched in forward", "other state")
class Touches(Odd):
    """The forward pass freezes and thaws a layer in turn, halves a gradient, and takes one away."""

    calls = 0

    def odd(self, h: torch.Tensor) -> Any:
        self.calls += 1
        self.fc2.bias.requires_grad_(self.calls % 3 > 0)
        if self.fc1.weight.grad is not None:
            self.fc1.weight.grad *= 0.5
        self.fc1.bias.grad = None
        return h


@row("buffer written to with gradients", "other losses", double="own")
class Attaches(Odd):
    """A buffer that becomes a part of the graph at every call, and is cut from it at the next."""

    ema: torch.Tensor

    def setup(self) -> None:
        self.register_buffer("ema", torch.ones(8))

    def odd(self, h: torch.Tensor) -> Any:
        self.ema.detach_()
        with torch.enable_grad():
            self.ema.mul_(0.9).add_(self.fc1.bias * 0.1)
        return h * self.ema


@row("teacher", "other state", double="nearly")
class Teacher(Odd):
    """A second network that follows the first, updated in forward and kept out of sight in a tuple."""

    def setup(self) -> None:
        self.hidden = (copy.deepcopy(self.fc2).requires_grad_(False),)

    def odd(self, h: torch.Tensor) -> Any:
        (teacher,) = self.hidden
        with torch.no_grad():
            for mine, its in zip(self.fc2.parameters(), teacher.parameters(), strict=True):
                its.lerp_(mine.to(its.dtype), 0.1)
        return h + 0.1 * teacher(h.detach().to(teacher.weight.dtype)).mean(1, keepdim=True)


@row("inference tensor", "other losses")
class Inferred(Odd):
    """A buffer that was made in inference mode, and is written to there."""

    kept: torch.Tensor

    def setup(self) -> None:
        with torch.inference_mode():
            self.register_buffer("kept", torch.ones(8))

    def odd(self, h: torch.Tensor) -> Any:
        with torch.inference_mode():
            self.kept.mul_(1.01)
        return h * self.kept.clone()


# ------------------------------------------------------------------------------------------------- attributes, containers


@row("counter", "other losses", adam=True)
class Counter(Odd):
    """A plain number counted up in forward, on which the function depends."""

    calls = 0

    def odd(self, h: torch.Tensor) -> Any:
        self.calls += 1
        return h * (1 + 0.5**self.calls)


@row("counter of the class", "other losses")
class ClassCounter(Odd):
    """A number, and a dict, that all instances share."""

    calls = 0
    times: dict[str, int] = {}  # noqa: RUF012

    def setup(self) -> None:
        type(self).calls = 0
        self.times.clear()

    def odd(self, h: torch.Tensor) -> Any:
        type(self).calls += 1
        self.times["forward"] = self.times.get("forward", 0) + 1
        return h * (1 + 0.5**self.calls + 0.1 * self.times["forward"])


@row("hidden state", "other losses", double="own")
class Hidden(Odd):
    """A recurrent state in an attribute, of the shape of the last batch."""

    def setup(self) -> None:
        self.cell = nn.GRUCell(8, 8)
        self.state: torch.Tensor | None = None

    def odd(self, h: torch.Tensor) -> Any:
        if self.state is None or len(self.state) != len(h):
            self.state = torch.zeros_like(h)
        self.state = self.cell(h, self.state.detach())
        return self.state


@row("rotary cache", double="nearly")
class Rotary(Odd):
    """Sines computed at the first call and kept in an attribute, as with rotary embeddings."""

    def setup(self) -> None:
        self.cache: torch.Tensor | None = None

    def odd(self, h: torch.Tensor) -> Any:
        if self.cache is None or self.cache.dtype != h.dtype:
            self.cache = torch.sin(torch.arange(8, dtype=h.dtype))
        return h * self.cache


@row("cached property", "other losses")
class Cached(Odd):
    """``functools.cached_property`` computed from the weights at the first call of each step."""

    steps = 0

    @functools.cached_property
    def scale(self) -> torch.Tensor:
        scale: torch.Tensor = 1 + self.fc1.weight.detach().norm()
        return scale

    def odd(self, h: torch.Tensor) -> Any:
        h = h * self.scale
        self.steps += 1
        if self.steps % 3 == 0:
            del self.scale
        return h


@row("cached function", "other losses", double="own")
class LruCached(Odd):
    """``functools.lru_cache`` on a method that reads the weights, and on one that makes a table."""

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def scale(self, n: int) -> torch.Tensor:
        scale: torch.Tensor = 1 + self.fc1.weight.detach().norm() * n / 8
        return scale

    @functools.lru_cache(maxsize=4)  # noqa: B019
    def table(self, n: int) -> torch.Tensor:
        return torch.linspace(0, 1, n)

    def odd(self, h: torch.Tensor) -> Any:
        return h * self.scale(len(h)) + self.table(h.shape[1])


@row("list", "other losses")
class Appends(Odd):
    """A list that grows in forward."""

    def setup(self) -> None:
        self.means: list[torch.Tensor] = []

    def odd(self, h: torch.Tensor) -> Any:
        self.means.append(h.detach().mean())
        return h - torch.stack([mean.to(h.dtype) for mean in self.means]).mean()


@row("dict, set and deque", "other losses")
class Containers(Odd):
    """A counter, an ordered dict, a nested dict, a set, a deque and a bytearray, all changed in forward."""

    def setup(self) -> None:
        self.counter: collections.Counter[str] = collections.Counter()
        self.order = collections.OrderedDict([("a", 1), ("b", 2), ("c", 3)])
        self.nested: dict[str, Any] = {"deep": {"list": [0]}}
        self.members: set[int] = set()
        self.last: collections.deque[int] = collections.deque(maxlen=4)
        self.bytes = bytearray(4)

    def odd(self, h: torch.Tensor) -> Any:
        self.counter["calls"] += 1
        self.order.move_to_end(next(iter(self.order)))
        self.nested["deep"]["list"].append(self.counter["calls"])
        self.members.add(self.counter["calls"] % 7)
        self.last.append(len(self.nested["deep"]["list"]))
        self.bytes[0] += 1
        return h * (1 + 0.01 * (len(self.members) + sum(self.last) + self.bytes[0] + next(iter(self.order.values()))))


@dataclasses.dataclass
class Statistics:
    """What a model may keep in an object."""

    calls: int = 0
    means: list[float] = dataclasses.field(default_factory=list)


class Slotted:
    """An object without a dict."""

    __slots__ = ("calls", "last")
    last: int  # set in forward

    def __init__(self) -> None:
        self.calls = 0


@row("objects", "other losses")
class Objects(Odd):
    """A dataclass, a namespace, an object with slots and a numpy array, all changed in forward."""

    def setup(self) -> None:
        self.statistics, self.slotted = Statistics(), Slotted()
        self.space, self.array = types.SimpleNamespace(calls=0), np.zeros(3)

    def odd(self, h: torch.Tensor) -> Any:
        self.statistics.calls += 1
        self.statistics.means.append(1.0)
        self.slotted.calls += 1
        self.slotted.last = self.slotted.calls
        self.space.calls += 1
        self.array[0] += 1
        return h * (1 + 0.01 * (len(self.statistics.means) + self.slotted.last + self.space.calls + self.array[0]))


@row("helper of another module", "other losses")
class Helped(Odd):
    """An object whose class is the user's, but from another file than the model, through a bound method and a partial too."""

    def setup(self) -> None:
        self.meter, self.up, self.more = (
            everything.Meter(),
            everything.Meter().up,
            functools.partial(everything.add, everything.Meter()),
        )

    def odd(self, h: torch.Tensor) -> Any:
        return h * (1 + 0.01 * (self.meter.up() + self.up() + self.more()))


@row("metrics", "other losses", double="nearly")
class Metrics(Odd):
    """torchmetrics updated in forward: a mean and a list state, and a value per batch."""

    def setup(self) -> None:
        with quiet():
            self.mean, self.cat = torchmetrics.MeanMetric(), torchmetrics.CatMetric()
            self.collection = torchmetrics.MetricCollection({"total": torchmetrics.SumMetric()})

    def odd(self, h: torch.Tensor) -> Any:
        values = h.detach().float()
        self.mean.update(values)
        self.cat.update(values.mean())
        self.collection(values)
        return h * (1 + 0.1 * self.mean.compute().to(h.dtype)) + 0.001 * len(self.cat.value)


# ------------------------------------------------------------------------------------------------- wrapped and shared weights


@row("spectral norm", "other state", double="own")
class Spectral(Odd):
    """The parametrisation, and the old hook with its buffers."""

    def setup(self) -> None:
        with quiet():
            self.new, self.old = parametrizations.spectral_norm(nn.Linear(8, 8)), old_spectral_norm(nn.Linear(8, 8))

    def odd(self, h: torch.Tensor) -> Any:
        return torch.relu(self.old(torch.relu(self.new(h))))


@row("weight norm", "other state", adam=True, double="own")
class WeightNorm(Odd):
    """The parametrisation, and the old hook, which computes a plain attribute at every call."""

    def setup(self) -> None:
        with quiet():
            self.new, self.old = parametrizations.weight_norm(nn.Linear(8, 8)), old_weight_norm(nn.Linear(8, 8))

    def odd(self, h: torch.Tensor) -> Any:
        return torch.relu(self.old(torch.relu(self.new(h))))


@row("pruned weights", "other state", double="own")
class Pruned(Odd):
    """A mask that a hook of torch's applies at every call."""

    def setup(self) -> None:
        prune.l1_unstructured(self.fc2, "weight", amount=0.5)


@row("orthogonal weights")
class Orthogonal(Odd):
    """A parametrisation that computes the weights from others."""

    def setup(self) -> None:
        self.turn = parametrizations.orthogonal(nn.Linear(8, 8))

    def odd(self, h: torch.Tensor) -> Any:
        return torch.relu(self.turn(h))


@row("tied weights")
class Tied(Odd):
    """One matrix in two layers, a second name for a parameter, and a view of one."""

    def setup(self) -> None:
        self.back, self.again = nn.Linear(2, 8), nn.Linear(8, 2)
        self.again.weight = self.fc2.weight
        self.alias = self.fc2.bias

    def odd(self, h: torch.Tensor) -> Any:
        return torch.relu(F.linear(self.again(h) + self.alias, self.fc2.weight.T, self.back.bias))


@row("module called several times")
class Loops(Odd):
    """Layers in a ModuleList, one of them called in a loop, and a module in two places."""

    def setup(self) -> None:
        shared = nn.Linear(8, 8)
        self.layers = nn.ModuleList([shared, nn.Linear(8, 8), shared])
        self.act = nn.LeakyReLU(0.1)

    def odd(self, h: torch.Tensor) -> Any:
        for layer in self.layers:
            for _ in range(2):
                h = self.act(layer(h))
        return h


@row("branches")
class Branches(Odd):
    """Another path in eval mode than in training."""

    def setup(self) -> None:
        self.middle, self.drop = nn.Linear(8, 8), nn.Dropout(0.3)

    def odd(self, h: torch.Tensor) -> Any:
        return self.drop(torch.relu(self.middle(h))) if self.training else torch.relu(self.middle(h)) * 0.9


@row("modules in a plain list", "other losses", double="own")
class PlainList(Odd):
    """A batch-norm and a dropout that PyTorch does not know as submodules, so that ``eval()`` does not reach them."""

    def setup(self) -> None:
        self.hidden = [nn.BatchNorm1d(8, affine=False), nn.Dropout(0.2)]

    def odd(self, h: torch.Tensor) -> Any:
        for module in self.hidden:
            h = module(h)
        return h


@row("gradient checkpointing")
class Checkpoints(Odd):
    """Both kinds of ``torch.utils.checkpoint``, with dropout inside."""

    def setup(self) -> None:
        self.one, self.two, self.drop = nn.Linear(8, 8), nn.Linear(8, 8), nn.Dropout(0.3)

    def odd(self, h: torch.Tensor) -> Any:
        h = checkpoint(lambda h: self.drop(torch.relu(self.one(h))), h, use_reentrant=False)
        with quiet():  # of a reentrant one without gradients
            return checkpoint(lambda h: self.drop(torch.relu(self.two(h))), h, use_reentrant=True)


@row("lazy layers")
class Lazy(nn.Sequential):
    """Layers whose shapes the first batch decides."""

    def __init__(self) -> None:
        with quiet():
            super().__init__(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(2))


@row("quantisation-aware", "other losses", double="fails")
class Quantises(Odd):
    """Fake quantisation with observers that watch in every mode, by themselves and in a hook of torch's."""

    def setup(self) -> None:
        quantization = torch.ao.quantization
        with quiet():
            self.fake, self.fused = quantization.FakeQuantize(), quantization.FusedMovingAvgObsFakeQuantize()
            self.watched = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
            self.watched.qconfig = quantization.get_default_qat_qconfig("fbgemm")
            quantization.prepare_qat(self.watched.train(), inplace=True)

    def odd(self, h: torch.Tensor) -> Any:
        with quiet():
            return self.watched(self.fused(self.fake(h.float()))).to(h.dtype)


class Counts(nn.Module):
    """Counts its calls in a buffer, a number, a list and a tensor."""

    if TYPE_CHECKING:  # torch.jit cannot read annotations that are strings
        calls: Any

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.number, self.numbers, self.tensor = 0, [0], torch.zeros(())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.number += 1
        self.numbers.append(self.number)
        self.tensor = self.tensor + 1
        result: torch.Tensor = x * (1 + 1 / (self.calls + self.tensor + self.number + len(self.numbers)))
        return result


@row("script module", "other losses", double="fails")
class Scripted(Odd):
    """A part of it is a ScriptModule, that counts in a buffer, a number, a list and a tensor, in every mode."""

    def setup(self) -> None:
        with quiet():
            self.scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), Counts()))

    def odd(self, h: torch.Tensor) -> Any:
        with quiet():
            return self.scripted(h)


# --------------------------------------------------------------------------------------------------- hooks and settings


@row("user's hooks", "other state")
class Hooked(Odd):
    """Forward hooks that count calls and collect activations into a list of the user's."""

    def setup(self) -> None:
        log = Log()
        self.fc1.register_forward_hook(log.keep)
        self.fc2.register_forward_pre_hook(log.count)


class Log:
    """What a user writes down."""

    def __init__(self) -> None:
        self.calls, self.means = [0], []  # type: ignore[var-annotated]

    def keep(self, _module: nn.Module, _args: Any, output: torch.Tensor) -> None:
        self.means.append(output.detach().mean())

    def count(self, _module: nn.Module, _args: Any) -> None:
        self.calls[0] += 1


@row("model's own hooks", "other state", double="own")
class OwnHooks(Odd):
    """The model takes an activation from a hook of its own, without which it does not run."""

    def setup(self) -> None:
        self.features: list[torch.Tensor] = []
        self.fc1.register_forward_hook(lambda _module, _args, output: self.features.append(output))

    def odd(self, h: torch.Tensor) -> Any:
        return h + torch.tanh(self.features[-1])


@row("autocast in forward")
class Casts(Odd):
    """A part of it runs in bfloat16."""

    def setup(self) -> None:
        self.middle = nn.Linear(8, 8)

    def odd(self, h: torch.Tensor) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return torch.relu(self.middle(h)).to(h.dtype)


@row("settings changed in forward", "other state")
class Settings(Odd):
    """The forward pass leaves autocast's cache and numpy's error state otherwise than it found them."""

    def setup(self) -> None:
        self.number = 0

    def odd(self, h: torch.Tensor) -> Any:
        self.number += 1
        torch.set_autocast_cache_enabled(self.number % 2 == 0)
        np.seterr(over="ignore" if self.number % 2 else "warn")
        return h


@row("view of a buffer", "other losses", double="own")
class Views(Odd):
    """An attribute that is a view of a buffer: what is written to one is read from the other."""

    flat: torch.Tensor

    def setup(self) -> None:
        self.register_buffer("flat", torch.zeros(16))
        self.front: Any = self.flat[:8]
        vars(self.front)["note"] = torch.ones(8)

    def odd(self, h: torch.Tensor) -> Any:
        self.flat += 0.1
        note: torch.Tensor = vars(self.front)["note"]
        return h * (1 + self.front) + note


@row("differentiates in secret", double="own")
class Secret(Odd):
    """The forward pass differentiates, and goes another way where it cannot."""

    def odd(self, h: torch.Tensor) -> Any:
        try:
            (slope,) = torch.autograd.grad(h.square().sum(), h, create_graph=True)
        except RuntimeError:
            slope = torch.zeros_like(h)
        return h + 0.1 * slope


@row("ensemble by vmap")
class Ensemble(nn.Module):
    """Two networks in one, by ``torch.func``, behind an ordinary layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 4)
        self.weights = nn.Parameter(torch.randn(2, 2, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.fc(x))
        each: torch.Tensor = torch.func.vmap(lambda weight: torch.tanh(h @ weight.T))(self.weights)
        return each.mean(0)


@row("differentiates in forward", "fails")
class Hamiltonian(nn.Module):
    """The output is the gradient of an energy in the inputs, so that the pass needs a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if x.requires_grad else x.requires_grad_()
        return torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]
