"""The greatest of many channels of bytes, against NumPy's own `argmax`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decode import argmax
from edge.decode.argmax import ByteArgmax, takes

pytestmark = pytest.mark.board


@given(
    st.sampled_from([np.int8, np.uint8]), st.integers(2, 256), st.integers(1, 40),
    st.integers(1, 255), st.integers(0, 2**32),
)  # fmt: skip
def test_it_is_numpys_with_the_first_of_equals(dtype, channels, pairs, levels, seed):
    info = np.iinfo(dtype)
    few = np.linspace(info.min, info.max, levels + 1).astype(dtype)
    values = np.random.default_rng(seed).choice(few, (2 * pairs, channels))
    out = np.empty(2 * pairs, np.uint8)
    ByteArgmax(channels, len(out), np.dtype(dtype))(values, out=out)
    np.testing.assert_array_equal(out, values.argmax(axis=1))


@pytest.mark.parametrize("channels", [2, 3, 8, 21])
def test_it_goes_on_from_chunk_to_chunk(monkeypatch, channels):
    monkeypatch.setattr(argmax, "PAIRS", 30)
    values = np.random.default_rng(1).integers(-128, 128, (70, channels), np.int8)
    out = np.empty(70, np.uint8)
    ByteArgmax(channels, 70, np.dtype(np.int8))(values, out=out)
    np.testing.assert_array_equal(out, values.argmax(axis=1))


def test_it_takes_no_odd_number_of_cells_and_no_wider_values():
    int8 = np.dtype(np.int8)
    assert takes((3, 4, 5), int8)
    assert not takes((3, 5, 5), int8)
    assert not takes((3, 4, 1), int8)
    assert not takes((3, 4, 5), np.dtype(np.int16))
