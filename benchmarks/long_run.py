"""Whether a long run stays as cheap as a short one: time of a sample, memory of the process, size of the files.

    python benchmarks/long_run.py [--samples 10000]

A 2-16-16-2 network takes one training step between two samples, on a grid of 32 points a side, with the default metrics, the
TensorBoard sink and the viewer's records. Memory is the process's resident set, after a garbage collection.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import torch
from timing import machine, table
from torch import nn

from boundarycb import slices, watch


def resident() -> float:
    """Return the megabytes that the process has in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(samples: int, folder: Path) -> list[list[str]]:
    """Return a row of the table for each tenth of the run."""
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    where = slices.box((-1, 1), (-1, 1))
    rows: list[list[str]] = []
    with watch(model, optimizer, slice=where, every_n_steps=1, resolution=32, directory=folder) as recorder:
        cpu, seconds = time.process_time(), 0.0
        for step in range(1, samples):
            x = torch.rand(64, 2) * 2 - 1
            loss = nn.functional.cross_entropy(model(x), (x.square().sum(1) < 0.5).long())
            recorder.log(loss=loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % (samples // 10) == 0:
                gc.collect()
                spent, took = time.process_time() - cpu, recorder.seconds - seconds
                history = (recorder.directory / "history.bcb").stat().st_size / step / 1e3
                events = sum(path.stat().st_size for path in folder.glob("events*")) / step / 1e3
                each = 1e3 / (samples // 10)
                row = [f"{step:,}", f"{resident():.0f}", f"{each * spent:.1f}", f"{each * took:.1f}"]
                rows.append([*row, f"{history:.2f}", f"{events:.2f}"])
                cpu, seconds = time.process_time(), recorder.seconds
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.samples, Path(folder))
    head = ["samples so far", "memory MB", "CPU ms a step", "wall ms a sample", "history kB a sample", "event file kB a sample"]
    print(table(head, rows))


if __name__ == "__main__":
    main()
