"""Anchors come back as they were written, and nothing else passes for anchors."""

from __future__ import annotations

import io
from typing import Any

import factories
import numpy as np
import pytest

from edge.model.readers.anchors import anchors_from_bytes, anchors_to_bytes

pytestmark = pytest.mark.board


def npy(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def test_what_was_written_is_read_back():
    data = anchors_to_bytes(factories.anchors())

    np.testing.assert_array_equal(anchors_from_bytes(data), factories.anchors())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(npy(np.zeros((2, 3), np.float32)), id="three sides"),
        pytest.param(npy(np.zeros(8, np.float32)), id="one axis"),
        pytest.param(npy(np.zeros((), np.float32)), id="a scalar"),
        pytest.param(npy(np.zeros((2, 4), np.float64)), id="float64"),
        pytest.param(npy(np.zeros((2, 4), ">f4")), id="big endian"),
        pytest.param(npy(np.asfortranarray(np.ones((2, 4), np.float32))), id="by columns"),
        pytest.param(npy(np.full((2, 4), np.nan, np.float32)), id="not a number"),
        pytest.param(npy(np.zeros((2, 4), np.float32))[:-1], id="one byte short"),
        pytest.param(npy(np.array([[{}] * 4], object)), id="objects"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\x93NUMPY\x03\x00rest", id="another npy version"),
    ],
)
def test_bad_anchors_are_refused(data):
    with pytest.raises(ValueError, match="anchors must"):
        anchors_from_bytes(data)


def test_anchors_that_claim_more_than_memory_holds_are_refused():
    honest = npy(np.zeros((1, 4), np.float32))
    padded = b"(1, 4), }           "
    assert padded in honest
    liar = honest.replace(padded, b"(9999999, 4), }".ljust(len(padded)))

    with pytest.raises(ValueError, match=r"fill \(9999999, 4\) float32, found 16 bytes"):
        anchors_from_bytes(liar)
