"""The conductor: when it samples, what it keeps, and what happens when a part fails."""

from __future__ import annotations

import gc
import shutil
import tracemalloc
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp
from snapshots import fan, plain, snapshot

from boundarycb import BoundaryWarning, Recorder, load, metrics, slices, wire
from boundarycb.cli import main
from boundarycb.memory import WINDOW
from boundarycb.outputs import Outputs
from boundarycb.report import make_report
from boundarycb.types import Capture, History, Movie, Picture, Report, Sample, Snapshot

SQUARE = slices.box((-1, 1), (-1, 1))


class Keeps:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.closed: list[tuple[History | None, Movie | None]] = []
        self.images: Mapping[str, Picture] = {}

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        self.steps.append(snapshot.step)
        self.images = images

    def close(self, history: History | None, movie: Movie | None) -> None:
        self.closed.append((history, movie))


def make(directory: Path, **options: Any) -> Recorder:
    return Recorder(directory / "boundaries", SQUARE, **{"resolution": 16, "image_size": 64, **options})


class Clock:
    """A time that passes only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def costs(self, seconds: float) -> Callable[[Sample], dict[str, float]]:
        """Return a metric that takes so long."""

        def slow(sample: Sample) -> dict[str, float]:
            self.now += seconds
            return {}

        return slow


def trained_at(recorder: Recorder, clock: Clock, steps: int, seconds: float) -> None:
    """Let `recorder` sample a training of so many steps that take so long each."""
    model = mlp(2, 4, 2)
    recorder.record(model, 0)
    for step in range(1, steps + 1):
        clock.now += seconds
        recorder.advance(model, step)
    recorder.finish(model, steps)


def test_samples_stay_within_their_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    recorder = make(tmp_path, metrics=[clock.costs(1.0)], every_n_steps=1, max_overhead=0.2)
    with pytest.warns(
        BoundaryWarning, match=r"step 2: a sample takes 1 s; some are left out to stay within `max_overhead`, 0\.2 of"
    ):
        trained_at(recorder, clock, 100, 0.5)
    # The second sample is taken at once, since nothing is known of its cost; then one for each 4 seconds of training.
    assert recorder.steps == [0, 1, *range(16, 97, 8), 100]
    assert "(87 more were left out for `max_overhead`, in which the first sample and the end do not count)" in recorder.summary
    recorder.close()


def test_who_leaves_samples_out_is_not_told_to_take_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    recorder = make(tmp_path, metrics=[clock.costs(100.0)], max_overhead=0.01)
    with pytest.warns(BoundaryWarning, match="some are left out"):
        trained_at(recorder, clock, 1000, 0.1)
    assert recorder.steps == [0, 100, 1000]
    assert "takes some twenty" not in recorder.summary
    assert "8 more were left out" in recorder.summary


def test_a_recorder_that_has_stopped_leaves_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    recorder, model = make(tmp_path, metrics=[clock.costs(1.0)], every_n_steps=1, max_overhead=0.1), mlp(2, 4, 2)
    for step in (0, 1):
        recorder.record(model, step)
    with pytest.warns(BoundaryWarning, match="no further sample is taken"):
        recorder.give_up("this", RuntimeError("failed"))
    recorder.advance(model, 2)
    assert "left out" not in recorder.summary
    recorder.close()


def test_finding_out_where_to_look_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback does it before the first sample is taken, which does it too."""
    clock, plane, model = Clock(monkeypatch), SQUARE, mlp(2, 4, 2)

    def slow() -> Any:
        clock.now += 3.0
        return plane

    recorder = Recorder(tmp_path / "boundaries", slow, resolution=16, image_size=64, metrics=[clock.costs(0.5)])
    recorder.settle(model)
    assert recorder.seconds == 3.0
    recorder.record(model, 0)
    assert recorder.seconds == load(tmp_path)[0].seconds == 3.5
    recorder.close()


def test_seconds_are_ours_alone(tmp_path: Path) -> None:
    recorder = make(tmp_path, metrics=[lambda sample: {"seconds": 1.0}])
    with pytest.raises(ValueError, match="gives `seconds`, which is what sampling takes; rename it"):
        recorder.record(mlp(2, 4, 2), 0)


def test_without_a_share_every_sample_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    recorder = make(tmp_path, metrics=[clock.costs(10.0)], every_n_steps=2)
    trained_at(recorder, clock, 6, 0.1)
    assert recorder.steps == [0, 2, 4, 6]
    assert "left out" not in recorder.summary
    recorder.close()


