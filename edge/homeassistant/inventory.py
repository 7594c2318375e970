"""What a camera publishes that Home Assistant can show, by the configuration and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.config.zone import QUIET, WHOLE_FRAME, Mask
from edge.stages.plan import labels_of

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.config.zone import Line, Zone
    from edge.model.description import Description

# Of a model whose labels nobody names, so many have entities: 80 of COCO would make 160.
UNNAMED_LABELS = 3


class View(NamedTuple):
    """What one camera's topics hold.

    Attributes:
        camera: Its name.
        has_health: Whether it says how well it sees.
        snapshots: Labels of which the last object's picture is kept.
        zones: Name of each, `frame` for the whole one, to the labels that matter in it.
        dwells: Those zones that tell who stays.
        lines: Name of each to the words for its ways, and the labels that matter on it.
        kinds: Of events that are told.
    """

    camera: str
    has_health: bool = False
    snapshots: tuple[str, ...] = ()
    zones: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - nobody writes into it
    dwells: frozenset[str] = frozenset()
    lines: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {}  # noqa: RUF012
    kinds: tuple[str, ...] = ()


def view_of(camera: str, config: Config, description: Description) -> View:
    """Return what a camera publishes as long as this configuration and this model hold."""
    shown = _shown(config, description)
    kept = config.snapshots.labels or shown if config.snapshots else ()
    snapshots = tuple(label for label in shown if label in kept)
    view = View(camera, config.selfcheck is not None, snapshots)
    if not config.tells_events:
        return view

    def labels(place: Zone | Line | None) -> tuple[str, ...]:
        counted = labels_of(place, config, description.labels)
        return tuple(label for label in shown if label in counted)

    zones = [zone for zone in config.zones if zone.camera in (None, camera)]
    lines = [line for line in config.lines if line.camera in (None, camera)]
    dwells = frozenset(zone.name for zone in zones if zone.dwell_s)
    possible = {"appear", "disappear", *(("enter", "leave") if zones else ())}
    possible |= {*(("dwell",) if dwells else ()), *(("cross",) if lines else ())}
    return view._replace(
        zones={WHOLE_FRAME: labels(None), **{zone.name: labels(zone) for zone in zones}},
        dwells=dwells,
        lines={line.name: (line.words, labels(line)) for line in lines},
        kinds=tuple(kind for kind in (config.events or QUIET).kinds if kind in possible),
    )


def _shown(config: Config, description: Description) -> tuple[str, ...]:
    """Return the labels that have entities: those named, or else the model's first."""
    if config.homeassistant and config.homeassistant.labels:
        return config.homeassistant.labels
    tables = [table for table in config.about_boxes().values() if not isinstance(table, Mask)]
    named = [label for table in tables for label in getattr(table, "labels", None) or ()]
    known = [label for label in description.labels if label]
    return tuple(dict.fromkeys(named or known[:UNNAMED_LABELS]))
