"""Names, times and topics of the messages."""

from __future__ import annotations

import re
from datetime import datetime, timezone

import pytest
from factories import encoder
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.messages import envelope as payload

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


@given(st.text(max_size=70))
def test_a_name_is_accepted_exactly_if_each_character_may_stand_in_a_topic(name):
    allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
    if 1 <= len(name) <= 64 and all(character in allowed for character in name):
        assert payload.check_name("device", name) == name
    else:
        with pytest.raises(ConfigError, match="device name must be 1 to 64"):
            payload.check_name("device", name)


@pytest.mark.parametrize("name", ["po/rch", "#", "porch\n"])
def test_an_identity_with_a_name_that_is_no_topic_level_is_refused(name):
    with pytest.raises(ConfigError, match="choose another name"):
        payload.Identity(name, "tiny", "sha256:0")