def test_what_sampling_took_is_kept_with_each_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample's writing is over when it is written, so it counts with the next one."""

    class Slow(Keeps):
        def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
            super().write(snapshot, images)
            clock.now += 2.0

    clock = Clock(monkeypatch)
    recorder = make(tmp_path, metrics=[clock.costs(0.5)], every_n_steps=1, sinks=[Slow()])
    trained_at(recorder, clock, 2, 7.0)
    assert [sample.seconds for sample in load(tmp_path)] == [0.5, 2.5, 2.5]
    assert recorder.seconds == 7.5
    recorder.close()


@pytest.mark.parametrize("share", [0, 1, -0.1, 2, "2 %", True, float("nan")])
def test_a_share_that_is_none_is_refused(tmp_path: Path, share: Any) -> None:
    with pytest.raises(ValueError, match="`max_overhead` must be a share of the wall time, more than 0 and less than 1, got"):
        make(tmp_path, max_overhead=share)


def test_samples_are_kept_as_they_are_made(tmp_path: Path) -> None:
    sink, model = Keeps(), mlp(2, 4, 2)
    recorder = make(tmp_path, sinks=[sink])
    for step in (0, 3, 9):
        recorder.log(loss=torch.tensor(0.5, requires_grad=True) * step)
        recorder.record(model, step, {"lr": 0.1})
        assert load(tmp_path).steps[-1] == step  # on disk already
    assert sink.steps == recorder.steps == [0, 3, 9]
    assert load(tmp_path)[-1].scalars == {"loss": 4.5, "lr": 0.1}
    assert "on/share/0" in load(tmp_path)[0].metrics
    assert load(tmp_path)[0].per_unit["on/share_per_unit/0"].shape == (4,)
    recorder.close()
    recorder.close()
    ((history, movie),) = sink.closed
    assert history is not None
    assert movie is not None
    assert movie.steps == (0, 3, 9)
    assert recorder.seconds > 0


def test_pictures_are_drawn_when_asked_for_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr("boundarycb.render.drawn.draw_overlay", lambda snapshot, size: drawn.append(snapshot.step))
    sink = Keeps()
    recorder = make(tmp_path, sinks=[sink])
    recorder.record(mlp(2, 4, 2), 0)
    assert drawn == []
    assert list(sink.images) == ["overlay", "panels", "similarity"]
    assert sink.images["overlay"] is sink.images["overlay"]
    assert drawn == [0]


def test_metrics_see_this_sample_the_last_and_the_first(tmp_path: Path) -> None:
    seen: list[Sample] = []

    def metric(sample: Sample) -> dict[str, Any]:
        seen.append(sample)
        return {"n": len(seen), "per": np.arange(4), "rows": [{"a": 1}], "zero": np.float32(0.5)}

    recorder, model = make(tmp_path, metrics=[metric]), mlp(2, 4, 2)
    for step in range(3):
        recorder.record(model, step)
    assert seen[0].before is None
    assert seen[0].first is seen[0].now
    assert seen[2].before is seen[1].now
    assert seen[2].first is seen[0].now
    snapshot = load(tmp_path)[1]
    assert (dict(snapshot.metrics), snapshot.per_unit["per"].tolist(), snapshot.tables) == (
        {"n": 2, "zero": 0.5},
        [0, 1, 2, 3],
        {"rows": [{"a": 1}]},
    )


def test_advance_follows_the_schedule_and_finish_adds_the_last_step(tmp_path: Path) -> None:
    recorder, model = make(tmp_path, every_n_steps=4), mlp(2, 4, 2)
    recorder.record(model, 0)
    for step in (1, 3, 5, 6, 9, 13, 14):
        recorder.advance(model, step)
    recorder.finish(model, 14)
    recorder.finish(model, 14)
    assert recorder.steps == [0, 5, 9, 13, 14]


# ------------------------------------------------------------------------------------------------------------- failures


class Fails:
    def __init__(self, after: int) -> None:
        self.after = after
        self.closed = 0

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        if snapshot.step >= self.after:
            raise OSError(28, "No space left on device")

    def close(self, history: History | None, movie: Movie | None) -> None:
        self.closed += 1
        raise RuntimeError("cannot close")


