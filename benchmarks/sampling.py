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
from dataclasses import replace
from functools import partial

import contourpy
import numpy as np
import torch
from torch import nn

from boundarycb import metrics, slices
from boundarycb.automatic import Data
from boundarycb.measuring import measure, no_values
from boundarycb.memory import Memory
from boundarycb.render import draw_overlay
from boundarycb.sampling import Look, look
from boundarycb.types import Sample, Snapshot

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


DIAMOND = slices.aimed(SQUARE, lambda inputs: np.abs(inputs).sum(axis=1) < 0.7)
DATA = Data(np.random.default_rng(0).uniform(-1, 1, (256, 2)))
NAMED = (metrics.local_complexity, metrics.data_margins)
"""Metrics that are not computed by default."""


def last_sample(model: nn.Sequential, resolution: int) -> tuple[Look, Sample]:
    """Return the last of nine looks at a model that moves a little in between, and the sample that metrics get."""
    memory, seen = Memory(windowed=True), None
    for step in range(9):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        before = () if seen is None else seen.traces
        seen = look(model, DIAMOND, resolution=resolution, trace=True, before=before, data=DATA, margins=True)
        sample = replace(
            memory.sample(step, seen.capture, seen.boundaries, seen.moves),
            decision=seen.decision,
            slice=DIAMOND,
            regions=seen.regions,
            answers=seen.answers,
        )
        kinds = no_values()
        for metric in metrics.default() if step in (0, 7) else []:
            for kind, values in measure(metric, sample).items():
                kinds[kind].update(values)
        numbers, arrays, tables = (kinds[kind] for kind in ("metrics", "per_unit", "tables"))
        snapshot = Snapshot(step, 0.0, DIAMOND, seen.capture, seen.boundaries, numbers, arrays, tables)
        memory.remember(snapshot, seen.traces)
    assert seen is not None
    return seen, sample


def print_metrics(repeats: int, resolution: int) -> None:
    """Print what each metric costs, and the passes that metrics need beyond the look that they are about, in milliseconds."""
    columns: dict[str, dict[str, float]] = {}
    for name, (width, depth) in MEASURED.items():
        model = net(width, depth)
        before, sample = last_sample(model, resolution)
        at = partial(look, model, DIAMOND, resolution=resolution)
        single: dict[str, Callable[[], object]] = {one.__name__: partial(one, sample) for one in (*metrics.default(), *NAMED)}
        passes = {
            "look": at,
            "with trace": partial(at, trace=True, before=before.traces),
            "with data": partial(at, data=DATA),
            "with margins": partial(at, data=DATA, margins=True),
        }
        ms = {key: 1000 * value for key, value in medians({**passes, **single}, repeats if width * depth < 5000 else 3).items()}
        for key in ("with trace", "with data", "with margins"):
            ms[key] -= ms["look"]
        default = [one.__name__ for one in metrics.default()]
        ms["default metrics"] = sum(ms[key] for key in default)
        ms["default, with trace and data"] = ms["default metrics"] + ms["with trace"] + ms["with data"]
        columns[name] = ms
    print()
    print(f"{'ms':32}" + "".join(f"{name:>20}" for name in columns))
    for key in next(iter(columns.values())):
        print(f"{key:32}" + "".join(f"{ms[key]:20.2f}" for ms in columns.values()))


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
