"""The viewer's files: one drawing program for TensorBoard's tab, the page that a run leaves, and notebooks.

They are plain ES modules with types in their comments, and are served as they stand. Where modules cannot be imported, as in a page
that was opened from a disk or in a notebook, :func:`joined` gives the same text as one module.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent

MODULES = (
    "record.js",
    "names.js",
    "run.js",
    "palette.js",
    "pens.js",
    "plot.js",
    "caption.js",
    "dom.js",
    "help.js",
    "state.js",
    "chart.js",
    "curves.js",
    "bars.js",
    "sidebar.js",
    "legend.js",
    "panel.js",
    "picture.js",
    "viewer.js",
)
"""What every host needs, each behind those that it imports."""

STYLE = "viewer.css"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[\w.]+";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) )", re.MULTILINE)


def text_of(name: str) -> str:
    """Return the text of one of the viewer's files."""
    return (FOLDER / name).read_text(encoding="utf-8")


def joined(host: str) -> str:
    """Return the viewer and its `host`, such as ``page.js``, as one module that imports nothing.

    Every file's names at the top level are unique among all files (a test sees to that), so joining them is enough: their
    imports go, and the word ``export`` goes too, except where the host says ``export default``.
    """
    parts = [_EXPORT.sub("", _IMPORT.sub("", text_of(name))).removeprefix("// @ts-check\n") for name in (*MODULES, host)]
    return "\n".join(parts)
