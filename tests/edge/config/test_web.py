"""The section of the preview page, and what is refused in it."""

from __future__ import annotations

import pytest

from edge.config.reading import load, parse
from edge.errors import ConfigError

pytestmark = pytest.mark.board


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1"])
def test_this_machine_alone_needs_no_token(host):
    web = parse({"web": {"host": host}}).web

    assert (web.host, web.port, web.token_file) == (host, 8080, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7"])  # noqa: S104 - refused
def test_others_need_one_and_the_fault_says_how_to_make_it(host):
    with pytest.raises(ConfigError, match=r"\[web\].*openssl rand -hex 16 > web.token"):
        parse({"web": {"host": host}})
    assert parse({"web": {"host": host, "token_file": "web.token"}}).web.host == host


def test_a_name_is_no_address():
    with pytest.raises(ConfigError, match=r"\[web\] host: expected an address .* 'localhost'"):
        parse({"web": {"host": "localhost"}})


def test_without_the_section_there_is_no_page():
    assert parse({}).web is None


def test_the_token_lies_beside_the_configuration(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text("[web]\ntoken_file = 'web.token'\n")

    assert load(path, {}).web.token_file == tmp_path / "web.token"


@pytest.mark.parametrize("name", ["http://camera.lan", "camera.lan:8080", "camera.lan/", "a b", ""])
def test_a_name_that_no_browser_would_send_is_refused(name):
    with pytest.raises(ConfigError, match=r"\[web\] hosts: expected names .* as in 'camera.lan'"):
        parse({"web": {"hosts": [name]}})
    assert parse({"web": {"hosts": ["camera.lan", "pi_4"]}}).web.hosts == ("camera.lan", "pi_4")


def test_a_picture_comes_before_whoever_waits_for_it_gives_up():
    with pytest.raises(ConfigError, match=r"\[web\] rate_hz: expected a number from 0.2"):
        parse({"web": {"rate_hz": 0.05}})
