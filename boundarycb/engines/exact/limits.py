"""Why a network is not cut up exactly."""

from __future__ import annotations

import math


class Unsuitable(ValueError):  # noqa: N818 - it is a finding: the grid engine takes over
    """Boundaries of this network on this slice cannot be found exactly; the message says why, in words that follow "since"."""


class TooManyVertices(Unsuitable):
    """The cells have more vertices than the budget allows.

    Args:
        limit: how many it allows.
        causes: what else may be the matter, in words.
    """

    def __init__(self, limit: int, causes: str = "") -> None:
        super().__init__(f"the regions have more than {limit:,} corners (`max_vertices=` sets how many may be){causes}")


class TooMuchMemory(Unsuitable):
    """The values at the vertices take more memory than the budget allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"pre-activations at the regions' corners take more than {limit / 2**20:,.0f} MB")


class NotFinite(Unsuitable):
    """Pre-activations are not all numbers."""


class NotPiecewiseLinear(Unsuitable):
    """The network bends where no unit of it is zero.

    Args:
        why: in words.
        off: by how much, of a unit's largest value.
    """

    def __init__(self, why: str, off: float = math.inf) -> None:
        super().__init__(why)
        self.off = off
