"""The tab Boundaries in real TensorBoards: what its routes answer with either loader, and what is seen in Chromium."""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import Events, board, events, until
from PIL import Image
from snapshots import SQUARE
from viewing import Quiet, Screen, modules, train, two_layers

from boundarycb import slices
from boundarycb.cli import main
from boundarycb.replay import encode_scene
from boundarycb.tensorboard_plugin import loader as loader_module
from boundarycb.tensorboard_plugin.loader import BoundariesLoader
from boundarycb.tensorboard_plugin.series import Sample, Series, Store, all_series, without_superseded
from boundarycb.viewer import FOLDER, MODULES

LOADERS = {"fast": (), "slow": ("--load_fast=false",)}
FRAME = "iframe:not([style*='display: none'])"


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Event files of a run of 301 samples, and of a short one."""
    folder: Path = tmp_path_factory.mktemp("long")
    events(folder / "long", range(0, 602, 2))
    events(folder / "short", [0, 10])
    return folder


@pytest.mark.parametrize("loader", LOADERS)
def test_all_samples_are_there_without_a_flag(long_run: Path, loader: str) -> None:
    with board("--logdir", str(long_run), *LOADERS[loader]) as tensorboard:
        found = tensorboard.await_runs(2)
        assert [run["key"] for run in found] == ["long", "short"]
        steps = until(lambda: steps if len(steps := tensorboard.steps("long")) > 300 else None)
        assert steps == list(range(0, 602, 2))
        listing = json.loads(tensorboard.get("data/plugins_listing")[2])
        assert listing["boundaries"]["enabled"] is True
        assert listing["boundaries"]["tab_name"] == "Boundaries"


@pytest.mark.parametrize("loader", LOADERS)
def test_what_the_user_asks_for_stays(long_run: Path, loader: str, browser: Any) -> None:
    with board("--logdir", str(long_run), "--samples_per_plugin", "boundaries=50", *LOADERS[loader]) as tensorboard:
        tensorboard.await_runs(2)
        steps = until(lambda: steps if len(steps := tensorboard.steps("long")) == 50 and steps[-1] == 600 else None)
        assert steps[-1] == 600
        screen = Screen(browser, f"{tensorboard.address}#boundaries&p.boundaries.state=run%3Dlong", frame=FRAME)
        notice = screen.inside.locator(".bcb-notice")
        until(lambda: "50 of 301 samples" in notice.inner_text())
        assert "--samples_per_plugin boundaries=" in notice.inner_text()
        screen.check(tensorboard.address)
        screen.close()


def test_others_keep_what_they_had(long_run: Path) -> None:
    """Only our own series is kept whole: the flags of other plugins are as they were."""
    flags = argparse.Namespace(samples_per_plugin={"images": 7})
    BoundariesLoader().fix_flags(flags)
    assert flags.samples_per_plugin == {"images": 7, "boundaries": 0}
    flags.samples_per_plugin["boundaries"] = 3
    BoundariesLoader().fix_flags(flags)
    assert flags.samples_per_plugin["boundaries"] == 3


def test_answers_are_packed_typed_and_only_of_what_there_is(long_run: Path) -> None:
    with board("--logdir", str(long_run)) as tensorboard:
        tensorboard.await_runs(2)
        status, headers, body = tensorboard.get("data/plugin/boundaries/frames", run="short", tag="boundaries/replay")
        assert status == 200
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Encoding"] == "gzip"
        assert tensorboard.size < len(body)
        for name in (*MODULES, "tensorboard.js", "viewer.css"):
            status, headers, body = tensorboard.get(f"data/plugin/boundaries/{name}")
            assert (status, body) == (200, (FOLDER / name).read_bytes())
            assert headers["Content-Type"].startswith("text/css" if name.endswith("css") else "text/javascript")
        for path in ("page.html", "../viewer.js", "__init__.py", "..%2f..%2fpyproject.toml", "static/viewer.js"):
            assert tensorboard.get(f"data/plugin/boundaries/{path}")[0] == 404, path
        for query in ({"run": "no", "tag": "boundaries/replay"}, {"run": "short", "tag": "x"}, {"run": "../short", "tag": "y"}, {}):
            status, headers, body = tensorboard.get("data/plugin/boundaries/frames", **query)
            assert status == 400
            assert headers["Content-Type"].startswith("text/plain")
            assert b"There is no run" in body
        page, views = tensorboard.page("short", last="1")
        assert [view["step"] for view in views] == [10]
        page, views = tensorboard.page("short", after="nonsense")
        assert page["anew"] is True
        assert [view["step"] for view in views] == [0, 10]
        page, views = tensorboard.page("short", after=page["last"])
        assert (page["anew"], page["more"], views) == (False, False, [])
        assert "on/share" in json.loads(tensorboard.get("data/plugin/boundaries/texts")[2])


def test_large_runs_come_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a series are put together again, and no answer is much larger than a page."""
    monkeypatch.setattr("boundarycb.sinks.replay._PART", 40_000)
    events(tmp_path / "run", range(60))
    with board("--logdir", str(tmp_path)) as tensorboard:
        (run,) = tensorboard.await_runs(1)
        assert run["tag"] == "boundaries/replay"
        steps = until(lambda: steps if len(steps := tensorboard.steps("run")) == 60 else None)
        assert steps == list(range(60))


