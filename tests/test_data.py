from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from boundarycb.data import bottle, pixels_of, read_image


def test_the_bottle_is_a_bottle() -> None:
    image = bottle()
    assert image.shape == (200, 200)
    assert set(np.unique(image).tolist()) == {0, 1}
    assert np.array_equal(image, image[:, ::-1])  # left is right
    widths = (image == 0).sum(axis=1)
    assert widths[5] == 0  # white above it
    assert widths[40] == widths[50] == 36  # the neck
    assert (np.diff(widths[65:100]) >= 0).all()  # the shoulders widen
    assert widths[180] == 112  # the body
    assert image[140, 100] == 1  # the diamond
    assert image[140, 60] == 0


def test_pixels_are_their_centres_and_y_grows_upwards() -> None:
    points, labels = pixels_of(np.array([[0, 1], [2, 3]], dtype=np.uint8))
    assert points.tolist() == [[-0.5, 0.5], [0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]]
    assert labels.tolist() == [0, 1, 2, 3]
    assert pixels_of(np.zeros((1, 4), dtype=np.uint8))[0][:, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert pixels_of(np.zeros((4, 1), dtype=np.uint8), low=0)[0][:, 1].tolist() == [0.875, 0.625, 0.375, 0.125]


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_an_image_file_becomes_black_and_white(tmp_path: Path, channels: int | None) -> None:
    grey = np.repeat(bottle(50) * 200 + 20, 4, axis=0).repeat(4, axis=1).astype(np.uint8)
    pixels = grey if channels is None else np.repeat(grey[..., None], channels, axis=2)
    iio.imwrite(tmp_path / "x.png", pixels)
    image = read_image(tmp_path / "x.png", 50)
    assert (image == bottle(50)).mean() > 0.98


def test_a_moving_picture_is_refused(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "x.gif", np.zeros((3, 9, 9, 3), np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None] * 90)
    with pytest.raises(ValueError, match="`path` must be a still picture"):
        read_image(tmp_path / "x.gif")
