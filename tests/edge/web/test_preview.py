"""The preview beside a real pipeline, by HTTP."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from factories import observation
from previewing import previewing
from waiting import eventually

from edge.config.reading import parse
from edge.reload import follow
from edge.web import preview as preview_module

pytestmark = pytest.mark.board

TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def running():
    with previewing(tracking={}, camera={"rate_hz": 10}) as served:
        assert eventually(lambda: served.ask("/healthz")[0] == 200, timeout_s=60)
        yield served


def figure(served, name):
    (value,) = re.findall(
        rf"^{name if '{' in name else f'{name}(?:{{.*}})?'} (\S+)$",
        served.ask("/metrics")[2].decode(),
        re.MULTILINE,
    )
    return float(value)


def resident_mib():
    """What the kernel says of this process, which serves the page."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def test_where_nobody_looks_no_picture_is_asked_for_and_none_is_drawn(running):
    (capture,) = running.parts.captures
    asked = []
    real = capture.want_picture
    running.parts.captures[0].want_picture = lambda px: asked.append(px) or real(px)
    drawn, frames = (
        figure(running, "edge_preview_pictures_total"),
        figure(running, "edge_frames_total"),
    )

    assert eventually(lambda: figure(running, "edge_frames_total") > frames + 10, timeout_s=60)
    assert asked == []
    assert capture.wanted_px == {}
    assert figure(running, "edge_preview_pictures_total") == drawn

    running.ask("/snapshot.jpg")
    assert asked == [960]
    assert eventually(lambda: capture.wanted_px == {})  # one wish, one picture
    assert figure(running, "edge_preview_pictures_total") == drawn + 1


def test_a_snapshot_is_a_jpeg_of_the_size_that_was_chosen_with_its_number(running):
    status, headers, body = running.ask("/snapshot.jpg")

    assert status == 200
    assert headers["Content-Type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape == (540, 960, 3)
    number = int(headers["X-Picture"])
    assert int(running.ask(f"/snapshot.jpg?after={number}")[1]["X-Picture"]) > number
    # A page that was there before the service began anew goes on.
    assert running.ask("/snapshot.jpg?after=999999999999")[0] == 200
    assert running.ask(f"/snapshot.jpg?after={'9' * 5000}")[0] == 200


def test_the_stream_gives_picture_after_picture(running):
    with socket.create_connection(("127.0.0.1", running.port), timeout=30) as viewer:
        viewer.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        data = b""
        while data.count(b"\r\n--frame\r\n") < 3:
            data += viewer.recv(65536)

    head, _, body = data.partition(b"\r\n\r\n")
    assert b"multipart/x-mixed-replace; boundary=frame" in head
    length = int(re.search(rb"Content-Length: (\d+)", body)[1])
    image = body.partition(b"\r\n\r\n")[2][:length]
    assert cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) is not None


def test_the_state_has_all_that_the_page_shows(running):
    told = []
    assert eventually(
        lambda: told.append(json.loads(running.ask("/state.json")[2])) or told[-1]["seen"]
    )
    state = told[-1]

    assert state["cameras"] == ["camera"]
    assert state["size_wh"] == [1280, 720]
    assert {"capture", "invoke", "track", "age"} <= state["stage_ms"].keys()
    assert {"label", "score", "track_id", "box_ratio"} <= state["seen"][0].keys()
    assert state["resident_mib"] == pytest.approx(resident_mib(), rel=0.2)
    assert (state["paused"], state["trouble"]) == (False, "")
    assert {"zone", "line", "mask", "events", "counts", "temperature_c"} <= state.keys()


def test_metrics_are_text_of_prometheus_with_a_histogram_a_stage(running):
    _, headers, body = running.ask("/metrics")
    text = body.decode()

    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert text.endswith("\n")
    for stage in ("capture", "preprocess", "invoke", "decode", "suppress", "track"):
        assert f'edge_stage_seconds_bucket{{camera="camera",stage="{stage}",le="+Inf"}}' in text
    assert "# TYPE edge_stage_seconds histogram" in text
    assert 'edge_dropped_frames_total{camera="camera"}' in text
    assert figure(running, "process_resident_memory_bytes") > 50 * 2**20


def test_nothing_else_is_there_and_a_camera_that_is_not_is_named_so(running):
    assert running.ask("/../edge.toml")[0] == 404
    assert running.ask("/page/../preview.py")[0] == 404
    assert running.ask("/nothing")[2].startswith(b"nothing is here; there are / /healthz")
    assert running.ask("/snapshot.jpg?camera=attic")[2] == b"no such camera; known are camera\n"
    assert running.ask("/healthz", method="DELETE")[0] == 501
    assert running.ask("/", method="HEAD")[2] == b""


def test_every_answer_forbids_foreign_scripts_and_frames(running):
    for path in ("/", "/page.js", "/snapshot.jpg", "/metrics", "/nothing"):
        headers = running.ask(path)[1]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers


