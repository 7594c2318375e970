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
from edge.capture.reopening import ANSWERING_S, FROZEN_S, LINES, LINES_S, SOUND_S, Reopening
from edge.errors import ConfigError, EdgeError, LoginError, SourceError

pytestmark = pytest.mark.board

LONG_S = 10.0
AT_ONCE = {"base_s": 0.0, "cap_s": 0.0}


class Camera:
    """Opens as its plan says: frames to give until it breaks, or an error instead of opening."""

    def __init__(self, *plan: int | EdgeError) -> None:
        self.plan = list(plan)
        self.closed = 0
        self.sides: list[int] = []

    def open(self) -> _Plugged:
        what = self.plan.pop(0)
        if isinstance(what, EdgeError):
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


class Ticking:
    """A clock that is set by hand; for what of a module says `time.monotonic`."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


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
    once = ["offline", "online"]
    for expected in ([], once, once, [*once, *once]):
        source.read(None)
        assert changes == expected
    assert source.state == "online"


def test_a_camera_that_is_not_there_at_first_is_an_error_unless_it_may_come_later():
    gone = SourceError("/dev/video0: expected a camera, found none")
    with pytest.raises(SourceError, match="found none"):
        reopening(Camera(gone))
    changes = []
    source = reopening(Camera(gone, gone, 1), begin_closed=True, on_change=changes.append)
    assert source.state == "offline"
    assert source.read(None).size_wh == (8, 8)
    assert changes == ["offline", "online"]


def test_a_camera_that_opens_and_never_gives_a_frame_is_an_error_unless_it_may_come_later():
    with pytest.raises(SourceError, match="the camera stopped"):
        reopening(Camera(0)).read(None)
    assert reopening(Camera(0, 1), begin_closed=True).read(None)


def test_a_wait_for_a_camera_ends_at_once_when_interrupted():
    slow = Backoff(least_s=1000.0, base_s=1000.0, cap_s=1000.0)
    source = reopening(Camera(0), backoff=slow, begin_closed=True)
    threading.Timer(0.05, source.interrupt).start()
    began_s = time.monotonic()
    assert source.read(None) is None
    assert time.monotonic() - began_s < LONG_S


def test_a_camera_that_comes_back_after_the_end_is_let_go_of():
    camera = Camera(0, 5)
    source = reopening(camera, begin_closed=True)
    opened = camera.open

    def open_late():
        plugged = opened()
        source.close()  # meanwhile, from another thread
        return plugged

    source._open_source = open_late
    assert source.read(None) is None
    assert camera.closed == 2


class Watched(Backoff):
    """Waits for nothing, and notes how long it might have."""

    def __init__(self) -> None:
        super().__init__(base_s=1, cap_s=30)
        self.waits_s: list[float] = []

    def next_s(self):
        self.waits_s.append(self._ceiling_s)
        super().next_s()
        return 0.0


def test_waits_grow_until_frames_have_come_for_a_while(monkeypatch):
    clock, waits = Ticking(), Watched()
    monkeypatch.setattr("edge.capture.reopening.time", clock)
    source = reopening(Camera(1, 0, 0, 1, 1, 0, 1), backoff=waits)
    source.read(None)
    source.read(None)
    assert waits.waits_s == [1, 2, 4]
    clock.now_s += SOUND_S - 1  # it breaks again: the same trouble
    source.read(None)
    assert waits.waits_s == [1, 2, 4, 8]
    clock.now_s += SOUND_S + 1  # at once, and that is no use
    source.read(None)
    assert waits.waits_s == [1, 2, 4, 8, 1]


def test_a_camera_that_ran_for_a_while_is_opened_again_at_once(monkeypatch):
    clock, waits = Ticking(), Watched()
    monkeypatch.setattr("edge.capture.reopening.time", clock)
    source = reopening(Camera(2, 1), backoff=waits)
    source.read(None)
    clock.now_s += SOUND_S + 1
    source.read(None)
    assert source.read(None)
    assert waits.waits_s == []


@pytest.mark.parametrize(
    ("error", "longest_s"),
    [(SourceError("refuses with status 503"), ANSWERING_S), (LoginError("asks for a login"), 100)],
    ids=["busy", "locks out who tries too often"],
)
def test_what_answers_and_refuses_is_tried_again_soon_but_no_login(monkeypatch, error, longest_s):
    clock = Ticking()
    monkeypatch.setattr("edge.capture.reopening.time", clock)
    slow = Backoff(least_s=100.0, base_s=100.0, cap_s=100.0)
    source = reopening(Camera(error, 1), begin_closed=True, backoff=slow, is_there=lambda: True)

    def wait(timeout_s):
        clock.now_s += timeout_s
        return False

    monkeypatch.setattr(source._interrupted, "wait", wait)
    assert source.read(None)
    assert clock.now_s == pytest.approx(longest_s)


def test_a_camera_that_comes_and_goes_has_few_lines_in_the_log(monkeypatch, caplog):
    clock = Ticking()
    monkeypatch.setattr("edge.capture.reopening.time", clock)
    source = reopening(Camera(*[1] * 60))
    for _ in range(60):
        source.read(None)
        clock.now_s += 0.9
    assert len(caplog.messages) == LINES
    clock.now_s += LINES_S
    source._source.reads = 0  # another frame, and the end
    source._source.read = gone
    with pytest.raises(IndexError):  # the plan is over
        source.read(None)
    assert caplog.messages[LINES:] == [
        "gone; it is tried again every 1 to 30 s (112 lines like it left out)"
    ]


def gone(_):
    raise SourceError("gone")


def test_what_was_away_and_is_there_again_is_opened_at_once():
    slow = Backoff(least_s=1000.0, base_s=1000.0, cap_s=1000.0)
    knocks = iter([True, False, False, True])  # there at first: it has broken for another reason
    source = reopening(Camera(0, 1), backoff=slow, begin_closed=True, is_there=lambda: next(knocks))
    began_s = time.monotonic()
    assert source.read(None)
    assert time.monotonic() - began_s < LONG_S
    assert list(knocks) == []


def test_what_is_wrong_with_the_files_of_a_camera_that_ran_is_an_outage_too():
    camera = Camera(1, ConfigError("door.password: cannot be read"), 1)
    source = reopening(camera)
    assert source.read(None)
    assert source.read(None)
    with pytest.raises(ConfigError):
        reopening(Camera(ConfigError("door.password: cannot be read")))


def test_a_knock_that_does_not_return_holds_up_nobody():
    slow = Backoff(least_s=1000.0, base_s=1000.0, cap_s=1000.0)
    knocking = threading.Event()

    def hang():
        knocking.set()
        threading.Event().wait(LONG_S)

    source = reopening(Camera(0), backoff=slow, begin_closed=True, is_there=hang)
    threading.Thread(target=lambda: (knocking.wait(LONG_S), source.interrupt())).start()
    began_s = time.monotonic()
    assert source.read(None) is None
    assert time.monotonic() - began_s < LONG_S / 2


class Standing(CountingSource):
    """Gives one picture over and over, half a second apart, and another where it is asked to."""

    def __init__(self) -> None:
        super().__init__(count=1, live=True)
        self.pixels = np.zeros((64, 48, 3), np.uint8)
        self.now_ns = 0

    def read(self, buffer):
        self.now_ns += 500_000_000
        return Picture(self.pixels[:, :40], self.now_ns, 0, 0)


def test_a_camera_that_gives_the_same_picture_for_ten_seconds_is_frozen_until_it_moves(caplog):
    camera, changes = Standing(), []
    source = Reopening(lambda: camera, name="gate", on_change=changes.append)
    seen = {}
    for tick in range(24):
        source.read(None)
        seen.setdefault(source.state, tick / 2)
    assert seen == {"online": 0.0, "frozen": FROZEN_S}
    camera.pixels[8:16, 3] = 1  # one dot of eight pixels' height
    for _ in range(2):
        source.read(None)
    assert changes == ["frozen", "online"]
    assert caplog.messages == ["gate has given the same picture for 10 s", "gate moves again"]


def test_a_picture_beyond_the_edge_of_what_is_shown_does_not_count():
    camera = Standing()
    source = Reopening(lambda: camera, name="gate")
    for tick in range(24):
        camera.pixels[:, 40:] = tick  # behind the rows' end
        source.read(None)
    assert source.state == "frozen"


def test_a_program_goes_on_through_outages_and_sizes():
    camera = Camera(1, SourceError("gone"), 1, 1_000_000)
    with reopening(camera) as source, CaptureThread(source, buffers(), camera="door") as capture:
        assert eventually(lambda: camera.plan == [])
        assert eventually(lambda: take(capture, LONG_S).size_wh == (8, 8))
