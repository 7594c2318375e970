"""MJPEG and video over HTTP, from servers of the tests on the loopback interface."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from broker import Certificate
from mjpeg_server import MjpegCamera
from waiting import Stopwatch, eventually

from edge.capture.options import StreamOptions
from edge.capture.registry import open_lasting, open_source
from edge.errors import SourceError

pytestmark = pytest.mark.board

LONG_S = 10.0


@pytest.fixture
def camera():
    with MjpegCamera() as camera:
        yield camera


@pytest.fixture
def soon(monkeypatch):
    """Call a stall what has lasted half a second."""
    for module in ("streams", "mjpeg"):
        monkeypatch.setattr(f"edge.capture.{module}.STALL_S", 0.5)


def refusal(camera, **options) -> str:
    with open_source(camera.url, StreamOptions(**options)) as source:
        with pytest.raises(SourceError) as caught:
            source.read(None)
        return str(caught.value)


@pytest.mark.parametrize("lengths", [True, False], ids=["lengths", "no lengths"])
def test_frames_come_as_the_camera_sends_them(camera, *, lengths):
    camera.lengths = lengths
    camera.content_type = "multipart/x-mixed-replace;boundary=another"  # as some do
    with open_source(camera.url) as source:
        pictures = [source.read(None) for _ in range(5)]
    for picture in pictures:
        assert picture.format == "bgr"
        assert picture.pixels[24, 16].tolist() == pytest.approx([0, 0, 255], abs=3)
    grey = [int(picture.pixels[24, 48, 0]) for picture in pictures]
    assert grey == sorted(set(grey))  # each is another, in their order


@pytest.mark.parametrize("lengths", [True, False], ids=["lengths", "no lengths"])
def test_a_camera_may_change_its_size_with_any_frame(camera, *, lengths):
    camera.lengths = lengths
    with open_source(camera.url) as source:
        for size_wh in ((64, 48), (320, 240), (48, 64), (16, 16)):
            camera.size_wh = size_wh
            assert eventually(lambda: source.read(None).size_wh == size_wh)  # noqa: B023


def test_a_camera_that_stops_sending_is_a_stall_and_gives_frames_again(camera, soon, caplog):
    with open_lasting(camera.url, begin_closed=True) as source:
        assert source.read(None)
        caplog.clear()  # a busy machine may have taken its time for the first frame as well
        camera.mode = "silent"

        def go_on():
            assert eventually(lambda: caplog.messages)
            camera.mode = "sends"

        threading.Thread(target=go_on).start()
        while not caplog.messages:
            assert source.read(None)
    went, came = caplog.messages
    assert "the camera gave no frame for 0.5 s; check its power and network; it is tried" in went
    assert "gives frames again" in came


def test_a_camera_that_loses_its_power_gives_its_first_frame_soon_after_it_is_back(camera, caplog):
    with open_lasting(camera.url, begin_closed=True) as source, Stopwatch() as watch:
        assert source.read(None)
        camera.stop()
        restarted = threading.Event()

        def restart():
            camera.start()
            restarted.set()

        threading.Timer(1.0, restart).start()
        while not restarted.is_set():
            assert source.read(None)
        assert watch.elapsed_s < 1.0 + LONG_S / 2
    assert "the camera ended the stream" in caplog.messages[0]
    assert len(caplog.messages) <= 3  # and at most one other reason


@pytest.mark.parametrize("mode", ["connect", "stall"])
def test_a_wait_for_a_camera_that_does_not_answer_ends_at_once_when_interrupted(camera, mode):
    with open_source(camera.url) as source:
        if mode == "stall":
            assert source.read(None)
        camera.mode = "silent"
        threading.Timer(0.3, source.interrupt).start()
        with Stopwatch() as watch:
            while source.read(None):
                pass
        assert watch.elapsed_s < LONG_S / 5
        assert source.read(None) is None


def test_what_is_no_image_is_passed_over_and_a_stream_of_it_is_an_error(camera, monkeypatch, capfd):
    with open_source(camera.url) as source:
        assert source.read(None)
        camera.mode = "garbage"
        said = r"expected JPEG images, found \d+ parts in 0.5 s"
        with monkeypatch.context() as patch:
            patch.setattr("edge.capture.mjpeg.STALL_S", 0.5)
            with pytest.raises(SourceError, match=said):
                list(iter(lambda: source.read(None), None))
        camera.mode = "sends"
        assert source.read(None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("404 Not Found", "the camera has no such stream (404); look up the path in its manual"),
        ("403 Forbidden", "the camera asks for a login (403); write http://USER@HOST/PATH and set"),
        ("503 Busy", "the camera refuses with status 503"),
        ("nonsense", "it does not answer as one"),
    ],
)
def test_what_a_camera_refuses_is_said(camera, status, said):
    camera.status = status
    assert said in refusal(camera)


@pytest.mark.parametrize("kind", ["text/html", "image/jpeg"])
def test_a_page_or_a_single_image_is_no_stream(camera, kind):
    camera.content_type = kind
    assert f"expected a stream, found a page or one image ({kind})" in refusal(camera)


def test_a_stream_without_the_head_of_an_image_is_an_error(camera):
    camera.boundary = "no hyphens"
    camera.mode = "garbage"
    assert "found no header of an image in 64 lines" in refusal(camera)


@pytest.mark.parametrize("digest", [False, True], ids=["basic", "digest"])
def test_the_password_comes_from_its_file_and_nobody_sees_it(
    camera, password_file, caplog, *, digest
):
    caplog.set_level(logging.DEBUG)
    camera.login, camera.digest = "me:p@ss:w/rd?%", digest
    url = camera.url.replace("//", "//me@")
    with open_lasting(url, StreamOptions(password_file=password_file)) as source:
        assert source.read(None)
    password_file.write_text("wr0ng\n")
    camera.requests.clear()
    with (
        open_lasting(url, StreamOptions(password_file=password_file)) as source,
        pytest.raises(SourceError) as caught,
    ):
        source.read(None)
    assert "does not take that of 'me' (401); check user and password_file" in str(caught.value)
    # One without it, one with it: cameras lock who is wrong too often.
    assert len(camera.requests) == 2
    assert not any(secret in caplog.text + str(caught.value) for secret in ("p@ss", "wr0ng"))
    assert "the camera asks for a login (401)" in refusal(camera)


def test_https_encrypts_and_takes_the_certificate_that_a_camera_made_itself(camera, tmp_path):
    made = Certificate.make(tmp_path / "tls")
    camera.encryption = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    camera.encryption.load_cert_chain(made.certificate, made.key)
    with open_source(camera.url) as source:
        assert source.read(None).size_wh == (64, 48)
    camera.status = "404 Not Found"
    assert "the camera has no such stream (404)" in refusal(camera)
    plain = camera.url.replace("https", "http")
    with open_source(plain) as source, pytest.raises(SourceError, match="does not answer as one"):
        source.read(None)


def test_a_picture_that_stands_still_is_said_by_the_lasting_source(camera, monkeypatch, caplog):
    monkeypatch.setattr("edge.capture.reopening.FROZEN_S", 0.3)
    monkeypatch.setattr("edge.capture.reopening.LOOK_EVERY_S", 0.1)
    states = []
    with open_lasting(camera.url, on_change=states.append) as source:
        for mode, expected in (("frozen", ["frozen"]), ("sends", ["frozen", "online"])):
            camera.mode = mode
            assert eventually(lambda: source.read(None) and states == expected)  # noqa: B023
    assert f"{camera.url} has given the same picture" in caplog.messages[0]


def test_nobody_there_is_said_with_what_to_look_at(camera):
    camera.stop()
    said = refusal(camera)
    assert f"expected a camera at {camera.place}, it does not answer" in said
    assert "Connection refused" in said


def test_a_wait_for_ffmpeg_ends_at_once_when_interrupted():
    # It listens, and never answers.
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        open_source(f"rtsp://127.0.0.1:{listening.getsockname()[1]}/live") as source,
    ):
        threading.Timer(0.3, source.interrupt).start()
        with Stopwatch() as watch:
            assert source.read(None) is None
        assert watch.elapsed_s < LONG_S / 5


def test_a_video_over_http_is_read_by_ffmpeg_and_its_end_is_an_outage(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for value in range(10):
        writer.write(np.full((120, 160, 3), 20 * value, np.uint8))
    writer.release()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "video/x-msvideo")
            self.end_headers()
            self.wfile.write(path.read_bytes())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open_source(f"http://127.0.0.1:{server.server_port}/clip.avi") as source:
        assert source.read(None).size_wh == (160, 120)
        with pytest.raises(SourceError, match="the camera ended the stream"):
            list(iter(lambda: source.read(None), None))
    server.shutdown()
    server.server_close()
