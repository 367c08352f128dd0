"""More of the training data than one batch: items read by index, put together as the loader puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import ConcatDataset, Subset, TensorDataset, default_collate, default_convert

from boundarycb.automatic.calls import Asked
from boundarycb.evenly import evenly
from boundarycb.keep import random_state_kept


@dataclass(frozen=True, eq=False)
class Source:
    """What batches come from.

    Args:
        dataset: a data set.
        collate: makes a batch of items; None where the data set gives batches itself.
    """

    dataset: Any
    collate: Any = None

    @classmethod
    def of(cls, loader: Any) -> Source | None:
        """Return the source of a ``DataLoader``'s batches; None where they cannot be read by index."""
        dataset = getattr(loader, "dataset", None)
        if not hasattr(dataset, "__getitem__") or not hasattr(loader, "collate_fn"):
            return None
        batches_itself = getattr(loader, "batch_sampler", None) is None
        return cls(dataset, None if batches_itself else loader.collate_fn)

    @property
    def is_plain(self) -> bool:
        """Whether to read it cannot change anything: tensors and lists, put together by torch's own functions.

        Another data set, or another way to make a batch, may count, cache, or draw from a generator of its own.
        """
        return self.collate in (None, default_collate, default_convert) and _is_plain(self.dataset)

    def some(self, most: int) -> Any:
        """Return a batch of at most `most` items, evenly spread."""
        count = len(self.dataset)
        return self.batch(evenly(count, most).tolist())

    def batch(self, places: Sequence[int]) -> Any:
        """Return a batch of the items at `places`.

        The loader's order and its workers, and the random numbers of torch, numpy and python, stay as they are.

        Raises:
            Asked: an item cannot be read.
        """
        with random_state_kept():
            if self.collate is None:
                return self.dataset[torch.tensor(places)]
            items = []
            for place in places:
                try:
                    items.append(self.dataset[place])
                except Exception as error:
                    raise Asked(f"`slice` names item {place} of the training data, which cannot be read ({error!r}).") from error
            return self.collate(items)


def _is_plain(dataset: Any) -> bool:
    if type(dataset) is Subset:  # a class of the user's that comes from it may draw
        return _is_plain(dataset.dataset)
    if type(dataset) is ConcatDataset:
        return all(map(_is_plain, dataset.datasets))
    return type(dataset) in (TensorDataset, list, tuple)
