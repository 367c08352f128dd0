"""Lint, types and format are tests: ``pytest`` alone is the gate. A tool that is not installed skips its test."""

from __future__ import annotations

import ast
import importlib.util
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(tool: str, *arguments: str) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed: pip install -e '.[dev]'")
    ran = subprocess.run([sys.executable, "-m", tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_ruff() -> None:
    run("ruff", "check", ".")


def test_format() -> None:
    run("ruff", "format", "--check", ".")


def test_mypy() -> None:
    run("mypy")


def test_functions_are_short() -> None:
    """Median near 10 lines, 90 % under 40, none over 60: a longer one hides its steps."""
    lengths = {}
    for path in (ROOT / "boundarycb").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if body:
                    lengths[f"{path.name}:{node.name}"] = (node.end_lineno or 0) - body[0].lineno + 1
    assert statistics.median(lengths.values()) <= 12
    assert statistics.quantiles(lengths.values(), n=10)[-1] < 40
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_version_and_changelog_agree() -> None:
    import boundarycb

    assert f'version = "{boundarycb.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
