"""A network camera on the loopback interface: MJPEG over HTTP, well behaved or not."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import threading
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
from ports import free_port

if TYPE_CHECKING:
    import ssl

TICK_S = 0.02


class MjpegCamera:
    """Serves one stream to everybody who connects; assign its attributes to have it misbehave.

    Attributes:
        size_wh: Of the frames, pixels.
        rate_hz: Frames a second.
        mode: `sends`; `frozen` sends one frame over and over; `silent` sends nothing more, to those
            who are connected as to those who come; `garbage` sends bytes that are no image.
        login: `user:password` that it asks for, or nobody's.
        digest: It asks for it by digest (RFC 7616, MD5), not in plain text.
        lengths: Each part states its length.
        boundary: How each part begins.
        content_type: What it says that it sends.
        status: What it answers instead of a stream, as `404 Not Found`.
        encryption: A context, for a camera of `https:`.
        requests: Heads of the requests so far.
        sent: Frames so far.
    """

    def __init__(self, *, port: int = 0) -> None:
        self.size_wh = (64, 48)
        self.rate_hz = 50.0
        self.mode = "sends"
        self.login = ""
        self.digest = False
        self.lengths = True
        self.boundary = "--frame"
        self.content_type = "multipart/x-mixed-replace;boundary=frame"
        self.status = ""
        self.encryption: ssl.SSLContext | None = None
        self.requests: list[str] = []
        self.sent = 0
        self._port = port or free_port()  # which stays its own while it has no power
        self._listening: socket.socket | None = None
        self._connected: set[socket.socket] = set()
        self.start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http{'s' if self.encryption else ''}://{self.place}/video"

    def start(self) -> None:
        """Listen, at the same port as before."""
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def stop(self) -> None:
        """Refuse who comes and cut off who is there, as a camera without power does."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in tuple(self._connected):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self.encryption:
            try:
                connection = self.encryption.wrap_socket(connection, server_side=True)
            except OSError:
                return
        self._connected.add(connection)
        with connection, contextlib.suppress(OSError):
            request = connection.recv(8192).decode()
            self.requests.append(request)
            self._wait_while_silent()
            if refusal := self._refusal(request):
                connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % refusal.encode())
                return
            connection.sendall(
                f"HTTP/1.1 200 OK\r\nContent-Type: {self.content_type}\r\n\r\n".encode()
            )
            while True:
                self._wait_while_silent()
                connection.sendall(self._part())
                self.sent += 1
                time.sleep(1 / self.rate_hz)
        self._connected.discard(connection)

    def _refusal(self, request: str) -> str:
        if self.status:
            return self.status
        if not self.login or self._is_known(request):
            return ""
        kind = 'Digest realm="camera", nonce="1", qop="auth"' if self.digest else 'Basic realm="x"'
        return f"401 Unauthorized\r\nWWW-Authenticate: {kind}"

    def _is_known(self, request: str) -> bool:
        if not self.digest:
            expected = base64.b64encode(self.login.encode()).decode()
            return f"Authorization: Basic {expected}" in request
        given = dict(re.findall(r'(\w+)="?([^",\s]*)"?', request.partition(" Digest ")[2]))
        user, _, password = self.login.partition(":")
        secret = _md5(f"{user}:camera:{password}"), _md5(f"GET:{given.get('uri')}")
        middle = ":".join(given.get(key, "") for key in ("nonce", "nc", "cnonce", "qop"))
        return given.get("response") == _md5(f"{secret[0]}:{middle}:{secret[1]}")

    def _wait_while_silent(self) -> None:
        while self.mode == "silent":
            time.sleep(TICK_S)

    def _part(self) -> bytes:
        if self.mode == "garbage":
            body = bytes(range(256)) * 8
        else:
            width, height = self.size_wh
            value = 100 if self.mode == "frozen" else 40 + self.sent % 160
            image = np.full((height, width, 3), value, np.uint8)
            image[:, : width // 2] = (0, 0, 255)  # red on the left
            body = cv2.imencode(".jpg", image)[1].tobytes()
        length = b"Content-Length: %d\r\n" % len(body) if self.lengths else b""
        head = b"%s\r\nContent-Type: image/jpeg\r\n" % self.boundary.encode()
        return b"%s%s\r\n%s\r\n" % (head, length, body)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
