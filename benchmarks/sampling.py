"""What a sample costs, in ratios to a bare forward pass over the same points and to contourpy, and what its numbers cost.

    python benchmarks/sampling.py [--repeats 15]

CPU time of this process, one thread, medians; the order of the contestants is shuffled in every repetition.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import contourpy
import numpy as np
import torch
from torch import nn

from boundarycb import metrics, slices
from boundarycb.render import draw_overlay
from boundarycb.sampling import Look, look
from boundarycb.types import Metric, Sample, Snapshot, Value

SQUARE = slices.box((-1, 1), (-1, 1))
NETS = {"3 x 16": (16, 3), "3 x 64": (64, 3), "8 x 32": (32, 8), "3 x 256": (256, 3)}
MEASURED = {"48 = 3 x 16": (16, 3), "1,000 = 8 x 125": (125, 8), "10,000 = 20 x 500": (500, 20)}


def net(width: int, depth: int) -> nn.Sequential:
    """Return a ReLU network with He weights and biases that put boundaries into the slice."""
    layers: list[nn.Module] = []
    for number in range(depth):
        linear = nn.Linear(width if number else 2, width)
        nn.init.kaiming_normal_(linear.weight)
        nn.init.uniform_(linear.bias, -0.5, 0.5)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 2))


def grid_points(resolution: int) -> tuple[np.ndarray, np.ndarray, torch.Tensor]:
    """Return the nodes and the points of the grid."""
    us, vs = SQUARE.nodes(resolution)
    u, v = np.meshgrid(us, vs)
    return us, vs, torch.tensor(np.stack([u.ravel(), v.ravel()], axis=1), dtype=torch.float32)


@torch.no_grad()
def bare(model: nn.Sequential, points: torch.Tensor) -> None:
    """Run the model over the grid, as it is."""
    for batch in points.split(2048):
        model(batch)


@torch.no_grad()
def by_contourpy(model: nn.Sequential, points: torch.Tensor, us: np.ndarray, vs: np.ndarray) -> None:
    """Find the same lines with one contour call a unit."""
    for layer in model:
        if isinstance(layer, nn.ReLU):
            z = np.ascontiguousarray(points.numpy().T).reshape(-1, len(vs), len(us))
            for field in z:
                contourpy.contour_generator(us, vs, field).lines(0.0)
        points = layer(points)


def medians(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median CPU seconds of each contestant, their order shuffled in every repetition."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(repeats):
        for name in random.sample(list(contestants), len(contestants)):
            start = time.process_time()
            contestants[name]()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def two_looks(model: nn.Sequential, resolution: int) -> tuple[Look, Look]:
    """Return a look at the model and one after a small step."""
    before = look(model, SQUARE, resolution=resolution, trace=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return before, look(model, SQUARE, resolution=resolution, trace=True, before=before.traces)


def print_metrics(repeats: int, resolution: int) -> None:
    """Print what the default metrics cost beyond the look that they are about."""
    print("\nunits               look ms  traced pass ms   metrics ms  together ms   / look   of the metrics")
    for name, (width, depth) in MEASURED.items():
        model = net(width, depth)
        before, now = two_looks(model, resolution)
        past: dict[str, Value] = {}
        for metric in metrics.default():
            past.update(metric(Sample(before.capture, before.boundaries, None, before.capture)))
        sample = Sample(now.capture, now.boundaries, before.capture, before.capture, 1, now.moves, past)
        single: dict[str, Metric] = {metric.__name__: metric for metric in metrics.default()}
        ms = medians(
            {
                "look": partial(look, model, SQUARE, resolution=resolution),
                "traced": partial(look, model, SQUARE, resolution=resolution, trace=True, before=before.traces),
                **{key: partial(metric, sample) for key, metric in single.items()},
            },
            repeats if width * depth < 5000 else 3,
        )
        ms = {key: 1000 * value for key, value in ms.items()}
        traced, computed = ms["traced"] - ms["look"], sum(ms[key] for key in single)
        dearest = ", ".join(f"{key} {ms[key]:.1f}" for key in sorted(single, key=lambda key: -ms[key])[:2])
        print(
            f"{name:18} {ms['look']:8.1f} {traced:15.1f} {computed:12.1f} {traced + computed:12.1f} "
            f"{(traced + computed) / ms['look']:8.2f}   {dearest}"
        )


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--resolution", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    us, vs, points = grid_points(options.resolution)
    print("net        bare ms  sample ms   / bare  contourpy ms  / sample  overlay ms   lines")
    for name, (width, depth) in NETS.items():
        model = net(width, depth)
        seen = look(model, SQUARE, resolution=options.resolution)
        snapshot = Snapshot(0, 0.0, SQUARE, seen.capture, seen.boundaries)
        contestants: dict[str, Callable[[], object]] = {
            "bare": partial(bare, model, points),
            "look": partial(look, model, SQUARE, resolution=options.resolution),
            "contourpy": partial(by_contourpy, model, points, us, vs),
            "overlay": partial(draw_overlay, snapshot),
        }
        ms = {key: 1000 * value for key, value in medians(contestants, options.repeats).items()}
        print(
            f"{name:10} {ms['bare']:8.1f} {ms['look']:10.1f} {ms['look'] / ms['bare']:7.1f} {ms['contourpy']:13.1f} "
            f"{ms['contourpy'] / ms['look']:9.1f} {ms['overlay']:11.1f} {len(seen.boundaries):7}"
        )
    print_metrics(options.repeats, options.resolution)


if __name__ == "__main__":
    main()
