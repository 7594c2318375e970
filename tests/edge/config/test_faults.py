"""No sentence on a configuration tells what may be a secret."""

from __future__ import annotations

import itertools
import traceback

import pytest

from edge.config import reading
from edge.config.toml import table_label
from edge.errors import ConfigError, shown

pytestmark = pytest.mark.board

SECRET = "hunter2"
URLS = [
    f"rtsp://me:{SECRET}@camera/stream",
    f"rtsp://me:{SECRET}#x@camera/stream",
    f"rtsp://me:{SECRET}/?@camera:port/stream",
    f"me:{SECRET}@camera",
    f"http://me:{SECRET}@x@camera",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(lambda url: {"camera": {"size_wh": url}}, id="in a wrong key"),
        pytest.param(lambda url: {"camera": {"size": url}}, id="in a key without its unit"),
        pytest.param(lambda url: {"camera": {"source": [url]}}, id="in a list"),
        pytest.param(lambda url: {"camera": {"name": url}}, id="as a name"),
        pytest.param(lambda url: {"camera": [{"source": {"url": url}}]}, id="in a table"),
        pytest.param(lambda url: {"camera": url}, id="as a section"),
        pytest.param(lambda url: {"mqtt": {"url": [url]}}, id="broker in a list"),
        pytest.param(lambda url: {"mqtt": [url]}, id="section that is a list"),
        pytest.param(lambda url: {"device": {"mqtt": url}}, id="in another section"),
    ],
)
def test_a_fault_repeats_no_password(fields, url):
    with pytest.raises(ConfigError) as caught:
        reading.parse(fields(url))

    # With --debug the whole traceback is shown.
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("key", ["password", "password_file"])
def test_what_stands_for_a_password_is_not_repeated_at_all(key):
    with pytest.raises(ConfigError) as caught:
        reading.parse({"mqtt": {"url": "mqtt://me@b", key: 271828}})

    assert "password_file" in str(caught.value)
    assert "271828" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("rtsp://me:a@b@camera/x", "…@camera/x"),
        ("rtsp://camera/x", "rtsp://camera/x"),
        ("demo:", "demo:"),
    ],
)
def test_of_a_url_only_what_follows_the_last_at_sign_is_shown(text, rest):
    assert shown(text) == rest


def test_only_one_of_several_cameras_needs_its_number():
    assert table_label("camera", 0, ["door"]) == "[camera]"
    assert [table_label("camera", *each) for each in zip(itertools.count(), [["a", ""]] * 2)] == [
        "[[camera]] 1 (a)",
        "[[camera]] 2",
    ]
