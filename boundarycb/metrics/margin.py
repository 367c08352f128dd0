"""How far samples of the data are from where the network decides otherwise."""

from __future__ import annotations

import numpy as np

from boundarycb.types import Sample, Value, needs

_LOW = 5.0
"""The percentile of ``margin/low``: a minimum would be that of one odd sample."""


@needs("data", "margins")
def data_margins(sample: Sample) -> dict[str, Value]:
    r"""Return ``margin/median``, ``margin/low`` and ``margin/found``: distances from samples to where the winning class changes.

    From each of up to 64 samples a ray goes to another sample, of another class where labels are known. Its margin is the distance
    in input space, along the ray, to the first point at which another class wins. For two classes that are told by the sign of
    :math:`w \cdot x + b`, and a ray in the direction u of length one,

    .. math:: \text{margin} = \frac{|w \cdot x + b|}{|w \cdot u|}

    * ``margin/median``: the median of the margins. 0 or more, at most the length of a ray; high: decisions lie far from the data.
    * ``margin/low``: their 5th percentile. 0 or more; small: some samples are nearly decided otherwise.
    * ``margin/found``: share of the rays on which the class changes at all. Range 0 to 1; rays that stay in one class have no
      margin, and are left out of the other two, which are NaN where there is none. Low: the network tells few of the pairs apart.

    The rays are the same in all of a run, whatever the network decides. A margin along one ray is never below the distance to the
    nearest point of the border. The first change is looked for in sixteen parts of a ray and located within the first of them that
    ends in another class, to the digits of the network's precision; a class that comes and goes within a sixteenth of a ray is
    missed. (Steps that grow, as in Somepalli et al. 2022, arXiv:2203.08124, overstate it.) Not the distance to the nearest
    adversarial input, which takes a search over directions. Nothing is given where there are no samples or no classes. Cost: some
    sixty forward passes of a point a ray.

    >>> from boundarycb.types import Answers, Boundaries, Capture, Layer
    >>> layer = Layer("fc", "relu", (1,), (0,))
    >>> empty = Boundaries(np.empty((0, 2)), np.array([0]), np.empty(0), (layer,))
    >>> margins = np.array([1.0, 2.0, np.nan, 3.0])
    >>> answers = Answers(np.zeros((1, 1), np.uint8), np.zeros((4, 1), np.float32), margins=margins)
    >>> data_margins(Sample(Capture((layer,), 2, np.zeros((1, 1), np.uint8)), empty, answers=answers))
    {'margin/median': 2.0, 'margin/low': 1.1, 'margin/found': 0.75}
    """
    if sample.answers is None or sample.answers.margins is None:
        return {}
    margins = sample.answers.margins
    found = margins[np.isfinite(margins)]
    median, low = (float(value) for value in np.percentile(found, [50, _LOW])) if len(found) else (np.nan, np.nan)
    return {"margin/median": median, "margin/low": low, "margin/found": len(found) / len(margins)}
