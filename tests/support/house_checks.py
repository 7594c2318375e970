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
[homeassistant]
name = "Porch camera"
area = "Porch"
"""
EXPECTED = {
    "binary_sensor.porch_camera_camera",
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
    ids = house.entities()
    house.check("unique ids", ok=all(map(is_own, ids.values())), found=ids)


def is_own(unique_id: str) -> bool:
    """Whether an id is of this device."""
    return unique_id.startswith("porch_")


def check_log(house: House) -> None:
    """Check that Home Assistant had nothing to complain of."""
    wrong = house.home.warnings()
    house.check("no warning in Home Assistant's log", ok=not wrong, found="\n".join(wrong))
