"""Thin lines by OpenCV, where it is installed: hundreds of lines are covered in a third of numpy's time, or less."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from boundarycb.types import Floats

INK = 1.3
"""Pixels of the one width that OpenCV's smoothed lines have: what one covers, by its length; a thinner line is drawn fainter."""
_SHIFT = 4  # bits of a coordinate behind the point


@lru_cache(maxsize=1)
def opencv() -> Any:
    """Return OpenCV's module; None where it is not installed or does not work, or where ``BOUNDARYCB_OPENCV=0`` says not to."""
    if os.environ.get("BOUNDARYCB_OPENCV") == "0":
        return None
    environment = dict(os.environ)
    try:
        module = import_module("cv2")
        picture, line = np.zeros((4, 4, 4), np.uint8), np.array([[0.5, 0.5], [3.5, 3.5]])
        lay(module, picture, coverage(module, line, np.array([0, 2]), (4, 4)), (9, 9, 9, 9), 1.0)
    except Exception:  # noqa: BLE001 - such as a missing library of the system, or what is left of an installation
        return None
    finally:
        _put_back(environment)
    return module


def _put_back(environment: dict[str, str]) -> None:
    """Undo what loading OpenCV did to the environment, which the processes that the user starts would inherit."""
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})


def coverage(cv2: Any, points: Floats, offsets: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return how far each pixel (h, w) is covered by polylines, 0 to 255; where they cross it is no more than one covers.

    Args:
        cv2: OpenCV's module.
        points: places (N, 2) in pixels, y growing downwards; a pixel's middle is at one half.
        offsets: where lines begin and end among them (S + 1,).
        shape: rows and columns.
    """
    mask = np.zeros(shape, np.uint8)
    places = np.rint((points - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(mask, [places[start:stop] for start, stop in pairwise(offsets)], False, 255, 1, cv2.LINE_AA, _SHIFT)
    return mask


def lay(cv2: Any, pixels: NDArray[np.uint8], cover: NDArray[np.uint8], colour: tuple[int, int, int, int], alpha: float) -> None:
    """Lay a colour over `pixels` (h, w, 4), in place, as far as `cover` (h, w) says, 0 to 255, times `alpha`."""
    share = cv2.convertScaleAbs(cover, alpha=alpha)
    shares = cv2.merge([share] * 4)
    tints = np.rint(np.arange(256)[:, None] / 255 * colour).astype(np.uint8)
    rest = cv2.multiply(pixels, cv2.bitwise_not(shares), scale=1 / 255)
    pixels[:] = cv2.add(rest, cv2.LUT(shares, tints[:, None]))
