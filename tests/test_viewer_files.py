"""The viewer's files as text: that they can be joined, ask for nothing, and satisfy TypeScript and a linter."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from boundarycb.viewer import FOLDER, MODULES, STYLE, joined, text_of
from boundarycb.webpage import hash_of

HOSTS = ("page.js", "tensorboard.js", "widget.js")
TOOLS = Path(__file__).parent / "viewer"
NAME = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+|\[[^\]]*\]|\{[^}]*\})", re.MULTILINE)


def names_in(text: str) -> list[str]:
    """Return the names that a module has at its top level."""
    return [name for found in NAME.findall(text) for name in re.findall(r"\w+", found)]


def test_every_file_is_one_of_the_list() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.suffix == ".js"} == {*MODULES, *HOSTS}


@pytest.mark.parametrize("host", HOSTS)
def test_names_are_unique_so_that_modules_can_be_joined(host: str) -> None:
    counts = Counter(name for module in (*MODULES, host) for name in names_in(text_of(module)))
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("host", HOSTS)
def test_joined_text_imports_nothing(host: str) -> None:
    text = joined(host)
    assert not re.search(r"^import\b", text, re.MULTILINE)
    exports = re.findall(r"^export .*", text, re.MULTILINE)
    assert exports == (["export default { render: renderWidget };"] if host == "widget.js" else [])
    assert "</script" not in text.lower()


@pytest.mark.parametrize("name", [*MODULES, *HOSTS])
def test_modules_import_what_stands_before_them(name: str) -> None:
    before = MODULES[: MODULES.index(name)] if name in MODULES else MODULES
    text = text_of(name)
    assert text.startswith("// @ts-check\n")
    imported = re.findall(r'^import .* from "\./([\w.]+)";$', text, re.MULTILINE)
    assert len(imported) == len(re.findall(r"^import\b", text, re.MULTILINE))  # one line each
    assert set(imported) <= set(before)


@pytest.mark.parametrize("name", [*MODULES, *HOSTS, STYLE, "page.html"])
def test_nothing_asks_for_anything(name: str) -> None:
    text = text_of(name).replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert not re.search(r"https?:|//cdn|@import|url\((?!#)", text)
    assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", text)


@pytest.fixture(scope="module")
def tools() -> Path:
    """Where TypeScript and the linter are; without them the test is skipped, unless BOUNDARYCB_NEEDS_BROWSER asks for all."""
    if not (TOOLS / "node_modules").is_dir() or shutil.which("node") is None:
        message = "no TypeScript: run `npm install --no-package-lock` in tests/viewer"
        if os.environ.get("BOUNDARYCB_NEEDS_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    return TOOLS


def test_types_agree(tools: Path) -> None:
    done = subprocess.run(["npm", "run", "--silent", "types"], cwd=tools, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_has_nothing_to_say(tools: Path) -> None:
    done = subprocess.run(["npm", "run", "--silent", "lint"], cwd=tools, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_really_checked(tools: Path, tmp_path: Path) -> None:
    """A wrong call in a copy is found: the checker reads the files, and their comments are types."""
    shutil.copytree(FOLDER, tmp_path / "boundarycb" / "viewer", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    settings = tmp_path / "tests" / "viewer"
    settings.mkdir(parents=True)
    shutil.copy(tools / "tsconfig.json", settings)
    wrong = tmp_path / "boundarycb" / "viewer" / "state.js"
    wrong.write_text(wrong.read_text() + 'whole("1", "low", 3);\n')
    compiler = tools / "node_modules" / ".bin" / "tsc"
    done = subprocess.run([compiler, "--project", settings], capture_output=True, text=True)
    assert done.returncode != 0
    assert "state.js" in done.stdout
    assert "not assignable to parameter of type 'number'" in done.stdout


def test_the_page_of_the_docs_runs_and_is_the_viewer_of_now() -> None:
    """A browser runs its script only where the policy at its head has the script's own hash."""
    page = (Path(__file__).parent.parent / "docs" / "bottle.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script type=\"module\">(.*?)</script>", page, re.DOTALL)
    assert f"script-src '{hash_of(script)}'" in page
    assert script.strip() == joined("page.js").strip()
