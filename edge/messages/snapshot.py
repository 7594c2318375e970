"""The message that is an image: JPEG bytes, kept by the broker for who asks later."""

from __future__ import annotations

import re

TOPIC = "snapshot"
# The label of a whole frame that somebody asked for.
WHOLE_FRAME = "frame"
# What a level of a topic can't hold, and what a broker may end a connection over: MQTT 5, section
# 1.5.4, control characters, halves of pairs and those that are none.
FOREIGN = re.compile(r"[/+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# A topic takes 65,535 bytes in all: MQTT 5, section 1.5.4.
MOST_CHARACTERS = 100


def snapshot_topic(device: str, camera: str, label: str) -> str:
    """Return where the images of a label go: its text, cut, `_` for what no level can hold."""
    return f"edge/{device}/{camera}/{TOPIC}/{FOREIGN.sub('_', label[:MOST_CHARACTERS])}"
