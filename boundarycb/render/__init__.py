"""Draws snapshots: pure functions from a Snapshot to a palette image.

* ``colours``  the one palette of a run, and the way from true colour to it;
* ``canvas``   anti-aliased lines and text on an array of pixels;
* ``vector``   the same strokes as SVG;
* ``layout``   where title, legend, plot and the lines of text below it stand;
* ``captions`` what is written below a plot;
* ``pictures`` what users see: the overlay and the panels;
* ``marks``    what a slice shows of itself: samples on it and off it, where inputs are valid;
* ``inputs``   inputs as images, where they are such; ``contact`` a sheet of them along the slice;
* ``surfaces`` the output of each class in perspective;
* ``zones``    where no output is on, several are, or two are next to equal;
* ``heatmap``  how alike the units of a layer are;
* ``fragile``  pixels whose least step changes an image's class;
* ``drawn``    all of a snapshot's pictures by name.
"""

from boundarycb.render.contact import draw_inputs, has_inputs
from boundarycb.render.drawn import Drawn
from boundarycb.render.fragile import draw_examples, draw_fragile
from boundarycb.render.heatmap import draw_similarity, has_similarity
from boundarycb.render.pictures import draw_overlay, draw_panels, draw_vector
from boundarycb.render.surfaces import draw_surfaces, has_surfaces
from boundarycb.render.zones import draw_zones, has_zones

__all__ = [
    "Drawn",
    "draw_examples",
    "draw_fragile",
    "draw_inputs",
    "draw_overlay",
    "draw_panels",
    "draw_similarity",
    "draw_surfaces",
    "draw_vector",
    "draw_zones",
    "has_inputs",
    "has_similarity",
    "has_surfaces",
    "has_zones",
]
