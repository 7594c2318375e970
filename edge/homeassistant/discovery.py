"""The message that announces a device to Home Assistant, and what takes parts of it back.

Source: home-assistant.io/integrations/mqtt, "Device discovery payload". The root, `dev` and `o` are
strict: one key that Home Assistant does not know, and it refuses the whole device.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edge.homeassistant.components import device_available
from edge.messages.envelope import Message

if TYPE_CHECKING:
    from edge.homeassistant.components import Component
    from edge.homeassistant.inventory import Inventory

ORIGIN = "edge-vision"
# What says which board this is: of boards with a device tree.
BOARD_FILE = Path("/proc/device-tree/model")


def discovery_topic(told: Inventory) -> str:
    """Return where a device is announced, retained."""
    return f"{told.prefix}/device/{told.device}/config"


def announcement(told: Inventory, cmps: dict[str, Component]) -> Message:
    """Return what announces a device with these components."""
    fields = {
        "dev": _device(told),
        "o": {"name": ORIGIN, "sw": version(ORIGIN)},
        "avty": device_available(told),
        "qos": 1,
        "cmps": cmps,
    }
    return Message(discovery_topic(told), msgspec.json.encode(fields), retain=True, policy="state")


def withdrawal(told: Inventory) -> Message:
    """Return what takes a whole device back."""
    return Message(discovery_topic(told), b"", retain=True, policy="state")


def announced(payload: bytes) -> dict[str, str]:
    """Return of an announcement the platform of each component; nothing of what is none of ours."""
    try:
        fields = msgspec.json.decode(payload)
        is_ours = fields["o"]["name"] == ORIGIN
        return {str(key): str(each["p"]) for key, each in fields["cmps"].items() if is_ours}
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return {}


def removed(platforms: dict[str, str]) -> dict[str, Component]:
    """Return what takes components back: nothing but their platform."""
    return {key: {"p": platform} for key, platform in platforms.items()}


def revived(platforms: dict[str, str], device: str) -> dict[str, Component]:
    """Return components that were taken back while Home Assistant was away, so that they are once.

    It takes back what it has seen since its start, and no other: what it remembers from before
    would stay for ever, `unavailable`. One dict fits all platforms, as keys that a platform does
    not know are dropped.
    """
    topic = f"edge/{device}/removed"
    any_platform: Component = {
        **dict.fromkeys(("stat_t", "cmd_t", "img_t", "t"), topic),
        "pl_inst": "x",
        "evt_typ": ["x"],
        "atype": "trigger",
        "type": "x",
    }
    return {
        key: {"p": platform, "uniq_id": f"{device}-{key}", "stype": key, **any_platform}
        for key, platform in platforms.items()
    }


def _device(told: Inventory) -> dict[str, Any]:
    return {
        "ids": [told.device],
        "name": told.name,
        "mf": ORIGIN,
        "mdl": _board() or "camera that tells what it sees",
        "sw": version(ORIGIN),
        **({"sa": told.area} if told.area else {}),
        **({"cu": told.page} if told.page else {}),
    }


@cache
def _board() -> str:
    try:
        return BOARD_FILE.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""
