"""The tab's routes: the viewer's files, which runs there are, and their samples, page by page.

Everything is read through TensorBoard's data provider, so that it works with either loader and wherever TensorBoard finds runs.
"""

from __future__ import annotations

import functools
import gzip
import logging
from collections.abc import Callable
from typing import Any

from tensorboard import plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from boundarycb import wire
from boundarycb.metrics.descriptions import TEXTS
from boundarycb.tensorboard_plugin.loader import NAME
from boundarycb.tensorboard_plugin.series import Page, Series, Store, all_series
from boundarycb.viewer import FOLDER, MODULES, STYLE

log = logging.getLogger(__name__)

_ENTRY = "tensorboard.js"
_FILES = (*MODULES, _ENTRY, STYLE)
_KINDS = {"js": "text/javascript", "css": "text/css"}
_QUICK = 1  # gzip's level: headers are what it packs, the rest is packed already

Route = Callable[[wrappers.Request], wrappers.Response]


class BoundariesPlugin(base_plugin.TBPlugin):  # type: ignore[misc]
    """The tab *Boundaries*."""

    plugin_name = NAME

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._provider = context.data_provider
        self._store = Store(self._provider)

    def is_active(self) -> bool:
        """Say no: TensorBoard shows the tab by itself where there are data of ours."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Return what the tab is called and which module draws it."""
        return base_plugin.FrontendMetadata(es_module_path=f"/{_ENTRY}", tab_name="Boundaries")

    def get_plugin_apps(self) -> dict[str, Any]:
        """Return the routes; nothing else of ours can be asked for."""
        files = {f"/{name}": _application(functools.partial(_file, name)) for name in _FILES}
        ours = {"/runs": self._runs, "/frames": self._frames, "/texts": _texts}
        return {**files, **{path: _application(route) for path, route in ours.items()}}

    def _runs(self, request: wrappers.Request) -> wrappers.Response:
        """Answer which runs there are."""
        found = [
            {"key": series.name, "name": series.name, "run": series.run, "tag": series.tag, "time": series.time}
            for series in self._listed(request)
        ]
        return _respond(request, found, "application/json")

    def _frames(self, request: wrappers.Request) -> wrappers.Response:
        """Answer with samples of a run: a record that says which, the scene, and a record a sample.

        Query: ``run`` and ``tag``, as ``runs`` gives them; ``last`` for the last sample alone; else ``after``, the token of the
        last sample that the reader has, as the page before told it.
        """
        series = self._asked(request)
        context, experiment = plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)
        if request.args.get("last"):
            page = self._store.last(context, experiment, series)
        else:
            page = self._store.page(context, experiment, series, request.args.get("after", ""))
        body = gzip.compress(b"".join([_said(page), page.scene, *page.records]), _QUICK, mtime=0)
        return _respond(request, body, "application/octet-stream", content_encoding="gzip")

    def _listed(self, request: wrappers.Request) -> list[Series]:
        if self._provider is None:
            return []
        context, experiment = plugin_util.context(request.environ), plugin_util.experiment_id(request.environ)
        return all_series(self._provider.list_tensors(context, experiment_id=experiment, plugin_name=NAME))

    def _asked(self, request: wrappers.Request) -> Series:
        """Return the series that is asked for.

        Raises:
            ValueError: there is none such.
        """
        run, tag = request.args.get("run", ""), request.args.get("tag", "")
        for series in self._listed(request):
            if (series.run, series.tag) == (run, tag):
                return series
        raise ValueError(f"There is no run {run!r} with the tag {tag!r}.")


def _said(page: Page) -> bytes:
    return wire.pack({"kind": "page", "anew": page.anew, "more": page.more, "last": page.last}, {})


def _respond(request: wrappers.Request, content: Any, kind: str, **more: Any) -> wrappers.Response:
    """Return an answer as TensorBoard wants it: with its type, and a header that no browser guesses another."""
    response: wrappers.Response = http_util.Respond(request, content, kind, **more)
    return response


def _texts(request: wrappers.Request) -> wrappers.Response:
    """Answer what numbers mean, by their names without a layer's."""
    return _respond(request, TEXTS, "application/json")


def _file(name: str, request: wrappers.Request) -> wrappers.Response:
    """Answer with one of the viewer's files."""
    return _respond(request, (FOLDER / name).read_bytes(), _KINDS[name.rpartition(".")[2]])


def _application(route: Route) -> Any:
    """Return `route` as a WSGI application: an error of the reader's or of ours is answered in words."""

    def answer(request: wrappers.Request) -> wrappers.Response:
        if request.method not in ("GET", "HEAD"):
            return _respond(request, "Only GET is answered.", "text/plain", code=405)
        try:
            return route(request)
        except ValueError as error:
            return _respond(request, str(error), "text/plain", code=400)
        except Exception as error:
            log.exception("The Boundaries tab could not answer %s.", request.path)
            return _respond(request, f"{type(error).__name__}: {error}", "text/plain", code=500)

    return wrappers.Request.application(answer)
