"""What was planted in a run is found by name, place and step, and nothing else; where nothing was planted, nothing is claimed.

The networks are made by hand: the first two units of each layer are on everywhere on the slice and hand x + 2 and y + 2 on, so that
every other unit of both layers is a straight line of one's choice, ``a x + b y + c``, and so are the differences of the outputs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from models import mlp
from numpy.typing import NDArray
from torch import nn

from boundarycb import Recorder, load, slices
from boundarycb.history import History, HistoryWriter
from boundarycb.report import make_report
from boundarycb.report.finding import Finding
from boundarycb.report.phenomena import ALL
from boundarycb.report.run import Run
from boundarycb.types import Floats, Slice

SQUARE = slices.box((-1, 1), (-1, 1))
FIRST, SECOND = "0", "2"  # what nn.Sequential calls the two layers
UNITS = 16
CARRIERS = np.array([[1.0, 0, 2], [0, 1, 2]])  # x + 2 and y + 2: above 0 on the square
DATA = np.random.default_rng(11).uniform(-1, 1, (200, 2))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Products are small here: threads would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_lines(count: int, rng: np.random.Generator) -> Floats:
    """Return lines (count, 3) through uniform points of the square in uniform directions, their weights of length 1."""
    angle, points = rng.uniform(0, 2 * np.pi, count), rng.uniform(-1, 1, (count, 2))
    normals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.column_stack([normals, -(normals * points).sum(axis=1)])


def carried(lines: Floats, width: int = UNITS) -> Floats:
    """Return the weights and the bias, last, of units behind the carriers that are `lines` (n, 3) of x and y."""
    weights = np.zeros((len(lines), width + 1))
    weights[:, :2] = lines[:, :2]
    weights[:, -1] = lines[:, 2] - 2 * lines[:, 0] - 2 * lines[:, 1]
    return weights


def network(*layers: Floats) -> nn.Sequential:
    """Return a network of ReLUs from the weights and, in the last column, biases of its layers."""
    modules: list[nn.Module] = []
    for layer in layers:
        linear = nn.Linear(layer.shape[1] - 1, len(layer))
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer[:, :-1]))
            linear.bias.copy_(torch.tensor(layer[:, -1]))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def of_lines(first: Floats, second: Floats, output: Floats) -> nn.Sequential:
    """Return a network whose units are these lines, behind the carriers, with these weights of the output."""
    return network(np.concatenate([CARRIERS, first]), carried(np.concatenate([CARRIERS, second])), output)


def record(directory: Path, models: Sequence[nn.Module], steps: Sequence[int], plane: Slice = SQUARE) -> History:
    """Return the history of `models` as the samples at `steps`, with all default metrics."""
    recorder = Recorder(directory, plane, resolution=64, data=DATA)
    for model, step in zip(models, steps, strict=True):
        recorder.record(model, step)
    recorder.close()
    return load(directory)


def found(name: str, history: History) -> Finding:
    """Return the report's finding called `name`."""
    findings = [one for phenomenon in ALL if (one := phenomenon(Run(history))) is not None]
    return next(one for one in findings if one.name == name)


# ------------------------------------------------------------------------------------------ units that do something alone

STEPS = range(0, 250, 10)
MIDDLE = (0.55, 0.1)  # of the diamond that the output misses
ORIGINAL, COPY, COPIED = 4, 5, 12  # the sample since when it is one
LEAVES, OFF, BACK = 9, 6, 9  # at sample 6, and on again at sample 9
STAYS_OFF, GONE = 10, 13
NEVER = 11  # off at all samples
RESTLESS, FLIPS = 7, range(9, 17)  # the samples before which it flips


def right_half_without_diamond(inputs: Floats) -> NDArray[np.bool_]:
    return np.asarray((inputs[:, 0] > 0.1) & (abs(inputs - MIDDLE).sum(axis=1) >= 0.25))


def restless_at(number: int) -> Floats:
    """Return x + y / 2 - 0.3, or + 0.2 after an odd number of flips."""
    flips = sum(number >= flip for flip in FLIPS)
    return np.array([1, 0.5, -0.3 if flips % 2 == 0 else 0.2])


