"""One connection to the broker, from the call to its end.

Of paho this uses the protocol and the socket. Its own loop, queue and reconnecting are left alone:
the queue refuses the newest message instead of dropping the oldest and knows no bytes, the loop's
thread dies of an answer that is not MQTT and hides why a call failed, and nothing in it notices
acknowledgements that never come.
"""

from __future__ import annotations

import logging
import select
import struct
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import MQTTErrorCode

from edge.messages.envelope import is_command
from edge.sinks import mqtt_protocol
from edge.sinks.mqtt_faults import BrokerError
from edge.sinks.mqtt_protocol import HANG_UP_S, WAKE_BYTES, Limits, Line

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edge.config.mqtt import Mqtt
    from edge.messages.envelope import Received
    from edge.sinks.mqtt_faults import ConnectionLog
    from edge.sinks.outbox import Entry, Outbox

    Handler = Callable[[str, Received], object]

log = logging.getLogger("edge.sinks.mqtt")

# paho 2.1 parses what arrives unguarded, so that an answer in another protocol raises these.
PARSE_ERRORS = (ValueError, IndexError, KeyError, TypeError, struct.error, MQTTException)


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
        self._line = Line(
            settings,
            status_topic=status_topic,
            ears={
                "on_connect": lambda *each: self._accept(*each[3:]),
                "on_disconnect": lambda *each: self._note_parting(*each[2:4]),
                "on_publish": lambda *each: self._acknowledge(*each[2:4]),
                "on_subscribe": lambda *each: self._note_subscription(*each[2:4]),
                "on_message": lambda *each: self._hand_over(each[2]),
            },
        )
        self._begin()

    def _begin(self) -> None:
        self.has_acknowledged = False
        self.answered = 0
        self._opened_at = time.monotonic()
        self._reply: ReasonCode | None = None
        self._heard = self._sends_alone = False
        # Message id to when it was sent and the entry of the outbox, if so; oldest first.
        self._in_flight: dict[int, tuple[float, Entry | None]] = {}
        # Message id to topic.
        self._subscribed: dict[int | None, str] = {}
        self._parting = ""
        self._limits = Limits.of(self._settings, None)

    @property
    def is_accepted(self) -> bool:
        """Whether the broker has taken us on."""
        return self._reply is not None and not self._reply.is_failure

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way: all acknowledged, all written."""
        return not self._in_flight and not self._line.client.want_write()

    @property
    def age_s(self) -> float:
        """Seconds since the call."""
        return time.monotonic() - self._opened_at

    @property
    def own_address(self) -> str:
        """This machine's address on the way to the broker; empty without a connection."""
        sock: Any = self._line.client.socket()
        return str(sock.getsockname()[0]) if sock is not None else ""

    def open(self, client_id: str, *, timeout_s: float) -> None:
        """Call the broker; its acceptance comes later, in `step`."""
        self._begin()
        self._call = partial(self._line.call, client_id, timeout_s=timeout_s)
        self._call()

    def announce(self, status: bytes) -> None:
        """Publish `ONLINE` or `OFFLINE`, retained."""
        self._track(self._line.client.publish(self._status_topic, status, qos=1, retain=True))

    def feed(self) -> None:
        """Subscribe where that is due, and send from the outbox while there is room in flight."""
        for topic, _ in tuple(self.handlers):
            if topic not in self._subscribed.values():
                self._subscribed[self._line.client.subscribe(topic, qos=1)[1]] = topic
        while len(self._in_flight) < (1 if self._sends_alone else self._limits.in_flight):
            entry = self._outbox.take(suspects=not self._in_flight)
            if entry is None:
                return
            self._send(entry)

    def _send(self, entry: Entry) -> None:
        message, limits, is_5 = entry.message, self._limits, self._line.is_5
        fault = ""
        is_large = len(message.payload) + mqtt_protocol.MOST_HEADER_BYTES > limits.packet_bytes
        if is_large and mqtt_protocol.packet_bytes(message, is_5=is_5) > limits.packet_bytes:
            fault = f"takes packets of up to {limits.packet_bytes:.0f} bytes, too few for a message"
        elif self._outbox.is_hopeless(entry):
            fault = "ended connections over as large ones, and gets no message"
        if fault:
            self._outbox.give_up(entry)
            self._faults.dropped(message, fault)
            return
        self._sends_alone = entry.is_suspect
        info = self._line.client.publish(
            message.topic,
            message.payload,
            message.qos,
            retain=message.retain and limits.retains,
            properties=mqtt_protocol.properties(message) if is_5 and message.correlation else None,
        )
        self._track(info, entry)
        # With QoS 0 paho reports what it could write at once before it returns the id.
        if message.qos == 0 and info.is_published():
            self._settle(info.mid)

    def step(self, waker: socket.socket, *, timeout_s: float) -> None:
        """Wait for the broker, the waker or the time, and do what the network needs."""
        client = self._line.client
        sock: Any = client.socket()
        if sock is not None:
            # TLS may hold bytes that it has read and decrypted: the socket is silent about those.
            reads = self._line.tls is not None and sock.pending() > 0
            poll = select.poll()
            poll.register(sock, select.POLLIN | select.POLLOUT * client.want_write())
            poll.register(waker, select.POLLIN)
            events = dict(poll.poll(0 if reads else timeout_s * 1000))
            if waker.fileno() in events:
                waker.recv(WAKE_BYTES)
            seen = events.get(sock.fileno(), 0)
            reads |= bool(seen & ~select.POLLOUT)
            self._heard = self._heard or (reads and self._line.says_something())
            try:
                if reads:
                    client.loop_read()
                if seen & select.POLLOUT:
                    client.loop_write()
                client.loop_misc()
            except PARSE_ERRORS as error:
                if not self._falls_back():
                    raise BrokerError("stranger", self._settings) from error
        self._check()

    def leave(self) -> None:
        """Say that the end is meant; a broker that still owes an answer is not waited for."""
        self._line.leave(wait_s=HANG_UP_S if self.is_idle else 0)

    def close(self, *, lost: bool) -> None:
        """Hang up, and return what is unacknowledged to the outbox.

        Args:
            lost: The broker ended the connection, perhaps over a message.
        """
        self._line.hang_up()
        unsettled = [entry for _, entry in self._in_flight.values() if entry is not None]
        if given_up := self._outbox.put_back(unsettled, lost=lost):
            self._faults.dropped(given_up.message, "ends the connection over a message")

    def _falls_back(self) -> bool:
        """Call again with MQTT 3.1.1 where a broker took no MQTT 5, and either will do."""
        if self.is_accepted or not self._line.may_want_3(self._reply):
            return False
        self._line.hang_up()
        self._begin()
        self._call(falls_back=True)
        return True

    def _check(self) -> None:
        """Raise what has become of the connection, if it is not what it should be."""
        if self._reply is not None and self._reply.is_failure:
            if self._falls_back():
                return
            reason = str(self._reply).lower()
            raise BrokerError(f"refused {self._reply.value}", self._settings, reason=reason)
        silent_s, is_over = self._answer_s, self._line.client.socket() is None
        since = next((sent_at for sent_at, _ in self._in_flight.values()), time.monotonic())
        since = since if self.is_accepted else self._opened_at
        if not is_over and time.monotonic() - since <= silent_s:
            return
        if self.is_accepted:
            said = {"silent_s": silent_s, "parting": self._parting}
            raise BrokerError("lost" if is_over else "silence", self._settings, **said)
        if self._falls_back():
            return
        if self._heard:
            raise BrokerError("stranger", self._settings)
        if is_over and self.age_s < self._settings.keepalive_s:
            raise BrokerError("hung up", self._settings)
        # paho hangs up after a silence of keepalive_s, which may be less than answer_s.
        silent_s = round(self.age_s) if is_over else silent_s
        raise BrokerError("unanswered", self._settings, silent_s=silent_s)

    def _track(self, info: paho.MQTTMessageInfo, entry: Entry | None = None) -> None:
        self._in_flight[info.mid] = (time.monotonic(), entry)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerError("lost", self._settings)

    def _settle(self, message_id: int) -> None:
        if entry := self._in_flight.pop(message_id, (0.0, None))[1]:
            self._outbox.settle(entry)

    def _accept(self, reason: ReasonCode, said: Properties | None) -> None:
        self._reply = reason
        self._limits = Limits.of(self._settings, said)
        if self._line.note(reason):
            self._faults.tell("old", "takes no MQTT 5, and so MQTT 3.1.1 is spoken")
        if not self._limits.retains:
            text = "keeps no messages: who subscribes later sees no status before it changes"
            self._faults.tell("retains", text)

    def _note_parting(self, flags: paho.DisconnectFlags, reason: ReasonCode) -> None:
        if flags.is_disconnect_packet_from_server and reason is not None:
            self._parting = f" ({str(reason).lower()})"

    def _acknowledge(self, message_id: int, reason: ReasonCode) -> None:
        self.has_acknowledged = True
        if reason.is_failure and (entry := self._in_flight.pop(message_id, (0.0, None))[1]):
            self._outbox.give_up(entry)
            self._faults.may_not("write", entry.message.topic, str(reason).lower())
        self._settle(message_id)

    def _note_subscription(self, message_id: int, reasons: list[ReasonCode]) -> None:
        self.answered += 1
        if failed := [reason for reason in reasons if reason.is_failure]:
            self._faults.may_not(
                "read", self._subscribed.get(message_id, ""), str(failed[0]).lower()
            )

    def _hand_over(self, message: paho.MQTTMessage) -> None:
        if message.retain and is_command(message.topic):
            text = f"keeps {message.topic}, and so it is left undone: publish it without retain"
            self._faults.tell("a kept command", text)
            return
        for topic, handler in tuple(self.handlers):
            if paho.topic_matches_sub(topic, message.topic):
                try:
                    handler(message.topic, mqtt_protocol.received(message))
                except Exception:  # it is a stranger's, and the connection serves others too
                    log.exception("mqtt: the handler of %s failed", topic)
