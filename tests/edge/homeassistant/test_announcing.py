"""Home Assistant is told at the start and at its births, and what goes is taken back."""

from __future__ import annotations

import json
import threading

import pytest
from waiting import eventually

from edge.homeassistant.discovery import Told
from edge.homeassistant.following import Announcing

pytestmark = pytest.mark.board

TOPIC = "homeassistant/device/porch/config"


class Channel:
    """Keeps the announcements, and lets a test speak as the broker.

    Args:
        remembered: What it has kept of the device.

    Attributes:
        sent: The announcements, in order.
    """

    def __init__(self, remembered=b""):
        self.sent, self.handlers, self.remembered = [], {}, remembered
        self.topics = {TOPIC}

    def send(self, message):
        if message.topic in self.topics:
            self.sent.append(message)
        else:
            threading.Thread(target=self.ask, args=[message]).start()

    def ask(self, marker):
        if self.remembered is not None:
            self.answer(marker)

    def answer(self, marker):
        if self.remembered:
            self.hear(TOPIC, self.remembered)
        self.hear(marker.topic, marker.payload)

    def subscribe(self, topic, handler):
        self.handlers[topic] = handler

    def hear(self, topic, payload):
        self.handlers[topic](topic, payload)

    def wait(self, count):
        assert eventually(lambda: len(self.sent) == count), len(self.sent)

    def components(self):
        """Return of each announcement so far what it says of each component."""
        return [json.loads(each.payload)["cmps"] for each in self.sent if each.payload]


def told_of(*cameras, enabled=True, prefix="homeassistant"):
    names = cameras if enabled else ()
    found = {f"{each}/connection": {"p": "binary_sensor", "name": each} for each in names}
    return Told("porch", prefix, {"o": {"name": "edge-vision"}}, found)


def announcing(channel, *cameras, enabled=True):
    return Announcing(told_of(*cameras, enabled=enabled), channel, gap_s=0.0, jitter_s=0.0)


def announced_before(*cameras):
    """Return what a broker remembers of a device with these cameras."""
    channel = Channel()
    with announcing(channel, *cameras):
        channel.wait(1)
    return channel.sent[0].payload


def is_removal(component):
    return list(component) == ["p"]


def test_a_device_is_announced_at_the_start_and_the_broker_keeps_it():
    channel = Channel()

    with announcing(channel, "door"):
        channel.wait(1)

    [message] = channel.sent
    assert (message.topic, message.retain, message.policy) == (TOPIC, True, "state")
    assert channel.components()[0].keys() >= {"door/connection"}


def test_a_birth_of_home_assistant_is_answered_and_its_death_is_not():
    channel = Channel()

    with announcing(channel, "door"):
        channel.wait(1)
        channel.hear("homeassistant/status", b"offline")
        channel.hear("homeassistant/status", b"online")
        channel.wait(2)

    assert channel.sent[0] == channel.sent[1]


def test_what_the_broker_remembers_and_is_no_more_is_taken_back_before_anything_is_new():
    channel = Channel(announced_before("door", "gate"))

    with announcing(channel, "door", "shed"):
        channel.wait(2)

    first, second = channel.components()
    assert is_removal(first["gate/connection"])
    assert not is_removal(first["door/connection"])
    assert "shed/connection" not in first
    assert not is_removal(second["shed/connection"])


def test_its_own_announcement_and_another_one_later_change_nothing():
    channel = Channel()

    with announcing(channel, "door") as house:
        channel.wait(1)
        channel.hear(TOPIC, channel.sent[0].payload)
        channel.hear(TOPIC, announced_before("gate"))

        assert house._gone == {}
    assert len(channel.sent) == 1


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"o": {"name": "another"}, "cmps": {"a": {"p": "sensor"}}}', id="another's"),
        pytest.param(b'{"o": {"name": "edge-vision"}, "cmps": {"a": 1}}', id="no component"),
        pytest.param(
            b'{"o": {"name": "edge-vision"}, "cmps": {"a": {"p": "bomb"}}}', id="no platform"
        ),
        pytest.param(b'{"o": {"name": "edge-vision"}, "cmps": {"a": {"p": []}}}', id="a list"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"o": "\xff"}', id="no text"),
    ],
)
def test_what_is_no_announcement_of_ours_takes_nothing_back(payload):
    channel = Channel(payload)

    with announcing(channel, "door") as house:
        channel.wait(1)

        assert house._gone == {}


