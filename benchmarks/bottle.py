"""The phenomena of GINN on the bottle: five seeds of five settings, as a table.

    python benchmarks/bottle.py --out runs/bottle   # 25 runs, two at a time, of a minute each; those that are there are read

Each run is one of ``examples/ginn_bottle.py``; all figures are the package's own, read from the histories.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import boundarycb
from boundarycb.markdown import table
from boundarycb.report.run import Run
from boundarycb.types import spans_of

EXAMPLE = Path(__file__).parent.parent / "examples" / "ginn_bottle.py"
LAYERS = ("layer1", "layer2", "layer3")
SETTINGS = {
    "default": ["--recipe", "quick"],
    "R: He, no bias": ["--recipe", "quick", "--init", "zero"],
    "T: torch's init": ["--recipe", "quick", "--init", "torch"],
    "G: GINN's, 20,000 steps": ["--recipe", "paper", "--steps", "20000"],
    "F: failure": ["--recipe", "failure"],
}
Figure = Callable[[Run], float]


def main() -> None:
    """Make the runs that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="where the runs go")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each setting (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time (default: %(default)s)")
    options = parser.parse_args()
    jobs = [(name, seed) for name in SETTINGS for seed in range(options.seeds)]
    with ThreadPoolExecutor(options.at_once) as pool:
        places = list(pool.map(lambda job: made(options.out, *job), jobs))
    runs = {
        name: [Run(boundarycb.load(place)) for (known, _), place in zip(jobs, places, strict=True) if known == name]
        for name in SETTINGS
    }
    rows = [
        {"figure": words} | {name: said([figure(run) for run in runs[name]]) for name in SETTINGS} for words, figure in figures()
    ]
    print(table(rows, {"figure": f"{options.seeds} seeds: mean (lowest to highest)", **{name: name for name in SETTINGS}}))


def made(out: Path, name: str, seed: int) -> Path:
    """Return the directory of a run, which is made where it is missing."""
    place = out / f"{name.split(':')[0]}-{seed}"
    if not list(place.rglob("boundaries.gif")):
        command = [sys.executable, str(EXAMPLE), *SETTINGS[name], "--seed", str(seed), "--out", str(place)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return place


def said(values: Sequence[float]) -> str:
    """Return mean and range of the values that are defined."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return ""
    whole = all(value == round(value) for value in known)
    mean = f"{np.mean(known):.{1 if whole else 2}f}".removesuffix(".0")
    low, high = (f"{value:.{0 if whole else 2}f}" for value in (min(known), max(known)))
    return f"{mean} ({low} to {high})" + ("" if len(known) == len(values) else f", {len(known)} of {len(values)} defined")


def figures() -> list[tuple[str, Figure]]:
    """Return the table's rows: words, and what gives the figure of a run."""
    found: list[tuple[str, Figure]] = [
        ("accuracy", lambda run: run.at_end("target/accuracy")),
        ("worst part's recall", lambda run: run.at_end("target/worst_part")),
    ]
    for first, last in ((0, 20), (20, 100), (100, 500), (500, 2000), (2000, 10**9)):
        end = "the end" if last == 10**9 else f"{last:,}"
        found.append(
            (
                f"layer1 shift / (shift + turn), steps {first:,} to {end}",
                shared(["drift/shift", "drift/rotate"], "layer1", first, last),
            )
        )
        found.append(
            (
                f"layer1 bias / (bias + weights), steps {first:,} to {end}",
                shared(["cause/bias", "cause/weights"], "layer1", first, last),
            )
        )
    for layer in LAYERS[1:]:
        for part in ("flipped", "shift", "rotate", "upstream"):
            found.append((f"{layer} {part}, steps 100 to 500", summed(f"drift/{part}/{layer}", 100, 500)))
    found.append(("layer1 lines: median turn in degrees, start to end", lines("turned")))
    found.append(("layer1 lines: median slide, start to end", lines("slid")))
    for layer in LAYERS:
        found += both(f"{layer} edge ratio", f"critical/edge/{layer}")
        found += both(f"{layer} corner ratio", f"critical/corner/{layer}")
    for layer in LAYERS:
        found += at_steps(f"{layer} copycat pairs", f"copycat/pairs/{layer}")
        found.append((f"{layer} functional pairs, end", ended(f"copycat/functional/{layer}")))
    for layer in LAYERS:
        found.append((f"{layer} indecisive units, most at a time", highest(f"indecisive/units/{layer}")))
        found.append((f"{layer} strictly indecisive units, most at a time", highest(f"indecisive/strict/{layer}")))
    for layer in (*LAYERS, "output"):
        found += both(f"{layer} left-right symmetry", f"symmetry/left_right/{layer}")
        found += both(f"{layer} its chance level", f"symmetry/chance/{layer}")
    for layer in LAYERS:
        found.append((f"{layer} tau-dormant share, end", ended(f"dormant/tau/{layer}")))
        found.append((f"{layer} live share, end", ended(f"dormant/live/{layer}")))
    for layer in LAYERS:
        found += at_steps(f"regions up to {layer}", f"regions/exact/{layer}")
    found += at_steps("activation patterns seen, all layers", "regions/seen")
    return found


def shared(parts: list[str], layer: str, first: int, last: int) -> Figure:
    """Return what gives the first part's share of all parts between two steps."""
    return lambda run: run.share(parts, layer, first, last)


def summed(name: str, first: int, last: int) -> Figure:
    """Return what gives the sum of a number between two steps."""
    return lambda run: run.sum(name, first, last)


def ended(name: str) -> Figure:
    """Return what gives a number at the end."""
    return lambda run: run.at_end(name)


def highest(name: str) -> Figure:
    """Return what gives the highest value of a number."""
    return lambda run: float(np.nanmax(run.series(name), initial=-math.inf)) if run.has(name) else math.nan


def both(words: str, name: str) -> list[tuple[str, Figure]]:
    """Return the rows of a number at the start and at the end."""
    return [(f"{words}, start", lambda run: run.at_start(name)), (f"{words}, end", ended(name))]


def at_steps(words: str, name: str) -> list[tuple[str, Figure]]:
    """Return the rows of a number at the start, at step 500 or the last sample before it, and at the end."""
    middle: Figure = lambda run: float(run.series(name)[run.steps <= 500][-1])  # noqa: E731
    return [both(words, name)[0], (f"{words}, step 500", middle), both(words, name)[1]]


def lines(what: str) -> Figure:
    """Return what gives the median size of what the first layer's lines did, of those seen at the start or the end."""

    def figure(run: Run) -> float:
        span = spans_of(run.end.layers)["layer1"]
        seen = (run.start.capture.switching() | run.end.capture.switching())[span]
        values = run.end.per_unit[f"line/{what}_per_unit/layer1"][seen]
        return float(np.nanmedian(abs(values))) if np.isfinite(values).any() else math.nan

    return figure


if __name__ == "__main__":
    main()
