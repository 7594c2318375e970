"""What is announced exists: it follows from the configuration and the model."""

from __future__ import annotations

import re

import pytest

from edge.config.reading import load, parse
from edge.homeassistant.discovery import told_of
from edge.homeassistant.inventory import view_of
from edge.model import model_file
from edge.model.default import default_model_path

pytestmark = pytest.mark.board

ANY = "0.0.0.0"  # noqa: S104 - of a section that is only read
SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
LINE = {"name": "kerb", "from": [0, 0.5], "to": [1, 0.5]}


@pytest.fixture(scope="module")
def description():
    return model_file.read(default_model_path()).description


def told(description, *, mqtt=None, **sections):
    broker = {"url": "mqtt://b", **(mqtt or {})}
    fields = {"mqtt": broker, "homeassistant": {}, "camera": {"name": "door"}, **sections}
    return told_of(parse(fields), description)


def views(description, **sections):
    fields = {"mqtt": {"url": "mqtt://b"}, "camera": {"name": "door"}, **sections}
    config = parse(fields)
    return [view_of(camera.name, config, description) for camera in config.cameras]


def keys(told):
    return {*told.cmps}


def test_a_device_that_counts_nothing_tells_only_how_it_is(description):
    found = told(description, output={"stats_s": 0})

    assert keys(found) == {"door/connection"}


def test_statistics_are_shown_where_they_are_told(description):
    assert keys(told(description)) == {"door/connection", "door/rate"}


def test_settings_are_shown_where_commands_are_heard(description):
    found = keys(told(description, mqtt={"commands": True}))

    assert found >= {"threshold", "model", "door/enabled"}
    assert not found & keys(told(description)) & {"threshold", "model", "door/enabled"}


def test_of_a_model_whose_labels_nobody_names_three_have_entities(description):
    [view] = views(description, events={})

    assert view.zones == {"frame": ("person", "bicycle", "car")}


def test_the_labels_that_somebody_names_have_entities_where_they_matter(description):
    zone = {"name": "drive", "polygon": SQUARE, "labels": ["car"]}
    [view] = views(description, zone=[zone], events={"labels": ["dog", "car"]})

    assert view.zones == {"frame": ("dog", "car"), "drive": ("car",)}


def test_its_own_labels_come_before_all_others(description):
    [view] = views(
        description, homeassistant={"labels": ["dog"]}, events={"labels": ["dog", "car"]}
    )

    assert view.zones == {"frame": ("dog",)}


@pytest.mark.parametrize(
    ("sections", "kinds"),
    [
        pytest.param({"events": {}}, {"appear", "disappear"}, id="no zone"),
        pytest.param({"zone": [{"name": "drive", "polygon": SQUARE}]}, {"enter", "leave"},
                     id="a zone"),
        pytest.param({"zone": [{"name": "drive", "polygon": SQUARE, "dwell_s": 3}]},
                     {"enter", "leave", "dwell"}, id="a zone that tells who stays"),
        pytest.param({"line": [LINE]}, {"cross"}, id="a line"),
        pytest.param({"line": [LINE], "events": {"kinds": ["appear"]}}, {"appear"},
                     id="what is asked for"),
    ],
)  # fmt: skip
def test_only_events_that_can_happen_are_announced(description, sections, kinds):
    [view] = views(description, **sections)

    assert {*view.kinds} == kinds


def test_pictures_are_announced_of_labels_that_are_shown_and_kept(description):
    kept = {"labels": ["dog", "cat"]}
    [view] = views(description, snapshots=kept, homeassistant={"labels": ["dog", "car"]})

    assert view.snapshots == ("dog",)
    assert views(description, events={"labels": ["dog"]})[0].snapshots == ()


def test_zones_of_one_camera_are_not_announced_for_another(description):
    zone = {"name": "drive", "camera": "door", "polygon": SQUARE, "labels": ["car"]}
    cameras = [{"name": "door"}, {"name": "gate"}]
    door, gate = views(description, camera=cameras, zone=[zone])

    assert "drive" in door.zones
    assert "drive" not in gate.zones


def test_the_document_says_what_is_announced(description, root, tmp_path):
    text = (root / "docs/homeassistant.md").read_text(encoding="utf-8")
    [configuration] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "porch.toml").write_text(configuration)
    found = told_of(load(tmp_path / "porch.toml", {}), description).cmps.values()

    entities = {each["def_ent_id"] for each in found if "def_ent_id" in each}
    triggers = {(each["type"], each["stype"]) for each in found if "stype" in each}
    wanted = re.findall(r"entity_id: ([a-z_]+\.porch[a-z_]+)", text)
    assert wanted
    assert {*wanted} <= entities
    assert tuple(re.findall(r"(?:type|subtype): (.+)", text)) in triggers


@pytest.mark.parametrize(
    ("web", "page"),
    [
        pytest.param({}, "", id="this machine alone"),
        pytest.param({"host": "192.168.1.7", "token_file": "t"}, "http://192.168.1.7:8080/",
                     id="an address"),
        pytest.param({"host": ANY, "token_file": "t", "hosts": ["porch.lan"]},
                     "http://porch.lan:8080/", id="a name"),
    ],
)  # fmt: skip
def test_its_page_is_linked_where_others_can_open_it(description, web, page):
    assert told(description, web=web).root["dev"].get("cu", "") == page