def store_of(parts: dict[str, list[tuple[int, float, list[bytes]]]], **more: Any) -> tuple[Store, Series, list[str]]:
    """Return a store over data made by hand, the series, and the list of parts that were read."""
    read: list[str] = []

    class Provider:
        def read_tensors(self, _: Any, *, run_tag_filter: Any, **__: Any) -> Any:
            (tag,) = run_tag_filter.tags
            read.append(tag)
            data = [argparse.Namespace(step=step, wall_time=at, numpy=np.array(values, object)) for step, at, values in parts[tag]]
            return {"run": {tag: data}}

    stamps = {tag: (data[-1][0], data[-1][1]) for tag, data in parts.items()}
    return Store(Provider()), Series("run", "a/replay", "run", stamps, encode_scene(SQUARE, "")), read


def test_no_answer_is_larger_than_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boundarycb.tensorboard_plugin.series._PAGE", 100)
    store, series, read = store_of(
        {"a/replay": [(k, float(k), [bytes(30)]) for k in range(10)], "a/replay/2": [(k, float(k), [bytes(150)]) for k in (10, 11)]}
    )
    sizes, after = [], ""
    while True:
        page = store.page(None, "", series, after)
        sizes.append(len(page.records))
        assert sum(map(len, page.records)) <= 100 or len(page.records) == 1
        after = page.last
        if not page.more:
            break
    assert sizes == [3, 3, 3, 1, 1, 1]
    assert sorted(read) == ["a/replay", "a/replay/2"]  # each once
    monkeypatch.setattr("boundarycb.tensorboard_plugin.series._CACHE", 10)
    small, series, read = store_of({"a/replay": [(0, 0.0, [bytes(30)])], "a/replay/2": [(1, 1.0, [bytes(30)])]})
    assert small.page(None, "", series, "").records == small.page(None, "", series, "").records
    assert len(read) == 4  # what does not fit is read again


def test_another_slice_in_the_same_folder_is_another_run() -> None:
    """Two runs into one folder: what was written on the first slice is not drawn on the second's axes."""
    old, new = encode_scene(SQUARE, "x"), encode_scene(slices.box((-30, 30), (-30, 30)), "y")
    same = encode_scene(SQUARE, "z", first=2)
    data = [(0, 1.0, [old, b"a"]), (5, 2.0, [b"b"]), (3, 3.0, [same, b"c"]), (10, 4.0, [new, b"d"]), (20, 5.0, [b"e"])]
    store, series, _ = store_of({"a/replay": data})
    page = store.page(None, "", series, "")
    assert (page.scene, page.records) == (new, [b"d", b"e"])
    store, series, _ = store_of({"a/replay": data[:3]})
    assert store.page(None, "", series, "").records == [b"a", b"c"]
    assert store.last(None, "", series).records == [b"c"]


