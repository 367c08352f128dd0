"""Finds out, from a batch that a model trains on, how it is called, what of the call varies, and on which slice.

* ``calls``   the ways in which a batch may go into a model, likeliest first;
* ``listening`` hears how a model is called;
* ``varying`` which tensor of a call varies;
* ``items``   more of the training data than one batch;
* ``planes``  the slice through training samples;
* ``data``    samples of the data, which units are looked at with;
* ``doubts``  whether what a model makes of a sample is its own;
* ``hushed``  that failed guesses leave no warnings behind;
* ``asking``  what a user is asked for, in words;
* ``cost``    how finely and how often to sample;
* ``given``   what a user said;
* ``settle``  all of it: what a user gave is taken, the rest is found, and what cannot be found is asked for.
"""

from boundarycb.automatic.asking import NotGuessed
from boundarycb.automatic.calls import Asked, Example, ModelCall, may_take_more
from boundarycb.automatic.cost import SHARE, Plan, Work, plan
from boundarycb.automatic.data import Data, DataLike
from boundarycb.automatic.given import Given, SliceLike
from boundarycb.automatic.items import Source
from boundarycb.automatic.listening import Listener
from boundarycb.automatic.settle import Settled, settle
from boundarycb.automatic.varying import VaryLike

__all__ = [
    "SHARE",
    "Asked",
    "Data",
    "DataLike",
    "Example",
    "Given",
    "Listener",
    "ModelCall",
    "NotGuessed",
    "Plan",
    "Settled",
    "SliceLike",
    "Source",
    "VaryLike",
    "Work",
    "may_take_more",
    "plan",
    "settle",
]
