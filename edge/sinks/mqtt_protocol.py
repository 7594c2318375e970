"""The call to a broker in MQTT 5 or 3.1.1, and what the two say differently.

This and `mqtt_connection` are the only places that know paho.
"""

from __future__ import annotations

import contextlib
import math
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.messages.envelope import OFFLINE, Received
from edge.password import read_password
from edge.sinks.mqtt_credentials import tls_context
from edge.sinks.mqtt_faults import dial_fault

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from edge.config.mqtt import Mqtt
    from edge.messages.envelope import Message

# Messages on the wire without an acknowledgement; the others stay where the oldest can be dropped.
MAX_IN_FLIGHT = 20
# MQTT 5, section 3.2.2.2; paho translates the refusal of MQTT 3.1.1, and of older brokers, into it.
UNSUPPORTED_VERSION = 132
NO_MAXIMUM = 65_535
KIB = 1024
WAKE_BYTES = 4096
# More than all of a packet but its payload: a topic and correlation data of 64 KiB each.
MOST_HEADER_BYTES = 132 * KIB
# MQTT 3.1.1 and 5, section 3.14; and how long the broker may take to hang up after it.
DISCONNECT, HANG_UP_S = b"\xe0\x00", 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What a broker takes.

    Attributes:
        packet_bytes: The largest packet, its header included.
        in_flight: Messages on the wire without an acknowledgement.
        retains: Whether it keeps messages for who subscribes later.
    """

    packet_bytes: float = math.inf
    in_flight: int = MAX_IN_FLIGHT
    retains: bool = True

    @classmethod
    def of(cls, settings: Mqtt, said: Properties | None) -> Limits:
        """Return the user's limits, and those that a broker of MQTT 5 says.

        Source: MQTT 5, section 3.2.2.3. One place in flight is kept for the status.
        """
        own = settings.max_packet_kib * KIB or math.inf
        return cls(
            packet_bytes=min(own, getattr(said, "MaximumPacketSize", math.inf)),
            in_flight=max(1, min(MAX_IN_FLIGHT, getattr(said, "ReceiveMaximum", NO_MAXIMUM) - 1)),
            retains=bool(getattr(said, "RetainAvailable", 1)),
        )


class Line:
    """The call to a broker, in MQTT 5 or 3.1.1; its session ends with it.

    With `auto` it speaks MQTT 5. A broker that refuses that, hangs up, says what is no MQTT or
    nothing, is called at once with 3.1.1, and for good with that once it has taken it.

    Args:
        settings: Which broker, and as whom.
        status_topic: Where the broker says `OFFLINE` for who is lost; empty for who has no status.
        ears: What the client calls, by the names of its callbacks.

    Attributes:
        client: Of this call.
        is_5: Whether it speaks MQTT 5.

    Raises:
        ConfigError: The password file or the certificates can't be used.
    """

    def __init__(self, settings: Mqtt, *, status_topic: str, ears: dict[str, Any]) -> None:
        self._settings = settings
        self._status_topic = status_topic
        self._ears = ears
        self._password = read_password(settings.password_file) if settings.password_file else None
        self.tls = tls_context(settings.ca_file) if settings.tls else None
        # Of the broker; unknown until it has taken us.
        self._speaks_5: bool | None = None
        self.is_5 = settings.protocol != "3.1.1"
        self.client = self._made("")

    def call(self, client_id: str, *, timeout_s: float, falls_back: bool = False) -> None:
        """Call the broker, or once more in MQTT 3.1.1; raises `BrokerError`."""
        settings = self._settings
        is_due = settings.protocol != "3.1.1" and self._speaks_5 is not False
        self.is_5 = is_due and not falls_back
        self.client = self._made(client_id)
        self.client.connect_timeout = timeout_s
        try:
            self.client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except (OSError, UnicodeError) as error:
            raise dial_fault(error, settings) from error

    def _made(self, client_id: str) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self.is_5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.on_socket_open = _send_at_once
        for name, ear in self._ears.items():
            setattr(client, name, ear)
        client.max_inflight_messages_set(0)  # `Limits.in_flight` is kept by the connection
        if self._status_topic:
            client.will_set(self._status_topic, OFFLINE, qos=1, retain=True)
        if self._settings.username:
            client.username_pw_set(self._settings.username, self._password)
        if self.tls:
            client.tls_set_context(self.tls)
        return client

    def note(self, reply: ReasonCode) -> bool:
        """Take in an answer; return whether it is the first of a broker without MQTT 5."""
        if reply.is_failure or self._settings.protocol != "auto":
            return False
        is_first = not self.is_5 and self._speaks_5 is None
        self._speaks_5 = self.is_5
        return is_first

    def may_want_3(self, reply: ReasonCode | None) -> bool:
        """Whether a broker that has not taken us may take MQTT 3.1.1."""
        is_open = self._settings.protocol == "auto" and self.is_5 and self._speaks_5 is None
        return is_open and (reply is None or reply.value == UNSUPPORTED_VERSION)

    def says_something(self) -> bool:
        """Whether what can be read is more than the end."""
        sock: Any = self.client.socket()
        try:
            return bool(self.tls or sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    def leave(self, *, wait_s: float) -> None:
        """Tell the broker that the end is meant, so that it does not speak the last will.

        What it still sends is read until it hangs up, which paho would not: a socket that is closed
        over unread bytes resets the connection, and a broker that meets the reset before it reads
        the farewell takes it for a loss.

        Args:
            wait_s: How long it may take to hang up.
        """
        sock: Any = self.client.socket()
        hang_up_at = time.monotonic() + wait_s
        with contextlib.suppress(OSError):
            sock.settimeout(wait_s)
            sock.sendall(DISCONNECT)
            while time.monotonic() < hang_up_at and sock.recv(WAKE_BYTES):
                pass

    def hang_up(self) -> None:
        """Close the socket."""
        sock = self.client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()


def _send_at_once(_client: paho.Client, _data: object, sock: Any) -> None:  # noqa: ANN401 - paho's type for it is too narrow
    """Have short packets leave without delay.

    Else the kernel holds one back until the one before is acknowledged, and the other side's kernel
    puts that off for some 40 ms (RFC 896; RFC 1122, section 4.2.3.2).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def packet_bytes(message: Message, *, is_5: bool) -> int:
    """Return the size of a message's packet. Source: MQTT 3.1.1 and 5, section 3.3."""
    size = 2 + len(message.topic.encode()) + 2 * (message.qos > 0) + len(message.payload)
    if is_5:
        size += len(properties(message).pack()) if message.correlation else 1  # type: ignore[no-untyped-call]
    return 2 + sum(size >= 1 << bits for bits in (7, 14, 21)) + size


def properties(message: Message) -> Properties:
    """Return what MQTT 5 says of an answer: by which request it is."""
    said = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    said.CorrelationData = message.correlation
    return said


def received(message: paho.MQTTMessage) -> Received:
    """Return what arrived, and where an answer to it goes."""
    said = message.properties
    return Received.of(
        bytes(message.payload),
        response_topic=getattr(said, "ResponseTopic", ""),
        correlation=getattr(said, "CorrelationData", b""),
    )
