"""Finds out, from a batch that a model trains on, how it is called, what of the call varies, and on which slice.

* ``calls``   the ways in which a batch may go into a model, likeliest first;
* ``listening`` hears how a model is called;
* ``varying`` which tensor of a call varies;
* ``planes``  the slice through training samples;
* ``cost``    how finely and how often to sample;
* ``settle``  all of it: what a user gave is taken, the rest is found, and what cannot be found is asked for.
"""

from boundarycb.automatic.calls import Asked, Call, Example
from boundarycb.automatic.cost import Plan, Work, plan
from boundarycb.automatic.listening import Listener
from boundarycb.automatic.settle import Given, NotGuessed, Settled, SliceLike, settle
from boundarycb.automatic.varying import VaryLike

__all__ = [
    "Asked",
    "Call",
    "Example",
    "Given",
    "Listener",
    "NotGuessed",
    "Plan",
    "Settled",
    "SliceLike",
    "VaryLike",
    "Work",
    "plan",
    "settle",
]
