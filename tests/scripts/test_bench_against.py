"""`edge run` of a checkout measured from outside, and two revisions beside each other."""

from __future__ import annotations

import subprocess

import bench_against
import cv2
import edge_process
import numpy as np
import pytest
from bench_against import Figure

from edge.capture.synthetic import Scenes
from edge.errors import ConfigError, EdgeError

pytestmark = pytest.mark.board


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, (640, 360))
    image = np.empty((360, 640, 3), np.uint8)
    scenes = Scenes()
    for index in range(8):
        scenes.render(index, out=image)
        writer.write(image)
    writer.release()
    return path


@pytest.fixture(scope="module")
def port():
    pytest.importorskip("psutil", reason="processes are measured with the extra `dev`")
    pytest.importorskip("amqtt", reason="a broker is needed")
    with edge_process.running_broker() as port:
        yield port


@pytest.mark.parametrize("traced", [False, True], ids=["as it is", "traced"])
def test_a_process_is_measured_by_its_messages_and_by_the_kernel(traced, clip, port, root):
    process = edge_process.EdgeProcess(root, clip.parent, port=port, traced=traced)

    window = process.run(clip, lead=2, frames=6)

    assert 0.05 < window.first_result_s < 60
    assert window.rate_hz > 0
    assert window.cpu_ms > 0
    assert 50 < window.rss_mib < 1000
    assert (window.growth_bytes is not None) is traced


def test_a_process_that_gives_nothing_says_why(clip, port, root):
    clip.write_bytes(b"no video")
    process = edge_process.EdgeProcess(root, clip.parent, port=port)

    with pytest.raises(EdgeError, match=r"gave 0 results of 1 .*clip\.mp4"):
        process.run(clip, lead=1, frames=1)


def test_a_revision_is_checked_out_and_taken_away_again(root):
    if subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], check=False,
                      capture_output=True).returncode:  # fmt: skip
        pytest.skip("this is no git checkout")

    with bench_against.checkout("HEAD") as tree:
        assert (tree / "edge" / "__init__.py").is_file()

    assert not tree.exists()


def test_a_revision_that_is_none_is_refused():
    with (
        pytest.raises(ConfigError, match="no-such-revision"),
        bench_against.checkout("no-such-revision"),
    ):
        pass


def test_the_ratio_is_that_of_windows_beside_each_other():
    figure = Figure("resident memory", "MiB", [100.0, 200.0, 400.0], [110.0, 180.0, 400.0])

    assert figure.cells() == [
        "resident memory",
        "200 (100 to 400)",
        "180 (110 to 400)",
        "MiB",
        "1 (0.9 to 1.1)",
        "≤ 118",
    ]


def test_what_may_be_nothing_has_no_ratio():
    assert Figure("Python's allocations", "bytes/frame", [0.0], [-1.0]).cells()[4] == "-"
