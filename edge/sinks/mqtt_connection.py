"""One connection to the broker, from the call to its end: the only place that knows paho.

Of paho this uses the protocol and the socket. Its own loop, queue and reconnecting are left alone:
the queue refuses the newest message instead of dropping the oldest and knows no bytes, the loop's
thread dies of an answer that is not MQTT and hides why a call failed, and nothing in it notices
acknowledgements that never come.
"""

from __future__ import annotations

import contextlib
import logging
import select
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge.messages.envelope import OFFLINE
from edge.sinks.mqtt_faults import dial_fault, ended_fault, refusal_fault, stranger_fault

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from paho.mqtt.reasoncodes import ReasonCode

    from edge.config.mqtt import Mqtt
    from edge.sinks.mqtt_faults import ConnectionLog
    from edge.sinks.outbox import Entry, Outbox

    Handler = Callable[[str, bytes], None]

log = logging.getLogger("edge.sinks.mqtt")

# Messages on the wire without an acknowledgement; the others stay where the oldest can be dropped.
MAX_IN_FLIGHT = 20
# paho 2.1 parses what arrives unguarded, so that an answer in another protocol raises these.
PARSE_ERRORS = (ValueError, IndexError, KeyError, TypeError, struct.error)
WAKE_BYTES = 4096
# MQTT 3.1.1, section 3.14; and how long the broker may take to hang up after it.
DISCONNECT, HANG_UP_S = b"\xe0\x00", 0.5


@dataclass(slots=True)
class Channel:
    """What the connections of one sink have in common.

    Attributes:
        status_topic: Where `ONLINE` and `OFFLINE` stand.
        outbox: Where messages come from; settled once acknowledged (QoS 1) or sent (QoS 0).
        tls: Verifies the broker's certificate; None for an open connection.
        answer_s: Longest wait for the acceptance, and for each acknowledgement.
        log: Told of topics that the broker does not let us read.
        handlers: Topic and handler of each subscription; may grow at any time, on any thread.
    """

    settings: Mqtt
    status_topic: str
    outbox: Outbox
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None
    answer_s: float
    log: ConnectionLog
    handlers: list[tuple[str, Handler]] = field(default_factory=list)


