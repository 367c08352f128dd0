"""The report of a run as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from boundarycb.types import History, Movie, Picture, Report, Snapshot


class ReportFile:
    """A sink that writes ``report.md`` beside the history when the run ends, and its pictures into the folder ``report``."""

    def __init__(self) -> None:
        self._report: Report | None = None

    def write(self, snapshot: Snapshot, images: Mapping[str, Picture]) -> None:
        """Do nothing: the report is made from the history at the end."""

    def tell(self, report: Report) -> None:
        """Take the report."""
        self._report = report

    def close(self, history: History | None, movie: Movie | None) -> None:  # noqa: ARG002 - a sink's signature
        """Write it: the pictures first, so that the page names none that is missing."""
        if history is not None and self._report is not None:
            write_report(self._report, history.path.with_name("report.md"))


def write_report(report: Report, page: Path) -> None:
    """Write `report` as the file `page`, and its pictures into the folder beside it that has its name without ``.md``."""
    folder = page.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in report.pictures.items():
        (folder / f"{name}.png").write_bytes(picture.png())
    part = page.with_suffix(".md.part")
    try:
        part.write_text(report.text.replace("](report/", f"]({quote(folder.name)}/"), encoding="utf-8")
        part.replace(page)
    finally:
        part.unlink(missing_ok=True)
