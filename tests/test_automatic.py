"""Where and how to look, found out from a training batch: calls, what varies, the slice, the cost."""

from __future__ import annotations

import gc
import random
import warnings
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models import mlp
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torch.utils.flop_counter import FlopCounterMode
from zoo import Hamiltonian

import boundarycb
from boundarycb import BoundaryCallback, Recorder, load, slices, watch
from boundarycb.automatic import Asked, Example, Given, Listener, ModelCall, Settled, Source, Work, plan, settle
from boundarycb.automatic.calls import calls_of
from boundarycb.automatic.hushed import hushed
from boundarycb.probe import Conditions, Prober, feed_in, feed_out, most_flops, probe
from boundarycb.warning import BoundaryWarning

Pair = namedtuple("Pair", "features target")


@dataclass
class Graph:
    x: torch.Tensor
    y: torch.Tensor


class Net(nn.Module):
    """A model whose forward is a function of it and its arguments."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.call = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.call(self, *args, **kwargs)


def rows(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def settled(model: nn.Module, batch: Any = None, **given: Any) -> Settled:
    return settle(model, Conditions(), Given(**given), None if batch is None else Example(batch))


def inputs_seen(found: Settled, model: nn.Module, *names: str) -> dict[str, torch.Tensor]:
    """Return what `model`'s forward gets for three points of the slice."""
    seen: dict[str, torch.Tensor] = {}

    def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.update(zip(names, args, strict=False))
        seen.update(kwargs)

    handle = model.register_forward_pre_hook(keep, with_kwargs=True)
    with probe(model, Conditions(feed=found.conditions.feed, run_hooks=True)) as forward:
        forward(found.slice.lift(np.array([[0.0, 0], [1, 0], [0, 1]])))
    handle.remove()
    return seen


# ---------------------------------------------------------------------------------------------------------------- calls


class Signature(nn.Module):
    def forward(self, x: Any, mask: Any = None, *, scale: float = 1.0) -> Any: ...


class TwoNeeded(nn.Module):
    def forward(self, x: Any, t: Any) -> Any: ...


class Named(nn.Module):
    def forward(self, pixel_values: Any, labels: Any = None) -> Any: ...


class AnyNamed(nn.Module):
    def forward(self, **batch: Any) -> Any: ...


A, B, C = torch.zeros(4, 2), torch.zeros(4, 3), torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize(
    ("model", "batch", "first"),
    [
        (Signature(), A, "(float32 [4, 2])"),
        (Signature(), [A, C], "(float32 [4, 2])"),
        (TwoNeeded(), [A, B, C], "(float32 [4, 2], float32 [4, 3])"),
        (Signature(), ((A, B), C), "(float32 [4, 2])"),
        (TwoNeeded(), ((A, B), C), "(float32 [4, 2], float32 [4, 3])"),
        (Signature(), {"x": A, "y": C}, "(x=float32 [4, 2])"),
        (Signature(), {"x": A, "mask": B, "name": ["a"] * 4}, "(x=float32 [4, 2], mask=float32 [4, 3])"),
        (Signature(), {"image": A, "label": C}, "(float32 [4, 2])"),
        (TwoNeeded(), {"x": A, "other": B}, "(float32 [4, 2], float32 [4, 3])"),
        (Signature(), {"label": C, "image": A}, "(float32 [4, 2])"),
        (Named(), {"pixel_values": A, "labels": C}, "(pixel_values=float32 [4, 2])"),
        (AnyNamed(), {"pixel_values": A, "labels": C}, "(pixel_values=float32 [4, 2])"),
        (Signature(), Pair(A, C), "(float32 [4, 2])"),
        (Signature(), Graph(A, C), "(x=float32 [4, 2])"),
    ],
)
def test_the_likeliest_call_comes_first(model: nn.Module, batch: Any, first: str) -> None:
    calls = [str(call) for call in calls_of(model, batch)]
    assert calls[0] == first
    assert len(calls) == len(set(calls))


def test_a_batch_without_a_tensor_has_no_call() -> None:
    assert calls_of(Signature(), ["a", "b"]) == []
    with pytest.raises(Asked, match="`inputs` is needed, since the training batch has no tensor"):
        settled(mlp(5, 4, 2), ["a", "b"])


# ------------------------------------------------------------------------------------------------------- what goes in


def test_batches_of_every_kind_go_into_models_that_take_them() -> None:
    x, y = rows(8, 5), torch.arange(8) % 3
    net = mlp(5, 4, 3)
    takes_batch = Net(lambda m, batch: m.net(batch["x"]), net=net)
    takes_object = Net(lambda m, graph: m.net(graph.x), net=net)
    takes_pair = Net(lambda m, batch: m.net(batch[0]) + 0 * batch[1][:, None], net=net)
    for model, batch in (
        (net, x),
        (net, (x, y)),
        (net, [x, y]),
        (net, {"x": x, "y": y}),
        (net, Pair(x, y)),
        (net, Graph(x, y)),
        (net, ((x,), y)),
        (takes_batch, {"x": x, "y": y}),
        (takes_object, Graph(x, y)),
        (takes_pair, [x, y]),
    ):
        found = settled(model, batch)
        assert found.rows == 8
        assert np.allclose(found.slice.lift(found.slice.anchors), x[:3], atol=1e-6)
        with probe(model, found.conditions) as forward:
            reading = forward(found.slice.lift(found.slice.anchors))
        want = net[0](x[:3]).detach().numpy()
        assert np.allclose(reading.parts[0], want, atol=1e-5)


def test_what_does_not_vary_is_held_at_the_first_samples_row() -> None:
    model = Net(lambda m, x, t, *, mask: m.net(x * mask + m.emb(t)), net=mlp(5, 4, 2), emb=nn.Embedding(9, 5))
    x, t, mask = rows(6, 5), torch.arange(6), torch.ones(5)
    found = settle(model, Conditions(), Given(inputs={"x": x, "t": t, "mask": mask}), None)
    seen = inputs_seen(found, model)
    assert seen["t"].tolist() == [0] * len(seen["t"])
    assert torch.equal(seen["mask"], mask)
    assert torch.allclose(seen["x"][:3].double(), torch.tensor(found.slice.lift(np.array([[0.0, 0], [1, 0], [0, 1]]))), atol=1e-6)
    assert found.slice.held == "x varies, with t as in a"
    assert found.slice.module == ""
    # With the anchors' plane through other rows, everything is held at the first of those.
    found = settle(model, Conditions(), Given(inputs={"x": x, "t": t, "mask": mask}, slice=(4, 1, 2)), None)
    assert inputs_seen(found, model)["t"][0].item() == 4
    assert np.allclose(found.slice.origin, x[4])
    # Of the batch one row is kept for the run, and a tensor as long as one row is no batch.
    kept = found.conditions.feed.kwargs
    assert [tuple(kept[name].shape) for name in ("x", "t", "mask")] == [(1, 5), (1,), (5,)]


def test_a_model_may_write_to_what_it_is_given() -> None:
    def forward(m: Any, x: torch.Tensor, bias: torch.Tensor) -> Any:
        bias += 1
        return m.net(x + bias[:, :5])

    model, bias = Net(forward, net=mlp(5, 4, 2)), torch.zeros(6, 5)
    found = settle(model, Conditions(), Given(inputs=(rows(6, 5), bias)), None)
    for _ in range(2):
        assert inputs_seen(found, model, "x", "bias")["bias"].unique().tolist() == [1]
    assert bias.unique().tolist() == [0]


def test_vary_names_a_tensor_of_the_call_or_a_module() -> None:
    def forward(m: Any, x: torch.Tensor, ids: torch.Tensor) -> Any:
        return m.net(x + m.emb(ids).sum(dim=1))

    model: Any = Net(forward, net=mlp(5, 4, 2), emb=nn.Embedding(9, 5))
    example = {"x": rows(6, 5), "ids": torch.arange(12).reshape(6, 2) % 9}
    found = settled(model, inputs=example, vary="emb")
    assert found.slice.input_shape == (2, 5)
    anchors = found.slice.lift(found.slice.anchors)
    assert np.allclose(anchors, model.emb(example["ids"][:3]).detach(), atol=1e-6)
    with probe(model, found.conditions) as run:
        z = run(anchors).parts[0]
    held = example["x"][:1].expand(3, 5) + model.emb(example["ids"][:3]).sum(dim=1)
    assert np.allclose(z, model.net[0](held).detach(), atol=1e-5)
    assert settled(model, inputs=example, vary="x").slice.input_shape == (5,)
    for vary, words in (
        ("ids", "`vary` names 'ids', which is no batch of real numbers .int64 of shape"),
        ("embed", r"`vary` must name a tensor of the call \('x', 'ids'\) or a module: Net has no module 'embed'; it has net"),
    ):
        with pytest.raises(ValueError, match=words):
            settled(model, inputs=example, vary=vary)


