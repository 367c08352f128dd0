"""The exact engine: boundaries of piecewise-linear networks, and the regions between them, from forward passes alone.

On a slice such a network is a planar arrangement of segments, which is found layer by layer (:mod:`search`): each layer's
pre-activations at the corners of the cells that the layers before it made (:mod:`values`) tell by their signs (:mod:`bits`)
where units cross the cells' edges (:mod:`rings`) and so cut the cells (:mod:`cutting`, :mod:`chords`); what is zero, and what
may be rounding, :mod:`rounding` tells. Then the cells are cut there (:mod:`refine`, from :mod:`lines` to :mod:`web`; one by
one, :mod:`careful`, where rounding would decide). What comes out is looked at again (:mod:`certificate`), and turned into lines
(:mod:`trails`), regions (:mod:`regions`) and the border between classes (:mod:`decision`).

Everything happens in the unit square, in double precision. A value of less than 1e-10 of a unit's largest is zero, and points
nearer than 1e-10 of the slice's side are one: so lines that coincide, or meet in one point, do.
"""

from boundarycb.engines.exact.certificate import LIMIT
from boundarycb.engines.exact.engine import Found, find, find_regions
from boundarycb.engines.exact.limits import NotFinite, NotPiecewiseLinear, Unsuitable
from boundarycb.engines.exact.search import is_smooth, uncounted, unsupported
from boundarycb.engines.exact.values import LEAST_BATCH

__all__ = [
    "LEAST_BATCH",
    "LIMIT",
    "Found",
    "NotFinite",
    "NotPiecewiseLinear",
    "Unsuitable",
    "find",
    "find_regions",
    "is_smooth",
    "uncounted",
    "unsupported",
]
