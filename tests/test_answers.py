"""What the network makes of samples of the data: which samples they are, what is read of them, and that nothing breaks for them."""

from __future__ import annotations

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from everything import differing, everything
from lightnings import SMALL, SQUARE, callback_of, data, fit, module_of, trainer_of
from models import linear_units, mlp
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from boundarycb import BoundaryWarning, Recorder, metrics, slices, watch
from boundarycb.automatic import Data
from boundarycb.engines import bands
from boundarycb.probe import probe
from boundarycb.sampling import look
from boundarycb.sampling.data import _ends, answer, fitting
from boundarycb.types import Answers, Capture, Floats, Sample


class Keeps:
    """A metric that keeps the answers that it is given."""

    def __init__(self, *parts: Any) -> None:
        self.needs = parts or ("data",)
        self.seen: list[Answers | None] = []
        self.captures: list[Capture] = []
        self.recorder: Any = None

    def __call__(self, sample: Sample) -> dict[str, float]:
        self.seen.append(sample.answers)
        self.captures.append(sample.now)
        return {}

    def answers(self) -> list[Answers]:
        """Return what it was given at each sample, which is never nothing."""
        assert self.seen
        assert all(one is not None for one in self.seen)
        return [one for one in self.seen if one is not None]


class Images(nn.Module):
    """A small convolutional network with batch-norm, dropout and pooling; its units are those of two convolutions and a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1)
        self.fc, self.out, self.drop = nn.Linear(4, 6), nn.Linear(6, 3), nn.Dropout(0.3)

    def forward(self, x: torch.Tensor) -> Any:
        x = nn.functional.max_pool2d(self.norm(self.one(x)).relu(), 2)
        x = nn.functional.max_pool2d(self.two(x).tanh(), 2)
        return self.out(self.drop(self.fc(x.flatten(1)).relu_()).mul_(2))  # which writes into what the activation gave

    def activations(self, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return pre-activations and activations of each layer, and the output, by other means than the probe's."""
        a = self.norm(self.one(x))
        b = self.two(nn.functional.max_pool2d(a.clamp(min=0), 2))
        c = self.fc(nn.functional.max_pool2d(torch.tanh(b), 2).flatten(1))
        return [a, b, c, a.clamp(min=0), b.tanh(), c.clamp(min=0)], self.out(2 * c.clamp(min=0))


def images(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, 4, 4, generator=generator), torch.randint(0, 3, (count,), generator=generator)


def states(answers: Answers) -> Any:
    return np.unpackbits(answers.on, axis=1, count=answers.count).astype(bool).T


