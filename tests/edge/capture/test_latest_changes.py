"""A capture takes other buffers, and pauses, while its thread reads."""

from __future__ import annotations

import pytest
from frames import CountingSource, buffers, take
from waiting import eventually

from edge.capture.latest import CaptureThread

pytestmark = pytest.mark.board

LONG_S = 10.0


def test_other_buffers_are_used_from_the_next_frame_on_and_one_that_waits_is_dropped():
    source = CountingSource(count=8, live=False)
    first, second = buffers(), buffers()
    with CaptureThread(source, first, camera="door") as capture:
        assert take(capture, LONG_S).sequence == 0
        # Frame 1 waits in the slot, and the writer holds 2.
        assert eventually(lambda: source.reads == 3)
        capture.use(second)
        frames = [take(capture, LONG_S) for _ in range(2)]
        frames += list(iter(lambda: take(capture, LONG_S), None))

    assert [frame.sequence for frame in frames] == [2, 3, 4, 5, 6, 7]
    assert all(any(frame.buffer is each for each in second) for frame in frames)
    assert frames[-1].dropped == 1


@pytest.mark.parametrize("live", [True, False])
def test_a_capture_that_is_paused_gives_nothing_and_one_that_is_not_live_loses_nothing(live):
    source = CountingSource(count=1000, live=live, permits=0)
    with CaptureThread(source, buffers(), camera="door") as capture:
        source.permit(1)
        assert take(capture, LONG_S).sequence == 0
        capture.pause(on=True)
        source.permit(5)
        if live:
            assert eventually(lambda: source.asked == 7)
        assert capture.poll() is None
        assert not capture.ended
        capture.pause(on=False)
        source.permit(1)
        taken = take(capture, LONG_S)

    assert (taken.sequence, taken.dropped) == ((6, 0) if live else (1, 0))
