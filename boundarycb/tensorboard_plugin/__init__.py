"""The tab *Boundaries* of TensorBoard, which finds it by an entry point and loads it at every start."""
