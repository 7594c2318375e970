"""Home Assistant is told at the start and at its births, and what goes is taken back."""

from __future__ import annotations

import json

import pytest
from waiting import eventually

from edge.config.homeassistant import HomeAssistant
from edge.homeassistant.announcing import Announcing
from edge.homeassistant.inventory import Inventory, View

pytestmark = pytest.mark.board

SECTION = HomeAssistant()
TOPIC = "homeassistant/device/porch/config"


class Channel:
    """Keeps what is sent, and lets a test speak as the broker.

    Attributes:
        sent: The messages, in order.
    """

    def __init__(self):
        self.sent, self.handlers = [], {}

    def send(self, message):
        self.sent.append(message)

    def subscribe(self, topic, handler):
        self.handlers[topic] = handler

    def hear(self, topic, payload):
        self.handlers[topic](topic, payload)

    def components(self):
        """Return of each announcement so far what it says of each component."""
        return [json.loads(each.payload)["cmps"] for each in self.sent if each.payload]


def told_of(*cameras):
    views = tuple(View(camera) for camera in cameras)
    return Inventory(device="porch", name="Porch", area="", model="coco", views=views)


def announcing(channel, *cameras, section=SECTION):
    return Announcing(section, told_of(*cameras), channel, gap_s=0.0, jitter_s=0.0)


def announced_before(*cameras):
    """Return what a broker remembers of a device with these cameras."""
    channel = Channel()
    with announcing(channel, *cameras):
        return channel.sent[0].payload


def is_removal(component):
    return list(component) == ["p"]


def test_a_device_is_announced_at_the_start_and_the_broker_keeps_it():
    channel = Channel()

    with announcing(channel, "door"):
        [message] = channel.sent

    assert (message.topic, message.retain, message.policy) == (TOPIC, True, "state")
    assert channel.components()[0].keys() >= {"door_connection"}


def test_a_birth_of_home_assistant_is_answered_and_its_death_is_not():
    channel = Channel()

    with announcing(channel, "door"):
        channel.hear("homeassistant/status", b"offline")
        channel.hear("homeassistant/status", b"online")

        assert eventually(lambda: len(channel.sent) == 2)
    assert channel.sent[0] == channel.sent[1]


def test_what_the_broker_remembers_and_is_no_more_is_taken_back():
    channel = Channel()
    remembered = announced_before("door", "gate")

    with announcing(channel, "door"):
        channel.hear(TOPIC, remembered)

        assert eventually(lambda: len(channel.sent) == 2)
    gone = {key for key, each in channel.components()[1].items() if is_removal(each)}
    assert gone
    assert gone == json.loads(remembered)["cmps"].keys() - channel.components()[0].keys()


def test_its_own_announcement_coming_back_changes_nothing():
    channel = Channel()

    with announcing(channel, "door") as house:
        channel.hear(TOPIC, channel.sent[0].payload)
        channel.hear(TOPIC, announced_before("gate"))  # somebody else's, later

        assert house._gone == {}
    assert len(channel.sent) == 1


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"o": {"name": "another"}, "cmps": {"a": {"p": "sensor"}}}', id="another's"),
        pytest.param(b'{"o": {"name": "edge-vision"}, "cmps": {"a": 1}}', id="no component"),
    ],
)
def test_what_is_no_announcement_of_ours_takes_nothing_back(payload):
    channel = Channel()

    with announcing(channel, "door") as house:
        channel.hear(TOPIC, payload)

        assert house._gone == {}


def test_at_a_birth_what_went_is_announced_once_more_then_taken_back_and_forgotten():
    channel = Channel()
    with announcing(channel, "door", "gate") as house:
        house.change(SECTION, told_of("door"))
        assert is_removal(channel.components()[-1]["gate_connection"])

        channel.hear("homeassistant/status", b"online")

        assert eventually(lambda: len(channel.sent) == 5)
    revived, removal, clean = channel.components()[2:]
    assert revived["gate_connection"]["uniq_id"] == "porch_gate_connection"
    assert is_removal(removal["gate_connection"])
    assert "gate_connection" not in clean


def test_a_component_that_comes_back_is_not_taken_back():
    channel = Channel()

    with announcing(channel, "door", "gate") as house:
        house.change(SECTION, told_of("door"))
        house.change(SECTION, told_of("door", "gate"))

    assert channel.sent[0] == channel.sent[-1]


def test_a_device_that_is_switched_off_is_taken_back_and_says_nothing_after():
    channel = Channel()
    remembered = announced_before("door")

    with announcing(channel, "door", section=HomeAssistant(enabled=False)) as house:
        assert channel.sent == []
        channel.hear(TOPIC, remembered)
        assert eventually(lambda: len(channel.sent) == 1)
        assert all(map(is_removal, channel.components()[0].values()))
        channel.hear("homeassistant/status", b"online")
        assert eventually(lambda: len(channel.sent) == 3)
        assert channel.sent[-1].payload == b""
        assert channel.sent[-1].retain
        channel.hear("homeassistant/status", b"online")
        house._timer.join()

    assert len(channel.sent) == 3


def test_nothing_is_sent_after_the_end():
    channel = Channel()

    with announcing(channel, "door"):
        pass
    channel.hear("homeassistant/status", b"online")

    assert len(channel.sent) == 1