def test_a_clock_that_was_set_back_loses_no_sample() -> None:
    """Within a part the order is that in which samples were written."""
    data = [(0, 10.0, [b"a"]), (5, 20.0, [b"b"]), (10, 15.0, [b"c"]), (15, 30.0, [b"d"])]
    store, series, _ = store_of({"a/replay": data})
    assert store.page(None, "", series, "").records == [b"a", b"b", b"c", b"d"]


def test_runs_are_listed_as_people_count_and_have_names_of_their_own() -> None:
    one = argparse.Namespace(max_step=1, max_wall_time=1.0, plugin_content=b"")
    tags = {"a/replay": one, "b/replay": one}
    listed = {
        "version_10": {"x/replay": one, "x/replay/2": one},
        "version_2": {"x/replay": one},
        "r": tags,
        "r a": {"a/replay": one},
        "no": {"x": one},
    }
    assert [series.name for series in all_series(listed)] == ["r a", "r b", "r a (2)", "version_2", "version_10"]


@pytest.mark.parametrize("loader", LOADERS)
def test_a_run_that_was_gone_on_with(tmp_path: Path, loader: str) -> None:
    """Killed at step 100, gone on with from a checkpoint at 70: the samples from there on are the new ones."""
    events(tmp_path / "run", range(0, 110, 10))
    time.sleep(1.1)  # event files are told apart by the second
    events(tmp_path / "run", range(80, 160, 20), earlier=8)
    with board("--logdir", str(tmp_path), *LOADERS[loader]) as tensorboard:
        tensorboard.await_runs(1)
        steps = until(lambda: steps if (steps := tensorboard.steps("run"))[-1] == 140 else None)
        assert steps == [0, 10, 20, 30, 40, 50, 60, 70, 80, 100, 120, 140]
        _, views = tensorboard.page("run", last="1")
        assert views[0]["number"] + 1 == len(steps)


def test_what_was_superseded_goes_with_all_that_came_after_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        written = [(int(step), float(time)) for time, step in enumerate(rng.integers(0, 30, rng.integers(0, 20)))]
        kept = without_superseded([Sample(step, at, "", 0) for step, at in written])
        brute = [(step, at) for step, at in written if not any(other <= step and later > at for other, later in written)]
        assert [(sample.step, sample.time) for sample in kept] == brute


def test_a_growing_run(tmp_path: Path, browser: Any) -> None:
    file = Events(tmp_path / "run")
    file.write([0, 10, 20])
    with board("--logdir", str(tmp_path)) as tensorboard:
        tensorboard.await_runs(1)
        page, views = tensorboard.page("run")
        screen = Screen(browser, f"{tensorboard.address}#boundaries", frame=FRAME)
        until(lambda: screen.drawn() == [20, 3])
        file.write([30, 40])
        more = until(lambda: both if len(both := tensorboard.page("run", after=page["last"])[1]) == 2 else None)
        assert [view["step"] for view in [*views, *more]] == [0, 10, 20, 30, 40]
        reload_page(screen)
        until(lambda: screen.drawn() == [40, 5])  # it stood at the last step, so it follows
        screen.inside.locator("input[type=range]").fill("1")
        screen.settle()
        file.write([50])
        until(lambda: len(tensorboard.steps("run")) == 6)
        reload_page(screen)
        until(lambda: screen.drawn() == [10, 6])  # it stood elsewhere, so it stays
        file.close()
        events(tmp_path / "other", [0])
        tensorboard.await_runs(2)
        reload_page(screen)
        until(lambda: screen.inside.locator(".bcb-runs input").count() == 2)
        assert screen.drawn() == [10, 6]
        screen.check(tensorboard.address)
        screen.close()


