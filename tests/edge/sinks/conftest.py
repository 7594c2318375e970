"""What the tests of the MQTT sink share."""

from __future__ import annotations

import logging
from random import Random

import pytest
from factories import encoder

from edge.sinks.mqtt import MqttSettings, MqttSink
from edge.sinks.pace import Pace

# Everything that waits, sped up; the patience for answers stays above a busy machine's pauses.
QUICK = Pace(base_s=0.02, cap_s=0.1, refused_s=0.3, answer_s=5.0)


@pytest.fixture
def quick():
    """Return waiting times that suit a test."""
    return QUICK


@pytest.fixture
def open_sink():
    """Return a function that opens a sink to a loopback port; all are closed at the end."""
    opened = []

    def open_sink(port, *, pace=QUICK, encode=None, **changes):
        fields = {"host": "127.0.0.1", "port": port, "client_id": "edge-test"}
        settings = MqttSettings(**fields | changes)
        opened.append(MqttSink(settings, encode or encoder(), pace=pace, jitter=Random(3)))
        return opened[-1]

    yield open_sink
    for sink in opened:
        sink.close(0)


@pytest.fixture
def log_lines(caplog):
    """Return a function that returns the sink's log lines so far."""
    caplog.set_level(logging.INFO, logger="edge.sinks.mqtt")
    return lambda: [record.getMessage() for record in caplog.records]