class Columns(nn.Module):
    """Numbers and whole numbers, by their places."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.net = nn.Embedding(5, 4), mlp(10, 8, 2)

    def forward(self, num: torch.Tensor, cat: torch.Tensor, *others: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        out: torch.Tensor = self.net(torch.cat([num * scale, self.emb(cat), *others], dim=1))
        return out


def test_an_argument_given_by_place_may_be_named_as_the_forward_pass_names_it() -> None:
    model, inputs = Columns(), (rows(8, 6), torch.arange(8) % 5)
    assert settled(model, inputs=inputs, vary="num").conditions.feed.place == (0,)
    with pytest.raises(
        ValueError, match=r"must name a tensor of the call \('num', 'cat'\) or a module: Columns has no module 'scale'"
    ):
        settled(model, inputs=inputs, vary="scale")
    assert settled(model, inputs=inputs, vary="emb").conditions.feed.module == "emb"
    model.num = nn.Identity()
    with pytest.raises(ValueError, match="`vary` names the module 'num', which is not called"):  # a module's path goes first
        settled(model, inputs=inputs, vary="num")
    third = settle(model, Conditions(), Given(inputs=(rows(8, 3), inputs[1], rows(8, 3, seed=1)), vary="2"), None)
    assert third.conditions.feed.place == (2,)


def test_a_module_that_is_not_called_cannot_vary() -> None:
    model = Net(lambda m, x: m.net(x), net=mlp(5, 4, 2), idle=nn.Linear(2, 2))
    with pytest.raises(ValueError, match="`vary` names the module 'idle', which is not called when the model runs"):
        settled(model, rows(6, 5), vary="idle")


def test_token_ids_ask_for_the_module_whose_output_varies() -> None:
    model = Net(lambda m, ids: m.net(m.emb(ids).mean(dim=1)), emb=nn.Embedding(9, 5), net=mlp(5, 4, 2))
    ids = torch.arange(24).reshape(6, 4) % 9
    with pytest.raises(Asked, match=r"`vary` is needed, since Net is called with int64 of shape \(6, 4\), .*such as vary='emb'"):
        settled(model, [ids, torch.zeros(6, dtype=torch.long)])
    assert settled(model, [ids, torch.zeros(6, dtype=torch.long)], vary="emb").slice.input_shape == (4, 5)


def test_a_module_may_give_other_rows_than_the_call_has() -> None:
    """The bags of all texts' words in a line, and where each text begins; numbers of each text go along."""
    model: Any = Net(
        lambda m, words, begins, more: m.net(torch.cat([m.bag(words, begins), more], dim=1)),
        bag=nn.EmbeddingBag(9, 5),
        net=mlp(7, 4, 2),
    )
    words, begins, more = torch.arange(40) % 9, torch.arange(0, 40, 5), rows(8, 2)
    with pytest.raises(Asked, match="such as vary='bag'"):
        settled(model, inputs=(words, begins))
    found = settled(model, inputs=(words, begins, more), vary="bag")
    bags = model.bag(words, begins).detach()
    anchors = found.slice.lift(found.slice.anchors)
    assert np.allclose(anchors, bags[:3], atol=1e-6)
    assert found.slice.held == "what bag gives varies, with argument 2 as in a"
    assert found.slice.module == "bag"
    with probe(model, found.conditions) as run:
        z = run(anchors).parts[0]
    assert np.allclose(z, model.net[0](torch.cat([bags[:3], more[:1].expand(3, 2)], dim=1)).detach(), atol=1e-5)


def test_of_samples_on_a_line_it_is_said_that_they_are() -> None:
    """What a linear layer makes of single numbers lies on a line, but for rounding."""
    model = mlp(1, 8, 6, 1)
    assert settled(model, rows(12, 1), vary="0").slice.names == ("along a to b", "across; a, b and c lie on one line")
    assert settled(model, rows(12, 1), vary="2").slice.names == ("along a to b", "across, towards c")


def test_bags_go_on_from_a_checkpoint_and_hold_what_is_no_row(tmp_path: Path) -> None:
    """A number of no axis is one; how rows go in is in the state, of plain values."""
    model: Any = Net(
        lambda m, words, begins, scale: m.net(scale * m.bag(words, begins)), bag=nn.EmbeddingBag(9, 5), net=mlp(5, 4, 2)
    )
    call = (torch.arange(40) % 9, torch.arange(0, 40, 5), torch.tensor(2.0))
    found = settled(model, inputs=call, vary="bag")
    assert found.slice.held == "what bag gives varies"  # words and offsets are not those of one sample
    feed = found.conditions.feed
    torch.save(feed_out(feed), tmp_path / "feed.pt")
    again = feed_in(torch.load(tmp_path / "feed.pt", weights_only=True))
    assert again is not None
    points = rows(3, 5)
    assert torch.equal(again(model, points), model.net(2 * points))
    assert torch.equal(again(model, points), feed(model, points))


def test_torchs_warnings_of_guesses_that_fail_are_not_shown() -> None:
    """A batch is a mapping, and a tensor alone is tried too: that has no such index, of which torch warns first."""
    model = Net(lambda m, batch: m.net(batch["x"]), net=mlp(5, 4, 2))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert settled(model, {"x": rows(6, 5), "y": torch.zeros(6, dtype=torch.long)}).slice.input_shape == (5,)
    assert [str(one.message) for one in heard] == []


def test_warnings_of_a_guess_that_works_and_ours_are_shown() -> None:
    def ours(words: str) -> None:
        warnings.warn_explicit(words, UserWarning, boundarycb.__file__, 1)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with hushed():
            ours("of one that works")
        with pytest.raises(ValueError, match="fails"), hushed():
            ours("of one that fails")
            warnings.warn_explicit("of ours", BoundaryWarning, boundarycb.__file__, 1)
            warnings.warn("of the user's", stacklevel=1)
            raise ValueError("fails")
    assert [str(one.message) for one in heard] == ["of one that works", "of ours", "of the user's"]


def test_a_module_whose_rows_are_no_samples_cannot_vary() -> None:
    model = Net(lambda m, x: m.net(x + m.places(torch.arange(7))), places=nn.Embedding(7, 5), net=mlp(5, 4, 2))
    with pytest.raises(ValueError, match="`vary` names the module 'places', which gives 7 rows where the call has 6. With another"):
        settled(model, rows(6, 7, 5), vary="places")


def test_a_function_of_the_users_runs_the_model() -> None:
    model = Net(lambda m, x: NotImplemented, encoder=mlp(5, 4, 3), decoder=mlp(3, 4, 5))
    found = settled(model, rows(6, 5), forward=lambda m, x: m.decoder(m.encoder(x)))
    with probe(model, found.conditions) as forward:
        reading = forward(found.slice.lift(found.slice.anchors))
    assert [layer.name for layer in reading.layers] == ["encoder.0", "decoder.0"]
    assert reading.output is not None
    assert reading.output.shape == (3, 5)


def test_what_cannot_be_guessed_is_asked_for_with_what_was_tried() -> None:
    model = Net(lambda m, x, *, t: m.net(x + t), net=mlp(5, 4, 2))
    with pytest.raises(
        ValueError, match=r"could not be guessed: give `forward`.*or `inputs`.*Tried Net\(float32 \[6, 5\]\): TypeError"
    ):
        settled(model, [rows(6, 5), torch.zeros(6, dtype=torch.long)])


def test_a_slice_of_the_users_is_taken_whatever_the_batches_are() -> None:
    plane = slices.box((-1, 1), (-1, 1))
    found = settled(mlp(2, 4, 2), ["text"], slice=plane)
    assert found.slice is plane
    assert settle(mlp(2, 4, 2), Conditions(), Given(plane), None).rows == 0
    found = settled(Net(lambda m, x, t: m.net(x + t), net=mlp(2, 4, 2)), (rows(6, 2), torch.ones(6, 2)), slice=plane)
    assert found.conditions.feed.place == (0,)
    with pytest.raises(Asked, match="`slice` cannot be guessed without training data"):
        settle(mlp(2, 4, 2), Conditions(), Given(), None)


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"forward": 3}, TypeError, "`forward` must be a function"),
        ({"vary": 1.5}, TypeError, "`vary` must be the name or place"),
        ({"vary": "x", "forward": print}, ValueError, "Give `forward` or `vary`, not both"),
        ({"class_names": "abc"}, TypeError, "`class_names` must be a list of words"),
        ({"class_names": [1, 2]}, TypeError, "`class_names` must be a list of words"),
        ({"slice": ((-1, 1), (-1, 1, 1))}, TypeError, "`slice` must be made by boundarycb.slices.*got tuple"),
        ({"slice": 5}, TypeError, "`slice` must be made by boundarycb.slices.*got int"),
    ],
)
def test_wrong_arguments_are_named(given: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        Given(**given)


# -------------------------------------------------------------------------------------------------------------- slices


def test_two_inputs_give_the_box_of_the_data() -> None:
    x = rows(20, 2)
    assert settled(mlp(2, 4, 2), (x, torch.zeros(20))).slice.bounds == slices.around(x.numpy()).bounds


def test_the_three_samples_are_of_different_classes_with_their_names() -> None:
    x, y = rows(9, 5), torch.tensor([1, 1, 1, 0, 0, 2, 2, 0, 1])
    found = settled(mlp(5, 4, 3), (x, y), class_names=["cat", "dog", "owl"])
    assert found.slice.anchor_names == ("dog", "cat", "owl")
    assert np.allclose(found.slice.lift(found.slice.anchors), x[[0, 3, 5]], atol=1e-6)
    assert settled(mlp(5, 4, 3), (x, y)).slice.anchor_names == ("class 1", "class 0", "class 2")
    assert settled(mlp(5, 4, 3), (x, y.double())).slice.anchor_names == ()
    two = settled(mlp(5, 4, 2), (x, torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0])))
    assert two.slice.anchor_names == ("class 1", "class 0", "class 1")
    assert settled(mlp(5, 4, 3), (x, torch.full_like(y, -100))).slice.anchor_names == ()
    one = settled(mlp(5, 4, 3), (x, torch.where(y == 2, 2, -100)))
    assert one.slice.anchor_names == ("class 2", "no class", "no class")


