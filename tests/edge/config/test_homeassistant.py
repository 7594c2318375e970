"""The section `[homeassistant]` needs a broker, and levels of a topic."""

from __future__ import annotations

import pytest

from edge.config.reading import parse
from edge.errors import ConfigError

pytestmark = pytest.mark.board

BROKER = {"mqtt": {"url": "mqtt://localhost"}}


def test_the_section_alone_is_enough():
    section = parse({**BROKER, "homeassistant": {}}).homeassistant

    assert section
    assert section.enabled


def test_without_the_section_there_is_none():
    assert parse(BROKER).homeassistant is None


def test_it_needs_a_broker():
    with pytest.raises(ConfigError, match=r"needs a broker.*add \[mqtt\] url"):
        parse({"homeassistant": {}})


@pytest.mark.parametrize("prefix", ["", "/", "a/", "+", "a/#", "a b"])
def test_a_prefix_is_levels_of_a_topic(prefix):
    with pytest.raises(ConfigError, match=r"\[homeassistant\] prefix"):
        parse({**BROKER, "homeassistant": {"prefix": prefix}})
