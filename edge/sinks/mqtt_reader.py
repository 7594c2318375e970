"""The other direction: what arrives at a broker that comes and goes, for who wants to see it."""

from __future__ import annotations

import logging
import secrets
import select
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING

from edge.backoff import Backoff
from edge.repeats import REPEAT_S, Repeats
from edge.sinks.mqtt_connection import Connection
from edge.sinks.mqtt_faults import BrokerError, ConnectionLog
from edge.sinks.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.config.mqtt import Mqtt

log = logging.getLogger("edge.sinks.mqtt")

DIAL_S, ANSWER_S, STEP_S = 5.0, 10.0, 1.0
BASE_S, CAP_S = 0.5, 5.0


class MqttReader:
    """Subscribes, and gives what arrives; it publishes nothing and leaves no will.

    Args:
        settings: Which broker, and as which user.
        topics: May hold the wildcards + and #.

    Attributes:
        subscribed: Set once the broker has answered to every subscription.

    Raises:
        ConfigError: The password file or the certificates can't be used.
    """

    def __init__(self, settings: Mqtt, topics: Sequence[str]) -> None:
        self.subscribed = threading.Event()
        self._address, self._count = settings.address, len(topics)
        self._connection = Connection(
            settings,
            Outbox(messages=1, size_bytes=0),
            ConnectionLog(settings, repeat_s=REPEAT_S),
            status_topic="",
            answer_s=ANSWER_S,
        )
        self._arrived: deque[tuple[str, bytes]] = deque()
        for topic in topics:
            self._connection.handlers.append((topic, lambda *each: self._arrived.append(each)))
        self._waker, self._alarm = socket.socketpair()
        self._is_stopping = False

    def stop(self) -> None:
        """End `messages` soon; may be called by any thread and by a signal."""
        self._is_stopping = True
        self._alarm.send(b"\0")

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Yield topic and payload of what arrives until `stop` is called.

        A connection that is lost is opened again, however long that takes; the log says so once.

        Raises:
            BrokerError: The first one failed: then the URL is wrong more often than the broker.
        """
        client_id, connection = f"edge-watch-{secrets.token_hex(4)}", self._connection
        backoff, repeats = Backoff(base_s=BASE_S, cap_s=CAP_S), Repeats()
        while not self._is_stopping:
            try:
                connection.open(client_id, timeout_s=DIAL_S)
                is_told = False
                while not self._is_stopping:
                    if connection.is_accepted:
                        connection.feed()
                    connection.step(self._waker, timeout_s=STEP_S)
                    if not is_told and connection.answered >= self._count:
                        is_told = True
                        self.subscribed.set()
                        backoff.reset()
                        log.info("mqtt: connected to %s", self._address)
                    while self._arrived:
                        yield self._arrived.popleft()
                connection.leave()
            except BrokerError as error:  # noqa: PERF203 - one a connection
                if not self.subscribed.is_set():
                    raise
                repeats.warn(log, error.kind, f"{error}; trying again")
                select.select([self._waker], [], [], backoff.next_s())
            finally:
                connection.close(lost=False)
