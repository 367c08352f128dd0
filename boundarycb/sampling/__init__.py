"""Looks at a model: what is on the slice now.

* ``engine``   which engine draws the lines, for a run;
* ``looking``  one look, as the recorder takes it;
* ``view``     where, how and how finely a run looks;
* ``shots``    what a user asks of a model as it is, ``how`` says how it is run; ``gradients`` a direction for a slice;
* ``classes``  what classes are called.
"""

from boundarycb.sampling.classes import with_class_names
from boundarycb.sampling.engine import Engine, EngineName
from boundarycb.sampling.gradients import input_gradient
from boundarycb.sampling.looking import RESOLUTION, Look, look, said_of_lost
from boundarycb.sampling.shots import capture, find_boundaries, find_regions, overlay
from boundarycb.sampling.view import ResolutionLike, View, checked_auto

__all__ = [
    "RESOLUTION",
    "Engine",
    "EngineName",
    "Look",
    "ResolutionLike",
    "View",
    "capture",
    "checked_auto",
    "find_boundaries",
    "find_regions",
    "input_gradient",
    "look",
    "overlay",
    "said_of_lost",
    "with_class_names",
]
