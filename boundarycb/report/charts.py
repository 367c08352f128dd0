"""Curves over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from boundarycb.render.canvas import Box, Canvas, text_width
from boundarycb.render.colours import FAINT, INK, WHITE
from boundarycb.report.layout import (
    LETTER,
    Named,
    Pixels,
    beside,
    draw_cross,
    draw_line,
    legend_height,
    legend_rows,
    reduced,
    stacked,
    write_legend,
    write_titles,
)
from boundarycb.types import Floats, Picture

_CHART = 440, 270  # pixels
_HEADROOM = 7  # pixels above the highest tick, so that a curve along it is whole
_SMALL, _LARGE = 1e-5, 1e7  # between which numbers on an axis are written out
_EVEN = 4  # times the smallest distance of samples, up to which the axis of steps is in proportion
_APART = 0.14  # of its length, between two steps that are named
_HARDLY = 0.3  # of a tick below 0, which is not worth a tick
_DOT = 1.8  # radius of a value that has none beside it


@dataclass(frozen=True, eq=False)
class Curve:
    """A number over the run.

    Args:
        label: what it is, for the legend.
        values: (n,), one a sample.
        colour: "#rrggbb".
        style: ``-`` solid, ``--`` dashed, ``:`` dotted.
        broken: numbers of the samples whose value is not finite, which is not the same as that there is none: they have a cross.
    """

    label: str
    values: Floats
    colour: str = INK
    style: str = "-"
    broken: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, eq=False)
class Chart:
    """A plot of curves.

    Args:
        title: what it shows.
        curves: the curves; those without a defined value are left out.
        unit: of the vertical axis.
        level: a value to compare with, such as chance, drawn as a dashed line; None for none.
        level_label: what it is.
        low: the least value that is shown in any case.
        high: the largest one.
        most: what is higher is cut off; None for nothing.
    """

    title: str
    curves: Sequence[Curve]
    unit: str
    level: float | None = None
    level_label: str = ""
    low: float | None = None
    high: float | None = None
    most: float | None = None

    @property
    def has_level(self) -> bool:
        """Whether it has a value to compare with."""
        return self.level is not None and math.isfinite(self.level)

    @property
    def is_empty(self) -> bool:
        """Whether none of its curves has a defined value, so that there is nothing to draw."""
        return not any(np.isfinite(curve.values).any() for curve in self.curves)


def draw_charts(steps: Sequence[int], charts: Sequence[Chart], *, columns: int = 2) -> Picture:
    """Return charts beside each other, over the steps of a run: on a logarithmic axis where most samples are early.

    Charts without a defined value are left out, unless all are.
    """
    axis = np.asarray(steps, dtype=np.float64)
    drawn = [_chart(axis, chart) for chart in [chart for chart in charts if not chart.is_empty] or charts]
    rows = [beside(drawn[first : first + columns]) for first in range(0, len(drawn), columns)]
    return reduced(stacked(rows))


def _chart(steps: Floats, chart: Chart) -> Pixels:
    width, height = _CHART
    curves = [curve for curve in chart.curves if np.isfinite(curve.values).any()]
    legend = legend_rows(_named(chart, curves), width)
    height += legend_height(legend)
    canvas = Canvas(width, height, WHITE)
    ticks, low = _axis(*_span(chart, curves))
    wide = max(text_width(words, LETTER * 0.9) for _, words in ticks)
    plot = (round(wide) + 10, round(3.6 * LETTER) + legend_height(legend), width - 12, height - round(2.6 * LETTER))
    write_titles(canvas, chart.title, chart.unit)
    write_legend(canvas, legend)
    high = ticks[-1][0]

    def place(x: Floats, y: Floats) -> Floats:
        across = plot[0] + _stretched(x, steps) * (plot[2] - plot[0])
        return np.stack([across, plot[3] - (y - low) / (high - low) * (plot[3] - plot[1] - _HEADROOM)], axis=1)

    _grid(canvas, plot, ticks, low, steps, place)
    if chart.has_level:
        draw_line(canvas, place(steps[[0, -1]], np.full(2, chart.level)), plot, FAINT, 1.2, "--")
    for curve in curves:
        for piece in _pieces(curve.values):
            points = place(steps[piece], curve.values[piece])
            if len(points) == 1:  # a line of one point would leave no mark
                canvas.ring(float(points[0, 0]), float(points[0, 1]), _DOT, curve.colour, curve.colour)
            draw_line(canvas, points, plot, curve.colour, 1.8, curve.style)
        for x, y in place(steps[curve.broken], np.full(len(curve.broken), high)):
            draw_cross(canvas, float(x), float(y), curve.colour)
    return np.ascontiguousarray(canvas.pixels[..., :3])


def _named(chart: Chart, curves: Sequence[Curve]) -> list[Named]:
    """Return the legend's entries; a single curve that is called as the chart is needs none."""
    named: list[Named] = [(curve.label, curve.colour, curve.style) for curve in curves]
    if [words for words, _, _ in named] == [chart.title]:
        named = []
    if chart.has_level:
        named.append((chart.level_label, FAINT, "--"))
    if any(len(curve.broken) for curve in curves):
        named.append(("not finite", INK, "x"))
    return named


