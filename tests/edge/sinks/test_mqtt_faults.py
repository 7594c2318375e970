"""What is told of a connection, and how often."""

from __future__ import annotations

import pytest

from edge.config.mqtt import Mqtt
from edge.sinks.mqtt_faults import BrokerError, ConnectionLog
from edge.sinks.outbox import Tally

pytestmark = pytest.mark.board

SETTINGS = Mqtt(url="mqtt://host", outbox_messages=7)
ABSENT = BrokerError("absent", SETTINGS, reason="no answer")
LOST = BrokerError("lost", SETTINGS)


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def connection_log(clock):
    return ConnectionLog(SETTINGS, repeat_s=600, clock=clock)


def test_hours_without_a_broker_are_a_line_every_ten_minutes(connection_log, clock, log_lines):
    for _ in range(3 * 3600 // 30):
        connection_log.fault(ABSENT)
        clock.now_s += 30
    assert len(log_lines()) == 18
    assert log_lines()[0] == (
        "mqtt: nothing answers at host:1883 (no answer); results wait in memory (up to 7 "
        "messages), trying again; check the broker with: mosquitto_sub -h host -t 'edge/#'"
    )
    assert log_lines()[1].startswith(
        "mqtt: nothing answers at host:1883 (no answer), 20 times since the last such line;"
    )


def test_another_fault_is_told_at_once(connection_log, log_lines):
    connection_log.fault(ABSENT)
    connection_log.fault(LOST)
    connection_log.fault(ABSENT)
    assert [line.split(";")[0] for line in log_lines()] == [
        "mqtt: nothing answers at host:1883 (no answer)",
        "mqtt: the connection to host:1883 ended",
    ]


def test_a_recovery_is_told_with_what_waited_and_what_was_dropped(connection_log, log_lines):
    connection_log.connected("edge-1", Tally(0, 0, 3))
    connection_log.fault(LOST)
    connection_log.connected("edge-1", Tally(3, 5, 7))
    assert log_lines()[0] == (
        "mqtt: connected to host:1883 as 'edge-1'; 3 results waited and go out now, 0 were dropped"
    )
    assert "7 results waited and go out now, 5 were dropped" in log_lines()[2]


def test_a_connection_that_flaps_is_no_flood(connection_log, clock, log_lines):
    for _ in range(100):
        connection_log.fault(LOST)
        connection_log.connected("edge-1", Tally(0, 0, 0))
        clock.now_s += 5
    assert len(log_lines()) == 2


def test_dropped_results_are_told_even_if_the_fault_was_not(connection_log, log_lines):
    for dropped in (0, 4):
        connection_log.fault(LOST)
        connection_log.connected("edge-1", Tally(0, dropped, 0))
    assert "4 were dropped" in log_lines()[-1]
    assert len(log_lines()) == 3


def test_the_end_counts_what_is_undelivered(connection_log, log_lines):
    connection_log.closed(Tally(9, 0, 0))
    connection_log.closed(Tally(9, 0, 2))
    assert log_lines() == [
        "mqtt: closed; 9 results delivered",
        "mqtt: closed with 2 results undelivered; check the broker at host:1883",
    ]
