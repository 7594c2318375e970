"""Several cameras share one consumer fairly, and none keeps another waiting."""

from __future__ import annotations

import collections
import threading
import time
from contextlib import ExitStack

import pytest
from frames import CountingSource
from waiting import Stopwatch, eventually

from edge.capture.latest import CaptureThread, Turns
from edge.capture.options import SourceOptions
from edge.capture.synthetic import open_demo
from edge.errors import SourceError

pytestmark = pytest.mark.board


class Seen:
    """A buffer that remembers nothing."""

    def fill(self, picture):
        pass


class Broken:
    """A source that gives some pictures of the demonstration and then breaks."""

    live = False

    def __init__(self, pictures):
        self._demo = open_demo("", SourceOptions(size_wh=(64, 48), realtime=False))
        self._left = pictures

    def read(self, buffer):
        self._left -= 1
        if self._left < 0:
            raise SourceError("clip.mp4: the file is cut short")
        return self._demo.read(buffer)

    def interrupt(self):
        self._demo.interrupt()

    def close(self):
        self._demo.close()


def cameras(stack, sources):
    changed = threading.Condition()
    captures = [
        stack.enter_context(
            CaptureThread(source, (Seen(), Seen(), Seen()), camera=name, changed=changed)
        )
        for name, source in sources.items()
    ]
    return Turns(captures)


def demo(**options):
    return open_demo("", SourceOptions(size_wh=(64, 48), **options))


def take_all(turns):
    frames = []
    while not turns.ended:
        frame = turns.take(5)
        if frame is not None:
            frames.append((frame.camera, frame.sequence))
    return frames


def permitted(source, count):
    """Let a source give so many more frames, and wait until the last of them can be taken."""
    given = source.reads + count
    source.permit(count)
    # The thread asks for the next frame only once it has put the last one into the slot.
    assert eventually(lambda: source.asked == given + 1)


def permits(*names):
    """Return sources by name that give a frame for each permit."""
    return {name: CountingSource(count=1000, live=True, permits=0) for name in names}


def test_cameras_that_are_all_faster_than_the_consumer_get_the_same_share():
    with ExitStack() as stack:
        sources = permits("a", "b", "c")
        turns = cameras(stack, sources)
        counts = collections.Counter()
        for _ in range(150):
            for source in sources.values():
                permitted(source, 2)
            counts[turns.take(5).camera] += 1

    assert sorted(counts) == ["a", "b", "c"]
    assert max(counts.values()) / min(counts.values()) <= 1.1


def test_a_slow_camera_delays_nobody_and_none_of_its_frames_is_lost():
    with ExitStack() as stack:
        sources = permits("fast", "slow")
        turns = cameras(stack, sources)
        seen = []
        for number in range(100):
            permitted(sources["fast"], 2)
            if number % 25 == 0:
                permitted(sources["slow"], 1)
            frame = turns.take(5)
            seen.append((frame.camera, frame.sequence))

    slow = [sequence for camera, sequence in seen if camera == "slow"]
    assert slow == [0, 1, 2, 3]
    assert len(seen) - len(slow) == 96


def test_the_frames_dropped_are_those_of_the_camera_that_was_taken():
    with ExitStack() as stack:
        turns = cameras(stack, {"fast": demo(rate_hz=500), "slow": demo(rate_hz=1)})
        dropped = {}
        for _ in range(20):
            frame = turns.take(5)
            dropped[frame.camera] = frame.dropped
            time.sleep(0.02)

    assert dropped["fast"] > 0
    assert dropped.get("slow", 0) == 0


def test_a_file_that_breaks_is_told_once_the_others_have_ended(caplog):
    with ExitStack() as stack:
        turns = cameras(stack, {"clip": Broken(2), "other": Broken(4)})
        with pytest.raises(SourceError, match="cut short"):
            take_all(turns)

    assert "camera clip ended" in caplog.text


def test_waiting_ends_when_the_time_is_up():
    with ExitStack() as stack:
        turns = cameras(stack, {"slow": demo(rate_hz=0.2)})
        turns.take(5)
        with Stopwatch() as watch:
            assert turns.take(0.1) is None
        assert watch.elapsed_s < 2
        assert not turns.ended
