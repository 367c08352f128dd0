from __future__ import annotations

import io
import math
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import mlp
from snapshots import SQUARE, fan, one_value, plain, snapshot
from test_wire import same

from boundarycb import BoundaryWarning, Recorder, load, slices, wire
from boundarycb.history import FILE, History, HistoryWriter
from boundarycb.types import Floats


def written(directory: Path, steps: list[int]) -> Path:
    writer = HistoryWriter(directory, SQUARE)
    for step in steps:
        writer.append(plain(step))
    return directory


def test_a_history_is_the_sequence_of_its_snapshots(tmp_path: Path) -> None:
    history = load(written(tmp_path / "boundaries", [0, 10, 50]))
    assert (len(history), history.steps) == (3, (0, 10, 50))
    assert history.layers == ("layer1", "layer2", "layer3")
    assert [snapshot.step for snapshot in history] == [0, 10, 50]
    assert [snapshot.step for snapshot in history[1:]] == [10, 50]
    same(history[-1], plain(50))
    assert history.slice.bounds == SQUARE.bounds
    with pytest.raises(IndexError, match="3 snapshots, got index 3"):
        history[3]


def test_it_is_found_from_the_runs_directory(tmp_path: Path) -> None:
    written(tmp_path / "run" / "boundaries", [0])
    for path in (tmp_path, tmp_path / "run", tmp_path / "run" / "boundaries", tmp_path / "run" / "boundaries" / FILE):
        assert len(load(path)) == 1
    with pytest.raises(FileNotFoundError, match=f"No {FILE} in .*give the directory of a run"):
        load(tmp_path / "nowhere")
    written(tmp_path / "run" / "boundaries-1", [0])
    with pytest.raises(ValueError, match="2 histories below .*boundaries, .*boundaries-1"):
        load(tmp_path)


def test_every_cut_of_the_file_leaves_the_whole_frames(tmp_path: Path) -> None:
    """What a killed process leaves: any prefix of the file."""
    path = written(tmp_path / "a", [0, 1, 2]) / FILE
    data = path.read_bytes()
    ends = [len(data)]
    for count in (2, 1):
        ends.append(len((written(tmp_path / f"b{count}", list(range(count))) / FILE).read_bytes()))
    for cut in range(ends[-1], len(data) + 1, 97):
        path.write_bytes(data[:cut])
        assert len(load(path)) == sum(cut >= end for end in ends)
    path.write_bytes(data[:20])
    with pytest.raises(ValueError, match="cut off before its first record"):
        load(path)


@pytest.mark.parametrize("junk", [b"\0" * 500, b"GIF89a" * 20, b"BCB1" + b"\x08\0\0\0" + b"\0" * 8 + b"not json" + b"\0" * 40])
def test_a_damaged_tail_leaves_what_is_before_it(tmp_path: Path, junk: bytes) -> None:
    path = written(tmp_path, [0, 1]) / FILE
    path.write_bytes(path.read_bytes() + junk)
    with pytest.warns(BoundaryWarning, match="damaged after 2 snapshots; what follows is left out"):
        assert load(path).steps == (0, 1)


def test_damage_in_the_last_frame_costs_that_frame(tmp_path: Path) -> None:
    path = written(tmp_path, [0, 1, 2]) / FILE
    data = bytearray(path.read_bytes())
    data[-200:-100] = bytes(100)
    path.write_bytes(bytes(data))
    with pytest.warns(BoundaryWarning, match="damaged after 2 snapshots"):
        history = load(path)
    assert [snapshot.step for snapshot in history] == [0, 1]


def test_nothing_is_overwritten_and_steps_grow(tmp_path: Path) -> None:
    written(tmp_path, [5])
    with pytest.raises(FileExistsError, match="holds a history already; name another one"):
        HistoryWriter(tmp_path, SQUARE)
    assert load(tmp_path).steps == (5,)
    writer = HistoryWriter(tmp_path / "next", SQUARE)
    writer.append(plain(5))
    with pytest.raises(ValueError, match="`step` must grow from sample to sample: got 5 after 5"):
        writer.append(plain(5))
    assert load(tmp_path / "next").steps == (5,)


def test_a_history_may_begin_with_another_ones_snapshots(tmp_path: Path) -> None:
    earlier = load(written(tmp_path / "a", [0, 10, 50]))
    before = earlier.path.read_bytes()
    writer = HistoryWriter(tmp_path / "b", SQUARE, earlier=earlier, until=30)
    with pytest.raises(ValueError, match="`step` must grow from sample to sample: got 10 after 10"):
        writer.append(plain(10))
    writer.append(plain(40))
    history = load(tmp_path / "b")
    assert history.steps == (0, 10, 40)
    for mine, theirs in zip(history, [*earlier[:2], plain(40)], strict=True):
        same(mine, theirs)
    assert history.run == earlier.run != load(written(tmp_path / "c", [0])).run
    assert earlier.path.read_bytes() == before
    assert load(HistoryWriter(tmp_path / "d", SQUARE, earlier=earlier, until=-1).path.parent).steps == ()


