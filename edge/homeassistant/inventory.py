"""What a device publishes that Home Assistant can show, by its configuration and its model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.config.homeassistant import HomeAssistant

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.model.description import Description


@dataclass(frozen=True, slots=True)
class View:
    """What one camera's topics hold.

    Attributes:
        camera: Its name.
        zones: Name of each, `frame` for the whole one, to the labels that matter in it.
        dwells: Those zones that tell who stays.
        lines: Name of each to the words for its ways, and the labels that matter on it.
        kinds: Of events that are told.
        snapshots: Labels of which the last object's picture is kept.
        has_health: Whether it says how well it sees.
    """

    camera: str
    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dwells: frozenset[str] = frozenset()
    lines: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    has_health: bool = False


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one device's topics hold.

    Attributes:
        device: A level of every topic.
        name: What people call it.
        area: Where it is; empty where nobody said.
        prefix: Home Assistant's, of the topics that it listens to.
        enabled: Whether it is told at all.
        views: One a camera.
        page: Address of its own page; empty where there is none that others can open.
        hears: Names of the commands that it takes.
        has_stats: Whether it says how it is doing.
        update: File of a model that waits to be installed; empty where none does.
    """

    device: str
    name: str
    area: str
    prefix: str
    enabled: bool
    views: tuple[View, ...]
    page: str = ""
    hears: frozenset[str] = frozenset()
    has_stats: bool = False
    update: str = ""


def inventory(config: Config, description: Description) -> Inventory:
    """Return what is published as long as this configuration holds."""
    section = config.homeassistant or HomeAssistant(enabled=False)
    return Inventory(
        device=config.device.name,
        name=section.name or config.device.name,
        area=section.area or "",
        prefix=section.prefix,
        enabled=section.enabled,
        views=tuple(View(camera.name) for camera in config.cameras),
    )