# -------------------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("few", [False, True])
def test_answers_are_those_of_the_network(count: int, few: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all units at once, in one batch or in several; 3 and 4 are axes of the network too."""
    if few:
        monkeypatch.setattr(bands, "_BATCH_BYTES", 7 * 16 * 8)
    model = Images()
    x, y = images(count)
    with probe(model) as forward:
        layers = forward(x.numpy().astype(np.float64)).layers
        found = answer(forward, Data.of((x, y)), layers)
    model.eval()
    with torch.no_grad():
        (*activations, _, _, _), output = model.activations(x)
        values = model.activations(x)[0][3:]
    kept = [list(layer.kept) for layer in layers]
    z = np.concatenate([one.flatten(1)[:, units].numpy() for one, units in zip(activations, kept, strict=True)], axis=1)
    h = np.concatenate([one.flatten(1)[:, units].numpy() for one, units in zip(values, kept, strict=True)], axis=1)
    assert found.count == count
    assert found.values.dtype == np.float32
    assert found.values == pytest.approx(h, abs=1e-5)
    clear = abs(z) > 1e-5  # nearer to 0 rounding decides
    assert clear.mean() > 0.9
    assert np.array_equal(states(found)[clear], (z > 0)[clear])
    assert found.winners is not None
    assert found.winners.tolist() == output.argmax(dim=1).tolist()
    assert found.labels is not None
    assert found.labels.tolist() == y.tolist()
    assert found.margins is None


def test_a_network_without_classes_has_no_winners() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (9, 2))
    models: list[Any] = [linear_units((1, 0, 0)), mlp(2, 4, 3)]
    for model in models:
        if model[-1].out_features == 3:
            with torch.no_grad():
                model[-1].bias[1] = torch.nan
        seen = look(model, SQUARE, resolution=16, data=Data.of(x), margins=True)
        assert seen.answers is not None
        assert seen.answers.winners is None
        assert seen.answers.margins is None
        assert seen.answers.count == 9


def test_samples_are_not_written_to() -> None:
    """By a network in double precision that changes its input, which no copy is made of on the way."""

    class Writes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 6, 2).double()

        def forward(self, x: torch.Tensor) -> Any:
            return self.net(x.mul_(2))

    given = Data.of(np.random.default_rng(0).uniform(-1, 1, (9, 2)))
    before = given.values.copy()
    one, two = (look(Writes(), SQUARE, resolution=16, data=given).answers for _ in range(2))
    assert one is not None
    assert two is not None
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(given.values, before)


def test_fewer_samples_where_the_grid_is_coarse() -> None:
    some = Data.of((np.arange(600.0).reshape(300, 2), np.arange(300)))
    assert len(some.values) == 256
    sizes = {side: fitting(some, side) for side in (8, 32, 48, 128)}
    assert {side: None if one is None else len(one.values) for side, one in sizes.items()} == {8: 64, 32: 64, 48: 144, 128: 256}
    coarse = sizes[8]
    assert coarse is not None
    assert coarse.labels is not None
    assert np.array_equal(coarse.values[:, 0], 2 * coarse.labels)  # each kept its own
    assert (coarse.labels[0], coarse.labels[-1]) == (0, 299)
    assert fitting(None, 8) is None


# ------------------------------------------------------------------------------------------------------ what users give


@pytest.mark.parametrize(
    "given",
    [
        torch.ones(5, 2, requires_grad=True),
        np.ones((5, 2), np.float16),
        [[1.0, 1.0]] * 5,
        [torch.ones(2)] * 5,
        torch.ones(5, 2, dtype=torch.int64),
        torch.ones(5, 2, dtype=torch.bfloat16),
    ],
)
def test_inputs_of_any_kind(given: Any) -> None:
    found = Data.of(given)
    assert found.labels is None
    assert found.values.dtype == np.float64
    assert np.array_equal(found.values, np.ones((5, 2)))


@pytest.mark.parametrize(
    "labels", [[0, 1, 2], torch.tensor([0, 1, 2]), np.array([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 2]).half()]
)
def test_labels_of_any_kind(labels: Any) -> None:
    found = Data.of((torch.ones(3, 2), labels))
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2]
    assert found.labels.dtype == np.int64


def test_labels_below_zero_are_none() -> None:
    """As those that a cross-entropy ignores are."""
    found = Data.of([torch.ones(3, 2), torch.tensor([2, -100, -1])])
    assert found.labels is not None
    assert found.labels.tolist() == [2, -1, -1]
    yes_or_no = Data.of((torch.ones(3, 2), torch.tensor([True, False, True]))).labels
    assert yes_or_no is not None
    assert yes_or_no.tolist() == [1, 0, 1]


def test_two_inputs_are_no_pair() -> None:
    found = Data.of([torch.zeros(4, 3), torch.ones(4, 3)])
    assert found.labels is None
    assert found.values.shape == (2, 4, 3)
    assert Data.of((torch.zeros(2), torch.ones(2))).values.shape == (2, 2)
    assert Data.of([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]).values.shape == (2, 3)
    labels = Data.of([[[0.0, 1.0], [3.0, 4.0]], [1, 0]]).labels  # as a configuration file can say it
    assert labels is not None
    assert labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.zeros(3), "must be one or more inputs .* got float64 .3,."),
        (torch.zeros(0, 2), "got float64 .0, 2."),
        (torch.full((3, 2), torch.nan), "got NaN or infinity in it"),
        ([[1.0, 2.0], [3.0]], "got list"),
        ({"x": torch.zeros(3, 2)}, "got dict"),
        ("train", "got str"),
        (DataLoader(data()), "got DataLoader"),
        (torch.zeros(3, 2, dtype=torch.complex64), "got Tensor"),
        (torch.eye(3).to_sparse(), "got Tensor"),
        ((torch.zeros(3, 2), torch.zeros(4)), "labels must be 3 whole numbers, one an input, got float64 .4,."),
        ((torch.zeros(3, 2), torch.tensor([0.0, 0.5, 1.0])), "labels must be 3 whole numbers"),
        ((torch.zeros(3, 2), torch.tensor([0.0, torch.inf, 1.0])), "labels must be 3 whole numbers"),
        ((torch.zeros(3, 2), torch.zeros(3, 5)), "labels must be 3 whole numbers, one an input, got float64 .3, 5."),
        ((torch.zeros(3, 2), ["a", "b", "c"]), "labels must be 3 whole numbers, one an input, got list"),
    ],
)
def test_wrong_data_are_one_clear_error(given: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"`data`.*{words}"):
        Recorder(tmp_path, data=given)


@pytest.mark.parametrize("plane", [SQUARE, None])
def test_data_of_another_shape_are_one_clear_error(pl: Any, tmp_path: Path, plane: Any) -> None:
    """Also where the slice is found from the batch, which may go into the model in several ways."""
    wrong = torch.zeros(4, 3)
    with pytest.raises(ValueError, match=r"^`data` must be inputs of the shape that the slice has, \(2,\), got \(3,\)\.$"):
        fit(pl, tmp_path, callback_of(pl, slice=plane, data=wrong))
    model = mlp(2, 4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        pytest.raises(ValueError, match=r"^`data` must be inputs of the shape that the slice has"),
        watch(model, optimizer, slice=plane, directory=tmp_path / "watch", data=wrong, **SMALL),
    ):
        model(torch.rand(5, 2)).sum().backward()
        optimizer.step()


def test_a_whole_data_set_is_not_held() -> None:
    found = Data.of(np.zeros((100_000, 2), np.float32))
    assert found.values.nbytes == 256 * 2 * 8
    assert found.values.base is None or found.values.base.nbytes == found.values.nbytes
    large = Data.of(np.zeros((40, 2**18), np.uint8))  # 2 megabytes each in double precision
    assert len(large.values) == 16


# ----------------------------------------------------------------------------------------------------- where they are from


def run(tmp_path: Path, model: nn.Module, *batches: torch.Tensor, keeps: Any = None, **options: Any) -> Any:
    """Train under `watch` on these batches, one a step; return what the metric was given."""
    keeps = keeps or Keeps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with watch(model, optimizer, directory=tmp_path, every_n_steps=1, metrics=[keeps], **{**SMALL, **options}) as recorder:
        for batch in batches:
            optimizer.zero_grad()
            out = model(batch)
            out.square().mean().backward()
            optimizer.step()
    keeps.recorder = recorder
    return keeps


def inputs_of(answers: Answers) -> Floats:
    """Return the inputs (n, 2) of a network whose first units are x + 1 and y + 1, which are on for all of them."""
    return np.asarray(answers.values[:, :2] - 1)


SEES = ((1.0, 0.0, 1.0), (0.0, 1.0, 1.0))


def frozen_units() -> Any:
    model = linear_units(*SEES)
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    return model


def test_watch_takes_those_of_the_first_call(tmp_path: Path) -> None:
    first, second = torch.rand(40, 2), torch.rand(40, 2)
    found = run(tmp_path, frozen_units(), first, second, second).answers()
    assert len(found) == 4
    for one in found:
        assert inputs_of(one) == pytest.approx(first.numpy(), abs=1e-6)
        assert one.labels is None


@pytest.mark.parametrize("plane", [SQUARE, None])
def test_watch_takes_those_that_it_is_given(tmp_path: Path, plane: Any) -> None:
    mine, classes = torch.rand(30, 2), torch.randint(0, 2, (30,))
    for number, given in enumerate([mine, (mine, classes)]):
        found = run(tmp_path / str(number), frozen_units(), torch.rand(8, 2), slice=plane, data=given).answers()
        for one in found:
            assert inputs_of(one) == pytest.approx(mine.numpy(), abs=1e-6)
            assert (one.labels is None) == (number == 0)


def test_watch_with_a_slice_and_no_data_has_no_answers(tmp_path: Path) -> None:
    keeps = Keeps("data", "margins")
    assert run(tmp_path, mlp(2, 5, 2), torch.rand(8, 2), slice=SQUARE, keeps=keeps).seen == [None, None]
    assert keeps.recorder.steps == [0, 1]
    assert run(tmp_path / "default", mlp(2, 5, 2), torch.rand(8, 2), slice=SQUARE, keeps=metrics.copycats).recorder.steps == [0, 1]


def test_metrics_that_need_none_are_given_none(tmp_path: Path) -> None:
    keeps = Keeps("window")
    assert run(tmp_path, mlp(2, 5, 2), torch.rand(8, 2), keeps=keeps, data=torch.rand(8, 2)).seen == [None, None]


@pytest.mark.parametrize("rows", [1, 2])
def test_a_small_batch(pl: Any, tmp_path: Path, rows: int) -> None:
    """All of a plain data set are read where a batch is small; of another, the batch is all there is."""

    class Hidden(Dataset[Any]):
        def __len__(self) -> int:
            return 64

        def __getitem__(self, place: int) -> Any:
            return data()[place]

    points, labels = data().tensors
    for number, dataset in enumerate([data(), Hidden()]):
        keeps = Keeps("data", "margins")
        fit(
            pl,
            tmp_path / str(number),
            callback_of(pl, metrics=[keeps, *metrics.default()], slice=SQUARE),
            module_of(pl, frozen_net()),
            DataLoader(dataset, batch_size=rows),
            max_steps=2,
        )
        count = rows if number else 64
        for one in keeps.answers():
            assert inputs_of(one) == pytest.approx(points[:count].numpy(), abs=1e-6)
            assert one.labels is not None
            assert one.labels.tolist() == labels[:count].tolist()
            assert one.margins is not None
            assert len(one.margins) == (rows if number else 16)


def frozen_net() -> Any:
    return nn.Sequential(*frozen_units()[:2], nn.Linear(2, 2))


def test_a_data_set_of_dicts(pl: Any, tmp_path: Path) -> None:
    points, labels = data().tensors
    items: Any = [{"x": x, "name": "a", "y": y} for x, y in zip(points, labels, strict=True)]

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        return nn.functional.cross_entropy(self(batch["x"]), batch["y"])

    keeps = Keeps()
    module = module_of(pl, frozen_net(), training_step=training_step)
    fit(pl, tmp_path, callback_of(pl, metrics=[keeps]), module, DataLoader(items, batch_size=16), max_steps=2)
    for one in keeps.answers():
        assert inputs_of(one) == pytest.approx(points.numpy(), abs=1e-6)
        assert one.labels is not None
        assert one.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("heard", [False, True])
def test_images_in_a_fit(pl: Any, tmp_path: Path, heard: bool) -> None:
    """Shuffled, so that a batch is none of the data set's first; also where the training step tells how the model is called."""
    x, y = images(48)
    keeps = Keeps("data", "margins")
    options: dict[str, Any] = {}
    if heard:

        def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        options["training_step"] = training_step
    module = module_of(pl, Images(), **options)
    if heard:
        type(module).forward = pl.LightningModule.forward
    torch.manual_seed(3)
    fit(
        pl,
        tmp_path,
        callback_of(pl, metrics=[keeps, *metrics.default()], every_n_steps=1, engine="grid"),
        module,
        DataLoader(TensorDataset(x, y), batch_size=12, shuffle=True),
        max_steps=2,
    )
    found = keeps.answers()
    assert len(found) == 3
    known = found[0].labels if heard else y  # what a shuffled batch has is not known here, but that it stays the same
    assert known is not None
    for one, now in zip(found, keeps.captures, strict=True):
        assert one.count == (12 if heard else 48)
        assert one.values.shape[1] == len(now.on) == len(one.on)
        assert one.winners is not None
        assert set(one.winners.tolist()) <= {0, 1, 2}
        assert one.labels is not None
        assert one.labels.tolist() == known.tolist()


def test_samples_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    batch = torch.rand(9, 2)
    rows = batch.clone()
    rows[2, 0], rows[5, 1] = torch.nan, torch.inf
    keeps = Keeps()
    recorder = Recorder(tmp_path, inputs=rows, resolution=16, metrics=[keeps])
    recorder.record(frozen_units(), 0)
    recorder.close()
    (one,) = keeps.answers()
    assert inputs_of(one) == pytest.approx(batch[[0, 1, 3, 4, 6, 7, 8]].numpy(), abs=1e-6)
    assert Data.of_batch(np.full((3, 2), np.nan), None) is None
    labelled = Data.of_batch(rows.numpy(), np.arange(9))
    assert labelled is not None
    assert labelled.labels is not None
    assert labelled.labels.tolist() == [0, 1, 3, 4, 6, 7, 8]


# ---------------------------------------------------------------------------------------------------- training is the same


def trained(directory: Path, *, watched: bool, **options: Any) -> Any:
    """Return losses and complete state of a small training of the convolutional network."""
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    model = Images()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []

    def loop() -> None:
        for step in range(3):
            x, y = images(8, step)
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    if watched:
        with watch(model, optimizer, directory=directory, every_n_steps=1, engine="grid", **SMALL, **options) as recorder:
            loop()
        assert recorder.steps == list(range(4))
    else:
        loop()
    return losses, everything(model, optimizer)


@pytest.mark.parametrize(
    "options", [{}, {"data": images(20, 99)}, {"data": images(20, 99)[0], "mode": "as_is"}], ids=["heard", "given", "as it is"]
)
@pytest.mark.filterwarnings("ignore:.*batch-norm takes its statistics")
def test_training_is_the_same_bit_for_bit(tmp_path: Path, options: dict[str, Any]) -> None:
    keeps = Keeps("data", "margins")
    losses, state = trained(tmp_path, watched=True, metrics=[*metrics.default(), keeps], **options)
    expected, bare = trained(tmp_path, watched=False)
    assert losses == expected
    assert differing(state, bare) == []
    assert {one.count for one in keeps.answers()} == {20 if options else 8}


# ------------------------------------------------------------------------------------------------------------ what fails


class Fails(nn.Module):
    """Fails on large inputs, which the slice has none of."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 5, 2)

    def forward(self, x: torch.Tensor) -> Any:
        if float(x.abs().max()) > 50:
            raise ZeroDivisionError("too large for me")
        return self.net(x)


def test_a_pass_that_fails_drops_the_answers_with_one_warning(tmp_path: Path) -> None:
    keeps = Keeps("data", "margins")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(tmp_path, Fails(), *[torch.rand(8, 2)] * 3, keeps=keeps, slice=SQUARE, data=torch.full((5, 2), 100.0))
    words = [str(one.message) for one in caught if issubclass(one.category, BoundaryWarning)]
    assert keeps.seen == [None] * 4
    (word,) = [word for word in words if "samples of the data" in word]
    assert word.startswith("step 0: samples of the data are left out, since their pass failed (")
    assert "ZeroDivisionError" in word
    assert "too large for me" in word
    assert keeps.recorder.steps == [0, 1, 2, 3]


class TwoWays(nn.Module):
    """Has another layer for large inputs, which the slice has none of."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(2, 4), nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> Any:
        return self.out((self.one if float(x.abs().max()) < 2 else self.two)(x).relu())


def test_samples_that_go_another_way_through_the_model_are_left_out() -> None:
    seen = look(TwoWays(), SQUARE, resolution=16, data=Data.of(torch.full((5, 2), 9.0)))
    assert seen.answers is None
    assert any("the model calls other activations for them than on the slice" in note for note in seen.notes)
    assert look(TwoWays(), SQUARE, resolution=16, data=Data.of(torch.ones(5, 2))).answers is not None


def test_samples_of_which_some_go_another_way_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "_BATCH_BYTES", 4 * 2 * 8)

    rows = torch.ones(12, 2)
    rows[8:] = 9
    seen = look(TwoWays(), SQUARE, resolution=16, data=Data.of(rows))
    assert seen.answers is None
    assert any("other activations for some of them than for others" in note for note in seen.notes)


