"""How many regions there are: counted by hand, by crossings, by ``find_regions``, and against those that the grid sees."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import linear_units, mlp
from torch import nn

from boundarycb import Recorder, find_regions, load, slices
from boundarycb.engines import exact
from boundarycb.metrics.regions import exact_regions, regions_seen
from boundarycb.probe import probe
from boundarycb.types import Floats, Slice, Snapshot

SQUARE = slices.box((-1, 1), (-1, 1))


def recorded(model: nn.Module, directory: Path, plane: Slice = SQUARE, **options: Any) -> Snapshot:
    options = {"resolution": 64, "image_size": 64, "metrics": [exact_regions, regions_seen], **options}
    recorder = Recorder(directory / "run", plane, **options)
    recorder.record(model, 0)
    recorder.close()
    return load(directory)[-1]


def counts_of(snapshot: Snapshot) -> dict[str, float]:
    found = snapshot.metrics.items()
    return {name.removeprefix("regions/exact/"): value for name, value in found if name.startswith("regions/exact/")}


def with_classes(lines: Floats, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Return a layer of the units a x + b y + c, rows of `lines`, and two classes, so that the engine cuts along them."""
    one, out = nn.Linear(2, len(lines), dtype=dtype), nn.Linear(len(lines), 2, dtype=dtype)
    with torch.no_grad():
        one.weight.copy_(torch.tensor(lines[:, :2]))
        one.bias.copy_(torch.tensor(lines[:, 2]))
    return nn.Sequential(one, nn.ReLU(), out)


def crossings(lines: Floats) -> int:
    """Return how many pairs of lines a x + b y + c = 0 cross within the square, by Cramer's rule."""
    count = 0
    for (a, b, c), (d, e, f) in combinations(lines, 2):
        bottom = a * e - b * d
        x, y = (b * f - c * e) / bottom, (c * d - a * f) / bottom
        count += bool(abs(x) < 1 and abs(y) < 1)
    return count


def across(lines: Floats) -> int:
    """Return how many lines cross the square: those with corners on both sides."""
    corners = np.array([[-1, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1]])
    return int(np.ptp(np.sign(corners @ lines.T), axis=0).astype(bool).sum())


def test_three_lines_in_general_position_make_seven(tmp_path: Path) -> None:
    lines = np.array([[1.0, 0, 0.1], [0, 1, -0.2], [1, 1, 0.3]])
    assert counts_of(recorded(with_classes(lines), tmp_path)) == {"0": 7}