def test_a_failing_sink_is_dropped_with_one_warning(tmp_path: Path) -> None:
    bad, good, model = Fails(after=2), Keeps(), mlp(2, 4, 2)
    recorder = make(tmp_path, sinks=[bad, good])
    recorder.record(model, 1)
    with pytest.warns(
        BoundaryWarning, match=r"Fails failed and is dropped; training and other outputs go on. \(OSError: .*No space"
    ) as caught:
        recorder.record(model, 2)
    assert len(caught) == 1
    recorder.record(model, 3)
    recorder.close()
    assert good.steps == [1, 2, 3]
    assert len(good.closed) == 1
    assert bad.closed == 0


def test_of_equal_sinks_the_one_that_failed_is_dropped(tmp_path: Path) -> None:
    @dataclass
    class Same:
        fails: bool = field(compare=False)
        steps: list[int] = field(default_factory=list, compare=False)

        def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
            if self.fails:
                raise OSError("no")
            self.steps.append(snapshot.step)

        def close(self, history: History | None, movie: Movie | None) -> None:
            """Do nothing."""

    good, bad = Same(fails=False), Same(fails=True)
    recorder, model = make(tmp_path, sinks=[good, bad]), mlp(2, 4, 2)
    with pytest.warns(BoundaryWarning, match="Same failed and is dropped"):
        recorder.record(model, 0)
    recorder.record(model, 1)
    assert good.steps == [0, 1]


def test_what_a_run_that_goes_on_needs_is_tried_to_be_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    recorder, model = make(tmp_path), mlp(2, 4, 2)
    recorder.record(model, 0)
    monkeypatch.setattr("boundarycb.outputs.save_traces", full)
    with pytest.warns(BoundaryWarning, match="could not be written for a run that goes on from here.*No space"):
        recorder.state_dict()
    for step in (1, 2, 3):
        recorder.record(model, step)
        assert recorder.state_dict()["last"] == step


def test_a_sink_that_cannot_close_stops_nobody(tmp_path: Path) -> None:
    bad, good = Fails(after=99), Keeps()
    recorder = make(tmp_path, sinks=[bad, good])
    recorder.record(mlp(2, 4, 2), 0)
    with pytest.warns(BoundaryWarning, match="Fails could not be finished."):
        recorder.close()
    assert len(good.closed) == 1


def test_a_failing_metric_is_dropped_and_named(tmp_path: Path) -> None:
    def shaky(sample: Sample) -> dict[str, Any]:
        return {"x": 1 / (0 if sample.before else 1)}

    recorder, model = make(tmp_path, metrics=[shaky]), mlp(2, 4, 2)
    recorder.record(model, 0)
    with pytest.warns(BoundaryWarning, match="shaky failed and is dropped.*ZeroDivisionError"):
        recorder.record(model, 1)
    recorder.record(model, 2)
    assert [dict(snapshot.metrics) for snapshot in load(tmp_path)] == [{"x": 1.0}, {}, {}]


def full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_ends_the_history_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, model = Keeps(), mlp(2, 4, 2)
    recorder = make(tmp_path, sinks=[sink])
    recorder.record(model, 0)

    with monkeypatch.context() as patch:
        patch.setattr("boundarycb.history.HistoryWriter.append", full)
        with pytest.warns(BoundaryWarning, match="step 1: the history ends here; .*No space left"):
            recorder.record(model, 1)
    recorder.record(model, 2)
    recorder.close()
    assert sink.steps == [0, 1, 2]
    history = load(tmp_path)
    assert history.steps == (0,)
    assert history.ended.startswith("step 1: the history ends here; training and other outputs go on. ")


def test_why_a_history_ended_is_written_when_there_is_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk had no room for the reason either; a sample that comes after there is room is not kept all the same."""
    model = mlp(2, 4, 2)
    recorder = make(tmp_path)
    recorder.record(model, 0)
    with monkeypatch.context() as patch:
        patch.setattr("boundarycb.history.HistoryWriter._write", full)
        with pytest.warns(BoundaryWarning, match="step 1: the history ends here"):
            recorder.record(model, 1)
        assert load(tmp_path).ended == ""
    recorder.record(model, 2)
    size = load(tmp_path).path.stat().st_size
    recorder.record(model, 3)
    recorder.close()
    assert load(tmp_path).path.stat().st_size == size  # it is said once
    assert load(tmp_path).steps == (0,)
    assert load(tmp_path).ended.startswith("step 1: the history ends here")
    assert [header["step"] for header in ends_in(tmp_path)] == [1]
    assert "4 samples of steps 0 to 3 (the history ends at step 0) took" in recorder.summary


def ends_in(directory: Path) -> list[Mapping[str, Any]]:
    """Return the headers of a history's records of why it ended."""
    path = load(directory).path
    with path.open("rb") as file:
        return [header for _, header in wire.scan(file, path.stat().st_size) if header["kind"] == "end"]


