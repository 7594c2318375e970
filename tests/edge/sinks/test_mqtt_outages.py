"""A real broker that is away for a moment, again and again."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest
from broker import Mosquitto
from factories import message

from edge.sinks.mqtt import Pace

pytestmark = [pytest.mark.broker, pytest.mark.slow]

OUTAGES, DOWN_S, UP_S, RATE_HZ = 10, 3.0, 4.0, 30.0


def test_ten_short_outages_in_a_row_cost_no_result(mosquitto, tmp_path, open_sink):
    settled: list[tuple[float, int]] = []
    ended = threading.Event()
    with Mosquitto(mosquitto, tmp_path) as broker:
        sink = open_sink(broker.port, pace=Pace())

        def send():
            number = 0
            while not ended.wait(1 / RATE_HZ):
                sink.send(message(number))
                number += 1
                settled.append((time.monotonic(), sink.tally().settled))

        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(UP_S)
        for _ in range(OUTAGES):
            broker.kill()
            time.sleep(DOWN_S)
            broker.start()
            time.sleep(UP_S)
        ended.set()
        sender.join()
        assert sink.close(60) == 0
    arrivals = [now for (_, before), (now, count) in pairwise(settled) if count > before]
    silences_s = sorted(end - begin for begin, end in pairwise(arrivals))
    tally = sink.tally()
    print(f"{tally}; longest silences {[round(each, 1) for each in silences_s[-OUTAGES:]]} s")
    assert tally.dropped == 0
    # A wait may end in the next outage, and so miss the time between the two.
    assert silences_s[-1] <= 2 * (DOWN_S + UP_S) + Pace().cap_s
