"""Each message to every sink, so that none of them can hold up or end another."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edge.errors import SinkError
from edge.sinks.queued import Queued

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge.messages.envelope import Message, Received
    from edge.sinks.outbox import Tally

log = logging.getLogger("edge.sinks")

# What waits for a sink that is slower than the others.
BUFFER_MESSAGES = 1000


class Sink(Protocol):
    """Where messages go.

    Attributes:
        name: For people.
        may_wait: Whether `send` may wait for whoever takes the messages.
    """

    name: str
    may_wait: bool

    def send(self, message: Message) -> None:
        """Take one message; raises `SinkError` when no further one can be taken."""

    def close(self, timeout_s: float) -> int:
        """Deliver what waits, for so long at most; return how many messages were not delivered."""


@runtime_checkable
class Subscribable(Protocol):
    """A sink that also hears."""

    def send(self, message: Message) -> None:
        """Take one message; never waits."""

    def subscribe(self, topic: str, handler: Callable[[str, Received], object]) -> None:
        """Have what arrives on a topic handed over."""


@runtime_checkable
class Connected(Protocol):
    """A sink with a connection that comes and goes.

    Attributes:
        connected: Whether it has one now.
    """

    connected: bool


@runtime_checkable
class Counting(Protocol):
    """A sink that keeps messages until they are delivered."""

    def tally(self) -> Tally:
        """Return how many were delivered, were dropped, and wait."""


class Fanout:
    """Sends each message to every sink.

    A sink that is alone is called directly: it may wait, so that a file or a slow reader gets every
    message, and its error is the caller's. Beside others, one that may wait is called on a thread
    of its own, behind a buffer whose oldest messages are dropped; and one that fails is left, said
    once, while the others go on.

    Args:
        sinks: One or more.

    Attributes:
        failure: Why the first of several sinks ended before its time, to be raised at the end; of
            what was logged already it says only where.
        undelivered: After `close`, by the name of the sink, how many messages it could not deliver.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.failure: SinkError | None = None
        self.undelivered: dict[str, int] = {}
        buffers = len(sinks) > 1
        self._sinks = [_Buffered(sink) if sink.may_wait and buffers else sink for sink in sinks]
        self._going = list(self._sinks)
        self._states: dict[str, Message] = {}
        self._channel_states: dict[str, Message] = {}
        self._handlers: list[tuple[str, Callable[[str, Received], object]]] = []

    def send(self, message: Message) -> None:
        """Hand a message to every sink; raises the `SinkError` of the last one that was left."""
        if message.policy == "state":
            self._states[message.key or message.topic] = message
        for sink in tuple(self._going):
            try:
                sink.send(message)
            except SinkError as error:  # noqa: PERF203 - each sink fails alone
                self._going.remove(sink)
                if not self._going:
                    raise
                log.error("%s; the other sinks go on", error)  # noqa: TRY400 - a sentence
                self.failure = self.failure or type(error)(
                    f"{sink.name}: ended while the other sinks went on; the log above says why"
                )

    def subscribe(self, topic: str, handler: Callable[[str, Received], object]) -> None:
        """Have what arrives on a topic handed over, by each sink that has a way back.

        Args:
            topic: May hold the wildcards + and #.
            handler: Called with topic and payload on the sink's thread, which waits for it; the
                payload knows where an answer goes.
        """
        self._handlers.append((topic, handler))
        for sink in self._sinks:
            if isinstance(sink, Subscribable):
                sink.subscribe(topic, handler)

    def tallies(self) -> dict[str, Tally]:
        """Return the counts of each sink that keeps messages, by its name."""
        return {sink.name: sink.tally() for sink in self._sinks if isinstance(sink, Counting)}

    def exchange(
        self, gone: Sequence[Sink], opened: Callable[[], Sequence[Sink]], *, timeout_s: float
    ) -> int:
        """Close sinks and open others in their place; what is sent meanwhile waits for them.

        The others get the states that hold, and hear what those before heard. They are opened last:
        two of them would fight for one name at a broker, or for one file.

        Args:
            gone: Of those open.
            opened: Opens the others.
            timeout_s: For each to deliver what waits.

        Returns:
            How many messages those before did not deliver.
        """
        keeper, left = _Keeper(), 0
        self._going.append(keeper)
        leaving = [sink for sink in self._sinks if getattr(sink, "behind", sink) in gone]
        for sink in leaving:
            self._sinks.remove(sink)
            if sink in self._going:
                self._going.remove(sink)
            left += sink.close(timeout_s)
        try:
            sinks = opened()
            several = len(sinks) + len(self._sinks) > 1
            for sink in [each for each in self._sinks if each.may_wait and several]:
                self._put_in_place(sink, _Buffered(sink))
            for sink in sinks:
                new = _Buffered(sink) if sink.may_wait and several else sink
                states = tuple(self._states.values())
                if isinstance(new, Subscribable):
                    for topic, handler in self._handlers:
                        new.subscribe(topic, handler)
                    states += tuple(self._channel_states.values())
                _send_all(states, [new])
                keeper.to.append(new)
        finally:
            self._sinks += keeper.to
            keeper.hand_on(self._going)
        return left

    def _put_in_place(self, sink: Sink, other: Sink) -> None:
        for sinks in (self._sinks, self._going):
            if sink in sinks:
                sinks[sinks.index(sink)] = other

    @property
    def is_connected(self) -> bool | None:
        """Whether every sink that has a connection has it now; `None` where none has one."""
        found = [sink.connected for sink in self._sinks if isinstance(sink, Connected)]
        return all(found) if found else None

    @property
    def channel(self) -> Subscribable | None:
        """The way to the broker and back, of another one too that takes its place; or nothing."""
        has_one = any(isinstance(sink, Subscribable) for sink in self._sinks)
        return _Channel(self) if has_one else None

    def send_by_channel(self, message: Message) -> None:
        """Send to the sinks that also hear, and to no other."""
        if message.policy == "state":
            self._channel_states[message.key or message.topic] = message
        for sink in tuple(self._going):
            if isinstance(sink, Subscribable):
                sink.send(message)

    def close(self, timeout_s: float) -> int:
        """Close every sink, each with so long; return how many messages were not delivered."""
        left = {sink.name: sink.close(timeout_s) for sink in self._sinks}
        self.undelivered = {name: number for name, number in left.items() if number}
        late = [sink.failure for sink in self._sinks if isinstance(sink, Queued)]
        self.failure = next(filter(None, (self.failure, *late)), None)
        return sum(left.values())


