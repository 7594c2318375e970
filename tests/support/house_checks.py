"""What Home Assistant must know of the product, and what it must be able to do with it.

The expected entities are written down here, by hand: the product's own code is not asked for them.
"""

from __future__ import annotations

import io
import json
import tarfile
from hashlib import sha256
from typing import TYPE_CHECKING

from edge.model.default import default_model_path
from edge.model.readers import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from house import House

LINE = """
[[line]]
name = "kerb"
from = [0.5, 0]
to = [0.5, 1]
words = ["in", "out"]
"""
CONFIGURATION = f"""
[device]
name = "porch"
[camera]
name = "door"
source = "demo:"
size_wh = [320, 240]
rate_hz = 5
[events]
labels = ["person", "car"]
[[zone]]
name = "drive"
polygon = [[0, 0.4], [1, 0.4], [1, 1], [0, 1]]
labels = ["person"]
dwell_s = 5
{LINE}
[selfcheck]
[snapshots]
[output]
stats_s = 2
[homeassistant]
name = "Porch camera"
area = "Porch"
"""
CAR = {
    "binary_sensor.porch_camera_car",
    "image.porch_camera_car_snapshot",
    "sensor.porch_camera_car_count",
}
KERB = {"sensor.porch_camera_kerb_in", "sensor.porch_camera_kerb_out"}
EXPECTED = {
    *CAR,
    *KERB,
    "binary_sensor.porch_camera_camera",
    "binary_sensor.porch_camera_drive_person",
    "binary_sensor.porch_camera_person",
    "binary_sensor.porch_camera_view",
    "button.porch_camera_take_snapshot",
    "event.porch_camera_event",
    "image.porch_camera_person_snapshot",
    "image.porch_camera_snapshot",
    "number.porch_camera_score_threshold",
    "sensor.porch_camera_drive_person_count",
    "sensor.porch_camera_inference_rate",
    "sensor.porch_camera_person_count",
    "sensor.porch_camera_view_state",
    "switch.porch_camera_detection",
    "update.porch_camera_model",
    "update.porch_camera_software",
}
TRIGGERS = {
    *((happens, label) for happens in ("appears", "disappears") for label in ("person", "car")),
    *((happens, "person") for happens in ("enters drive", "leaves drive", "stays in drive")),
    *((f"crosses kerb {way}", label) for way in ("in", "out") for label in ("person", "car")),
}


def check_house(house: House) -> None:
    """Check everything once."""
    house.expected = EXPECTED
    house.becomes("every entity exists under its id", lambda: {*house.entities()}, EXPECTED)
    house.check("every entity has its state", ok=not (wrong := house.settle()), found=wrong)
    [device] = house.home.devices()
    areas = {each["area_id"]: each["name"] for each in house.home.ask("config/area_registry/list")}
    found = device["name"], areas.get(device["area_id"]), device["manufacturer"]
    house.check("its card", ok=found == ("Porch camera", "Porch", "edge-vision"), found=found)
    ids = [each for each in house.entities().values() if not each.startswith("porch/")]
    house.check("unique ids", ok=not ids, found=ids)
    for check in (
        _check_counts,
        _check_commands,
        _check_events,
        _check_pictures,
        _check_update,
        _check_software,
        _check_removal,
    ):
        check(house)


def check_log(house: House) -> None:
    """Check that Home Assistant had nothing to complain of."""
    wrong = house.home.warnings()
    house.check("no warning in Home Assistant's log", ok=not wrong, found="\n".join(wrong))


def _check_counts(house: House) -> None:
    state = house.home.state

    def told() -> tuple[str, str]:
        number = house.heard("door/counts")[-1]["counts"]["drive"]["person"]
        return str(number), "on" if number else "off"

    def shown() -> tuple[str | None, str | None]:
        names = "sensor.porch_camera_drive_person_count", "binary_sensor.porch_camera_drive_person"
        return state(names[0]), state(names[1])

    house.becomes("count and occupancy are the device's", lambda: shown() == told())
    rate = "sensor.porch_camera_inference_rate"
    house.becomes("it says how fast it is", lambda: 4 < float(state(rate) or 0) < 6)
    house.becomes("it sees well", lambda: (state("binary_sensor.porch_camera_view"),
                  state("sensor.porch_camera_view_state")), ("off", "ok"))  # fmt: skip


def _check_commands(house: House) -> None:
    home, number = house.home, "number.porch_camera_score_threshold"
    switch = "switch.porch_camera_detection"

    def settings(key: str) -> object:
        return house.heard("settings")[-1][key]

    home.call("number/set_value", number, value=0.61)
    house.becomes("a threshold reaches the device", lambda: settings("score_threshold"), 0.61)
    house.becomes("... and comes back", lambda: home.state(number), "0.61")
    home.call("number/set_value", number, value=0.5)
    house.becomes("... and another one", lambda: settings("score_threshold"), 0.5)
    home.call("switch/turn_off", switch)
    house.becomes("the camera pauses", lambda: settings("paused"), ["door"])
    house.becomes("... and the switch is off", lambda: home.state(switch), "off")
    home.call("switch/turn_on", switch)
    house.becomes("... and on again", lambda: home.state(switch), "on")
    house.check("every entity has its state again", ok=not (wrong := house.settle()), found=wrong)