def test_equal_and_collinear_samples_are_passed_over() -> None:
    x = torch.tensor([[0.0, 0, 0], [0, 0, 0], [1, 1, 1], [2, 2, 2], [float("nan"), 0, 1], [0, 1, 0]])
    found = settled(mlp(3, 4, 2), x)
    assert np.allclose(found.slice.lift(found.slice.anchors), x[[0, 2, 5]], atol=1e-6)
    with pytest.raises(Asked, match="`slice` cannot be guessed: a plane needs three inputs .* and 4 had 2"):
        settled(mlp(3, 4, 2), x[:4])
    with pytest.raises(Asked, match="`slice` is 2-D, and the model's inputs are single numbers"):
        settled(mlp(1, 4, 2), rows(8, 1))


def test_images_know_where_their_channels_stay_in_range() -> None:
    x = rows(8, 3, 6, 6)
    x[:, 1] *= 0.5
    model = nn.Sequential(nn.Flatten(), mlp(108, 4, 2))
    plane = settled(model, x).slice
    assert plane.limits is not None
    inside = plane.limits.mean(axis=0) + 0.99 * (plane.limits - plane.limits.mean(axis=0))
    lifted = plane.lift(inside)
    low, high = x.amin(dim=(0, 2, 3)).numpy(), x.amax(dim=(0, 2, 3)).numpy()
    assert (lifted >= low[:, None, None] - 1e-6).all()
    assert (lifted <= high[:, None, None] + 1e-6).all()
    assert settled(mlp(5, 4, 2), rows(8, 5)).slice.limits is None


def source_of(data: Any, **options: Any) -> Any:
    return Source.of(DataLoader(data, batch_size=4, **options))


class Items(Dataset[Any]):
    """Items that are their own number; it counts how often it is asked, and draws random numbers."""

    def __init__(self, length: int = 100, width: int = 5) -> None:
        self.length, self.width, self.asked, self.first = length, width, 0, 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        self.asked += 1
        torch.rand(3)
        if index < self.first:  # the first few are alike
            index = 0
        generator = torch.Generator().manual_seed(index)
        return torch.rand(self.width, generator=generator), index % 7


def test_places_are_those_in_the_data_set() -> None:
    data = Items()
    example = Example([torch.stack([data[0][0]] * 4), torch.zeros(4, dtype=torch.long)], source=source_of(data))
    model = mlp(5, 4, 3)
    before = torch.get_rng_state()
    found = settle(model, Conditions(), Given(slice=(12, 57, 3)), example)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.allclose(found.slice.lift(found.slice.anchors), torch.stack([data[i][0] for i in (12, 57, 3)]), atol=1e-6)
    assert found.slice.anchor_names == ("class 5", "class 1", "class 3")
    with pytest.raises(Asked, match=r"`slice` names the samples \(12, 57, 3\), and the batch has 6"):
        settled(mlp(5, 4, 3), inputs=rows(6, 5), slice=(12, 57, 3))
    with pytest.raises(Asked, match="`slice` names samples by their places, .* give the samples themselves"):
        settled(mlp(5, 4, 3), rows(6, 5), slice=(12, 57, 3))


def test_small_batches_are_made_up_from_plain_data_alone() -> None:
    """To read another data set may change it: it may count, cache, or open a file."""
    x, y = rows(40, 5), torch.arange(40) % 7
    data = TensorDataset(x, y)
    example = Example([x[:1], y[:1]], source=source_of(data))
    found = settle(mlp(5, 4, 3), Conditions(), Given(), example)
    assert len(set(found.slice.anchor_names)) == 3
    assert found.rows == 1
    own = Items()
    with pytest.raises(Asked, match="a plane needs three inputs that do not lie on one line, and 1 had 1"):
        settle(mlp(5, 4, 3), Conditions(), Given(), Example([x[:1], y[:1]], source=source_of(own)))
    assert own.asked == 0
    settle(mlp(2, 4, 2), Conditions(), Given(), Example([x[:8, :2], y[:8]], source=source_of(own)))
    assert own.asked == 0


def test_what_else_a_sample_has_is_held_with_it() -> None:
    x, t, y = rows(40, 5), torch.arange(40.0)[:, None], torch.arange(40) % 7
    model = Net(lambda m, x, t: m.net(x + t), net=mlp(5, 4, 3))
    example = Example([x[:1], t[:1], y[:1]], source=source_of(TensorDataset(x, t, y)))
    for given, first in ((Given(), 0), (Given(slice=(33, 12, 7)), 33)):
        found = settle(model, Conditions(), given, example)
        assert np.allclose(found.slice.lift(np.zeros((1, 2)))[0], x[first], atol=1e-6)
        assert inputs_seen(found, model, "x", "t")["t"].unique().tolist() == [first]
        assert found.slice.held == "argument 0 varies, with argument 1 as in a"  # whose forward takes anything
    mine = slices.through(x[3], x[4], x[5])  # whose a is not the sample that the rest is of
    assert settle(model, Conditions(), Given(slice=mine), example).slice.held.endswith("argument 1 as in the first sample")


def test_data_are_read_as_the_loader_hands_them_on() -> None:
    """Where torch's own function puts them together; a user's may scale them, or draw: then the batch has to do."""
    x = 100 + 8 * rows(500, 2)
    data = TensorDataset(rows(500, 2, seed=3) + 50, x)
    calls = []

    def collate(items: Any) -> Any:
        calls.append(len(items))
        weights, inputs = zip(*items, strict=True)
        return {"weight": torch.stack(weights), "input": (torch.stack(inputs) - 100) / 8}

    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp(2, 4, 2)

        def forward(self, input: torch.Tensor) -> Any:  # noqa: A002
            return self.net(input)

    plain = source_of([{"weight": one, "input": other} for one, other in zip(*data.tensors, strict=True)])
    found = settle(Takes(), Conditions(), Given(), Example(plain.batch(range(4)), source=plain))
    assert np.allclose(found.slice.bounds, slices.around(x.double().numpy()).bounds, atol=1e-4)
    # Where the batch is not of them after all, it alone counts.
    elsewhere = {"weight": rows(4, 2), "input": 7 + rows(4, 2)}
    found = settle(Takes(), Conditions(), Given(), Example(elsewhere, source=plain))
    assert found.slice.bounds == slices.around(elsewhere["input"].double().numpy()).bounds

    source = source_of(data, collate_fn=collate)
    batch = source.batch(range(4))
    found = settle(Takes(), Conditions(), Given(), Example(batch, source=source))
    assert np.allclose(found.slice.bounds, slices.around(batch["input"].double().numpy()).bounds, atol=1e-5)
    assert calls == [4]


def test_plain_data_that_make_no_batch_are_left_and_the_batch_has_to_do() -> None:
    x = rows(8, 2)
    ragged: Any = [rows(2), rows(3), rows(2)]
    found = settle(mlp(2, 4, 2), Conditions(), Given(), Example(x, source=source_of(ragged)))
    assert found.slice.bounds == slices.around(x.double().numpy()).bounds


def test_an_item_that_cannot_be_read_is_named() -> None:
    data = TensorDataset(rows(40, 5))
    example = Example([rows(4, 5)], source=source_of(data))
    with pytest.raises(Asked, match="`slice` names item 500 of the training data, which cannot be read .IndexError"):
        settle(mlp(5, 4, 3), Conditions(), Given(slice=(3, 4, 500)), example)


def test_three_samples_of_the_users() -> None:
    a, b, c = rows(3, 5)
    found = settled(mlp(5, 4, 3), rows(8, 5, seed=1), slice=(a, b, c))
    assert np.allclose(found.slice.lift(found.slice.anchors), torch.stack([a, b, c]), atol=1e-6)
    assert np.allclose(settled(mlp(5, 4, 3), rows(8, 5), slice=torch.stack([a, b, c])).slice.origin, a)


def test_labels_are_told_from_other_whole_numbers() -> None:
    x, number, y = rows(6, 5), torch.arange(40, 46), torch.tensor([1, 1, -100, 0, 2, 1])
    model = mlp(5, 4, 3)
    assert settled(model, (x, number, y)).slice.anchor_names == ("class 1", "class 0", "class 2")
    assert settled(model, {"x": x, "idx": number, "label": y}).slice.anchor_names == ("class 1", "class 0", "class 2")
    assert settled(model, (x, torch.tensor([1.0, 1, 1, 0, 0, 1]))).slice.anchor_names == ("class 1", "class 0", "class 1")
    whole = Net(lambda m, batch: m.net(batch[0]), net=model)
    assert settled(whole, (x, y)).slice.anchor_names == ("class 1", "class 0", "class 2")
    embeds = Net(lambda m, x, t: m.net(x + m.emb(t)), net=mlp(5, 4, 3), emb=nn.Embedding(50, 5))
    assert settled(embeds, (x, number)).slice.anchor_names == ()  # what goes into the model is no label


