"""Durations as people type them."""

from __future__ import annotations

import argparse
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.benchmark import duration

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("60s", 60, id="seconds"),
        pytest.param("10m", 600, id="minutes"),
        pytest.param("1.5h", 5400, id="a part of an hour"),
        pytest.param("250ms", 0.25, id="milliseconds"),
    ],
)
def test_a_duration_has_a_number_and_a_unit(text, seconds):
    assert duration.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "60", "s", "-1s", "0s", "1 m", "1e3s", "10min", "25h", "nans", "٣s", "9" * 99 + "s"],
)
def test_anything_else_is_misuse(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as 60s or 10m"):
        duration.parse(text)


@given(st.integers(1, 86_400_000))
def test_what_is_shown_reads_as_what_it_was(milliseconds):
    shown = duration.show(milliseconds / 1e3)

    assert duration.parse(shown) == pytest.approx(milliseconds / 1e3, rel=0.005)


@given(st.integers(1, 86400))
def test_whole_seconds_are_shown_exactly(seconds):
    assert duration.parse(duration.show(seconds)) == seconds


@given(st.text())
def test_no_text_breaks_it(text):
    with contextlib.suppress(argparse.ArgumentTypeError):
        assert 0 < duration.parse(text) <= duration.MAX_S
