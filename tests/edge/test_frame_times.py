import numpy as np
import pytest

from edge.frame import WINDOW_FRAMES, StageTimes
from edge.results.detections import Detections
from edge.results.observation import STAGES, Observation

pytestmark = pytest.mark.board


def observation(invoke_ms, *, age_ms=10.0, **stages):
    return Observation(
        camera="front",
        sequence=0,
        captured_utc_ns=0,
        source_ns=0,
        size_wh=(64, 48),
        result=Detections.none(),
        stage_ms=dict.fromkeys(STAGES, 1.0) | {"invoke": invoke_ms} | stages,
        age_ms=age_ms,
        dropped_frames=0,
    )


def test_percentiles_are_those_of_all_frames():
    times = StageTimes()
    times.start()
    for value in range(1, 101):
        times.add(observation(float(value), age_ms=2.0 * value))
    summary = times.summary()
    assert summary.frames == 100
    assert summary.percentiles_ms["invoke"] == pytest.approx(
        np.percentile(range(1, 101), (50, 95, 99))
    )
    assert summary.percentiles_ms["age"][0] == pytest.approx(101.0)
    assert summary.percentiles_ms["decode"] == (1.0, 1.0, 1.0)


def test_only_the_window_counts_for_percentiles_and_everything_for_sums():
    times = StageTimes()
    times.start()
    for _ in range(WINDOW_FRAMES):
        times.add(observation(1000.0))
    for _ in range(WINDOW_FRAMES):
        times.add(observation(1.0))
    summary = times.summary()
    assert summary.frames == 2 * WINDOW_FRAMES
    assert summary.percentiles_ms["invoke"] == (1.0, 1.0, 1.0)


def test_a_run_without_frames_has_figures_of_zero():
    summary = StageTimes().summary()
    assert (summary.frames, summary.rate_hz, summary.invoke_ratio) == (0, 0.0, 0.0)


def test_the_share_of_several_interpreters_is_their_mean():
    one, two = StageTimes(), StageTimes(interpreters=2)
    for times in (one, two):
        times._started_ns, times._ended_ns = 0, 10**9
        times._frames, times._invoke_ms = 10, 800.0

    assert (one.summary().invoke_ratio, two.summary().invoke_ratio) == (0.8, 0.4)


def test_a_stage_has_figures_of_the_frames_that_named_it():
    times = StageTimes()
    times.start()
    times.add(observation(1.0))
    times.add(observation(1.0, track=2.0))
    times.add(observation(1.0, track=4.0))
    summary = times.summary()
    assert summary.percentiles_ms["track"][0] == pytest.approx(3.0)
    assert list(summary.percentiles_ms) == [*STAGES, "track", "age"]


def test_what_was_not_invoked_for_a_frame_is_in_no_percentile():
    times = StageTimes()
    times.start()
    times.add(observation(8.0))
    for _ in range(30):
        times.add(observation(0.0, decode=0.0))
    summary = times.summary()
    assert summary.frames == 31
    assert summary.percentiles_ms["invoke"] == (8.0, 8.0, 8.0)
    assert summary.percentiles_ms["decode"] == (1.0, 1.0, 1.0)
