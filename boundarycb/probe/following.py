"""Passes that every rank has to run: a model whose parameters are spread over ranks gathers them layer by layer, on all at once.

One rank leads: it runs the model for its own sake, and tells the others beforehand what it is about to run. They follow: they
open the same scope, run the same passes, and throw away what comes of it. So all ranks gather the same layers in the same order,
whatever the leader decides on, and an error that the model raises on all of them ends the pass on all. (One that it raises on one
rank alone, such as a lack of memory, leaves the others waiting, as it does in training.)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from torch import nn

from boundarycb.probe.conditions import Conditions
from boundarycb.probe.feed import Feed, ForwardLike
from boundarycb.probe.scope import probe
from boundarycb.probe.together import Message


def follow(model: nn.Module, conditions: Conditions, hear: Callable[[], Message], forward: ForwardLike | None = None) -> Message:
    """Run what the leader runs until it ends; return its last message.

    Args:
        model: this rank's part of the model.
        conditions: how it is run, but for what goes in.
        hear: waits for the leader's next message.
        forward: the user's own way to run the model, where the leader runs it so.
    """
    while (message := hear()).kind != "end":
        if message.kind == "open":
            feed = replace(message.feed or Feed(), forward=forward if message.own else None)
            _follow_in_scope(model, replace(conditions, feed=feed, verify=message.verify, lead=None), hear)
    return message


def _follow_in_scope(model: nn.Module, conditions: Conditions, hear: Callable[[], Message]) -> None:
    with suppress(Exception), probe(model, conditions) as prober:
        while (message := hear()).kind == "pass":
            with suppress(Exception):  # the leader has the same one, and says what becomes of it
                prober.again(message.what, message.args)