# ------------------------------------------------------------------------------------------------- models of several inputs


class Two(nn.Module):
    """Takes two inputs; the second switches its units on, sample by sample."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.net, self.emb = mlp(3, 6, classes), nn.Embedding(50, 3)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> Any:
        return self.net(x + (t if t.is_floating_point() else self.emb(t)))


def seconds(kind: str, count: int) -> torch.Tensor:
    return torch.randn(count, 3) * 3 if kind == "real" else torch.randint(0, 50, (count,))


def two_run(tmp_path: Path, model: nn.Module, *calls: Any, keeps: Any = None, before: Any = None, **options: Any) -> Any:
    """Train under `watch` on calls of several arguments; return what the metric was given, and what was said."""
    keeps = keeps or Keeps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with watch(model, optimizer, directory=tmp_path, every_n_steps=1, metrics=[keeps], **{**SMALL, **options}) as recorder:
            if before is not None:
                recorder.load_state_dict(before)
            for call in calls:
                model(*call).square().mean().backward()
                optimizer.step()
    keeps.recorder = recorder
    return keeps, [str(one.message) for one in caught if issubclass(one.category, BoundaryWarning)]


def assert_own_rows(model: Any, answers: list[Answers], x: torch.Tensor, t: torch.Tensor) -> None:
    with torch.no_grad():
        z = model.net[0](x + (t if t.is_floating_point() else model.emb(t)))
        winners = model(x, t).argmax(dim=1)
    for one in answers:
        assert one.count == len(x)
        clear = abs(z.numpy()) > 1e-5
        assert np.array_equal(states(one)[clear], (z.numpy() > 0)[clear])
        assert one.values == pytest.approx(z.relu().numpy(), abs=1e-5)
        assert one.winners is not None
        assert one.winners.tolist() == winners.tolist()


@pytest.mark.parametrize("kind", ["real", "whole"])
@pytest.mark.parametrize("count", [20, 6])
@pytest.mark.parametrize("few", [False, True])
def test_samples_have_inputs_of_their_own_beside_what_varies(
    tmp_path: Path, kind: str, count: int, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else units would be told to be on for none of the data that are on for many; 6 and 3 are axes of the network too."""
    if few:
        monkeypatch.setattr(bands, "_BATCH_BYTES", 7 * 6 * 8)
        monkeypatch.setattr(bands, "_LEAST_BATCH", 1)
    ways: list[dict[str, Any]] = [{}, {"slice": slices.random(np.ones(3))}, {"mode": "as_is"}]
    for number, options in enumerate(ways):
        model, x, t = Two(), torch.randn(count, 3), seconds(kind, count)
        keeps, words = two_run(tmp_path / str(number), model, (x, t), **options)
        assert_own_rows(model, keeps.answers(), x, t)
        assert not [word for word in words if "held at one sample" in word]


