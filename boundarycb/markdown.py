"""Tables and words in Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Return `rows` as a Markdown table with `columns`: keys, and what stands at their heads.

    >>> print(table([{"layer": "fc", "phi": 0.98765, "since": None}], {"layer": "layer", "phi": "phi", "since": "since step"}))
    | layer | phi | since step |
    |---|---|---|
    | fc | 0.988 |  |
    """
    lines = [[str(head) for head in columns.values()], *([_cell(row.get(key)) for key in columns] for row in rows)]
    texts = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([texts[0], f"|{'---|' * len(columns)}", *texts[1:]])


def as_it_is(words: str) -> str:
    r"""Return `words` such that none of their signs mean anything in Markdown.

    >>> print(as_it_is("<class 'Foo'> takes no **options of $x$"))
    \<class 'Foo'\> takes no \*\*options of \$x\$
    """
    return re.sub(r"([\\`*_<>\[\]|$])", r"\\\1", words)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return (
        f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
    )
