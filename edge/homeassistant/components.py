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
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.homeassistant.inventory import View, view_of
from edge.messages.events import WHOLE_FRAME as FRAME
from edge.messages.snapshot import WHOLE_FRAME, snapshot_topic
from edge.tasks import task_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config.sections import Config
    from edge.model.description import Description

Component = dict[str, Any]
Named = tuple[str, Component]

PLATFORMS = (
    "binary_sensor", "button", "device_automation", "event", "image", "number", "sensor", "switch",
    "update",
)  # fmt: skip
DIAGNOSTIC, SETTING = {"ent_cat": "diagnostic"}, {"ent_cat": "config"}
# How Home Assistant shows a trigger: "person" enters drive.
HAPPENS = {"appear": "appears", "disappear": "disappears", "enter": "enters", "leave": "leaves",
           "dwell": "stays in", "cross": "crosses"}  # fmt: skip
TRIGGERED_BY = "/".join(
    f"{{{{ value_json.{key} }}}}" for key in ("event_type", "zone", "direction", "label")
)


def components(
    config: Config, description: Description, *, has_sensor: bool, is_installed: bool = False
) -> dict[str, Component]:
    """Return the components of a device, by the key that each keeps for ever.

    Args:
        config: Of this moment.
        description: Of the model that runs.
        has_sensor: Whether the board can tell its temperature.
        is_installed: Whether it is a release, which updates replace.
    """
    found = dict(_of_device(_Maker(config), description, has_sensor=has_sensor))
    if is_installed and (command := _Maker(config).command("update")):
        found.update([_of_release(_Maker(config), command)])
    for camera in config.cameras:
        view = view_of(camera.name, config, description)
        make = _Maker(config, camera.name)
        for part in (_of_camera, _of_counts, _of_events, _of_pictures):
            found.update(part(make, view))
    return found


def slug(text: str) -> str:
    """Return a text in the characters of an id: a digest follows where others were left out."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    is_whole = re.fullmatch(r"[A-Za-z0-9 _-]*[A-Za-z0-9]", text) is not None
    return name if is_whole else f"{name}_{zlib.crc32(text.encode()):08x}".strip("_")


class _Maker(NamedTuple):
    """Makes the components of a device, or of one of its cameras."""

    config: Config
    camera: str = ""

    def entity(self, what: str, platform: str, name: str, **options: Any) -> Named:  # noqa: ANN401
        """Return an entity: `what`, a `path`, tells it from others whatever its `name` is."""
        key, device = self.key(what), self.config.device.name
        name = f"{self.camera} {name}" if self.camera and len(self.config.cameras) > 1 else name
        name = name[:1].upper() + name[1:]
        house = self.config.homeassistant
        entity_id = f"{platform}.{slug((house and house.name) or device)}_{slug(name)}"
        ids = {"p": platform, "name": name, "uniq_id": f"{device}/{key}", "def_ent_id": entity_id}
        return key, ids | options

    def key(self, what: str) -> str:
        """Return the key of a component of the device, or of the camera."""
        return f"{self.camera}/{what}" if self.camera else what

    def topic(self, level: str) -> str:
        """Return a topic of the device."""
        return f"edge/{self.config.device.name}/{level}"

    def own_topic(self, level: str) -> str:
        """Return a topic of the camera."""
        return self.topic(f"{self.camera}/{level}")

    def command(self, name: str) -> str:
        """Return where a command goes; nothing where none is heard."""
        mqtt = self.config.mqtt
        return self.topic(f"command/{name}") if mqtt and mqtt.commands else ""


def _of_release(make: _Maker, command: str) -> Named:
    keys = ("installed_version", "latest_version", "in_progress", "update_percentage")
    said = ", ".join(f"'{key}': value_json.{key}" for key in keys)
    summary = "'release_summary': (value_json.message or '')[:255]"
    return make.entity(
        "release", "update", "software", title="edge-vision", dev_cla="firmware", **SETTING,
        stat_t=make.topic("install"), val_tpl=f"{{{{ {{{said}, {summary}}} | tojson }}}}",
        cmd_t=command, pl_inst="{}",
    )  # fmt: skip


def _of_device(make: _Maker, description: Description, *, has_sensor: bool) -> Iterator[Named]:
    command = make.command("threshold")
    if command and "score_threshold" in task_for(description).thresholds(description):
        yield make.entity(
            "threshold", "number", "score threshold", stat_t=make.topic("settings"),
            val_tpl="{{ value_json.score_threshold }}", cmd_t=command,
            cmd_tpl='{"score_threshold": {{ value }}, "save": true}', min=0, max=1, step=0.01,
            mode="slider", ic="mdi:filter-variant", **SETTING,
        )  # fmt: skip
    if command := make.command("model"):
        yield make.entity(
            "model", "update", "model", title="Model", dev_cla="firmware", **SETTING,
            stat_t=make.topic("update"), cmd_t=command, pl_inst="{}",
        )  # fmt: skip
    if has_sensor and make.config.output.stats_s:
        yield make.entity(
            "temperature", "sensor", "temperature", dev_cla="temperature", unit_of_meas="°C",
            stat_cla="measurement", sug_dsp_prc=0, stat_t=make.topic("stats"),
            val_tpl="{{ value_json.temperature_c }}", **DIAGNOSTIC,
        )  # fmt: skip


def _of_camera(make: _Maker, view: View) -> Iterator[Named]:
    yield make.entity(
        "connection", "binary_sensor", "camera", dev_cla="connectivity",
        stat_t=make.own_topic("status"), **DIAGNOSTIC,
        val_tpl="{{ 'ON' if value in ('online', 'paused') else 'OFF' }}",
    )  # fmt: skip
    if command := make.command("enabled"):
        on, off = (json.dumps({"enabled": each, "camera": view.camera}) for each in (True, False))
        yield make.entity(
            "enabled", "switch", "detection", stat_t=make.topic("settings"), cmd_t=command,
            val_tpl=f"{{{{ 'OFF' if {_text(view.camera)} in value_json.paused else 'ON' }}}}",
            stat_on="ON", stat_off="OFF", pl_on=on, pl_off=off, ic="mdi:eye", **SETTING,
        )  # fmt: skip
    if make.config.output.stats_s:
        number = f"value_json.cameras.get({_text(view.camera)}, {{}}).get('invoked_hz')"
        yield make.entity(
            "rate", "sensor", "inference rate", unit_of_meas="fps", stat_cla="measurement",
            sug_dsp_prc=1, stat_t=make.topic("stats"), ic="mdi:speedometer",
            val_tpl=f"{{{{ {number} }}}}", **DIAGNOSTIC,
        )  # fmt: skip
    if view.has_health:
        said = {"stat_t": make.own_topic("health"), **DIAGNOSTIC}
        template = "{{ 'OFF' if value_json.state == 'ok' else 'ON' }}"
        yield make.entity(
            "problem", "binary_sensor", "view", dev_cla="problem", val_tpl=template, **said
        )
        yield make.entity(
            "health", "sensor", "view state", json_attr_t=said["stat_t"], ic="mdi:eye-check",
            val_tpl="{{ value_json.state }}", **said,
        )  # fmt: skip


def _of_counts(make: _Maker, view: View) -> Iterator[Named]:
    of_camera = {
        "t": make.own_topic("status"),
        "val_tpl": "{{ 'online' if value == 'online' else 'offline' }}",
    }
    # The device and the camera must be there.
    seen = {"avty": [{"t": make.topic("status")}, of_camera], "avty_mode": "all"}
    where = {"stat_t": make.own_topic("counts"), **seen}
    for zone, label in ((zone, label) for zone, labels in view.zones.items() for label in labels):
        name = label if zone == FRAME else f"{zone} {label}"
        number = _counted(zone, label)
        yield make.entity(
            path("occupancy", zone, label), "binary_sensor", name, dev_cla="occupancy",
            val_tpl=f"{{{{ 'ON' if {number} > 0 else 'OFF' }}}}", **where,
        )  # fmt: skip
        yield make.entity(
            path("count", zone, label), "sensor", f"{name} count", stat_cla="measurement",
            val_tpl=f"{{{{ {number} }}}}", ic="mdi:counter", **where,
        )  # fmt: skip
    for line, word in ((line, word) for line, (words, _) in view.lines.items() for word in words):
        yield make.entity(
            path("total", line, word), "sensor", f"{line} {word}", stat_cla="total_increasing",
            val_tpl=f"{{{{ {_counted(line, word)} }}}}", ic="mdi:counter", **where,
        )  # fmt: skip


def _counted(place: str, key: str) -> str:
    """Return a template's way to a number; a camera that counts no longer has an empty payload."""
    counts = "(value_json.counts if value_json is defined else {})"
    return f"{counts}.get({_text(place)}, {{}}).get({_text(key)}, 0)"


