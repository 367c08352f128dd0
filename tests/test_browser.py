"""A real TensorBoard in a real Chromium: the tags are there, the pictures show, and the movie plays."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from models import Ginn
from torch import nn

from boundarycb import slices, watch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with 15 samples whose pictures differ visibly."""
    torch.manual_seed(0)
    directory: Path = tmp_path_factory.mktemp("logs")
    model = Ginn()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    with watch(model, optimizer, slice=slices.box((-1, 1), (-1, 1)), every_n_steps=10, directory=directory / "run", resolution=32):
        for _ in range(140):
            x = torch.rand(256, 2) * 2 - 1
            loss = nn.functional.cross_entropy(model(x)[0], (x.square().sum(1) < 0.5).long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return directory


@pytest.fixture(scope="module")
def address(run: Path) -> Iterator[str]:
    """The address of a TensorBoard that shows the run."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run), "--port", "0", "--host", "127.0.0.1"]
    with subprocess.Popen([*command, "--samples_per_plugin", "images=1000"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        deadline, found = time.monotonic() + 60, None
        while found is None and time.monotonic() < deadline:
            found = re.search(r"(http://\S+)", server.stderr.readline())
        try:
            assert found is not None, "TensorBoard did not start"
            yield found[1]
        finally:
            server.terminate()


def opened(browser: Any, address: str, tab: str, ready: str) -> Any:
    page = browser.new_page(viewport={"width": 1400, "height": 1300})
    page.goto(f"{address}#{tab}")
    page.wait_for_selector(ready, timeout=60_000)
    return page


def test_images_show_overlay_panels_and_a_movie_that_plays(browser: Any, address: str, tmp_path: Path) -> None:
    page = opened(browser, address, "images", "tf-image-loader img")
    page.wait_for_timeout(1500)
    cards = {
        tag: page.locator("tf-image-loader").filter(has_text=f"boundaries/{tag}")
        for tag in ("overlay", "panels", "similarity", "movie")
    }
    assert {tag: card.count() for tag, card in cards.items()} == {"overlay": 1, "panels": 1, "similarity": 1, "movie": 1}
    page.screenshot(path=tmp_path / "images.png")
    movie = cards["movie"].locator("img").first
    movie.scroll_into_view_if_needed()
    shown = set()
    for _ in range(4):
        page.wait_for_timeout(350)
        shown.add(movie.screenshot())
    assert len(shown) >= 3
    slider = cards["overlay"].locator("paper-slider").first
    assert slider.evaluate("slider => slider.max") == 14  # 15 samples: the flag keeps all
    page.close()


def test_custom_scalars_gather_the_layers(browser: Any, address: str, tmp_path: Path) -> None:
    page = opened(browser, address, "custom_scalars", "tf-custom-scalar-multi-line-chart-card")
    page.wait_for_timeout(2500)
    page.screenshot(path=tmp_path / "custom_scalars.png")
    for words in (
        "boundaries: how far boundaries moved since the last sample",
        "all layers",
        "layer2: shift, rotate, upstream",
        "boundaries: copycats",
        "boundaries: dormant units",
    ):
        assert page.get_by_text(words).count(), words
    card = page.locator("tf-custom-scalar-multi-line-chart-card").filter(has_text="layer2: shift, rotate, upstream")
    assert card.get_by_text("Matches (4)").count() == 1
    page.close()


def test_histograms_and_the_table_are_shown(browser: Any, address: str, tmp_path: Path) -> None:
    page = opened(browser, address, "histograms", "tf-histogram-loader")
    page.wait_for_timeout(1500)
    page.screenshot(path=tmp_path / "histograms.png")
    for part in ("flipped", "shift", "rotate", "upstream"):
        assert page.get_by_text(f"boundaries/drift/{part}_per_unit/layer3").count(), part
    page.close()
    page = opened(browser, address, "text", "tf-text-loader table")
    page.wait_for_timeout(1000)
    page.screenshot(path=tmp_path / "text.png")
    table = page.locator("tf-text-loader table").first.inner_text()
    assert "copycats since step" in table
    assert "layer1" in table
    page.close()


def test_descriptions_reach_the_reader(browser: Any, address: str) -> None:
    """The fast loader keeps those that came with a tag's first value."""
    page = browser.new_page()
    tags = page.goto(f"{address}data/plugin/scalars/tags").json()
    (run,) = tags.values()
    assert "shifting in parallel" in run["boundaries/drift/shift/layer1"]["description"]
    page.close()


def test_scalars_show_every_layer(browser: Any, address: str, tmp_path: Path) -> None:
    page = opened(browser, f"{address}?tagFilter=on%2Fshare", "timeseries", "scalar-card")
    page.wait_for_timeout(1500)
    titles = " ".join(page.locator("scalar-card").all_inner_texts()).replace("\n", "")
    page.screenshot(path=tmp_path / "scalars.png")
    for layer in ("layer1", "layer2", "layer3"):
        assert f"boundaries/on/share/{layer}" in titles
    page.close()
