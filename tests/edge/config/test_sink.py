"""The tables `[[sink]]`: what is said of a fault, and which messages a sink gets."""

import re

import pytest
from factories import message

from edge.config import reading as config
from edge.config.sink import Command, Jsonl, Webhook
from edge.errors import ConfigError
from edge.messages.envelope import topic_matches

pytestmark = pytest.mark.board

HOOK = {"kind": "webhook", "url": "https://house.local/hook"}
WHOLE = {
    "sink": [
        {"kind": "jsonl", "path": "/var/seen.jsonl", "max_mib": 8, "files": 2},
        HOOK | {"policies": ["event"], "topics": ["edge/+/door/#"]},
        {"kind": "command", "command": ["bell", "--once"], "timeout_s": 3},
    ]
}


def fault_of(*tables):
    with pytest.raises(ConfigError) as caught:
        config.parse({"sink": list(tables)})
    return str(caught.value)


def test_sinks_of_each_kind_take_the_place_of_stdout():
    lines, hook, command = config.parse(WHOLE).sinks
    assert (type(lines), type(hook), type(command)) == (Jsonl, Webhook, Command)
    assert command.command == ("bell", "--once")
    assert config.parse(WHOLE | {"output": {"jsonl": True}}).sinks[-1] == Jsonl()
    assert config.parse({"sink": HOOK}).sinks == (Webhook(url=HOOK["url"]),)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"kind": "http"}, "[sink] kind: expected one of jsonl, webhook, command, found 'http'"),
        ({}, "[sink] kind is needed and missing"),
        ({"kind": "webhook"}, "[sink] url is needed and missing"),
        (HOOK | {"url": "mqtt://h"}, "[sink] url: expected http://HOST/PATH or https://HOST/PATH"),
        (HOOK | {"url": "https://h:0/"}, "[sink] url: expected http://HOST/PATH"),
        (HOOK | {"url": "http://h/ä"}, "what is no ASCII in it as %XX"),
        (HOOK | {"url": "http://h/a\r\nX: y"}, "[sink] url: expected http://HOST/PATH"),
        (HOOK | {"url": "http://h/", "ca_file": "x"}, "ca_file needs TLS"),
        (HOOK | {"timeout": 3}, "[sink] 'timeout = 3' has no unit; write 'timeout_s = 3'"),
        (HOOK | {"topics": ["edge/#/x"]}, "[sink] topics: expected a topic, + for any one level"),
        (HOOK | {"topics": []}, "[sink] topics: expected a list"),
        (HOOK | {"policies": ["all"]}, "each 'stream' or 'event' or 'state'"),
        ({"kind": "command", "command": []}, "[sink] command: expected a list"),
        ({"kind": "command", "command": ["./bell"]}, "on the PATH or its whole path"),
        ({"kind": "jsonl", "files": 0}, "[sink] files: expected a whole number from 1"),
    ],
)
def test_a_fault_is_named_with_its_key_and_what_to_type(table, sentence):
    assert sentence in fault_of(table)


def test_of_several_the_faulty_one_is_named():
    assert fault_of(HOOK, {"kind": "jsonl", "pth": 1}).startswith("[[sink]] 2 (jsonl) unknown key")


def test_a_password_in_a_url_is_refused_and_not_repeated():
    said = fault_of(HOOK | {"url": "https://me:s3cret@h/"})
    assert "set header_file" in said
    assert "s3cret" not in said


def test_two_sinks_of_one_file_or_of_stdout_are_refused():
    lines = {"kind": "jsonl"}
    assert "to stdout, where they would mix" in fault_of(lines, lines)
    assert "to a.jsonl" in fault_of(*[lines | {"path": "a.jsonl"}] * 2)
    with pytest.raises(ConfigError, match="to stdout, where they would mix"):
        config.parse({"sink": [lines], "output": {"jsonl": True}})


def test_paths_count_from_the_configuration_s_folder(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text('[[sink]]\nkind = "jsonl"\npath = "seen.jsonl"\n')
    assert config.load(path, {}).sinks[0].path == tmp_path / "seen.jsonl"


def test_what_is_right_of_a_faulty_sink_is_kept(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text('[sink]\nkind = "webhook"\nurl = "http://h/"\nqueue_messages = 0\n')
    assert config.load_sound_part(path).sinks == (Webhook(url="http://h/"),)


@pytest.mark.parametrize(
    ("wanted", "is_met"),
    [
        ("#", True), ("edge/#", True), ("edge/porch/front/status/#", True),
        ("edge/+/+/status", True),
        ("edge/porch/front/status", True), ("edge/+/status", False), ("edge/porch", False),
        ("edge/porch/front/status/+", False), ("+", False),
    ],
)  # fmt: skip
def test_topics_are_chosen_by_the_wildcards_of_mqtt(wanted, is_met):
    assert topic_matches(wanted, "edge/porch/front/status") is is_met


def test_the_configuration_of_the_page_about_sinks_is_sound(root, tmp_path):
    (text,) = re.findall(
        r"^```toml\n(.*?)^```$", (root / "docs/sinks.md").read_text(), re.MULTILINE | re.DOTALL
    )
    path = tmp_path / "device.toml"
    path.write_text(text)
    assert {type(sink) for sink in config.load(path, {}).sinks} == {Jsonl, Webhook, Command}


@pytest.mark.parametrize("kind", [Jsonl, Webhook, Command])
def test_every_key_stands_in_the_table_of_keys(kind, root):
    rows = re.findall(
        r"^\| `\[\[sink\]\] [^|]*\|", (root / "docs/configuration.md").read_text(), re.MULTILINE
    )
    keys = set(re.findall(r"\w+", " ".join(rows)))
    assert {"kind", *kind.__struct_fields__} <= keys


def test_a_webhook_gets_no_frame_unless_it_asks_for_it():
    seen = message()
    assert not Webhook(url="http://h/").wants(seen)
    assert Webhook(url="http://h/", policies=("stream",)).wants(seen)
    assert Jsonl().wants(seen)
