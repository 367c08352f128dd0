"""Random models made of awkward pieces, probed at random moments: training stays the same."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from everything import differing, everything
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from test_no_trace import settings_kept
from torch import nn
from zoo import ROWS, Odd

from boundarycb.keep import tensors
from boundarycb.probe import Conditions, probe

STEPS = 4
PIECES = [row for row in ROWS if isinstance(row.make, type) and issubclass(row.make, Odd)]
BY_NAME = {row.name: row for row in PIECES}


class Composed(nn.Module):
    """Awkward pieces one after another, some of them twice, wherever they may stand."""

    def __init__(self, names: list[str], places: list[str]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 2)
        self.listed, self.named, self.hidden = nn.ModuleList(), nn.ModuleDict(), []
        self.order: list[Any] = []
        for number, (name, place) in enumerate(zip(names, places, strict=True)):
            piece = BY_NAME[name].make()
            if place == "list":
                self.listed.append(piece)
            elif place == "dict":
                self.named[str(number)] = piece
            else:
                self.hidden.append(piece)  # torch does not know it: no part of parameters()
            self.order += [piece, piece] if place == "dict" else [piece]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.first(x))
        for piece in self.order:
            h = torch.tanh(piece.odd(torch.relu(piece.fc1(h[:, :2]))))
        scores: torch.Tensor = self.last(h)
        return scores


@dataclass(frozen=True)
class Plan:
    """What is built, and when and how it is probed."""

    names: list[str]
    places: list[str]
    moments: list[tuple[int, str]]
    mode: Any
    few_bytes: int
    passes: list[int]
    double: bool


def plans() -> st.SearchStrategy[Plan]:
    @st.composite
    def make(draw: Any) -> Plan:
        names = draw(st.lists(st.sampled_from(sorted(BY_NAME)), min_size=1, max_size=4))
        moment = st.tuples(st.integers(0, STEPS - 1), st.sampled_from(["before", "forward", "backward", "step"]))
        return Plan(
            names=names,
            places=[draw(st.sampled_from(["list", "dict", "hidden"])) for _ in names],
            moments=draw(st.lists(moment, min_size=1, max_size=8)),
            mode=draw(st.sampled_from(["eval", "eval", "as_is"])),
            few_bytes=draw(st.sampled_from([2**24, 2000, 0])),
            passes=draw(st.lists(st.integers(2, 40), min_size=1, max_size=4)),
            double=draw(st.booleans()) and all(BY_NAME[name].double != "fails" for name in names),
        )

    return make()


def train(plan: Plan, probed: bool) -> tuple[list[float], dict[str, Any]]:
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    model = Composed(plan.names, plan.places)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []

    def at(step: int, moment: str) -> None:
        for _ in range(plan.moments.count((step, moment)) * probed):
            look(model, plan)

    for step in range(STEPS):
        at(step, "before")
        loss = nn.functional.cross_entropy(model(torch.rand(6, 2)), torch.randint(0, 2, (6,)))
        at(step, "forward")
        optimizer.zero_grad()
        loss.backward()
        at(step, "backward")
        optimizer.step()
        at(step, "step")
        losses.append(loss.item())
    return losses, everything(model, optimizer)


def look(model: nn.Module, plan: Plan) -> None:
    with probe(model, Conditions(mode=plan.mode)) as forward:
        for number in plan.passes:
            layers = forward(np.random.default_rng(number).uniform(-1, 1, (number, 2))).layers
        forward.trace(np.zeros((3, 2)), {layer.name for layer in layers})
        if plan.double:
            forward.double()(np.zeros((2, 2)))
    assert forward.lost == ()


@given(plan=plans())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore::UserWarning:torch")
def test_any_mixture_at_any_moment_trains_the_same(plan: Plan) -> None:
    limit = tensors.FEW_BYTES
    # A write behind torch's back is put back where bytes are copied beforehand, and there alone.
    tensors.FEW_BYTES = limit if "tensor behind torch's back" in plan.names else plan.few_bytes
    try:
        with settings_kept():
            try:
                want = train(plan, probed=False)
            except RuntimeError:  # a mixture that cannot be trained at all
                reject()
        with settings_kept():
            got = train(plan, probed=True)
    finally:
        tensors.FEW_BYTES = limit
    assert differing(got[1], want[1]) == []
    assert got[0] == want[0]