def _of_events(make: _Maker, view: View) -> Iterator[Named]:
    if not view.kinds:
        return
    topic = make.own_topic("events")
    yield make.entity("event", "event", "event", evt_typ=list(view.kinds), stat_t=topic)
    of_camera = f" ({view.camera})" if len(make.config.cameras) > 1 else ""
    for happening in _happenings(view):
        kind, zone, direction, label = happening
        yield make.key(path("trigger", *happening)), {
            "p": "device_automation", "atype": "trigger", "t": topic, "val_tpl": TRIGGERED_BY,
            "type": " ".join(filter(None, (HAPPENS[kind], zone, direction))),
            "stype": f"{label}{of_camera}", "pl": _verbatim("/".join(happening)),
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
    pictures = [(path("snapshot", label), f"{label} snapshot", label) for label in view.snapshots]
    if command := make.command("snapshot"):
        yield make.entity(
            "take-snapshot", "button", "take snapshot", ic="mdi:camera", cmd_t=command,
            pl_prs=json.dumps({"camera": view.camera}),
        )  # fmt: skip
        pictures.append(("snapshot", "snapshot", WHOLE_FRAME))
    for what, name, label in pictures:
        topic = snapshot_topic(make.config.device.name, view.camera, label)
        yield make.entity(what, "image", name, img_t=topic, cont_type="image/jpeg")


def path(*names: str) -> str:
    """Return names as one key, which is no other names' as well."""
    return "/".join(name.replace("%", "%25").replace("/", "%2F") for name in names)


def _text(text: str) -> str:
    """Return a text as a template has it."""
    return json.dumps(text, ensure_ascii=False)


def _verbatim(text: str) -> str:
    """Return a text as Home Assistant wants it where it renders a template, to be itself."""
    return f"{{{{ {_text(text)} }}}}" if "{" in text else text
