"""The components of a device in Home Assistant: entities and device triggers, each by a topic.

Keys are abbreviated as Home Assistant abbreviates them (its `mqtt/abbreviations.py`). A component
exists only where its topic does; its templates stand a key that is not there, as Home Assistant
would log an error for each message.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.messages.envelope import status_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.homeassistant.inventory import Inventory, View

Component = dict[str, Any]
Named = tuple[str, Component]


def components(told: Inventory) -> dict[str, Component]:
    """Return the components of a device, by the key that each keeps for ever."""
    found: dict[str, Component] = {}
    for view in told.views:
        found.update(_of_camera(_Maker(told, view)))
    return found


def slug(text: str) -> str:
    """Return a text in the characters of an id: a digest follows where others were left out."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    is_whole = re.fullmatch(r"[A-Za-z0-9 _-]*[A-Za-z0-9]", text) is not None
    return name if is_whole else f"{name}_{zlib.crc32(text.encode()):08x}".strip("_")


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the components of the device, or of one of its cameras.

    With one camera, the device's name says which one is meant.
    """

    told: Inventory
    view: View | None = None

    def entity(self, key: str, platform: str, name: str, **options: Any) -> Named:  # noqa: ANN401
        """Return an entity.

        Args:
            key: Tells it from the others of its camera, however it is called.
            platform: Home Assistant's kind of it.
            name: Behind the device's.
            options: Of its platform.
        """
        if self.view:
            key = f"{self.view.camera}_{key}"
            if len(self.told.views) > 1:
                name = f"{self.view.camera} {name}"
        name = name[:1].upper() + name[1:]
        ids = {
            "p": platform,
            "name": name,
            "uniq_id": f"{self.told.device}_{key}",
            "def_ent_id": f"{platform}.{slug(self.told.name)}_{slug(name)}",
        }
        return key, ids | options

    def topic(self, level: str) -> str:
        """Return a topic of the device, or of the camera."""
        return "/".join(
            ["edge", self.told.device, *([self.view.camera] if self.view else []), level]
        )

    def available(self) -> Component:
        """Return when an entity of a camera is: device and camera are online."""
        of_camera = {
            "t": self.topic("status"),
            "val_tpl": "{{ 'online' if value == 'online' else 'offline' }}",
        }
        return {"avty": [*device_available(self.told), of_camera], "avty_mode": "all"}


def device_available(told: Inventory) -> list[Component]:
    """Return when a device is."""
    return [{"t": status_topic(told.device)}]


def _of_camera(make: _Maker) -> Iterator[Named]:
    yield make.entity(
        "connection",
        "binary_sensor",
        "camera",
        dev_cla="connectivity",
        ent_cat="diagnostic",
        stat_t=make.topic("status"),
        val_tpl="{{ 'ON' if value == 'online' else 'OFF' }}",
    )
