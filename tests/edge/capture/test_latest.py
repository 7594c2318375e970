from __future__ import annotations

import contextlib
import threading
import time
import tracemalloc

import numpy as np
import pytest
from frames import CountingSource, buffers, take
from waiting import eventually

from edge.capture.latest import THREAD_NAME, CaptureThread
from edge.capture.options import SourceOptions
from edge.capture.picture import Picture
from edge.capture.synthetic import Scenes, open_demo
from edge.errors import ConfigError, SourceError

pytestmark = pytest.mark.board

LONG_S = 10.0


class BreakingSource(CountingSource):
    """Breaks with an error once its frames are given out."""

    def __init__(self, error: Exception, *, count: int = 2) -> None:
        super().__init__(count=count, live=False)
        self._error = error

    def read(self, buffer):
        image = super().read(buffer)
        if image is None:
            raise self._error
        return image


class StuckSource(CountingSource):
    """Holds `read` like a driver that does not answer, whatever is asked of it."""

    def __init__(self) -> None:
        super().__init__(count=0, live=True)
        self.released = threading.Event()

    def read(self, buffer):
        self.released.wait()


def capture_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def test_a_slow_consumer_of_a_live_source_sees_the_newest_and_an_exact_drop_count():
    source = CountingSource(count=1000, live=True, permits=0)
    with CaptureThread(source, buffers(), camera="door") as capture:
        for burst, last, dropped in ((1, 0, 0), (5, 5, 4), (2, 7, 5), (9, 16, 13)):
            source.permit(burst)
            # The thread asks for the next frame only once it has put the last one into the slot.
            assert eventually(lambda asked=last + 2: source.asked == asked)
            taken = take(capture, LONG_S)
            assert (taken.sequence, taken.dropped) == (last, dropped)


def test_every_frame_of_a_source_that_is_not_live_arrives_in_order():
    with CaptureThread(CountingSource(count=500, live=False), buffers(), camera="door") as capture:
        sequences, values = [], []
        while (taken := take(capture, LONG_S)) is not None:
            sequences.append(taken.sequence)
            values.append(int(taken.buffer.image[0, 0, 0]))
            assert taken.dropped == 0
    assert sequences == list(range(500))
    assert values == [k % 251 for k in range(500)]
    assert capture.ended


def test_taken_and_dropped_frames_add_up_to_what_the_source_gave():
    source = CountingSource(count=5000, live=True)
    with CaptureThread(source, buffers(), camera="door") as capture:
        taken = dropped = 0
        while (frame := take(capture, LONG_S)) is not None:
            taken, dropped = taken + 1, frame.dropped
    assert taken + dropped == source.reads == 5000


def test_a_borrowed_image_never_changes_until_the_next_take():
    with CaptureThread(
        CountingSource(count=20_000, live=True), buffers(), camera="door"
    ) as capture:
        while (taken := take(capture, LONG_S)) is not None:
            before = taken.buffer.image.copy()
            assert (before == taken.sequence % 251).all()
            time.sleep(0.0005)  # the writer goes round its buffers many times
            assert (taken.buffer.image == before).all()
            dropped = taken.dropped
    assert dropped > 0


def test_the_built_in_source_is_captured_without_a_torn_frame():
    options = SourceOptions(size_wh=(160, 90), rate_hz=500.0)
    reference, scenes = np.empty((90, 160, 3), np.uint8), Scenes()
    with (
        open_demo("", options) as source,
        CaptureThread(source, buffers(), camera="door") as capture,
    ):
        for _ in range(40):
            taken = take(capture, LONG_S)
            time.sleep(0.003)
            scenes.render(taken.sequence, out=reference)
            assert (taken.buffer.image == reference).all()


def test_a_frame_says_when_it_came_and_how_long_the_source_took():
    before_ns, before_utc_ns = time.monotonic_ns(), time.time_ns()
    options = SourceOptions(size_wh=(32, 18), rate_hz=1.0)
    with (
        open_demo("", options) as source,
        CaptureThread(source, buffers(), camera="door") as capture,
    ):
        first, second = take(capture, LONG_S), take(capture, LONG_S)
        after_ns, after_utc_ns = time.monotonic_ns(), time.time_ns()
    assert before_ns <= first.captured_ns < second.captured_ns <= after_ns
    assert before_utc_ns <= second.captured_utc_ns <= after_utc_ns
    assert 0 < first.capture_ns <= first.captured_ns - before_ns
    # The second waited 1 s for its time, and that is no work.
    assert 0 < second.capture_ns < 500_000_000
    assert first.camera == "door"


def test_the_end_shows_only_after_the_last_frame_was_taken():
    with CaptureThread(CountingSource(count=1, live=True), buffers(), camera="door") as capture:
        assert eventually(lambda: not capture_threads())
        assert not capture.ended
        assert take(capture, LONG_S).sequence == 0
        assert not capture.ended
        assert take(capture, LONG_S) is None
        assert capture.ended


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(SourceError("camera: unplugged"), "^camera: unplugged$", id="of the source"),
        pytest.param(ConfigError("a password: none"), "^a password: none$", id="of its files"),
        pytest.param(
            ZeroDivisionError("by zero"),
            f"thread {THREAD_NAME} failed: ZeroDivisionError: by zero",
            id="of the program",
        ),
    ],
)
def test_an_error_of_the_source_is_raised_at_take_after_the_frames_before_it(error, message):
    with CaptureThread(BreakingSource(error), buffers(), camera="door") as capture:
        assert [take(capture, LONG_S).sequence for _ in range(2)] == [0, 1]
        with pytest.raises(SourceError, match=message) as caught:
            take(capture, LONG_S)
        assert caught.value.__cause__ is error
        assert capture.ended


