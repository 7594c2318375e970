"""Text on images: whatever a stranger's label holds is drawn, or a mark in its place."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.draw.lettering import printable
from edge.draw.results import draw_boxes_inplace as draw_inplace
from edge.draw.results import overlay_inplace
from edge.results.class_map import ClassMap
from edge.results.detections import Detections

pytestmark = pytest.mark.board

# The first two end the process in OpenCV 5.0 if they reach it.
LABELS = ["half \ud800", "\udfff half", "\x00\n\x1b[31m", "猫 ä 🐈", ""]


@pytest.mark.parametrize("label", LABELS, ids=ascii)
def test_any_label_can_be_drawn(label):
    image = np.zeros((64, 96, 3), np.uint8)
    one = Detections(
        np.array([[10, 30, 60, 60]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32)
    )

    draw_inplace(image, one, SimpleNamespace(labels=[label]))
    overlay_inplace(image, ClassMap(np.ones((4, 4), np.uint8), (96, 64)), ["", label])

    assert image.any()


@given(text=st.text(st.characters()))
def test_what_is_printable_already_stays(text):
    clean = printable(text)

    assert len(clean) == len(text)
    assert clean.encode() is not None, "it can be written"
    assert printable(clean) == clean
    assert [a for a, b in zip(text, clean, strict=True) if a.isprintable() and a != b] == []