def test_a_target_is_no_input() -> None:
    clean = rows(6, 5)
    found = settled(mlp(5, 4, 5), {"target": clean, "noisy": clean + 5})
    assert np.allclose(found.slice.origin, clean[0] + 5)


def test_what_is_alike_in_all_samples_does_not_vary() -> None:
    x = rows(6, 5)
    model = Net(lambda m, t, x: m.net(x * t.mean(dim=-1, keepdim=True)), net=mlp(5, 4, 2))
    for first in (torch.ones(6, 5), torch.rand(6, 1)):
        found = settle(model, Conditions(), Given(inputs=(first, x)), None)
        assert found.conditions.feed.place == (1,)


def test_a_model_whose_points_depend_on_each_other_is_refused() -> None:
    """The first axis of a sequence-first encoder is not the batch."""
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 1, enable_nested_tensor=False)
    with pytest.raises(Asked, match="`forward` is needed, .* what TransformerEncoder makes of an input depends on the others"):
        settled(encoder, rows(5, 16, 8))
    found = settled(encoder, rows(16, 5, 8), forward=lambda m, x: m(x.transpose(0, 1)).transpose(0, 1))
    assert found.slice.input_shape == (5, 8)


def columns(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    return rows(count, 1).requires_grad_(), torch.linspace(0, 0.5, count)[:, None].requires_grad_()


class Physics(nn.Module):
    """Takes place and time, a column each, as a network that solves an equation does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 8, 1)

    def forward(self, x: torch.Tensor, t: torch.Tensor, z: torch.Tensor | None = None) -> Any:
        x, t = (one if one.ndim > 1 else one[:, None] for one in (x, t))
        return self.net(torch.cat([x, t], 1))


@pytest.mark.parametrize("slice", [None, slices.box((-1, 1), (0, 1))])
@pytest.mark.parametrize("kind", ["places", "names", "flat", "three"])
def test_two_columns_are_told_how_to_vary_together(kind: str, slice: Any) -> None:
    """The call that the message names works."""
    x, t = columns()
    inputs: Any = (x, t)
    if kind == "names":
        inputs = {"x": x, "t": t}
    if kind == "flat":
        inputs = (x[:, 0], t[:, 0])
    if kind == "three":
        inputs = (x, t, x)
    words = "Physics is called with columns of single numbers, x and t"
    with pytest.raises(Asked, match=words) as caught:
        settle(Physics(), Conditions(), Given(slice), Example(call=ModelCall.of(inputs)))
    said = str(caught.value)
    assert "(0, 0.5)" in said
    forward, box = said.split("`forward=")[1].removesuffix("`.").split("` together with `slice=")
    given: Any = {"forward": eval(forward), "slice": eval(box, {"slices": slices})}
    found = settle(Physics(), Conditions(), Given(**given), Example(call=ModelCall.of(inputs)))
    assert found.slice.names == ("x", "t")
    with probe(Physics(), found.conditions) as run:
        assert run(found.slice.lift(found.slice.corners())).z.shape == (4, 8)
    # Where the way to run it is given already the slice alone is missing.
    with pytest.raises(Asked, match="single numbers, x and t.*: give `slice=slices.box"):
        settle(Physics(), Conditions(), Given(forward=given["forward"]), Example(call=ModelCall.of((x, t))))


def test_single_numbers_are_offered_the_module_that_makes_several_of_them() -> None:
    model = mlp(1, 8, 1)
    with pytest.raises(Asked, match="single numbers: `vary='0'` shows the 8 numbers that the module '0' gives"):
        settled(model, rows(12, 1))
    found = settled(model, rows(12, 1), vary="0")  # which is a place too, at which there is nothing to see
    assert found.slice.input_shape == (8,)
    for vary in (0, "0"):
        assert settled(mlp(4, 8, 1), rows(12, 4), vary=vary).slice.input_shape == (4,)
    with pytest.raises(Asked, match="the model's inputs are single numbers"):
        settled(model, rows(12, 1), vary=0)


def test_what_is_given_is_not_asked_for() -> None:
    model = Net(lambda m, x: m.net(x).reshape(7, -1), net=mlp(5, 4, 2))
    for given, words in (
        ({"forward": lambda m, x: m(x)}, "Your `forward` must run Net on any number of its inputs, and fails on some. Tried "),
        ({"inputs": rows(7, 5)}, "Net must run on samples of your `inputs`, and fails on some: give `forward`, a function"),
        ({}, "could not be guessed: give `forward`, .*or `inputs`"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            settled(model, None if "inputs" in given else rows(7, 5), **given)
        assert "A trial takes 13 samples, whatever a batch has" in str(caught.value)
    with pytest.raises(ValueError, match="Net must run on samples of what it is called with, and fails on some: give `forward`, a"):
        settle(model, Conditions(), Given(), Example(call=ModelCall((rows(7, 5),))))
    with pytest.raises(
        Asked, match="`slice` is needed, or `inputs`, an example of what your `forward` takes beside the model: Net"
    ):
        settled(model, inputs=["text"], forward=lambda m, x: m(x))


def test_a_model_whose_calls_change_with_its_weights_is_told_from_one_that_takes_two_paths(tmp_path: Path) -> None:
    """No slice would mend it: the points are those of the last sample."""

    class Iterates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = nn.Linear(2, 4), nn.Linear(4, 2)
            with torch.no_grad():
                self.cell.weight.fill_(0.1)

        def forward(self, x: torch.Tensor) -> Any:
            h = self.cell(x).relu()
            if (self.cell.weight[0, 0] * x).mean() < -1:
                h = h + self.cell(x + 1).relu()
            return self.out(h)

    model: Any = Iterates()
    plane = slices.box((-2, 2), (-2, 2))
    recorder = Recorder(tmp_path / "a", plane, resolution=16, engine="grid")
    recorder.record(model, 0)
    with torch.no_grad():
        model.cell.weight.fill_(2)
    with pytest.warns(BoundaryWarning, match="step 1: sampling failed; .*changes with its weights, .*fixed number of steps"):
        recorder.record(model, 1)
    recorder.close()
    other: Any = Iterates()
    with torch.no_grad():
        other.cell.weight.fill_(2)
    recorder = Recorder(tmp_path / "b", plane, resolution=16, engine="grid")
    with pytest.raises(ValueError, match="give a `slice` on which it takes one path. Where it iterates"):
        recorder.record(other, 0)
    recorder.close()


class Autoencoder(nn.Module):
    """Draws noise between two parts that draw none, also in eval mode."""

    def __init__(self, draw: Callable[..., Any] = torch.randn_like) -> None:
        super().__init__()
        self.encoder, self.decoder, self.draw = mlp(5, 8, 3), mlp(3, 8, 5), draw

    def forward(self, x: torch.Tensor) -> Any:
        mean = self.encoder(x)
        return self.decoder(mean + self.draw(mean))


def by_numpy(mean: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.random.standard_normal(tuple(mean.shape))).to(mean.dtype)


@pytest.mark.parametrize(
    "draw",
    [
        torch.randn_like,
        lambda mean: torch.randn(mean.shape[-1], dtype=mean.dtype),  # the same for all points, and another one at each sample
        lambda mean: F.dropout(mean),
        lambda mean: mean if random.random() < 0.5 else -mean,
        by_numpy,
    ],
)
def test_a_model_that_draws_random_numbers_is_asked_about_for_that_reason(draw: Any) -> None:
    model = Autoencoder(draw)
    random.seed(0)
    state = torch.get_rng_state()
    with pytest.raises(Asked, match="Autoencoder draws random numbers while it runs, in eval mode.*: give `forward`, ") as caught:
        settled(model, rows(16, 5))
    assert "depends on the others" not in str(caught.value)
    assert torch.equal(torch.get_rng_state(), state)
    assert settled(model, rows(16, 5), forward=lambda m, x: m.decoder(m.encoder(x))).slice.input_shape == (5,)


def test_where_random_numbers_change_the_output_alone_its_lines_are_drawn(tmp_path: Path) -> None:
    model = Net(lambda m, x: (y := m.net(x)) + torch.randn_like(y), net=mlp(5, 8, 2))
    found = settled(model, rows(16, 5))
    with pytest.warns(BoundaryWarning, match="draws random numbers while it runs, in eval mode too: the output is partly noise"):
        Recorder(tmp_path, found.slice, resolution=16, engine="grid").record(model, 0)


def test_random_numbers_that_change_nothing_do_not_matter() -> None:
    """Such as those that decide whether a layer is dropped, drawn in eval mode too."""
    assert settled(Autoencoder(lambda mean: 0 * torch.rand(1)), rows(16, 5)).slice.input_shape == (5,)


@pytest.mark.parametrize("given", [{"slice": slices.random(np.ones(5))}, {"forward": lambda m, x: m(x)}])
def test_where_a_model_that_draws_is_looked_at_all_the_same_the_picture_says_so(tmp_path: Path, given: Any) -> None:
    model = Autoencoder()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    options: Any = {"resolution": 16, "every_n_steps": 1, "replay": False}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with watch(model, optimizer, directory=tmp_path, **options, **given):
            for _ in range(2):
                model(rows(16, 5)).sum().backward()
                optimizer.step()
    words = [str(one.message) for one in caught if "draws random numbers" in str(one.message)]
    assert words == ["step 0: the model draws random numbers while it runs, in eval mode too: lines are partly noise."]
    assert all("the model draws random numbers" in " ".join(one.notes) for one in load(tmp_path))


def test_a_model_in_quantisation_aware_training_is_told_from_one_whose_first_axis_is_another() -> None:
    class Observes(nn.Module):
        """Scales by what it saw of its batch, as a fake quantisation does whose observer is on."""

        def __init__(self) -> None:
            super().__init__()
            self.observer_enabled, self.scale = nn.Buffer(torch.ones(1)), nn.Buffer(torch.ones(1))

        def forward(self, x: torch.Tensor) -> Any:
            if self.observer_enabled:
                self.scale.copy_(x.abs().max()[None])
            return x / self.scale

    model: Any = Net(lambda m, x: m.net(m.fake(x)), net=mlp(5, 8, 2), fake=Observes())
    batch = rows(16, 5)
    batch[5] *= 50
    with pytest.raises(Asked, match=r"observers of quantisation-aware training \(fake\) read each batch, .*disable_observer"):
        settled(model, batch)

    def forward(m: Any, x: torch.Tensor) -> Any:
        m.fake.observer_enabled.zero_()
        return m(x)

    assert settled(model, batch, forward=forward).slice.input_shape == (5,)
    assert model.fake.observer_enabled.item() == 1
    assert model.fake.scale.item() == 1
    with pytest.warns(BoundaryWarning, match="As your `forward` runs it, what Net makes of an input depends on") as caught:
        assert settled(model, batch, forward=lambda m, x: m(x)).slice.input_shape == (5,)
    assert len(caught) == 1


def test_a_model_that_writes_to_its_inputs_is_run_on_the_same_ones_again() -> None:
    """In double precision too, of which no copy is made on the way."""
    model = Net(lambda m, x: m.net(x.mul_(2).sub_(0.5)), net=mlp(5, 8, 2).double())
    batch = rows(16, 5).double()
    found = settled(model, batch)
    assert found.data is not None
    assert np.array_equal(found.data.values, batch.numpy())
    assert torch.equal(batch, rows(16, 5).double())


def test_large_whole_numbers_are_read_to_the_last_digit() -> None:
    """Such as seconds since 1970, which single precision rounds to two minutes."""
    seconds = 1_700_000_000 + torch.arange(12).reshape(6, 2) ** 2
    model = Net(lambda m, x: m.net(x), net=mlp(2, 4, 2))
    found = settled(model, seconds, forward=lambda m, x: m.net((x - 1.7e9) / 100))
    assert found.data is not None
    assert found.data.values.tolist() == seconds.tolist()


class Noised(nn.Module):
    """A model of inputs and noise levels, 9 of them, whose runs are told to `hear`."""

    def __init__(self, hear: Callable[[int], None]) -> None:
        super().__init__()
        self.net, self.emb, self.hear = mlp(5, 8, 5), nn.Embedding(9, 5), hear

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> Any:
        self.hear(int(t.max()))
        return self.net(x + self.emb(t))


def test_labels_are_no_indices_of_a_guess_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one that is out of range would end all work with it: the call is heard instead. The processor passes for a GPU."""
    monkeypatch.setattr("boundarycb.keep.devices.FAR", {"cpu"})
    levels: set[int] = set()
    x, labels = rows(16, 5), 100 + torch.arange(16)
    with pytest.raises(ValueError, match=r"`forward`, .*Noised\(float32 \[16, 5\], int64 \[16\]\): _NotRun, not run on a GPU"):
        settled(Noised(levels.add), [x, labels])
    assert not levels

    def step(m: Any, batch: Any) -> torch.Tensor:
        return F.mse_loss(m.net(batch[0], batch[1] % 9), batch[0])

    assert fitted(tmp_path, Fits(Noised(levels.add), step), loader_of(x, labels)).steps == (0, 2)
    assert max(levels) < 9
    assert settled(Noised(levels.add), inputs=(x, labels % 9)).slice.input_shape == (5,)  # which the user said
    assert settled(Noised(levels.add), [x, labels % 9]).slice.input_shape == (5,)  # which are indices


def test_want_of_memory_is_no_wrong_guess() -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    model = Net(lambda m, x: full(m.net(x)), net=mlp(5, 4, 2))
    for given in ({}, {"slice": slices.through(*rows(3, 5).numpy())}):
        with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
            settled(model, rows(6, 5), **given)


def test_whole_numbers_vary_where_the_user_runs_the_model() -> None:
    images = (255 * rows(6, 1, 4, 4)).to(torch.uint8)
    model = Net(lambda m, x: m.net(x.flatten(1).float() / 255), net=mlp(16, 4, 2))
    with pytest.raises(Asked, match="`vary` is needed, since Net is called with uint8"):
        settled(model, images)
    assert settled(model, images, forward=lambda m, x: m.net(x.flatten(1) / 255)).slice.input_shape == (1, 4, 4)


def test_a_module_that_is_called_twice_varies_the_first_time_alone() -> None:
    def forward(m: Any, ids: torch.Tensor) -> Any:
        return m.net(m.emb(ids) + 10 * m.emb(ids).detach())

    model: Any = Net(forward, net=mlp(5, 4, 2), emb=nn.Embedding(9, 5))
    ids = torch.arange(6)
    found = settled(model, ids, vary="emb")
    points = found.slice.lift(np.array([[0.0, 0], [2, 1]]))
    with probe(model, found.conditions) as run:
        z = run(points).parts[0]
    want = model.net[0](torch.tensor(points).float() + 10 * model.emb(ids[:1]).detach())
    assert np.allclose(z, want.detach(), atol=1e-4)


def test_a_compiled_models_modules_have_their_own_names() -> None:
    model = Net(lambda m, ids: m.net(m.emb(ids).mean(dim=1)), emb=nn.Embedding(9, 5), net=mlp(5, 4, 2))
    compiled: Any = torch.compile(model, backend="eager")
    assert settled(compiled, torch.arange(24).reshape(6, 4) % 9, vary="emb").slice.input_shape == (4, 5)


def test_an_empty_tensor_is_no_batch() -> None:
    model = Net(lambda m, nothing, x: m.net(x), net=mlp(5, 4, 2))
    assert settle(model, Conditions(), Given(inputs=(torch.empty(0, 5), rows(6, 5))), None).conditions.feed.place == (1,)


def test_a_plane_leaves_room_for_what_samples_look_like() -> None:
    (u0, u1), _ = settled(mlp(5, 4, 2), rows(6, 5)).slice.bounds
    anchors = settled(mlp(5, 4, 2), rows(6, 5)).slice.anchors
    side = float((anchors.max(axis=0) - anchors.min(axis=0)).max())
    assert np.isclose(u1 - u0, 1.5 * side)


def test_some_items_are_spread_over_all() -> None:
    source = source_of(TensorDataset(torch.arange(10.0)))
    assert source.some(3)[0].tolist() == [0, 4, 9]
    assert len(source.some(99)[0]) == 10
    own = Source.of(DataLoader(TensorDataset(torch.arange(10.0)), batch_size=None))
    assert own is not None
    assert own.batch([2, 5])[0].tolist() == [2, 5]


def test_what_is_plain_may_be_read() -> None:
    plain = TensorDataset(rows(8, 2))
    sets = [plain, [1, 2], torch.utils.data.Subset(plain, [0, 3]), torch.utils.data.ConcatDataset([plain, plain])]
    assert all(Source(one).is_plain for one in sets)
    assert not any(Source(one).is_plain for one in (Items(), torch.utils.data.Subset(Items(), [0]), np.zeros(3)))


def test_a_wrong_name_is_told_though_the_slice_is_known() -> None:
    plane = slices.box((-1, 1), (-1, 1))
    assert Given(plane, vary="emb").needs_example
    assert not Given(plane).needs_example
    with pytest.raises(Asked, match="`vary` must name a tensor of the call"):
        settled(mlp(2, 4, 2), rows(6, 2), slice=plane, vary="emb")


def test_a_call_is_heard_as_it_was_before_the_model_wrote_to_it() -> None:
    heard: list[ModelCall] = []
    model = Net(lambda m, x: m.net(x.mul_(0)), net=mlp(5, 4, 2))
    listener = Listener({"": model}, lambda _, call: heard.append(call))
    listener.listen()
    x = rows(6, 5)
    model(x.clone())
    listener.stop()
    model(x.clone())
    assert len(heard) == 1
    assert torch.equal(heard[0].args[0], x)


def test_the_exact_engine_counts_where_it_may_be_tried() -> None:
    exact, grid = (Work(1e5, 100, 32, traced=False, exact=exact) for exact in (True, False))
    assert exact.points(64) == 2 * grid.points(64) == 2 * 66**2


def test_a_model_without_products_has_a_plan(tmp_path: Path) -> None:
    work = Work(flops=0.0, units=5, rows=8, traced=True, exact=True)
    assert plan(work, 100, may_wait=True).resolution == 128


# ---------------------------------------------------------------------------------------------------------------- cost


class Padded(nn.Module):
    """An encoder whose batches are padded: without a probe beside it, torch runs it on nested tensors."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[:, -2:] = True
        out: torch.Tensor = self.head(self.encoder(x, src_key_padding_mask=padding).mean(dim=1))
        return out


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning", "ignore:.*watched:boundarycb.BoundaryWarning")
@pytest.mark.parametrize(("model", "shape"), [(Padded(), (6, 16)), (Hamiltonian(), (2,))], ids=["padded", "differentiates"])
def test_operations_are_counted_of_models_that_run_by_themselves_otherwise(
    model: nn.Module, shape: tuple[int, ...], tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path, metrics=[])
    recorder.meet(Example([rows(32, *shape), torch.arange(32) % 3]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BoundaryWarning)
        recorder.record(model, 0)
    assert recorder.plan is not None
    with probe(model, Conditions()) as forward:
        forward(np.zeros((16, *shape)))  # which tells whether a graph is needed
        flops = forward.flops(np.zeros((16, *shape)))
    if shape == (2,):
        assert flops == 2 * (2 * 8 + 8 * 1) * 2  # there and back
    else:  # attention and both products of a layer, of six tokens
        products = 16 * 48 + 16 * 16 + 2 * 16 * 32
        assert flops >= 2 * 2 * 6 * products


class Eikonal(nn.Module):
    """A distance and its slope, by a gradient in inputs that are detached first, as in many a physics-informed network."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            distance: torch.Tensor = self.net(x)
            (slope,) = torch.autograd.grad(distance.sum(), x, create_graph=True)
        return torch.cat([distance, slope], dim=1)


def test_operations_are_those_that_torch_counts(tmp_path: Path) -> None:
    images = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(324, 2))
    for model, shape in ((mlp(5, 8, 3), (5,)), (images, (3, 9, 9))):
        points = np.zeros((16, *shape))
        with probe(model, Conditions()) as forward:
            flops = forward.flops(points)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(16, *shape))
        assert flops == counter.get_total_flops() / 16
    recorder = Recorder(tmp_path, metrics=[])  # with hooks on all inputs, as torch has it, this one fails
    recorder.meet(Example([rows(32, 2), torch.arange(32) % 3]))
    recorder.record(Eikonal(), 0)
    assert recorder.plan is not None


