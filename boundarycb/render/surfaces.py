"""The output of each class as a surface over the slice, in perspective: a panel a class.

Drawn by matplotlib's 3-D axes, on a Figure without pyplot. All frames of a run have one palette, a ramp of each class's hue.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]
from mpl_toolkits.mplot3d.axes3d import Axes3D  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from boundarycb.render.colours import CLASS_HUES, FAINT, INK, WHITE, class_colour, rgb
from boundarycb.types import Field, Floats, Picture, Snapshot

_DPI = 100
_PANEL = 3.4  # inches a side
_HEAD = 0.42  # inches
_ELEVATION, _AZIMUTH = 28, -58  # the eye: above the slice's corner of large u and small v
_SHADES = 22  # of each hue
_GREYS = 30
_PALER = 0.0, 0.31, 0.62  # by so much nearer to white: where a class wins, at its border, and where it does not
_LIGHT = np.array([-0.42, -0.38, 0.82])  # where it comes from: the left, the front, above
_DARKEST = 0.5  # share of a hue on what is turned away
_RISE = 0.8  # of a panel's box, beside sides of 1


def has_surfaces(snapshot: Snapshot) -> bool:
    """Return whether the output of each class was kept."""
    return snapshot.field is not None and snapshot.field.surfaces is not None


def draw_surfaces(snapshot: Snapshot, *, title: str | None = None) -> Picture:
    """Return the output of each class over the slice, as a surface in perspective, a panel a class (ten at most).

    Heights are chances, from 0 to 1, or the number of an output that is one. Together they add up to 1, unless each output is a
    sigmoid of its own. Where a class wins its surface is drawn in its full colour, elsewhere it is pale.

    Args:
        snapshot: of a run that kept surfaces (``surfaces=True``).
        title: what stands at the top; by default the step.

    Raises:
        ValueError: the snapshot has no surfaces.
    """
    field = snapshot.field
    if field is None or field.surfaces is None:
        raise ValueError("`snapshot` must be one of a run with `surfaces=True`; this one kept no surfaces.")
    count = len(field.surfaces)
    columns = min(count, 3 if count != 4 else 2)
    rows = -(-count // columns)
    size = _PANEL * columns, _PANEL * rows + _HEAD
    figure = Figure(figsize=size, dpi=_DPI, facecolor=WHITE)
    canvas = FigureCanvasAgg(figure)
    top = 1 - _HEAD / size[1]
    words = f"step {snapshot.step:,}" if title is None else title
    figure.text(0.02, 1 - 0.62 * _HEAD / size[1], words, size=12, weight="bold", color=INK, va="center")
    note = "" if count == field.classes or field.kind == "value" else f"the first {count} of {field.classes:,} classes"
    figure.text(0.98, 1 - 0.62 * _HEAD / size[1], note, size=9, color=FAINT, va="center", ha="right")
    winner = None if count == 1 else field.surfaces.argmax(axis=0)
    for number, surface in enumerate(field.surfaces):
        row, column = divmod(number, columns)
        box = (column / columns - 0.01, top * (1 - (row + 1) / rows), 1 / columns, top / rows)
        axes: Any = figure.add_axes(box, projection=Axes3D.name)
        _draw_panel(axes, snapshot, field, number, surface, None if winner is None else winner == number)
    canvas.draw()
    return _picture(np.asarray(canvas.buffer_rgba())[..., :3], count)


def _draw_panel(axes: Any, snapshot: Snapshot, field: Field, number: int, surface: Floats, wins: NDArray[np.bool_] | None) -> None:
    (u0, u1), (v0, v1) = snapshot.slice.bounds
    height, width = surface.shape
    u = u0 + (np.arange(width) + 0.5) / width * (u1 - u0)
    v = v0 + (np.arange(height) + 0.5) / height * (v1 - v0)
    low, high = _span(field, surface)
    across, up = np.meshgrid(u, v)
    corners = np.stack([across, up, np.clip(surface, low, high)], axis=2)
    # What plot_surface does too, in four times the time.
    colours = _between(_shaded(surface / (high - low), number, wins)).reshape(-1, 3)
    quads = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=2).reshape(-1, 4, 3)
    known = np.isfinite(quads).all(axis=(1, 2))
    opaque = np.concatenate([colours, np.ones((len(colours), 1))], axis=1)[known]
    axes.add_collection3d(Poly3DCollection(quads[known], facecolors=opaque, edgecolors=opaque, linewidths=0.3, antialiased=False))
    axes.set(xlim=(u0, u1), ylim=(v0, v1), zlim=(low, high))
    axes.set_title(_name(field, number), size=11, color=INK, y=0.97, pad=0, parse_math=False)  # a user's $ are no formulas
    small: Any = {"size": 8, "color": FAINT, "parse_math": False}
    axes.set_xlabel(_short(snapshot.slice.names[0]), labelpad=-6, **small)
    axes.set_ylabel(_short(snapshot.slice.names[1]), labelpad=-6, **small)
    axes.set_zlabel(field.what if field.kind == "value" else "chance", labelpad=-3, **small)
    axes.tick_params(labelsize=6.5, colors=FAINT, pad=-3)
    axes.tick_params(axis="z", pad=0)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        # Where the first two axes meet, the last number of the one would stand on the first of the other.
        axis.set_major_locator(MaxNLocator(4, prune="upper" if axis is axes.xaxis else None))
        axis.set_pane_color((0.97, 0.97, 0.97, 1.0))
        axis._axinfo["grid"].update(color="#d9dbe0", linewidth=0.6)
    axes.view_init(_ELEVATION, _AZIMUTH)
    axes.set_box_aspect((1, 1, _RISE), zoom=0.86)


def _span(field: Field, surface: Floats) -> tuple[float, float]:
    """Return the least and the largest height that is shown."""
    if field.kind != "value":
        return 0.0, 1.0
    if field.limits is not None:
        return field.limits
    known = surface[np.isfinite(surface)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _shaded(surface: Floats, number: int, wins: NDArray[np.bool_] | None) -> Floats:
    """Return the colour of each point of a surface, (h, w, 3): lit from the side, pale where the class does not win."""
    down, right = np.gradient(np.nan_to_num(surface) * _RISE, *(1 / side for side in surface.shape))
    facing = (_LIGHT[2] - _LIGHT[0] * right - _LIGHT[1] * down) / np.sqrt(1 + right**2 + down**2)
    strength = _DARKEST + (1 - _DARKEST) * np.clip(facing / _LIGHT[2], 0, 1)
    hue = np.array(rgb(_strong(number))) / 255
    colour = strength[..., None] * hue
    if wins is not None:
        colour = np.where(wins[..., None], colour, colour + _PALER[-1] * (1 - colour))
    return np.asarray(np.clip(colour, 0, 1))


def _between(corners: Floats) -> Floats:
    """Return the mean of each four neighbours among points (h, w, …): of (h - 1, w - 1) quadrilaterals."""
    return np.asarray((corners[:-1, :-1] + corners[:-1, 1:] + corners[1:, 1:] + corners[1:, :-1]) / 4)


def _strong(number: int) -> str:
    """Return the hue of a class, darker than in a background: it has to show light and shade."""
    code = rgb(class_colour(number))
    middle = sum(code) / 3
    parts = [min(255, max(0, round(middle + 1.7 * (part - middle) - 18))) for part in code]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _name(field: Field, number: int) -> str:
    if field.kind == "value":
        return field.what
    return field.names[number] if number < len(field.names) else f"class {number}"


def _short(name: str) -> str:
    """Return the name of an axis without what explains it."""
    return name.partition(" (")[0]


def _picture(pixels: NDArray[np.uint8], count: int) -> Picture:
    palette = _palette(count)
    image = Image.new("P", (1, 1))
    image.putpalette(palette.tobytes())
    mapped = Image.fromarray(np.ascontiguousarray(pixels)).quantize(palette=image, dither=Image.Dither.NONE)
    return Picture(np.asarray(mapped), palette)


@lru_cache(maxsize=16)
def _palette(count: int) -> NDArray[np.uint8]:
    """Return the colours of a picture of `count` classes: each one's shades, full and pale, and greys."""
    count = min(count, CLASS_HUES)
    shades = min(_SHADES, (256 - _GREYS - 1) // (3 * count)) if count > 1 else 2 * _SHADES
    strength = np.linspace(_DARKEST, 1, shades)[:, None]
    colours = [np.linspace((0x20, 0x23, 0x2A), (255, 255, 255), _GREYS)]
    for number in range(count):
        full = strength * np.array(rgb(_strong(number)))
        colours += [full + pale * (255 - full) for pale in _PALER] if count > 1 else [full]
    return np.concatenate(colours).round().astype(np.uint8)
