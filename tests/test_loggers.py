"""Where samples go under a Trainer: each logger's own reader finds pictures and numbers."""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightnings import SQUARE, callback_of, fit, module_of
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from boundarycb import BoundaryWarning, load, sinks
from boundarycb.trainer.loggers import sinks_of
from boundarycb.types import History, Movie, Picture, Snapshot

STEPS = (0, 5, 10, 12)


def watched(pl: Any, directory: Path, *loggers: Any, **options: Any) -> Any:
    """Fit for 12 steps under `loggers`; return the callback."""
    callback = callback_of(pl, every_n_steps=5, slice=SQUARE, directory=directory / "files", **options)
    fit(pl, directory, callback, module_of(pl), logger=list(loggers))
    return callback


def loggers_of(pl: Any) -> Any:
    return importlib.import_module(f"{pl.__name__}.loggers")


def numbers(history: History, metric: str) -> list[float]:
    """Return a metric's finite values."""
    return [value for value in (sample.metrics.get(metric, math.nan) for sample in history) if math.isfinite(value)]


def size_of(path: Path) -> tuple[int, int]:
    """Return a picture's width and height."""
    with Image.open(path) as image:
        return image.size


def test_tensorboard(pl: Any, tmp_path: Path) -> None:
    logger = loggers_of(pl).TensorBoardLogger(str(tmp_path))
    callback = watched(pl, tmp_path, logger)
    events = EventAccumulator(logger.log_dir, size_guidance={"images": 0}).Reload()
    assert [event.step for event in events.Images("boundaries/overlay")] == list(STEPS)
    assert Image.open(io.BytesIO(events.Images("boundaries/movie")[0].encoded_image_string)).n_frames == 4  # type: ignore[attr-defined]
    found = [event.value for event in events.Scalars("boundaries/on/share/net.0")]
    assert found == pytest.approx(numbers(load(callback.recorder.directory), "on/share/net.0"))
    assert not (callback.recorder.directory / "pictures").exists()


def test_csv(pl: Any, tmp_path: Path, told: list[str]) -> None:
    logger = loggers_of(pl).CSVLogger(str(tmp_path))
    callback = watched(pl, tmp_path, logger)
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["boundaries/on/share/net.0"]]
    assert [int(row["step"]) for row in rows] == list(STEPS)
    history = load(callback.recorder.directory)
    assert [float(row["boundaries/on/share/net.0"]) for row in rows] == numbers(history, "on/share/net.0")
    flipped = [float(row["boundaries/drift/flipped/net.0"]) for row in rows if row["boundaries/drift/flipped/net.0"]]
    assert flipped == numbers(history, "drift/flipped/net.0")  # which the first sample has not
    pictures = sorted((callback.recorder.directory / "pictures").iterdir())
    assert [path.name for path in pictures if path.name.startswith("overlay")] == [f"overlay-{step:08d}.png" for step in STEPS]
    assert size_of(pictures[0])[0] >= 64
    assert [words for words in told if "pictures go to" in words] == [
        f"CSVLogger takes numbers: pictures go to {callback.recorder.directory}/pictures."
    ]


