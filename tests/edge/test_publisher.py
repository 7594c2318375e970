"""What is told of each frame: how often, and what was counted on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factories import encoder, observation
from memory_sink import MemorySink

from edge.publisher import FrameTally, Publisher, ResultTeller
from edge.results.observation import Event

pytestmark = pytest.mark.board

MS = 10**6
HAPPENED = Event("1", "appear", "front", "cat", 1, "", "", 0, None, 0.5, (0.0, 0.0, 1.0, 1.0))


def told_at(times_ms, *, most_hz, camera="front", teller=None):
    """Return at which of these milliseconds of the source a result is told."""
    teller = teller or ResultTeller(encoder(), most_hz=most_hz)
    return [
        at_ms
        for at_ms in times_ms
        if teller(replace(observation(), camera=camera, source_ns=int(at_ms * MS)))
    ]


def test_without_a_limit_every_frame_is_told():
    assert told_at([5] * 7, most_hz=None) == [5] * 7


@pytest.mark.parametrize("most_hz", [0.5, 3, 7, 10, 15, 30, 100])
@pytest.mark.parametrize("frames_hz", [10, 30, 59.94])
def test_the_rate_is_the_smaller_of_both(most_hz, frames_hz):
    times_ms = [1000 * number / frames_hz for number in range(round(20 * frames_hz))]
    expected = 20 * min(most_hz, frames_hz)
    assert len(told_at(times_ms, most_hz=most_hz)) == pytest.approx(expected, abs=1.5)


def test_a_camera_that_is_early_and_late_by_turns_loses_none_of_its_own_rate():
    times_ms = [100 * number + (12 if number % 2 else -12) for number in range(1, 301)]
    assert len(told_at(times_ms, most_hz=10)) >= 298


def test_frames_that_come_seldom_are_all_told():
    assert len(told_at(range(0, 100_000, 1000), most_hz=10)) == 100


def test_a_file_that_begins_anew_is_told_again():
    assert told_at([9000, 0, 10, 100], most_hz=10) == [9000, 0, 100]


def test_each_camera_has_its_own_rate():
    teller = ResultTeller(encoder(), most_hz=1)
    assert told_at([0, 500], most_hz=1, teller=teller) == [0]
    assert told_at([500, 900], most_hz=1, camera="back", teller=teller) == [500]


def test_a_frame_on_which_something_happened_is_told_in_any_case():
    teller = ResultTeller(encoder(), most_hz=1)
    frames = [replace(observation(), source_ns=number * MS) for number in range(4)]
    frames[2] = replace(frames[2], events=(HAPPENED,))
    assert [bool(teller(frame)) for frame in frames] == [True, False, True, False]


def test_what_became_of_the_frames_of_each_camera_is_counted():
    publisher = Publisher(encoder(), MemorySink(), [ResultTeller(encoder(), most_hz=1)])
    for sequence in (0, 1, 4):
        publisher(replace(observation(sequence), source_ns=sequence * 100 * MS, dropped_frames=2))
    assert publisher.frames == {"front": FrameTally(captured=5, invoked=3, published=1, dropped=2)}


def test_a_frame_that_nothing_was_invoked_for_counts_as_captured_alone():
    publisher = Publisher(encoder(), MemorySink(), [])
    repeated = replace(observation(), sequence=1, stage_ms=observation().stage_ms | {"invoke": 0.0})

    for each in (replace(observation(), sequence=0), repeated):
        publisher(each)

    tally = publisher.frames[repeated.camera]
    assert (tally.captured, tally.invoked) == (2, 1)
