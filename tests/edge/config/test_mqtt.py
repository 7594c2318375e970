"""The section of the broker: what its URL gives, and what of it is never shown."""

from __future__ import annotations

import pytest

from edge.config import reading as config
from edge.config.mqtt import Mqtt
from edge.errors import ConfigError, shown

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("url", "place", "user"),
    [
        ("mqtt://b", ("b", 1883, False), None),
        ("mqtts://b/", ("b", 8883, True), None),
        ("mqtts://u@b:1234", ("b", 1234, True), "u"),
        ("mqtt://[::1]:1884", ("::1", 1884, False), None),
        ("mqtt://me%40home.org@b", ("b", 1883, False), "me@home.org"),
        ("mqtt://me@home.org@b", ("b", 1883, False), "me@home.org"),
        ("mqtt://a%2Fb%3Ac%20d@b", ("b", 1883, False), "a/b:c d"),
    ],
)
def test_a_url_gives_the_broker_and_the_user(url, place, user):
    broker = Mqtt(url=url)
    assert (broker.host, broker.port, broker.tls) == place
    assert broker.username == user


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://me:s3#cret@b",
        "mqtt://me:s3/cret@b",
        "mqtt://me:s3?cret@b",
        "mqtt://me:s3@cret@b",
        "mqtt://me:s3cret@b:99999",
        "mqtt://me:s3cret@b:port",
        "mqtt://me:s3cret@b/path",
        "mqtt://me:s3cret@",
        "mqtt://me:s3cret@b:0",
        "mqtt://s3#cret@b",
        "mqtt://me:s3cret",
        "tcp://me:s3cret@b",
        "http://me:s3cret@b",
        "me:s3cret@b",
        "//me:s3cret@b",
        "mqtts:me:s3cret@b",
        ["mqtt://me:s3cret@b"],
        {"url": "mqtt://me:s3cret@b"},
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["url", "outbox"])
def test_no_fault_of_a_url_repeats_what_stands_before_its_host(url, key):
    with pytest.raises(ConfigError) as caught:
        config.parse({"mqtt": {"url": "mqtt://b"} | {key: url}})
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("tcp://me@b", "expected mqtt://HOST or mqtts://HOST, found '…@b'"),
        ("mqtt://", "expected mqtt://HOST or mqtts://HOST, found 'mqtt://'"),
        ("mqtt://b:0", "expected a port from 1 to 65535 behind 'b'"),
        ("mqtt://me@b/x", "expected nothing behind the port, found '…@b/x'"),
        ("mqtt://a/b@c", "in the name of the user, write / as %2F, ? as %3F and # as %23"),
        ("mqtt://me:pw@b", "a password in the URL can be read by everyone on this machine"),
    ],
)
def test_a_fault_says_what_to_write(url, sentence):
    with pytest.raises(ConfigError) as caught:
        config.parse({"mqtt": {"url": url}})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rest"), [("b:1883", "b:1883"), ("x://u:p@q@b", "…@b"), ("x://u@", "…@")]
)
def test_of_a_text_with_a_secret_the_rest_is_shown(text, rest):
    assert shown(text) == rest


def test_sections_that_do_not_fit_together_leave_the_others_to_be_checked(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text("[output]\njsonl = false\n[model]\nthreads = 3\n")
    assert config.load_sound_part(path).model.threads == 3
