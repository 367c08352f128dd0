"""What is kept of earlier samples: bounded, and on a grid that stands for the slice evenly."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshots import fan, four_classes, snapshot

from boundarycb import memory
from boundarycb.memory import WINDOW, Memory, window_side
from boundarycb.metrics.coarser import coarser
from boundarycb.types import Boundaries, Capture, Field, Floats, Layer, Sample, Snapshot


def random_capture(side: int, units: int, seed: int, kind: Any = "classes") -> tuple[Capture, Any]:
    """Return a capture and its states (U, side, side)."""
    rng = np.random.default_rng(seed)
    on = rng.random((units, side, side)) < 0.5
    layer = Layer("fc", "relu", (units,), tuple(range(units)))
    more: dict[str, Any] = {}
    if kind == "classes":
        more = {"winner": rng.integers(0, 9, (side, side)).astype(np.uint16), "second": rng.random((side, side))}
        more["above"] = rng.integers(0, 9, (side, side)).astype(np.uint16)
    field = Field(kind, rng.random((side, side)).astype(np.float16), classes=9, names=tuple("abcdefghi"), **more)
    undefined = np.array([units - 1])
    numbers: Floats = rng.random(units)
    packed = np.packbits(on.reshape(units, -1), axis=1)
    return Capture((layer,), side, packed, field, ("a note",), undefined, numbers, mode="as_is", patterns=7, flat=numbers), on


def nearest(side: int, fine: int) -> list[int]:
    """Return for each of `side` cells which of `fine` pixel centres is nearest to its middle; of two the later."""
    centres = (np.arange(fine) + 0.5) / fine
    middles = (np.arange(side) + 0.5) / side
    return [fine - 1 - int(np.argmin(np.round(abs(centres[::-1] - middle), 12))) for middle in middles]


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.integers(0, 99))
def test_of_each_cell_the_point_in_its_middle_is_kept(fine: int, side: int, units: int, seed: int) -> None:
    capture, on = random_capture(fine, units, seed)
    found = coarser(capture, side)
    if side >= fine:
        assert found is capture
        return
    places = np.ix_(nearest(side, fine), nearest(side, fine))
    assert np.array_equal(found.mask("fc"), on[:, places[0], places[1]])
    assert (found.resolution, found.patterns) == (side, None)
    field, whole = found.field, capture.field
    assert field is not None
    assert whole is not None
    for part in ("value", "winner", "second", "above"):
        assert np.array_equal(getattr(field, part), getattr(whole, part)[places])
    assert (field.kind, field.classes, field.names) == (whole.kind, whole.classes, whole.names)
    for part in ("layers", "notes", "undefined", "strength", "mode", "flat"):
        assert getattr(found, part) is getattr(capture, part)


def test_many_units_are_taken_in_parts() -> None:
    capture, on = random_capture(9, 1100, 0, "probability")
    assert np.array_equal(coarser(capture, 4).mask("fc"), on[:, nearest(4, 9)][:, :, nearest(4, 9)])


def test_areas_stay_what_they_were() -> None:
    """Of straight lines, every area on the coarser grid is that on the finer one to less than a point of each row."""
    fine = snapshot([fan(7, 0.3)], resolution=128).capture
    for side in (61, 40, 33):
        shares = [one.mask("layer1").mean(axis=(1, 2)) for one in (fine, coarser(fine, side))]
        assert abs(shares[1] - shares[0]).max() < 0.5 / side


def test_a_capture_of_no_output_has_none() -> None:
    assert coarser(snapshot([fan(3, 0)], resolution=16).capture, 5).field is None


@given(st.integers(1, 10**6), st.integers(2, 4096))
def test_the_finest_grid_that_fits_is_taken(units: int, resolution: int) -> None:
    def taken(side: int) -> float:
        return WINDOW * side**2 * (units / 8 + 8)

    side = window_side(units, resolution)
    assert 1 <= side <= resolution
    assert side == 1 or taken(side) <= memory.WINDOW_BYTES
    assert side == resolution or taken(side + 1) > memory.WINDOW_BYTES


def filled(count: int, resolution: int) -> tuple[Memory, list[Snapshot]]:
    held = Memory(windowed=True)
    seen = [snapshot([fan(20, 0.1 * k), fan(9, 0)], four_classes, step=k, resolution=resolution) for k in range(count)]
    for one in seen:
        held.remember(one)
    return held, seen


def following(held: Memory, now: Snapshot) -> Sample:
    return held.sample(99, now.capture, now.boundaries, {})


def test_a_window_takes_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WINDOW_BYTES", 40_000)
    held, seen = filled(10, 48)
    sample = following(held, seen[-1])
    assert sample.window_steps == tuple(range(3, 10))
    (side,) = {one.resolution for one in sample.window}
    assert side < 48
    fields = [part for one in sample.window if one.field for part in (one.field.value, one.field.winner, one.field.second)]
    assert sum(one.on.nbytes for one in sample.window) + sum(part.nbytes for part in fields if part is not None) <= 40_000
    assert all(array.base is None or array.base.nbytes < 4000 for one in sample.window for array in [one.on])  # not a view of more
    assert sample.before is seen[-1].capture
    assert sample.first is seen[0].capture
    assert np.array_equal(sample.window[-1].on, coarser(seen[-1].capture, side).on)


def test_a_window_that_fits_is_of_the_captures_themselves() -> None:
    held, seen = filled(3, 16)
    assert [one is other.capture for one, other in zip(following(held, seen[-1]).window, seen, strict=True)] == [True] * 3
    assert following(Memory(windowed=False), seen[-1]).window == ()


def test_a_window_ends_where_the_layers_change_and_is_let_go() -> None:
    held, seen = filled(5, 16)
    other = snapshot([fan(3, 0)], step=5, resolution=16)
    assert following(held, other).window == ()
    held.remember(other)
    assert following(held, other).window_steps == (5,)
    assert following(held, seen[0]).window == ()
    kept = seen[1].capture
    del seen[:]
    assert sum(type(thing) in (Memory, Sample, Snapshot) for thing in gc.get_referrers(kept)) == 0
    held.forget()
    assert following(held, other).window == ()


def test_scalars_and_steps_stand_beside_the_captures() -> None:
    held = Memory(windowed=True)
    held.recall(snapshot([fan(3, 0)], step=k, resolution=16, scalars={"loss": 0.5 * k}) for k in (0, 4, 5))
    sample = following(held, snapshot([fan(3, 0)], resolution=16))
    assert sample.window_steps == (0, 4, 5)
    assert [said["loss"] for said in sample.window_scalars] == [0, 2, 2.5]
    assert isinstance(sample.boundaries, Boundaries)
