"""The message of a detector's frame: its fields and its numbers."""

from __future__ import annotations

import json
import typing
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from factories import detections, encoder, observation
from hypothesis import given
from hypothesis import strategies as st

from edge.messages.detections import DetectionsPayload
from edge.messages.schema import schema
from edge.results.detections import Detections
from edge.results.observation import STAGES

pytestmark = pytest.mark.board

VALIDATOR = jsonschema.Draft202012Validator(schema())
COUNTS = st.integers(0, 2**40)
FINITE_MS = st.floats(0, 1e9)
RATIOS = st.floats(0, 1, width=32)


@st.composite
def observations(draw):
    width, height = draw(st.integers(1, 16384)), draw(st.integers(1, 16384))
    rows = draw(st.lists(st.tuples(RATIOS, RATIOS, RATIOS, RATIOS, RATIOS), max_size=5))
    numbers = np.array(rows, np.float32).reshape(-1, 5)
    sides = np.array([width, height, width, height], np.float32)
    class_ids = draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    return observation(
        sequence=draw(COUNTS),
        # To the year 2262, where 64 bits of nanoseconds end.
        captured_utc_ns=draw(st.integers(0, 2**63 - 1)),
        size_wh=(width, height),
        result=Detections(
            numbers[:, :4] * sides, numbers[:, 4].copy(), np.array(class_ids, np.int32)
        ),
        stage_ms={stage: draw(FINITE_MS) for stage in STAGES},
        age_ms=draw(FINITE_MS),
        dropped_frames=draw(COUNTS),
    )


@given(observations())
def test_every_message_fits_the_schema_and_has_no_field_beside_it(seen):
    message = json.loads(encoder().encode(seen))
    VALIDATOR.validate(message)
    assert set(message) == set(typing.get_type_hints(DetectionsPayload))
    assert len(message["detections"]) == len(seen.result)


@given(observations())
def test_numbers_come_back_within_their_decimals(seen):
    message = json.loads(encoder().encode(seen))
    width, height = seen.size_wh
    for index, detection in enumerate(message["detections"]):
        box = [float(side) for side in seen.result.boxes[index]]
        assert abs(detection["score"] - float(seen.result.scores[index])) <= 0.50001e-4
        for side, px, ratio, extent in zip(
            box, detection["box_px"], detection["box_ratio"], (width, height) * 2, strict=True
        ):
            assert abs(px - side) <= 0.0500001
            assert abs(ratio - side / extent) <= 0.50001e-5


def test_a_message_is_compact_utf8_json():
    message = encoder(("Straße", "", "猫")).encode(observation(result=detections(3)))
    assert "Straße".encode() in message
    assert "猫".encode() in message
    assert b": " not in message
    assert b", " not in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "-inf"])
@pytest.mark.parametrize("place", ["scores", "boxes"])
def test_a_detection_that_is_not_finite_stays_here(value, place):
    seen = detections(3)
    getattr(seen, place)[1] = value
    message = json.loads(encoder().encode(observation(result=seen)))
    assert [found["label"] for found in message["detections"]] == ["person", "cat"]


@pytest.mark.parametrize(
    "changes",
    [{"age_ms": float("nan")}, {"stage_ms": dict.fromkeys(STAGES, float("inf"))}],
    ids=["age", "stage"],
)
def test_a_time_that_is_not_finite_is_an_error(changes):
    with pytest.raises(ValueError, match="must take a finite time"):
        encoder().encode(observation(**changes))


def test_who_is_tracked_says_so_and_who_is_not_says_nothing():
    seen = detections(3)
    seen.boxes[0] = np.nan
    tracked = replace(seen, track_ids=np.array([5, 2**40, 7]), stationary=np.arange(3) > 1)
    message = json.loads(encoder().encode(observation(result=tracked)))
    VALIDATOR.validate(message)
    assert [found["track_id"] for found in message["detections"]] == [2**40, 7]
    assert [found["stationary"] for found in message["detections"]] == [False, True]
    message = json.loads(encoder().encode(observation(result=seen)))
    assert all("track_id" not in found for found in message["detections"])
