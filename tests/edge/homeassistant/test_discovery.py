"""The announcement holds only what Home Assistant knows, under ids that last."""

from __future__ import annotations

import json

import pytest

from edge.config.reading import parse
from edge.homeassistant.components import path, slug
from edge.homeassistant.discovery import told_of
from edge.model import model_file
from edge.model.default import default_model_path

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


SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]


def told(device="porch", cameras=("door", "gate"), zones=(), labels=(), **house):
    description = model_file.read(default_model_path()).description
    fields = {
        "device": {"name": device},
        "camera": [{"name": each} for each in cameras],
        "mqtt": {"url": "mqtt://b", "commands": True},
        "homeassistant": {"name": "Porch camera", "labels": list(labels), **house},
        "events": {"labels": list(labels)} if labels else {},
        "snapshots": {},
        "zone": [{"name": each, "polygon": SQUARE} for each in zones],
    }
    return told_of(parse(fields), description)


def fields_of(told):
    return json.loads(told.message(told.cmps).payload)


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


@pytest.mark.parametrize(
    ("zones", "labels"),
    [
        pytest.param(["front-door", "front_door"], ["person"], id="zones"),
        pytest.param([], ["traffic light", "traffic_light"], id="labels"),
        pytest.param(["a-b", "a"], ["c", "b-c"], id="where one ends and the next begins"),
        pytest.param([], ["take", "frame", "人", "车", "x" * 64], id="words of our own"),
    ],
)
def test_names_that_are_nearly_the_same_have_components_of_their_own(zones, labels):
    alone, together = (
        len(told(zones=zones[:number], labels=labels[:number]).cmps) for number in (1, None)
    )
    plain = len(told(zones=["z", "y"][: len(zones)], labels=[*"abcde"][: len(labels)]).cmps)

    assert alone < together == plain


def test_two_devices_never_have_an_entity_in_common():
    ids = [
        {each["uniq_id"] for each in told(*names).cmps.values() if "uniq_id" in each}
        for names in (("porch", ["back-door"]), ("porch-back", ["door"]))
    ]

    assert not ids[0] & ids[1]


def test_a_label_that_looks_like_a_template_is_told_as_it_is():
    [trigger] = [
        each for key, each in told(cameras=["door"], labels=["{{ 1 }}"]).cmps.items()
        if key.startswith("door/trigger/appear/")
    ]  # fmt: skip

    assert trigger["stype"] == "{{ 1 }}"
    assert trigger["pl"] == '{{ "appear///{{ 1 }}" }}'


def test_no_two_ways_to_names_are_one_key():
    assert len({path("a/b", "c"), path("a", "b/c"), path("a%2Fb", "c"), path("a", "b", "c")}) == 4


def test_an_area_is_suggested_where_there_is_one():
    assert fields_of(told(area="Porch"))["dev"]["sa"] == "Porch"
    assert "sa" not in fields_of(told())["dev"]


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