def test_an_end_is_written_again_after_a_sample_that_made_it_void(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path, [], 128)
    outputs.keep(plain(3), first=True)
    outputs.end(4, "sampling failed")
    outputs.keep(plain(7), first=False)
    assert [header["step"] for header in ends_in(tmp_path)] == [4, 7]
    assert load(tmp_path).steps == (3, 7)
    assert load(tmp_path).ended == "sampling failed"


def test_nothing_is_written_into_the_history_of_another_run(tmp_path: Path) -> None:
    """Which began where this one's folder was removed."""
    old, model = make(tmp_path / "run"), mlp(2, 4, 2)
    late = make(tmp_path / "late")
    for recorder in (old, late):
        recorder.record(model, 0)
        shutil.rmtree(recorder.directory)
    with pytest.warns(BoundaryWarning, match="step 1: the history ends here"):
        old.record(model, 1)
    for name in ("run", "late"):
        new = make(tmp_path / name)
        for step in (0, 1):
            new.record(model, step)
        new.close()
    before = [load(tmp_path / name).path.read_bytes() for name in ("run", "late")]
    with pytest.warns(BoundaryWarning, match="step 5: the history ends here.*another program or run writes to it"):
        late.record(model, 5)
    old.record(model, 6)
    for recorder in (old, late):
        recorder.close()
    assert [load(tmp_path / name).path.read_bytes() for name in ("run", "late")] == before


