"""The cells of a partition as regions: thin ones apart, neighbours, and which units are on in each."""

from __future__ import annotations

import numpy as np

from boundarycb.engines.exact.cells import Cells
from boundarycb.engines.exact.search import Partition
from boundarycb.engines.sorting import Ints
from boundarycb.types import Bits, Floats, Regions, Slice

_ROWS = 2**22  # pre-activations at a time


def regions(slice: Slice, found: Partition) -> Regions:
    """Return the regions of `found`, which is cut through the last layer."""
    cells = found.cells
    thick = cells.thick
    number = np.full(len(cells) + 1, -1)  # the last stands for what is outside
    number[thick] = np.arange(len(thick))
    corners = cells.corners[(number >= 0)[cells.cell_at]]
    (u0, u1), (v0, v1) = slice.bounds
    return Regions(
        slice=slice,
        layers=found.layers,
        points=np.array([u0, v0]) + cells.points * np.array([u1 - u0, v1 - v0]),
        corners=corners,
        offsets=np.concatenate([[0], np.cumsum(cells.sizes[thick])]),
        neighbours=_neighbours(cells, number),
        on=_patterns(found, cells.centres()[thick]),
        counts={layer.name: count for layer, count in zip(found.layers, found.counts, strict=True)},
        thin=len(cells) - len(thick),
    )


def _neighbours(cells: Cells, number: Ints) -> Ints:
    """Return the pairs of cells (k, 2), as `number` counts them, that have an edge in common; each once, the lower first."""
    pairs = np.sort(number[cells.cell.reshape(-1, 2)], axis=1)
    return np.unique(pairs[pairs[:, 0] >= 0], axis=0)


def _patterns(found: Partition, centres: Floats) -> Bits:
    """Return which units are on at the cells' centres, packed."""
    packed = []
    for part in np.array_split(centres, -(-len(centres) * found.values.units // _ROWS)):
        packed.append(np.packbits(found.values.at(part)[0] > found.zero, axis=1))
    return np.concatenate(packed)
