"""Real TensorBoards, and event files for them."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snapshots import plain
from tensorboard.compat.proto.summary_pb2 import Summary

from boundarycb import wire
from boundarycb.sinks.eventfile import OwnFile
from boundarycb.sinks.replay import Replay
from boundarycb.sinks.summaries import Summaries


class Events:
    """An event file with what the tab shows, and a number beside it: samples made by hand."""

    def __init__(self, directory: Path, *, earlier: int = 0, name: str = "boundaries") -> None:
        self._file = OwnFile(directory)
        self._make = Summaries(name)
        self._replay = Replay(self._make, earlier)

    def write(self, steps: Sequence[int]) -> None:
        for step in steps:
            values = [*self._replay.add(plain(step)), self._make.scalar("number", "A number.", float(step))]
            self._file.add(values, step)
        self._file.flush()

    def close(self) -> None:
        for step, value in self._replay.finish():
            self._file.add([value], step)
        self._file.close()

    def add(self, values: list[Summary.Value], step: int) -> None:
        self._file.add(values, step)


def events(directory: Path, steps: Sequence[int], **options: Any) -> None:
    """Write an event file with samples at `steps`."""
    file = Events(directory, **options)
    file.write(steps)
    file.close()


class Board:
    """A TensorBoard that runs, and its answers."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer, unpacked."""
        url = f"{self.address}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, headers, body = answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            status, headers, body = error.code, dict(error.headers), error.read()
        self.size = len(body)
        return status, headers, gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.get("data/plugin/boundaries/runs")[2])
        return found

    def page(self, run: str, tag: str = "boundaries/replay", **query: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return what an answer says of itself, and the headers of its samples."""
        status, _, body = self.get("data/plugin/boundaries/frames", run=run, tag=tag, **query)
        assert status == 200, body
        file, headers = io.BytesIO(body), []
        while (record := wire.read_record(file)) is not None:
            headers.append(dict(record.header))
        page, scene, *views = headers
        assert (page["kind"], scene["kind"]) == ("page", "scene")
        return page, views

    def steps(self, run: str, tag: str = "boundaries/replay") -> list[int]:
        """Return the steps of all samples, asked for page by page as the tab does."""
        after, found = "", []
        while True:
            page, views = self.page(run, tag, after=after)
            found += [view["step"] for view in views]
            after = page["last"]
            if not page["more"]:
                return found

    def await_runs(self, count: int) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = until(lambda: found if len(found := self.runs()) >= count else None)
        return runs


def until(ask: Any, seconds: float = 30) -> Any:
    """Return what `ask` gives as soon as it is something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = ask()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about")


@contextmanager
def board(*flags: str, env: dict[str, str] | None = None, python: str = sys.executable, cwd: Path | None = None) -> Iterator[Board]:
    """Start a TensorBoard with `flags`; it is ended when the block is left."""
    command = [python, "-m", "tensorboard.main", "--port", "0", "--host", "127.0.0.1", "--reload_interval", "1", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd) as server:
        assert server.stderr is not None
        said: list[str] = []
        found = None
        while found is None:
            line = server.stderr.readline()
            assert line, "".join(said)
            said.append(line)
            found = re.search(r"(http://\S+)", line) if "TensorBoard" in line else None
        try:
            yield Board(found[1].rstrip("/") + "/")
        finally:
            server.terminate()
            server.communicate()