class _Keeper:
    """Keeps what is sent while sinks are exchanged; the oldest are dropped beyond."""

    name = "exchange"
    may_wait = False

    def __init__(self) -> None:
        self.to: list[Sink] = []
        self._kept: deque[Message] = deque(maxlen=BUFFER_MESSAGES)
        self._lock = threading.Lock()
        self._is_over = False

    def send(self, message: Message) -> None:
        with self._lock:
            if self._is_over:
                _send_all([message], self.to)
            else:
                self._kept.append(message)

    def hand_on(self, going: list[Sink]) -> None:
        """Send what was kept to those that came, and put them in the place of this one."""
        with self._lock:
            self._is_over = True
            going[going.index(self) : going.index(self) + 1] = self.to
            _send_all(self._kept, self.to)

    def close(self, timeout_s: float) -> int:  # noqa: ARG002 - it is none that is closed
        return 0


def _send_all(messages: Iterable[Message], sinks: Sequence[Sink]) -> None:
    for message in messages:
        for sink in sinks:
            sink.send(message)


class _Channel:
    """The broker, whichever sink it is reached by."""

    def __init__(self, fanout: Fanout) -> None:
        self.send, self.subscribe = fanout.send_by_channel, fanout.subscribe


class _Buffered(Queued):
    """A sink that may wait, on a thread of its own."""

    def __init__(self, sink: Sink) -> None:
        self.behind = self._sink = sink
        super().__init__(sink.name, messages=BUFFER_MESSAGES)

    def deliver(self, message: Message) -> bool:
        self._sink.send(message)
        return True

    def close(self, timeout_s: float) -> int:
        return super().close(timeout_s) + self._sink.close(0)
