"""Observations to an MQTT broker that comes and goes: `publish` never waits for it.

It encodes, stores and wakes; a thread of its own, `edge-mqtt`, does all that takes time.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.messages.envelope import status_topic
from edge.sinks.mqtt_connection import (
    DIAL_S,
    OFFLINE,
    ONLINE,
    Connection,
    Credentials,
    Topics,
)
from edge.sinks.mqtt_faults import BrokerError, Fault
from edge.sinks.mqtt_log import ConnectionLog, log
from edge.sinks.mqtt_settings import MqttSettings, read_password, tls_context
from edge.sinks.outbox import Outbox
from edge.sinks.pace import Backoff, Pace
from edge.sinks.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from edge.messages.envelope import PayloadEncoder
    from edge.results.observation import Observation

__all__ = ["MqttCounters", "MqttSettings", "MqttSink"]

# The network thread wakes up so often with nothing to do: paho's keepalive needs it.
TICK_S = 1.0
# After the last message, the time that `offline` has to be acknowledged.
FAREWELL_S = 0.5
# `with` leaves so much time.
EXIT_S = 2.0
# A silent broker is noticed within a quarter of its time to answer.
TICKS_PER_ANSWER = 4
# A closing sink still makes its call, however little time it has.
SHORTEST_DIAL_S = 0.1
# Beyond its time, what a closing sink waits for its thread; a call to a silent host takes DIAL_S.
JOIN_MARGIN_S = 1.0


@dataclass(frozen=True, slots=True)
class MqttCounters:
    """One moment of a sink; published + dropped + waiting is what `publish` was given.

    Attributes:
        published: Acknowledged by the broker (QoS 1), or written to it (QoS 0).
        dropped: Given up, the oldest first, because the outbox was full.
        waiting: In memory, those on their way included.
        connects: Times that the broker accepted us.
        connected: Whether it has us now.
    """

    published: int
    dropped: int
    waiting: int
    connects: int
    connected: bool


class MqttSink:
    """Publishes observations; broker up or down, `publish` costs the encoding and some 10 µs.

    At most `outbox_messages` wait, and twenty more are on the wire. When a connection ends, those
    twenty go back to the front and are sent again: with QoS 1 some arrive twice, none is lost.

    Args:
        settings: Which broker, and as whom.
        encoder: Makes the messages; its identity makes the topics.
        pace: The waiting times.
        jitter: Random source of the backoff.
        clock: Monotonic, seconds.

    Raises:
        ConfigError: The password file or the certificates can't be used.
    """

    def __init__(
        self,
        settings: MqttSettings,
        encoder: PayloadEncoder,
        *,
        pace: Pace | None = None,
        jitter: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._encoder = encoder
        self._pace = pace or Pace()
        self._clock = clock
        identity = encoder.identity
        self._topics = Topics(
            results=encoder.topic,
            status=status_topic(identity.device, identity.camera),
        )
        self._credentials = Credentials(
            password=read_password(settings.password_file) if settings.password_file else None,
            tls=tls_context(settings.ca_file) if settings.tls else None,
        )
        self._outbox = Outbox(settings.outbox_messages)
        self._waker = Waker()
        # Jitter spreads clients over time; nobody gains by guessing it.
        self._backoff = Backoff(self._pace, jitter or random.Random())  # noqa: S311
        self._log = ConnectionLog(settings, repeat_s=self._pace.repeat_log_s, clock=clock)
        self._closing = threading.Event()
        self._deadline = 0.0
        self._connects = 0
        self._connected = False
        self._thread = threading.Thread(target=self._run, name="edge-mqtt", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(EXIT_S)

    def publish(self, observation: Observation) -> None:
        """Hand an observation over; never waits.

        Raises:
            ValueError: The sink is closed.
        """
        if self._closing.is_set():
            raise ValueError("publish must come before close, got an observation after it")
        self._outbox.put(self._encoder.encode(observation))
        self._waker.wake()

    def counters(self) -> MqttCounters:
        """Return the counts of this moment."""
        tally = self._outbox.tally()
        return MqttCounters(
            published=tally.settled,
            dropped=tally.dropped,
            waiting=tally.waiting,
            connects=self._connects,
            connected=self._connected,
        )

    def close(self, timeout_s: float) -> int:
        """Deliver what waits for at most so long, say `offline`, and hang up; idempotent.

        Without a connection it keeps trying for that long, unless nothing waits or the broker
        refuses us.

        Returns:
            Messages that were not delivered.
        """
        if not self._closing.is_set():
            self._deadline = self._clock() + timeout_s
            self._closing.set()
            self._waker.wake()
            self._thread.join(timeout_s + FAREWELL_S + JOIN_MARGIN_S)
            if self._thread.is_alive():
                log.error("mqtt: thread edge-mqtt still calls %s; left alone", self._settings.host)
            else:
                self._waker.close()
            self._log.closed(self._outbox.tally())
        return self._outbox.tally().waiting

    def _run(self) -> None:
        while not self._is_done():
            fault = self._attempt()
            if fault is None:
                return
            self._log.fault(fault)
            if self._closing.is_set() and fault.refused:
                return
            self._pause(fault)

    def _attempt(self) -> Fault | None:
        """Hold one connection until it ends; return why, or None for a clean end."""
        try:
            self._serve()
        except BrokerError as error:
            return error.fault
        return None

    def _is_done(self) -> bool:
        """Whether the sink is closing with nothing left, or with no time left."""
        if not self._closing.is_set():
            return False
        return not self._outbox.tally().waiting or self._remaining_s() <= 0

    def _remaining_s(self) -> float:
        """Return what is left of a closing sink's time."""
        return max(0.0, self._deadline - self._clock())

    def _patience_s(self, longest_s: float) -> float:
        """Return how long to wait in one go, which the deadline of a closing sink cuts short."""
        return min(longest_s, self._remaining_s()) if self._closing.is_set() else longest_s

    def _pause(self, fault: Fault) -> None:
        delay_s = self._backoff.next_s(refused=fault.refused)
        if self._closing.wait(delay_s) and not self._is_done():
            # The end is near: a broker that restarts just now still gets the rest.
            time.sleep(self._patience_s(min(delay_s, self._pace.base_s)))

    def _serve(self) -> None:
        """Hold one connection, from the call to a clean end.

        Raises:
            BrokerError: It ended in another way.
        """
        connection = Connection(
            self._settings,
            self._topics,
            outbox=self._outbox,
            credentials=self._credentials,
            answer_s=self._pace.answer_s,
            clock=self._clock,
        )
        try:
            connection.open(max(SHORTEST_DIAL_S, self._patience_s(DIAL_S)))
            while not connection.is_accepted and not self._is_done():
                self._step(connection)
            if connection.is_accepted:
                self._deliver(connection)
        finally:
            self._connected = False
            connection.close()
            if connection.is_accepted and connection.age_s >= self._pace.steady_s:
                self._backoff.reset()

    def _deliver(self, connection: Connection) -> None:
        self._connects += 1
        self._connected = True
        self._log.connected(self._outbox.tally())
        connection.announce(ONLINE)
        while not self._is_done():
            connection.feed()
            self._step(connection)
        connection.announce(OFFLINE)
        farewell_at = self._clock() + FAREWELL_S
        while not connection.is_idle and self._clock() < farewell_at:
            connection.step(self._waker, timeout_s=FAREWELL_S)
        connection.leave()

    def _step(self, connection: Connection) -> None:
        longest_s = min(TICK_S, self._pace.answer_s / TICKS_PER_ANSWER)
        connection.step(self._waker, timeout_s=self._patience_s(longest_s))
