"""What the exact engine costs, against regioncam, which finds the same regions, and against GINN's own detection of boundaries.

    python benchmarks/exact.py [--nets 64x3-random 64x3-trained …] [--repeats 15]
    python benchmarks/exact.py --memory [--nets …]

CPU time of this process, one thread, medians, and the least times as "min"; the order of the contestants is shuffled in every
repetition. All look at [-1, 1]^2. regioncam (in Rust) computes in single precision, is handed the weights of the hidden layers,
and cuts the square along every layer; the exact engine computes in double precision, runs the model as it is, and names the
unit of each line.

"ours" is what finds the lines: the cells up to the last layer, its boundaries in them, and the lines. "all cells" cuts along the
last layer too, as regioncam does, and makes no lines. "together" is all that `find_boundaries(…, engine="exact")` does,
with budgets that suffice.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import numpy as np
import torch
from numpy.typing import NDArray
from regioncam import Regioncam
from torch import nn

from boundarycb import slices
from boundarycb.engines.exact.certificate import certify
from boundarycb.engines.exact.search import Partition, partition
from boundarycb.engines.exact.trails import boundaries
from boundarycb.probe import EVERY_UNIT, Conditions, probe
from boundarycb.types import Floats, Forward, Reading

SQUARE = slices.box((-1, 1), (-1, 1))
MOST_VERTICES = 10**8
MEMORY = 2**34
GRID = 200  # points a side, of GINN's detection
FEW = 3  # repetitions of what takes seconds
PARTS = ("probe", "forward", "geometry", "lines", "certificate")

Parts = dict[str, float]


# ---------------------------------------------------------------------------------------------------------------- networks


@dataclass(frozen=True)
class Case:
    """A network 2-width-…-width-2.

    Args:
        width: units of each hidden layer.
        depth: hidden layers.
        kind: ``random`` has torch's own initial weights, ``trained`` has learnt a spiral, ``zero`` has He weights and no biases.
        turns: how fast the spiral's arms follow each other outwards; chosen, with `steps`, for the number of regions.
        steps: optimiser steps.
    """

    width: int
    depth: int
    kind: str
    turns: float = 8.0
    steps: int = 0

    @property
    def words(self) -> str:
        """The network in words."""
        return f"{self.depth} x {self.width} {'zero biases' if self.kind == 'zero' else self.kind}"

    def repeats(self, asked: int) -> int:
        """Return how often it is timed."""
        return min(asked, FEW) if self.width == 256 and self.kind != "zero" else asked

    def untrained(self) -> nn.Sequential:
        """Return the network as it is before training."""
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for number in range(self.depth):
            layers += [nn.Linear(self.width if number else 2, self.width), nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(self.width, 2))
        for layer in model:
            if self.kind == "zero" and isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        return model

    def model(self) -> nn.Sequential:
        """Return the network."""
        model = self.untrained()
        torch.manual_seed(1)
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(self.steps):
            points = 2 * torch.rand(256, 2) - 1
            loss = nn.functional.cross_entropy(model(points), self.spiral(points))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model

    def spiral(self, points: torch.Tensor) -> torch.Tensor:
        """Return on which of a spiral's arms, white or black, `points` (n, 2) are."""
        angle = torch.atan2(points[:, 1], points[:, 0])
        return (torch.sin(self.turns * points.norm(dim=1) + 2 * angle) > 0).long()


CASES = {
    "16x3-random": Case(16, 3, "random"),
    "16x3-trained": Case(16, 3, "trained", 8.0, 2000),
    "64x3-random": Case(64, 3, "random"),
    "64x3-trained": Case(64, 3, "trained", 8.0, 2000),
    "32x8-random": Case(32, 8, "random"),
    "32x8-trained": Case(32, 8, "trained", 16.0, 1700),
    "256x3-random": Case(256, 3, "random"),
    "256x3-trained": Case(256, 3, "trained", 7.5, 1000),
    "64x3-zero": Case(64, 3, "zero"),
    "256x3-zero": Case(256, 3, "zero"),
    "32x8-zero": Case(32, 8, "zero"),
}
IN_MEMORY = ("64x3-trained", "32x8-trained", "256x3-random", "256x3-trained")


# -------------------------------------------------------------------------------------------------------------- contestants


class Timed:
    """A forward pass that adds up its CPU seconds."""

    def __init__(self, forward: Forward) -> None:
        self.seconds = 0.0
        self._forward = forward

    def __call__(self, inputs: Floats) -> Reading:
        """Return what the model says at `inputs`."""
        start = time.process_time()
        reading = self._forward(inputs)
        self.seconds += time.process_time() - start
        return reading


