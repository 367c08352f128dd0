"""What finished runs say: in words, in figures, in pictures.

* ``summary``   a run's numbers as a table for the terminal;
* ``page``      the report: a page in Markdown with pictures, from what each of the ``phenomena`` finds;
* ``charts``, ``planes``  how these are drawn: curves over the run, units on the slice; ``layout`` is what both share;
* ``run``       the numbers of a run by name and step;
* ``compare``   how alike several runs are: ``ends`` (where they end), ``matching`` (which unit is which), ``comparison`` (the
  numbers and how they are told), ``sheet`` (the picture).
"""

from boundarycb.report.page import make_report
from boundarycb.report.summary import summarise

__all__ = ["make_report", "summarise"]
