"""Messages on their way out: bounded in number and in bytes, and what gives way first."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.messages.envelope import Message
    from edge.sinks.journal import Journal

# So many that are given up in a row show the receiver's limit; then none is tried for `HOLD_S`, and
# at most `MOST_HOLD_S`: each try costs a connection, and whoever listens hears `offline`.
REFUSALS, HOLD_S, MOST_HOLD_S = 2, 60.0, 3600.0
# What Python keeps for a message beside its payload: 177 bytes and its topic, on CPython 3.11.
OVERHEAD_BYTES = 256
QUEUE_BYTES = 8 * 1024 * 1024


class Tally(NamedTuple):
    """How many streamed messages and events were delivered, thrown away, or are on their way."""

    settled: int
    dropped: int
    waiting: int


@dataclass(slots=True, eq=False)
class Entry:
    """A message in the outbox.

    Attributes:
        losses: Connections that ended while it was on its way.
        is_suspect: Whether it may be what ended one; then it is sent alone.
        number: Of an event in the journal; 0 of all else.
    """

    message: Message
    number: int = 0
    losses: int = 0
    is_suspect: bool = False

    @property
    def size_bytes(self) -> int:
        """What it takes in memory."""
        return len(self.message.payload) + OVERHEAD_BYTES

    @property
    def key(self) -> str:
        """What it is the state of; empty of what is no state."""
        is_state = self.message.policy == "state"
        return (self.message.key or self.message.topic) if is_state else ""


class Outbox:
    """A store between the threads that make messages and the one that delivers them.

    States go out first, then events, then the stream; the oldest of the stream give way first, then
    the oldest events. States have half of the bytes, beside the newest one; beyond that the largest
    give way, which are images. What is taken is the outbox's business until settled or put back.

    A message that the receiver cannot stand ends the connection, and would end the next ones too.
    So those that were on their way when a connection was lost are suspects and go out one by one;
    one that is alone on its way at the next loss is given up. Whatever is as large is a suspect
    then, until one of its size is delivered; after two that were given up, all but events of that
    size are `hopeless` for a minute, twice as long each time.

    With a journal, events are on the disk as well until they are settled, and have its bytes for
    themselves, however many they are; those that it holds from before go out first.

    Args:
        messages: Most events, and most of the stream, that wait; those taken apart.
        size_bytes: Most memory for all that wait.
        journal: Keeps events; the caller's to close.
        clock: Seconds.
    """

    def __init__(
        self,
        *,
        messages: int,
        size_bytes: int = QUEUE_BYTES,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if messages < 1:
            raise ValueError(f"messages must be 1 or more, got {messages}")
        self._most = messages
        self._most_bytes = size_bytes
        self._journal = journal
        # What waits, and all states.
        self._bytes = {"state": 0, "event": 0, "stream": 0}
        self._states: dict[str, Entry] = {}
        # Of states those that are due; a state stays in memory when it was sent.
        self._lanes: dict[str, deque[Entry]] = {
            policy: deque() for policy in ("state", "event", "stream")
        }
        self._settled = self._dropped = self._waiting = 0
        self._clock = clock
        self._refused_bytes, self._refusals, self._hopeless_until = math.inf, 0, 0.0
        self._lock = threading.Lock()
        for number, message in journal.live.items() if journal else ():
            self._append(Entry(message, number))
            self._waiting += 1

    def put(self, message: Message) -> None:
        """Store a message; older ones make room where there is none."""
        entry = Entry(message)
        with self._lock:
            self._waiting += not entry.key
            if entry.size_bytes > self._most_bytes:
                self._drop(entry)
                return
            if entry.key:
                self._forget(entry.key)
                self._states[entry.key] = entry
            elif self._journal and message.policy == "event":
                entry.number = self._journal.append(message)
            self._append(entry)
            self._make_room()

    def take(self, *, suspects: bool = True) -> Entry | None:
        """Return the next message to deliver, or None; settle it or put it back later.

        While others are on their way, no suspect may be taken.
        """
        with self._lock:
            lane = next(filter(None, self._lanes.values()), None)
            if lane is None:
                return None
            entry = lane[0]
            entry.is_suspect = entry.losses > 0 or entry.size_bytes >= self._refused_bytes
            if entry.is_suspect and not suspects:
                return None
            self._bytes[entry.message.policy] -= 0 if entry.key else entry.size_bytes
            return lane.popleft()

    def is_hopeless(self, entry: Entry) -> bool:
        """Whether a taken message is as large as those that ended the connections before."""
        is_large = entry.size_bytes >= self._refused_bytes and entry.message.policy != "event"
        return is_large and self._clock() < self._hopeless_until

    def settle(self, entry: Entry) -> None:
        """Note that a taken message was delivered."""
        with self._lock:
            entry.losses = 0
            if entry.size_bytes >= self._refused_bytes:
                self._refused_bytes, self._refusals, self._hopeless_until = math.inf, 0, 0.0
            self._waiting -= not entry.key
            self._settled += not entry.key
            if self._journal and entry.number:
                self._journal.done(entry.number)

    def give_up(self, entry: Entry) -> None:
        """Note that a taken message was not delivered and never will be."""
        with self._lock:
            self._drop(entry)

    def put_back(self, entries: Sequence[Entry], *, lost: bool) -> Entry | None:
        """Return taken messages to the front; the oldest are dropped where there is no room.

        Args:
            entries: In the order in which they were taken.
            lost: The receiver ended the connection, perhaps because of one of them.

        Returns:
            The message that was given up, because it alone can have ended the connection.
        """
        with self._lock:
            if lost and len(entries) == 1 and entries[0].is_suspect:
                self._refused_bytes = min(self._refused_bytes, entries[0].size_bytes)
                self._refusals += 1
                if self._refusals >= REFUSALS:
                    hold_s = min(MOST_HOLD_S, HOLD_S * 2.0 ** min(9, self._refusals - REFUSALS))
                    self._hopeless_until = self._clock() + hold_s
                self._drop(entries[0])
                return entries[0]
            for entry in reversed(entries):
                entry.losses += lost
                if entry.key and self._states.get(entry.key) is not entry:
                    continue
                self._bytes[entry.message.policy] += 0 if entry.key else entry.size_bytes
                self._lanes[entry.message.policy].appendleft(entry)
            self._make_room()
            return None

    def renew(self) -> None:
        """Make every state due again, for a receiver that may know none."""
        with self._lock:
            self._lanes["state"] = deque(self._states.values())

    def held(self) -> list[Message]:
        """Return what waits and all states, in the order in which they go out."""
        with self._lock:
            lanes = [self._states.values(), self._lanes["event"], self._lanes["stream"]]
            return [entry.message for lane in lanes for entry in lane]

    def tally(self) -> Tally:
        """Return the counts of one moment."""
        with self._lock:
            return Tally(self._settled, self._dropped, self._waiting)

    def _append(self, entry: Entry) -> None:
        self._lanes[entry.message.policy].append(entry)
        self._bytes[entry.message.policy] += entry.size_bytes

    def _make_room(self) -> None:
        while len(self._states) > 1 and self._bytes["state"] > self._most_bytes / 2:
            older = list(self._states.values())[:-1]
            self._forget(max(older, key=lambda entry: entry.size_bytes).key)
        for policy in ("stream", "event"):
            lane = self._lanes[policy]
            while lane and self._is_over(policy):
                self._bytes[policy] -= lane[0].size_bytes
                self._drop(lane.popleft())

    def _is_over(self, policy: str) -> bool:
        """Whether something of this policy has to give way."""
        if self._journal and policy == "event":
            return self._bytes["event"] > self._journal.limit_bytes
        own = self._bytes["event"] if self._journal else 0
        is_long = len(self._lanes[policy]) > self._most
        return is_long or sum(self._bytes.values()) - own > self._most_bytes

    def _drop(self, entry: Entry) -> None:
        """Give up an entry that lies in no lane."""
        self._waiting -= not entry.key
        self._dropped += not entry.key
        if self._journal and entry.number:
            self._journal.done(entry.number)
        if entry.key and self._states.get(entry.key) is entry:
            self._forget(entry.key)

    def _forget(self, key: str) -> None:
        if entry := self._states.pop(key, None):
            self._bytes["state"] -= entry.size_bytes
            with contextlib.suppress(ValueError):  # it is under way
                self._lanes["state"].remove(entry)