@pytest.fixture
def told(pl: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the callback tells the user."""
    words: list[str] = []
    monkeypatch.setattr(type(callback_of(pl)), "_tell", staticmethod(words.append))
    return words


def test_no_logger(pl: Any, tmp_path: Path, told: list[str]) -> None:
    callback = callback_of(pl, every_n_steps=5, slice=SQUARE)
    fit(pl, tmp_path, callback, module_of(pl), logger=False)
    assert load(tmp_path / "boundaries").steps == STEPS
    assert len(list((tmp_path / "boundaries" / "pictures").glob("overlay-*.png"))) == 4
    assert told[0] == f"There is no logger: pictures go to {tmp_path / 'boundaries'}/pictures."
    assert told[1].startswith("boundaries: 4 samples of steps 0 to 12 took ")
    assert told[1].endswith(f" of the time: boundaries.gif, boundaries.html, history.bcb, report.md in {tmp_path / 'boundaries'}")
    assert len(told) == 2


def test_one_that_nobody_knows(pl: Any, tmp_path: Path, told: list[str]) -> None:
    logged: dict[int, dict[str, float]] = {}

    class Own(loggers_of(pl).Logger):  # type: ignore[misc]
        name = version = "own"

        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if any(name.startswith("boundaries/") for name in metrics):
                logged[int(step or 0)] = metrics

        def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
            """Keep nothing."""

    callback = watched(pl, tmp_path, Own())
    assert tuple(logged) == STEPS
    assert all(math.isfinite(value) for metrics in logged.values() for value in metrics.values())
    assert [metrics["boundaries/on/share/net.0"] for metrics in logged.values()] == numbers(
        load(callback.recorder.directory), "on/share/net.0"
    )
    assert [words for words in told if "takes numbers" in words] == [
        f"Own takes numbers: pictures go to {callback.recorder.directory}/pictures."
    ]


def wandb_rows(directory: Path) -> Iterator[dict[str, Any]]:
    """End W&B's service, which writes in the background; yield the rows of an offline run, records of a LevelDB log."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.finish()
    wandb.teardown()
    (path,) = directory.rglob("run-*.wandb")
    data = path.read_bytes()
    place, record = 7, b""
    while place + 7 <= len(data):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        record += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part of one
            read = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            read.ParseFromString(record)
            record = b""
            if read.WhichOneof("record_type") == "history":
                yield {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in read.history.item}


@pytest.fixture
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    wandb = pytest.importorskip("wandb")
    for name, value in {"MODE": "offline", "SILENT": "true", "CONSOLE": "off", "DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    yield
    wandb.finish()
    wandb.teardown()


@pytest.mark.usefixtures("_offline")
def test_wandb(pl: Any, tmp_path: Path) -> None:
    """Our rows carry the Trainer's step, and stand beside those of its own scalars, of which none is lost."""

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        loss = self.net(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    logger = loggers_of(pl).WandbLogger(offline=True, save_dir=str(tmp_path), project="test")
    callback = callback_of(pl, every_n_steps=5, slice=SQUARE, directory=tmp_path / "files")
    fit(pl, tmp_path, callback, module_of(pl, training_step=training_step), logger=logger)
    rows = list(wandb_rows(tmp_path))
    pictures = [row for row in rows if "boundaries/overlay.path" in row]
    assert [row["trainer/global_step"] for row in pictures] == list(STEPS)
    for row in pictures:
        (file,) = tmp_path.rglob(Path(row["boundaries/overlay.path"]).name)
        assert size_of(file) == (row["boundaries/overlay.width"], row["boundaries/overlay.height"])
    shares = [(row["trainer/global_step"], row["boundaries/on/share/net.0"]) for row in rows if "boundaries/on/share/net.0" in row]
    assert shares == list(zip(STEPS, numbers(load(callback.recorder.directory), "on/share/net.0"), strict=True))
    assert sum("loss" in row for row in rows) == 12
    (movie,) = [row for row in rows if "boundaries/movie.path" in row]
    assert movie["trainer/global_step"] == 12
    (file,) = tmp_path.rglob(Path(movie["boundaries/movie.path"]).name)
    assert file.read_bytes() == (callback.recorder.directory / "boundaries.gif").read_bytes()


@pytest.mark.usefixtures("_offline")
def test_wandb_without_lightning(tmp_path: Path) -> None:
    import wandb

    run = wandb.init(mode="offline", dir=str(tmp_path), project="test")
    sink = sinks.WandB(run, name="mine", panels_every=2)
    samples = run_of_three(sink, tmp_path)
    run.finish()
    rows = list(wandb_rows(tmp_path))
    assert [row["mine/step"] for row in rows if "mine/on/share/0" in row] == [0, 10, 20]
    assert [row["mine/step"] for row in rows if "mine/overlay.path" in row] == [0, 10, 20]
    assert [row["mine/step"] for row in rows if "mine/panels.path" in row] == [0, 20]
    assert [row["mine/on/share/0"] for row in rows if "mine/on/share/0" in row] == numbers(samples, "on/share/0")


def run_of_three(sink: Any, directory: Path) -> History:
    """Record a small net at three steps into a sink, and close it."""
    from models import mlp

    from boundarycb import Recorder

    recorder = Recorder(directory / "run", SQUARE, resolution=16, image_size=64, sinks=[sinks.GifFile(), sink])
    for number in range(3):
        recorder.record(mlp(2, 6, 2, seed=number), 10 * number)
    recorder.close()
    return load(directory / "run")


@pytest.fixture
def _file_store(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # the logger sets it for good


@pytest.mark.usefixtures("_file_store")
def test_mlflow(pl: Any, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    logger = loggers_of(pl).MLFlowLogger(tracking_uri=f"file:{tmp_path / 'store'}")
    callback = watched(pl, tmp_path, logger)
    client = MlflowClient(f"file:{tmp_path / 'store'}")
    history = client.get_metric_history(logger.run_id, "boundaries/on/share/net.0")
    assert [(one.step, one.value) for one in history] == list(
        zip(STEPS, numbers(load(callback.recorder.directory), "on/share/net.0"), strict=True)
    )
    paths = [artifact.path for artifact in client.list_artifacts(logger.run_id, "images")]
    parts = [path.split("+") for path in paths if path.endswith(".png")]
    overlays = sorted(int(step) for name, _, step, *_ in parts if name.endswith("overlay"))
    assert overlays == list(STEPS)
    (movie,) = [one.path for one in client.list_artifacts(logger.run_id, "boundaries")]
    downloaded = Path(client.download_artifacts(logger.run_id, movie, str(tmp_path)))
    assert downloaded.read_bytes() == (callback.recorder.directory / "boundaries.gif").read_bytes()


@pytest.mark.usefixtures("_file_store")
def test_mlflow_without_lightning(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"file:{tmp_path / 'store'}")
    run = client.create_run(client.create_experiment("test"))
    samples = run_of_three(sinks.MLflow(client, run.info.run_id), tmp_path)
    history = client.get_metric_history(run.info.run_id, "boundaries/on/share/0")
    assert [one.value for one in history] == numbers(samples, "on/share/0")
    assert [one.step for one in history] == [0, 10, 20]


@pytest.mark.usefixtures("_offline")
def test_several_at_once(pl: Any, tmp_path: Path, told: list[str]) -> None:
    of = loggers_of(pl)
    board, table = of.TensorBoardLogger(str(tmp_path / "tb")), of.CSVLogger(str(tmp_path / "csv"))
    tracker = of.WandbLogger(offline=True, save_dir=str(tmp_path / "wb"), project="test")
    (tmp_path / "wb").mkdir()
    callback = watched(pl, tmp_path, board, table, tracker)
    assert [event.step for event in EventAccumulator(board.log_dir).Reload().Images("boundaries/overlay")] == list(STEPS)
    assert "boundaries/on/share/net.0" in (Path(table.log_dir) / "metrics.csv").read_text()
    assert sum("boundaries/overlay.path" in row for row in wandb_rows(tmp_path / "wb")) == 4
    assert not (callback.recorder.directory / "pictures").exists()
    assert len(told) == 1  # the summary


# ------------------------------------------------------------------------------- trackers of which only the interface is run


class Note:
    """Stands for what a tracker makes of a picture or a file."""

    def __init__(self, kind: str, value: Any) -> None:
        self.kind, self.value = kind, value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other == self.kind

    def __hash__(self) -> int:
        return hash(self.kind)


def fake_module(monkeypatch: pytest.MonkeyPatch, name: str, *kinds: str) -> None:
    """Put a module with classes of these names in a tracker's place."""

    def of(kind: str) -> Any:
        return lambda value: Note(kind, np.array(value) if kind == "Image" and isinstance(value, Image.Image) else value)

    module = types.ModuleType(name)
    for kind in kinds:
        setattr(module, kind, of(kind))
    monkeypatch.setitem(sys.modules, name, module)


class FakeComet:
    """``log_image(image_data, name, step)``, ``log_metrics(dic, step)``, ``log_video(file, name, step)`` of comet_ml 3.58."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, Any]] = []

    def log_image(self, image_data: Any, name: str | None = None, *, step: int) -> None:
        self.rows.append((str(name), step, "Image" if isinstance(image_data, Image.Image) else image_data))

    def log_metrics(self, dic: dict[str, float], *, step: int) -> None:
        self.rows += [(name, step, value) for name, value in dic.items()]

    def log_video(self, file: str, name: str | None = None, *, step: int) -> None:
        self.rows.append((str(name).removesuffix(".gif"), step, Path(file).name))


class FakeSeries:
    def __init__(self, name: str, rows: list[tuple[str, int, Any]]) -> None:
        self.name, self.rows = name, rows

    def append(self, value: Any, *, step: int) -> None:
        self.rows.append((self.name, step, value))


class FakeLit:
    """``experiment[key].append(value, step=)`` and ``experiment[key] = file`` of litlogger 2026.8."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, Any]] = []

    def __getitem__(self, name: str) -> FakeSeries:
        return FakeSeries(name, self.rows)

    def __setitem__(self, name: str, value: Any) -> None:
        self.rows.append((name, 20, Path(value.value).name))


class FakeTrackio:
    """``run.log(dict, step=)`` of trackio 0.43."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, Any]] = []

    def log(self, values: dict[str, Any], *, step: int) -> None:
        for name, value in values.items():
            is_file = isinstance(value, Note) and isinstance(value.value, Path)
            self.rows.append((name, step, value.value.name if is_file else value))


class FakeAim:
    """``run.track(value, name=, step=)`` of aim 3.29."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, Any]] = []

    def track(self, value: Any, *, name: str, step: int) -> None:
        self.rows.append((name, step, "boundaries.gif" if name.endswith("movie") else value))


FAKES = [
    (sinks.Comet, FakeComet, "comet_ml", ()),
    (sinks.LitLogger, FakeLit, "litlogger", ("Image", "File")),
    (sinks.Trackio, FakeTrackio, "trackio", ("Image",)),
    (sinks.Aim, FakeAim, "aim", ("Image",)),
]


@pytest.mark.parametrize(("sink", "fake", "module", "kinds"), FAKES)
def test_trackers(sink: Any, fake: Any, module: str, kinds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_module(monkeypatch, module, *kinds)
    run = fake()
    samples = run_of_three(sink(run, name="mine", panels_every=2), tmp_path)
    assert [(step, value) for name, step, value in run.rows if name == "mine/on/share/0"] == list(
        zip((0, 10, 20), numbers(samples, "on/share/0"), strict=True)
    )
    assert [(step, value) for name, step, value in run.rows if name == "mine/overlay"] == [(step, "Image") for step in (0, 10, 20)]
    assert [step for name, step, value in run.rows if name == "mine/panels"] == [0, 20]
    assert [(step, value) for name, step, value in run.rows if name == "mine/movie"] == [(20, "boundaries.gif")]


@pytest.mark.parametrize(
    ("logger", "expected"),
    [
        ("TensorBoardLogger", ["TensorBoard"]),
        ("CometLogger", ["Comet", "Numbers"]),
        ("LitLogger", ["LitLogger", "Numbers"]),
        ("TrackioLogger", ["Trackio", "Numbers"]),
        ("AimLogger", ["Aim", "Numbers"]),
        ("MLFlowLogger", ["MLflow", "Numbers"]),
        ("WandbLogger", ["WandB", "Numbers"]),
        ("DummyLogger", ["Files"]),
        ("OtherLogger", ["Numbers", "Files"]),
    ],
)
def test_which_sinks_a_logger_gets(logger: str, expected: list[str], tmp_path: Path) -> None:
    """By the name of its class, or of one that it comes from."""

    def anything(_: Any, name: str) -> Any:
        if name == "experiment":
            return tmp_path
        raise AttributeError(name)

    base = type(logger, (), {"__getattr__": anything, "run_id": "1", "log_metrics": print})
    for made in (base(), type("Own", (base,), {})()):
        found, _ = sinks_of([made], "boundaries", lambda: tmp_path, replay=True)
        assert [type(sink).__name__ for sink in found] == expected


def test_names_that_are_too_long_are_left_out_and_the_others_stay(tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    with pytest.warns(BoundaryWarning, match="names of more than 24 characters are not taken: b") as caught:
        run_of_three(sinks.Numbers(lambda values, step: rows.append(values), longest=24), tmp_path)
    assert len(caught) == 1
    assert all("boundaries/on/share/0" in row and max(map(len, row)) <= 24 for row in rows)


# ------------------------------------------------------------------------------------------------------- sinks that fail


class Down:
    """A sink whose server is down from the `start`-th sample on."""

    def __init__(self, start: int = 0) -> None:
        self.start, self.count = start, 0

    def write(self, snapshot: Snapshot, images: Any) -> None:
        self.count += 1
        if self.count > self.start:
            raise ConnectionError("no route to host")

    def close(self, history: History | None, movie: Movie | None) -> None:
        raise AssertionError("it was dropped")


@pytest.mark.parametrize("start", [0, 2])
def test_a_failing_sink_is_dropped_with_one_warning(pl: Any, tmp_path: Path, start: int) -> None:
    seen: list[int] = []

    class Keeps:
        def write(self, snapshot: Snapshot, images: dict[str, Picture]) -> None:
            seen.append(snapshot.step)

        def close(self, history: History | None, movie: Movie | None) -> None:
            seen.append(-1)

    with pytest.warns(BoundaryWarning, match="Down failed and is dropped; .*no route to host") as caught:
        watched(pl, tmp_path, loggers_of(pl).TensorBoardLogger(str(tmp_path)), sinks=[Down(start), Keeps()])
    assert len([one for one in caught if issubclass(one.category, BoundaryWarning)]) == 1
    assert seen == [*STEPS, -1]
