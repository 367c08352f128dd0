"""What the viewer costs in a browser: the tab of a TensorBoard, and the page of the same run opened from the disk.

    python benchmarks/viewer.py            # 48 units x 200 samples, and 1,024 units x 200 samples
    python benchmarks/viewer.py --samples 50 --large

For each run: how large an event file's samples and the page are; the time from opening until the first picture is drawn, and until
all samples are there; bytes over the wire, and the largest answer; and how long a frame takes to draw when all steps are gone
through, from the callbacks of ``requestAnimationFrame``. It takes Chromium and Playwright (the extra ``test``).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from boundarycb import load, metrics, slices, watch
from boundarycb.history import History, HistoryWriter
from boundarycb.replay import make_page
from boundarycb.sinks.eventfile import OwnFile
from boundarycb.sinks.replay import Replay
from boundarycb.sinks.summaries import Summaries

# Before anything of the page runs: when a picture was first drawn, when the last samples came, and how long each frame took.
SPY = """
window.spy = { frames: [], first: 0, grown: 0, samples: 0, asked: 0, answered: 0, heard: 0 };
const get = window.fetch.bind(window);
window.fetch = async (...what) => {
  window.spy.asked += 1;
  try {
    const answer = await get(...what);
    await answer.clone().arrayBuffer();
    return answer;
  } finally {
    window.spy.answered += 1;
    window.spy.heard = performance.now();
  }
};
const ask = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (act) => ask((now) => {
  const start = performance.now();
  act(now);
  window.spy.frames.push(performance.now() - start);
});
new MutationObserver(() => {
  const drawn = document.querySelector("[data-drawn]")?.dataset.drawn;
  if (!drawn) return;
  window.spy.first ||= performance.now();
  const samples = Number(drawn.split(" ")[1]);
  if (samples !== window.spy.samples) [window.spy.samples, window.spy.grown] = [samples, performance.now()];
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-drawn"] });
"""
BUSY = "() => window.spy.asked > window.spy.answered"
_STILL = 4000  # milliseconds without a new sample after which all are there
STEP = """async (place) => {
  const slider = document.querySelector(".bcb input[type=range]");
  slider.value = place;
  slider.dispatchEvent(new Event("input"));
  await new Promise((resolve) => setTimeout(resolve, 25));
}"""


NETWORKS = (("48 units", [16, 16, 16]), ("1,024 units", [256, 256, 256, 256]))


def network(widths: list[int]) -> nn.Module:
    """Return a ReLU network from 2 inputs through `widths` to 2 classes."""
    sizes = [2, *widths]
    layers = [part for i, o in pairwise(sizes) for part in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 2))


def repeat(widths: list[int], samples: int, directory: Path) -> float:
    """Leave a run like :func:`train`, whose samples are one of a real network with its points moved a little; return the same.

    Sampling such a network 200 times would take minutes; for who reads the samples these are as large and as hard to pack.
    """
    seconds = train(widths, 2, directory.with_name("real"))
    real = load(directory.with_name("real"))[-1]
    rng = np.random.default_rng(0)
    events, replay = OwnFile(directory), Replay(Summaries("boundaries"))
    history = HistoryWriter(directory / "boundaries", real.slice)
    for step in range(samples):
        moved = real.boundaries.points + rng.normal(scale=1e-3, size=real.boundaries.points.shape)
        snapshot = replace(real, step=step, boundaries=replace(real.boundaries, points=moved))
        history.append(snapshot)
        events.add(replay.add(snapshot), step)
    events.close()
    page = make_page({"run": History(directory)})
    (directory / "boundaries" / "boundaries.html").write_text(page, encoding="utf-8")
    shutil.rmtree(directory.with_name("real"))
    return seconds


def train(widths: list[int], samples: int, directory: Path) -> float:
    """Leave a run of `samples` samples in `directory`; return the seconds that one took."""
    torch.manual_seed(0)
    model = network(widths)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    chosen = metrics.default() if sum(widths) < 200 else [metrics.on_share, metrics.drift_parts, metrics.dormant_units]
    where = slices.box((-1, 1), (-1, 1))
    with watch(
        model, optimizer, slice=where, every_n_steps=1, directory=directory, metrics=chosen, max_vertices=200_000
    ) as recorder:
        for _ in range(samples - 1):
            x = torch.rand(512, 2) * 2 - 1
            loss = nn.functional.cross_entropy(model(x), ((x * 5).sin().sum(1) > 0).long())
            recorder.log(loss=loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return recorder.seconds / samples


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """Start a TensorBoard; give its address."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", "0", "--host", "127.0.0.1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        found = next(match for line in server.stderr if (match := re.search(r"(http://\S+/)", line)) and "TensorBoard 2" in line)
        time.sleep(5)  # its data server reads the files meanwhile
        yield found[1]
        server.terminate()


def browsed(page: Any, frame: Any) -> dict[str, float]:
    """Return what the page's spy saw, once no more samples came for a while and all steps were gone through."""
    spy: dict[str, float] = {"samples": 0}
    while not spy["samples"] or spy["now"] - max(spy["grown"], spy["heard"]) < _STILL or frame.evaluate(BUSY):
        page.wait_for_timeout(50)
        spy = frame.evaluate("() => ({ ...window.spy, now: performance.now() })")
    samples = int(spy["samples"])
    frame.evaluate("() => { window.spy.frames = []; }")
    for place in range(samples):
        frame.evaluate(STEP, place)
    times = frame.evaluate("() => window.spy.frames")
    return {
        "samples": spy["samples"],
        "first": spy["first"] / 1e3,
        "all": spy["grown"] / 1e3,
        "frame": statistics.median(times),
        "slowest": sorted(times)[int(0.99 * (len(times) - 1))],
    }


def tab(chromium: Any, logdir: Path) -> dict[str, float]:
    """Return what the tab of a TensorBoard took; times count from when its frame was opened."""
    with tensorboard(logdir) as address:
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        page.add_init_script(SPY)
        sizes: dict[str, int] = {}
        client = page.context.new_cdp_session(page)
        client.send("Network.enable")
        urls: dict[str, str] = {}
        client.on("Network.responseReceived", lambda event: urls.update({event["requestId"]: event["response"]["url"]}))
        client.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
        page.goto(f"{address}#boundaries")
        page.wait_for_selector("iframe", timeout=60_000)
        page.wait_for_timeout(500)
        frame = next(frame for frame in page.frames if "plugin_entry" in frame.url)
        told = browsed(page, frame)
        answers = [size for request, size in sizes.items() if "/frames?" in urls.get(request, "")]
        page.close()
    return {**told, "wire": sum(answers) / 1e6, "largest": max(answers, default=0) / 1e6}


def opened(chromium: Any, page_file: Path) -> dict[str, float]:
    """Return what the page took, opened from the disk without a network."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000}, offline=True)
    page = context.new_page()
    page.add_init_script(SPY)
    page.goto(page_file.as_uri())
    told = browsed(page, page.main_frame)
    context.close()
    return {**told, "wire": page_file.stat().st_size / 1e6}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--large", action="store_true", help="the large network alone")
    options = parser.parse_args()
    samples = options.samples
    warnings.filterwarnings("ignore")
    from playwright.sync_api import sync_playwright

    path = os.environ.get("BOUNDARYCB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {samples} samples")
    head = ("run", "where", "MB", "largest", "first s", "all s", "frame ms", "99 % ms")
    print(("{:<22}" + "{:>9}" * 7).format(*head))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, widths in NETWORKS[options.large :]:
            logdir = Path(folder) / name.replace(",", "").replace(" ", "-")
            make = train if sum(widths) < 200 else repeat
            seconds = make(widths, samples, logdir / "run")
            rows = {
                "tab": tab(chromium, logdir),
                "page": opened(chromium, logdir / "run" / "boundaries" / "boundaries.html"),
            }
            for where, told in rows.items():
                numbers = [told["wire"], told.get("largest", 0), told["first"], told["all"], told["frame"], told["slowest"]]
                words = f"{name} ({told['samples']:.0f})"
                print(f"{words:<22}{where:>9}" + "".join(f"{number:9.2f}" for number in numbers), flush=True)
            print(f"{'':<22}sampling took {seconds * 1e3:.0f} ms a sample")
        chromium.close()


if __name__ == "__main__":
    main()
