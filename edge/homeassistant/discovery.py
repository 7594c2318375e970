"""The message that announces a device to Home Assistant, and what takes parts of it back.

Source: home-assistant.io/integrations/mqtt, "Device discovery payload". The root, `dev` and `o` are
strict: one key that Home Assistant does not know, and it refuses the whole device.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from edge.config.homeassistant import HomeAssistant
from edge.config.sections import host_name
from edge.homeassistant.components import PLATFORMS, components
from edge.messages.envelope import Message, status_topic
from edge.sensors import text_of

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.config.web import Web
    from edge.homeassistant.components import Component
    from edge.model.description import Description

ORIGIN = "edge-vision"
# What says which board this is: of boards with a device tree.
BOARD_FILE = Path("/proc/device-tree/model")


class Told(NamedTuple):
    """What Home Assistant is told of a device.

    Attributes:
        device: Its name.
        prefix: Home Assistant's, of the topics that it listens to.
        root: All of the announcement but the components.
        cmps: Those, by the key that each keeps for ever; none where it is to forget the device.
    """

    device: str
    prefix: str
    root: dict[str, Any]
    cmps: dict[str, Component]

    @property
    def topic(self) -> str:
        """Where the device is announced, retained."""
        return f"{self.prefix}/device/{self.device}/config"

    def message(self, cmps: dict[str, Component]) -> Message:
        """Return what announces these components; without any, what takes the device back."""
        payload = msgspec.json.encode({**self.root, "cmps": cmps}) if cmps else b""
        return Message(self.topic, payload, retain=True, policy="state")

    def revived(self, platforms: dict[str, str]) -> dict[str, Component]:
        """Return components that were taken back while Home Assistant was away, so that they are.

        It takes back what it has seen since its start, and no other: what it remembers from before
        would stay for ever, `unavailable`. One dict fits all platforms, as keys that a platform
        does not know are dropped.
        """
        topics = dict.fromkeys(("stat_t", "cmd_t", "img_t", "t"), f"edge/{self.device}/removed")
        rest = {"pl_inst": "x", "evt_typ": ["x"], "atype": "trigger", "type": "x"}
        return {
            key: {"p": platform, "uniq_id": f"{self.device}/{key}", "stype": key, **topics, **rest}
            for key, platform in platforms.items()
        }


def told_of(
    config: Config,
    description: Description,
    *,
    has_sensor: bool = False,
    is_installed: bool = False,
) -> Told:
    """Return what is told as long as this configuration holds.

    Args:
        config: Of this moment.
        description: Of the model that runs.
        has_sensor: Whether the board can tell its temperature.
        is_installed: Whether it is a release, which updates replace.
    """
    section = config.homeassistant or HomeAssistant(enabled=False)
    device = config.device.name
    root = {
        "dev": {
            "ids": [device],
            "name": section.name or device,
            "mf": ORIGIN,
            "mdl": text_of(BOARD_FILE) or "camera that tells what it sees",
            "sw": version(ORIGIN),
            **({"sa": section.area} if section.area else {}),
            **({"cu": page} if config.web and (page := _page(config.web)) else {}),
        },
        "o": {"name": ORIGIN, "sw": version(ORIGIN)},
        "avty": [{"t": status_topic(device)}],
        "qos": 1,
    }
    has = {"has_sensor": has_sensor, "is_installed": is_installed}
    found = components(config, description, **has) if section.enabled else {}
    return Told(device, section.prefix, root, found)


def announced(payload: bytes) -> dict[str, str]:
    """Return of an announcement the platform of each component; nothing of what is none of ours.

    A platform that we have none of is left out: Home Assistant may know it no more, and would
    refuse the whole device.
    """
    try:
        fields = msgspec.json.decode(payload)
        is_ours = fields["o"]["name"] == ORIGIN
        found = {str(key): each["p"] for key, each in fields["cmps"].items() if is_ours}
        return {key: platform for key, platform in found.items() if platform in PLATFORMS}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}


def removed(platforms: dict[str, str]) -> dict[str, Component]:
    """Return what takes components back: nothing but their platform."""
    return {key: {"p": platform} for key, platform in platforms.items()}


def _page(web: Web) -> str:
    """Return the address of the device's page; nothing where only the device itself can open it."""
    if web.token_file is None or not web.port:
        return ""
    is_any = web.host in ("0.0.0.0", "::")  # noqa: S104 - it is compared
    host = next(iter(web.hosts), f"{host_name()}.local") if is_any else web.host
    return f"http://{f'[{host}]' if ':' in host else host}:{web.port}/"
