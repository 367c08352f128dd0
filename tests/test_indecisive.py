"""Indecisive units: known answers, and simulated walks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import linear_units

from boundarycb import Recorder, load, metrics, slices
from boundarycb.types import Boundaries, Capture, Layer, Sample

SQUARE = slices.box((-1, 1), (-1, 1))
SIDE = 64


def state(*edges: float) -> Capture:
    """Return units that are on right of x = edge on [-1, 1]."""
    layer = Layer("fc", "relu", (len(edges),), tuple(range(len(edges))))
    x = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    on = np.repeat((x > np.array(edges)[:, None])[:, None], SIDE, axis=1).reshape(len(edges), -1)
    return Capture((layer,), SIDE, np.packbits(on, axis=1))


def values(*states: Capture) -> dict[str, Any]:
    lines = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), states[0].layers)
    return dict(metrics.indecisive_units(Sample(states[-1], lines, window=tuple(states[:-1]))))


@pytest.mark.parametrize(
    ("edges", "jitter", "osc", "ret"),
    [((0, 0.5, 0, 0.5), 0.25, 1, 2 / 3), ((0, 0.25, 0.5), 0.125, 0, 0), ((0, 0.5, 0, 0.5, 0), 0.25, 1, 1)],
)
def test_known_answers(edges: tuple[float, ...], jitter: float, osc: float, ret: float) -> None:
    found = values(*(state(edge) for edge in edges))
    assert [found[f"indecisive/{name}/fc"] for name in ("jitter", "osc", "ret")] == pytest.approx([jitter, osc, ret])


def test_what_kinds_of_motion_give() -> None:
    """Steady 0, random walk 1 - 1 / sqrt(2), noise about a place 1/2, two states 1; over many units and a long window."""
    rng = np.random.default_rng(0)
    steps, units = 40, 400
    kinds = {
        0.0: np.cumsum(np.full((steps, units), 0.04), axis=0) - 0.8,
        1 - 0.5**0.5: np.cumsum(rng.normal(0, 0.05, (steps, units)), axis=0),
        0.5: rng.normal(0, 0.15, (steps, units)),
        1.0: np.tile(np.where(np.arange(steps) % 2, 0.3, -0.3)[:, None], (1, units)),
    }
    for expected, edges in kinds.items():
        found = values(*(state(*row.clip(-0.95, 0.95)) for row in edges))
        total = found["indecisive/osc_per_unit/fc"]
        assert np.nanmean(total) == pytest.approx(expected, abs=0.05)


def test_one_that_goes_to_and_fro_among_steady_ones_is_counted() -> None:
    rows = [(0.5 * (k % 2), 0.02 * k, 0.02 * k - 0.5, 0.3 + 0.01 * k, 0.0) for k in range(8)]
    found = values(*(state(*row) for row in rows))
    assert found["indecisive/units/fc"] == 1
    assert np.isnan(found["indecisive/osc_per_unit/fc"][4])  # it did not move


def test_it_is_computed_when_asked_for_over_a_window_of_eight(tmp_path: Path) -> None:
    windows: list[int] = []

    @metrics.needs("window")
    def seen(sample: Sample) -> dict[str, float]:
        windows.append(len(sample.window))
        return {}

    recorder = Recorder(tmp_path, SQUARE, resolution=16, metrics=[metrics.indecisive_units, seen])
    for step in range(14):
        recorder.record(linear_units((1, 0, -0.5 * (step % 2)), (0, 1, 0.1)), step)
    recorder.close()
    assert windows == [0, 1, 2, 3, 4, 5, 6, *[7] * 7]
    history = load(tmp_path)
    _, osc = history.series("indecisive/osc/0")
    assert np.isnan(osc[:2]).all()
    assert osc[2:] == pytest.approx(np.ones(12))
    _, back = history.series("indecisive/ret/0")
    assert back[-1] == pytest.approx(1 - 1 / 7)  # seven flips in the window: one over
