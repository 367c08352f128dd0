"""Find the lines where units switch. An engine is a function from a forward pass and a slice to Boundaries.

* ``exact``     for piecewise-linear networks, to the last digits: a package of its own;
* ``grid``      the reader that traces lines on the grid: for any network;
* ``bands``     streams the sampling grid through the model, a band of rows at a time, to any number of readers;
* ``masks``     the reader that keeps packed on/off states and the output;
* ``here``      a band's pre-activations in the processor's memory, behind the words of those that stay on a GPU;
* ``straight``  the lines of units that are affine on the whole slice, for the numbers about them;
* ``polylines`` chains and thins lines; ``sorting`` puts whole numbers in order.
"""