def _pieces(values: Floats) -> list[slice]:
    """Return where values are defined, without a break: a curve has a gap where its number means nothing.

    >>> _pieces(np.array([1.0, 2.0, np.nan, 3.0]))
    [slice(0, 2, None), slice(3, 4, None)]
    """
    known = np.concatenate([[False], np.isfinite(values), [False]]).astype(np.int8)
    starts, stops = np.flatnonzero(np.diff(known) > 0), np.flatnonzero(np.diff(known) < 0)
    return [slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _span(chart: Chart, curves: Sequence[Curve]) -> tuple[float, float]:
    values = [curve.values[np.isfinite(curve.values)] for curve in curves]
    shown = np.concatenate([*values, [bound for bound in (chart.low, chart.high, chart.level) if bound is not None]])
    shown = shown[np.isfinite(shown)]
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 1.0)
    high = high if chart.most is None else min(high, max(low, chart.most))
    return (low, high) if high > low else (low, low + (abs(low) or 1.0))


def _axis(low: float, high: float) -> tuple[list[tuple[float, str]], float]:
    """Return an axis's ticks, three or more, and where it begins: at the lowest tick, or where curves end that are hardly below 0.

    >>> [words for _, words in _axis(-0.01, 0.7)[0]], _axis(-0.01, 0.7)[1], [words for _, words in _axis(-0.1, 0.7)[0]]
    (['0.0', '0.2', '0.4', '0.6', '0.8'], -0.01, ['-0.2', '0.0', '0.2', '0.4', '0.6', '0.8'])
    >>> _axis(-0.059, 0.7)[1], _axis(-0.061, 0.7)[1]
    (-0.059, -0.2)
    """
    ticks = _ticks(low, high)
    if ticks[1][0] == 0 and low > _HARDLY * ticks[0][0]:
        return ticks[1:], low
    return ticks, ticks[0][0]


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return four to eight round numbers around a span, and how they are written.

    >>> [words for _, words in _ticks(0.0, 0.9)]
    ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']
    >>> [words for _, words in _ticks(0, 1400)]
    ['0', '500', '1,000', '1,500']
    >>> [words for _, words in _ticks(0, 2.9e33)]
    ['0', '1e+33', '2e+33', '3e+33']
    """
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    plain = step >= _SMALL and max(abs(first), abs(last)) * step < _LARGE
    values = [number * step for number in range(first, last + 1)]
    return [(value, f"{value:,.{digits}f}" if plain else f"{value:.3g}") for value in values]


def _stretched(x: Floats, steps: Floats) -> Floats:
    """Return the place of steps along the axis, 0 to 1: in proportion up to the knee, then each tenfold takes as much."""
    knee = _knee(steps)

    def stretch(values: Floats) -> Floats:
        return np.where(values <= knee, values / knee, 1 + np.log10(np.maximum(values, knee) / knee))

    if steps[-1] <= 20:
        return np.asarray((x - steps[0]) / (steps[-1] - steps[0] or 1.0))
    low, high = stretch(steps[[0, -1]])
    return np.asarray((stretch(np.asarray(x, dtype=np.float64)) - low) / (high - low))


def _knee(steps: Floats) -> float:
    """Return from which step on the axis is logarithmic: the second sample's, since nothing is known between it and the first.

    The last one's where samples are as far apart from beginning to end, or nearly so: then all of it is in proportion.

    >>> _knee(np.array([0.0, 100, 1000])), _knee(np.array([0.0, 1, 12])), _knee(np.array([500.0, 9000, 9100]))
    (100.0, 10.0, 9100.0)
    >>> _knee(np.array([0.0, 100, 200, 300, 310]))
    310.0
    """
    gaps = np.diff(steps)
    if not len(gaps) or gaps.max() <= _EVEN * gaps[: max(1, len(gaps) - 1)].min():  # the last one may be short
        return max(10.0, float(steps[-1]))
    return max(10.0, float(steps[1])) if steps[0] == 0 else 10.0


def _step_ticks(steps: Floats) -> list[float]:
    """Return which steps are named: the first and the last, and between them round ones that are far enough from all others.

    >>> _step_ticks(np.array([0.0, 100, 200, 300, 400, 450])), _step_ticks(np.array([0.0, 10, 20, 500, 1000, 6000]))
    ([0.0, 100.0, 200.0, 300.0, 450.0], [0.0, 10.0, 100.0, 1000.0, 6000.0])
    """
    first, last = float(steps[0]), float(steps[-1])
    if last <= 20:
        return sorted({first, last} | {float(round((first + last) / 2))})
    knee = _knee(steps)
    if knee >= last:
        round_ones = [value for value, _ in _ticks(first, last)]
    else:
        powers = [10.0**power for power in range(1, int(math.log10(last)) + 1)]
        every = [*powers, knee, *(factor * power for factor in (2, 5) for power in powers)]
        round_ones = [step for step in every if step >= knee]
    named = [first, last]
    for step in round_ones:
        places = _stretched(np.array([step, *named]), steps)
        if first < step < last and abs(places[0] - places[1:]).min() > _APART:
            named.append(step)
    return sorted(named)


def _short(step: float) -> str:
    """Return a step in few letters.

    >>> _short(0), _short(250), _short(10_000), _short(1_280_000)
    ('0', '250', '10k', '1.28M')
    """
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if step >= 10 * unit or (step >= unit and unit == 1e6):
            return f"{step / unit:g}{letter}"
    return f"{step:,.0f}"


def _grid(
    canvas: Canvas,
    plot: Box,
    ticks: Sequence[tuple[float, str]],
    low: float,
    steps: Floats,
    place: Callable[[Floats, Floats], Floats],
) -> None:
    letter = LETTER * 0.9
    ends = steps[[0, -1]]
    for value, words in ticks:
        points = place(ends, np.full(2, value))
        draw_line(canvas, points, plot, "#e4e6ea", 1.0, "-")
        canvas.text(plot[0] - 5, float(points[0, 1]) + 0.35 * letter, words, letter, FAINT, align="right")
    for step in _step_ticks(steps):
        points = place(np.full(2, step), np.array([low, ticks[-1][0]]))
        draw_line(canvas, points, plot, "#e4e6ea", 1.0, "-")
        words = _short(step)
        left = float(points[0, 0]) - text_width(words, letter) / 2
        canvas.text(min(max(left, plot[0] - 4), plot[2] - text_width(words, letter)), plot[3] + 1.25 * letter, words, letter, FAINT)
    words = "step" if _knee(steps) >= steps[-1] else f"step (logarithmic from {_short(_knee(steps))} on)"
    canvas.text(plot[2], canvas.height - 0.3 * letter, words, letter, FAINT, align="right")
    corners = np.array([[plot[0], plot[1]], [plot[0], plot[3]], [plot[2], plot[3]]], dtype=np.float64)
    draw_line(canvas, corners, (0, 0, canvas.width, canvas.height), INK, 1.0, "-")
