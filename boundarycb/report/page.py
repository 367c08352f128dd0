"""The report of a run as a page in Markdown, with its pictures."""

from __future__ import annotations

from collections.abc import Iterator

from boundarycb.history import History
from boundarycb.markdown import table
from boundarycb.metrics.descriptions import describe
from boundarycb.render import draw_overlay
from boundarycb.report.figures import side_by_side
from boundarycb.report.finding import Finding, number, of_several
from boundarycb.report.phenomena import ALL
from boundarycb.report.run import Run
from boundarycb.types import Picture, Report, left_out

_SIZE = 384  # of the overlays at the top, pixels

_WORDS = (
    "A *unit* is *on* where the number that goes into its activation is above 0. Its *boundary* is where it switches. All "
    "pictures and numbers are about one *slice*, a flat piece of the input space that stays the same for the whole run. A "
    "*sample* is one look at the network, between two training steps. Numbers that are not defined are left empty."
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
    pictures = {"run": _run_picture(run)}
    pictures |= {found.name: found.draw() for found in findings if found.draw is not None}
    return Report("\n".join(_lines(run, findings)), pictures)


def _run_picture(run: Run) -> Picture:
    """Return the first, a middle and the last sample beside each other."""
    places = sorted({0, len(run.steps) // 2, len(run.steps) - 1})
    return side_by_side(*(draw_overlay(run.history[place], _SIZE) for place in places), shaded=True)


def _lines(run: Run, findings: list[Finding]) -> Iterator[str]:
    yield "# What this run did\n"
    yield f"{_said_of_run(run)}\n"
    yield f"{_WORDS}\n"
    yield _picture(
        "run", "The first, a middle and the last sample: each line is a unit's boundary, coloured by layer, over the output."
    )
    if findings:
        yield "\n## In short\n"
        rows = [{"what": found.title, "result": found.result, "level": found.level} for found in findings]
        yield table(rows, {"what": "phenomenon", "result": "this run", "level": "to compare with"})
    for found in findings:
        yield from _section(found)
    yield from _last_numbers(run)


def _said_of_run(run: Run) -> str:
    """Return in a few sentences what was watched."""
    units = ", ".join(f"{layer.name} ({len(layer.kept):,} {layer.op})" for layer in run.end.layers if layer.name in run.layers)
    shown = (
        "" if len(run.layers) == len(run.end.layers) else f"; {len(run.layers)} of {len(run.end.layers)} layers are told of here"
    )
    first, second = run.end.slice.names
    (u0, u1), (v0, v1) = run.end.slice.bounds
    lines = "exact" if run.end.boundaries.exact else f"traced on a grid of {run.end.capture.resolution} points a side"
    samples = f"{of_several(len(run.steps), 'sample')} of steps {run.start.step:,} to {run.end.step:,}"
    said = [f"{samples} of a network with the layers {units}{shown}."]
    said.append(f"Slice: {first} from {u0:.4g} to {u1:.4g}, {second} from {v0:.4g} to {v1:.4g}; lines are {lines}.")
    scalars = ", ".join(f"{name} {value:.4g}" for name, value in run.end.scalars.items())
    if scalars:
        said.append(f"At the last sample: {scalars}.")
    notes = (*run.end.notes, *left_out(run.end.layers))
    if notes:
        said.append(f"Note: {'; '.join(dict.fromkeys(notes))}.")
    return " ".join(said)


def _section(found: Finding) -> Iterator[str]:
    yield f"\n## {found.title}\n"
    yield f"{found.question}\n"
    for sentence in found.sentences:
        yield f"- {sentence}"
    if found.rows:
        filled = {key: head for key, head in found.columns.items() if any(row.get(key) not in ("", None) for row in found.rows)}
        yield f"\n{table(found.rows, filled)}\n"
    if found.draw is not None:
        yield _picture(found.name, found.caption)


def _picture(name: str, caption: str) -> str:
    return f"![{caption}](report/{name}.png)\n\n*{caption}*"


def _last_numbers(run: Run) -> Iterator[str]:
    """Yield all numbers of the last sample, with what they mean."""
    rows = [
        {"name": f"`{name}`", "value": number(value, 4), "text": describe(name)}
        for name, value in sorted(run.end.metrics.items())
        if name.count("/") < 2 or name.rpartition("/")[2] in {*run.layers, "output", "target"}
    ]
    if rows:
        yield f"\n## All numbers of the last sample\n\n{table(rows, {'name': 'name', 'value': 'value', 'text': 'what it is'})}"