def reload_page(screen: Screen) -> None:
    """Press TensorBoard's own button: it reloads the data, not the page."""
    screen.page.locator("app-header-reload button, button[title*='eload'], button.reload-button").first.click()
    screen.settle()


@pytest.mark.parametrize("flags", [("--path_prefix", "/deep/down"), ()])
def test_below_a_prefix_and_from_a_list_of_logdirs(tmp_path: Path, browser: Any, flags: tuple[str, ...]) -> None:
    events(tmp_path / "a", [0, 5])
    events(tmp_path / "b", [0, 7])
    where = ("--logdir", str(tmp_path)) if flags else ("--logdir_spec", f"first:{tmp_path / 'a'},second:{tmp_path / 'b'}")
    with board(*where, *flags) as tensorboard:
        names = [run["key"] for run in tensorboard.await_runs(2)]
        assert names == (["a", "b"] if flags else ["first/.", "second/."])
        screen = Screen(browser, f"{tensorboard.address}#boundaries", frame=FRAME)
        until(lambda: screen.drawn() == [7, 2])  # the run that was written to last
        screen.check(tensorboard.address.removesuffix("deep/down/"))  # TensorBoard asks for its fonts outside of the prefix
        screen.close()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("trained")
    train(folder / "one")
    train(folder / "two", seed=1, every=5, model=two_layers())
    return folder


def test_the_tab_is_used(trained: Path, browser: Any) -> None:
    with board("--logdir", str(trained)) as tensorboard:
        tensorboard.await_runs(2)
        screen = Screen(browser, f"{tensorboard.address}#boundaries", frame=FRAME)
        until(lambda: len(screen.drawn()) == 2)
        screen.inside.get_by_label("one", exact=True).check()
        until(lambda: screen.drawn() == [60, 21, 13])
        screen.inside.locator("input[type=range]").fill("3")
        screen.settle()
        screen.inside.get_by_label("units of layer layer2").click()
        screen.settle()
        screen.inside.get_by_label("pin unit 4", exact=True).click()
        screen.choose("Background", "count")
        screen.wheel(0.5, 0.5, 3)
        assert screen.pinned() == ["layer2 · 4"]
        screen.context.grant_permissions(["clipboard-read", "clipboard-write"])
        screen.inside.get_by_role("button", name="Link").click()
        address = until(lambda: screen.page.evaluate("() => navigator.clipboard.readText()"))
        again = Screen(browser, address, frame=FRAME)
        until(lambda: again.drawn() == screen.drawn())  # its samples come page by page
        assert again.pinned() == ["layer2 · 4"]
        assert again.inside.locator(".bcb-field", has_text="Background").locator("select").input_value() == "count"
        for each in (screen, again):
            each.check(tensorboard.address)
            each.close()


def test_a_run_that_vanishes_and_comes_back_is_shown_again(tmp_path: Path, browser: Any) -> None:
    """A TensorBoard that was just started again may list no run for a while."""
    events(tmp_path / "run", [0, 10])
    with board("--logdir", str(tmp_path)) as tensorboard:
        tensorboard.await_runs(1)
        screen = Screen(browser, f"{tensorboard.address}#boundaries", frame=FRAME)
        until(lambda: screen.drawn() == [10, 2])
        screen.page.route("**/plugin/boundaries/runs", lambda route: route.fulfill(json=[]))
        reload_page(screen)
        until(lambda: screen.inside.locator(".bcb-plot").count() == 0)
        screen.page.unroute("**/plugin/boundaries/runs")
        reload_page(screen)
        until(lambda: screen.inside.locator(".bcb-plot").count() == 1)
        screen.page.route("**/plugin/boundaries/runs", lambda route: route.abort())
        reload_page(screen)
        notice = screen.inside.locator(".bcb-notice")
        until(lambda: "TensorBoard does not answer" in notice.inner_text())
        screen.page.unroute("**/plugin/boundaries/runs")
        reload_page(screen)
        until(lambda: not notice.is_visible())
        screen.close()


