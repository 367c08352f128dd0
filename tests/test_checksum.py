"""The checksum of event files: that of TensorBoard's own, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

from boundarycb.sinks.checksum import crc32c, masked_crc32c


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (bytes(32), 0x8A9136AA),
        (bytes([255] * 32), 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_known_answers(data: bytes, crc: int) -> None:
    """Those of RFC 3720, B.4, and the catalogue's check value."""
    assert crc32c(data) == crc


@given(st.binary(max_size=3000))
def test_it_is_tensorboards(data: bytes) -> None:
    assert masked_crc32c(data) == pywrap_tensorflow.masked_crc32c(data)


@pytest.mark.parametrize("size", [511, 512, 513, 767, 768, 1023, 1024, 1025, 4096, 65_535, 65_537, 300_001])
def test_lanes_of_any_number_and_rest(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert masked_crc32c(data) == pywrap_tensorflow.masked_crc32c(data)
    assert masked_crc32c(bytes(size)) == pywrap_tensorflow.masked_crc32c(bytes(size))
