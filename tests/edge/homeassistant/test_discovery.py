"""The announcement holds only what Home Assistant knows, under ids that last."""

from __future__ import annotations

import json

import pytest

from edge.homeassistant.components import components, slug
from edge.homeassistant.discovery import announcement
from edge.homeassistant.inventory import Inventory, View

pytestmark = pytest.mark.board

# home-assistant.io/integrations/mqtt: all that it takes at these places; another key, and it
# refuses the whole device.
ROOT_KEYS = {
    "dev",
    "o",
    "cmps",
    "avty",
    "avty_mode",
    "avty_t",
    "avty_tpl",
    "qos",
    "stat_t",
    "cmd_t",
}
DEVICE_KEYS = {"ids", "cns", "name", "mf", "mdl", "mdl_id", "sn", "sw", "hw", "cu", "sa"}
ORIGIN_KEYS = {"name", "sw", "url"}


def told(**changes):
    views = (View("door"), View("gate"))
    given = {"device": "porch", "name": "Porch camera", "area": "Porch"}
    house = {"prefix": "homeassistant", "enabled": True}
    return Inventory(**{**given, **house, "views": views, **changes})


def fields_of(inventory):
    message = announcement(inventory, components(inventory))
    return json.loads(message.payload)


def test_no_place_that_is_strict_has_a_key_that_home_assistant_does_not_know():
    fields = fields_of(told())

    assert fields.keys() <= ROOT_KEYS
    assert fields["dev"].keys() <= DEVICE_KEYS
    assert fields["o"].keys() <= ORIGIN_KEYS
    assert fields["o"]["name"]


def test_every_entity_has_an_id_of_its_own_and_one_that_its_name_gives():
    entities = [each for each in fields_of(told())["cmps"].values() if "name" in each]

    assert len({each["uniq_id"] for each in entities}) == len(entities)
    for each in entities:
        # Home Assistant 2025.4 makes it of the names, later versions take it from here.
        assert each["def_ent_id"] == f"{each['p']}.{slug('Porch camera ' + each['name'])}"


def test_an_area_is_suggested_where_there_is_one():
    assert fields_of(told())["dev"]["sa"] == "Porch"
    assert "sa" not in fields_of(told(area=""))["dev"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("person", "person", id="plain"),
        pytest.param("Traffic light", "traffic_light", id="two words"),
        pytest.param("back-yard", "back_yard", id="a sign"),
    ],
)
def test_a_name_becomes_an_id(text, expected):
    assert slug(text) == expected


def test_names_that_an_id_cannot_spell_stay_apart():
    assert (
        len({slug("人"), slug("车"), slug("Küche"), slug("kuche"), slug("a.b"), slug("a b")}) == 6
    )


def test_the_announcement_is_the_golden_one(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "tests/golden")
    import make_homeassistant  # noqa: PLC0415 - it lies beside its result

    golden = json.loads(make_homeassistant.GOLDEN.read_text(encoding="utf-8"))

    assert make_homeassistant.announced() == golden
