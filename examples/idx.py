"""Reads IDX files, the format in which MNIST and its kind are given away: a header, and the numbers behind it."""

from __future__ import annotations

import gzip
import struct
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def find_idx(folder: Path, name: str, axes: int) -> Path:
    """Return where in `folder` the IDX file called `name` with so many `axes` is, such as ``train-images-idx3-ubyte.gz``.

    It may be called with a hyphen or a dot before ``idx``, and be packed by gzip or not.

    Raises:
        FileNotFoundError: there is none.
    """
    spellings = [f"{name}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    found = [folder / spelling for spelling in spellings if (folder / spelling).is_file()]
    if not found:
        raise FileNotFoundError(f"{folder} has none of {', '.join(spellings)}; name the folder where they are.")
    return found[0]


def read_idx(path: Path) -> NDArray[Any]:
    """Return the numbers of an IDX file, in the shape that its header gives.

    The header is two zeros, a byte for the kind of the numbers, one for how many axes there are, and the length of each in four
    bytes, the high one first; so are the numbers.

    Raises:
        ValueError: it is no IDX file, or has more or fewer numbers than its header says.
    """
    data = _unpacked(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _KINDS or not data[3]:
        raise ValueError(
            f"{path} is no IDX file: it begins with {data[:4]!r}, and such a file with two zeros, a kind and its axes."
        )
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise ValueError(f"{path} ends within its header, after {len(data)} of {start} bytes; get it again.")
    shape, kind = struct.unpack(f">{data[3]}I", data[4:start]), np.dtype(_KINDS[data[2]])
    wanted = start + prod(shape) * kind.itemsize
    if len(data) != wanted:
        raise ValueError(f"{path} must have {wanted:,} bytes for numbers of shape {shape}, and has {len(data):,}; get it again.")
    return np.frombuffer(data, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))


def _unpacked(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} cannot be unpacked by gzip ({error}); get it again, or unpack it.") from error
