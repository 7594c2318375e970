"""Messages of events and counts: what they say, when they go out, and that they are valid."""

from __future__ import annotations

import json

import factories
import jsonschema
import pytest

from edge.messages.events import CountsTeller, EventsTeller
from edge.messages.schema import schema
from edge.results.observation import Event

pytestmark = pytest.mark.board

EVENT = Event(
    id="1f-1", kind="leave", camera="front", label="person", track_id=7, zone="door", direction="",
    started_utc_ns=1_700_000_000_000_000_000, ended_utc_ns=1_700_000_001_500_000_000,
    score=0.87654, box=(-0.001, 0.2, 0.3333333, 1.1), path=((0.1, 0.2), (0.15, 1.2)), speed=1.236,
)  # fmt: skip
COUNTS = {"": {"person": 2, "dog": 0}, "door": {"person": 0, "dog": 0}, "gate": {"in": 0, "out": 3}}


def seen(*events, counts=COUNTS, **changes):
    return factories.observation(events=events, counts=counts, **changes)


def told(message):
    payload = json.loads(message.payload)
    jsonschema.validate(payload, schema())
    return payload


def test_an_event_is_told_with_all_that_is_known_of_it():
    (message,) = EventsTeller("porch")(seen(EVENT))
    assert (message.topic, message.policy) == ("edge/porch/front/events", "event")
    assert (message.retain, message.qos) == (False, 1)
    assert told(message) == {
        "schema_version": 1,
        "device": "porch",
        "camera": "front",
        "event_id": "1f-1",
        "event_type": "leave",
        "label": "person",
        "track_id": 7,
        "zone": "door",
        "direction": "",
        "started_at": "2023-11-14T22:13:20.000000Z",
        "ended_at": "2023-11-14T22:13:21.500000Z",
        "score": 0.8765,
        "box_ratio": [0.0, 0.2, 0.33333, 1.0],
        "path": [[0.1, 0.2], [0.15, 1.0]],
        "speed_mps": 1.24,
        "counts": {"person": 0},
        "captured_at": "2023-11-14T22:13:20.123456Z",
    }


def test_events_keep_their_order_and_a_crossing_tells_both_ways():
    crossing = Event("2", "cross", "front", "person", 7, "gate", "out", 0, None, 0.5, (0, 0, 1, 1))
    first, second = map(told, EventsTeller("porch")(seen(EVENT, crossing)))
    assert (first["event_id"], second["event_id"]) == ("1f-1", "2")
    assert second["counts"] == {"in": 0, "out": 3}
    assert (second["ended_at"], second["speed_mps"]) == (None, None)
    assert EventsTeller("porch")(seen()) == []


def test_counts_are_told_when_they_change_and_hold_every_key():
    teller = CountsTeller("porch")
    (message,) = teller(seen())
    assert (message.topic, message.policy, message.retain) == (
        "edge/porch/front/counts", "state", True,
    )  # fmt: skip
    assert told(message)["counts"] == {
        "frame": {"person": 2, "dog": 0},
        "door": {"person": 0, "dog": 0},
        "gate": {"in": 0, "out": 3},
    }
    assert teller(seen()) == ()
    assert len(teller(seen(camera="back"))) == 1
    assert len(teller(seen(counts=COUNTS | {"door": {"person": 1, "dog": 0}}))) == 1


def test_the_broker_forgets_the_counts_of_what_counts_no_longer():
    teller = CountsTeller("porch")
    assert teller(seen(counts={})) == ()
    teller(seen())
    (message,) = teller(seen(counts={}))
    assert (message.payload, message.retain) == (b"", True)
    assert teller(seen(counts={})) == ()
