"""H.264 over RTSP, from GStreamer's own server."""

from __future__ import annotations

import signal
import threading
import time

import pytest
import rtsp_server
from waiting import eventually

from edge.capture.options import StreamOptions
from edge.capture.registry import open_lasting, open_source
from edge.errors import SourceError

LONG_S = 10.0


@pytest.fixture(scope="module", autouse=True)
def _servers():
    if reason := rtsp_server.missing():
        pytest.skip(reason)


def refusal(url, **options) -> str:
    with open_source(url, StreamOptions(**options)) as source:
        with pytest.raises(SourceError) as caught:
            source.read(None)
        return str(caught.value)


def test_rtsp_gives_frames_of_now_and_again_when_the_camera_is_back(caplog):
    with rtsp_server.RtspCamera() as camera, open_lasting(camera.url()) as source:
        assert source.read(None).size_wh == (320, 240)
        began_s = time.monotonic()
        for _ in range(10):
            source.read(None)
        # Ten frames of 25 Hz: what lay ready was passed over.
        assert time.monotonic() - began_s > 0.3
        camera.stop()
        threading.Timer(1.0, camera.start).start()
        while len(caplog.messages) < 2 or "again" not in caplog.messages[-1]:
            assert source.read(None)
        assert "the camera ended the stream" in caplog.messages[0]


def test_rtsp_reads_with_the_password_of_the_file_and_says_what_is_refused(password_file, caplog):
    with rtsp_server.RtspCamera(login="me:p@ss:w/rd?%") as camera:
        with open_source(camera.url("me"), StreamOptions(password_file=password_file)) as source:
            assert source.read(None)
        assert "the camera asks for a login (401)" in refusal(camera.url())
        password_file.write_text("wr0ng\n")
        said = refusal(camera.url("me"), password_file=password_file)
        assert "does not take that of 'me'" in said
    assert "does not answer (Connection refused)" in refusal(camera.url())
    assert "p@ss" not in said + caplog.text


def test_a_camera_that_hangs_is_a_stall_and_is_seen_again_as_it_goes_on(monkeypatch):
    monkeypatch.setattr("edge.capture.streams.STALL_S", 1.0)
    with (
        rtsp_server.RtspCamera() as camera,
        open_lasting(camera.url(), begin_closed=True) as source,
    ):
        assert source.read(None)
        reading = Reading(source)
        camera.signal(signal.SIGSTOP)
        began_s = time.monotonic()
        assert eventually(lambda: source.state == "offline", timeout_s=2 * LONG_S)
        assert 0.8 < time.monotonic() - began_s < LONG_S
        count = reading.count
        camera.signal(signal.SIGCONT)
        assert eventually(lambda: reading.count > count, timeout_s=2 * LONG_S)
        source.interrupt()


class Reading(threading.Thread):
    """Reads a source until it ends, and counts."""

    def __init__(self, source) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self._source = source
        self.start()

    def run(self) -> None:
        while self._source.read(None):
            self.count += 1


def test_a_path_that_is_not_there_is_said():
    with rtsp_server.RtspCamera() as camera:
        assert "the camera has no such stream (404)" in refusal(camera.url() + "/other")
