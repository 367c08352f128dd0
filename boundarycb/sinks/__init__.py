"""Where samples go. A sink is any object with ``write(snapshot, images)`` and ``close(history, movie)``.

One that has a method ``tell(report)`` gets the run's report too, before it is closed.

* :class:`TensorBoard` - pictures and numbers into an event file;
* :class:`WandB`, :class:`MLflow`, :class:`Comet`, :class:`LitLogger`, :class:`Trackio`, :class:`Aim` - into trackers' runs;
* :class:`GifFile` - the movie as a file; :class:`ReportFile` - the report, with its pictures;
* :class:`PageFile` - the run in the viewer, a page that opens by itself;
* :class:`Files` - pictures as files;
* :class:`Numbers` - numbers into whatever takes them by name.

None of them imports torch or Lightning, and a tracker's package only when something is sent to it.
"""

from boundarycb.sinks.aim import Aim
from boundarycb.sinks.comet import Comet
from boundarycb.sinks.files import Files
from boundarycb.sinks.gif import GifFile, make_movie
from boundarycb.sinks.litlogger import LitLogger
from boundarycb.sinks.mlflow import MLflow
from boundarycb.sinks.numbers import Numbers
from boundarycb.sinks.page import PageFile
from boundarycb.sinks.report import ReportFile
from boundarycb.sinks.tensorboard import TensorBoard
from boundarycb.sinks.trackio import Trackio
from boundarycb.sinks.wandb import WandB

__all__ = [
    "Aim",
    "Comet",
    "Files",
    "GifFile",
    "LitLogger",
    "MLflow",
    "Numbers",
    "PageFile",
    "ReportFile",
    "TensorBoard",
    "Trackio",
    "WandB",
    "make_movie",
]
