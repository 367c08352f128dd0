"""TensorBoard's Custom Scalars: which curves share a chart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

_LAYERS = 12  # with charts of their own
_READABLE = 64 * 2**20  # a larger event file is not searched for a layout of the user's


def layout_for(name: str, layers: Sequence[str]) -> Layout:
    """Return a layout with the drift of each layer and its parts on one chart, and all layers of a number on one chart.

    Args:
        name: the leading word of all tags.
        layers: names of the layers; the first twelve have charts of their own.
    """
    shown = layers[:_LAYERS]
    return Layout(
        category=[
            Category(
                title=f"{name}: how far boundaries moved since the last sample",
                chart=[_all_layers(name, "drift/flipped", "all layers")]
                + [
                    _one_layer(name, "drift/(flipped|shift|rotate|upstream)", layer, f"{layer}: shift, rotate, upstream")
                    for layer in shown
                ],
            ),
            Category(
                title=f"{name}: which parameters moved them",
                chart=[
                    _one_layer(name, "cause/(bias|weights|upstream)", layer, f"{layer}: bias, weights, upstream") for layer in shown
                ],
                closed=True,
            ),
            Category(
                title=f"{name}: copycats",
                chart=[
                    _all_layers(name, "copycat/pairs", "pairs at or above chance, all layers"),
                    _all_layers(name, "copycat/share", "share of live units that repeat another, all layers"),
                ]
                + [_one_layer(name, "copycat/(max_phi|chance)", layer, f"{layer}: most alike pair, and chance") for layer in shown],
            ),
            Category(
                title=f"{name}: dormant units",
                chart=[
                    _all_layers(name, "dormant/live", "live: switch on the slice, all layers"),
                    _all_layers(name, "dormant/never_on", "never on here, all layers"),
                    _all_layers(name, "dormant/always_on", "always on here, all layers"),
                    _all_layers(name, "dormant/tau", "tau-dormant, all layers"),
                ],
            ),
        ]
    )


def _all_layers(name: str, metric: str, title: str) -> Chart:
    return Chart(title=title, multiline=MultilineChartContent(tag=[f"^{re.escape(name)}/{metric}/"]))


def _one_layer(name: str, metric: str, layer: str, title: str) -> Chart:
    return Chart(title=title, multiline=MultilineChartContent(tag=[f"^{re.escape(name)}/{metric}/{re.escape(layer)}$"]))


def joined_with_earlier(layout: Layout, directory: Path) -> Layout | None:
    """Return `layout` behind the one that the event files in `directory` hold already, since a run can have only one.

    What the user wrote (``SummaryWriter.add_custom_scalars``) stays. None where a file is too large to be searched for it.
    """
    earlier: Layout | None = None
    for path in sorted(directory.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
        if path.stat().st_size > _READABLE:
            return None
        if CONFIG_SUMMARY_TAG.encode() in path.read_bytes():
            earlier = _last_layout(path) or earlier
    if earlier is None:
        return layout
    ours = {category.title for category in layout.category}
    return Layout(category=[*(category for category in earlier.category if category.title not in ours), *layout.category])


def _last_layout(path: Path) -> Layout | None:
    found = None
    values: Iterable[Any] = (value for event in EventFileLoader(str(path)).Load() for value in event.summary.value)
    for value in values:
        if value.tag == CONFIG_SUMMARY_TAG and value.tensor.string_val:
            found = Layout.FromString(value.tensor.string_val[0])
    return found
