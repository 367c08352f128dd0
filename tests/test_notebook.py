"""A run in a notebook: as a widget, as a frame, and in a JupyterLab that runs in Chromium."""

from __future__ import annotations

import base64
import html
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from boards import until
from snapshots import SQUARE, plain
from viewing import train

import boundarycb
from boundarycb.history import History, HistoryWriter
from boundarycb.notebook import Frame
from boundarycb.viewer import STYLE, joined, text_of


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        writer = HistoryWriter(tmp_path / name / "boundaries", SQUARE)
        for step in (0, 100, 200):
            writer.append(plain(step))
    return tmp_path


@pytest.fixture
def without_anywidget(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "anywidget" else find(name, *more))


def test_runs_may_be_given_in_any_way(runs: Path) -> None:
    history = History(runs / "a")
    one = boundarycb.show(runs / "a")
    for given in (str(runs / "a"), history, [runs / "a"], {"a": runs / "a"}, runs / "a" / "boundaries" / "history.bcb"):
        assert boundarycb.show(given).runs == one.runs
    both = boundarycb.show([runs / "a", runs / "b"])
    assert len(both.runs) > len(one.runs)
    assert len(boundarycb.show(runs / "a", max_frames=2).runs) < len(one.runs)
    assert boundarycb.show(runs / "a", height=400).height == 400


def test_without_anywidget_it_is_a_frame_that_says_so(runs: Path, without_anywidget: None) -> None:
    frame = boundarycb.show(runs / "a", height=333)
    assert isinstance(frame, Frame)
    text = frame._repr_html_()
    assert "height: 333px" in text
    assert 'pip install "boundarycb[jupyter]"' in text
    (source,) = re.findall(r'srcdoc="([^"]*)"', text)
    assert html.unescape(source).startswith("<!doctype html>")
    assert "boundarycb export RUN -o out.html" in repr(frame)


def test_a_frame_shows_in_a_page(runs: Path, without_anywidget: None, browser: Any) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(boundarycb.show(runs / "a")._repr_html_())
    frame = page.frame_locator("iframe")
    until(lambda: frame.locator("[data-drawn]").count())
    assert frame.locator("figcaption").inner_text() == "step 200 · loss 0.0313 · lr 0.0098"
    frame.get_by_role("button", name="sample before").click()
    until(lambda: frame.locator(".bcb").get_attribute("data-drawn") == "100 3")
    assert frame.get_by_role("button", name="Link").count() == 0  # there is no address to send
    assert errors == []
    page.close()


def test_bad_arguments_are_said(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`height` must be 200 pixels or more, got 3"):
        boundarycb.show(runs / "a", height=3)
    with pytest.raises(ValueError, match="`max_bytes` must be above 0, got 0"):
        boundarycb.show(runs / "a", max_bytes=0)
    with pytest.raises(ValueError, match="`runs` must hold a run or more"):
        boundarycb.show([])
    with pytest.raises(FileNotFoundError, match=r"No history\.bcb"):
        boundarycb.show(tmp_path / "nowhere")


WIDGET = """async ([text, runs, width]) => {
  const bytes = Uint8Array.from(atob(runs), (sign) => sign.charCodeAt(0));
  const { default: widget } = await import(`data:text/javascript;base64,${text}`);
  const traits = { height: 600, texts: {}, runs: new DataView(bytes.buffer) };
  const el = document.body.appendChild(document.createElement("div"));
  el.style.width = `${width}px`;
  await widget.render({ model: { get: (name) => traits[name] }, el });
}"""


@pytest.mark.parametrize(("width", "columns"), [(640, 1), (1000, 2)])
def test_a_widget_is_laid_out_in_the_room_it_has(runs: Path, browser: Any, width: int, columns: int) -> None:
    """In a window that is wider and higher than it."""
    page = browser.new_page(viewport={"width": 1600, "height": 1400})
    page.set_content(f"<!doctype html><style>{text_of(STYLE)}</style><body></body>")
    data = [base64.b64encode(part).decode() for part in (joined("widget.js").encode(), boundarycb.show(runs / "a").runs)]
    page.evaluate(WIDGET, [*data, width])
    until(lambda: page.locator("[data-drawn]").count())
    plots, side = page.locator(".bcb-plots").bounding_box(), page.locator(".bcb-side").bounding_box()
    assert (side["x"] > plots["x"] + plots["width"]) == (columns == 2)
    assert page.locator(".bcb-plot").bounding_box()["width"] <= 280  # and the controls are in sight
    root, play = page.locator(".bcb").bounding_box(), page.get_by_role("button", name="Play").bounding_box()
    assert root["height"] == 600
    assert play["y"] + play["height"] <= root["y"] + 600
    page.locator(".bcb-field", has_text="Layers").locator("select").select_option("layers")
    until(lambda: page.locator(".bcb-plot").count() == 3)
    boxes = [plot.bounding_box() for plot in page.locator(".bcb-panel").all()]
    inside = page.locator(".bcb-plots").bounding_box()
    assert len({box["y"] for box in boxes[:2]}) == 1
    if columns == 1:  # 640 pixels hold two or three of them, which take all of the room
        assert boxes[-1]["x"] + boxes[-1]["width"] <= inside["x"] + inside["width"] + 1
    page.close()


NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "execution_count": None, "id": "a", "metadata": {}, "outputs": [], "source": "import boundarycb"},
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "b",
            "metadata": {},
            "outputs": [],
            "source": "boundarycb.show('run')",
        },
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


