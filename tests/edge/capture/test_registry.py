from __future__ import annotations

import sys

import pytest

from edge.capture.registry import SOURCES, open_source, split_uri
from edge.capture.source import SourceOptions
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
        pytest.param("demo", "write demo:", id="no colon after a scheme"),
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
    assert "demo:, file:, images:, v4l2:" in message
    assert "\n" not in message


def test_the_demo_opens_by_its_uri():
    with open_source("demo:", SourceOptions(size_wh=(64, 36), realtime=False)) as source:
        assert source.read(None).shape == (36, 64, 3)


def test_a_row_whose_package_is_missing_says_what_to_install(monkeypatch):
    module, _, _ = SOURCES["v4l2"]
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DependencyError, match="cannot import cv2; install "):
        open_source("v4l2:/dev/video0", SourceOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"size_wh": (0, 720)}, "at least 1x1 px, got 0x720", id="no width"),
        pytest.param({"rate_hz": 0.0}, "above 0 Hz, got 0.0", id="no rate"),
        pytest.param({"rate_hz": float("nan")}, "above 0 Hz, got nan", id="nan"),
        pytest.param({"rate_hz": float("inf")}, "above 0 Hz, got inf", id="infinite"),
    ],
)
def test_options_that_no_source_can_meet_are_refused(options, message):
    with pytest.raises(SourceError, match=message):
        SourceOptions(**options)
