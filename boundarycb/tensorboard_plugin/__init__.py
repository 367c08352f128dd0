"""The tab *Boundaries* of TensorBoard, which finds it by an entry point and loads it at every start."""

NAME = "boundaries"
"""What TensorBoard calls it: in its addresses, and in the tags of what is for it."""
