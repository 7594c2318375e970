"""A picture knows its size in every format."""

from __future__ import annotations

import numpy as np
import pytest

from edge.capture.picture import Picture

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("shape", "pixel_format"),
    [
        pytest.param((48, 64, 3), "bgr", id="bgr"),
        pytest.param((72, 64), "nv12", id="nv12"),
        pytest.param((48, 64, 2), "yuyv", id="yuyv"),
        pytest.param((48, 64), "grey", id="grey"),
    ],
)
def test_the_size_is_that_of_the_image_not_of_the_array(shape, pixel_format):
    picture = Picture(np.zeros(shape, np.uint8), 0, 0, 0, pixel_format)

    assert picture.size_wh == (64, 48)