def by_us(model: nn.Sequential) -> Parts:
    """Find the lines, as `find_boundaries` does; return the CPU seconds of each of `PARTS`."""
    clock = [time.process_time()]
    with probe(model, Conditions()) as plain:
        reading = plain(SQUARE.lift(SQUARE.corners()))
        double = plain.double(EVERY_UNIT)
        forward = Timed(double.quick(reading))
        clock.append(time.process_time())
        found = partition(forward, SQUARE, MOST_VERTICES, memory=MEMORY, through_last=False)
        clock.append(time.process_time())
        certify(found, double)
        clock.append(time.process_time())
        lines = boundaries(SQUARE, found.layers, found.segments)
        clock.append(time.process_time())
    opened, cut, certified, lined, closed = np.diff([*clock, time.process_time()]).tolist()
    del lines
    return dict(zip(PARTS, (opened + closed, forward.seconds, cut - forward.seconds, lined, certified), strict=True))


def all_cells(model: nn.Sequential) -> tuple[Partition, Parts]:
    """Return the square cut along all layers, and the CPU seconds of that."""
    with probe(model, Conditions()) as plain:
        quick = plain.double(EVERY_UNIT).quick(plain(SQUARE.lift(SQUARE.corners())))
        start = time.process_time()
        found = partition(quick, SQUARE, MOST_VERTICES, memory=MEMORY)
        return found, {"all cells": time.process_time() - start}


def by_regioncam(model: nn.Sequential) -> tuple[Regioncam, Parts]:
    """Return regioncam's regions, and the CPU seconds of that."""
    start = time.process_time()
    camera = Regioncam(size=1.0)
    for layer in list(model)[:-1]:
        if isinstance(layer, nn.Linear):
            camera.linear(layer.weight.detach().numpy().T, layer.bias.detach().numpy())
        else:
            camera.relu()
    return camera, {"regioncam": time.process_time() - start}


@torch.no_grad()
def by_ginn(model: nn.Sequential, points: torch.Tensor) -> Parts:
    """Find boundaries as GINN does, before it thins them: on a grid, where the gradient of a 0/1 mask is not zero.

    Returns:
        The CPU seconds of the forward pass over the `points`; of the gradients of whole numbers, all layers stacked, as in GINN's
        program; and of the same of single-precision numbers, a layer at a time, which is faster.
    """
    clock, masks = [time.process_time()], []
    for layer in model:
        points = layer(points)
        if isinstance(layer, nn.ReLU):
            masks.append(points.numpy().reshape(GRID, GRID, -1) > 0)
    clock.append(time.process_time())
    changes(np.stack([mask.astype(np.int64) for mask in masks]))
    clock.append(time.process_time())
    for mask in masks:
        changes(mask.astype(np.float32))
    passed, whole, single = np.diff([*clock, time.process_time()]).tolist()
    return {"grid": passed, "whole": whole, "single": single}


