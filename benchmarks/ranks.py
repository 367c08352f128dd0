"""How long the other rank waits for a sample: ``python benchmarks/ranks.py [--every 10] [--steps 200]``.

Two processes train by DistributedDataParallel over gloo, on one core each; the first one samples. The second one's steps are timed:
those in which it meets the first one after a sample against all others. ``pair`` is how long rank 0 says that a sample took.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from boundarycb import slices, watch

SIZES = {"2-16-16-16-2": (2, 16, 16, 16, 2), "2-256-256-2": (2, 256, 256, 2)}


def network(widths: tuple[int, ...]) -> nn.Sequential:
    """Return a ReLU network of these widths."""
    layers: list[nn.Module] = []
    for number, fan_in in enumerate(widths[:-1]):
        layers += [nn.Linear(fan_in, widths[number + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(rank: int, port: int, widths: tuple[int, ...], every: int, steps: int, directory: str) -> None:
    """Train in one of two processes; write the times of its steps, and rank 0's of its samples."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = DistributedDataParallel(network(widths))
    optimizer = torch.optim.Adam(model.parameters())
    seconds = []
    square = slices.box((-1, 1), (-1, 1))
    with watch(model, optimizer, slice=square, every_n_steps=every, directory=Path(directory) / "run") as recorder:
        for _ in range(steps):
            start = time.perf_counter()
            x = torch.rand(64, 2)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), (x[:, 0] * x[:, 1] > 0.25).long()).backward()
            optimizer.step()
            seconds.append(time.perf_counter() - start)
    torch.save({"seconds": seconds, "sampling": recorder.seconds, "samples": len(recorder.steps)}, Path(directory) / f"{rank}.pt")
    distributed.destroy_process_group()


def main() -> None:
    """Print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    for name, widths in SIZES.items():
        with socket.socket() as free, tempfile.TemporaryDirectory() as directory:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            spawn(train, (port, widths, options.every, options.steps, directory), nprocs=2)
            first, second = (torch.load(Path(directory) / f"{rank}.pt", weights_only=True) for rank in (0, 1))
        report(name, first, second["seconds"], options.every)


def report(name: str, first: dict[str, Any], seconds: list[float], every: int) -> None:
    """Print what the second rank waited."""
    # The sample at step k is taken when step k has been made: the next one meets late.
    late = [seconds[step] for step in range(every, len(seconds), every)]
    others = [value for step, value in enumerate(seconds) if step and step % every]
    wait, step = statistics.median(late), statistics.median(others)
    print(
        f"{name}: a step {1e3 * step:.2f} ms, after a sample {1e3 * wait:.1f} ms: the other rank waits "
        f"{1e3 * (wait - step):.1f} ms; rank 0 spends {1e3 * first['sampling'] / first['samples']:.1f} ms on each with the movie"
    )


if __name__ == "__main__":
    main()