def with_single_units(number: int, weight: float = 0.0) -> nn.Sequential:
    """Return the network at sample `number`; every second unit drifts by 0.005 a sample, the others stand.

    The first output is 0, the second 8 (x - 0.1) and `weight` times the restless unit, the third never wins.
    """
    rng = np.random.default_rng(6)  # one of which no two lines are alike by chance, as they are in one layer of twenty
    first, second = (random_lines(UNITS - 2, rng) for _ in range(2))
    for lines in (first, second):
        lines[::2, 2] += 0.005 * number
    if number >= COPIED:
        first[COPY - 2] = 3 * first[ORIGINAL - 2]
    if OFF <= number < BACK:
        first[LEAVES - 2, 2] = -5
    if number >= GONE:
        first[STAYS_OFF - 2, 2] = -5
    first[NEVER - 2, 2] = -5
    second[RESTLESS - 2] = restless_at(number)
    output = carried(np.array([[0.0, 0, 0], [8, 0, -0.8], [1, 1, -100]]))
    output[1, RESTLESS] = weight
    return of_lines(first, second, output)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> History:
    models = [with_single_units(number) for number in range(len(STEPS))]
    return record(tmp_path_factory.mktemp("single"), models, STEPS, slices.aimed(SQUARE, right_half_without_diamond))


@pytest.fixture(scope="module")
def single_text(single: History) -> str:
    return make_report(single).text


def test_the_copy_is_named_with_its_birth_and_no_other_pair(single: History, single_text: str) -> None:
    # Three times another's weights and bias: the same boundary, the same side on, values three times as large: one function.
    for number, sample in enumerate(single):
        pairs = [row for row in sample.tables["copycat/closest"] if row["since"] is not None]
        named = [(row["layer"], row["unit"], row["other"], row["since"]) for row in pairs]
        assert named == ([(FIRST, ORIGINAL, COPY, STEPS[COPIED])] if number >= COPIED else [])
        assert sample.metrics[f"copycat/pairs/{SECOND}"] == 0
        assert sample.metrics[f"copycat/functional/{FIRST}"] == (1 if number >= COPIED else 0)
    (row,) = [row for row in single[-1].tables["copycat/closest"] if row["since"] is not None]
    assert (row["phi"], row["r"]) == (1, 1)
    assert single[-1].metrics[f"copycat/new_pairs/{FIRST}"] == 1
    assert f"layer 0: units {ORIGINAL} and {COPY} are copycats since step {STEPS[COPIED]}: |phi| 1.000" in single_text
    assert single_text.count("are copycats since") == 1
    assert "At the end no pair of layer 2 reaches its layer's level." in single_text
    assert found("copycats", single).result == "1 pair at the end, 1 of them new; 0 at the start"


def test_the_restless_unit_is_named_with_its_two_states(single: History, single_text: str) -> None:
    # It flips before each of samples 9 to 16. With one flip alone in the window of eight it is not back (ret 0), or was never there
    # (osc 0); with two, osc is 1 - 1/3 and ret 1. So it is named from sample 10, up to 21, whose window begins at sample 14.
    named = range(10, 22)
    for number, sample in enumerate(single):
        rows = sample.tables.get("indecisive/worst", [])
        assert [(row["layer"], row["unit"]) for row in rows] == ([(SECOND, RESTLESS)] if number in named else [])
        if number >= 2:
            assert sample.metrics["indecisive/output_moved"] == 0  # nothing else has a weight in the output
            assert sample.metrics[f"indecisive/strict/{SECOND}"] == (1 if number in named else 0)
            assert sample.metrics[f"indecisive/units/{FIRST}"] == 0
    said = found("indecisive", single)
    assert said.result == "1 unit ever flagged, 1 at once at most"
    assert f"layer 2, unit {RESTLESS}, in the eight snapshots up to step" in said.sentences[0]
    assert "the output changed its class at 0 % of the points" in said.sentences[0]
    assert f"Flagged most often: layer 2, unit {RESTLESS}, at {len(named)} snapshots of {len(STEPS)}." in single_text


def test_its_two_states_are_those_that_it_goes_between(single: History) -> None:
    # Between x + y / 2 = 0.3 and -0.2 lies a strip that is 0.5 wide in x, all of it on the square: a quarter of the slice.
    for number in (10, 16, 21):
        (row,) = single[number].tables["indecisive/worst"]
        one, other = (single[STEPS.index(row[name])].capture.mask(SECOND)[RESTLESS] for name in ("step", "other_step"))
        assert (one ^ other).mean() == pytest.approx(0.25, abs=0.01)
        assert number - 7 <= STEPS.index(row["step"]) <= number
        assert number - 7 <= STEPS.index(row["other_step"]) <= number


