from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from snapshots import plain

from boundarycb.types import Answers, Boundaries, Capture, Layer, Moves, Picture, spans_of, units_of

FC = Layer("fc", "relu", (3,), (0, 1, 2))
CONV = Layer("conv", "relu", (2, 2, 2), (1, 6))


def test_units_know_their_place() -> None:
    units = units_of((FC, CONV))
    assert [unit.index for unit in units] == [0, 1, 2, 1, 6]
    assert [unit.position for unit in units[3:]] == [(0, 0, 1), (1, 1, 0)]
    assert spans_of((FC, CONV)) == {"fc": slice(0, 3), "conv": slice(3, 5)}
    assert CONV.size == 8


def test_a_capture_unpacks_its_masks() -> None:
    states = np.random.default_rng(0).integers(0, 2, (5, 9)).astype(np.uint8)
    capture = Capture((FC, CONV), 3, np.packbits(states, axis=1))
    assert np.array_equal(capture.mask("conv").reshape(2, 9), states[3:].astype(bool))
    with pytest.raises(KeyError, match="`layer` must be one of fc, conv, got 'x'"):
        capture.mask("x")
    with pytest.raises(ValueError, match=r"`on` must be uint8 of shape \(3, 2\), got uint8 \(5, 2\)"):
        Capture((FC,), 3, capture.on)


def test_lengths_do_not_run_over_from_line_to_line() -> None:
    points = np.array([[0.0, 0], [3, 4], [100, 100], [100, 101], [100, 103], [7, 7], [7, 7]])
    lines = Boundaries(points, np.array([0, 2, 5, 7]), np.array([0, 0, 2]), (FC,))
    assert lines.lengths().tolist() == [5, 3, 0]
    assert Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0, np.int32), (FC,)).lengths().tolist() == []


@pytest.mark.parametrize(
    ("offsets", "owner", "words"),
    [([0, 2], [0], "`offsets` must run"), ([0, 1, 3], [0, 0], "two points or more"), ([0, 3], [3], "`owner` must index the 3")],
)
def test_wrong_boundaries_are_refused(offsets: Any, owner: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Boundaries(np.zeros((3, 2)), np.array(offsets), np.array(owner), (FC,))


def test_a_picture_is_its_png() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    palette = np.random.default_rng(0).integers(0, 256, (12, 3)).astype(np.uint8)
    picture = Picture(pixels, palette)
    image = Image.open(io.BytesIO(picture.png()))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image.convert("RGB")), picture.rgb())
    with pytest.raises(ValueError, match="A picture is"):
        Picture(pixels[0], palette)


def test_what_is_kept_cannot_be_written_to() -> None:
    layer, zeros = Layer("fc", "relu", (1,), (0,)), np.zeros(1)
    capture = Capture(
        (layer,), 2, np.zeros((1, 1), np.uint8), strength=zeros, planes=np.zeros((1, 3)), flat=np.zeros(1), saturated=np.zeros(1)
    )
    moves = Moves(4, np.zeros((8, 1), np.int64), np.zeros((8, 1), np.int64), change=np.zeros(1))
    answers = Answers(
        np.zeros((1, 1), np.uint8),
        np.zeros((1, 1)),
        winners=np.zeros(1, np.int64),
        labels=np.zeros(1, np.int64),
        margins=np.zeros(1),
    )
    for value in (capture, moves, answers):
        arrays = {name: part for name, part in vars(value).items() if isinstance(part, np.ndarray)}
        assert len(arrays) >= 3
        assert not [name for name, part in arrays.items() if part.flags.writeable]
    assert zeros.flags.writeable  # the caller's own stays so


def test_what_is_broken_has_units_or_output_that_are_not_finite() -> None:
    assert not plain().is_broken
    sample = plain()
    assert replace(sample, capture=replace(sample.capture, undefined=np.array([2]))).is_broken
    assert sample.field is not None
    holed = replace(sample.field, value=np.where(np.eye(len(sample.field.value)) > 0, np.nan, sample.field.value))
    assert replace(sample, capture=replace(sample.capture, field=holed)).is_broken


def test_notes_that_are_a_part_of_others_are_said_once() -> None:
    sample = plain(0)
    lines = replace(sample.boundaries, notes=("lines are traced, since it is so; a gap, of y",))
    sample = replace(sample, boundaries=lines, capture=replace(sample.capture, notes=("a gap, of y", "gap", "more")))
    assert sample.notes == ("lines are traced, since it is so; a gap, of y", "gap", "more")
