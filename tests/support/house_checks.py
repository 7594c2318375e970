"""What Home Assistant must know of the product, and what it must be able to do with it.

The expected entities are written down here, by hand: the product's own code is not asked for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from house import House

CONFIGURATION = """
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
[[line]]
name = "kerb"
from = [0.5, 0]
to = [0.5, 1]
words = ["in", "out"]
[homeassistant]
name = "Porch camera"
area = "Porch"
"""
EXPECTED = {
    "binary_sensor.porch_camera_camera",
    "binary_sensor.porch_camera_car",
    "binary_sensor.porch_camera_drive_person",
    "binary_sensor.porch_camera_person",
    "event.porch_camera_event",
    "sensor.porch_camera_car_count",
    "sensor.porch_camera_drive_person_count",
    "sensor.porch_camera_kerb_in",
    "sensor.porch_camera_kerb_out",
    "sensor.porch_camera_person_count",
    "number.porch_camera_score_threshold",
    "switch.porch_camera_detection",
    "update.porch_camera_model",
}


def check_house(house: House) -> None:
    """Check everything once."""
    house.expected = EXPECTED
    house.becomes("every entity exists under its id", lambda: {*house.entities()}, EXPECTED)
    house.check("every entity has its state", ok=not (wrong := house.settle()), found=wrong)
    [device] = house.home.devices()
    areas = {each["area_id"]: each["name"] for each in house.home.ask("config/area_registry/list")}
    house.check("the device's name and area", ok=(device["name"], areas.get(device["area_id"]))
                == ("Porch camera", "Porch"), found=device)  # fmt: skip
    check_commands(house)
    ids = house.entities()
    house.check("unique ids", ok=all(map(is_own, ids.values())), found=ids)


def check_commands(house: House) -> None:
    """Check that what is set in Home Assistant holds on the device, and comes back."""
    home, number = house.home, "number.porch_camera_score_threshold"
    home.call("number/set_value", number, value=0.61)
    house.becomes("a threshold reaches the device",
                  lambda: house.heard("settings")[-1]["score_threshold"], 0.61)  # fmt: skip
    house.becomes("... and comes back", lambda: home.state(number), "0.61")
    home.call("number/set_value", number, value=0.5)
    switch = "switch.porch_camera_detection"
    home.call("switch/turn_off", switch)
    house.becomes("the camera pauses", lambda: house.heard("settings")[-1]["paused"], ["door"])
    house.becomes("... and the switch is off", lambda: home.state(switch), "off")
    home.call("switch/turn_on", switch)
    house.becomes("... and on again", lambda: home.state(switch), "on")
    house.check("every entity has its state again", ok=not (wrong := house.settle()), found=wrong)


def is_own(unique_id: str) -> bool:
    """Whether an id is of this device."""
    return unique_id.startswith("porch-")


def check_log(house: House) -> None:
    """Check that Home Assistant had nothing to complain of."""
    wrong = house.home.warnings()
    house.check("no warning in Home Assistant's log", ok=not wrong, found="\n".join(wrong))