def test_a_restless_unit_that_the_output_reads_is_not_strict(tmp_path: Path) -> None:
    # The same unit with a weight of 5 in the output moves the border between the classes with it.
    history = record(tmp_path, [with_single_units(number, weight=5.0) for number in range(8, 17)], STEPS[8:17])
    last = history[-1].metrics
    assert last["indecisive/output_moved"] > 0.01
    assert (last[f"indecisive/units/{SECOND}"], last[f"indecisive/strict/{SECOND}"]) == (1, 0)


def test_a_revival_is_counted_at_its_unit_and_step(single: History, single_text: str) -> None:
    # Off by a bias of -5 at samples 6 to 8: back at sample 9. Another goes at sample 13 and stays away, a third never was on.
    for number, sample in enumerate(single):
        revivals = np.zeros(UNITS)
        revivals[LEAVES] = number >= BACK
        assert sample.per_unit[f"dormant/revivals_per_unit/{FIRST}"].tolist() == revivals.tolist()
        assert sample.metrics[f"dormant/revivals/{FIRST}"] == revivals.sum()
        assert sample.metrics[f"dormant/revivals/{SECOND}"] == 0
        off = 1 + (OFF <= number < BACK) + (number >= GONE)
        assert sample.metrics[f"dormant/never_on/{FIRST}"] == off / UNITS
        last_on = np.full(UNITS, sample.step)
        last_on[LEAVES] = STEPS[OFF - 1] if OFF <= number < BACK else sample.step
        last_on[STAYS_OFF] = min(sample.step, STEPS[GONE - 1])
        last_on[NEVER] = -1
        assert sample.per_unit[f"dormant/last_on_per_unit/{FIRST}"].tolist() == last_on.tolist()
    assert "Once a unit that was on nowhere on the slice was on somewhere at the next snapshot" in single_text


def test_a_class_that_never_wins_is_told_on_slice_and_data(single: History, single_text: str) -> None:
    # Its output is x + y - 100.
    for sample in single:
        assert sample.metrics["decision/never"] == 1
        assert sample.metrics["dormant/never_predicted_data"] == 1
    assert "1 class won for none of the data points." in single_text
    rows = {row["what"]: (row["start"], row["end"]) for row in found("regions", single).rows}
    assert rows["classes that win nowhere on the slice"] == ("1", "1")


def test_the_missed_diamond_is_named_with_its_place(single: History, single_text: str) -> None:
    # The output has the right half; the diamond in it, of 0.125 in 4, is left out by the target: the third part by size.
    last = single[-1]
    parts = last.tables["target/parts"]
    assert [part["class"] for part in parts] == [0, 1, 0]
    assert [part["recall"] for part in parts] == pytest.approx([1, 1, 0], abs=0.02)
    missed = parts[2]
    assert (missed["u"], missed["v"]) == pytest.approx(MIDDLE, abs=0.01)
    assert missed["share"] == pytest.approx(0.125 / 4, abs=0.001)
    assert last.metrics["target/missed_parts"] == 1
    assert last.metrics["target/accuracy"] == pytest.approx(1 - 0.125 / 4, abs=0.005)
    assert "Part 3 is missed: of its points around (0.55, 0.10), class 0, 0 % are right." in single_text
    assert single_text.count("is missed: of") == 1


# ------------------------------------------------------------------------------------------- layers whose units do it together

EDGES = np.array([[1, 0.4, -0.3], [0.2, 1, 0.35], [1, -0.8, 0.5], [-0.5, 1, -0.45]])  # general lines: no mirror images


def checkered(inputs: Floats) -> NDArray[np.int64]:
    """Return on how many of the four lines' upper sides an input lies, even or odd: they are the edges between the two."""
    return np.asarray((inputs @ EDGES[:, :2].T + EDGES[:, 2] > 0).sum(axis=1) % 2)


