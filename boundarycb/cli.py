"""The command line: ``boundarycb info``, ``export``, ``compare`` and ``answers``. It imports neither torch nor Lightning."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import boundarycb
from boundarycb.data.answers import write_answer_page
from boundarycb.exports import MAX_MB, SIZE, Wanted, export
from boundarycb.history import load
from boundarycb.report import summarise
from boundarycb.report.compare import compare
from boundarycb.report.finding import guesses_classes
from boundarycb.report.sheet import draw_comparison

_OPTIONS = {
    "count": "--count",
    "fps": "--fps",
    "frames": "--frames",
    "history": "RUN",
    "size": "--size",
    "max_frames": "--frames",
    "max_mb": "--max-mb",
    "overwrite=True": "--overwrite",
    "output": "--output",
    "path": "--output",
    "runs": "RUN",
    "seed": "--seed",
    "step": "--step",
    "surfaces": "--surfaces",
}
"""What arguments of our functions are called here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 1 after an error that it told in one line."""
    options = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does, of a console that cannot show each letter
    try:
        print(options.act(options), flush=True)
    except BrokenPipeError:  # whoever reads it, such as `head`, has had enough; Python would complain of it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError) as error:
        words = str(error)
        for ours, theirs in _OPTIONS.items():
            words = words.replace(f"`{ours}`", f"`{theirs}`")
        print(f"boundarycb {options.command}: {words}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="boundarycb", description="Look at runs that were watched, or ask people for answers.")
    parser.add_argument("--version", action="version", version=f"boundarycb {boundarycb.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser("info", help="say what a run's history holds")
    exported = commands.add_parser(
        "export",
        help="write runs as a page to step through (.html), or one as a movie (.gif, .mp4), a picture (.svg), a report (.md)",
    )
    beside = commands.add_parser("compare", help="say how alike runs are")
    page = commands.add_parser("answers", help="write a page that asks a person whether images are black, white or grey")
    for command, act in ((info, _info), (exported, _export), (beside, _compare), (page, _answers)):
        command.set_defaults(act=act)
    info.add_argument("run", type=Path, metavar="RUN", help="the run's directory, or its history.bcb")
    exported.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="the run's directory, or its history.bcb; several for .html"
    )
    beside.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="two or more runs on the same slice")
    beside.add_argument("-o", "--output", type=Path, metavar="OUT.png", help="a picture of them side by side to write")
    beside.add_argument("--size", type=int, default=512, help="longer side of each plot in pixels (default: %(default)s)")
    exported.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the file to write")
    exported.add_argument("--size", type=int, default=None, help=f"longer side of the plot in pixels (default: {SIZE})")
    exported.add_argument("--frames", type=int, default=None, help="samples at most (default: 240, and 400 on a page)")
    exported.add_argument("--fps", type=float, default=None, help="frames a second (default: so that it takes 12 seconds)")
    exported.add_argument(
        "--max-mb", type=float, default=None, help=f"thin samples until the file is no larger (default: {MAX_MB})"
    )
    exported.add_argument("--step", type=int, default=None, help="of an .svg: the last sample at or before it (default: the last)")
    exported.add_argument("--surfaces", action="store_true", help="show each output as a surface, of a run that kept them")
    page.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.html", help="the page to write")
    page.add_argument("--count", type=int, default=100, help="images that are asked for (default: %(default)s)")
    page.add_argument("--seed", type=int, default=None, help="draw the same images for everybody (default: the browser draws them)")
    page.add_argument("--overwrite", action="store_true", help="replace a page that is there")
    return parser


def _info(options: argparse.Namespace) -> str:
    history = load(options.run)
    lines = [f"history    {history.path} ({history.path.stat().st_size / 1e6:.2f} MB)"]
    if not len(history):
        return "\n".join([*lines, "samples    none"])
    first, last = history[0], history[-1]
    (u0, u1), (v0, v1) = history.slice.bounds
    lines += [
        f"samples    {len(history)}, steps {first.step:,} to {last.step:,}",
        f"time       {_clock(first.time)} to {_clock(last.time)}, {last.time - first.time:.1f} s from the first sample to the last",
        f"slice      {history.slice.names[0]} {u0:.4g} to {u1:.4g}, {history.slice.names[1]} {v0:.4g} to {v1:.4g}, "
        f"inputs of shape {history.slice.input_shape}" + (f"; {history.slice.held}" if history.slice.held else ""),
        f"lines      {len(last.boundaries)} at the last step, {'exact' if last.boundaries.exact else 'from a grid'} "
        f"({last.capture.resolution} points a side)",
        "layers     " + ", ".join(f"{layer.name} ({len(layer.kept)} {layer.op})" for layer in last.layers),
    ]
    if guesses_classes(last):
        lines.append('output     taken for scores of classes; `background="norm"` if they are not')
    lines += [f"{name:<10} {value:.6g} at the last step" for name, value in last.scalars.items()]
    lines += [f"note       {note}" for note in (*last.notes, history.ended) if note]
    numbers = summarise(history)
    return "\n".join([*lines, "", numbers] if numbers else lines)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _export(options: argparse.Namespace) -> str:
    wanted = Wanted(options.size, options.frames, options.fps, options.max_mb, options.surfaces, options.step)
    return export([load(run) for run in options.runs], options.output, wanted)


def _compare(options: argparse.Namespace) -> str:
    if options.output is not None and options.output.suffix.lower() != ".png":
        raise ValueError(f"`--output` must end in .png, got {options.output}.")
    if options.output is not None and not options.output.absolute().parent.is_dir():
        raise ValueError(f"`--output` must lie in a folder that exists, got {options.output}.")
    histories = [load(run) for run in options.runs]
    text = compare(histories).text()
    if options.output is None:
        return text
    picture = draw_comparison(histories, options.size)
    options.output.write_bytes(picture.png())
    height, width = picture.pixels.shape
    return f"{text}\n\n{options.output}: {width} x {height}, {options.output.stat().st_size / 1e6:.2f} MB"


def _answers(options: argparse.Namespace) -> str:
    path = write_answer_page(options.output, options.count, options.seed, overwrite=options.overwrite)
    return f"{path}: open it in a browser; read what it saves with boundarycb.data.read_answers"


if __name__ == "__main__":
    sys.exit(main())