def test_an_error_is_not_missed_by_a_consumer_that_looks_at_ended_after_a_timeout():
    source = BreakingSource(SourceError("camera: unplugged"), count=0)
    with CaptureThread(source, buffers(), camera="door") as capture:
        assert eventually(lambda: not capture_threads())
        assert not capture.ended
        with pytest.raises(SourceError, match="unplugged"):
            take(capture, 0)


@pytest.mark.parametrize("live", [True, False], ids=["live", "every frame"])
def test_stopping_ends_the_thread_and_a_take_that_waits(live):
    source = CountingSource(count=1000, live=live, permits=0)
    capture = CaptureThread(source, buffers(), camera="door")
    capture.start()
    results = []
    consumer = threading.Thread(target=lambda: results.append(take(capture, LONG_S)))
    consumer.start()
    capture.stop()
    consumer.join(LONG_S)
    assert results == [None]
    assert not capture_threads()
    capture.stop()


def test_stopping_frees_a_writer_that_waits_for_the_slot():
    source = CountingSource(count=1000, live=False)
    capture = CaptureThread(source, buffers(), camera="door")
    capture.start()
    assert eventually(lambda: source.reads == 2)
    capture.stop()
    assert not capture_threads()


def test_stopping_a_slow_camera_does_not_wait_for_its_next_frame():
    options = SourceOptions(size_wh=(32, 18), rate_hz=0.01)
    with open_demo("", options) as source:
        began_s = time.monotonic()
        with CaptureThread(source, buffers(), camera="door") as capture:
            assert take(capture, LONG_S).sequence == 0
        assert time.monotonic() - began_s < LONG_S


def test_a_thread_that_stays_in_its_read_is_named(monkeypatch):
    monkeypatch.setattr("edge.capture.latest.JOIN_TIMEOUT_S", 0.05)
    source = StuckSource()
    capture = CaptureThread(source, buffers(), camera="door")
    capture.start()
    with pytest.raises(SourceError, match=rf"thread {THREAD_NAME} did not stop within 0\.05 s"):
        capture.stop()
    assert take(capture, LONG_S) is None
    source.released.set()
    capture.stop()
    assert eventually(lambda: not capture_threads())


def test_a_thread_that_was_never_started_can_be_stopped():
    CaptureThread(CountingSource(count=1, live=True), buffers(), camera="door").stop()


def test_a_long_run_keeps_no_memory_for_its_frames():
    with CaptureThread(CountingSource(count=6000, live=False), buffers(), camera="door") as capture:
        for _ in range(1000):
            take(capture, LONG_S)
        tracemalloc.start()
        for _ in range(500):
            take(capture, LONG_S)
        before_bytes, _ = tracemalloc.get_traced_memory()
        for _ in range(4000):
            take(capture, LONG_S)
        after_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert after_bytes - before_bytes < 4000  # less than a byte a frame


def test_a_source_that_changes_its_size_is_followed():
    class Growing(CountingSource):
        def read(self, buffer):
            side = 8 + self.reads // 3
            fits = buffer is not None and buffer.shape == (side, side, 3)
            self.reads += 1
            pixels = buffer if fits else np.zeros((side, side, 3), np.uint8)
            return Picture.taken(pixels, 0) if side < 12 else None

    with CaptureThread(Growing(count=0, live=False), buffers(), camera="door") as capture:
        sizes = []
        while (taken := take(capture, LONG_S)) is not None:
            sizes.append(taken.size_wh)
    assert sizes == [(8 + k // 3,) * 2 for k in range(12)]


def test_polling_never_waits():
    source = CountingSource(count=2, live=True, permits=0)
    with CaptureThread(source, buffers(), camera="door") as capture:
        assert capture.poll() is None
        source.permit(1)
        assert eventually(lambda: (frame := capture.poll()) and frame.sequence == 0)
        assert capture.poll() is None
        assert not capture.ended
        source.permit(2)
        assert eventually(lambda: (frame := capture.poll()) and frame.sequence == 1)
        assert eventually(lambda: capture.poll() is None and capture.ended)


def test_polling_raises_what_broke_the_source():
    source = BreakingSource(SourceError("camera: unplugged"), count=0)
    with CaptureThread(source, buffers(), camera="door") as capture:
        assert eventually(lambda: not capture_threads())
        with pytest.raises(SourceError, match="unplugged"):
            capture.poll()


def test_one_consumer_waits_for_several_captures_by_one_condition():
    changed = threading.Condition()
    sources = [CountingSource(count=300, live=True, permits=0) for _ in range(3)]
    captures = [
        CaptureThread(source, buffers(), camera=f"camera{number}", changed=changed)
        for number, source in enumerate(sources)
    ]

    def poll_all():
        return [frame for capture in captures if (frame := capture.poll())]

    with contextlib.ExitStack() as stack:
        for capture in captures:
            stack.enter_context(capture)
        for number in (2, 0, 1, 1, 2):
            sources[number].permit(1)
            found = []
            with changed:
                while not found:
                    found = poll_all()
                    assert found or changed.wait(LONG_S)
            assert [frame.camera for frame in found] == [f"camera{number}"]
