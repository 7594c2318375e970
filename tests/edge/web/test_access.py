"""Who may look at the page."""

from __future__ import annotations

from email.message import Message

import pytest

from edge.config.web import Web
from edge.errors import ConfigError
from edge.web.access import Gate, Request, read_token

pytestmark = pytest.mark.board

TOKEN = "0123456789abcdef"


def asked(method="GET", path="/", query=None, **given):
    headers = Message()
    for name, value in {"Host": "127.0.0.1:8080", **given}.items():
        headers[name.replace("_", "-")] = value
    return Request(method, path, query or {}, headers)


def status(gate, *request, **given):
    refusal = gate.refusal(asked(*request, **given))
    return refusal and refusal[0]


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1", "192.168.1.7:8080", "[::1]:8080", "camera.lan"],
)
def test_this_machine_is_known_by_its_addresses_and_names(host):
    assert status(Gate("", ("camera.lan",)), Host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a b", "", "[::1"]
)
def test_a_foreign_name_that_leads_here_is_refused(host):
    assert status(Gate(""), Host=host) == 421


def test_without_the_token_nothing_is_answered():
    gate = Gate(TOKEN)

    assert status(gate) == 401
    assert status(gate, path="/metrics", Authorization=f"Bearer {TOKEN}x") == 401
    assert status(gate, path="/metrics", Authorization=f"Basic {TOKEN}") == 401
    assert status(gate, path="/metrics", Cookie=f"edge_preview={TOKEN}") == 401
    assert status(gate, query={"token": "wrong"}) == 401
    # An address stands in histories.
    assert status(gate, path="/metrics", query={"token": TOKEN}) == 401


def test_the_token_opens_as_bearer_as_link_and_then_by_its_cookie():
    gate = Gate(TOKEN)
    link = asked(query={"token": TOKEN})
    cookie = gate.cookie(link).partition(";")[0]

    assert status(gate, Authorization=f"bearer {TOKEN}") is None
    assert status(gate, query={"token": TOKEN}) is None
    assert status(gate, Cookie=f"other=1; {cookie}") is None
    assert TOKEN not in gate.cookie(link)
    assert gate.cookie(asked()) == Gate("").cookie(asked(query={"token": ""})) == ""
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(gate.cookie(link).split("; "))
    # A restart lets in who was in, another token nobody.
    other = Gate(TOKEN + "x").cookie(asked(query={"token": TOKEN + "x"}))
    assert Gate(TOKEN).cookie(link) == gate.cookie(link) != other


def test_a_post_comes_from_this_page_only():
    gate = Gate("")

    assert status(gate, "POST", Origin="http://127.0.0.1:8080") is None
    assert status(gate, "POST") == 403
    assert status(gate, "POST", Origin="null") == 403
    assert status(gate, "POST", Origin="http://127.0.0.1:9999") == 403
    assert status(gate, "POST", Origin="http://evil.example") == 403


def test_pages_of_other_sites_embed_nothing_but_may_link_here():
    gate = Gate("")

    assert status(gate, path="/stream.mjpg", Sec_Fetch_Site="cross-site") == 403
    assert status(gate, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate") is None
    assert status(gate, path="/stream.mjpg", Sec_Fetch_Site="same-origin") is None


def test_a_short_token_is_refused_and_its_file_is_named(tmp_path):
    path = tmp_path / "token"
    path.write_text("short\n")
    path.chmod(0o600)

    with pytest.raises(ConfigError, match=r"token: expected a token of 16 .* found 5; type: open"):
        read_token(Web(token_file=path))
    for token in ("openssl+base64/has+such==", "0123456789abcdef ", "0123456789abcdef-é"):
        path.write_text(token)
        with pytest.raises(ConfigError, match=r"A-Z a-z 0-9 \. _ ~ -, found others; type: open"):
            read_token(Web(token_file=path))
    path.write_text(TOKEN)
    assert read_token(Web(token_file=path)) == TOKEN
    assert read_token(Web()) == ""
