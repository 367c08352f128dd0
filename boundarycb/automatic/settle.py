"""Settles on which slice a model is looked at, and how points of it go in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from boundarycb import slices
from boundarycb.automatic.asking import explained, of_columns, single_numbers
from boundarycb.automatic.calls import Asked, Example, ModelCall
from boundarycb.automatic.data import MOST, Data
from boundarycb.automatic.doubts import company_of, noise_of
from boundarycb.automatic.given import Given
from boundarycb.automatic.hushed import hushed
from boundarycb.automatic.items import Source
from boundarycb.automatic.planes import NOT_FINITE, plane_of
from boundarycb.automatic.varying import feed_for, said_of_held
from boundarycb.failing import in_words
from boundarycb.keep import is_far
from boundarycb.probe import Conditions, Feed, NothingToDraw, Prober, WrongChoice, home_of, probe
from boundarycb.types import Floats, Slice
from boundarycb.warning import warn

_ITEMS = 4096  # of plain training data that are read for the bounds of a box
_SAMPLES = 32  # that are read where a batch has too few for a plane


class _NotRun(RuntimeError):  # noqa: N818 - it is a finding
    """A way to call the model is not tried, since a wrong guess would do harm."""


@dataclass(frozen=True, eq=False)
class Settled:
    """Where and how a model is looked at.

    Args:
        slice: where.
        conditions: how.
        rows: of a training step's batches; 0 where that is not known.
        data: samples of the data; None where there are none.
        together: rows of one of those batches.
    """

    slice: Slice
    conditions: Conditions
    rows: int
    data: Data | None = None
    together: int = 0


def settle(model: nn.Module, conditions: Conditions, given: Given, example: Example | None) -> Settled:
    """Return where and how to look at `model`.

    Args:
        model: the model; it is run on a few samples, and left as it was.
        conditions: how it is run, but for what goes in.
        given: what the user said.
        example: what is known of the data.

    Raises:
        ValueError: it cannot be found out; the message says what to give.
    """
    known = example if given.inputs is None else Example(call=ModelCall.of(given.inputs))
    if known is None:
        return _without_example(conditions, given)
    failures: list[tuple[ModelCall, Exception]] = []
    for number, call in enumerate(known.calls(model)):
        try:
            if known.call is None and _may_harm(model, call):
                raise _NotRun(
                    "not run on a GPU: its whole numbers are no indices of the model's embeddings, which would end all work with it"
                )
            with hushed():
                return _tried(model, conditions, given, known, call, number)
        except (WrongChoice, torch.OutOfMemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever the model makes of a batch that is not for it
            failures.append((call, error))
    if isinstance(given.slice, Slice) and given.vary is None and given.inputs is None:
        columns = [of_columns(model, call, given) for call, _ in failures] if given.slice.input_shape == (2,) else []
        if given.forward is None and any(columns):
            raise Asked(next(filter(None, columns)))
        return _without_example(conditions, given)  # the model may take what the slice has, whatever the batches are
    raise explained(model, given, failures, known=known.call is not None)


def _may_harm(model: nn.Module, call: ModelCall) -> bool:
    """Return whether a guess hands a model on a GPU whole numbers, such as labels, that are no indices of its embeddings.

    That is an error that can be caught on a processor; on a GPU no later operation works after it, training's neither.
    """
    if not is_far(home_of(model)[1]):
        return False
    sizes = [one.num_embeddings for one in model.modules() if isinstance(one, (nn.Embedding, nn.EmbeddingBag))]
    others = [one for one in call.args[1:] if isinstance(one, torch.Tensor) and one.ndim < 2 and one.numel()]
    whole = [one for one in others if not one.is_floating_point() and not one.is_complex() and one.dtype != torch.bool]
    return bool(sizes) and any(int(one.min()) < 0 or int(one.max()) >= min(sizes) for one in whole)


def _without_example(conditions: Conditions, given: Given) -> Settled:
    if not isinstance(given.slice, Slice):
        raise Asked(
            "`slice` cannot be guessed without training data; give one, such as slices.box((-1, 1), (-1, 1)), or `inputs`, an "
            "example of what the model is called with."
        )
    return Settled(given.slice, replace(conditions, feed=Feed(forward=given.forward)), 0, _fitting(given.data, given.slice))


def _fitting(data: Data | None, slice: Slice) -> Data | None:
    """Return `data`; raise ValueError where they are no inputs such as the slice has."""
    if data is not None and data.values.shape[1:] != slice.input_shape:
        raise WrongChoice(
            f"`data` must be inputs of the shape that the slice has, {slice.input_shape}, got {data.values.shape[1:]}."
        )
    return data


def _tried(model: nn.Module, conditions: Conditions, given: Given, example: Example, call: ModelCall, number: int) -> Settled:
    """Return what follows from `call`, way number `number` to call the model with the example; raise whatever it raises."""

    def read(data: Any) -> _Samples:
        more = replace(example, batch=data)
        return _samples(model, conditions, given, more, more.calls(model)[number])

    batch = _samples(model, conditions, given, example, call, warns=True)
    if not isinstance(given.slice, Slice) and batch.values[0].size < 2:
        raise Asked(single_numbers(model, call, given, batch.layers))
    plane, row, samples = _laid(given, example, batch, read)
    held = samples.feed.forward is None and not samples.feed.is_plain
    feed = samples.feed.at_row(row) if held else Feed(forward=given.forward)
    data = _fitting(given.data, plane)
    if data is None:
        source = example.source if example.call is None else None
        more = batch if len(batch.values) >= MOST else _more(source, MOST, batch, read)
        data = Data.of_batch(more.values, more.labels, more.feed.beside())
    together = len(batch.values)
    if held:
        is_a = len(plane.anchors) > 0 and (given.slice is None or given.places is not None)
        said = said_of_held(samples.feed, model, "a" if is_a else "the first sample")
        plane = replace(plane, held=said, module=samples.feed.module or "")
    return Settled(plane, replace(conditions, feed=feed), together * example.batches, data, together)


@dataclass(frozen=True, eq=False)
class _Samples:
    """What a call has of samples.

    Args:
        feed: how points go in.
        values: what varies, of each sample (n, *shape).
        labels: their classes (n,), or None.
        layers: of the model, with how many units.
    """

    feed: Feed
    values: Floats
    labels: NDArray[np.int64] | None
    layers: Sequence[tuple[str, int]]


def _samples(
    model: nn.Module, conditions: Conditions, given: Given, example: Example, call: ModelCall, *, warns: bool = False
) -> _Samples:
    """Return the samples of a call that the model takes; raise whatever it raises where it does not.

    Raises:
        Asked: what it makes of one depends on the others, or on random numbers.
    """
    shape = given.slice.input_shape if isinstance(given.slice, Slice) and given.vary is None else None
    feed = feed_for(model, call, given.vary, shape, given.forward)
    feed, values, layers = _run_once(model, conditions, given, feed, warns=warns)
    labels = example.labels(len(values), call)
    return _Samples(feed, values, None if labels is None else labels.cpu().numpy(), layers)


def _run_once(
    model: nn.Module, conditions: Conditions, given: Given, feed: Feed, *, warns: bool
) -> tuple[Feed, Floats, Sequence[tuple[str, int]]]:
    """Return how points go in, what varies of each sample, and the layers; of a module it is known then only how many it gives."""
    with probe(model, replace(conditions, feed=feed, verify=False)) as forward:
        values = forward.examples()
        if feed.module is None or feed.own_rows or len(values) == feed.rows:
            _try_out(model, forward, values, conditions, given, warns=warns)
            return feed, values, [(called.layer.name, called.layer.size) for called in forward.calls]
    whole = feed.with_rows(len(values))
    try:
        return _run_once(model, conditions, given, whole, warns=warns)
    except (Asked, WrongChoice, NothingToDraw, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever the model makes of rows that are none of its samples
        raise Asked(
            f"`vary` names the module {feed.module!r}, which gives {len(values):,} rows where the call has {feed.rows:,}. With "
            "another number of them, and the call's whole numbers as they are, the model fails; name another one, or give "
            f"`forward`, a function (model, inputs) -> output. {in_words(error)}."
        ) from error


def _try_out(model: nn.Module, forward: Prober, values: Floats, conditions: Conditions, given: Given, *, warns: bool) -> None:
    """Run the model on a few samples; raise Asked where what it makes of one is not its own.

    Where the user said how to run it, or where to look, that is done: of what depends on the batch a warning is given, if it
    `warns` at all, and of random numbers the picture has a note.
    """
    if conditions.mode != "eval":
        return
    noise = noise_of(model, forward, values)
    if noise is not None and given.forward is None and not isinstance(given.slice, Slice):
        raise Asked(noise)
    company = company_of(model, forward, values)
    if company is not None and given.forward is None:
        raise Asked(f"`forward` is needed, a function (model, inputs) -> output: {company}")
    if company is not None and warns:
        warn(f"As your `forward` runs it, {company}")


def _laid(given: Given, example: Example, batch: _Samples, read: Callable[[Any], _Samples]) -> tuple[Slice, int, _Samples]:
    """Return the slice, and the samples, with the row of them, at which everything else is held."""
    if isinstance(given.slice, Slice):
        return given.slice, 0, batch
    values, names = batch.values, given.class_names
    source = example.source if example.call is None else None  # where a call was heard, items do not tell what it is of them
    if given.places is not None:
        samples, rows = _at_places(given.places, example, batch, read)
        return *plane_of(samples.values, samples.labels, names, rows=rows), samples
    if given.slice is not None and not callable(given.slice):
        three = np.stack([slices.to_array(one).astype(np.float64) for one in given.slice])
        return plane_of(three, None, rows=range(3), seen=values)[0], 0, batch
    if values[0].size == 2 and given.vary is None:
        known = _more(source, _ITEMS, batch, read).values
        if not np.isfinite(values.reshape(len(values), 2)).all(axis=1).any():
            raise Asked(NOT_FINITE)
        return slices.around(known if _holds(known, values) else values, shape=values.shape[1:]), 0, batch
    samples = _more(source, _SAMPLES, batch, read) if len(values) < 3 else batch
    return *plane_of(samples.values, samples.labels, names, seen=samples.values), samples


def _more(source: Source | None, most: int, batch: _Samples, read: Callable[[Any], _Samples]) -> _Samples:
    """Return at most `most` samples of plain training data; those of the batch where there are no such, or they make no batch."""
    if source is None or not source.is_plain:
        return batch
    try:
        return read(source.some(most))
    except Exception:  # noqa: BLE001 - items of different sizes, say, which the loader sorts into batches
        return batch


def _at_places(
    places: tuple[int, int, int], example: Example, batch: _Samples, read: Callable[[Any], _Samples]
) -> tuple[_Samples, Sequence[int]]:
    """Return the samples at `places` of the training data, or, where there are only calls, of the first one's batch."""
    if example.call is None and example.source is not None:
        return read(example.source.batch(places)), range(3)
    if example.batch is not None:
        raise Asked(
            "`slice` names samples by their places, and what the model gets of them is known in the training step alone; give the "
            "samples themselves, slices.through(a, b, c), as the model gets them."
        )
    if not all(0 <= place < len(batch.values) for place in places):
        raise Asked(f"`slice` names the samples {places}, and the batch has {len(batch.values)}.")
    return batch, places


def _holds(known: Floats, values: Floats) -> bool:
    """Return whether `values` lie in the box around `known`: what was read is what the model gets."""
    if known.shape[1:] != values.shape[1:]:
        return False
    slack = 1e-3 * (known.max(axis=0) - known.min(axis=0))
    return bool(((values >= known.min(axis=0) - slack) & (values <= known.max(axis=0) + slack)).all())
