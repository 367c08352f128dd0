"""What a finished run says: in words, in figures, in pictures.

* ``summary``   its numbers as a table for the terminal;
* ``page``      the report: a page in Markdown with pictures, from what each of the ``phenomena`` finds;
* ``figures``   how these are drawn;
* ``run``       the numbers of a run by name and step.
"""

from boundarycb.report.page import make_report
from boundarycb.report.summary import summarise

__all__ = ["make_report", "summarise"]
