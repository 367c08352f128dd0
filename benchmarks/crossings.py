"""How long crossings along rays take, against a bare forward pass of as many points.

    python benchmarks/crossings.py

1,000 rays between points drawn evenly from -1 to 1 in each number; networks of ReLUs, and one of sigmoids, with He weights and
biases from -0.5 to 0.5. One thread.
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from boundarycb.analysis import Of, find_crossings

RAYS = 1000
NETWORKS: dict[str, tuple[tuple[int, ...], type[nn.Module]]] = {
    "2-16-16-16-2": ((2, 16, 16, 16, 2), nn.ReLU),
    "784-64-64-10": ((784, 64, 64, 10), nn.ReLU),
    "2-3-3 sigmoid": ((2, 3, 3), nn.Sigmoid),
}


def network(widths: tuple[int, ...], act: type[nn.Module]) -> nn.Sequential:
    """Return a fully connected network."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.kaiming_normal_(linear.weight)
        nn.init.uniform_(linear.bias, -0.5, 0.5)
        layers += [linear, act()]
    return nn.Sequential(*layers[:-1])


@torch.no_grad()
def bare(model: nn.Module, points: int, numbers: int) -> float:
    """Return the seconds of a forward pass of so many points."""
    inputs = torch.rand(points, numbers)
    model(inputs)
    start = time.perf_counter()
    model(inputs)
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'network':16s}{'of':10s}{'crossings':>10s}{'seconds':>9s}{'us each':>9s}{'/ bare pass of as many':>24s}")
    kinds: tuple[Of, ...] = ("units", "decision")
    for name, (widths, act) in NETWORKS.items():
        model = network(widths, act)
        rng = np.random.default_rng(0)
        start, stop = rng.uniform(-1, 1, (RAYS, widths[0])), rng.uniform(-1, 1, (RAYS, widths[0]))
        for of in kinds:
            begin = time.perf_counter()
            found = find_crossings(model, start, stop, of=of, max_units=None)
            seconds = time.perf_counter() - begin
            count = max(1, len(found))
            ratio = seconds / bare(model, count, widths[0])
            print(f"{name:16s}{of:10s}{len(found):10,d}{seconds:9.2f}{1e6 * seconds / count:9.1f}{ratio:24.0f}")


if __name__ == "__main__":
    main()
