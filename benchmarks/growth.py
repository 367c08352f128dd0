"""How the cost of a sample grows with units, layers and grid points, with fitted exponents, and its peak memory.

    python benchmarks/growth.py [--repeats 5] [--draw docs/performance]

CPU time of one look at a ReLU network with He weights (lines, masks and output) and of its overlay, on one thread. Exponents are
slopes of the logarithm of the time over the three largest values. A last table has the grid engine's lines alone. Peak memory is
by how much the resident set of a process of its own was larger at most than before its first look, as Linux tells it; 20 MB of
that is code that is loaded then.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import numpy as np
import torch
from peers import nodes
from sampling import SQUARE, bare, net
from timing import machine, medians, table
from torch import nn

from boundarycb import find_boundaries
from boundarycb.render import draw_overlay
from boundarycb.sampling import look
from boundarycb.sampling.engine import Engine
from boundarycb.types import Snapshot

FINE = 256
GROWING = {
    "units a layer, of 3": [(width, 3, 128) for width in (8, 16, 32, 64, 128, 256)],
    "layers of 32 units": [(32, depth, 128) for depth in (1, 2, 4, 8, 16)],
    "grid points a side, 3 x 32": [(32, 3, side) for side in (32, 64, 128, 256, 512)],
}


def contestants(model: nn.Sequential, side: int) -> dict[str, Callable[[], object]]:
    """Return what is measured of a network."""
    seen = look(model, SQUARE, resolution=side)
    snapshot = Snapshot(0, 0.0, SQUARE, seen.capture, seen.boundaries, decision=seen.decision)
    return {
        "bare forward": partial(bare, model, nodes(side)[1]),
        "exact look": partial(look, model, SQUARE, resolution=side),
        "grid look": lambda: look(model, SQUARE, resolution=side, engine=Engine("grid")),
        "overlay": partial(draw_overlay, snapshot),
    }


def peak(act: Callable[[], object]) -> float:
    """Return by how many megabytes the process's memory grew at most; NaN where the system does not tell."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return float("nan")
    gc.collect()
    reset.write_text("5", encoding="ascii")  # the peak is now what there is

    def told(name: str) -> float:
        return (
            next(int(line.split()[1]) for line in status.read_text(encoding="ascii").splitlines() if line.startswith(name)) / 1024
        )

    before = told("VmRSS")
    act()
    return told("VmHWM") - before


def peak_alone(case: tuple[int, int, int], engine: str) -> float:
    """Return the peak of one look at a network, in a process that did nothing before."""
    command = [sys.executable, __file__, "--peak", engine, *map(str, case)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def grown(repeats: int) -> dict[str, tuple[list[int], dict[str, list[float]]]]:
    """Return for each way to grow the sizes, and milliseconds by contestant; and print them."""
    found = {}
    for what, cases in GROWING.items():
        sizes, times, rows = [], dict[str, list[float]](), []
        for width, depth, side in cases:
            torch.manual_seed(0)
            model = net(width, depth)
            acts = contestants(model, side)
            ms = {name: 1000 * value for name, value in medians(acts, repeats).items()}
            sizes.append({"units": width, "layer": depth, "grid ": side}[what[:5]])
            for name, value in ms.items():
                times.setdefault(name, []).append(value)
            memory = [f"{peak_alone((width, depth, side), engine):.0f}" for engine in ("exact", "grid")]
            rows.append([f"{sizes[-1]:,}", *(f"{value:.1f}" for value in ms.values()), *memory])
        exponents = [f"{exponent(sizes, values):.2f}" for values in times.values()]
        rows.append(["exponent", *exponents, "", ""])
        print(table([what, *(f"{name} ms" for name in times), "exact peak MB", "grid peak MB"], rows))
        print(flush=True)
        found[what] = sizes, times
    return found


def print_lines(repeats: int) -> None:
    """Print what lines alone take on a fine grid, beside the bare forward pass of its points."""
    rows = []
    for width in (16, 64, 256):
        torch.manual_seed(0)
        model, points = net(width, 3), nodes(FINE)[1]
        traced = partial(find_boundaries, model, SQUARE, engine="grid", resolution=FINE)
        took = medians({"bare": partial(bare, model, points), "lines": traced}, repeats)
        lines = len(traced())
        rows.append(
            [f"3 x {width}", f"{lines:,}", *(f"{1000 * took[name]:.1f}" for name in took), f"{took['lines'] / took['bare']:.1f}"]
        )
    print(table([f"{FINE} x {FINE} points", "lines", "bare forward ms", "grid engine's lines ms", "ratio"], rows))


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the slope of the logarithms over the three largest sizes."""
    return float(np.polyfit(np.log(sizes[-3:]), np.log(values[-3:]), 1)[0])


def draw(found: dict[str, tuple[list[int], dict[str, list[float]]]], folder: Path) -> None:
    """Write a picture of the curves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(found), sharey=True)
    colours = ("#73777f", "#1F6FD0", "#D55E00", "#006837")
    for axes, (what, (sizes, times)) in zip(panels, found.items(), strict=True):
        for colour, (name, values) in zip(colours, times.items(), strict=True):
            slope = exponent(sizes, values)
            axes.loglog(sizes, values, "o-", color=colour, label=f"{name}, slope {slope:.2f}", markersize=4, linewidth=1.6)
        axes.set_xlabel(what)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.grid(visible=True, color="#d5d8de", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("CPU ms")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "growth.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and draw the curves where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--draw", type=Path)
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.peak:
        engine, (width, depth, side) = Engine(options.peak[0]), map(int, options.peak[1:])
        print(peak(partial(look, net(width, depth), SQUARE, resolution=side, engine=engine)))
        return
    print(machine())
    found = grown(options.repeats)
    print_lines(options.repeats)
    if options.draw is not None:
        draw(found, options.draw)


if __name__ == "__main__":
    main()