class Unwatched(nn.Module):
    """Fails where something watches torch's operations, as some extensions do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp(2, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch._C._len_torch_dispatch_stack():
            raise RuntimeError("no mode, please")
        out: torch.Tensor = self.net(x)
        return out


def test_a_model_whose_operations_cannot_be_counted_is_sampled_all_the_same(tmp_path: Path) -> None:
    model, recorder = Unwatched(), Recorder(tmp_path)
    recorder.meet(Example([rows(32, 2), torch.arange(32) % 3]))
    with pytest.warns(BoundaryWarning) as said:
        recorder.record(model, 0)
    assert [str(warning.message) for warning in said] == [
        "The operations of Unwatched could not be counted (RuntimeError: no mode, please), so what a sample costs is told from "
        "the sizes of weights and layers, and rather too high; `resolution` and `every_n_steps` set how finely and how often "
        "samples are taken, and `max_overhead` goes by the clock."
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", BoundaryWarning)  # it is said once
        recorder.record(model, 1)
    assert recorder.plan is not None
    assert recorder.steps == [0, 1]
    assert load(recorder.directory)[0].capture.resolution == 128


def test_a_slice_is_another_one_where_its_axes_have_other_names() -> None:
    named = Given(slice=slices.box((0, 1), (0, 1), names=("age", "income")))
    assert named.allows(slices.box((0, 1), (0, 1), names=("age", " income ")))
    assert not named.allows(slices.box((0, 1), (0, 1)))


def test_what_cannot_be_counted_is_taken_for_more_than_it_is() -> None:
    """Of what multiplies weights: up to three times of a network of one width, and much more where layers differ."""

    def convolutions(*channels: int) -> nn.Sequential:
        layers = [(nn.Conv2d(a, b, 3, padding=1), nn.ReLU()) for a, b in pairwise(channels)]
        return nn.Sequential(*(part for layer in layers for part in layer), nn.Flatten(), nn.Linear(channels[-1] * 81, 2))

    models = {(5,): mlp(5, 16, 16, 16, 3), (3, 9, 9): convolutions(3, 24, 24, 24)}
    for shape, model in models.items():
        points = np.zeros((16, *shape))
        with probe(model, Conditions()) as forward:
            counted = forward.flops(points)
            units = sum(layer.size for layer in forward(points).layers)
        assert 1 <= most_flops(model.parameters(), units) / counted < (20 if len(shape) > 1 else 3)
    work = Work(flops=most_flops(models[3, 9, 9].parameters(), units), units=units, rows=16, traced=True, exact=False)
    assert plan(work, 100, may_wait=True).share <= 0.02
    assert most_flops([], 7) == 14
    layer, places = nn.Linear(16, 64), torch.zeros(1, 20, 16)  # an embedding of places multiplies nothing
    assert most_flops([*layer.parameters(), places], 64) == most_flops(layer.parameters(), 64) + 2 * places.numel()


def test_memory_that_only_the_counting_lacks_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> float:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(Prober, "flops", full)
    recorder = Recorder(tmp_path)
    recorder.meet(Example([rows(32, 2), torch.arange(32) % 3]))
    with pytest.warns(BoundaryWarning, match="could not be counted .OutOfMemoryError: full."):
        recorder.record(mlp(2, 8, 3), 0)
    assert recorder.plan is not None


def test_small_models_are_sampled_finely_and_large_ones_seldom() -> None:
    """GINN's network, ResNet-18 at 224 and what lies between; a finer grid is never dearer to the training than was asked."""
    small = Work(flops=1200, units=48, rows=64, traced=True, exact=True)
    assert plan(small, 100, may_wait=True).resolution == 128
    assert [plan(replace(small, together=rows), 100, may_wait=True).together for rows in (1, 16, 1024)] == [1, 16, 1024]
    resnet = Work(flops=3.6e9, units=2_308_096, rows=64, traced=True, exact=False)
    slow = plan(resnet, 100, may_wait=True)
    assert slow.resolution == 24
    assert slow.every > 100
    assert slow.share <= 0.02
    kept = plan(resnet, 100, may_wait=False)
    assert (kept.resolution, kept.every) == (24, 100)
    assert kept.share > 0.02
    middle = [plan(Work(10.0**k, 1000, 64, traced=True, exact=True), 1000, may_wait=True) for k in range(3, 10)]
    assert [one.resolution for one in middle] == sorted((one.resolution for one in middle), reverse=True)
    assert all(one.share <= 0.02 for one in middle)
    assert all(4 <= one.max_vertices <= 2**16 for one in middle)
    for one in middle:
        if 24 < one.resolution < 128:
            finer = Work(10.0 ** (3 + middle.index(one)), 1000, 64, traced=True, exact=True)
            assert finer.share(finer.points(one.resolution + 1), 1000) > 0.02