def crossings() -> Floats:
    """Return where two of the lines cross, on the square."""
    points = np.array([np.linalg.solve(pair[:, :2], -pair[:, 2]) for pair in map(np.array, combinations(EDGES, 2))])
    return np.asarray(points[(abs(points) <= 1).all(axis=1)])


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Random lines become seven mirrored pairs in the first layer, and the target's edges in the second one."""
    rng = np.random.default_rng(5)
    one, other, half = random_lines(UNITS - 2, rng), random_lines(UNITS - 2, rng), random_lines(UNITS // 2 - 1, rng)
    mirrored = np.concatenate([half, half * [-1, 1, 1]])  # x -> -x
    edges = np.resize(EDGES, (UNITS - 2, 3)) * rng.choice([-2.0, 1.0], (UNITS - 2, 1))
    output = carried(np.array([[0.0, 0, 0], [1, 0, 0]]))
    models = [of_lines(first, second, output) for first, second in ((one, other), (mirrored, edges))]
    return record(tmp_path_factory.mktemp("together"), models, (0, 10), slices.aimed(SQUARE, checkered, corners=crossings()))


def test_the_layer_of_mirrored_pairs_is_the_most_symmetric(together: History) -> None:
    # Each line of the first layer has its mirror image at the end, left to right alone; 0.35 is three times what lines scatter by.
    for number, sample in enumerate(together):
        for layer in (FIRST, SECOND):
            chance = sample.metrics[f"symmetry/chance/{layer}"]
            for axis in ("left_right", "up_down"):
                score = sample.metrics[f"symmetry/{axis}/{layer}"]
                if (number, layer, axis) == (1, FIRST, "left_right"):
                    assert score > 0.99
                    assert score > chance + 0.35
                else:
                    assert abs(score - chance) < 0.35
    said = found("symmetry", together)
    assert said.result == "most: layer 0, left-right, 1.00"
    assert said.sentences[0].startswith("At the end layer 0 is the most symmetric layer beyond its chance level: left-right 1.00")
    assert said.sentences[0] in make_report(together).text


def test_lines_on_the_edges_are_far_below_chance_in_that_layer_only(together: History) -> None:
    # The second layer's lines are the edges (to a pixel of 256), and cross where the corners are.
    start, end = (sample.metrics for sample in together)
    assert len(crossings()) >= 4
    assert end[f"critical/edge/{SECOND}"] < 0.05
    assert end[f"critical/edge_chance/{SECOND}"] > 0.6
    assert end[f"critical/corner/{SECOND}"] < 1e-6
    assert end[f"critical/corner_chance/{SECOND}"] > 0.6
    for numbers, layer in ((start, FIRST), (start, SECOND), (end, FIRST)):
        assert abs(numbers[f"critical/edge/{layer}"] - numbers[f"critical/edge_chance/{layer}"]) < 0.25
        assert numbers[f"critical/corner/{layer}"] > 0.2
    said = found("critical", together)
    assert said.result.endswith(f" / {end[f'critical/edge/{SECOND}']:.2f} at the end (layer 0 / layer 2)")
    assert said.sentences[0].startswith("At the end the boundaries of layer 2 run clearly nearer")


def test_classes_that_both_win_are_not_told_as_missing(together: History) -> None:
    for sample in together:
        assert sample.metrics["decision/never"] == 0
        assert sample.metrics["dormant/never_predicted_data"] == 0
    assert not [sentence for sentence in found("dormant", together).sentences if "won for none" in sentence]


# --------------------------------------------------------------------------------------------------------- what moved it

SHIFTED, SCALED, TURNED = (0, 20), (20, 100), (100, 300)  # between these steps; they are the report's windows too
MOVES = (0, 5, 10, 15, 20, 40, 60, 80, 100, 150, 200, 250, 300)


def moved_lines(step: int) -> Floats:
    """Return lines whose biases grow up to step 20, then their weights in one proportion up to 100, and which turn from then on."""
    rng = np.random.default_rng(7)
    lines = random_lines(UNITS, rng)
    lines[:, 2] = rng.choice([-1, 1], UNITS) * (0.2 + 0.01 * min(step, 20))
    lines[:, :2] *= 1 + max(0, min(step, 100) - 20) / 100
    turn = max(0, step - 100) / 1000
    return np.column_stack([lines[:, :2] @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], lines[:, 2]])


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> History:
    """The first layer moves; the second one, and the output, keep their weights."""
    above = [np.random.default_rng(8).normal(size=shape) for shape in ((UNITS, UNITS + 1), (2, UNITS + 1))]
    return record(tmp_path_factory.mktemp("moving"), [network(moved_lines(step), *above) for step in MOVES], MOVES)


@pytest.mark.parametrize(
    ("window", "geometry", "parameters"),
    [(SHIFTED, "shift", "bias"), (SCALED, "shift", "weights"), (TURNED, "rotate", "weights")],
)
def test_what_moved_and_which_parameters_did_it(moving: History, window: tuple[int, int], geometry: str, parameters: str) -> None:
    # A line's distance from the slice's middle is |bias| / |weights|: changed by the bias, by longer weights, and not by turning.
    run = Run(moving)
    flipped = run.sum(f"drift/flipped/{FIRST}", *window)
    assert flipped > 0.05
    for family, parts, all_of_it in (
        ("drift", ("shift", "rotate", "upstream"), geometry),
        ("cause", ("bias", "weights", "upstream"), parameters),
    ):
        for part in parts:
            share = run.sum(f"{family}/{part}/{FIRST}", *window) / flipped
            assert share == pytest.approx(1 if part == all_of_it else 0, abs=1e-9)


