"""Placement of frames in inputs, the way back for boxes, and the time of each stage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.frame import Placement, Resize, StageClock

pytestmark = pytest.mark.board

TOLERANCE_PX = 1e-3
MAX_SIDE_PX = 4096

sides = st.integers(1, MAX_SIDE_PX)
sizes_wh = st.tuples(sides, sides)
inputs_wh = st.tuples(st.integers(32, 640), st.integers(32, 640))
resizes = st.sampled_from(("letterbox", "stretch"))
ratios = st.floats(0, 1, width=32)


@pytest.mark.parametrize(
    ("source_wh", "region_wh", "offset_xy"),
    [
        pytest.param((640, 480), (300, 225), (0, 37), id="landscape"),
        pytest.param((480, 640), (225, 300), (37, 0), id="portrait"),
        pytest.param((300, 300), (300, 300), (0, 0), id="the input's own size"),
        pytest.param((100, 50), (300, 150), (0, 75), id="enlarged"),
        pytest.param((1280, 1), (300, 1), (0, 149), id="one pixel high"),
        pytest.param((1, 1280), (1, 300), (149, 0), id="one pixel wide"),
    ],
)
def test_a_letterboxed_frame_keeps_its_aspect_and_is_centred(
    source_wh: tuple[int, int], region_wh: tuple[int, int], offset_xy: tuple[int, int]
) -> None:
    placement = Placement.fit(source_wh, (300, 300), resize="letterbox")
    assert (placement.region_wh, placement.offset_xy) == (region_wh, offset_xy)


def test_a_stretched_frame_fills_the_input() -> None:
    placement = Placement.fit((640, 480), (300, 200), resize="stretch")
    assert (placement.region_wh, placement.offset_xy) == ((300, 200), (0, 0))


@given(sizes_wh, inputs_wh, resizes)
def test_a_frame_lies_inside_its_input_and_touches_two_of_its_edges(
    source_wh: tuple[int, int], input_wh: tuple[int, int], resize: Resize
) -> None:
    placement = Placement.fit(source_wh, input_wh, resize=resize)
    margins = [
        whole - part for whole, part in zip(input_wh, placement.region_wh, strict=True)
    ]  # both sides together
    assert min(placement.region_wh) >= 1
    assert min(margins) == 0
    assert placement.offset_xy == (margins[0] // 2, margins[1] // 2)


@given(sizes_wh, inputs_wh, resizes, st.lists(st.tuples(ratios, ratios, ratios, ratios)))
def test_boxes_come_back_to_where_they_were_in_the_source(
    source_wh: tuple[int, int],
    input_wh: tuple[int, int],
    resize: Resize,
    corners: list[tuple[float, ...]],
) -> None:
    placement = Placement.fit(source_wh, input_wh, resize=resize)
    ratio_boxes = np.array(corners, np.float64).reshape(-1, 4)
    source_boxes = ratio_boxes * (source_wh * 2)
    input_boxes = ratio_boxes * (placement.region_wh * 2) + (placement.offset_xy * 2)
    boxes = input_boxes.astype(np.float32)
    placement.boxes_to_source_inplace(boxes)
    # A coordinate of the input is float32: its last bit is worth more in a greater source.
    enlargement = max(1.0, *(np.array(source_wh) / placement.region_wh))
    assert np.abs(boxes - source_boxes).max(initial=0) <= TOLERANCE_PX * max(1, enlargement / 32)


@given(sizes_wh, inputs_wh, resizes)
def test_boxes_beyond_the_frame_are_clipped_to_it(
    source_wh: tuple[int, int], input_wh: tuple[int, int], resize: Resize
) -> None:
    width, height = source_wh
    boxes = np.float32([[-1e6, -1e6, 1e6, 1e6], [1e6, 1e6, 1e6, 1e6], [-1e6, -1e6, -5, -5]])
    Placement.fit(source_wh, input_wh, resize=resize).boxes_to_source_inplace(boxes)
    assert boxes.tolist() == [[0, 0, width, height], [width, height] * 2, [0, 0, 0, 0]]


def test_no_boxes_are_no_trouble() -> None:
    boxes = np.zeros((0, 4), np.float32)
    Placement.fit((640, 480), (300, 300), resize="letterbox").boxes_to_source_inplace(boxes)
    assert boxes.shape == (0, 4)


def test_a_lap_ascribes_the_time_since_the_last_one(monkeypatch):
    moments = iter([1_000_000, 3_000_000, 3_500_000, 4_500_000])
    monkeypatch.setattr("edge.frame.time.monotonic_ns", lambda: next(moments))
    clock = StageClock()
    clock.lap("decode")
    clock.lap("suppress")
    clock.add("invoke", 250_000)
    clock.lap("decode")

    assert clock.stage_ms() == {"decode": 3.0, "suppress": 0.5, "invoke": 0.25}
