"""Each message to every sink, so that none of them can hold up or end another."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edge.errors import SinkError
from edge.sinks.outbox import Outbox
from edge.sinks.queued import Queued

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    A sink that is alone may wait, so that a slow reader gets every message, and its error is the
    caller's. Beside others, one that may wait has a thread of its own and a buffer whose oldest
    messages are dropped; and one that fails is left, said once, while the others go on.

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
        self._sinks = _side_by_side(sinks)
        self._ended: list[Sink] = []
        # For sinks that come later: what holds, and what is sent while sinks are exchanged.
        self._states = Outbox(messages=BUFFER_MESSAGES)
        self._channel_states = Outbox(messages=BUFFER_MESSAGES)
        self._kept: Outbox | None = None
        self._lock = threading.Lock()
        self._handlers: list[tuple[str, Callable[[str, Received], object]]] = []

    def send(self, message: Message) -> None:
        """Hand a message to every sink; raises the `SinkError` of the last one that was left."""
        with self._lock:
            going = [sink for sink in self._sinks if sink not in self._ended]
            for store in (self._states if message.policy == "state" else None, self._kept):
                if store:
                    store.put(message)
        for sink in going:
            try:
                sink.send(message)
            except (SinkError, ValueError) as error:  # noqa: PERF203 - each sink fails alone
                if sink not in self._sinks:
                    continue  # it was closed meanwhile, for another one to come
                if not isinstance(error, SinkError):
                    raise
                self._leave(sink, error)

    def _leave(self, sink: Sink, error: SinkError) -> None:
        with self._lock:
            if sink in self._ended:
                return  # another thread was told, too
            self._ended.append(sink)
            if all(each in self._ended for each in self._sinks) and not self._kept:
                raise error
        log.error("%s; the other sinks go on", error)
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

    def kept(self) -> list[str]:
        """Return the topics of all states that hold, but of those that were taken back."""
        return [each.topic for each in self._states.held() if each.payload]

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
        leaving = [sink for sink in self._sinks if getattr(sink, "behind", sink) in gone]
        with self._lock:
            self._kept = Outbox(messages=BUFFER_MESSAGES)
            self._sinks = [sink for sink in self._sinks if sink not in leaving]
        left = sum(sink.close(timeout_s) for sink in leaving)
        new: list[Sink] = []
        try:
            new = list(opened())
        finally:
            with self._lock:
                before = len(self._sinks)
                self._sinks = _side_by_side([*self._sinks, *new])
                for sink in self._sinks[before:]:
                    self._begin(sink)
                self._kept = None
        return left

    def _begin(self, sink: Sink) -> None:
        """Give a sink all that the others had, and what was kept."""
        stores = [self._states, self._kept]
        if isinstance(sink, Subscribable):
            stores.append(self._channel_states)
            for topic, handler in self._handlers:
                sink.subscribe(topic, handler)
        for store in filter(None, stores):
            for message in store.held():
                sink.send(message)

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
        with self._lock:
            if message.policy == "state":
                self._channel_states.put(message)
            for sink in self._sinks:
                if isinstance(sink, Subscribable):
                    sink.send(message)

    def close(self, timeout_s: float) -> int:
        """Close all sinks at once, within so long; return how many messages were not delivered."""
        left = dict.fromkeys([sink.name for sink in self._sinks], 0)

        def close(sink: Sink) -> None:
            left[sink.name] = sink.close(timeout_s)

        threads = [threading.Thread(target=close, args=(sink,)) for sink in self._sinks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.undelivered = {name: number for name, number in left.items() if number}
        late = [sink.failure for sink in self._sinks if isinstance(sink, Queued)]
        self.failure = next(filter(None, (self.failure, *late)), None)
        return sum(left.values())


def _side_by_side(sinks: Sequence[Sink]) -> list[Sink]:
    """Return sinks of which none waits, where there are several."""
    several = len(sinks) > 1
    return [_Buffered(sink) if sink.may_wait and several else sink for sink in sinks]


class _Channel:
    """The broker, whichever sink it is reached by."""

    def __init__(self, fanout: Fanout) -> None:
        self.send, self.subscribe = fanout.send_by_channel, fanout.subscribe


class _Buffered(Queued):
    """A sink that may wait, on a thread of its own."""

    def __init__(self, sink: Sink) -> None:
        self.behind = sink
        super().__init__(sink.name, messages=BUFFER_MESSAGES)

    def deliver(self, message: Message) -> bool:
        self.behind.send(message)
        return True

    def close(self, timeout_s: float) -> int:
        return super().close(timeout_s) + self.behind.close(0)
