"""Networks for the tests, and forward passes made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from boundarycb.types import Floats, Forward, Layer, Reading


class Ginn(nn.Module):
    """GINN's own network: linear layers as modules, ReLU as a function; it returns its activations too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer1 = nn.Linear(2, 16)
        self.layer2 = nn.Linear(16, 16)
        self.layer3 = nn.Linear(16, 16)
        self.out = nn.Linear(16, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        activations = []
        for layer in (self.layer1, self.layer2, self.layer3):
            x = F.relu(layer(x))
            activations.append(x)
        return self.out(x), activations


class WithCalls(Ginn):
    """The same network, with its three activations called in another way."""

    def __init__(self, calls: Sequence[Any]) -> None:
        super().__init__()
        self.calls = calls
        for number, call in enumerate(calls):
            if isinstance(call, nn.Module):
                self.add_module(f"act{number}", call)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        for layer, call in zip((self.layer1, self.layer2, self.layer3), self.calls, strict=True):
            x = call(layer(x))
        return self.out(x), []


def mlp(*widths: int, seed: int = 0, act: type[nn.Module] = nn.ReLU) -> Any:
    """Return a network of these widths with He weights and biases that put boundaries inside [-1, 1] squared."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.Linear(fan_in, fan_out)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(fan_out, fan_in, generator=generator) * (2 / fan_in) ** 0.5)
            linear.bias.copy_(torch.rand(fan_out, generator=generator) - 0.5)
        layers += [linear, act()]
    return nn.Sequential(*layers[:-1])


def linear_units(*units: tuple[float, float, float]) -> nn.Sequential:
    """Return one layer of ReLUs with the pre-activations ``a x + b y + c``, and their sum as output."""
    layer, out = nn.Linear(2, len(units)), nn.Linear(len(units), 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([unit[:2] for unit in units]))
        layer.bias.copy_(torch.tensor([unit[2] for unit in units]))
        out.weight.fill_(1.0)
        out.bias.fill_(0.0)
    return nn.Sequential(layer, nn.ReLU(), out)


def by_hand(*functions: Callable[[Floats, Floats], Floats], output: Callable[[Floats, Floats], Floats] | None = None) -> Forward:
    """Return a forward pass whose units are functions of x and y; `output` gives (n, C)."""
    layer = Layer("hand", "relu", (len(functions),), tuple(range(len(functions))))

    def forward(inputs: Floats) -> Reading:
        x, y = inputs[:, 0], inputs[:, 1]
        z = np.stack([np.asarray(function(x, y), dtype=np.float64) for function in functions], axis=1)
        return Reading((layer,), (z,), None if output is None else output(x, y))

    return forward