def test_samples_in_double_precision_have_theirs_in_it(tmp_path: Path) -> None:
    model, x, t = Two().double(), torch.randn(20, 3), torch.randn(20, 3)
    keeps, _ = two_run(tmp_path, model, (x.double(), t.double()))
    assert_own_rows(model, keeps.answers(), x.double(), t.double())


def test_what_a_module_gives_varies_with_the_rest_of_its_sample(tmp_path: Path) -> None:
    """Here the second input, and the ids that the embedding was called with, which a mask may be made of."""
    model, x, t = Two(), torch.randn(20, 3), torch.randint(0, 50, (20,))
    keeps, _ = two_run(tmp_path, model, (x, t), vary="emb")
    assert_own_rows(model, keeps.answers(), x, t)


def test_margins_keep_to_what_goes_in_beside_a_sample(tmp_path: Path) -> None:
    """The class is the sign of x + t: from each sample to the border it is as far as that."""

    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2)
            with torch.no_grad():
                self.net[0].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
                self.net[0].bias.fill_(0)
                self.net[2].weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]))
                self.net[2].bias.fill_(0)

        def forward(self, x: torch.Tensor, t: torch.Tensor) -> Any:
            return self.net(x + t)

    x = torch.zeros(24, 2)
    x[:, 0] = torch.linspace(-4, 4, 24)
    x[:, 1] = torch.rand(24)
    t = torch.rand(24, 1) * torch.tensor([[1.0, 0.0]])
    keeps, _ = two_run(tmp_path, Sum(), (x, t), keeps=Keeps("data", "margins"))
    margins = keeps.answers()[0].margins
    start, stop = module_ends(x)
    own = t.numpy()[np.linspace(0, 23, len(margins)).round().astype(int), 0]
    here, there = start[:, 0] + own, stop[:, 0] + own
    want = np.where(np.sign(here) != np.sign(there), abs(here) / abs(there - here), np.nan) * np.linalg.norm(stop - start, axis=1)
    assert np.isfinite(want).sum() > 5
    assert margins == pytest.approx(want, abs=1e-5, nan_ok=True)


