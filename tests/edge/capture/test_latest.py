from __future__ import annotations

import threading
import time

import pytest
from frames import ImageBuffer, buffers

from edge.capture.latest import LatestFrame
from edge.frame import Frame

pytestmark = pytest.mark.board

LONG_S = 10.0


def frame(sequence: int, buffer: ImageBuffer | None = None) -> Frame[ImageBuffer]:
    return Frame(
        buffer=buffer or ImageBuffer(),
        size_wh=(2, 2),
        sequence=sequence,
        captured_ns=0,
        captured_utc_ns=0,
        capture_ns=0,
        preprocess_ns=0,
        camera="door",
    )


def test_the_newest_frame_wins_and_each_replaced_one_is_counted():
    latest = LatestFrame(buffers(), live=True)
    for sequence in range(5):
        assert latest.put(frame(sequence))
    assert latest.take(0).sequence == 4
    assert latest.dropped == 4
    assert latest.take(0) is None
    latest.put(frame(5))
    assert latest.take(0).sequence == 5
    assert latest.dropped == 4


def test_writer_slot_and_reader_never_share_a_buffer():
    three = buffers()
    latest = LatestFrame(three, live=True)
    latest.put(frame(0, latest.writer_buffer()))
    borrowed = latest.take(0).buffer
    seen = {id(borrowed)}
    for sequence in range(1, 9):
        written = latest.writer_buffer()
        assert written is not borrowed
        latest.put(frame(sequence, written))
        assert latest.writer_buffer() is not written  # it is in the slot
        seen.add(id(written))
    assert latest.take(0).buffer is written
    seen.add(id(written))
    assert seen == {id(buffer) for buffer in three}


def test_a_writer_that_may_not_drop_waits_until_the_slot_is_empty():
    latest = LatestFrame(buffers(), live=False)
    latest.put(frame(0))
    done = threading.Event()
    writer = threading.Thread(target=lambda: (latest.put(frame(1)), done.set()))
    writer.start()
    assert not done.wait(0.05)
    assert latest.take(0).sequence == 0
    assert done.wait(LONG_S)
    assert latest.take(LONG_S).sequence == 1
    writer.join()
    assert latest.dropped == 0


def test_take_gives_up_when_its_time_is_up():
    began_s = time.monotonic()
    assert LatestFrame(buffers(), live=True).take(0.05) is None
    assert time.monotonic() - began_s >= 0.049


def test_after_the_finish_the_waiting_frame_can_be_taken_and_no_other_put():
    latest = LatestFrame(buffers(), live=True)
    latest.put(frame(0))
    latest.finish()
    assert not latest.put(frame(1))
    assert not latest.finished
    assert latest.take(None).sequence == 0
    assert latest.finished
    assert latest.take(None) is None