def test_an_address_that_is_pasted_and_a_tensorboard_that_is_gone(trained: Path, browser: Any) -> None:
    with board("--logdir", str(trained)) as tensorboard:
        tensorboard.await_runs(2)
        screen = Screen(browser, f"{tensorboard.address}#boundaries&p.boundaries.state=run%3Done", frame=FRAME)
        until(lambda: screen.drawn()[1] == 21)
        screen.page.evaluate("location.hash = '#boundaries&p.boundaries.state=run%3Done%26step%3D30%26pin%3Dlayer3%253A5'")
        until(lambda: screen.drawn() == [30, 21])
        assert screen.pinned() == ["layer3 · 5"]
        screen.page.evaluate("location.hash = '#boundaries'")  # TensorBoard's own: nothing was chosen there
        screen.settle()
        assert screen.drawn() == [30, 21]
    screen.inside.get_by_label("two", exact=True).check()
    notice = screen.inside.locator(".bcb-notice")
    until(lambda: notice.inner_text() == "TensorBoard does not answer.")
    port = tensorboard.address.rstrip("/").rpartition(":")[2]
    with board("--logdir", str(trained), "--port", port) as again:  # the later flag is the one that counts
        again.await_runs(2)
        screen.inside.get_by_label("one", exact=True).uncheck()
        until(lambda: screen.drawn()[1:] == [13])
        until(lambda: not notice.is_visible())
    screen.close()


class Dying(Quiet):
    """A TensorBoard that is ended in the middle of an answer."""

    dies_in = ""

    def do_GET(self) -> None:  # noqa: N802 - as its parent has it
        answer = self.path.strip("/").partition("?")[0]
        bodies = {
            "texts": {},
            "runs": [{"key": "one", "run": "one", "tag": "boundaries/replay", "name": "one", "time": 1.0}],
            "frames": {},
        }
        if answer not in bodies:
            return super().do_GET()
        body = json.dumps(bodies[answer]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (answer == self.dies_in)))
        self.end_headers()
        self.wfile.write(body)
        return None


@pytest.mark.parametrize("answer", ["runs", "frames"])
def test_a_tensorboard_that_is_ended_in_the_middle_of_an_answer(answer: str, browser: Any) -> None:
    with modules(browser, type("Dying", (Dying,), {"dies_in": answer})) as page:
        page.evaluate("async () => (await import('./tensorboard.js')).render()")
        until(lambda: page.locator(".bcb-notice").inner_text() == "TensorBoard does not answer.", seconds=5)


def test_it_is_as_dark_as_tensorboard(trained: Path, browser: Any) -> None:
    with board("--logdir", str(trained)) as tensorboard:
        tensorboard.await_runs(2)
        screen = Screen(browser, f"{tensorboard.address}?darkMode=true#boundaries", frame=FRAME)
        until(lambda: screen.inside.locator(".bcb").get_attribute("data-theme") == "dark")
        screen.page.evaluate("() => document.body.classList.remove('dark-mode')")
        until(lambda: screen.inside.locator(".bcb").get_attribute("data-theme") == "light")
        screen.close()


def test_the_page_shows_what_the_tab_shows(trained: Path, browser: Any, tmp_path: Path) -> None:
    assert main(["export", str(trained / "one"), "-o", str(tmp_path / "one.html")]) == 0
    choice = "run=one&step=30&pin=layer3%3A5"
    size = {"viewport": {"width": 1280, "height": 900}}
    with board("--logdir", str(trained)) as tensorboard:
        tensorboard.await_runs(2)
        tab = Screen(
            browser,
            f"{tensorboard.address}#boundaries&p.boundaries.state={choice.replace('=', '%3D').replace('&', '%26')}",
            frame=FRAME,
            **size,
        )
        until(lambda: tab.drawn()[0] == 30)
        width = tab.plot().bounding_box()["width"]
        height = tab.page.locator(FRAME).bounding_box()["height"]
        page = Screen(
            browser, f"{(tmp_path / 'one.html').as_uri()}#{choice}", offline=True, viewport={"width": 1280, "height": round(height)}
        )
        assert page.plot().bounding_box()["width"] == width
        tab.page.mouse.move(5, 5)
        page.page.mouse.move(5, 5)
        one, other = tab.canvas(), page.canvas()
        for name, seen in (("tab", one), ("page", other)):
            Image.fromarray(seen.astype(np.uint8)).save(tmp_path / f"{name}.png")
        assert one.shape == other.shape
        assert np.abs(one - other).max() <= 2
        page.check("file:")
        for each in (tab, page):
            each.close()


