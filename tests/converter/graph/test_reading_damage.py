"""A damaged FlatBuffer is read or refused, never more."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.graph.reading import read
from edge.errors import ModelError
from edge.model.default import default_model_path

pytestmark = pytest.mark.converter

# The tables of the shipped model stand behind its weights, in its last 60 kB.
TABLE_BYTES = 60_000
MODEL = default_model_path().read_bytes()


@given(cut=st.integers(8, len(MODEL) - TABLE_BYTES))
def test_a_model_cut_off_before_its_tables_is_refused(cut):
    with pytest.raises(ModelError, match="damaged"):
        read(MODEL[: min(cut, struct.unpack("<I", MODEL[:4])[0])], Path("cut.tflite"))


@given(place=st.integers(0, TABLE_BYTES - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_read_or_refused_but_never_crashes(place, bit):
    data = bytearray(MODEL)
    data[len(data) - 1 - place] ^= 1 << bit

    try:
        read(bytes(data), Path("flipped.tflite"))
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