@pytest.mark.parametrize("seed", range(4))
def test_lines_make_one_region_and_one_more_for_each_line_and_crossing(tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    angles, points = generator.uniform(0, np.pi, 16), generator.uniform(-1, 1, (16, 2))
    normals = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    lines = np.column_stack([normals, -(normals * points).sum(axis=1)])
    lines[3, 2] = 5.0  # one that lies outside
    snapshot = recorded(with_classes(lines, torch.float64), tmp_path)
    assert across(lines) == 15
    assert counts_of(snapshot) == {"0": 1 + 15 + crossings(lines)}
    assert 1 < snapshot.metrics["regions/seen"] <= counts_of(snapshot)["0"]


def trained(seed: int) -> nn.Sequential:
    """Return GINN's network after a few steps towards a ring."""
    model: nn.Sequential = mlp(2, 16, 16, 16, 2, seed=seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    points = torch.rand(256, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(points), (points.square().sum(dim=1) < 0.5).long()).backward()
        optimizer.step()
    return model


def without_biases() -> nn.Sequential:
    model: nn.Sequential = mlp(2, 16, 16, 16, 2, seed=5)
    with torch.no_grad():
        for linear in (part for part in model if isinstance(part, nn.Linear)):
            linear.bias.zero_()
    return model


def with_copies() -> nn.Sequential:
    """Return a network with units that are others, and others mirrored, at other scales."""
    model = trained(7)
    with torch.no_grad():
        for linear in (part for part in list(model)[:-1] if isinstance(part, nn.Linear)):
            for copy, scale in ((1, 1.0), (2, 4.0), (3, -0.5)):
                linear.weight[copy], linear.bias[copy] = linear.weight[0] * scale, linear.bias[0] * scale
    return model


def bent_twice() -> nn.Sequential:
    """Return a network of ReLU6, which bends at 6 too."""
    model: nn.Sequential = mlp(2, 12, 12, 2, seed=3, act=nn.ReLU6)
    with torch.no_grad():
        for parameter in model[0].parameters():
            parameter.mul_(6)
    return model


NETS: dict[str, Callable[[], nn.Module]] = {
    "trained": lambda: trained(0),
    "trained in double": lambda: trained(1).double(),
    "no biases": without_biases,
    "copies": with_copies,
    "ReLU6": bent_twice,
    "one layer": lambda: mlp(2, 9, 3),
    "sigmoids at the end": lambda: nn.Sequential(mlp(2, 8, 8, 2), nn.Sigmoid()),
}


@pytest.mark.parametrize("name", NETS)
def test_counts_are_those_of_find_regions(tmp_path: Path, name: str) -> None:
    model = NETS[name]()
    snapshot, regions = recorded(model, tmp_path), find_regions(model, SQUARE)
    counts = counts_of(snapshot)
    assert counts == regions.counts
    assert list(counts.values())[-1] == len(regions)
    assert list(counts.values()) == sorted(counts.values())
    assert 1 < snapshot.metrics["regions/seen"] <= len(regions)


def test_copies_make_no_region(tmp_path: Path) -> None:
    lines = np.array([[1.0, 0, 0.1], [0, 1, -0.2], [1, 1, 0.3]])
    copies = np.concatenate([lines, 4 * lines[:1], -lines[1:2]])
    assert counts_of(recorded(with_classes(copies), tmp_path)) == {"0": 7}


def test_regions_too_thin_to_be_told_from_rounding_do_not_count(tmp_path: Path) -> None:
    """Two lines 5e-8 of the side apart: a sliver with that area and a perimeter of 2, cut in two by a third."""
    model = with_classes(np.array([[1.0, 0, 0.1], [1, 0, 0.1 + 1e-7], [0, 1, -0.2]]), torch.float64)
    regions = find_regions(model, SQUARE)
    assert (len(regions), regions.thin) == (4, 2)
    assert counts_of(recorded(model, tmp_path)) == {"0": 4}


@pytest.mark.logs_warnings
def test_units_that_are_not_watched_count_too(tmp_path: Path) -> None:
    model = trained(2)
    some = recorded(model, tmp_path / "some", max_units=4)
    assert len(some.capture.on) == 12
    assert counts_of(some) == counts_of(recorded(model, tmp_path / "all"))


def test_the_last_layer_of_a_value_is_not_cut_through(tmp_path: Path) -> None:
    """Its lines are known without, and there is no border between classes to look for. What is known is given."""
    model = mlp(2, 8, 8, 1)
    counts = counts_of(recorded(model, tmp_path / "two"))
    assert counts == {"0": find_regions(model, SQUARE).counts["0"]}
    assert counts_of(recorded(linear_units((1, 0, 0), (0, 1, 0)), tmp_path / "one")) == {}


def test_traced_lines_make_no_count(tmp_path: Path) -> None:
    assert counts_of(recorded(trained(0), tmp_path / "grid", engine="grid")) == {}
    assert counts_of(recorded(mlp(2, 8, 8, 2, act=nn.Tanh), tmp_path / "smooth")) == {}


def test_a_budget_too_small_for_the_last_layer_leaves_the_others() -> None:
    model = trained(0).double()
    wanted = find_regions(model, SQUARE).counts
    with probe(model) as forward:
        reading = forward(SQUARE.lift(SQUARE.corners()))
        double = forward.double(10**6)
        for limit in range(100, 3000, 100):
            try:
                found = exact.find(double.quick(reading), SQUARE, reading.layers, limit, again=double)
            except exact.Unsuitable:
                continue
            if len(found.regions) < 3:
                assert found.regions == {name: wanted[name] for name in ("0", "2")}
                break
        else:
            pytest.fail("no budget was too small for the last layer alone")