def test_a_run_that_goes_on_from_a_history_that_ended_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be compared with the next sample is written for none that the history does not have."""
    model, recorder = mlp(2, 4, 2), make(tmp_path / "old", metrics=metrics.default())
    for step in (0, 1):
        recorder.record(model, step)
    with monkeypatch.context() as patch:
        patch.setattr("boundarycb.history.HistoryWriter._write", full)
        with pytest.warns(BoundaryWarning, match="step 2: the history ends here"):
            recorder.record(model, 2)
        recorder.record(model, 3)
        state = recorder.state_dict()
    recorder.close()
    assert not list(recorder.directory.glob("traces-*"))
    again = make(tmp_path / "new", metrics=metrics.default())
    with pytest.warns(BoundaryWarning, match=r"^The samples after step 1, up to step 3 are gone, so this history goes on"):
        again.load_state_dict(state)
    assert "(the history ends" not in again.summary
    again.record(model, 4)
    assert "3 samples of steps 0 to 4, of which 1 are new and took" in again.summary
    again.close()
    assert load(tmp_path / "new").steps == (0, 1, 4)
    assert load(tmp_path / "new").ended == ""


def test_why_a_history_ended_is_written_at_the_end_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, model = make(tmp_path), mlp(2, 4, 2)
    recorder.record(model, 0)
    with monkeypatch.context() as patch:
        patch.setattr("boundarycb.history.HistoryWriter._write", full)
        with pytest.warns(BoundaryWarning, match="step 1: the history ends here"):
            recorder.record(model, 1)
    recorder.close()
    assert load(tmp_path).ended.startswith("step 1: the history ends here")


def test_a_run_whose_folder_is_removed_says_that_nothing_is_left(tmp_path: Path) -> None:
    recorder, model = make(tmp_path / "run"), mlp(2, 4, 2)
    for step in (0, 1):
        recorder.record(model, step)
    shutil.rmtree(tmp_path / "run")
    with pytest.warns(BoundaryWarning, match=r"history could not be finished\. \(FileNotFoundError: .*history\.bcb was removed"):
        recorder.close()
    assert recorder.summary.endswith(f"nothing is left in {recorder.directory}")


def test_a_model_that_breaks_later_ends_sampling_and_not_training(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    recorder = make(tmp_path)
    recorder.record(model, 0)
    broken = mlp(3, 4, 2)
    with pytest.warns(BoundaryWarning, match="step 5: sampling failed; no further sample is taken, training goes on"):
        recorder.record(broken, 5)
    recorder.record(model, 6)
    recorder.advance(model, 700)
    recorder.finish(model, 701)
    recorder.close()
    assert load(tmp_path).steps == (0,)
    assert load(tmp_path).ended.startswith("step 5: sampling failed; no further sample is taken, training goes on. (ValueError: ")
    assert [header["step"] for header in ends_in(tmp_path)] == [5]


def test_the_history_says_why_it_ended_until_the_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, recorder = mlp(2, 4, 2), make(tmp_path)
    for step in (0, 1):
        recorder.record(model, step)
    state = recorder.state_dict()
    recorder.record(model, 2)
    assert load(tmp_path).ended == ""
    with pytest.warns(BoundaryWarning, match="no further sample"):
        recorder.give_up("step 3: the weather", OSError("rain"))
    recorder.close()
    words = "step 3: the weather failed; no further sample is taken, training goes on. (OSError: rain)"
    history = load(tmp_path)
    assert (history.steps, history.ended) == ((0, 1, 2), words)
    assert f"**No sample follows that of step 2**: {words}." in make_report(history).text
    assert main(["info", str(history.path)]) == 0
    assert f"note       {words}\n" in capsys.readouterr().out
    again = make(tmp_path / "again")
    again.load_state_dict(state)
    again.record(model, 5)
    again.close()
    assert (load(again.directory).steps, load(again.directory).ended) == ((0, 1, 5), "")
    assert "No sample follows" not in make_report(load(again.directory)).text


def test_an_end_is_written_after_the_frame_that_it_follows(tmp_path: Path) -> None:
    """A forward pass that lost something ends sampling while its own sample is taken."""
    outputs, sample = Outputs(tmp_path, [], 384), snapshot([fan(2, 0)])
    outputs.keep(sample, first=True)
    outputs.end(1, "one is lost.")
    outputs.end(1, "Another is too.")
    outputs.keep(replace(sample, step=1), first=False)
    assert load(tmp_path).steps == (0, 1)
    assert load(tmp_path).ended == "one is lost. Another is too."


def test_an_end_is_of_the_frame_before_it_and_its_words_are_no_markdown(tmp_path: Path) -> None:
    recorder, model = make(tmp_path), mlp(2, 4, 2)
    for step in (0, 1):
        recorder.record(model, step)
    with pytest.warns(BoundaryWarning, match="no further sample"):
        recorder.give_up("step 2: `f`", TypeError("<class 'Foo'> takes no **options"))
    recorder.close()
    history = load(tmp_path)
    assert r"step 2: \`f\` failed" in make_report(history).text
    assert r"(TypeError: \<class 'Foo'\> takes no \*\*options)" in make_report(history).text
    path = history.path
    data, place = bytearray(path.read_bytes()), history.end_of(2)
    data[place - 20] ^= 1  # in the last frame's body
    path.write_bytes(data)
    with pytest.warns(BoundaryWarning, match="damaged after 1 snapshots"):
        assert (load(tmp_path).steps, load(tmp_path).ended) == ((0,), "")


def test_before_the_first_sample_errors_are_the_users(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="called no activation function"):
        make(tmp_path).record(torch.nn.Linear(2, 2), 0)
    with pytest.raises(ValueError, match="give a `slice` whose points are inputs of the model"):
        make(tmp_path).record(mlp(3, 4, 2), 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written to"):
        make(tmp_path / "file").record(mlp(2, 4, 2), 0)
    assert not (tmp_path / "boundaries").exists()


def test_weights_that_are_not_finite_are_warned_of_once_and_marked(tmp_path: Path) -> None:
    recorder, model = make(tmp_path), mlp(2, 4, 2)
    recorder.record(model, 0)
    with torch.no_grad():
        model[0].weight[1].fill_(float("nan"))
    with pytest.warns(BoundaryWarning) as caught:
        recorder.record(model, 1)
    assert sorted(str(warning.message) for warning in caught) == [
        "step 1: layer 0: 1 of 4 units not finite.",
        "step 1: output not finite.",
    ]
    with warnings.catch_warnings(record=True) as silence:
        recorder.record(model, 2)  # said already
    assert silence == []
    recorder.close()
    last = load(tmp_path)[2]
    assert last.notes == ("output not finite", "layer 0: 1 of 4 units not finite")
    assert np.isnan(last.per_unit["on/share_per_unit/0"]).tolist() == [False, True, False, False]
    assert np.isfinite(last.metrics["on/share/0"])  # of the units that have one


def test_many_layers_that_are_not_finite_are_one_warning(tmp_path: Path) -> None:
    recorder, model = make(tmp_path), mlp(2, 4, 5, 6, 2)
    recorder.record(model, 0)
    with torch.no_grad():
        model[2].weight[1].fill_(float("nan"))
    with pytest.warns(BoundaryWarning) as caught:
        recorder.record(model, 1)
    assert sorted(str(warning.message) for warning in caught) == [
        "step 1: 2 layers, the first of them layer 2: 7 of 11 units not finite.",
        "step 1: output not finite.",
    ]
    with torch.no_grad():
        model[0].weight[1].fill_(float("nan"))
    with warnings.catch_warnings(record=True) as silence:
        recorder.record(model, 2)  # more of them, which is no news
    assert silence == []
    recorder.close()
    assert load(tmp_path)[2].notes == ("output not finite", "3 layers, the first of them layer 0: 12 of 15 units not finite")


@pytest.mark.logs_warnings
def test_warnings_made_errors_do_not_end_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder, model = make(tmp_path), mlp(2, 4, 2)
    recorder.record(model, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.record(mlp(3, 4, 2), 1)
    assert "sampling failed" in caplog.text


def test_what_is_no_number_is_left_out_and_said_once(tmp_path: Path) -> None:
    recorder, model = make(tmp_path), mlp(2, 4, 2)
    recorder.log(phase="warm-up", loss=torch.ones(3), good=torch.tensor([2.0]))
    with pytest.warns(BoundaryWarning) as caught:
        recorder.record(model, 0)
    assert sorted(str(warning.message).split(" was")[0] for warning in caught) == ["`loss`", "`phase`"]
    assert all("Error: " in str(warning.message) for warning in caught)  # which may be another one, such as a device's
    recorder.log(phase="another")  # whose error has other words
    recorder.record(model, 1)
    assert load(tmp_path)[1].scalars == {"good": 2.0}


def test_a_schedule_that_raises_later_ends_sampling_and_not_training(tmp_path: Path) -> None:
    recorder, model = make(tmp_path, schedule=lambda previous, step: 1 // (3 - step) == 0), mlp(2, 4, 2)
    with pytest.raises(ZeroDivisionError):
        recorder.advance(model, 3)  # before the first sample it is the user's to see
    recorder = make(tmp_path / "b", schedule=lambda previous, step: 1 // (3 - step) == 0)
    recorder.record(model, 0)
    with pytest.warns(BoundaryWarning, match="step 3: `schedule` failed; no further sample is taken"):
        recorder.advance(model, 3)
    recorder.advance(model, 4)
    assert recorder.steps == [0]


def test_a_schedules_odd_answer_ends_sampling_and_not_training(tmp_path: Path) -> None:
    recorder, model = make(tmp_path, schedule=lambda previous, step: np.array([True, False])), mlp(2, 4, 2)
    recorder.record(model, 0)
    with pytest.warns(BoundaryWarning, match="step 1: `schedule` failed"):
        recorder.advance(model, 1)


def test_a_recorder_closed_early_lets_training_go_on(tmp_path: Path) -> None:
    recorder, model = make(tmp_path, every_n_steps=1), mlp(2, 4, 2)
    recorder.record(model, 0)
    recorder.close()
    recorder.advance(model, 1)
    recorder.finish(model, 2)
    assert recorder.steps == [0]


def test_samples_taken_by_hand_count_for_the_schedule(tmp_path: Path) -> None:
    recorder, model = make(tmp_path, every_n_steps=10), mlp(2, 4, 2)
    recorder.record(model, 0)
    recorder.record(model, 12)
    recorder.advance(model, 12)
    recorder.advance(model, 5)  # a step back is no step
    recorder.advance(model, 13)
    recorder.advance(model, 21)
    assert recorder.steps == [0, 12, 21]


def test_wrong_arguments_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`slice` must be made by boundarycb.slices, .* got tuple"):
        Recorder(tmp_path, ((-1, 1, 0), (-1, 1, 0)))
    with pytest.raises(TypeError, match="`slice` must be made by boundarycb.slices, .* got int"):
        Recorder(tmp_path, lambda: 5).record(mlp(2, 4, 2), 0)  # type: ignore[arg-type, return-value]
    for options in ({"max_units": 0}, {"resolution": 1}, {"image_size": 1}, {"every_n_steps": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
            make(tmp_path, **options)


def test_misuse_is_named(tmp_path: Path) -> None:
    recorder, model = make(tmp_path), mlp(2, 4, 2)
    recorder.record(model, 5)
    for odd in (2.5, True, -1, None):
        with pytest.raises(ValueError, match="`step` must be a whole number of optimiser steps, 0 or more"):
            recorder.record(model, odd)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`step` must grow from sample to sample: got 5 after 5"):
        recorder.record(model, 5)
    recorder.close()
    with pytest.raises(RuntimeError, match="The recorder is closed"):
        recorder.record(model, 6)


def test_histories_step_aside_for_each_other(tmp_path: Path) -> None:
    model = mlp(2, 4, 2)
    recorders = [make(tmp_path) for _ in range(3)]  # all made before the first takes its place
    recorders[0].record(model, 0)
    for number in (1, 2):
        with pytest.warns(BoundaryWarning, match=rf"holds a history already; this one's goes to .*-{number}, which is what"):
            recorders[number].record(model, 0)
    assert [recorder.directory.name for recorder in recorders] == ["boundaries", "boundaries-1", "boundaries-2"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        torch.ones(2, dtype=torch.complex64),
        np.array(["a"]),
        np.array([{}], dtype=object),
        [{"cell": torch.ones(1)}],
        [3],
    ],
)
def test_values_that_cannot_be_kept_drop_their_metric(tmp_path: Path, value: Any) -> None:
    def odd(sample: Sample) -> dict[str, Any]:
        return {"odd": value if sample.before else 1.0}

    recorder, model = make(tmp_path, metrics=[odd, lambda sample: {"even": 2}]), mlp(2, 4, 2)
    recorder.record(model, 0)
    with pytest.warns(BoundaryWarning, match="odd failed and is dropped.*must give a number, an array .* for `odd`"):
        recorder.record(model, 1)
    recorder.record(model, 2)
    assert [dict(snapshot.metrics) for snapshot in load(tmp_path)] == [{"odd": 1, "even": 2}, {"even": 2}, {"even": 2}]


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    recorder, model = make(tmp_path, sinks=[Keeps()]), mlp(2, 16, 16, 2)

    def record(steps: range) -> int:
        for step in steps:
            recorder.record(model, step)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early, late = record(range(20)), record(range(20, 120))
    finally:
        tracemalloc.stop()
    assert late - early < 100_000  # 100 samples of 20 kB each would be 2 MB
    assert sum(type(thing) is Capture for thing in gc.get_objects()) <= 3 + WINDOW


class Told:
    """A sink that takes the report, or fails to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.reports, self.closed = fails, [], False  # type: ignore[var-annotated]

    def write(self, snapshot: Snapshot, images: Any) -> None: ...

    def tell(self, report: Report) -> None:
        if self.fails:
            raise RuntimeError("no report, please")
        assert not self.closed
        self.reports.append(report)

    def close(self, history: History | None, movie: Movie | None) -> None:
        self.closed = True


def test_sinks_that_take_it_get_the_report_before_they_are_closed(tmp_path: Path) -> None:
    broken, good = Told(fails=True), Told()
    recorder = make(tmp_path, sinks=[Keeps(), broken, good])
    for step in (0, 1):
        recorder.record(mlp(2, 4, 2, seed=step), step)
    with pytest.warns(BoundaryWarning, match=r"Told could not take the report\. \(RuntimeError: no report, please\)"):
        recorder.close()
    assert broken.closed
    assert good.closed
    (report,) = good.reports
    assert report.text.startswith("# What this run did")
    assert "run" in report.pictures


def test_without_numbers_there_is_no_report(tmp_path: Path) -> None:
    sink = Told()
    recorder = make(tmp_path, sinks=[sink], metrics=[])
    recorder.record(mlp(2, 4, 2), 0)
    recorder.close()
    assert sink.reports == []
    assert sink.closed


def test_the_last_line_of_one_sample_speaks_of_one(tmp_path: Path) -> None:
    recorder = make(tmp_path)
    recorder.record(mlp(2, 4, 2), 1_000)
    recorder.close()
    assert recorder.summary.startswith("boundaries: 1 sample, of step 1,000, took ")