def test_late_samples_are_so_far_apart_that_all_of_one_costs_little() -> None:
    """Of a small network that is its pictures and files; of a large one its passes, which early samples keep to already."""
    works = [Work(10.0**k, 1000, 64, traced=True, exact=True, watched=watched) for k in range(2, 10) for watched in (48, 1000)]
    for work in works:
        found = plan(work, 100, may_wait=True)
        points = found.share / work.share(1, found.every)
        assert found.late >= found.every
        assert work.whole(points, found.late) <= 1.25 * 0.02
        assert found.late == found.every or work.whole(points, found.late) > 0.9 * 0.02  # no farther than that takes
        assert plan(work, 100, may_wait=False).late == 100
        there = plan(replace(work, far=True), 100, may_wait=True)
        assert replace(there, late=found.late) == found  # early samples are those of a processor
    small, large = plan(works[0], 100, may_wait=True), plan(works[-1], 100, may_wait=True)
    assert (small.every, small.late > 1000) == (100, True)
    assert large.late == large.every


@pytest.mark.parametrize(
    ("work", "sample", "step", "near"),
    [
        (Work(7.4e7, 47_000, 64, traced=True, exact=False, watched=1024, numbers=3 * 32**2), 733.2, 13.34, 510),
        (Work(3.6e9, 2_308_096, 64, traced=True, exact=False, watched=1024, numbers=3 * 224**2), 2135.3, 18.88, 680),
        (Work(1.2e3, 48, 1024, traced=True, exact=True, watched=48, numbers=2), 107.0, 2.62, 1800),
        (Work(2.6e5, 768, 256, traced=True, exact=True, watched=768, numbers=2), 189.0, 3.35, 1400),
    ],
    ids=["resnet 32", "resnet 224", "bottle", "3 x 256"],
)
def test_late_samples_on_a_gpu_cost_little_by_what_was_measured(work: Work, sample: float, step: float, near: int) -> None:
    """Milliseconds of a sample and of a training step on an H100, docs/performance.md."""
    assert plan(work, 100, may_wait=True).late <= near * 1.2
    assert 0.01 < sample / step / plan(replace(work, far=True), 100, may_wait=True).late < 0.025


