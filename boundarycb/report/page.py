"""The report of a run as a page in Markdown, with its pictures."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from boundarycb.history import History
from boundarycb.markdown import as_it_is, table
from boundarycb.metrics.descriptions import describe
from boundarycb.render import draw_overlay
from boundarycb.render.captions import from_to
from boundarycb.report.charts import Chart, Curve, draw_charts
from boundarycb.report.finding import Finding, guesses_classes, of_several
from boundarycb.report.layout import side_by_side
from boundarycb.report.phenomena import ALL
from boundarycb.report.run import Run
from boundarycb.types import Picture, Report, left_out
from boundarycb.words import listed, spoken

_NAMED = 6  # layers that are not told of, by their names
_PLANE = 3  # samples that a plane is laid through
_SIZE = 384  # of the overlays at the top, pixels

_WORDS = (
    "A *unit* is *on* where the number that goes into its activation is above 0. Its *boundary* is where it switches: of a unit "
    "that reads the input, w . x + b = 0, a straight line on the slice; those of deeper layers bend where they cross boundaries "
    "of layers below. All pictures and numbers are about one *slice*, a flat piece of the input space (of two inputs: all of it "
    "between the bounds), the same for the whole run. A *snapshot* is one look at the network, between two training steps; *data "
    "points* are samples of the training data that it was looked at with. Of a model with several inputs one varies on the slice, "
    "and all others are held at one sample's values; data points come with their own where these are known, and else with that "
    "sample's too. Units count from 0. What is not defined is left empty. "
    "This is one run: what it shows may be otherwise with another seed."
)

_SOURCE = (
    "Numbers in brackets, as in “section 5”, are sections of L. N. Darlow and A. J. Storkey, *GINN: Geometric Illustration of "
    "Neural Networks*, 2018, arXiv:1810.01860. That a layer is more symmetric, or nearer to the target, than chance does not say "
    "that this made the run better; that a unit is never on here does not say that it is dead."
)


def make_report(history: History) -> Report:
    """Return the report of a run: what its numbers say of each phenomenon, with chance levels and pictures.

    Args:
        history: the run; it must hold a snapshot.

    Raises:
        ValueError: the history is empty.
    """
    if not len(history):
        raise ValueError("`history` holds no snapshot, so there is no report.")
    run = Run(history)
    findings = [found for phenomenon in ALL if (found := phenomenon(run)) is not None]
    pictures = {"run": _run_picture(run)} | _curves(run)
    pictures |= {found.name: found.draw() for found in findings if found.draw is not None}
    return Report("\n".join(_lines(run, findings, pictures)), pictures)


def _places(run: Run) -> list[int]:
    """Return the numbers of the snapshots that the picture at the top shows: the end is one of them, be it the last or not."""
    return sorted({0, (run.last + 1) // 2 if run.last == len(run.steps) - 1 else run.last, len(run.steps) - 1})


def _run_picture(run: Run) -> Picture:
    """Return the first, the middle and the last snapshot beside each other."""
    return side_by_side(*(draw_overlay(run.history[place], _SIZE) for place in _places(run)))


def _curves(run: Run) -> dict[str, Picture]:
    """Return the picture of what the loop logged and of the accuracy on the slice; none where there is nothing."""
    told = [name for name in run.scalars if name == "loss" or len(set(run.logged(name).tolist())) > 1]  # and no constant rate
    charts = [Chart(name, [Curve(name, run.logged(name), broken=run.broken(name))], "", low=0.0) for name in told[:3]]
    if run.has("target/accuracy"):
        values = run.series("target/accuracy")
        charts.append(Chart("accuracy on the slice", [Curve("accuracy", values)], "share of the points", high=1.0))
    charts = [chart for chart in charts if not chart.is_empty]
    return {"training": draw_charts(run.steps.tolist(), charts)} if charts and not run.is_single else {}


def _lines(run: Run, findings: list[Finding], pictures: Collection[str]) -> Iterator[str]:
    yield "# What this run did\n"
    yield f"{_said_of_run(run)}\n"
    yield f"{_WORDS}\n"
    yield _picture("run", f"Every unit's boundary, coloured by layer, over the network's output: {_shown(run)}.")
    if "training" in pictures:
        yield "\n" + _picture("training", "What the training loop logged at the snapshots, of the last batch as a rule.")
    if findings:
        yield "\n## In short\n"
        rows = [{"what": found.title, "result": found.result, "level": found.level} for found in findings]
        yield table(rows, {"what": "phenomenon", "result": "this run", "level": "to compare with"})
    for found in findings:
        yield from _section(found, run)
    yield f"\n{_SOURCE}"
    yield from _last_numbers(run, "indecisive" in [found.name for found in findings])


def _shown(run: Run) -> str:
    """Return which snapshots the picture at the top shows."""
    steps = [f"step {run.steps[place]:,}" for place in _places(run)]
    middle = "middle" if run.last == len(run.steps) - 1 else "last finite"
    which = {1: "the only snapshot", 2: "first and last snapshot", 3: f"first, {middle} and last snapshot"}
    return f"{listed(steps)} ({which[len(steps)]})"


def _said_of_run(run: Run) -> str:
    """Return in a few sentences what was watched."""
    said = [_said_of_layers(run), *_said_of_slice(run), *_said_of_output(run), *_said_of_ends(run)]
    scalars = ", ".join(f"{as_it_is(name)} {value:.4g}" for name, value in run.end.scalars.items())
    if scalars:
        said.append(f"At step {run.end.step:,}: {scalars}.")
    notes = (*run.end.notes, *left_out(run.end.layers))
    if notes:
        said.append(f"Note: {'; '.join(dict.fromkeys(notes))}.")
    return " ".join(said)


def _said_of_layers(run: Run) -> str:
    units = ", ".join(f"{layer.name} ({len(layer.kept):,} {layer.op})" for layer in run.end.layers if layer.name in run.layers)
    rest = [as_it_is(spoken(layer.name)) for layer in run.end.layers if layer.name not in run.layers]
    if len(rest) > _NAMED:
        rest = [*rest[:_NAMED], f"{len(rest) - _NAMED} more"]
    shown = f"; {len(run.layers)} of {len(run.end.layers)} layers are told of here, and not {listed(rest)}" if rest else ""
    return f"{_samples(run)} of a network with the layers {units}{shown}."


def _said_of_slice(run: Run) -> Iterator[str]:
    """Yield what the slice is, and what is held on it."""
    slice = run.end.slice
    first, second = map(as_it_is, slice.names)
    across, up = (" to ".join(from_to(*ends, digits=4)) for ends in slice.bounds)
    lines = "computed exactly" if run.end.boundaries.exact else f"traced on a grid of {run.end.capture.resolution} points a side"
    yield f"Slice: *{first}* from {across} and *{second}* from {up}; boundaries are {lines}."
    if slice.held:
        yield f"Of what goes in, {as_it_is(slice.held)}."
    if slice.module:
        yield "The slice stays where that was at the first snapshot, and what the same samples become there moves on."
    if slice.is_through_samples:
        who = slice.anchor_names[:_PLANE]
        classes = f", of {listed([as_it_is(name) for name in who])}" if len(who) == _PLANE else ""
        yield f"It is laid through three inputs, a, b and c{classes}."


def _said_of_output(run: Run) -> Iterator[str]:
    if guesses_classes(run.end):
        yield 'Outputs are taken for scores of classes; `background="norm"` if they are not.'


def _said_of_ends(run: Run) -> Iterator[str]:
    """Yield why there is nothing, or no more, to tell."""
    if run.lost:
        yield f"**{run.lost}**"
    if run.is_bare:
        yield "**No unit switches on this slice at any snapshot: no boundary lies on it.** Another `slice=` may show some."
    if run.still:
        yield (
            f"No unit of {listed(run.still)} switches on this slice at any snapshot (what goes in there does not vary here, as "
            "behind units that are all off, or all boundaries lie elsewhere), so nothing but what is told of units that do not "
            "switch tells of that below."
        )
    if run.history.ended:
        yield f"**No sample follows that of step {run.steps[-1]:,}**: {as_it_is(run.history.ended.rstrip('.'))}."


def _samples(run: Run) -> str:
    """Return how many snapshots there are, and where the run ended if that is all that there is to know."""
    if run.is_single:
        return f"**Sampling ended at step {run.end.step:,}: one snapshot**, so nothing is said of what changed. It is"
    return f"{of_several(len(run.steps), 'snapshot')} of steps {run.start.step:,} to {run.steps[-1]:,}"


def _section(found: Finding, run: Run) -> Iterator[str]:
    """Yield a section: what was found first, then what was asked, then the figures."""
    yield f"\n## {found.title}\n"
    for place, sentence in enumerate(found.sentences):
        yield f"- {sentence}" if place else f"- **{sentence}**"
    if found.sentences:
        yield ""
    yield f"{found.question}\n"
    if found.rows:
        columns = _once(found.columns) if run.is_single else found.columns
        filled = {key: head for key, head in columns.items() if any(row.get(key) not in ("", None) for row in found.rows)}
        yield f"{table(found.rows, filled)}\n"
    if found.note:
        yield f"{found.note}\n"
    if found.draw is not None:
        yield _picture(found.name, found.caption)


def _once(columns: Mapping[str, str]) -> dict[str, str]:
    """Return columns of a run whose start is its end: each figure once, and not as that of the one or the other.

    >>> _once({"what": "", "now": "start", "then": "end", "phi0": "phi, start", "phi1": "phi, end", "size": "size, end"})
    {'what': '', 'then': 'value', 'phi1': 'phi', 'size': 'size'}
    """
    twice = {head.removesuffix("end") + "start" for head in columns.values() if head.endswith("end")}
    kept = {key: head for key, head in columns.items() if head not in twice}
    return {key: "value" if head == "end" else head.removesuffix(", end").removesuffix(", start") for key, head in kept.items()}


def _picture(name: str, caption: str) -> str:
    return f"![{caption}](report/{name}.png)\n\n*{caption}*"


def _last_numbers(run: Run, has_window: bool) -> Iterator[str]:
    """Yield all numbers of the end, a row each with a column a layer, and what they mean; of a window only where it is whole."""
    places = [*run.layers, "output", "target"]
    rows: dict[str, dict[str, Any]] = {}
    for name, value in sorted(run.end.metrics.items()):
        if name.startswith("indecisive/") and not has_window:
            continue
        metric, _, place = name.rpartition("/")
        where = place if place in places and metric.count("/") else ""
        known = metric if where else name
        if where or name.count("/") < 2:
            rows.setdefault(known, {"name": f"`{known}`", "text": describe(known)})[where] = _plain(value)
    if rows:
        used = [place for place in ["", *places] if any(place in row for row in rows.values())]
        columns = {"name": "name", **{place: place or "value" for place in used}, "text": "what it is"}
        yield f"\n## All numbers at the end\n\n{table(list(rows.values()), columns)}"


def _plain(value: float) -> str:
    """Return a number as short as it can be told."""
    if not math.isfinite(value):
        return ""
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 0.00005 else f"{value:.1g}"
