from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from snapshots import fan, four_classes, plain, snapshot

from boundarycb.render import draw_overlay
from boundarycb.sinks import GifFile, make_movie
from boundarycb.sinks.animated import Frames
from boundarycb.sinks.gif import _packed
from boundarycb.types import Snapshot


class Listed:
    """A history in memory."""

    def __init__(self, snapshots: Sequence[Snapshot], path: Path = Path()) -> None:
        self.snapshots = snapshots
        self.steps = [each.step for each in snapshots]
        self.path = path

    def __len__(self) -> int:
        return len(self.snapshots)

    def __getitem__(self, index: int) -> Snapshot:
        return self.snapshots[index]

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self.snapshots)


class Made(Listed):
    """A history whose samples are made when they are asked for."""

    def __init__(self, count: int) -> None:
        super().__init__([])
        self.steps = list(range(count))

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Snapshot:
        return plain(index)


def frames(gif: bytes) -> list[Image.Image]:
    return [frame.convert("RGB").copy() for frame in ImageSequence.Iterator(Image.open(io.BytesIO(gif)))]


def test_each_frame_is_its_samples_overlay_in_step_order() -> None:
    samples = [plain(step) for step in (0, 100, 2000, 5000)]
    movie = make_movie(Listed(samples), size=128)
    got = frames(movie.gif)
    assert movie.steps == (0, 100, 2000, 5000)
    assert len(got) == 4
    assert (movie.width, movie.height) == got[0].size
    for frame, sample in zip(got, samples, strict=True):
        assert np.array_equal(np.asarray(frame), draw_overlay(sample, 128).rgb())


def test_one_palette_for_all_frames_and_an_endless_loop() -> None:
    movie = make_movie(Listed([plain(step) for step in range(0, 900, 300)]), size=64)
    assert movie.gif.count(b"NETSCAPE2.0") == 1
    image = Image.open(io.BytesIO(movie.gif))
    assert image.info["loop"] == 0
    palettes = movie.gif.count(bytes(draw_overlay(plain(0), 64).palette.tobytes()[:96]))
    assert palettes == 1


def test_many_samples_are_thinned_with_first_and_last() -> None:
    movie = make_movie(Listed([plain(step) for step in range(41)]), size=64, max_frames=9)
    assert movie.steps == (0, 5, 10, 15, 20, 25, 30, 35, 40)
    assert movie.notes == ("the movie shows 9 of 41 samples",)
    assert len(frames(movie.gif)) == 9


def test_a_movie_is_no_larger_than_allowed() -> None:
    samples = Listed([plain(step) for step in range(0, 4000, 100)])
    whole = make_movie(samples, size=128)
    small = make_movie(samples, size=128, max_bytes=len(whole.gif) // 3)
    assert len(small.gif) <= len(whole.gif) // 3
    assert (small.steps[0], small.steps[-1]) == (0, 3900)
    assert 5 < len(small.steps) < 14
    assert small.notes == (f"the movie shows {len(small.steps)} of 40 samples",)
    assert len(make_movie(samples, size=128, max_bytes=1).steps) == 2  # never less than the first and the last


def test_memory_does_not_grow_with_the_run() -> None:
    """Frames are packed when they come; of more than fit, no more are held than fit."""

    def peak(count: int) -> int:
        tracemalloc.start()
        try:
            movie = make_movie(Made(count), size=128, max_frames=count, max_bytes=150_000)
            assert 10 < len(movie.steps) < 60
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(60)  # what is made once: fonts, tables of colours
    assert peak(960) < 1.3 * peak(60)


def test_frames_that_do_not_fit_are_few_also_where_late_ones_are_large() -> None:
    drawn: list[int] = []

    def pack(place: int) -> bytes:
        drawn.append(place)
        return bytes(100 if place < 300 else 20_000)

    packed = _packed(pack, 400, 400, 500_000)
    assert sum(map(len, packed.values())) <= 500_000
    assert sum(map(len, packed.values())) > 400_000
    assert list(packed) == sorted(packed)
    assert {0, 399} <= packed.keys()
    assert len(drawn) < 400  # as many as there are, and not a pass for each size that is tried


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="`picture` must be 64 pixels wide as the first one"):
        Frames(draw_overlay(plain(0), 64)).pack(draw_overlay(plain(0), 65))


def test_captions_that_take_another_line_midway_do_not_break_it() -> None:
    """A run may be gone on with in another mode, or with smooth units: the frames have the height of the first one."""
    sample = plain(1)
    layers = tuple(replace(layer, op="silu") for layer in sample.layers)
    smooth = replace(
        sample,
        capture=replace(sample.capture, layers=layers, mode="as_is"),
        boundaries=replace(sample.boundaries, layers=layers),
    )
    heights = [draw_overlay(one, 100).pixels.shape[0] for one in (plain(0), smooth)]
    assert heights[0] < heights[1]
    for samples in ([plain(0), smooth], [replace(smooth, step=0), sample]):
        first, second = frames(make_movie(Listed(samples), size=100).gif)
        assert first.size == second.size == (100, len(draw_overlay(samples[0], 100).pixels))
        assert np.array_equal(np.asarray(second)[:100], draw_overlay(samples[1], 100).rgb()[:100])


def test_layers_that_change_midway_do_not_break_it() -> None:
    samples = [plain(0), snapshot([fan(4, k) for k in range(7)], four_classes, step=1)]
    got = frames(make_movie(Listed(samples), size=64).gif)
    assert len(got) == 2
    # The second frame is shown in the first one's palette: near its own colours, not far from them.
    assert np.abs(np.asarray(got[1]).astype(int) - draw_overlay(samples[1], 64).rgb()).mean() < 25


def test_a_single_sample_is_a_movie_too() -> None:
    assert make_movie(Listed([plain(0)]), size=64).steps == (0,)


def test_frames_last_as_asked() -> None:
    def pauses(gif: bytes) -> list[int]:
        return [frame.info["duration"] for frame in ImageSequence.Iterator(Image.open(io.BytesIO(gif)))]

    samples = Listed([plain(step) for step in range(0, 400, 100)])
    assert pauses(make_movie(samples, size=64).gif) == [400, 400, 400, 2000]  # never longer than 0.4 s, and the last is held
    assert pauses(make_movie(samples, size=64, fps=10).gif) == [100, 100, 100, 2000]
    many = Listed([plain(step) for step in range(100)])
    assert pauses(make_movie(many, size=64).gif)[:99] == [120] * 99  # 12 seconds in all


def test_the_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Listed([plain(0), plain(1)], tmp_path / "history.bcb")
    sink, movie = GifFile(), make_movie(samples, size=64)
    sink.close(samples, None)
    assert list(tmp_path.iterdir()) == []

    def full(self: Path, data: bytes) -> None:
        self.touch()
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(Path, "write_bytes", full)
        sink.close(samples, movie)
    assert list(tmp_path.iterdir()) == []
    sink.close(samples, movie)
    assert [path.name for path in tmp_path.iterdir()] == ["boundaries.gif"]
    assert (tmp_path / "boundaries.gif").read_bytes() == movie.gif


def test_wrong_arguments_are_named() -> None:
    one = Listed([plain(0)])
    with pytest.raises(ValueError, match="`history` holds no snapshot"):
        make_movie(Listed([]))
    with pytest.raises(ValueError, match="`max_frames` must be 2 or more, got 1"):
        make_movie(one, max_frames=1)
    with pytest.raises(ValueError, match="`fps` must lie in"):
        make_movie(one, fps=0)
