"""Where samples go. A sink is any object with ``write(snapshot, images)`` and ``close(history, movie)``.

* :class:`TensorBoard` - pictures and numbers into an event file;
* :class:`GifFile` - the movie as a file.

None of them imports torch or Lightning.
"""

from boundarycb.sinks.gif import GifFile, make_movie
from boundarycb.sinks.tensorboard import TensorBoard

__all__ = ["GifFile", "TensorBoard", "make_movie"]