class Connection:
    """Takes messages from the outbox to the broker; lives on one thread, and ends with `close`.

    A connection never comes back: its successor is a new one. What it had sent without an
    acknowledgement returns to the outbox, and so paho's own resending never runs. Each method but
    `close` raises `BrokerError` once the connection failed or ended.
    """

    def __init__(self, channel: Channel, client_id: str) -> None:
        self.has_acknowledged = False
        self._channel = channel
        self._settings = channel.settings
        self._opened_at = time.monotonic()
        self._reply: ReasonCode | None = None
        self._heard = False
        self._sends_alone = False
        # Message id to when it was sent and the entry of the outbox, if so; oldest first.
        self._in_flight: dict[int, tuple[float, Entry | None]] = {}
        self._subscribed: dict[str, int | None] = {}
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False
        )
        client.max_inflight_messages_set(0)  # MAX_IN_FLIGHT is kept here
        client.will_set(channel.status_topic, OFFLINE, qos=1, retain=True)
        if channel.settings.username:
            client.username_pw_set(channel.settings.username, channel.password)
        if channel.tls:
            client.tls_set_context(channel.tls)
        client.on_connect = lambda _client, _data, _flags, reason, *_: self._accept(reason)
        client.on_publish = lambda _client, _data, message_id, *_: self._acknowledge(message_id)
        client.on_subscribe = lambda _client, _data, *reply: self._note_subscription(*reply[:2])
        client.on_message = lambda _client, _data, message: self._hand_over(message)

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
        return time.monotonic() - self._opened_at

    @property
    def own_address(self) -> str:
        """This machine's address on the way to the broker; empty without a connection."""
        sock: Any = self._client.socket()
        return str(sock.getsockname()[0]) if sock is not None else ""

    def open(self, timeout_s: float) -> None:
        """Call the broker; its acceptance comes later, in `step`."""
        settings = self._settings
        self._client.connect_timeout = timeout_s
        try:
            self._client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except (OSError, UnicodeError) as error:
            raise dial_fault(error, settings) from error

    def announce(self, status: bytes) -> None:
        """Publish `ONLINE` or `OFFLINE`, retained."""
        self._track(self._client.publish(self._channel.status_topic, status, qos=1, retain=True))

    def feed(self) -> None:
        """Subscribe where that is due, and send from the outbox while there is room in flight."""
        for topic, _ in tuple(self._channel.handlers):
            if topic not in self._subscribed:
                _, self._subscribed[topic] = self._client.subscribe(topic, qos=1)
        while len(self._in_flight) < (1 if self._sends_alone else MAX_IN_FLIGHT):
            entry = self._channel.outbox.take(suspects=not self._in_flight)
            if entry is None:
                return
            self._sends_alone = entry.is_suspect
            message = entry.message
            info = self._client.publish(
                message.topic, message.payload, message.qos, retain=message.retain
            )
            self._track(info, entry)
            # With QoS 0 paho reports what it could write at once before it returns the id.
            if message.qos == 0 and info.is_published():
                self._settle(info.mid)

    def step(self, waker: socket.socket, *, timeout_s: float) -> None:
        """Wait for the broker, the waker or the time, and do what the network needs."""
        sock: Any = self._client.socket()
        if sock is not None:
            # TLS may hold bytes that it has read and decrypted: the socket is silent about those.
            has_pending = self._channel.tls is not None and sock.pending() > 0
            poll = select.poll()
            writes = select.POLLOUT if self._client.want_write() else 0
            poll.register(sock, select.POLLIN | writes)
            poll.register(waker, select.POLLIN)
            events = dict(poll.poll(0 if has_pending else timeout_s * 1000))
            if waker.fileno() in events:
                waker.recv(WAKE_BYTES)
            seen = events.get(sock.fileno(), 0)
            self._exchange(
                reads=has_pending or bool(seen & ~select.POLLOUT),
                writes=bool(seen & select.POLLOUT),
            )
        self._check()

    def leave(self) -> None:
        """Tell the broker that the end is meant, so that it does not speak the last will.

        What it still sends is read until it hangs up, which paho would not: a socket that is closed
        over unread bytes resets the connection, and a broker that meets the reset before it reads
        the farewell takes it for a loss.
        """
        sock: Any = self._client.socket()
        hang_up_at = time.monotonic() + HANG_UP_S
        with contextlib.suppress(OSError):
            sock.settimeout(HANG_UP_S)
            sock.sendall(DISCONNECT)
            while sock.recv(WAKE_BYTES) and time.monotonic() < hang_up_at:
                pass

    def close(self, *, lost: bool) -> None:
        """Hang up, and return what is unacknowledged to the outbox.

        Args:
            lost: The broker ended the connection, perhaps over a message.
        """
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()
        unsettled = [entry for _, entry in self._in_flight.values() if entry is not None]
        if given_up := self._channel.outbox.put_back(unsettled, lost=lost):
            self._channel.log.tell(
                "given up",
                f"ends the connection over a message of {len(given_up.message.payload)} bytes to "
                f"{given_up.message.topic}, which is dropped; let it take more (mosquitto: "
                "max_packet_size), or send less ([output] class_map, [model] max_detections)",
            )

    def _exchange(self, *, reads: bool, writes: bool) -> None:
        self._heard |= reads
        try:
            if reads:
                self._client.loop_read()
            if writes:
                self._client.loop_write()
            self._client.loop_misc()
        except PARSE_ERRORS as error:
            raise stranger_fault(self._settings) from error

    def _check(self) -> None:
        if self._reply is not None and self._reply.is_failure:
            raise refusal_fault(self._reply.value, str(self._reply), self._settings)
        if self._client.socket() is None:
            if self.is_accepted:
                raise ended_fault(self._settings)
            if self._heard:
                raise stranger_fault(self._settings)
            # paho hangs up after a silence of keepalive_s, which may be less than answer_s.
            raise ended_fault(self._settings, silent_s=round(self.age_s), accepted=False)
        answer_s, now = self._channel.answer_s, time.monotonic()
        awaited = [sent_at for sent_at, _ in self._in_flight.values()] or [now]
        if now - (awaited[0] if self.is_accepted else self._opened_at) > answer_s:
            if self._heard and not self.is_accepted:
                raise stranger_fault(self._settings)
            raise ended_fault(self._settings, silent_s=answer_s, accepted=self.is_accepted)

    def _track(self, info: paho.MQTTMessageInfo, entry: Entry | None = None) -> None:
        self._in_flight[info.mid] = (time.monotonic(), entry)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ended_fault(self._settings)

    def _settle(self, message_id: int) -> None:
        _, entry = self._in_flight.pop(message_id, (0.0, None))
        if entry is not None:
            self._channel.outbox.settle(entry)

    def _accept(self, reason: ReasonCode) -> None:
        self._reply = reason

    def _acknowledge(self, message_id: int) -> None:
        self.has_acknowledged = True
        self._settle(message_id)

    def _note_subscription(self, message_id: int, reasons: list[ReasonCode]) -> None:
        for topic, own_id in self._subscribed.items():
            if own_id == message_id and any(reason.is_failure for reason in reasons):
                who = self._settings.username or "everybody"
                text = f"does not let us read {topic}; let {who} read it in its access list"
                self._channel.log.tell(f"unreadable {topic}", text)

    def _hand_over(self, message: paho.MQTTMessage) -> None:
        for topic, handler in tuple(self._channel.handlers):
            if paho.topic_matches_sub(topic, message.topic):
                try:
                    handler(message.topic, bytes(message.payload))
                except Exception:  # it is a stranger's, and the connection serves others too
                    log.exception("mqtt: the handler of %s failed", topic)
