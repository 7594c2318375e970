"""Connections of strangers: too many, too slow, and not what HTTP is."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
from previewing import previewing
from waiting import eventually

from edge.web import server as server_module
from edge.web.access import Gate
from edge.web.server import Reply, Server

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def running():
    with previewing(camera={"rate_hz": 5}) as served:
        assert eventually(lambda: served.ask("/healthz")[0] == 200, timeout_s=60)
        yield served


def test_a_viewer_that_takes_nothing_is_dropped_and_the_others_go_on(running, monkeypatch):
    monkeypatch.setattr(server_module, "PART_S", 0.3)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", running.port))
        slow.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        slow.recv(100)
        assert eventually(lambda: not connections(running, slow), timeout_s=60)
        assert running.ask("/snapshot.jpg")[0] == 200


def connections(served, client):
    """Return the server's ends of a client's connection."""
    held = tuple(served.preview.server._deadlines)
    return [each for each in held if peer(each) == client.getsockname()]


def peer(connection):
    try:
        return connection.getpeername()
    except OSError:
        return None


def test_a_request_that_drips_in_is_cut_off(running, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(server_module, "REQUEST_S", 0.5)
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\n")
            with contextlib.suppress(OSError):
                while True:
                    slow.sendall(b"X: y\r\n")
                    time.sleep(0.02)
    assert running.ask("/healthz")[0] == 200


def test_who_holds_connections_and_asks_for_nothing_keeps_nobody_out(running, monkeypatch):
    assert eventually(lambda: not running.preview.server._deadlines)
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 2)
    held = [socket.create_connection(("127.0.0.1", running.port), timeout=30) for _ in range(2)]
    try:
        held[1].sendall(b"GET / HT")
        assert running.ask("/healthz")[0] == 200
        assert held[0].recv(1) == b""  # the one that has waited longest gave way
    finally:
        for each in held:
            each.close()
    assert eventually(lambda: not running.preview.server._deadlines)


def test_more_viewers_than_there_is_room_for_are_sent_away(running, monkeypatch):
    # Those of the test before have left.
    assert eventually(lambda: not running.preview.server._deadlines)
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 2)
    held = [socket.create_connection(("127.0.0.1", running.port), timeout=30) for _ in range(2)]
    try:
        for each in held:
            each.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert each.recv(4).startswith(b"HTTP")
        with socket.create_connection(("127.0.0.1", running.port), timeout=30) as third:
            assert third.recv(100).startswith(b"HTTP/1.1 503")
    finally:
        for each in held:
            each.close()
    assert eventually(lambda: not running.preview.server._deadlines)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        pytest.param("GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param("GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n", 400, id="two hosts"),
        pytest.param("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, id="rebinding"),
        pytest.param("POST /apply HTTP/1.1\r\nHost: localhost\r\n\r\n", 411, id="no length"),
        pytest.param(
            "POST /apply HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n",
            413,
            id="too long",
        ),
        pytest.param("GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="no path"),
        # Refused before the body, which never comes.
        pytest.param(
            "POST /apply HTTP/1.1\r\nHost: e\r\nContent-Length: 9\r\n\r\n", 421, id="post"
        ),
        pytest.param(
            "POST /apply HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            "Transfer-Encoding: chunked\r\n\r\n{}",
            400,
            id="chunked",
        ),
        pytest.param(
            "POST /apply HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            "Content-Length: 7\r\n\r\n{}",
            400,
            id="two lengths",
        ),
        pytest.param("GET /" + "x" * 70_000, 431, id="long line"),
        pytest.param("GET / HTTP/1.1\r\n" + "X: y\r\n" * 9_000, 431, id="many headers"),
        pytest.param("\x16\x03\x01nonsense\r\n\r\n", 400, id="not HTTP"),
        pytest.param("GET /healthz\r\nHost: localhost\r\n\r\n", 400, id="no version"),
    ],
)
def test_what_is_no_sound_request_is_refused(running, request_text, status, caplog):
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as client:
        client.sendall(request_text.encode("latin-1"))
        answer = b""
        # A connection that is closed before all was read may take its answer with it.
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65536):
                answer += part

    told = f"HTTP/1.1 {status} ".encode()
    assert answer.startswith(told) or (status == 431 and not answer)
    assert b"\n\n" not in answer  # a sentence, no page of the standard library
    assert caplog.text == ""  # who only asks fills no log
    assert running.ask("/healthz")[0] == 200


def test_an_address_that_a_router_gives_later_is_listened_at_already(caplog):
    with Server(("192.0.2.7", 0), Gate(""), lambda _: Reply(b"")) as server:
        assert server.url.startswith("http://192.0.2.7:")
    assert "[web] host = 192.0.2.7 is no address of this machine yet" in caplog.text
