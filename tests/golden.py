"""Golden pictures: compared with two thresholds, since another version of a drawing library may move an edge by a shade."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boundarycb.types import Picture

FOLDER = Path(__file__).parent / "golden"
FAILURES = Path(__file__).parent / "failures"
MEAN, SHARE = 0.6, 0.004  # mean difference of a channel (0 to 255), and the share of pixels that differ by more than 64


def compare(picture: Picture, name: str, request: pytest.FixtureRequest) -> None:
    """Assert that `picture` looks like ``golden/<name>.png``; write got, expected and difference side by side where not."""
    path = FOLDER / f"{name}.png"
    if request.config.getoption("--bless"):
        path.write_bytes(picture.png())
    want = np.asarray(Image.open(path).convert("RGB")).astype(int)
    got = picture.rgb().astype(int)
    assert got.shape == want.shape, f"{name}: size {got.shape}, expected {want.shape}"
    difference = np.abs(got - want)
    if difference.mean() > MEAN or (difference.max(axis=2) > 64).mean() > SHARE:
        FAILURES.mkdir(exist_ok=True)
        side_by_side = np.concatenate([got, want, np.minimum(10 * difference, 255)], axis=1).astype(np.uint8)
        Image.fromarray(side_by_side).save(FAILURES / f"{name}.png")
        far = (difference.max(axis=2) > 64).mean()
        pytest.fail(f"{name}: mean difference {difference.mean():.2f}, {far:.2%} of pixels far off; see tests/failures/{name}.png")
