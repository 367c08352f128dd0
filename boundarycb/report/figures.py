"""The report's pictures: curves over the run, and units on the slice. Drawn by matplotlib, without pyplot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from boundarycb.metrics.masks import classes_of
from boundarycb.render.colours import ALARM, CLASS_HUES, FAINT, INK, class_colour, layer_colours, rgb
from boundarycb.render.pictures import field_span
from boundarycb.types import Floats, Picture, Slice, Snapshot, Target

_DPI = 100
_COLOURS = 200  # of a picture: charts have few, and their edges are blends of them
_LEGEND = 0.07  # of the height, below plots of the slice
_PALE = 0.35  # of the background, behind lines


@dataclass(frozen=True, eq=False)
class Curve:
    """A number over the run.

    Args:
        label: what it is, for the legend.
        values: (n,), one a sample.
        colour: "#rrggbb".
        style: matplotlib's line style.
    """

    label: str
    values: Floats
    colour: str = INK
    style: str = "-"


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
    """

    title: str
    curves: Sequence[Curve]
    unit: str
    level: float | None = None
    level_label: str = ""
    low: float | None = None
    high: float | None = None


def draw_charts(steps: Sequence[int], charts: Sequence[Chart], *, columns: int = 2) -> Picture:
    """Return charts side by side, over the steps of a run: on a logarithmic axis, since most happens early."""
    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    figure = Figure(figsize=(4.6 * columns, 2.9 * rows), dpi=_DPI, layout="constrained")
    for place, chart in enumerate(charts):
        _draw_chart(figure.add_subplot(rows, columns, place + 1), np.asarray(steps, dtype=float), chart)
    return _picture(figure)


def _draw_chart(axes: Axes, steps: Floats, chart: Chart) -> None:
    for curve in chart.curves:
        known = np.isfinite(curve.values)
        if known.any():
            axes.plot(steps[known], curve.values[known], curve.style, color=curve.colour, label=curve.label, linewidth=1.5)
    if chart.level is not None and np.isfinite(chart.level):
        axes.axhline(chart.level, color=FAINT, linestyle="--", linewidth=1, label=chart.level_label)
    if steps.max() > 20:
        axes.set_xscale("symlog", linthresh=10)
        powers = [10.0**power for power in range(1, int(np.log10(steps.max())) + 1)]
        axes.set_xticks([0.0, *powers], ["0", *(f"{power:,.0f}" for power in powers)])
    axes.set_xlim(steps.min(), max(steps.max(), steps.min() + 1))
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom if chart.low is None else min(bottom, chart.low), top if chart.high is None else max(top, chart.high))
    axes.set_title(chart.title, fontsize=10, loc="left", color=INK)
    axes.set_xlabel("step", fontsize=9)
    axes.set_ylabel(chart.unit, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False, loc="best")


@dataclass(frozen=True, eq=False)
class Lines:
    """Boundaries to draw.

    Args:
        snapshot: the sample.
        layer: name of the layer.
        unit: flat index of one unit of it; None for all.
        colour: "#rrggbb".
        label: for the legend; empty for none.
        style: matplotlib's line style.
        mirrored: ``left_right`` or ``up_down``, to draw the mirror image; empty for the lines as they are.
        width: in points.
    """

    snapshot: Snapshot
    layer: str
    unit: int | None = None
    colour: str = INK
    label: str = ""
    style: str = "-"
    mirrored: str = ""
    width: float = 2.0


@dataclass(frozen=True, eq=False)
class Plane:
    """A plot of the slice.

    Args:
        title: what it shows.
        snapshot: whose output is the background.
        lines: the boundaries on it, the later over the earlier.
        target: what the output should be, whose edges and corners are drawn; None for none.
        wrong: whether the points where the output differs from the target are marked.
        strength: of the background, 0 to 1.
    """

    title: str
    snapshot: Snapshot
    lines: Sequence[Lines] = ()
    target: Target | None = None
    wrong: bool = False
    strength: float = _PALE


