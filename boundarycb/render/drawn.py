"""The pictures of a snapshot, drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from boundarycb.render.contact import draw_inputs, has_inputs
from boundarycb.render.heatmap import draw_similarity, has_similarity
from boundarycb.render.pictures import draw_overlay, draw_panels
from boundarycb.render.surfaces import draw_surfaces, has_surfaces
from boundarycb.render.zones import draw_zones, has_zones
from boundarycb.types import Picture, Snapshot


class Drawn(Mapping[str, Picture]):
    """The pictures of a snapshot by name, each drawn when it is first asked for.

    Args:
        snapshot: what is drawn.
        size: longer side of a plot in pixels.
    """

    def __init__(self, snapshot: Snapshot, size: int) -> None:
        self._draw: dict[str, Callable[[], Picture]] = {
            "overlay": partial(draw_overlay, snapshot, size),
            "panels": partial(draw_panels, snapshot, size),
        }
        if has_similarity(snapshot):
            self._draw["similarity"] = partial(draw_similarity, snapshot, size)
        if has_surfaces(snapshot):
            self._draw["surfaces"] = partial(draw_surfaces, snapshot)
        if has_zones(snapshot):
            self._draw["zones"] = partial(draw_zones, snapshot, size)
        if has_inputs(snapshot.slice):
            self._draw["inputs"] = partial(draw_inputs, snapshot.slice, size)
        self._drawn: dict[str, Picture] = {}

    def __getitem__(self, name: str) -> Picture:
        if name not in self._drawn:
            self._drawn[name] = self._draw[name]()
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._draw)

    def __len__(self) -> int:
        return len(self._draw)
