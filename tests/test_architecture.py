"""Dependencies go one way: a module imports only modules of lower layers (the table is that of docs/design.md)."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "boundarycb"

# Modules of one layer are siblings: none imports another. A package is one module here; its own files may use each other.
LAYERS = [
    {"types", "warning", "schedule", "nested", "evenly", "overhead", "webpage", "viewer", "words"},
    {"wire", "keep", "scalars", "failing", "corners", "data", "markdown", "packed"},
    {"slices", "probe", "engines", "metrics", "render", "history"},
    {"automatic", "replay"},
    {"sampling", "sinks", "report", "measuring", "memory"},
    {"outputs", "earlier", "analysis", "exports"},
    {"recorder"},
    {"loop", "trainer"},
    {"lightning", "pytorch_lightning", "both_lightnings", "cli", "notebook", "tensorboard_plugin"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
TORCH = {"keep", "scalars", "probe", "automatic", "sampling", "analysis", "recorder", "loop", "trainer"}
LIGHTNING = {"lightning", "pytorch_lightning", "both_lightnings"}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.name != "__init__.py")


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    module = module_of(path)
    assert module in LEVEL, f"{module} stands in no layer: give it one here and in docs/design.md"
    used = {name.split(".")[1] for name in imports(path) if name.startswith("boundarycb.")} - {module}
    upward = {name for name in used & LEVEL.keys() if LEVEL[name] >= LEVEL[module]}
    assert not upward, f"{path.name} imports {upward}, which are not below it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_belong(path: Path) -> None:
    module, used = module_of(path), {name.split(".")[0] for name in imports(path)}
    assert "torch" not in used or module in TORCH
    assert not used & {"lightning", "pytorch_lightning"} or module in LIGHTNING
    assert not any(name.startswith("matplotlib.pyplot") for name in imports(path))


def test_the_package_itself_imports_nothing_at_once() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert names <= {"importlib", "importlib.util", "sys"}


def test_no_module_shares_a_name_with_something_public() -> None:
    import boundarycb

    modules = {module_of(path) for path in FILES}
    assert not (modules & set(boundarycb.__all__)) - set(boundarycb._NAMESPACES)


def test_arguments_of_one_name_have_one_default() -> None:
    """Of the callback, `watch` and the Recorder, which say the same thing three times; all but the model's are given by name."""
    from boundarycb import Recorder, watch
    from boundarycb.trainer import BoundaryHooks

    ours = [inspect.signature(one).parameters for one in (BoundaryHooks, watch, Recorder)]
    for name in set.union(*map(set, ours)):
        defaults = [parameters[name].default for parameters in ours if name in parameters]
        assert all(default == defaults[0] for default in defaults) or name == "directory", name
    assert len(set(ours[0]) - set(ours[1])) == 1  # `module`: a part of what the Trainer has
    assert {one.kind for one in ours[0].values()} == {inspect.Parameter.KEYWORD_ONLY}
