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
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from edge.messages.envelope import OFFLINE, is_command
from edge.password import read_password
from edge.sinks.mqtt_credentials import tls_context
from edge.sinks.mqtt_faults import BrokerError, dial_fault

if TYPE_CHECKING:
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


class Connection:
    """Takes messages from the outbox to the broker: opened, used and closed on one thread.

    Each opening begins anew. What was sent without an acknowledgement returns to the outbox when
    the connection is closed, and so paho's own resending never runs. Each method but `close` raises
    `BrokerError` once the connection failed or ended.

    Args:
        settings: Which broker, and as whom.
        outbox: Where messages come from; settled once acknowledged (QoS 1) or sent (QoS 0).
        faults: Told of what the broker refuses and goes on.
        status_topic: Where `ONLINE` and `OFFLINE` stand; empty for who has no status.
        answer_s: Longest wait for the acceptance, and for each acknowledgement.

    Attributes:
        handlers: Topic and handler of each subscription; may grow at any time, on any thread.
        answered: Subscriptions that the broker has answered to since the last opening.
        has_acknowledged: Whether the broker has, anything, since the last opening.

    Raises:
        ConfigError: The password file or the certificates can't be used.
    """

    def __init__(
        self,
        settings: Mqtt,
        outbox: Outbox,
        faults: ConnectionLog,
        *,
        status_topic: str,
        answer_s: float,
    ) -> None:
        self.handlers: list[tuple[str, Handler]] = []
        self._settings = settings
        self._outbox = outbox
        self._faults = faults
        self._status_topic = status_topic
        self._answer_s = answer_s
        self._password = read_password(settings.password_file) if settings.password_file else None
        self._tls = tls_context(settings.ca_file) if settings.tls else None
        self._begin("")

    def _begin(self, client_id: str) -> None:
        self.has_acknowledged = False
        self.answered = 0
        self._opened_at = time.monotonic()
        self._reply: ReasonCode | None = None
        self._heard = self._sends_alone = False
        # Message id to when it was sent and the entry of the outbox, if so; oldest first.
        self._in_flight: dict[int, tuple[float, Entry | None]] = {}
        # Message id to topic.
        self._subscribed: dict[int | None, str] = {}
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, reconnect_on_failure=False
        )
        client.on_socket_open = _send_at_once
        client.max_inflight_messages_set(0)  # MAX_IN_FLIGHT is kept here
        if self._status_topic:
            client.will_set(self._status_topic, OFFLINE, qos=1, retain=True)
        if self._settings.username:
            client.username_pw_set(self._settings.username, self._password)
        if self._tls:
            client.tls_set_context(self._tls)
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

    def open(self, client_id: str, *, timeout_s: float) -> None:
        """Call the broker; its acceptance comes later, in `step`."""
        self._begin(client_id)
        settings = self._settings
        self._client.connect_timeout = timeout_s
        try:
            self._client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except (OSError, UnicodeError) as error:
            raise dial_fault(error, settings) from error

    def announce(self, status: bytes) -> None:
        """Publish `ONLINE` or `OFFLINE`, retained."""
        self._track(self._client.publish(self._status_topic, status, qos=1, retain=True))

    def feed(self) -> None:
        """Subscribe where that is due, and send from the outbox while there is room in flight."""
        for topic, _ in tuple(self.handlers):
            if topic not in self._subscribed.values():
                self._subscribed[self._client.subscribe(topic, qos=1)[1]] = topic
        while len(self._in_flight) < (1 if self._sends_alone else MAX_IN_FLIGHT):
            entry = self._outbox.take(suspects=not self._in_flight)
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
            reads = self._tls is not None and sock.pending() > 0
            poll = select.poll()
            poll.register(sock, select.POLLIN | select.POLLOUT * self._client.want_write())
            poll.register(waker, select.POLLIN)
            events = dict(poll.poll(0 if reads else timeout_s * 1000))
            if waker.fileno() in events:
                waker.recv(WAKE_BYTES)
            seen = events.get(sock.fileno(), 0)
            reads |= bool(seen & ~select.POLLOUT)
            self._heard |= reads
            try:
                if reads:
                    self._client.loop_read()
                if seen & select.POLLOUT:
                    self._client.loop_write()
                self._client.loop_misc()
            except PARSE_ERRORS as error:
                raise BrokerError("stranger", self._settings) from error
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
        if given_up := self._outbox.put_back(unsettled, lost=lost):
            self._faults.tell(
                "given up",
                f"ends the connection over a message of {len(given_up.message.payload)} bytes to "
                f"{given_up.message.topic}, which is dropped; let it take more (mosquitto: "
                "max_packet_size), or send less ([output] class_map, [model] max_detections)",
            )

    def _check(self) -> None:
        """Raise what has become of the connection, if it is not what it should be."""
        if self._reply is not None and self._reply.is_failure:
            kind, reason = f"refused {self._reply.value}", str(self._reply).lower()
            raise BrokerError(kind, self._settings, reason=reason)
        since, silent_s = self._opened_at, self._answer_s
        if self.is_accepted:
            since = next((sent_at for sent_at, _ in self._in_flight.values()), time.monotonic())
        is_over = self._client.socket() is None
        if not is_over and time.monotonic() - since <= silent_s:
            return
        if self.is_accepted:
            raise BrokerError("lost" if is_over else "silence", self._settings, silent_s=silent_s)
        if self._heard:
            raise BrokerError("stranger", self._settings)
        # paho hangs up after a silence of keepalive_s, which may be less than answer_s.
        silent_s = round(self.age_s) if is_over else silent_s
        raise BrokerError("unanswered", self._settings, silent_s=silent_s)

    def _track(self, info: paho.MQTTMessageInfo, entry: Entry | None = None) -> None:
        self._in_flight[info.mid] = (time.monotonic(), entry)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerError("lost", self._settings)

    def _settle(self, message_id: int) -> None:
        _, entry = self._in_flight.pop(message_id, (0.0, None))
        if entry is not None:
            self._outbox.settle(entry)

    def _accept(self, reason: ReasonCode) -> None:
        self._reply = reason

    def _acknowledge(self, message_id: int) -> None:
        self.has_acknowledged = True
        self._settle(message_id)

    def _note_subscription(self, message_id: int, reasons: list[ReasonCode]) -> None:
        self.answered += 1
        if any(reason.is_failure for reason in reasons):
            topic, who = self._subscribed.get(message_id), self._settings.username or "everybody"
            text = f"does not let us read {topic}; let {who} read it in its access list"
            self._faults.tell(f"unreadable {topic}", text)

    def _hand_over(self, message: paho.MQTTMessage) -> None:
        if message.retain and is_command(message.topic):
            text = f"leaves {message.topic} undone, which the broker keeps: it would be done again "
            self._faults.tell(
                "a kept command", f"{text}at each start; publish commands without retain"
            )
            return
        for topic, handler in tuple(self.handlers):
            if paho.topic_matches_sub(topic, message.topic):
                try:
                    handler(message.topic, bytes(message.payload))
                except Exception:  # it is a stranger's, and the connection serves others too
                    log.exception("mqtt: the handler of %s failed", topic)


def _send_at_once(_client: paho.Client, _data: object, sock: Any) -> None:  # noqa: ANN401 - paho's type for it is too narrow
    """Have short packets leave without delay.

    Else the kernel holds one back until the one before is acknowledged, and the other side's kernel
    puts that off for some 40 ms (RFC 896; RFC 1122, section 4.2.3.2).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
