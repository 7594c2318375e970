"""Events on the disk outlive restarts of the broker and kills of the device: the short version."""

from __future__ import annotations

import bench_events
import pytest

pytestmark = pytest.mark.broker


def test_no_event_is_lost_and_their_order_kept_though_broker_and_device_end_again_and_again(
    mosquitto, tmp_path
):
    found = bench_events.measure(mosquitto, tmp_path, restarts=2, kills=2, period_s=0.005)
    assert found.accepted > 80
    assert (found.lost, found.in_order) == ([], True)
    # Each kill and each restart may repeat what was on its way: twenty.
    assert found.duplicates <= 20 * (2 + 2 + 3)
