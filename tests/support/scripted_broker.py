"""A broker of a few lines that records before it acknowledges, and misbehaves on order.

A real broker may lose what it acknowledged when it is killed; this one can't, so it can tell
whether a publisher loses anything.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 2, 3, 4, 8, 12, 14
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Script:
    """How the broker behaves; may be changed while it runs.

    Attributes:
        connack: Return code of its acceptance; None never answers.
        acknowledges: Whether it sends PUBACK.
        reset_after: Messages of one connection after which it resets that; None never.
        greeting: Sent to each caller at once.
        suback: Return code of each subscription.
        parting: Sent behind a farewell, as a broker may that has not read it yet.
        largest_bytes: A message of more resets the connection; None lets all pass.
        versions: Of MQTT that it speaks: 4 is 3.1.1.
        answer: What it does with a caller of another: `refuses`, `hangs up` or `is silent`.
        properties: Of its acceptance in MQTT 5.
        puback: Reason code of each acknowledgement in MQTT 5.
    """

    connack: int | None = 0
    acknowledges: bool = True
    reset_after: int | None = None
    greeting: bytes = b""
    suback: int = 1
    parting: bytes = b""
    largest_bytes: int | None = None
    versions: tuple[int, ...] = (4, 5)
    answer: str = "refuses"
    properties: bytes = b""
    puback: int = 0


@dataclass
class ScriptedBroker:
    """Serves one connection after the other on a loopback port of its own, or the given one."""

    script: Script = field(default_factory=Script)
    port: int = 0

    def __post_init__(self) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self.subscriptions: list[str] = []
        self.client_ids: list[str] = []
        self.properties: list[bytes] = []
        self.calls = self.resets = 0
        self.version = 0
        self.clean_ends = 0
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._call: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="scripted-broker", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(5)

    def hang_up(self) -> None:
        """End the present connection."""
        if self._call is not None:
            with contextlib.suppress(OSError):
                self._call.shutdown(socket.SHUT_RDWR)

    def say(self, topic: str, payload: bytes, *, properties: bytes = b"") -> None:
        """Send a message to the present client, subscribed or not."""
        assert self._call is not None
        name = topic.encode()
        body = len(name).to_bytes(2, "big") + name + self._properties(properties) + payload
        assert len(body) < 128
        self._call.sendall(bytes([PUBLISH << 4, len(body)]) + body)

    def payloads(self, topic: str) -> list[bytes]:
        """Return what arrived on a topic."""
        return [payload for name, payload, _ in self.messages if name == topic]

    def _serve(self) -> None:
        while True:
            try:
                self._call, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            self._call.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._call, contextlib.suppress(OSError, EOFError):
                self._call.sendall(self.script.greeting)
                self._converse(self._call)

    def _converse(self, call: socket.socket) -> None:
        received = 0
        while True:
            header, body = read_packet(call)
            kind = header >> 4
            if kind == CONNECT and not self._take(call, body):
                return
            if kind == SUBSCRIBE:
                self._subscribe(call, body)
            elif kind == PUBLISH and len(body) > (self.script.largest_bytes or len(body)):
                return
            elif kind == PUBLISH:
                self._record(call, header, body)
                received += 1
                if received == self.script.reset_after:
                    call.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                    self.resets += 1
                    return
            elif kind == PINGREQ:
                call.sendall(bytes([(PINGREQ + 1) << 4, 0]))
            elif kind == DISCONNECT:
                self._see_off(call)
                return

    def _take(self, call: socket.socket, body: bytes) -> bool:
        """Answer a caller; False where its version is not spoken."""
        script, self.version = self.script, body[6]
        if self.version not in script.versions:
            if script.answer == "refuses":
                call.sendall(bytes([CONNACK << 4, 2, 0, 1]))
            return script.answer == "is silent"
        # Section 3.1: behind name, level, flags and keepalive; of MQTT 5 also behind properties.
        start = 10 + (1 + body[10] if self.version == 5 else 0)
        length = int.from_bytes(body[start : start + 2], "big")
        self.client_ids.append(body[start + 2 : start + 2 + length].decode())
        if script.connack is not None:
            code = script.connack
            if self.version == 5 and 0 < code <= 5:
                code = (132, 133, 136, 134, 135)[code - 1]
            rest = bytes([0, code]) + self._properties(script.properties)
            call.sendall(bytes([CONNACK << 4, len(rest)]) + rest)
        return True

    def _properties(self, properties: bytes) -> bytes:
        return bytes([len(properties)]) + properties if self.version == 5 else b""

    def _subscribe(self, call: socket.socket, body: bytes) -> None:
        body = body[:2] + body[2 + len(self._properties(b"")) :]
        end = 4 + int.from_bytes(body[2:4], "big")
        self.subscriptions.append(body[4:end].decode())
        rest = body[:2] + self._properties(b"") + bytes([self.script.suback])
        call.sendall(bytes([(SUBSCRIBE + 1) << 4, len(rest)]) + rest)

    def _see_off(self, call: socket.socket) -> None:
        """Send a last message to one that has said its farewell, and see whether that resets it."""
        call.sendall(self.script.parting)
        call.shutdown(socket.SHUT_WR)
        while call.recv(4096):
            pass
        self.clean_ends += 1

    def _record(self, call: socket.socket, header: int, body: bytes) -> None:
        length = int.from_bytes(body[:2], "big")
        rest = body[2 + length :]
        has_id = (header >> 1) & 3 > 0
        payload = rest[2 * has_id :]
        if self.version == 5:
            self.properties.append(payload[1 : 1 + payload[0]])
            payload = payload[1 + payload[0] :]
        self.messages.append((body[2 : 2 + length].decode(), payload, bool(header & 1)))
        if has_id and self.script.acknowledges:
            reason = bytes([self.script.puback]) if self.script.puback else b""
            call.sendall(bytes([PUBACK << 4, 2 + len(reason)]) + rest[:2] + reason)


def read_packet(call: socket.socket) -> tuple[int, bytes]:
    """Return the first byte and the body of the next packet."""
    header = _read(call, 1)[0]
    length, shift = 0, 0
    while True:
        byte = _read(call, 1)[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return header, _read(call, length)


def _read(call: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = call.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data