def module_ends(x: torch.Tensor) -> tuple[Floats, Floats]:
    start, stop = _ends(Data.of(x))
    return start.values, stop


def test_what_is_held_for_samples_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the samples are the user's, whose second inputs nobody knows, and where those take too much memory."""
    x, t = torch.randn(20, 3), torch.randn(20, 3)
    keeps, words = two_run(tmp_path / "a", Two(), (x, t), (x, t), data=x)
    assert len(keeps.answers()) == 3
    (said,) = [word for word in words if "held at one sample" in word]
    assert said.startswith("step 0: numbers of the data points are those with 1 held at one sample's, since ")
    monkeypatch.setattr("boundarycb.automatic.data._MOST_BESIDE", 20 * 3 * 4 - 1)
    assert len([word for word in two_run(tmp_path / "b", Two(), (x, t))[1] if "held at one sample" in word]) == 1
    monkeypatch.setattr("boundarycb.automatic.data._MOST_BESIDE", 20 * 3 * 4)
    assert not [word for word in two_run(tmp_path / "c", Two(), (x, t))[1] if "held at one sample" in word]
    # Where they do not matter, nothing is said of them.
    assert not [word for word in two_run(tmp_path / "d", Two(), (x, t), keeps=Keeps("window"), data=x)[1] if "held at" in word]


