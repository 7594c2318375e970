"""Messages to an MQTT broker that comes and goes: `send` never waits for it.

It stores and wakes; a thread of its own, `edge-mqtt`, does all that takes time. One sink is one
connection and one status for a device, whatever its cameras.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.backoff import Backoff
from edge.config.paths import lookalike, state_folder
from edge.errors import ConfigError
from edge.messages.envelope import OFFLINE, ONLINE, presence_topic, status_topic
from edge.password import read_password
from edge.sinks.mqtt_connection import Connection
from edge.sinks.mqtt_credentials import tls_context
from edge.sinks.mqtt_faults import BrokerError, ConnectionLog
from edge.sinks.mqtt_identity import Presence, client_id
from edge.sinks.outbox import Outbox

if TYPE_CHECKING:
    from edge.config.mqtt import Mqtt
    from edge.messages.envelope import Message
    from edge.sinks.journal import Journal
    from edge.sinks.mqtt_connection import Handler
    from edge.sinks.outbox import Tally

log = logging.getLogger("edge.sinks.mqtt")

# A call that hangs longer is given up; a closing sink must sit it out, and still makes a short one.
DIAL_S, SHORTEST_DIAL_S = 5.0, 0.1
# The thread wakes up so often with nothing to do: for paho's keepalive, and for a silent broker.
TICK_S, TICKS_PER_ANSWER = 1.0, 4
# Behind the last message, the time of `offline` to be acknowledged, and of the thread to end.
FAREWELL_S, JOIN_MARGIN_S = 0.5, 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Every waiting time of the MQTT sink, seconds.

    Attributes:
        base_s: Longest wait before the second try; it doubles with every further one.
        cap_s: Longest wait of all, and so the silence behind an outage.
        refused_s: Shortest wait after a refusal: at most six tries a minute.
        young_s: A connection that is lost sooner is suspect: see `Presence`.
        answer_s: Longest wait for the broker to accept, and for it to acknowledge a message.
        repeat_log_s: The same fault is logged again no sooner.
        correct_s: `online` is said against somebody else's `offline` no more often.
    """

    base_s: float = 0.5
    cap_s: float = 5.0
    refused_s: float = 10.0
    young_s: float = 30.0
    answer_s: float = 10.0
    repeat_log_s: float = 600.0
    correct_s: float = 1.0


