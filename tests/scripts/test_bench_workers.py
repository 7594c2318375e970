"""Several interpreters are measured beside one alone."""

from __future__ import annotations

import bench_workers

from edge.cores import available_cores


def test_each_number_of_workers_has_a_ratio_a_pair_and_the_cores_are_given_back(monkeypatch):
    monkeypatch.setattr(bench_workers, "WINDOW_FRAMES", 4)
    monkeypatch.setattr(bench_workers, "WARM_UP_FRAMES", 2)
    before = available_cores()

    found = bench_workers.measure((1, 2), pairs=2)

    assert {count: len(ratios) for count, ratios in found.items()} == {1: 2, 2: 2}
    assert all(ratio > 0 for ratios in found.values() for ratio in ratios)
    assert available_cores() == before
