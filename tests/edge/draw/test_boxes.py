from types import SimpleNamespace

import numpy as np
import pytest

from edge.draw.results import draw_boxes_inplace as draw_inplace
from edge.results.detections import Detections

pytestmark = pytest.mark.board


def detections(*boxes):
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.full(count, 0.75, np.float32),
        np.zeros(count, np.int32),
    )


def test_a_box_is_drawn_on_its_edges_and_nowhere_inside():
    image = np.zeros((200, 300, 3), np.uint8)
    draw_inplace(image, detections((100, 100, 200, 180)), SimpleNamespace(labels=["cat"]))
    assert image[150, 100].any()
    assert image[150, 199].any()
    assert not image[150, 150].any()
    assert not image[150, 250].any()


def test_no_detection_leaves_the_image_as_it_was():
    image = np.full((20, 30, 3), 7, np.uint8)
    draw_inplace(image, Detections.none(), SimpleNamespace(labels=[]))
    assert (image == 7).all()


@pytest.mark.parametrize("box", [(-50, -50, 1000, 1000), (299, 199, 300, 200), (0, 0, 0, 0)])
def test_boxes_at_and_beyond_the_border_do_no_harm(box):
    image = np.zeros((200, 300, 3), np.uint8)
    draw_inplace(
        image,
        detections(box),
        SimpleNamespace(labels=["a label that is wider than the image " * 3]),
    )
    assert image.any()