def test_a_model_on_a_gpu_gets_a_plan_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor passes for one."""
    lates = []
    for far in ("cuda", "cpu"):
        monkeypatch.setattr("boundarycb.keep.devices.FAR", {far})
        recorder = Recorder(tmp_path / far, slices.box((-1, 1), (-1, 1)), metrics=[], engine="grid")
        recorder.meet(Example([rows(32, 2), torch.zeros(32, dtype=torch.long)]))
        recorder.record(mlp(2, 256, 256, 2), 0)
        assert recorder.plan is not None
        lates.append(recorder.plan.late)
    assert lates[1] > lates[0]


def test_a_long_run_of_a_small_model_is_sampled_seldom_after_fifty_samples(tmp_path: Path) -> None:
    def sampled(directory: str, **options: Any) -> tuple[Recorder, list[int]]:
        recorder = Recorder(tmp_path / directory, slices.box((-1, 1), (-1, 1)), metrics=[], **options)
        recorder.meet(Example([rows(32, 2), torch.zeros(32, dtype=torch.long)]))
        recorder.record(mlp(2, 4, 2), 0)
        return recorder, [step for step in range(1, 20_001) if recorder.is_due(step)]

    recorder, steps = sampled("one")
    assert recorder.plan is not None
    assert recorder.plan.together == 32
    late = recorder.plan.late
    assert late > 1000
    assert steps == [*range(100, 5001, 100), *range(5000 + late, 20_001, late)]
    assert sampled("two")[1] == steps
    assert sampled("asked", every_n_steps=100)[1] == list(range(100, 20_001, 100))
    said = f"(every {late:,} steps from step 5,000 on; `every_n_steps` sets it)"
    for step, left_out in ((5050, False), (5100, False), (5101, True), (20_000, True)):  # as soon as it makes a difference
        recorder.record(mlp(2, 4, 2), step)
        assert (said in recorder.summary) == left_out

    resumed = Recorder(tmp_path / "three", metrics=[])
    resumed.load_state_dict(recorder.state_dict())
    assert [step for step in range(20_001, 40_001) if resumed.is_due(step)] == [
        step for step in range(5000 + late, 40_001, late) if step > 20_000
    ]


def test_a_run_looks_at_as_many_points_at_once_as_training_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with so many units that a row of the grid would run alone, and points of the other passes by sixteen."""
    monkeypatch.setattr("boundarycb.engines.bands._BAND_VALUES", 1000)
    monkeypatch.setattr("boundarycb.automatic.cost.FINEST", 24)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 3))
    sizes: list[int] = []
    model.register_forward_hook(lambda _module, args, _output: sizes.append(len(args[0])))
    recorder = Recorder(tmp_path / "boundaries", run_hooks=True)
    recorder.meet(Example([rows(80, 1, 6, 6), torch.arange(80) % 3]))
    recorder.record(model, 0)
    sizes.clear()
    recorder.record(model, 1)
    assert sizes[0] == 13  # what the model calls
    assert sizes[1:14] == [52] * 13  # two rows of the grid's 26, the first ones too
    assert sizes[14:19] == [52, 51, 51, 51, 51]  # 16 x 16 points of the traced pass
    assert sizes[19:] == [32, 32]  # the data


def test_the_plan_depends_on_the_model_and_not_on_the_clock(tmp_path: Path) -> None:
    model, x = mlp(64, 512, 512, 10), rows(32, 64)
    plans = []
    for _ in range(2):
        with probe(model) as forward:
            plans.append(forward.flops(x.double().numpy()))
    assert plans == [2 * (64 * 512 + 512 * 512 + 512 * 10)] * 2


# ----------------------------------------------------------------------------------------------------------- in a Trainer