def test_the_page_asks_for_what_is_here_and_for_nothing_else(running):
    page = running.ask("/")[2].decode()

    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert "//" not in name
        assert running.ask(f"/{name}", method="HEAD")[0] == 200, name
    assert "style=" not in page
    assert "onclick" not in page


def test_a_change_is_handed_on_and_its_answer_told(running):
    body = json.dumps({"zone": [], "line": [], "mask": []}).encode()
    origin = f"http://127.0.0.1:{running.port}"

    status, _, said = running.ask("/apply", method="POST", body=body, Origin=origin)
    assert (status, json.loads(said)) == (200, {"ok": True, "message": "done"})
    assert running.changes.asked[-1] == ("zones", body)
    running.changes.ok = False
    status, _, said = running.ask("/apply", method="POST", body=body, Origin=origin)
    assert (status, json.loads(said)["message"]) == (409, "nothing changed: no")
    running.changes.ok = True
    assert running.ask("/apply", method="POST", body=body)[0] == 403
    assert len(running.changes.asked) == 2


def test_what_was_drawn_onto_other_zones_than_hold_now_replaces_none_unasked(running):
    origin = f"http://127.0.0.1:{running.port}"
    number = json.loads(running.ask("/state.json")[2])["places"]
    asked = len(running.changes.asked)

    status, _, said = running.ask("/apply?onto=0123", method="POST", body=b"{}", Origin=origin)
    assert (status, said.partition(b":")[0]) == (412, b"others hold by now")
    assert len(running.changes.asked) == asked
    status, *_ = running.ask(f"/apply?onto={number}", method="POST", body=b"{}", Origin=origin)
    assert status == 200


def test_a_token_is_asked_for_and_the_link_that_brings_it_opens_the_page(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    with previewing(frames=False, web={"token_file": str(path)}) as served:
        refused = served.ask("/")
        assert (refused[0], refused[1]["WWW-Authenticate"]) == (401, "Bearer")
        assert served.ask("/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
        status, headers, _ = served.ask(f"/?token={TOKEN}")
        assert (status, headers["Location"]) == (303, "/")
        cookie = headers["Set-Cookie"].partition(";")[0]
        assert served.ask("/", Cookie=cookie)[0] == 200


def test_a_service_without_frames_is_not_healthy_and_says_why(monkeypatch):
    with previewing(frames=False, camera=[{"name": "front"}, {"name": "back"}]) as served:
        status, _, body = served.ask("/healthz?camera=front")
        assert (status, body) == (503, b"front: no frame has come out yet\n")
        monkeypatch.setattr(preview_module, "WAIT_S", 0.05)
        assert served.ask("/snapshot.jpg")[0] == 503
        served.preview(observation(camera="back"))
        status, _, body = served.ask("/healthz")
        assert (status, body[:24]) == (200, b"ok: frames come out; but")
        view = served.preview.views["back"]
        view.seen_s -= 61
        status, _, body = served.ask("/healthz?camera=back")
        silent_s = range(61, round(time.monotonic() - view.seen_s) + 1)
        said = [f"back: no frame has come out for {each} s\n".encode() for each in silent_s]
        assert status == 503
        assert body in said
        assert served.ask("/healthz")[0] == 503


def test_a_pause_is_no_fault_and_a_camera_that_is_away_is_named_so():
    cameras = [{"name": "front"}, {"name": "back", "source": "v4l2:/dev/not-there"}]
    with previewing(frames=False, camera=cameras) as served:
        served.parts.cameras.pause(["front"], on=True)
        status, _, body = served.ask("/healthz")
        said = b"back: no frame has come out yet, the camera is away\n"
        assert (status, body) == (503, said)
        assert json.loads(served.ask("/state.json?camera=back")[2])["trouble"] == said.decode()[:-1]
        assert json.loads(served.ask("/state.json")[2])["paused"] is True
        served.parts.cameras.pause(["back"], on=True)
        assert served.ask("/healthz")[::2] == (200, b"ok: paused\n")


def test_cameras_come_and_go_with_the_configuration():
    with previewing(frames=False, camera=[{"name": "front"}, {"name": "back"}]) as served:
        served.preview(observation(camera="front"))
        parts = served.parts
        wanted = parse({"camera": [{"name": "back"}, {"name": "attic"}], "web": {"port": 0}})
        follow(parts, parts.config.replace(cameras=wanted.cameras), None)

        state = json.loads(served.ask("/state.json")[2])
        assert (state["camera"], state["cameras"]) == ("back", ["back", "attic"])
        assert served.ask("/healthz?camera=attic")[2] == b"attic: no frame has come out yet\n"
        assert served.ask("/healthz?camera=front")[0] == 404
        assert figure(served, 'edge_frames_total{camera="front"}') == 1  # counters stay
