"""A replay gives the frames of a recording, at their pace or at once."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from waiting import Stopwatch

from edge.capture.options import SourceOptions
from edge.capture.picture import Picture
from edge.capture.recording import Header, Recorder
from edge.capture.registry import check_source, open_source
from edge.errors import SourceError

pytestmark = pytest.mark.board

MS = 1_000_000
# When each frame was taken: 300 ms pass in which the camera gave none.
TAKEN_MS = (0, 40, 80, 380, 420)


class Clock:
    """Stands still but for who waits on it: for the module's `time`, and a source's event."""

    def __init__(self):
        self.now_ns = 10**9

    def monotonic_ns(self):
        return self.now_ns

    def wait(self, timeout_s):
        self.now_ns += round(timeout_s * 1e9)
        return False

    def is_set(self):
        return False

    def set(self):
        pass


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "door.rec"
    with Recorder(path, Header(camera="door", source="v4l2:0"), max_bytes=10**6) as recorder:
        for number, taken_ms in enumerate(TAKEN_MS):
            pixels = np.full((12, 16), number, np.uint8)
            recorder.add(Picture(pixels, 10**12 + taken_ms * MS, taken_ms, 0, "grey"))
        recorder.finish()
    return path


def read_all(source, most=1000):
    seen = []
    while len(seen) < most and (picture := source.read(None)):
        seen.append(picture)
    return seen


def test_at_once_is_every_frame_with_the_time_it_was_taken(recording):
    began_ns = time.monotonic_ns()
    with open_source(f"replay:{recording}") as source, Stopwatch() as watch:
        assert not source.live
        seen = read_all(source)
    assert watch.elapsed_s < 0.3
    assert [int(picture.pixels[0, 0]) for picture in seen] == [0, 1, 2, 3, 4]
    assert [picture.captured_utc_ns for picture in seen] == list(TAKEN_MS)
    assert {picture.format for picture in seen} == {"grey"}
    assert [(each.source_ns - seen[0].source_ns) / MS for each in seen] == list(TAKEN_MS)
    # A frame's age is counted from when it is given.
    given_ns = [picture.captured_ns for picture in seen]
    assert sorted([began_ns, *given_ns, time.monotonic_ns()])[1:-1] == given_ns


def test_in_real_time_frames_are_as_far_apart_as_they_were(recording, monkeypatch):
    began_ns = time.monotonic_ns()
    with open_source(f"replay:{recording}", SourceOptions(realtime=True)) as source:
        assert source.live
        given_ns = [picture.captured_ns - began_ns for picture in read_all(source)]
    assert all(given >= ms * MS for given, ms in zip(given_ns, TAKEN_MS, strict=True))

    clock = Clock()
    monkeypatch.setattr("edge.capture.replay.time", clock)
    with open_source(f"replay:{recording}", SourceOptions(realtime=True)) as source:
        source._interrupted = clock
        seen = read_all(source)
    assert [(each.captured_ns - seen[0].captured_ns) / MS for each in seen] == list(TAKEN_MS)


def test_a_loop_begins_again_with_the_first_frame(recording):
    with open_source(f"replay:{recording}", SourceOptions(loop=True)) as source:
        seen = read_all(source, most=12)
    assert [int(picture.pixels[0, 0]) for picture in seen] == [0, 1, 2, 3, 4] * 2 + [0, 1]


def test_a_wait_ends_when_it_is_interrupted(recording):
    with open_source(f"replay:{recording}", SourceOptions(realtime=True)) as source:
        for _ in range(3):
            source.read(None)
        threading.Timer(0.05, source.interrupt).start()
        assert source.read(None) is None
        assert source.read(None) is None


def test_size_and_rate_are_those_of_the_recording_and_that_is_said(recording, caplog):
    with open_source(f"replay:{recording}", SourceOptions(size_wh=(9, 9), rate_hz=5)) as source:
        assert source.read(None).size_wh == (16, 12)
    assert "frames keep the size and times of the recording" in caplog.text


def test_a_folder_and_what_is_not_there_are_refused(tmp_path):
    with pytest.raises(SourceError, match="expected a recording, found a folder"):
        check_source(f"replay:{tmp_path}")
    with pytest.raises(SourceError, match="expected a recording of edge record, found nothing"):
        check_source(f"replay:{tmp_path}/none.rec")


def test_a_check_reads_the_first_frame(recording):
    check_source(f"replay:{recording}")
    recording.write_bytes(recording.read_bytes()[:120])
    with pytest.raises(SourceError, match="found 0 whole frames"):
        check_source(f"replay:{recording}")
