"""The values that flow through boundarycb, and the signatures of its extension points.

Letters used for dimensions everywhere:

====== ==========================================================
letter meaning
====== ==========================================================
U      units (kept pre-activations, all layers after one another)
H, W   rows and columns of the sampling grid; both are ``resolution``
P      grid points, ``P = H * W``, row by row
S      lines (polylines)
N      points of all lines
D      input dimensions
C      classes (outputs)
n      points of one forward pass
====== ==========================================================

Coordinates say their frame: *slice* coordinates are ``(u, v)`` pairs on the 2-D slice, *input* coordinates are what the
model takes. Row 0 of a grid is the row of smallest ``v``; a picture turns it over so that ``v`` grows upwards.

Every value that is kept is frozen, its arrays are read-only, and it is checked once, when it is made.
"""

from __future__ import annotations

from boundarycb.types.arrays import Array, Bits, Floats, freeze, frozen
from boundarycb.types.boundaries import Boundaries, Regions, polygon_areas
from boundarycb.types.capture import Capture, Field, Mode
from boundarycb.types.picture import Picture
from boundarycb.types.reading import Bend, Block, Forward, Reading, Room
from boundarycb.types.sample import Answers, Metric, MetricType, Moves, Part, Sample, Value, needs
from boundarycb.types.sink import Movie, Report, Sink
from boundarycb.types.slice import TARGET_SIDE, Bounds, Marks, Slice, Target, checked_anchor_names, checked_bounds
from boundarycb.types.snapshot import History, Snapshot
from boundarycb.types.units import Layer, Unit, class_layer, left_out, spans_of, units_of, watched_layers

__all__ = [
    "TARGET_SIDE",
    "Answers",
    "Array",
    "Bend",
    "Bits",
    "Block",
    "Boundaries",
    "Bounds",
    "Capture",
    "Field",
    "Floats",
    "Forward",
    "History",
    "Layer",
    "Marks",
    "Metric",
    "MetricType",
    "Mode",
    "Moves",
    "Movie",
    "Part",
    "Picture",
    "Reading",
    "Regions",
    "Report",
    "Room",
    "Sample",
    "Sink",
    "Slice",
    "Snapshot",
    "Target",
    "Unit",
    "Value",
    "checked_anchor_names",
    "checked_bounds",
    "class_layer",
    "freeze",
    "frozen",
    "left_out",
    "needs",
    "polygon_areas",
    "spans_of",
    "units_of",
    "watched_layers",
]