def _check_events(house: House) -> None:
    home = house.home
    [device] = home.devices()
    rows = home.ask("device_automation/trigger/list", device_id=device["id"])
    found = {(row["type"], row["subtype"]): row for row in rows if row["domain"] == "mqtt"}
    house.check("device triggers", ok={*found} == TRIGGERS, found={*found} ^ TRIGGERS)
    keys = ("platform", "trigger", "domain", "device_id", "type", "subtype")
    row = found["enters drive", "person"]
    home.ask("subscribe_trigger", trigger={key: row[key] for key in keys if key in row})
    # The person of the scene comes in anew.
    house.device.stop()
    house.device.start()
    house.becomes("somebody enters, and a trigger fires", home.heard)
    event = "event.porch_camera_event"

    def told() -> tuple[object, object]:
        attributes = home.states()[event]["attributes"]
        return attributes.get("event_type") in TYPES, attributes.get("label")

    house.becomes("the event entity knows it too", told, (True, "person"))


def _check_pictures(house: House) -> None:
    home, topic = house.home, "edge/porch/door/snapshot/"

    def is_shown(label: str, entity: str) -> bool:
        sent = house.listener.payloads(topic + label)
        return bool(sent and sent[-1][:3] == b"\xff\xd8\xff" and home.image(entity) == sent[-1])

    person = "image.porch_camera_person_snapshot"
    house.becomes("the picture of a person", lambda: is_shown("person", person))
    home.call("button/press", "button.porch_camera_take_snapshot")
    house.becomes("a picture on demand", lambda: is_shown("frame", "image.porch_camera_snapshot"))


TYPES = {"appear", "disappear", "enter", "leave", "dwell", "cross"}


def write_newer_model(path: Path) -> None:
    """Write the built-in model with a digest of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    built_in = default_model_path()
    flatbuffer, sealed, anchors = manifest.read(built_in, built_in.read_bytes())
    changed = flatbuffer.replace(b"MLIR Converted.", b"MLIR Converted!")
    path.write_bytes(manifest.append(changed, sealed, anchors))


def _check_update(house: House) -> None:
    home, update = house.home, "update.porch_camera_model"

    def attributes() -> dict[str, object]:
        return home.states()[update]["attributes"]

    house.check("no model waits", ok=home.state(update) == "off", found=home.state(update))
    write_newer_model(house.folder / "state/models/newer.tflite")
    house.becomes("a model that was laid down waits", lambda: home.state(update), "on")
    latest = attributes()["latest_version"]
    home.call("update/install", update)
    house.becomes("it is being installed", lambda: attributes()["in_progress"], wanted=True)
    house.becomes("it is installed", lambda: (home.state(update), attributes()["in_progress"],
                  attributes()["installed_version"]), ("off", False, latest))  # fmt: skip
    house.check("no entity is lost", ok={*house.entities()} == EXPECTED, found=house.entities())


def _check_software(house: House) -> None:
    home, software = house.home, "update.porch_camera_software"
    bundles, progress = house.folder / "state/update", house.installs / "update.json"

    def shown(*names: str) -> tuple[object, ...]:
        state = home.states()[software]
        return (state["state"], *(state["attributes"][name] for name in names))

    house.becomes("no release waits", lambda: shown("installed_version"),
                  ("off", "0.1.0 (0123456789ab)"))  # fmt: skip
    bundles.mkdir(parents=True, exist_ok=True)
    listed = b'{"version": "0.2.0"}'
    with tarfile.open(bundles / "newer.tar", "w") as archive:
        entry = tarfile.TarInfo("bundle.json")
        entry.size = len(listed)
        archive.addfile(entry, io.BytesIO(listed))
    newer = f"0.2.0 ({sha256(listed).hexdigest()[:12]})"
    house.becomes("a bundle that was laid down waits", lambda: shown("latest_version"),
                  ("on", newer))  # fmt: skip
    home.call("update/install", software)
    house.becomes("root is asked for it", (bundles / "request.json").is_file)
    # What root, who is not in this house, would say.
    progress.write_text(json.dumps({"state": "working", "percent": 40, "message": "checks files"}))
    house.becomes("how far it is", lambda: shown("in_progress", "update_percentage",
                  "release_summary"), ("on", True, 40, "checks files"))  # fmt: skip
    (bundles / "request.json").unlink()
    (bundles / "newer.tar").unlink()
    progress.write_text(json.dumps({"state": "done", "percent": None, "message": "it runs"}))
    house.becomes("and that it is over", lambda: shown("in_progress", "release_summary"),
                  ("off", False, "it runs"))  # fmt: skip


def _check_removal(house: House) -> None:
    before = house.entities()
    house.configure(CONFIGURATION.replace(LINE, ""))
    house.becomes("what a changed file drops goes", lambda: {*house.entities()}, EXPECTED - KERB)
    house.home.stop()
    house.device.stop()
    house.configure(CONFIGURATION.replace('["person", "car"]', '["person"]').replace(LINE, ""))
    house.device.start()
    house.home.start()
    house.becomes("what is dropped while Home Assistant is away goes at its birth",
                  lambda: {*house.entities()}, EXPECTED - KERB - CAR)  # fmt: skip
    house.configure(CONFIGURATION)
    house.becomes("what comes back is as before", house.entities, before)
    house.check("every entity has its state", ok=not (wrong := house.settle()), found=wrong)