def test_a_copy_that_fails_leaves_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = load(written(tmp_path / "a", [0, 10]))

    def full(self: HistoryWriter, record: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(HistoryWriter, "_write", full)
    with pytest.raises(OSError, match="No space"):
        HistoryWriter(tmp_path / "b", SQUARE, earlier=earlier)
    assert not (tmp_path / "b" / FILE).exists()


def test_the_ends_of_a_history_are_all_of_it_where_layers_changed(tmp_path: Path) -> None:
    steps = list(range(0, 100, 10))
    assert [one.step for one in load(written(tmp_path / "a", steps)).ends(3, until=75)] == [0, 50, 60, 70]
    assert [one.step for one in load(tmp_path / "a").ends(30, until=25)] == [0, 10, 20]
    writer = HistoryWriter(tmp_path / "b", SQUARE)
    for step in steps:
        other = replace(plain(step), capture=snapshot([fan(2, 0)]).capture, boundaries=snapshot([fan(2, 0)]).boundaries)
        writer.append(other if step == 40 else plain(step))
    assert [one.step for one in load(tmp_path / "b").ends(3, until=75)] == steps[:8]


def test_a_directory_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="`directory` .*file/x cannot be written to .*; name another one"):
        HistoryWriter(tmp_path / "file" / "x", SQUARE)


def test_a_full_disk_costs_the_frame_that_did_not_fit(tmp_path: Path) -> None:
    """A real process whose files may not grow beyond a limit: the write fails half way, as on a full disk."""
    script = f"""
        import resource, sys
        sys.path[:0] = [{str(Path(__file__).parent)!r}]
        from boundarycb.history import HistoryWriter
        from snapshots import SQUARE, fan, plain, snapshot
        writer = HistoryWriter({str(tmp_path)!r}, SQUARE)
        writer.append(plain(0))
        size = writer.path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, size + 10**6))
        for step in (1, 2):
            try:
                writer.append(plain(step))
            except OSError as error:
                print("full", writer.path.stat().st_size == size)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10**6, size + 10**6))
        writer.append(plain(3))
        """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, env=os.environ
    )
    assert ran.stdout.split() == ["full", "True", "full", "True"]
    assert ran.stderr == ""
    assert load(tmp_path).steps == (0, 3)


def nowhere(u: Floats, v: Floats) -> Floats:
    """Return the output of a lost network."""
    return np.full((len(u), 1), math.nan)


def test_the_last_finite_snapshot_is_found_from_headers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of before headers said it are decoded; a run that goes on from its middle asks of its beginning."""
    writer = HistoryWriter(tmp_path / "new", SQUARE)
    for step, is_lost in enumerate((False, True, False, True, True)):
        writer.append(snapshot([fan(2, 0)], nowhere if is_lost else one_value, step=step))
    history = load(tmp_path / "new")
    with monkeypatch.context() as decoding:
        decoding.setattr(wire, "decode", lambda *_: pytest.fail("a frame was decoded"))
        assert [history.last_finite(count) for count in (None, 5, 2, 1, 0)] == [2, 2, 0, 0, None]
    monkeypatch.setattr(wire, "read_lost", lambda *_: None)
    assert [history.last_finite(count) for count in (None, 2, 0)] == [2, 0, None]


def test_a_table_is_read_without_the_frames(tmp_path: Path) -> None:
    rows = [{"layer": "fc", "phi": float("nan"), "since": None}]
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(plain(0))
    writer.append(replace(plain(10), tables={"copycat/closest": rows}))
    found = list(load(tmp_path).tables("copycat/closest"))
    assert found[0] == []
    assert repr(found[1]) == repr(rows) == repr(load(tmp_path)[1].tables["copycat/closest"])
    assert list(load(tmp_path).tables("none")) == [[], []]


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.logs_warnings
def test_a_damaged_history_is_told_and_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    """Wherever bytes flip, go or come: the snapshots before that place are read, or one error says what is wrong."""
    golden = (Path(__file__).parent / "golden" / "records" / "history.bcb").read_bytes()
    content = bytearray(golden)
    place = data.draw(st.integers(0, len(content) - 1))
    how = data.draw(st.sampled_from(["flip", "cut", "add", "end"]))
    if how == "flip":
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del content[place : place + data.draw(st.integers(1, 30))]
    elif how == "add":
        content[place:place] = data.draw(st.binary(min_size=1, max_size=30))
    else:
        del content[place:]
    (tmp_path / "history.bcb").write_bytes(bytes(content))
    whole = [sample.step for sample in History(Path(__file__).parent / "golden" / "records")]
    try:
        history = History(tmp_path)
        steps = [sample.step for sample in history]
        list(history.metrics())
    except ValueError:
        return
    assert steps == whole[: len(steps)]


def test_a_folder_that_is_none_ends_in_a_sentence(tmp_path: Path) -> None:
    """A link into nowhere, and a file, where the run's folder is to be: no other name would help."""
    (tmp_path / "link").symlink_to(tmp_path / "purged")
    (tmp_path / "file").write_text("")
    for name in ("link", "file"):
        with pytest.raises(OSError, match="`directory` .* cannot be written to"):
            Recorder(tmp_path / name / "boundaries", slices.box((-1, 1), (-1, 1)), resolution=16).record(mlp(2, 4, 2), 0)


