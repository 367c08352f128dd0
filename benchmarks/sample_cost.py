"""What a sample of the bottle's network costs, part by part, beside a bare forward pass and GINN's own detection of lines.

    python benchmarks/sample_cost.py [--samples 60] [--resolution 128]

At the automatic settings, as under a Trainer with batches of 1,024: masks, background and metrics on 128 x 128 points, parts of
drift on 58 x 58. With `--resolution 128` those are on 128 x 128 points too. CPU time of all threads, medians of single samples on
one torch thread; between two samples the network trains for ten steps, which is not counted. Parts are CPU time of the thread
that samples. GINN's detection runs in turn with the samples.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy and torch are imported

import torch
from peers import ginn_lines, nodes
from timing import Ledger, machine, table
from torch import nn

from boundarycb import Recorder, slices
from boundarycb.automatic import Example
from boundarycb.data import bottle, pixels_of
from boundarycb.history import HistoryWriter
from boundarycb.probe import Prober
from boundarycb.render import drawn
from boundarycb.sampling import ResolutionLike, looking
from boundarycb.sampling.engine import Engine
from boundarycb.sinks import TensorBoard
from boundarycb.sinks.replay import Replay
from boundarycb.types import Picture

POINTS = 128  # a side, of the bare forward pass
NOW_AND_THEN = 5  # samples of which one has panels and heat maps too
PARTS: list[tuple[str, Any, str]] = [
    ("the model's passes", Prober, "_run"),
    ("lines", Engine, "draw"),
    ("masks and output", looking, "sweep"),
    ("traced pass, drift's parts", looking, "_traced_look"),
    ("samples of the data", looking, "answer"),
    ("metrics", Recorder, "_measured"),
    ("overlay", drawn, "draw_overlay"),
    ("PNG", Picture, "png"),
    ("panels and heat maps", drawn, "draw_panels"),
    ("panels and heat maps", drawn, "draw_similarity"),
    ("history", HistoryWriter, "append"),
    ("the viewer's record", Replay, "add"),
    ("event file", TensorBoard, "write"),
    ("the rest", Recorder, "record"),
]


def bottle_network() -> nn.Sequential:
    """Return GINN's network, initialised as in examples/ginn_bottle.py."""
    layers: list[nn.Module] = []
    for width in (2, 16, 16):
        layers += [nn.Linear(width, 16), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(16, 2))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    first = model[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.bias.copy_(-(first.weight * (2 * torch.rand_like(first.weight) - 1)).sum(dim=1))
    return model


def measure(samples: int, resolution: ResolutionLike, folder: Path) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the CPU seconds of single samples, with panels and without, of both peers; and of each part of a sample."""
    model = bottle_network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    image = bottle()
    points, labels = map(torch.from_numpy, pixels_of(image, low=-1.0, high=1.0))
    grid = nodes(POINTS)[1]
    sink = TensorBoard(folder, panels_every=NOW_AND_THEN)
    plane = slices.aimed(slices.box((-1, 1), (-1, 1)), image[::-1])
    recorder = Recorder(folder / "boundaries", plane, sinks=[sink], resolution=resolution, data=(points, labels))
    recorder.meet(Example((points[:1024], labels[:1024])))
    seconds: dict[str, list[float]] = {"without panels": [], "with panels": [], "bare": [], "GINN": []}
    ledger = Ledger()
    for number in range(samples):
        for _ in range(10):
            chosen = torch.randint(len(points), (1024,))
            loss = nn.functional.cross_entropy(model(points[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        panels = number % NOW_AND_THEN == 0
        timed = ledger.watching(PARTS if number > NOW_AND_THEN and not panels else [])
        with timed:
            start = time.process_time()
            recorder.record(model, 10 * number, {"loss": loss})
            took = time.process_time() - start
        start = time.process_time()
        ginn_lines(model)
        between = time.process_time()
        with torch.no_grad():
            model(grid)
        if number > NOW_AND_THEN:
            seconds["with panels" if panels else "without panels"].append(took)
            seconds["GINN"].append(between - start)
            seconds["bare"].append(time.process_time() - between)
    count = len(seconds["without panels"])
    recorder.close()
    return seconds, {part: value / count for part, value in ledger.seconds.items()}


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--resolution", type=int)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        seconds, parts = measure(options.samples, options.resolution or "auto", Path(folder))
    whole = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    rows = [[name, f"{value:.1f}", f"{value / whole['bare']:.1f}", f"{value / whole['GINN']:.2f}"] for name, value in whole.items()]
    print(table(["CPU", "ms", "/ bare forward", "/ GINN's detection"], rows))
    print()
    known = sum(parts.values())
    parts = dict(sorted(parts.items(), key=lambda item: -item[1]))
    rows = [[part, f"{1000 * value:.1f}", f"{value / known:.0%}"] for part, value in parts.items()]
    print(table(["part of a sample", "mean ms", "share"], rows))


if __name__ == "__main__":
    main()