def draw_planes(planes: Sequence[Plane]) -> Picture:
    """Return plots of the slice side by side."""
    figure = Figure(figsize=(4.0 * len(planes), 4.5), dpi=_DPI, layout="constrained")
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, _LEGEND, 1, 1 - _LEGEND))  # type: ignore[call-arg]
    for place, plane in enumerate(planes):
        _draw_plane(figure.add_subplot(1, len(planes), place + 1), plane)
    return _picture(figure)


def _draw_plane(axes: Axes, plane: Plane) -> None:
    slice = plane.snapshot.slice
    (u0, u1), (v0, v1) = slice.bounds
    _draw_output(axes, plane)
    if plane.target is not None:
        _draw_target(axes, slice, plane.target)
    for lines in plane.lines:
        _draw_lines(axes, slice, lines)
    axes.set_xlim(u0, u1)
    axes.set_ylim(v0, v1)
    axes.set_aspect(_aspect(slice))
    axes.set_title(plane.title, fontsize=10, loc="left", color=INK)
    axes.set_xlabel(slice.names[0], fontsize=9)
    axes.set_ylabel(slice.names[1], fontsize=9)
    axes.tick_params(labelsize=8)
    if axes.get_legend_handles_labels()[0]:
        legend = axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
        legend.set_in_layout(False)  # however long its words, all plots have one size


def _aspect(slice: Slice) -> float:
    across, up = (float(np.linalg.norm(axis)) for axis in slice.axes)
    (u0, u1), (v0, v1) = slice.bounds
    ratio = (v1 - v0) * up / ((u1 - u0) * across)
    square = (u1 - u0) / (v1 - v0)
    return up / across if 0.2 < ratio < 5 else square


def _draw_output(axes: Axes, plane: Plane) -> None:
    field = plane.snapshot.field
    if field is None:
        return
    if field.winner is not None:
        image = 1 - plane.strength * (1 - _hues()[field.winner % CLASS_HUES])
    else:
        low, high = field_span(field)
        grey = (np.nan_to_num(field.value.astype(np.float64), nan=high) - low) / ((high - low) or 1.0)
        image = 1 - plane.strength * (1 - np.repeat(grey[..., None], 3, axis=2))
    _show(axes, plane.snapshot.slice, image)


def _draw_target(axes: Axes, slice: Slice, target: Target) -> None:
    (u0, u1), (v0, v1) = slice.bounds
    height, width = target.labels.shape
    u, v = u0 + (np.arange(width + 1)) / width * (u1 - u0), v0 + (np.arange(height + 1)) / height * (v1 - v0)
    rows, columns = np.nonzero(target.labels[:, 1:] != target.labels[:, :-1])
    upright = np.stack([np.stack([u[columns + 1], v[rows]], 1), np.stack([u[columns + 1], v[rows + 1]], 1)], axis=1)
    rows, columns = np.nonzero(target.labels[1:] != target.labels[:-1])
    level = np.stack([np.stack([u[columns], v[rows + 1]], 1), np.stack([u[columns + 1], v[rows + 1]], 1)], axis=1)
    edges = LineCollection(list(np.concatenate([upright, level])), colors=INK, linewidths=1.0, linestyles=":")
    edges.set_label("edge of the target")
    axes.add_collection(edges)
    if len(target.corners):
        axes.plot(*target.corners.T, "o", markerfacecolor="none", markeredgecolor=INK, markersize=7, label="corner of it")


def _draw_lines(axes: Axes, slice: Slice, lines: Lines) -> None:
    found = lines.snapshot.boundaries
    units = [unit for unit in found.units if unit.layer == lines.layer and lines.unit in (None, unit.index)]
    pieces = [piece for unit in units for piece in found.of(unit.layer, unit.index)]
    if lines.mirrored:
        axis = 0 if lines.mirrored == "left_right" else 1
        middle = sum(slice.bounds[axis])
        pieces = [_mirrored(piece, axis, middle) for piece in pieces]
    drawn = LineCollection(list(pieces), colors=lines.colour, linewidths=lines.width, linestyles=lines.style)
    if lines.label:
        drawn.set_label(lines.label if pieces else f"{lines.label}: no boundary in view")
    axes.add_collection(drawn)