def test_the_layer_above_is_moved_from_below(moving: History) -> None:
    # Its weights are the same at every sample. (Longer weights below are another unit of length for it, so that span is left out.)
    run = Run(moving)
    for window in (SHIFTED, TURNED):
        flipped = run.sum(f"drift/flipped/{SECOND}", *window)
        assert flipped > 0.03
        for family in ("drift", "cause"):
            assert run.sum(f"{family}/upstream/{SECOND}", *window) == pytest.approx(flipped, abs=1e-9)


def test_the_report_says_what_moved_early_and_late(moving: History) -> None:
    said = found("moved", moving)
    assert said.result == "of shift + turn, shift makes 100 % in steps 0 to 20, 0 % in steps 100 to 300"
    assert said.sentences[0].endswith("Clearly less, by three standard errors: layer 0.")
    assert "its bias did 100 % in" in said.sentences[1]
    assert said.sentences[2].startswith("Units of layer 2 turned no boundary themselves: ")  # its weights stay what they are
    assert said.sentences[0] in make_report(moving).text


# -------------------------------------------------------------------------------------------------------- nothing to find

SAMPLES = 40


def random_network(rng: np.random.Generator) -> nn.Sequential:
    """Return a network of random lines, and above them random units whose boundaries go through random points of the square."""
    first = random_lines(UNITS, rng)
    weights, points = rng.normal(size=(UNITS, UNITS)), rng.uniform(-1, 1, (UNITS, 2))
    inputs = np.maximum(points @ first[:, :2].T + first[:, 2], 0)
    second = np.column_stack([weights, -(weights * inputs).sum(axis=1)])
    return network(first, second, np.column_stack([rng.normal(size=(2, UNITS)), [0, 0]]))


