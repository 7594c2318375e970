"""The components of a device in Home Assistant: entities and device triggers, each by a topic.

Keys are abbreviated as Home Assistant abbreviates them (its `mqtt/abbreviations.py`). A component
exists only where its topic does. Templates live with a key that is missing: Home Assistant would
log an error for each message and entity.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.messages.envelope import status_topic
from edge.messages.events import WHOLE_FRAME as FRAME
from edge.messages.snapshot import WHOLE_FRAME, snapshot_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.homeassistant.inventory import Inventory, View

Component = dict[str, Any]
Named = tuple[str, Component]

DIAGNOSTIC = {"ent_cat": "diagnostic"}
SETTING = {"ent_cat": "config"}
# How Home Assistant shows a trigger: "person" enters drive.
HAPPENS = {"appear": "appears", "disappear": "disappears", "enter": "enters", "leave": "leaves",
           "dwell": "stays in"}  # fmt: skip
TRIGGERED_BY = "/".join(
    f"{{{{ value_json.{key} }}}}" for key in ("event_type", "zone", "direction", "label")
)


def components(told: Inventory) -> dict[str, Component]:
    """Return the components of a device, by the key that each keeps for ever."""
    found: dict[str, Component] = dict(_of_device(_Maker(told), told))
    for view in told.views:
        make = _Maker(told, view)
        for part in (_of_camera, _of_counts, _of_lines, _of_events, _of_pictures):
            found.update(part(make, view))
    return found


def device_available(told: Inventory) -> list[Component]:
    """Return when a device is."""
    return [{"t": status_topic(told.device)}]


def slug(text: str) -> str:
    """Return a text in the characters of an id: a digest follows where others were left out."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    is_whole = re.fullmatch(r"[A-Za-z0-9 _-]*[A-Za-z0-9]", text) is not None
    return name if is_whole else f"{name}_{zlib.crc32(text.encode()):08x}".strip("_")


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the components of a device, or of one of its cameras.

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
        key = self.key(key)
        if self.view and len(self.told.views) > 1:
            name = f"{self.view.camera} {name}"
        name = name[:1].upper() + name[1:]
        ids = {
            "p": platform,
            "name": name,
            "uniq_id": f"{self.told.device}-{key}",
            "def_ent_id": f"{platform}.{slug(self.told.name)}_{slug(name)}",
        }
        return key, ids | options

    def key(self, key: str) -> str:
        """Return the key of a component of the device, or of the camera."""
        return f"{self.view.camera}-{key}" if self.view else key

    def topic(self, level: str) -> str:
        """Return a topic of the device, or of the camera."""
        return self.topic_of_device(f"{self.view.camera}/{level}" if self.view else level)

    def topic_of_device(self, level: str) -> str:
        """Return a topic of the device."""
        return f"edge/{self.told.device}/{level}"

    def available(self) -> Component:
        """Return when an entity is that needs the camera's frames: device and camera are online."""
        of_camera = {
            "t": self.topic("status"),
            "val_tpl": "{{ 'online' if value == 'online' else 'offline' }}",
        }
        return {"avty": [*device_available(self.told), of_camera], "avty_mode": "all"}


def _of_device(make: _Maker, told: Inventory) -> Iterator[Named]:
    if "threshold" in told.hears:
        yield make.entity(
            "threshold", "number", "score threshold", stat_t=make.topic("settings"),
            val_tpl="{{ value_json.score_threshold }}", cmd_t=make.topic("command/threshold"),
            cmd_tpl='{"score_threshold": {{ value }}, "save": true}', min=0, max=1, step=0.01,
            mode="slider", ic="mdi:filter-variant", **SETTING,
        )  # fmt: skip
    if "model" in told.hears:
        yield make.entity(
            "model", "update", "model", title="Model", dev_cla="firmware",
            stat_t=make.topic("update"), cmd_t=make.topic("command/model"), pl_inst="{}", **SETTING,
        )  # fmt: skip
    if told.has_temperature:
        yield make.entity(
            "temperature", "sensor", "temperature", dev_cla="temperature", unit_of_meas="°C",
            stat_cla="measurement", sug_dsp_prc=0, stat_t=make.topic("stats"),
            val_tpl="{{ value_json.temperature_c }}", **DIAGNOSTIC,
        )  # fmt: skip


