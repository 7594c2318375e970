"""A sink that takes its time: a queue, and a thread that delivers one message after the other."""

from __future__ import annotations

import base64
import logging
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from edge.errors import SinkError
from edge.sinks.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.messages.envelope import Message
    from edge.sinks.outbox import Tally

log = logging.getLogger("edge.sinks")


class Unfinished(SinkError):  # noqa: N818 - no fault: the end came first
    """The sink is closing, and the message was not delivered."""


class Queued:
    """Delivers messages on a thread of its own, behind an outbox whose oldest are dropped.

    A subclass says how one is delivered, and calls this constructor last: it starts the thread.

    Args:
        name: For people.
        messages: Most that wait.
        wants: Which ones it takes.

    Attributes:
        failure: Why it ended before its time; the next `send` raises it.
        closing: Set when the end has come.
    """

    may_wait = False

    def __init__(
        self, name: str, *, messages: int, wants: Callable[[Message], bool] = lambda _: True
    ) -> None:
        self.name = name
        self.failure: SinkError | None = None
        self._wants = wants
        self.closing = threading.Event()
        self._outbox = Outbox(messages=messages)
        self._news = threading.Event()
        self._has_told = False
        self._thread = threading.Thread(target=self._run, name=f"edge-{name}", daemon=True)
        self._thread.start()

    def deliver(self, message: Message) -> bool:
        """Deliver one message; return whether it was, and is not given up.

        Raises:
            Unfinished: It could not be delivered, and the sink is closing.
            SinkError: No further one can be delivered.
        """
        raise NotImplementedError

    def send(self, message: Message) -> None:
        """Hand a message over, if it is one of those wanted; never waits."""
        if self.failure:
            raise self.failure
        if not self._wants(message):
            return
        self._outbox.put(message)
        self._news.set()
        if not self._has_told and self._outbox.tally().dropped:
            self._has_told = True
            log.warning(
                "%s: its reader takes less than there is; the oldest results are dropped for it",
                self.name,
            )

    def tally(self) -> Tally:
        """Return the counts of this moment."""
        return self._outbox.tally()

    def close(self, timeout_s: float) -> int:
        """Deliver what waits, for so long at most; return how many messages were not delivered."""
        self.closing.set()
        self._news.set()
        self._thread.join(timeout_s)
        tally = self._outbox.tally()
        if tally.dropped:
            log.warning("%s: %d results were dropped in all", self.name, tally.dropped)
        return tally.waiting

    def _run(self) -> None:
        while True:
            self._news.clear()
            while (entry := self._outbox.take()) is not None:
                try:
                    is_delivered = self.deliver(entry.message)
                except Unfinished:
                    return
                except SinkError as error:
                    self.failure = error
                    return
                (self._outbox.settle if is_delivered else self._outbox.give_up)(entry)
            if self.closing.is_set():
                return
            self._news.wait()


def as_json(topic: str, payload: bytes, **more: str) -> bytes:
    """Return a message as one JSON object for who does not speak MQTT.

    Args:
        topic: Where it goes.
        payload: A JSON object stays one, other text is a text, and anything else base64.
        more: What else to say of it.
    """
    told: dict[str, Any] = {"topic": topic, **more}
    try:
        told["payload"] = payload.decode()
        found = msgspec.json.decode(payload)
        told["payload"] = found if isinstance(found, dict) else told["payload"]
    except UnicodeDecodeError:
        told["payload_base64"] = base64.b64encode(payload).decode()
    except (msgspec.DecodeError, RecursionError):
        pass  # a text it stays
    return msgspec.json.encode(told)
