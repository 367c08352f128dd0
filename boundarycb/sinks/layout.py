"""TensorBoard's Custom Scalars: which curves share a chart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

_LAYERS = 12  # with charts of their own
_READABLE = 64 * 2**20  # a larger event file is not searched for a layout of the user's


def layout_for(name: str, layers: Sequence[str], metrics: Mapping[str, float]) -> Layout:
    """Return a layout with the drift of each layer and its parts on one chart, and all layers of a number on one chart.

    Args:
        name: the leading word of all tags.
        layers: names of the layers; twelve have charts of their own.
        metrics: a sample's numbers: charts without any are left out.
    """
    charts = _Charts(name, layers, {metric for metric, value in metrics.items() if math.isfinite(value)})
    categories = {
        "how far boundaries moved since the last sample": [
            *charts.of_all("drift/flipped", "all layers"),
            *charts.of_each("drift/flipped", ("drift/shift", "drift/rotate", "drift/upstream"), "shift, rotate, upstream"),
            *charts.of_all("line/turn", "degrees by which straight lines turned"),
        ],
        "which parameters moved them": charts.of_each("cause/bias", ("cause/weights", "cause/upstream"), "bias, weights, upstream"),
        "copycats": [
            *charts.of_all("copycat/pairs", "pairs at or above the chance level, all layers"),
            *charts.of_all("copycat/share", "share of live units that repeat another, all layers"),
            *charts.of_each("copycat/max_phi", ("copycat/chance",), "most alike pair, and chance level"),
        ],
        "dormant units": [
            *charts.of_all("dormant/live", "live: switch on the slice, all layers"),
            *charts.of_all("dormant/never_on", "never on here, all layers"),
            *charts.of_all("dormant/always_on", "always on here, all layers"),
            *charts.of_all("dormant/tau", "tau-dormant, all layers"),
        ],
    }
    return Layout(category=[Category(title=f"{name}: {title}", chart=made) for title, made in categories.items() if made])


class _Charts:
    """Makes charts of the metrics that there are."""

    def __init__(self, name: str, layers: Sequence[str], metrics: set[str]) -> None:
        self._name = re.escape(name)
        self._layers = layers
        self._metrics = metrics

    def of_all(self, metric: str, title: str) -> list[Chart]:
        """Return a chart of `metric` of all layers, if any has it."""
        if not any(f"{metric}/{layer}" in self._metrics for layer in self._layers):
            return []
        return [Chart(title=title, multiline=MultilineChartContent(tag=[f"^{self._name}/{metric}/"]))]

    def of_each(self, metric: str, others: Sequence[str], title: str) -> list[Chart]:
        """Return a chart of `metric` and `others` for each layer that has the first of the others, twelve at most."""
        shown = [layer for layer in self._layers if f"{others[0]}/{layer}" in self._metrics][:_LAYERS]
        either = "|".join([metric, *others])
        return [
            Chart(title=f"{layer}: {title}", multiline=MultilineChartContent(tag=[f"^{self._name}/({either})/{re.escape(layer)}$"]))
            for layer in shown
        ]


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
