"""What a device publishes that Home Assistant can show, by its configuration and its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.model.description import Description


@dataclass(frozen=True, slots=True)
class View:
    """What one camera's topics hold.

    Attributes:
        camera: Its name.
    """

    camera: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one device's topics hold.

    Attributes:
        device: A level of every topic.
        name: What people call it.
        area: Where it is; empty where nobody said.
        model: What it looks with.
        views: One a camera.
    """

    device: str
    name: str
    area: str
    model: str
    views: tuple[View, ...]


def inventory(config: Config, description: Description) -> Inventory:
    """Return what is published as long as this configuration holds."""
    section = config.homeassistant
    device = config.device.name
    return Inventory(
        device=device,
        name=(section and section.name) or device,
        area=(section and section.area) or "",
        model=description.name,
        views=tuple(View(camera.name) for camera in config.cameras),
    )