def test_a_history_that_is_removed_meanwhile_ends_and_is_not_begun_in_the_middle(tmp_path: Path) -> None:
    recorder, model = Recorder(tmp_path, slices.box((-1, 1), (-1, 1)), resolution=16), mlp(2, 4, 2)
    recorder.record(model, 0)
    load(tmp_path).path.unlink()
    with pytest.warns(BoundaryWarning, match="step 1: the history ends here; training and other outputs go on"):
        recorder.record(model, 1)
    assert not (tmp_path / "history.bcb").exists()


def test_a_file_of_one_size_with_what_was_written_is_another_all_the_same(tmp_path: Path) -> None:
    """Two runs of one network write files that are often equally long."""
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(plain(0))
    size = writer.path.stat().st_size
    writer.path.unlink()
    other = HistoryWriter(tmp_path, SQUARE)
    other.append(replace(plain(0), time=plain(0).time + 1))
    assert other.path.stat().st_size == size
    with pytest.raises(OSError, match="another program or run writes to it"):
        writer.append(plain(5))
    other.append(plain(6))
    assert load(tmp_path).steps == (0, 6)


def test_a_write_that_is_interrupted_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(plain(0))

    class Interrupted(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(bytes(data)[:100])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *_, **__: Interrupted(path, "r+"))
        with pytest.raises(KeyboardInterrupt):
            writer.append(plain(5))
    writer.append(plain(6))
    assert load(tmp_path).steps == (0, 6)


def test_a_file_in_the_directorys_place_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    recorder = Recorder(tmp_path / "run", slices.box((-1, 1), (-1, 1)), resolution=16)
    recorder.record(mlp(2, 4, 2), 0)  # steps aside without a word of another run
    recorder.close()
    assert load(tmp_path / "run-1").steps == (0,)
    assert (tmp_path / "run").read_text() == "mine"


def test_what_is_no_history_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.bcb"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ValueError, match=r"weights\.bcb: No boundarycb record: it begins with b'PK"):
        load(path)


def test_why_a_run_ended_is_void_once_it_went_on(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    writer.append(plain(0))
    writer.end(0, "sampling failed")
    assert load(tmp_path).ended == "sampling failed"
    writer.append(plain(5))
    assert load(tmp_path).ended == ""


@pytest.mark.parametrize("where", ["the last frame", "the words"])
def test_words_of_a_run_that_is_damaged_are_not_told(tmp_path: Path, where: str) -> None:
    writer = HistoryWriter(tmp_path, SQUARE)
    for step in (0, 1, 2):
        writer.append(plain(step))
    path = tmp_path / FILE
    size = path.stat().st_size
    writer.end(2, "why it ended")
    data = bytearray(path.read_bytes())
    place = size - 3 if where == "the last frame" else data.index(b"why it", size)
    data[place] ^= 0x20
    path.write_bytes(bytes(data))
    with pytest.warns(BoundaryWarning, match="is damaged after"):
        history = load(tmp_path)
    assert history.ended == ""
    assert history.steps == ((0, 1) if where == "the last frame" else (0, 1, 2))


def test_an_earlier_history_that_was_cut_meanwhile_is_not_gone_on_from(tmp_path: Path) -> None:
    earlier = load(written(tmp_path / "a", [0, 1, 2, 3]))
    os.truncate(earlier.path, earlier.end_of(2) + 5)
    with pytest.raises(OSError, match="was cut while"):
        HistoryWriter(tmp_path / "b", SQUARE, earlier=earlier)
    assert not (tmp_path / "b" / FILE).exists()