@pytest.fixture(scope="module")
def unrelated(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Samples that have nothing to do with each other, nor with their target."""
    rng = np.random.default_rng(2)
    models = [random_network(rng) for _ in range(SAMPLES)]
    plane = slices.aimed(SQUARE, lambda inputs: abs(inputs - [0.3, -0.1]).sum(axis=1) < 0.6)
    return record(tmp_path_factory.mktemp("unrelated"), models, range(0, 5 * SAMPLES, 5), plane)


def test_copycats_of_random_lines_are_as_seldom_as_said_and_do_not_last(unrelated: History) -> None:
    # One layer in twenty: of 2 x 40 that is 4, with a standard deviation of sqrt(80 x 0.05 x 0.95) = 1.95.
    some = sum(sample.metrics[f"copycat/pairs/{layer}"] > 0 for sample in unrelated for layer in (FIRST, SECOND))
    assert some <= 4 + 3 * 1.95
    for sample in unrelated:
        since = [row["since"] for row in sample.tables["copycat/closest"] if row["since"] is not None]
        assert set(since) <= {sample.step}


def test_units_that_are_anew_at_every_sample_are_noise_and_none_is_named(unrelated: History) -> None:
    # Noise about a place: f2 is f1 on the average, so osc is 1/2, and ret 1 - 1/7 over the seven steps of a window.
    for layer in (FIRST, SECOND):
        assert np.nanmax(unrelated.series(f"indecisive/units/{layer}")[1]) == 0
        assert np.nanmean(unrelated.series(f"indecisive/osc/{layer}")[1][7:]) == pytest.approx(1 / 2, abs=0.05)
        assert np.nanmean(unrelated.series(f"indecisive/ret/{layer}")[1][7:]) == pytest.approx(6 / 7, abs=0.05)


@pytest.mark.parametrize("layer", [FIRST, SECOND])
@pytest.mark.parametrize(
    ("number", "level"),
    [
        ("symmetry/left_right", "symmetry/chance"),
        ("symmetry/up_down", "symmetry/chance"),
        ("critical/edge", "critical/edge_chance"),
        ("critical/corner", "critical/corner_chance"),
    ],
)
def test_random_lines_are_at_their_chance_level(unrelated: History, layer: str, number: str, level: str) -> None:
    above = unrelated.series(f"{number}/{layer}")[1] - unrelated.series(f"{level}/{layer}")[1]
    assert abs(above.mean()) < 3 * above.std(ddof=1) / math.sqrt(SAMPLES)


def test_the_report_of_nothing_claims_nothing(unrelated: History) -> None:
    text = make_report(unrelated).text
    assert "At the end no pair of layer 0 and layer 2 reaches its layer's level." in text
    assert "No unit met all of the criteria at any snapshot." in text
    assert "At the end the boundaries of no layer by itself run clearly nearer" in text
    assert "At the end no layer is more symmetric than chance explains" in text
    assert "no layer beyond chance; most:" in text
    assert "Clearly less, by three standard errors: none." in text  # though less, by what samples of nothing scatter
    for claim in CLAIMS:
        assert claim not in text


CLAIMS = (
    "are copycats since",
    "are copycats from",
    "The most restless",
    "is the most symmetric layer",
    "standard errors: layer",
    "the end the boundaries of layer",
    "layers together do",
)


def test_nor_would_it_at_other_samples(unrelated: History, tmp_path: Path) -> None:
    """The report of the run up to some sample: eight other ends."""
    claims = []
    for until in unrelated.steps[9:-1:4]:
        part = load(HistoryWriter(tmp_path / str(until), unrelated.slice, earlier=unrelated, until=until).path)
        words = " ".join(sentence for name in ("moved", "critical", "symmetry") for sentence in found(name, part).sentences)
        claims += [claim for claim in CLAIMS if claim in words]
    assert claims == []


# --------------------------------------------------------------------------------------------------- a history without order


@pytest.fixture(scope="module")
def training() -> list[nn.Module]:
    """A short training of the diamond: the network every tenth step."""
    model = mlp(2, UNITS, UNITS, 2, seed=1)
    inputs = torch.tensor(DATA, dtype=torch.float32)
    labels = torch.tensor(abs(DATA).sum(axis=1) < 0.7, dtype=torch.int64)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    samples = [copy.deepcopy(model)]
    for step in range(1, 241):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
        if step % 10 == 0:
            samples.append(copy.deepcopy(model))
    return samples


@pytest.fixture(scope="module")
def in_order(training: list[nn.Module], tmp_path_factory: pytest.TempPathFactory) -> History:
    return record(tmp_path_factory.mktemp("order"), training, range(0, 10 * len(training), 10))


@pytest.fixture(scope="module")
def shuffled(training: list[nn.Module], tmp_path_factory: pytest.TempPathFactory) -> History:
    order = np.random.default_rng(2).permutation(len(training))
    return record(tmp_path_factory.mktemp("shuffled"), [training[place] for place in order], range(0, 10 * len(order), 10))


def test_a_shuffled_history_is_noise(shuffled: History, in_order: History) -> None:
    # Which sample comes after which is chance: any two differ by as much as any other two, as with noise about a place.
    for layer in (FIRST, SECOND):
        noise, drift = (
            [np.nanmean(history.series(f"indecisive/{name}/{layer}")[1][7:]) for name in ("osc", "ret")]
            for history in (shuffled, in_order)
        )
        assert noise == pytest.approx([1 / 2, 6 / 7], abs=0.07)
        assert drift[0] < 0.2
        assert drift[1] < 0.4


def test_what_is_named_in_it_is_as_seldom_as_said_and_strict_only_while_the_output_stands(shuffled: History) -> None:
    # Speeds differ in a training, so of a hundred units one or two are named at a sample; the report adds what that is worth.
    units, strict = (
        np.stack([shuffled.series(f"indecisive/{name}/{layer}")[1][2:] for layer in (FIRST, SECOND)])
        for name in ("units", "strict")
    )
    moved = shuffled.series("indecisive/output_moved")[1][2:]
    assert 0 < units.sum() / (UNITS * units.size) < 0.02
    assert not strict[:, moved >= 0.01].any()
    assert (strict <= units).all()
    assert "so a single flag is no finding" in make_report(shuffled).text


@pytest.mark.parametrize("name", ["in_order", "shuffled", "unrelated"])
def test_parts_add_up_at_every_sample(name: str, request: pytest.FixtureRequest) -> None:
    history: History = request.getfixturevalue(name)
    for sample in history[1:]:
        for layer in (FIRST, SECOND):
            flipped = sample.metrics[f"drift/flipped/{layer}"]
            for family, parts in (("drift", ("shift", "rotate", "upstream")), ("cause", ("bias", "weights", "upstream"))):
                total = sum(sample.metrics[f"{family}/{part}/{layer}"] for part in parts)
                assert total == pytest.approx(flipped, abs=1e-9)
