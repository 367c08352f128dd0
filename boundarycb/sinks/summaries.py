"""Summaries as TensorBoard's plugins expect them.

Each carries its plugin and data class: without them TensorBoard's fast loader makes up metadata of its own, and drops the
description. It reads them at a tag's first summary only, so later ones go without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_BLOB_SEQUENCE,
    DATA_CLASS_SCALAR,
    DATA_CLASS_TENSOR,
    Summary,
    SummaryMetadata,
)
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_DOUBLE, DT_STRING
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG

from boundarycb.types import Array

_COLOURS = 3  # channels that a reader of the summary shall expect: palette images decode to RGB
_BINS = 30


class Summaries:
    """Makes summaries whose tags begin with `name`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._described: set[str] = set()

    def scalar(self, tag: str, text: str, value: float) -> Summary.Value:
        """Return a number."""
        return self._value(tag, text, "scalars", DATA_CLASS_SCALAR, simple_value=value)

    def image(self, tag: str, text: str, size: tuple[int, int], encoded: bytes) -> Summary.Value:
        """Return an encoded picture of `size` (width, height)."""
        picture = Summary.Image(width=size[0], height=size[1], colorspace=_COLOURS, encoded_image_string=encoded)
        return self._value(tag, text, "images", DATA_CLASS_BLOB_SEQUENCE, image=picture)

    def histogram(self, tag: str, text: str, values: Array) -> Summary.Value | None:
        """Return the distribution of the finite `values`; None where there are none."""
        finite = values[np.isfinite(values)].astype(np.float64)
        if not len(finite):
            return None
        counts, edges = np.histogram(finite, bins=_BINS)
        table = np.column_stack([edges[:-1], edges[1:], counts]).astype("<f8")
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in table.shape])
        tensor = TensorProto(dtype=DT_DOUBLE, tensor_shape=shape, tensor_content=table.tobytes())
        return self._value(tag, text, "histograms", DATA_CLASS_TENSOR, tensor=tensor)

    def markdown(self, tag: str, text: str, words: str) -> Summary.Value:
        """Return words in Markdown."""
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=[words.encode()])
        return self._value(tag, text, "text", DATA_CLASS_TENSOR, tensor=tensor)

    def samples(self, tag: str, text: str, records: Sequence[bytes], scene: bytes) -> Summary.Value:
        """Return records for the tab Boundaries; `scene` goes with the tag's first one, where TensorBoard keeps it for good."""
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=len(records))])
        tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=records)
        return self._value(tag, text, "boundaries", DATA_CLASS_TENSOR, about=scene, tensor=tensor)

    def layout(self, layout: Layout) -> Summary.Value:
        """Return the layout of Custom Scalars; its tag is TensorBoard's own."""
        metadata = SummaryMetadata(
            data_class=DATA_CLASS_TENSOR, plugin_data=SummaryMetadata.PluginData(plugin_name="custom_scalars")
        )
        tensor = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(), string_val=[layout.SerializeToString()])
        return Summary.Value(tag=CONFIG_SUMMARY_TAG, metadata=metadata, tensor=tensor)

    def _value(self, tag: str, text: str, plugin: str, kind: Any, about: bytes = b"", **content: Any) -> Summary.Value:
        full = f"{self._name}/{tag}"
        if full in self._described:
            return Summary.Value(tag=full, **content)
        self._described.add(full)
        metadata = SummaryMetadata(
            display_name=full,
            summary_description=text,
            data_class=kind,
            plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=about),
        )
        return Summary.Value(tag=full, metadata=metadata, **content)