class MqttSink:
    """Delivers messages; broker up or down, `send` costs some 10 µs.

    What was on the wire when a connection ended is sent again: with QoS 1 some arrive twice. Where
    somebody writes `offline` while this one lives, as the session that a power cut left behind or a
    second device of the same name, it says `online` again.

    Args:
        settings: Which broker, and as which user.
        device: Its name; a level of the status topic.
        client_id: The same after each start, and nobody else's.
        pace: The waiting times.
        journal: Keeps events on the disk; closed with the sink.

    Attributes:
        connects: Times that the broker accepted us.
        connected: Whether it has us now.

    Raises:
        ConfigError: The password file or the certificates can't be used.
    """

    name = "mqtt"
    may_wait = False

    def __init__(
        self,
        settings: Mqtt,
        device: str,
        *,
        client_id: str,
        pace: Pace | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._pace = pace or Pace()
        self._journal = journal
        self._presence = Presence(device, client_id, young_s=self._pace.young_s)
        self._log = ConnectionLog(settings, repeat_s=self._pace.repeat_log_s)
        self._outbox = Outbox(
            messages=settings.outbox_messages, size_bytes=settings.outbox_mib << 20, journal=journal
        )
        self._connection = Connection(
            settings,
            self._outbox,
            self._log,
            status_topic=status_topic(device),
            answer_s=self._pace.answer_s,
        )
        self._backoff = Backoff(base_s=self._pace.base_s, cap_s=self._pace.cap_s)
        self._waker, self._alarm = socket.socketpair()
        self._alarm.settimeout(0)
        self._awake = False
        self._closing = threading.Event()
        self._deadline = 0.0
        self.connects = self._kept = 0
        self.connected = False
        self._contradicted = False
        self.subscribe(status_topic(device), self._on_status)
        self.subscribe(presence_topic(device), self._on_presence)
        self._thread = threading.Thread(target=self._run, name="edge-mqtt", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Hand a message over; never waits.

        Raises:
            ValueError: The sink is closed.
        """
        if self._closing.is_set():
            raise ValueError("send must come before close, got a message after it")
        self._outbox.put(message)
        self._wake()

    def subscribe(self, topic: str, handler: Handler) -> None:
        """Have messages handed over from now on, through every reconnect.

        Args:
            topic: May hold the wildcards + and #.
            handler: Called with topic and payload on the thread `edge-mqtt`, which waits for it.
        """
        self._connection.handlers.append((topic, handler))
        self._wake()

    def tally(self) -> Tally:
        """Return the counts of this moment."""
        return self._outbox.tally()

    def close(self, timeout_s: float) -> int:
        """Deliver what waits for at most so long, say `offline`, and hang up; idempotent.

        Without a connection it keeps trying for that long, unless nothing waits or the broker
        refuses us. Returns the number of messages that were not delivered, and are lost.
        """
        if not self._closing.is_set():
            self._deadline = time.monotonic() + timeout_s
            self._closing.set()
            self._wake()
            self._thread.join(timeout_s + FAREWELL_S + JOIN_MARGIN_S)
            if self._thread.is_alive():
                log.error("mqtt: thread edge-mqtt still calls the broker; left alone")
            else:
                self._waker.close()
                self._alarm.close()
            self._kept = self._journal.close() if self._journal else 0
            self._log.closed(self._outbox.tally(), kept=self._kept)
        return max(0, self._outbox.tally().waiting - self._kept)

    def _wake(self) -> None:
        # News is stored before, and looked for once `_awake` is false again: none is missed.
        if not self._awake:
            self._awake = True
            with contextlib.suppress(BlockingIOError):  # full of bytes that will wake it as well
                self._alarm.send(b"\0")

    def _run(self) -> None:
        connection = self._connection
        while not self._is_done():
            fault = self._attempt(connection)
            if fault is None:
                continue
            self._log.fault(fault)
            self._presence.note_end(fault, age_s=connection.age_s, accepted=connection.is_accepted)
            if self._closing.is_set() and fault.refused:
                return
            if connection.has_acknowledged:
                self._backoff.reset()
            delay_s = self._backoff.next_s() + (self._pace.refused_s if fault.refused else 0)
            if self._closing.wait(delay_s) and not self._is_done():
                # The end is near: a broker that restarts just now still gets the rest.
                time.sleep(self._patience_s(min(delay_s, self._pace.base_s)))

    def _attempt(self, connection: Connection) -> BrokerError | None:
        """Hold one connection; return why it ended, or None for a clean end."""
        fault: BrokerError | None = None
        try:
            dial_s = max(SHORTEST_DIAL_S, self._patience_s(DIAL_S))
            connection.open(self._presence.client_id, timeout_s=dial_s)
            while not connection.is_accepted and not self._is_done():
                self._step(connection)
            if connection.is_accepted:
                self._deliver(connection)
        except BrokerError as error:
            fault = error
        self.connected = False
        connection.close(lost=fault is not None and fault.kind == "lost")
        return fault

    def _deliver(self, connection: Connection) -> None:
        self.connects += 1
        self.connected = True
        self._log.connected(self._presence.client_id, self._outbox.tally())
        self._outbox.renew()
        # Once said; and whoever contradicts it has left, or shares the name.
        self._contradicted, say_at = True, 0.0
        is_stand_in = self._presence.is_stand_in
        while not self._is_done():
            if self._contradicted and time.monotonic() >= say_at:
                self._contradicted, say_at = False, time.monotonic() + self._pace.correct_s
                connection.announce(ONLINE)
                self._outbox.put(self._presence.announcement(connection.own_address))
            if is_stand_in and connection.is_idle and self._presence.takes_back():
                connection.leave()
                return
            connection.feed()
            self._step(connection)
        connection.feed()
        connection.announce(OFFLINE)
        farewell_at = time.monotonic() + FAREWELL_S
        while not connection.is_idle and (left_s := farewell_at - time.monotonic()) > 0:
            connection.step(self._waker, timeout_s=left_s)
        connection.leave()

    def _step(self, connection: Connection) -> None:
        longest_s = min(TICK_S, self._pace.answer_s / TICKS_PER_ANSWER)
        connection.step(self._waker, timeout_s=self._patience_s(longest_s))
        self._awake = False

    def _is_done(self) -> bool:
        """Whether the sink is closing with nothing left, or with no time left."""
        if not self._closing.is_set():
            return False
        return not self._outbox.tally().waiting or self._patience_s(1) <= 0

    def _patience_s(self, longest_s: float) -> float:
        """Return how long to wait in one go, which the deadline of a closing sink cuts short."""
        if not self._closing.is_set():
            return longest_s
        return min(longest_s, max(0.0, self._deadline - time.monotonic()))

    def _on_status(self, _topic: str, payload: bytes) -> None:
        self._contradicted = payload != ONLINE

    def _on_presence(self, _topic: str, payload: bytes) -> None:
        if answer := self._presence.hear(payload):
            self._outbox.put(answer)


def open_mqtt(settings: Mqtt, *, name: str, device: str) -> MqttSink:  # noqa: ARG001 - there is one
    """Return the connection of a device to its broker."""
    journal = None
    if folder := spool_folder(settings, device):
        from edge.sinks.journal import Journal  # noqa: PLC0415 - most devices have none

        journal = Journal(folder, limit_bytes=settings.spool_mib << 20)
    return MqttSink(settings, device, client_id=client_id(device), journal=journal)


def spool_folder(settings: Mqtt, device: str) -> Path | None:
    """Return where the events of a device wait; `None` for in memory."""
    if settings.spool == "memory":
        return None
    if (folder := state_folder()) is None:
        raise ConfigError(
            "[mqtt] spool = 'disk' needs a state folder, and the environment names none; set "
            "XDG_STATE_HOME, or run it as a service with StateDirectory="
        )
    return folder / "spool" / device


def check_mqtt(settings: Mqtt) -> None:
    """Refuse secrets and certificates that can't be used, and a spool that has no place."""
    found = []
    files = ((read_password, settings.password_file), (tls_context, settings.ca_file))
    checks = [(partial(check, path), path) for check, path in files if path]
    for check, path in (*checks, (partial(spool_folder, settings, "device"), Path())):
        try:
            check()
        except ConfigError as error:  # noqa: PERF203 - all are told
            found.append(f"{error}{lookalike(path)}")
    if found:
        raise ConfigError("\n".join(found))