def test_a_broker_that_may_not_be_read_is_told_all_the_same(monkeypatch):
    monkeypatch.setattr("edge.homeassistant.following.PATIENCE_S", 0.0)
    monkeypatch.setattr("edge.homeassistant.following.ASK_S", 0.0)
    channel = Channel(remembered=None)

    with announcing(channel, "door"):
        channel.wait(1)


def test_a_question_that_was_not_heard_is_asked_again(monkeypatch):
    monkeypatch.setattr("edge.homeassistant.following.ASK_S", 0.0)
    channel = Channel(remembered=None)
    asked = []

    def answer_the_third(marker):
        asked.append(marker)
        if len(asked) == 3:
            channel.answer(marker)

    monkeypatch.setattr(channel, "ask", answer_the_third)

    with announcing(channel, "door"):
        channel.wait(1)


def test_at_a_birth_what_went_is_announced_once_more_then_taken_back_and_forgotten():
    channel = Channel()

    with announcing(channel, "door", "gate") as house:
        channel.wait(1)
        house.change(told_of("door"))
        channel.wait(3)
        assert all(is_removal(each["gate/connection"]) for each in channel.components()[1:])

        channel.hear("homeassistant/status", b"online")
        channel.wait(6)

    revived, removal, clean = channel.components()[3:]
    assert revived["gate/connection"]["uniq_id"] == "porch/gate/connection"
    assert is_removal(removal["gate/connection"])
    assert "gate/connection" not in clean


def test_a_component_that_comes_back_is_not_taken_back():
    channel = Channel()

    with announcing(channel, "door", "gate") as house:
        channel.wait(1)
        house.change(told_of("door"))
        channel.wait(3)
        house.change(told_of("door", "gate"))
        channel.wait(4)

    assert channel.sent[0] == channel.sent[-1]


def test_what_is_told_already_is_not_told_again():
    channel = Channel()

    with announcing(channel, "door") as house:
        channel.wait(1)
        house.change(told_of("door"))

    assert len(channel.sent) == 1


def test_a_device_that_is_switched_off_is_taken_back_and_says_nothing_after():
    channel = Channel(announced_before("door"))

    with announcing(channel, "door", enabled=False) as house:
        channel.wait(2)
        assert all(is_removal(each) for found in channel.components() for each in found.values())
        channel.hear("homeassistant/status", b"online")
        channel.wait(4)
        assert channel.sent[-1].payload == b""
        assert channel.sent[-1].retain
        channel.hear("homeassistant/status", b"online")
        house._timer.join()

    assert len(channel.sent) == 4


def test_births_one_after_the_other_do_not_put_the_answer_off():
    channel = Channel()

    with Announcing(told_of("door"), channel, gap_s=0.0, jitter_s=0.001) as house:
        channel.wait(1)
        house._after(3600.0, house._answer)
        house._is_answering = True
        waiting = house._timer
        channel.hear("homeassistant/status", b"online")

        assert house._timer is waiting


def test_another_prefix_is_listened_to_and_nothing_stays_below_the_one_before():
    channel = Channel()
    other = "elsewhere/device/porch/config"

    with announcing(channel, "door") as house:
        channel.wait(1)
        channel.topics.add(other)
        house.change(told_of("door", prefix="elsewhere"))
        channel.wait(3)
        channel.hear("elsewhere/status", b"online")
        channel.wait(4)

    assert [each.topic for each in channel.sent] == [TOPIC, TOPIC, other, other]
    assert channel.sent[1].payload == b""


def test_nothing_is_sent_after_the_end():
    channel = Channel()

    with announcing(channel, "door"):
        channel.wait(1)
    channel.hear("homeassistant/status", b"online")

    assert len(channel.sent) == 1