def changes(masks: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where the gradient of `masks` (..., V, U, units) along V or U is not zero."""
    along_v, along_u = (np.asarray(np.gradient(masks, axis=axis)) for axis in (-3, -2))
    return np.asarray((along_v != 0) | (along_u != 0))


# -------------------------------------------------------------------------------------------------------------------- times


@dataclass(frozen=True)
class Times:
    """CPU seconds of parts of several contestants, a number for each repetition."""

    parts: dict[str, list[float]]

    @classmethod
    def of(cls, contestants: Iterable[Callable[[], Parts]], repeats: int) -> Times:
        """Return the times of `contestants` after a run that is not counted, their order shuffled in every repetition."""
        contestants = list(contestants)
        parts: dict[str, list[float]] = {}
        for run in contestants:
            run()
        for _ in range(repeats):
            for run in random.sample(contestants, len(contestants)):
                for name, seconds in run().items():
                    parts.setdefault(name, []).append(1000 * seconds)
        return cls(parts)

    def sums(self, names: Iterable[str]) -> list[float]:
        """Return the milliseconds of the parts called `names` together, for each repetition."""
        return [sum(each) for each in zip(*(self.parts[name] for name in names), strict=True)]

    def median(self, *names: str) -> float:
        """Return the median of those."""
        return statistics.median(self.sums(names))

    def least(self, *names: str) -> float:
        """Return the least of those."""
        return min(self.sums(names))


OURS = ("forward", "geometry", "lines")


def times_of(case: Case, repeats: int) -> tuple[Times, int, int]:
    """Return the times of ours and regioncam, and how many regions they find."""
    model = case.model()
    ours, regioncams = all_cells(model)[0].counts[-1], by_regioncam(model)[0].num_faces
    contestants = (lambda: by_us(model), lambda: all_cells(model)[1], lambda: by_regioncam(model)[1])
    return Times.of(contestants, case.repeats(repeats)), ours, regioncams


def print_times(names: list[str], repeats: int) -> None:
    """Print two tables: against regioncam, and where the time goes."""
    print(
        "net                  regions  regioncam's  regioncam ms      min    ours ms     min   / ours  all cells ms  / all cells"
        "  together ms  / together"
    )
    rows = []
    for name in names:
        times, ours, regioncams = times_of(CASES[name], repeats)
        peer, mine, cells, together = (times.median(*key) for key in (("regioncam",), OURS, ("all cells",), PARTS))
        print(
            f"{CASES[name].words:18} {ours:9,} {regioncams:12,} {peer:13.2f} {times.least('regioncam'):8.2f} {mine:10.2f} "
            f"{times.least(*OURS):7.2f} {peer / mine:8.2f} {cells:13.2f} {peer / cells:12.2f} {together:12.2f} "
            f"{peer / together:11.2f}",
            flush=True,
        )
        rows.append((CASES[name].words, times))
    print("\nwhere ours goes    " + "".join(f"{name:>12} ms" for name in PARTS))
    for words, times in rows:
        print(f"{words:18} " + "".join(f"{times.median(name):15.2f}" for name in PARTS))


def print_ginn(names: list[str], repeats: int) -> None:
    """Print how much faster ours is than GINN's own detection: its forward pass and its gradients, or the faster ones."""
    print(
        f"\nGINN, {GRID} x {GRID}     forward ms  gradients ms  faster ms    ours ms   GINN / ours  faster / ours"
        "  together ms  GINN / together  faster / together"
    )
    axis = np.linspace(-1, 1, GRID, dtype=np.float32)
    points = torch.from_numpy(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    for name in names:
        model = CASES[name].model()
        times = Times.of((partial(by_us, model), partial(by_ginn, model, points)), repeats)
        whole, single = times.median("grid", "whole"), times.median("grid", "single")
        ours, together = times.median(*OURS), times.median(*PARTS)
        print(
            f"{CASES[name].words:18} {times.median('grid'):11.2f} {times.median('whole'):13.2f} {times.median('single'):10.2f} "
            f"{ours:10.2f} {whole / ours:13.2f} {single / ours:14.2f} {together:12.2f} {whole / together:16.2f} "
            f"{single / together:18.2f}"
        )


# ------------------------------------------------------------------------------------------------------------------- memory


MEASURED: dict[str, Callable[[nn.Sequential], object]] = {
    "regioncam": by_regioncam,
    "ours": by_us,
    "all cells": all_cells,
}


def print_memory(names: list[str]) -> None:
    """Print how much memory each takes at most beyond what its process had before, each in a process of its own."""
    print("peak memory        regioncam MB  ours MB  / ours  all cells MB  / all cells")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            weights = Path(folder) / "weights.pt"
            torch.save(CASES[name].model().state_dict(), weights)
            peer, ours, cells = (_peak_of(name, weights, contestant) for contestant in MEASURED)
            print(
                f"{CASES[name].words:18} {peer:12.0f} {ours:8.0f} {peer / ours:7.1f} {cells:13.0f} {peer / cells:12.1f}",
                flush=True,
            )


def _peak_of(name: str, weights: Path, contestant: str) -> float:
    command = [sys.executable, __file__, "--nets", name, "--weights", str(weights), "--measure", contestant]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(case: Case, weights: Path, contestant: str) -> float:
    """Return the megabytes that `contestant` takes at most beyond what is taken before."""
    model = case.untrained()
    model.load_state_dict(torch.load(weights))
    run = MEASURED[contestant]
    run(Case(16, 3, "random").untrained())  # loads what is loaded once
    before = _resident("VmRSS")
    kept = run(model)
    peak = _resident("VmHWM") - before
    del kept
    return peak


def _resident(field: str) -> float:
    """Return what Linux says of this process's memory, in MB.

    getrusage has the peak too, but a new process's there is at least that of the one that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def main() -> None:
    """Print the tables of the networks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", choices=CASES, metavar="NET", help=f"of {', '.join(CASES)}; by default all")
    parser.add_argument("--repeats", type=int, default=15, help=f"repetitions; the largest networks have {FEW} at most")
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead of time (on Linux)")
    parser.add_argument("--measure", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(0)
    if options.measure:
        print(measure(CASES[options.nets[0]], options.weights, options.measure))
    elif options.memory:
        print_memory(options.nets or list(IN_MEMORY))
    else:
        names = options.nets or list(CASES)
        print_times(names, options.repeats)
        small = [name for name in names if name.startswith("16x3")]
        if small:
            print_ginn(small, options.repeats)


if __name__ == "__main__":
    main()
