"""The message of an observation: its schema, its numbers and its topics."""

from __future__ import annotations

import json
import re
import typing
from datetime import datetime, timezone

import jsonschema
import numpy as np
import pytest
from factories import detections, encoder, observation
from hypothesis import given
from hypothesis import strategies as st

from edge import payload
from edge.detections import Detections
from edge.errors import ConfigError
from edge.observation import STAGES

pytestmark = pytest.mark.board

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
        detections=Detections(
            numbers[:, :4] * sides, numbers[:, 4].copy(), np.array(class_ids, np.int32)
        ),
        stage_ms={stage: draw(FINITE_MS) for stage in STAGES},
        age_ms=draw(FINITE_MS),
        dropped_frames=draw(COUNTS),
    )


def test_the_committed_schema_is_the_one_of_the_type(root):
    committed = json.loads((root / "docs" / "payload.schema.json").read_text(encoding="utf-8"))
    assert committed == payload.schema(), "type: .venv/bin/python scripts/make_payload_schema"


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(payload.schema())


@given(observations())
def test_every_message_fits_the_schema_and_has_no_field_beside_it(seen):
    message = json.loads(encoder().encode(seen))
    jsonschema.validate(message, payload.schema(), cls=jsonschema.Draft202012Validator)
    assert list(message) == list(typing.get_type_hints(payload.Payload))
    assert len(message["detections"]) == len(seen.detections)


@given(observations())
def test_numbers_come_back_within_their_decimals(seen):
    message = json.loads(encoder().encode(seen))
    width, height = seen.size_wh
    for index, detection in enumerate(message["detections"]):
        box = [float(side) for side in seen.detections.boxes[index]]
        assert abs(detection["score"] - float(seen.detections.scores[index])) <= 0.50001e-4
        for side, px, ratio, extent in zip(
            box, detection["box_px"], detection["box_ratio"], (width, height) * 2, strict=True
        ):
            assert abs(px - side) <= 0.0500001
            assert abs(ratio - side / extent) <= 0.50001e-5


@given(st.integers(0, 2**63 - 1))
def test_the_time_is_utc_cut_to_microseconds(utc_ns):
    text = payload.utc_text(utc_ns)
    assert re.fullmatch(payload.TIME_PATTERN, text)
    moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00")
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert since_epoch.days * 86400 + since_epoch.seconds == utc_ns // 10**9
    assert since_epoch.microseconds == utc_ns // 1000 % 10**6


def test_a_message_is_compact_utf8_json():
    identity = payload.Identity("porch", "front", "tiny", "sha256:0")
    message = payload.PayloadEncoder(identity, ("Straße", "", "猫")).encode(
        observation(detections=detections(3))
    )
    assert "Straße".encode() in message
    assert "猫".encode() in message
    assert b": " not in message
    assert b", " not in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "-inf"])
@pytest.mark.parametrize("place", ["scores", "boxes"])
def test_a_detection_that_is_not_finite_stays_here_and_is_counted(value, place):
    seen = detections(3)
    getattr(seen, place)[1] = value
    encode = encoder()
    message = json.loads(encode.encode(observation(detections=seen)))
    assert [found["label"] for found in message["detections"]] == ["person", "cat"]
    assert encode.refused_detections == 1


@pytest.mark.parametrize(
    "changes",
    [{"age_ms": float("nan")}, {"stage_ms": dict.fromkeys(STAGES, float("inf"))}],
    ids=["age", "stage"],
)
def test_a_time_that_is_not_finite_is_an_error(changes):
    with pytest.raises(ValueError, match="must take a finite time"):
        encoder().encode(observation(**changes))


def test_the_documented_example_fits_the_schema(root):
    text = (root / "docs" / "payload.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    jsonschema.validate(json.loads(example), payload.schema())


def test_the_documentation_names_every_field(root):
    text = (root / "docs" / "payload.md").read_text(encoding="utf-8")
    for part in (payload.Payload, payload.DetectionPayload, payload.FramePayload):
        for name in typing.get_type_hints(part):
            assert f"`{name}`" in text


def test_topics_name_the_device_and_the_camera():
    assert payload.detections_topic("porch", "front") == "edge/porch/front/detections"
    assert payload.status_topic("porch", "front") == "edge/porch/front/status"


@given(st.text(max_size=70))
def test_a_name_is_accepted_exactly_if_each_character_may_stand_in_a_topic(name):
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    if 1 <= len(name) <= 64 and all(character in allowed for character in name):
        assert payload.check_name("device", name) == name
    else:
        with pytest.raises(ConfigError, match="device name must be 1 to 64"):
            payload.check_name("device", name)


@pytest.mark.parametrize("names", [("po/rch", "front"), ("porch", "#"), ("porch\n", "front")])
def test_an_identity_with_a_name_that_is_no_topic_level_is_refused(names):
    with pytest.raises(ConfigError, match="choose another name"):
        payload.Identity(*names, "tiny", "sha256:0")
