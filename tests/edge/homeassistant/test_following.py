"""Home Assistant is told which model runs, and hears of one that waits."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from edge.config.reading import parse
from edge.homeassistant.following import Following
from edge.model import model_file
from edge.model.default import default_model_path

pytestmark = pytest.mark.board

# home-assistant.io/integrations/update.mqtt: with any other key the whole message is dropped.
UPDATE_KEYS = {
    "installed_version", "latest_version", "in_progress", "update_percentage", "title",
    "release_summary", "release_url", "entity_picture",
}  # fmt: skip


class Control:
    """Says which model runs, as a test wants it."""

    release = None

    def __init__(self):
        self.told = []
        self.state = {
            "installed_version": "door 1",
            "latest_version": "door 1",
            "in_progress": False,
            "available": None,
            "digest": "sha256:1",
        }

    def model_state(self):
        return self.state

    def change(self, **state):
        self.state = {**self.state, **state}
        for tell in self.told:
            tell()


class Channel:
    """Keeps the newest message of each topic, and answers as a broker that remembers nothing."""

    def __init__(self):
        self.newest, self.handlers = {}, {}

    def subscribe(self, topic, handler):
        self.handlers[topic] = handler

    def send(self, message):
        self.newest[message.topic] = message

    def read(self, topic):
        return json.loads(self.newest[topic].payload)

    def component(self, key):
        return self.read("homeassistant/device/porch/config")["cmps"][key]


@pytest.fixture
def house():
    config = parse(
        {
            "device": {"name": "porch"},
            "mqtt": {"url": "mqtt://b", "commands": True},
            "homeassistant": {},
        }
    )
    description = model_file.read(default_model_path()).description
    parts = SimpleNamespace(config=config, model=SimpleNamespace(description=description))
    control, channel = Control(), Channel()
    with Following(parts, control, channel):
        channel.handlers["edge/porch/homeassistant"]("edge/porch/homeassistant", b"here")
        yield control, channel
    assert control.told == []


def test_the_update_says_what_home_assistant_takes_and_no_more(house):
    control, channel = house
    control.change(latest_version="newer 2", available="newer.tflite", in_progress=True)

    said = channel.read("edge/porch/update")
    assert said.keys() <= UPDATE_KEYS
    assert said == {
        "installed_version": "door 1",
        "latest_version": "newer 2",
        "in_progress": True,
        "update_percentage": None,
    }
    assert channel.newest["edge/porch/update"].retain


def test_installing_asks_for_the_newest_model_that_waits(house):
    _, channel = house

    assert channel.component("model")["cmd_t"] == "edge/porch/command/model"
    assert json.loads(channel.component("model")["pl_inst"]) == {}
