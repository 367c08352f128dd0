"""What a finished run says: in words, in figures, in pictures."""

from boundarycb.report.summary import summarise

__all__ = ["summarise"]
