"""Find the lines where units switch. An engine is a function from a forward pass and a slice to Boundaries.

* ``bands``     streams the sampling grid through the model, a band of rows at a time, to any number of readers;
* ``masks``     the reader that keeps packed on/off states and the output;
* ``grid``      the reader that traces lines on the grid: for any network;
* ``polylines`` chains and thins what the grid engine found.
"""