class Holds(pl.LightningModule):
    """A LightningModule without a forward: some parts, and a training step."""

    def __init__(self, step: Callable[[Any, Any], torch.Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.step = step
        for name, part in parts.items():
            self.add_module(name, part)

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        return self.step(self, batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Fits(pl.LightningModule):
    """A LightningModule made of a network and a training step."""

    def __init__(self, net: nn.Module, step: Callable[[Any, Any], torch.Tensor]) -> None:
        super().__init__()
        self.net, self.step = net, step

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        return self.step(self, batch)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fitted(tmp_path: Path, fits: pl.LightningModule, loader: Any, **options: Any) -> Any:
    callback = BoundaryCallback(directory=tmp_path, **{"image_size": 64, "metrics": [], **options})
    trainer = pl.Trainer(
        max_steps=2, callbacks=[callback], logger=False, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(fits, loader)
    return load(tmp_path)


def loader_of(*tensors: torch.Tensor) -> Any:
    return DataLoader(TensorDataset(*tensors), batch_size=8)


def test_a_noise_level_that_the_training_step_draws_is_heard(tmp_path: Path) -> None:
    net = Net(lambda m, x, t: m.net(x + m.emb(t)), net=mlp(5, 8, 5), emb=nn.Embedding(9, 5))

    def step(m: Any, batch: Any) -> torch.Tensor:
        return F.mse_loss(m.net(batch[0], torch.randint(0, 9, (len(batch[0]),))), batch[0])

    x = rows(16, 5)
    history = fitted(tmp_path, Fits(net, step), loader_of(x))
    assert history.steps == (0, 2)
    assert np.allclose(history.slice.lift(history.slice.anchors), x[:3], atol=1e-6)


def test_images_that_the_training_step_flattens_are_heard_so(tmp_path: Path) -> None:
    def step(m: Any, batch: Any) -> torch.Tensor:
        return F.cross_entropy(m.net(batch[0].flatten(1)), batch[1])

    x, y = rows(16, 1, 4, 4), torch.arange(16) % 4
    history = fitted(tmp_path, Fits(mlp(16, 8, 4), step), loader_of(x, y), class_names=list("abcd"))
    assert history.slice.input_shape == (16,)
    assert history.slice.anchor_names == ("a", "b", "c")
    assert history[0].field.names == ("a", "b", "c", "d")


def frozen(module: nn.Module) -> nn.Module:
    return module.requires_grad_(False)


def test_the_part_that_the_training_step_calls_is_looked_at_and_that_is_said(tmp_path: Path) -> None:
    """Not a frozen teacher, not a projection without units, not an embedding of token ids: the first part that can be drawn."""
    x, y = rows(16, 5), torch.arange(16) % 2

    def step(m: Any, batch: Any) -> torch.Tensor:
        with torch.no_grad():
            m.teacher(batch[0])
        return F.cross_entropy(m.body(m.project(batch[0])), batch[1])

    parts = {"head": mlp(9, 2), "teacher": frozen(mlp(5, 4, 2)), "project": nn.Linear(5, 3), "body": mlp(3, 4, 2)}
    with pytest.warns(BoundaryWarning, match=r"Boundaries are those of body, .*`module` names another part, such as head"):
        history = fitted(tmp_path / "a", Holds(step, **parts), loader_of(x, y))
    assert history.slice.input_shape == (3,)
    ids = loader_of(torch.arange(64).reshape(16, 4) % 9, y)

    def embeds(m: Any, batch: Any) -> torch.Tensor:
        return F.cross_entropy(m.nets[1](m.embed(batch[0]).mean(dim=1)), batch[1])

    holds = Holds(embeds, embed=nn.Embedding(9, 5), nets=nn.ModuleList([mlp(7, 2), mlp(5, 4, 2)]))
    with pytest.warns(BoundaryWarning, match=r"Boundaries are those of nets\.1"):
        assert fitted(tmp_path / "b", holds, ids).slice.input_shape == (5,)


def test_a_lazy_model_is_sampled_as_soon_as_it_has_its_shapes(tmp_path: Path) -> None:
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(2))

    class Lazy(Fits):
        def forward(self, x: torch.Tensor) -> Any:
            return self.net(x)

    module = Lazy(net, lambda m, batch: F.cross_entropy(m(batch[0]), batch[1]))
    assert fitted(tmp_path, module, loader_of(rows(16, 5), torch.arange(16) % 2)).steps == (1, 2)


def test_token_ids_are_asked_about_though_the_encoder_behind_them_could_be_drawn(tmp_path: Path) -> None:
    class Reads(Holds):
        def forward(self, ids: torch.Tensor) -> Any:
            return self.get_submodule("net")(self.get_submodule("emb")(ids).mean(dim=1))

    module = Reads(lambda m, batch: F.cross_entropy(m(batch[0]), batch[1]), emb=nn.Embedding(9, 5), net=mlp(5, 4, 2))
    with pytest.raises(ValueError, match="`vary` is needed, since Reads is called with int64 .* such as vary='emb'"):
        fitted(tmp_path, module, loader_of(torch.arange(64).reshape(16, 4) % 9, torch.arange(16) % 2))


def test_a_forward_that_the_batch_does_not_fit_is_heard_before_its_parts(tmp_path: Path) -> None:
    """A generator's noise is drawn in the training step; its discriminator, which would take the batch, is not meant."""

    class Gan(Holds):
        def forward(self, z: torch.Tensor) -> Any:
            return self.get_submodule("generator")(z)

    def step(m: Any, batch: Any) -> torch.Tensor:
        return m.critic(m(torch.randn(len(batch[0]), 3))).mean()  # type: ignore[no-any-return]

    gan = Gan(step, critic=mlp(5, 4, 1), generator=mlp(3, 6, 5))
    history = fitted(tmp_path, gan, loader_of(rows(16, 5)))
    assert history.slice.input_shape == (3,)
    assert history.layers == ("generator.0",)


def test_where_nothing_can_be_looked_at_the_run_ends_before_its_first_step(tmp_path: Path) -> None:
    net = mlp(5, 4, 2)
    before = torch.cat([parameter.detach().flatten().clone() for parameter in net.parameters()])

    def step(m: Any, batch: Any) -> torch.Tensor:
        return F.cross_entropy(m.net.forward(batch[0]), batch[1])  # no call: hooks do not run

    with pytest.raises(ValueError, match="The training step calls no part .*: name one with `module`, or give `forward`"):
        fitted(tmp_path / "a", Holds(step, net=net), loader_of(rows(16, 5), torch.arange(16) % 2))
    assert torch.equal(before, torch.cat([parameter.detach().flatten() for parameter in net.parameters()]))
    history = fitted(tmp_path / "b", Holds(step, net=net), loader_of(rows(16, 5), torch.arange(16) % 2), module="net")
    assert history.steps == (0, 2)


def test_no_hook_stays_where_the_first_step_fails(tmp_path: Path) -> None:
    """Be it the user's error, or ours about what was heard."""
    ids = loader_of(torch.arange(64).reshape(16, 4) % 9, torch.arange(16) % 2)

    class Reads(Holds):
        def forward(self, ids: torch.Tensor) -> Any:
            return self.get_submodule("net")(self.get_submodule("emb")(ids).mean(dim=1))

    def fails(m: Any, batch: Any) -> torch.Tensor:
        raise KeyError("mine")

    def calls(m: Any, batch: Any) -> torch.Tensor:
        return F.cross_entropy(m(batch[0]), batch[1])

    for step, kind in ((fails, KeyError), (calls, ValueError)):
        module = Reads(step, emb=nn.Embedding(9, 5), net=mlp(5, 4, 2))
        with pytest.raises(kind):
            fitted(tmp_path, module, ids)
        assert not any(one._forward_pre_hooks for one in module.modules())


def test_what_was_heard_is_let_go(tmp_path: Path) -> None:
    """Neither the batch nor the error that made us listen lives on."""
    x = rows(16, 1, 4, 4)

    def step(m: Any, batch: Any) -> torch.Tensor:
        return F.cross_entropy(m.net(batch[0].flatten(1)), batch[1])

    module = Fits(mlp(16, 8, 4), step)
    seen: list[int] = []

    class Counts(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            gc.collect()
            seen.append(sum(type(one) is torch.Tensor and one.shape in ((8, 16), (8, 1, 4, 4)) for one in gc.get_objects()))

    for callbacks in ([], [BoundaryCallback(directory=tmp_path, image_size=64, metrics=[])]):
        trainer = pl.Trainer(
            max_steps=2, callbacks=[*callbacks, Counts()], logger=False, accelerator="cpu", enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(module, loader_of(x, torch.arange(16) % 4))
    assert seen[3] <= seen[1]


def test_accumulated_batches_count_for_the_cost(tmp_path: Path) -> None:
    x = rows(8, 5)
    assert settle(mlp(5, 4, 2), Conditions(), Given(), Example(x, batches=4)).rows == 32


def test_a_dear_sample_that_the_user_asked_for_is_told(tmp_path: Path) -> None:
    net = mlp(64, 512, 512, 10)
    module = Fits(net, lambda m, batch: F.cross_entropy(m.net(batch[0]), batch[1]))
    with pytest.warns(BoundaryWarning, match=r"A sample's forward passes cost about \d+\.\d% .* `every_n_steps` sets how often"):
        fitted(tmp_path, module, loader_of(rows(16, 64), torch.arange(16) % 10), engine="grid", every_n_steps=1)


def test_what_is_heard_and_will_not_do_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    net = Net(lambda m, ids: m.net(m.emb(ids).mean(dim=1)), emb=nn.Embedding(9, 5), net=mlp(5, 4, 2))

    def step(m: Any, batch: Any) -> torch.Tensor:
        return F.cross_entropy(m.net(batch[0]), batch[1])

    data = loader_of(torch.arange(64).reshape(16, 4) % 9, torch.arange(16) % 2)
    with pytest.raises(ValueError, match="`vary` is needed, since Net is called with int64"):
        fitted(tmp_path / "a", Fits(net, step), data)
    assert fitted(tmp_path / "b", Fits(net, step), data, vary="emb").slice.input_shape == (4, 5)
    with pytest.raises(ValueError, match="`class_names` has 3 names, and the model's output has 2 classes"):
        fitted(tmp_path / "c", Fits(net, step), data, vary="emb", class_names=["a", "b", "c"])


def test_a_large_model_is_sampled_less_often_and_that_is_said_once(tmp_path: Path) -> None:
    net = mlp(64, 512, 512, 10)
    module = Fits(net, lambda m, batch: F.cross_entropy(m.net(batch[0]), batch[1]))
    data = loader_of(rows(16, 64), torch.arange(16) % 10)
    with pytest.warns(BoundaryWarning, match=r"Samples are taken every [\d,]+ steps on a 24 x 24 grid: .* cost about [12]\.\d%"):
        history = fitted(tmp_path / "a", module, data, engine="grid")
    assert history[0].capture.resolution == 24
    assert fitted(tmp_path / "b", module, data, engine="grid", every_n_steps=1, resolution=16)[0].capture.resolution == 16


def test_the_loaders_order_its_workers_and_all_random_numbers_stay(tmp_path: Path) -> None:
    """The same batches in the same order, and the same weights, bit for bit, with worker processes and without."""

    def run(callbacks: list[Any], workers: int) -> tuple[list[int], torch.Tensor]:
        torch.manual_seed(3)
        seen: list[int] = []

        def step(m: Any, batch: Any) -> torch.Tensor:
            seen.extend(batch[1].tolist())
            return F.cross_entropy(F.dropout(m.net(batch[0]), 0.2), batch[1])

        module = Fits(mlp(5, 8, 7), step)
        options: Any = {"persistent_workers": True, "multiprocessing_context": "fork"} if workers else {}
        data = DataLoader(Items(40), batch_size=8, shuffle=True, num_workers=workers, **options)
        trainer = pl.Trainer(
            max_epochs=2, callbacks=callbacks, logger=False, accelerator="cpu", enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        trainer.fit(module, data)
        return seen, torch.cat([parameter.flatten() for parameter in module.parameters()])

    for workers in (0, 1):
        callback = BoundaryCallback(directory=tmp_path / str(workers), every_n_steps=3, resolution=8, image_size=64)
        (order, weights), (bare_order, bare_weights) = run([callback], workers), run([], workers)
        assert order == bare_order
        assert torch.equal(weights, bare_weights)


def test_an_example_call_prints_what_it_is() -> None:
    assert str(ModelCall.of({"x": A, "n": 3})) == "(x=float32 [4, 2], n=int)"
    assert str(ModelCall.of([A, [B, C]])) == "(float32 [4, 2], list(0: float32 [4, 3], 1: int64 [4]))"


def test_columns_that_a_model_does_not_take_are_no_advice() -> None:
    """Batches are columns, and the step puts them together: what the slice says is right."""
    model, batch = mlp(2, 8, 1), [rows(16, 1), rows(16, 1, seed=1), rows(16, 1, seed=2)]
    plane = slices.box((0, 1), (0, 1))
    assert settled(model, batch, slice=plane).slice is plane


class Coin(nn.Module):
    """Draws whether it has any activation: sometimes there is nothing to see."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.runs = nn.Linear(2, 8), nn.Linear(8, 2), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.two(self.one(x).relu() if torch.rand(()) < 0.6 else self.one(x))
        return out


def test_a_look_at_a_model_that_draws_does_not_fail_for_finding_that_out() -> None:
    found = set()
    for seed in range(12):
        torch.manual_seed(seed)
        with probe(Coin(), Conditions()) as forward:
            try:
                forward(np.zeros((16, 2)))
            except ValueError:  # this time there was none
                continue
            state = torch.get_rng_state()
            found.add(forward.noise(np.ones((16, 2))))
            assert torch.equal(torch.get_rng_state(), state)
    assert found == {"units"}


def test_a_model_with_a_nested_tensor_inside_has_a_plan(tmp_path: Path) -> None:
    def forward(m: Any, x: torch.Tensor) -> Any:
        parts = torch.nested.as_nested_tensor([x[:2], x[2:5]], layout=torch.jagged)
        return m.net(x) + 0 * parts.values().sum()

    recorder = Recorder(tmp_path, metrics=[])
    recorder.meet(Example([rows(32, 5), torch.arange(32) % 3]))
    recorder.record(Net(forward, net=mlp(5, 8, 3)), 0)
    assert recorder.plan is not None


@pytest.mark.parametrize("count", [2, 3])
def test_a_first_batch_that_is_not_finite_is_called_so(count: int, tmp_path: Path) -> None:
    model = mlp(count, 4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train() -> None:
        with watch(model, optimizer, directory=tmp_path):
            model(torch.full((8, count), float("nan"))).sum().backward()
            optimizer.step()

    with pytest.raises(
        ValueError, match="each sample of the first batch holds a number that is NaN or infinite; look at your data"
    ):
        train()
