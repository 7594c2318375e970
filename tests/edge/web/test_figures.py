"""The text that monitors read."""

from __future__ import annotations

import re

import pytest
from factories import observation

from edge.web.figures import BOUNDS_MS, Counts, family

pytestmark = pytest.mark.board
# Prometheus, "Exposition formats", text-based format.
LINE = re.compile(
    r'# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z_]+="(\\.|[^"\\])*"(,[a-z_]+="(\\.|[^"\\])*")*\})? \S+'
)


def values(lines, name):
    pairs = [line.rsplit(" ", 1) for line in lines if re.match(rf"{name}[{{ ]", line)]
    return {key[len(name) :]: float(value) for key, value in pairs}


def test_a_stage_is_a_histogram_of_seconds_with_rising_buckets():
    counts = Counts()
    for value_ms in (0.05, 0.1, 3, 3, 99_999):
        counts.add(observation(stage_ms={"invoke": value_ms}, age_ms=2 * value_ms))
    lines = counts.lines()

    buckets = list(values(lines, "edge_stage_seconds_bucket").items())
    assert len(buckets) == len(BOUNDS_MS) + 1
    assert buckets[0] == ('{camera="front",stage="invoke",le="0.0001"}', 2)  # a bound counts in
    assert dict(buckets)['{camera="front",stage="invoke",le="0.0025"}'] == 2
    assert dict(buckets)['{camera="front",stage="invoke",le="0.005"}'] == 4
    assert buckets[-1] == ('{camera="front",stage="invoke",le="+Inf"}', 5)
    assert list(values(lines, "edge_stage_seconds_count").values()) == [5]
    assert list(values(lines, "edge_stage_seconds_sum").values()) == [pytest.approx(100.005, 1e-4)]
    assert list(values(lines, "edge_frame_age_seconds_count")) == ['{camera="front"}']


def test_a_stage_that_a_frame_did_not_need_is_in_no_bucket():
    """As of `[regions]`, whose frames may repeat what was seen."""
    counts = Counts()
    for value_ms in (8.0, 0.0, 0.0):
        counts.add(observation(stage_ms={"invoke": value_ms}, age_ms=9.0))
    lines = counts.lines()

    assert list(values(lines, "edge_stage_seconds_count").values()) == [1]
    assert list(values(lines, "edge_frame_age_seconds_count").values()) == [3]


def test_every_line_is_of_the_format_and_what_a_label_holds_is_escaped():
    counts = Counts()
    counts.add(observation())
    lines = counts.lines() + family("edge_info", "What.", [({"model": 'a"b\\c\nd'}, 1)])

    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert lines[-1] == r'edge_info{model="a\"b\\c\nd"} 1'


def test_a_metric_without_samples_is_left_out_and_its_kind_follows_its_name():
    assert family("edge_x", "X.", []) == []
    assert family("edge_x_total", "X.", [({}, 2.5)])[1:] == [
        "# TYPE edge_x_total counter", "edge_x_total 2.5",
    ]  # fmt: skip
    assert "# TYPE edge_x gauge" in family("edge_x", "X.", [({}, 1)])


def test_a_sum_keeps_the_digits_that_a_rate_is_made_of_for_years():
    assert family("edge_x_total", "X.", [({}, 12345678.25)])[2] == "edge_x_total 12345678.25"
