from __future__ import annotations

import logging
import threading
import time

import numpy as np
import pytest
from frames import CountingSource, buffers, take
from waiting import eventually

from edge.backoff import Backoff
from edge.capture.latest import CaptureThread
from edge.capture.picture import Picture
from edge.capture.reopening import Reopening
from edge.errors import SourceError

pytestmark = pytest.mark.board

LONG_S = 10.0
AT_ONCE = {"base_s": 0.0, "cap_s": 0.0}


class Camera:
    """Opens as its plan says: frames to give until it breaks, or an error instead of opening."""

    def __init__(self, *plan: int | SourceError) -> None:
        self.plan = list(plan)
        self.closed = 0
        self.sides: list[int] = []

    def open(self) -> _Plugged:
        what = self.plan.pop(0)
        if isinstance(what, SourceError):
            raise what
        return _Plugged(self, what)


class _Plugged(CountingSource):
    def __init__(self, camera: Camera, count: int) -> None:
        super().__init__(count=count, live=True)
        self._camera = camera
        self._side = 8 + len(camera.plan)

    def read(self, buffer):
        if self.reads == self._count:
            raise SourceError("/dev/video0: the camera stopped")
        self.reads += 1
        return Picture.taken(np.zeros((self._side, self._side, 3), np.uint8), 0)

    def close(self):
        self._camera.closed += 1
        super().close()


def reopening(camera: Camera, **changes) -> Reopening:
    return Reopening(camera.open, name="v4l2:0", **{"backoff": Backoff(**AT_ONCE)} | changes)


def test_a_camera_that_breaks_is_opened_again_and_closed_each_time():
    camera = Camera(2, 1, 3)
    with reopening(camera) as source:
        sides = [source.read(None).pixels.shape[0] for _ in range(6)]
        assert camera.closed == 2
    assert sides == [10, 10, 9, 8, 8, 8]  # and its size may be another
    assert camera.closed == 3


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_is_over(caplog):
    caplog.set_level(logging.INFO)
    gone = SourceError("/dev/video0: expected a camera, found none")
    source = reopening(Camera(1, gone, gone, 0, gone, 2))
    for _ in range(3):
        source.read(None)
    went, came = caplog.messages
    assert went == "/dev/video0: the camera stopped; it is tried again every 1 to 30 s"
    assert came == "v4l2:0 gives frames again, after 0 s"


def test_whoever_asked_is_told_of_each_change_and_of_nothing_else():
    changes = []
    gone = SourceError("gone")
    source = reopening(Camera(1, gone, 0, 2, 1), on_change=changes.append)
    assert source.is_up
    for expected in ([], [False, True], [False, True], [False, True, False, True]):
        source.read(None)
        assert changes == expected
    assert source.is_up


def test_a_camera_that_is_not_there_at_first_is_an_error_unless_it_may_come_later():
    gone = SourceError("/dev/video0: expected a camera, found none")
    with pytest.raises(SourceError, match="found none"):
        reopening(Camera(gone))
    changes = []
    source = reopening(Camera(gone, gone, 1), begin_closed=True, on_change=changes.append)
    assert not source.is_up
    assert source.read(None).size_wh == (8, 8)
    assert changes == [False, True]


def test_a_wait_for_a_camera_ends_at_once_when_interrupted():
    slow = Backoff(least_s=1000.0, base_s=1000.0, cap_s=1000.0)
    source = reopening(Camera(0), backoff=slow)
    threading.Timer(0.05, source.interrupt).start()
    began_s = time.monotonic()
    assert source.read(None) is None
    assert time.monotonic() - began_s < LONG_S


def test_a_camera_that_comes_back_after_the_end_is_let_go_of():
    camera = Camera(0, 5)
    source = reopening(camera)
    opened = camera.open

    def open_late():
        plugged = opened()
        source.close()  # meanwhile, from another thread
        return plugged

    source._open_source = open_late
    assert source.read(None) is None
    assert camera.closed == 2


def test_waits_grow_until_a_frame_came():
    waits = []

    class Watched(Backoff):
        def next_s(self):
            waits.append(self._ceiling_s)
            super().next_s()
            return 0.0

    source = reopening(Camera(0, 0, 0, 1, 1), backoff=Watched(base_s=1, cap_s=30))
    source.read(None)
    source.read(None)
    assert waits == [1, 2, 4, 1]


def test_a_program_goes_on_through_outages_and_sizes():
    camera = Camera(1, SourceError("gone"), 1, 1_000_000)
    with reopening(camera) as source, CaptureThread(source, buffers(), camera="door") as capture:
        assert eventually(lambda: camera.plan == [])
        assert eventually(lambda: take(capture, LONG_S).size_wh == (8, 8))
