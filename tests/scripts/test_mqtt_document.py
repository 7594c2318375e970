"""docs/mqtt.md, against what makes the messages: topics, examples, schemas, links."""

from __future__ import annotations

import json
import re

import jsonschema
import mqtt_document
import msgspec
import pytest
from factories import encoder
from memory_sink import MemorySink

from edge import app
from edge.config.reading import parse
from edge.control import Answer, Control
from edge.messages.control import ReplyPayload
from edge.messages.schema import TOPICS, schema
from edge.messages.stats import StatsPayload
from edge.publisher import Publisher
from edge.stats import Stats
from edge.tasks import TASKS

OF_FRAMES = {f"<camera>/{task.topic}" for task in TASKS.values()}
# Bare text, an image, and what is heard.
OTHERS = {
    *("status", "<camera>/status", "presence", "homeassistant"),
    *("<camera>/snapshot/<label>", "command/<name>"),
}
LINK = re.compile(r"\]\(([\w.-]+\.(?:md|json))?(?:#([\w-]+))?\)")


@pytest.fixture(scope="module")
def document():
    return mqtt_document.DOCUMENT.read_text(encoding="utf-8")


def fits(topic, message):
    """Refuse a message that is not as the schema of its topic has it."""
    made = schema()
    jsonschema.validate(message, {"$defs": made["$defs"], **made["topics"][topic]})


def test_the_examples_are_those_that_the_messages_makers_make(document):
    assert mqtt_document.renewed(document) == document, "type: scripts/make_payload_schema"


def test_every_message_but_those_of_frames_is_shown_and_fits_its_schema(document):
    shown = dict(mqtt_document.BLOCK.findall(document))
    assert set(shown) == set(TOPICS) - OF_FRAMES
    for topic, text in shown.items():
        fits(topic, json.loads(text))
        if topic != "update":  # Home Assistant's own words
            with pytest.raises(jsonschema.ValidationError):
                fits(topic, {**json.loads(text), "schema_version": 2})


def test_every_topic_has_a_row_and_no_other(document):
    rows = re.findall(r"^\| `([^`]+)` \| .* \| (?:yes|no|must not be) \|", document, re.MULTILINE)
    assert sorted(rows) == sorted({*TOPICS, *OTHERS})


def test_topics_policies_and_what_is_kept_are_as_the_document_says(document):
    for topic, made in mqtt_document.messages().items():
        pattern = "edge/porch/" + topic.replace("<camera>", "front").replace("<name>", "threshold")
        assert made.topic == pattern
        if topic not in (
            "settings",
            "update",
            "reply/<name>",
        ):  # made by hand, of `edge/control.py`
            kept = "yes" if made.retain else "no"
            row = f"`{topic}` | .* \\| {made.policy} \\| {kept} \\|"
            assert re.search(row.replace("|", r"\|", 1), document), row


def test_the_schema_of_the_commands_is_the_one_of_their_arguments():
    committed = json.loads(mqtt_document.COMMANDS_FILE.read_text(encoding="utf-8"))
    assert committed == mqtt_document.commands(), "type: scripts/make_payload_schema"
    jsonschema.Draft202012Validator.check_schema(committed)
    for name in committed["commands"]:
        of_one = {"$defs": committed["$defs"], **committed["commands"][name]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"foreign": 1}, of_one)


def test_every_field_of_the_statistics_is_explained(document):
    table = document[document.index("## Statistics") : document.index("## The model")]
    for name in set(StatsPayload.__annotations__) - {"schema_version", "device"}:
        assert f"`{name}`" in table[table.index("| field") :]


def test_what_a_run_says_of_itself_fits_the_schema():
    publisher = Publisher(encoder(), MemorySink(), [])
    told = Stats(publisher, lambda: None, period_s=lambda: 1).message()
    fits("stats", json.loads(told.payload))


def test_what_control_says_fits_the_schema():
    with app.opened(parse({"camera": {"source": "demo:"}}), publish=False) as parts:
        holds = Control(parts).settings()
    fits("settings", {"schema_version": 1, "device": "porch", **holds})
    answer = msgspec.to_builtins(Answer(None, "threshold", ok=False, message="", settings=holds))
    assert set(answer) == set(ReplyPayload.__annotations__) - {"schema_version", "device"}
    fits("reply/<name>", {"schema_version": 1, "device": "porch", **answer})


@pytest.mark.parametrize("name", ["mqtt.md", "payload.md", "sinks.md", "configuration.md"])
def test_links_lead_somewhere(root, name):
    for file, anchor in LINK.findall((root / "docs" / name).read_text(encoding="utf-8")):
        target = root / "docs" / (file or name)
        assert target.exists(), file
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles}
            assert anchor in anchors, f"{file}#{anchor}"