@pytest.mark.parametrize("large", [False, True])
def test_a_resumed_run_has_what_goes_in_beside_its_samples(tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that an older version wrote has nothing of it: then it is held, as it was there."""
    if large:
        monkeypatch.setattr("boundarycb.recorder._MOST_BYTES", 2**6)
    model, x, t = Two(), torch.randn(20, 3), torch.randint(0, 50, (20,))
    before, _ = two_run(tmp_path / "a", model, (x, t))
    torch.save(before.recorder.state_dict(), tmp_path / "x.pt")
    state = torch.load(tmp_path / "x.pt", weights_only=True)
    keeps, words = two_run(tmp_path / "b", model, (x + 9, t), before=state)
    assert_own_rows(model, keeps.answers(), x, t)
    assert words == []
    if not large:
        del state["view"]["data"]["beside"]
        keeps, words = two_run(tmp_path / "c", model, (x + 9, t), before=state)
        assert_own_rows(model, keeps.answers(), x, t[:1].expand(20))
        assert len([word for word in words if "held at one sample" in word]) == 1


# ----------------------------------------------------------------------------------------------------------- a resumed run


def resumed(tmp_path: Path, first: dict[str, Any], second: dict[str, Any], batches: Any) -> tuple[Any, Any, list[str]]:
    """Train twice, the second time from the state of the first; return what the metric was given, and what was said."""
    before = run(tmp_path / "a", frozen_units(), batches[0], **first)
    torch.save(before.recorder.state_dict(), tmp_path / "x.pt")
    after = Keeps()
    model = frozen_units()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = {**SMALL, "every_n_steps": 1, "metrics": [after], **second}
        with watch(model, optimizer, directory=tmp_path / "b", **options) as recorder:
            recorder.load_state_dict(torch.load(tmp_path / "x.pt", weights_only=True))
            model(batches[1]).sum().backward()
            optimizer.step()
    return before, after, [str(one.message) for one in caught if issubclass(one.category, BoundaryWarning)]


A, B = torch.rand(20, 2), torch.rand(20, 2)


def test_a_resumed_run_has_the_same_samples(tmp_path: Path) -> None:
    """Those of the first batch that the run ever saw."""
    _, after, words = resumed(tmp_path, {}, {}, (A, B))
    for one in after.answers():
        assert inputs_of(one) == pytest.approx(A.numpy(), abs=1e-6)
    assert words == []


def test_a_resumed_run_keeps_to_what_it_was_given(tmp_path: Path) -> None:
    labels = torch.arange(20)
    _, after, words = resumed(tmp_path, {"data": (A, labels), "slice": SQUARE}, {"data": (A, labels), "slice": SQUARE}, (B, B))
    assert words == []
    for one in after.answers():
        assert inputs_of(one) == pytest.approx(A.numpy(), abs=1e-6)
        assert one.labels is not None
        assert one.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("other", [B, (A, torch.zeros(20))])
def test_other_data_give_way_to_those_of_the_run(tmp_path: Path, other: Any) -> None:
    _, after, words = resumed(tmp_path, {"data": A, "slice": SQUARE}, {"data": other, "slice": SQUARE}, (B, B))
    assert [word.split(" is that of the run")[0] for word in words] == ["`data`"]
    for one in after.answers():
        assert inputs_of(one) == pytest.approx(A.numpy(), abs=1e-6)
        assert one.labels is None


def test_data_that_the_run_did_not_have_are_taken(tmp_path: Path) -> None:
    before, after, words = resumed(tmp_path, {"slice": SQUARE}, {"data": B, "slice": SQUARE}, (A, A))
    assert before.seen == [None, None]
    assert words == []
    for one in after.answers():
        assert inputs_of(one) == pytest.approx(B.numpy(), abs=1e-6)


@pytest.mark.parametrize("large", [False, True])
def test_a_resumed_fit_has_the_same_samples(pl: Any, tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set is another one now; large samples are beside the history, and not in each checkpoint."""
    if large:
        monkeypatch.setattr("boundarycb.recorder._MOST_BYTES", 2**10)
    x, y = images(60)

    def fitted(where: str, keeps: Keeps, points: torch.Tensor, ckpt_path: Path | None = None, steps: int = 2) -> Any:
        callback = callback_of(pl, metrics=[keeps], every_n_steps=1, engine="grid")
        trainer = trainer_of(pl, tmp_path / where, callback, max_steps=steps)
        trainer.fit(module_of(pl, Images()), DataLoader(TensorDataset(points, y), batch_size=20), ckpt_path=ckpt_path)
        return trainer, callback

    first, second = Keeps(), Keeps()
    trainer, callback = fitted("a", first, x)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert (callback.recorder.directory / "place.pt").exists() == large
    _, again = fitted("b", second, 1 - x, ckpt_path=tmp_path / "x.ckpt", steps=4)
    assert again.recorder.steps == [0, 1, 2, 3, 4]
    (*_, last), (more, *_) = first.answers(), second.answers()
    kept = again.recorder._view._settled.data
    assert np.array_equal(kept.values.astype(np.float32), x.numpy())
    assert kept.labels.tolist() == y.tolist()
    assert more.count == last.count == 60
