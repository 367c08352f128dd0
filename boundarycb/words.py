"""Words in sentences: several things as a list, layers whose names are numbers, errors; what dotted names begin with together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile


def listed(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    >>> listed(["a", "b", "c"]), listed(["a"]), listed([])
    ('a, b and c', 'a', '')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def common(parts: Sequence[Sequence[str]]) -> int:
    """Return how many parts all of these begin with; the last part of each is its own.

    >>> common([["a", "b", "c"], ["a", "b", "d"]]), common([["a", "b"], ["a"]]), common([["a"], ["a"]])
    (2, 0, 0)
    """
    together = takewhile(lambda level: len(set(level)) == 1, zip(*(part[:-1] for part in parts), strict=False))
    return sum(1 for _ in together)


def spoken(layer: str) -> str:
    """Return a layer's name for a sentence: those of nn.Sequential are numbers.

    >>> spoken("0"), spoken("encoder.fc1")
    ('layer 0', 'encoder.fc1')
    """
    return f"layer {layer}" if layer[0].isdigit() else layer


def in_line(error: BaseException) -> str:
    """Return an error's kind and its message, in a line.

    >>> in_line(ValueError("one   two"))
    'ValueError: one two'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
