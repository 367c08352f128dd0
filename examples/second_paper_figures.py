"""Make the counterparts of all figures of "Visualizing Neural Nets" (Fishbein and Debata 2023), for docs/second_paper.md.

    python examples/second_paper_figures.py --out docs/second_paper     # about three minutes

Figure 1, the page that asks people, is a browser's screenshot: it is left out, with a word, where there is no Chromium.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import black_white_grey as grey
import numpy as np
import pixel_probe
import torch
from ginn_bottle import quieten
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn

from boundarycb import load, slices
from boundarycb.analysis import sigmoid_boundary, zero_lines
from boundarycb.data import write_answer_page
from boundarycb.render import draw_overlay, draw_surfaces, draw_zones
from boundarycb.sampling import look
from boundarycb.sinks.gif import make_movie
from boundarycb.types import Snapshot

INK, FAINT, BLUE, ORANGE = "#20232a", "#73777f", "#1F6FD0", "#D55E00"


def figure_1(out: Path) -> None:
    """The question that people are asked."""
    browser = os.environ.get("BOUNDARYCB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        browser = None
    if browser is None:
        print("figure 1 is left out: it takes Playwright and a Chromium")
        return
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = write_answer_page(Path(folder) / "answers.html", seed=0)
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 900, "height": 620})
        page.goto(page_file.as_uri())
        page.get_by_role("button").first.click()
        page.wait_for_timeout(300)
        page.screenshot(path=out / "figure_1.png")
        chromium.close()


def figure_2(out: Path) -> None:
    """The 16 corners of a hypercube on their first two principal components, in two orders."""
    corners = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    figure = Figure(figsize=(8.4, 4.1), dpi=100)
    for number, seed in enumerate((0, 3)):
        order = np.random.default_rng(seed).permutation(16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that is what the figure is about
            plane = slices.from_data(corners[order])
        points, off = plane.project(corners)
        axes = figure.add_subplot(1, 2, number + 1)
        for one, other in itertools.combinations(range(16), 2):
            if np.abs(corners[one] - corners[other]).sum() == 1:
                axes.plot(*points[[one, other]].T, color="#c9ccd3", linewidth=0.8, zorder=1)
        axes.scatter(points[:, 0], points[:, 1], s=30 + 60 * off, color=BLUE, zorder=2)
        axes.set(title=f"the rows in order {number + 1}", xlabel="PC1 (25 % of the variance)", ylabel="PC2 (25 %)", aspect="equal")
        styled(axes, 1.15)
    save(figure, out / "figure_2.png")


def figure_3(out: Path) -> None:
    """The surface of one output of a network with three hidden sigmoids."""
    torch.manual_seed(8)
    model: Any = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 1), nn.Sigmoid())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(9)
        model[2].bias.copy_(-model[:3](torch.zeros(1, 2))[0] + model[2].bias)  # one half in the middle
    write(out / "figure_3.png", draw_surfaces(snapshot_of(model), title="one neuron"))


def figures_4_to_7(out: Path, runs: Path, steps: int) -> None:
    """The outputs of the network on S1 to S4, what it decides, and how accurate it became."""
    options = argparse.Namespace(seed=0, batch=512, steps=steps, out=runs)
    done = []
    for number, name in enumerate(grey.SETS, start=4):
        task = grey.task_of(name, None)
        _, callback = grey.train(task, options)
        assert callback.recorder is not None
        last = load(callback.recorder.directory)[-1]
        write(out / f"figure_{number}.png", draw_surfaces(last, title=f"{name.upper()}, step {last.step:,}"))
        write(out / f"figure_{number}_regions.png", draw_overlay(last, 384, title=f"{name.upper()}, step {last.step:,}"))
        if name == "s2":
            write(out / "zones.png", draw_zones(last, 384))
            movie = make_movie(load(callback.recorder.directory), picture="surfaces", max_bytes=400_000)
            (out / "s2.gif").write_bytes(movie.gif)
        done.append((task, callback))
    grey.draw_accuracies(done, out / "accuracies.png")


def closed_form(out: Path) -> None:
    """The border by the closed form, by what equation 4 prints, and by the network itself."""
    torch.manual_seed(14)
    model: Any = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 2), nn.Sigmoid())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
        model[2].bias.zero_()
    plane = slices.box((-2, 2), (-2, 2))
    border = sigmoid_boundary(model[0], model[2])

    def printed(inputs: Any) -> Any:
        exponents = -border.weights[:, 0] * inputs[:, :1] + border.weights[:, 1] * inputs[:, 1:] + border.bias
        return (1 / (1 + np.exp(exponents))) @ border.differences + border.offset

    sampled = look(model, plane, resolution=128).decision
    assert sampled is not None
    figure = Figure(figsize=(5.6, 6.0), dpi=100)
    axes = figure.add_subplot()
    for lines, colour, width, style, label in (
        (sampled, "#c9ccd3", 6.0, "-", "the network, from a grid"),
        (border.on(plane), BLUE, 1.8, "-", "the closed form, signs put right"),
        (zero_lines(printed, plane), ORANGE, 1.8, "--", "equation 4 as printed"),
    ):
        for index in range(len(lines)):
            axes.plot(*lines.line(index).T, color=colour, linewidth=width, linestyle=style, label=label if not index else None)
    axes.set(xlim=(-2, 2), ylim=(-2, 2), xlabel="x1", ylabel="x2", title="where z1 = z2", aspect="equal")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=8, frameon=False)
    styled(axes)
    save(figure, out / "closed_form.png")


def figure_8(out: Path) -> None:
    """Digits that one pixel turns into another one, where their pixels are fragile, and what static is called."""
    options = argparse.Namespace(mnist=None, images=None, held_out=0, screen=None, steps=400, seed=0, out=out)
    torch.manual_seed(options.seed)
    images = pixel_probe.digits(options)
    classifiers = pixel_probe.fit(images, options)
    for classifier in classifiers[::2]:  # naive Bayes as it comes, and the network
        probe = pixel_probe.probed(classifier, images, options)
        for path in pixel_probe.draw(classifier, probe, images, out):
            kind = "map" if path.stem.endswith("map") else "examples"
            path.rename(out / f"figure_8_{'network' if classifier is classifiers[2] else 'bayes'}_{kind}.png")
    warnings.filterwarnings("ignore", message=".*lines are traced on a grid")  # the picture says so
    pixel_probe.static(classifiers, images, options)


def snapshot_of(model: nn.Module) -> Snapshot:
    """Return what a model does on the square from -1 to 1, with surfaces."""
    plane = slices.box((-1, 1), (-1, 1))
    seen = look(model, plane, surfaces=True)
    return Snapshot(0, 0.0, plane, seen.capture, seen.boundaries, decision=seen.decision)


def styled(axes: Any, reach: float | None = None) -> None:
    """Make an axes look like the package's own pictures."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=FAINT, labelsize=8)
    axes.title.set(size=11, color=INK)
    axes.xaxis.label.set(size=9, color=FAINT)
    axes.yaxis.label.set(size=9, color=FAINT)
    if reach is not None:
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))


def save(figure: Figure, path: Path) -> None:
    """Write a figure of matplotlib's."""
    FigureCanvasAgg(figure)
    figure.tight_layout()
    figure.savefig(path)


def write(path: Path, picture: Any) -> None:
    """Write a picture of ours."""
    path.write_bytes(picture.png())


def main() -> None:
    """Make all figures."""
    parser = argparse.ArgumentParser(description="Make the counterparts of the second paper's figures.")
    parser.add_argument("--out", type=Path, default=Path("second_paper"), help="where they go (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6000, help="steps of the networks of figures 4 to 7 (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    quieten()
    figure_1(options.out)
    figure_2(options.out)
    figure_3(options.out)
    closed_form(options.out)
    with tempfile.TemporaryDirectory() as runs:
        figures_4_to_7(options.out, Path(runs), options.steps)
    figure_8(options.out)
    for path in sorted(options.out.iterdir()):
        print(path)


if __name__ == "__main__":
    main()