def _of_camera(make: _Maker, view: View) -> Iterator[Named]:
    yield make.entity(
        "connection", "binary_sensor", "camera", dev_cla="connectivity",
        stat_t=make.topic("status"), **DIAGNOSTIC,
        val_tpl="{{ 'ON' if value in ('online', 'paused') else 'OFF' }}",
    )  # fmt: skip
    if "enabled" in make.told.hears:
        command = {"camera": view.camera}
        yield make.entity(
            "enabled", "switch", "detection", stat_t=make.topic_of_device("settings"),
            val_tpl=f"{{{{ 'OFF' if {_text(view.camera)} in value_json.paused else 'ON' }}}}",
            stat_on="ON", stat_off="OFF", cmd_t=make.topic_of_device("command/enabled"),
            pl_on=json.dumps({"enabled": True, **command}),
            pl_off=json.dumps({"enabled": False, **command}), ic="mdi:eye", **SETTING,
        )  # fmt: skip
    if make.told.has_stats:
        number = f"value_json.cameras.get({_text(view.camera)}, {{}}).get('invoked_hz')"
        yield make.entity(
            "rate", "sensor", "inference rate", unit_of_meas="fps", stat_cla="measurement",
            sug_dsp_prc=1, stat_t=make.topic_of_device("stats"), ic="mdi:speedometer",
            val_tpl=f"{{{{ {number} }}}}", **DIAGNOSTIC,
        )  # fmt: skip
    if view.has_health:
        topic = make.topic("health")
        yield make.entity(
            "problem", "binary_sensor", "view", dev_cla="problem", stat_t=topic,
            val_tpl="{{ 'OFF' if value_json.state == 'ok' else 'ON' }}", **DIAGNOSTIC,
        )  # fmt: skip
        yield make.entity(
            "health", "sensor", "view state", stat_t=topic, json_attr_t=topic,
            val_tpl="{{ value_json.state }}", ic="mdi:eye-check", **DIAGNOSTIC,
        )  # fmt: skip


def _of_counts(make: _Maker, view: View) -> Iterator[Named]:
    for zone, labels in view.zones.items():
        for label in labels:
            key = f"{slug(zone)}-{slug(label)}"
            name = label if zone == FRAME else f"{zone} {label}"
            number = _counted(zone, label)
            where = {"stat_t": make.topic("counts"), **make.available()}
            yield make.entity(
                f"{key}-occupancy", "binary_sensor", name, dev_cla="occupancy",
                val_tpl=f"{{{{ 'ON' if {number} > 0 else 'OFF' }}}}", **where,
            )  # fmt: skip
            yield make.entity(
                f"{key}-count", "sensor", f"{name} count", stat_cla="measurement",
                val_tpl=f"{{{{ {number} }}}}", ic="mdi:counter", **where,
            )  # fmt: skip


def _of_lines(make: _Maker, view: View) -> Iterator[Named]:
    for line, (words, _) in view.lines.items():
        for word in words:
            yield make.entity(
                f"{slug(line)}-{slug(word)}-total", "sensor", f"{line} {word}",
                stat_cla="total_increasing", stat_t=make.topic("counts"), ic="mdi:counter",
                val_tpl=f"{{{{ {_counted(line, word)} }}}}", **make.available(),
            )  # fmt: skip


def _counted(place: str, key: str) -> str:
    """Return a template's way to a number; a camera that counts no longer has an empty payload."""
    counts = "(value_json.counts if value_json is defined else {})"
    return f"{counts}.get({_text(place)}, {{}}).get({_text(key)}, 0)"


def _of_events(make: _Maker, view: View) -> Iterator[Named]:
    if not view.kinds:
        return
    topic = make.topic("events")
    yield make.entity("event", "event", "event", evt_typ=list(view.kinds), stat_t=topic)
    for kind, zone, direction, label in _happenings(view):
        key = "-".join(slug(each) for each in (kind, zone, direction, label) if each)
        of_camera = f" ({view.camera})" if len(make.told.views) > 1 else ""
        happens = f"crosses {zone} {direction}" if kind == "cross" else f"{HAPPENS[kind]} {zone}"
        yield make.key(f"trigger-{key}"), {
            "p": "device_automation", "atype": "trigger", "type": happens.strip(),
            "stype": f"{label}{of_camera}", "t": topic, "val_tpl": TRIGGERED_BY,
            "pl": f"{kind}/{zone}/{direction}/{label}",
        }  # fmt: skip


def _happenings(view: View) -> Iterator[tuple[str, str, str, str]]:
    """Yield the kind, place, way and label of every event that may be told."""
    for zone, labels in view.zones.items():
        kinds = ("appear", "disappear") if zone == FRAME else ("enter", "leave", "dwell")
        for kind in kinds:
            if kind in view.kinds and (kind != "dwell" or zone in view.dwells):
                for label in labels:
                    yield kind, "" if zone == FRAME else zone, "", label
    for line, (words, labels) in view.lines.items():
        if "cross" in view.kinds:
            yield from (("cross", line, word, label) for word in words for label in labels)


def _of_pictures(make: _Maker, view: View) -> Iterator[Named]:
    pictures = [(f"{slug(label)}-snapshot", f"{label} snapshot", label) for label in view.snapshots]
    if "snapshot" in make.told.hears:
        yield make.entity(
            "take-snapshot", "button", "take snapshot", ic="mdi:camera",
            cmd_t=make.topic_of_device("command/snapshot"),
            pl_prs=json.dumps({"camera": view.camera}),
        )  # fmt: skip
        pictures.append(("frame-snapshot", "snapshot", WHOLE_FRAME))
    for key, name, label in pictures:
        topic = snapshot_topic(make.told.device, view.camera, label)
        yield make.entity(key, "image", name, img_t=topic, cont_type="image/jpeg")


def _text(text: str) -> str:
    """Return a text as a template has it."""
    return json.dumps(text, ensure_ascii=False)
