"""The message that is an image: JPEG bytes, kept by the broker for who asks later."""

from __future__ import annotations

import re

from edge.messages.envelope import Message

TOPIC = "snapshot"
# The label of a whole frame that somebody asked for.
WHOLE_FRAME = "frame"
# What a level of a topic can't hold.
FOREIGN = re.compile(r"[/+#\x00-\x1f\x7f]")


def snapshot_topic(device: str, camera: str, label: str) -> str:
    """Return where the images of a label go: its text, `_` for what no level can hold."""
    return f"edge/{device}/{camera}/{TOPIC}/{FOREIGN.sub('_', label)}"


def message(topic: str, jpeg: bytes) -> Message:
    """Return the message of an image."""
    return Message(topic, jpeg, retain=True, policy="state")
