"""What a device publishes that Home Assistant can show, by its configuration and its model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edge.config.homeassistant import HomeAssistant
from edge.config.sections import host_name
from edge.config.zone import QUIET, Mask
from edge.messages.events import WHOLE_FRAME as FRAME
from edge.stages.plan import labels_of
from edge.tasks import task_for

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.config.web import Web
    from edge.config.zone import Line, Zone
    from edge.model.description import Description

# Of a model whose labels nobody names, so many have entities: 80 of COCO would make 160.
UNNAMED_LABELS = 3


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
        has_stats: Whether it says how its run goes.
        has_temperature: Whether that holds a temperature.
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
    has_temperature: bool = False


def inventory(config: Config, description: Description, *, has_sensor: bool = False) -> Inventory:
    """Return what is published as long as this configuration holds.

    Args:
        config: Of this moment.
        description: Of the model that runs.
        has_sensor: Whether the board can tell its temperature.
    """
    section = config.homeassistant or HomeAssistant(enabled=False)
    return Inventory(
        device=config.device.name,
        name=section.name or config.device.name,
        area=section.area or "",
        prefix=section.prefix,
        enabled=section.enabled,
        views=tuple(_view(camera.name, config, description) for camera in config.cameras),
        hears=_hears(config, description),
        page=_page(config.web) if config.web else "",
        has_stats=config.output.stats_s > 0,
        has_temperature=config.output.stats_s > 0 and has_sensor,
    )


def _page(web: Web) -> str:
    """Return the address of the device's page; nothing where only the device itself can open it."""
    if web.token_file is None or not web.port:
        return ""
    is_any = web.host in ("0.0.0.0", "::")  # noqa: S104 - it is compared
    host = next(iter(web.hosts), f"{host_name()}.local") if is_any else web.host
    return f"http://{f'[{host}]' if ':' in host else host}:{web.port}/"


def _hears(config: Config, description: Description) -> frozenset[str]:
    if not (config.mqtt and config.mqtt.commands):
        return frozenset()
    has_threshold = "score_threshold" in task_for(description).thresholds(description)
    return frozenset({"enabled", "model", "snapshot", *(["threshold"] if has_threshold else [])})


def _view(camera: str, config: Config, description: Description) -> View:
    shown = _shown(config, description)
    kept = config.snapshots.labels or shown if config.snapshots else ()
    view = View(
        camera,
        snapshots=tuple(label for label in shown if label in kept),
        has_health=config.selfcheck is not None,
    )
    if not config.tells_events:
        return view

    def labels(place: Zone | Line | None) -> tuple[str, ...]:
        counted = labels_of(place, config, description.labels)
        return tuple(label for label in shown if label in counted)

    zones = [zone for zone in config.zones if zone.camera in (None, camera)]
    lines = [line for line in config.lines if line.camera in (None, camera)]
    possible = _kinds(zones, lines)
    return replace(
        view,
        zones={FRAME: labels(None), **{zone.name: labels(zone) for zone in zones}},
        dwells=frozenset(zone.name for zone in zones if zone.dwell_s),
        lines={line.name: (line.words, labels(line)) for line in lines},
        kinds=tuple(kind for kind in (config.events or QUIET).kinds if kind in possible),
    )


def _kinds(zones: list[Zone], lines: list[Line]) -> set[str]:
    """Return which events can happen where there are these zones and lines."""
    kinds = {"appear", "disappear"}
    kinds |= {"enter", "leave"} if zones else set()
    kinds |= {"dwell"} if any(zone.dwell_s for zone in zones) else set()
    return kinds | ({"cross"} if lines else set())


def _shown(config: Config, description: Description) -> tuple[str, ...]:
    """Return the labels that have entities: those named, or else the model's first."""
    if config.homeassistant and config.homeassistant.labels:
        return config.homeassistant.labels
    tables = [table for table in config.about_boxes().values() if not isinstance(table, Mask)]
    named = [label for table in tables for label in getattr(table, "labels", None) or ()]
    known = [label for label in description.labels if label]
    return tuple(dict.fromkeys(named or known[:UNNAMED_LABELS]))
