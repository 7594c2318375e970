"""The section `[homeassistant]`: what Home Assistant is told of this device."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edge.record import Record, Text

ShortText = Annotated[Text, Meta(min_length=1, max_length=64, description="1 to 64 characters")]


class HomeAssistant(Record, frozen=True):
    """What Home Assistant is told; without the section, nothing.

    Attributes:
        enabled: `false` takes the device out of Home Assistant.
        prefix: Home Assistant's own discovery prefix, below which it listens.
        name: What it calls the device; empty takes `[device] name`.
        area: The area that it suggests for the device.
        labels: Those that have entities; empty takes the ones that zones, lines, filters and
            `[events]` name, or else the model's first three.
    """

    enabled: bool = True
    prefix: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\Z",
            max_length=64,
            description="levels of a topic, such as homeassistant",
        ),
    ] = "homeassistant"
    name: ShortText | None = None
    area: ShortText | None = None
    labels: Annotated[tuple[Text, ...], Meta(max_length=20)] = ()
