"""What the tests of the sinks share."""

from __future__ import annotations

import logging

import pytest

from edge.config.mqtt import Mqtt
from edge.sinks.mqtt import MqttSink, Pace

# Everything that waits, sped up; the patience for answers stays above a busy machine's pauses.
QUICK = Pace(base_s=0.02, cap_s=0.1, refused_s=0.3, answer_s=5.0, correct_s=0.05)


@pytest.fixture
def quick():
    """Return waiting times that suit a test."""
    return QUICK


@pytest.fixture
def open_sink():
    """Return a function that opens a sink to a loopback port; all are closed at the end."""
    opened = []

    def open_sink(port, *, pace=QUICK, client_id="edge-test", at="127.0.0.1", tls=False, **section):
        user = section.pop("user", "")
        url = f"{'mqtts' if tls else 'mqtt'}://{user}{'@' if user else ''}{at}:{port}"
        settings = Mqtt(url=url, **section)
        sink = MqttSink(settings, "porch", client_id=client_id, pace=pace)
        opened.append(sink)
        return sink

    yield open_sink
    for sink in opened:
        sink.close(0)


@pytest.fixture
def log_lines(caplog):
    """Return a function that returns the sinks' log lines so far."""
    caplog.set_level(logging.INFO, logger="edge.sinks")
    return lambda: [record.getMessage() for record in caplog.records]
