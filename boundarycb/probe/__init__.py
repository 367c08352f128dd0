"""The only code that runs the user's model: it sees every activation call and leaves no trace."""

from __future__ import annotations

from boundarycb.probe.activity import Activity
from boundarycb.probe.away import fetched
from boundarycb.probe.budget import LEAST_POINTS, Budget
from boundarycb.probe.conditions import Conditions
from boundarycb.probe.feed import PLAIN, Beside, Feed, ForwardLike, feed_in, feed_out, module_at
from boundarycb.probe.following import follow
from boundarycb.probe.gaps import TRANSPOSED
from boundarycb.probe.moves import compare
from boundarycb.probe.output import BackgroundLike, OutputLike
from boundarycb.probe.prober import NoGradient, NothingToDraw, Prober, home_of
from boundarycb.probe.products import most_flops
from boundarycb.probe.saved import bytes_of, load_plain, load_traces, save_plain, save_traces
from boundarycb.probe.scope import probe, waits_for_input
from boundarycb.probe.together import STAGE_3, Alone, Message, Talks, is_shard, refuse_talking, spread_of
from boundarycb.probe.trace import Trace, joined, put_by
from boundarycb.probe.watched import EVERY_UNIT, MAX_ALL_UNITS, MAX_UNITS, LayersLike, UnitsLike, WrongChoice

__all__ = [
    "EVERY_UNIT",
    "LEAST_POINTS",
    "MAX_ALL_UNITS",
    "MAX_UNITS",
    "PLAIN",
    "STAGE_3",
    "TRANSPOSED",
    "Activity",
    "Alone",
    "BackgroundLike",
    "Beside",
    "Budget",
    "Conditions",
    "Feed",
    "ForwardLike",
    "LayersLike",
    "Message",
    "NoGradient",
    "NothingToDraw",
    "OutputLike",
    "Prober",
    "Talks",
    "Trace",
    "UnitsLike",
    "WrongChoice",
    "bytes_of",
    "compare",
    "feed_in",
    "feed_out",
    "fetched",
    "follow",
    "home_of",
    "is_shard",
    "joined",
    "load_plain",
    "load_traces",
    "module_at",
    "most_flops",
    "probe",
    "put_by",
    "refuse_talking",
    "save_plain",
    "save_traces",
    "spread_of",
    "waits_for_input",
]