# -------------------------------------------------------------------------------------------------- never in the way


def test_the_loader_imports_nothing_but_what_tensorboard_has() -> None:
    """An error on this path would keep TensorBoard from starting."""
    tree = ast.parse(Path(loader_module.__file__).read_text())
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in top}
    assert names == {"__future__", "logging", "typing", "tensorboard.plugins"}
    script = (
        "import sys, tensorboard.plugins.base_plugin; before = set(sys.modules);"
        "import boundarycb.tensorboard_plugin.loader; print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    ours = [name for name in ast.literal_eval(done.stdout) if name.startswith("boundarycb")]
    assert ours == ["boundarycb", "boundarycb.tensorboard_plugin", "boundarycb.tensorboard_plugin.loader"]
    others = {name.split(".")[0] for name in ast.literal_eval(done.stdout)} - {"boundarycb"} - set(sys.stdlib_module_names)
    assert others == set()


def test_the_plugin_imports_no_torch_and_no_matplotlib() -> None:
    heavy = "('torch', 'matplotlib', 'lightning')"
    script = f"import sys, boundarycb.tensorboard_plugin.plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


BREAKS = """
import importlib.abc, sys
class Breaks(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise {error}
sys.meta_path.insert(0, Breaks())
"""


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("boundarycb.tensorboard_plugin.plugin", "ImportError('no such thing')"),
        ("boundarycb.tensorboard_plugin.series", "RuntimeError('broken')"),
        ("boundarycb.wire", "SyntaxError('bad')"),
        ("boundarycb.viewer", "OSError('gone')"),
        ("numpy.no_such_thing", "KeyError('nothing')"),
    ],
)
def test_whatever_of_ours_fails_tensorboard_starts(tmp_path: Path, module: str, error: str) -> None:
    events(tmp_path / "logs" / "run", [0, 1])
    (tmp_path / "sitecustomize.py").write_text(BREAKS.format(name=module, error=error))
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    with board("--logdir", str(tmp_path / "logs"), env=env) as tensorboard:
        scalars = until(lambda: json.loads(tensorboard.get("data/plugin/scalars/tags")[2]))
        assert scalars["run"]
        listing = json.loads(tensorboard.get("data/plugins_listing")[2])
        assert ("boundaries" in listing) == module.startswith("numpy")


def test_flags_of_another_kind_do_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    BoundariesLoader().fix_flags(object())
    assert "may show fewer samples" in caplog.text


def test_damaged_data_are_said_in_the_tab(tmp_path: Path, browser: Any) -> None:
    file = Events(tmp_path / "run")
    file.write([0, 10])
    value = file._make.samples("replay", "x", [b"BCB2" + bytes(40)], b"")
    file.add([value], 20)
    file.close()
    with board("--logdir", str(tmp_path)) as tensorboard:
        tensorboard.await_runs(1)
        until(lambda: b"BCB2" in tensorboard.get("data/plugin/boundaries/frames", run="run", tag="boundaries/replay")[2])
        page = browser.new_page()
        page.goto(f"{tensorboard.address}#boundaries")
        page.frame_locator(FRAME).locator("text=These data are of format BCB2").wait_for(timeout=30_000)
        page.close()
