"""What a sink takes: bytes for a topic, and what may become of them while nobody listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Policy = Literal["stream", "state", "event"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        topic: Where it goes; a sink without topics writes the payload alone.
        payload: Of a JSON message compact UTF-8, no newline.
        qos: 0 at most once, 1 at least once.
        retain: The broker keeps it for who subscribes later.
        policy: `stream`: the oldest make room for the newest, and are counted. `state`: only the
            newest of a key counts, and it is sent again on every connect. `event`: kept in order,
            each delivered.
        key: Of a state: what it is the state of; its topic where empty.

    Raises:
        ValueError: No message can go to this topic.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1] = 1
    retain: bool = False
    policy: Policy = "stream"
    key: str = ""

    def __post_init__(self) -> None:
        if not self.topic or "+" in self.topic or "#" in self.topic:
            raise ValueError(f"expected a topic without + and #, got {self.topic!r}")
