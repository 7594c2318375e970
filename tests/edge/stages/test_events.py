"""Events: each once, in order, by the camera's clock, whatever flickers, misses or jumps."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from event_scenes import FRAME_S, GATE, RIGHT, Scene, zone
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.board


def test_an_object_appears_enters_leaves_and_disappears():
    scene = Scene(zone=zone())
    scene.stand((7, 0.3, 0.5), seconds=1)
    scene.stand((7, 0.8, 0.5), seconds=1)
    scene.stand(seconds=3)
    assert scene.told() == [
        ("appear", 7, ""), ("enter", 7, "left"), ("leave", 7, "left"), ("disappear", 7, ""),
    ]  # fmt: skip
    appear, enter, leave, disappear = scene.events
    begin_ns = 10**18 + round(FRAME_S * 1e9)
    assert (appear.started_utc_ns, appear.ended_utc_ns) == (begin_ns, None)
    assert (enter.started_utc_ns, enter.ended_utc_ns) == (begin_ns, None)
    assert leave.started_utc_ns == begin_ns
    assert leave.ended_utc_ns == pytest.approx(begin_ns + 1e9, abs=1e6)
    assert disappear.ended_utc_ns == pytest.approx(begin_ns + 1.9e9, abs=1e6)
    assert leave.box == pytest.approx((0.75, 0.4, 0.85, 0.5), abs=1e-6)
    assert [event.label for event in scene.events] == ["person"] * 4


def test_what_is_seen_for_less_than_settle_s_is_nothing():
    scene = Scene(zone=zone())
    scene.stand((1, 0.3, 0.5), seconds=0.5)
    scene.stand(seconds=5)
    assert scene.events == []
    assert scene.counts[""] == {}


def test_what_flickers_at_a_border_makes_no_second_event():
    scene = Scene(zone=[zone(), zone(name="right", polygon=RIGHT)])
    scene.stand((1, 0.45, 0.5), seconds=1)
    for n in range(100):
        scene.frame((1, 0.5 + 0.01 * (-1) ** n, 0.5))
    assert scene.told() == [("appear", 1, ""), ("enter", 1, "left")]


def test_what_is_parked_on_a_border_changes_nothing_until_it_moves_off():
    """Where it wavers slowly enough, each side lasts for long enough to count."""
    scene = Scene(zone=[zone(), zone(name="right", polygon=RIGHT)])
    scene.stand((1, 0.49, 0.5), seconds=1)
    for x in (0.51, 0.49) * 3:
        scene.stand((1, x, 0.5), seconds=1, stationary=True)
    assert scene.told() == [("appear", 1, ""), ("enter", 1, "left")]
    scene.stand((1, 0.7, 0.5), seconds=1)
    assert scene.told()[2:] == [("leave", 1, "left"), ("enter", 1, "right")]


def test_missed_frames_make_no_second_event():
    scene = Scene(zone=zone())
    for n in range(60):
        scene.frame(*[(1, 0.3, 0.5)] * (n % 12 < 3))
    assert scene.told() == [("appear", 1, ""), ("enter", 1, "left")]


@pytest.mark.parametrize("frame_s", [0.03, 0.2, 1.0, 5.0])
def test_a_slow_camera_tells_the_same(frame_s):
    scene = Scene(zone=zone())
    for x in (0.3, 0.8):
        for _ in range(max(3, round(1 / frame_s))):
            scene.frame((1, x, 0.5), after_s=frame_s)
    for _ in range(max(4, round(3 / frame_s))):
        scene.frame(after_s=frame_s)
    assert [kind for kind, *_ in scene.told()] == ["appear", "enter", "leave", "disappear"]


def test_who_vanishes_in_a_zone_leaves_it_before_disappearing():
    scene = Scene(zone=[zone(), zone(name="all", polygon=[[0, 0], [1, 0], [1, 1], [0, 1]])])
    scene.stand((1, 0.3, 0.5), seconds=1)
    scene.stand(seconds=3)
    assert scene.told()[3:] == [("leave", 1, "left"), ("leave", 1, "all"), ("disappear", 1, "")]
    assert scene.counts == {key: {"person": 0} for key in ("", "left", "all")}


def test_who_goes_from_zone_to_zone_leaves_first():
    scene = Scene(zone=[zone(), zone(name="a", polygon=RIGHT)])
    scene.stand((1, 0.3, 0.5), seconds=1)
    scene.stand((1, 0.8, 0.5), seconds=1)
    assert scene.told()[2:] == [("leave", 1, "left"), ("enter", 1, "a")]


def test_dwelling_is_told_once_a_visit_by_time_and_not_by_frames():
    scene = Scene(zone=zone(dwell_s=3))
    for _ in range(2):
        for _ in range(10):
            scene.frame((1, 0.3, 0.5), after_s=0.7)
        scene.stand((1, 0.8, 0.5), seconds=1)
    kinds = [kind for kind, *_ in scene.told()]
    assert kinds == ["appear", *["enter", "dwell", "leave"] * 2]
    dwell = scene.events[2]
    assert dwell.ended_utc_ns is None
    assert dwell.started_utc_ns == scene.events[1].started_utc_ns


def walk(scene, points, **changes):
    for x, y in points:
        scene.frame((1, x, y), **changes)


def straight(one, other, steps=20):
    return np.linspace(one, other, steps).tolist()


@pytest.mark.parametrize(
    ("way", "words"),
    [
        pytest.param([(0.2, 0.5), (0.8, 0.5)], ["out"], id="to the right"),
        pytest.param([(0.8, 0.5), (0.2, 0.5)], ["in"], id="to the left"),
        pytest.param([(0.2, 0.5), (0.8, 0.5), (0.2, 0.5)], ["out", "in"], id="there and back"),
        pytest.param([(0.2, 0.1), (0.8, 0.1)], [], id="past its end"),
        pytest.param([(0.2, 0.1), (0.8, 0.1), (0.2, 0.5)], ["in"], id="round its end and back"),
        pytest.param([(0.2, 0.5), (0.49, 0.5), (0.2, 0.5)], [], id="up to it"),
        pytest.param([(0.2, 0.9), (0.49, 0.1), (0.8, 0.1)], [], id="along it and past its end"),
    ],
)
def test_a_crossing_leads_from_side_to_side_through_the_segment(way, words):
    scene = Scene(line=GATE)
    scene.stand((1, *way[0]), seconds=1)
    for one, other in pairwise(way):
        walk(scene, straight(one, other))
    crossed = [each for each in scene.events if each.kind == "cross"]
    assert [each.direction for each in crossed] == words
    assert scene.counts["gate"] == {"in": words.count("in"), "out": words.count("out")}
    assert {each.zone for each in crossed} <= {"gate"}


def test_who_wavers_on_a_line_crosses_it_once():
    scene, rng = Scene(line=GATE), np.random.default_rng(3)
    scene.stand((1, 0.3, 0.5), seconds=1)
    for x, y in straight((0.3, 0.5), (0.7, 0.5), 300):
        scene.frame((1, x + rng.normal(0, 0.0005), y + rng.normal(0, 0.01)))
    assert [kind for kind, *_ in scene.told()] == ["appear", "cross"]


def test_who_crosses_while_unseen_or_before_being_known_crosses_all_the_same():
    scene = Scene(line=GATE)
    scene.stand((1, 0.3, 0.5), seconds=1)
    scene.stand(seconds=1)
    scene.stand((1, 0.7, 0.5), seconds=1)
    walk(scene, [])
    scene.frame((1, 0.7, 0.5), (2, 0.45, 0.4))
    scene.stand((1, 0.7, 0.5), (2, 0.56, 0.4), seconds=1)
    assert [told for told in scene.told() if told[0] != "appear"] == [
        ("cross", 1, "gate"), ("cross", 2, "gate"),
    ]  # fmt: skip


def test_a_class_that_wavers_after_an_object_appeared_changes_no_count():
    scene = Scene(zone=zone())
    scene.frame((1, 0.3, 0.5, 0.6, 1))
    for n in range(40):
        scene.frame((1, 0.3, 0.5, 0.7 + 0.005 * n, 0 if n < 10 else 1))
    assert [each.label for each in scene.events] == ["person", "person"]
    assert scene.counts["left"] == {"person": 1}
    assert scene.events[-1].score == pytest.approx(0.725, abs=0.03)


def test_speed_is_that_over_the_ground():
    ground = {
        "image": [[0, 0], [1, 0], [1, 1], [0, 1]], "metres": [[0, 0], [20, 0], [20, 5], [0, 5]],
    }  # fmt: skip
    scene = Scene(zone=[zone(ground=ground), zone(name="plain")], line=GATE | {"ground": ground})
    for n in range(80):
        scene.frame((1, 0.1 + 0.01 * n, 0.5))  # 2 m/s
    speeds = {(each.kind, each.zone): each.speed for each in scene.events}
    assert speeds["cross", "gate"] == pytest.approx(2, abs=0.01)
    assert speeds["leave", "left"] == pytest.approx(2, abs=0.01)
    assert speeds["enter", "plain"] is None
    assert speeds["appear", ""] is None


def test_a_path_is_bounded_begins_where_the_object_came_from_and_ends_where_it_is():
    scene = Scene(zone=zone())
    angles = np.linspace(0, 40 * math.pi, 2000)
    for angle in angles:
        scene.frame((1, 0.2 + 0.1 * math.cos(angle), 0.5 + 0.1 * math.sin(angle)), after_s=0.3)
    scene.frame(after_s=10)
    path = scene.events[-1].path
    assert 10 < len(path) <= 33
    assert path[0] == pytest.approx((0.3, 0.5), abs=1e-3)
    assert path[-1] == pytest.approx((0.3, 0.5), abs=1e-3)


def test_a_clock_that_jumps_back_stands_still_for_a_frame():
    scene = Scene(zone=zone(dwell_s=3))
    scene.stand((1, 0.3, 0.5), seconds=2)
    scene.time_s = 0.0
    scene.stand((1, 0.3, 0.5), seconds=0.9)
    assert [kind for kind, *_ in scene.told()] == ["appear", "enter"]
    scene.stand((1, 0.3, 0.5), seconds=0.5)
    assert [kind for kind, *_ in scene.told()] == ["appear", "enter", "dwell"]


STEPS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.integers(1, 4), st.floats(0, 1), st.floats(0, 1),
                st.sampled_from([0.3, 0.6, 0.9]), st.integers(0, 2),
            ),
            max_size=4, unique_by=lambda row: row[0],
        ),
        st.sampled_from([0.0, 0.1, 0.4, 0.7, 3.0, 100.0, -5.0]),
    ),
    max_size=30,
)  # fmt: skip


@settings(max_examples=60)
@given(STEPS, st.sampled_from([0, 0.3]))
def test_whatever_comes_events_are_in_order_and_counts_are_their_sums(steps, settle_s):
    scene = Scene(
        zone=[zone(dwell_s=1), zone(name="r", polygon=RIGHT, anchor="overlap", min_score=0.5)],
        line=GATE, events={"settle_s": settle_s},
    )  # fmt: skip
    present, inside, dwelt, crossed = {}, Counter(), set(), Counter()
    for rows, after_s in steps:
        before = len(scene.events)
        with np.errstate(all="raise", under="ignore"):
            scene.frame(*rows, after_s=after_s)
        for event in scene.events[before:]:
            key = event.track_id, event.zone
            assert event.ended_utc_ns is None or event.kind in ("leave", "disappear")
            if event.kind == "appear":
                assert event.track_id not in present
                present[event.track_id] = event.label
                continue
            assert present[event.track_id] == event.label
            if event.kind == "disappear":
                assert not any(n for (id_, _), n in inside.items() if id_ == event.track_id)
                del present[event.track_id]
            elif event.kind == "cross":
                crossed[event.direction] += 1
            elif event.kind == "dwell":
                assert inside[key] == 1
                assert key not in dwelt
                dwelt.add(key)
            else:
                inside[key] += 1 if event.kind == "enter" else -1
                dwelt.discard(key)
            assert inside[key] in (0, 1)
        assert +Counter(present.values()) == +Counter(scene.counts[""])
        for name in ("left", "r"):
            labels = Counter(present[i] for (i, at), n in inside.items() if n and at == name)
            assert labels == +Counter(scene.counts[name])
        assert scene.counts["gate"] == {word: crossed[word] for word in ("in", "out")}
    ids = [event.id for event in scene.events]
    assert len(set(ids)) == len(ids)
