"""A peer answers on its line whatever its libraries print, and its failures become sentences."""

from __future__ import annotations

from pathlib import Path

import bench_peers_worker
import pytest
from bench_peers_worker import PeerError, Row, Worker

pytestmark = pytest.mark.board

PEER = """
import os, sys
sys.path.insert(0, {peers!r})
import line
print("a library's greeting")

class Peer:
    versions = "toy 1.0"
    def run(self, source, *, lead, frames):
        print("noise", flush=True)
        if frames == 66:
            os._exit(3)
        if frames == 99:
            raise ValueError("too many\\nframes")
        return line.Window(frames, 0.5, 0.25, lead)
    def labels(self, image):
        return ["cat"] * image.shape[0]

def open_peer(folder, variant):
    if variant == "broken":
        raise RuntimeError("cannot load the file")
    return Peer()

sys.exit(line.serve(open_peer))
"""


@pytest.fixture
def row(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(PEER.format(peers=str(bench_peers_worker.PEERS)))
    return Row("toy", str(path), "sound")


def test_requests_are_answered_one_by_one(row, tmp_path, root):
    with Worker(row, tmp_path) as worker:
        assert worker.versions == "toy 1.0"
        assert worker.start_s > 0
        window = worker.run("clip", lead=2, frames=7)
        rss_mib = window.pop("rss_mib")
        assert window == {"frames": 7, "elapsed_s": 0.5, "cpu_s": 0.25, "detections": 2}
        assert 5 < rss_mib < 500
        assert worker.labels(root / "edge/capture/scenes/chelsea.jpg") == ["cat"]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        pytest.param(99, "ValueError: too many", id="raises"),
        pytest.param(66, "died with exit code 3", id="dies"),
    ],
)
def test_a_peer_that_fails_while_running_says_why(row, tmp_path, frames, reason):
    with Worker(row, tmp_path) as worker, pytest.raises(PeerError, match=f"^{reason}$"):
        worker.run("clip", lead=0, frames=frames)


def test_a_peer_that_cannot_start_says_why(row, tmp_path):
    with pytest.raises(PeerError, match=r"^RuntimeError: cannot load the file$"):
        Worker(Row("toy", row.script, "broken"), tmp_path)


def test_a_peer_that_does_not_speak_is_given_up(tmp_path, monkeypatch):
    script = tmp_path / "silent.py"
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(bench_peers_worker, "START_TIMEOUT_S", 0.5)
    with pytest.raises(PeerError, match=r"no answer within 0\.5 s"):
        Worker(Row("silent", str(script), ""), tmp_path)


def test_what_cannot_be_installed_says_why(tmp_path):
    (tmp_path / "environment").write_text("a file where the folder would be")
    with pytest.raises(PeerError, match=r"cannot be installed: .*environment"):
        bench_peers_worker.ensure_environment(tmp_path / "environment", ("a==1",))


def test_an_environment_is_made_once(tmp_path):
    folder = tmp_path / "environment"
    (folder / "bin").mkdir(parents=True)
    (folder / bench_peers_worker.STAMP).write_text("a==1\nb==2")
    python = bench_peers_worker.ensure_environment(folder, ("a==1", "b==2"))
    assert python == Path(folder / "bin" / "python")
