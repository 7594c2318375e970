from __future__ import annotations

import sys

import pytest

from edge.capture.options import SourceOptions
from edge.capture.registry import SOURCES, open_source, shown_source, split_uri
from edge.errors import DependencyError, SourceError

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param("demo:", ("demo", ""), id="nothing after the colon"),
        pytest.param("file:a.mp4", ("file", "a.mp4"), id="path"),
        pytest.param("file:a:b.mp4", ("file", "a:b.mp4"), id="colon in the path"),
        pytest.param("images:photos", ("images", "photos"), id="folder"),
        pytest.param("v4l2:/dev/video0", ("v4l2", "/dev/video0"), id="device"),
    ],
)
def test_a_uri_is_split_at_its_first_colon(uri, expected):
    assert split_uri(uri) == expected


@pytest.mark.parametrize(
    ("uri", "advice"),
    [
        pytest.param("v4l:0", "did you mean v4l2:0", id="near miss"),
        pytest.param("FILE:a.mp4", "did you mean file:a.mp4", id="upper case"),
        pytest.param("demo", "write demo: with its colon", id="no colon after a scheme"),
        pytest.param("/dev/video0", "for a camera write v4l2:/dev/video0", id="device"),
        pytest.param("0", "for a camera write v4l2:0", id="number"),
        pytest.param("picamera2:", "a Raspberry Pi's own camera is picamera:", id="picamera2"),
        pytest.param("libcamera:0", "a Raspberry Pi's own camera is picamera:", id="libcamera"),
        pytest.param(
            "argus", "that of others csi:0, a USB camera", id="no colon after a missing one"
        ),
        pytest.param("srt://me:pw@cam/1", "others come through a pipeline, gst:", id="srt"),
        pytest.param("RTMP://cam/1", "others come through a pipeline", id="upper case rtmp"),
        pytest.param("RTSP://me:pw@cam/1", "did you mean rtsp://cam/1", id="upper case rtsp"),
        pytest.param("rstp://me:pw@cam/1", "did you mean rtsp://cam/1", id="a secret in a typo"),
        pytest.param(
            "fil://me:pw@cam/1", "did you mean file://cam/1", id="a secret in a near miss"
        ),
        pytest.param("RTSP://cam/1?pwd=pw", "did you mean rtsp://cam/1", id="a query in a typo"),
        pytest.param("clip.mp4", "for a file write file:clip.mp4", id="plain path"),
        pytest.param("/data/a:b.mp4", "for a file write file:/data/a:b.mp4", id="path with colon"),
        pytest.param("", "for a file write file:", id="empty"),
        pytest.param("quicktime:x", "for a file write file:quicktime:x", id="far from all"),
    ],
)
def test_another_uri_is_refused_with_the_known_schemes_and_advice(uri, advice):
    with pytest.raises(SourceError) as caught:
        open_source(uri, SourceOptions())
    message = str(caught.value)
    assert advice in message
    assert ", ".join(f"{scheme}:" for scheme in SOURCES) in message
    assert "\n" not in message
    assert "pw" not in message


def test_the_demo_opens_by_its_uri():
    with open_source("demo:", SourceOptions(size_wh=(64, 36), realtime=False)) as source:
        assert source.read(None).pixels.shape == (36, 64, 3)


def test_a_row_whose_package_is_missing_says_what_to_install(monkeypatch):
    module = SOURCES["v4l2"].module
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DependencyError, match="cannot import cv2; install "):
        open_source("v4l2:/dev/video0", SourceOptions())


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        pytest.param("rtsp://me:p#s@s/?@cam.lan/live", "rtsp://cam.lan/live", id="password"),
        pytest.param("file:rtsp://me:pass@cam.lan", "file:cam.lan", id="mistaken for a file"),
        pytest.param("file:clips/me@home.mp4", "file:clips/me@home.mp4", id="a file's name"),
        pytest.param("demo:", "demo:", id="built in"),
        pytest.param("http://cam.lan/v?user=me&pwd=s3", "http://cam.lan/v", id="query"),
        pytest.param("gst:rtspsrc location=rtsp://u:s3@x ! x", "gst:rtspsrc", id="pipeline"),
        pytest.param("gst: rtspsrc user-pw=s3", "gst:rtspsrc", id="pipeline with a blank"),
        pytest.param("gst:rtspsrc\nuser-pw=s3", "gst:rtspsrc", id="pipeline of lines"),
        pytest.param("gst:rtsp://u:s3@h/x ! decodebin", "gst:rtsp", id="pipeline of a URL"),
        pytest.param('gst:"rtspsrc user-pw=s3"', "gst:", id="pipeline in quotes"),
        pytest.param("rtsp://cam/x?pwd=p@s3", "rtsp://…", id="a query with an @"),
    ],
)
def test_what_may_be_a_secret_of_a_source_is_not_shown(uri, shown):
    assert shown_source(uri) == shown
