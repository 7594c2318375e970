"""Names, times and topics of the messages."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone

import pytest
from factories import encoder
from hypothesis import given
from hypothesis import strategies as st

from edge.messages import envelope as payload
from edge.model.backend import Ran

pytestmark = pytest.mark.board


@given(st.integers(0, 2**63 - 1))
def test_the_time_is_utc_cut_to_microseconds(utc_ns):
    text = payload.utc_text(utc_ns)
    assert re.fullmatch(payload.TIME_PATTERN, text)
    moment = datetime.fromisoformat(text.removesuffix("Z") + "+00:00")
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    assert since_epoch.days * 86400 + since_epoch.seconds == utc_ns // 10**9
    assert since_epoch.microseconds == utc_ns // 1000 % 10**6


def test_topics_name_the_device_and_the_camera():
    assert encoder().topic("front") == "edge/porch/front/detections"
    assert payload.camera_status_topic("porch", "front") == "edge/porch/front/status"
    assert payload.status_topic("porch") == "edge/porch/status"
    assert payload.presence_topic("porch") == "edge/porch/presence"


def test_who_runs_the_model_is_kept_by_the_broker():
    message = encoder().introduction(Ran("onnxruntime", "1.23", "CUDAExecutionProvider", "Orin"))

    assert (message.topic, message.retain, message.policy) == ("edge/porch/model", True, "state")
    said = json.loads(message.payload)
    assert (said["backend"], said["version"]) == ("onnxruntime", "1.23")
    assert (said["provider"], said["accelerator"]) == ("CUDAExecutionProvider", "Orin")
    assert said["model"]["name"]
