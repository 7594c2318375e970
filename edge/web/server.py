"""The web server: the standard library's, with what it lacks for a network that means no good.

A thread a connection, at most so many: one more takes the place of the one that has asked for
nothing yet for longest. Each has a deadline, which every answer moves on: a request that drips in
and a viewer that takes no more are cut off. Measured beside uvicorn with starlette (x86): 0.4 MiB
and 6 ms more than the service has without, against 5.6 MiB, 0.1 s and seven packages, none of which
ends a request that drips in.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from edge.errors import EdgeError
from edge.web.access import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedIOBase

    from typing_extensions import Self

    from edge.web.access import Gate

    Answer = Callable[[Request], "Reply"]

log = logging.getLogger("edge.web")

THREAD_NAME = "edge-web"
MOST_CONNECTIONS = 32
MOST_BODY_BYTES = 64 * 1024
# The base would take 100 lines of 64 KiB of each connection.
MOST_HEAD_BYTES = 16 * 1024
# From the first byte of a request to the last of its answer's begin; between two of one connection.
REQUEST_S = 10.0
# For one part of an answer: a viewer that takes no 60 kB in so long is better off without.
PART_S = 5.0
# An answer that waits for a camera begins so late at most.
WAIT_S = 10.0
LOOK_S = 0.25
# Source: ip(7); Python has no name for it.
IP_FREEBIND = 15
# Kept small, so that what lies in it is no old picture: Linux takes twice as much.
SEND_BUFFER_BYTES = 64 * 1024
BUSY = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered.

    Attributes:
        body: All of it, or parts that are sent as they come.
    """

    body: bytes | Iterator[bytes]
    content_type: str = "text/plain; charset=utf-8"
    status: int = HTTPStatus.OK
    headers: dict[str, str] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    """Serves on threads of its own while its `with` lasts.

    Args:
        place: Address and port to listen at.
        gate: Who may ask.
        answer: From a request to its reply, on the connection's thread.

    Raises:
        EdgeError: Nobody can listen there.
    """

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, place: tuple[str, int], gate: Gate, answer: Answer) -> None:
        self.gate = gate
        self.answer = answer
        # Of each connection, and whether a request is still to come.
        self._deadlines: dict[socket.socket, tuple[float, bool]] = {}
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        try:
            super().__init__(place, _Handler)
        except OSError as error:
            raise EdgeError(
                f"[web] cannot listen at {place[0]} port {place[1]}: {error.strerror}; set another "
                "port or host, or port = 0 for any free one"
            ) from error
        self._thread = threading.Thread(
            target=self.serve_forever, args=(LOOK_S,), name=THREAD_NAME, daemon=True
        )

    @property
    def url(self) -> str:
        """Where browsers on this machine find it."""
        host, port = self.server_address[:2]
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(str(host), str(host))  # noqa: S104
        return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        for connection in tuple(self._deadlines):
            _cut(connection)

    def server_bind(self) -> None:
        """Listen, without the look for this machine's name that a web server's base makes."""
        try:
            TCPServer.server_bind(self)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            # At boot a router may give it later than the service starts.
            self.socket.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            TCPServer.server_bind(self)
            text = "[web] host = %s is no address of this machine yet; the page is there once it is"
            log.warning(text, self.server_address[0])
        self.server_name, self.server_port = "", self.server_address[1]

    def give(self, connection: socket.socket, seconds: float, *, asks: bool = True) -> None:
        """Set a connection's deadline anew, of one that `asks` for something or not yet."""
        self._deadlines[connection] = time.monotonic() + seconds, not asks

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's
        """Give a connection a thread, or send it away."""
        if len(self._deadlines) >= MOST_CONNECTIONS:
            # Who holds connections and asks for nothing must not keep out who does ask.
            ends = tuple(self._deadlines.items())  # in one step: other threads change them
            idle = {each: ends_s for each, (ends_s, waits) in ends if waits}
            if not idle:
                with contextlib.suppress(OSError):
                    request.send(BUSY, socket.MSG_DONTWAIT)
                self.shutdown_request(request)
                return
            longest = min(idle, key=idle.__getitem__)
            self._deadlines.pop(longest, None)
            _cut(longest)
        self.give(request, REQUEST_S, asks=False)
        request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the base's
        """Close a connection that has ended."""
        self._deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off what is past its deadline; called a few times a second."""
        now_s = time.monotonic()
        for connection, (ends_s, _) in tuple(self._deadlines.items()):
            if ends_s < now_s:
                _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Say nothing of a viewer that has gone, and all of a fault of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("a request failed")  # noqa: LOG004 - the base calls it in a handler


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Bounded:
    """Reads a request's head up to a length, and what follows it."""

    def __init__(self, raw: BufferedIOBase) -> None:
        self._raw = raw
        self._left = MOST_HEAD_BYTES
        self.read, self.close = raw.read, raw.close

    def readline(self, size: int) -> bytes:
        """Return a line; the base answers what is raised with 431."""
        if self._left <= 0:
            raise LineTooLong("header")
        line = self._raw.readline(min(size, self._left))
        self._left -= len(line)
        return line


