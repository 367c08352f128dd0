"""What a sample of a model on a GPU takes beside a training step there, how often it waits for the GPU, and what comes back.

    python benchmarks/gpu.py           # the bottle's network, 3 x 256 units, ResNet-18 on 32 x 32 and 224 x 224 pixels
    python benchmarks/gpu.py resnet --device cpu

Wall time, medians; the model trains between two samples, which is not counted. A sample is one at the automatic settings, with an
event file. Waits are calls that return only when the GPU has done its work; bytes are what is copied back from it. Both are counted
in one more sample, by torch's profiler.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import torch
from timing import Ledger, machine, table
from torch import nn
from torch.profiler import ProfilerActivity, profile

from boundarycb import Recorder, slices
from boundarycb.automatic import Example
from boundarycb.history import HistoryWriter
from boundarycb.keep.kept import Kept
from boundarycb.probe import Prober
from boundarycb.render import drawn
from boundarycb.sampling import looking
from boundarycb.sampling.engine import Engine
from boundarycb.sinks import TensorBoard
from boundarycb.sinks.replay import Replay
from boundarycb.types import Picture

MODELS = ("bottle", "wide", "resnet", "resnet at 224")
PARTS: list[tuple[str, Any, str]] = [
    ("passes", Prober, "_run"),
    ("what is read of them", Prober, "_read"),
    ("putting back", Kept, "put_back"),
    ("lines", Engine, "draw"),
    ("masks and output", looking, "sweep"),
    ("traced pass", looking, "_traced_look"),
    ("metrics", Recorder, "_measured"),
    ("overlay", drawn, "draw_overlay"),
    ("PNG", Picture, "png"),
    ("history", HistoryWriter, "append"),
    ("the viewer's record", Replay, "add"),
    ("event file", TensorBoard, "write"),
    ("the rest", Recorder, "record"),
]
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")


@dataclass(frozen=True, eq=False)
class Training:
    """A model that is being trained.

    Args:
        model: the model.
        inputs: of one batch.
        labels: of one batch.
        engine: which draws the lines.
    """

    model: nn.Module
    inputs: torch.Tensor
    labels: torch.Tensor

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take one step."""
        loss = nn.functional.cross_entropy(self.model(self.inputs), self.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def made(which: str, device: torch.device) -> Training:
    """Return a model on `device`, with a batch for it."""
    torch.manual_seed(0)
    if which.startswith("resnet"):
        from resnet import ResNet18

        side = 224 if which.endswith("224") else 32
        return Training(ResNet18().to(device), torch.rand(64, 3, side, side, device=device), torch.arange(64, device=device) % 10)
    width, batch = (16, 1024) if which == "bottle" else (256, 256)
    layers: list[nn.Module] = []
    for before in (2, width, width):
        layers += [nn.Linear(before, width), nn.ReLU()]
    points = torch.rand(batch, 2, device=device) * 2 - 1
    return Training(nn.Sequential(*layers, nn.Linear(width, 2)).to(device), points, (points.square().sum(1) < 0.5).long())


class Waits:
    """Counts in a sample what the profiler saw of it.

    Attributes:
        count: calls that wait for the GPU.
        kernels: what it was told to run.
        copies: copies back from it.
        kilobytes: what they brought.
    """

    def __init__(self, sample: Callable[[], object], device: torch.device) -> None:
        activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
        with profile(activities=activities) as seen:
            sample()
            _synchronised(device)
        with tempfile.TemporaryDirectory() as folder:
            seen.export_chrome_trace(f"{folder}/trace.json")
            events = json.loads(Path(folder, "trace.json").read_text())["traceEvents"]
        self.count = sum(event.get("name") in WAITS for event in events)
        self.kernels = sum(event.get("cat") == "kernel" for event in events)
        back = [event for event in events if event.get("cat") == "gpu_memcpy" and "DtoH" in event["name"]]
        self.copies, self.kilobytes = len(back), sum(int(event["args"]["bytes"]) for event in back) / 1000


def _synchronised(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measured(which: str, device: torch.device, samples: int, engine: str) -> tuple[list[str], dict[str, float]]:
    """Return a row of the table, and the milliseconds of each part of a sample."""
    training = made(which, device)
    optimizer = torch.optim.SGD(training.model.parameters(), lr=1e-3)
    steps: list[float] = []
    seconds: list[float] = []
    ledger = Ledger(time.perf_counter)
    with tempfile.TemporaryDirectory() as folder:
        plane = None if which.startswith("resnet") else slices.box((-1, 1), (-1, 1))
        sink = TensorBoard(folder, panels_every=10**6)
        recorder = Recorder(Path(folder, "boundaries"), plane, sinks=[sink], engine=engine)  # type: ignore[arg-type]
        recorder.meet(Example((training.inputs, training.labels)))
        for number in range(samples + 3):
            for _ in range(10):
                start = _synchronised(device)
                training.step(optimizer)
                steps.append(_synchronised(device) - start)
            start = time.perf_counter()
            with ledger.watching(PARTS if number > 2 else []):
                recorder.record(training.model, 10 * number, {})
            if number > 2:
                seconds.append(_synchronised(device) - start)
        waits = Waits(lambda: recorder.record(training.model, 10**6, {}), device)
        plan = recorder.plan
        recorder.close()
    step, sample = (1000 * statistics.median(values) for values in (steps, seconds))
    resolution = "" if plan is None else f"{plan.resolution}"
    row = [f"{which}, {engine}", f"{step:.2f}", f"{sample:.1f}", f"{sample / step:.0f}", resolution]
    row += [f"{value:,.0f}" for value in (waits.count, waits.kernels, waits.copies, waits.kilobytes)]
    return row, {part: 1000 * value / samples for part, value in ledger.seconds.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help=", ".join(MODELS))
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--device", type=torch.device, default=torch.device("cuda"))
    options = parser.parse_args(arguments)
    if unknown := set(options.which) - set(MODELS):
        parser.error(f"unknown model {min(unknown)}")
    if options.device.type == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU that torch could use; --device cpu runs the same on the processor")
    warnings.filterwarnings("ignore")
    name = torch.cuda.get_device_name(options.device) if options.device.type == "cuda" else "no GPU"
    print(f"{machine()}, {name}\n")
    rows, parts = [], {}
    for which in options.which or MODELS:
        for engine in ("auto",) if which.startswith("resnet") else ("auto", "grid"):
            row, parts[f"{which}, {engine}"] = measured(which, options.device, options.samples, engine)
            rows.append(row)
    print(table(["", "step ms", "sample ms", "sample / step", "points a side", "waits", "kernels", "copies back", "kB back"], rows))
    print()
    rows = [[part, *(f"{known.get(part, 0.0):.1f}" for known in parts.values())] for part, *_ in PARTS]
    print(table(["part of a sample, ms", *parts], rows))


if __name__ == "__main__":
    main()
