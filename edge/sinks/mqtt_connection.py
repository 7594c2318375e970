"""One connection to the broker, from the call to its end: the only place that knows paho."""

from __future__ import annotations

import contextlib
import select
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from edge.sinks.mqtt_faults import (
    BrokerError,
    dial_fault,
    lost_fault,
    refusal_fault,
    silence_fault,
    stranger_fault,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from paho.mqtt.reasoncodes import ReasonCode

    from edge.sinks.mqtt_settings import MqttSettings
    from edge.sinks.outbox import Outbox
    from edge.sinks.waker import Waker

ONLINE = b"online"
OFFLINE = b"offline"
# Messages on the wire without an acknowledgement; the others stay where the oldest can be dropped.
MAX_IN_FLIGHT = 20
# A call that hangs longer is given up; it is the one thing here that a closing sink must sit out.
DIAL_S = 5.0
# paho 2.1 parses what arrives unguarded, so that an answer in another protocol raises these.
PARSE_ERRORS = (ValueError, IndexError, KeyError, TypeError, struct.error)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens the connection and is never shown.

    Attributes:
        password: None without one.
        tls: Verifies the broker's certificate; None for an open connection.
    """

    password: str | None
    tls: ssl.SSLContext | None

    def __repr__(self) -> str:
        return "Credentials(...)"


@dataclass(frozen=True, slots=True)
class Topics:
    """Where this camera speaks."""

    results: str
    status: str


class Connection:
    """Takes messages from an outbox to the broker; lives on one thread, and ends with `close`.

    A connection never comes back: its successor is a new one. What it had sent without an
    acknowledgement returns to the outbox, and so paho's own resending never runs.

    Args:
        settings: Which broker.
        topics: Where to publish.
        outbox: Where messages come from; settled once acknowledged (QoS 1) or sent (QoS 0).
        credentials: The password and the trust.
        answer_s: Longest wait for the acceptance, and for each acknowledgement.
        clock: Monotonic, seconds.
    """

    def __init__(  # noqa: PLR0913 - all but two by name, each needed once
        self,
        settings: MqttSettings,
        topics: Topics,
        *,
        outbox: Outbox,
        credentials: Credentials,
        answer_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._outbox = outbox
        self._answer_s = answer_s
        self._clock = clock
        self._reply: ReasonCode | None = None
        # Message id to when it was sent and the bytes from the outbox, if so; oldest first.
        self._in_flight: dict[int, tuple[float, bytes | None]] = {}
        self._opened_at = clock()
        self._client = self._make_client(credentials)

    @property
    def is_accepted(self) -> bool:
        """Whether the broker has taken us on."""
        return self._reply is not None and not self._reply.is_failure

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way: all acknowledged, all written."""
        return not self._in_flight and not self._client.want_write()

    @property
    def age_s(self) -> float:
        """Seconds since the call."""
        return self._clock() - self._opened_at

    def open(self, timeout_s: float) -> None:
        """Call the broker; its acceptance comes later, in `step`.

        Raises:
            BrokerError: It can't be reached.
        """
        self._client.connect_timeout = timeout_s
        try:
            self._client.connect(
                self._settings.host, self._settings.port, keepalive=self._settings.keepalive_s
            )
        except (OSError, UnicodeError) as error:
            raise BrokerError(dial_fault(error, self._settings)) from error

    def announce(self, status: bytes) -> None:
        """Publish `ONLINE` or `OFFLINE`, retained.

        Raises:
            BrokerError: The connection ended.
        """
        self._send(self._topics.status, status, qos=1, retain=True)

    def feed(self) -> None:
        """Send from the outbox while there is room in flight.

        Raises:
            BrokerError: The connection ended.
        """
        while len(self._in_flight) < MAX_IN_FLIGHT:
            message = self._outbox.take()
            if message is None:
                return
            self._send(self._topics.results, message, qos=self._settings.qos, retain=False)

    def step(self, waker: Waker, *, timeout_s: float) -> None:
        """Wait for the broker, the waker or the time, and do what the network needs.

        Raises:
            BrokerError: The broker refused us, is silent, or the connection ended.
        """
        sock: Any = self._client.socket()
        if sock is not None:
            readable, writable = self._wait(sock, waker, timeout_s=timeout_s)
            try:
                if readable:
                    self._client.loop_read()
                if writable:
                    self._client.loop_write()
                self._client.loop_misc()
            except PARSE_ERRORS as error:
                raise BrokerError(stranger_fault(self._settings)) from error
        self._check()

    def leave(self) -> None:
        """Tell the broker that the end is meant, so that it does not speak the last will."""
        self._client.disconnect()

    def close(self) -> None:
        """Hang up, and return what is unacknowledged to the outbox; idempotent."""
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        unsettled = [message for _, message in self._in_flight.values() if message is not None]
        self._in_flight.clear()
        self._outbox.put_back(unsettled)

    def _make_client(self, credentials: Credentials) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # MAX_IN_FLIGHT is kept here
        client.will_set(self._topics.status, OFFLINE, qos=1, retain=True)
        if self._settings.username:
            client.username_pw_set(self._settings.username, credentials.password)
        if credentials.tls:
            client.tls_set_context(credentials.tls)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        return client

    def _send(self, topic: str, message: bytes, *, qos: int, retain: bool) -> None:
        info = self._client.publish(topic, message, qos=qos, retain=retain)
        kept = message if topic == self._topics.results else None
        self._in_flight[info.mid] = (self._clock(), kept)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerError(lost_fault(self._settings))
        # With QoS 0 paho reports what it could write at once before it returns the message's id.
        if qos == 0 and info.is_published():
            self._settle(info.mid)

    def _settle(self, message_id: int) -> None:
        _, message = self._in_flight.pop(message_id, (0.0, None))
        if message is not None:
            self._outbox.settle()

    def _wait(self, sock: Any, waker: Waker, *, timeout_s: float) -> tuple[bool, bool]:  # noqa: ANN401 - a socket, plain or TLS
        # TLS may hold bytes that it has read and decrypted: the socket is silent about those.
        has_pending = self._settings.tls and sock.pending() > 0
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        poll.register(waker, select.POLLIN)
        events = dict(poll.poll(0 if has_pending else timeout_s * 1000))
        if waker.fileno() in events:
            waker.drain()
        seen = events.get(sock.fileno(), 0)
        return has_pending or bool(seen & ~select.POLLOUT), bool(seen & select.POLLOUT)

    def _check(self) -> None:
        if self._reply is not None and self._reply.is_failure:
            raise BrokerError(refusal_fault(self._reply.value, str(self._reply), self._settings))
        if self._client.socket() is None:
            fault = lost_fault if self.is_accepted else stranger_fault
            raise BrokerError(fault(self._settings))
        if not self.is_accepted:
            if self.age_s > self._answer_s:
                raise BrokerError(stranger_fault(self._settings))
            return
        oldest_at = next((sent_at for sent_at, _ in self._in_flight.values()), None)
        if oldest_at is not None and self._clock() - oldest_at > self._answer_s:
            raise BrokerError(silence_fault(self._answer_s, self._settings))

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, *_: object
    ) -> None:
        self._reply = reason

    def _on_publish(self, _client: paho.Client, _data: object, message_id: int, *_: object) -> None:
        self._settle(message_id)
