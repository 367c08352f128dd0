"""What can be asked of a trained model, in an input space of any dimension.

* ``crossings``  where straight ways cross boundaries: ``pieces`` of piecewise-linear networks, ``sampled`` of all others;
  ``rays`` the ways, ``found`` what is found;
* ``nearest``    the nearest boundary from a point;
* ``sigmoid``    the closed form of a border between classes; ``levels`` traces where a function is zero;
* ``pixels``     which single steps of single numbers change the class, of any of the ``classifiers``; ``steps`` makes them.
"""

from boundarycb.analysis.crossings import Crossings, Of, find_crossings
from boundarycb.analysis.levels import zero_lines
from boundarycb.analysis.nearest import Nearest, nearest_crossing
from boundarycb.analysis.pixels import Fragile, PixelProbe, probe_pixels
from boundarycb.analysis.sigmoid import SigmoidBoundary, sigmoid_boundary

__all__ = [
    "Crossings",
    "Fragile",
    "Nearest",
    "Of",
    "PixelProbe",
    "SigmoidBoundary",
    "find_crossings",
    "nearest_crossing",
    "probe_pixels",
    "sigmoid_boundary",
    "zero_lines",
]