# By JupyterLab's own commands: its menu asks for a kernel if clicked too early, and runs all again if clicked once too often.
RUN_ALL = """async () => {
  const run = async () => {
    const context = window.jupyterapp.shell.currentWidget.sessionContext;
    await context.ready;
    if (!context.session?.kernel) await context.changeKernel({ name: "python3" });
    await context.session.kernel.info;
    await window.jupyterapp.commands.execute("notebook:run-all-cells");
  };
  const late = (_, fail) => setTimeout(() => fail(new Error("the cells did not run within 120 seconds")), 120000);
  await Promise.race([run(), new Promise(late)]);
}"""


@pytest.mark.slow
@pytest.mark.logs_warnings
def test_jupyterlab_shows_the_widget(tmp_path: Path, browser: Any) -> None:
    """A notebook is run in a real JupyterLab, and the widget in its output is used."""
    train(tmp_path / "run")
    (tmp_path / "a.ipynb").write_text(json.dumps(NOTEBOOK))
    settings = ["--ServerApp.token=", "--ServerApp.password=", "--ServerApp.port=0", "--ServerApp.open_browser=False"]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--allow-root",
        *settings,
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.disable_check_xsrf=True",
        "--LabApp.expose_app_in_browser=True",
    ]
    home = {"HOME": str(tmp_path / "home"), "JUPYTER_RUNTIME_DIR": str(tmp_path / "home" / "runtime"), "JUPYTER_NO_CONFIG": "1"}
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, **home}) as server:
        assert server.stderr is not None
        try:
            found = next(match for line in server.stderr if (match := re.search(r"http://127\.0\.0\.1:(\d+)/lab", line)))
            page = browser.new_page(viewport={"width": 1400, "height": 1100})
            errors: list[str] = []
            # JupyterLab has errors of its own when a kernel is slow to start; the widget's code lies in a blob.
            page.on("pageerror", lambda error: errors.append(str(error)) if "blob:" in (error.stack or "blob:") else None)
            page.goto(f"http://127.0.0.1:{found[1]}/lab/tree/a.ipynb")
            page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
            page.evaluate(RUN_ALL)
            viewer = page.locator(".bcb[data-drawn]")
            try:
                viewer.wait_for(timeout=60_000)
            finally:
                page.screenshot(path=tmp_path / "lab.png")
            assert viewer.get_attribute("data-drawn") == "60 21"
            page.locator(".bcb-plot").press("ArrowLeft")
            until(lambda: viewer.get_attribute("data-drawn") == "57 21")
            page.locator(".bcb-found button").first.click()
            until(lambda: page.locator(".bcb-card").count() == 2)
            assert errors == []
            page.close()
        finally:
            server.terminate()
            server.communicate()
