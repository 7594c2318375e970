"""How a run goes: what the message says, and who gets one."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from factories import encoder, observation
from memory_sink import MemorySink
from waiting import eventually

from edge.config import reading as config
from edge.frame import StageTimes
from edge.publisher import Publisher, ResultTeller
from edge.sensors import THROTTLED_FILE, Sensors
from edge.sinks.outbox import Tally
from edge.stats import Stats

pytestmark = pytest.mark.board

STAGES_MS = {"capture": 1.0, "preprocess": 0.25, "invoke": 8.0, "decode": 0.5}


class CountingSink(MemorySink):
    """Sinks that count."""

    def tallies(self):
        return {"webhook": Tally(0, 0, 0), "mqtt": Tally(settled=7, dropped=2, waiting=1)}


@pytest.fixture
def sensors(tmp_path):
    """Return the sensors of a hot board that was short of power."""
    for name, text in {
        "sys/class/thermal/thermal_zone0/temp": "81250",
        THROTTLED_FILE: "50005",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return Sensors(tmp_path, path="")


def stats_of(publisher, sensors, **arguments):
    times = StageTimes()
    times.start()
    for _ in range(10):
        times.add(observation(stage_ms=STAGES_MS, age_ms=12.0))
    return Stats(
        publisher, times.summary, **{"period_s": lambda: 1.0, "sensors": sensors} | arguments
    )


def said(stats):
    return json.loads(stats.message().payload)


def test_the_message_says_what_was_counted_measured_and_felt(sensors, monkeypatch):
    publisher = Publisher(encoder(), CountingSink(), [ResultTeller(encoder(), most_hz=5)])
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stats = stats_of(publisher, sensors)
    for number in range(20):
        frame = replace(observation(3 * number), source_ns=number * 10**8, dropped_frames=number)
        publisher(frame)
    now[0] += 2.0
    told = stats.message()
    assert (told.topic, told.retain, told.policy) == ("edge/porch/stats", True, "state")
    found = json.loads(told.payload)
    assert found["cameras"] == {
        "front": {
            "captured_hz": 29.0,
            "invoked_hz": 10.0,
            "published_hz": 5.0,
            "dropped_frames": 19,
        }
    }
    assert found["stage_ms"]["invoke"] == {"p50": 8.0, "p95": 8.0, "p99": 8.0}
    assert found["stage_ms"]["age"] == {"p50": 12.0, "p95": 12.0, "p99": 12.0}
    assert found["outbox"] == {"waiting": 1, "dropped": 2, "delivered": 7}
    assert (found["uptime_s"], found["window_s"]) == (2.0, 2.0)
    assert (found["temperature_c"], found["throttled"]) == (81.2, True)
    assert found["throttle_flags"] == [
        "under-voltage now",
        "throttled now",
        "under-voltage since boot",
        "throttled since boot",
    ]
    assert 10 < found["rss_mib"] < 10_000
    assert found["cpu_percent"] >= 0


def test_the_rates_are_of_the_time_since_the_last_message(sensors, monkeypatch):
    publisher = Publisher(encoder(), MemorySink(), [ResultTeller(encoder())])
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stats = stats_of(publisher, sensors)
    publisher(observation(0))
    now[0] = 1.0
    stats.message()
    for sequence in (1, 2, 3, 4):
        publisher(observation(sequence))
    now[0] = 3.0
    assert said(stats)["cameras"]["front"]["invoked_hz"] == 2.0
    # Opened anew, a camera counts from 0.
    publisher(observation(0))
    now[0] = 4.0
    assert said(stats)["cameras"]["front"]["captured_hz"] == 0.0


def test_what_nobody_knows_is_null_and_never_absent(tmp_path):
    publisher = Publisher(encoder(), MemorySink(), [])
    found = json.loads(
        Stats(publisher, lambda: None, period_s=lambda: 1, sensors=Sensors(tmp_path, path=""))
        .message()
        .payload
    )
    unknown = ("outbox", "temperature_c", "throttled")
    assert [found[key] for key in unknown] == [None] * 3
    assert (found["cameras"], found["stage_ms"], found["throttle_flags"]) == ({}, {}, [])


def test_it_tells_again_and_again_until_it_is_left(sensors):
    sink = MemorySink()
    stats = stats_of(Publisher(encoder(), sink, []), sensors, period_s=lambda: 0.01)
    with stats:
        assert eventually(lambda: len(sink.messages) >= 3)
    told = len(sink.messages)
    assert not stats._thread.is_alive()
    assert len(sink.messages) == told


def test_it_tells_nothing_until_somebody_wants_it(sensors, monkeypatch):
    monkeypatch.setattr("edge.stats.IDLE_S", 0.01)
    sink, period_s, asked = MemorySink(), [0.0], []

    def asks():
        asked.append(1)
        return period_s[0]

    with stats_of(Publisher(encoder(), sink, []), sensors, period_s=asks):
        assert eventually(lambda: len(asked) > 9)
        assert sink.messages == []
        period_s[0] = 0.01
        assert eventually(lambda: sink.messages)


def test_sensors_are_looked_for_by_the_thread_that_tells(monkeypatch):
    looked = []
    monkeypatch.setattr("edge.stats.Sensors", lambda: looked.append(os.getpid()))
    Stats(Publisher(encoder(), MemorySink(), []), lambda: None, period_s=lambda: 1)
    assert looked == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"mqtt": {"url": "mqtt://b"}}, True),
        ({"sink": [{"kind": "jsonl", "path": "x.jsonl"}]}, False),
        ({"sink": [{"kind": "command", "command": ["cat"]}]}, True),
        ({"sink": [{"kind": "command", "command": ["cat"], "policies": ["event"]}]}, False),
    ],
)
def test_only_who_takes_states_is_told(fields, expected):
    assert config.parse(fields).tells_states is expected
