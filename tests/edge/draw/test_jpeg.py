"""Images cut, reduced, and encoded to a size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.draw.jpeg import cut, encoded, reduced

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((10, 10, 20, 30), (20, 10)),
        ((-50, -50, 5, 5), (5, 5)),
        ((630, 350, 900, 900), (10, 10)),
        ((700, 500, 800, 600), (1, 1)),
        ((5, 5, 5, 5), (1, 1)),
    ],
    ids=["inside", "left and above", "right and below", "outside", "nothing"],
)
def test_a_cut_stays_in_the_picture_and_is_never_empty(sides, expected):
    assert cut(np.zeros((360, 640, 3), np.uint8), sides, margin_ratio=0).shape[:2] == expected


@pytest.mark.parametrize("most_bytes", [1500, 6000, 40_000, 10**6])
def test_a_jpeg_fits_however_noisy_the_image(most_bytes):
    noise = np.random.default_rng(3).integers(0, 255, (300, 400, 3), np.uint8)
    data = encoded(noise, most_bytes=most_bytes)
    assert len(data) <= most_bytes
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert (image.shape[:2] == (300, 400)) == (most_bytes > 6000)


def test_a_reduced_image_keeps_its_shape_and_owns_its_pixels():
    image = np.zeros((100, 400, 3), np.uint8)
    assert reduced(image, 200).shape == (50, 200, 3)
    same = reduced(image, 4000)
    assert same.shape == image.shape
    assert not np.shares_memory(same, image)