def _mirrored(piece: Floats, axis: int, twice_middle: float) -> Floats:
    turned = piece.copy()
    turned[:, axis] = twice_middle - turned[:, axis]
    return turned


def draw_target_beside(snapshot: Snapshot, target: Target) -> Picture:
    """Return the target, the output, and where they differ, side by side."""
    figure = Figure(figsize=(12.0, 4.3), dpi=_DPI, layout="constrained")
    titles = ("target", f"output at step {snapshot.step:,}", "wrong points, in red")
    for place, title in enumerate(titles):
        axes = figure.add_subplot(1, len(titles), place + 1)
        _draw_plane(axes, Plane(title, snapshot, strength=0.15 if place == 2 else 0.7))
        if place == 0:
            _show(axes, snapshot.slice, _label_image(target.labels, snapshot))
        if place == 2:
            wrong = wrong_points(snapshot, target)
            red = np.array([*_numbers(ALARM), 0.9])
            _show(axes, snapshot.slice, wrong[..., None] * red)
    return _picture(figure)


def wrong_points(snapshot: Snapshot, target: Target) -> NDArray[np.bool_]:
    """Return at which grid points another class wins than the target's, bool (H, W); nowhere where the output is no classes."""
    classes = None if snapshot.field is None else classes_of(snapshot.field)
    labels = target.at(snapshot.capture.resolution)
    return np.zeros(labels.shape, dtype=bool) if classes is None else (labels >= 0) & (classes != labels)


def _label_image(labels: NDArray[np.int64], snapshot: Snapshot) -> Floats:
    """Return classes in the colours that the output has, (h, w, 3)."""
    if snapshot.field is not None and snapshot.field.winner is not None:
        return np.asarray(1 - 0.7 * (1 - _hues()[labels % len(_hues())]))
    return np.asarray(1 - 0.7 * (1 - np.repeat(np.clip(labels, 0, 1)[..., None].astype(np.float64), 3, axis=2)))


def _show(axes: Axes, slice: Slice, image: Floats) -> None:
    (u0, u1), (v0, v1) = slice.bounds
    axes.imshow(np.clip(image, 0, 1), extent=(u0, u1, v0, v1), origin="lower", interpolation="nearest", aspect="auto")
    axes.set_aspect(_aspect(slice))


def _hues() -> Floats:
    return np.array([_numbers(class_colour(number)) for number in range(CLASS_HUES)])


def side_by_side(*pictures: Picture) -> Picture:
    """Return pictures beside each other, each as it is, on white; the lower ones in the middle of the highest one's height."""
    gap = 12
    height = max(picture.pixels.shape[0] for picture in pictures)
    width = sum(picture.pixels.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    sheet, left = np.full((height, width, 3), 255, dtype=np.uint8), 0
    for picture in pictures:
        rows, columns = picture.pixels.shape
        top = (height - rows) // 2
        sheet[top : top + rows, left : left + columns] = picture.rgb()
        left += columns + gap
    return _reduced(sheet)


def layer_colour(snapshot: Snapshot, layer: str) -> str:
    """Return the colour that a layer has in all pictures."""
    names = [one.name for one in snapshot.layers]
    return layer_colours(len(names))[names.index(layer)] if layer in names else INK


def _numbers(code: str) -> tuple[float, float, float]:
    red, green, blue = rgb(code)
    return red / 255, green / 255, blue / 255


def _picture(figure: Figure) -> Picture:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _reduced(np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3]))


def _reduced(pixels: NDArray[np.uint8]) -> Picture:
    """Return true-colour pixels (h, w, 3) as a picture."""
    image = Image.fromarray(pixels).quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return Picture(np.asarray(image), palette[:256])