class _Handler(BaseHTTPRequestHandler):
    """Reads requests of one connection, and writes what is answered."""

    protocol_version = default_request_version = "HTTP/1.1"
    server: Server

    def handle_one_request(self) -> None:
        self.server.give(self.connection, REQUEST_S, asks=False)
        raw = self.rfile
        self.rfile = cast("BufferedIOBase", _Bounded(raw))
        super().handle_one_request()
        self.rfile = raw

    def do_GET(self) -> None:
        # `HEAD` asks for what `GET` does.
        method = "POST" if self.command == "POST" else "GET"
        length = self.headers.get("Content-Length", "" if method == "POST" else "0")
        if fault := self._fault(length):
            self.send_error(*fault)
            return
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        request = Request(method, parts.path, query, self.headers)
        if refusal := self.server.gate.refusal(request):
            self.send_error(*refusal)
            return
        body = self.rfile.read(int(length))
        self.server.give(self.connection, WAIT_S + PART_S)
        self._send(self.server.answer(replace(request, body=body)))

    do_HEAD = do_POST = do_GET  # noqa: N815 - the base's names

    def _fault(self, length: str) -> tuple[int, str] | None:
        """Return what is wrong with a request that two readers might take for different ones."""
        try:
            urlsplit(self.path)
        except ValueError:
            return 400, "expected a path"
        if not self.requestline.split()[2:]:  # HTTP/0.9, of which Python 3.14 has no headers
            is_cut = len(self.requestline) >= MOST_HEAD_BYTES
            return (431, "Line too long") if is_cut else (400, "expected a request of HTTP/1.1")
        if len(self.headers.get_all("Host", [])) != 1:
            return 400, "expected one header Host"
        lengths = self.headers.get_all("Content-Length", [])
        if len(lengths) > 1 or "Transfer-Encoding" in self.headers:
            return 400, "expected one Content-Length, and no Transfer-Encoding"
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > MOST_BODY_BYTES:
            text = f"expected a body of up to {MOST_BODY_BYTES} bytes and its Content-Length"
            return 413 if length else 411, text
        return None

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in a sentence, and end the connection; the base's page is left out."""
        del explain
        self.close_connection = True
        self._send(Reply(f"{message or HTTPStatus(code).phrase}\n".encode(), status=code))

    def version_string(self) -> str:
        return "edge"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the base's
        log.debug("%r", format % args)  # what a stranger sent may hold a terminal's commands

    def _send(self, reply: Reply) -> None:
        headers = {**HEADERS, "Content-Type": reply.content_type, **reply.headers}
        if isinstance(reply.body, bytes):
            headers["Content-Length"] = str(len(reply.body))
        else:
            self.close_connection = True
        if self.close_connection:
            headers["Connection"] = "close"
        if reply.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.server.give(self.connection, PART_S)
        self.end_headers()
        if self.command == "HEAD":
            return
        for part in [reply.body] if isinstance(reply.body, bytes) else reply.body:
            self.server.give(self.connection, PART_S)
            self.wfile.write(part)
            self.server.give(self.connection, WAIT_S + PART_S)
