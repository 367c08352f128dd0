"""The viewer as somebody sees and uses it: a page in Chromium, with all that it asks for and complains of."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import Ginn
from PIL import Image
from torch import nn

from boundarycb import slices, watch
from boundarycb.viewer import FOLDER

FOREIGN = ("Multiple instances of Three.js", "No tfevents", "Lit is in dev mode", "willReadFrequently")  # what is not of the viewer


WRITTEN = """() => {
  window.written = [];
  const pen = CanvasRenderingContext2D.prototype;
  const write = pen.fillText;
  pen.fillText = function (words, x, y) {
    const wide = this.measureText(words).width;
    const left = { left: x, center: x - wide / 2, right: x - wide }[this.textAlign];
    window.written.push([words, left, left + wide]);
    return write.call(this, words, x, y);
  };
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the viewer's files; says nothing."""

    extensions_map = {".js": "text/javascript", ".html": "text/html"}  # noqa: RUF012 - as its parent has it

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def modules(browser: Any, serve: type[Quiet] = Quiet) -> Iterator[Any]:
    """A page that may import the viewer's modules one by one."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(serve, directory=str(FOLDER)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/record.js")
    yield page
    page.close()
    server.shutdown()
    server.server_close()


class Screen:
    """A page with the viewer, and what a person does there."""

    def __init__(self, browser: Any, address: str, *, frame: str | None = None, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._hear(message))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        if frame is not None:
            self.page.wait_for_selector(frame, timeout=60_000)
        self.inside = self.page if frame is None else self.page.frame_locator(frame)
        self.wait()

    def _hear(self, message: Any) -> None:
        missing = message.text.startswith("Failed to load resource")
        foreign = any(words in message.text for words in FOREIGN) or (missing and "/boundaries/" not in message.location["url"])
        if message.type in ("error", "warning") and not foreign:
            self.complaints.append(f"{message.text} {message.location}")

    def wait(self, what: str = "[data-drawn]") -> None:
        self.inside.locator(what).first.wait_for(state="attached", timeout=30_000)

    def settle(self) -> None:
        """Wait for what was asked for to be drawn."""
        self.page.wait_for_timeout(40)
        self.inside.locator(".bcb:not([data-pending])").wait_for(state="attached", timeout=10_000)

    def address(self) -> str:
        """Return the page's address, once it says what was chosen last."""
        self.page.wait_for_timeout(450)
        return str(self.page.url)

    def drawn(self) -> list[int]:
        """Return the step that is drawn, and how many samples each run has."""
        words = self.inside.locator(".bcb").get_attribute("data-drawn")
        return [int(word) for word in words.split()]

    def plot(self, number: int = 0) -> Any:
        return self.inside.locator(".bcb-plot").nth(number)

    def pixels(self, number: int = 0) -> Any:
        """Return a plot as it is seen, (h, w, 3)."""
        self.settle()
        return np.asarray(Image.open(io.BytesIO(self.plot(number).screenshot())).convert("RGB"), np.int16)

    def canvas(self, number: int = 0) -> Any:
        """Return what is drawn on a plot's canvas, (h, w, 3): the same wherever on the page it stands."""
        self.settle()
        data = self.plot(number).evaluate("canvas => canvas.toDataURL()").split(",")[1]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), np.int16)

    def choose(self, label: str, value: str) -> None:
        self.inside.locator(".bcb-field", has_text=label).locator("select").select_option(value)
        self.settle()

    def press(self, key: str) -> None:
        self.plot().press(key)
        self.settle()

    def place(self, u: float, v: float, number: int = 0) -> dict[str, float]:
        """Return where a place of the unit square is on a plot, in its pixels, when the whole slice is seen."""
        box = self.plot(number).bounding_box()
        return {"x": 58 + u * (box["width"] - 60), "y": 4 + (1 - v) * (box["height"] - 26)}

    def wheel(self, u: float, v: float, turns: int, number: int = 0) -> None:
        """Turn the wheel over a place; a turn enlarges by 1.78."""
        self.plot(number).scroll_into_view_if_needed()
        self.plot(number).hover(position=self.place(u, v, number))
        for _ in range(abs(turns)):
            self.page.mouse.wheel(0, -230 if turns > 0 else 230)
        self.settle()

    def pinned(self) -> list[str]:
        self.settle()
        return list(self.inside.locator(".bcb-card h3").all_inner_texts())

    def letters(self) -> list[tuple[str, float, float]]:
        """Draw anew; return what is written on all canvases: the words, and where they begin and end across."""
        self.page.evaluate(WRITTEN)
        self.page.set_viewport_size({**self.page.viewport_size, "width": self.page.viewport_size["width"] - 1})
        self.page.wait_for_timeout(80)
        self.settle()
        return [tuple(found) for found in self.page.evaluate("() => window.written")]

    def check(self, *hosts: str) -> None:
        """Assert that nothing went wrong and that nothing was asked of anything but `hosts`."""
        assert not self.complaints, self.complaints
        foreign = [url for url in self.requests if not url.startswith((*hosts, "data:", "blob:"))]
        assert not foreign, foreign

    def close(self) -> None:
        self.context.close()


def train(
    directory: Path, *, seed: int = 0, steps: int = 60, every: int = 3, model: nn.Module | None = None, **options: Any
) -> None:
    """Leave a run of a small network in `directory`: samples of every so many steps."""
    torch.manual_seed(seed)
    network = Ginn() if model is None else model
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    image = np.zeros((32, 32), np.int64)
    image[8:24, 10:22] = 1
    plane = slices.aimed(slices.box((-1, 1), (-1, 1)), image)
    with watch(
        network, optimizer, slice=plane, every_n_steps=every, directory=directory, **{"resolution": 32, **options}
    ) as recorder:
        for _ in range(steps):
            x = torch.rand(256, 2) * 2 - 1
            output = network(x)
            output = output[0] if isinstance(output, tuple) else output
            loss = nn.functional.cross_entropy(output, (x.square().sum(1) < 0.5).long())
            recorder.log(loss=loss)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def two_layers() -> nn.Module:
    """Return a network with other layers than :class:`models.Ginn` has."""
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 2))
