"""A run in a notebook: the viewer as a widget, or without anywidget as a frame."""

from __future__ import annotations

import html
import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from boundarycb.history import History, load, short_names
from boundarycb.replay import make_bundle, make_page
from boundarycb.replay.page import MAX_BYTES, MAX_FRAMES
from boundarycb.viewer import STYLE, joined, text_of

_FRAME_BYTES = 2 * 2**20

Runs = (
    str | os.PathLike[str] | History | Sequence[str | os.PathLike[str] | History] | Mapping[str, str | os.PathLike[str] | History]
)
"""A run, as its directory or its history; several of them; or several by the names that they shall have."""


def show(runs: Runs, *, height: int = 820, max_frames: int = MAX_FRAMES, max_bytes: int | None = None) -> Any:
    """Return what shows runs where it is the last line of a notebook's cell: the viewer, with a slider over their steps.

    With anywidget (``pip install "boundarycb[jupyter]"``) it is a widget; without it a frame that holds a page of its own, which
    shows the same.

    Args:
        runs: a run's directory, its ``history.bcb``, or a history that was loaded; a list of such; or such by names.
        height: in pixels, 200 or more.
        max_frames: samples of each run; of more, that many are taken, evenly spread.
        max_bytes: about how large it may be; samples are thinned further until it is no larger. By default 24 MB, and 2 MB in a
            frame, since Jupyter holds back outputs of a few megabytes.

    Raises:
        FileNotFoundError: there is no history.
        ValueError: there is no run, a history is empty, or an argument is out of its range.
    """
    if max_bytes is not None and not max_bytes > 0:
        raise ValueError(f"`max_bytes` must be above 0, got {max_bytes!r}.")
    if height < 200:
        raise ValueError(f"`height` must be 200 pixels or more, got {height!r}.")
    named = _named(runs)
    if importlib.util.find_spec("anywidget") is None:
        return Frame(make_page(named, max_frames=max_frames, max_bytes=max_bytes or _FRAME_BYTES), height)
    bundle = make_bundle(named, max_frames=max_frames, max_bytes=max_bytes or MAX_BYTES)
    return _widget_class()(runs=bundle.data, texts=dict(bundle.texts), height=height)


class Frame:
    """A page inside a notebook's cell, for where there is no anywidget."""

    def __init__(self, page: str, height: int) -> None:
        self._page = page
        self._height = height

    def __repr__(self) -> str:
        return "<the viewer: show it in a notebook, or write it to a file with `boundarycb export RUN -o out.html`>"

    def _repr_html_(self) -> str:
        source = html.escape(self._page, quote=True)
        return (
            f'<iframe title="boundaries" srcdoc="{source}" style="width: 100%; height: {self._height}px; border: 0"></iframe>'
            "<p>Shown in a frame, since anywidget is not installed; "
            '<code>pip install "boundarycb[jupyter]"</code> makes it a widget.</p>'
        )


def _named(runs: Any) -> dict[str, History]:
    """Return histories by name."""
    if isinstance(runs, Mapping):
        return {str(name): _history(run) for name, run in runs.items()}
    several = runs if isinstance(runs, Sequence) and not isinstance(runs, (str, History)) else [runs]
    histories = [_history(run) for run in several]
    return dict(zip(short_names([history.path for history in histories]), histories, strict=True)) if histories else {}


def _history(run: Any) -> History:
    return run if isinstance(run, History) else load(run)


@lru_cache(maxsize=1)
def _widget_class() -> Any:
    """Return the widget's class, made when it is first used: importing anywidget takes a while."""
    import anywidget
    import traitlets

    class BoundariesWidget(anywidget.AnyWidget):
        """The viewer as a Jupyter widget."""

        _esm = joined("widget.js")
        _css = text_of(STYLE)
        runs = traitlets.Bytes().tag(sync=True)
        texts = traitlets.Dict().tag(sync=True)
        height = traitlets.Int(820).tag(sync=True)

    return BoundariesWidget
