"""What arrives at a broker, as a person wants to see it: a line for each thing that changed."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from edge import tasks
from edge.messages import events
from edge.messages.envelope import Envelope, Timing

if TYPE_CHECKING:
    from collections.abc import Callable

# A score that wavers about its threshold must not fill a terminal.
HOLD_S = 1.0
MOST_THINGS, MOST_CHARACTERS = 6, 300
# Anybody may publish anything.
FOREIGN = (
    msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError, RecursionError,
)  # fmt: skip
COMMON = {*Envelope.__annotations__, *Timing.__annotations__}
FRAMES = {task.topic for task in tasks.TASKS.values()}


class Lines:
    """Makes lines of messages; of frames only of those that show other labels than the last line.

    Args:
        hold_s: No two lines of a camera's frames are closer.
        every: Make a line of each frame.
        clock: Seconds.
    """

    def __init__(
        self,
        *,
        hold_s: float = HOLD_S,
        every: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hold_s = hold_s
        self._every = every
        self._clock = clock
        self._last: dict[str, tuple[float, list[str]]] = {}

    def line(self, topic: str, payload: bytes) -> str:
        """Return who says what; empty for a frame that shows nothing new."""
        levels = topic.split("/")
        if levels[0] == "edge" and len(levels) > 2:  # noqa: PLR2004 - edge, device, what it is
            who, level = "/".join(levels[1:-1]), levels[-1]
        else:
            who, level = topic, ""
        if level in FRAMES:
            try:
                seen = tasks.describe(topic, msgspec.json.decode(payload))
                return f"{who}  {things(seen)}" if self._is_news(topic, seen) else ""
            except FOREIGN:
                pass  # it is told as anything else is
        said = _said(level, payload)
        return _plain(f"{who}  {said}")

    def _is_news(self, topic: str, seen: list[tuple[str, str]]) -> bool:
        now, labels = self._clock(), sorted(label for label, _ in seen)
        told_at, told = self._last.get(topic, (-math.inf, None))
        is_news = self._every or (labels != told and now - told_at >= self._hold_s)
        if is_news:
            self._last[topic] = now, labels
        return is_news


def things(seen: list[tuple[str, str]]) -> str:
    """Return what was seen on a frame in a few words."""
    words = [_plain(text) for _, text in seen[:MOST_THINGS]]
    more = len(seen) - MOST_THINGS
    return ", ".join(words) + (f" and {more} more" if more > 0 else "") or "nothing"


def _said(level: str, payload: bytes) -> str:
    """Return what a message says that tells of no frame."""
    try:
        fields: Any = msgspec.json.decode(payload)
        if level == "model":
            place = fields["accelerator"] or fields["provider"]
            ran = f"{fields['backend']} {fields['version']} on {place}"
            return f"runs {fields['model']['name']}, by {ran}"
        if level in DESCRIBED:
            with contextlib.suppress(*FOREIGN):
                return DESCRIBED[level](fields)
        own = {key: value for key, value in fields.items() if key not in COMMON}
        text = ", ".join(f"{key} {_short(value)}" for key, value in own.items())
    except FOREIGN:
        text = _text(payload)
    return text if level == "status" or not level else f"{level}: {text}"


def _health(fields: dict[str, Any]) -> str:
    reason = f": {fields['reason']}" if fields["reason"] else ""
    return f"camera is {fields['state']}{reason}"


# Messages of these last levels say something of their own.
DESCRIBED = {
    events.EVENTS: events.describe_event,
    events.COUNTS: events.describe_counts,
    "health": _health,
}


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return f"{len(payload):,} bytes"


def _plain(text: str) -> str:
    """Return a text that does nothing to a terminal, and not more of it than is read."""
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
