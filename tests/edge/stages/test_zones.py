"""Zones of several cameras, filters of what is told, and reloads."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from event_scenes import GATE, LEFT, Scene, zone

from edge.config.reading import parse

pytestmark = pytest.mark.board


def test_a_user_names_the_ways():
    scene = Scene(line=GATE | {"words": ["home", "away"]})
    scene.stand((1, 0.3, 0.5), seconds=1)
    scene.stand((1, 0.7, 0.5), seconds=1)
    assert scene.events[-1].direction == "away"
    assert scene.counts["gate"] == {"home": 0, "away": 1}


def test_labels_scores_and_sizes_that_do_not_matter_are_neither_told_nor_counted():
    scene = Scene(
        zone=[
            zone(labels=["person"], min_score=0.8),
            zone(name="large", polygon=LEFT, min_area_ratio=0.5),
        ],
        line=GATE | {"labels": ["dog"]},
        events={"labels": ["car", "person"]},
    )
    rows = (
        (1, 0.3, 0.5, 0.9, 0),
        (2, 0.2, 0.5, 0.7, 0),
        (3, 0.1, 0.5, 0.9, 1),
        (4, 0.4, 0.5, 0.9, 2),
    )
    scene.stand(*rows, seconds=1)
    scene.stand((1, 0.6, 0.5), *rows[1:3], (4, 0.6, 0.5, 0.9, 2), seconds=0.4)
    assert scene.counts == {
        "": {"car": 1, "person": 2},
        "left": {"person": 1},
        "large": {"car": 0, "person": 0},
        "gate": {"in": 0, "out": 1},
    }
    assert ("enter", 1, "left") in scene.told()
    assert {each.track_id for each in scene.events if each.kind == "appear"} == {1, 2, 3}
    assert [each.track_id for each in scene.events if each.kind == "cross"] == [4]
    scene.stand((2, 0.2, 0.5, 0.85, 0), seconds=1)
    assert scene.told()[-1] == ("enter", 2, "left")


def test_only_kinds_that_are_asked_for_are_told_and_all_are_counted():
    scene = Scene(zone=zone(), events={"kinds": ["leave"]})
    scene.stand((1, 0.3, 0.5), seconds=1)
    assert scene.counts["left"]["person"] == 1
    scene.stand((1, 0.7, 0.5), seconds=1)
    assert [kind for kind, *_ in scene.told()] == ["leave"]
    config = parse({"zone": zone()})
    assert config.tells_events
    assert config.follows == parse({"tracking": {}}).tracking


def test_a_camera_that_was_away_ends_what_was_there():
    scene = Scene(zone=zone())
    scene.stand((1, 0.3, 0.5), seconds=1)
    scene.frame((2, 0.3, 0.5), after_s=3600)
    assert scene.told()[2:] == [("leave", 1, "left"), ("disappear", 1, "")]
    assert scene.events[-1].ended_utc_ns < 10**18 + 2e9


def test_cameras_do_not_know_each_other_and_have_the_zones_of_their_own():
    scene = Scene(
        camera=[{"name": "camera"}, {"name": "gate"}],
        zone=[zone(), zone(name="door", camera="gate")],
    )
    for _ in range(10):
        scene.frame((1, 0.3, 0.5))
        assert set(scene.counts) == {"", "left"}
        scene.frame((1, 0.3, 0.5), camera="gate", after_s=0)
        assert set(scene.counts) == {"", "left", "door"}
    assert Counter((each.camera, each.zone) for each in scene.events) == Counter(
        [("camera", ""), ("camera", "left"), ("gate", ""), ("gate", "left"), ("gate", "door")]
    )


def test_a_reload_keeps_objects_and_totals_and_tells_nothing_twice():
    first = Scene(zone=[zone(), zone(name="old")], line=GATE)
    first.stand((1, 0.8, 0.5), seconds=1)
    first.stand((1, 0.3, 0.5), seconds=1)
    second = Scene(first.memory, line=GATE, zone=[zone(name="new"), zone(labels=["person"])])
    second.time_s = first.time_s
    second.stand((1, 0.3, 0.5), seconds=1)
    assert second.told() == [("enter", 1, "new")]
    assert second.counts["gate"] == {"in": 1, "out": 0}
    assert set(second.counts) == {"", "new", "left", "gate"}
    second.stand((1, 0.8, 0.5), seconds=1)
    assert Counter(second.told()[1:]) == Counter(
        [("cross", 1, "gate"), ("leave", 1, "left"), ("leave", 1, "new")]
    )
    ids = [each.id for each in first.events + second.events]
    assert len(set(ids)) == len(ids)


def test_a_reload_that_asks_for_dwelling_tells_of_who_has_been_there_for_that_long():
    first = Scene(zone=zone())
    first.stand((1, 0.3, 0.5), seconds=5)
    second = Scene(first.memory, zone=zone(dwell_s=3))
    second.time_s = first.time_s
    second.stand((1, 0.3, 0.5), seconds=0.5)
    assert second.told() == [("dwell", 1, "left")]


def test_a_zone_that_a_reload_brings_is_entered_by_who_rests_in_it():
    first = Scene()
    first.stand((1, 0.3, 0.5), seconds=2, stationary=True)
    second = Scene(first.memory, zone=zone())
    second.time_s = first.time_s
    second.stand((1, 0.3, 0.5), seconds=2, stationary=True)
    assert second.told() == [("enter", 1, "left")]
    third = Scene(zone=zone())  # as if events were asked for while objects are followed
    third.stand((1, 0.3, 0.5), seconds=2, stationary=True)
    assert third.told() == [("appear", 1, ""), ("enter", 1, "left")]


def test_counts_hold_the_labels_that_were_named_or_else_those_that_were_there():
    scene = Scene(zone=[zone(), zone(name="named", labels=["dog", "car"])])
    assert scene.frame().counts == {"": {}, "left": {}, "named": {"dog": 0, "car": 0}}
    scene.stand((1, 0.3, 0.5), seconds=1)
    scene.stand(seconds=3)
    assert scene.counts == {
        "": {"person": 0}, "left": {"person": 0}, "named": {"dog": 0, "car": 0},
    }  # fmt: skip


def test_ids_of_two_runs_differ():
    ids = set()
    for _ in range(2):
        scene = Scene()
        scene.stand((1, 0.3, 0.5), seconds=1)
        ids |= {each.id for each in scene.events}
    assert len(ids) == 2


def test_objects_stay_few_however_many_come_and_go():
    scene, rng = Scene(zone=zone()), np.random.default_rng(1)
    for n in range(60):
        scene.frame(*((50 * n + k, *rng.uniform(0.1, 0.9, 2)) for k in range(50)), after_s=0)
    (camera,) = scene.memory["cameras"].values()
    assert len(camera._objects) <= 256 + 2 * 50
