"""Metrics of a user's own: what they may give, and what they are told."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp

from boundarycb import BoundaryWarning, Recorder, load, metrics, slices
from boundarycb.types import Sample

SQUARE = slices.box((-1, 1), (-1, 1))


def record(directory: Path, given: Any, steps: int = 1) -> Any:
    recorder = Recorder(directory, SQUARE, resolution=16, metrics=given)
    for step in range(steps):
        recorder.record(mlp(2, 4, 1, seed=step), step)
    recorder.close()
    return load(directory)[-1]


def test_numbers_arrays_tensors_and_tables_are_kept(tmp_path: Path) -> None:
    def mine(sample: Sample) -> dict[str, Any]:
        numbers = {
            "int": 1,
            "bool": True,
            "numpy": np.float32(0.5),
            "tensor": torch.tensor(2.5, requires_grad=True),
            "point": np.array(3.0),
            "half": torch.tensor(0.25, dtype=torch.bfloat16),
        }
        return {**numbers, "many": np.arange(3), "tensors": torch.ones(2), "rows": [{"unit": 3, "what": "text", "nothing": None}]}

    last = record(tmp_path, [mine])
    assert last.metrics == {"int": 1, "bool": 1, "numpy": 0.5, "tensor": 2.5, "point": 3, "half": 0.25}
    assert {name: values.tolist() for name, values in last.per_unit.items()} == {"many": [0, 1, 2], "tensors": [1, 1]}
    assert last.tables == {"rows": [{"unit": 3, "what": "text", "nothing": None}]}


def test_what_a_metric_gave_stays_what_it_was(tmp_path: Path) -> None:
    """Though it goes on with the same array, and whatever kind of numbers is in its table."""
    steps, seen = np.zeros(3), []

    def mine(sample: Sample) -> dict[str, Any]:
        steps[:] += 1
        seen.append(steps - np.asarray(sample.past.get("steps", 0)))
        return {"steps": steps, "rows": [{"wide": np.longdouble(0.5), "number": np.int8(3), "yes": np.bool_(True)}]}

    last = record(tmp_path, [mine], steps=3)
    assert [found.tolist() for found in seen] == [[1, 1, 1]] * 3
    assert last.per_unit["steps"].tolist() == [3, 3, 3]
    assert last.tables == {"rows": [{"wide": 0.5, "number": 3, "yes": True}]}


def test_arrays_wider_than_files_know_are_kept_as_double(tmp_path: Path) -> None:
    values = record(tmp_path, [lambda sample: {"wide": np.array([0.1, 0.2], dtype=np.longdouble)}]).per_unit["wide"]
    assert values.dtype == np.float64
    assert values.tolist() == [0.1, 0.2]


def test_a_metrics_own_name_does_not_make_it_a_sum(tmp_path: Path) -> None:
    """Only what is measured since the last sample is summed up."""
    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[lambda sample: {"line/count": 5.0, "drift/x": 1.0}])
    for step in range(3):
        recorder.record(mlp(2, 4, 1, seed=step), step)
    recorder.close()
    assert recorder.finals == {"final/line/count": 5.0, "final/drift/x": 1.0}


def raises(sample: Sample) -> Any:
    raise KeyError("no such thing")


@pytest.mark.parametrize(
    ("metric", "kind", "words"),
    [
        (
            raises,
            RuntimeError,
            r"The metric `raises` failed \(KeyError: 'no such thing'\); mend it, or leave it out of `metrics`\.",
        ),
        (
            partial(metrics.dormant_units, tau=-1),
            RuntimeError,
            r"The metric `dormant_units` failed \(ValueError: `tau` must be 0 or more",
        ),
        (lambda sample: 3.0, TypeError, r"The metric `<lambda>` must return values by name, as in {'lines': 3\.0}, got float\."),
        (lambda sample: {3: 3.0}, TypeError, r"must name its values by text, got 3\."),
        (lambda sample: {"x": [1.0, 2.0]}, TypeError, r"must give a number, an array .* for `x`, got \[1\.0, 2\.0\]\."),
        (lambda sample: {"x": 10**400}, TypeError, r"must give a number, .* for `x`, got 1000"),
        (lambda sample: {"": 1.0}, TypeError, r"must name its values by text, got ''\."),
        (lambda sample: {"x": "words"}, TypeError, r"for `x`, got 'words'\."),
        (partial(metrics.on_share), ValueError, r"The metric `on_share` gives `on/share/0`, which another metric gives already"),
    ],
)
def test_a_mistake_is_told_with_the_metrics_name(metric: Any, kind: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=words):
        record(tmp_path, [metrics.on_share, metric])


def test_a_name_that_is_taken_later_drops_the_metric_that_takes_it(tmp_path: Path) -> None:
    def late(sample: Sample) -> dict[str, float]:
        return {"on/share/0": 7.0} if sample.step else {}

    with pytest.warns(BoundaryWarning, match="late failed and is dropped.*which another metric gives already"):
        last = record(tmp_path, [metrics.on_share, late], steps=2)
    assert last.metrics["on/share/0"] <= 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (metrics.default, "got default"),
        ("on_share", "got 'on_share'"),
        (["on_share"], r"got 'on_share' in it"),
        (3, "got 3"),
    ],
)
def test_what_is_no_list_of_metrics_is_refused(given: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=rf"`metrics` must be a list of functions of a sample, such as .*, {words}"):
        Recorder(tmp_path, SQUARE, metrics=given)


def test_needs_says_how_it_is_written() -> None:
    def mine(sample: Sample) -> dict[str, float]:
        return {}

    for wrong in ("traces", mine):
        with pytest.raises(
            ValueError, match=r'`needs` takes "trace", "window", "data", "margins", as in @needs\("trace"\), got \'(traces|mine)\''
        ):
            metrics.needs(wrong)  # type: ignore[arg-type]


def test_a_metric_of_ones_own_gets_what_it_needs(tmp_path: Path) -> None:
    seen: list[Any] = []

    @metrics.needs("trace", "window")
    def mine(sample: Sample) -> dict[str, float]:
        seen.append((sample.step, len(sample.window), sorted(sample.moves), sample.now.strength is not None, sorted(sample.past)))
        return {"mine": 1.0}

    record(tmp_path, [partial(mine)], steps=3)
    assert seen == [(0, 0, [], True, []), (1, 1, ["0"], True, ["mine"]), (2, 2, ["0"], True, ["mine"])]
