"""The data sets of the two papers whose figures this package makes.

* ``pictures`` Darlow and Storkey's (GINN, 2018): an image as a function from pixel location to black or white;
* ``grey``     Fishbein and Debata's (2023): two grey levels as white, black or grey, by the rules S1, S2 and S3;
* ``answers``  the same by people's answers, S4: a page that asks for them, what it saved, and a stand-in that is made up.
"""

from boundarycb.data.answers import read_answers, simulated_answers, write_answer_page
from boundarycb.data.grey import CLASSES, every_pair, pairs, s1, s2, s3, s3_limit
from boundarycb.data.pictures import Image, bottle, pixels_of, read_image

__all__ = [
    "CLASSES",
    "Image",
    "bottle",
    "every_pair",
    "pairs",
    "pixels_of",
    "read_answers",
    "read_image",
    "s1",
    "s2",
    "s3",
    "s3_limit",
    "simulated_answers",
    "write_answer_page",
]
