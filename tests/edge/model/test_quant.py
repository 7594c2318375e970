"""Quantisation against its formula in exact arithmetic, and thresholds against dequantising."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.quant import Quant

pytestmark = pytest.mark.board

INTEGERS = ("int8", "uint8", "int16")
FLOATS = ("float16", "float32", "float64")

# A file's scale is float32; structural checks keep it within these bounds.
scales = st.floats(2.0**-20, 2.0**10, width=32)
dtypes = st.sampled_from(INTEGERS)


@st.composite
def quantisations(draw: st.DrawFn) -> tuple[Quant, np.dtype[Any]]:
    """Return a quantisation and its dtype, the zero point inside it."""
    dtype = np.dtype(draw(dtypes))
    info = np.iinfo(dtype)
    return Quant(draw(scales), draw(st.integers(info.min, info.max))), dtype


def every_value(dtype: np.dtype[Any]) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.arange(info.min, info.max + 1).astype(dtype)


@given(quantisations(), st.floats(-1e6, 1e6) | st.just(math.inf) | st.just(-math.inf))
def test_a_threshold_decides_for_every_value_as_dequantising_would(
    case: tuple[Quant, np.dtype[Any]], real: float
) -> None:
    quant, dtype = case
    values = every_value(dtype)
    threshold = quant.threshold(real, dtype)
    np.testing.assert_array_equal(
        values.astype(np.int64) >= threshold, quant.dequantize(values) >= np.float32(real)
    )


@given(quantisations(), st.data())
def test_a_threshold_that_is_itself_a_quantum_is_that_quantum(
    case: tuple[Quant, np.dtype[Any]], data: st.DataObject
) -> None:
    quant, dtype = case
    info = np.iinfo(dtype)
    q = data.draw(st.integers(info.min, info.max))
    real = float(quant.dequantize(np.array(q, dtype)))
    assert quant.threshold(real, dtype) == q


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_threshold_stays_within_the_dtype_and_one_above(dtype: str) -> None:
    info = np.iinfo(dtype)
    quant = Quant(0.5, 3)
    assert quant.threshold(1e30, np.dtype(dtype)) == info.max + 1
    assert quant.threshold(math.inf, np.dtype(dtype)) == info.max + 1
    assert quant.threshold(-1e30, np.dtype(dtype)) == info.min
    assert quant.threshold(-math.inf, np.dtype(dtype)) == info.min


@pytest.mark.parametrize("dtype", FLOATS)
@given(real=st.floats(-1e4, 1e4), value=st.floats(-1e4, 1e4, width=16))
def test_a_threshold_of_a_float_tensor_is_the_real_one_compared_in_float32(
    dtype: str, real: float, value: float
) -> None:
    threshold = Quant().threshold(real, np.dtype(dtype))
    assert threshold == float(np.dtype(dtype).type(threshold))
    assert (np.dtype(dtype).type(value) >= threshold) == (np.float32(value) >= np.float32(real))


@given(quantisations(), st.data())
def test_dequantising_is_the_formula_rounded_once_to_float32(
    case: tuple[Quant, np.dtype[Any]], data: st.DataObject
) -> None:
    quant, dtype = case
    info = np.iinfo(dtype)
    q = data.draw(st.integers(info.min, info.max))
    exact = (q - quant.zero_point) * Fraction(quant.scale)
    found = quant.dequantize(np.array([q], dtype))
    assert found.dtype == np.float32
    # 2^-20 times 2^16 steps at most: the exact value fits a float64, whose rounding is numpy's.
    assert found[0] == np.float32(float(exact))


def test_dequantising_does_not_wrap_around_where_int8_would() -> None:
    found = Quant(1.0, -128).dequantize(np.array([127, -128], np.int8))
    assert found.tolist() == [255.0, 0.0]


@given(quantisations(), st.data())
def test_quantising_gives_the_nearest_quantum_saturated(
    case: tuple[Quant, np.dtype[Any]], data: st.DataObject
) -> None:
    quant, dtype = case
    info = np.iinfo(dtype)
    steps = data.draw(st.floats(-7e4, 7e4))
    real = steps * quant.scale
    found = int(quant.quantize(np.array([real]), dtype)[0])
    exact = Fraction(real) / Fraction(quant.scale) + quant.zero_point
    if info.min < exact < info.max:
        assert abs(found - exact) <= Fraction(1, 2) + Fraction(1, 2**13)
    else:
        assert found == (info.min if exact <= info.min else info.max)


@given(quantisations())
def test_quantising_undoes_dequantising(case: tuple[Quant, np.dtype[Any]]) -> None:
    quant, dtype = case
    values = every_value(dtype)
    np.testing.assert_array_equal(quant.quantize(quant.dequantize(values), dtype), values)


@given(st.integers(-100, 100), scales)
def test_a_real_between_two_quanta_rounds_upwards(lower: int, scale: float) -> None:
    real = np.array([(lower + 0.5) * scale])
    assert Quant(scale, 0).quantize(real, np.dtype(np.int8)) == [lower + 1]


@pytest.mark.parametrize("last_bit", [-1, 0, 1], ids=["scale below", "scale", "scale above"])
@pytest.mark.parametrize(
    ("dtype", "zero_point"), [pytest.param("int8", -1, id="int8"), ("uint8", 127)]
)
def test_pixels_that_lie_between_quanta_keep_their_256_levels(
    dtype: str, zero_point: int, last_bit: int
) -> None:
    # x / 127.5 - 1: every value is half-way, and a file's float32 scale is not quite 2 / 255.
    scale = np.float32(2 / 255)
    scale = np.nextafter(scale, np.float32(last_bit)) if last_bit else scale
    real = np.arange(256) / 127.5 - 1
    levels = Quant(float(scale), zero_point).quantize(real, np.dtype(dtype)).astype(int)
    np.testing.assert_array_equal(levels, np.arange(256) + np.iinfo(dtype).min)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_float_tensor_is_left_as_it_is(dtype: str) -> None:
    real = np.array([-1.5, 0.0, 3.25], dtype)
    np.testing.assert_array_equal(Quant().quantize(real, np.dtype(dtype)), real)
    np.testing.assert_array_equal(Quant().dequantize(real), real)
