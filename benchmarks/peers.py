"""What a user would do without this package: the same jobs with matplotlib, imageio and numpy, and by other packages."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[Any]


def nodes(resolution: int) -> tuple[Array, torch.Tensor]:
    """Return the coordinates along a side of [-1, 1] squared, and all points of the grid (n, 2), row by row."""
    side = np.linspace(-1, 1, resolution)
    u, v = np.meshgrid(side, side)
    return side, torch.tensor(np.stack([u.ravel(), v.ravel()], axis=1), dtype=torch.float32)


@torch.no_grad()
def pre_activations(model: nn.Sequential, points: torch.Tensor) -> list[torch.Tensor]:
    """Return what each ReLU of a Sequential is called with, (n, units) each."""
    found = []
    for layer in model:
        if isinstance(layer, nn.ReLU):
            found.append(points)
        points = layer(points)
    return found


def ginn_lines(model: nn.Sequential, resolution: int = 200) -> NDArray[np.bool_]:
    """Return the pixels (layers, rows, columns, units) on a boundary, found as GINN finds them; all layers are equally wide.

    Its published code stacks every layer's states as whole numbers, takes numpy's gradient along both axes, and calls a pixel a
    boundary where either is not zero (Darlow and Storkey 2018, arXiv 1810.01860).
    """
    points = nodes(resolution)[1]
    masks = [z.numpy().reshape(resolution, resolution, -1) > 0 for z in pre_activations(model, points)]
    states = np.stack([mask.astype(np.int64) for mask in masks])
    down, across = np.gradient(states, axis=(1, 2))
    return np.asarray((down != 0) | (across != 0))


def contour_figure(fields: list[Array], side: Array, background: Array, colours: list[str]) -> Any:
    """Return a matplotlib figure of 512 pixels: the background, and one contour call for each unit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.12, 5.12), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(background, origin="lower", extent=(-1, 1, -1, 1), cmap="gray")
    for field, colour in zip(fields, colours, strict=True):
        if field.min() < 0 < field.max():
            axes.contour(side, side, field, levels=[0.0], colors=[colour], linewidths=1)
    axes.set_title("step 0")
    return figure


def contour_png(fields: list[Array], side: Array, background: Array, colours: list[str]) -> bytes:
    """Return :func:`contour_figure` as PNG."""
    out = io.BytesIO()
    contour_figure(fields, side, background, colours).savefig(out)
    return out.getvalue()


def imageio_movie(frames: Iterable[NDArray[np.uint8]], path: Path) -> None:
    """Write true-colour frames (h, w, 3) one by one as most tutorials do."""
    import imageio.v2 as imageio

    with imageio.get_writer(path, mode="I", duration=100) as writer:
        for frame in frames:
            writer.append_data(frame)  # type: ignore[attr-defined]
